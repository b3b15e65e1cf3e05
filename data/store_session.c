/* Sessions: made, named, deleted, listed, searched.
 * SPDX-License-Identifier: MIT */
#include "data/store_impl.h"

#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/utf8.h"

#include <stdio.h>
#include <string.h>

#define PREVIEW_MAX 200

/* ---- sessions ------------------------------------------------------------------- */

bool store_session_new(struct store *s, const char *title, int64_t *id, struct err *e)
{
    uint64_t random;
    char uid[17];
    sqlite3_randomness(sizeof random, &random);
    snprintf(uid, sizeof uid, "%016llx", (unsigned long long)random);
    if (!store_begin(s, e))
        return false;
    sqlite3_stmt *st = store_stmt(s, STMT_SESSION_NEW, e);
    if (st) {
        bind_text(st, 1, uid);
        bind_text(st, 2, title);
        bind_int(st, 3, clock_wall_ms());
    }
    return store_end(s, st && store_one_int(s, st, id, "session not written", e), e);
}

/* Start of a text as one line: white space runs become one space. */
static const char *one_line(const char *s, size_t n, struct pool *p)
{
    struct buf b = {0};
    for (size_t i = 0; i < n && b.len < PREVIEW_MAX; i++) {
        if ((unsigned char)s[i] > ' ')
            buf_add_byte(&b, s[i]);
        else if (b.len && b.data[b.len - 1] != ' ')
            buf_add_byte(&b, ' ');
    }
    n = utf8_complete(buf_str(&b), b.len);
    while (n && b.data[n - 1] == ' ')
        n--;
    const char *line = pool_copy(p, buf_str(&b), n);
    buf_free(&b);
    return line;
}

static struct store_session read_session(sqlite3_stmt *st, struct pool *p)
{
    struct store_session o = {.id = sqlite3_column_int64(st, 0),
                              .uid = column_text(st, 1, p),
                              .title = column_text(st, 2, p),
                              .created_ms = sqlite3_column_int64(st, 3),
                              .updated_ms = sqlite3_column_int64(st, 4),
                              .deleted_ms = sqlite3_column_int64(st, 5),
                              .n_runs = (uint32_t)sqlite3_column_int64(st, 6),
                              .n_tok = (uint64_t)sqlite3_column_int64(st, 7),
                              .tok_per_s = sqlite3_column_double(st, 8),
                              .document = column_text(st, 9, p),
                              .interrupted = sqlite3_column_int(st, 10)};
    o.titled = o.title != NULL;
    if (!o.titled) {
        const char *prompt = sqlite3_column_blob(st, 11);
        o.title = one_line(prompt, (size_t)sqlite3_column_bytes(st, 11), p);
    }
    const char *text = sqlite3_column_blob(st, 12);
    o.snippet = one_line(text, (size_t)sqlite3_column_bytes(st, 12), p);
    return o;
}

bool store_session_get(struct store *s, int64_t id, struct pool *p, struct store_session *out,
                       struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_SESSION_GET, e);
    if (!st)
        return false;
    bind_int(st, 1, id);
    int got = store_row(s, st, e);
    if (got <= 0)
        return got < 0 ? false : err_set(e, ERR_CHECK, "no session %lld", (long long)id);
    *out = read_session(st, p);
    sqlite3_reset(st);
    return true;
}

bool store_session_last(struct store *s, int64_t *id, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_SESSION_LAST, e);
    return st && store_one_int(s, st, id, "no session is stored yet", e);
}

bool store_session_rename(struct store *s, int64_t id, const char *title, struct err *e)
{
    if (!store_begin(s, e))
        return false;
    sqlite3_stmt *st = store_stmt(s, STMT_SESSION_RENAME, e);
    if (st) {
        bind_int(st, 1, id);
        bind_text(st, 2, title && *title ? title : NULL);
    }
    return store_end(s, st && store_one_int(s, st, NULL, "no such session", e), e);
}

static bool count_for(struct store *s, enum store_statement which, int64_t session, int64_t *n,
                      struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, which, e);
    if (!st)
        return false;
    bind_int(st, 1, session);
    return store_one_int(s, st, n, "", e);
}

bool store_session_alive(struct store *s, int64_t id, bool *alive, struct err *e)
{
    int64_t n = 0;
    bool ok = count_for(s, STMT_SESSION_ALIVE, id, &n, e);
    *alive = n > 0;
    return ok;
}

