/* Tests of engine/compute's sparse feed-forward: gathered rows give the bits of masked ones,
 * whatever the threads, and a decoded position in one go those of the single calls.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/unit/engine/matrices.h"

struct ff {
    struct ff_weights w;
    float *x, *z, *hidden, *margin, *y;
    uint16_t *unit;
    uint8_t *alive;
    size_t n;
};

static void ff_open(struct ff *f, enum terra_dtype t, size_t n, uint32_t d, bool packed)
{
    uint32_t r = 32, blocks = 37, units = 32;
    *f = (struct ff){.n = n,
                     .w = {.ctl1 = matrix(t, r, d, packed),
                           .ctl2 = matrix(t, blocks * units, r, packed),
                           .ctlb = floats(blocks * units),
                           .w1 = matrix(t, blocks * units, d, 0),
                           .w2 = matrix(t, blocks * units, d, 0),
                           .b2 = floats(d),
                           .blocks = blocks,
                           .units = units},
                     .x = floats(n * d),
                     .z = malloc(n * (r + blocks * units) * sizeof(float)),
                     .hidden = malloc(n * blocks * units * sizeof(float)),
                     .margin = malloc(n * blocks * sizeof(float)),
                     .y = malloc(n * d * sizeof(float)),
                     .unit = malloc(n * blocks * sizeof(uint16_t)),
                     .alive = malloc(n * blocks)};
}

static void ff_close(struct ff *f)
{
    drop(&f->w.ctl1);
    drop(&f->w.ctl2);
    drop(&f->w.w1);
    drop(&f->w.w2);
    free((void *)(uintptr_t)f->w.ctlb);
    free((void *)(uintptr_t)f->w.b2);
    free(f->x);
    free(f->z);
    free(f->hidden);
    free(f->margin);
    free(f->y);
    free(f->unit);
    free(f->alive);
}

/* The controller's logits against plain products; with activations in 8 bits a little off. */
static void check_logits(const struct ff *f)
{
    const struct kernels *ref = kernels_get("scalar");
    size_t r = f->w.ctl1.rows, all = f->w.ctl2.rows;
    float *low = malloc(f->n * r * sizeof *low), *want = malloc(f->n * all * sizeof *want);
    ref->rows(&f->w.ctl1, 0, r, f->x, f->w.ctl1.cols, f->n, low, r);
    ref->rows(&f->w.ctl2, 0, all, low, r, f->n, want, all);
    for (size_t i = 0; i < f->n * all; i++)
        want[i] += f->w.ctlb[i % all];
    float most = 10; /* about: of `low`, which is rounded on the way in and on the way out */
    near(f->z + f->n * r, want, f->n * all, 5e-3f + (most + 1) * rounding(&f->w.ctl2, r));
    free(low);
    free(want);
}

/* A branch beside the layer: twice its first layer's outputs go into its last. */
struct branch {
    struct mat in, out;
    float *bias, *z, *y, *want;
    int calls;
};

static void branch_between(void *user, uint32_t thread)
{
    struct branch *b = user;
    (void)thread;
    b->calls++;
    for (size_t i = 0; i < b->in.rows; i++)
        b->z[i] *= 2;
}

static void branch_open(struct branch *b, enum terra_dtype t, uint32_t d, bool packed)
{
    *b = (struct branch){.in = matrix(t, 32, d, packed),
                         .out = matrix(t, d, 32, packed),
                         .bias = floats(d),
                         .z = floats(32),
                         .y = floats(d),
                         .want = floats(d)};
}

static void branch_close(struct branch *b)
{
    drop(&b->in);
    drop(&b->out);
    free(b->bias);
    free(b->z);
    free(b->y);
    free(b->want);
}

