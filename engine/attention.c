/* attention.c - see attention.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/attention.h"

#include "engine/projection.h"

#include <math.h>
#include <string.h>

static uint32_t length_of(const struct projection *p)
{
    return p->kind == PROJ_CONV ? p->conv.length : 0;
}

uint32_t attention_ring(const struct attention *a)
{
    uint32_t q = length_of(&a->q), o = length_of(&a->oconv);
    return q > o ? q : o;
}

bool attention_is_lsh(const struct attention *a, size_t rows)
{
    return a->cfg->core == TERRA_CORE_LSH ||
           (a->cfg->core == TERRA_CORE_MIXED && rows > a->cfg->std_length);
}

bool attention_check(const struct attention *a, size_t rows, bool causal, struct err *e)
{
    const struct terra_attention_config *c = a->cfg;
    bool sorted = attention_is_lsh(a, rows), wraps = c->type == TERRA_ATT_SELF && !causal;
    if (sorted && !a->rotations)
        return err_set(e, ERR_INPUT,
                       "%zu rows with padding: above %u the attention needs rotations, and the "
                       "model has none",
                       rows, c->std_length);
    if ((sorted || wraps) && c->chunk && rows % c->chunk != 0)
        return err_set(
            e, ERR_INPUT,
            "%zu rows are not a multiple of the attention's chunk length %u; pad the "
            "source with zeros",
            rows, c->chunk);
    return true;
}

/* The last rows of a stream, as its ring keeps them: row r of w floats at r % (past + 1), so
 * that whoever writes a row disturbs nobody who reads the `past` rows before it. */
struct ring {
    float *rows;
    size_t past, w;
};

static float *ring_row(const struct ring *r, size_t row)
{
    return r->rows + row % (r->past + 1) * r->w;
}

/* Puts the rows before `first` in front of a tile... */
static void recall(float *head, const struct ring *r, size_t first)
{
    for (size_t i = 0; i < r->past; i++) /* row first - past + i; none yet: zeros */
        memcpy(head + i * r->w, ring_row(r, first + 1 + i), r->w * sizeof *head);
}

/* ... and remembers those of its n rows that come behind them. */
static void remember(const struct ring *r, const float *head, size_t first, size_t n)
{
    for (size_t t = n > r->past ? n - r->past : 0; t < n; t++)
        memcpy(ring_row(r, first + t), head + (r->past + t) * r->w, r->w * sizeof *head);
}

/* What the convolution of v reads: module by module (fixed) or side by side (original). */
static void concat_rows(const struct attention *a, const float *u, const float *x, size_t n,
                        float *out)
{
    size_t d = a->d, m = a->cfg->v_concat == TERRA_V_FIXED ? d / a->cfg->modules : d;
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < d; j += m, out += 2 * m) {
            memcpy(out, u + t * d + j, m * sizeof *out);
            memcpy(out + m, x + t * d + j, m * sizeof *out);
        }
}

/* Efficient types keep k / sqrt(dk), and a shared k is the normalised q (spec 3.1). */
static void scale_keys(float *k, size_t rows, size_t dk, bool normalise)
{
    for (size_t r = 0; r < rows; r++, k += dk) {
        float f = 1.0f / sqrtf((float)dk);
        if (normalise) {
            float ss = 0;
            for (size_t i = 0; i < dk; i++)
                ss += k[i] * k[i];
            f /= sqrtf(ss / (float)dk + 1e-6f);
        }
        for (size_t i = 0; i < dk; i++)
            k[i] *= f;
    }
}

/* q, k and v of a tile, each through its own projection; convolutions all at once. */
static void project_qkv(struct pass *p, const struct attention *a, const float *in,
                        const float *vin, size_t n, float *q)
{
    struct scratch *s = &p->s;
    const struct projection *all[] = {&a->q, &a->k, &a->v};
    if (a->q.kind == PROJ_CONV && a->k.kind == PROJ_CONV && a->v.kind == PROJ_CONV &&
        in == vin && a->q.conv.length == a->v.conv.length) {
        struct conv_call call[3];
        float *y[] = {q, s->k, s->v};
        for (int i = 0; i < 3; i++)
            call[i] = (struct conv_call){&all[i]->w, all[i]->b, &all[i]->conv, y[i]};
        compute_convs(p->cx, call, 3, in - (size_t)projection_history(&a->q) * a->d, n);
        return;
    }
    project(p->cx, &a->q, in, n, s->wide, q);
    project(p->cx, &a->k, in, n, s->wide, s->k);
    project(p->cx, &a->v, vin, n, s->wide, s->v);
}

