/* projection.c - see projection.h.  Equations: spec 2.4 - 2.6.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/projection.h"

/* R of the multiplicative modular layer: module j of x goes through its own m x m matrix. */
static void run_modules(struct compute *c, const struct projection *p, const float *x, size_t n,
                        float *y)
{
    const struct kernels *k = compute_kernels(c);
    size_t m = p->out / p->conv.modules;
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < p->conv.modules; j++)
            k->rows(&p->w2, j * m, (j + 1) * m, x + t * p->out + j * m, m, 1,
                    y + t * p->out + j * m, m);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < p->out; i++)
            y[t * p->out + i] += p->b[i];
}

/* LocallyConnectedDense: wraps around the modules, and the matrix belongs to the source. */
static void run_modular(struct compute *c, const struct projection *p, const float *x, size_t n,
                        float *scratch, float *y)
{
    const struct kernels *k = compute_kernels(c);
    const struct conv_shape *s = &p->conv;
    size_t m = s->m_out, half = (s->kernel - 1) / 2;
    for (size_t t = 0; t < n; t++) {
        for (size_t j = 0; j < s->modules; j++) {
            float *out = y + t * p->out + j * m;
            for (size_t o = 0; o < m; o++)
                out[o] = p->b[j * m + o];
            for (size_t i = 0; i < s->kernel; i++) {
                size_t from = (j + s->modules * s->kernel - half + i) % s->modules;
                size_t row = (from * s->kernel + i) * m;
                k->rows(&p->w, row, row + m, x + t * p->in + from * m, m, 1, scratch, m);
                for (size_t o = 0; o < m; o++)
                    out[o] += scratch[o];
            }
        }
    }
}

void project(struct compute *c, const struct projection *p, const float *x, size_t n,
             float *scratch, float *y)
{
    switch (p->kind) {
    case PROJ_NONE:
        break;
    case PROJ_DENSE:
        compute_linear(c, &p->w, p->b, x, n, y);
        break;
    case PROJ_FACTORED:
        compute_factored(c, &p->gate, &p->w, p->b, p->conv.modules, x, n, scratch, y);
        break;
    case PROJ_MULTMOD: {
        float *mid = scratch + n * p->conv.modules * p->in;
        compute_factored(c, &p->gate, &p->w, NULL, p->conv.modules, x, n, scratch, mid);
        run_modules(c, p, mid, n, y);
        break;
    }
    case PROJ_MODULAR:
        run_modular(c, p, x, n, scratch, y);
        break;
    case PROJ_CONV:
        compute_conv(c, &p->w, p->b, &p->conv, x - (size_t)projection_history(p) * p->in, n, y);
        break;
    case PROJ_LOWRANK:
        compute_linear(c, &p->w, p->b1, x, n, scratch);
        compute_linear(c, &p->w2, p->b, scratch, n, y);
        break;
    }
}

uint32_t projection_history(const struct projection *p)
{
    return p->kind == PROJ_CONV ? p->conv.length - 1 : 0;
}

size_t projection_scratch(const struct projection *p)
{
    switch (p->kind) {
    case PROJ_FACTORED:
        return (size_t)p->conv.modules * p->in;
    case PROJ_MULTMOD:
        return (size_t)p->conv.modules * p->in + p->out;
    case PROJ_MODULAR:
        return p->conv.m_out;
    case PROJ_LOWRANK:
        return p->w.rows;
    default:
        return 0;
    }
}
