/* SPDX-License-Identifier: MIT */
#include "app/commands.h"

#include "app/commands_do.h"
#include "app/state.h"
#include "app/tui.h"
#include "engine/base/edit_distance.h"
#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

const struct command_info command_info[COMMANDS] = {
#define CMD(id, name, keys, scope, arg, help, more) {#id, name, keys, scope, arg, help, more},
#include "app/commands.def"
#undef CMD
};

static command_fn *const handler[COMMANDS] = {
#define CMD(id, name, keys, scope, arg, help, more) do_##id,
#include "app/commands.def"
#undef CMD
};

/* ---- keys ------------------------------------------------------------------------- */

#define KEYS_MAX 6 /* of one command */

struct command_keys {
    struct key key[COMMANDS][KEYS_MAX];
    size_t n[COMMANDS];
};

/* The command, another than `self`, that has the key somewhere in `scope`. */
static enum command owner(const struct command_keys *k, const struct key *key, unsigned scope,
                          enum command self)
{
    for (int c = 0; c < COMMANDS; c++)
        for (size_t i = 0; (enum command)c != self && i < k->n[c]; i++)
            if ((command_info[c].scope & scope) && key_equal(&k->key[c][i], key))
                return (enum command)c;
    return COMMANDS;
}

static void add_default_keys(struct command_keys *k, enum command c)
{
    char names[64], *rest = names, *name;
    strncpy(names, command_info[c].keys, sizeof names - 1);
    names[sizeof names - 1] = 0;
    while ((name = strtok_r(rest, " ", &rest)))
        if (k->n[c] < KEYS_MAX && key_parse(name, &k->key[c][k->n[c]]))
            k->n[c]++;
}

static void bind(struct command_keys *k, struct user_config *cfg,
                 const struct config_binding *b, bool *cleared)
{
    const char *file = cfg->paths.keys_file ? cfg->paths.keys_file : "keys.json";
    enum command c = COMMANDS;
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(command_info[i].id, b->command) == 0 ||
            (*command_info[i].name && strcmp(command_info[i].name, b->command) == 0)) {
            c = (enum command)i;
            break;
        }
    if (c == COMMANDS) {
        user_config_problem(cfg, "%s:%u: %s: no such command", file, b->line, b->command);
        return;
    }
    if (!cleared[c]) {
        k->n[c] = 0;
        cleared[c] = true;
    }
    struct key key;
    if (!b->key)
        return;
    if (!key_parse(b->key, &key)) {
        user_config_problem(cfg, "%s:%u: %s: '%s' is not a key", file, b->line, b->command,
                            b->key);
        return;
    }
    enum command other = owner(k, &key, command_info[c].scope, c);
    if (other != COMMANDS) {
        user_config_problem(cfg, "%s:%u: %s: '%s' is already the key of %s", file, b->line,
                            b->command, b->key, command_info[other].id);
        return;
    }
    if (k->n[c] < KEYS_MAX)
        k->key[c][k->n[c]++] = key;
}

struct command_keys *command_keys_open(struct user_config *c)
{
    struct command_keys *k = xcalloc(1, sizeof *k);
    bool cleared[COMMANDS] = {false};
    for (int i = 0; i < COMMANDS; i++)
        add_default_keys(k, (enum command)i);
    for (size_t i = 0; c && i < c->n_bindings; i++)
        bind(k, c, &c->binding[i], cleared);
    return k;
}

void command_keys_close(struct command_keys *k)
{
    free(k);
}

enum command command_for_key(const struct command_keys *k, const struct key *key,
                             unsigned scope)
{
    return owner(k, key, scope, COMMANDS);
}

void command_key_names(const struct command_keys *k, enum command c, struct buf *out)
{
    for (size_t i = 0; i < k->n[c]; i++) {
        char name[KEY_NAME_MAX];
        key_name(&k->key[c][i], name);
        if (i)
            buf_add_byte(out, ' ');
        buf_add_str(out, name);
    }
}

/* ---- names -------------------------------------------------------------------------- */

enum command command_find(const char *name, size_t n)
{
    enum command found = COMMANDS;
    int hits = 0;
    for (int c = 0; c < COMMANDS && n; c++) {
        if (strncmp(command_info[c].name, name, n) != 0)
            continue;
        if (strlen(command_info[c].name) == n)
            return (enum command)c;
        found = (enum command)c;
        hits++;
    }
    return hits == 1 ? found : COMMANDS;
}

const char *command_nearest(const char *name, size_t n)
{
    const char *best = NULL;
    unsigned least = n < 4 ? 2 : 3;
    for (int c = 0; c < COMMANDS; c++)
        if (*command_info[c].name) {
            const char *other = command_info[c].name;
            unsigned d = edit_distance(name, n, other, strlen(other));
            if (d < least) {
                least = d;
                best = other;
            }
        }
    return best;
}

unsigned command_run(struct app *a, enum command c, const char *arg)
{
    return c < COMMANDS ? handler[c](a, arg ? arg : "") : EFFECT_NONE;
}

unsigned command_line(struct app *a, const char *line)
{
    while (*line == ' ')
        line++;
    size_t n = strcspn(line, " ");
    if (n == 0)
        return EFFECT_DRAW;
    *a->message = 0; /* it was about something else, such as this command mistyped */
    enum command c = command_find(line, n);
    if (c == COMMANDS) {
        const char *near = command_nearest(line, n);
        app_say(a, VM_WARN, "no command '%.*s'%s%s%s; F1 lists them", (int)(n > 40 ? 40 : n),
                line, near ? "; do you mean '" : "", near ? near : "", near ? "'?" : "");
        return EFFECT_DRAW;
    }
    const char *arg = line + n;
    while (*arg == ' ')
        arg++;
    return command_run(a, c, arg) | EFFECT_DRAW;
}

/* ---- the list -------------------------------------------------------------------------- */

static const char *scope_name(unsigned scope)
{
    if (scope == IN_ALL)
        return "everywhere";
    if (scope == IN_PANES || scope == (IN_PANES & ~IN_SESSIONS) ||
        scope == (IN_PANES & ~IN_COMPARE))
        return "any pane";
    if (!scope)
        return "command";
    if (scope == IN_SESSIONS)
        return "sessions";
    if (scope == IN_COMPARE)
        return "compare";
    if (scope & IN_MAIN)
        return "main";
    return "views";
}

void tui_keys(struct buf *out)
{
    for (int c = 0; c < COMMANDS; c++) {
        const struct command_info *i = &command_info[c];
        buf_printf(out, "%s\t%s\t%s%s%s\t%s\n", i->keys, scope_name(i->scope), i->name,
                   *i->argument ? " " : "", i->argument, i->help);
    }
}
