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
        c->tile = aligned_alloc(64, TILE_FLOATS * sizeof *c->tile * threads);
    if (c->pool && !c->tile)
        err_set(e, ERR_RESOURCE, "out of memory for %u compute threads", threads);
    if (!c->tile) {
        compute_close(c);
        return NULL;
    }
    compute_soon(c, NULL, 0, 1);
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

/* ---- fetching ahead ---------------------------------------------------------- */

void compute_soon(struct compute *c, const struct span *list, uint32_t n, uint32_t pace)
{
    uint32_t threads = compute_threads(c);
    for (uint32_t i = 0; i < threads; i++)
        c->cursor[i].f = (struct fetch){(const char *)c->tile, 0, list, n, i, threads, pace};
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

/* Panels [p0, p1) of rows [t0, t1). */
static void quad_rows(const struct linear_job *j, uint32_t thread, size_t t0, size_t t1,
                      size_t p0, size_t p1)
{
    const struct pack *w = j->w->pack;
    const struct kernels *k = j->c->k;
    size_t depth = w->depth, outs = j->w->rows, room = q8_room(depth, 0);
    int8_t *q8 = q8_tile(j->c, thread);
    for (size_t t = t0; t < t1; t += room) {
        size_t n = min_size(room, t1 - t);
        float *y = j->y + t * outs + p0 * PANEL;
        quantize_rows(k, j->x + t * depth, depth, 1, n, depth, q8);
        for (size_t i = 0; i < n; i++)
            memset(y + i * outs, 0, (p1 - p0) * PANEL * sizeof *y);
        k->panels_q8(w, NULL, p0, p1, q8, q8_bytes(depth), n, y, outs,
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
        pool_run(c->pool, w->pack->panels,
                 n * w->rows * w->cols > FEW_MULTIPLIES ? 1 : w->pack->panels, quads_by_panel,
                 &j);
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
    if (n == 1) {
        struct linear_step s = {.res = {.x = x}, .call = {w, bias, NULL, y}};
        compute_linear_step(c, &s);
        return;
    }
    linear_rows(c, w, x, n, y);
    add_bias(bias, n, w->rows, y);
}

/* ---- a linear layer of one position ---------------------------------------------------- */

void linear_outputs(struct compute *c, uint32_t thread, const struct linear *l, size_t r0,
                    size_t r1)
{
    struct linear_job j = {c, l->w, l->x, 1, l->y};
    if (mat_has_quads(c->k, l->w))
        quad_rows(&j, thread, 0, 1, r0 / PANEL, r1 / PANEL);
    else
        gemv_part(&j, thread, r0, r1);
    for (size_t r = r0; l->bias && r < r1; r++)
        l->y[r] += l->bias[r];
}

struct step_job {
    struct compute *c;
    struct linear_step *s;
};

static void step_part(void *arg, uint32_t thread, size_t p0, size_t p1)
{
    const struct step_job *j = arg;
    const struct kernels *k = j->c->k;
    struct residual *res = &j->s->res;
    struct linear l = j->s->call;
    size_t d = l.w->cols, r0 = p0 * PANEL, r1 = min_size(p1 * PANEL, l.w->rows);
    l.x = own_norm(k, res->ln, res->x, d, res->own, thread);
    linear_outputs(j->c, thread, &l, r0, r1);
    for (size_t r = r0; j->s->relu && r < r1; r++)
        l.y[r] = l.y[r] < 0 ? 0 : l.y[r]; /* a NaN stays one, so that it is noticed */
    own_add(k, l.y, r0, r1, res->acc, &res->bad);
}

void compute_linear_step(struct compute *c, struct linear_step *s)
{
    struct step_job j = {c, s};
    const struct mat *w = s->call.w;
    size_t pieces = (w->rows + PANEL - 1) / PANEL;
    bool few = (size_t)w->rows * w->cols <= FEW_MULTIPLIES;
    pool_run(c->pool, pieces, few ? pieces : 1, step_part, &j);
}

void compute_linear_alone(struct compute *c, uint32_t thread, const struct linear *l)
{
    linear_outputs(c, thread, l, 0, l->w->rows);
}

/* ---- factored ------------------------------------------------------------------ */

struct factored_job {
    struct compute *c;
    const struct mat *gate, *proj;
    const float *bias, *x;
    size_t n, modules;
    float *gated, *y;
};

/* gated[t][j] = x[t] * gate[j], for items i = t * modules + j. */
static void gate_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    (void)thread;
    struct factored_job *j = arg;
    size_t d = j->proj->cols;
    for (size_t i = i0; i < i1; i++) {
        const float *x = j->x + i / j->modules * d;
        float *y = j->gated + i * d;
        size_t module = i % j->modules;
        j->c->k->expand(j->gate, module, module + 1, 0, d, y, d);
        for (size_t k = 0; k < d; k++)
            y[k] *= x[k];
    }
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

/* Rows [i0, i1) in 8 bits; x16 is scratch of q16_bytes(d). */
static void quantize_gated(const struct factored_job *j, uint32_t thread, size_t i0, size_t i1,
                           int16_t *x16, int8_t *out)
{
    const struct kernels *k = j->c->k;
    const struct mat *g = j->gate;
    size_t d = j->proj->cols;
    for (size_t i = i0; i < i1; i++, out += q8_bytes(d)) {
        size_t module = i % j->modules;
        const float *x = j->x + i / j->modules * d;
        fetch_some(j->c, thread, d / 64);
        if (g->dtype != TERRA_I8) {
            k->quantize(x, mat_row(g, module), g->dtype, 1, d, out);
            continue;
        }
        if (i == i0 || module == 0)
            k->round16(x, d, x16);
        k->gate16(x16, (const int8_t *)mat_row(g, module), g->scale[module], d, out);
    }
}

/* What a decoding step gates its next rows with. */
static struct fetch next_gates(const struct factored_job *j, size_t i0, size_t i1, size_t room)
{
    size_t bytes = min_size(room, i1 - i0) * j->gate->cols * dtype_size(j->gate->dtype);
    return (struct fetch){.p = mat_row(j->gate, i0 % j->modules),
                          .lines = j->n == 1 ? bytes / LINE : 0,
                          .pace = 2};
}

/* A few rows at a time: gates arrive while rows before them are multiplied. */
static void quads_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct factored_job *j = arg;
    const struct pack *w = j->proj->pack;
    size_t d = j->proj->cols, m = j->proj->rows,
           room = min_size(Q8_ROWS, q8_room(d, q16_bytes(d)));
    int8_t *q8 = q8_tile(j->c, thread);
    int16_t *x16 = (int16_t *)(void *)(q8 + room * q8_bytes(d));
    set_biases(j, i0, i1);
    for (size_t t0 = i0; t0 < i1; t0 += room) {
        size_t t1 = min_size(t0 + room, i1);
        quantize_gated(j, thread, t0, t1, x16, q8);
        struct fetch *soon = compute_fetch(j->c, thread), next = next_gates(j, t1, i1, room);
        j->c->k->panels_q8(w, NULL, 0, w->panels, q8, q8_bytes(d), t1 - t0, j->y + t0 * m, m,
                           next.lines ? &next : soon);
    }
}

void factored_modules(struct compute *c, uint32_t thread, const struct factored *f,
                      const float *x, size_t m0, size_t m1, float *y)
{
    struct factored_job j = {.c = c,
                             .gate = f->gate,
                             .bias = f->bias,
                             .x = x,
                             .proj = f->proj,
                             .n = 1,
                             .modules = f->modules,
                             .y = y};
    quads_part(&j, thread, m0, m1);
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
    j->c->k->panels_q8(j->proj->pack, NULL, p0, p1, (const int8_t *)j->gated, q8_bytes(d), n,
                       j->y + p0 * PANEL, m, NULL);
}

static void factored_quads(struct factored_job *j)
{
    const struct pack *w = j->proj->pack;
    if (j->n * j->modules >= 2 * MODULE_GRAIN) {
        pool_run(j->c->pool, j->n * j->modules, MODULE_GRAIN, quads_part, j);
        return;
    }
    quantize_gated(j, 0, 0, j->n * j->modules, (int16_t *)(void *)compute_tile(j->c, 0),
                   (int8_t *)j->gated);
    pool_run(j->c->pool, w->panels, 2, wide_part, j);
}

void compute_factored(struct compute *c, const struct mat *gate, const struct mat *proj,
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

/* ---- normalisation ------------------------------------------------------------------ */

struct norm_job {
    const struct kernels *k;
    const struct norm *ln;
    const float *x;
    size_t d;
    float *y;
};

static void norm_part(void *arg, uint32_t thread, size_t t0, size_t t1)
{
    (void)thread;
    struct norm_job *j = arg;
    for (size_t t = t0; t < t1; t++)
        j->k->norm(j->x + t * j->d, j->d, j->ln->scale, j->ln->bias, j->ln->center,
                   j->y + t * j->d);
}

void compute_norm(struct compute *c, const struct norm *ln, const float *x, size_t n, size_t d,
                  float *y)
{
    struct norm_job j = {c->k, ln, x, d, y};
    pool_run(c->pool, n, 8, norm_part, &j);
}
