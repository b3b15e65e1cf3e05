/* test_session.c - properties of whole runs on the converted golden models.
 *
 * The values themselves are checked by tests/parity; here: incremental = full, sparse =
 * masked, any number of threads, cancelling, limits, and what happens to a NaN.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "engine/base/xalloc.h"
#include "engine/pass.h"
#include "engine/terra.h"

#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define N_TARGET 12

static const int32_t source[] = {5, 9, 17, 33, 4, 60, 7, 7, 90, 2, 14, 3};
static const int32_t target[N_TARGET] = {8, 1, 40, 22, 0, 13, 99, 6, 6, 51, 2, 70};
static const size_t n_source = sizeof source / sizeof *source;

/* Models that decode incrementally; lsh does not. */
static const char *const models[] = {"c4_medium_tiny", "concat_multconv",    "dense_twin",
                                     "merged_encoder", "factored_positions", "shared_qk",
                                     "one_swap",       "c4_medium_tiny.int8"};
#define N_MODELS (sizeof models / sizeof *models)

static struct terra_model *open_model(const char *name)
{
    struct err e = {0};
    struct buf path = {0};
    const char *dir = getenv("TERRA_FIXTURES");
    assert_non_null(dir);
    buf_printf(&path, "%s/%s", dir, name);
    struct terra_model *m = terra_model_open(buf_str(&path), &e);
    if (!m)
        fail_msg("%s", e.msg);
    buf_free(&path);
    return m;
}

static struct terra_session_opts plain_opts(enum terra_mode mode)
{
    return (struct terra_session_opts){
        .mode = mode, .threads = 1, .max_source = 96, .max_target = 32};
}

static struct terra_session *open_session(const struct terra_model *m,
                                          const struct terra_session_opts *o)
{
    struct err e = {0};
    struct terra_session *s = terra_session_open(m, o, &e);
    if (!s)
        fail_msg("%s", e.msg);
    return s;
}

static size_t vocab_of(const struct terra_model *m)
{
    return terra_model_config(m)->out_vocab;
}

/* Logits of the whole target at once, [N_TARGET][V]; the caller frees. */
static float *feed_all(const struct terra_model *m, const struct terra_session_opts *o)
{
    struct err e = {0};
    struct terra_session *s = open_session(m, o);
    float *y = xcalloc(N_TARGET * vocab_of(m), sizeof *y);
    if (!terra_prefill(s, source, n_source, &e) || !terra_feed(s, target, N_TARGET, y, &e))
        fail_msg("%s", e.msg);
    terra_session_close(s);
    return y;
}

static double deviation(const float *x, size_t n)
{
    double mean = 0, var = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean) / (double)n;
    return sqrt(var);
}

static void assert_close(const float *a, const float *b, size_t n, double relative,
                         const char *what)
{
    double worst = 0, allowed = relative * deviation(b, n);
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)a[i] - b[i]));
    if (!(worst <= allowed))
        fail_msg("%s: largest difference %g, allowed %g", what, worst, allowed);
}

static void test_incremental_is_full(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MODELS; i++) {
        struct err e = {0};
        struct terra_model *m = open_model(models[i]);
        struct terra_session_opts o = plain_opts(TERRA_SPARSE);
        size_t V = vocab_of(m);
        float *full = feed_all(m, &o);
        struct terra_session *s = open_session(m, &o);
        assert_true(terra_prefill(s, source, n_source, &e));
        for (size_t t = 0; t < N_TARGET; t++) {
            const float *y = terra_logits(s, &e);
            assert_non_null(y);
            assert_close(y, full + t * V, V, 1e-5, models[i]);
            assert_true(terra_accept(s, target[t], &e));
        }
        /* In pieces, with one row's logits asked for in between. */
        float piece[5 * 512];
        assert_true(V <= 512);
        assert_true(terra_prefill(s, source, n_source, &e));
        assert_true(terra_feed(s, target, 3, NULL, &e));
        assert_non_null(terra_logits(s, &e));
        assert_true(terra_feed(s, target + 3, 5, piece, &e));
        assert_close(piece, full + 3 * V, 5 * V, 1e-5, models[i]);
        size_t n;
        assert_memory_equal(terra_target(s, &n), target, 8 * sizeof *target);
        assert_int_equal(n, 8);
        terra_session_close(s);
        free(full);
        terra_model_close(m);
    }
}

