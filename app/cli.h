/* cli.h - what every command without a screen shares.
 *
 * Purpose: opens settings, model, session and store in one place; messages on standard
 *          error, results through headless; turns an outcome into an exit status.
 * Owns:    everything in struct cli, until cli_close.
 * Errors:  as in the parts; cli_fail prints the line.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_CLI_H
#define TERRA_APP_CLI_H

#include "app/args.h"
#include "app/headless.h"
#include "app/recorder.h"
#include "app/setup.h"
#include "data/document.h"

#include <stdio.h>

struct cli {
    const struct args *args;
    struct user_config config;
    bool have_config, out_tty, err_tty;
    struct terra_model *model;
    const struct terra_config *shape; /* of the model */
    const struct terra_vocab *vocab;  /* NULL: none */
    struct terra_session *session;
    uint64_t load_ns;
    struct store *store;
    struct recorder *recorder;
    struct err store_error; /* kind 0: fine */
    int64_t want_session;   /* to be continued by the recorder; 0: by --session, --continue */
    struct headless out;
    bool progress_shown;
};

/* Settings and output; prints configuration problems.  A --session that is not there is an
 * error before anything runs. */
bool cli_open(struct cli *c, const struct args *a, struct err *e);
bool cli_model(struct cli *c, struct err *e); /* by --model and the like */
/* quiet: neither choices nor times.  on_choices feeds the recorder. */
bool cli_session(struct cli *c, uint32_t max_source, uint32_t max_target, struct err *e);
/* In another mode than the settings'. */
bool cli_session_in(struct cli *c, enum terra_mode mode, uint32_t max_source,
                    uint32_t max_target, struct err *e);

/* The history: for runs to be saved (failure is a message and, at the end, status 5). */
void cli_record(struct cli *c);
/* The history: for commands about it (failure is the command's). */
bool cli_store(struct cli *c, bool read_only, struct err *e);
void cli_store_path(const struct cli *c, struct buf *out);

/* Ends the recorder, if there is one; what could not be saved is a message. */
void cli_record_end(struct cli *c);

/* One line on standard error, unless -q; `verbose` ones only with -v. */
void cli_note(struct cli *c, const char *fmt, ...) ERR_PRINTF(2, 3);
void cli_verbose(struct cli *c, const char *fmt, ...) ERR_PRINTF(2, 3);
/* A line that the next message replaces; only if standard error is a terminal. */
void cli_progress(struct cli *c, const char *fmt, ...) ERR_PRINTF(2, 3);
void cli_progress_end(struct cli *c);

/* Frees everything and gives the exit status: of *e (printed, and as a JSON line) if
 * !ok, else of the store, else 0.  After a signal it does not return: the process dies
 * by that signal, with everything stored. */
int cli_close(struct cli *c, bool ok, const struct err *e);

/* Before a struct cli exists: prints and gives the status. */
int cli_fail(const struct args *a, const struct err *e);

#define CLI_NO_PLACE "no place for the history: HOME is not set; use --db FILE"

/* --format of a command that writes only these, "csv|json|jsonl"; the JSON ones are --json. */
bool cli_format(struct args *a, const char *formats, struct err *e);

/* Text on standard output before a struct cli exists; gives the status.  Dies of SIGPIPE
 * if the reader has gone, as every command does. */
int cli_print(const struct args *a, const char *text, size_t n);

/* Has the reader of standard output gone? */
bool cli_reader_gone(void);
/* Finished output, to --output or standard output, as it is. */
bool cli_output(struct cli *c, const char *text, size_t n, struct err *e);

/* Ids from "3, 5 7". */
bool cli_parse_ids(const char *text, uint32_t vocab, struct terra_ids *out, struct err *e);
/* JSON object of what a run was asked, for the store; ids: its prompt is token ids. */
void cli_params(const struct terra_sampling *s, uint32_t max_tokens, const char *style,
                bool ids, struct buf *out);
/* A stored run's number, or "last". */
bool cli_run_id(struct cli *c, const char *text, int64_t *out, struct err *e);
/* Does a stored trace of so many layers have that of --layer? */
bool cli_layer(struct cli *c, uint32_t layers, struct err *e);
/* Is it the layer of --layer, or are all wanted? */
bool cli_wants_layer(const struct cli *c, uint32_t layer);
/* "412 B", "1.3 MB" */
const char *cli_bytes(uint64_t bytes, char out[24]);

/* Summarizes a document that was read, by the settings; model, session and recorder are
 * opened if they are not.  `ref` may be empty (zeroed). */
bool cli_summarize(struct cli *c, const struct document *doc, const struct document *ref,
                   struct err *e);
/* Compares a document, or what the command line names if it is NULL, by the settings;
 * against NULL is "masked".  The session is closed; model and recorder are opened if they
 * are not. */
bool cli_compare(struct cli *c, const struct document *doc, const char *against, struct err *e);

/* ---- commands: each returns the exit status ----------------------------------- */

int cmd_summarize(const struct args *a);
int cmd_run(const struct args *a);
int cmd_chat(const struct args *a);
int cmd_compare(const struct args *a);
int cmd_logs(const struct args *a);
int cmd_replay(const struct args *a);
int cmd_trace(const struct args *a);
int cmd_stats(const struct args *a);
int cmd_inspect(const struct args *a);
int cmd_parity(const struct args *a);
int cmd_eval(const struct args *a);
int cmd_rouge(const struct args *a);
int cmd_bench(const struct args *a);
int cmd_doctor(const struct args *a);
int cmd_completion(const struct args *a);
int cmd_help(const struct args *a);
int cmd_version(const struct args *a);

#endif
