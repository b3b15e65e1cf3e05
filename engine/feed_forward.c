/* feed_forward.c - see feed_forward.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/feed_forward.h"

#include "engine/gated_ff.h"

#include <math.h>
#include <string.h>

/* Tells whoever watches which units were chosen. */
static void report(struct pass *p, const struct ff *ff, size_t first_row, size_t n)
{
    const struct scratch *s = &p->s;
    if (p->stage == TERRA_DECODER && p->step_row >= first_row && p->step_row < first_row + n) {
        size_t k = ff->s.blocks, from = (p->step_row - first_row) * k;
        size_t to = (size_t)p->layer * p->step_blocks;
        memcpy(p->step_unit + to, s->unit + from, k * sizeof *s->unit);
        memcpy(p->step_margin + to, s->margin + from, k * sizeof *s->margin);
        memcpy(p->step_alive + to, s->alive + from, k);
    }
    if (p->on_choices) {
        struct terra_choices c = {.stage = p->stage,
                                  .layer = p->layer,
                                  .first_row = (uint32_t)first_row,
                                  .n_rows = (uint32_t)n,
                                  .blocks = ff->s.blocks,
                                  .unit = s->unit,
                                  .margin = s->margin,
                                  .alive = s->alive};
        p->on_choices(p->user, &c);
    }
}

/* Main layer of a tile of normed rows s.x into s.y. */
static void run_main(struct pass *p, const struct ff *ff, size_t first_row, size_t n,
                     uint64_t *clock)
{
    struct scratch *s = &p->s;
    if (ff->kind == FF_DENSE) {
        compute_linear(p->cx, &ff->in.w, ff->in.b, s->x, n, s->hidden);
        for (size_t i = 0; i < n * ff->f; i++) /* a NaN stays one, so that it is noticed */
            s->hidden[i] = s->hidden[i] < 0 ? 0 : s->hidden[i];
        compute_linear(p->cx, &ff->out.w, ff->out.b, s->hidden, n, s->y);
        pass_clock(p, TERRA_PART_FF, clock);
        return;
    }
    if (ff->kind != FF_SPARSE) {
        gated_ff_run(p, ff, first_row, n);
        pass_clock(p, TERRA_PART_FF, clock);
        report(p, ff, first_row, n);
        return;
    }
    compute_choose(p->cx, &ff->s, s->x, n, s->wide, s->unit, s->margin);
    pass_pin(p, &ff->s, first_row, n);
    pass_check(p, "controller", s->margin, n * ff->s.blocks);
    pass_clock(p, TERRA_PART_CTL, clock);
    if (p->mode == TERRA_SPARSE)
        compute_ff_sparse(p->cx, &ff->s, s->x, n, s->unit, s->hidden, s->alive, s->y);
    else
        compute_ff_dense(p->cx, &ff->s, s->x, n, p->mode == TERRA_MASKED ? s->unit : NULL,
                         s->hidden, s->alive, s->y);
    pass_clock(p, TERRA_PART_FF, clock);
    report(p, ff, first_row, n);
}

/* g = 1 / (1 + exp(-g)), in place, from powers that do not overflow. */
static void sigmoids(const struct kernels *k, float *g, size_t n)
{
    float e[64];
    for (size_t m; n; n -= m, g += m) {
        m = n < 64 ? n : 64;
        for (size_t i = 0; i < m; i++)
            e[i] = -fabsf(g[i]);
        k->exps(e, m, 0);
        for (size_t i = 0; i < m; i++)
            g[i] = (g[i] < 0 ? e[i] : 1) / (1 + e[i]);
    }
}

void sru_run(const struct kernels *k, float *gates, float *x, size_t n, size_t w, float *carry)
{
    const float root3 = 1.7320508f;
    for (size_t t = 0; t < n; t++) {
        float *g = gates + t * 3 * w, *row = x + t * w;
        sigmoids(k, g, 2 * w);
        for (size_t i = 0; i < w; i++) {
            float r = g[i], f = g[w + i];
            carry[i] = f * carry[i] + (1.0f - f) * g[2 * w + i];
            row[i] = carry[i] * r + row[i] * (1.0f - r) * root3;
        }
    }
}

static void run_sru_branch(struct pass *p, const struct ff *ff, struct ff_state *st,
                           const float *x, size_t n)
{
    const struct sru *r = &ff->sru;
    struct scratch *s = &p->s;
    float *z = s->small, *gates = s->small + n * r->width;
    compute_norm(p->cx, &r->ln, x, n, ff->d, s->x);
    compute_linear(p->cx, &r->in.w, r->in.b, s->x, n, z);
    for (uint32_t i = 0; i < r->layers; i++) {
        compute_linear(p->cx, &r->gate[i].w, r->gate[i].b, z, n, gates);
        sru_run(compute_kernels(p->cx), gates, z, n, r->width,
                st->carry + (size_t)i * r->width);
    }
    compute_linear(p->cx, &r->out.w, r->out.b, z, n, s->y);
}

