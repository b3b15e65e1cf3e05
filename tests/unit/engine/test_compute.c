/* Tests of engine/compute: no result depends on the number of threads, on how many rows go
 * together, or on gathering; packed forms agree with plain ones.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/unit/engine/matrices.h"

/* ---- linear --------------------------------------------------------------------------- */

static void check_linear(enum terra_dtype t, uint32_t rows, uint32_t cols, size_t n)
{
    struct mat w = matrix(t, rows, cols, 0);
    float *x = floats(n * cols), *bias = floats(rows), *want = malloc(n * rows * sizeof *want);
    const struct kernels *ref = kernels_get("scalar");
    ref->rows(&w, 0, rows, x, cols, n, want, rows);
    for (size_t i = 0; i < n * rows; i++)
        want[i] += bias[i % rows];
    float *first = malloc(n * rows * sizeof *first), *y = malloc(n * rows * sizeof *y);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct compute *c = compute_open(threads, NULL, NULL);
        compute_linear(c, &w, bias, x, n, threads == 1 ? first : y);
        if (threads == 1)
            near(first, want, n * rows, 4e-6f * (float)cols);
        else
            assert_memory_equal(y, first, n * rows * sizeof *y);
        compute_close(c);
    }
    drop(&w);
    free(x);
    free(bias);
    free(want);
    free(first);
    free(y);
}

static void linear_agrees(void **state)
{
    (void)state;
    for (int t = TERRA_F32; t <= TERRA_I8; t++) {
        check_linear((enum terra_dtype)t, 77, 130, 1);
        check_linear((enum terra_dtype)t, 77, 130, 20);
        check_linear((enum terra_dtype)t, 1029, 1030, 18); /* sgemm, with ragged tiles */
    }
}

/* ---- factored, convolution ------------------------------------------------------------- */

static void check_factored(enum terra_dtype t, uint32_t modules, uint32_t m, size_t n,
                           bool pack)
{
    uint32_t d = 132, out = modules * m;
    struct mat w = matrix(t, m, d, pack ? 1 : 0), gate = matrix(t, modules, d, 0);
    float *bias = floats(out), *x = floats(n * d);
    float *scratch = malloc(n * modules * d * sizeof *scratch);
    float *want = malloc(n * out * sizeof *want), *first = malloc(n * out * sizeof *first);
    float *y = malloc(n * out * sizeof *y), *row = malloc(d * sizeof *row);
    for (size_t i = 0; i < n * modules; i++) {
        kernels_get("scalar")->expand(&gate, i % modules, i % modules + 1, 0, d, row, d);
        for (uint32_t k = 0; k < d; k++)
            row[k] *= x[i / modules * d + k];
        kernels_get("scalar")->rows(&w, 0, m, row, d, 1, want + i * m, m);
        for (uint32_t o = 0; o < m; o++)
            want[i * m + o] += bias[i % modules * m + o];
    }
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct compute *c = compute_open(threads, NULL, NULL);
        compute_factored(c, &gate, &w, bias, modules, x, n, scratch, threads == 1 ? first : y);
        if (threads == 1)
            near(first, want, n * out, 2e-3f + rounding(&w, d));
        else
            assert_memory_equal(y, first, n * out * sizeof *y);
        if (w.pack) /* row by row: the same bits */
            for (size_t i = 0; i < n; i++) {
                compute_factored(c, &gate, &w, bias, modules, x + i * d, 1, scratch, y);
                assert_memory_equal(y, first + i * out, out * sizeof *y);
            }
        compute_close(c);
    }
    drop(&w);
    drop(&gate);
    free(bias);
    free(x);
    free(scratch);
    free(want);
    free(first);
    free(y);
    free(row);
}

static void factored_agrees(void **state)
{
    (void)state;
    for (int t = TERRA_F32; t <= TERRA_I8; t++)
        for (int pack = 0; pack < 2; pack++) {
            check_factored((enum terra_dtype)t, 4, 64, 1, pack);
            check_factored((enum terra_dtype)t, 3, 48, 7, pack);
            check_factored((enum terra_dtype)t, 16, 32, 5, pack);
            check_factored((enum terra_dtype)t, 16, 7, 2, pack);
        }
}

