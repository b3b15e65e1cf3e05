/* commands_do.h - one function for each command of commands.def.
 *
 * Purpose: shared by the table and by the files that hold the handlers.
 * Owns:    nothing.  Errors: the message row.  Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_COMMANDS_DO_H
#define TERRA_APP_COMMANDS_DO_H

struct app;

/* `arg` is "" when there is none.  Returns EFFECT_... flags. */
typedef unsigned command_fn(struct app *a, const char *arg);

#define CMD(id, name, keys, scope, arg, help, more) command_fn do_##id;
#include "app/commands.def"
#undef CMD

#endif
