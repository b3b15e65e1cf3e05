/* test_layers.c - single layers against outputs computed by trax (tests/golden/layers).
 *
 * Tolerance of the fixtures: 2e-5 times the larger of 1 and the output's deviation.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/attention.h"
#include "engine/base/buf.h"
#include "engine/base/xalloc.h"
#include "engine/feed_forward.h"
#include "engine/gated_ff.h"
#include "engine/projection.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_KEPT 64

/* One fixture and everything a layer under test needs. */
struct rig {
    struct tensor_file file;
    struct err e;
    struct compute *cx;
    struct arena arena;
    struct terra_model m;
    struct stack_item item;
    struct attention att;
    struct terra_attention_config cfg;
    struct pass p;
    void *kept[MAX_KEPT];
    size_t n_kept;
};

static void *keep(struct rig *r, size_t n, size_t size)
{
    assert_true(r->n_kept < MAX_KEPT);
    return r->kept[r->n_kept++] = xcalloc(n + 1, size);
}

static const struct tensor *get(struct rig *r, const char *name)
{
    const struct tensor *t = tensor_file_find(&r->file, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, TERRA_F32);
    return t;
}

static const float *floats(struct rig *r, const char *name)
{
    return get(r, name)->data;
}

static void rig_open(struct rig *r, const char *name)
{
    const char *dir = getenv("TERRA_FIXTURES");
    struct buf path = {0};
    *r = (struct rig){0};
    assert_non_null(dir);
    buf_printf(&path, "%s/layers/%s.safetensors", dir, name);
    if (!tensor_file_open(buf_str(&path), &r->file, &r->e))
        fail_msg("%s", r->e.msg);
    buf_free(&path);
    r->cx = compute_open(2, NULL, &r->e);
    assert_non_null(r->cx);
}

static void rig_close(struct rig *r)
{
    for (size_t i = 0; i < r->n_kept; i++)
        free(r->kept[i]);
    compute_close(r->cx);
    arena_free(&r->arena);
    tensor_file_close(&r->file);
}

/* trax's (in, outs...) as rows of inputs: terra-model(5). */
static struct mat transposed(struct rig *r, const char *name)
{
    const struct tensor *t = get(r, name);
    uint32_t in = (uint32_t)t->shape[0], out = 1;
    for (uint32_t i = 1; i < t->rank; i++)
        out *= (uint32_t)t->shape[i];
    const float *from = t->data;
    float *to = keep(r, (size_t)in * out, sizeof *to);
    for (uint32_t i = 0; i < in; i++)
        for (uint32_t o = 0; o < out; o++)
            to[(size_t)o * in + i] = from[(size_t)i * out + o];
    return (struct mat){.dtype = TERRA_F32, .rows = out, .cols = in, .data = to};
}

/* (N, K, d) to (K, N, d). */
static struct mat swapped(struct rig *r, const char *name)
{
    const struct tensor *t = get(r, name);
    size_t N = t->shape[0], K = t->shape[1], d = t->shape[2];
    const float *from = t->data;
    float *to = keep(r, N * K * d, sizeof *to);
    for (size_t n = 0; n < N; n++)
        for (size_t k = 0; k < K; k++)
            memcpy(to + (k * N + n) * d, from + (n * K + k) * d, d * sizeof *to);
    return (struct mat){
        .dtype = TERRA_F32, .rows = (uint32_t)(N * K), .cols = (uint32_t)d, .data = to};
}

static struct mat as_is(struct rig *r, const char *name)
{
    const struct tensor *t = get(r, name);
    return (struct mat){.dtype = TERRA_F32,
                        .rows = (uint32_t)t->rows,
                        .cols = (uint32_t)t->cols,
                        .data = t->data};
}

static struct projection dense_of(struct rig *r, const char *w, const char *b)
{
    struct mat m = transposed(r, w);
    return (struct projection){
        .kind = PROJ_DENSE, .in = m.cols, .out = m.rows, .w = m, .b = floats(r, b)};
}