/* The definition, spec 2.6, output by output. */
static void plain_conv(const struct mat *w, const float *bias, const struct conv_shape *s,
                       const float *x, size_t n, float *y)
{
    long half = (long)(s->kernel - 1) / 2;
    for (size_t t = 0; t < n; t++)
        for (long j = 0; j < (long)s->modules; j++)
            for (size_t o = 0; o < s->m_out; o++) {
                float sum = bias[o];
                for (size_t a = 0; a < s->length; a++)
                    for (long e = 0; e < (long)s->kernel; e++) {
                        long from = j + e - half;
                        size_t r = (a * s->kernel + (size_t)e) * s->m_out + o;
                        float part;
                        if (from < 0 || from >= (long)s->modules)
                            continue;
                        kernels_get("scalar")->rows(
                            w, r, r + 1, x + ((t + a) * s->modules + (size_t)from) * s->c_in,
                            s->c_in, 1, &part, 1);
                        sum += part;
                    }
                y[(t * s->modules + (size_t)j) * s->m_out + o] = sum;
            }
}

/* Kernels of types t and u. */
static void check_convs(enum terra_dtype t, enum terra_dtype u, uint32_t modules, uint32_t m,
                        bool pack)
{
    enum { N = 24 }; /* enough for three threads to share the positions out */
    const struct conv_shape wide = {modules, 3, 3, m, m}, narrow = {modules, 3, 1, m, m};
    size_t in = (size_t)modules * m;
    struct mat w[2] = {matrix(t, 9 * m, m, pack ? 9 : 0),
                       matrix(u, 3 * m, m, pack && t == u ? 3 : 0)};
    float *x = floats((N + 2) * in), *bias = floats(m), *want = malloc(N * in * sizeof *want);
    float *y[2] = {malloc(N * in * sizeof(float)), malloc(N * in * sizeof(float))};
    float *first[2] = {malloc(N * in * sizeof(float)), malloc(N * in * sizeof(float))};
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct compute *c = compute_open(threads, NULL, NULL);
        struct conv_call both[2] = {{&w[0], bias, &wide, y[0]}, {&w[1], bias, &narrow, y[1]}};
        compute_convs(c, both, 2, x, N);
        for (int k = 0; k < 2; k++) {
            plain_conv(&w[k], bias, both[k].s, x, N, want);
            near(y[k], want, N * in, 5e-3f + rounding(&w[k], 9 * (size_t)m));
            if (t != u) /* alone, an int8 kernel may round where the two together do not */
                continue;
            if (threads == 1)
                memcpy(first[k], y[k], N * in * sizeof(float));
            assert_memory_equal(y[k], first[k], N * in * sizeof(float));
            /* alone, and position by position */
            for (size_t i = 0; i < N; i++)
                compute_conv(c, &w[k], bias, both[k].s, x + i * in, 1, y[k] + i * in);
            assert_memory_equal(y[k], first[k], N * in * sizeof(float));
        }
        compute_close(c);
    }
    for (int k = 0; k < 2; k++) {
        drop(&w[k]);
        free(y[k]);
        free(first[k]);
    }
    free(x);
    free(bias);
    free(want);
}

static void convolutions_agree(void **state)
{
    (void)state;
    for (int t = TERRA_F32; t <= TERRA_I8; t++)
        for (int pack = 0; pack < 2; pack++) {
            check_convs((enum terra_dtype)t, (enum terra_dtype)t, 16, 64, pack);
            check_convs((enum terra_dtype)t, (enum terra_dtype)t, 20, 16, pack); /* two runs */
            check_convs((enum terra_dtype)t, (enum terra_dtype)t, 2, 48, pack);
            check_convs((enum terra_dtype)t, (enum terra_dtype)t, 5, 6, pack);
        }
    check_convs(TERRA_I8, TERRA_F32, 16, 64, true);
}

/* ---- attention -------------------------------------------------------------------------- */

