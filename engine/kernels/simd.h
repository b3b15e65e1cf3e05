/* simd.h - the fast kernels, written once over a small set of vector primitives.
 *
 * An instruction set's file defines the primitives below, includes this header and gets a
 * `struct kernels` named by SIMD_SET.
 *
 *   V, LANES                      a vector of LANES floats
 *   v_zero() v_set(f) v_load(p) v_load_n(p, n) v_store(p, v) v_store_n(p, v, n)
 *   v_i8(p) v_i8_n(p, n) v_bf16(p) v_bf16_n(p, n)        weights as floats
 *   v_add v_sub v_mul v_fma(a, b, c) v_max v_min         v_fma: a * b + c, rounded once
 *   v_sum(v) v_most(v)            over lanes, in a fixed order
 *   v_exp2i(v)                    2 to the power of whole numbers from -126 to 127
 *   v_equal(a, b)                 a bit per lane
 *   v_lane(a, b, i)               a, with lane i of b
 *   v_store_i8(p, v)              rounded to nearest, ties to even; values fit
 *   v_round(v)  v_zero_below(v, x, limit)                0 in lanes where x < limit
 *   ROWS, SIDE                    weight rows and x rows of a register tile
 *   COLS                          vectors of an axpy's column tile
 *   PANEL_ROWS, PANELS            x rows and panels of a packed product's tile,
 *   PANELS_ALONE, MOST_SUMS       its panels for a single x row, its vectors of sums
 *
 * Order of sums.  A dot product keeps one vector of partial sums, fed in index order and
 * folded by v_sum at the end, in every tile shape; a packed product keeps one sum per
 * output, fed in index order.  So a result depends on its row alone.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/sets.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Every row of weights is fetched LEAD bytes early, into the second-level cache: asking for
 * the first level there halves the bandwidth (measured on Zen 4). */
enum { CACHE_LINE = 64, LEAD = 2048 };

/* One vector of weights starting at element k of a row. */
INLINE V weights(enum terra_dtype t, const char *row, size_t k)
{
    return t == TERRA_I8     ? v_i8((const int8_t *)row + k)
           : t == TERRA_BF16 ? v_bf16((const uint16_t *)(const void *)row + k)
                             : v_load((const float *)(const void *)row + k);
}

INLINE V weights_n(enum terra_dtype t, const char *row, size_t k, size_t n)
{
    return t == TERRA_I8     ? v_i8_n((const int8_t *)row + k, n)
           : t == TERRA_BF16 ? v_bf16_n((const uint16_t *)(const void *)row + k, n)
                             : v_load_n((const float *)(const void *)row + k, n);
}

/* ---- dot products ------------------------------------------------------------------ */

/* What a tile fetches while it is computed: its own rows LEAD bytes early, up to element
 * `turn`, then the rows `next`, from the same element on. */
struct ahead {
    size_t turn;
    const char *next[ROWS];
};

/* acc[r * x_rows + t] = row r . x row t. */
INLINE void dot_tile(enum terra_dtype t, size_t cols, const char *const *row,
                     const struct ahead *ahead, int rows, const float *x, size_t ld_x,
                     int x_rows, float *out)
{
    V acc[ROWS * SIDE];
    const size_t line = CACHE_LINE / dtype_size(t); /* elements */
    size_t k = 0;
    UNROLL for (int i = 0; i < rows * x_rows; i++)
    {
        acc[i] = v_zero();
    }
    for (; k + line <= cols; k += line) {
        UNROLL for (int r = 0; r < rows; r++)
        {
            const char *p = k < ahead->turn ? row[r] + LEAD : ahead->next[r];
            __builtin_prefetch(p + k * dtype_size(t), 0, 2);
        }
        UNROLL for (size_t s = 0; s < line; s += LANES)
        {
            V v[SIDE];
            UNROLL for (int i = 0; i < x_rows; i++)
            {
                v[i] = v_load(x + i * ld_x + k + s);
            }
            UNROLL for (int r = 0; r < rows; r++)
            {
                V w = weights(t, row[r], k + s);
                UNROLL for (int i = 0; i < x_rows; i++)
                {
                    acc[r * x_rows + i] = v_fma(w, v[i], acc[r * x_rows + i]);
                }
            }
        }
    }
    for (; k < cols; k += LANES) {
        size_t n = cols - k < LANES ? cols - k : LANES;
        UNROLL for (int r = 0; r < rows; r++)
        {
            V w = weights_n(t, row[r], k, n);
            UNROLL for (int i = 0; i < x_rows; i++)
            {
                acc[r * x_rows + i] =
                    v_fma(w, v_load_n(x + i * ld_x + k, n), acc[r * x_rows + i]);
            }
        }
    }
    UNROLL for (int i = 0; i < rows * x_rows; i++)
    {
        out[i] = v_sum(acc[i]);
    }
}

