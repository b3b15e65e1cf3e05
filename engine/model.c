/* model.c - see model.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/model.h"

#include "engine/base/buf.h"
#include "engine/base/xalloc.h"
#include "engine/vocab.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- binding: one tensor ---------------------------------------------------- */

/* The first failure sticks: later calls do nothing, so that layers read as plain lists. */
struct binder {
    const struct tensor_source *src;
    struct err *e;
    bool failed;
};

static const struct tensor *bind(struct binder *b, const char *name, bool is_matrix,
                                 uint32_t rank, const uint64_t *shape)
{
    if (b->failed)
        return NULL;
    const struct tensor *t = b->src->find(b->src->self, name, rank, shape, is_matrix);
    char want[96], got[96];
    tensor_show_shape(shape, rank, want);
    if (!t) {
        b->failed = true;
        err_set(b->e, ERR_MODEL, "tensor '%s' %s is missing", name, want);
        return NULL;
    }
    if (t->rank != rank || memcmp(t->shape, shape, rank * sizeof *shape) != 0) {
        b->failed = true;
        tensor_show_shape(t->shape, t->rank, got);
        err_set(b->e, ERR_MODEL, "tensor '%s' has shape %s, config.json asks for %s", name, got,
                want);
        return NULL;
    }
    if (!is_matrix && t->dtype != TERRA_F32) {
        b->failed = true;
        err_set(b->e, ERR_MODEL, "tensor '%s' has dtype %s, it must be F32", name,
                tensor_dtype_name(t->dtype));
        return NULL;
    }
    return t;
}

#define SHAPE(...)                                                                             \
    (const uint64_t[])                                                                         \
    {                                                                                          \
        __VA_ARGS__                                                                            \
    }

static const float *bind_floats(struct binder *b, uint32_t rank, const uint64_t *shape,
                                const char *fmt, ...) ERR_PRINTF(4, 5);

