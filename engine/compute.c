/* compute.c - gemv, gemm, convolution and normalisation over a pool of threads.
 *
 * Work is cut by output columns (and by fixed tiles of rows), never by sums, so the
 * number of threads cannot change a result.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/compute_internal.h"

#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

#ifndef TERRA_NO_BLAS
#include <cblas.h>
#endif

enum { LINE = 64 };

struct compute *compute_open(uint32_t threads, const char *kernels, struct err *e)
{
    const struct kernels *k = kernels_get(kernels);
    if (!k) {
        err_set(e, ERR_USAGE, "no kernel set '%s' on this CPU", kernels);
        return NULL;
    }
    if (!threads) {
        struct terra_machine m;
        terra_machine_info(&m);
        threads = m.cores;
    }
#ifndef TERRA_NO_BLAS
    openblas_set_num_threads(1);
#endif
    struct compute *c = xcalloc(1, sizeof *c);
    c->k = k;
    c->pool = pool_open(threads, e);
    c->cursor = xcalloc(threads, sizeof *c->cursor);
    if (c->pool)
        c->tile = aligned_alloc(64, threads * TILE_FLOATS * sizeof *c->tile);
    if (c->pool && !c->tile)
        err_set(e, ERR_RESOURCE, "out of memory for %u compute threads", threads);
    if (!c->tile) {
        compute_close(c);
        return NULL;
    }
    compute_soon(c, NULL, 0);
    return c;
}

void compute_close(struct compute *c)
{
    if (!c)
        return;
    pool_close(c->pool);
    free(c->cursor);
    free(c->tile);
    free(c);
}

uint32_t compute_threads(const struct compute *c)
{
    return pool_threads(c->pool);
}

const struct kernels *compute_kernels(const struct compute *c)
{
    return c->k;
}

struct pool *compute_pool(const struct compute *c)
{
    return c->pool;
}

/* ---- fetching ahead ---------------------------------------------------------- */

void compute_soon(struct compute *c, const struct span *list, uint32_t n)
{
    c->soon = list;
    c->n_soon = n;
    for (uint32_t i = 0; i < compute_threads(c); i++)
        c->cursor[i] = (struct soon_cursor){.f = {(const char *)c->tile, 0}};
}

/* Every thread has a contiguous share of each span, as it later has of the work. */
struct fetch *compute_fetch(struct compute *c, uint32_t thread)
{
    struct soon_cursor *s = &c->cursor[thread];
    if (s->f.lines == 0 && s->next < c->n_soon) {
        const struct span *w = &c->soon[s->next++];
        size_t lines = (w->bytes + LINE - 1) / LINE, threads = compute_threads(c);
        size_t l0 = lines * thread / threads, l1 = lines * (thread + 1) / threads;
        s->f = (struct fetch){(const char *)w->p + l0 * LINE, l1 - l0};
    }
    return &s->f;
}

void add_bias(const float *bias, size_t n, size_t width, float *y)
{
    if (bias)
        for (size_t t = 0; t < n; t++)
            for (size_t i = 0; i < width; i++)
                y[t * width + i] += bias[i];
}

/* ---- linear ----------------------------------------------------------------- */

struct linear_job {
    struct compute *c;
    const struct mat *w;
    const float *x;
    size_t n;
    float *y;
};

static void gemv_part(void *arg, uint32_t thread, size_t r0, size_t r1)
{
    (void)thread;
    struct linear_job *j = arg;
    j->c->k->rows(j->w, r0, r1, j->x, j->w->cols, j->n, j->y + r0, j->w->rows);
}

