/* compute_attend.c - standard attention over a cache: one (row, head) pair at a time, or a
 * tile of rows of one head as two products of matrices.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/clock.h"
#include "engine/compute_internal.h"

#include <math.h>
#include <string.h>

#ifndef TERRA_NO_BLAS
#include <cblas.h>
#endif

/* ---- storing ------------------------------------------------------------------------ */

static uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (f != f)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void store_row(const struct kernels *k, const struct cache *c, size_t row, size_t width,
                      const float *x)
{
    if (c->dtype == TERRA_F32) {
        memcpy((float *)c->data + row * width, x, width * sizeof *x);
    } else if (c->dtype == TERRA_BF16) {
        uint16_t *to = (uint16_t *)c->data + row * width;
        for (size_t i = 0; i < width; i++)
            to[i] = to_bf16(x[i]);
    } else {
        c->scale[row] = k->narrow(x, width, (int8_t *)c->data + row * width);
    }
}

void store_heads(struct compute *cx, const struct cache *c, size_t width, size_t cap, size_t at,
                 const float *x, size_t h0, size_t h1)
{
    for (size_t h = h0; h < h1; h++)
        store_row(cx->k, c, h * cap + at, width, x + h * width);
}

void compute_store(struct compute *cx, const struct cache *c, size_t heads, size_t width,
                   size_t cap, size_t at, const float *x, size_t n)
{
    for (size_t t = 0; t < n; t++)
        store_heads(cx, c, width, cap, at + t, x + t * heads * width, 0, heads);
}

/* ---- attention -------------------------------------------------------------------------- */

struct attend_job {
    struct compute *c;
    const struct attend *a;
    const float *q; /* rows [from, from + n) */
    size_t from, n;
    float *scores, *out;
};

static struct mat head_rows(const struct cache *c, size_t head, const struct attend *a)
{
    size_t first = head * a->cap;
    return (struct mat){.dtype = c->dtype,
                        .rows = (uint32_t)a->cap,
                        .cols = a->dh,
                        .data = (const char *)c->data + first * a->dh * dtype_size(c->dtype),
                        .scale = c->scale ? c->scale + first : NULL};
}

enum {
    MOST_DH = 256,     /* of a head whose query is rounded to 8 bits */
    HEAD_FETCH = 4096, /* bytes */
    ATTEND_FETCH = 32  /* lines fetched ahead with every head */
};

/* Whether queries meet keys as whole numbers: alone, and many together. */
static bool can_quads(const struct kernels *k, const struct attend *a)
{
    return k->panels_q8 && a->k.dtype == TERRA_I8 && a->v.dtype == TERRA_I8 &&
           a->dh % PANEL == 0 && a->dh < MOST_DH;
}

/* s[r] = scale * (q . key r) for r < seen. */
static void score_row(const struct kernels *kern, const struct attend *a, const struct mat *k,
                      size_t seen, const float *q, float scale, float *s)
{
    if (can_quads(kern, a)) {
        int8_t q8[MOST_DH + sizeof(struct q8_block)];
        kern->quantize(q, NULL, TERRA_F32, scale, a->dh, q8);
        kern->dots_q8(k->data, k->scale, seen, a->dh, q8, s);
        return;
    }
    kern->rows(k, 0, seen, q, a->dh, 1, s, seen);
    for (size_t r = 0; r < seen; r++)
        s[r] *= scale;
}

/* Keys that a query of row t sees. */
static size_t seen_by(const struct attend *a, size_t t)
{
    return a->causal ? a->first + t + 1 : a->rows;
}

static void fetch_begin(const void *p, size_t bytes)
{
    fetch_bytes(p, min_size(bytes, HEAD_FETCH));
}

/* The first keys and values of a head and their scales; memory then sees where it goes on. */
void fetch_head(const struct attend *a, size_t head, size_t seen)
{
    struct mat k = head_rows(&a->k, head, a), v = head_rows(&a->v, head, a);
    fetch_begin(k.data, seen * a->dh * dtype_size(k.dtype));
    fetch_begin(v.data, seen * a->dh * dtype_size(v.dtype));
    if (k.scale)
        fetch_begin(k.scale, seen * sizeof *k.scale);
    if (v.scale)
        fetch_begin(v.scale, seen * sizeof *v.scale);
}

