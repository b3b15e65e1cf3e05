/* clip.h - text to where the person can paste it, and text from their editor.
 *
 * Purpose: copying through tmux, else the terminal (OSC 52), else a file; a prompt
 *          edited in $VISUAL or $EDITOR.
 * Owns:    nothing.
 * Errors:  ERR_RESOURCE.
 * Threads: the main one.  The editor stops the world until it ends.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_CLIP_H
#define TERRA_APP_CLIP_H

#include "app/state.h"

/* `how` (APP_TEXT bytes): "in the tmux buffer" ... */
bool clip_copy(struct app *a, const char *text, size_t n, char *how, struct err *e);

/* The edited text, to be freed by the caller. */
char *clip_edit(struct app *a, const char *text, size_t n, struct err *e);

#endif
