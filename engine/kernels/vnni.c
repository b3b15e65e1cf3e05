/* vnni.c - packed int8 products with AVX-512 VNNI.
 *
 * A row of activations becomes 16-bit whole numbers, as two planes of bytes: with
 * u = 32768 + round(32767 x / max |x|), the sum of w * x is
 * max / 32767 * (256 * (sum of w * high) + (sum of w * low) - 32768 * (sum of w)).
 * All sums are exact in 32 bits, so only the rounding to 16 bits (relative to the row's
 * largest value, like a float's to 24 relative to itself) is lost, and no order of
 * operations can matter.
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

enum { TILE = 4, PAIR = 2, ALONE = 4, LINE = 64, AHEAD = 12288 };

enum { STEP = 4 * PANEL }; /* values that become a line of bytes */

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

static inline __m512i to_16_bits(__m512 v, __m512 factor)
{
    return _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(v, factor)),
                            _mm512_set1_epi32(32768));
}

/* STEP values from k on. */
static inline void split_step(const float *x, struct gates g, size_t k, __m512 factor,
                              uint8_t *high, uint8_t *low)
{
    /* What the packing inside 128-bit lanes has left to do. */
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i byte = _mm512_set1_epi16(0xFF);
    __m512i u[4];
    UNROLL for (int i = 0; i < 4; i++)
    {
        u[i] = to_16_bits(gated(x, g, k + (size_t)i * 16, 0xFFFF), factor);
    }
    __m512i a = _mm512_packus_epi32(u[0], u[1]), b = _mm512_packus_epi32(u[2], u[3]);
    __m512i h = _mm512_packus_epi16(_mm512_srli_epi16(a, 8), _mm512_srli_epi16(b, 8));
    __m512i l = _mm512_packus_epi16(_mm512_and_si512(a, byte), _mm512_and_si512(b, byte));
    _mm512_storeu_si512(high + k, _mm512_permutexvar_epi32(order, h));
    _mm512_storeu_si512(low + k, _mm512_permutexvar_epi32(order, l));
}

static inline __attribute__((always_inline)) void split(const float *x, struct gates g,
                                                        size_t n, uint8_t *out, float *scale)
{
    float max = largest(x, g, n);
    __m512 factor = _mm512_set1_ps(max > 0 && isfinite(max) ? 32767 / max : 0);
    *scale = isfinite(max) ? max / 32767 : NAN;
    size_t k = 0;
    for (; k + STEP <= n; k += STEP)
        split_step(x, g, k, factor, out, out + n);
    for (; k < n; k += 16) {
        __mmask16 m = first(n - k);
        __m512i u = to_16_bits(gated(x, g, k, m), factor);
        _mm_mask_storeu_epi8(out + k, m, _mm512_cvtepi32_epi8(_mm512_srli_epi32(u, 8)));
        _mm_mask_storeu_epi8(out + n + k, m, _mm512_cvtepi32_epi8(u));
    }
}

void vnni_split(const float *x, const void *gate, enum terra_dtype t, size_t n, uint8_t *out,
                float *scale)
{
    if (!gate)
        split(x, (struct gates){NULL, TERRA_F32}, n, out, scale);
    else if (t == TERRA_I8)
        split(x, (struct gates){gate, TERRA_I8}, n, out, scale);
    else if (t == TERRA_BF16)
        split(x, (struct gates){gate, TERRA_BF16}, n, out, scale);
    else
        split(x, (struct gates){gate, TERRA_F32}, n, out, scale);
}

static inline __attribute__((always_inline)) void
tile(const int8_t *w, size_t bytes, size_t depth, const float *scale, const int32_t *sum,
     const uint8_t *x, size_t ld_x, const float *x_scale, int n, int panels, float *y,
     size_t ld_y, struct fetch *f)
{
    __m512i high[TILE * PAIR], low[TILE * PAIR]; /* ALONE panels of one row fit as well */
    const char *ahead = f->p;
    const size_t steps = depth / 4, last = f->lines < 2 * steps ? f->lines : 2 * steps;
    UNROLL for (int i = 0; i < n * panels; i++)
    {
        high[i] = low[i] = _mm512_setzero_si512();
    }
    for (size_t k = 0; k < steps; k++) {
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
            int32_t h, l;
            memcpy(&h, x + i * ld_x + 4 * k, 4);
            memcpy(&l, x + i * ld_x + depth + 4 * k, 4);
            __m512i vh = _mm512_set1_epi32(h), vl = _mm512_set1_epi32(l);
            UNROLL for (int j = 0; j < panels; j++)
            {
                high[i * panels + j] = _mm512_dpbusd_epi32(high[i * panels + j], vh, v[j]);
                low[i * panels + j] = _mm512_dpbusd_epi32(low[i * panels + j], vl, v[j]);
            }
        }
    }
    UNROLL for (int j = 0; j < panels; j++)
    {
        /* 32768 * sum of w = 256 * 128 * sum of w */
        __m512i offset = _mm512_slli_epi32(_mm512_loadu_si512(sum + j * PANEL), 7);
        __m512 s = _mm512_loadu_ps(scale + j * PANEL);
        UNROLL for (int i = 0; i < n; i++)
        {
            __m512 h = _mm512_cvtepi32_ps(_mm512_sub_epi32(high[i * panels + j], offset));
            __m512 t = _mm512_fmadd_ps(h, _mm512_set1_ps(256),
                                       _mm512_cvtepi32_ps(low[i * panels + j]));
            float *p = y + i * ld_y + j * PANEL;
            _mm512_storeu_ps(p, _mm512_fmadd_ps(t, _mm512_mul_ps(s, _mm512_set1_ps(x_scale[i])),
                                                _mm512_loadu_ps(p)));
        }
    }
    f->p += last * LINE;
    f->lines -= last;
}

