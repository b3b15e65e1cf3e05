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

#include "engine/kernels/vnni.h"

enum { TILE = 6, PAIR = 2, ALONE = 8, LINE = 64, AHEAD = 12288, DOTS_AHEAD = 4096 };

/* Where the gates of 16 values come from; `t` is known when compiling. */
struct gates {
    const void *p; /* NULL: all 1 */
    enum terra_dtype t;
};

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

/* How a block with this largest magnitude is rounded. */
static inline float rounding(float max, float gain, struct q8_block *z)
{
    bool ok = isfinite(max), some = ok && max > Q8_LEAST;
    z->scale = some ? max / 127 * gain : ok ? 0 : NAN;
    return some ? 127 / max : 0;
}

static inline __m512i whole_number(__m512 v, __m512 factor)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(v, factor));
}

/* Unsigned: of a block with infinite values the sum is anything. */
static inline int32_t start_of(__m512i sum)
{
    return (int32_t)(0u - 128u * (uint32_t)_mm512_reduce_add_epi32(sum));
}

static inline __m512i add_up(__m512i sum, __m512i bytes)
{
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), bytes);
}

/* 16 * vectors values, kept in registers; vectors is a multiple of 4. */
INLINE struct q8_block quantize_whole(const float *x, struct gates g, float gain,
                                      size_t vectors, int8_t *out)
{
    /* What the packing inside 128-bit lanes has left to do. */
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    struct q8_block z;
    __m512 v[Q8_BLOCK / 16];
    __m512i most = _mm512_setzero_si512(), sum = most;
    UNROLL for (size_t i = 0; i < vectors; i++)
    {
        v[i] = gated(x, g, i * 16, 0xFFFF);
        most = _mm512_max_epi32(most, magnitude(v[i]));
    }
    __m512 factor = _mm512_set1_ps(rounding(largest(most), gain, &z));
    UNROLL for (size_t i = 0; i < vectors; i += 4)
    {
        __m512i a =
            _mm512_packs_epi32(whole_number(v[i], factor), whole_number(v[i + 1], factor));
        __m512i b =
            _mm512_packs_epi32(whole_number(v[i + 2], factor), whole_number(v[i + 3], factor));
        __m512i q = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(a, b));
        _mm512_storeu_si512(out + i * 16, q);
        sum = add_up(sum, q);
    }
    z.start = start_of(sum);
    return z;
}

/* A block of any n. */
static inline struct q8_block quantize_rest(const float *x, struct gates g, float gain,
                                            size_t n, int8_t *out)
{
    struct q8_block z;
    __m512i most = _mm512_setzero_si512(), sum = most;
    for (size_t i = 0; i < n; i += 16)
        most = _mm512_max_epi32(most, magnitude(gated(x, g, i, first(n - i))));
    __m512 factor = _mm512_set1_ps(rounding(largest(most), gain, &z));
    for (size_t i = 0; i < n; i += 16) {
        __m512i q = whole_number(gated(x, g, i, first(n - i)), factor);
        _mm_mask_storeu_epi8(out + i, first(n - i), _mm512_cvtepi32_epi8(q));
        sum = _mm512_add_epi32(sum, q);
    }
    z.start = start_of(sum);
    return z;
}

