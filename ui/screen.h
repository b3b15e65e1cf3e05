/* screen.h - a whole screen: layout, the panes of a view, overlays.
 *
 * Purpose: the one call that turns a view model into a surface, and the questions a
 *          mouse or a scroll key asks about it afterwards.
 * Owns:    nothing.  Errors: none.  Threads: the drawing thread only.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_SCREEN_H
#define TERRA_UI_SCREEN_H

#include "ui/layout.h"

struct screen {
    struct layout layout;
    int cursor_x, cursor_y; /* negative: hidden */
    int output_rows;        /* text lines visible, for flow_view_scroll */
    int body_rows;          /* rows a page, list or help overlay can show */
};

/* Draws all of `vm`; `out` tells what went where. */
void screen_draw(struct surface *s, const struct theme *t, const struct vm *vm,
                 struct screen *out);

struct screen_hit {
    enum vm_pane pane;
    bool has_cell; /* layer, block of the map */
    uint32_t layer, block;
    bool has_row; /* of the list of sessions */
    size_t row;
    int32_t token; /* FLOW_NO_TOKEN: none */
};

/* What is drawn at a cell, given the screen just drawn from `vm`. */
struct screen_hit screen_at(const struct screen *sc, const struct theme *t, const struct vm *vm,
                            int x, int y);

#endif