/* Queries, keys and values of one tile: q to s.q, k and v to the caches. */
static void project_tile(struct pass *p, const struct attention *a, struct att_state *st,
                         size_t row, size_t n, size_t at, bool efficient)
{
    struct scratch *s = &p->s;
    size_t d = a->d, wq = (size_t)a->heads * a->dk;
    const float *in = s->x, *vin = s->x;
    size_t past = a->mult.kind ? projection_history(&a->q) : 0;
    struct ring of_u = {st->ring_u, past, d}, of_v = {st->ring_v, past, 2 * d};
    float *q = s->q + row * wq;

    if (a->mult.kind) {
        float *u = s->u + past * d;
        recall(s->u, &of_u, at);
        project(p->cx, &a->mult, s->x, n, s->wide, u);
        in = vin = u;
        if (a->cfg->v_concat != TERRA_V_NONE) {
            recall(s->uv, &of_v, at);
            concat_rows(a, u, s->x, n, s->uv + past * 2 * d);
            vin = s->uv + past * 2 * d;
        }
    }
    project_qkv(p, a, in, vin, n, q);
    if (!a->k.kind)
        memcpy(s->k, q, n * wq * sizeof *q);
    else if (a->cfg->core != TERRA_CORE_STANDARD && a->cfg->type != TERRA_ATT_SELF)
        for (size_t i = 0; i < n * wq; i++) /* the wrapper's qk = (q + k) / 2 */
            q[i] = s->k[i] = (q[i] + s->k[i]) / 2;
    if (efficient)
        scale_keys(s->k, n * a->heads, a->dk, a->cfg->type != TERRA_ATT_SELF || !a->k.kind);
    compute_store(p->cx, &st->k, a->heads, a->dk, p->cap, at, s->k, n);
    compute_store(p->cx, &st->v, a->heads, a->dv, p->cap, at, s->v, n);
    if (a->mult.kind) {
        remember(&of_u, s->u, at, n);
        if (vin != in)
            remember(&of_v, s->uv, at, n);
    }
}

static struct attend standard(const struct pass *p, const struct attention *a,
                              const struct att_state *st, size_t n, size_t first, bool causal)
{
    return (struct attend){.heads = a->heads,
                           .dh = a->dk,
                           .cap = p->cap,
                           .rows = first + n,
                           .first = first,
                           .causal = causal,
                           .valid = causal ? NULL : p->valid,
                           .k = st->k,
                           .v = st->v};
}

static void attend_efficient(struct pass *p, const struct attention *a,
                             const struct att_state *st, size_t n, size_t first, bool causal)
{
    const struct terra_attention_config *c = a->cfg;
    struct efficient f = {.heads = a->heads,
                          .dk = a->dk,
                          .dv = a->dv,
                          .cap = p->cap,
                          .rows = first + n,
                          .causal = causal,
                          .self_last = c->type != TERRA_ATT_SELF || c->share_qk,
                          .sorted = attention_is_lsh(a, p->length),
                          .chunk = c->chunk,
                          .before = c->before,
                          .after = c->after,
                          .hashes = c->hashes,
                          .n_buckets = c->n_buckets,
                          .buckets = c->buckets,
                          .rotations = a->rotations,
                          .n_rot = a->n_rot,
                          .valid = causal ? NULL : p->valid,
                          .q = p->s.q,
                          .first = first,
                          .n = n,
                          .k = st->k.data,
                          .v = st->v.data};
    efficient_run(&f, &p->s.efficient, p->s.o);
}

static bool has_output(const struct attention *a)
{
    return a->o.kind || a->omult.kind || a->oconv.kind;
}

/* Output layers of one tile; returns where the result is. */
static const float *output_tile(struct pass *p, const struct attention *a, struct att_state *st,
                                const float *o, size_t n, size_t at)
{
    struct scratch *s = &p->s;
    if (a->o.kind) {
        project(p->cx, &a->o, o, n, s->wide, s->y);
        return s->y;
    }
    if (a->omult.kind) {
        project(p->cx, &a->omult, o, n, s->wide, s->x);
        o = s->x;
    }
    if (!a->oconv.kind)
        return o;
    struct ring r = {st->ring_o, projection_history(&a->oconv), a->d};
    recall(s->u, &r, at);
    memcpy(s->u + r.past * r.w, o, n * r.w * sizeof *o);
    project(p->cx, &a->oconv, s->u + r.past * r.w, n, s->wide, s->y);
    remember(&r, s->u, at, n);
    return s->y;
}

/* pass_clock gives queries, keys and values the whole of a step. */
static void count_attend(struct pass *p, uint64_t ns)
{
    p->part_ns[TERRA_PART_ATT] += ns;
    p->part_ns[TERRA_PART_QKV] -= ns;
}

static const struct norm *norm_of(const struct attention *a)
{
    return a->ln.scale ? &a->ln : NULL;
}

/* One decoded row in one go, if it can be had: from x to s.o and, as far as no output layer is
 * to come, to acc. */
