/* args_impl.h - the tables of commands and options, for args.c and args_help.c.
 *
 * Owns: nothing.  Errors, threads: see args.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_ARGS_IMPL_H
#define TERRA_APP_ARGS_IMPL_H

#include "app/args.h"

struct args_command {
    const char *name, *operands, *help;
    int min_pos, max_pos; /* max -1: any number */
};
extern const struct args_command args_commands[CMD_COUNT];

enum kind { FLAG, TEXT, PATH, WORD, INT, NUM };

struct args_option {
    char letter; /* 0: none */
    const char *name;
    enum kind kind;
    size_t field;
    unsigned cmds, listed; /* commands that accept it, and those whose help lists it */
    const char *value;     /* placeholder, or the words of a WORD separated by '|' */
    double min, max;
    const char *help;
};
#define ARGS_ALL ((1u << CMD_COUNT) - 1) /* every command */
extern const struct args_option args_options[];
extern const size_t args_n_options;

#endif
