/* theme.h - which colour and glyph stands for what.
 *
 * Purpose: panes ask for roles and levels, never for colours.  Ramps grow evenly in
 *          brightness (they darken on a light background), so that they can be read
 *          without seeing hue; parts of a stack differ in glyph as well as colour.
 * Owns:    nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_THEME_H
#define TERRA_UI_THEME_H

#include "ui/surface.h"

enum theme_depth { THEME_MONO, THEME_16, THEME_256, THEME_RGB };

struct theme {
    enum theme_depth depth;
    bool light;  /* background of the terminal */
    bool blocks; /* half blocks and eighths may be drawn; else ASCII only */
};

enum theme_role {
    ROLE_TEXT,
    ROLE_DIM,   /* rules, labels, hints */
    ROLE_TITLE, /* of a pane */
    ROLE_FOCUS, /* title of the pane that has the keys */
    ROLE_BAR,   /* header line */
    ROLE_KEY,   /* a key to press */
    ROLE_USER,  /* what the person wrote */
    ROLE_NOTE,  /* what the program says */
    ROLE_WARN,
    ROLE_ERROR,
    ROLE_GOOD,   /* proven, done */
    ROLE_SELECT, /* selected row, scrubbed token */
    ROLE_FOUND,  /* search hit */
    ROLE_PINNED,
    ROLE_GAUGE,
    ROLES
};

struct style theme_style(const struct theme *t, enum theme_role r);

#define THEME_LEVELS 16 /* shades a ramp has; level 0..254 is cut into these */
#define THEME_PARTS  8

/* One cell of a map: level 0..254. The glyph is ' ' where colour alone tells. */
struct theme_heat {
    uint32_t rune;
    struct style style;
};
struct theme_heat theme_heat(const struct theme *t, uint8_t level);
/* Two levels stacked in one cell; only if theme_halves(). */
struct theme_heat theme_heat2(const struct theme *t, uint8_t upper, uint8_t lower);
bool theme_halves(const struct theme *t);
/* Text with an underlying shade, e.g. a token's probability. */
struct style theme_shade(const struct theme *t, struct style st, uint8_t level);
/* Part i of a stacked bar. */
struct theme_heat theme_part(const struct theme *t, int i);
/* Height 0..8 of a bar within one cell. */
uint32_t theme_bar(const struct theme *t, int eighths);

/* Perceived brightness 0..255 of a colour, for tests and for choosing text on it. */
int theme_luma(uint32_t colour);

/* Can this locale and terminal draw half blocks, one column each? */
bool theme_blocks_usable(void);

#endif