#ifndef TERRA_NO_BLAS
/* Item i is tile i % column tiles of the outputs and i / column tiles of the positions. */
static void gemm_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct linear_job *j = arg;
    const struct mat *w = j->w;
    float *tile = compute_tile(j->c, thread);
    size_t outs = (w->rows + GEMM_OUT - 1) / GEMM_OUT;
    for (size_t i = i0; i < i1; i++) {
        size_t r0 = i % outs * GEMM_OUT, t0 = i / outs * GEMM_ROWS;
        size_t r1 = min_size(r0 + GEMM_OUT, w->rows), t1 = min_size(t0 + GEMM_ROWS, j->n);
        for (size_t c0 = 0; c0 < w->cols; c0 += GEMM_DEPTH) {
            size_t c1 = min_size(c0 + GEMM_DEPTH, w->cols);
            j->c->k->expand(w, r0, r1, c0, c1, tile, GEMM_DEPTH);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(t1 - t0), (int)(r1 - r0),
                        (int)(c1 - c0), 1, j->x + t0 * w->cols + c0, (int)w->cols, tile,
                        GEMM_DEPTH, c0 ? 1 : 0, j->y + t0 * w->rows + r0, (int)w->rows);
        }
    }
}
#endif

struct split_rows split_into_tile(struct compute *c, uint32_t thread, const float *x, size_t n,
                                  size_t depth)
{
    float *scale = compute_tile(c, thread);
    uint8_t *rows = (uint8_t *)(scale + n);
    for (size_t t = 0; t < n; t++)
        c->k->split(x + t * depth, NULL, depth, rows + t * 2 * depth, &scale[t]);
    return (struct split_rows){scale, rows};
}

/* Panels [p0, p1) of rows [t0, t1). */
static void quad_rows(const struct linear_job *j, uint32_t thread, size_t t0, size_t t1,
                      size_t p0, size_t p1)
{
    const struct pack *w = j->w->pack;
    size_t depth = w->depth, outs = j->w->rows, room = split_room(depth);
    for (size_t t = t0; t < t1; t += room) {
        size_t n = min_size(room, t1 - t);
        struct split_rows s = split_into_tile(j->c, thread, j->x + t * depth, n, depth);
        float *y = j->y + t * outs + p0 * PANEL;
        for (size_t i = 0; i < n; i++)
            memset(y + i * outs, 0, (p1 - p0) * PANEL * sizeof *y);
        j->c->k->panels16(w, 0, p0, p1, s.rows, 2 * depth, s.scale, n, y, outs,
                          compute_fetch(j->c, thread));
    }
}

static void quads_by_panel(void *arg, uint32_t thread, size_t p0, size_t p1)
{
    struct linear_job *j = arg;
    quad_rows(j, thread, 0, j->n, p0, p1);
}

static void quads_by_row(void *arg, uint32_t thread, size_t t0, size_t t1)
{
    struct linear_job *j = arg;
    quad_rows(j, thread, t0, t1, 0, j->w->pack->panels);
}

void linear_rows(struct compute *c, const struct mat *w, const float *x, size_t n, float *y)
{
    struct linear_job j = {c, w, x, n, y};
    if (!mat_has_quads(c->k, w))
        pool_run(c->pool, w->rows, ROW_GRAIN, gemv_part, &j);
    else if (n < 2 * MODULE_GRAIN)
        pool_run(c->pool, w->pack->panels, 1, quads_by_panel, &j);
    else
        pool_run(c->pool, n, MODULE_GRAIN, quads_by_row, &j);
}

void compute_linear(struct compute *c, const struct mat *w, const float *bias, const float *x,
                    size_t n, float *y)
{
#ifndef TERRA_NO_BLAS
    if (n >= GEMM_FROM && (size_t)w->rows * w->cols >= GEMM_WEIGHTS) {
        struct linear_job j = {c, w, x, n, y};
        size_t outs = (w->rows + GEMM_OUT - 1) / GEMM_OUT;
        pool_run(c->pool, outs * ((n + GEMM_ROWS - 1) / GEMM_ROWS), 1, gemm_part, &j);
        add_bias(bias, n, w->rows, y);
        return;
    }
#endif
    linear_rows(c, w, x, n, y);
    add_bias(bias, n, w->rows, y);
}

/* ---- factored ------------------------------------------------------------------ */

struct factored_job {
    struct compute *c;
    const float *gate, *bias, *x;
    const struct mat *proj;
    size_t n, modules;
    float *gated, *y;
    const float *scale;
};