/* Item i is head i / n, row i % n: a thread stays with a head's keys. */
static void attend_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct attend_job *j = arg;
    const struct attend *a = j->a;
    const struct kernels *kern = j->c->k;
    size_t width = (size_t)a->heads * a->dh;
    float scale = 1 / sqrtf((float)a->dh);
    for (size_t i = i0; i < i1; i++) {
        size_t head = i / j->n, t = j->from + i % j->n;
        size_t seen = seen_by(a, t);
        const float *q = j->q + t * width + head * a->dh;
        struct mat k = head_rows(&a->k, head, a), v = head_rows(&a->v, head, a);
        float *s = j->scores + i * a->rows;
        if (j->n == 1 && i + 1 < i1)
            fetch_head(a, i + 1, seen);
        score_row(kern, a, &k, seen, q, scale, s);
        for (size_t r = 0; a->valid && r < seen; r++)
            s[r] = a->valid[r] ? s[r] : -1e9f;
        fetch_some(j->c, thread, ATTEND_FETCH);
        kern->softmax(s, seen);
        float *out = j->out + t * width + head * a->dh;
        memset(out, 0, a->dh * sizeof *out);
        kern->axpy_at(&v, NULL, s, seen, 0, a->dh, out);
    }
}

void attend_heads(struct compute *c, uint32_t thread, const struct attend *a, const float *q,
                  float *scores, size_t h0, size_t h1, float *out)
{
    struct attend_job j = {.c = c, .a = a, .q = q, .n = 1, .scores = scores, .out = out};
    attend_part(&j, thread, h0, h1);
}

/* ---- tiles of queries ----------------------------------------------------------------- */

/* Queries [t0, t1) of one head, the keys that the last of them sees, and their scores,
 * a->rows apart. */
struct query_tile {
    size_t t0, t1, most;
    struct mat k, v;
    const float *q; /* rows `width` apart, as those of out */
    float *s, *out;
    size_t width;
};

/* Item i is head i / tiles, rows from i % tiles * ATTEND_ROWS. */
static struct query_tile query_tile(const struct attend_job *j, uint32_t thread, size_t i)
{
    const struct attend *a = j->a;
    size_t tiles = (j->n + ATTEND_ROWS - 1) / ATTEND_ROWS, head = i / tiles;
    struct query_tile t = {.t0 = i % tiles * ATTEND_ROWS, .width = (size_t)a->heads * a->dh};
    t.t1 = min_size(t.t0 + ATTEND_ROWS, j->n);
    t.most = seen_by(a, t.t1 - 1);
    t.k = head_rows(&a->k, head, a);
    t.v = head_rows(&a->v, head, a);
    t.q = j->q + t.t0 * t.width + head * a->dh;
    t.out = j->out + t.t0 * t.width + head * a->dh;
    t.s = j->scores + (size_t)thread * ATTEND_ROWS * a->rows;
    return t;
}

#ifndef TERRA_NO_BLAS
/* Scores to weights; what a row does not see weighs 0. */
static void weigh(const struct attend_job *j, const struct query_tile *tile)
{
    const struct attend *a = j->a;
    float *s = tile->s;
    for (size_t t = tile->t0; t < tile->t1; t++, s += a->rows) {
        size_t seen = seen_by(a, t);
        for (size_t r = 0; a->valid && r < seen; r++)
            s[r] = a->valid[r] ? s[r] : -1e9f;
        j->c->k->softmax(s, seen);
        memset(s + seen, 0, (tile->most - seen) * sizeof *s);
    }
}

static void blas_tiles(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct attend_job *j = arg;
    const struct kernels *kern = j->c->k;
    float *x = compute_tile(j->c, thread);
    size_t dh = j->a->dh, fit = TILE_FLOATS / dh;
    int ld = (int)j->a->rows;
    for (size_t i = i0; i < i1; i++) {
        struct query_tile t = query_tile(j, thread, i);
        int n = (int)(t.t1 - t.t0), width = (int)t.width;
        for (size_t r0 = 0, r1; r0 < t.most; r0 = r1) {
            r1 = min_size(r0 + fit, t.most);
            kern->expand(&t.k, r0, r1, 0, dh, x, dh);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, (int)(r1 - r0), (int)dh,
                        1 / sqrtf((float)dh), t.q, width, x, (int)dh, 0, t.s + r0, ld);
        }
        weigh(j, &t);
        for (size_t r0 = 0, r1; r0 < t.most; r0 = r1) {
            r1 = min_size(r0 + fit, t.most);
            kern->expand(&t.v, r0, r1, 0, dh, x, dh);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, (int)dh, (int)(r1 - r0),
                        1, t.s + r0, ld, x, (int)dh, r0 ? 1 : 0, t.out, width);
        }
    }
}
#endif

/* int8 caches: queries and weights in 8 bits, KEYS keys at a time, whose scores stay in the
 * cache: a row's weights are relative to the largest score so far, and what is mixed already
 * is made smaller when a larger one comes.  Keys and values are packed into the thread's
 * scratch; the last keys that fill no panel go row by row. */
