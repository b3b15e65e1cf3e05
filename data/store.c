/* Opening and closing; settings, models, documents.
 * SPDX-License-Identifier: MIT */
#include "data/store_impl.h"

#include "data/user_config.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUSY_MS  5000
#define RETRY_MS 5
#define WAL_KEPT (4 << 20) /* bytes of -wal that stay after a checkpoint */

#define UNWRITABLE "may not be written: nothing will be saved"

/* ---- opening -------------------------------------------------------------------- */

static bool file_trouble(struct store *s, int os_error, struct err *e)
{
    enum store_trouble t = os_error == EACCES || os_error == EPERM || os_error == EROFS
                               ? STORE_READONLY
                           : os_error == ENOSPC || os_error == EDQUOT ? STORE_FULL
                                                                      : STORE_CANTOPEN;
    return store_fail_as(s, t, e, "%s", strerror(os_error));
}

/* The file exists afterwards, with the rights that SQLite copies to -wal and -shm. */
static bool prepare_file(struct store *s, struct store_report *rep, struct err *e)
{
    struct stat st;
    if (stat(s->path, &st) == 0)
        return S_ISDIR(st.st_mode) ? file_trouble(s, EISDIR, e) : true;
    if (errno != ENOENT || s->opts.read_only)
        return file_trouble(s, errno, e);
    const char *slash = strrchr(s->path, '/');
    if (slash && slash > s->path) {
        char *dir = xstrndup(s->path, (size_t)(slash - s->path));
        bool ok = user_config_make_dir(dir, NULL);
        free(dir);
        if (!ok)
            return file_trouble(s, errno, e);
    }
    int fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return file_trouble(s, errno, e);
    if (fd >= 0)
        close(fd); /* nobody here has it open yet: closing drops no locks of ours */
    rep->created = fd >= 0;
    return true;
}

static void disconnect(struct store *s)
{
    store_finalize(s);
    sqlite3_close(s->db);
    s->db = NULL;
}

/* A URI that tells SQLite that nobody else writes, with the path escaped. */
static char *immutable_uri(const char *path)
{
    struct buf b = {0};
    buf_add_str(&b, *path == '/' ? "file://" : "file:"); /* "//" alone would begin a host */
    for (; *path; path++) {
        if (strchr("%?#", *path))
            buf_printf(&b, "%%%02X", (unsigned char)*path);
        else
            buf_add_byte(&b, *path);
    }
    buf_add_str(&b, "?immutable=1");
    return buf_take(&b);
}

int store_busy_ms(const struct store *s)
{
    return s->opts.busy_ms ? (int)s->opts.busy_ms : BUSY_MS;
}

static bool connect_with(struct store *s, const char *name, int flags, struct err *e)
{
    disconnect(s);
    if (sqlite3_open_v2(name, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        return store_fail(s, e);
    /* Before any statement: even the first read may meet another process's lock. */
    sqlite3_busy_timeout(s->db, store_busy_ms(s));
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    int64_t tables; /* opening alone reads nothing */
    return store_pragma_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e);
}

static bool connect_file(struct store *s, bool read_only, struct err *e)
{
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    char *name = s->in_memory ? xstrdup(s->path) : store_file_name(s->path);
    bool ok = connect_with(s, name, flags, e);
    free(name);
    return ok;
}

/* What hinders writing, but perhaps not reading. */
static bool only_unwritable(const struct store *s)
{
    return s->trouble == STORE_READONLY || s->trouble == STORE_CANTOPEN ||
           s->trouble == STORE_FULL;
}

/* Nothing of the file waits in a journal. */
static bool whole(const char *path)
{
    static const char *const part[] = {"-wal", "-journal"};
    bool empty = true;
    for (int i = 0; i < 2; i++) {
        struct buf name = {0};
        struct stat st;
        buf_printf(&name, "%s%s", path, part[i]);
        empty = empty && (stat(buf_str(&name), &st) != 0 || st.st_size == 0);
        buf_free(&name);
    }
    return empty;
}

static bool connect(struct store *s, bool read_only, struct err *e)
{
    if (connect_file(s, read_only, e))
        return true;
    if (!read_only)
        return false;
    /* WAL wants to write its index even for reading; on a read-only or full disk nobody
     * else writes either. */
    if (!only_unwritable(s) || !whole(s->path))
        return false;
    char *uri = immutable_uri(s->path);
    bool ok = connect_with(s, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, e);
    free(uri);
    return ok;
}

/* Ours, new, newer or somebody else's: at one moment, since another process may be making the
 * file ours just now. */
static bool identify(struct store *s, int64_t *version, struct err *e)
{
    int64_t app, tables;
    if (!store_exec(s, "BEGIN", e))
        return false;
    bool read = store_pragma_int(s, "PRAGMA application_id", &app, e) &&
                store_pragma_int(s, "PRAGMA user_version", version, e) &&
                store_pragma_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e);
    if (!store_end(s, read, e))
        return false;
    if (app == STORE_APPLICATION_ID || (app == 0 && *version == 0 && tables == 0))
        return true;
    return store_fail_as(s, STORE_FOREIGN, e, "an SQLite file of another program; not touched");
}

