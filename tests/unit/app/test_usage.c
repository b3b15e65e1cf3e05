/* SPDX-License-Identifier: MIT */
#include "app/usage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NEAR(a, b, by) assert_true(fabs((a) - (b)) < (by))

static void counts_of_one_block(void **state)
{
    (void)state;
    const uint64_t even[] = {5, 5, 5, 5}, one[] = {0, 9, 0, 0}, none[] = {0, 0, 0, 0};
    struct usage u = usage_of(even, 4);
    NEAR(u.entropy, 2, 1e-12);
    NEAR(u.effective, 4, 1e-12);
    NEAR(u.unused, 0, 1e-12);
    u = usage_of(one, 4);
    NEAR(u.entropy, 0, 1e-12);
    NEAR(u.effective, 1, 1e-12);
    NEAR(u.unused, 0.75, 1e-12);
    u = usage_of(none, 4);
    NEAR(u.effective, 0, 1e-12);
    NEAR(u.unused, 1, 1e-12);
}

static void mean_over_blocks(void **state)
{
    (void)state;
    const uint64_t count[] = {1, 1, 2, 0};
    struct usage u = usage_mean(count, 2, 2);
    NEAR(u.entropy, 0.5, 1e-12);
    NEAR(u.unused, 0.25, 1e-12);
}

/* 118 tokens over 64 units: chance leaves 10.0 units unused and the entropy comes out
 * about 0.4 bit too low (0.443 exactly, 0.385 by the formula for large samples). */
static void chance_of_small_samples(void **state)
{
    (void)state;
    struct usage u = usage_chance(118, 64);
    NEAR(u.unused * 64, 10.0, 0.05);
    NEAR(6 - u.entropy, 0.4426, 1e-3);
    NEAR(usage_chance(1, 64).entropy, 0, 1e-9);
    NEAR(usage_chance(2, 2).entropy, 0.5, 1e-9); /* both alike or not, evenly */
    NEAR(usage_chance(100000, 64).entropy, 6, 1e-3);
    /* The two formulas meet. */
    NEAR(usage_chance(64 * 199, 64).entropy, usage_chance(64 * 201, 64).entropy, 1e-4);
    assert_true(usage_chance(0, 64).effective == 0);
    assert_true(usage_chance(10, 0).unused == 0);
}

static void evidence_needs_tokens_and_documents(void **state)
{
    (void)state;
    assert_false(usage_is_evidence(319, 3, 64));
    assert_false(usage_is_evidence(320, 2, 64));
    assert_true(usage_is_evidence(320, 3, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_one_block),
        cmocka_unit_test(mean_over_blocks),
        cmocka_unit_test(chance_of_small_samples),
        cmocka_unit_test(evidence_needs_tokens_and_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