static struct projection factored_of(struct rig *r, const char *g, const char *w, const char *b)
{
    struct mat gate = as_is(r, g);
    return (struct projection){.kind = PROJ_FACTORED,
                               .in = gate.cols,
                               .out = (uint32_t)get(r, b)->shape[0],
                               .gate = gate,
                               .w = transposed(r, w),
                               .b = floats(r, b),
                               .conv = {.modules = gate.rows}};
}

/* Kernel (length, modules, in, out) to (length, modules, out, in). */
static struct projection conv_of(struct rig *r, const char *w, const char *b, uint32_t modules)
{
    const struct tensor *t = get(r, w);
    uint32_t l = (uint32_t)t->shape[0], k = (uint32_t)t->shape[1];
    uint32_t ci = (uint32_t)t->shape[2], co = (uint32_t)t->shape[3];
    const float *from = t->data;
    float *to = keep(r, (size_t)l * k * ci * co, sizeof *to);
    for (size_t tap = 0; tap < (size_t)l * k; tap++)
        for (size_t i = 0; i < ci; i++)
            for (size_t o = 0; o < co; o++)
                to[(tap * co + o) * ci + i] = from[(tap * ci + i) * co + o];
    return (struct projection){
        .kind = PROJ_CONV,
        .in = ci * modules,
        .out = co * modules,
        .w = {.dtype = TERRA_F32, .rows = l * k * co, .cols = ci, .data = to},
        .b = floats(r, b),
        .conv = {modules, l, k, ci, co}};
}

static void check(struct rig *r, const float *got)
{
    const struct tensor *t = get(r, "y");
    const float *want = t->data;
    size_t n = t->rows * t->cols;
    double mean = 0, var = 0, worst = 0;
    for (size_t i = 0; i < n; i++)
        mean += want[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        var += (want[i] - mean) * (want[i] - mean) / (double)n;
        worst = fmax(worst, fabs((double)got[i] - want[i]));
    }
    double allowed = 2e-5 * fmax(1, sqrt(var));
    if (!(worst <= allowed))
        fail_msg("largest difference %g, allowed %g", worst, allowed);
}

static void check_choice(struct rig *r, const uint16_t *unit)
{
    const struct tensor *t = get(r, "choice");
    for (size_t i = 0; i < t->rows * t->cols; i++)
        assert_int_equal(unit[i], (int)((const float *)t->data)[i]);
}

/* ---- position-wise layers ----------------------------------------------------------- */

static void run_norm(const char *name, bool center)
{
    struct rig r;
    rig_open(&r, name);
    const struct tensor *x = get(&r, "x");
    float *y = keep(&r, x->rows * x->cols, sizeof *y);
    struct norm ln = {floats(&r, "w0"), floats(&r, "w1"), center};
    compute_norm(r.cx, &ln, x->data, x->rows, x->cols, y);
    check(&r, y);
    rig_close(&r);
}

static void test_layernorm(void **s)
{
    (void)s;
    run_norm("layernorm", true);
}

static void test_layernorm_rms(void **s)
{
    (void)s;
    run_norm("layernorm_rms", false);
}

static void run_projection(struct rig *r, const struct projection *p)
{
    const struct tensor *x = get(r, "x");
    size_t n = x->rows, hist = projection_history(p);
    float *in = keep(r, (hist + n) * p->in, sizeof *in); /* zeros before the first row */
    float *y = keep(r, n * p->out, sizeof *y);
    float *scratch = keep(r, n * projection_scratch(p), sizeof *scratch);
    memcpy(in + hist * p->in, x->data, n * p->in * sizeof *in);
    project(r->cx, p, in + hist * p->in, n, scratch, y);
    check(r, y);
    /* One row after the other gives the same. */
    for (size_t t = 0; t < n; t++)
        project(r->cx, p, in + (hist + t) * p->in, 1, scratch, y + t * p->out);
    check(r, y);
    rig_close(r);
}

static void test_factored_dense(void **s)
{
    (void)s;
    struct rig r;
    rig_open(&r, "factored_dense");
    struct projection p = factored_of(&r, "w0", "w1", "w2");
    run_projection(&r, &p);
}