/* Keys and values kept in fewer bits stay near the floats; threads change nothing. */
static void attention_agrees(void **state)
{
    (void)state;
    enum { H = 3, DH = 20, CAP = 40, ROWS = 37, N = 5 };
    float *k = floats(ROWS * H * DH), *v = floats(ROWS * H * DH), *q = floats(N * H * DH);
    float scores[192 * ROWS], want[N * H * DH], got[N * H * DH], first[N * H * DH];
    const float bound[] = {[TERRA_F32] = 0, [TERRA_BF16] = 0.02f, [TERRA_I8] = 0.03f};
    for (int t = TERRA_F32; t <= TERRA_I8; t++) {
        float scale[2][H * CAP];
        void *data[2] = {calloc(H * CAP * DH, 4), calloc(H * CAP * DH, 4)};
        struct cache ck = {(enum terra_dtype)t, data[0], scale[0]};
        struct cache cv = {(enum terra_dtype)t, data[1], scale[1]};
        ck.scale = cv.scale = NULL;
        if (t == TERRA_I8) {
            ck.scale = scale[0];
            cv.scale = scale[1];
        }
        for (uint32_t threads = 1; threads <= 3; threads++) {
            struct compute *c = compute_open(threads, NULL, NULL);
            compute_store(c, &ck, H, DH, CAP, 0, k, 30);
            compute_store(c, &ck, H, DH, CAP, 30, k + 30 * H * DH, ROWS - 30);
            compute_store(c, &cv, H, DH, CAP, 0, v, ROWS);
            struct attend a = {.heads = H,
                               .dh = DH,
                               .cap = CAP,
                               .rows = ROWS,
                               .first = ROWS - N,
                               .causal = true,
                               .k = ck,
                               .v = cv};
            compute_attend(c, &a, q, N, scores, sizeof scores / sizeof *scores, got);
            if (t == TERRA_F32 && threads == 1)
                memcpy(want, got, sizeof want);
            if (threads == 1)
                memcpy(first, got, sizeof first);
            assert_memory_equal(got, first, sizeof got);
            near(got, want, N * H * DH, bound[t]);
            compute_close(c);
        }
        free(data[0]);
        free(data[1]);
    }
    free(k);
    free(v);
    free(q);
}

/* Many rows at once go through tiles: the same values as row by row, to rounding. */
static void check_tiles(enum terra_dtype t, uint32_t dh, bool causal)
{
    enum { H = 3, FIRST = 530, N = 150, ROWS = FIRST + N, CAP = ROWS + 3 };
    const size_t width = H * dh;
    float *k = floats(ROWS * width), *v = floats(ROWS * width), *q = floats(N * width);
    float *scores = floats(192 * ROWS), *got = floats(N * width), *want = floats(N * width);
    float *once = floats(N * width), *scale = floats(2 * H * CAP);
    uint8_t valid[ROWS];
    for (size_t i = 0; i < ROWS; i++) /* whole runs of keys may be hidden */
        valid[i] = i > 515 && i % 7 != 3;
    struct cache ck = {t, calloc(CAP * width, 4), scale};
    struct cache cv = {t, calloc(CAP * width, 4), scale + H * CAP};
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct compute *c = compute_open(threads, NULL, NULL);
        size_t room = compute_attend_floats(threads, H, ROWS);
        struct attend a = {H, dh, CAP, ROWS, FIRST, causal, causal ? NULL : valid, ck, cv};
        compute_store(c, &ck, H, dh, CAP, 0, k, ROWS);
        compute_store(c, &cv, H, dh, CAP, 0, v, ROWS);
        assert_true(room <= 192 * ROWS);
        compute_attend(c, &a, q, N, scores, room, got);
        if (threads == 1) {
            memcpy(once, got, N * width * sizeof *got);
            for (size_t i = 0; i < N; i++) {
                a.first = FIRST + i;
                a.rows = causal ? a.first + 1 : ROWS;
                compute_attend(c, &a, q + i * width, 1, scores, room, want + i * width);
            }
        }
        near(got, want, N * width, t == TERRA_I8 && dh % PANEL == 0 ? 2e-3f : 1e-5f);
        assert_memory_equal(got, once, N * width * sizeof *got);
        compute_close(c);
    }
    free(ck.data);
    free(cv.data);
    free(k);
    free(v);
    free(q);
    free(scores);
    free(got);
    free(want);
    free(once);
    free(scale);
}

static void attention_in_tiles(void **state)
{
    (void)state;
    static const uint32_t widths[] = {20, 32, 48};
    for (int t = TERRA_F32; t <= TERRA_I8; t++)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            check_tiles((enum terra_dtype)t, widths[i], true);
            check_tiles((enum terra_dtype)t, widths[i], false);
        }
}