/* Padding at the end of the source changes nothing. */
static void test_padding(void **state)
{
    (void)state;
    struct err e = {0};
    int32_t padded[20] = {0};
    memcpy(padded, source, sizeof source);
    struct terra_model *m = open_model("c4_medium_tiny");
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    float *want = feed_all(m, &o);
    float *got = xcalloc(N_TARGET * vocab_of(m), sizeof *got);
    struct terra_session *s = open_session(m, &o);
    assert_true(terra_prefill(s, padded, 20, &e));
    assert_int_equal(terra_source_rows(s), n_source);
    assert_true(terra_feed(s, target, N_TARGET, got, &e));
    assert_memory_equal(got, want, N_TARGET * vocab_of(m) * sizeof *got);
    terra_session_close(s);
    free(got);
    free(want);
    terra_model_close(m);
}

static void test_sparse_is_masked(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MODELS; i++) {
        struct terra_model *m = open_model(models[i]);
        struct terra_session_opts sparse = plain_opts(TERRA_SPARSE);
        struct terra_session_opts masked = plain_opts(TERRA_MASKED);
        size_t n = N_TARGET * vocab_of(m);
        float *a = feed_all(m, &sparse), *b = feed_all(m, &masked);
#ifdef TERRA_SCALAR_ONLY
        for (size_t j = 0; j < n; j++)
            assert_true(a[j] == b[j]);
#endif
        assert_close(a, b, n, 1e-5, models[i]);
        free(a);
        free(b);
        terra_model_close(m);
    }
}

/* `source` with the padding that LSH's chunks want. */
static const int32_t padded_source[16] = {5, 9, 17, 33, 4, 60, 7, 7, 90, 2, 14, 3};

/* Greedy steps after three fed tokens, block 2 of the last layer pinned to `unit` after two
 * more; the logits of six steps, and what the block took in each. */
#define PIN_STEPS 6
static void run_pinned(const struct terra_model *m, enum terra_mode mode, uint16_t unit,
                       float *logits, uint16_t took[PIN_STEPS], bool *scalar)
{
    struct err e = {0};
    struct terra_session_opts o = plain_opts(mode);
    struct terra_session *s = open_session(m, &o);
    struct terra_sampling greedy = {0};
    struct terra_token t;
    size_t V = vocab_of(m);
    uint32_t last = terra_model_config(m)->n_dec - 1;
    assert_true(terra_prefill(s, padded_source, 16, &e));
    assert_true(terra_feed(s, target, 3, NULL, &e));
    for (int i = 0; i < PIN_STEPS; i++) {
        if (i == 2 && unit != TERRA_NO_UNIT && !terra_pin(s, last, 2, unit, &e))
            fail_msg("%s", e.msg);
        const float *y = terra_logits(s, &e);
        assert_non_null(y);
        memcpy(logits + (size_t)i * V, y, V * sizeof *y);
        assert_true(terra_next(s, &greedy, &t, &e));
        took[i] = t.unit[last * t.blocks + 2];
    }
    *scalar = strcmp(terra_session_kernels(s), "scalar") == 0;
    terra_session_close(s);
}

