/* test_theme.c - ramps can be read without hue, in every depth and without UTF-8.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "tests/unit/ui/sample.h"
#include "ui/screen.h"
#include "ui/text.h"
#include "ui/theme.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Brightness rises with the level on a dark background and falls on a light one. */
static void ramps_are_monotone(void **state)
{
    (void)state;
    for (int light = 0; light < 2; light++)
        for (int depth = THEME_256; depth <= THEME_RGB; depth++) {
            struct theme t = {(enum theme_depth)depth, light, true};
            int last = light ? 256 : -1, shades = 0;
            for (int level = 0; level < 255; level++) {
                int luma = theme_luma(theme_heat(&t, (uint8_t)level).style.bg);
                assert_true(light ? luma <= last : luma >= last);
                shades += luma != last;
                last = luma;
            }
            assert_int_equal(shades, THEME_LEVELS);
        }
}

/* Where colour does not carry the level, glyphs do: each step covers more. */
static void ascii_ramp_has_ten_glyphs(void **state)
{
    (void)state;
    for (int depth = THEME_MONO; depth <= THEME_256; depth++) {
        struct theme t = {(enum theme_depth)depth, false, false};
        char seen[16] = "";
        for (int level = 0; level < 255; level++) {
            uint32_t rune = theme_heat(&t, (uint8_t)level).rune;
            size_t n = strlen(seen);
            assert_true(rune >= ' ' && rune < 0x7f);
            if (n == 0 || (uint32_t)seen[n - 1] != rune) {
                assert_null(strchr(seen, (int)rune)); /* never comes back */
                assert_true(n + 1 < sizeof seen);
                seen[n] = (char)rune;
                seen[n + 1] = 0;
            }
        }
        assert_string_equal(seen, " .:-=+*#%@");
    }
}

static void halves_show_both_levels(void **state)
{
    (void)state;
    struct theme t = {THEME_256, false, true};
    struct theme_heat low = theme_heat(&t, 0), high = theme_heat(&t, 254);
    struct theme_heat both = theme_heat2(&t, 254, 0);
    assert_int_equal(both.rune, 0x2580);
    assert_int_equal(both.style.fg, high.style.bg);
    assert_int_equal(both.style.bg, low.style.bg);
    assert_int_equal(theme_heat2(&t, 255, 255).rune, ' ');
    assert_int_equal(theme_heat2(&t, 255, 254).rune, 0x2584);
    assert_int_equal(theme_heat2(&t, 254, 255).rune, 0x2580);
}

static void shade_keeps_text_legible(void **state)
{
    (void)state;
    for (int light = 0; light < 2; light++) {
        struct theme t = {THEME_256, light, true};
        for (int level = 32; level < 255; level++) {
            struct style st = theme_shade(&t, (struct style){0}, (uint8_t)level);
            int contrast = theme_luma(st.fg) - theme_luma(st.bg);
            assert_true(contrast > 90 || contrast < -90);
        }
    }
}

/* Every cell of every view: without colour no colour, without blocks only ASCII. */
static void check_limits(const struct theme *t)
{
    struct sample sample;
    struct surface s;
    struct screen sc;
    sample_open(&sample);
    surface_open(&s, 160, 48);
    for (int v = 0; v < VM_VIEWS; v++) {
        sample.vm.view = (enum vm_view)v;
        screen_draw(&s, t, &sample.vm, &sc);
        for (int i = 0; i < 160 * 48; i++) {
            const struct cell *c = &s.cells[i];
            if (t->depth == THEME_MONO) {
                assert_int_equal(c->style.fg, COLOUR_DEFAULT);
                assert_int_equal(c->style.bg, COLOUR_DEFAULT);
            } else if (t->depth == THEME_16) {
                assert_true(c->style.fg == COLOUR_DEFAULT || (c->style.fg & 0xFFFFFF) < 8);
                assert_true(c->style.bg == COLOUR_DEFAULT);
            }
            if (!t->blocks)
                assert_true(c->rune >= ' ' && c->rune < 0x7f);
        }
    }
    surface_free(&s);
    sample_close(&sample);
}

static void poor_terminals_get_what_they_can_show(void **state)
{
    (void)state;
    check_limits(&(struct theme){THEME_MONO, false, false});
    check_limits(&(struct theme){THEME_MONO, false, true});
    check_limits(&(struct theme){THEME_16, true, false});
    check_limits(&(struct theme){THEME_256, false, false});
}

/* LANG=C: anything else than ASCII becomes one '?'. */
static void c_locale_falls_back(void **state)
{
    (void)state;
    setlocale(LC_CTYPE, "C");
    assert_false(theme_blocks_usable());
    struct surface s;
    struct buf out = {0};
    surface_open(&s, 10, 1);
    surface_text(&s, 0, 0,
                 "a\xc3\xa9\xe4\xb8\xad"
                 "b\xff",
                 (struct style){0});
    surface_dump(&s, &out);
    assert_string_equal(buf_str(&out), "a??b?\n");
    buf_free(&out);
    surface_free(&s);
    setlocale(LC_CTYPE, "C.UTF-8");
    assert_true(theme_blocks_usable());
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ramps_are_monotone),
        cmocka_unit_test(ascii_ramp_has_ten_glyphs),
        cmocka_unit_test(halves_show_both_levels),
        cmocka_unit_test(shade_keeps_text_legible),
        cmocka_unit_test(poor_terminals_get_what_they_can_show),
        cmocka_unit_test(c_locale_falls_back),
    };
    return cmocka_run_group_tests_name("theme", tests, NULL, NULL);
}
