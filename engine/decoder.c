/* decoder.c - see decoder.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/decoder.h"

#include "engine/attention.h"
#include "engine/feed_forward.h"
#include "engine/projection.h"

#include <math.h>
#include <string.h>

/* ---- state ---------------------------------------------------------------------- */

static void cache_layout(struct cache *c, struct arena *a, size_t rows, size_t width,
                         enum terra_dtype dtype)
{
    c->dtype = dtype;
    c->data = arena_get(a, rows, width * dtype_size(dtype));
    c->scale = dtype == TERRA_I8 ? arena_get(a, rows, sizeof(float)) : NULL;
}

static void att_layout(struct att_state *st, struct arena *a, const struct attention *att,
                       size_t cap, enum terra_dtype cache)
{
    size_t ring = attention_ring(att), d = att->d;
    cache_layout(&st->k, a, cap * att->heads, att->dk, cache);
    cache_layout(&st->v, a, cap * att->heads, att->dv, cache);
    st->ring_u = arena_get(a, ring * d, sizeof(float));
    st->ring_v =
        arena_get(a, att->cfg->v_concat == TERRA_V_NONE ? 0 : ring * 2 * d, sizeof(float));
    st->ring_o = arena_get(a, att->oconv.kind ? ring * d : 0, sizeof(float));
}

static void att_reset(struct att_state *st, const struct attention *att)
{
    size_t ring = attention_ring(att), d = att->d;
    memset(st->ring_u, 0, ring * d * sizeof(float));
    if (att->cfg->v_concat != TERRA_V_NONE)
        memset(st->ring_v, 0, ring * 2 * d * sizeof(float));
    if (att->oconv.kind)
        memset(st->ring_o, 0, ring * d * sizeof(float));
}

static void item_reset(struct item_state *st, const struct stack_item *it)
{
    for (uint32_t i = 0; i < it->n_att; i++)
        att_reset(&st->att[i], &it->att[i]);
    const struct sru *r = &it->ff.sru;
    memset(st->ff.carry, 0, (size_t)r->layers * r->width * sizeof(float));
}

void stack_state_reset(struct stack_state *st, const struct stack *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        item_reset(&st->item[i], &s->item[i]);
}

static void copy(float *to, const float *from, size_t bytes)
{
    if (bytes)
        memcpy(to, from, bytes);
}

/* Rows of every head; a cache is [heads][cap][width]. */
static void copy_cache(const struct cache *to, const struct state_rows *t,
                       const struct cache *src, const struct state_rows *f, size_t heads,
                       size_t width, size_t from, size_t upto)
{
    size_t row = width * dtype_size(to->dtype);
    for (size_t h = 0; h < heads; h++) {
        size_t at = h * t->cap + t->at + from, of = h * f->cap + f->at + from;
        memcpy((char *)to->data + at * row, (const char *)src->data + of * row,
               (upto - from) * row);
        if (to->scale)
            memcpy(to->scale + at, src->scale + of, (upto - from) * sizeof *to->scale);
    }
}

void stack_state_copy(const struct stack *s, const struct state_rows *to,
                      const struct state_rows *src, size_t from, size_t upto)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct stack_item *it = &s->item[i];
        for (uint32_t j = 0; j < it->n_att; j++) {
            const struct attention *a = &it->att[j];
            const struct att_state *x = &to->st->item[i].att[j], *y = &src->st->item[i].att[j];
            size_t ring = attention_ring(a) * (size_t)a->d * sizeof(float);
            if (from < upto) {
                copy_cache(&x->k, to, &y->k, src, a->heads, a->dk, from, upto);
                copy_cache(&x->v, to, &y->v, src, a->heads, a->dv, from, upto);
            }
            copy(x->ring_u, y->ring_u, ring);
            copy(x->ring_v, y->ring_v, a->cfg->v_concat == TERRA_V_NONE ? 0 : 2 * ring);
            copy(x->ring_o, y->ring_o, a->oconv.kind ? ring : 0);
        }
        const struct sru *r = &it->ff.sru;
        copy(to->st->item[i].ff.carry, src->st->item[i].ff.carry,
             (size_t)r->layers * r->width * sizeof(float));
    }
}

