/* Round trips, known bytes, damaged blobs.
 * SPDX-License-Identifier: MIT */
#include "data/trace_codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t rng = 88172645463325252u;

static uint32_t random_below(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 32) % n;
}

/* Rows that change in about `flips` of 100 places; none_every > 0 puts TRACE_NONE there. */
static uint16_t *make(const struct trace_shape *s, unsigned flips, unsigned none_every)
{
    size_t places = (size_t)s->layers * s->blocks;
    uint16_t *v = malloc(places * s->rows * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < places * s->rows; i++) {
        v[i] = (uint16_t)random_below(s->levels);
        if (i >= places && random_below(100) >= flips)
            v[i] = v[i - places];
        if (none_every && i % places % none_every == 0)
            v[i] = TRACE_NONE;
    }
    return v;
}

static void round_trip(struct trace_shape s, unsigned flips, unsigned none_every, int force)
{
    struct buf b = {0};
    struct err e = {0};
    enum trace_codec used;
    struct trace_shape seen;
    size_t n = (size_t)s.rows * s.layers * s.blocks;
    uint16_t *v = make(&s, flips, none_every), *back = calloc(n, sizeof *back);
    assert_true(trace_encode(&s, v, force, &b, &used, &e));
    assert_true(!force || (int)used == force);
    assert_true(trace_peek(b.data, b.len, &seen, &e));
    assert_memory_equal(&seen, &s, sizeof s);
    assert_true(trace_decode(used, b.data, b.len, back, &e));
    assert_memory_equal(back, v, n * sizeof *v);
    /* Every shorter and the longer blob are refused. */
    for (size_t cut = 0; cut < b.len; cut += 1 + b.len / 37)
        assert_false(trace_decode(used, b.data, cut, back, &e));
    buf_add_byte(&b, 0);
    assert_false(trace_decode(used, b.data, b.len, back, &e));
    buf_free(&b);
    free(v);
    free(back);
}

static void round_trips(void **state)
{
    (void)state;
    static const uint32_t levels[] = {1, 2, 3, 4, 7, 8, 16, 63, 64, 65, 256, 1000, 65535};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        for (int force = 0; force <= 2; force++) {
            round_trip((struct trace_shape){64, 3, 5, levels[i]}, 40, 0, force);
            round_trip((struct trace_shape){1, 1, 1, levels[i]}, 100, 0, force);
            round_trip((struct trace_shape){17, 2, 9, levels[i]}, 5, 4, force);
            round_trip((struct trace_shape){2, 1, 3, levels[i]}, 100, 1, force);
        }
    }
    round_trip((struct trace_shape){64, 24, 64, 64}, 41, 0, 0);
}

/* What the man page says, computed by hand. */
static void known_bytes(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e;
    enum trace_codec used;
    const struct trace_shape s = {2, 1, 3, 4};
    const uint16_t v[] = {0, 1, 2, 0, 3, 2};
    assert_true(trace_encode(&s, v, TRACE_PACKED, &b, &used, &e));
    /* 00 01 10 00 | 11 10 0000 */
    const unsigned char packed[] = {2, 0, 1, 0, 3, 0, 4, 0, 0, 0x18, 0xE0};
    assert_int_equal(b.len, sizeof packed);
    assert_memory_equal(b.data, packed, sizeof packed);
    buf_clear(&b);
    assert_true(trace_encode(&s, v, TRACE_FLIPS, &b, &used, &e));
    /* 00 01 10 | 010 | 11 */
    const unsigned char flips[] = {2, 0, 1, 0, 3, 0, 4, 0, 0, 0x19, 0x60};
    assert_int_equal(b.len, sizeof flips);
    assert_memory_equal(b.data, flips, sizeof flips);
    buf_free(&b);
}

static void picks_the_smaller_form(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e;
    enum trace_codec used;
    const struct trace_shape s = {64, 24, 64, 64};
    uint16_t *still = make(&s, 5, 0), *wild = make(&s, 100, 0);
    assert_true(trace_encode(&s, wild, 0, &b, &used, &e));
    assert_int_equal(used, TRACE_PACKED);
    assert_int_equal(b.len, 9 + 64 * 1152); /* 6 bits a choice */
    buf_clear(&b);
    assert_true(trace_encode(&s, still, 0, &b, &used, &e));
    assert_int_equal(used, TRACE_FLIPS);
    assert_true(b.len < 64 * 1152 / 3);
    buf_free(&b);
    free(still);
    free(wild);
}

