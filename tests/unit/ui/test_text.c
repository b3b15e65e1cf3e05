/* test_text.c - widths, escapes, line breaks, surfaces, flows.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "ui/flow.h"
#include "ui/surface.h"
#include "ui/text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int width(const char *s)
{
    return text_width(s, strlen(s));
}

static void widths_of_odd_characters(void **state)
{
    (void)state;
    assert_int_equal(width("plain"), 5);
    assert_int_equal(width("\xe4\xb8\xad\xe6\x96\x87"), 4);          /* two ideographs */
    assert_int_equal(width("e\xcc\x81"), 1);                         /* e + acute */
    assert_int_equal(width("a\xcc\x81\xcc\x82\xcc\x83\xcc\x84"), 1); /* four marks */
    assert_int_equal(width("\xcc\x81"), 1);                          /* a mark alone */
    assert_int_equal(width("\xc2\xb7\xc2\xb1"), 2);                  /* ambiguous: narrow */
    assert_int_equal(width("\xf0\x9f\x98\x80"), 2);                  /* emoji */
    assert_int_equal(width("a\xe2\x80\x8d"
                           "b"),
                     2); /* joiner: nothing */
    assert_int_equal(width("\xe2\x80\xae"
                           "abc"),
                     3);                    /* direction override */
    assert_int_equal(width("\033[2J"), 5);  /* ^[[2J */
    assert_int_equal(width("\x7f"), 2);     /* ^? */
    assert_int_equal(width("\xc2\x9b"), 4); /* <9b> */
    assert_int_equal(width("\xff\xfe"), 2); /* two U+FFFD */
    assert_int_equal(width(""), 0);
}

static void fit_never_splits_a_character(void **state)
{
    (void)state;
    const char *s = "a\xe4\xb8\xad"
                    "e\xcc\x81z";
    assert_int_equal(text_fit(s, strlen(s), 0), 0);
    assert_int_equal(text_fit(s, strlen(s), 1), 1);
    assert_int_equal(text_fit(s, strlen(s), 2), 1);
    assert_int_equal(text_fit(s, strlen(s), 3), 4);
    assert_int_equal(text_fit(s, strlen(s), 4), 7);
    assert_int_equal(text_fit(s, strlen(s), 9), 8);
}

/* Cuts s at `cols`, lines joined with '|'. */
static void check_lines(const char *s, int cols, const char *want)
{
    struct buf out = {0};
    size_t n = strlen(s), at = 0, len;
    bool newline;
    do {
        size_t used = text_line(s + at, n - at, cols, &len, &newline);
        buf_add(&out, s + at, len);
        buf_add_byte(&out, '|');
        at += used;
    } while (at < n || newline);
    assert_string_equal(buf_str(&out), want);
    buf_free(&out);
}

static void lines_break_at_spaces(void **state)
{
    (void)state;
    check_lines("one two three", 7, "one two|three|");
    check_lines("one two three", 8, "one two|three|");
    check_lines("one  two", 4, "one|two|");
    check_lines("abcdefgh", 3, "abc|def|gh|");
    check_lines("a bcdefgh", 4, "a|bcde|fgh|");
    check_lines("  indented", 5, "  ind|ented|");
    check_lines("a\n\nb\n", 5, "a||b||");
    check_lines("full \nnext", 4, "full|next|");
    check_lines("\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97", 4,
                "\xe4\xb8\xad\xe6\x96\x87|\xe5\xad\x97|");
    check_lines("", 4, "|");
    check_lines("xyz", 1, "x|y|z|");
}

/* ---- surface -------------------------------------------------------------------------- */

static void check_dump(const struct surface *s, const char *want)
{
    struct buf out = {0};
    surface_dump(s, &out);
    assert_string_equal(buf_str(&out), want);
    buf_free(&out);
}

static void drawing_is_clipped(void **state)
{
    (void)state;
    struct surface s;
    const struct style st = {0};
    surface_open(&s, 6, 3);
    surface_fill(&s, (struct rect){-5, -5, 50, 50}, '.', st);
    struct surface in = surface_sub(&s, (struct rect){2, 1, 2, 1});
    surface_text(&in, -1, 0, "abcdef", st);
    surface_text(&in, 0, 1, "no", st);
    surface_text(&in, 0, -1, "no", st);
    struct surface beyond = surface_sub(&in, (struct rect){0, 0, 40, 40});
    surface_fill(&beyond, (struct rect){0, 0, 40, 40}, '#', st);
    check_dump(&s, "......\n..##..\n......\n");
    surface_free(&s);
}