static const float *bind_floats(struct binder *b, uint32_t rank, const uint64_t *shape,
                                const char *fmt, ...)
{
    char name[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    const struct tensor *t = bind(b, name, false, rank, shape);
    return t ? t->data : NULL;
}

/* A matrix: the last axis is `cols`, all others together are the rows. */
static struct mat bind_mat(struct binder *b, uint32_t rank, const uint64_t *shape,
                           const char *fmt, ...) ERR_PRINTF(4, 5);

static struct mat bind_mat(struct binder *b, uint32_t rank, const uint64_t *shape,
                           const char *fmt, ...)
{
    char name[128], scale[136];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    const struct tensor *t = bind(b, name, true, rank, shape);
    if (!t)
        return (struct mat){0};
    struct mat m = {.dtype = t->dtype,
                    .data = t->data,
                    .rows = (uint32_t)t->rows,
                    .cols = (uint32_t)t->cols};
    if (t->dtype == TERRA_I8) {
        snprintf(scale, sizeof scale, "%s.qscale", name);
        const struct tensor *s = bind(b, scale, false, rank - 1, shape);
        m.scale = s ? s->data : NULL;
    }
    return m;
}

/* ---- binding: layers ---------------------------------------------------------- */

static struct norm bind_norm(struct binder *b, const char *name, uint32_t d, bool center)
{
    return (struct norm){.scale = bind_floats(b, 1, SHAPE(d), "%s.scale", name),
                         .bias = bind_floats(b, 1, SHAPE(d), "%s.bias", name),
                         .center = center};
}

static struct dense bind_dense(struct binder *b, const char *name, uint32_t in, uint32_t out)
{
    return (struct dense){.w = bind_mat(b, 2, SHAPE(out, in), "%s.w", name),
                          .b = bind_floats(b, 1, SHAPE(out), "%s.b", name)};
}

static struct projection project_dense(struct binder *b, const char *name, uint32_t in,
                                       uint32_t out)
{
    struct dense d = bind_dense(b, name, in, out);
    return (struct projection){.kind = PROJ_DENSE, .in = in, .out = out, .w = d.w, .b = d.b};
}

static struct projection project_factored(struct binder *b, const char *name, uint32_t modules,
                                          uint32_t in, uint32_t out)
{
    return (struct projection){
        .kind = PROJ_FACTORED,
        .in = in,
        .out = out,
        .gate = bind_mat(b, 2, SHAPE(modules, in), "%s.gate", name),
        .w = bind_mat(b, 2, SHAPE(out / modules, in), "%s.proj", name),
        .b = bind_floats(b, 1, SHAPE(out), "%s.b", name),
        .conv = {.modules = modules},
    };
}

static struct projection project_conv(struct binder *b, const char *name, uint32_t d_in,
                                      uint32_t d_out, uint32_t modules, uint32_t length,
                                      uint32_t kernel)
{
    if (modules == 1) /* spec 2.6: M = 1 is a plain Dense, without any length kernel */
        return project_dense(b, name, d_in, d_out);
    uint32_t ci = d_in / modules, co = d_out / modules;
    return (struct projection){
        .kind = PROJ_CONV,
        .in = d_in,
        .out = d_out,
        .w = bind_mat(b, 4, SHAPE(length, kernel, co, ci), "%s.w", name),
        .b = bind_floats(b, 1, SHAPE(co), "%s.b", name),
        .conv =
            {.modules = modules, .length = length, .kernel = kernel, .c_in = ci, .m_out = co},
    };
}

/* The drop-in types of spec 2.6: q, k, v and o go through the same named layer. */
static struct projection project_named(struct binder *b, const char *name,
                                       const struct terra_attention_config *c, uint32_t d)
{
    uint32_t M = c->modules, m = M ? d / M : 0, k = c->module_kernel;
    struct projection p = {0};
    switch (c->type) {
    case TERRA_ATT_MULT:
        return project_factored(b, name, M, d, d);
    case TERRA_ATT_MULTMOD:
        p = project_factored(b, name, M, d, d);
        p.kind = PROJ_MULTMOD;
        p.w2 = bind_mat(b, 3, SHAPE(M, m, m), "%s.mod", name);
        return p;
    case TERRA_ATT_MODULAR:
        if (M == 1)
            break;
        return (struct projection){
            .kind = PROJ_MODULAR,
            .in = d,
            .out = d,
            .w = bind_mat(b, 4, SHAPE(M, k, m, m), "%s.w", name),
            .b = bind_floats(b, 2, SHAPE(M, m), "%s.b", name),
            .conv = {.modules = M, .length = 1, .kernel = k, .c_in = m, .m_out = m},
        };
    case TERRA_ATT_CONV:
        return project_conv(b, name, d, d, M, 1, k);
    case TERRA_ATT_LOWRANK:
        return (struct projection){
            .kind = PROJ_LOWRANK,
            .in = d,
            .out = d,
            .w = bind_mat(b, 2, SHAPE(c->rank, d), "%s.a.w", name),
            .b1 = bind_floats(b, 1, SHAPE(c->rank), "%s.a.b", name),
            .w2 = bind_mat(b, 2, SHAPE(d, c->rank), "%s.c.w", name),
            .b = bind_floats(b, 1, SHAPE(d), "%s.c.b", name),
        };
    default:
        break;
    }
    return project_dense(b, name, d, d);
}

static void bind_multconv(struct binder *b, struct attention *a, const char *name)
{
    const struct terra_attention_config *c = a->cfg;
    uint32_t d = a->d, M = c->modules, l = c->length_kernel;
    char n[112];
#define SUB(suffix) (snprintf(n, sizeof n, "%s." suffix, name), n)
    a->mult = project_factored(b, SUB("mult"), M, d, d);
    a->q = project_conv(b, SUB("q"), d, d, M, l, 3);
    if (!c->share_qk)
        a->k = project_conv(b, SUB("k"), d, d, M, l, 3);
    a->v = project_conv(b, SUB("v"), c->v_concat == TERRA_V_NONE ? d : 2 * d, d, M, l, 1);
    if (c->out_mult)
        a->omult = project_factored(b, SUB("omult"), M, d, d);
    if (c->out_conv)
        a->oconv = project_conv(b, SUB("oconv"), d, d, M, l, 3);
#undef SUB
}

/* Heads with projections of their own and no biases (spec 3.1). */
static struct projection project_heads(struct binder *b, const char *name, char which,
                                       uint32_t in, uint32_t out)
{
    return (struct projection){.kind = PROJ_DENSE,
                               .in = in,
                               .out = out,
                               .w = bind_mat(b, 2, SHAPE(out, in), "%s.%c.w", name, which)};
}

static void bind_rotations(struct binder *b, struct attention *a, const char *name)
{
    const struct terra_attention_config *c = a->cfg;
    if (c->core != TERRA_CORE_LSH && c->core != TERRA_CORE_MIXED)
        return;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < c->n_buckets; i++)
        sum += c->buckets[i];
    a->n_rot = sum / 2;
    if (sum == 0) {
        if (!b->failed && c->core == TERRA_CORE_LSH) {
            b->failed = true;
            err_set(b->e, ERR_MODEL, "%s: LSH attention needs 'buckets' and stored rotations",
                    name);
        }
        return;
    }
    /* Mixed attention that stays short never looks at its rotations. */
    char full[128];
    snprintf(full, sizeof full, "%s.rotations", name);
    const uint64_t shape[] = {a->heads, a->dk, c->hashes, a->n_rot};
    if (c->core == TERRA_CORE_MIXED && !b->failed &&
        !b->src->find(b->src->self, full, 4, shape, false))
        return;
    a->rotations = bind_floats(b, 4, shape, "%s", full);
}