/* n rows in tiles and row by row, by one kernel set, over 8 bits. */
static void check_last_keys(const char *kernels, size_t first, size_t n)
{
    enum { H = 2, DH = 32, WIDTH = H * DH, MOST = 528 };
    struct compute *c = compute_open(1, kernels, NULL);
    size_t rows = first + n, room = compute_attend_floats(1, H, rows);
    float *k = floats(rows * WIDTH), *v = floats(rows * WIDTH), *q = floats(n * WIDTH);
    float *scores = floats(room), *got = floats(n * WIDTH), want[WIDTH], scale[2][H * MOST];
    struct cache ck = {TERRA_I8, calloc(H * MOST, DH), scale[0]};
    struct cache cv = {TERRA_I8, calloc(H * MOST, DH), scale[1]};
    struct attend a = {H, DH, MOST, rows, first, true, NULL, ck, cv};
    compute_store(c, &ck, H, DH, MOST, 0, k, rows);
    compute_store(c, &cv, H, DH, MOST, 0, v, rows);
    compute_attend(c, &a, q, n, scores, room, got);
    for (size_t i = 0; i < n; i++) {
        a.first = first + i;
        a.rows = a.first + 1;
        compute_attend(c, &a, q + i * WIDTH, 1, scores, room, want);
        near(got + i * WIDTH, want, WIDTH, 2e-3f);
    }
    compute_close(c);
    free(ck.data);
    free(cv.data);
    free(k);
    free(v);
    free(q);
    free(scores);
    free(got);
}

/* The last run of keys may fill no panel, or be a whole run. */
static void attention_to_any_last_key(void **state)
{
    (void)state;
    static const char *const sets[] = {"scalar", "avx2", "avx512", "avx512vnni", "neon"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (!kernels_get(sets[i])) /* not this CPU's */
            continue;
        for (size_t rows = 511; rows <= 528; rows++)
            check_last_keys(sets[i], rows - 20, 20);
        check_last_keys(sets[i], 300, 220);
    }
}

static void not_finite_shows_in_the_cache(void **state)
{
    (void)state;
    struct compute *c = compute_open(1, NULL, NULL);
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, scale[1], q[8], scores[1], out[8];
    int8_t data[2][8];
    struct cache k = {TERRA_I8, data[0], scale}, v = {TERRA_I8, data[1], scale};
    for (int i = 0; i < 8; i++)
        q[i] = 1;
    for (int bad = 0; bad < 2; bad++) {
        x[2] = bad ? NAN : INFINITY;
        compute_store(c, &k, 1, 8, 1, 0, x, 1);
        compute_store(c, &v, 1, 8, 1, 0, x, 1);
        struct attend a = {
            .heads = 1, .dh = 8, .cap = 1, .rows = 1, .causal = true, .k = k, .v = v};
        compute_attend(c, &a, q, 1, scores, 1, out);
        assert_true(isnan(out[0]));
    }
    compute_close(c);
}

/* ---- fetching ahead ------------------------------------------------------------------------
 */

static void soon_changes_nothing(void **state)
{
    (void)state;
    struct mat w = matrix(TERRA_I8, 64, 128, 1);
    struct mat gate = matrix(TERRA_F32, 16, 128, 0);
    float *x = floats(128), scratch[16 * 128], want[1024], got[1024];
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct compute *c = compute_open(threads, NULL, NULL);
        struct span list[] = {{x, 128 * sizeof *x, false},
                              {w.data, 64 * 128, true},
                              {gate.data, 7, false},
                              {gate.data, 0, true}};
        compute_soon(c, NULL, 0, 1);
        compute_factored(c, &gate, &w, NULL, 16, x, 1, scratch, want);
        compute_soon(c, list, 4, 1);
        for (int i = 0; i < 3; i++) {
            compute_factored(c, &gate, &w, NULL, 16, x, 1, scratch, got);
            assert_memory_equal(got, want, sizeof got);
        }
        compute_close(c);
    }
    drop(&w);
    drop(&gate);
    free(x);
}

static void unknown_kernels_are_refused(void **state)
{
    (void)state;
    struct err e;
    assert_null(compute_open(1, "mmx", &e));
    assert_int_equal(e.kind, ERR_USAGE);
    struct compute *c = compute_open(2, "scalar", NULL);
    assert_string_equal(compute_kernels(c)->name, "scalar");
    assert_int_equal(compute_threads(c), 2);
    compute_close(c);
    compute_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_agrees),
        cmocka_unit_test(factored_agrees),
        cmocka_unit_test(convolutions_agree),
        cmocka_unit_test(attention_agrees),
        cmocka_unit_test(attention_in_tiles),
        cmocka_unit_test(attention_to_any_last_key),
        cmocka_unit_test(not_finite_shows_in_the_cache),
        cmocka_unit_test(soon_changes_nothing),
        cmocka_unit_test(unknown_kernels_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