static void note(struct store_report *rep, const char *path, const char *text)
{
    snprintf(rep->note, sizeof rep->note, "%.180s: %.120s", path, text);
}

/* SQLite does not wait for others here: it would wait for itself if they wait for it. */
static int change_to_wal(sqlite3_stmt *st, int wait_ms)
{
    uint64_t until = clock_ns() + (uint64_t)wait_ms * 1000000;
    int rc = sqlite3_step(st);
    while ((rc & 0xFF) == SQLITE_BUSY && clock_ns() < until) {
        sqlite3_reset(st);
        sqlite3_sleep(RETRY_MS);
        rc = sqlite3_step(st);
    }
    return rc;
}

static bool use_journal(struct store *s, struct store_report *rep, struct err *e)
{
    sqlite3_stmt *st = NULL;
    char limit[64];
    snprintf(limit, sizeof limit, "PRAGMA journal_size_limit = %d", WAL_KEPT);
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = change_to_wal(st, store_busy_ms(s));
    s->wal = rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
    bool failed = rc != SQLITE_ROW && (store_fail(s, e), true);
    sqlite3_finalize(st);
    if (failed)
        return false;
    if (!s->wal && !s->in_memory) {
        note(rep, s->path, "no write-ahead log here (network disk?); using a slower journal");
        return store_exec(s, "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL", e);
    }
    return store_exec(s, "PRAGMA synchronous = NORMAL", e) && store_exec(s, limit, e);
}

/* A newer file may hold what this program does not know: it only reads. */
static bool open_newer(struct store *s, int64_t version, struct store_report *rep,
                       struct err *e)
{
    char text[120];
    snprintf(text, sizeof text,
             "written by a newer terra (schema %d, this one knows %d): reading only",
             (int)version, s->step[s->n_steps - 1].to);
    note(rep, s->path, text);
    s->read_only = true;
    rep->schema_found = rep->schema_now = (int)version;
    rep->trouble = STORE_NEWER;
    return connect(s, true, e);
}

/* A file that cannot be written can still be read; with a write-ahead log SQLite finds out
 * only here, as it cannot make the log's index. */
static bool connect_or_read(struct store *s, struct store_report *rep, struct err *e)
{
    s->read_only = s->opts.read_only;
    if (connect(s, s->read_only, e))
        return true;
    bool full = s->trouble == STORE_FULL;
    if (s->read_only || !only_unwritable(s) || !connect(s, true, e))
        return false;
    s->read_only = true;
    note(rep, s->path, full ? "disk full: nothing will be saved" : UNWRITABLE);
    return true;
}

/* A busy moment or a full disk: the next start will do what was left. */
static bool can_wait(const struct store *s)
{
    return s->trouble == STORE_BUSY || s->trouble == STORE_FULL;
}