static void test_pin(void **state)
{
    (void)state;
    static const char *const name[] = {"c4_medium_tiny", "concat_multconv", "one_swap", "lsh"};
    for (size_t k = 0; k < sizeof name / sizeof *name; k++) {
        struct terra_model *m = open_model(name[k]);
        size_t V = vocab_of(m), n = PIN_STEPS * V;
        float *free_run = xcalloc(n, sizeof *free_run), *a = xcalloc(n, sizeof *a),
              *b = xcalloc(n, sizeof *b);
        uint16_t chose[PIN_STEPS], took[PIN_STEPS], masked[PIN_STEPS];
        uint16_t units = (uint16_t)terra_model_config(m)->ff_block;
        bool scalar, changed = false;
        run_pinned(m, TERRA_SPARSE, TERRA_NO_UNIT, free_run, chose, &scalar);
        for (uint16_t unit = 0; unit < units; unit++) {
            run_pinned(m, TERRA_SPARSE, unit, a, took, &scalar);
            run_pinned(m, TERRA_MASKED, unit, b, masked, &scalar);
            assert_memory_equal(took, masked, sizeof took);
            assert_close(a, b, n, 1e-5, name[k]);
            if (scalar)
                assert_memory_equal(a, b, n * sizeof *a);
            /* nothing before the pin changes; after it the block obeys */
            assert_memory_equal(a, free_run, 2 * V * sizeof *a);
            for (int i = 2; i < PIN_STEPS; i++)
                assert_int_equal(took[i], unit);
            bool same = memcmp(a + 2 * V, free_run + 2 * V, V * sizeof *a) == 0;
            if (unit == chose[2]) /* what it chose anyway */
                assert_true(same);
            else
                changed |= !same;
        }
        assert_true(changed);
        /* second choice: one of the others, and from there on the same unit */
        run_pinned(m, TERRA_SPARSE, TERRA_RUNNER_UP, a, took, &scalar);
        assert_memory_equal(took, chose, 2 * sizeof *took);
        assert_int_not_equal(took[2], chose[2]);
        run_pinned(m, TERRA_SPARSE, took[2], b, masked, &scalar);
        assert_memory_equal(took, masked, sizeof took);
        assert_memory_equal(a, b, n * sizeof *a);
        free(free_run);
        free(a);
        free(b);
        terra_model_close(m);
    }
}

/* What block 2 of the last layer took in each target row, when it last passed. */
struct taken {
    uint32_t layer, first;
    uint16_t unit[N_TARGET];
};

static void note_taken(void *user, const struct terra_choices *c)
{
    struct taken *z = user;
    if (c->stage != TERRA_DECODER || c->layer != z->layer)
        return;
    for (uint32_t i = 0; i < c->n_rows; i++) {
        uint32_t row = c->first_row + i;
        if (row >= z->first && row - z->first < N_TARGET)
            z->unit[row - z->first] = c->unit[i * c->blocks + 2];
    }
}

/* Pinned to `unit` from row 3, to another from row 8 and given back from row 9: every row
 * keeps what it took, though all rows of an LSH model pass again for the next. */
static void pin_twice(const char *name, uint16_t unit)
{
    struct err e = {0};
    struct terra_model *m = open_model(name);
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    struct taken z = {.layer = terra_model_config(m)->n_dec - 1}, before;
    o.on_choices = note_taken;
    o.user = &z;
    struct terra_session *s = open_session(m, &o);
    assert_true(terra_prefill(s, padded_source, 16, &e));
    z.first = terra_source_rows(s);
    assert_true(terra_feed(s, target, 3, NULL, &e));
    assert_true(terra_pin(s, z.layer, 2, 1, &e)); /* for no row: it is replaced at once */
    assert_true(terra_pin(s, z.layer, 2, unit, &e));
    assert_true(terra_feed(s, target + 3, 4, NULL, &e));
    assert_non_null(terra_logits(s, &e));
    for (int i = 3; i < 8; i++)
        assert_int_equal(z.unit[i], unit == TERRA_RUNNER_UP ? z.unit[3] : unit);
    before = z;
    assert_true(terra_accept(s, target[7], &e));
    assert_true(terra_pin(s, z.layer, 2, 6, &e));
    assert_non_null(terra_logits(s, &e));
    assert_memory_equal(z.unit, before.unit, 8 * sizeof *z.unit);
    assert_int_equal(z.unit[8], 6);
    assert_true(terra_accept(s, target[8], &e));
    assert_true(terra_pin(s, z.layer, 2, TERRA_NO_UNIT, &e));
    assert_non_null(terra_logits(s, &e));
    assert_memory_equal(z.unit, before.unit, 8 * sizeof *z.unit);
    assert_int_equal(z.unit[8], 6);
    terra_session_close(s);
    terra_model_close(m);
}

static void test_pin_again(void **state)
{
    (void)state;
    static const char *const name[] = {"c4_medium_tiny", "lsh"};
    for (size_t i = 0; i < 2; i++) {
        pin_twice(name[i], 5);
        pin_twice(name[i], TERRA_RUNNER_UP);
    }
}

