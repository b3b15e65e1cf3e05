/* SPDX-License-Identifier: MIT */
#include "app/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct app app; /* large for a stack */

/* Milliseconds between frames of text and of the map. */
static void paced(bool far, double fps, int w, int h, unsigned text_ms, unsigned map_ms)
{
    pace_open(&app, far, fps);
    app.surface.w = w;
    app.surface.h = h;
    assert_int_equal(pace_frame_ns(&app) / 1000000, text_ms);
    assert_int_equal(pace_map_ns(&app) / 1000000, map_ms);
}

static void larger_screens_are_drawn_less_often(void **state)
{
    (void)state;
    paced(false, 0, 80, 24, 50, 125);
    paced(false, 0, 40, 10, 50, 125);
    paced(false, 0, 120, 24, 61, 153);
    paced(false, 0, 160, 48, 65, 250);
    paced(false, 0, 300, 100, 65, 250);
}

static void over_ssh_half_as_often_and_the_map_a_quarter(void **state)
{
    (void)state;
    paced(true, 0, 80, 24, 100, 500);
    paced(true, 0, 160, 48, 200, 1000);
    paced(true, 0, 300, 100, 200, 1000);
}

static void frames_asked_for_are_given(void **state)
{
    (void)state;
    paced(false, 20, 160, 48, 65, 50);
    paced(true, 20, 160, 48, 200, 50);
    paced(true, 0.5, 80, 24, 100, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(larger_screens_are_drawn_less_often),
        cmocka_unit_test(over_ssh_half_as_often_and_the_map_a_quarter),
        cmocka_unit_test(frames_asked_for_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
