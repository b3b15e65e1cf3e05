/* Runs, their tokens, and summaries.
 * SPDX-License-Identifier: MIT */
#include "data/run_branch.h"
#include "data/store_impl.h"

#include "engine/base/buf.h"
#include "engine/base/clock.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const store_kind_name[STORE_KINDS] = {"chat",   "summary", "map",  "reduce",
                                                  "refine", "compare", "bench"};
const char *const store_mode_name[STORE_MODES] = {"sparse", "masked", "open"};
const char *const store_status_name[STORE_STATUSES] = {"running",   "done",  "length",
                                                       "cancelled", "error", "interrupted"};
const char *const store_part_name[STORE_PARTS] = {"ctl",  "ff",     "qkv",  "att",
                                                  "head", "sample", "other"};

static int index_of(const char *word, const char *const *names, int n)
{
    for (int i = 0; word && i < n; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    return 0; /* the schema's CHECK allows nothing else */
}

static bool no_run(int64_t run, struct err *e)
{
    return err_set(e, ERR_CHECK, "no run %lld", (long long)run);
}

/* ---- writing -------------------------------------------------------------------- */

static bool params_are_json(const char *params, struct err *e)
{
    cJSON *o = cJSON_Parse(params);
    bool ok = cJSON_IsObject(o);
    cJSON_Delete(o);
    return ok || err_set(e, ERR_STORE, "the run's parameters are not a JSON object");
}

static void bind_run(sqlite3_stmt *st, const struct store_run *r)
{
    struct store_process me;
    store_this_process(&me);
    bind_int(st, 1, r->session);
    bind_id(st, 2, r->parent);
    bind_id(st, 3, r->pair);
    bind_int(st, 4, r->model);
    bind_id(st, 5, r->document);
    bind_count(st, 6, r->chunk);
    bind_text(st, 7, store_kind_name[r->kind]);
    bind_text(st, 8, store_mode_name[r->mode]);
    bind_blob(st, 9, r->prompt, r->n_prompt);
    bind_text(st, 10, r->params ? r->params : "{}");
    bind_int(st, 11, (int64_t)r->seed);
    bind_text(st, 12, r->build ? r->build : "");
    bind_text(st, 13, r->host ? r->host : "");
    bind_count(st, 14, r->n_in);
    bind_count(st, 15, r->n_read);
    bind_int(st, 16, me.pid);
    bind_id(st, 17, me.start);
    bind_text(st, 18, me.boot);
    bind_int(st, 19, clock_wall_ms());
}

static bool touch_session(struct store *s, int64_t run, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_SESSION_TOUCH, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    bind_int(st, 2, clock_wall_ms());
    return store_done(s, st, e);
}

bool store_run_begin(struct store *s, const struct store_run *r, int64_t *id, struct err *e)
{
    if ((r->params && !params_are_json(r->params, e)) || !store_begin(s, e))
        return false;
    sqlite3_stmt *st = store_stmt(s, STMT_RUN_NEW, e);
    if (st)
        bind_run(st, r);
    bool ok = st && store_one_int(s, st, id, "the run's session was deleted", e);
    sqlite3_stmt *fts = ok ? store_stmt(s, STMT_RUN_FTS_NEW, e) : NULL;
    if (fts) {
        bind_int(fts, 1, *id);
        bind_clean(fts, 2, r->prompt, r->n_prompt);
    }
    ok = fts && store_done(s, fts, e) && touch_session(s, *id, e);
    return store_end(s, ok, e);
}

bool store_run_prefilled(struct store *s, int64_t run, int64_t n_in, int64_t n_read,
                         uint64_t load_ns, uint64_t prefill_ns, struct err *e)
{
    if (!store_begin(s, e))
        return false;
    sqlite3_stmt *st = store_stmt(s, STMT_RUN_PREFILLED, e);
    if (st) {
        bind_int(st, 1, run);
        bind_count(st, 2, n_in);
        bind_count(st, 3, n_read);
        bind_int(st, 4, (int64_t)load_ns);
        bind_int(st, 5, (int64_t)prefill_ns);
    }
    return store_end(s, st && store_one_int(s, st, NULL, "no such run", e), e);
}

/* Little-endian whatever the machine: files travel. */
static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get_u32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void bind_top(sqlite3_stmt *st, int i, const struct store_token *t)
{
    unsigned char top[STORE_TOP * 8];
    uint32_t n = t->n_top < STORE_TOP ? t->n_top : STORE_TOP;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t bits;
        memcpy(&bits, &t->top[k].logprob, sizeof bits);
        put_u32(top + 8 * k, (uint32_t)t->top[k].id);
        put_u32(top + 8 * k + 4, bits);
    }
    if (n)
        bind_blob(st, i, top, n * 8);
}