static void test_second_choice(void **state)
{
    (void)state;
    static const struct {
        float z[4];
        uint32_t n;
        uint16_t second;
    } want[] = {{{3, 1, 2, 0}, 4, 2}, {{0, 1, 2, 3}, 4, 2}, {{1, 3, 1, 1}, 4, 0},
                {{2, 2, 1, 2}, 4, 1}, {{1, 2}, 2, 0},       {{2, 1}, 2, 1},
                {{5}, 1, 0}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct pin pin = {.unit = TERRA_RUNNER_UP};
        assert_int_equal(pass_pinned(&pin, want[i].z, want[i].n), want[i].second);
        assert_int_equal(pin.unit, want[i].second);
        /* once known it stays */
        assert_int_equal(pass_pinned(&pin, want[0].z, want[0].n), want[i].second);
    }
}

static void refuses_pin(struct terra_session *s, uint32_t layer, uint32_t block, uint16_t unit,
                        const char *why)
{
    struct err e = {0};
    assert_false(terra_pin(s, layer, block, unit, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    if (!strstr(e.msg, why))
        fail_msg("'%s' does not say '%s'", e.msg, why);
}

static void test_pin_limits(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    const struct terra_config *c = terra_model_config(m);
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    struct terra_session *s = open_session(m, &o);
    refuses_pin(s, c->n_dec, 0, 0, "layer");
    refuses_pin(s, 0, terra_config_blocks(c, c->n_enc), 0, "block");
    refuses_pin(s, 0, 0, (uint16_t)c->ff_block, "unit");
    assert_true(terra_pin(s, 0, 0, 0, &e));
    assert_true(terra_pin(s, 0, 0, TERRA_NO_UNIT, &e));
    terra_session_close(s);
    o.mode = TERRA_OPEN;
    s = open_session(m, &o);
    refuses_pin(s, 0, 0, 0, "open");
    terra_session_close(s);
    terra_model_close(m);
    m = open_model("dense_twin");
    o.mode = TERRA_SPARSE;
    s = open_session(m, &o);
    refuses_pin(s, 0, 0, 0, "dense");
    terra_session_close(s);
    terra_model_close(m);
}

/* The lens changes nothing, its last layer is the head's answer, the others are not. */
static void test_lens(void **state)
{
    (void)state;
    static const char *const name[] = {"c4_medium_tiny", "concat_multconv", "dense_twin",
                                       "lsh"};
    for (size_t k = 0; k < sizeof name / sizeof *name; k++) {
        struct err e = {0};
        struct terra_model *m = open_model(name[k]);
        struct terra_session_opts o = plain_opts(TERRA_SPARSE);
        size_t V = vocab_of(m), layers = terra_model_config(m)->n_dec;
        struct terra_session *s = open_session(m, &o);
        float *plain = xcalloc(2 * V, sizeof *plain), *lens = xcalloc(layers * V, sizeof *lens);
        assert_true(terra_prefill(s, padded_source, 16, &e));
        assert_true(terra_feed(s, target, 4, NULL, &e));
        memcpy(plain, terra_logits(s, &e), V * sizeof *plain);
        assert_true(terra_accept(s, target[4], &e));
        memcpy(plain + V, terra_logits(s, &e), V * sizeof *plain);
        assert_false(terra_lens(s, lens, &e)); /* too late */
        assert_int_equal(e.kind, ERR_USAGE);

        assert_true(terra_prefill(s, padded_source, 16, &e));
        assert_true(terra_feed(s, target, 4, NULL, &e));
        assert_true(terra_lens(s, lens, &e));
        assert_memory_equal(lens + (layers - 1) * V, plain, V * sizeof *plain);
        assert_memory_equal(terra_logits(s, &e), plain, V * sizeof *plain);
        for (size_t l = 0; l + 1 < layers; l++) /* every layer does something */
            if (!isnan(lens[l * V]))
                assert_memory_not_equal(lens + l * V, lens + (l + 1) * V, V * sizeof *lens);
        assert_true(terra_accept(s, target[4], &e));
        assert_memory_equal(terra_logits(s, &e), plain + V, V * sizeof *plain);
        free(plain);
        free(lens);
        terra_session_close(s);
        terra_model_close(m);
    }
}

static void test_open_is_another_function(void **state)
{
    (void)state;
    struct terra_model *m = open_model("c4_medium_tiny");
    struct terra_session_opts sparse = plain_opts(TERRA_SPARSE), open = plain_opts(TERRA_OPEN);
    size_t n = N_TARGET * vocab_of(m), differ = 0;
    float *a = feed_all(m, &sparse), *b = feed_all(m, &open);
    for (size_t j = 0; j < n; j++)
        differ += fabsf(a[j] - b[j]) > 1e-3f;
    assert_true(differ > n / 2);
    free(a);
    free(b);
    terra_model_close(m);
}

static void test_threads_change_nothing(void **state)
{
    (void)state;
    const char *some[] = {"c4_medium_tiny", "dense_twin", "c4_medium_tiny.int8", "lsh"};
    for (size_t i = 0; i < 4; i++) {
        struct terra_model *m = open_model(some[i]);
        struct terra_session_opts one = plain_opts(TERRA_SPARSE), more = one;
        struct err e = {0};
        more.threads = 3;
        size_t n = vocab_of(m);
        struct terra_session *s[2] = {open_session(m, &one), open_session(m, &more)};
        int32_t padded[16] = {0};
        memcpy(padded, source, sizeof source);
        const float *y[2];
        for (int j = 0; j < 2; j++) {
            assert_true(terra_prefill(s[j], padded, 16, &e));
            assert_true(terra_feed(s[j], target, 5, NULL, &e));
            y[j] = terra_logits(s[j], &e);
            assert_non_null(y[j]);
        }
        assert_memory_equal(y[0], y[1], n * sizeof *y[0]);
        terra_session_close(s[0]);
        terra_session_close(s[1]);
        terra_model_close(m);
    }
}

static void test_next_reports(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    const struct terra_config *c = terra_model_config(m);
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    struct terra_session *s = open_session(m, &o);
    struct terra_sampling greedy = {0};
    struct terra_token t;
    struct terra_model_info info;
    terra_model_info(m, &info);
    assert_true(terra_prefill(s, source, n_source, &e));
    assert_true(terra_next(s, &greedy, &t, &e)); /* warm */
    size_t before = mallinfo2().uordblks;
    for (uint32_t i = 1; i < 10; i++) {
        assert_true(terra_next(s, &greedy, &t, &e));
        assert_int_equal(t.index, i);
        assert_int_equal(t.n_top, TERRA_TOP);
        assert_int_equal(t.top[0].id, t.id);
        assert_true(t.logprob < 0 && t.top[0].logprob >= t.top[1].logprob);
        assert_int_equal(t.layers, c->n_dec);
        assert_int_equal(t.blocks, c->d_ff / c->ff_block);
        for (uint32_t k = 0; k < t.layers * t.blocks; k++) {
            assert_true(t.unit[k] < c->ff_block);
            assert_true(t.margin[k] >= 0 && t.alive[k] <= 1);
        }
        uint64_t parts = 0;
        for (int p = 0; p < TERRA_PARTS; p++)
            parts += t.part_ns[p];
        assert_int_equal(parts, t.ns);
        assert_int_equal(t.weight_bytes, info.bytes_sparse);
        assert_true(t.cache_bytes > 0);
    }
    assert_int_equal(mallinfo2().uordblks, before);
    assert_true(info.bytes_sparse < info.bytes_dense);
    terra_session_close(s);
    terra_model_close(m);
}

static void test_empty_source(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    struct terra_session *s = open_session(m, &o);
    assert_true(terra_prefill(s, NULL, 0, &e));
    assert_int_equal(terra_source_rows(s), 0);
    assert_non_null(terra_logits(s, &e));
    terra_session_close(s);
    terra_model_close(m);
}

static void test_limits(void **state)
{
    (void)state;
    struct err e = {0};
    int32_t many[97] = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    struct terra_session *s = open_session(m, &o);
    assert_null(terra_logits(s, &e)); /* no prefill yet */
    assert_int_equal(e.kind, ERR_USAGE);
    assert_false(terra_prefill(s, many, 97, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_non_null(strstr(e.msg, "97"));
    assert_true(terra_prefill(s, source, n_source, &e));
    assert_false(terra_feed(s, many, 33, NULL, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_true(terra_feed(s, many, 32, NULL, &e));
    assert_null(terra_logits(s, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    terra_session_close(s);
    o.max_source = 1u << 30;
    assert_null(terra_session_open(m, &o, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    terra_model_close(m);
}

static void test_position_limit(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    uint32_t positions = terra_model_config(m)->pos.max;
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    o.max_source = positions + 1;
    int32_t *ids = xcalloc(positions + 1, sizeof *ids);
    for (uint32_t i = 0; i <= positions; i++)
        ids[i] = 3;
    struct terra_session *s = open_session(m, &o);
    assert_true(terra_prefill(s, ids, positions, &e));
    assert_false(terra_prefill(s, ids, positions + 1, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    terra_session_close(s);
    free(ids);
    terra_model_close(m);
}

/* ---- cancelling ----------------------------------------------------------------------- */

struct stopper {
    atomic_bool stop;
    uint32_t left, seen;
};

static void stop_after(void *user, const struct terra_choices *c)
{
    struct stopper *s = user;
    (void)c;
    s->seen++;
    if (s->left-- == 1)
        atomic_store(&s->stop, true);
}

static void test_cancel_within_a_layer(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    struct stopper stopper = {.left = 1};
    o.cancel = &stopper.stop;
    o.on_choices = stop_after;
    o.user = &stopper;
    struct terra_session *s = open_session(m, &o);
    assert_false(terra_prefill(s, source, n_source, &e));
    assert_int_equal(e.kind, ERR_CANCELLED);
    assert_int_equal(stopper.seen, 1); /* the next layer did not start */
    assert_null(terra_logits(s, &e));
    assert_int_equal(e.kind, ERR_USAGE);

    atomic_store(&stopper.stop, false);
    stopper.left = UINT32_MAX;
    assert_true(terra_prefill(s, source, n_source, &e));
    atomic_store(&stopper.stop, true);
    struct terra_token t;
    assert_false(terra_next(s, &(struct terra_sampling){0}, &t, &e));
    assert_int_equal(e.kind, ERR_CANCELLED);
    terra_session_close(s);
    terra_model_close(m);
}

/* ---- NaN --------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to, const char *name, struct buf *content)
{
    char path[512], chunk[4096];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", from, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    buf_clear(content);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(content, chunk, n);
    fclose(f);
    snprintf(path, sizeof path, "%s/%s", to, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content->data, 1, content->len, f), content->len);
    fclose(f);
}

/* A copy of the model in which one float of a tensor, or every one (-1), is a NaN. */
static void poison(const char *dir, const char *tensor, long at_float)
{
    struct buf b = {0};
    char from[512], path[512], key[128];
    snprintf(from, sizeof from, "%s/c4_medium_tiny", getenv("TERRA_FIXTURES"));
    copy_file(from, dir, "config.json", &b);
    copy_file(from, dir, "model.safetensors", &b);
    uint64_t header;
    memcpy(&header, b.data, 8);
    snprintf(key, sizeof key, "\"%s\"", tensor);
    char *at = strstr(b.data + 8, key);
    assert_non_null(at);
    unsigned long long begin, end;
    assert_non_null(at = strstr(at, "\"data_offsets\""));
    assert_non_null(at = strchr(at, '['));
    assert_int_equal(sscanf(at, "[ %llu , %llu", &begin, &end), 2);
    if (at_float >= 0)
        memset(b.data + 8 + header + begin + 4 * (size_t)at_float, 0xff, 4);
    else
        memset(b.data + 8 + header + begin, 0xff, end - begin);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
    fclose(f);
    buf_free(&b);
}

static void remove_copy(const char *dir)
{
    static const char *const name[] = {"config.json", "model.safetensors"};
    char path[64];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, name[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void test_nan_names_the_layer(void **state)
{
    (void)state;
    static const struct {
        const char *tensor, *stage, *part;
        bool in_prefill;
    } cases[] = {{"enc.1.ff.b2", "encoder block 1", "feed-forward", true},
                 {"enc.0.ff.w1", "encoder block 0", "feed-forward", true},
                 {"dec.0.ff.ctl1", "decoder block 0", "controller", true},
                 {"dec.1.ff.ctlb", "decoder block 1", "controller", true},
                 {"dec.1.ff.ln.scale", "decoder block 1", "controller", true},
                 {"dec.1.attn0.v.b", "decoder block 1", "attention", true},
                 {"dec.0.ff.sru.out.b", "decoder block 0", "SRU", true},
                 {"loss.b", "logits", "logits", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        char dir[] = "/tmp/terra-test-XXXXXX";
        assert_non_null(mkdtemp(dir));
        poison(dir, cases[i].tensor, -1);
        struct terra_model *m = terra_model_open(dir, &e);
        if (!m)
            fail_msg("%s", e.msg);
        struct terra_session_opts o = plain_opts(TERRA_SPARSE);
        struct terra_session *s = open_session(m, &o);
        bool ok = terra_prefill(s, source, n_source, &e);
        assert_int_equal(ok, !cases[i].in_prefill);
        if (ok) {
            struct terra_token t;
            assert_false(terra_next(s, &(struct terra_sampling){0}, &t, &e));
        }
        assert_int_equal(e.kind, ERR_NUMERIC);
        assert_non_null(strstr(e.msg, cases[i].stage));
        assert_non_null(strstr(e.msg, cases[i].part));
        terra_session_close(s);
        terra_model_close(m);
        remove_copy(dir);
    }
}

static void assert_bad_controller(const struct err *e)
{
    assert_int_equal(e->kind, ERR_NUMERIC);
    assert_non_null(strstr(e->msg, "decoder block 1"));
    assert_non_null(strstr(e->msg, "controller"));
}

/* Of all logits only one, which wins nowhere: many rows at once, and one. */
static void test_nan_in_any_lane(void **state)
{
    (void)state;
    for (long lane = 0; lane < 16; lane++) {
        struct err e = {0};
        char dir[] = "/tmp/terra-test-XXXXXX";
        assert_non_null(mkdtemp(dir));
        poison(dir, "dec.1.ff.ctlb", 16 + lane);
        struct terra_model *m = terra_model_open(dir, &e);
        if (!m)
            fail_msg("%s", e.msg);
        for (int mode = TERRA_SPARSE; mode <= TERRA_OPEN; mode++) {
            struct terra_session_opts o = plain_opts((enum terra_mode)mode);
            struct terra_session *s = open_session(m, &o);
            assert_false(terra_prefill(s, source, n_source, &e));
            assert_bad_controller(&e);
            assert_true(terra_prefill(s, NULL, 0, &e));
            assert_null(terra_logits(s, &e));
            assert_bad_controller(&e);
            terra_session_close(s);
        }
        terra_model_close(m);
        remove_copy(dir);
    }
}

/* Logits that could not be sampled from are gone with their timeline. */
static void test_no_logits_without_a_timeline(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    struct terra_session_opts o = plain_opts(TERRA_SPARSE);
    struct terra_session *s = open_session(m, &o);
    struct terra_token t;
    assert_true(terra_prefill(s, source, n_source, &e));
    float *y = (float *)(uintptr_t)terra_logits(s, &e);
    assert_non_null(y);
    y[3] = NAN;
    assert_false(terra_next(s, &(struct terra_sampling){0}, &t, &e));
    assert_int_equal(e.kind, ERR_NUMERIC);
    assert_null(terra_logits(s, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    terra_session_close(s);
    terra_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_incremental_is_full),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_sparse_is_masked),
        cmocka_unit_test(test_pin),
        cmocka_unit_test(test_pin_again),
        cmocka_unit_test(test_second_choice),
        cmocka_unit_test(test_pin_limits),
        cmocka_unit_test(test_lens),
        cmocka_unit_test(test_open_is_another_function),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_next_reports),
        cmocka_unit_test(test_empty_source),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_position_limit),
        cmocka_unit_test(test_cancel_within_a_layer),
        cmocka_unit_test(test_nan_names_the_layer),
        cmocka_unit_test(test_nan_in_any_lane),
        cmocka_unit_test(test_no_logits_without_a_timeline),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
