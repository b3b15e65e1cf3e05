/* test_search.c - beam search against one that goes back to nothing.
 *
 * The oracle keeps whole texts and computes every logit on a fresh timeline; the engine
 * goes back to marks.  Both must write the same ids, and the session must be as before.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "engine/base/xalloc.h"
#include "engine/terra.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LONGEST = 9, MOST = 8 };

static const int32_t source[16] = {5, 9, 17, 33, 4, 60, 7, 7, 90, 2, 14, 3};
static const int32_t forced[2] = {8, 40};

static struct terra_model *open_model(const char *name)
{
    struct err e = {0};
    struct buf path = {0};
    buf_printf(&path, "%s/%s", getenv("TERRA_FIXTURES"), name);
    struct terra_model *m = terra_model_open(buf_str(&path), &e);
    if (!m)
        fail_msg("%s", e.msg);
    buf_free(&path);
    return m;
}

static struct terra_session *open_session(const struct terra_model *m, enum terra_mode mode)
{
    struct err e = {0};
    struct terra_session_opts o = {
        .mode = mode, .threads = 1, .max_source = 32, .max_target = 32};
    struct terra_session *s = terra_session_open(m, &o, &e);
    if (!s)
        fail_msg("%s", e.msg);
    return s;
}

/* ---- the oracle -------------------------------------------------------------------- */

struct text {
    double score;
    int32_t id[LONGEST];
    size_t n;
};

/* Goes through a text token by token, as decoding does. */
static const float *go(struct terra_session *s, size_t n_forced, const struct text *t)
{
    struct err e = {0};
    assert_true(terra_prefill(s, source, 16, &e));
    assert_true(terra_feed(s, forced, n_forced, NULL, &e));
    for (size_t i = 0; i < t->n; i++) {
        assert_non_null(terra_logits(s, &e));
        assert_true(terra_accept(s, t->id[i], &e));
    }
    const float *y = terra_logits(s, &e);
    assert_non_null(y);
    return y;
}

/* Whether `id` behind the text would repeat two tokens, forced ones included. */
static bool repeats(const struct text *t, size_t n_forced, int32_t id)
{
    int32_t all[LONGEST + 3];
    size_t n = 0;
    for (size_t i = 0; i < n_forced; i++)
        all[n++] = forced[i];
    for (size_t i = 0; i < t->n; i++)
        all[n++] = t->id[i];
    all[n++] = id;
    for (size_t i = 0; i + 3 < n + 1; i++)
        if (all[i] == all[n - 2] && all[i + 1] == id)
            return true;
    return false;
}

static void insert(struct text *list, size_t *n, size_t most, const struct text *t)
{
    size_t at = *n;
    while (at > 0 && t->score > list[at - 1].score)
        at--;
    if (at >= most)
        return;
    *n = *n < most ? *n + 1 : most;
    memmove(list + at + 1, list + at, (*n - at - 1) * sizeof *list);
    list[at] = *t;
}

static struct text search(struct terra_session *s, size_t V, size_t n_forced, size_t beams,
                          size_t longest)
{
    struct text now[MOST] = {{0}}, best = {.score = -INFINITY};
    size_t n_now = 1, finished = 0;
    for (size_t t = 0; t < longest && n_now; t++) {
        if (finished >= beams && best.score >= now[0].score / pow((double)t + 1, 0.8))
            break;
        struct text next[2 * MOST];
        size_t n_next = 0;
        for (size_t b = 0; b < n_now; b++) {
            const float *y = go(s, n_forced, &now[b]);
            float max = y[0], sum = 0;
            for (size_t i = 1; i < V; i++)
                max = y[i] > max ? y[i] : max;
            for (size_t i = 0; i < V; i++)
                sum += expf(y[i] - max);
            for (size_t i = 1; i < V; i++) {
                if (repeats(&now[b], n_forced, (int32_t)i) || (t == 0 && i == TERRA_EOS))
                    continue;
                struct text one = now[b];
                one.score += (double)(y[i] - (max + logf(sum)));
                one.id[one.n++] = (int32_t)i;
                insert(next, &n_next, 2 * beams, &one);
            }
        }
        n_now = 0;
        for (size_t i = 0; i < n_next && n_now < beams; i++) {
            if (next[i].id[t] != TERRA_EOS) {
                now[n_now++] = next[i];
                continue;
            }
            struct text done = next[i];
            done.score /= pow((double)done.n, 0.8);
            finished++;
            if (done.score > best.score)
                best = done;
        }
    }
    return finished ? best : now[0];
}