static bool put_token(struct store *s, int64_t run, uint32_t pos, const struct store_token *t,
                      struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_TOKEN_PUT, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    bind_int(st, 2, pos);
    bind_int(st, 3, t->id);
    bind_blob(st, 4, t->text, t->n_text);
    bind_real(st, 5, t->logprob);
    bind_int(st, 6, (int64_t)t->ns);
    for (int i = 0; i < STORE_PARTS; i++)
        bind_int(st, 7 + i, t->part_us[i]);
    bind_int(st, 14, (int64_t)t->bytes);
    bind_int(st, 15, t->zero);
    bind_top(st, 16, t);
    return store_done(s, st, e);
}

bool store_run_append(struct store *s, int64_t run, uint32_t pos, const struct store_token *t,
                      size_t n, const struct store_trace *tr, size_t n_tr, struct err *e)
{
    if (!store_begin(s, e))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = put_token(s, run, pos + (uint32_t)i, &t[i], e);
    for (size_t i = 0; ok && i < n_tr; i++)
        ok = store_trace_put(s, run, &tr[i], e);
    sqlite3_stmt *st = ok && n ? store_stmt(s, STMT_RUN_TOKENS, e) : NULL;
    if (st) {
        bind_int(st, 1, run);
        bind_int(st, 2, (int64_t)pos + (int64_t)n);
        ok = store_one_int(s, st, NULL, "no such run", e);
    }
    return store_end(s, ok && (st || !n), e);
}

bool store_run_end(struct store *s, int64_t run, const struct store_run_end *end, struct err *e)
{
    struct pool pool = {0};
    const char *text = end->output;
    size_t n = end->n_output;
    if (!store_begin(s, e))
        return false;
    bool ok = text || store_output_of_tokens(s, run, &pool, &text, &n, e);
    sqlite3_stmt *st = ok ? store_stmt(s, STMT_RUN_END, e) : NULL;
    if (st) {
        bind_int(st, 1, run);
        bind_text(st, 2, store_status_name[end->status]);
        bind_blob(st, 3, text, n);
        bind_text(st, 4, end->error);
        bind_int(st, 5, (int64_t)end->decode_ns);
        bind_int(st, 6, clock_wall_ms());
    }
    ok = st && store_one_int(s, st, NULL, "no such run", e) &&
         store_index_output(s, run, text, n, e) && touch_session(s, run, e);
    ok = store_end(s, ok, e);
    pool_free(&pool);
    return ok;
}

/* ---- reading -------------------------------------------------------------------- */

static int64_t count_or_unknown(sqlite3_stmt *st, int i)
{
    return sqlite3_column_type(st, i) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, i);
}

static const char *word(sqlite3_stmt *st, int i)
{
    return (const char *)sqlite3_column_text(st, i);
}

/* Columns as STORE_RUN_COLUMNS lists them. */
static struct store_run read_run(sqlite3_stmt *st, struct pool *p)
{
    struct store_run r = {
        .id = sqlite3_column_int64(st, 0),
        .session = sqlite3_column_int64(st, 1),
        .parent = sqlite3_column_int64(st, 2),
        .pair = sqlite3_column_int64(st, 3),
        .model = sqlite3_column_int64(st, 4),
        .document = sqlite3_column_int64(st, 5),
        .chunk = (int32_t)count_or_unknown(st, 6),
        .kind = (enum store_kind)index_of(word(st, 7), store_kind_name, STORE_KINDS),
        .mode = (enum store_mode)index_of(word(st, 8), store_mode_name, STORE_MODES),
        .params = column_text(st, 10, p),
        .seed = (uint64_t)sqlite3_column_int64(st, 11),
        .build = column_text(st, 12, p),
        .host = column_text(st, 13, p),
        .n_in = count_or_unknown(st, 14),
        .n_read = count_or_unknown(st, 15),
        .status = (enum store_status)index_of(word(st, 16), store_status_name, STORE_STATUSES),
        .error = column_text(st, 18, p),
        .n_out = sqlite3_column_int64(st, 19),
        .load_ns = (uint64_t)sqlite3_column_int64(st, 20),
        .prefill_ns = (uint64_t)sqlite3_column_int64(st, 21),
        .decode_ns = (uint64_t)sqlite3_column_int64(st, 22),
        .start_ms = sqlite3_column_int64(st, 23),
        .end_ms = sqlite3_column_int64(st, 24),
    };
    r.prompt = column_blob(st, 9, p, &r.n_prompt);
    r.output = column_blob(st, 17, p, &r.n_output);
    if (!r.output)
        r.output = "";
    return r;
}

