/* replay.h - stored runs and sessions on the screen, and time running through them.
 *
 * Purpose: fills the timeline and the text from the store, no model needed; moves the
 *          visible end of a run along at its recorded pace.
 * Owns:    nothing: all of it is in the state.
 * Errors:  the message row.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_REPLAY_H
#define TERRA_APP_REPLAY_H

#include "app/state.h"

/* Shows a session with its newest run, and continues it with the next prompt. */
unsigned replay_open_session(struct app *a, int64_t session);
/* Shows a stored run and plays it from the start. */
unsigned replay_run(struct app *a, int64_t run);
unsigned replay_step_run(struct app *a, int dir); /* the session's next or previous run */

/* The session's title as the list of sessions has it. */
void replay_take_title(struct app *a);
/* The session's runs as the store has them now; the one on screen stays. */
void replay_list_runs(struct app *a);

/* Plays the run on screen from its start (or goes on), or pauses. */
unsigned replay_toggle(struct app *a);
void replay_restart(struct app *a);
unsigned replay_speed(struct app *a, double factor);

/* What is due at a->now. */
unsigned replay_tick(struct app *a);
/* When the next thing is due; 0: nothing. */
uint64_t replay_deadline(const struct app *a);

/* Both sides of a compare. */
void replay_compare_start(struct app *a);

/* Puts the visible tokens of the run into the text anew. */
void replay_rebuild_flow(struct app *a);

#endif