INLINE void quantize(const float *x, struct gates g, float gain, size_t n, int8_t *out)
{
    int8_t *tail = out + n;
    for (size_t left = n, m; left;
         left -= m, x += m, out += m, tail += sizeof(struct q8_block)) {
        struct q8_block z;
        m = left < 2 * Q8_BLOCK ? left : Q8_BLOCK;
        z = m == Q8_BLOCK       ? quantize_whole(x, g, gain, Q8_BLOCK / 16, out)
            : m == Q8_BLOCK / 2 ? quantize_whole(x, g, gain, Q8_BLOCK / 32, out)
                                : quantize_rest(x, g, gain, m, out);
        memcpy(tail, &z, sizeof z);
        g.p = g.p ? (const char *)g.p + m * dtype_size(g.t) : NULL;
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

void vnni_round16(const float *x, size_t n, int16_t *out)
{
    char *tail = (char *)(out + n);
    for (size_t m; n; n -= m, x += m, out += m, tail += sizeof(float)) {
        m = n < 2 * Q8_BLOCK ? n : Q8_BLOCK;
        float scale = narrow16(x, m, 0, out);
        memcpy(tail, &scale, sizeof scale);
    }
}

static inline __mmask32 first_32(size_t n)
{
    return (__mmask32)(n >= 32 ? 0xFFFFFFFFu : (1u << n) - 1);
}

/* x * gate / 128 of 32 values. */
static inline __m512i gated_16(const int16_t *x, const int8_t *gate, __mmask32 m)
{
    __m512i g = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, gate));
    return _mm512_mulhrs_epi16(_mm512_maskz_loadu_epi16(m, x), _mm512_slli_epi16(g, 8));
}