bool store_run_get(struct store *s, int64_t run, struct pool *p, struct store_run *out,
                   struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_RUN_GET, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    int got = store_row(s, st, e);
    if (got <= 0)
        return got < 0 ? false : no_run(run, e);
    *out = read_run(st, p);
    sqlite3_reset(st);
    return true;
}

bool store_run_last(struct store *s, int64_t *run, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_RUN_LAST, e);
    return st && store_one_int(s, st, run, "no run is stored yet", e);
}

static bool list_runs(struct store *s, enum store_statement which, int64_t key, struct pool *p,
                      struct store_run **out, size_t *n, struct err *e)
{
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    sqlite3_stmt *st = store_stmt(s, which, e);
    if (!st)
        return false;
    bind_int(st, 1, key);
    int got;
    while ((got = store_row(s, st, e)) == 1) {
        *out = pool_grow(p, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = read_run(st, p);
    }
    return got == 0;
}

bool store_run_list(struct store *s, int64_t session, struct pool *p, struct store_run **out,
                    size_t *n, struct err *e)
{
    return list_runs(s, STMT_RUN_LIST, session, p, out, n, e);
}

bool store_run_pair(struct store *s, int64_t pair, struct pool *p, struct store_run **out,
                    size_t *n, struct err *e)
{
    return list_runs(s, STMT_RUN_PAIR, pair, p, out, n, e);
}

static void read_top(sqlite3_stmt *st, int i, struct store_token *t)
{
    const unsigned char *top = sqlite3_column_blob(st, i);
    size_t bytes = (size_t)sqlite3_column_bytes(st, i);
    t->n_top = (uint32_t)(bytes / 8 < STORE_TOP ? bytes / 8 : STORE_TOP);
    for (uint32_t k = 0; k < t->n_top; k++) {
        uint32_t bits = get_u32(top + 8 * k + 4);
        t->top[k].id = (int32_t)get_u32(top + 8 * k);
        memcpy(&t->top[k].logprob, &bits, sizeof bits);
    }
}

bool store_tokens(struct store *s, int64_t run, struct pool *p, struct store_token **out,
                  size_t *n, struct err *e)
{
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    sqlite3_stmt *st = store_stmt(s, STMT_TOKEN_LIST, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    int got;
    while ((got = store_row(s, st, e)) == 1) {
        *out = pool_grow(p, *out, *n, &cap, sizeof **out);
        struct store_token *t = &(*out)[(*n)++];
        t->id = sqlite3_column_int(st, 0);
        t->text = column_blob(st, 1, p, &t->n_text);
        t->logprob = sqlite3_column_type(st, 2) == SQLITE_NULL
                         ? NAN
                         : (float)sqlite3_column_double(st, 2);
        t->ns = (uint64_t)sqlite3_column_int64(st, 3);
        for (int i = 0; i < STORE_PARTS; i++)
            t->part_us[i] = (uint32_t)sqlite3_column_int64(st, 4 + i);
        t->bytes = (uint64_t)sqlite3_column_int64(st, 11);
        t->zero = (uint32_t)sqlite3_column_int64(st, 12);
        read_top(st, 13, t);
    }
    return got == 0;
}

/* ---- summaries ------------------------------------------------------------------ */

static bool put_steps(struct store *s, int64_t summary, const struct store_summary *m,
                      struct err *e)
{
    for (size_t i = 0; i < m->n_steps; i++) {
        sqlite3_stmt *st = store_stmt(s, STMT_STEP_PUT, e);
        if (!st)
            return false;
        bind_int(st, 1, summary);
        bind_int(st, 2, (int64_t)i);
        bind_int(st, 3, m->step[i]);
        if (!store_done(s, st, e))
            return false;
    }
    return true;
}

bool store_summary_put(struct store *s, const struct store_summary *m, int64_t *id,
                       struct err *e)
{
    if (!store_begin(s, e))
        return false;
    sqlite3_stmt *st = store_stmt(s, STMT_SUMMARY_PUT, e);
    if (st) {
        bind_int(st, 1, m->document);
        bind_int(st, 2, m->run);
        bind_text(st, 3, m->method ? m->method : "single");
        bind_text(st, 4, m->target);
        bind_text(st, 5, m->body ? m->body : "");
        bind_int(st, 6, m->tok_read);
        bind_int(st, 7, m->tok_total);
        bind_text(st, 8, m->rouge);
        bind_int(st, 9, clock_wall_ms());
    }
    bool ok =
        st && store_one_int(s, st, id, "summary not written", e) && put_steps(s, *id, m, e);
    return store_end(s, ok, e);
}

static struct store_summary read_summary(sqlite3_stmt *st, struct pool *p)
{
    return (struct store_summary){.id = sqlite3_column_int64(st, 0),
                                  .document = sqlite3_column_int64(st, 1),
                                  .run = sqlite3_column_int64(st, 2),
                                  .method = column_text(st, 3, p),
                                  .target = column_text(st, 4, p),
                                  .body = column_text(st, 5, p),
                                  .tok_read = sqlite3_column_int64(st, 6),
                                  .tok_total = sqlite3_column_int64(st, 7),
                                  .rouge = column_text(st, 8, p),
                                  .created_ms = sqlite3_column_int64(st, 9)};
}

static bool read_steps(struct store *s, struct store_summary *m, struct pool *p, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_STEP_LIST, e);
    if (!st)
        return false;
    size_t cap = 0;
    int64_t *list = NULL;
    bind_int(st, 1, m->id);
    int got;
    while ((got = store_row(s, st, e)) == 1) {
        list = pool_grow(p, list, m->n_steps, &cap, sizeof *list);
        list[m->n_steps++] = sqlite3_column_int64(st, 0);
    }
    m->step = list;
    return got == 0;
}

bool store_summary_of(struct store *s, int64_t run, struct pool *p, struct store_summary *out,
                      struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_SUMMARY_OF, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    int got = store_row(s, st, e);
    if (got <= 0)
        return got < 0 ? false
                       : err_set(e, ERR_CHECK, "run %lld ends no summary", (long long)run);
    *out = read_summary(st, p);
    sqlite3_reset(st);
    return read_steps(s, out, p, e);
}

bool store_summary_list(struct store *s, int64_t document, struct pool *p,
                        struct store_summary **out, size_t *n, struct err *e)
{
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    sqlite3_stmt *st = store_stmt(s, STMT_SUMMARY_LIST, e);
    if (!st)
        return false;
    bind_id(st, 1, document);
    int got;
    while ((got = store_row(s, st, e)) == 1) {
        *out = pool_grow(p, *out, *n, &cap, sizeof **out);
        (*out)[(*n)++] = read_summary(st, p);
    }
    bool ok = got == 0;
    for (size_t i = 0; ok && i < *n; i++)
        ok = read_steps(s, &(*out)[i], p, e);
    return ok;
}

/* ---- branches --------------------------------------------------------------------- */

bool store_run_target(struct store *s, int64_t run, struct pool *p, int32_t **ids, size_t *n,
                      size_t *n_forced, struct err *e)
{
    struct store_run r = {0};
    struct store_token *t;
    int32_t *before = NULL;
    size_t n_before = 0, n_own, skip;
    if (!store_run_get(s, run, p, &r, e) || !store_tokens(s, run, p, &t, &n_own, e))
        return false;
    struct run_branch branch;
    run_branch(r.params, &branch);
    *n_forced = branch.after;
    bool known = *n_forced == 0 || (r.parent > 0 && r.parent < run); /* it must end */
    if (known && *n_forced && !store_run_target(s, r.parent, p, &before, &n_before, &skip, e))
        return false;
    if (!known || *n_forced > n_before)
        return err_set(e, ERR_CHECK, "run %lld goes on from a run that is gone",
                       (long long)run);
    *n = *n_forced + n_own;
    *ids = pool_get(p, *n + 1, sizeof **ids);
    if (*n_forced)
        memcpy(*ids, before, *n_forced * sizeof **ids);
    for (size_t i = 0; i < n_own; i++)
        (*ids)[*n_forced + i] = t[i].id;
    return true;
}