static void bind_attention(struct binder *b, struct attention *a, const char *name,
                           const struct terra_config *c,
                           const struct terra_attention_config *att, uint32_t d)
{
    char n[112];
    *a = (struct attention){.cfg = att, .d = d, .heads = c->n_heads, .dk = d / c->n_heads};
    a->dv = a->dk;
    snprintf(n, sizeof n, "%s.ln", name);
    a->ln = bind_norm(b, n, d, c->center_norm);
    if (att->type == TERRA_ATT_SELF) {
        a->dk = att->d_key;
        a->dv = att->d_value;
        a->q = project_heads(b, name, 'q', d, a->heads * a->dk);
        if (!att->share_qk)
            a->k = project_heads(b, name, 'k', d, a->heads * a->dk);
        a->v = project_heads(b, name, 'v', d, a->heads * a->dv);
        a->o = project_heads(b, name, 'o', a->heads * a->dv, d);
    } else if (att->type == TERRA_ATT_MULTCONV) {
        bind_multconv(b, a, name);
    } else {
        struct projection *p[] = {&a->q, &a->k, &a->v, &a->o};
        for (int i = 0; i < 4; i++) {
            if (att->share_qk && i == 1)
                continue;
            snprintf(n, sizeof n, "%s.%c", name, "qkvo"[i]);
            *p[i] = project_named(b, n, att, d);
        }
    }
    bind_rotations(b, a, name);
}

static enum ff_kind ff_kind_of(const struct terra_config *c)
{
    if (c->ff_experts)
        return c->ff_switch ? FF_SWITCH : FF_EXPERTS;
    if (c->ff_block)
        return c->ff_multiply ? FF_MULTIPLY : FF_SPARSE;
    return FF_DENSE;
}

