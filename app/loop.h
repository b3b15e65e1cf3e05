/* loop.h - the one loop: sleep, read, act, draw.
 *
 * Purpose: waits for the terminal, the worker, signals and clocks in a single pselect;
 *          handlers change the state, only the loop draws, and only when something is
 *          owed.  Idle means asleep.
 * Owns:    the signal handlers of the application.
 * Errors:  a lost terminal ends it like SIGHUP.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_LOOP_H
#define TERRA_APP_LOOP_H

#include "app/state.h"

/* Before the terminal is opened and threads start. */
void loop_signals(void);
/* Until a->quit. a->signal tells the signal that ended it. */
void loop_run(struct app *a);

#endif
