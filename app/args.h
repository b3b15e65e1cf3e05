/* args.h - the command line as one plain struct.
 *
 * Purpose: one table of commands and one of options feeds parsing, help texts and
 *          shell completion, so that they cannot disagree.  A value that was not given
 *          is NULL or -1: environment, configuration and defaults are settings.h's.
 * Owns:    `pos` (args_free); every string points into argv.
 * Errors:  ERR_USAGE naming the option, with the nearest known name.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_ARGS_H
#define TERRA_APP_ARGS_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum cmd {
    CMD_TUI,
    CMD_SUMMARIZE,
    CMD_RUN,
    CMD_CHAT,
    CMD_COMPARE,
    CMD_LOGS,
    CMD_REPLAY,
    CMD_TRACE,
    CMD_STATS,
    CMD_INSPECT,
    CMD_PARITY,
    CMD_EVAL,
    CMD_ROUGE,
    CMD_BENCH,
    CMD_DOCTOR,
    CMD_COMPLETION,
    CMD_HELP,
    CMD_VERSION,
    CMD_COUNT
};

struct args {
    enum cmd cmd;
    const char **pos; /* positional arguments, and everything after "--" */
    int n_pos;
    bool named;         /* cmd was given by name */
    bool help, version; /* -h, --version: shown instead of running */

    /* any command */
    const char *model, *config, *db, *mode, *trace, *color, *session;
    int64_t threads, max_tokens, top_k, seed, beams, fps, no_repeat;
    double temp, top_p;
    bool cont, no_log, ascii, mouse, quiet, verbose, json;

    /* summarize, compare, eval, run */
    const char *style, *length, *method, *ref, *prompt, *max_document;
    int64_t chunk, overlap;
    bool allow_truncate, dry_run, ids;

    /* parity, compare */
    const char *against;
    double tol, units_min;
    bool check;

    /* logs, replay, trace, stats, eval */
    const char *format, *output, *older_than, *stage;
    int64_t limit, layer, lens;
    double speed;
    bool reply_only, traces, no_generate, step;

    /* bench */
    const char *preset, *dtype, *modes, *svg;
    bool paper, sweep, one_layer;
    int64_t bench_prompt, bench_tokens, bench_rounds, bench_depth, blocks;

    /* doctor, help */
    bool reset_tty, keys;
};

bool args_parse(int argc, char **argv, struct args *out, struct err *e);
void args_free(struct args *a);

const char *args_cmd_name(enum cmd c);
bool args_cmd_stores(enum cmd c); /* its runs go into the history */
/* ERR_USAGE with the nearest name if there is none. */
bool args_cmd_find(const char *name, enum cmd *c, struct err *e);

/* Help of one command, or of the program for CMD_COUNT. */
void args_help(enum cmd c, struct buf *out);

/* Completion script for bash, zsh or fish. */
bool args_completion(const char *shell, struct buf *out, struct err *e);

#endif
