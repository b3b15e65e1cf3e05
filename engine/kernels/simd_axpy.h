/* simd_axpy.h - weighted sums of rows; a part of simd.h, which includes it.
 *
 * Every output adds its rows in the order of the list, in every tile shape.
 *
 * SPDX-License-Identifier: MIT */

INLINE void axpy_tile(enum terra_dtype t, const struct mat *w, const uint32_t *row,
                      const float *a, size_t n, size_t c, int vectors, float *y)
{
    const size_t bytes = w->cols * dtype_size(t);
    const size_t rows_ahead = 32 * (size_t)(COLS / vectors);
    const char *base = w->data;
    V acc[COLS];
    UNROLL for (int i = 0; i < vectors; i++)
    {
        acc[i] = v_load(y + i * LANES);
    }
    for (size_t i = 0; i < n; i++) {
        size_t r = row ? row[i] : i, later = i + rows_ahead < n ? i + rows_ahead : n - 1;
        const char *p = base + r * bytes;
        const char *q = base + (row ? row[later] : later) * bytes + c * dtype_size(t);
        UNROLL for (size_t b = 0; b < vectors * LANES * dtype_size(t); b += CACHE_LINE)
        {
            __builtin_prefetch(q + b, 0, 2);
        }
        V k = v_set(t == TERRA_I8 ? a[i] * w->scale[r] : a[i]);
        UNROLL for (int j = 0; j < vectors; j++)
        {
            acc[j] = v_fma(k, weights(t, p, c + j * LANES), acc[j]);
        }
    }
    UNROLL for (int i = 0; i < vectors; i++)
    {
        v_store(y + i * LANES, acc[i]);
    }
}

/* y[c] += k[r] * p[r][c] of a few rows, whole cache lines; fetches the rows q. */
INLINE void axpy_few(enum terra_dtype t, const char *const *p, const char *const *q,
                     const float *k, int rows, size_t c0, size_t c1, float *y)
{
    const size_t line = CACHE_LINE / dtype_size(t);
    V factor[ROWS];
    UNROLL for (int r = 0; r < rows; r++)
    {
        factor[r] = v_set(k[r]);
    }
    for (size_t c = c0; c < c1; c += line) {
        UNROLL for (int r = 0; r < rows; r++)
        {
            __builtin_prefetch(q[r] + c * dtype_size(t), 0, 2);
        }
        UNROLL for (size_t s = 0; s < line; s += LANES)
        {
            V sum = v_load(y + c + s);
            UNROLL for (int r = 0; r < rows; r++)
            {
                sum = v_fma(factor[r], weights(t, p[r], c + s), sum);
            }
            v_store(y + c + s, sum);
        }
    }
}

/* A few rows from one end to the other: memory likes that better than a piece of every row. */
INLINE void axpy_long(enum terra_dtype t, const struct mat *w, const uint32_t *row,
                      const float *a, size_t n, size_t c0, size_t c1, float *y)
{
    const size_t bytes = w->cols * dtype_size(t);
    const char *base = w->data, *p[ROWS], *q[ROWS];
    float k[ROWS];
    for (size_t i = 0, m; i < n; i += m) {
        m = n - i < ROWS ? 1 : ROWS;
        for (size_t r = 0; r < m; r++) {
            size_t at = i + r, next = at + m < n ? at + m : n - 1;
            at = row ? row[at] : at;
            p[r] = base + at * bytes;
            q[r] = base + (row ? row[next] : next) * bytes;
            k[r] = t == TERRA_I8 ? a[i + r] * w->scale[at] : a[i + r];
        }
        if (m == ROWS)
            axpy_few(t, p, q, k, ROWS, c0, c1, y);
        else
            axpy_few(t, p, q, k, 1, c0, c1, y);
    }
}

