/* compute_ff.c - the sparse feed-forward: choose a unit per block, gather its rows.
 *
 * The chosen unit of a block costs one row of w1 and, if the ReLU lets it through, one row
 * of w2.  The masked twin computes every unit; a zero adds nothing to a sum, so both give
 * the same bits as long as both use the row kernels.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/clock.h"
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

/* Of a long row only the beginning: more at once is more than a core can wait for. */
static void fetch_row(const struct mat *w, size_t r)
{
    size_t bytes = w->cols * dtype_size(w->dtype);
    if (w->scale)
        __builtin_prefetch(w->scale + r);
    fetch_bytes((const char *)w->data + r * bytes, min_size(bytes, ROW_FETCH));
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

/* Blocks [k0, k1) for n rows, a few at a time: while their logits are computed the next ones'
 * weights arrive, up to those of block `all`, and the chosen rows of w1 are on their way as
 * soon as they are known. */
static void choose_blocks(const struct choose_job *j, uint32_t thread, size_t t, size_t n,
                          const int8_t *q8, size_t k0, size_t k1, size_t all)
{
    const struct ff_weights *w = j->w;
    const struct mat *ctl = &w->ctl2;
    size_t block_bytes = (size_t)w->units * ctl->cols * dtype_size(ctl->dtype);
    size_t step = (CHOOSE_UNITS + w->units - 1) / w->units;
    const char *data = ctl->pack ? ctl->pack->data : ctl->data;
    for (size_t k = k0; k < k1; k += step) {
        size_t end = min_size(k + step, k1);
        if (j->n == 1 && end < all)
            fetch_bytes(data + end * block_bytes,
                        (min_size(end + step, all) - end) * block_bytes);
        scores(j, thread, t, n, q8, k, end);
        pick(j, t, n, k, end);
    }
}

/* Rows [t, t + n) of the low-rank values as the packed kernels take them, or NULL. */
static const int8_t *quantize_low(const struct choose_job *j, uint32_t thread, size_t t,
                                  size_t n)
{
    size_t r = j->w->ctl2.cols;
    int8_t *q8 = q8_tile(j->c, thread);
    if (!mat_has_quads(j->c->k, &j->w->ctl2))
        return NULL;
    quantize_rows(j->c->k, j->low + t * r, r, 1, n, r, q8);
    return q8;
}

static void choose_part(void *arg, uint32_t thread, size_t k0, size_t k1)
{
    struct choose_job *j = arg;
    size_t room = q8_room(j->w->ctl2.cols, 0);
    bool quads = mat_has_quads(j->c->k, &j->w->ctl2);
    for (size_t t = 0, n; t < j->n; t += n) {
        n = quads ? min_size(min_size(j->n - t, CHOOSE_ROWS), room) : j->n;
        choose_blocks(j, thread, t, n, quantize_low(j, thread, t, n), k0, k1, k1);
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

enum {
    BATCH = 256, /* rows whose numbers fit on the stack */
    GROUP = 16,  /* blocks chosen before the rows of the blocks before them are multiplied */
    BRANCH_BYTES = 32 << 10 /* that a thread reads in the time that a branch's middle takes */
};

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

/* Blocks [k0, k0 + n) of position t, which is x; their chosen rows are row[0 .. n), and then
 * `more` come. */
static void multiply_rows(const struct ff_job *j, size_t t, const float *x, const uint32_t *row,
                          size_t k0, size_t n, size_t more)
{
    const struct ff_weights *w = j->w;
    float *h = j->hidden + t * w->blocks + k0;
    j->c->k->rows_at(&w->w1, row, n, more, x, h);
    for (size_t k = 0; k < n; k++) {
        j->alive[t * w->blocks + k0 + k] = h[k] > 0;
        h[k] = h[k] <= 0 ? 0 : h[k]; /* a NaN stays, to be found */
    }
}

static void list_rows(const struct ff_job *j, size_t t, size_t k0, size_t k1, uint32_t *row)
{
    const struct ff_weights *w = j->w;
    for (size_t k = k0; k < k1; k++)
        row[k - k0] = (uint32_t)(k * w->units + j->unit[t * w->blocks + k]);
}

static void sparse_in_part(void *arg, uint32_t thread, size_t k0, size_t k1)
{
    (void)thread;
    struct ff_job *j = arg;
    uint32_t row[BATCH];
    for (size_t t = 0; t < j->n; t++) {
        for (size_t b0 = k0; b0 < k1; b0 += BATCH) {
            size_t b1 = min_size(b0 + BATCH, k1);
            list_rows(j, t, b0, b1, row);
            multiply_rows(j, t, j->x + t * j->w->w1.cols, row, b0, b1 - b0, 0);
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
                if (w->w2.scale)
                    __builtin_prefetch(w->w2.scale + row[live]);
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

/* ---- one decoded position ----------------------------------------------------------- */

struct step_job {
    struct choose_job choose;
    struct ff_job ff;
    struct ff_step *s;
    atomic_uint normed; /* the first threads, whose own copy of x is normed */
    size_t extra;       /* blocks that the last thread is spared for what it does besides */
};

static size_t pieces_of(const struct linear *l)
{
    return (l->w->rows + PANEL - 1) / PANEL;
}

/* Pieces [i0, i1) of a layer; a piece is PANEL outputs. */
static void linear_pieces(const struct step_job *j, uint32_t thread, const struct linear *l,
                          size_t i0, size_t i1)
{
    if (i0 < i1)
        linear_outputs(j->ff.c, thread, l, i0 * PANEL, min_size(i1 * PANEL, l->w->rows));
}

/* The layer's x, normed for this thread. */
static const float *layer_x(const struct step_job *j, uint32_t thread)
{
    const struct residual *r = &j->s->res;
    size_t d = j->s->w->w1.cols;
    return own_norm(j->ff.c->k, r->ln, r->x, d, r->own, thread);
}

/* The first layers of both: pieces of the controller, then of the branch. */
static void in_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct step_job *j = arg;
    const struct ff_step *s = j->s;
    const struct ff_branch *b = s->branch;
    size_t d = s->w->w1.cols;
    struct linear ctl = {.w = &s->w->ctl1, .y = s->z};
    size_t all = pieces_of(&ctl);
    if (i0 < all) {
        ctl.x = layer_x(j, thread);
        atomic_fetch_add_explicit(&j->normed, 1, memory_order_relaxed);
        linear_pieces(j, thread, &ctl, i0, min_size(i1, all));
    }
    if (i1 > all) {
        struct linear in = b->in;
        in.x = own_norm(j->ff.c->k, b->ln, s->res.x, d, b->own, thread);
        linear_pieces(j, thread, &in, i0 > all ? i0 - all : 0, i1 - all);
    }
}

static void timed_rows(const struct step_job *j, uint32_t thread, const float *x,
                       const uint32_t *row, size_t k0, size_t n, size_t more)
{
    bool timed = j->s->timed && thread == 0;
    uint64_t since = timed ? clock_ns() : 0;
    multiply_rows(&j->ff, 0, x, row, k0, n, more);
    if (timed)
        j->s->rows_ns += clock_ns() - since;
}

/* Units of blocks [k0, k1), GROUP by GROUP: while a group's logits are computed, the rows
 * chosen before arrive; then they are multiplied. */
static void choose_in_part(void *arg, uint32_t thread, size_t k0, size_t k1)
{
    const struct step_job *j = arg;
    const struct residual *r = &j->s->res;
    size_t blocks = j->ff.w->blocks, before = 0; /* chosen, but not multiplied */
    uint32_t row[2 * GROUP];
    if (j->s->branch && k1 == blocks + j->extra)
        j->s->branch->between(j->s->branch->user, thread);
    k1 = min_size(k1, blocks);
    const float *x = r->ln && thread < j->normed ? r->own + (size_t)thread * j->ff.w->w1.cols
                                                 : layer_x(j, thread);
    const int8_t *q8 = quantize_low(&j->choose, thread, 0, 1);
    for (size_t k = k0, n; k < k1; k += n) {
        n = min_size(GROUP, k1 - k);
        choose_blocks(&j->choose, thread, 0, 1, q8, k, k + n, k1);
        list_rows(&j->ff, 0, k, k + n, row + before);
        if (before) {
            timed_rows(j, thread, x, row, k - before, before, n);
            memmove(row, row + before, n * sizeof *row);
        }
        before = n;
    }
    if (before)
        timed_rows(j, thread, x, row, k1 - before, before, 0);
}

static void out_part(void *arg, uint32_t thread, size_t c0, size_t c1)
{
    struct step_job *j = arg;
    struct residual *r = &j->s->res;
    struct ff_branch *b = j->s->branch;
    const struct kernels *k = j->ff.c->k;
    sparse_out_part(&j->ff, thread, c0, c1);
    own_add(k, j->s->y, c0, c1, r->acc, &r->bad);
    if (!b)
        return;
    linear_outputs(j->ff.c, thread, &b->out, c0, c1);
    own_add(k, b->out.y, c0, c1, r->acc, &b->bad);
}

static void run_in(struct step_job *j)
{
    const struct mat *ctl = &j->s->w->ctl1;
    const struct linear first = {.w = ctl};
    size_t pieces = pieces_of(&first), multiplies = (size_t)ctl->rows * ctl->cols;
    if (j->s->branch) {
        const struct linear *in = &j->s->branch->in;
        pieces += pieces_of(in);
        multiplies += (size_t)in->w->rows * in->w->cols;
    }
    pool_run(j->ff.c->pool, pieces, multiplies > FEW_MULTIPLIES ? 1 : pieces, in_part, j);
}

/* In blocks: the middle of a branch, which mostly waits for itself, and a norm. */
static size_t branch_blocks(const struct ff_step *s)
{
    const struct ff_weights *w = s->w;
    size_t row = w->ctl2.cols * dtype_size(w->ctl2.dtype);
    size_t block = w->units * row + w->w1.cols * dtype_size(w->w1.dtype);
    return s->branch ? (BRANCH_BYTES + 3 * sizeof(float) * w->w1.cols) / block : 0;
}

void compute_ff_step(struct compute *c, struct ff_step *s)
{
    const struct ff_weights *w = s->w;
    float *z = s->z + w->ctl1.rows;
    struct step_job j = {.choose = {c, w, s->z, 1, z, s->unit, s->margin},
                         .ff = {c, w, NULL, 1, s->unit, s->hidden, s->alive, s->y},
                         .s = s,
                         .extra = branch_blocks(s)};
    s->rows_ns = 0;
    run_in(&j);
    pool_run(c->pool, w->blocks + j.extra, 1, choose_in_part, &j);
    uint64_t since = s->timed ? clock_ns() : 0;
    pool_run(c->pool, w->w2.cols, 64, out_part, &j);
    s->rows_ns += s->timed ? clock_ns() - since : 0;
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