enum { KEYS = 512, Q8_KEYS = KEYS + KEYS / Q8_BLOCK * sizeof(struct q8_block) };

struct quads {
    float one[MOST_DH], most[ATTEND_ROWS], sum[ATTEND_ROWS];
    int8_t q[ATTEND_ROWS * (MOST_DH + sizeof(struct q8_block))];
    int8_t x[ATTEND_ROWS * Q8_KEYS];
    uint8_t w[KEYS * MOST_DH];
};
_Static_assert(sizeof(struct quads) <= TILE_FLOATS * sizeof(float), "fits a thread's scratch");

/* Keys [r0, r0 + n) of a tile, of which the first `whole` are packed; scores are ld apart. */
struct key_run {
    size_t r0, n, whole, ld;
};

static struct pack on_the_fly(const struct quads *z, const float *scale, size_t outs,
                              size_t depth)
{
    uint32_t panels = (uint32_t)(outs / PANEL);
    return (struct pack){.dtype = TERRA_I8,
                         .groups = 1,
                         .panels = panels,
                         .slab = panels,
                         .depth = (uint32_t)depth,
                         .data = z->w,
                         .scale = scale,
                         .quads = true};
}

static void score_run(const struct attend_job *j, const struct query_tile *t, struct quads *z,
                      const struct key_run *r)
{
    const struct kernels *kern = j->c->k;
    size_t dh = j->a->dh, n = t->t1 - t->t0, ld_q = q8_bytes(dh);
    const int8_t *keys = (const int8_t *)t->k.data + r->r0 * dh;
    const float *scale = t->k.scale + r->r0;
    struct pack p = on_the_fly(z, scale, r->whole, dh);
    if (r->whole) {
        kern->pack_rows(keys, r->whole, dh, z->w);
        for (size_t i = 0; i < n; i++)
            memset(t->s + i * r->ld, 0, r->whole * sizeof *t->s);
        kern->panels_q8(&p, NULL, 0, p.panels, z->q, ld_q, n, t->s, r->ld, NULL);
    }
    for (size_t i = 0; i < n && r->whole < r->n; i++)
        kern->dots_q8(keys + r->whole * dh, scale + r->whole, r->n - r->whole, dh,
                      z->q + i * ld_q, t->s + i * r->ld + r->whole);
}

/* Scores to weights; what a row does not see weighs 0. */
static void weigh_run(const struct attend_job *j, const struct query_tile *t, struct quads *z,
                      const struct key_run *r)
{
    const struct kernels *kern = j->c->k;
    const uint8_t *valid = j->a->valid;
    for (size_t i = 0; i < t->t1 - t->t0; i++) {
        float *s = t->s + i * r->ld, *out = t->out + i * t->width;
        size_t all = seen_by(j->a, t->t0 + i);
        size_t seen = all > r->r0 ? min_size(all - r->r0, r->n) : 0;
        for (size_t k = 0; valid && k < seen; k++)
            s[k] = valid[r->r0 + k] ? s[k] : -1e9f;
        if (seen) {
            float most = fmaxf(z->most[i], kern->max(s, seen)), less = expf(z->most[i] - most);
            z->sum[i] = z->sum[i] * less + kern->exps(s, seen, most);
            z->most[i] = most;
            for (size_t c = 0; less != 1 && c < j->a->dh; c++)
                out[c] *= less;
        }
        memset(s + seen, 0, (r->n - seen) * sizeof *s);
    }
}

static void mix_run(const struct attend_job *j, const struct query_tile *t, struct quads *z,
                    const struct key_run *r)
{
    const struct kernels *kern = j->c->k;
    size_t dh = j->a->dh, n = t->t1 - t->t0, ld_x = q8_bytes(r->whole);
    struct mat rest = t->v;
    struct pack p = on_the_fly(z, z->one, dh, r->whole);
    rest.rows = (uint32_t)(r->n - r->whole);
    rest.data = (const int8_t *)t->v.data + (r->r0 + r->whole) * dh;
    rest.scale += r->r0 + r->whole;
    if (r->whole) {
        for (size_t i = 0; i < n; i++) /* a value's scale goes to its weight */
            kern->quantize(t->s + i * r->ld, t->v.scale + r->r0, TERRA_F32, 1, r->whole,
                           z->x + i * ld_x);
        kern->pack_columns((const int8_t *)t->v.data + r->r0 * dh, r->whole, dh, z->w);
        kern->panels_q8(&p, NULL, 0, p.panels, z->x, ld_x, n, t->out, t->width, NULL);
    }
    if (rest.rows)
        kern->axpy_rows(&rest, t->s + r->whole, r->ld, n, 0, dh, t->out, t->width);
}