static void bind_ff(struct binder *b, struct ff *ff, const char *name,
                    const struct terra_config *c, uint32_t d, uint32_t f)
{
    char n[112];
    *ff = (struct ff){.d = d, .f = f, .kind = ff_kind_of(c)};
    snprintf(n, sizeof n, "%s.ln", name);
    ff->ln = bind_norm(b, n, d, c->center_norm);
    if (ff->kind == FF_EXPERTS || ff->kind == FF_SWITCH) {
        ff->router = bind_mat(b, 2, SHAPE(c->ff_experts, d), "%s.router", name);
        ff->s = (struct ff_weights){.w1 = bind_mat(b, 2, SHAPE(f, d), "%s.w1", name),
                                    .w2 = bind_mat(b, 2, SHAPE(f, d), "%s.w2", name),
                                    .b2 = bind_floats(b, 1, SHAPE(d), "%s.b2", name),
                                    .blocks = 1,
                                    .units = c->ff_experts};
    } else if (ff->kind != FF_DENSE) {
        uint32_t N = c->ff_block, K = f / N, r = c->ff_rank ? c->ff_rank : K;
        ff->s = (struct ff_weights){
            .ctl1 = bind_mat(b, 2, SHAPE(r, d), "%s.ctl1", name),
            .ctl2 = bind_mat(b, 3, SHAPE(K, N, r), "%s.ctl2", name),
            .ctlb = bind_floats(b, 2, SHAPE(K, N), "%s.ctlb", name),
            .w1 = bind_mat(b, 3, SHAPE(K, N, d), "%s.w1", name),
            .w2 = bind_mat(b, 3, SHAPE(K, N, d), "%s.w2", name),
            .b2 = bind_floats(b, 1, SHAPE(d), "%s.b2", name),
            .blocks = K,
            .units = N,
        };
    } else {
        snprintf(n, sizeof n, "%s.in", name);
        ff->in = bind_dense(b, n, d, f);
        snprintf(n, sizeof n, "%s.out", name);
        ff->out = bind_dense(b, n, f, d);
    }
    if (c->sru_layers == 0)
        return;
    uint32_t s = c->sru_width;
    ff->sru = (struct sru){.layers = c->sru_layers, .width = s};
    snprintf(n, sizeof n, "%s.sru.ln", name);
    ff->sru.ln = bind_norm(b, n, d, c->center_norm);
    snprintf(n, sizeof n, "%s.sru.in", name);
    ff->sru.in = bind_dense(b, n, d, s);
    for (uint32_t i = 0; i < c->sru_layers; i++) {
        snprintf(n, sizeof n, "%s.sru.%u", name, i);
        ff->sru.gate[i] = bind_dense(b, n, s, 3 * s);
    }
    snprintf(n, sizeof n, "%s.sru.out", name);
    ff->sru.out = bind_dense(b, n, s, d);
}

static void bind_positions(struct binder *b, struct positions *p, const char *name,
                           const struct terra_position_config *c, uint32_t d)
{
    *p = (struct positions){.cfg = c};
    if (c->type == TERRA_POS_TABLE) {
        p->table = bind_mat(b, 2, SHAPE(c->max, d), "%s", name);
    } else if (c->type == TERRA_POS_FACTORED) {
        p->table = bind_mat(b, 2, SHAPE(c->max, c->width), "%s", name);
        p->ff.w = bind_mat(b, 2, SHAPE(d, c->width), "%s.ff", name);
    } else if (c->type == TERRA_POS_FIXED_BASE) {
        p->base = bind_floats(b, 3, SHAPE(4, 8, d / 8), "%s.base", name);
        p->start = bind_floats(b, 1, SHAPE(d), "%s.start", name);
    } else if (c->type == TERRA_POS_AXIAL) {
        for (uint32_t i = 0; i < c->n_axes; i++)
            p->axis[i] =
                bind_floats(b, 2, SHAPE(c->shape[i], c->widths[i]), "%s.axis%u", name, i);
    }
}

/* ---- binding: stacks ------------------------------------------------------------ */

/* Whether a forgetting layer follows after `done` of n items (spec 1.7). */
static bool forget_after(uint32_t n, uint32_t every, uint32_t done)
{
    if (every == 0)
        return false;
    for (uint32_t cut = 0; n - cut > every + 1;) {
        cut += every;
        if (cut == done)
            return true;
    }
    return false;
}

static void bind_forget(struct binder *b, struct stack *s, const char *side, uint32_t done,
                        bool with_dense, uint32_t d)
{
    char n[32];
    struct stack_item *it = &s->item[s->n++];
    it->kind = ITEM_FORGET;
    if (with_dense) {
        snprintf(n, sizeof n, "%s.forget%u", side, done);
        it->forget = bind_dense(b, n, d, d);
    }
}

