/* Tests of engine/compute's steps: a decoded position in one go gives the bits of the single
 * calls, whatever the threads.  test_compute_ff has the sparse feed-forward.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/unit/engine/matrices.h"

/* ---- multiplicative convolutional attention ------------------------------------------- */

enum { STEPS = 7, LENGTH = 3 };

struct decoding { /* of `heads` heads over `modules` modules of m values */
    uint32_t modules, heads, m;
    struct mat gate, proj, conv[3];
    float *bias, *x; /* x: [STEPS][d], also what their sums begin with */
    struct norm ln;
    struct cache k, v;
    float *out, *acc; /* [STEPS][d]: of every position, and the sums */
};

static struct cache empty_cache(enum terra_dtype t, size_t rows, size_t width)
{
    return (struct cache){t, calloc(rows * width, dtype_size(t)),
                          t == TERRA_I8 ? calloc(rows, sizeof(float)) : NULL};
}

/* Returns how many of the STEPS positions went in one go; NULL kernels: the best. */
static int decode(struct decoding *z, uint32_t threads, const char *kernels, bool one_go)
{
    struct compute *c = compute_open(threads, kernels, NULL);
    size_t d = (size_t)z->modules * z->m;
    const struct conv_shape shape = {z->modules, LENGTH, 3, z->m, z->m};
    float *rows = calloc((STEPS + LENGTH) * d, sizeof *rows); /* zeros before the first */
    float *ring = calloc(LENGTH * d, sizeof *ring), *y = calloc(3 * d, sizeof *y);
    float *scratch = malloc(z->modules * d * sizeof *scratch);
    float *scores = malloc(z->heads * STEPS * sizeof *scores);
    float *own = malloc(threads * d * sizeof *own);
    memcpy(z->acc, z->x, STEPS * d * sizeof *z->acc);
    struct conv_call call[3];
    int gone = 0;
    for (int i = 0; i < 3; i++)
        call[i] = (struct conv_call){&z->conv[i], z->bias, &shape, y + i * d};
    for (size_t t = 0; t < STEPS; t++) {
        struct attend a = {.heads = z->heads,
                           .dh = (uint32_t)d / z->heads,
                           .cap = STEPS,
                           .rows = t + 1,
                           .first = t,
                           .causal = true,
                           .k = z->k,
                           .v = z->v};
        struct residual res = {&z->ln, z->x + t * d, own, z->acc + t * d, false};
        struct multconv_step s = {.res = res,
                                  .mult = {&z->gate, &z->proj, z->bias, z->modules},
                                  .qkv = call,
                                  .ring = ring,
                                  .attend = a,
                                  .scratch = scratch,
                                  .scores = scores,
                                  .out = z->out + t * d};
        if (one_go) {
            gone += compute_multconv(c, &s);
            assert_false(s.res.bad);
            continue;
        }
        compute_norm(c, &z->ln, s.res.x, 1, d, own);
        compute_factored(c, &z->gate, &z->proj, z->bias, z->modules, own, 1, scratch,
                         rows + (t + LENGTH - 1) * d);
        compute_convs(c, call, 3, rows + t * d, 1);
        compute_store(c, &z->k, a.heads, a.dh, STEPS, t, call[1].y, 1);
        compute_store(c, &z->v, a.heads, a.dh, STEPS, t, call[2].y, 1);
        compute_attend(c, &a, call[0].y, 1, scores, z->heads * STEPS, s.out);
        compute_kernels(c)->add(s.out, d, s.res.acc);
    }
    free(own);
    free(rows);
    free(ring);
    free(y);
    free(scratch);
    free(scores);
    compute_close(c);
    return gone;
}

