/* gated_ff.c - see gated_ff.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/gated_ff.h"

#include <math.h>
#include <string.h>

/* softmax(z)[best], computed around the largest value, which is z[best]. */
static float probability(const float *z, uint32_t n, uint32_t best)
{
    float sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += expf(z[i] - z[best]);
    return 1 / sum;
}

/* y += ReLU(x . w1[row]) * gain * w2[row]; returns whether the unit survived the ReLU. */
static bool add_unit(struct pass *p, const struct ff_weights *w, uint32_t row, float gain,
                     const float *x, float *y)
{
    const struct kernels *k = compute_kernels(p->cx);
    float t;
    k->rows_at(&w->w1, &row, 1, 0, x, &t);
    if (t <= 0) /* not a NaN: it must be noticed */
        return false;
    t *= gain;
    k->axpy_at(&w->w2, &row, &t, 1, 0, w->w2.cols, y);
    return true;
}

static void run_multiply(struct pass *p, const struct ff *ff, size_t first_row, size_t n)
{
    const struct ff_weights *w = &ff->s;
    struct scratch *s = &p->s;
    size_t K = w->blocks, N = w->units;
    compute_choose(p->cx, w, s->x, n, s->wide, s->unit, s->margin);
    pass_check(p, "controller", s->margin, n * K);
    pass_pin(p, w, first_row, n);
    const float *z = s->wide + n * w->ctl1.rows; /* as compute_choose lays it out */
    for (size_t t = 0; t < n; t++)
        for (size_t k = 0; k < K; k++) {
            uint32_t best = s->unit[t * K + k];
            float gain = probability(z + (t * K + k) * N, w->units, best);
            s->alive[t * K + k] = add_unit(p, w, (uint32_t)(k * N) + best, gain,
                                           s->x + t * ff->d, s->y + t * ff->d);
        }
}

/* What compute_choose does, where a layer is one block and its controller the router. */
static void choose_experts(struct pass *p, const struct ff *ff, size_t n)
{
    const struct kernels *k = compute_kernels(p->cx);
    struct scratch *s = &p->s;
    uint32_t X = ff->s.units;
    for (size_t t = 0; t < n; t++) {
        float *z = s->wide + t * X, top, second;
        k->rows(&ff->router, 0, X, s->x + t * ff->d, ff->d, 1, z, X);
        s->unit[t] = (uint16_t)k->best(z, X, &top, &second);
        s->margin[t] = top - second;
    }
}

static void run_experts(struct pass *p, const struct ff *ff, size_t first_row, size_t n)
{
    struct scratch *s = &p->s;
    uint32_t X = ff->s.units, width = ff->f / X;
    choose_experts(p, ff, n);
    pass_check(p, "controller", s->margin, n);
    pass_pin(p, &ff->s, first_row, n);
    for (size_t t = 0; t < n; t++) {
        uint32_t best = s->unit[t];
        float gain = ff->kind == FF_SWITCH ? probability(s->wide + t * X, X, best) : 1;
        s->alive[t] = 0;
        for (uint32_t i = best * width; i < (best + 1) * width; i++)
            s->alive[t] |= add_unit(p, &ff->s, i, gain, s->x + t * ff->d, s->y + t * ff->d);
    }
}

void gated_ff_run(struct pass *p, const struct ff *ff, size_t first_row, size_t n)
{
    for (size_t t = 0; t < n; t++)
        memcpy(p->s.y + t * ff->d, ff->s.b2, ff->d * sizeof(float));
    if (ff->kind == FF_MULTIPLY)
        run_multiply(p, ff, first_row, n);
    else
        run_experts(p, ff, first_row, n);
}