static void bind_block(struct binder *b, struct stack *s, const struct terra_config *c,
                       const char *side, uint32_t i, uint32_t d, uint32_t f, uint32_t n_att)
{
    char n[64];
    bool enc = strcmp(side, "enc") == 0;
    struct stack_item *it = &s->item[s->n++];
    it->kind = ITEM_BLOCK;
    it->n_att = n_att;
    it->att = xcalloc(n_att, sizeof *it->att);
    for (uint32_t a = 0; a < n_att; a++) {
        if (enc)
            snprintf(n, sizeof n, "enc.%u.attn", i);
        else
            snprintf(n, sizeof n, "dec.%u.attn%u", i, a);
        bind_attention(b, &it->att[a], n, c,
                       enc ? &c->enc_att : &c->dec_att[i % c->n_dec_att_types], d);
    }
    snprintf(n, sizeof n, "%s.%u.ff", side, i);
    bind_ff(b, &it->ff, n, c, d, f);
}

static void bind_encoder(struct binder *b, struct terra_model *m)
{
    const struct terra_config *c = &m->cfg;
    uint32_t f = c->half_before ? c->d_ff / 2 : c->d_ff;
    m->enc.item = xcalloc((size_t)c->n_enc * 2 + 1, sizeof *m->enc.item);
    for (uint32_t i = 0; i < c->n_enc; i++) {
        bind_block(b, &m->enc, c, "enc", i, m->d_enc, f, 1);
        if (forget_after(c->n_enc, c->forget, i + 1))
            bind_forget(b, &m->enc, "enc", i + 1, c->forget_dense, m->d_enc);
    }
    if (!c->reversible_encoder && c->n_enc) {
        m->merge = bind_dense(b, "enc.merge", m->d_enc, m->d_enc);
        m->merge_ln = bind_norm(b, "enc.ln", m->d_enc, true);
    }
}

static void bind_decoder(struct binder *b, struct terra_model *m)
{
    const struct terra_config *c = &m->cfg;
    uint32_t n_items = c->n_dec + (c->half_before != 0) + (c->double_after != 0);
    uint32_t done = 0, d = m->d_enc, f = c->half_before ? c->d_ff / 2 : c->d_ff;
    m->dec.item = xcalloc((size_t)n_items * 2 + 1, sizeof *m->dec.item);
    for (uint32_t i = 0; i < c->n_dec && !b->failed; i++) {
        bool half = c->half_before && i + 1 == c->half_before;
        bool twice = c->double_after && i == c->double_after;
        bind_block(b, &m->dec, c, "dec", i, d, f, c->n_dec_att);
        for (int step = 0; step < 1 + half + twice; step++) {
            if (step > 0) {
                m->dec.item[m->dec.n++].kind = ITEM_WIDEN;
                d *= 2;
                f *= 2;
            }
            if (forget_after(n_items, c->forget, ++done)) /* config_check: d is the last one */
                bind_forget(b, &m->dec, "dec", done, c->forget_dense, d);
        }
    }
}

/* ---- bytes per token (spec 4.2) --------------------------------------------------- */

static uint64_t projection_bytes(const struct projection *p)
{
    uint64_t bias = !p->b ? 0 : p->kind == PROJ_CONV ? p->conv.m_out : p->out;
    uint64_t middle = p->b1 ? p->w.rows : 0;
    return mat_bytes(&p->gate) + mat_bytes(&p->w) + mat_bytes(&p->w2) + 4 * (bias + middle);
}

static uint64_t dense_bytes(const struct dense *d)
{
    return mat_bytes(&d->w) + 4ull * d->w.rows;
}