static void check_decoding(uint32_t modules, uint32_t heads, uint32_t m, enum terra_dtype cache)
{
    size_t d = (size_t)modules * m, width = d / heads;
    struct decoding z = {modules, heads, m, .proj = matrix(TERRA_I8, m, (uint32_t)d, 1)};
    for (int i = 0; i < 3; i++)
        z.conv[i] = matrix(TERRA_I8, 9 * m, m, 9);
    z.gate = matrix(cache, modules, (uint32_t)d, 0);
    z.bias = floats(d);
    z.x = floats(STEPS * d);
    z.ln = (struct norm){floats(d), floats(d), true};
    z.out = malloc(STEPS * d * sizeof *z.out);
    z.acc = malloc(STEPS * d * sizeof *z.acc);
    z.k = empty_cache(cache, heads * STEPS, width);
    z.v = empty_cache(cache, heads * STEPS, width);
    struct decoding want = z;
    want.out = malloc(STEPS * d * sizeof *want.out);
    want.acc = malloc(STEPS * d * sizeof *want.acc);
    want.k = empty_cache(cache, heads * STEPS, width);
    want.v = empty_cache(cache, heads * STEPS, width);
    size_t bytes = heads * STEPS * width * dtype_size(cache);
    bool can = kernels_get(NULL)->panels_q8;

    decode(&want, 1, NULL, false);
    for (uint32_t threads = 1; threads <= 2; threads++) {
        memset(z.out, 0, STEPS * d * sizeof *z.out);
        memset(z.k.data, 0, bytes);
        assert_int_equal(decode(&z, threads, NULL, true), can ? STEPS : 0);
        if (!can)
            continue;
        assert_memory_equal(z.out, want.out, STEPS * d * sizeof *z.out);
        assert_memory_equal(z.acc, want.acc, STEPS * d * sizeof *z.acc);
        assert_memory_equal(z.k.data, want.k.data, bytes);
        assert_memory_equal(z.v.data, want.v.data, bytes);
    }
    assert_int_equal(decode(&z, modules, NULL, true), 0); /* too many threads to be worth it */
    assert_int_equal(decode(&z, 1, "scalar", true), 0);
    drop(&z.proj);
    for (int i = 0; i < 3; i++)
        drop(&z.conv[i]);
    for (int i = 0; i < 2; i++) {
        struct decoding *each = i ? &want : &z;
        free(each->out);
        free(each->acc);
        free(each->k.data);
        free(each->v.data);
        free(each->k.scale);
        free(each->v.scale);
    }
    drop(&z.gate);
    free((void *)(uintptr_t)z.ln.scale);
    free((void *)(uintptr_t)z.ln.bias);
    free(z.bias);
    free(z.x);
}

static void multconv_is_its_calls(void **state)
{
    (void)state;
    check_decoding(6, 6, 64, TERRA_I8);
    check_decoding(16, 16, 32, TERRA_BF16);
    check_decoding(20, 20, 16, TERRA_F32); /* a thread has more than one run of modules */
    check_decoding(12, 18, 48, TERRA_I8);  /* 6 shares of 2 modules and 3 heads */
}

/* ---- attention whose queries, keys and values are linear ------------------------------- */

enum { HEADS = 6, WIDTH = 32, MODEL = 160 };

struct heads {
    struct mat w[3];
    float *bias, *x; /* x: [STEPS][MODEL] */
    struct norm ln;
    struct cache k, v;
    float *out; /* [STEPS][HEADS * WIDTH] */
};

/* Returns how many of the STEPS positions went in one go. */
static int decode_heads(struct heads *z, uint32_t threads, bool one_go)
{
    struct compute *c = compute_open(threads, NULL, NULL);
    const size_t d = HEADS * WIDTH;
    float *own = malloc(threads * MODEL * sizeof *own), *y = malloc(3 * d * sizeof *y);
    float scores[HEADS * STEPS];
    int gone = 0;
    for (size_t t = 0; t < STEPS; t++) {
        struct heads_step s = {.res = {.ln = &z->ln, .x = z->x + t * MODEL, .own = own},
                               .attend = {.heads = HEADS,
                                          .dh = WIDTH,
                                          .cap = STEPS,
                                          .rows = t + 1,
                                          .first = t,
                                          .causal = true,
                                          .k = z->k,
                                          .v = z->v},
                               .scores = scores,
                               .out = z->out + t * d,
                               .timed = t % 2};
        for (int i = 0; i < 3; i++)
            s.qkv[i] = (struct linear){&z->w[i], z->bias, NULL, y + i * d};
        if (one_go) {
            bool went = compute_heads(c, &s);
            gone += went;
            assert_true((s.attend_ns > 0) == (went && s.timed));
            continue;
        }
        compute_norm(c, &z->ln, s.res.x, 1, MODEL, own);
        for (int i = 0; i < 3; i++)
            compute_linear(c, &z->w[i], z->bias, own, 1, y + i * d);
        compute_store(c, &z->k, HEADS, WIDTH, STEPS, t, y + d, 1);
        compute_store(c, &z->v, HEADS, WIDTH, STEPS, t, y + 2 * d, 1);
        compute_attend(c, &s.attend, y, 1, scores, HEADS * STEPS, s.out);
    }
    free(own);
    free(y);
    compute_close(c);
    return gone;
}

