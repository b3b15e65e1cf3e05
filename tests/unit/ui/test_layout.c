/* test_layout.c - rectangles at every size, and where the prompt's cursor lands.
 *
 * SPDX-License-Identifier: MIT */
#include "ui/layout.h"
#include "ui/pane.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool overlap(struct rect a, struct rect b)
{
    return a.w > 0 && a.h > 0 && b.w > 0 && b.h > 0 && a.x < b.x + b.w && b.x < a.x + a.w &&
           a.y < b.y + b.h && b.y < a.y + a.h;
}

static void check_layout(const struct layout_want *want)
{
    struct layout l = layout_make(want);
    if (l.too_small) {
        assert_true(want->w < 40 || want->h < 10);
        return;
    }
    bool main_view = want->view == VM_MAIN;
    const struct rect none = {0, 0, 0, 0};
    const struct rect r[] = {l.header,  main_view ? l.output : l.body,
                             l.map,     l.zoom,
                             l.agree,   l.strip,
                             l.latency, l.bandwidth,
                             l.prompt,  l.message,
                             l.hints,   none};
    const size_t n = sizeof r / sizeof *r;
    int area = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(r[i].h >= 0 && r[i].w >= 0);
        if (r[i].h == 0)
            continue;
        assert_true(r[i].x >= 0 && r[i].x + r[i].w <= want->w);
        assert_true(r[i].y >= 0 && r[i].y + r[i].h <= want->h);
        area += r[i].w * r[i].h;
        for (size_t k = 0; k < i; k++)
            assert_false(overlap(r[i], r[k]));
    }
    assert_true(area <= want->w * want->h);
    assert_int_equal(l.header.h, 1);
    assert_int_equal(l.hints.h, 1);
    if (main_view) {
        assert_true(l.output.h >= 3);
        assert_true(l.prompt.h >= 1);
    }
}

static void panes_never_overlap(void **state)
{
    (void)state;
    for (int w = 0; w < 310; w += w < 130 ? 1 : 17)
        for (int h = 0; h < 90; h++)
            for (int rows = 1; rows <= 10; rows += 3)
                for (int map = 0; map <= 65; map += 13)
                    for (int v = 0; v < VM_VIEWS; v += 2)
                        check_layout(&(struct layout_want){.w = w,
                                                           .h = h,
                                                           .view = (enum vm_view)v,
                                                           .prompt_rows = rows,
                                                           .map_rows = map,
                                                           .map_packed = (map + 1) / 2,
                                                           .prompt_shown = v > 2});
}

static struct layout main_layout(int w, int h)
{
    return layout_make(&(struct layout_want){
        .w = w, .h = h, .prompt_rows = 1, .map_rows = 25, .map_packed = 13});
}

/* Everything at 80x24; then the map goes first and latency next. */
static void small_screens_lose_the_map_first(void **state)
{
    (void)state;
    struct layout l = main_layout(80, 24);
    assert_int_equal(l.map.h, 13);
    assert_int_equal(l.output.h, 5);
    assert_int_equal(l.latency.h + l.bandwidth.h, 2);
    l = main_layout(80, 13);
    assert_int_equal(l.map.h, 0);
    assert_int_equal(l.latency.h, 1);
    l = main_layout(40, 10);
    assert_int_equal(l.map.h, 0);
    assert_int_equal(l.latency.h, 0);
    assert_int_equal(l.output.h, 6);
    assert_true(main_layout(160, 48).wide);
    assert_int_equal(main_layout(160, 48).map.h, 25);
}

static void a_cell_belongs_to_its_pane(void **state)
{
    (void)state;
    struct layout l = main_layout(160, 48);
    assert_int_equal(layout_at(&l, VM_MAIN, 0, 2), VM_OUTPUT);
    assert_int_equal(layout_at(&l, VM_MAIN, l.map.x, l.map.y), VM_MAP);
    assert_int_equal(layout_at(&l, VM_MAIN, 0, l.prompt.y), VM_PROMPT);
    assert_int_equal(layout_at(&l, VM_MAIN, 0, l.latency.y), VM_LATENCY);
    assert_int_equal(layout_at(&l, VM_MAIN, 0, l.strip.y), VM_STRIP);
    assert_int_equal(layout_at(&l, VM_MAIN, 0, 0), VM_NOWHERE);
    assert_int_equal(layout_at(&l, VM_MAIN, 999, 999), VM_NOWHERE);
}

/* ---- prompt ------------------------------------------------------------------------------ */

/* The cursor is inside the pane wherever it is in the text. */
static void the_cursor_stays_visible(void **state)
{
    (void)state;
    const char *text = "one two three\nfour \xe4\xb8\xad\xe6\x96\x87 five\n\nsix\nseven eight";
    struct vm_prompt vm = {
        .prompt = "prompt> ", .text = text, .n = strlen(text), .active = true};
    struct surface s;
    for (int w = 10; w < 40; w += 3)
        for (int h = 1; h < 8; h++) {
            surface_open(&s, w, h);
            for (vm.cursor = 0; vm.cursor <= vm.n; vm.cursor++) {
                const struct theme t = {THEME_MONO, false, false};
                int x, y;
                pane_prompt(&s, &t, &vm, &x, &y);
                assert_true(x >= 0 && x < w);
                assert_true(y >= 0 && y < h);
            }
            surface_free(&s);
        }
}

static void a_full_row_puts_the_cursor_on_the_next(void **state)
{
    (void)state;
    const struct theme t = {THEME_MONO, false, false};
    struct vm_prompt vm = {
        .prompt = "> ", .text = "12345678", .n = 8, .cursor = 8, .active = true};
    struct surface s;
    int x, y;
    assert_int_equal(pane_prompt_rows(&vm, 11), 1);
    assert_int_equal(pane_prompt_rows(&vm, 10), 2);
    surface_open(&s, 10, 2);
    pane_prompt(&s, &t, &vm, &x, &y);
    assert_int_equal(x, 2);
    assert_int_equal(y, 1);
    surface_free(&s);
}

static void a_megabyte_in_the_prompt(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    const struct theme t = {THEME_MONO, false, false};
    char *text = malloc(N);
    memset(text, 'x', N);
    struct vm_prompt vm = {.prompt = "> ", .text = text, .n = N, .cursor = N, .active = true};
    struct surface s;
    struct buf out = {0};
    int x, y;
    assert_int_equal(pane_prompt_rows(&vm, 80), 10);
    surface_open(&s, 80, 10);
    pane_prompt(&s, &t, &vm, &x, &y);
    assert_int_equal(y, 9);
    surface_dump(&s, &out);
    assert_non_null(strstr(buf_str(&out), "1.05 MB"));
    buf_free(&out);
    surface_free(&s);
    free(text);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(panes_never_overlap),
        cmocka_unit_test(small_screens_lose_the_map_first),
        cmocka_unit_test(a_cell_belongs_to_its_pane),
        cmocka_unit_test(the_cursor_stays_visible),
        cmocka_unit_test(a_full_row_puts_the_cursor_on_the_next),
        cmocka_unit_test(a_megabyte_in_the_prompt),
    };
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