INLINE void axpy_typed(enum terra_dtype t, const struct mat *w, const uint32_t *row,
                       const float *a, size_t n, size_t c0, size_t c1, float *y)
{
    const size_t bytes = w->cols * dtype_size(t);
    size_t c = c0;
    if (n == 0)
        return;
    if (c1 - c0 > COLS * LANES) {
        c = c0 + (c1 - c0) / CACHE_LINE * CACHE_LINE;
        axpy_long(t, w, row, a, n, c0, c, y);
    }
    for (; c + COLS * LANES <= c1; c += COLS * LANES)
        axpy_tile(t, w, row, a, n, c, COLS, y + c);
    for (; c + COLS / 4 * LANES <= c1; c += COLS / 4 * LANES)
        axpy_tile(t, w, row, a, n, c, COLS / 4, y + c);
    for (; c < c1; c += LANES) {
        size_t m = c1 - c < LANES ? c1 - c : LANES;
        V acc = v_load_n(y + c, m);
        for (size_t i = 0; i < n; i++) {
            size_t r = row ? row[i] : i;
            V k = v_set(t == TERRA_I8 ? a[i] * w->scale[r] : a[i]);
            acc = v_fma(k, weights_n(t, (const char *)w->data + r * bytes, c, m), acc);
        }
        v_store_n(y + c, acc, m);
    }
}

static void axpy_at(const struct mat *w, const uint32_t *row, const float *a, size_t n,
                    size_t c0, size_t c1, float *y)
{
    switch (w->dtype) {
    case TERRA_F32:
        axpy_typed(TERRA_F32, w, row, a, n, c0, c1, y);
        break;
    case TERRA_BF16:
        axpy_typed(TERRA_BF16, w, row, a, n, c0, c1, y);
        break;
    case TERRA_I8:
        axpy_typed(TERRA_I8, w, row, a, n, c0, c1, y);
        break;
    }
}

/* SIDE sums of COLS / SIDE vectors each. */
INLINE void axpy_block(enum terra_dtype t, const struct mat *w, const float *a, size_t ld_a,
                       size_t c, float *y, size_t ld_y)
{
    enum { WIDE = COLS / SIDE };
    const size_t bytes = w->cols * dtype_size(t);
    const char *p = (const char *)w->data;
    V acc[SIDE * WIDE];
    UNROLL for (int i = 0; i < SIDE * WIDE; i++)
    {
        acc[i] = v_load(y + i / WIDE * ld_y + i % WIDE * LANES);
    }
    for (size_t r = 0; r < w->rows; r++, p += bytes) {
        V k[SIDE];
        float scale = t == TERRA_I8 ? w->scale[r] : 1;
        UNROLL for (int i = 0; i < SIDE; i++)
        {
            k[i] = v_set(a[i * ld_a + r] * scale);
        }
        UNROLL for (int j = 0; j < WIDE; j++)
        {
            V v = weights(t, p, c + j * LANES);
            UNROLL for (int i = 0; i < SIDE; i++)
            {
                acc[i * WIDE + j] = v_fma(k[i], v, acc[i * WIDE + j]);
            }
        }
    }
    UNROLL for (int i = 0; i < SIDE * WIDE; i++)
    {
        v_store(y + i / WIDE * ld_y + i % WIDE * LANES, acc[i]);
    }
}

static void axpy_rows(const struct mat *w, const float *a, size_t ld_a, size_t n, size_t c0,
                      size_t c1, float *y, size_t ld_y)
{
    const size_t width = COLS / SIDE * LANES, whole = c0 + (c1 - c0) / width * width;
    size_t t = 0;
    for (; t + SIDE <= n; t += SIDE) {
        const float *at = a + t * ld_a;
        float *to = y + t * ld_y;
        for (size_t c = c0; c < whole; c += width) {
            if (w->dtype == TERRA_F32)
                axpy_block(TERRA_F32, w, at, ld_a, c, to + c - c0, ld_y);
            else if (w->dtype == TERRA_BF16)
                axpy_block(TERRA_BF16, w, at, ld_a, c, to + c - c0, ld_y);
            else
                axpy_block(TERRA_I8, w, at, ld_a, c, to + c - c0, ld_y);
        }
        for (size_t i = 0; whole < c1 && i < SIDE; i++)
            axpy_at(w, NULL, at + i * ld_a, w->rows, whole, c1, to + i * ld_y - c0);
    }
    for (; t < n; t++)
        axpy_at(w, NULL, a + t * ld_a, w->rows, c0, c1, y + t * ld_y - c0);
}
