/* compute_attend.c - standard attention over a cache: one (row, head) pair at a time, or a
 * tile of rows of one head as two products of matrices.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/compute_internal.h"

#include <math.h>
#include <string.h>

#ifndef TERRA_NO_BLAS
#include <cblas.h>
#endif

/* ---- storing ------------------------------------------------------------------------ */

static uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (f != f)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void store_row(const struct kernels *k, const struct cache *c, size_t row, size_t width,
                      const float *x)
{
    if (c->dtype == TERRA_F32) {
        memcpy((float *)c->data + row * width, x, width * sizeof *x);
    } else if (c->dtype == TERRA_BF16) {
        uint16_t *to = (uint16_t *)c->data + row * width;
        for (size_t i = 0; i < width; i++)
            to[i] = to_bf16(x[i]);
    } else {
        c->scale[row] = k->narrow(x, width, (int8_t *)c->data + row * width);
    }
}

void compute_store(struct compute *cx, const struct cache *c, size_t heads, size_t width,
                   size_t cap, size_t at, const float *x, size_t n)
{
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < heads; h++)
            store_row(cx->k, c, h * cap + at + t, width, x + (t * heads + h) * width);
}

/* ---- attention -------------------------------------------------------------------------- */

struct attend_job {
    struct compute *c;
    const struct attend *a;
    const float *q; /* rows [from, from + n) */
    size_t from, n;
    float *scores, *out;
};

static struct mat head_rows(const struct cache *c, size_t head, const struct attend *a)
{
    size_t first = head * a->cap;
    return (struct mat){.dtype = c->dtype,
                        .rows = (uint32_t)a->cap,
                        .cols = a->dh,
                        .data = (const char *)c->data + first * a->dh * dtype_size(c->dtype),
                        .scale = c->scale ? c->scale + first : NULL};
}

/* Keys that a query of row t sees. */
static size_t seen_by(const struct attend *a, size_t t)
{
    return a->causal ? a->first + t + 1 : a->rows;
}

/* Item i is head i / n, row i % n: a thread stays with a head's keys. */
static void attend_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    (void)thread;
    struct attend_job *j = arg;
    const struct attend *a = j->a;
    const struct kernels *kern = j->c->k;
    size_t width = (size_t)a->heads * a->dh;
    float scale = 1 / sqrtf((float)a->dh);
    for (size_t i = i0; i < i1; i++) {
        size_t head = i / j->n, t = j->from + i % j->n;
        size_t seen = seen_by(a, t);
        const float *q = j->q + t * width + head * a->dh;
        struct mat k = head_rows(&a->k, head, a), v = head_rows(&a->v, head, a);
        float *s = j->scores + i * a->rows;
        kern->rows(&k, 0, seen, q, a->dh, 1, s, seen);
        for (size_t r = 0; r < seen; r++)
            s[r] = a->valid && !a->valid[r] ? -1e9f : s[r] * scale;
        kern->softmax(s, seen);
        float *out = j->out + t * width + head * a->dh;
        memset(out, 0, a->dh * sizeof *out);
        kern->axpy_at(&v, NULL, s, seen, 0, a->dh, out);
    }
}

#ifndef TERRA_NO_BLAS
/* Scores to weights: rows [t0, t1) of one head, `ld` apart; what a row does not see weighs 0.
 */
static void weigh(const struct attend_job *j, size_t t0, size_t t1, float *s)
{
    const struct attend *a = j->a;
    size_t most = seen_by(a, t1 - 1);
    for (size_t t = t0; t < t1; t++, s += a->rows) {
        size_t seen = seen_by(a, t);
        for (size_t r = 0; a->valid && r < seen; r++)
            s[r] = a->valid[r] ? s[r] : -1e9f;
        j->c->k->softmax(s, seen);
        memset(s + seen, 0, (most - seen) * sizeof *s);
    }
}

/* Item i is head i / tiles, rows from i % tiles * ATTEND_ROWS. */
static void attend_tiles(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct attend_job *j = arg;
    const struct attend *a = j->a;
    float *tile = compute_tile(j->c, thread);
    size_t width = (size_t)a->heads * a->dh, tiles = (j->n + ATTEND_ROWS - 1) / ATTEND_ROWS;
    size_t fit = TILE_FLOATS / a->dh;
    int dh = (int)a->dh, ld = (int)a->rows;
    for (size_t i = i0; i < i1; i++) {
        size_t head = i / tiles, t0 = i % tiles * ATTEND_ROWS;
        size_t t1 = min_size(t0 + ATTEND_ROWS, j->n), most = seen_by(a, t1 - 1);
        struct mat k = head_rows(&a->k, head, a), v = head_rows(&a->v, head, a);
        float *s = j->scores + thread * ATTEND_ROWS * a->rows;
        const float *q = j->q + t0 * width + head * a->dh;
        float *out = j->out + t0 * width + head * a->dh;
        for (size_t r0 = 0, r1; r0 < most; r0 = r1) {
            r1 = min_size(r0 + fit, most);
            j->c->k->expand(&k, r0, r1, 0, a->dh, tile, a->dh);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(t1 - t0), (int)(r1 - r0),
                        dh, 1 / sqrtf((float)dh), q, (int)width, tile, dh, 0, s + r0, ld);
        }
        weigh(j, t0, t1, s);
        for (size_t r0 = 0, r1; r0 < most; r0 = r1) {
            r1 = min_size(r0 + fit, most);
            j->c->k->expand(&v, r0, r1, 0, a->dh, tile, a->dh);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)(t1 - t0), dh,
                        (int)(r1 - r0), 1, s + r0, ld, tile, dh, r0 ? 1 : 0, out, (int)width);
        }
    }
}
#endif

size_t compute_attend_floats(size_t threads, size_t heads, size_t rows)
{
    return (heads > threads * ATTEND_ROWS ? heads : threads * ATTEND_ROWS) * rows;
}

void compute_attend(struct compute *c, const struct attend *a, const float *q, size_t n,
                    float *scores, size_t score_floats, float *out)
{
    struct attend_job j = {c, a, q, 0, n, scores, out};
#ifndef TERRA_NO_BLAS
    if (n >= GEMM_FROM && a->dh <= TILE_FLOATS) {
        pool_run(c->pool, a->heads * ((n + ATTEND_ROWS - 1) / ATTEND_ROWS), 1, attend_tiles,
                 &j);
        return;
    }
#endif
    size_t most = score_floats / (a->heads * a->rows);
    for (; j.from < n; j.from += most) {
        j.n = min_size(most, n - j.from);
        pool_run(c->pool, a->heads * j.n, 1, attend_part, &j);
    }
}