static void mul_rows(const float *a, const float *b, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

/* gated[t][j] = x[t] * gate[j], for items i = t * modules + j. */
static void gate_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    (void)thread;
    struct factored_job *j = arg;
    size_t d = j->proj->cols;
    for (size_t i = i0; i < i1; i++)
        mul_rows(j->x + i / j->modules * d, j->gate + i % j->modules * d, d, j->gated + i * d);
}

static void set_bias(const float *bias, size_t n, float *y)
{
    if (bias)
        memcpy(y, bias, n * sizeof *y);
    else
        memset(y, 0, n * sizeof *y);
}

static void set_biases(const struct factored_job *j, size_t i0, size_t i1)
{
    size_t m = j->proj->rows;
    for (size_t i = i0; i < i1; i++)
        set_bias(j->bias ? j->bias + i % j->modules * m : NULL, m, j->y + i * m);
}

/* The same items, all the way to their outputs. */
static void panels_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct factored_job *j = arg;
    const struct pack *w = j->proj->pack;
    size_t d = j->proj->cols, m = j->proj->rows;
    gate_part(arg, thread, i0, i1);
    set_biases(j, i0, i1);
    j->c->k->panels(w, 0, 0, w->panels, j->gated + i0 * d, d, i1 - i0, j->y + i0 * m, m,
                    compute_fetch(j->c, thread));
}

/* Rows [i0, i1) in 16 bits. */
static void split_gated(const struct factored_job *j, size_t i0, size_t i1, uint8_t *out,
                        float *scale)
{
    size_t d = j->proj->cols;
    for (size_t i = i0; i < i1; i++)
        j->c->k->split(j->x + i / j->modules * d, j->gate + i % j->modules * d, d,
                       out + i * 2 * d, &scale[i - i0]);
}

static void quads_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct factored_job *j = arg;
    const struct pack *w = j->proj->pack;
    size_t d = j->proj->cols, m = j->proj->rows;
    uint8_t *split = (uint8_t *)j->gated; /* 2 of every 4 bytes are enough */
    float *scale = compute_tile(j->c, thread);
    set_biases(j, i0, i1);
    for (size_t t0 = i0; t0 < i1; t0 += SPLIT_ROWS) {
        size_t t1 = min_size(t0 + SPLIT_ROWS, i1);
        split_gated(j, t0, t1, split, scale);
        j->c->k->panels16(w, 0, 0, w->panels, split + t0 * 2 * d, 2 * d, scale, t1 - t0,
                          j->y + t0 * m, m, compute_fetch(j->c, thread));
    }
}

/* With few modules of many outputs the panels are shared out instead. */
static void wide_part(void *arg, uint32_t thread, size_t p0, size_t p1)
{
    (void)thread;
    struct factored_job *j = arg;
    size_t d = j->proj->cols, m = j->proj->rows, n = j->n * j->modules;
    for (size_t i = 0; i < n; i++)
        set_bias(j->bias ? j->bias + i % j->modules * m + p0 * PANEL : NULL, (p1 - p0) * PANEL,
                 j->y + i * m + p0 * PANEL);
    j->c->k->panels16(j->proj->pack, 0, p0, p1, (const uint8_t *)j->gated, 2 * d, j->scale, n,
                      j->y + p0 * PANEL, m, NULL);
}

static void factored_quads(struct factored_job *j)
{
    const struct pack *w = j->proj->pack;
    if (j->n * j->modules >= 2 * MODULE_GRAIN) {
        pool_run(j->c->pool, j->n * j->modules, MODULE_GRAIN, quads_part, j);
        return;
    }
    float scale[2 * MODULE_GRAIN];
    j->scale = scale;
    split_gated(j, 0, j->n * j->modules, (uint8_t *)j->gated, scale);
    pool_run(j->c->pool, w->panels, 2, wide_part, j);
}