INLINE void dot_block(enum terra_dtype t, const struct mat *w, const char *const *row,
                      const struct ahead *ahead, const float *scale, int rows, const float *x,
                      size_t ld_x, int x_rows, float *y, size_t ld_y)
{
    float out[ROWS * SIDE];
    dot_tile(t, w->cols, row, ahead, rows, x, ld_x, x_rows, out);
    for (int i = 0; i < x_rows; i++)
        for (int r = 0; r < rows; r++)
            y[i * ld_y + r] =
                t == TERRA_I8 ? out[r * x_rows + i] * scale[r] : out[r * x_rows + i];
}

/* All x rows against up to ROWS rows. */
INLINE void dot_rows(enum terra_dtype t, const struct mat *w, const char *const *row,
                     const struct ahead *ahead, const float *scale, int rows, const float *x,
                     size_t ld_x, size_t n, float *y, size_t ld_y)
{
    size_t i = 0;
    for (; i + SIDE <= n; i += SIDE)
        dot_block(t, w, row, ahead, scale, rows, x + i * ld_x, ld_x, SIDE, y + i * ld_y, ld_y);
    for (; i < n; i++)
        dot_block(t, w, row, ahead, scale, rows, x + i * ld_x, ld_x, 1, y + i * ld_y, ld_y);
}

INLINE void rows_typed(enum terra_dtype t, const struct mat *w, size_t r0, size_t r1,
                       const float *x, size_t ld_x, size_t n, float *y, size_t ld_y)
{
    const size_t bytes = w->cols * dtype_size(t);
    const size_t early = bytes > LEAD ? bytes - LEAD : 0;
    const size_t tiles = early ? 1 : (LEAD + bytes - 1) / bytes; /* short rows: several on */
    const char *base = w->data, *row[ROWS];
    struct ahead ahead = {.turn = early / dtype_size(t)};
    float scale[ROWS];
    size_t r = r0;
    for (; r + ROWS <= r1; r += ROWS) {
        for (int i = 0; i < ROWS; i++) {
            row[i] = base + (r + i) * bytes;
            ahead.next[i] = row[i] + tiles * ROWS * bytes - early;
            scale[i] = t == TERRA_I8 ? w->scale[r + i] : 1;
        }
        dot_rows(t, w, row, &ahead, scale, ROWS, x, ld_x, n, y + r - r0, ld_y);
    }
    for (ahead.turn = 0; r < r1; r++) {
        row[0] = ahead.next[0] = base + r * bytes;
        scale[0] = t == TERRA_I8 ? w->scale[r] : 1;
        dot_rows(t, w, row, &ahead, scale, 1, x, ld_x, n, y + r - r0, ld_y);
    }
}

