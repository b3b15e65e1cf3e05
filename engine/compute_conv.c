/* compute_conv.c - convolutions over modules and positions, spec 2.6.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/compute_internal.h"

enum { MOST_TAPS = 64 };

struct conv_job {
    struct compute *c;
    const struct conv_call *call;
    uint32_t n_calls;
    const float *x;
    size_t n;
    size_t half; /* most modules that a call looks to either side */
    bool q8;     /* x in 8 bits, in the thread's scratch: for all calls or none */
};

/* Outputs [o0, o1) of modules [m0, m1) at one position, by thread `thread`. */
struct conv_tile {
    const struct conv_job *job;
    const struct conv_call *call;
    uint32_t thread;
    const float *x; /* `length` rows */
    size_t m0, m1, o0, o1;
    float *y;
    int8_t *q8; /* if job->q8: [length][q8_modules] rows in 8 bits; NULL: not yet */
};

/* Whether all calls take x in 8 bits, and a tile's rows fit a thread's scratch.  A call that
 * does not would use the scratch for its own products. */
static bool can_q8(const struct conv_job *j)
{
    const struct conv_shape *s = j->call->s;
    size_t rows = s->length * (CONV_MODULES + 2 * j->half);
    for (uint32_t k = 0; k < j->n_calls; k++)
        if (!mat_has_quads(j->c->k, j->call[k].w) ||
            s->length * j->call[k].s->kernel > MOST_TAPS)
            return false;
    return rows * q8_bytes(s->c_in) <= TILE_FLOATS * sizeof(float);
}

/* The tile's modules and `half` on either side, zeros where there are none. */
static size_t q8_modules(const struct conv_tile *t)
{
    return t->m1 - t->m0 + 2 * t->job->half;
}

static void quantize_tile(struct conv_tile *t)
{
    const struct conv_shape *s = t->call->s;
    size_t half = t->job->half, wide = (size_t)s->modules * s->c_in, ld = q8_bytes(s->c_in);
    size_t before = t->m0 < half ? half - t->m0 : 0, from = t->m0 + before - half;
    size_t there = min_size(t->m1 + half, s->modules) - from;
    size_t after = q8_modules(t) - before - there;
    int8_t *to = t->q8 = q8_tile(t->job->c, t->thread);
    for (size_t a = 0; a < s->length; a++) {
        memset(to, 0, before * ld);
        to += before * ld;
        quantize_rows(t->job->c->k, t->x + a * wide + from * s->c_in, s->c_in, 1, there,
                      s->c_in, to);
        to += there * ld;
        memset(to, 0, after * ld);
        to += after * ld;
    }
}

/* All taps at once. */
static void conv_q8(const struct conv_tile *t)
{
    const struct conv_shape *s = t->call->s;
    size_t ld = q8_bytes(s->c_in), tap[MOST_TAPS];
    size_t first = t->job->half - (s->kernel - 1) / 2; /* of the job's widest call */
    for (size_t i = 0; i < (size_t)s->length * s->kernel; i++)
        tap[i] = (i / s->kernel * q8_modules(t) + first + i % s->kernel) * ld;
    t->job->c->k->panels_q8(t->call->w->pack, tap, t->o0 / PANEL, t->o1 / PANEL, t->q8, ld,
                            t->m1 - t->m0, t->y + t->m0 * s->m_out + t->o0, s->m_out,
                            compute_fetch(t->job->c, t->thread));
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
    if (t->q8) {
        conv_q8(t);
        return;
    }
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
        if (j->q8 && !t->q8)
            quantize_tile(t);
        conv_tile(t);
    }
}

static struct conv_job conv_job(struct compute *c, const struct conv_call *call,
                                uint32_t n_calls, const float *x, size_t n)
{
    struct conv_job j = {.c = c, .call = call, .n_calls = n_calls, .x = x, .n = n};
    for (uint32_t i = 0; i < n_calls; i++) {
        size_t half = (call[i].s->kernel - 1) / 2;
        j.half = half > j.half ? half : j.half;
    }
    j.q8 = can_q8(&j);
    return j;
}

/* Modules [m0, m1) at position t, outputs [o0, o1): for all calls, which share the
 * rows in 8 bits. */
static void conv_run(const struct conv_job *j, uint32_t thread, size_t t, size_t m0, size_t m1,
                     size_t o0, size_t o1)
{
    const struct conv_shape *s = j->call->s;
    size_t in = (size_t)s->modules * s->c_in, out = (size_t)s->modules * s->m_out;
    struct conv_tile tile = {
        .job = j, .thread = thread, .x = j->x + t * in, .m0 = m0, .m1 = m1};
    for (; o0 < o1; o0 = tile.o1) {
        tile.o0 = o0;
        tile.o1 = min_size(o0 + CONV_OUT, o1);
        conv_calls(&tile, out, t);
    }
}

static size_t conv_runs(const struct conv_shape *s)
{
    return (s->modules + CONV_MODULES - 1) / CONV_MODULES;
}

/* Item i is a run of outputs, then a run of modules, then a position: threads share x, not
 * the weights. */
static void conv_by_output(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    const struct conv_job *j = arg;
    const struct conv_shape *s = j->call->s;
    size_t runs = conv_runs(s);
    for (size_t i = i0; i < i1; i++) {
        size_t m0 = i / j->n % runs * CONV_MODULES, o0 = i / j->n / runs * CONV_OUT;
        conv_run(j, thread, i % j->n, m0, min_size(m0 + CONV_MODULES, s->modules), o0,
                 min_size(o0 + CONV_OUT, s->m_out));
    }
}

/* Item i is a position, then a run of modules: a row is quantized once for all its outputs. */
static void conv_by_module(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    const struct conv_job *j = arg;
    const struct conv_shape *s = j->call->s;
    size_t runs = conv_runs(s);
    for (size_t i = i0; i < i1; i++) {
        size_t m0 = i % runs * CONV_MODULES;
        conv_run(j, thread, i / runs, m0, min_size(m0 + CONV_MODULES, s->modules), 0, s->m_out);
    }
}

void conv_modules(struct compute *c, uint32_t thread, const struct conv_call *call,
                  uint32_t n_calls, const float *x, size_t m0, size_t m1)
{
    struct conv_job j = conv_job(c, call, n_calls, x, 1);
    for (size_t m = m0; m < m1; m += CONV_MODULES)
        conv_run(&j, thread, 0, m, min_size(m + CONV_MODULES, m1), 0, call->s->m_out);
}

void compute_convs(struct compute *c, const struct conv_call *call, uint32_t n_calls,
                   const float *x, size_t n)
{
    struct conv_job j = conv_job(c, call, n_calls, x, n);
    size_t runs = conv_runs(call->s), outs = (call->s->m_out + CONV_OUT - 1) / CONV_OUT;
    if (n >= compute_threads(c) * (size_t)SHARE_ROWS) /* every thread reads all the weights */
        pool_run(c->pool, n * runs, 1, conv_by_module, &j);
    else
        pool_run(c->pool, outs * runs * n, 1, conv_by_output, &j);
}

void compute_conv(struct compute *c, const struct mat *w, const float *bias,
                  const struct conv_shape *s, const float *x, size_t n, float *y)
{
    struct conv_call call = {w, bias, s, y};
    compute_convs(c, &call, 1, x, n);
}
