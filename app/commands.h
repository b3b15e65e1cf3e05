/* commands.h - names, keys and dispatch of what a person can do.
 *
 * Purpose: one table, from commands.def.  A handler changes the state and returns what
 *          must now happen; it never draws.
 * Owns:    nothing; key bindings live in the state.
 * Errors:  shown in the message row.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_COMMANDS_H
#define TERRA_APP_COMMANDS_H

#include "data/user_config.h"
#include "engine/base/buf.h"
#include "ui/keys.h"

enum {
    IN_PROMPT = 1,
    IN_MAIN = 2, /* a pane of the main view has the keys */
    IN_COMPARE = 4,
    IN_SESSIONS = 8,
    IN_INSPECT = 16,
    IN_PAGE = 32,
    IN_TOKENS = IN_MAIN | IN_INSPECT | IN_COMPARE,
    IN_PANES = IN_MAIN | IN_COMPARE | IN_SESSIONS | IN_INSPECT | IN_PAGE,
    IN_ALL = IN_PROMPT | IN_PANES
};

enum command {
#define CMD(id, name, keys, scope, arg, help, more) COMMAND_##id,
#include "app/commands.def"
#undef CMD
    COMMANDS
};

struct command_info {
    const char *id, *name, *keys;
    unsigned scope;
    const char *argument, *help, *more;
};
extern const struct command_info command_info[COMMANDS];

/* What must happen after a command. */
enum {
    EFFECT_NONE = 0,
    EFFECT_DRAW = 1,   /* the text part of the screen changed */
    EFFECT_MAP = 2,    /* the map must follow at once: a person moved */
    EFFECT_REDRAW = 4, /* repaint everything */
    EFFECT_SUSPEND = 8,
    EFFECT_QUIT = 16
};

/* ---- keys --------------------------------------------------------------------------- */

struct command_keys;
/* The table's keys, changed by the person's bindings; a binding that clashes, or names no
 * command or key, becomes a problem of the configuration. */
struct command_keys *command_keys_open(struct user_config *c);
void command_keys_close(struct command_keys *k);
/* COMMANDS if the key does nothing there. */
enum command command_for_key(const struct command_keys *k, const struct key *key,
                             unsigned scope);
/* "m" or "l Right ."; "" for none. */
void command_key_names(const struct command_keys *k, enum command c, struct buf *out);

/* ---- names ---------------------------------------------------------------------------- */

/* COMMANDS if there is none. An unambiguous beginning is enough. */
enum command command_find(const char *name, size_t n);
/* The name nearest to a mistyped one, or NULL. */
const char *command_nearest(const char *name, size_t n);

struct app;
unsigned command_run(struct app *a, enum command c, const char *arg);
/* "load paper.txt" */
unsigned command_line(struct app *a, const char *line);

#endif