/* A shared state still gives every attention layer of a block its own history, but one pair
 * of caches: they are rewritten before they are read. */
void stack_state_layout(struct stack_state *st, struct arena *a, const struct stack *s,
                        size_t cap, enum terra_dtype cache, bool shared)
{
    size_t widest = 0;
    st->shared = shared;
    st->item = arena_get(a, s->n, sizeof *st->item);
    for (uint32_t i = 0; shared && i < s->n; i++)
        for (uint32_t j = 0; j < s->item[i].n_att; j++) {
            const struct attention *att = &s->item[i].att[j];
            size_t w = (size_t)att->heads * (att->dk > att->dv ? att->dk : att->dv);
            widest = w > widest ? w : widest;
        }
    float *k = shared ? arena_get(a, cap * widest, sizeof(float)) : NULL;
    float *v = shared ? arena_get(a, cap * widest, sizeof(float)) : NULL;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct stack_item *it = &s->item[i];
        struct item_state dry = {0}, *one = st->item ? &st->item[i] : &dry;
        one->att = arena_get(a, it->n_att, sizeof *one->att);
        for (uint32_t j = 0; j < it->n_att; j++) {
            struct att_state none = {0}, *as = one->att ? &one->att[j] : &none;
            att_layout(as, a, &it->att[j], shared ? 0 : cap, cache);
            if (shared) {
                as->k = (struct cache){.data = k};
                as->v = (struct cache){.data = v};
            }
        }
        one->ff.carry =
            arena_get(a, (size_t)it->ff.sru.layers * it->ff.sru.width, sizeof(float));
    }
}

bool stack_check(const struct stack *s, size_t rows, bool causal, struct err *e)
{
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t j = 0; j < s->item[i].n_att; j++)
            if (!attention_check(&s->item[i].att[j], rows, causal, e))
                return false;
    return true;
}

/* ---- items ------------------------------------------------------------------------ */

static void swap(struct streams *x)
{
    float *t = x->a;
    x->a = x->b;
    x->b = t;
}

/* a = b = concat(a, b), in place: row t moves up, so the last row goes first. */
static void widen(struct streams *x, size_t n, size_t d)
{
    for (size_t t = n; t-- > 0;) {
        memmove(x->a + t * 2 * d, x->a + t * d, d * sizeof(float));
        memcpy(x->a + t * 2 * d + d, x->b + t * d, d * sizeof(float));
    }
    memcpy(x->b, x->a, n * 2 * d * sizeof(float));
}

static void average_into_b(struct streams *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x->b[i] = (x->a[i] + x->b[i]) / 2;
}

static void forget(struct pass *p, const struct dense *w, struct streams *x, size_t n)
{
    if (w->w.rows == 0)
        return;
    average_into_b(x, n * w->w.cols);
    compute_linear(p->cx, &w->w, w->b, x->b, n, x->a);
    memcpy(x->b, x->a, n * w->w.rows * sizeof(float));
    pass_check(p, "the forgetting layer after it", x->a, n * w->w.rows);
}

/* n_att times (attention, swap), feed-forward, swap: after each, streams change roles. */
static void block(struct pass *p, const struct stack_item *it, struct item_state *st,
                  struct streams *x, size_t n, size_t first)
{
    compute_soon(p->cx, it->soon, n == 1 ? it->n_soon : 0, it->soon_pace);
    bool decoder = p->stage == TERRA_DECODER;
    for (uint32_t i = 0; i < it->n_att; i++) {
        attention_run(p, &it->att[i], &st->att[i], x->b, n, first, decoder, x->a);
        swap(x);
    }
    feed_forward_run(p, &it->ff, &st->ff, x->b, n, first, x->a);
    if (decoder || p->m->cfg.two_swaps)
        swap(x);
}

