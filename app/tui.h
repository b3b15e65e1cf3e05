/* tui.h - the terminal application: panes, live heatmap, sessions, compare, replay.
 *
 * Purpose: the whole of `terra tui`, from the options already merged to an exit status.
 * Owns:    the terminal, readline, the store and one worker thread while it runs.
 * Errors:  prints its own lines on standard error; the status is as in man terra.
 * Threads: call it from the main thread, before any other thread exists.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_TUI_H
#define TERRA_APP_TUI_H

#include "data/user_config.h"

#include <stdbool.h>

struct tui_opts {
    struct user_config *config; /* options, environment and files merged; :set changes it */
    const char *file;           /* document to begin with; NULL: none */
    const char *session;        /* id of a stored session to continue; NULL: a new one */
    bool resume;                /* continue the latest session */
    bool no_log;                /* write no file at all */
    uint32_t no_repeat_ngram;   /* 0: off */
    int64_t replay;             /* run to open and play; 0: none */
};

/* Exit status: 0, 2 no usable terminal, 3 the model given does not open, 128+n by signal
 * (it then ends by that signal itself, after the terminal was given back). */
int tui_main(const struct tui_opts *o);

/* One line for each key and command, "key<TAB>scope<TAB>name<TAB>help", for the manual and
 * for `terra help --keys`. */
struct buf;
void tui_keys(struct buf *out);

#endif
