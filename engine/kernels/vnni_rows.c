/* vnni_rows.c - dot products of int8 rows that are not packed, with AVX-512 VNNI.
 *
 * Activations are taken in 16 bits, with one scale for a piece of up to PIECE of them: a
 * weight is widened once and two products are one instruction, where floats take three for
 * one product.  A piece's sums are exact in 32 bits and pieces are added up in order, so a
 * row gives the same bits however it is called.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/sets.h"

#ifdef TERRA_X86_SETS

#include "engine/kernels/vnni.h"

enum {
    ROWS = 4,
    SIDE = 4,
    STEP = 64,    /* inputs: a cache line of weights */
    PIECE = 8192, /* 2 * 128 * 32767 * (PIECE / 32) < 2^31 */
    LEAD = 2048   /* bytes that a row is fetched early, as in simd.h */
};

/* A piece of up to SIDE rows of activations. */
struct piece {
    int16_t x[SIDE][PIECE];
    float scale[SIDE];
};

static inline __m512i widened(const int8_t *p, __mmask32 m)
{
    return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, p));
}

static inline __m512i activations(const int16_t *x)
{
    return _mm512_loadu_si512(x);
}

/* What a tile fetches while it is computed: its own rows LEAD bytes early, up to input `turn`,
 * then the rows `next`, from the same input on. */
struct ahead {
    size_t turn;
    const int8_t *next[ROWS];
};

/* sum[r * x_rows + i] += row r . x[i] of STEP inputs from k on, or as many as m says. */
INLINE void step(const int8_t *const *row, int rows, const struct piece *p, int x_rows,
                 size_t k, __mmask64 m, __m512i *sum)
{
    UNROLL for (int half = 0; half < 2; half++)
    {
        __m512i x[SIDE];
        size_t at = k + (size_t)half * STEP / 2;
        UNROLL for (int i = 0; i < x_rows; i++)
        {
            x[i] = activations(p->x[i] + at);
        }
        UNROLL for (int r = 0; r < rows; r++)
        {
            __m512i w = widened(row[r] + at, (__mmask32)(m >> half * STEP / 2));
            UNROLL for (int i = 0; i < x_rows; i++)
            {
                int s = r * x_rows + i + (x_rows == 1 ? half * rows : 0); /* more chains */
                sum[s] = _mm512_dpwssd_epi32(sum[s], w, x[i]);
            }
        }
    }
}

static inline float sum_of(__m512i v)
{
    __m512 f = _mm512_cvtepi32_ps(v);
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(f), _mm512_extractf32x8_ps(f, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* y[i * ld_y + r] of one piece of n inputs. */
INLINE void tile(const int8_t *const *row, const float *scale, const struct ahead *ahead,
                 int rows, const struct piece *p, int x_rows, size_t n, bool add, float *y,
                 size_t ld_y)
{
    __m512i sum[ROWS * SIDE];
    size_t k = 0;
    UNROLL for (int i = 0; i < ROWS * SIDE; i++)
    {
        sum[i] = _mm512_setzero_si512();
    }
    for (; k + STEP <= n; k += STEP) {
        UNROLL for (int r = 0; r < rows; r++)
        {
            __builtin_prefetch((k < ahead->turn ? row[r] + LEAD : ahead->next[r]) + k, 0, 2);
        }
        step(row, rows, p, x_rows, k, ~0ull, sum);
    }
    if (k < n)
        step(row, rows, p, x_rows, k, (1ull << (n - k)) - 1, sum);
    UNROLL for (int s = 0; s < rows * x_rows; s++)
    {
        int r = s / x_rows, i = s % x_rows;
        __m512i all = x_rows == 1 ? _mm512_add_epi32(sum[s], sum[s + rows]) : sum[s];
        float *to = y + (size_t)i * ld_y + r, part = sum_of(all) * p->scale[i] * scale[r];
        *to = add ? *to + part : part;
    }
}

/* Which rows a call multiplies: row[i], or r0 + i. */
struct list {
    const uint32_t *row;
    size_t r0, n, more; /* of rows behind the n that are known */
};

static inline size_t row_at(const struct list *l, size_t i)
{
    return l->row ? l->row[i] : l->r0 + i;
}

/* Columns [c0, c0 + n) of all rows. */
INLINE void piece_rows(const struct mat *w, const struct list *l, size_t c0, size_t n,
                       const struct piece *p, int x_rows, float *y, size_t ld_y)
{
    const int8_t *base = (const int8_t *)w->data + c0, *row[ROWS];
    const size_t bytes = w->cols, early = !l->row && n > LEAD ? n - LEAD : 0;
    /* Short rows: several tiles on. */
    const size_t tiles = l->row || early ? 1 : (LEAD + bytes - 1) / bytes;
    struct ahead ahead = {.turn = early};
    float scale[ROWS];
    for (size_t i = 0, m; i < l->n; i += m) {
        m = l->n - i < ROWS ? 1 : ROWS;
        for (size_t r = 0; r < m; r++) {
            size_t at = row_at(l, i + r), next = i + r + tiles * m;
            bool known = !l->row || next < l->n + l->more;
            row[r] = base + at * bytes;
            ahead.next[r] = base + (known ? row_at(l, next) : at) * bytes - early;
            scale[r] = w->scale[at];
        }
        if (m == ROWS)
            tile(row, scale, &ahead, ROWS, p, x_rows, n, c0 > 0, y + i, ld_y);
        else
            tile(row, scale, &ahead, 1, p, x_rows, n, c0 > 0, y + i, ld_y);
    }
}

static void list_rows(const struct mat *w, const struct list *l, const float *x, size_t ld_x,
                      size_t n, float *y, size_t ld_y)
{
    struct piece p;
    size_t pieces = (w->cols + PIECE - 1) / PIECE;
    size_t width = ((w->cols + pieces - 1) / pieces + STEP - 1) / STEP * STEP;
    for (size_t t = 0, side; t < n; t += side) {
        side = n - t < SIDE ? 1 : SIDE;
        for (size_t c = 0; c < w->cols; c += width) {
            size_t m = w->cols - c < width ? w->cols - c : width;
            for (size_t i = 0; i < side; i++)
                p.scale[i] = narrow16(x + (t + i) * ld_x + c, m, (0 - m) % STEP, p.x[i]);
            if (side == SIDE)
                piece_rows(w, l, c, m, &p, SIDE, y + t * ld_y, ld_y);
            else
                piece_rows(w, l, c, m, &p, 1, y + t * ld_y, ld_y);
        }
    }
}

void vnni_rows(const struct mat *w, size_t r0, size_t r1, const float *x, size_t ld_x, size_t n,
               float *y, size_t ld_y)
{
    list_rows(w, &(struct list){.r0 = r0, .n = r1 - r0}, x, ld_x, n, y, ld_y);
}

void vnni_rows_at(const struct mat *w, const uint32_t *row, size_t n, size_t more,
                  const float *x, float *y)
{
    list_rows(w, &(struct list){.row = row, .n = n, .more = more}, x, 0, 1, y, 0);
}

#endif
