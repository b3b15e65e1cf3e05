/* SPDX-License-Identifier: MIT */
#include "data/store_impl.h"

#include "engine/base/buf.h"
#include "engine/base/utf8.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- names ---------------------------------------------------------------------- */

/* "file:..." would be a URI in some builds of SQLite, ":memory:" no file at all. */
char *store_file_name(const char *path)
{
    struct buf b = {0};
    buf_printf(&b, "%s%s", *path == '/' ? "" : "./", path);
    return buf_take(&b);
}

/* ---- causes --------------------------------------------------------------------- */

static enum store_trouble trouble_of(int rc, int os_error)
{
    switch (rc & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STORE_BUSY;
    case SQLITE_FULL:
        return STORE_FULL;
    case SQLITE_READONLY:
        return rc == SQLITE_READONLY_DBMOVED ? STORE_GONE : STORE_READONLY;
    case SQLITE_CORRUPT:
        return STORE_CORRUPT;
    case SQLITE_NOTADB:
        return STORE_FOREIGN;
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        if (os_error == ENOSPC || os_error == EDQUOT)
            return STORE_FULL;
        return os_error == EACCES || os_error == EPERM || os_error == EROFS ? STORE_READONLY
                                                                            : STORE_CANTOPEN;
    case SQLITE_IOERR:
        /* A page that ends before its size is a file that was cut. */
        if (rc == SQLITE_IOERR_SHORT_READ)
            return STORE_CORRUPT;
        /* Quotas and size limits; and the shared index could not be grown. */
        if (os_error == ENOSPC || os_error == EDQUOT || os_error == EFBIG ||
            rc == SQLITE_IOERR_SHMSIZE)
            return STORE_FULL;
        return os_error == EROFS ? STORE_READONLY : STORE_BROKEN;
    default:
        return STORE_BROKEN;
    }
}

static const char *sentence(enum store_trouble t)
{
    switch (t) {
    case STORE_BUSY:
        return "locked by another process";
    case STORE_FULL:
        return "disk full";
    case STORE_READONLY:
        return "may not be written";
    case STORE_CORRUPT:
        return "the file is damaged";
    case STORE_FOREIGN:
        return "not a history file of terra";
    case STORE_GONE:
        return "was deleted or replaced while it was open";
    case STORE_CANTOPEN:
        return "cannot be opened";
    default:
        return "failed";
    }
}

bool store_fail_as(struct store *s, enum store_trouble t, struct err *e, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s->trouble = t;
    return err_set(e, ERR_STORE, "%s: %s", s->path, text);
}

bool store_fail(struct store *s, struct err *e)
{
    int present = errno;
    int rc = s->db ? sqlite3_extended_errcode(s->db) : SQLITE_NOMEM;
    int os_error = s->db ? sqlite3_system_errno(s->db) : 0;
    if (os_error == 0 && (rc & 0xFF) == SQLITE_IOERR)
        os_error = present; /* SQLite keeps none for writes to the -wal */
    enum store_trouble t = trouble_of(rc, os_error);
    if (t == STORE_CANTOPEN || t == STORE_READONLY)
        return store_fail_as(s, t, e, "%s%s%s", sentence(t), os_error ? ": " : "",
                             os_error ? strerror(os_error) : "");
    if (t == STORE_BROKEN)
        return store_fail_as(s, t, e, "%s%s%s", s->db ? sqlite3_errmsg(s->db) : "no memory",
                             os_error ? ": " : "", os_error ? strerror(os_error) : "");
    return store_fail_as(s, t, e, "%s", sentence(t));
}

bool store_is_open(struct store *s, struct err *e)
{
    s->trouble = STORE_FINE;
    return s->db || store_fail_as(s, STORE_GONE, e, "%s", sentence(STORE_GONE));
}

/* ---- statements ----------------------------------------------------------------- */

#define STORE_STATEMENT_TEXT(name, sql) [STMT_##name] = sql,
static const char *const statement_text[STORE_STATEMENT_COUNT] = {
    STORE_STATEMENTS(STORE_STATEMENT_TEXT)};

sqlite3_stmt *store_stmt(struct store *s, enum store_statement which, struct err *e)
{
    if (!store_is_open(s, e))
        return NULL;
    if (!s->stmt[which] &&
        sqlite3_prepare_v3(s->db, statement_text[which], -1, SQLITE_PREPARE_PERSISTENT,
                           &s->stmt[which], NULL) != SQLITE_OK) {
        store_fail(s, e);
        return NULL;
    }
    sqlite3_reset(s->stmt[which]);
    sqlite3_clear_bindings(s->stmt[which]);
    return s->stmt[which];
}

