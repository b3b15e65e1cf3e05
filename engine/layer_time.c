/* layer_time.c - times one feed-forward layer, all units against one of every block.
 *
 * Enough copies of the weights are walked through in turn that none is still in a cache
 * when it is used again, as in a model of many layers.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"
#include "engine/compute.h"

#include <stdlib.h>
#include <string.h>

enum { ENOUGH = 128 << 20, MOST_COPIES = 64, MOST_ROUNDS = 256 };

struct layer {
    struct ff_weights sparse;
    struct mat in, out; /* the dense twin: (f, d) and (d, f) over the same bytes */
};

struct bench {
    struct terra_layer_shape s;
    struct compute *c;
    struct layer layer[MOST_COPIES];
    uint32_t copies, blocks;
    char *weights;
    float *floats; /* scales, biases, activations */
    float *x, *y, *z, *hidden, *margin;
    uint16_t *unit;
    uint8_t *alive;
};

static uint32_t next_random(uint32_t *state)
{
    return *state = *state * 1664525 + 1013904223;
}

static struct mat matrix(const struct bench *b, const char **at, const float *scale,
                         uint32_t rows, uint32_t cols)
{
    struct mat m = {.dtype = b->s.dtype,
                    .rows = rows,
                    .cols = cols,
                    .data = *at,
                    .scale = b->s.dtype == TERRA_I8 ? scale : NULL};
    *at += (size_t)rows * cols * dtype_size(b->s.dtype);
    return m;
}

/* Bytes of noise; for floats only small exponents, so that sums stay finite. */
static void fill_noise(struct bench *b, size_t bytes)
{
    uint32_t state = 1;
    for (size_t i = 0; i < bytes; i++)
        b->weights[i] = (char)(next_random(&state) >> 24);
    size_t item = dtype_size(b->s.dtype);
    if (b->s.dtype != TERRA_I8)
        for (size_t i = item - 1; i < bytes; i += item)
            b->weights[i] = (char)((b->weights[i] & 0x80) | 0x3c); /* 0.0078 .. 0.031 */
}

static bool allocate(struct bench *b, uint32_t threads, struct err *e)
{
    const struct terra_layer_shape *s = &b->s;
    size_t item = dtype_size(s->dtype), main = 2 * (size_t)s->f * s->d * item;
    size_t ctl = ((size_t)s->rank * s->d + (size_t)s->f * s->rank) * item, n = s->batch;
    size_t most = s->f > s->d ? s->f : s->d;
    b->copies = (uint32_t)(ENOUGH / main + 2);
    b->copies = b->copies < MOST_COPIES ? b->copies : MOST_COPIES;
    size_t bytes = ((main + ctl) * b->copies + 63) / 64 * 64;
    size_t floats = 2 * most + n * (2 * s->d + s->rank + 2 * (size_t)s->f + b->blocks);
    b->weights = aligned_alloc(64, bytes);
    b->floats = calloc(floats, sizeof *b->floats);
    b->unit = calloc(n * b->blocks, sizeof *b->unit);
    b->alive = calloc(n * b->blocks, 1);
    if (!b->weights || !b->floats || !b->unit || !b->alive)
        return err_set(e, ERR_RESOURCE, "out of memory: %zu MB for one layer", bytes >> 20);
    fill_noise(b, bytes);
    b->c = compute_open(threads, NULL, e);
    if (!b->c)
        return false;
    float *scale = b->floats, *zero = scale + most;
    for (size_t i = 0; i < most; i++)
        scale[i] = 0.0005f;
    b->x = zero + most;
    b->y = b->x + n * s->d;
    b->z = b->y + n * s->d;
    b->hidden = b->z + n * (s->rank + (size_t)s->f);
    b->margin = b->hidden + n * s->f;
    uint32_t state = 7;
    for (size_t i = 0; i < n * s->d; i++)
        b->x[i] = (float)(next_random(&state) >> 8) / (1 << 23) - 1;
    const char *at = b->weights;
    for (uint32_t i = 0; i < b->copies; i++) {
        struct layer *l = &b->layer[i];
        const char *start = at;
        l->sparse = (struct ff_weights){.w1 = matrix(b, &at, scale, s->f, s->d),
                                        .w2 = matrix(b, &at, scale, s->f, s->d),
                                        .ctl1 = matrix(b, &at, scale, s->rank, s->d),
                                        .ctl2 = matrix(b, &at, scale, s->f, s->rank),
                                        .ctlb = zero,
                                        .b2 = zero,
                                        .blocks = b->blocks,
                                        .units = s->unit};
        l->in = matrix(b, &start, scale, s->f, s->d);
        l->out = matrix(b, &start, scale, s->d, s->f);
    }
    return true;
}

static void run_dense(struct bench *b, const struct layer *l)
{
    compute_linear(b->c, &l->in, NULL, b->x, b->s.batch, b->hidden);
    for (size_t i = 0; i < (size_t)b->s.batch * b->s.f; i++)
        b->hidden[i] = b->hidden[i] > 0 ? b->hidden[i] : 0;
    compute_linear(b->c, &l->out, NULL, b->hidden, b->s.batch, b->y);
}

static void run_sparse(struct bench *b, const struct layer *l)
{
    compute_choose(b->c, &l->sparse, b->x, b->s.batch, b->z, b->unit, b->margin);
    compute_ff_sparse(b->c, &l->sparse, b->x, b->s.batch, b->unit, b->hidden, b->alive, b->y);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *b, uint32_t rounds, double *dense_ns, double *sparse_ns)
{
    double dense[MOST_ROUNDS], sparse[MOST_ROUNDS];
    rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t t0 = clock_ns();
        for (uint32_t k = 0; k < b->copies; k++)
            run_dense(b, &b->layer[k]);
        uint64_t t1 = clock_ns();
        for (uint32_t k = 0; k < b->copies; k++)
            run_sparse(b, &b->layer[k]);
        dense[i] = (double)(t1 - t0) / b->copies;
        sparse[i] = (double)(clock_ns() - t1) / b->copies;
    }
    qsort(dense, rounds, sizeof *dense, by_value);
    qsort(sparse, rounds, sizeof *sparse, by_value);
    *dense_ns = dense[rounds / 2];
    *sparse_ns = sparse[rounds / 2];
}

bool terra_layer_time(const struct terra_layer_shape *s, uint32_t threads, uint32_t rounds,
                      double *dense_ns, double *sparse_ns, struct err *e)
{
    if (!s->d || !s->f || !s->unit || !s->rank || !s->batch || s->f % s->unit ||
        s->unit > UINT16_MAX)
        return err_set(e, ERR_USAGE, "a layer of %u units cannot be cut into blocks of %u",
                       s->f, s->unit);
    struct bench *b = xcalloc(1, sizeof *b);
    b->s = *s;
    b->blocks = s->f / s->unit;
    bool ok = allocate(b, threads, e);
    if (ok)
        measure(b, rounds, dense_ns, sparse_ns);
    compute_close(b->c);
    free(b->weights);
    free(b->floats);
    free(b->unit);
    free(b->alive);
    free(b);
    return ok;
}
