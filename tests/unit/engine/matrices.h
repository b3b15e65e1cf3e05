/* matrices.h - matrices and vectors of chance for the tests of engine/kernels and
 * engine/compute.
 *
 * Owns: the caller frees what it gets, matrices by drop.  Errors: fails the test.
 * Threads: one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_TESTS_MATRICES_H
#define TERRA_TESTS_MATRICES_H

#include "engine/compute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 1;

static inline float random_float(void)
{
    seed = seed * 1664525 + 1013904223;
    return (float)(seed >> 8) / (1 << 23) - 1;
}

static inline void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = random_float();
}

static inline float *floats(size_t n)
{
    float *x = malloc(n * sizeof *x);
    fill(x, n);
    return x;
}

/* n weights of the given type; `data` need not be aligned. */
static inline void fill_weights(enum terra_dtype t, size_t n, char *data)
{
    for (size_t i = 0; i < n; i++) {
        float f = random_float();
        if (t == TERRA_I8)
            data[i] = (char)(int8_t)lrintf(f * 127);
        else if (t == TERRA_BF16)
            memcpy(data + 2 * i, (char *)&f + 2, 2);
        else
            memcpy(data + 4 * i, &f, 4);
    }
}

/* A matrix of the given type, with its packed copy if `groups`. */
static inline struct mat matrix(enum terra_dtype t, uint32_t rows, uint32_t cols,
                                uint32_t groups)
{
    size_t n = (size_t)rows * cols;
    char *data = aligned_alloc(64, (n * dtype_size(t) + 63) / 64 * 64);
    float *scale = malloc(rows * sizeof *scale);
    struct mat w = {.dtype = t, .rows = rows, .cols = cols, .data = data};
    fill_weights(t, n, data);
    for (uint32_t r = 0; r < rows; r++)
        scale[r] = 0.005f + 0.0001f * (float)(r % 50);
    if (t == TERRA_I8)
        w.scale = scale;
    else
        free(scale);
    bool quads = kernels_get(NULL)->panels_q8 && groups && pack_size(&w, groups, true);
    if (groups && kernels_get(NULL)->panels && pack_size(&w, groups, quads)) {
        struct pack *p = malloc(sizeof *p);
        pack_fill(p, &w, groups, quads,
                  aligned_alloc(64, (pack_size(&w, groups, quads) + 63) / 64 * 64));
        w.pack = p;
    }
    return w;
}

static inline void drop(struct mat *w)
{
    if (w->pack) {
        free((void *)(uintptr_t)w->pack->scale); /* starts the block, if there are scales */
        if (!w->pack->scale)
            free((void *)(uintptr_t)w->pack->data);
        free((void *)(uintptr_t)w->pack);
    }
    free((void *)(uintptr_t)w->data);
    free((void *)(uintptr_t)w->scale);
}

static inline void near(const float *got, const float *want, size_t n, float bound)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= bound))
            fail_msg("[%zu]: got %.9g, want %.9g", i, (double)got[i], (double)want[i]);
}

/* What rounding uniform inputs of -1 .. 1 to 8 bits can make of a sum of n of them: six
 * standard deviations of half a step each, 1 / 254 of the largest, times its weight.
 * test_kernels has the exact sums. */
static inline float rounding(const struct mat *w, size_t n)
{
    const float largest = 127 * 0.01f; /* of `matrix` */
    float sigma = largest / sqrtf(3) / 127 / sqrtf(12) * sqrtf((float)n);
    return w->pack && w->pack->quads ? 6 * sigma : 0;
}

#endif
