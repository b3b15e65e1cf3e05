/* gated_ff.c - see gated_ff.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/gated_ff.h"

#include <float.h>
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

/* One block a layer. */
static uint32_t pinned(const struct pass *p, size_t row, const float *z, uint32_t units,
                       uint32_t chosen)
{
    if (p->n_pins == 0 || p->stage != TERRA_DECODER)
        return chosen;
    struct pin *pin = p->pin + (size_t)p->layer * p->step_blocks;
    bool holds = pin->unit != TERRA_NO_UNIT && row >= pin->from;
    return holds ? pass_pinned(pin, z, units) : chosen;
}

static void run_experts(struct pass *p, const struct ff *ff, size_t first_row, size_t n)
{
    struct scratch *s = &p->s;
    uint32_t X = ff->s.units, width = ff->f / X;
    for (size_t t = 0; t < n; t++) {
        float *z = s->wide, second = -FLT_MAX; /* the margin of a single expert is finite */
        uint32_t best = 0;
        compute_kernels(p->cx)->rows(&ff->router, 0, X, s->x + t * ff->d, ff->d, 1, z, X);
        for (uint32_t i = 1; i < X; i++) {
            if (z[i] > z[best]) {
                second = z[best];
                best = i;
            } else if (z[i] > second) {
                second = z[i];
            }
        }
        s->margin[t] = z[best] - second;
        best = pinned(p, first_row + t, z, X, best);
        s->unit[t] = (uint16_t)best;
        float gain = ff->kind == FF_SWITCH ? probability(z, X, best) : 1;
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