/* Largest of 32 lanes, none below 0: the smallest of what they lack. */
static inline uint32_t largest_16(__m512i v)
{
    __m256i h = _mm256_max_epi16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    __m128i q = _mm_max_epi16(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    q = _mm_minpos_epu16(_mm_xor_si128(q, _mm_set1_epi16(-1)));
    return 0xFFFFu ^ (uint32_t)_mm_extract_epi16(q, 0);
}

/* A block's values come to lie in 8 bits when multiplied by the result / 32768. */
static inline int rounding_16(uint32_t most, float gain, struct q8_block *z)
{
    float factor = most < 128 ? 32767 : (float)(127 * 32768) / (float)most;
    z->scale = most ? gain * 128 * 32768 / (float)(int)factor : 0 * gain;
    return (int)factor;
}

/* 64 values of one or two vectors, in order. */
static inline __m512i bytes_of(__m512i a, __m512i b, __m512i factor)
{
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    a = _mm512_packs_epi16(_mm512_mulhrs_epi16(a, factor), _mm512_mulhrs_epi16(b, factor));
    return _mm512_permutexvar_epi64(order, a);
}

/* 32 * vectors values; vectors is even. */
INLINE struct q8_block gate_whole(const int16_t *x, const int8_t *gate, float gain,
                                  size_t vectors, int8_t *out)
{
    struct q8_block z;
    __m512i v[Q8_BLOCK / 32], most = _mm512_setzero_si512(), sum = most;
    UNROLL for (size_t i = 0; i < vectors; i++)
    {
        v[i] = gated_16(x + 32 * i, gate + 32 * i, 0xFFFFFFFF);
        most = _mm512_max_epi16(most, _mm512_abs_epi16(v[i]));
    }
    __m512i factor = _mm512_set1_epi16((short)rounding_16(largest_16(most), gain, &z));
    UNROLL for (size_t i = 0; i < vectors; i += 2)
    {
        __m512i q = bytes_of(v[i], v[i + 1], factor);
        _mm512_storeu_si512(out + 32 * i, q);
        sum = add_up(sum, q);
    }
    z.start = start_of(sum);
    return z;
}

static inline struct q8_block gate_rest(const int16_t *x, const int8_t *gate, float gain,
                                        size_t n, int8_t *out)
{
    struct q8_block z;
    __m512i most = _mm512_setzero_si512(), sum = most;
    for (size_t i = 0; i < n; i += 32)
        most = _mm512_max_epi16(most,
                                _mm512_abs_epi16(gated_16(x + i, gate + i, first_32(n - i))));
    __m512i factor = _mm512_set1_epi16((short)rounding_16(largest_16(most), gain, &z));
    for (size_t i = 0; i < n; i += 32) {
        __m512i v = gated_16(x + i, gate + i, first_32(n - i));
        __m512i q = bytes_of(v, _mm512_setzero_si512(), factor);
        _mm256_mask_storeu_epi8(out + i, first_32(n - i), _mm512_castsi512_si256(q));
        sum = add_up(sum, q);
    }
    z.start = start_of(sum);
    return z;
}

void vnni_gate16(const int16_t *x, const int8_t *gate, float gain, size_t n, int8_t *out)
{
    int8_t *tail = out + n;
    const char *scales = (const char *)(x + n);
    for (size_t left = n, m; left; left -= m, x += m, gate += m, out += m,
                tail += sizeof(struct q8_block), scales += sizeof(float)) {
        struct q8_block z;
        float scale;
        memcpy(&scale, scales, sizeof scale);
        m = left < 2 * Q8_BLOCK ? left : Q8_BLOCK;
        z = m == Q8_BLOCK       ? gate_whole(x, gate, scale * gain, Q8_BLOCK / 32, out)
            : m == Q8_BLOCK / 2 ? gate_whole(x, gate, scale * gain, Q8_BLOCK / 64, out)
                                : gate_rest(x, gate, scale * gain, m, out);
        memcpy(tail, &z, sizeof z);
    }
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

static inline __m512 panel_scale(const float *scale, size_t panel)
{
    return _mm512_loadu_ps(scale + panel * PANEL);
}

/* y += scale * sums */
static inline void add_to(float *y, __m512 sums, __m512 scale)
{
    _mm512_storeu_ps(y, _mm512_fmadd_ps(sums, scale, _mm512_loadu_ps(y)));
}

/* What the products of one call share. */
struct product {
    size_t depth, groups, slab;
    const size_t *tap;
    size_t ld_x, ld_y;
    struct fetch *f;
};

/* Fetching one or two lines a step while there are some. */
struct pace {
    const char *p, *end;
    size_t bytes;
};

static inline struct pace pace(struct fetch *f, size_t steps)
{
    fetch_more(f);
    size_t most = steps * f->pace, lines = f->lines < most ? f->lines : most;
    struct pace z = {f->p, f->p + lines * LINE, f->pace * (size_t)LINE};
    f->p = z.end;
    f->lines -= lines;
    return z;
}

static inline void fetch_step(struct pace *z)
{
    __builtin_prefetch(z->p, 0, 2);
    __builtin_prefetch(z->p + z->bytes - LINE, 0, 2);
    z->p += z->p < z->end ? z->bytes : 0;
}

/* Ends the steps of block b. */
static inline size_t block_end(size_t depth, size_t b)
{
    return b + 1 < q8_blocks(depth) ? (b + 1) * Q8_BLOCK / 4 : depth / 4;
}

/* `third` has every third of the rows (or panels): the two behind it are a step or twice a step
 * away, which an address can say.  With a pointer for each gcc runs out of registers. */
INLINE void tile(const struct product *p, const uint8_t *w, const float *scale, const int8_t *x,
                 int n, int panels, bool taps, float *y)
{
    const size_t depth = p->depth, bytes = depth * PANEL, ld_x = p->ld_x;
    const size_t groups = taps ? p->groups : 1;
    struct pace z = pace(p->f, depth / 4 * groups);
    __m512 all[TILE * PAIR];
    UNROLL for (int i = 0; i < n * panels; i++)
    {
        all[i] = _mm512_setzero_ps();
    }
    for (size_t g = 0; g < groups; g++) {
        const int8_t *row = taps ? x + p->tap[g] : x;
        const int8_t *third[] = {row, n > 3 ? row + 3 * ld_x : row};
        const uint8_t *v = w + g * p->slab * bytes;
        for (size_t b = 0, k = 0; b < q8_blocks(depth); b++) {
            __m512i sum[TILE * PAIR];
            UNROLL for (int i = 0; i < n; i++)
            {
                __m512i start = _mm512_set1_epi32(block_of(row + i * ld_x, depth, b).start);
                UNROLL for (int j = 0; j < panels; j++)
                {
                    sum[i * panels + j] = start;
                }
            }
            for (size_t end = block_end(depth, b); k < end; k++) {
                __m512i vk[PAIR];
                fetch_step(&z);
                UNROLL for (int j = 0; j < panels; j++)
                {
                    vk[j] = _mm512_loadu_si512(v + j * bytes + k * 4 * PANEL);
                }
                UNROLL for (int i = 0; i < n; i++)
                {
                    __m512i q = four(third[i / 3] + i % 3 * ld_x + 4 * k);
                    UNROLL for (int j = 0; j < panels; j++)
                    {
                        sum[i * panels + j] =
                            _mm512_dpbusd_epi32(sum[i * panels + j], vk[j], q);
                    }
                }
            }
            UNROLL for (int i = 0; i < n; i++)
            {
                __m512 s = _mm512_set1_ps(block_of(row + i * ld_x, depth, b).scale);
                UNROLL for (int j = 0; j < panels; j++)
                {
                    __m512 part = _mm512_cvtepi32_ps(sum[i * panels + j]);
                    if (taps) /* every tap's weights have their own scale */
                        part = _mm512_mul_ps(part, panel_scale(scale, g * p->slab + (size_t)j));
                    all[i * panels + j] = _mm512_fmadd_ps(part, s, all[i * panels + j]);
                }
            }
        }
    }
    UNROLL for (int j = 0; j < panels; j++)
    {
        __m512 s = taps ? _mm512_set1_ps(1) : panel_scale(scale, (size_t)j);
        UNROLL for (int i = 0; i < n; i++)
        {
            add_to(y + i * p->ld_y + j * PANEL, all[i * panels + j], s);
        }
    }
}

/* One row: more panels keep the multipliers busy. */
INLINE void alone(const struct product *p, const uint8_t *w, const float *scale,
                  const int8_t *x, int panels, float *y)
{
    const size_t depth = p->depth, bytes = depth * PANEL;
    const uint8_t *third[] = {w, w + 3 * bytes, panels > 6 ? w + 6 * bytes : w};
    struct pace z = pace(p->f, depth / 4);
    __m512 all[ALONE];
    UNROLL for (int j = 0; j < panels; j++)
    {
        all[j] = _mm512_setzero_ps();
    }
    for (size_t b = 0, k = 0; b < q8_blocks(depth); b++) {
        __m512i sum[ALONE];
        UNROLL for (int j = 0; j < panels; j++)
        {
            sum[j] = _mm512_set1_epi32(block_of(x, depth, b).start);
        }
        for (size_t end = block_end(depth, b); k < end; k++) {
            __m512i q = four(x + 4 * k);
            fetch_step(&z);
            UNROLL for (int j = 0; j < panels; j++)
            {
                __m512i v = _mm512_loadu_si512(third[j / 3] + j % 3 * bytes + k * 4 * PANEL);
                sum[j] = _mm512_dpbusd_epi32(sum[j], v, q);
            }
        }
        __m512 s = _mm512_set1_ps(block_of(x, depth, b).scale);
        UNROLL for (int j = 0; j < panels; j++)
        {
            all[j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[j]), s, all[j]);
        }
    }
    UNROLL for (int j = 0; j < panels; j++)
    {
        add_to(y + j * PANEL, all[j], panel_scale(scale, (size_t)j));
    }
}

#define CASE(rows)                                                                             \
    case rows:                                                                                 \
        tile(p, w, scale, x, rows, panels, taps, y);                                           \
        break

INLINE void all_rows(const struct product *p, const uint8_t *w, const float *scale,
                     const int8_t *x, size_t n, int panels, bool taps, float *y)
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
        x += m * p->ld_x;
        y += m * p->ld_y;
        n -= m;
    }
}