static void wide_characters_break_cleanly(void **state)
{
    (void)state;
    struct surface s;
    const struct style st = {0};
    const char *wide = "\xe4\xb8\xad\xe6\x96\x87";
    surface_open(&s, 5, 1);
    surface_text(&s, 0, 0, wide, st);
    check_dump(&s, "\xe4\xb8\xad\xe6\x96\x87\n");
    surface_rune(&s, 1, 0, 'x', st); /* over the right half */
    check_dump(&s, " x\xe6\x96\x87\n");
    surface_rune(&s, 2, 0, 'y', st); /* over the left half */
    check_dump(&s, " xy\n");
    surface_text(&s, 4, 0, wide, st); /* half would stick out */
    check_dump(&s, " xy\n");
    surface_text(&s, -1, 0, wide, st);
    check_dump(&s, " \xe6\x96\x87\n");
    surface_text(&s, 0, 0, "e\xcc\x81", st);
    check_dump(&s, "e\xcc\x81\xe6\x96\x87\n");
    surface_free(&s);
}

static void text_stops_at_its_columns(void **state)
{
    (void)state;
    struct surface s;
    const struct style st = {0};
    surface_open(&s, 8, 1);
    assert_int_equal(surface_textn(&s, 1, 0, 3, "abcdef", 6, st), 4);
    check_dump(&s, " abc\n");
    assert_int_equal(surface_text_right(&s, 8, 0, "xy", st), 6);
    check_dump(&s, " abc  xy\n");
    surface_clear(&s, st);
    surface_text(&s, 0, 0, "a\033\nb", st);
    check_dump(&s, "a^[ b\n");
    surface_free(&s);
}

/* ---- flow ------------------------------------------------------------------------------- */

static void check_flow(const struct flow *f, const char *want)
{
    struct buf out = {0};
    for (size_t i = 0; i < f->n_lines; i++) {
        if (f->line[i].len)
            buf_add(&out, f->text + f->line[i].at, f->line[i].len);
        buf_add_byte(&out, '|');
    }
    assert_string_equal(buf_str(&out), want);
    buf_free(&out);
}

/* Text that arrives byte by byte wraps as text that was there at once. */
static void growing_wraps_like_whole(void **state)
{
    (void)state;
    const char *text = "The quick  brown fox\njumps over\n\nthe lazy dogs' kennel\n";
    for (int cols = 1; cols < 25; cols++) {
        struct flow whole = {0}, grown = {0};
        flow_put(&whole, FLOW_USER, "question and more");
        flow_put(&whole, FLOW_REPLY, text);
        flow_wrap(&whole, cols);
        flow_begin(&grown, FLOW_USER);
        flow_wrap(&grown, cols);
        flow_add(&grown, "question and more", 17, FLOW_NO_TOKEN, 255);
        flow_begin(&grown, FLOW_REPLY);
        for (size_t i = 0; text[i]; i++) {
            flow_add(&grown, text + i, 1, (int32_t)i, 255);
            if (i % 3 == 0)
                flow_wrap(&grown, cols);
        }
        flow_wrap(&grown, cols);
        assert_int_equal(whole.n_lines, grown.n_lines);
        for (size_t i = 0; i < whole.n_lines; i++) {
            assert_int_equal(whole.line[i].at, grown.line[i].at);
            assert_int_equal(whole.line[i].len, grown.line[i].len);
        }
        flow_free(&whole);
        flow_free(&grown);
    }
}

static void blocks_start_on_new_lines(void **state)
{
    (void)state;
    struct flow f = {0};
    flow_put(&f, FLOW_USER, "hi");
    flow_put(&f, FLOW_REPLY, "");
    flow_put(&f, FLOW_NOTE, "stopped");
    flow_wrap(&f, 10);
    check_flow(&f, "hi||stopped|");
    flow_wrap(&f, 4);
    check_flow(&f, "hi||stop|ped|");
    flow_clear(&f);
    flow_wrap(&f, 4);
    assert_int_equal(f.n_lines, 0);
    flow_free(&f);
}

