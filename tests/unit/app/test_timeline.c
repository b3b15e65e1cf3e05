/* SPDX-License-Identifier: MIT */
#include "app/timeline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-9)

/* Two layers of two blocks of four units; layer 1 has one block only. */
static const uint16_t row0[] = {0, 1, 2, TERRA_NO_UNIT};
static const uint16_t row1[] = {0, 3, 2, TERRA_NO_UNIT};
static const uint16_t row2[] = {1, 3, 2, TERRA_NO_UNIT};
static const float margin[] = {0.5f, 1.0f, 2.0f, 0};
static const uint8_t alive[] = {1, 0, 1, 0};

static struct choice_rows three_rows(void)
{
    struct choice_rows r = {0};
    choice_rows_shape(&r, 2, 2, 4);
    choice_rows_add(&r, row0, margin, alive);
    choice_rows_add(&r, row1, margin, alive);
    choice_rows_add(&r, row2, NULL, NULL);
    return r;
}

static void levels_of_flips(void **state)
{
    (void)state;
    struct choice_rows r = three_rows();
    uint8_t level[4];
    metric_levels(&r, 0, METRIC_FLIP, level);
    assert_int_equal(level[0], 255); /* nothing came before */
    metric_levels(&r, 1, METRIC_FLIP, level);
    const uint8_t want[] = {0, 254, 0, 255};
    assert_memory_equal(level, want, 4);
    NEAR(choice_flips(&r, 1), 1.0 / 3);
    assert_true(isnan(choice_flips(&r, 0)));
    choice_rows_free(&r);
}

static void levels_of_other_metrics(void **state)
{
    (void)state;
    struct choice_rows r = three_rows();
    uint8_t level[4];
    metric_levels(&r, 0, METRIC_UNIT, level);
    const uint8_t unit[] = {0, 85, 169, 255};
    assert_memory_equal(level, unit, 4);
    metric_levels(&r, 0, METRIC_ZERO, level);
    const uint8_t zero[] = {0, 254, 0, 255};
    assert_memory_equal(level, zero, 4);
    metric_levels(&r, 2, METRIC_ZERO, level); /* not kept for this row */
    assert_int_equal(level[0], 255);
    metric_levels(&r, 2, METRIC_MARGIN, level);
    assert_int_equal(level[0], 255);
    metric_levels(&r, 1, METRIC_USE, level);
    assert_int_equal(level[0], 254);         /* unit 0 in both rows */
    assert_int_equal(level[1], 127);         /* unit 3 in one of two */
    metric_levels(&r, 9, METRIC_USE, level); /* no such row */
    assert_int_equal(level[0], 255);
    choice_rows_free(&r);
}

static void surprise_falls_with_use(void **state)
{
    (void)state;
    NEAR(choice_surprise(1, 0, 4), 2); /* the first token: all units alike */
    NEAR(choice_surprise(3, 2, 4), 1); /* (2 + 1) of (2 + 4) */
    assert_true(choice_surprise(1, 10, 4) > choice_surprise(9, 10, 4));
    struct choice_rows r = three_rows();
    uint8_t first[4], third[4];
    metric_levels(&r, 0, METRIC_SURPRISE, first);
    metric_levels(&r, 2, METRIC_SURPRISE, third);
    assert_int_equal(first[2], 254);
    assert_true(third[2] < first[2]);
    choice_rows_free(&r);
}

static void differences_and_agreement(void **state)
{
    (void)state;
    struct choice_rows r = three_rows();
    uint8_t level[4];
    metric_difference(&r, 2, &r, 0, level);
    const uint8_t want[] = {254, 254, 0, 255};
    assert_memory_equal(level, want, 4);
    NEAR(choice_agreement(&r, 0, 2), 1.0 / 3);
    size_t like;
    double share;
    assert_true(choice_like(&r, 0, &like, &share));
    assert_int_equal(like, 1);
    NEAR(share, 2.0 / 3);
    size_t row;
    assert_true(choice_find(&r, 0, 1, 3, 0, 1, &row));
    assert_int_equal(row, 1);
    assert_true(choice_find(&r, 0, 1, 3, 0, -1, &row)); /* wraps around */
    assert_int_equal(row, 2);
    assert_false(choice_find(&r, 0, 1, 2, 0, 1, &row));
    choice_rows_free(&r);
}

