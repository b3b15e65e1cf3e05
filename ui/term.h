/* term.h - the terminal: raw bytes in, a surface out.
 *
 * Purpose: the only module that talks to curses.  Copies a surface to the screen
 *          with one doupdate(), sending only what changed; gives the terminal back
 *          exactly as it was found, also on a crash.
 * Owns:    the screen between term_open and term_close.  One per process.
 * Errors:  term_open: ERR_USAGE when there is no terminal or its type is unknown.
 * Threads: the terminal's thread only, except term_restore_now.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_TERM_H
#define TERRA_UI_TERM_H

#include "engine/base/err.h"
#include "ui/surface.h"
#include "ui/theme.h"

enum term_colour { TERM_COLOUR_AUTO, TERM_COLOUR_ALWAYS, TERM_COLOUR_NEVER };

struct term_opts {
    enum term_colour colour; /* AUTO respects NO_COLOR */
    bool ascii;              /* never draw half blocks */
    bool mouse;
    bool light;
};

struct terminal;

/* Call setlocale(LC_ALL, "") before. */
struct terminal *term_open(const struct term_opts *o, struct err *e);
void term_close(struct terminal *t);

int term_fd(const struct terminal *t);              /* poll and read(2) this */
void term_size(struct terminal *t, int *w, int *h); /* asks the terminal */
/* After SIGWINCH or a changed size; the next draw repaints everything. */
void term_resized(struct terminal *t, int w, int h);
/* What the terminal can show. */
struct theme term_theme(const struct terminal *t);

/* Shows the surface; (cx, cy) is the cursor, negative hides it. */
void term_draw(struct terminal *t, const struct surface *s, int cx, int cy);
/* The next draw repaints everything (Ctrl-L). */
void term_redraw(struct terminal *t);
void term_mouse(struct terminal *t, bool on);
/* Puts text on the clipboard of the person's terminal (OSC 52); false: too long for it. */
bool term_copy(struct terminal *t, const char *text, size_t n);

/* Gives the terminal back and takes it again, e.g. around $EDITOR. */
void term_leave(struct terminal *t);
void term_enter(struct terminal *t);
/* Leaves, stops the process group as Ctrl-Z does in a shell, enters after `fg`. */
void term_suspend(struct terminal *t);

/* Restores the terminal with write(2) and tcsetattr only: safe in a signal handler
 * and without a terminal. */
void term_restore_now(void);
/* SEGV, BUS, FPE, ILL, ABRT, QUIT, SYS: restore, then die by that signal. */
void term_catch_crashes(void);

#endif
