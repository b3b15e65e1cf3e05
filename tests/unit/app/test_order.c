/* SPDX-License-Identifier: MIT */
#include "app/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BLOCKS 8
#define UNITS  5

static uint32_t seed;

static uint32_t draw(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Layer 0: even blocks follow one choice, odd ones another, each under numbers of its own and
 * now and then as they like.  Layer 1 has five blocks, which have nothing in common. */
static struct choice_rows two_groups(size_t n)
{
    struct choice_rows r = {0};
    uint16_t unit[2 * BLOCKS];
    seed = 1;
    choice_rows_shape(&r, 2, BLOCKS, UNITS);
    for (size_t i = 0; i < n; i++) {
        uint32_t group[2] = {draw(UNITS), draw(UNITS)};
        for (uint32_t b = 0; b < BLOCKS; b++) {
            uint32_t own = draw(8) ? group[b % 2] : draw(UNITS);
            unit[b] = (uint16_t)((own * 2 + b) % UNITS);
            unit[BLOCKS + b] = b < 5 ? (uint16_t)draw(UNITS) : TERRA_NO_UNIT;
        }
        choice_rows_add(&r, unit, NULL, NULL);
    }
    return r;
}

static void groups_become_runs(void **state)
{
    (void)state;
    for (size_t n = 60; n <= 3000; n += 980) {
        struct choice_rows r = two_groups(n);
        struct block_order o = {0};
        block_order_make(&o, &r);
        for (uint32_t i = 0; i < BLOCKS; i++)
            assert_int_equal(o.at[i] % 2, o.at[i < BLOCKS / 2 ? 0 : BLOCKS - 1] % 2);
        assert_int_not_equal(o.at[0] % 2, o.at[BLOCKS - 1] % 2);
        block_order_free(&o);
        choice_rows_free(&r);
    }
}

static void every_block_has_one_place(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 300; n += n < 3 ? 1 : 33) {
        struct choice_rows r = two_groups(n);
        struct block_order o = {0};
        block_order_make(&o, &r);
        for (uint32_t l = 0; l < 2; l++)
            for (uint32_t b = 0; b < BLOCKS; b++)
                assert_int_equal(block_at(&o, l, block_place(&o, l, b)), b);
        for (uint32_t b = 5; b < BLOCKS && n; b++) /* that layer 1 lacks */
            assert_int_equal(block_place(&o, 1, b), b);
        block_order_free(&o);
        choice_rows_free(&r);
    }
}

/* A block that never changes is no reason to part others. */
static void the_busiest_is_first(void **state)
{
    (void)state;
    struct choice_rows r = {0};
    struct block_order o = {0};
    choice_rows_shape(&r, 1, 4, UNITS);
    for (uint16_t i = 0; i < 40; i++) {
        uint16_t slow = i / 8 % UNITS, fast = i % UNITS;
        choice_rows_add(&r, (uint16_t[]){3, slow, fast, (uint16_t)((slow + 1) % UNITS)}, NULL,
                        NULL);
    }
    block_order_make(&o, &r);
    assert_int_equal(o.at[0], 2);
    uint32_t a = block_place(&o, 0, 1), b = block_place(&o, 0, 3);
    assert_int_equal(a > b ? a - b : b - a, 1);
    block_order_free(&o);
    choice_rows_free(&r);
}

static void without_an_order_a_place_is_an_index(void **state)
{
    (void)state;
    assert_int_equal(block_at(NULL, 3, 7), 7);
    assert_int_equal(block_place(NULL, 3, 7), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_become_runs),
        cmocka_unit_test(every_block_has_one_place),
        cmocka_unit_test(the_busiest_is_first),
        cmocka_unit_test(without_an_order_a_place_is_an_index),
    };
    return cmocka_run_group_tests_name("app/order", tests, NULL, NULL);
}
