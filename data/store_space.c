/* Size, pruning, copies and checks.
 * SPDX-License-Identifier: MIT */
#include "data/store_impl.h"

#include "engine/base/buf.h"
#include "engine/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- size ----------------------------------------------------------------------- */

bool store_stat(struct store *s, struct store_stat *out, struct err *e)
{
    int64_t page_size, pages, free_pages, version;
    *out = (struct store_stat){.wal = s->wal, .sqlite = sqlite3_libversion()};
    sqlite3_stmt *st = store_stmt(s, STMT_STAT, e);
    if (!st)
        return false;
    if (store_row(s, st, e) != 1)
        return false;
    uint64_t *const field[] = {&out->n_sessions, &out->n_deleted,   &out->n_runs,
                               &out->n_tokens,   &out->n_documents, &out->n_summaries,
                               &out->n_models,   &out->trace_rows,  &out->trace_bytes};
    for (int i = 0; i < 9; i++)
        *field[i] = (uint64_t)sqlite3_column_int64(st, i);
    sqlite3_reset(st);
    if (!store_pragma_int(s, "PRAGMA page_size", &page_size, e) ||
        !store_pragma_int(s, "PRAGMA page_count", &pages, e) ||
        !store_pragma_int(s, "PRAGMA freelist_count", &free_pages, e) ||
        !store_pragma_int(s, "PRAGMA user_version", &version, e))
        return false;
    out->schema = (int)version;
    out->log_on = store_log_on(s);
    out->bytes = (uint64_t)(page_size * pages);
    out->free_bytes = (uint64_t)(page_size * free_pages);
    struct buf wal = {0};
    struct stat file;
    buf_printf(&wal, "%s-wal", s->path);
    if (!s->in_memory && stat(buf_str(&wal), &file) == 0)
        out->bytes += (uint64_t)file.st_size;
    buf_free(&wal);
    return true;
}

/* ---- pruning -------------------------------------------------------------------- */

static bool count_pruned(struct store *s, const struct store_prune_opts *o,
                         struct store_pruned *out, struct err *e)
{
    sqlite3_stmt *st =
        store_stmt(s, o->traces ? STMT_PRUNE_TRACE_COUNT : STMT_PRUNE_SESSION_TRACES, e);
    if (!st)
        return false;
    bind_int(st, 1, o->before_ms);
    if (store_row(s, st, e) != 1)
        return false;
    out->traces = (uint64_t)sqlite3_column_int64(st, 0);
    out->bytes = (uint64_t)sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    if (o->traces)
        return true;
    if (!(st = store_stmt(s, STMT_PRUNE_COUNT, e)))
        return false;
    bind_int(st, 1, o->before_ms);
    if (store_row(s, st, e) != 1)
        return false;
    out->runs = (uint64_t)sqlite3_column_int64(st, 1);
    out->tokens = (uint64_t)sqlite3_column_int64(st, 2);
    out->sessions = (uint64_t)sqlite3_column_int64(st, 3);
    out->bytes += (uint64_t)sqlite3_column_int64(st, 4);
    sqlite3_reset(st);
    return true;
}

static bool delete_before(struct store *s, enum store_statement which, int64_t before_ms,
                          struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, which, e);
    if (!st)
        return false;
    bind_int(st, 1, before_ms);
    return store_done(s, st, e);
}

static bool step(struct store *s, enum store_statement which, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, which, e);
    return st && store_done(s, st, e);
}

bool store_purge(struct store *s, int64_t before_ms, int64_t *sessions, struct err *e)
{
    if (!step(s, STMT_PURGE_KEEP_RUN_ID, e) || !step(s, STMT_PURGE_KEEP_SESSION_ID, e) ||
        !delete_before(s, STMT_PURGE_FTS, before_ms, e) ||
        !delete_before(s, STMT_PURGE_SESSIONS, before_ms, e))
        return false;
    *sessions = sqlite3_changes64(s->db);
    /* The search index keeps the words of deleted rows until its parts are merged. */
    return step(s, STMT_DOCUMENT_SWEEP, e) &&
           store_exec(s, "INSERT INTO run_fts(run_fts) VALUES('optimize')", e);
}