static void test_conv(void **s)
{
    (void)s;
    struct rig r;
    rig_open(&r, "locally_conv_dense");
    struct projection p = conv_of(&r, "w0", "w1", 4);
    run_projection(&r, &p);
}

static void test_conv_v(void **s)
{
    (void)s;
    struct rig r;
    rig_open(&r, "locally_conv_dense_v");
    struct projection p = conv_of(&r, "w0", "w1", 4);
    run_projection(&r, &p);
}

/* ---- layers that need a pass ---------------------------------------------------------- */

/* Gives the rig's item scratch for n rows. */
static void pass_open(struct rig *r, size_t n)
{
    struct arena dry = {0};
    r->item.kind = ITEM_BLOCK;
    r->m.enc = (struct stack){.item = &r->item, .n = 1};
    r->m.d_out = r->m.d_enc = r->item.ff.d;
    scratch_layout(&r->p.s, &dry, &r->m, compute_threads(r->cx), n, n, true);
    assert_true(arena_open(&r->arena, dry.used, &r->e));
    scratch_layout(&r->p.s, &r->arena, &r->m, compute_threads(r->cx), n, n, true);
    r->p.m = &r->m;
    r->p.cx = r->cx;
    r->p.tile = pass_tile(&r->m) < n ? pass_tile(&r->m) : n;
    r->p.cap = n;
    r->p.step_row = SIZE_MAX;
}

/* The fixtures have no norm in front, so x goes where the norm would have put it. */
static void load_x(struct rig *r, size_t *n)
{
    const struct tensor *x = get(r, "x");
    *n = x->rows;
    memcpy(r->p.s.x, x->data, x->rows * x->cols * sizeof(float));
}

static void sparse_of(struct rig *r, enum ff_kind kind)
{
    const struct tensor *c2 = get(r, "w1");
    struct ff *ff = &r->item.ff;
    ff->kind = kind;
    ff->s = (struct ff_weights){.ctl1 = transposed(r, "w0"),
                                .ctlb = floats(r, "w2"),
                                .w1 = transposed(r, "w3"),
                                .w2 = swapped(r, "w4"),
                                .b2 = floats(r, "w5"),
                                .blocks = (uint32_t)c2->shape[1],
                                .units = (uint32_t)c2->shape[2]};
    ff->s.ctl2 = transposed(r, "w1");
    ff->d = ff->s.w1.cols;
    ff->f = ff->s.w1.rows;
}

static void run_sparse(const char *name)
{
    struct rig r;
    size_t n;
    rig_open(&r, name);
    sparse_of(&r, FF_SPARSE);
    pass_open(&r, get(&r, "x")->rows);
    load_x(&r, &n);
    struct scratch *s = &r.p.s;
    compute_choose(r.cx, &r.item.ff.s, s->x, n, s->wide, s->unit, s->margin);
    check_choice(&r, s->unit);
    compute_ff_sparse(r.cx, &r.item.ff.s, s->x, n, s->unit, s->hidden, s->alive, s->y);
    check(&r, s->y);
    compute_ff_dense(r.cx, &r.item.ff.s, s->x, n, s->unit, s->hidden, s->alive, s->y);
    check(&r, s->y);
    rig_close(&r);
}

static void test_sparse_ff(void **s)
{
    (void)s;
    run_sparse("sparse_ff");
}

static void test_sparse_ff_ties(void **s)
{
    (void)s;
    run_sparse("sparse_ff_ties");
}

/* Any of the controller's n numbers that is not one is noticed, in every row. */
static void check_controller(struct rig *r, float *number, size_t n, size_t rows)
{
    for (size_t i = 0; i < n; i++) {
        float kept = number[i];
        number[i] = NAN;
        r->p.bad.found = false;
        gated_ff_run(&r->p, &r->item.ff, 0, rows);
        assert_true(r->p.bad.found);
        assert_string_equal(r->p.bad.part, "controller");
        number[i] = kept;
    }
}