static void rows(const struct mat *w, size_t r0, size_t r1, const float *x, size_t ld_x,
                 size_t n, float *y, size_t ld_y)
{
    switch (w->dtype) {
    case TERRA_F32:
        rows_typed(TERRA_F32, w, r0, r1, x, ld_x, n, y, ld_y);
        break;
    case TERRA_BF16:
        rows_typed(TERRA_BF16, w, r0, r1, x, ld_x, n, y, ld_y);
        break;
    case TERRA_I8:
        rows_typed(TERRA_I8, w, r0, r1, x, ld_x, n, y, ld_y);
        break;
    }
}

INLINE void rows_at_typed(enum terra_dtype t, const struct mat *w, const uint32_t *at, size_t n,
                          size_t more, const float *x, float *y)
{
    const size_t bytes = w->cols * dtype_size(t);
    const char *base = w->data, *row[ROWS];
    struct ahead ahead = {0};
    float scale[ROWS];
    size_t i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        for (int r = 0; r < ROWS; r++) {
            row[r] = base + at[i + r] * bytes;
            ahead.next[r] = i + ROWS + r < n + more ? base + at[i + ROWS + r] * bytes : row[r];
            scale[r] = t == TERRA_I8 ? w->scale[at[i + r]] : 1;
        }
        dot_rows(t, w, row, &ahead, scale, ROWS, x, 0, 1, y + i, 0);
    }
    for (; i < n; i++) {
        row[0] = ahead.next[0] = base + at[i] * bytes;
        scale[0] = t == TERRA_I8 ? w->scale[at[i]] : 1;
        dot_rows(t, w, row, &ahead, scale, 1, x, 0, 1, y + i, 0);
    }
}

static void rows_at(const struct mat *w, const uint32_t *row, size_t n, size_t more,
                    const float *x, float *y)
{
    switch (w->dtype) {
    case TERRA_F32:
        rows_at_typed(TERRA_F32, w, row, n, more, x, y);
        break;
    case TERRA_BF16:
        rows_at_typed(TERRA_BF16, w, row, n, more, x, y);
        break;
    case TERRA_I8:
        rows_at_typed(TERRA_I8, w, row, n, more, x, y);
        break;
    }
}

#include "engine/kernels/simd_axpy.h"

/* ---- packed products ------------------------------------------------------------------- */

/* y rows += scale * (x rows . `panels` neighbouring panels of weights, `bytes` apart). */
INLINE void panel_tile(enum terra_dtype t, const char *data, size_t bytes, size_t depth,
                       const float *scale, const float *x, size_t ld_x, int n, int panels,
                       float *y, size_t ld_y, struct fetch *f)
{
    enum { PER = PANEL / LANES };
    fetch_more(f);
    V acc[MOST_SUMS];
    const int wide = panels * PER;
    const char *ahead = f->p;
    const size_t last = f->lines < depth ? f->lines : depth;
    UNROLL for (int i = 0; i < n * wide; i++)
    {
        acc[i] = v_zero();
    }
    for (size_t k = 0; k < depth; k++) {
        V v[PANEL_ROWS];
        __builtin_prefetch(ahead + (k < last ? k : last) * CACHE_LINE, 0, 2);
        UNROLL for (int i = 0; i < n; i++)
        {
            v[i] = v_set(x[i * ld_x + k]);
        }
        UNROLL for (int j = 0; j < wide; j++)
        {
            V w = weights(t, data + j / PER * bytes, k * PANEL + j % PER * LANES);
            UNROLL for (int i = 0; i < n; i++)
            {
                acc[i * wide + j] = v_fma(w, v[i], acc[i * wide + j]);
            }
        }
    }
    UNROLL for (int i = 0; i < n; i++)
    {
        UNROLL for (int j = 0; j < wide; j++)
        {
            float *p = y + i * ld_y + j * LANES;
            V s = t == TERRA_I8 ? v_load(scale + j * LANES) : v_set(1);
            v_store(p, v_fma(s, acc[i * wide + j], v_load(p)));
        }
    }
    f->p += last * CACHE_LINE;
    f->lines -= last;
}

