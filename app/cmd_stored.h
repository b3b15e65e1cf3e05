/* cmd_stored.h - what one command says of the store, and `terra chat` too.
 *
 * Purpose: sessions, search and likeness of `terra logs`, the lens of `terra trace`, the
 *          playing of `terra replay`, each for a store that is open already.
 * Owns:    nothing.
 * Errors:  ERR_CHECK where nothing is found, and those of lens.h and the store.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_CMD_STORED_H
#define TERRA_APP_CMD_STORED_H

#include "app/cli.h"

/* A stored session's number, or "last". */
bool cmd_session_id(struct cli *c, const char *text, int64_t *out, struct err *e);
bool cmd_token(const char *text, uint32_t *token, struct err *e); /* its number, from 0 */

/* A line for each session, newest first; those that have all the words, "": all. */
bool cmd_sessions(struct cli *c, const char *words, struct err *e);
/* A line for each run that has all the words. */
bool cmd_search(struct cli *c, const char *words, struct err *e);
/* A line for each stored token whose choices agree most with this one's. */
bool cmd_like(struct cli *c, int64_t run, uint32_t token, struct err *e);

/* A line for each decoder layer: the token it would write in place of this one, see lens.h.
 * The model is opened if it is not; a session that is open is closed.  set_mode: in the mode
 * of the settings, else in the run's. */
bool cmd_lens(struct cli *c, int64_t run, uint32_t token, bool set_mode, struct err *e);

/* Prints a run's tokens at their speed; ERR_CANCELLED after a signal. */
bool cmd_play(struct cli *c, int64_t run, struct err *e);

#endif
