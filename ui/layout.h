/* layout.h - which rectangle each pane gets.
 *
 * Purpose: pure arithmetic on the size of the screen.  Small screens lose the map
 *          first, then latency; below 40x10 nothing but a line that says so.
 * Owns:    nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_LAYOUT_H
#define TERRA_UI_LAYOUT_H

#include "ui/surface.h"
#include "ui/theme.h"
#include "ui/vm.h"

#define LAYOUT_MIN_W 40
#define LAYOUT_MIN_H 10

/* A rectangle without height is a pane that is not shown. */
struct layout {
    bool too_small;
    bool wide; /* map beside the text */
    struct rect header, output, map, zoom, agree, strip, latency, bandwidth, prompt, message,
        hints;
    struct rect body; /* views other than main: all between header and prompt */
};

struct layout_want {
    int w, h;
    enum vm_view view;
    int prompt_rows;   /* wanted, 1..10 */
    int map_rows;      /* rows the whole map would like, 0: no map */
    int map_legend;    /* how many of them are its legend */
    int map_packed;    /* with two layers in a row */
    int map_folded;    /* with several rows for a layer, so that no block is left out */
    bool prompt_shown; /* other views: only while something is typed */
};

/* Columns that the main view's map gets. */
int layout_map_cols(int w, int h);

struct layout layout_make(const struct layout_want *want);
/* The pane at a cell. */
enum vm_pane layout_at(const struct layout *l, enum vm_view view, int x, int y);

#endif
