/* cmd_lens.h - the lens of `terra trace`.
 *
 * Purpose: a line for each decoder layer of one token of a stored run, see lens.h.
 * Owns:    nothing.  Errors: lens.h's.  Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_CMD_LENS_H
#define TERRA_APP_CMD_LENS_H

#include "app/cli.h"

/* Of token --lens; store open. */
bool cmd_lens(struct cli *c, int64_t run, struct err *e);

#endif