static void tokens_and_bytes_find_each_other(void **state)
{
    (void)state;
    struct flow f = {0};
    size_t at, len;
    flow_put(&f, FLOW_USER, "hi");
    flow_begin(&f, FLOW_REPLY);
    flow_add(&f, "The", 3, 0, 255);
    flow_add(&f, "", 0, 1, 255); /* a control word */
    flow_add(&f, " paper", 6, 2, 10);
    flow_put(&f, FLOW_NOTE, "done");
    assert_true(flow_token_range(&f, 2, &at, &len));
    assert_int_equal(at, 5);
    assert_int_equal(len, 6);
    assert_int_equal(flow_token_at(&f, 0), FLOW_NO_TOKEN);
    assert_int_equal(flow_token_at(&f, 2), 0);
    assert_int_equal(flow_token_at(&f, 10), 2);
    assert_int_equal(flow_token_at(&f, 11), FLOW_NO_TOKEN);
    assert_false(flow_token_range(&f, 7, &at, &len));
    flow_set_level(&f, 2, 99);
    assert_int_equal(f.token[4].level, 99);
    flow_free(&f);
}

static void search_wraps_around(void **state)
{
    (void)state;
    struct flow f = {0};
    size_t at = 0;
    flow_put(&f, FLOW_REPLY, "Unit one, unit two, UNIT three");
    assert_true(flow_find(&f, "unit", 0, 1, &at));
    assert_int_equal(at, 10);
    assert_true(flow_find(&f, "unit", at, 1, &at));
    assert_int_equal(at, 20);
    assert_true(flow_find(&f, "unit", at, 1, &at));
    assert_int_equal(at, 0);
    assert_true(flow_find(&f, "unit", at, -1, &at));
    assert_int_equal(at, 20);
    assert_true(flow_find(&f, "Unit", 5, 1, &at)); /* a capital: exact */
    assert_int_equal(at, 0);
    assert_false(flow_find(&f, "units", 0, 1, &at));
    assert_false(flow_find(&f, "", 0, 1, &at));
    flow_free(&f);
}

static void reading_stays_put_while_text_arrives(void **state)
{
    (void)state;
    struct flow f = {0};
    struct flow_view v = {.follow = true};
    for (int i = 0; i < 20; i++)
        flow_put(&f, FLOW_REPLY, "line");
    flow_wrap(&f, 10);
    assert_int_equal(flow_view_top(&v, &f, 5), 15);
    flow_view_scroll(&v, &f, 5, -3);
    assert_false(v.follow);
    assert_int_equal(flow_view_top(&v, &f, 5), 12);
    for (int i = 0; i < 7; i++)
        flow_put(&f, FLOW_REPLY, "new");
    flow_wrap(&f, 10);
    assert_int_equal(flow_view_top(&v, &f, 5), 12);
    assert_int_equal(flow_view_unseen(&v, &f), 6); /* beyond the first new one's line */
    flow_wrap(&f, 3);                              /* narrower: the same text stays on top */
    assert_int_equal(f.line[flow_view_top(&v, &f, 5)].at, 12 * 4);
    flow_wrap(&f, 10);
    flow_view_scroll(&v, &f, 5, 100);
    assert_true(v.follow);
    flow_view_show(&v, &f, 5, 0);
    assert_int_equal(flow_view_top(&v, &f, 5), 0);
    flow_view_end(&v);
    assert_int_equal(flow_view_top(&v, &f, 5), 22);
    flow_free(&f);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_of_odd_characters),
        cmocka_unit_test(fit_never_splits_a_character),
        cmocka_unit_test(lines_break_at_spaces),
        cmocka_unit_test(drawing_is_clipped),
        cmocka_unit_test(wide_characters_break_cleanly),
        cmocka_unit_test(text_stops_at_its_columns),
        cmocka_unit_test(growing_wraps_like_whole),
        cmocka_unit_test(blocks_start_on_new_lines),
        cmocka_unit_test(tokens_and_bytes_find_each_other),
        cmocka_unit_test(search_wraps_around),
        cmocka_unit_test(reading_stays_put_while_text_arrives),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