#define PANEL_CASE(n)                                                                          \
    case n:                                                                                    \
        panel_tile(t, data, bytes, depth, scale, x, ld_x, n, panels, y, ld_y, f);              \
        break

INLINE void panel_rows(enum terra_dtype t, const char *data, size_t bytes, size_t depth,
                       const float *scale, const float *x, size_t ld_x, size_t n, int panels,
                       float *y, size_t ld_y, struct fetch *f)
{
    while (n) {
        /* equal tiles: 16 rows are 8 + 8, not 12 + 4 */
        size_t tiles = (n + PANEL_ROWS - 1) / PANEL_ROWS, m = (n + tiles - 1) / tiles;
        switch (m) {
            PANEL_CASE(1);
            PANEL_CASE(2);
            PANEL_CASE(3);
            PANEL_CASE(4);
            PANEL_CASE(5);
            PANEL_CASE(6);
#if PANEL_ROWS > 6
            PANEL_CASE(7);
            PANEL_CASE(8);
#endif
        }
        x += m * ld_x;
        y += m * ld_y;
        n -= m;
    }
}

INLINE void panels_typed(enum terra_dtype t, const struct pack *w, size_t group, size_t p0,
                         size_t p1, const float *x, size_t ld_x, size_t n, float *y,
                         size_t ld_y, struct fetch *f)
{
    const size_t bytes = (size_t)w->depth * PANEL * dtype_size(t);
    const size_t at = pack_at(w, group, p0);
    const char *p = (const char *)w->data + at * bytes;
    const float *scale = t == TERRA_I8 ? w->scale + at * PANEL : NULL;
    for (size_t m; p0 < p1; p0 += m, p += m * bytes, y += m * PANEL) {
        if (n == 1 && p0 + PANELS_ALONE <= p1) {
            m = PANELS_ALONE; /* one row: more panels keep the adders busy */
            panel_tile(t, p, bytes, w->depth, scale, x, ld_x, 1, PANELS_ALONE, y, ld_y, f);
        } else if (p0 + PANELS <= p1) {
            m = PANELS;
            panel_rows(t, p, bytes, w->depth, scale, x, ld_x, n, PANELS, y, ld_y, f);
        } else {
            m = 1;
            panel_rows(t, p, bytes, w->depth, scale, x, ld_x, n, 1, y, ld_y, f);
        }
        if (t == TERRA_I8)
            scale += m * PANEL;
    }
}

static void panels(const struct pack *w, size_t group, size_t p0, size_t p1, const float *x,
                   size_t ld_x, size_t n, float *y, size_t ld_y, struct fetch *f)
{
    struct fetch none = {.p = w->data};
    f = f ? f : &none;
    switch (w->dtype) {
    case TERRA_F32:
        panels_typed(TERRA_F32, w, group, p0, p1, x, ld_x, n, y, ld_y, f);
        break;
    case TERRA_BF16:
        panels_typed(TERRA_BF16, w, group, p0, p1, x, ld_x, n, y, ld_y, f);
        break;
    case TERRA_I8:
        panels_typed(TERRA_I8, w, group, p0, p1, x, ld_x, n, y, ld_y, f);
        break;
    }
}

/* ---- the rest ---------------------------------------------------------------------------- */

static void expand(const struct mat *w, size_t r0, size_t r1, size_t c0, size_t c1, float *out,
                   size_t ld)
{
    for (size_t r = r0; r < r1; r++, out += ld) {
        const char *p = (const char *)w->data + r * w->cols * dtype_size(w->dtype);
        V k = v_set(w->dtype == TERRA_I8 ? w->scale[r] : 1);
        for (size_t c = c0; c < c1; c += LANES) {
            size_t n = c1 - c < LANES ? c1 - c : LANES;
            V v = n == LANES ? weights(w->dtype, p, c) : weights_n(w->dtype, p, c, n);
            v_store_n(out + c - c0, v_mul(k, v), n);
        }
    }
}

