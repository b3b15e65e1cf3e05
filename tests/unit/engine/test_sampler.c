/* test_sampler.c - choices, cuts, bans and log-probabilities on small rows of logits.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

#define N 6
static const float row[N] = {0.0f, 1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

struct fixture {
    struct arena arena;
    struct sampler s;
};

static int setup(void **state)
{
    static struct fixture f;
    struct arena dry = {0};
    sampler_layout(&f.s, &dry, N);
    if (!arena_open(&f.arena, dry.used, NULL))
        return -1;
    sampler_layout(&f.s, &f.arena, N);
    *state = &f;
    return f.arena.overflow;
}

static int teardown(void **state)
{
    arena_free(&((struct fixture *)*state)->arena);
    return 0;
}

static struct terra_token pick(void **state, struct terra_sampling p, const float *logits,
                               const int32_t *history, size_t n)
{
    struct fixture *f = *state;
    struct terra_token t = {0};
    struct err e = {0};
    if (!sampler_pick(&f->s, &p, logits, history, n, &t, &e))
        fail_msg("%s", e.msg);
    return t;
}

static int32_t greedy_id(void **state, struct terra_sampling p, const int32_t *history,
                         size_t n)
{
    return pick(state, p, row, history, n).id;
}

static void test_greedy_takes_the_first_of_equal_maxima(void **state)
{
    assert_int_equal(greedy_id(state, (struct terra_sampling){0}, NULL, 0), 2);
}

static void test_log_probabilities_are_of_the_raw_logits(void **state)
{
    const int32_t history[] = {2, 4};
    struct terra_token t = pick(
        state, (struct terra_sampling){.repeat_penalty = 10, .min_tokens = 9}, row, history, 2);
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += exp(row[i]);
    assert_int_equal(t.id, 3);
    assert_float_equal(t.logprob, 2 - log(sum), 1e-5);
    const int32_t order[TERRA_TOP] = {2, 4, 3, 1, 0};
    assert_int_equal(t.n_top, TERRA_TOP);
    for (int i = 0; i < TERRA_TOP; i++) {
        assert_int_equal(t.top[i].id, order[i]);
        assert_float_equal(t.top[i].logprob, row[order[i]] - log(sum), 1e-5);
    }
}

static void test_repeat_penalty_divides_and_multiplies_once(void **state)
{
    struct terra_sampling p = {.repeat_penalty = 1.4f};
    const int32_t once[] = {2, 2, 4}; /* 3 / 1.4 > 2, but 3 / 1.4^2 < 2 */
    assert_int_equal(greedy_id(state, p, once, 3), 2);
    p.repeat_penalty = 2;
    assert_int_equal(greedy_id(state, p, once, 3), 3);
    const float low[N] = {-1.0f, -1.5f, -9, -9, -9, -9};
    const int32_t zero[] = {0};
    assert_int_equal(pick(state, p, low, zero, 1).id, 1); /* -1 * 2 < -1.5 */
    /* Marks do not outlive a call. */
    assert_int_equal(greedy_id(state, p, NULL, 0), 2);
}

static void test_no_repeat_ngram(void **state)
{
    struct terra_sampling p = {.no_repeat_ngram = 2};
    const int32_t h[] = {5, 2, 0, 5}; /* 5 2 was written: not again */
    assert_int_equal(greedy_id(state, p, h, 4), 4);
    p.no_repeat_ngram = 3;
    assert_int_equal(greedy_id(state, p, h, 4), 2);
    p.no_repeat_ngram = 1;
    assert_int_equal(greedy_id(state, p, h, 4), 4);
    p.no_repeat_ngram = 5; /* longer than the history */
    assert_int_equal(greedy_id(state, p, h, 4), 2);
    const int32_t all[] = {0, 1, 2, 3, 4, 5};
    p.no_repeat_ngram = 1; /* every id is banned: the bans do not hold */
    assert_int_equal(greedy_id(state, p, all, 6), 2);
}

static void test_the_end_is_forbidden_before_min_tokens(void **state)
{
    const float end[N] = {0, 5, 1, 0, 0, 0};
    const int32_t h[] = {3, 3};
    struct terra_sampling p = {.min_tokens = 2};
    assert_int_equal(pick(state, p, end, h, 1).id, 2);
    assert_int_equal(pick(state, p, end, h, 2).id, TERRA_EOS);
}

static void count(void **state, struct terra_sampling p, int draws, int *seen)
{
    memset(seen, 0, N * sizeof *seen);
    for (int i = 0; i < draws; i++) {
        p.seed = (uint64_t)i;
        seen[pick(state, p, row, NULL, 0).id]++;
    }
}

