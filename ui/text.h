/* text.h - how bytes look: widths, escapes, line breaks.
 *
 * Purpose: one place decides what a byte string looks like in cells.  Control
 *          characters never reach the terminal: ESC shows as ^[, C1 as <9b>.
 *          Invisible format characters (zero width joiner, direction marks) are
 *          left out, since terminals disagree about them.
 * Owns:    nothing.  Errors: none.
 * Threads: reentrant; widths follow LC_CTYPE (wcwidth), as curses' do.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_TEXT_H
#define TERRA_UI_TEXT_H

#include "ui/surface.h"

struct glyph {
    uint32_t rune; /* 0: nothing to draw */
    uint32_t comb[SURFACE_COMBINING];
    char escape[8]; /* non-empty: drawn instead, one column per char */
    int width;      /* columns, 0..2 or strlen(escape) */
};

/* Reads one glyph: a character with its combining marks.  Returns bytes used, >= 1.
 * Newline and tab come back as themselves, width 1. */
size_t text_glyph(const char *s, size_t n, struct glyph *g);

/* Columns of one line of text. */
int text_width(const char *s, size_t n);
/* Bytes of the longest prefix no wider than cols. */
size_t text_fit(const char *s, size_t n, int cols);

#define TEXT_TAB 8

/* Cuts one line off: at most `cols` columns, preferably at a space.  *len is what
 * to draw, the return value where the next line starts (== n at the end; after a
 * newline the text may go on with an empty line).  *newline tells which. */
size_t text_line(const char *s, size_t n, int cols, size_t *len, bool *newline);

#endif