/* What runs between the SRU branch's first and last layer, one row. */
struct sru_step {
    struct compute *c;
    const struct sru *sru;
    float *z, *gates, *carry;
};

static void sru_between(void *user, uint32_t thread)
{
    const struct sru_step *s = user;
    const struct sru *r = s->sru;
    for (uint32_t i = 0; i < r->layers; i++) {
        struct linear gate = {&r->gate[i].w, r->gate[i].b, s->z, s->gates};
        compute_linear_alone(s->c, thread, &gate);
        sru_run(compute_kernels(s->c), s->gates, s->z, 1, r->width,
                s->carry + (size_t)i * r->width);
    }
}

/* One decoded row in one go, both branches side by side. */
static void run_step(struct pass *p, const struct ff *ff, struct ff_state *st, const float *x,
                     size_t row, float *acc, uint64_t *clock)
{
    const struct sru *r = &ff->sru;
    struct scratch *s = &p->s;
    float *out = s->uv, *z = s->small; /* uv is attention's, which is done */
    struct sru_step sru = {p->cx, r, z, z + r->width, st->carry};
    struct ff_branch branch = {.ln = &r->ln,
                               .own = s->own + (size_t)compute_threads(p->cx) * ff->d,
                               .in = {&r->in.w, r->in.b, NULL, z},
                               .out = {&r->out.w, r->out.b, z, out},
                               .between = sru_between,
                               .user = &sru};
    struct ff_step step = {.w = &ff->s,
                           .res = {.ln = &ff->ln, .x = x, .own = s->own, .acc = acc},
                           .branch = r->layers ? &branch : NULL,
                           .z = s->wide,
                           .unit = s->unit,
                           .margin = s->margin,
                           .hidden = s->hidden,
                           .alive = s->alive,
                           .y = s->y,
                           .timed = p->timed};
    compute_ff_step(p->cx, &step);
    pass_check(p, "controller", s->margin, ff->s.blocks);
    pass_clock(p, TERRA_PART_CTL, clock);
    p->part_ns[TERRA_PART_FF] += step.rows_ns;
    p->part_ns[TERRA_PART_CTL] -= step.rows_ns;
    report(p, ff, row, 1);
    if (step.res.bad)
        pass_bad(p, "feed-forward");
    if (branch.bad)
        pass_bad(p, "SRU");
    pass_clock(p, TERRA_PART_OTHER, clock);
}

/* The same of all units. */
static void run_dense_step(struct pass *p, const struct ff *ff, const float *x, float *acc,
                           uint64_t *clock)
{
    struct scratch *s = &p->s;
    struct linear_step in = {.res = {.ln = &ff->ln, .x = x, .own = s->own},
                             .call = {&ff->in.w, ff->in.b, NULL, s->hidden},
                             .relu = true};
    struct linear_step out = {.res = {.x = s->hidden, .acc = acc},
                              .call = {&ff->out.w, ff->out.b, NULL, s->y}};
    compute_linear_step(p->cx, &in);
    compute_linear_step(p->cx, &out);
    if (out.res.bad)
        pass_bad(p, "feed-forward");
    pass_clock(p, TERRA_PART_FF, clock);
}

static void add_sru_branch(struct pass *p, const struct ff *ff, struct ff_state *st,
                           const float *x, size_t n, float *acc)
{
    if (!ff->sru.layers)
        return;
    run_sru_branch(p, ff, st, x, n);
    compute_kernels(p->cx)->add(p->s.y, n * ff->d, acc);
    pass_check(p, "SRU", acc, n * ff->d);
}

void feed_forward_run(struct pass *p, const struct ff *ff, struct ff_state *st, const float *x,
                      size_t n, size_t first_row, float *acc)
{
    const struct kernels *k = compute_kernels(p->cx);
    uint64_t clock = 0;
    pass_clock(p, TERRA_PART_OTHER, &clock);
    if (n == 1 && ff->kind == FF_SPARSE && p->mode == TERRA_SPARSE && p->n_pins == 0) {
        run_step(p, ff, st, x, first_row, acc, &clock);
        return;
    }
    if (n == 1 && ff->kind == FF_DENSE) {
        run_dense_step(p, ff, x, acc, &clock);
        add_sru_branch(p, ff, st, x, 1, acc);
        pass_clock(p, TERRA_PART_OTHER, &clock);
        return;
    }
    for (size_t t = 0; t < n; t += p->tile) {
        size_t rows = n - t < p->tile ? n - t : p->tile;
        const float *in = x + t * ff->d;
        float *out = acc + t * ff->d;
        compute_norm(p->cx, &ff->ln, in, rows, ff->d, p->s.x);
        pass_clock(p, TERRA_PART_OTHER, &clock);
        run_main(p, ff, first_row + t, rows, &clock);
        k->add(p->s.y, rows * ff->d, out);
        pass_check(p, "feed-forward", out, rows * ff->d);
        add_sru_branch(p, ff, st, in, rows, out);
        pass_clock(p, TERRA_PART_OTHER, &clock);
    }
}