static void test_draws_follow_the_temperature(void **state)
{
    enum { DRAWS = 20000 };
    int seen[N];
    const float temperatures[] = {0.5f, 1, 3};
    for (int k = 0; k < 3; k++) {
        double sum = 0;
        count(state, (struct terra_sampling){.temperature = temperatures[k]}, DRAWS, seen);
        for (int i = 0; i < N; i++)
            sum += exp(row[i] / temperatures[k]);
        for (int i = 0; i < N; i++) {
            double share = exp(row[i] / temperatures[k]) / sum;
            assert_float_equal(seen[i] / (double)DRAWS, share, 0.015);
        }
    }
}

static void test_top_k_and_top_p_cut(void **state)
{
    int seen[N];
    count(state, (struct terra_sampling){.temperature = 1, .top_k = 3}, 3000, seen);
    assert_true(seen[2] > 0 && seen[3] > 0 && seen[4] > 0);
    assert_int_equal(seen[2] + seen[3] + seen[4], 3000);
    /* 2 and 4 hold 40% each: two of them reach 0.7, one does not. */
    count(state, (struct terra_sampling){.temperature = 1, .top_p = 0.7f}, 3000, seen);
    assert_true(seen[2] > 0 && seen[4] > 0);
    assert_int_equal(seen[2] + seen[4], 3000);
    count(state, (struct terra_sampling){.temperature = 1, .top_p = 0.01f}, 300, seen);
    assert_int_equal(seen[2], 300);
    /* top-p of what top-k left: 2 and 4 are 42% of three each. */
    count(state, (struct terra_sampling){.temperature = 1, .top_k = 3, .top_p = 0.5f}, 3000,
          seen);
    assert_int_equal(seen[2] + seen[4], 3000);
    assert_true(seen[2] > 0 && seen[4] > 0);
    count(state, (struct terra_sampling){.temperature = 1, .top_k = 1}, 300, seen);
    assert_int_equal(seen[2], 300);
    count(state, (struct terra_sampling){.temperature = 1, .top_k = 99, .top_p = 1}, 5000,
          seen);
    for (int i = 0; i < N; i++)
        assert_true(seen[i] > 0);
}

static void test_a_tiny_temperature_is_greedy(void **state)
{
    int seen[N];
    count(state, (struct terra_sampling){.temperature = 1e-40f, .top_p = 0.4f}, 100, seen);
    assert_int_equal(seen[2], 100);
}

static void test_seed_and_step_alone_decide(void **state)
{
    struct terra_sampling p = {.temperature = 3, .seed = 7};
    int32_t history[64] = {0}, again[64];
    for (size_t i = 0; i < 64; i++)
        history[i] = pick(state, p, row, history, i).id;
    for (size_t i = 64; i-- > 0;) /* in any order */
        again[i] = pick(state, p, row, history, i).id;
    assert_memory_equal(history, again, sizeof history);
    p.seed = 8;
    for (size_t i = 0; i < 64; i++)
        again[i] = pick(state, p, row, history, i).id;
    assert_memory_not_equal(history, again, sizeof history);
}

static void test_nan_and_infinity_are_refused(void **state)
{
    struct fixture *f = *state;
    struct terra_sampling p = {0};
    struct terra_token t;
    struct err e;
    float bad[N] = {0, 1, 2, 3, NAN, INFINITY};
    assert_int_equal(sampler_first_bad(bad, N), 4);
    assert_int_equal(sampler_first_bad(row, N), N);
    assert_false(sampler_pick(&f->s, &p, bad, NULL, 0, &t, &e));
    assert_int_equal(e.kind, ERR_NUMERIC);
    assert_string_equal(e.msg, "the logit of id 4 is NaN");
    bad[4] = -INFINITY;
    assert_false(sampler_pick(&f->s, &p, bad, NULL, 0, &t, &e));
    assert_string_equal(e.msg, "the logit of id 4 is infinite");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy_takes_the_first_of_equal_maxima),
        cmocka_unit_test(test_log_probabilities_are_of_the_raw_logits),
        cmocka_unit_test(test_repeat_penalty_divides_and_multiplies_once),
        cmocka_unit_test(test_no_repeat_ngram),
        cmocka_unit_test(test_the_end_is_forbidden_before_min_tokens),
        cmocka_unit_test(test_draws_follow_the_temperature),
        cmocka_unit_test(test_top_k_and_top_p_cut),
        cmocka_unit_test(test_a_tiny_temperature_is_greedy),
        cmocka_unit_test(test_seed_and_step_alone_decide),
        cmocka_unit_test(test_nan_and_infinity_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