/* How many of so many panels are multiplied at once. */
static size_t together(size_t panels, bool one_row)
{
    if (one_row && panels >= ALONE / 2)
        return panels >= ALONE ? ALONE : ALONE / 2;
    return panels >= PAIR ? PAIR : 1;
}

void vnni_panels(const struct pack *p, const size_t *tap, size_t p0, size_t p1, const int8_t *x,
                 size_t ld_x, size_t n, float *y, size_t ld_y, struct fetch *f)
{
    const size_t bytes = (size_t)p->depth * PANEL, at = pack_at(p, 0, p0);
    const uint8_t *w = (const uint8_t *)p->data + at * bytes;
    const float *scale = p->scale + at * PANEL;
    /* With nothing else to fetch, the weights themselves, a little ahead. */
    struct fetch own = {
        .p = (const char *)w + AHEAD, .lines = (p1 - p0) * bytes / LINE, .pace = 2};
    struct product z = {.depth = p->depth,
                        .groups = p->groups,
                        .slab = p->slab,
                        .tap = tap,
                        .ld_x = ld_x,
                        .ld_y = ld_y,
                        .f = f && (f->lines || f->left) ? f : &own};
    for (size_t m; p0 < p1; p0 += m, w += m * bytes, scale += m * PANEL, y += m * PANEL) {
        m = together(p1 - p0, n == 1 && !tap);
        if (m == ALONE)
            alone(&z, w, scale, x, ALONE, y);
        else if (m == ALONE / 2)
            alone(&z, w, scale, x, ALONE / 2, y);
        else if (m == PAIR && tap)
            all_rows(&z, w, scale, x, n, PAIR, true, y);
        else if (m == PAIR)
            all_rows(&z, w, scale, x, n, PAIR, false, y);
        else if (tap)
            all_rows(&z, w, scale, x, n, 1, true, y);
        else
            all_rows(&z, w, scale, x, n, 1, false, y);
    }
}