static void quad_tiles(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct attend_job *j = arg;
    struct quads *z = (struct quads *)(void *)compute_tile(j->c, thread);
    size_t dh = j->a->dh;
    for (size_t c = 0; c < dh; c++)
        z->one[c] = 1;
    for (size_t i = i0; i < i1; i++) {
        struct query_tile t = query_tile(j, thread, i);
        size_t n = t.t1 - t.t0;
        quantize_rows(j->c->k, t.q, t.width, 1 / sqrtf((float)dh), n, dh, z->q);
        for (size_t k = 0; k < n; k++) {
            z->most[k] = -INFINITY;
            z->sum[k] = 0;
            memset(t.out + k * t.width, 0, dh * sizeof *t.out);
        }
        struct key_run r = {.ld = min_size(KEYS, j->a->rows)};
        for (; r.r0 < t.most; r.r0 += r.n) {
            r.n = min_size(KEYS, t.most - r.r0);
            r.whole = r.n / PANEL * PANEL;
            score_run(j, &t, z, &r);
            weigh_run(j, &t, z, &r);
            mix_run(j, &t, z, &r);
        }
        for (size_t k = 0; k < n; k++)
            for (size_t c = 0; c < dh; c++)
                t.out[k * t.width + c] *= 1 / z->sum[k];
    }
}

/* ---- one decoded position ------------------------------------------------------------- */

void attend_own(struct compute *c, uint32_t thread, const struct attend *a,
                const float *const qkv[3], float *scores, size_t h0, size_t h1, float *out)
{
    store_heads(c, &a->k, a->dh, a->cap, a->first, qkv[1], h0, h1);
    store_heads(c, &a->v, a->dh, a->cap, a->first, qkv[2], h0, h1);
    attend_heads(c, thread, a, qkv[0], scores, h0, h1, out);
}

struct heads_job {
    struct compute *c;
    struct heads_step *s;
};

static void heads_part(void *arg, uint32_t thread, size_t h0, size_t h1)
{
    const struct heads_job *j = arg;
    struct heads_step *s = j->s;
    const struct residual *res = &s->res;
    size_t d = s->qkv[0].w->cols, dh = s->attend.dh;
    const float *x = own_norm(j->c->k, res->ln, res->x, d, res->own, thread);
    const float *const y[3] = {s->qkv[0].y, s->qkv[1].y, s->qkv[2].y};
    for (int i = 0; i < 3; i++) {
        struct linear l = s->qkv[i];
        l.x = x;
        linear_outputs(j->c, thread, &l, h0 * dh, h1 * dh);
    }
    uint64_t since = s->timed && thread == 0 ? clock_ns() : 0; /* the caller's share */
    attend_own(j->c, thread, &s->attend, y, s->scores, h0, h1, s->out);
    if (since)
        s->attend_ns = clock_ns() - since;
}

bool compute_heads(struct compute *c, struct heads_step *s)
{
    struct heads_job j = {c, s};
    const struct attend *a = &s->attend;
    if (a->heads < SHARE * (size_t)compute_threads(c) || a->dh % PANEL)
        return false;
    pool_run(c->pool, a->heads, 1, heads_part, &j);
    return true;
}

/* ---- any number of positions ----------------------------------------------------------- */

size_t compute_attend_floats(size_t threads, size_t heads, size_t rows)
{
    return (heads > threads * ATTEND_ROWS ? heads : threads * ATTEND_ROWS) * rows;
}

void compute_attend(struct compute *c, const struct attend *a, const float *q, size_t n,
                    float *scores, size_t score_floats, float *out)
{
    struct attend_job j = {c, a, q, 0, n, scores, out};
    size_t tiles = a->heads * ((n + ATTEND_ROWS - 1) / ATTEND_ROWS);
    if (n >= GEMM_FROM && can_quads(c->k, a)) {
        pool_run(c->pool, tiles, 1, quad_tiles, &j);
        return;
    }
#ifndef TERRA_NO_BLAS
    if (n >= GEMM_FROM && a->dh <= TILE_FLOATS) {
        pool_run(c->pool, tiles, 1, blas_tiles, &j);
        return;
    }
#endif
    size_t most = score_floats / (a->heads * a->rows);
    for (; j.from < n; j.from += most) {
        j.n = min_size(most, n - j.from);
        pool_run(c->pool, a->heads * j.n, 1, attend_part, &j);
    }
}
