/* tui.h - the terminal application: panes, live heatmap, sessions, compare, replay.
 *
 * Purpose: the whole of `terra tui`, from settings already merged to an exit status.
 * Owns:    the terminal, readline, the store and one worker thread while it runs.
 * Errors:  prints its own lines on standard error; the status is as in man terra: 0,
 *          2 no usable terminal, 3 the model asked for does not open, 128+n by signal n
 *          (it then ends by that signal itself, after giving the terminal back).
 * Threads: call it from the main thread, before any other thread exists.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_TUI_H
#define TERRA_APP_TUI_H

#include "app/args.h"
#include "data/user_config.h"
#include "engine/base/buf.h"

/* Uses of `a`: pos[0] (a document to begin with), session, cont, no_log, no_repeat.
 * The settings stay the caller's; :set changes them. */
int tui_main(struct user_config *c, const struct args *a);

/* Every key and command, "key<TAB>scope<TAB>name<TAB>help" a line, for the manual and
 * `terra help --keys`. */
void tui_keys(struct buf *out);

#endif