static void test_sparse_ff_times_controller(void **s)
{
    (void)s;
    struct rig r;
    size_t n;
    rig_open(&r, "sparse_ff_times_controller");
    sparse_of(&r, FF_MULTIPLY);
    pass_open(&r, get(&r, "x")->rows);
    load_x(&r, &n);
    gated_ff_run(&r.p, &r.item.ff, 0, n);
    check_choice(&r, r.p.s.unit);
    check(&r, r.p.s.y);
    struct ff_weights *w = &r.item.ff.s;
    size_t all = (size_t)w->blocks * w->units;
    float *bias = keep(&r, all, sizeof *bias);
    memcpy(bias, w->ctlb, all * sizeof *bias);
    w->ctlb = bias;
    check_controller(&r, bias, all, n);
    rig_close(&r);
}

static void run_experts(const char *name, enum ff_kind kind)
{
    struct rig r;
    size_t n;
    rig_open(&r, name);
    struct ff *ff = &r.item.ff;
    ff->kind = kind;
    ff->router = transposed(&r, "w0");
    ff->s = (struct ff_weights){.w1 = transposed(&r, "w1"),
                                .w2 = as_is(&r, "w2"),
                                .b2 = floats(&r, "w3"),
                                .blocks = 1,
                                .units = ff->router.rows};
    ff->d = ff->s.w1.cols;
    ff->f = ff->s.w1.rows;
    pass_open(&r, get(&r, "x")->rows);
    load_x(&r, &n);
    gated_ff_run(&r.p, ff, 0, n);
    check_choice(&r, r.p.s.unit);
    check(&r, r.p.s.y);
    check_controller(&r, (float *)(uintptr_t)ff->router.data,
                     (size_t)ff->router.rows * ff->router.cols, n);
    rig_close(&r);
}

static void test_block_sparse_ff(void **s)
{
    (void)s;
    run_experts("block_sparse_ff", FF_EXPERTS);
}

static void test_switch_sparse_ff(void **s)
{
    (void)s;
    run_experts("switch_sparse_ff", FF_SWITCH);
}

static void test_sru(void **s)
{
    (void)s;
    struct rig r;
    rig_open(&r, "sru");
    const struct tensor *x = get(&r, "x");
    struct mat w = transposed(&r, "w0");
    size_t batch = x->shape[0], n = x->shape[1], width = x->cols;
    float *y = keep(&r, x->rows * width, sizeof *y);
    float *gates = keep(&r, x->rows * 3 * width, sizeof *gates);
    memcpy(y, x->data, x->rows * width * sizeof *y);
    compute_linear(r.cx, &w, floats(&r, "w1"), x->data, x->rows, gates);
    for (size_t b = 0; b < batch; b++) {
        float *carry = keep(&r, width, sizeof *carry);
        sru_run(compute_kernels(r.cx), gates + b * n * 3 * width, y + b * n * width, n, width,
                carry);
    }
    check(&r, y);
    rig_close(&r);
}

/* ---- attention ------------------------------------------------------------------------- */

static void run_attention(struct rig *r, bool causal)
{
    const struct tensor *x = get(r, "x");
    size_t n = x->rows, d = x->cols, ring = attention_ring(&r->att);
    r->item.att = &r->att;
    r->item.n_att = 1;
    r->item.ff.d = r->att.d = (uint32_t)d;
    pass_open(r, n);
    struct att_state st = {.k.data = keep(r, n * d, sizeof(float)),
                           .v.data = keep(r, n * d, sizeof(float)),
                           .ring_u = keep(r, ring * d, sizeof(float)),
                           .ring_v = keep(r, ring * 2 * d, sizeof(float)),
                           .ring_o = keep(r, ring * d, sizeof(float))};
    float *y = keep(r, n * d, sizeof *y);
    uint8_t *valid = keep(r, n, 1);
    for (size_t t = 0; t < n; t++)
        valid[t] = causal || floats(r, "mask")[t] != 0;
    r->p.valid = valid;
    attention_run(&r->p, &r->att, &st, x->data, n, 0, causal, y);
    check(r, y);
    if (causal) { /* one row after another */
        struct att_state again = {.k = st.k,
                                  .v = st.v,
                                  .ring_u = keep(r, ring * d, sizeof(float)),
                                  .ring_v = keep(r, ring * 2 * d, sizeof(float)),
                                  .ring_o = keep(r, ring * d, sizeof(float))};
        memset(y, 0, n * d * sizeof *y);
        for (size_t t = 0; t < n; t++)
            attention_run(&r->p, &r->att, &again, (const float *)x->data + t * d, 1, t, true,
                          y + t * d);
        check(r, y);
    }
    rig_close(r);
}

