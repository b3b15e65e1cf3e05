/* vnni.c - packed int8 products with AVX-512 VNNI.
 *
 * The instruction multiplies unsigned bytes by signed ones: weights are stored plus 128, and
 * a block's sum begins at -128 * (sum of its activations).  Sums of a block are exact in 32
 * bits; blocks are added up as floats, in order, so that a product has the same bits in
 * whichever tile it is computed.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/sets.h"

#ifdef TERRA_X86_SETS

#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(TERRA_NO_UNROLL)
#define UNROLL
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

enum { TILE = 6, PAIR = 2, ALONE = 8, LINE = 64, AHEAD = 12288 };

enum { STEP = 64 }; /* values that become a line of bytes */

/* Where the gates of 16 values come from; `t` is known when compiling. */
struct gates {
    const void *p; /* NULL: all 1 */
    enum terra_dtype t;
};

static inline __mmask16 first(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFFu : (1u << n) - 1);
}

static inline __m512 gate_at(struct gates g, size_t k, __mmask16 m)
{
    if (g.t == TERRA_I8)
        return _mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(m, (const int8_t *)g.p + k)));
    if (g.t == TERRA_BF16)
        return _mm512_castsi512_ps(_mm512_slli_epi32(
            _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, (const uint16_t *)g.p + k)), 16));
    return _mm512_maskz_loadu_ps(m, (const float *)g.p + k);
}

/* x * gate of 16 values from k on, or as many as m says. */
static inline __m512 gated(const float *x, struct gates g, size_t k, __mmask16 m)
{
    __m512 v = _mm512_maskz_loadu_ps(m, x + k);
    return g.p ? _mm512_mul_ps(v, gate_at(g, k, m)) : v;
}

/* |v| as bits, which are ordered like the values; infinities and NaNs are above all others. */
static inline __m512i magnitude(__m512 v)
{
    return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

static inline float largest(const float *x, struct gates g, size_t n)
{
    __m512i most = _mm512_setzero_si512();
    size_t k = 0;
    for (; k + 16 <= n; k += 16)
        most = _mm512_max_epi32(most, magnitude(gated(x, g, k, 0xFFFF)));
    if (k < n)
        most = _mm512_max_epi32(most, magnitude(gated(x, g, k, first(n - k))));
    int32_t bits = _mm512_reduce_max_epi32(most);
    float max;
    memcpy(&max, &bits, sizeof max);
    return max;
}

static inline __m512i whole_number(__m512 v, __m512 factor)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(v, factor));
}

/* STEP values from k on; their sum by lanes. */
static inline __m512i quantize_step(const float *x, struct gates g, size_t k, __m512 factor,
                                    int8_t *out)
{
    /* What the packing inside 128-bit lanes has left to do. */
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i q[4];
    UNROLL for (size_t i = 0; i < 4; i++)
    {
        q[i] = whole_number(gated(x, g, k + i * 16, 0xFFFF), factor);
    }
    __m512i a = _mm512_packs_epi32(q[0], q[1]), b = _mm512_packs_epi32(q[2], q[3]);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(a, b)));
    return _mm512_add_epi32(_mm512_add_epi32(q[0], q[1]), _mm512_add_epi32(q[2], q[3]));
}

/* One block: n values from k on. */
static inline __attribute__((always_inline)) struct q8_block
quantize_block(const float *x, struct gates g, float gain, size_t k, size_t n, int8_t *out)
{
    g.p = g.p ? (const char *)g.p + k * dtype_size(g.t) : NULL;
    float max = largest(x + k, g, n);
    bool ok = isfinite(max), some = ok && max > Q8_LEAST;
    __m512 factor = _mm512_set1_ps(some ? 127 / max : 0);
    __m512i sum = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + STEP <= n; i += STEP)
        sum = _mm512_add_epi32(sum, quantize_step(x + k, g, i, factor, out + k + i));
    for (; i < n; i += 16) {
        __mmask16 m = first(n - i);
        __m512i q = whole_number(gated(x + k, g, i, m), factor);
        _mm_mask_storeu_epi8(out + k + i, m, _mm512_cvtepi32_epi8(q));
        sum = _mm512_add_epi32(sum, q);
    }
    return (struct q8_block){.scale = some ? max / 127 * gain
                                      : ok ? 0
                                           : NAN,
                             .start = -128 * _mm512_reduce_add_epi32(sum)};
}

