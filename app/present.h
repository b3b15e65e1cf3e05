/* present.h - from the state to view models.
 *
 * Purpose: the only place that knows both what a run is and what a pane draws.
 * Owns:    the frame pool: what it hands out lives until the next call.
 * Errors:  none.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_PRESENT_H
#define TERRA_APP_PRESENT_H

#include "app/numbers.h"
#include "app/state.h"

/* Fills a->vm with everything the current view shows. */
void present(struct app *a);

/* Parts of it, by view. */
void present_header(struct app *a, struct vm_header *h);
void present_hints(struct app *a, struct vm_hints *h);
void present_main(struct app *a);
void present_compare(struct app *a);
void present_sessions(struct app *a);
void present_inspect(struct app *a);
void present_help(struct app *a);
void present_dialog(struct app *a);

/* Shared by views. */
void present_map(struct app *a, struct vm_map *m, struct choice_rows *r, int64_t row);
void present_strip(struct app *a, struct vm_strip *s, int64_t token);
void present_agree(struct app *a, struct vm_agree *g, int64_t token);
/* Text of a token: its own piece, or its bytes if the vocabulary is at hand. */
const char *present_token(struct app *a, const struct timeline *t, size_t i);

#define HELP_ROWS (COMMANDS + NUMBERS)
/* What the help view lists: a command, or COMMANDS + the index of a number. */
size_t present_help_list(const struct app *a, int out[HELP_ROWS]);
unsigned present_scope(const struct app *a); /* IN_... of what has the keys */

#endif