static void run_dense_attention(const char *name, bool causal)
{
    struct rig r;
    rig_open(&r, name);
    uint32_t d = (uint32_t)get(&r, "x")->cols;
    r.cfg.type = TERRA_ATT_DENSE;
    r.att = (struct attention){.cfg = &r.cfg, .heads = 3, .dk = d / 3, .dv = d / 3};
    r.att.q = dense_of(&r, "w0", "w1");
    r.att.k = dense_of(&r, "w2", "w3");
    r.att.v = dense_of(&r, "w4", "w5");
    r.att.o = dense_of(&r, "w6", "w7");
    run_attention(&r, causal);
}

static void test_attention(void **s)
{
    (void)s;
    run_dense_attention("attention", false);
}

static void test_causal_attention(void **s)
{
    (void)s;
    run_dense_attention("causal_attention", true);
}

static void run_multconv(const char *name, enum terra_v_concat concat, bool mult, bool conv,
                         bool share)
{
    struct rig r;
    rig_open(&r, name);
    uint32_t d = (uint32_t)get(&r, "x")->cols, M = 4, i = 3;
    char w[4], b[4], g[4];
    r.cfg = (struct terra_attention_config){.type = TERRA_ATT_MULTCONV,
                                            .modules = M,
                                            .length_kernel = 3,
                                            .v_concat = concat,
                                            .share_qk = share};
    r.att = (struct attention){.cfg = &r.cfg, .heads = 2, .dk = d / 2, .dv = d / 2};
    r.att.mult = factored_of(&r, "w0", "w1", "w2");
#define NEXT(name) snprintf(name, sizeof name, "w%u", i++)
#define CONV(to)   (NEXT(w), NEXT(b), r.att.to = conv_of(&r, w, b, M))
    CONV(q);
    if (!share)
        CONV(k);
    CONV(v);
    if (mult) {
        NEXT(g), NEXT(w), NEXT(b);
        r.att.omult = factored_of(&r, g, w, b);
    }
    if (conv)
        CONV(oconv);
    run_attention(&r, true);
}

static void test_multconv(void **s)
{
    (void)s;
    run_multconv("multconv_attention", TERRA_V_NONE, false, false, false);
}

static void test_multconv_fixed(void **s)
{
    (void)s;
    run_multconv("multconv_attention_fixed", TERRA_V_FIXED, true, true, false);
}

static void test_multconv_original(void **s)
{
    (void)s;
    run_multconv("multconv_attention_original", TERRA_V_ORIGINAL, false, true, false);
}

static void test_multconv_share_qk(void **s)
{
    (void)s;
    run_multconv("multconv_attention_share_qk", TERRA_V_NONE, false, false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layernorm),
        cmocka_unit_test(test_layernorm_rms),
        cmocka_unit_test(test_factored_dense),
        cmocka_unit_test(test_conv),
        cmocka_unit_test(test_conv_v),
        cmocka_unit_test(test_sru),
        cmocka_unit_test(test_sparse_ff),
        cmocka_unit_test(test_sparse_ff_ties),
        cmocka_unit_test(test_sparse_ff_times_controller),
        cmocka_unit_test(test_block_sparse_ff),
        cmocka_unit_test(test_switch_sparse_ff),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_causal_attention),
        cmocka_unit_test(test_multconv),
        cmocka_unit_test(test_multconv_fixed),
        cmocka_unit_test(test_multconv_original),
        cmocka_unit_test(test_multconv_share_qk),
    };
    return cmocka_run_group_tests_name("layers", tests, NULL, NULL);
}