static bool set_deleted(struct store *s, int64_t id, bool deleted, struct err *e)
{
    int64_t running = 0;
    if (!store_begin(s, e))
        return false;
    if (deleted && !count_for(s, STMT_SESSION_RUNNING, id, &running, e))
        return store_end(s, false, e);
    if (running) {
        err_set(e, ERR_CHECK, "session %lld is being written to right now", (long long)id);
        return store_end(s, false, e);
    }
    sqlite3_stmt *st = store_stmt(s, STMT_SESSION_DELETED, e);
    if (st) {
        bind_int(st, 1, id);
        if (deleted) {
            struct store_process me;
            store_this_process(&me);
            bind_int(st, 2, clock_wall_ms());
            bind_int(st, 3, me.pid);
            bind_id(st, 4, me.start);
            bind_text(st, 5, me.boot);
        }
    }
    return store_end(s, st && store_one_int(s, st, NULL, "no such session", e), e);
}

bool store_session_delete(struct store *s, int64_t id, struct err *e)
{
    return set_deleted(s, id, true, e);
}

bool store_session_undelete(struct store *s, int64_t id, struct err *e)
{
    return set_deleted(s, id, false, e);
}

/* ---- lists and search ----------------------------------------------------------- */

/* Words as an FTS5 query: each quoted, so that nothing in them is an operator; all must
 * occur; the last one may go on unless a space ends it.  False if there is no word. */
static bool fts_query(const char *words, struct buf *out)
{
    const char *space = " \t\r\n";
    buf_clear(out);
    for (const char *w = words + strspn(words, space); *w;) {
        size_t n = strcspn(w, space);
        bool has_letter = false;
        for (size_t i = 0; i < n; i++)
            has_letter |= (w[i] >= '0' && w[i] <= '9') ||
                          ((w[i] | 32) >= 'a' && (w[i] | 32) <= 'z') ||
                          (unsigned char)w[i] >= 0x80;
        if (has_letter) {
            buf_add_str(out, out->len ? " \"" : "\"");
            for (size_t i = 0; i < n; i++) {
                if (w[i] == '"')
                    buf_add_byte(out, '"');
                buf_add_byte(out, w[i]);
            }
            buf_add_byte(out, '"');
            if (!w[n])
                buf_add_byte(out, '*');
        }
        w += n + strspn(w + n, space);
    }
    return out->len > 0;
}

static bool count_sessions(struct store *s, const struct store_list_opts *o, const char *query,
                           size_t *n_all, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, query ? STMT_SESSION_SEARCH_COUNT : STMT_SESSION_COUNT, e);
    if (!st)
        return false;
    int64_t n = 0;
    bind_int(st, 1, o->deleted);
    if (query)
        bind_text(st, 2, query);
    if (!store_one_int(s, st, &n, "", e))
        return false;
    *n_all = (size_t)n;
    return true;
}

bool store_session_list(struct store *s, const struct store_list_opts *o, struct pool *p,
                        struct store_session **out, size_t *n, size_t *n_all, struct err *e)
{
    struct buf query = {0};
    bool search = o->search && o->search[strspn(o->search, " \t\r\n")];
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    if (n_all)
        *n_all = 0;
    if (search && !fts_query(o->search, &query))
        return true; /* nothing but punctuation: nothing matches */
    bool ok = false;
    if (!n_all || count_sessions(s, o, search ? buf_str(&query) : NULL, n_all, e)) {
        sqlite3_stmt *st = store_stmt(s, search ? STMT_SESSION_SEARCH : STMT_SESSION_LIST, e);
        int got = -1;
        if (st) {
            bind_int(st, 1, o->deleted);
            if (!search)
                bind_int(st, 2, o->sort);
            bind_int(st, 3, o->limit ? (int64_t)o->limit : -1);
            bind_int(st, 4, o->offset);
            if (search)
                bind_text(st, 5, buf_str(&query));
            while ((got = store_row(s, st, e)) == 1) {
                *out = pool_grow(p, *out, *n, &cap, sizeof **out);
                (*out)[(*n)++] = read_session(st, p);
            }
        }
        ok = got == 0;
    }
    buf_free(&query);
    return ok;
}

bool store_search(struct store *s, const char *words, uint32_t limit, struct pool *p,
                  struct store_hit **out, size_t *n, struct err *e)
{
    struct buf query = {0};
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    if (!fts_query(words, &query))
        return true;
    sqlite3_stmt *st = store_stmt(s, STMT_SEARCH, e);
    int got = -1;
    if (st) {
        bind_text(st, 1, buf_str(&query));
        bind_int(st, 2, limit ? (int64_t)limit : -1);
        while ((got = store_row(s, st, e)) == 1) {
            *out = pool_grow(p, *out, *n, &cap, sizeof **out);
            struct store_hit *h = &(*out)[(*n)++];
            h->session = sqlite3_column_int64(st, 0);
            h->run = sqlite3_column_int64(st, 1);
            h->title = column_text(st, 2, p);
            if (!h->title)
                h->title = "";
            h->in_prompt = sqlite3_column_int(st, 6);
            h->snippet = column_text(st, h->in_prompt ? 3 : 4, p);
            h->start_ms = sqlite3_column_int64(st, 5);
        }
    }
    buf_free(&query);
    return got == 0;
}
