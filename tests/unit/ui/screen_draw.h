/* screen_draw.h - what the tests of whole screens share: sizes, themes, a drawn sample.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_TESTS_UI_SCREEN_DRAW_H
#define TERRA_TESTS_UI_SCREEN_DRAW_H

#include "tests/unit/ui/sample.h"
#include "ui/pane.h"
#include "ui/screen.h"

static const struct {
    int w, h;
} sizes[] = {{40, 10}, {80, 24}, {100, 30}, {160, 48}, {300, 80}};
#define N_SIZES (sizeof sizes / sizeof *sizes)

static const struct theme plain = {THEME_MONO, false, false};
static const struct theme colour = {THEME_256, false, true};

static inline void draw_screen(struct surface *s, const struct theme *t, struct sample *p)
{
    struct screen sc;
    screen_draw(s, t, &p->vm, &sc);
}

/* Few layers of many blocks. */
static inline void few_layers(struct vm_map *m)
{
    m->layers = 2;
    m->blocks = 96;
    m->units = 16;
    m->layer = 1;
    m->block = 70;
}

#endif