/* ---- tests --------------------------------------------------------------------------- */

static void same_as_from_scratch(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        enum terra_mode mode;
    } on[] = {{"c4_medium_tiny", TERRA_SPARSE},
              {"c4_medium_tiny", TERRA_MASKED},
              {"c4_medium_tiny.int8", TERRA_SPARSE},
              {"concat_multconv", TERRA_SPARSE},
              {"dense_twin", TERRA_SPARSE},
              {"shared_qk", TERRA_SPARSE},
              {"lsh", TERRA_SPARSE}};
    size_t several = 0;
    for (size_t k = 0; k < sizeof on / sizeof *on; k++) {
        struct err e = {0};
        struct terra_model *m = open_model(on[k].model);
        struct terra_session *s = open_session(m, on[k].mode);
        struct terra_session *other = open_session(m, on[k].mode);
        size_t V = terra_model_config(m)->out_vocab;
        struct terra_sampling p = {.no_repeat_ngram = 2, .min_tokens = 3};
        for (size_t beams = 2; beams <= 4; beams += 2) {
            struct terra_search *x = NULL; /* opened once, for both */
            for (int again = 0; again < 2; again++) {
                size_t n_forced = again ? 0 : 2;
                p.min_tokens = (uint32_t)n_forced + 1;
                struct text want = search(other, V, n_forced, beams, LONGEST);
                const int32_t *id;
                size_t n, n_target;
                assert_true(terra_prefill(s, source, 16, &e));
                assert_true(terra_feed(s, forced, n_forced, NULL, &e));
                if (!x)
                    x = terra_search_open(s, (uint32_t)beams, LONGEST, &e);
                assert_non_null(x);
                if (!terra_search_run(x, &p, LONGEST, &id, &n, &e))
                    fail_msg("%s", e.msg);
                assert_int_equal(n, want.n);
                assert_memory_equal(id, want.id, n * sizeof *id);
                terra_target(s, &n_target);
                assert_int_equal(n_target, n_forced);
                /* ... and the session goes on as if nothing had been tried */
                struct text empty = {0};
                assert_memory_equal(terra_logits(s, &e), go(other, n_forced, &empty),
                                    V * sizeof(float));
                struct terra_token t;
                for (size_t i = 0; i < n; i++) {
                    assert_true(terra_take(s, id[i], &t, &e));
                    assert_int_equal(t.id, id[i]);
                    assert_int_equal(t.index, n_forced + i);
                }
                want.n--; /* `go` asks for the logits behind its last token */
                double sum = (double)t.logprob;
                const float *y = go(other, n_forced, &want);
                float max = y[0], all = 0;
                for (size_t i = 1; i < V; i++)
                    max = y[i] > max ? y[i] : max;
                for (size_t i = 0; i < V; i++)
                    all += expf(y[i] - max);
                assert_float_equal(sum, y[id[n - 1]] - (max + logf(all)), 1e-4);
                several += n > 3;
            }
            terra_search_close(x);
        }
        terra_session_close(s);
        terra_session_close(other);
        terra_model_close(m);
    }
    assert_true(several > 4);
}

static void on_choices(void *user, const struct terra_choices *c)
{
    size_t *rows = user;
    *rows += c->n_rows;
}

static void what_is_tried_is_not_reported(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    size_t rows = 0, before;
    struct terra_session_opts o = {.threads = 1,
                                   .max_source = 32,
                                   .max_target = 32,
                                   .on_choices = on_choices,
                                   .user = &rows};
    struct terra_session *s = terra_session_open(m, &o, &e);
    assert_true(terra_prefill(s, source, 16, &e));
    before = rows;
    struct terra_search *x = terra_search_open(s, 4, LONGEST, &e);
    const int32_t *id;
    size_t n;
    struct terra_token t;
    struct terra_sampling p = {0};
    assert_true(terra_search_run(x, &p, LONGEST, &id, &n, &e));
    assert_int_equal(rows, before);
    assert_true(terra_take(s, id[0], &t, &e));
    assert_true(rows > before);
    terra_search_close(x);
    terra_session_close(s);
    terra_model_close(m);
}

