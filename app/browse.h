/* browse.h - the list of stored sessions.
 *
 * Purpose: searching, moving and acting in the sessions view.
 * Owns:    nothing: all of it is in the state.
 * Errors:  the message row.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_BROWSE_H
#define TERRA_APP_BROWSE_H

#include "app/state.h"

unsigned browse_show(struct app *a, const char *search); /* NULL: as it was */
void browse_search(struct app *a, const char *words);
void browse_move(struct app *a, long by);
unsigned browse_open(struct app *a);
unsigned browse_replay(struct app *a);
unsigned browse_delete(struct app *a); /* the selected one */
unsigned browse_delete_session(struct app *a, int64_t id);
unsigned browse_undo(struct app *a);
unsigned browse_sort(struct app *a);
unsigned browse_rename(struct app *a, const char *title); /* NULL: ask */
int64_t browse_selected(const struct app *a);             /* 0: none */
/* "today 18:20", "Nov 20 22:41", "2025-01-31" */
void browse_when(int64_t ms, int64_t now_ms, char out[24]);

#endif