void store_give_back(struct store *s)
{
    sqlite3_exec(s->db, "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)", NULL,
                 NULL, NULL);
}

bool store_prune(struct store *s, const struct store_prune_opts *o, struct store_pruned *out,
                 struct err *e)
{
    *out = (struct store_pruned){0};
    if (o->dry_run)
        return count_pruned(s, o, out, e);
    if (!store_begin(s, e))
        return false;
    int64_t sessions = 0;
    bool ok = count_pruned(s, o, out, e) &&
              (o->traces ? delete_before(s, STMT_PRUNE_TRACES, o->before_ms, e)
                         : store_purge(s, o->before_ms, &sessions, e));
    if (!store_end(s, ok, e))
        return false;
    store_give_back(s);
    return true;
}

/* ---- copies --------------------------------------------------------------------- */

static bool is_busy(int rc)
{
    return (rc & 0xFF) == SQLITE_BUSY || (rc & 0xFF) == SQLITE_LOCKED;
}

/* SQLite's own backup: consistent while others write, and the -wal is part of it.  Gives the
 * result code. */
static int copy_into(struct store *s, sqlite3 *copy)
{
    sqlite3_backup *b = sqlite3_backup_init(copy, "main", s->db, "main");
    if (!b)
        return sqlite3_errcode(copy);
    uint64_t patience = (uint64_t)store_busy_ms(s) * 1000000, until = clock_ns() + patience;
    int rc;
    while ((rc = sqlite3_backup_step(b, 1024)) == SQLITE_OK ||
           (is_busy(rc) && clock_ns() < until)) {
        if (rc == SQLITE_OK)
            until = clock_ns() + patience;
        else
            sqlite3_sleep(20);
    }
    int end = sqlite3_backup_finish(b); /* to be busy is no error to it */
    return is_busy(rc) ? rc : end;
}

static bool copy_pages(struct store *s, const char *to, struct err *e)
{
    sqlite3 *copy = NULL;
    char *name = store_file_name(to);
    int rc = sqlite3_open_v2(name, &copy, SQLITE_OPEN_READWRITE, NULL);
    free(name);
    if (rc == SQLITE_OK)
        rc = copy_into(s, copy);
    /* A single file: nothing may wait in a -wal of its own. */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    enum store_trouble t = is_busy(rc)         ? STORE_BUSY
                           : rc == SQLITE_FULL ? STORE_FULL
                                               : STORE_BROKEN;
    if (rc != SQLITE_OK)
        store_fail_as(s, t, e, "copy to %.120s: %s", to,
                      t == STORE_BUSY ? "locked by another process" : sqlite3_errmsg(copy));
    sqlite3_close(copy);
    return rc == SQLITE_OK;
}

bool store_copy(struct store *s, const char *to, bool replace, struct err *e)
{
    struct buf temporary = {0};
    buf_printf(&temporary, "%s.%ld", to, (long)getpid());
    const char *part = replace ? buf_str(&temporary) : to;
    int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 ||
              store_fail_as(s, STORE_CANTOPEN, e, "copy to %.120s: %s", part, strerror(errno));
    if (ok) {
        close(fd);
        ok = copy_pages(s, part, e);
        if (ok && replace && rename(part, to) != 0)
            ok = store_fail_as(s, STORE_BROKEN, e, "copy to %.120s: %s", to, strerror(errno));
        if (!ok)
            unlink(part);
    }
    buf_free(&temporary);
    return ok;
}

bool store_backup(struct store *s, const char *to, struct err *e)
{
    return store_is_open(s, e) && store_copy(s, to, false, e);
}

/* ---- checks --------------------------------------------------------------------- */

bool store_check(struct store *s, struct err *e)
{
    sqlite3_stmt *st = NULL;
    s->trouble = STORE_FINE;
    bool ok =
        sqlite3_prepare_v2(s->db, "PRAGMA integrity_check(1)", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW;
    if (!ok)
        store_fail(s, e);
    else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        ok = store_fail_as(s, STORE_CORRUPT, e, "the file is damaged: %.120s",
                           (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    /* The search index has its own check, which counts as a write. */
    if (ok && !s->read_only)
        ok = store_exec(s, "INSERT INTO run_fts(run_fts) VALUES('integrity-check')", e);
    return ok;
}