/* Sums in four parts: none waits for the one before it. */
static float sum_of(const float *x, size_t n)
{
    V s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        UNROLL for (size_t k = 0; k < 4; k++) s[k] = v_add(s[k], v_load(x + i + k * LANES));
    for (; i < n; i += LANES)
        s[0] = v_add(s[0], v_load_n(x + i, n - i));
    return v_sum(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
}

/* Of the distances from `mean`. */
static float squares_from(const float *x, size_t n, float mean)
{
    V s[4] = {v_zero(), v_zero(), v_zero(), v_zero()}, m = v_set(mean);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        UNROLL for (size_t k = 0; k < 4; k++)
        {
            V z = v_sub(v_load(x + i + k * LANES), m);
            s[k] = v_fma(z, z, s[k]);
        }
    for (; i + LANES <= n; i += LANES) {
        V z = v_sub(v_load(x + i), m);
        s[0] = v_fma(z, z, s[0]);
    }
    float sum = v_sum(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
    for (; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static void norm(const float *x, size_t d, const float *scale, const float *bias, bool center,
                 float *y)
{
    float mean = center ? sum_of(x, d) / (float)d : 0;
    float var = squares_from(x, d, mean);
    float k = 1 / sqrtf(var / (float)d + 1e-6f);
    V m = v_set(mean), kk = v_set(k);
    for (size_t i = 0; i < d; i += LANES) {
        size_t n = d - i;
        V z = v_mul(v_mul(v_sub(v_load_n(x + i, n), m), kk), v_load_n(scale + i, n));
        v_store_n(y + i, center ? v_add(z, v_load_n(bias + i, n)) : z, n);
    }
}

/* exp for x <= 0: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]; relative error 2e-7. */
INLINE V v_exp(V x)
{
    const float lowest = -87.0f;
    V z = v_max(v_set(lowest), x); /* a NaN stays */
    V n = v_round(v_mul(z, v_set(1.44269504f)));
    V r = v_fma(n, v_set(-0.693359375f), z);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    V p = v_set(1.0f / 5040);
    p = v_fma(p, r, v_set(1.0f / 720));
    p = v_fma(p, r, v_set(1.0f / 120));
    p = v_fma(p, r, v_set(1.0f / 24));
    p = v_fma(p, r, v_set(1.0f / 6));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(p, r, v_set(1));
    p = v_fma(p, r, v_set(1));
    return v_zero_below(v_mul(p, v_exp2i(n)), x, lowest);
}

static void add(const float *x, size_t n, float *y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_add(v_load(y + i), v_load(x + i)));
    for (; i < n; i++)
        y[i] += x[i];
}

static float max_of(const float *x, size_t n)
{
    size_t i = 0;
    float max = x[0];
    if (n >= LANES) {
        V top = v_load(x);
        for (i = LANES; i + LANES <= n; i += LANES)
            top = v_max(top, v_load(x + i));
        max = v_most(top);
    }
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static bool all_finite(const float *x, size_t n)
{
    V bad[4] = {v_zero(), v_zero(), v_zero(), v_zero()}; /* 0, or NaN for good */
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        UNROLL for (size_t k = 0; k < 4; k++) bad[k] =
            v_fma(v_load(x + i + k * LANES), v_zero(), bad[k]);
    for (; i < n; i += LANES)
        bad[0] = v_fma(v_load_n(x + i, n - i), v_zero(), bad[0]);
    return v_sum(v_add(v_add(bad[0], bad[1]), v_add(bad[2], bad[3]))) == 0;
}

/* The first index whose value is `v`, or n: a word of 64 answers at a time, since where it is
 * cannot be guessed. */
INLINE size_t find(const float *x, size_t n, float v)
{
    V want = v_set(v);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t same = 0;
        UNROLL for (size_t j = 0; j < 64; j += LANES)
        {
            same |= (uint64_t)v_equal(v_load(x + i + j), want) << j;
        }
        if (same)
            return i + (size_t)__builtin_ctzll(same);
    }
    for (; i + LANES <= n; i += LANES) {
        uint32_t same = v_equal(v_load(x + i), want);
        if (same)
            return i + (size_t)__builtin_ctz(same);
    }
    while (i < n && x[i] != v)
        i++;
    return i;
}

/* Every lane keeps its two largest. */
static uint32_t best(const float *x, size_t n, float *top, float *second)
{
    const size_t whole = n / LANES * LANES;
    V h = v_set(-FLT_MAX), l = h, bad = v_zero(); /* bad: 0, or NaN for good */
    for (size_t i = 0; i < whole; i += LANES) {
        V v = v_load(x + i);
        bad = v_fma(v, v_zero(), bad);
        l = v_max(l, v_min(h, v));
        h = v_max(h, v);
    }
    bool finite = v_equal(bad, v_zero()) == (1u << LANES) - 1;
    float max = v_most(h);
    for (size_t i = whole; i < n; i++) {
        finite = finite && isfinite(x[i]);
        max = x[i] > max ? x[i] : max;
    }
    size_t at = find(x, n, max);
    at = at < n ? at : 0; /* a NaN among them */
    if (at < whole)       /* the best one's lane has its second left */
        h = v_lane(h, l, at % LANES);
    float others = v_most(h);
    for (size_t i = whole; i < n; i++)
        others = i != at && x[i] > others ? x[i] : others;
    *top = finite ? x[at] : NAN;
    *second = others;
    return (uint32_t)at;
}

static float narrow(const float *x, size_t n, int8_t *out)
{
    V most = v_zero();
    if (!all_finite(x, n)) {
        memset(out, 0, n);
        return NAN;
    }
    for (size_t i = 0; i < n; i += LANES) {
        V v = v_load_n(x + i, n - i);
        most = v_max(most, v_max(v, v_sub(v_zero(), v)));
    }
    float max = v_most(most), factor = max > 0 ? 127 / max : 0;
    V k = v_set(factor);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store_i8(out + i, v_mul(v_load(x + i), k));
    for (; i < n; i++)
        out[i] = (int8_t)lrintf(x[i] * factor);
    return max / 127;
}

static float exps(float *s, size_t n, float max)
{
    size_t whole = n / LANES * LANES, rest = n - whole;
    V m = v_set(max), total = v_zero();
    for (size_t i = 0; i < whole; i += LANES) {
        V e = v_exp(v_sub(v_load(s + i), m));
        total = v_add(total, e);
        v_store(s + i, e);
    }
    float sum = v_sum(total);
    if (rest) {
        v_store_n(s + whole, v_exp(v_sub(v_load_n(s + whole, rest), m)), rest);
        for (size_t i = whole; i < n; i++)
            sum += s[i];
    }
    return sum;
}

static void softmax(float *s, size_t n)
{
    V k = v_set(1 / exps(s, n, max_of(s, n)));
    for (size_t i = 0; i < n; i += LANES)
        v_store_n(s + i, v_mul(v_load_n(s + i, n - i), k), n - i);
}

static float sum_exp(const float *x, size_t n, float max)
{
    V m = v_set(max), total = v_zero();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        total = v_add(total, v_exp(v_sub(v_load(x + i), m)));
    float sum = v_sum(total);
    for (; i < n; i++)
        sum += expf(x[i] - max);
    return sum;
}

const struct kernels SIMD_SET = {
    .name = SIMD_NAME,
    .rows = rows,
    .rows_at = rows_at,
    .axpy_at = axpy_at,
    .axpy_rows = axpy_rows,
    .panels = panels,
    .expand = expand,
    .norm = norm,
    .exps = exps,
    .softmax = softmax,
    .add = add,
    .max = max_of,
    .finite = all_finite,
    .best = best,
    .narrow = narrow,
    .sum_exp = sum_exp,
};
