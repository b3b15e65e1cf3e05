/* fit.h - a line made of pieces, of which the least important are left out.
 *
 * Purpose: header, legends and hints say as much as the width allows.
 * Owns:    nothing.  Errors: pieces past FIT_MAX are dropped.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_FIT_H
#define TERRA_UI_FIT_H

#include "ui/surface.h"
#include "ui/theme.h"

#define FIT_MAX  24
#define FIT_TEXT 120

struct fit_piece {
    char text[FIT_TEXT];  /* shown if there is room */
    char brief[FIT_TEXT]; /* instead of text when there is little; "": none */
    int rank;             /* 0: never left out; the highest goes first */
    bool ramp;            /* the theme's ramp follows the text, then `after` */
    char after[24];
    struct style style;
};

struct fit {
    struct fit_piece piece[FIT_MAX];
    int n;
};

/* Adds a piece and returns it, for setting brief and ramp. */
struct fit_piece *fit_add(struct fit *f, int rank, struct style st, const char *fmt, ...)
    ERR_PRINTF(4, 5);
void fit_brief(struct fit_piece *p, const char *fmt, ...) ERR_PRINTF(2, 3);

/* Draws from column x on within `cols`, `gap` between pieces.  Returns the column
 * after the last one. */
int fit_draw(struct fit *f, struct surface *s, const struct theme *t, int x, int y, int cols,
             const char *gap, struct style gap_style);

#define FIT_RAMP 10 /* cells of a ramp */

#endif