static void counts_move_both_ways(void **state)
{
    (void)state;
    struct choice_rows r = three_rows();
    choice_count_to(&r, 3);
    assert_int_equal(r.count[0], 2); /* layer 0 block 0 unit 0 */
    assert_int_equal(r.count[1], 1);
    choice_count_to(&r, 1);
    assert_int_equal(r.count[0], 1);
    assert_int_equal(r.count[1], 0);
    choice_count_to(&r, 99); /* no more than there are */
    assert_int_equal(r.counted, 3);
    struct choice_stat s;
    choice_block_stat(&r, 0, 0, &s);
    NEAR(s.entropy, -(2.0 / 3 * log2(2.0 / 3) + 1.0 / 3 * log2(1.0 / 3)));
    NEAR(s.unused, 2);
    assert_true(s.low_n);
    choice_block_stat(&r, 1, 1, &s); /* there is no such block */
    assert_true(isnan(s.entropy));
    choice_layer_stat(&r, 1, &s);
    NEAR(s.entropy, 0);
    NEAR(s.flips, 0);
    choice_rows_free(&r);
}

static void chance_level_of_the_issue(void **state)
{
    (void)state;
    /* 64 units and 118 tokens: about 10 stay unused by chance */
    assert_true(fabs(choice_unused_by_chance(64, 118) - 10.0) < 0.05);
}

/* Encoder choices arrive layer by layer. */
static void rows_put_by_layer(void **state)
{
    (void)state;
    struct choice_rows a = {0}, b = three_rows();
    choice_rows_shape(&a, 2, 2, 4);
    const uint16_t layer0[] = {0, 1, 0, 3, 1, 3}, layer1[] = {2, 2, 2};
    choice_rows_put(&a, 0, 0, 3, 2, layer0, NULL, NULL);
    choice_count_to(&a, 3); /* by somebody who looks too early */
    choice_rows_put(&a, 1, 0, 3, 1, layer1, NULL, NULL);
    choice_rows_put(&a, 7, 0, 3, 1, layer1, NULL, NULL); /* no such layer: ignored */
    assert_int_equal(a.n, 3);
    assert_memory_equal(a.unit, b.unit, 12 * sizeof *a.unit);
    choice_count_to(&a, 3);
    choice_count_to(&b, 3);
    assert_memory_equal(a.count, b.count, 16 * sizeof *a.count);
    const uint32_t want[] = {2, 1, 0, 0, 0, 1, 0, 2, 0, 0, 3, 0, 0, 0, 0, 0};
    assert_memory_equal(a.count, want, sizeof want);
    choice_count_to(&a, 1);
    assert_int_equal(a.count[0], 1);
    assert_int_equal(a.count[7], 0);
    choice_rows_free(&a);
    choice_rows_free(&b);
}

static void times_of_a_run(void **state)
{
    (void)state;
    struct timeline t = {0};
    struct timeline_times out;
    const uint32_t none[3] = {0};
    timeline_start(&t, none, none);
    timeline_times(&t, &out);
    assert_true(isnan(out.p50) && isnan(out.tok_s) && isnan(out.ttft_s));
    t.prefill_ns = 1000000000;
    t.prefill_rows = 500;
    for (uint64_t i = 1; i <= 100; i++) {
        struct terra_token k = {.id = (int32_t)i, .ns = i * 1000000, .weight_bytes = 10};
        k.part_ns[TERRA_PART_FF] = 500000;
        timeline_add(&t, &k, "ab", 2);
    }
    timeline_times(&t, &out);
    NEAR(out.p50, 50);
    NEAR(out.p90, 90);
    NEAR(out.p99, 99);
    NEAR(out.mean, 50.5);
    NEAR(out.tok_s, 1000 / 50.5);
    NEAR(out.ttft_s, 1.001);
    NEAR(out.prefill_tok_s, 500);
    NEAR(out.part_ms[TERRA_PART_FF], 0.5);
    NEAR(out.bytes, 10);
    assert_int_equal(t.text.len, 200);
    assert_int_equal(t.token[99].at, 198);
    assert_int_equal(t.dec.n, 0); /* a dense model has no rows */
    timeline_free(&t);
}

static void metric_names(void **state)
{
    (void)state;
    enum metric m;
    for (int i = 0; i < METRICS; i++) {
        assert_true(metric_parse(metric_name[i], &m));
        assert_int_equal(m, i);
    }
    assert_false(metric_parse("nonsense", &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_of_flips),
        cmocka_unit_test(levels_of_other_metrics),
        cmocka_unit_test(surprise_falls_with_use),
        cmocka_unit_test(differences_and_agreement),
        cmocka_unit_test(counts_move_both_ways),
        cmocka_unit_test(chance_level_of_the_issue),
        cmocka_unit_test(rows_put_by_layer),
        cmocka_unit_test(times_of_a_run),
        cmocka_unit_test(metric_names),
    };
    return cmocka_run_group_tests_name("app/timeline", tests, NULL, NULL);
}