void compute_factored(struct compute *c, const float *gate, const struct mat *proj,
                      const float *bias, uint32_t modules, const float *x, size_t n,
                      float *scratch, float *y)
{
    struct factored_job j = {.c = c,
                             .gate = gate,
                             .bias = bias,
                             .x = x,
                             .proj = proj,
                             .n = n,
                             .modules = modules,
                             .gated = scratch,
                             .y = y};
    if (mat_has_quads(c->k, proj)) {
        factored_quads(&j);
        return;
    }
    if (mat_has_panels(c->k, proj)) {
        pool_run(c->pool, n * modules, MODULE_GRAIN, panels_part, &j);
        return;
    }
    pool_run(c->pool, n * modules, 4, gate_part, &j);
    compute_linear(c, proj, NULL, scratch, n * modules, y);
    add_bias(bias, n, (size_t)modules * proj->rows, y);
}

/* ---- convolution ------------------------------------------------------------------ */

struct conv_job {
    struct compute *c;
    const struct conv_call *call;
    uint32_t n_calls;
    const float *x;
    size_t n;
    size_t half; /* most modules that a call looks to either side */
};

/* Outputs [o0, o1) of modules [m0, m1) at one position, by thread `thread`. */
struct conv_tile {
    const struct conv_job *job;
    const struct conv_call *call;
    uint32_t thread;
    const float *x; /* `length` rows */
    size_t m0, m1, o0, o1;
    float *y;
    /* int8 packs: modules [s0, s1) of every row in 16 bits; split NULL: not yet */
    size_t s0, s1;
    uint8_t *split;
    float *scale;
};

/* Whether the split rows of a tile fit a thread's scratch. */
static bool tile_can_split(const struct conv_job *j)
{
    const struct conv_shape *s = j->call->s;
    size_t rows = s->length * (CONV_MODULES + 2 * j->half);
    return rows * (sizeof(float) + 2 * (size_t)s->c_in) <= TILE_FLOATS * sizeof(float);
}

static void split_tile(struct conv_tile *t)
{
    const struct conv_shape *s = t->call->s;
    size_t half = t->job->half, wide = (size_t)s->modules * s->c_in, at = 0;
    t->s0 = t->m0 < half ? 0 : t->m0 - half;
    t->s1 = min_size(t->m1 + half, s->modules);
    t->scale = compute_tile(t->job->c, t->thread);
    t->split = (uint8_t *)(t->scale + s->length * (t->s1 - t->s0));
    for (size_t a = 0; a < s->length; a++)
        for (size_t j = t->s0; j < t->s1; j++, at++)
            t->job->c->k->split(t->x + a * wide + j * s->c_in, NULL, s->c_in,
                                t->split + at * 2 * s->c_in, &t->scale[at]);
}

/* y of modules [b0, b1) += length tap a, module tap e, whose input starts at module `from`. */
static void conv_tap(const struct conv_tile *t, size_t a, size_t e, size_t b0, size_t b1,
                     size_t from)
{
    const struct conv_shape *s = t->call->s;
    const struct kernels *k = t->job->c->k;
    const struct mat *w = t->call->w;
    struct fetch *f = compute_fetch(t->job->c, t->thread);
    size_t tap = a * s->kernel + e, width = t->o1 - t->o0;
    const float *x = t->x + (a * s->modules + from) * s->c_in;
    float *y = t->y + b0 * s->m_out + t->o0, *tmp = compute_tile(t->job->c, t->thread);
    if (t->split && mat_has_quads(k, w)) {
        size_t at = a * (t->s1 - t->s0) + from - t->s0;
        k->panels16(w->pack, tap, t->o0 / PANEL, t->o1 / PANEL, t->split + at * 2 * s->c_in,
                    2 * s->c_in, t->scale + at, b1 - b0, y, s->m_out, f);
        return;
    }
    if (mat_has_panels(k, w)) {
        k->panels(w->pack, tap, t->o0 / PANEL, t->o1 / PANEL, x, s->c_in, b1 - b0, y, s->m_out,
                  f);
        return;
    }
    size_t r = tap * s->m_out;
    k->rows(w, r + t->o0, r + t->o1, x, s->c_in, b1 - b0, tmp, width);
    for (size_t j = 0; j < b1 - b0; j++)
        for (size_t o = 0; o < width; o++)
            y[j * s->m_out + o] += tmp[j * width + o];
}