/* Row i in one go: the bits of unit, alive and y that the layers gave one by one. */
static void check_step(struct compute *c, struct ff *f, struct branch *b, size_t i,
                       const uint16_t *unit, const uint8_t *alive, const float *want)
{
    const float *x = f->x + i * 96;
    struct ff_branch beside = {.in = {&b->in, b->bias, NULL, b->z},
                               .out = {&b->out, b->bias, b->z, b->y},
                               .between = branch_between,
                               .user = b};
    struct ff_step s = {.w = &f->w,
                        .res = {.x = x},
                        .z = f->z,
                        .unit = f->unit,
                        .margin = f->margin,
                        .hidden = f->hidden,
                        .alive = f->alive,
                        .y = f->y,
                        .timed = i % 2};
    compute_linear(c, &b->in, b->bias, x, 1, b->z);
    branch_between(b, 0);
    compute_linear(c, &b->out, b->bias, b->z, 1, b->want);
    for (int with = 0; with < 2; with++) {
        s.branch = with ? &beside : NULL;
        b->calls = 0;
        compute_ff_step(c, &s);
        assert_int_equal(b->calls, with);
        assert_memory_equal(f->unit, unit, f->w.blocks * sizeof *unit);
        assert_memory_equal(f->alive, alive, f->w.blocks);
        assert_memory_equal(f->y, want, 96 * sizeof *want);
        assert_true((s.rows_ns > 0) == s.timed);
    }
    assert_memory_equal(b->y, b->want, 96 * sizeof *b->y);
}

static void check_ff(enum terra_dtype t, size_t n, bool packed)
{
    struct ff f;
    struct branch b;
    ff_open(&f, t, n, 96, packed);
    branch_open(&b, t, 96, packed);
    size_t d = 96, k = f.w.blocks;
    float *want = malloc(n * d * sizeof *want);
    uint16_t *unit = malloc(n * k * sizeof *unit);
    uint8_t *alive = malloc(n * k);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct compute *c = compute_open(threads, NULL, NULL);
        compute_choose(c, &f.w, f.x, n, f.z, f.unit, f.margin);
        check_logits(&f);
        compute_ff_sparse(c, &f.w, f.x, n, f.unit, f.hidden, f.alive, f.y);
        if (threads == 1) {
            memcpy(want, f.y, n * d * sizeof *want);
            memcpy(unit, f.unit, n * k * sizeof *unit);
            memcpy(alive, f.alive, n * k);
        }
        assert_memory_equal(f.unit, unit, n * k * sizeof *unit);
        assert_memory_equal(f.alive, alive, n * k);
        assert_memory_equal(f.y, want, n * d * sizeof *want);
        for (size_t i = 0; i < n * k; i++)
            assert_true(f.unit[i] < f.w.units && f.margin[i] >= 0);

        compute_ff_dense(c, &f.w, f.x, n, f.unit, f.hidden, f.alive, f.y);
        assert_memory_equal(f.alive, alive, n * k);
        assert_memory_equal(f.y, want, n * d * sizeof *want); /* masked: the same bits */

        for (size_t i = 0; i < n; i++) { /* one row at a time */
            compute_choose(c, &f.w, f.x + i * d, 1, f.z, f.unit, f.margin);
            assert_memory_equal(f.unit, unit + i * k, k * sizeof *unit);
            compute_ff_sparse(c, &f.w, f.x + i * d, 1, f.unit, f.hidden, f.alive, f.y);
            assert_memory_equal(f.y, want + i * d, d * sizeof *want);
            check_step(c, &f, &b, i, unit + i * k, alive + i * k, want + i * d);
        }
        compute_close(c);
    }
    branch_close(&b);
    ff_close(&f);
    free(want);
    free(unit);
    free(alive);
}

static void sparse_is_masked(void **state)
{
    (void)state;
    for (int t = TERRA_F32; t <= TERRA_I8; t++)
        for (int packed = 0; packed < 2; packed++) {
            check_ff((enum terra_dtype)t, 1, packed);
            check_ff((enum terra_dtype)t, 3, packed);
            check_ff((enum terra_dtype)t, 70, packed);
        }
}

/* ---- the residual layer around it -------------------------------------------------------- */

enum { WIDE = 1536, MOST_THREADS = 5 }; /* enough for several threads in the first layers */

/* Norms, layer, branch and sums, call by call. */
static void residual_by_calls(struct compute *c, struct ff *f, struct branch *b,
                              const struct norm *ln, const struct norm *beside, float *acc)
{
    const struct kernels *k = compute_kernels(c);
    float *x = malloc(WIDE * sizeof *x);
    compute_norm(c, ln, f->x, 1, WIDE, x);
    compute_choose(c, &f->w, x, 1, f->z, f->unit, f->margin);
    compute_ff_sparse(c, &f->w, x, 1, f->unit, f->hidden, f->alive, f->y);
    k->add(f->y, WIDE, acc);
    compute_norm(c, beside, f->x, 1, WIDE, x);
    compute_linear(c, &b->in, b->bias, x, 1, b->z);
    branch_between(b, 0);
    compute_linear(c, &b->out, b->bias, b->z, 1, b->y);
    k->add(b->y, WIDE, acc);
    free(x);
}