static inline __attribute__((always_inline)) void quantize(const float *x, struct gates g,
                                                           float gain, size_t n, int8_t *out)
{
    size_t blocks = q8_blocks(n);
    for (size_t b = 0; b < blocks; b++) {
        size_t k = b * Q8_BLOCK, rest = n - k;
        struct q8_block z = b + 1 < blocks || rest == Q8_BLOCK
                                ? quantize_block(x, g, gain, k, Q8_BLOCK, out)
                                : quantize_block(x, g, gain, k, rest, out);
        memcpy(out + n + b * sizeof z, &z, sizeof z);
    }
}

void vnni_quantize(const float *x, const void *gate, enum terra_dtype t, float gain, size_t n,
                   int8_t *out)
{
    if (!gate)
        quantize(x, (struct gates){NULL, TERRA_F32}, gain, n, out);
    else if (t == TERRA_I8)
        quantize(x, (struct gates){gate, TERRA_I8}, gain, n, out);
    else if (t == TERRA_BF16)
        quantize(x, (struct gates){gate, TERRA_BF16}, gain, n, out);
    else
        quantize(x, (struct gates){gate, TERRA_F32}, gain, n, out);
}

static inline struct q8_block block_of(const int8_t *x, size_t depth, size_t b)
{
    struct q8_block z;
    memcpy(&z, x + depth + b * sizeof z, sizeof z);
    return z;
}

static inline __m512i four(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm512_set1_epi32(v);
}

static inline __attribute__((always_inline)) void
tile(const uint8_t *w, size_t bytes, size_t depth, const float *scale, const int8_t *x,
     size_t ld_x, int n, int panels, float *y, size_t ld_y, struct fetch *f)
{
    __m512 all[TILE * PAIR]; /* ALONE panels of one row fit as well */
    const char *ahead = f->p;
    const size_t steps = depth / 4, last = f->lines < 2 * steps ? f->lines : 2 * steps;
    const size_t blocks = q8_blocks(depth);
    UNROLL for (int i = 0; i < n * panels; i++)
    {
        all[i] = _mm512_setzero_ps();
    }
    for (size_t b = 0, k = 0; b < blocks; b++) {
        __m512i sum[TILE * PAIR];
        UNROLL for (int i = 0; i < n; i++)
        {
            __m512i start = _mm512_set1_epi32(block_of(x + i * ld_x, depth, b).start);
            UNROLL for (int j = 0; j < panels; j++)
            {
                sum[i * panels + j] = start;
            }
        }
        for (size_t end = b + 1 < blocks ? (b + 1) * Q8_BLOCK / 4 : steps; k < end; k++) {
            size_t line = 2 * k < last ? 2 * k : last;
            __builtin_prefetch(ahead + line * LINE, 0, 2);
            __builtin_prefetch(ahead + (line < last ? line + 1 : line) * LINE, 0, 2);
            __m512i v[ALONE];
            UNROLL for (int j = 0; j < panels; j++)
            {
                v[j] = _mm512_loadu_si512(w + j * bytes + k * 4 * PANEL);
            }
            UNROLL for (int i = 0; i < n; i++)
            {
                __m512i q = four(x + i * ld_x + 4 * k);
                UNROLL for (int j = 0; j < panels; j++)
                {
                    sum[i * panels + j] = _mm512_dpbusd_epi32(sum[i * panels + j], v[j], q);
                }
            }
        }
        UNROLL for (int i = 0; i < n; i++)
        {
            __m512 s = _mm512_set1_ps(block_of(x + i * ld_x, depth, b).scale);
            UNROLL for (int j = 0; j < panels; j++)
            {
                all[i * panels + j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[i * panels + j]),
                                                      s, all[i * panels + j]);
            }
        }
    }
    UNROLL for (int j = 0; j < panels; j++)
    {
        __m512 s = _mm512_loadu_ps(scale + j * PANEL);
        UNROLL for (int i = 0; i < n; i++)
        {
            float *p = y + i * ld_y + j * PANEL;
            _mm512_storeu_ps(p, _mm512_fmadd_ps(all[i * panels + j], s, _mm512_loadu_ps(p)));
        }
    }
    f->p += last * LINE;
    f->lines -= last;
}