static void conv_tile(const struct conv_tile *t)
{
    const struct conv_shape *s = t->call->s;
    const float *bias = t->call->bias;
    size_t half = (s->kernel - 1) / 2;
    for (size_t j = t->m0; j < t->m1; j++)
        set_bias(bias ? bias + t->o0 : NULL, t->o1 - t->o0, t->y + j * s->m_out + t->o0);
    for (size_t a = 0; a < s->length; a++) {
        for (size_t e = 0; e < s->kernel; e++) {
            /* modules whose neighbour j + e - half exists */
            size_t b0 = t->m0 + e < half ? half - e : t->m0;
            size_t b1 = t->m1 + e > s->modules + half ? s->modules + half - e : t->m1;
            if (b0 < b1)
                conv_tap(t, a, e, b0, b1, b0 + e - half);
        }
    }
}

/* All calls of one tile: row `at` of every y. */
static void conv_calls(struct conv_tile *t, size_t out, size_t at)
{
    const struct conv_job *j = t->job;
    for (uint32_t k = 0; k < j->n_calls; k++) {
        t->call = &j->call[k];
        t->y = t->call->y + at * out;
        if (!t->split && mat_has_quads(j->c->k, t->call->w) && tile_can_split(j))
            split_tile(t);
        conv_tile(t);
    }
}

/* Item i is a run of outputs, then a run of modules, then a position: threads share x, not
 * the weights.  An item is computed for all calls, which share the split rows. */
static void conv_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct conv_job *j = arg;
    const struct conv_shape *s = j->call->s;
    size_t in = (size_t)s->modules * s->c_in, out = (size_t)s->modules * s->m_out;
    size_t runs = (s->modules + CONV_MODULES - 1) / CONV_MODULES;
    for (size_t i = i0; i < i1; i++) {
        size_t t = i % j->n, m0 = i / j->n % runs * CONV_MODULES;
        size_t o0 = i / j->n / runs * CONV_OUT;
        struct conv_tile tile = {.job = j,
                                 .thread = thread,
                                 .x = j->x + t * in,
                                 .m0 = m0,
                                 .m1 = min_size(m0 + CONV_MODULES, s->modules),
                                 .o0 = o0,
                                 .o1 = min_size(o0 + CONV_OUT, s->m_out)};
        conv_calls(&tile, out, t);
    }
}

void compute_convs(struct compute *c, const struct conv_call *call, uint32_t n_calls,
                   const float *x, size_t n)
{
    struct conv_job j = {.c = c, .call = call, .n_calls = n_calls, .x = x, .n = n};
    const struct conv_shape *s = call->s;
    for (uint32_t i = 0; i < n_calls; i++) {
        size_t half = (call[i].s->kernel - 1) / 2;
        j.half = half > j.half ? half : j.half;
    }
    size_t runs = (s->modules + CONV_MODULES - 1) / CONV_MODULES;
    pool_run(c->pool, (s->m_out + CONV_OUT - 1) / CONV_OUT * runs * n, 1, conv_part, &j);
}

void compute_conv(struct compute *c, const struct mat *w, const float *bias,
                  const struct conv_shape *s, const float *x, size_t n, float *y)
{
    struct conv_call call = {w, bias, s, y};
    compute_convs(c, &call, 1, x, n);
}

/* ---- normalisation ------------------------------------------------------------------ */

struct norm_job {
    const struct kernels *k;
    const float *scale, *bias, *x;
    bool center;
    size_t d;
    float *y;
};

static void norm_part(void *arg, uint32_t thread, size_t t0, size_t t1)
{
    (void)thread;
    struct norm_job *j = arg;
    for (size_t t = t0; t < t1; t++)
        j->k->norm(j->x + t * j->d, j->d, j->scale, j->bias, j->center, j->y + t * j->d);
}

void compute_norm(struct compute *c, const float *scale, const float *bias, bool center,
                  const float *x, size_t n, size_t d, float *y)
{
    struct norm_job j = {c->k, scale, bias, x, center, d, y};
    pool_run(c->pool, n, 8, norm_part, &j);
}