/* Where every token but the padding is forbidden, what is written so far stands. */
static void nothing_left_to_write(void **state)
{
    (void)state;
    enum { LEFT = 4 };
    struct err e = {0};
    struct terra_model *m = open_model("factored_positions");
    struct terra_session_opts o = {.threads = 1, .max_source = 32, .max_target = 256};
    struct terra_session *s = terra_session_open(m, &o, &e);
    const struct terra_sampling p = {.no_repeat_ngram = 1, .min_tokens = 1000};
    int32_t V = (int32_t)terra_model_config(m)->out_vocab, used[256];
    const int32_t *id;
    size_t n, n_used = 0;
    for (int32_t i = TERRA_EOS + 1; i < V - LEFT; i++)
        used[n_used++] = i;
    struct terra_search *x = NULL;
    for (size_t left = LEFT; left != SIZE_MAX; left--) {
        assert_true(terra_prefill(s, source, 16, &e));
        assert_true(terra_feed(s, used, n_used, NULL, &e));
        x = x ? x : terra_search_open(s, 2, 2 * LEFT, &e);
        assert_true(terra_search_run(x, &p, LEFT + 1, &id, &n, &e));
        assert_int_equal(n, left);
        for (size_t i = 0; i < n; i++) {
            assert_true(id[i] >= V - LEFT);
            for (size_t k = 0; k < i; k++)
                assert_int_not_equal(id[i], id[k]);
        }
        used[n_used++] = V - (int32_t)left;
    }
    terra_search_close(x);
    terra_session_close(s);
    terra_model_close(m);
}

/* As taking the tokens one by one, and the session is where it was. */
static void given_texts_are_scored(void **state)
{
    (void)state;
    static const char *const model[] = {"c4_medium_tiny", "shared_qk", "dense_twin"};
    struct err e = {0};
    for (size_t i = 0; i < sizeof model / sizeof *model; i++) {
        struct terra_model *m = open_model(model[i]);
        struct terra_session *s = open_session(m, TERRA_SPARSE);
        assert_true(terra_prefill(s, source, 16, &e));
        struct terra_search *x = terra_search_open(s, 2, LONGEST, &e);
        for (int32_t from = 2; from < 5; from++) {
            const int32_t text[] = {from, from + 3, 4, TERRA_EOS};
            double got, want = 0;
            assert_true(terra_search_score(x, text, 4, &got, &e));
            struct terra_session *other = open_session(m, TERRA_SPARSE);
            assert_true(terra_prefill(other, source, 16, &e));
            for (size_t k = 0; k < 4; k++) {
                struct terra_token t;
                assert_true(terra_take(other, text[k], &t, &e));
                want += (double)t.logprob;
            }
            terra_session_close(other);
            assert_true(fabs(got - want) < 1e-4);
        }
        size_t n;
        terra_target(s, &n);
        assert_int_equal(n, 0);
        double sum;
        const int32_t wrong[] = {3, (int32_t)terra_model_config(m)->out_vocab};
        assert_false(terra_search_score(x, wrong, 2, &sum, &e));
        assert_int_equal(e.kind, ERR_INPUT);
        assert_true(terra_search_score(x, wrong, 1, &sum, &e)); /* nothing was spoilt */
        terra_search_close(x);
        terra_session_close(s);
        terra_model_close(m);
    }
}

static void refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_model *m = open_model("c4_medium_tiny");
    struct terra_session *s = open_session(m, TERRA_SPARSE);
    struct terra_sampling p = {0};
    struct terra_token t;
    const int32_t *id;
    size_t n;
    assert_null(terra_search_open(s, 0, 4, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_null(terra_search_open(s, TERRA_MAX_BEAMS + 1, 4, &e));
    struct terra_search *x = terra_search_open(s, 2, 4, &e);
    assert_false(terra_search_run(x, &p, 4, &id, &n, &e)); /* no timeline */
    assert_int_equal(e.kind, ERR_USAGE);
    assert_true(terra_prefill(s, source, 16, &e));
    assert_non_null(terra_logits(s, &e));
    assert_false(terra_search_run(x, &p, 4, &id, &n, &e)); /* too late */
    assert_int_equal(e.kind, ERR_USAGE);
    assert_false(terra_take(s, -1, &t, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_false(terra_take(s, (int32_t)terra_model_config(m)->out_vocab, &t, &e));
    assert_true(terra_take(s, 3, &t, &e)); /* a wrong id spoils nothing */
    terra_search_close(x);
    terra_session_close(s);
    terra_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_from_scratch),
        cmocka_unit_test(what_is_tried_is_not_reported),
        cmocka_unit_test(nothing_left_to_write),
        cmocka_unit_test(given_texts_are_scored),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