static bool open_file(struct store *s, struct store_report *rep, struct err *e)
{
    int64_t version;
    if ((!s->in_memory && !prepare_file(s, rep, e)) || !connect_or_read(s, rep, e) ||
        !identify(s, &version, e))
        return false;
    if (version > s->step[s->n_steps - 1].to)
        return open_newer(s, version, rep, e);
    struct stat st;
    if (!s->in_memory && stat(s->path, &st) == 0) {
        s->dev = st.st_dev;
        s->ino = st.st_ino;
    }
    if (!s->read_only && sqlite3_db_readonly(s->db, "main") == 1) {
        s->read_only = true;
        note(rep, s->path, UNWRITABLE);
    }
    if (s->read_only) {
        rep->schema_found = rep->schema_now = (int)version;
        return version == s->step[s->n_steps - 1].to ||
               store_fail_as(s, STORE_READONLY, e,
                             "has the older schema %d and cannot be written", (int)version);
    }
    /* Space that pruning frees goes back to the disk; only a file without tables can
     * still choose that, and not after its change to WAL. */
    if (version == 0 && !store_exec(s, "PRAGMA auto_vacuum = INCREMENTAL", e))
        return false;
    if (!use_journal(s, rep, e) ||
        !store_exec(s, "PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST", e) ||
        !store_migrate(s, rep, e))
        return false;
    if ((!store_recover(s, rep, e) && !can_wait(s)) ||
        (!store_purge_left(s, rep, e) && !can_wait(s)))
        return false;
    s->trouble = STORE_FINE;
    return true;
}

static bool open_and_report(struct store *s, struct store_report *rep, struct err *e)
{
    struct store_report unused;
    if (!rep)
        rep = &unused;
    *rep = (struct store_report){0};
    bool ok = open_file(s, rep, e);
    rep->read_only = s->read_only;
    rep->wal = s->wal;
    if (!ok) {
        rep->trouble = s->trouble;
        disconnect(s);
    } else if (e) {
        *e = (struct err){0}; /* of what was tried first */
    }
    return ok;
}

struct store *store_open_with(const struct store_opts *o, const struct migration *step,
                              size_t n_steps, struct store_report *rep, struct err *e)
{
    struct store *s = xcalloc(1, sizeof *s);
    s->path = xstrdup(o->path);
    s->opts = *o;
    s->opts.path = s->path;
    s->step = step;
    s->n_steps = n_steps;
    s->in_memory = strcmp(s->path, ":memory:") == 0;
    if (open_and_report(s, rep, e))
        return s;
    store_close(s);
    return NULL;
}

struct store *store_open(const struct store_opts *o, struct store_report *rep, struct err *e)
{
    return store_open_with(o, store_migrations, store_n_migrations, rep, e);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    disconnect(s);
    free(s->path);
    free(s->plane);
    buf_free(&s->chunk);
    free(s);
}

bool store_reopen(struct store *s, struct store_report *rep, struct err *e)
{
    if (s->db) {
        /* If the file is gone, its name may already be another process's file: do not
         * remove that one's -wal. */
        int keep = 1;
        sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    disconnect(s);
    s->opened++;
    return open_and_report(s, rep, e);
}

uint32_t store_opened(const struct store *s)
{
    return s->opened;
}

enum store_trouble store_trouble(const struct store *s)
{
    return s->trouble;
}

const char *store_path(const struct store *s)
{
    return s->path;
}

bool store_is_read_only(const struct store *s)
{
    return s->read_only;
}

bool store_set_aside(const char *path, char *moved_to, struct err *e)
{
    char date[32];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", &tm);
    static const char *const part[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        struct buf from = {0}, to = {0};
        buf_printf(&from, "%s%s", path, part[i]);
        buf_printf(&to, "%s.corrupt-%s%s", path, date, part[i]);
        bool ok = rename(buf_str(&from), buf_str(&to)) == 0 || (i > 0 && errno == ENOENT);
        if (i == 0)
            snprintf(moved_to, 512, "%s", buf_str(&to));
        buf_free(&from);
        buf_free(&to);
        if (!ok)
            return err_set(e, ERR_STORE, "%s: cannot be renamed: %s", path, strerror(errno));
    }
    return true;
}

/* ---- settings, models, documents ------------------------------------------------ */

bool store_log_on(struct store *s)
{
    sqlite3_stmt *st = store_stmt(s, STMT_SETTING_GET, NULL);
    if (!st)
        return true;
    bind_text(st, 1, "log");
    bool on = true;
    if (store_row(s, st, NULL) == 1) {
        on = strcmp((const char *)sqlite3_column_text(st, 0), "off") != 0;
        sqlite3_reset(st);
    }
    return on;
}

bool store_log_set(struct store *s, bool on, struct err *e)
{
    if (!store_begin(s, e))
        return false;
    sqlite3_stmt *st = store_stmt(s, STMT_SETTING_PUT, e);
    if (st) {
        bind_text(st, 1, "log");
        bind_text(st, 2, on ? "on" : "off");
    }
    return store_end(s, st && store_done(s, st, e), e);
}

bool store_model_put(struct store *s, const struct store_model *m, int64_t *id, struct err *e)
{
    if (!store_begin(s, e))
        return false;
    sqlite3_stmt *st = store_stmt(s, STMT_MODEL_PUT, e);
    if (st) {
        bind_blob(st, 1, m->header_sha256, 32);
        bind_int(st, 2, (int64_t)m->bytes);
        bind_text(st, 3, m->path ? m->path : "");
        bind_text(st, 4, m->config ? m->config : "{}");
    }
    return store_end(s, st && store_one_int(s, st, id, "model not written", e), e);
}

bool store_model_find(struct store *s, const struct store_model *m, int64_t *id, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_MODEL_FIND, e);
    if (!st)
        return false;
    bind_blob(st, 1, m->header_sha256, 32);
    bind_int(st, 2, (int64_t)m->bytes);
    return store_one_int(s, st, id, "no run of that model is stored", e);
}