#define CASE(rows)                                                                             \
    case rows:                                                                                 \
        tile(w, bytes, depth, scale, sum, x, ld_x, x_scale, rows, panels, y, ld_y, f);         \
        break

static inline __attribute__((always_inline)) void
all_rows(const int8_t *w, size_t bytes, size_t depth, const float *scale, const int32_t *sum,
         const uint8_t *x, size_t ld_x, const float *x_scale, size_t n, int panels, float *y,
         size_t ld_y, struct fetch *f)
{
    while (n) {
        size_t tiles = (n + TILE - 1) / TILE, m = (n + tiles - 1) / tiles; /* 9 are 3 times 3 */
        switch (m) {
            CASE(1);
            CASE(2);
            CASE(3);
            CASE(4);
        }
        x += m * ld_x;
        x_scale += m;
        y += m * ld_y;
        n -= m;
    }
}

void vnni_panels(const struct pack *p, size_t group, size_t p0, size_t p1, const uint8_t *x,
                 size_t ld_x, const float *x_scale, size_t n, float *y, size_t ld_y,
                 struct fetch *f)
{
    const size_t bytes = (size_t)p->depth * PANEL, at = pack_at(p, group, p0);
    const int8_t *w = (const int8_t *)p->data + at * bytes;
    const float *scale = p->scale + at * PANEL;
    const int32_t *sum = p->sum + at * PANEL;
    /* With nothing else to fetch, the weights themselves, a little ahead. */
    struct fetch own = {(const char *)w + AHEAD, (p1 - p0) * bytes / LINE};
    f = f && f->lines ? f : &own;
    for (size_t m; p0 < p1; p0 += m, w += m * bytes, scale += m * PANEL, sum += m * PANEL) {
        m = p1 - p0 < PAIR ? 1 : n == 1 && p1 - p0 >= ALONE ? ALONE : PAIR;
        if (m == ALONE) /* keeps the multipliers busy */
            tile(w, bytes, p->depth, scale, sum, x, ld_x, x_scale, 1, ALONE, y, ld_y, f);
        else if (m == PAIR)
            all_rows(w, bytes, p->depth, scale, sum, x, ld_x, x_scale, n, PAIR, y, ld_y, f);
        else
            all_rows(w, bytes, p->depth, scale, sum, x, ld_x, x_scale, n, 1, y, ld_y, f);
        y += m * PANEL;
    }
}

/* ---- packing on the fly --------------------------------------------------------------- */

static inline __m512i add_up(__m512i sum, __m512i quads)
{
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), quads);
}

void vnni_pack_rows(const int8_t *w, size_t n, size_t depth, int8_t *out, int32_t *sum)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i at = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)depth));
    for (size_t r = 0; r < n; r += PANEL, w += PANEL * depth) {
        __m512i all = _mm512_setzero_si512();
        for (size_t k = 0; k < depth; k += 4, out += 4 * PANEL) {
            __m512i v = _mm512_i32gather_epi32(at, w + k, 1);
            all = add_up(all, v);
            _mm512_storeu_si512(out, v);
        }
        _mm512_storeu_si512(sum + r, all);
    }
}

static inline __m128i sixteen(const int8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

void vnni_pack_columns(const int8_t *w, size_t n, size_t width, int8_t *out, int32_t *sum)
{
    for (size_t c = 0; c < width; c += PANEL) {
        __m512i all = _mm512_setzero_si512();
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
            all = add_up(all, v);
            _mm512_storeu_si512(out, v);
        }
        _mm512_storeu_si512(sum + c, all);
    }
}

#endif