static void residual_by_step(struct compute *c, struct ff *f, struct branch *b,
                             const struct norm *ln, const struct norm *beside, float *acc,
                             bool *bad, bool *bad_branch)
{
    size_t threads = compute_threads(c);
    float *own = malloc(2 * threads * WIDE * sizeof *own);
    struct ff_branch branch = {.ln = beside,
                               .own = own + threads * WIDE,
                               .in = {&b->in, b->bias, NULL, b->z},
                               .out = {&b->out, b->bias, b->z, b->y},
                               .between = branch_between,
                               .user = b};
    struct ff_step s = {.w = &f->w,
                        .res = {.ln = ln, .x = f->x, .own = own, .acc = acc},
                        .branch = &branch,
                        .z = f->z,
                        .unit = f->unit,
                        .margin = f->margin,
                        .hidden = f->hidden,
                        .alive = f->alive,
                        .y = f->y};
    compute_ff_step(c, &s);
    *bad = s.res.bad;
    *bad_branch = branch.bad;
    free(own);
}

static void check_residual(enum terra_dtype t, bool packed)
{
    struct ff f;
    struct branch b;
    ff_open(&f, t, 1, WIDE, packed);
    branch_open(&b, t, WIDE, packed);
    float *part[4], *start = floats(WIDE), *want = malloc(WIDE * sizeof *want);
    float *acc = malloc(WIDE * sizeof *acc);
    bool bad, beside;
    for (int i = 0; i < 4; i++)
        part[i] = floats(WIDE);
    struct norm ln[2] = {{part[0], part[1], true}, {part[2], part[3], false}};
    for (uint32_t threads = 1; threads <= MOST_THREADS; threads++) {
        struct compute *c = compute_open(threads, NULL, NULL);
        if (threads == 1) {
            memcpy(want, start, WIDE * sizeof *want);
            residual_by_calls(c, &f, &b, &ln[0], &ln[1], want);
        }
        memcpy(acc, start, WIDE * sizeof *acc);
        residual_by_step(c, &f, &b, &ln[0], &ln[1], acc, &bad, &beside);
        assert_memory_equal(acc, want, WIDE * sizeof *acc);
        assert_false(bad || beside);
        float bias = b.bias[WIDE - 1];
        b.bias[WIDE - 1] = INFINITY; /* of the branch's last layer: the first has 32 outputs */
        residual_by_step(c, &f, &b, &ln[0], &ln[1], acc, &bad, &beside);
        assert_true(!bad && beside);
        b.bias[WIDE - 1] = bias;
        acc[0] = NAN;
        residual_by_step(c, &f, &b, &ln[0], &ln[1], acc, &bad, &beside);
        assert_true(bad && beside);
        compute_close(c);
    }
    for (int i = 0; i < 4; i++)
        free(part[i]);
    free(start);
    free(want);
    free(acc);
    branch_close(&b);
    ff_close(&f);
}

static void a_residual_step_is_its_parts(void **state)
{
    (void)state;
    for (int t = TERRA_F32; t <= TERRA_I8; t++)
        for (int packed = 0; packed < 2; packed++)
            check_residual((enum terra_dtype)t, packed);
}

static void a_layer_of_nothing_is_not_timed(void **state)
{
    (void)state;
    const struct terra_layer_shape some = {
        .d = 8, .f = 32, .unit = 16, .rank = 4, .batch = 1, .dtype = TERRA_F32};
    struct err e = {0};
    double dense, sparse;
    for (int i = 0; i < 5; i++) {
        struct terra_layer_shape s = some;
        *(uint32_t *[]){&s.d, &s.f, &s.unit, &s.rank, &s.batch}[i] = 0;
        assert_false(terra_layer_time(&s, 1, 1, &dense, &sparse, &e));
        assert_int_equal(e.kind, ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sparse_is_masked),
                                       cmocka_unit_test(a_residual_step_is_its_parts),
                                       cmocka_unit_test(a_layer_of_nothing_is_not_timed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