#define CASE(rows)                                                                             \
    case rows:                                                                                 \
        tile(w, bytes, depth, scale, x, ld_x, rows, panels, y, ld_y, f);                       \
        break

static inline __attribute__((always_inline)) void
all_rows(const uint8_t *w, size_t bytes, size_t depth, const float *scale, const int8_t *x,
         size_t ld_x, size_t n, int panels, float *y, size_t ld_y, struct fetch *f)
{
    while (n) {
        size_t tiles = (n + TILE - 1) / TILE, m = (n + tiles - 1) / tiles; /* 8 are 2 times 4 */
        switch (m) {
            CASE(1);
            CASE(2);
            CASE(3);
            CASE(4);
            CASE(5);
            CASE(6);
        }
        x += m * ld_x;
        y += m * ld_y;
        n -= m;
    }
}

void vnni_panels(const struct pack *p, size_t group, size_t p0, size_t p1, const int8_t *x,
                 size_t ld_x, size_t n, float *y, size_t ld_y, struct fetch *f)
{
    const size_t depth = p->depth, bytes = depth * PANEL, at = pack_at(p, group, p0);
    const uint8_t *w = (const uint8_t *)p->data + at * bytes;
    const float *scale = p->scale + at * PANEL;
    /* With nothing else to fetch, the weights themselves, a little ahead. */
    struct fetch own = {(const char *)w + AHEAD, (p1 - p0) * bytes / LINE};
    f = f && f->lines ? f : &own;
    for (size_t m; p0 < p1; p0 += m, w += m * bytes, scale += m * PANEL) {
        size_t left = p1 - p0;
        m = n == 1 && left >= ALONE ? ALONE : n == 1 && left >= ALONE / 2 ? ALONE / 2 : PAIR;
        m = left < m ? 1 : m;
        if (m == ALONE) /* keeps the multipliers busy */
            tile(w, bytes, depth, scale, x, ld_x, 1, ALONE, y, ld_y, f);
        else if (m == ALONE / 2)
            tile(w, bytes, depth, scale, x, ld_x, 1, ALONE / 2, y, ld_y, f);
        else if (m == PAIR)
            all_rows(w, bytes, depth, scale, x, ld_x, n, PAIR, y, ld_y, f);
        else
            all_rows(w, bytes, depth, scale, x, ld_x, n, 1, y, ld_y, f);
        y += m * PANEL;
    }
}

/* ---- packing on the fly --------------------------------------------------------------- */

static inline __m512i plus_128(__m512i v)
{
    return _mm512_xor_si512(v, _mm512_set1_epi8(-128));
}

void vnni_pack_rows(const int8_t *w, size_t n, size_t depth, uint8_t *out)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i at = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)depth));
    for (size_t r = 0; r < n; r += PANEL, w += PANEL * depth)
        for (size_t k = 0; k < depth; k += 4, out += 4 * PANEL)
            _mm512_storeu_si512(out, plus_128(_mm512_i32gather_epi32(at, w + k, 1)));
}

static inline __m128i sixteen(const int8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

void vnni_pack_columns(const int8_t *w, size_t n, size_t width, uint8_t *out)
{
    for (size_t c = 0; c < width; c += PANEL) {
        for (size_t k = 0; k < n; k += 4, out += 4 * PANEL) {
            const int8_t *p = w + k * width + c;
            __m128i a = sixteen(p), b = sixteen(p + width);
            __m128i d = sixteen(p + 2 * width), e = sixteen(p + 3 * width);
            __m128i ab0 = _mm_unpacklo_epi8(a, b), ab1 = _mm_unpackhi_epi8(a, b);
            __m128i de0 = _mm_unpacklo_epi8(d, e), de1 = _mm_unpackhi_epi8(d, e);
            __m512i v = _mm512_castsi128_si512(_mm_unpacklo_epi16(ab0, de0));
            v = _mm512_inserti32x4(v, _mm_unpackhi_epi16(ab0, de0), 1);
            v = _mm512_inserti32x4(v, _mm_unpacklo_epi16(ab1, de1), 2);
            v = _mm512_inserti32x4(v, _mm_unpackhi_epi16(ab1, de1), 3);
            _mm512_storeu_si512(out, plus_128(v));
        }
    }
}

#endif
