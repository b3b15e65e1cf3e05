/* compute_ff.c - the sparse feed-forward: choose a unit per block, gather its rows.
 *
 * The chosen unit of a block costs one row of w1 and, if the ReLU lets it through, one row
 * of w2.  The masked twin computes every unit; a zero adds nothing to a sum, so both give
 * the same bits as long as both use the row kernels.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/compute_internal.h"

#include <string.h>

/* ---- controller ----------------------------------------------------------------- */

struct choose_job {
    struct compute *c;
    const struct ff_weights *w;
    const float *low; /* [n][r] */
    size_t n;
    float *z; /* [n][blocks * units] */
    uint16_t *unit;
    float *margin;
};

/* z of blocks [k0, k1) for rows [t0, t0 + n), bias included; `q8` are the rows in 8 bits if
 * the packed kernels take them so. */
static void scores(const struct choose_job *j, uint32_t thread, size_t t0, size_t n,
                   const int8_t *q8, size_t k0, size_t k1)
{
    const struct ff_weights *w = j->w;
    const struct kernels *k = j->c->k;
    const struct pack *pack = w->ctl2.pack;
    size_t all = (size_t)w->blocks * w->units, r = w->ctl1.rows;
    size_t z0 = k0 * w->units, z1 = k1 * w->units;
    const float *low = j->low + t0 * r;
    float *z = j->z + t0 * all;
    bool quads = mat_has_quads(k, &w->ctl2);
    if (!quads && !mat_has_panels(k, &w->ctl2)) {
        k->rows(&w->ctl2, z0, z1, low, r, n, z + z0, all);
        for (size_t t = 0; t < n; t++)
            for (size_t i = z0; i < z1; i++)
                z[t * all + i] += w->ctlb[i];
        return;
    }
    for (size_t t = 0; t < n; t++)
        memcpy(z + t * all + z0, w->ctlb + z0, (z1 - z0) * sizeof *z);
    struct fetch *f = compute_fetch(j->c, thread);
    if (quads)
        k->panels_q8(pack, NULL, z0 / PANEL, z1 / PANEL, q8, q8_bytes(r), n, z + z0, all, f);
    else
        k->panels(pack, 0, z0 / PANEL, z1 / PANEL, low, r, n, z + z0, all, f);
}

static void fetch_bytes(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i += 64)
        __builtin_prefetch((const char *)p + i, 0, 2);
}

static void fetch_row(const struct mat *w, size_t r)
{
    size_t bytes = w->cols * dtype_size(w->dtype);
    fetch_bytes((const char *)w->data + r * bytes, bytes);
}

/* The best units of blocks [k0, k1) for rows [t0, t0 + n). */
static void pick(const struct choose_job *j, size_t t0, size_t n, size_t k0, size_t k1)
{
    const struct ff_weights *w = j->w;
    size_t all = (size_t)w->blocks * w->units;
    for (size_t t = t0; t < t0 + n; t++) {
        for (size_t b = k0; b < k1; b++) {
            float top, second;
            uint32_t unit =
                j->c->k->best(j->z + t * all + b * w->units, w->units, &top, &second);
            j->unit[t * w->blocks + b] = (uint16_t)unit;
            j->margin[t * w->blocks + b] = top - second;
            if (j->n == 1) /* of w2 only what the ReLU lets through is read, and shared out */
                fetch_row(&w->w1, b * w->units + unit);
        }
    }
}

/* A few blocks at a time: while their logits are computed the next blocks' weights arrive,
 * and the chosen rows of w1 are on their way as soon as they are known. */
static void choose_part(void *arg, uint32_t thread, size_t k0, size_t k1)
{
    struct choose_job *j = arg;
    const struct ff_weights *w = j->w;
    const struct mat *ctl = &w->ctl2;
    size_t r = ctl->cols, block_bytes = (size_t)w->units * r * dtype_size(ctl->dtype);
    size_t step = (CHOOSE_UNITS + w->units - 1) / w->units;
    const char *data = ctl->pack ? ctl->pack->data : ctl->data;
    bool quads = mat_has_quads(j->c->k, ctl);
    for (size_t t = 0, n; t < j->n; t += n) {
        int8_t *q8 = q8_tile(j->c, thread);
        n = quads ? min_size(min_size(j->n - t, CHOOSE_ROWS), q8_room(r)) : j->n;
        if (quads)
            quantize_rows(j->c->k, j->low + t * r, r, 1, n, r, q8);
        for (size_t k = k0; k < k1; k += step) {
            size_t end = min_size(k + step, k1);
            if (j->n == 1 && end < k1)
                fetch_bytes(data + end * block_bytes,
                            (min_size(end + step, k1) - end) * block_bytes);
            scores(j, thread, t, n, q8, k, end);
            pick(j, t, n, k, end);
        }
    }
}

