/* surface.h - a grid of character cells that panes draw into.
 *
 * Purpose: everything on the screen is drawn here first, so that every view can be
 *          tested without a terminal; ui/term.c copies the grid to the screen.
 *          A sub-surface is a window onto the same cells with its own origin and
 *          clip rectangle: nothing is ever drawn outside of it.
 * Owns:    surface_open allocates the cells, surface_free releases them; a
 *          sub-surface borrows them and is never freed.
 * Errors:  none; drawing outside is silently clipped.
 * Threads: one owner at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_SURFACE_H
#define TERRA_UI_SURFACE_H

#include "engine/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A colour is the terminal's default, an index of its palette, or exact. */
#define COLOUR_DEFAULT  0u
#define COLOUR_INDEX(i) (0x01000000u | (uint32_t)(i))
#define COLOUR_RGB(r, g, b)                                                                    \
    (0x02000000u | (uint32_t)(r) << 16 | (uint32_t)(g) << 8 | (uint32_t)(b))

enum { ATTR_BOLD = 1, ATTR_DIM = 2, ATTR_UNDERLINE = 4, ATTR_REVERSE = 8 };

struct style {
    uint32_t fg, bg; /* COLOUR_... */
    uint16_t attr;   /* ATTR_... */
};

#define SURFACE_COMBINING 2 /* marks kept per cell; more are dropped */

struct cell {
    uint32_t rune; /* 0: right half of the wide character to the left */
    uint32_t comb[SURFACE_COMBINING];
    struct style style;
};

struct rect {
    int x, y, w, h;
};

struct surface {
    struct cell *cells; /* [rows of the whole grid][stride] */
    int stride;
    int w, h;         /* of this window */
    int x, y;         /* origin in the grid */
    struct rect clip; /* in the grid */
};

void surface_open(struct surface *s, int w, int h);
void surface_free(struct surface *s); /* NULL cells are fine */
/* Discards the content when the size changes. */
void surface_resize(struct surface *s, int w, int h);

/* The part of `s` inside `r`, with its own coordinates. */
struct surface surface_sub(const struct surface *s, struct rect r);

void surface_clear(struct surface *s, struct style st);
void surface_fill(struct surface *s, struct rect r, uint32_t rune, struct style st);
/* One column wide runes only. */
void surface_rune(struct surface *s, int x, int y, uint32_t rune, struct style st);

/* Draws text from column x on, never past `cols` columns (negative: to the edge).
 * Control characters are made visible, malformed bytes become U+FFFD.  A newline
 * shows as a space.  Returns the column after the last one drawn. */
int surface_text(struct surface *s, int x, int y, const char *text, struct style st);
int surface_textn(struct surface *s, int x, int y, int cols, const char *text, size_t n,
                  struct style st);
int surface_printf(struct surface *s, int x, int y, struct style st, const char *fmt, ...)
    ERR_PRINTF(5, 6);
/* Ends at column `right` (exclusive); returns the first column used. */
int surface_text_right(struct surface *s, int right, int y, const char *text, struct style st);

/* The characters alone, one line per row, trailing blanks cut. */
void surface_dump(const struct surface *s, struct buf *out);
/* As above, followed by the runs of cells whose style is not the default: one line
 * "row:from-to fg bg attr" each. */
void surface_dump_styles(const struct surface *s, struct buf *out);
/* With SGR escapes, for a person looking at a terminal. */
void surface_dump_ansi(const struct surface *s, struct buf *out);

#endif