bool store_model_get(struct store *s, int64_t id, struct pool *p, struct store_model *out,
                     struct err *e)
{
    *out = (struct store_model){0};
    sqlite3_stmt *st = store_stmt(s, STMT_MODEL_GET, e);
    if (!st)
        return false;
    bind_int(st, 1, id);
    int got = store_row(s, st, e);
    if (got <= 0)
        return got < 0 ? false : err_set(e, ERR_CHECK, "no model %lld", (long long)id);
    out->id = id;
    if (sqlite3_column_bytes(st, 1) == 32)
        memcpy(out->header_sha256, sqlite3_column_blob(st, 1), 32);
    out->bytes = (uint64_t)sqlite3_column_int64(st, 2);
    out->path = column_text(st, 3, p);
    out->config = column_text(st, 4, p);
    sqlite3_reset(st);
    return true;
}

bool store_document_put(struct store *s, const struct store_document *d, int64_t *id,
                        struct err *e)
{
    if (!store_begin(s, e))
        return false;
    sqlite3_stmt *st = store_stmt(s, STMT_DOCUMENT_PUT, e);
    if (st) {
        bind_blob(st, 1, d->sha256, 32);
        bind_text(st, 2, d->name);
        bind_int(st, 3, (int64_t)d->bytes);
        bind_count(st, 4, d->n_tok);
        bind_int(st, 5, (int64_t)d->fixes);
        if (d->body)
            bind_blob(st, 6, d->body, d->n_body);
    }
    return store_end(s, st && store_one_int(s, st, id, "document not written", e), e);
}

bool store_document_get(struct store *s, int64_t id, bool with_body, struct pool *p,
                        struct store_document *out, struct err *e)
{
    *out = (struct store_document){.n_tok = -1};
    sqlite3_stmt *st = store_stmt(s, STMT_DOCUMENT_GET, e);
    if (!st)
        return false;
    bind_int(st, 1, id);
    bind_int(st, 2, with_body);
    int got = store_row(s, st, e);
    if (got <= 0)
        return got < 0 ? false : err_set(e, ERR_CHECK, "no document %lld", (long long)id);
    out->id = id;
    if (sqlite3_column_bytes(st, 1) == 32)
        memcpy(out->sha256, sqlite3_column_blob(st, 1), 32);
    out->name = column_text(st, 2, p);
    out->bytes = (uint64_t)sqlite3_column_int64(st, 3);
    if (sqlite3_column_type(st, 4) != SQLITE_NULL)
        out->n_tok = sqlite3_column_int64(st, 4);
    out->fixes = (uint64_t)sqlite3_column_int64(st, 5);
    out->body = column_blob(st, 6, p, &out->n_body);
    sqlite3_reset(st);
    return true;
}