void store_finalize(struct store *s)
{
    for (int i = 0; i < STORE_STATEMENT_COUNT; i++) {
        sqlite3_finalize(s->stmt[i]);
        s->stmt[i] = NULL;
    }
}

bool store_exec(struct store *s, const char *sql, struct err *e)
{
    if (!store_is_open(s, e))
        return false;
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || store_fail(s, e);
}

bool store_pragma_int(struct store *s, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    if (!store_is_open(s, e))
        return false;
    bool ok = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int64(st, 0);
    else
        store_fail(s, e);
    sqlite3_finalize(st);
    return ok;
}

int store_row(struct store *s, sqlite3_stmt *st, struct err *e)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        store_fail(s, e);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

bool store_done(struct store *s, sqlite3_stmt *st, struct err *e)
{
    return store_row(s, st, e) == 0;
}

bool store_one_int(struct store *s, sqlite3_stmt *st, int64_t *out, const char *missing,
                   struct err *e)
{
    int got = store_row(s, st, e);
    if (got == 0)
        return err_set(e, ERR_CHECK, "%s", missing);
    if (got < 0)
        return false;
    if (out)
        *out = sqlite3_column_int64(st, 0);
    return store_done(s, st, e); /* an UPDATE ... RETURNING ends with the last step */
}

/* ---- values --------------------------------------------------------------------- */

void bind_int(sqlite3_stmt *st, int i, int64_t v)
{
    sqlite3_bind_int64(st, i, v);
}

void bind_id(sqlite3_stmt *st, int i, int64_t id)
{
    if (id)
        sqlite3_bind_int64(st, i, id);
}

void bind_count(sqlite3_stmt *st, int i, int64_t v)
{
    if (v >= 0)
        sqlite3_bind_int64(st, i, v);
}

void bind_real(sqlite3_stmt *st, int i, double v)
{
    sqlite3_bind_double(st, i, v); /* NaN becomes NULL */
}

void bind_clean(sqlite3_stmt *st, int i, const char *s, size_t n)
{
    struct buf b = {0};
    buf_reserve(&b, n);
    for (size_t k = 0; k < n;) {
        uint32_t cp;
        size_t len = utf8_decode(s + k, n - k, &cp, NULL);
        char out[4];
        buf_add(&b, out, utf8_encode(cp ? cp : UTF8_BAD, out));
        k += len;
    }
    sqlite3_bind_text64(st, i, buf_str(&b), b.len, SQLITE_TRANSIENT, SQLITE_UTF8);
    buf_free(&b);
}

void bind_text(sqlite3_stmt *st, int i, const char *s)
{
    if (s)
        bind_clean(st, i, s, strlen(s));
}

void bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n)
{
    if (n)
        sqlite3_bind_blob64(st, i, p, n, SQLITE_TRANSIENT);
    else
        sqlite3_bind_zeroblob(st, i, 0);
}

const char *column_text(sqlite3_stmt *st, int i, struct pool *p)
{
    const unsigned char *s = sqlite3_column_text(st, i);
    return s ? pool_copy(p, s, (size_t)sqlite3_column_bytes(st, i)) : NULL;
}

const char *column_blob(sqlite3_stmt *st, int i, struct pool *p, size_t *n)
{
    *n = 0;
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        return NULL;
    const void *data = sqlite3_column_blob(st, i);
    *n = (size_t)sqlite3_column_bytes(st, i);
    return pool_copy(p, data, *n);
}

/* ---- transactions --------------------------------------------------------------- */

static bool file_is_ours(const struct store *s)
{
    struct stat st;
    return s->in_memory ||
           (stat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino);
}

bool store_begin(struct store *s, struct err *e)
{
    if (!store_is_open(s, e))
        return false;
    if (s->read_only)
        return store_fail_as(s, STORE_READONLY, e, "opened for reading only");
    /* SQLite would go on writing into the nameless file. */
    if (!file_is_ours(s))
        return store_fail_as(s, STORE_GONE, e, "%s", sentence(STORE_GONE));
    return store_exec(s, "BEGIN IMMEDIATE", e);
}

bool store_end(struct store *s, bool ok, struct err *e)
{
    if (ok && store_exec(s, "COMMIT", e))
        return true;
    enum store_trouble why = s->trouble;
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    s->trouble = why;
    return false;
}
