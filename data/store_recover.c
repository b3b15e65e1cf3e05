/* What a process that died left behind: unfinished runs, deleted sessions.
 * SPDX-License-Identifier: MIT */
#include "data/store_impl.h"

#include "engine/base/buf.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- processes ------------------------------------------------------------------ */

/* When a process started, in ticks since boot: tells a reused number apart.  0: unknown. */
static int64_t start_of(int64_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *p = strrchr(text, ')'); /* the name before it may hold anything */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoll(p + 1, NULL, 10) : 0;
}

void store_this_process(struct store_process *out)
{
    *out = (struct store_process){.pid = getpid(), .start = start_of(getpid())};
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (!f)
        return;
    if (fgets(out->boot, sizeof out->boot, f))
        out->boot[strcspn(out->boot, "\n")] = '\0';
    fclose(f);
}

static bool is_dead(int64_t pid, int64_t start, const char *boot,
                    const struct store_process *now)
{
    if (pid <= 0 || strcmp(boot, now->boot) != 0)
        return true;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return true;
    int64_t present = start_of(pid);
    return start && present && present != start;
}

/* ---- text ----------------------------------------------------------------------- */

bool store_output_of_tokens(struct store *s, int64_t run, struct pool *p, const char **out,
                            size_t *n, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_TOKEN_TEXT, e);
    if (!st)
        return false;
    struct buf b = {0};
    bind_int(st, 1, run);
    int got;
    while ((got = store_row(s, st, e)) == 1)
        buf_add(&b, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
    *out = pool_copy(p, buf_str(&b), b.len);
    *n = b.len;
    buf_free(&b);
    return got == 0;
}

bool store_index_output(struct store *s, int64_t run, const char *text, size_t n, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_RUN_FTS_OUTPUT, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    bind_clean(st, 2, text, n);
    return store_done(s, st, e);
}

/* ---- recovery ------------------------------------------------------------------- */

/* Rows (id, pid, start, boot) whose process is dead; their ids go to *ids. */
static bool find_dead(struct store *s, enum store_statement which, struct buf *ids,
                      struct err *e)
{
    struct store_process now;
    store_this_process(&now);
    sqlite3_stmt *st = store_stmt(s, which, e);
    if (!st)
        return false;
    int got;
    while ((got = store_row(s, st, e)) == 1) {
        const char *boot = (const char *)sqlite3_column_text(st, 3);
        int64_t id = sqlite3_column_int64(st, 0);
        if (is_dead(sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2), boot ? boot : "",
                    &now))
            buf_add(ids, &id, sizeof id);
    }
    return got == 0;
}

static bool quick_check(struct store *s, struct err *e)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW;
    if (!ok)
        store_fail(s, e);
    else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        ok = store_fail_as(s, STORE_CORRUPT, e, "the file is damaged: %.120s",
                           (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return ok;
}

static bool interrupt(struct store *s, int64_t run, uint32_t *n, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_RUN_STILL_RUNNING, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    int got = store_row(s, st, e);
    if (got <= 0)
        return got == 0; /* another process was faster */
    sqlite3_reset(st);

    struct pool pool = {0};
    const char *text = "";
    size_t len = 0;
    bool ok = store_output_of_tokens(s, run, &pool, &text, &len, e);
    if (ok && (st = store_stmt(s, STMT_RUN_INTERRUPT, e))) {
        bind_int(st, 1, run);
        bind_blob(st, 2, text, len);
        ok = store_done(s, st, e);
    }
    if (ok && (st = store_stmt(s, STMT_RUN_INTERRUPT_TIME, e))) {
        bind_int(st, 1, run);
        ok = store_done(s, st, e);
    }
    ok = ok && st && store_index_output(s, run, text, len, e);
    pool_free(&pool);
    *n += ok;
    return ok;
}

bool store_recover(struct store *s, struct store_report *rep, struct err *e)
{
    struct buf runs = {0};
    bool ok = find_dead(s, STMT_RUN_RUNNING, &runs, e);
    /* Somebody died while writing: trust nothing before it was looked at. */
    if (ok && runs.len && (ok = quick_check(s, e) && store_begin(s, e))) {
        for (size_t at = 0; ok && at < runs.len; at += sizeof(int64_t)) {
            int64_t run;
            memcpy(&run, runs.data + at, sizeof run);
            ok = interrupt(s, run, &rep->interrupted, e);
        }
        ok = store_end(s, ok, e);
    }
    buf_free(&runs);
    return ok;
}

bool store_purge_left(struct store *s, struct store_report *rep, struct err *e)
{
    struct buf ids = {0};
    int64_t gone = 0;
    bool ok = find_dead(s, STMT_SESSION_DELETERS, &ids, e);
    if (ok && ids.len && (ok = store_begin(s, e))) { /* the usual start takes no write lock */
        for (size_t at = 0; ok && at < ids.len; at += sizeof(int64_t)) {
            int64_t id;
            memcpy(&id, ids.data + at, sizeof id);
            sqlite3_stmt *st = store_stmt(s, STMT_SESSION_DOOM, e);
            if (st)
                bind_int(st, 1, id);
            ok = st && store_done(s, st, e);
        }
        ok = store_end(s, ok && store_purge(s, INT64_MIN, &gone, e), e);
        if (ok)
            store_give_back(s);
    }
    rep->purged = ok ? (uint32_t)gone : 0;
    buf_free(&ids);
    return ok;
}