static uint64_t position_bytes(const struct positions *p, uint32_t d)
{
    switch (p->cfg->type) {
    case TERRA_POS_TABLE:
        return mat_row_bytes(&p->table);
    case TERRA_POS_FACTORED:
        return mat_row_bytes(&p->table) + mat_bytes(&p->ff.w);
    case TERRA_POS_FIXED_BASE:
        return 4 * 4ull * d; /* a digit's vector for each of the four bases */
    case TERRA_POS_AXIAL:
        return 4ull * d;
    default:
        return 0;
    }
}

static uint64_t item_bytes(const struct stack_item *it, bool gathered)
{
    if (it->kind == ITEM_FORGET)
        return dense_bytes(&it->forget);
    if (it->kind == ITEM_WIDEN)
        return 0;
    uint64_t n = 0;
    for (uint32_t i = 0; i < it->n_att; i++) {
        const struct attention *a = &it->att[i];
        const struct projection *p[] = {&a->mult, &a->q,     &a->k,    &a->v,
                                        &a->o,    &a->omult, &a->oconv};
        for (size_t j = 0; j < sizeof p / sizeof *p; j++)
            n += projection_bytes(p[j]);
        n += 8ull * a->d;
    }
    const struct ff *ff = &it->ff;
    n += 8ull * ff->d;
    if (ff->kind == FF_EXPERTS || ff->kind == FF_SWITCH) {
        uint64_t rows = gathered ? ff->f / ff->s.units : ff->f;
        n += mat_bytes(&ff->router) + 4ull * ff->d;
        n += rows * (mat_row_bytes(&ff->s.w1) + mat_row_bytes(&ff->s.w2));
    } else if (ff->kind != FF_DENSE) {
        uint64_t rows = gathered ? ff->s.blocks : (uint64_t)ff->s.blocks * ff->s.units;
        n += mat_bytes(&ff->s.ctl1) + mat_bytes(&ff->s.ctl2) +
             (uint64_t)ff->s.blocks * ff->s.units * 4;
        n += rows * (mat_row_bytes(&ff->s.w1) + mat_row_bytes(&ff->s.w2)) + 4ull * ff->d;
    } else {
        n += dense_bytes(&ff->in) + dense_bytes(&ff->out);
    }
    for (uint32_t i = 0; i < ff->sru.layers; i++)
        n += dense_bytes(&ff->sru.gate[i]);
    if (ff->sru.layers)
        n += dense_bytes(&ff->sru.in) + dense_bytes(&ff->sru.out) + 8ull * ff->d;
    return n;
}

static uint64_t step_bytes(const struct terra_model *m, bool gathered)
{
    uint64_t n = mat_row_bytes(&m->out_emb) + position_bytes(&m->pos_dec, m->d_enc) +
                 projection_bytes(&m->loss) + 8ull * m->d_out;
    for (uint32_t i = 0; i < m->dec.n; i++)
        n += item_bytes(&m->dec.item[i], gathered);
    return n;
}

bool model_bind(struct terra_model *m, const struct tensor_source *src, struct err *e)
{
    const struct terra_config *c = &m->cfg;
    struct binder b = {.src = src, .e = e};
    m->d_enc = config_embed_d(c);
    m->d_out = config_out_d(c);
    m->emb = bind_mat(&b, 2, SHAPE(c->vocab, m->d_enc), "emb");
    if (c->n_enc)
        bind_positions(&b, &m->pos_enc, "pos_e", &c->pos, m->d_enc);
    m->out_emb =
        c->separate_vocab ? bind_mat(&b, 2, SHAPE(c->out_vocab, m->d_enc), "out_emb") : m->emb;
    bind_positions(&b, &m->pos_dec, "pos_d", &c->pos, m->d_enc);
    bind_encoder(&b, m);
    bind_decoder(&b, m);
    m->ln_out = bind_norm(&b, "ln_out", m->d_out, true);
    m->loss = c->loss_modules
                  ? project_factored(&b, "loss", c->loss_modules, m->d_out, c->out_vocab)
                  : project_dense(&b, "loss", m->d_out, c->out_vocab);
    if (b.failed)
        return false;
    m->info.bytes_sparse = step_bytes(m, true);
    m->info.bytes_dense = step_bytes(m, false);
    return true;
}