void compute_choose(struct compute *c, const struct ff_weights *w, const float *x, size_t n,
                    float *z, uint16_t *unit, float *margin)
{
    struct choose_job j = {c, w, z, n, z + n * w->ctl1.rows, unit, margin};
    linear_rows(c, &w->ctl1, x, n, z);
    pool_run(c->pool, w->blocks, 1, choose_part, &j);
}

/* ---- the chosen units ------------------------------------------------------------ */

enum { BATCH = 256 }; /* rows whose numbers fit on the stack */

struct ff_job {
    struct compute *c;
    const struct ff_weights *w;
    const float *x;
    size_t n;
    const uint16_t *unit;
    float *hidden;
    uint8_t *alive;
    float *y;
};

static void sparse_in_part(void *arg, uint32_t thread, size_t k0, size_t k1)
{
    (void)thread;
    struct ff_job *j = arg;
    const struct ff_weights *w = j->w;
    uint32_t row[BATCH];
    for (size_t t = 0; t < j->n; t++) {
        for (size_t b0 = k0; b0 < k1; b0 += BATCH) {
            size_t b1 = min_size(b0 + BATCH, k1);
            for (size_t k = b0; k < b1; k++)
                row[k - b0] = (uint32_t)(k * w->units + j->unit[t * w->blocks + k]);
            float *h = j->hidden + t * w->blocks + b0;
            j->c->k->rows_at(&w->w1, row, b1 - b0, j->x + t * w->w1.cols, h);
            for (size_t k = b0; k < b1; k++, h++) {
                j->alive[t * w->blocks + k] = *h > 0;
                *h = *h <= 0 ? 0 : *h; /* a NaN stays, to be found */
            }
        }
    }
}

static void sparse_out_part(void *arg, uint32_t thread, size_t c0, size_t c1)
{
    (void)thread;
    struct ff_job *j = arg;
    const struct ff_weights *w = j->w;
    uint32_t row[BATCH];
    float a[BATCH];
    for (size_t t = 0; t < j->n; t++) {
        float *y = j->y + t * w->w2.cols;
        const float *h = j->hidden + t * w->blocks;
        memcpy(y + c0, w->b2 + c0, (c1 - c0) * sizeof *y);
        for (size_t k = 0; k < w->blocks;) {
            size_t live = 0;
            for (; k < w->blocks && live < BATCH; k++) {
                if (h[k] == 0)
                    continue;
                row[live] = (uint32_t)(k * w->units + j->unit[t * w->blocks + k]);
                a[live++] = h[k];
            }
            j->c->k->axpy_at(&w->w2, row, a, live, c0, c1, y);
        }
    }
}

void compute_ff_sparse(struct compute *c, const struct ff_weights *w, const float *x, size_t n,
                       const uint16_t *unit, float *hidden, uint8_t *alive, float *y)
{
    struct ff_job j = {c, w, x, n, unit, hidden, alive, y};
    pool_run(c->pool, w->blocks, 4, sparse_in_part, &j);
    pool_run(c->pool, w->w2.cols, 64, sparse_out_part, &j);
}

/* ---- all units --------------------------------------------------------------------- */

static void mask_part(void *arg, uint32_t thread, size_t k0, size_t k1)
{
    (void)thread;
    struct ff_job *j = arg;
    const struct ff_weights *w = j->w;
    for (size_t t = 0; t < j->n; t++) {
        for (size_t k = k0; k < k1; k++) {
            float *h = j->hidden + (t * w->blocks + k) * w->units;
            size_t chosen = j->unit ? j->unit[t * w->blocks + k] : 0;
            bool any = false;
            for (size_t i = 0; i < w->units; i++) {
                h[i] = h[i] <= 0 || (j->unit && i != chosen) ? 0 : h[i];
                any |= h[i] > 0;
            }
            j->alive[t * w->blocks + k] = any;
        }
    }
}

static void dense_out_part(void *arg, uint32_t thread, size_t c0, size_t c1)
{
    (void)thread;
    struct ff_job *j = arg;
    const struct mat *w2 = &j->w->w2;
    for (size_t t = 0; t < j->n; t++)
        memcpy(j->y + t * w2->cols + c0, j->w->b2 + c0, (c1 - c0) * sizeof *j->y);
    j->c->k->axpy_rows(w2, j->hidden, w2->rows, j->n, c0, c1, j->y + c0, w2->cols);
}

/* No sgemm here: its sums would not be those of the gathered rows. */
void compute_ff_dense(struct compute *c, const struct ff_weights *w, const float *x, size_t n,
                      const uint16_t *unit, float *hidden, uint8_t *alive, float *y)
{
    struct ff_job j = {c, w, x, n, unit, hidden, alive, y};
    linear_rows(c, &w->w1, x, n, hidden);
    pool_run(c->pool, w->blocks, 8, mask_part, &j);
    pool_run(c->pool, w->w2.cols, 64, dense_out_part, &j);
}
