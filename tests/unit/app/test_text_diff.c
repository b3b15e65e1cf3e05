/* SPDX-License-Identifier: MIT */
#include "app/text_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One token for each character. */
static struct timeline text_of(const char *s)
{
    struct timeline t = {0};
    for (; *s; s++)
        timeline_add_bare(&t, &(struct timeline_token){.id = *s}, s, 1);
    return t;
}

/* Differing characters become upper case. */
static void check(const char *a, const char *b, const char *want_a, const char *want_b)
{
    struct timeline x = text_of(a), y = text_of(b);
    bool mx[64], my[64];
    size_t n = text_diff(&x, &y, mx, my), want = 0;
    for (size_t i = 0; i < x.n; i++)
        assert_int_equal(mx[i], want_a[i] < 'a');
    for (size_t i = 0; i < y.n; i++)
        assert_int_equal(my[i], want_b[i] < 'a');
    for (const char *s = want_a; *s; s++)
        want += *s < 'a';
    for (const char *s = want_b; *s; s++)
        want += *s < 'a';
    assert_int_equal(n, want);
    timeline_free(&x);
    timeline_free(&y);
}

static void pieces_that_differ(void **state)
{
    (void)state;
    check("", "", "", "");
    check("abc", "abc", "abc", "abc");
    check("abc", "axc", "aBc", "aXc");
    check("abc", "", "ABC", "");
    check("abcdef", "abdefg", "abCdef", "abdefG");
    check("xabcy", "abc", "XabcY", "abc");
    check("abcab", "cab", "ABcab", "cab");
    check("aaa", "aa", "aaA", "aa");
}

static void long_texts_cost_no_more_than_the_limit(void **state)
{
    (void)state;
    struct timeline x = {0}, y = {0};
    for (int i = 0; i < 3000; i++) {
        timeline_add_bare(&x, &(struct timeline_token){0}, i % 3 ? "a" : "b", 1);
        timeline_add_bare(&y, &(struct timeline_token){0}, i % 5 ? "c" : "b", 1);
    }
    bool *mx = test_malloc(3000), *my = test_malloc(3000);
    assert_true(text_diff(&x, &y, mx, my) > 5000); /* all but what both share at the ends */
    test_free(mx);
    test_free(my);
    timeline_free(&x);
    timeline_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_that_differ),
        cmocka_unit_test(long_texts_cost_no_more_than_the_limit),
    };
    return cmocka_run_group_tests_name("app/text_diff", tests, NULL, NULL);
}