static void refuses_impossible_values_and_shapes(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e;
    enum trace_codec used;
    uint16_t v[4] = {0, 1, 2, 4};
    assert_false(trace_encode(&(struct trace_shape){1, 1, 4, 4}, v, 0, &b, &used, &e));
    assert_false(trace_encode(&(struct trace_shape){65, 1, 1, 4}, v, 0, &b, &used, &e));
    assert_false(trace_encode(&(struct trace_shape){0, 1, 4, 4}, v, 0, &b, &used, &e));
    assert_false(trace_encode(&(struct trace_shape){1, 0, 4, 4}, v, 0, &b, &used, &e));
    assert_false(trace_encode(&(struct trace_shape){1, 1, 4, 0}, v, 0, &b, &used, &e));
    /* A header that promises 64 x 65535 x 65535 choices. */
    const unsigned char bomb[] = {64, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0};
    struct trace_shape s;
    assert_false(trace_peek(bomb, sizeof bomb, &s, &e));
    const unsigned char flags[] = {1, 0, 1, 0, 1, 0, 2, 0, 2, 0};
    assert_false(trace_peek(flags, sizeof flags, &s, &e));
    /* Value 3 of 3 levels; a flip to the same value; padding that is not zero. */
    const unsigned char high[] = {1, 0, 1, 0, 1, 0, 3, 0, 0, 0xC0};
    const unsigned char same[] = {2, 0, 1, 0, 1, 0, 4, 0, 0, 0x70};
    const unsigned char padding[] = {1, 0, 1, 0, 1, 0, 4, 0, 0, 0x41};
    assert_false(trace_decode(TRACE_PACKED, high, sizeof high, v, &e));
    const unsigned char ok[] = {2, 0, 1, 0, 1, 0, 4, 0, 0, 0x78};
    assert_true(trace_decode(TRACE_FLIPS, ok, sizeof ok, v, &e));
    assert_int_equal(v[0], 1);
    assert_int_equal(v[1], 3);
    const unsigned char again[] = {2, 0, 1, 0, 1, 0, 4, 0, 0, 0x68};
    assert_false(trace_decode(TRACE_FLIPS, again, sizeof again, v, &e));
    assert_true(trace_decode(TRACE_FLIPS, same, sizeof same, v, &e));
    assert_int_equal(v[1], 2);
    assert_false(trace_decode(TRACE_PACKED, padding, sizeof padding, v, &e));
    assert_false(trace_decode((enum trace_codec)3, ok, sizeof ok, v, &e));
    buf_free(&b);
}

/* Whatever the bytes: an answer, and only values that exist. */
static void damaged_bytes_never_harm(void **state)
{
    (void)state;
    struct err e;
    const struct trace_shape s = {16, 2, 8, 20};
    struct buf b = {0};
    enum trace_codec used;
    uint16_t *v = make(&s, 30, 5), back[16 * 2 * 8];
    assert_true(trace_encode(&s, v, TRACE_FLIPS, &b, &used, &e));
    for (int i = 0; i < 20000; i++) {
        struct buf copy = {0};
        buf_add(&copy, b.data, b.len);
        for (uint32_t k = 0; k <= random_below(3); k++)
            copy.data[9 + random_below((uint32_t)b.len - 9)] ^= (char)(1u << random_below(8));
        if (trace_decode(TRACE_FLIPS, copy.data, copy.len, back, &e))
            for (size_t j = 0; j < sizeof back / sizeof *back; j++)
                assert_true(back[j] < 20 || back[j] == TRACE_NONE);
        buf_free(&copy);
    }
    buf_free(&b);
    free(v);
}

static void margins(void **state)
{
    (void)state;
    assert_int_equal(trace_margin_level(0), 0);
    assert_int_equal(trace_margin_level(-1), 0);
    assert_int_equal(trace_margin_level(NAN), 0);
    assert_int_equal(trace_margin_level(1e-9f), 0);
    assert_int_equal(trace_margin_level(INFINITY), 63);
    assert_int_equal(trace_margin_level(1e9f), 63);
    assert_int_equal(trace_margin_level(1.0f), 41);
    for (int i = 0; i < 2000; i++) {
        float m = exp2f((float)random_below(15000) / 1000 - 9.9f);
        float back = trace_margin_value(trace_margin_level(m));
        assert_true(fabsf(log2f(back / m)) <= 0.126f); /* half a step */
    }
    for (uint16_t l = 1; l < TRACE_MARGIN_LEVELS; l++)
        assert_int_equal(trace_margin_level(trace_margin_value(l)), l);
}

/* The check value of the CRC catalogue. */
static void crc(void **state)
{
    (void)state;
    assert_int_equal(trace_crc32("123456789", 9), 0xCBF43926);
    assert_int_equal(trace_crc32("", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(picks_the_smaller_form),
        cmocka_unit_test(refuses_impossible_values_and_shapes),
        cmocka_unit_test(damaged_bytes_never_harm),
        cmocka_unit_test(margins),
        cmocka_unit_test(crc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