/* ---- opening a folder --------------------------------------------------------------- */

static const struct tensor *find_in_file(void *self, const char *name, uint32_t rank,
                                         const uint64_t *shape, bool is_matrix)
{
    (void)rank, (void)shape, (void)is_matrix;
    return tensor_file_find(self, name);
}

static const char *path_last(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    return slash && slash[1] ? slash + 1 : dir;
}

static void free_stack(struct stack *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        free(s->item[i].att);
    free(s->item);
}

/* Every tensor of the file but the scales, in the units of terra-model(5). */
static void count_file(struct terra_model *m)
{
    const struct tensor_file *f = &m->file;
    m->info.n_tensors = f->n;
    m->info.file_bytes = f->file_bytes;
    m->info.header_bytes = f->header_bytes;
    memcpy(m->info.header_sha256, f->header_sha256, sizeof m->info.header_sha256);
    for (size_t i = 0; i < f->n; i++) {
        const char *dot = strrchr(f->tensor[i].name, '.');
        if (!dot || strcmp(dot, ".qscale") != 0)
            m->info.parameters += f->tensor[i].rows * f->tensor[i].cols;
    }
}

static bool read_config(const char *dir, struct config_file *c, struct err *e)
{
    struct buf path = {0};
    struct file_map map = {0};
    buf_printf(&path, "%s/config.json", dir);
    bool ok = file_map(buf_str(&path), &map, e) &&
              config_parse(map.data, map.n, buf_str(&path), c, e);
    file_unmap(&map);
    buf_free(&path);
    return ok;
}

struct terra_model *terra_model_open(const char *dir, struct err *e)
{
    struct config_file c = {0};
    struct buf path = {0};
    struct terra_model *m = xcalloc(1, sizeof *m);
    m->path = xstrdup(dir);
    if (!read_config(dir, &c, e))
        goto fail;
    m->cfg = c.config;
    if (m->cfg.name[0] == '\0')
        snprintf(m->cfg.name, sizeof m->cfg.name, "%.63s", path_last(dir));
    buf_printf(&path, "%s/model.safetensors", dir);
    if (!tensor_file_open(buf_str(&path), &m->file, e))
        goto fail;
    struct tensor_source src = {find_in_file, &m->file};
    if (!model_bind(m, &src, e)) {
        err_prefix(e, "%s", buf_str(&path));
        goto fail;
    }
    count_file(m);
    if (!model_pack(m, e))
        goto fail;
    struct terra_machine machine;
    terra_machine_info(&machine);
    model_advise(m, machine.available_bytes);
    if (c.vocab.type != VOCAB_NONE) {
        m->vocab = vocab_open(dir, &c, e);
        if (!m->vocab)
            goto fail;
    }
    buf_free(&path);
    return m;
fail:
    buf_free(&path);
    terra_model_close(m);
    return NULL;
}

bool terra_model_tensor(const struct terra_model *m, size_t i, struct terra_tensor_info *out)
{
    if (i >= m->file.n)
        return false;
    const struct tensor *t = &m->file.tensor[i];
    *out = (struct terra_tensor_info){
        .name = t->name, .dtype = t->dtype, .rank = t->rank, .bytes = t->bytes};
    memcpy(out->shape, t->shape, sizeof out->shape);
    return true;
}

void terra_model_close(struct terra_model *m)
{
    if (!m)
        return;
    free_stack(&m->enc);
    free_stack(&m->dec);
    vocab_close(m->vocab);
    tensor_file_close(&m->file);
    free(m->made_up);
    free(m->packs);
    arena_free(&m->packed);
    free(m->path);
    free(m);
}

const struct terra_config *terra_model_config(const struct terra_model *m)
{
    return &m->cfg;
}

const char *terra_model_path(const struct terra_model *m)
{
    return m->path ? m->path : "";
}

const struct terra_vocab *terra_model_vocab(const struct terra_model *m)
{
    return m->vocab;
}

void terra_model_info(const struct terra_model *m, struct terra_model_info *out)
{
    *out = m->info;
}