static bool healthy(const struct pass *p, struct err *e)
{
    const struct bad_value *b = &p->bad;
    return !b->found ||
           err_set(e, ERR_NUMERIC, "NaN or Inf in %s block %u, %s",
                   b->stage == TERRA_ENCODER ? "encoder" : "decoder", b->layer, b->part);
}

/* What the head makes of the step's row here; NaN where the streams are narrower. */
static void look(struct pass *p, const struct streams *x, size_t n, size_t first, size_t d)
{
    size_t V = p->m->cfg.out_vocab;
    float *out = p->lens + p->layer * V;
    if (p->step_row < first || p->step_row >= first + n)
        return;
    if (d == p->m->d_out)
        head_run(p, x, p->step_row - first, 1, out, NULL);
    else
        for (size_t i = 0; i < V; i++)
            out[i] = NAN;
}

static bool stack_run(struct pass *p, const struct stack *s, struct stack_state *st,
                      struct streams *x, size_t n, size_t first,
                      void (*progress)(void *, uint64_t), void *user, struct err *e)
{
    size_t d = p->m->d_enc;
    uint32_t blocks = 0;
    p->layer = 0;
    p->bad.found = false;
    pass_check(p, "its input", x->a, n * d);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct stack_item *it = &s->item[i];
        if (pass_cancelled(p))
            return err_set(e, ERR_CANCELLED, "stopped");
        if (st->shared)
            item_reset(&st->item[i], it);
        if (it->kind == ITEM_BLOCK) {
            p->layer = blocks++;
            block(p, it, &st->item[i], x, n, first);
            if (p->lens && p->stage == TERRA_DECODER)
                look(p, x, n, first, d);
            if (progress)
                progress(user, n);
        } else if (it->kind == ITEM_WIDEN) {
            widen(x, n, d);
            d *= 2;
        } else {
            forget(p, &it->forget, x, n);
        }
        if (!healthy(p, e))
            return false;
    }
    return true;
}

bool encoder_run(struct pass *p, struct stack_state *st, struct streams *x, size_t n,
                 void (*progress)(void *user, uint64_t done), void *user, struct err *e)
{
    const struct terra_model *m = p->m;
    p->stage = TERRA_ENCODER;
    if (!stack_run(p, &m->enc, st, x, n, 0, progress, user, e))
        return false;
    if (m->cfg.reversible_encoder)
        return true;
    average_into_b(x, n * m->d_enc);
    compute_linear(p->cx, &m->merge.w, m->merge.b, x->b, n, x->a);
    compute_norm(p->cx, &m->merge_ln, x->a, n, m->d_enc, x->b);
    memcpy(x->a, x->b, n * m->d_enc * sizeof(float));
    pass_check(p, "the merge after it", x->a, n * m->d_enc);
    return healthy(p, e);
}

bool decoder_run(struct pass *p, struct stack_state *st, struct streams *x, size_t n,
                 size_t first, void (*progress)(void *user, uint64_t done), void *user,
                 struct err *e)
{
    p->stage = TERRA_DECODER;
    return stack_run(p, &p->m->dec, st, x, n, first, progress, user, e);
}

bool head_run(struct pass *p, const struct streams *x, size_t from, size_t n, float *logits,
              struct err *e)
{
    const struct terra_model *m = p->m;
    size_t d = m->d_out, V = m->loss.out;
    for (size_t t = 0; t < n; t += p->tile) {
        size_t rows = n - t < p->tile ? n - t : p->tile;
        const float *a = x->a + (from + t) * d, *b = x->b + (from + t) * d;
        for (size_t i = 0; i < rows * d; i++)
            p->s.y[i] = (a[i] + b[i]) / 2;
        compute_norm(p->cx, &m->ln_out, p->s.y, rows, d, p->s.x);
        project(p->cx, &m->loss, p->s.x, rows, p->s.wide, logits + t * V);
        pass_check(p, "logits", logits + t * V, rows * V);
    }
    return p->bad.found ? err_set(e, ERR_NUMERIC, "NaN or Inf in the logits") : true;
}