/* ---- rows that are not packed ------------------------------------------------------------ */

static inline __m512i plus_128(__m512i v)
{
    return _mm512_xor_si512(v, _mm512_set1_epi8(-128));
}

/* Sums of each 128 bits' halves, those of a and b in turns. */
static inline __m512i fold_32(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

static inline __m512i fold_64(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

static inline __m512i fold_128(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* Lane i is the sum of all lanes of v[i]. */
static inline __m512i fold_all(__m512i *v)
{
    UNROLL for (int i = 0; i < 8; i++)
    {
        v[i] = fold_32(v[2 * i], v[2 * i + 1]);
    }
    UNROLL for (int i = 0; i < 4; i++)
    {
        v[i] = fold_64(v[2 * i], v[2 * i + 1]);
    }
    return fold_128(fold_128(v[0], v[1]), fold_128(v[2], v[3]));
}

/* The last rows are those before them once more, where there are fewer than 16. */
static inline __m512i sixteen_dots(const int8_t *w, size_t rows, size_t cols, const int8_t *x)
{
    __m512i v[16];
    const __mmask64 tail = cols % 64 ? (1ull << cols % 64) - 1 : 0;
    UNROLL for (size_t i = 0; i < 16; i++)
    {
        v[i] = _mm512_setzero_si512();
    }
    for (size_t k = 0; k < cols; k += 64) {
        __mmask64 m = k + 64 <= cols ? ~0ull : tail;
        __m512i q = _mm512_maskz_loadu_epi8(m, x + k);
        UNROLL for (size_t i = 0; i < 16; i++)
        {
            const int8_t *row = w + (i < rows ? i : rows - 1) * cols;
            __builtin_prefetch(row + k + DOTS_AHEAD, 0, 2);
            v[i] = _mm512_dpbusd_epi32(v[i], plus_128(_mm512_maskz_loadu_epi8(m, row + k)), q);
        }
    }
    return fold_all(v);
}

void vnni_dots(const int8_t *w, const float *scale, size_t n, size_t cols, const int8_t *x,
               float *y)
{
    struct q8_block z = block_of(x, cols, 0);
    for (size_t r = 0; r < n; r += 16) {
        __m512i sum = sixteen_dots(w + r * cols, n - r, cols, x);
        __m512 f = _mm512_cvtepi32_ps(_mm512_add_epi32(sum, _mm512_set1_epi32(z.start)));
        __m512 s = _mm512_maskz_loadu_ps(first(n - r), scale + r);
        f = _mm512_mul_ps(_mm512_mul_ps(f, _mm512_set1_ps(z.scale)), s);
        _mm512_mask_storeu_ps(y + r, first(n - r), f);
    }
}

/* ---- packing on the fly --------------------------------------------------------------- */

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
