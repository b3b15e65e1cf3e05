/* store_impl.h - what the store's own source files share; nobody else includes it.
 *
 * Purpose: the connection, statements prepared once, SQLite's result codes as causes
 *          and sentences, transactions.
 * Owns:    struct store: connection, statements, copies of the paths.
 * Errors:  as store.h.  Threads: as store.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_STORE_IMPL_H
#define TERRA_DATA_STORE_IMPL_H

#include "data/store.h"
#include "data/store_sql.h"
#include "engine/base/buf.h"

#include <sqlite3.h>
#include <sys/types.h>

#define STORE_APPLICATION_ID 0x54465231 /* "TFR1" */

struct migration {
    int to;          /* schema after this step; steps are numbered 1, 2, 3 ... */
    const char *sql; /* any number of statements */
};
extern const struct migration store_migrations[];
extern const size_t store_n_migrations;

struct store {
    sqlite3 *db; /* NULL between a failed store_reopen and the next */
    sqlite3_stmt *stmt[STORE_STATEMENT_COUNT];
    char *path;
    struct store_opts opts; /* opts.path is `path` */
    const struct migration *step;
    size_t n_steps;
    enum store_trouble trouble;
    bool read_only, in_memory, wal;
    uint32_t opened; /* times that store_reopen was called */
    dev_t dev;       /* of the file when it was opened */
    ino_t ino;
    uint16_t *plane; /* [plane_cap] and `chunk`: what store_trace_put makes of rows */
    size_t plane_cap;
    struct buf chunk;
};

/* store_open with other migrations: tests make older and newer files with it. */
struct store *store_open_with(const struct store_opts *o, const struct migration *step,
                              size_t n_steps, struct store_report *rep, struct err *e);

/* Brings the file to the last step's schema: each step in its own write transaction that
 * looks at user_version again, so that two processes may do this at once. */
bool store_migrate(struct store *s, struct store_report *rep, struct err *e);

/* How long locks are waited for. */
int store_busy_ms(const struct store *s);

/* ---- store_db.c ----------------------------------------------------------------- */

/* The path as SQLite takes it for a file's name and nothing else; caller frees. */
char *store_file_name(const char *path);

/* Translates the connection's last result into s->trouble and *e; returns false. */
bool store_fail(struct store *s, struct err *e);
bool store_fail_as(struct store *s, enum store_trouble t, struct err *e, const char *fmt, ...)
    ERR_PRINTF(4, 5);
/* Begins a call: no trouble yet; false if the last store_reopen failed. */
bool store_is_open(struct store *s, struct err *e);
bool store_exec(struct store *s, const char *sql, struct err *e);
/* A PRAGMA's single number. */
bool store_pragma_int(struct store *s, const char *sql, int64_t *out, struct err *e);

/* The statement, reset and without bindings; NULL on failure. */
sqlite3_stmt *store_stmt(struct store *s, enum store_statement which, struct err *e);
void store_finalize(struct store *s); /* all statements */

/* Binding cannot fail but for lack of memory, which the step then reports as a NULL. */
void bind_int(sqlite3_stmt *st, int i, int64_t v);
void bind_id(sqlite3_stmt *st, int i, int64_t id);   /* 0: NULL */
void bind_count(sqlite3_stmt *st, int i, int64_t v); /* negative: NULL */
void bind_real(sqlite3_stmt *st, int i, double v);
void bind_text(sqlite3_stmt *st, int i, const char *s);            /* NULL: NULL */
void bind_clean(sqlite3_stmt *st, int i, const char *s, size_t n); /* as valid UTF-8 */
void bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n);  /* empty, not NULL */

/* 1: a row; 0: no more rows; -1: failed, *e is set.  After 0 and -1 the statement is reset. */
int store_row(struct store *s, sqlite3_stmt *st, struct err *e);
/* For statements without rows. */
bool store_done(struct store *s, sqlite3_stmt *st, struct err *e);
/* For statements with at most one row: reads *out; ERR_CHECK with `missing` if there is none.
 */
bool store_one_int(struct store *s, sqlite3_stmt *st, int64_t *out, const char *missing,
                   struct err *e);

/* Column texts, copied; NULL for NULL. */
const char *column_text(sqlite3_stmt *st, int i, struct pool *p);
const char *column_blob(sqlite3_stmt *st, int i, struct pool *p, size_t *n);

/* A write transaction; refuses read-only stores and files that were deleted meanwhile. */
bool store_begin(struct store *s, struct err *e);
/* ok: commits, else rolls back; returns whether it was committed. */
bool store_end(struct store *s, bool ok, struct err *e);

/* Deletes sessions that are doomed or changed last before `before_ms`, with all that hangs
 * on them; inside the caller's transaction. */
bool store_purge(struct store *s, int64_t before_ms, int64_t *sessions, struct err *e);
/* Purges what dead processes deleted. */
bool store_purge_left(struct store *s, struct store_report *rep, struct err *e);
/* Free pages go back to the disk; that others read meanwhile only postpones it. */
void store_give_back(struct store *s);

/* Copies the whole database with SQLite's backup into a new file (0600), through a
 * temporary name; `replace` allows that the target exists. */
bool store_copy(struct store *s, const char *to, bool replace, struct err *e);

/* ---- store_trace.c -------------------------------------------------------------- */

/* Writes one trace; inside the caller's transaction. */
bool store_trace_put(struct store *s, int64_t run, const struct store_trace *t, struct err *e);

/* ---- store_recover.c ------------------------------------------------------------ */

/* This process, as a running row names it. */
struct store_process {
    int64_t pid, start;
    char boot[40];
};
void store_this_process(struct store_process *out);

/* Finds running rows of dead processes; checks the file if there are any; closes them with
 * the text their tokens have. */
bool store_recover(struct store *s, struct store_report *rep, struct err *e);
/* The reply of a run as its tokens have it. */
bool store_output_of_tokens(struct store *s, int64_t run, struct pool *p, const char **out,
                            size_t *n, struct err *e);
/* Brings the run's row of the search table up to date. */
bool store_index_output(struct store *s, int64_t run, const char *text, size_t n,
                        struct err *e);

#endif
