/* signals.h - stopping a command from outside, politely first.
 *
 * Purpose: INT, TERM and HUP raise a flag that the engine polls between layers, so
 *          that text already written is kept and stored; the second one ends the
 *          process at once.  BUS (a mapped model file shrank) prints one line and
 *          exits with status 3.  PIPE and XFSZ (a file over its limit) are ignored:
 *          writers see EPIPE and EFBIG.
 * Owns:    the process's handlers; for commands without a screen.
 * Threads: install before threads start; the rest is safe anywhere.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_SIGNALS_H
#define TERRA_APP_SIGNALS_H

#include <stdatomic.h>
#include <stdbool.h>

void signals_install(void);
atomic_bool *signals_cancel(void); /* true once a signal came; may be set by others */
int signals_got(void);             /* the signal, or 0 */

/* Chat: forget an interrupt that only stopped one reply. */
void signals_reset(void);

/* Ends the process as the signal would have. */
_Noreturn void signals_die(int sig);

#endif