static void check_heads(enum terra_dtype t, bool packed, enum terra_dtype cache)
{
    const size_t d = HEADS * WIDTH, all = STEPS * d;
    struct heads z = {.bias = floats(d),
                      .x = floats(STEPS * MODEL),
                      .ln = {floats(MODEL), floats(MODEL), true},
                      .k = empty_cache(cache, HEADS * STEPS, WIDTH),
                      .v = empty_cache(cache, HEADS * STEPS, WIDTH),
                      .out = malloc(all * sizeof *z.out)};
    for (int i = 0; i < 3; i++)
        z.w[i] = matrix(t, HEADS * WIDTH, MODEL, packed);
    float *want = malloc(all * sizeof *want);
    char *keys = malloc(all * dtype_size(cache)), *values = malloc(all * dtype_size(cache));

    decode_heads(&z, 1, false);
    memcpy(want, z.out, all * sizeof *want);
    memcpy(keys, z.k.data, all * dtype_size(cache));
    memcpy(values, z.v.data, all * dtype_size(cache));
    for (uint32_t threads = 1; threads <= 2; threads++) {
        memset(z.out, 0, all * sizeof *z.out);
        memset(z.k.data, 0, all * dtype_size(cache));
        memset(z.v.data, 0, all * dtype_size(cache));
        assert_int_equal(decode_heads(&z, threads, true), STEPS);
        assert_memory_equal(z.out, want, all * sizeof *want);
        assert_memory_equal(z.k.data, keys, all * dtype_size(cache));
        assert_memory_equal(z.v.data, values, all * dtype_size(cache));
    }
    assert_int_equal(decode_heads(&z, HEADS, true), 0); /* a head a thread: shared out finer */
    for (int i = 0; i < 3; i++)
        drop(&z.w[i]);
    free(z.bias);
    free(z.x);
    free((void *)(uintptr_t)z.ln.scale);
    free((void *)(uintptr_t)z.ln.bias);
    free(z.k.data);
    free(z.k.scale);
    free(z.v.data);
    free(z.v.scale);
    free(z.out);
    free(want);
    free(keys);
    free(values);
}

static void heads_are_their_calls(void **state)
{
    (void)state;
    for (int t = TERRA_F32; t <= TERRA_I8; t++)
        for (int packed = 0; packed < 2; packed++)
            check_heads((enum terra_dtype)t, packed, (enum terra_dtype)t);
}

/* ---- a linear layer -----------------------------------------------------------------------
 */

static void check_linear_step(enum terra_dtype t, bool packed, uint32_t rows, uint32_t cols)
{
    struct mat w = matrix(t, rows, cols, packed);
    float *x = floats(cols), *bias = floats(rows), *start = floats(rows);
    float *scale = floats(cols), *shift = floats(cols), *normed = malloc(cols * sizeof *normed);
    float *plain = malloc(rows * sizeof *plain), *y = malloc(rows * sizeof *y);
    float *acc = malloc(rows * sizeof *acc), *own = calloc(3 * cols, sizeof *own);
    struct norm ln = {scale, shift, true};
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct compute *c = compute_open(threads, NULL, NULL);
        compute_norm(c, &ln, x, 1, cols, normed);
        compute_linear(c, &w, bias, normed, 1, plain);
        struct linear_step s = {
            .res = {&ln, x, own, acc, false}, .call = {&w, bias, NULL, y}, .relu = true};
        memcpy(acc, start, rows * sizeof *acc);
        compute_linear_step(c, &s);
        for (size_t r = 0; r < rows; r++) {
            float want = plain[r] < 0 ? 0 : plain[r];
            assert_memory_equal(&y[r], &want, sizeof want);
            want += start[r];
            assert_memory_equal(&acc[r], &want, sizeof want);
        }
        assert_false(s.res.bad);
        acc[rows - 1] = -INFINITY;
        compute_linear_step(c, &s);
        assert_true(s.res.bad);
        compute_close(c);
    }
    drop(&w);
    free(x);
    free(bias);
    free(start);
    free(scale);
    free(shift);
    free(normed);
    free(plain);
    free(y);
    free(acc);
    free(own);
}

static void a_linear_step_is_its_calls(void **state)
{
    (void)state;
    for (int t = TERRA_F32; t <= TERRA_I8; t++)
        for (int packed = 0; packed < 2; packed++) {
            check_linear_step((enum terra_dtype)t, packed, 48, 64); /* few: one thread's */
            check_linear_step((enum terra_dtype)t, packed, 520, 192);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(multconv_is_its_calls),
                                       cmocka_unit_test(heads_are_their_calls),
                                       cmocka_unit_test(a_linear_step_is_its_calls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