static bool step_multconv(struct pass *p, const struct attention *a, struct att_state *st,
                          const float *x, size_t at, float *acc)
{
    struct scratch *s = &p->s;
    const struct projection *all[] = {&a->q, &a->k, &a->v};
    struct conv_call call[3];
    float *y[] = {s->q, s->k, s->v};
    if (a->mult.kind != PROJ_FACTORED || a->cfg->v_concat != TERRA_V_NONE ||
        a->cfg->core != TERRA_CORE_STANDARD ||
        compute_threads(p->cx) * (size_t)a->q.conv.length > a->mult.conv.modules)
        return false;
    for (int i = 0; i < 3; i++) {
        if (all[i]->kind != PROJ_CONV || all[i]->conv.length != a->q.conv.length)
            return false;
        call[i] = (struct conv_call){&all[i]->w, all[i]->b, &all[i]->conv, y[i]};
    }
    struct multconv_step step = {
        .res = {.ln = norm_of(a), .x = x, .own = s->own, .acc = has_output(a) ? NULL : acc},
        .mult = {&a->mult.gate, &a->mult.w, a->mult.b, a->mult.conv.modules},
        .qkv = call,
        .ring = st->ring_u,
        .attend = standard(p, a, st, 1, at, true),
        .scratch = s->wide,
        .scores = s->scores,
        .out = s->o,
        .timed = p->timed};
    if (!compute_multconv(p->cx, &step))
        return false;
    if (step.res.bad)
        pass_bad(p, "attention");
    count_attend(p, step.attend_ns);
    return true;
}

/* The same of linear layers, to s.o. */
static bool step_heads(struct pass *p, const struct attention *a, struct att_state *st,
                       const float *x, size_t at)
{
    struct scratch *s = &p->s;
    const struct projection *all[] = {&a->q, &a->k, &a->v};
    float *y[] = {s->q, s->k, s->v};
    struct heads_step step = {.res = {.ln = norm_of(a), .x = x, .own = s->own},
                              .attend = standard(p, a, st, 1, at, true),
                              .scores = s->scores,
                              .out = s->o,
                              .timed = p->timed};
    if (a->mult.kind || a->cfg->core != TERRA_CORE_STANDARD || a->cfg->type == TERRA_ATT_SELF ||
        a->dk != a->dv)
        return false;
    for (int i = 0; i < 3; i++) {
        if (all[i]->kind != PROJ_DENSE)
            return false;
        step.qkv[i] = (struct linear){&all[i]->w, all[i]->b, NULL, y[i]};
    }
    if (!compute_heads(p->cx, &step))
        return false;
    count_attend(p, step.attend_ns);
    return true;
}

/* Queries, keys and values of all rows, and what the queries attend to: into s.o. */
static void attend(struct pass *p, const struct attention *a, struct att_state *st,
                   const float *x, size_t n, size_t first, bool causal, uint64_t *clock)
{
    size_t d = a->d;
    bool efficient = a->cfg->type == TERRA_ATT_SELF || attention_is_lsh(a, p->length);
    for (size_t t = 0; t < n; t += p->tile) {
        size_t rows = n - t < p->tile ? n - t : p->tile;
        if (norm_of(a))
            compute_norm(p->cx, &a->ln, x + t * d, rows, d, p->s.x);
        else
            memcpy(p->s.x, x + t * d, rows * d * sizeof *x);
        pass_clock(p, TERRA_PART_OTHER, clock);
        project_tile(p, a, st, t, rows, first + t, efficient);
        pass_clock(p, TERRA_PART_QKV, clock);
    }
    if (efficient) {
        attend_efficient(p, a, st, n, first, causal);
    } else {
        struct attend at = standard(p, a, st, n, first, causal);
        compute_attend(p->cx, &at, p->s.q, n, p->s.scores, p->s.score_floats, p->s.o);
    }
    pass_clock(p, TERRA_PART_ATT, clock);
}

static void output_rows(struct pass *p, const struct attention *a, struct att_state *st,
                        size_t n, size_t first, float *acc)
{
    size_t d = a->d;
    for (size_t t = 0; t < n; t += p->tile) {
        size_t rows = n - t < p->tile ? n - t : p->tile;
        const float *out =
            output_tile(p, a, st, p->s.o + t * a->heads * a->dv, rows, first + t);
        compute_kernels(p->cx)->add(out, rows * d, acc + t * d);
        pass_check(p, "attention", acc + t * d, rows * d);
    }
}

static void output_step(struct pass *p, const struct attention *a, float *acc)
{
    struct linear_step out = {.res = {.x = p->s.o, .acc = acc},
                              .call = {&a->o.w, a->o.b, NULL, p->s.y}};
    compute_linear_step(p->cx, &out);
    if (out.res.bad)
        pass_bad(p, "attention");
}

void attention_run(struct pass *p, const struct attention *a, struct att_state *st,
                   const float *x, size_t n, size_t first, bool causal, float *acc)
{
    uint64_t clock = 0;
    pass_clock(p, TERRA_PART_OTHER, &clock);
    bool step = n == 1 && causal, added = step && step_multconv(p, a, st, x, first, acc);
    if (!added && !(step && step_heads(p, a, st, x, first)))
        attend(p, a, st, x, n, first, causal, &clock);
    if (n == 1 && a->o.kind == PROJ_DENSE)
        output_step(p, a, acc);
    else if (!added || has_output(a))
        output_rows(p, a, st, n, first, acc);
    pass_clock(p, TERRA_PART_QKV, &clock);
}
