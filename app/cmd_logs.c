/* cmd_logs.c - `terra logs`: stored sessions from a pipe.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cmd_stored.h"
#include "data/export.h"
#include "data/store.h"
#include "engine/base/clock.h"
#include "engine/base/json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- small helpers ------------------------------------------------------------ */

static const char *time_text(int64_t ms, char out[24])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    localtime_r(&t, &tm);
    strftime(out, 24, "%Y-%m-%d %H:%M", &tm);
    return out;
}

bool cmd_session_id(struct cli *c, const char *text, int64_t *out, struct err *e)
{
    if (strcmp(text, "last") == 0)
        return store_session_last(c->store, out, e);
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (end == text || *end || *out <= 0)
        return err_set(e, ERR_USAGE, "'%s' is not the number of a session, nor 'last'", text);
    return !errno || err_set(e, ERR_CHECK, "no session has the number %s", text);
}

/* One line, for lists. */
static void add_one_line(struct buf *b, const char *s, size_t most)
{
    size_t n = strlen(s), at = b->len;
    bool cut = n > most;
    if (cut)
        for (n = most; n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80;)
            n--;
    buf_add(b, s, n);
    for (; at < b->len; at++)
        if (b->data[at] == '\n')
            b->data[at] = ' ';
    if (cut)
        buf_add_str(b, "...");
}

/* "30d" "12h" "2w" before now. */
static bool age(const char *text, int64_t *before_ms, struct err *e)
{
    char *end;
    long long n = strtoll(text, &end, 10);
    int64_t unit = *end == 'h' ? 3600000 : *end == 'd' ? 86400000 : *end == 'w' ? 604800000 : 0;
    if (end == text || n < 0 || n > 100000 || !unit || end[1])
        return err_set(e, ERR_USAGE, "--older-than: '%s' is not like 12h, 30d or 8w", text);
    *before_ms = clock_wall_ms() - n * unit;
    return true;
}

static bool one_arg(struct cli *c, const char *what, struct err *e)
{
    if (c->args->n_pos == 2)
        return true;
    return err_set(e, ERR_USAGE, "usage: terra logs %s %s", c->args->pos[0], what);
}

static bool no_arg(struct cli *c, struct err *e)
{
    if (c->args->n_pos <= 1)
        return true;
    return err_set(e, ERR_USAGE, "'%s' is too much; usage: terra logs %s", c->args->pos[1],
                   c->args->pos[0]);
}

/* ---- list, search, show ----------------------------------------------------------- */

static void session_line(struct cli *c, const struct store_session *s, struct buf *b)
{
    char when[24];
    if (c->args->json) {
        headless_object(b, "session");
        json_int(b, "id", s->id);
        json_cstr(b, "uid", s->uid);
        json_cstr(b, "title", s->title);
        json_int(b, "created_ms", s->created_ms);
        json_int(b, "updated_ms", s->updated_ms);
        json_int(b, "runs", s->n_runs);
        json_int(b, "tokens", (int64_t)s->n_tok);
        json_num(b, "tok_s", s->tok_per_s, 4);
        json_cstr(b, "document", s->document);
        json_bool(b, "interrupted", s->interrupted);
        json_cstr(b, "snippet", s->snippet);
        json_close(b, '}');
    } else {
        buf_printf(b, "%c%5" PRId64 "  %s  %4u runs %6" PRIu64 " tok %7.1f tok/s  %-14s ",
                   s->interrupted ? '!' : ' ', s->id, time_text(s->updated_ms, when), s->n_runs,
                   s->n_tok, s->tok_per_s, s->document ? s->document : "-");
        add_one_line(b, s->title, 48);
    }
}

bool cmd_sessions(struct cli *c, const char *words, struct err *e)
{
    struct pool pool = {0};
    struct store_session *s;
    size_t n, n_all;
    struct store_list_opts o = {.search = words,
                                .limit = c->args->limit > 0 ? (uint32_t)c->args->limit : 0};
    bool ok = store_session_list(c->store, &o, &pool, &s, &n, &n_all, e);
    for (size_t i = 0; ok && i < n; i++) {
        struct buf b = {0};
        session_line(c, &s[i], &b);
        if (c->args->json) {
            headless_line(&c->out, &b);
        } else {
            buf_add_byte(&b, '\n');
            headless_text(&c->out, buf_str(&b), b.len);
        }
        buf_free(&b);
    }
    if (ok && n < n_all)
        cli_note(c, "%zu of %zu sessions", n, n_all);
    if (ok && n_all == 0)
        ok = *words ? err_set(e, ERR_CHECK, "nothing matches '%s'", words)
                    : err_set(e, ERR_CHECK, "no sessions are stored");
    pool_free(&pool);
    return ok;
}

static bool logs_list(struct cli *c, struct err *e)
{
    return no_arg(c, e) && cmd_sessions(c, "", e);
}

bool cmd_search(struct cli *c, const char *words, struct err *e)
{
    struct pool pool = {0};
    struct store_hit *hit;
    size_t n = 0;
    uint32_t limit = c->args->limit > 0 ? (uint32_t)c->args->limit : 50;
    bool ok = store_search(c->store, words, limit, &pool, &hit, &n, e);
    for (size_t i = 0; ok && i < n; i++) {
        struct buf b = {0};
        char when[24];
        if (c->args->json) {
            headless_object(&b, "hit");
            json_int(&b, "session", hit[i].session);
            json_int(&b, "run", hit[i].run);
            json_cstr(&b, "title", hit[i].title);
            json_cstr(&b, "snippet", hit[i].snippet);
            json_cstr(&b, "in", hit[i].in_prompt ? "prompt" : "reply");
            json_int(&b, "start_ms", hit[i].start_ms);
            json_close(&b, '}');
            headless_line(&c->out, &b);
        } else {
            buf_printf(&b, "%5" PRId64 " run %-5" PRId64 " %s  %-6s ", hit[i].session,
                       hit[i].run, time_text(hit[i].start_ms, when),
                       hit[i].in_prompt ? "prompt" : "reply");
            add_one_line(&b, hit[i].snippet, 120);
            buf_add_byte(&b, '\n');
            headless_text(&c->out, buf_str(&b), b.len);
        }
        buf_free(&b);
    }
    if (ok && n == 0)
        ok = err_set(e, ERR_CHECK, "nothing matches '%s'", words);
    pool_free(&pool);
    return ok;
}

static bool logs_search(struct cli *c, struct err *e)
{
    struct buf words = {0};
    for (int i = 1; i < c->args->n_pos; i++)
        buf_printf(&words, "%s%s", i > 1 ? " " : "", c->args->pos[i]);
    bool ok = words.len ? cmd_search(c, words.data, e)
                        : err_set(e, ERR_USAGE, "usage: terra logs search WORDS");
    buf_free(&words);
    return ok;
}

#define LIKE_HITS 20

static void like_line(struct cli *c, const struct store_like *l, const struct store_like_hit *h)
{
    struct buf b = {0};
    double share = l->places ? (double)h->same / l->places : 0;
    if (c->args->json) {
        headless_object(&b, "like");
        json_int(&b, "session", h->session);
        json_int(&b, "run", h->run);
        json_int(&b, "pos", h->pos);
        json_str(&b, "text", h->text, h->n_text);
        json_num(&b, "agreement", share, 6);
        json_num(&b, "chance", 1.0 / l->units, 6);
        json_close(&b, '}');
        headless_line(&c->out, &b);
    } else {
        buf_printf(&b, "%5" PRId64 " run %-5" PRId64 " token %-5u %5.1f%%  '", h->session,
                   h->run, h->pos, 100 * share);
        buf_add(&b, h->text, h->n_text);
        buf_add_str(&b, "'\n");
        headless_text(&c->out, buf_str(&b), b.len);
    }
    buf_free(&b);
}

bool cmd_token(const char *text, uint32_t *token, struct err *e)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (end == text || *end || errno || n < 0 || n > INT32_MAX)
        return err_set(e, ERR_USAGE, "'%s' is not the number of a token", text);
    *token = (uint32_t)n;
    return true;
}

bool cmd_like(struct cli *c, int64_t run, uint32_t token, struct err *e)
{
    struct pool pool = {0};
    struct store_like l;
    struct store_like_opts o = {.run = run, .pos = token, .limit = LIKE_HITS};
    if (c->args->limit > 0)
        o.limit = c->args->limit < 10000 ? (uint32_t)c->args->limit : 10000;
    bool ok = store_like(c->store, &o, &pool, &l, e);
    for (size_t i = 0; ok && i < l.n; i++)
        like_line(c, &l, &l.hit[i]);
    if (ok)
        cli_note(c, "%" PRIu64 " tokens compared; chance alone makes %.1f%% agree%s", l.rows,
                 100.0 / (l.units ? l.units : 1),
                 l.other_rows ? "; tokens of models of another shape are left out" : "");
    if (ok && l.n == 0)
        ok = err_set(e, ERR_CHECK, "no other token has stored choices");
    pool_free(&pool);
    return ok;
}

static bool logs_like(struct cli *c, struct err *e)
{
    int64_t run;
    uint32_t token;
    if (c->args->n_pos != 3)
        return err_set(e, ERR_USAGE, "usage: terra logs like RUN TOKEN");
    return cmd_token(c->args->pos[2], &token, e) && cli_run_id(c, c->args->pos[1], &run, e) &&
           cmd_like(c, run, token, e);
}

/* What a run replied: the whole summary if it is the last step of one. */
static bool reply_of(struct cli *c, struct store_run *run, struct pool *pool, struct err *e)
{
    struct store_summary summary;
    struct err none = {0};
    if (store_summary_of(c->store, run->id, pool, &summary, &none)) {
        run->output = summary.body;
        run->n_output = strlen(summary.body);
    } else if (none.kind != ERR_CHECK) {
        *e = none;
        return false;
    }
    return true;
}

static bool print_reply(struct cli *c, const struct store_run *run, struct err *e)
{
    struct buf b = {0};
    if (c->args->json) {
        headless_object(&b, "reply");
        json_int(&b, "session", run->session);
        json_int(&b, "run", run->id);
        json_str(&b, "text", run->output, run->n_output);
        json_close(&b, '}');
    } else {
        buf_add(&b, run->output, run->n_output);
    }
    if (b.len && b.data[b.len - 1] != '\n')
        buf_add_byte(&b, '\n');
    bool ok = cli_output(c, buf_str(&b), b.len, e);
    buf_free(&b);
    return ok;
}

/* The newest reply of a session. */
static bool last_reply(struct cli *c, int64_t session, struct err *e)
{
    struct pool pool = {0};
    struct store_run *run;
    size_t n;
    bool ok = store_run_list(c->store, session, &pool, &run, &n, e);
    if (ok && n == 0)
        ok = err_set(e, ERR_CHECK, "session %" PRId64 " has no runs", session);
    ok = ok && reply_of(c, &run[n - 1], &pool, e) && print_reply(c, &run[n - 1], e);
    pool_free(&pool);
    return ok;
}

static bool open_output(struct cli *c, FILE **out, struct err *e)
{
    *out = stdout;
    if (c->args->output && !(*out = fopen(c->args->output, "wx")))
        return err_set(e, ERR_RESOURCE, "%s: %s", c->args->output, strerror(errno));
    return true;
}

static bool close_output(struct cli *c, FILE *out, bool ok, struct err *e)
{
    int failed = fflush(out) != 0 ? errno : 0;
    if (out != stdout && fclose(out) != 0 && !failed)
        failed = errno;
    if (failed == EPIPE || (!ok && out == stdout && cli_reader_gone())) {
        c->out.broken = true;
        return err_set(e, ERR_CANCELLED, "closed pipe");
    }
    if (ok && failed)
        return err_set(e, ERR_RESOURCE, "%s: %s", c->args->output ? c->args->output : "output",
                       strerror(failed));
    return ok;
}

static bool export_as(struct cli *c, int64_t session, const char *format, struct err *e)
{
    enum export_format f;
    FILE *out;
    if (!export_format_parse(format, &f, e) || !open_output(c, &out, e))
        return false;
    return close_output(c, out, export_session(c->store, session, f, out, e), e);
}

static bool logs_show(struct cli *c, struct err *e)
{
    int64_t id;
    if (c->args->n_pos > 2)
        return one_arg(c, "[SESSION]", e);
    if (!cmd_session_id(c, c->args->n_pos == 2 ? c->args->pos[1] : "last", &id, e))
        return false;
    if (c->args->reply_only)
        return last_reply(c, id, e);
    const char *format = c->args->format ? c->args->format : c->args->json ? "jsonl" : "md";
    return export_as(c, id, format, e);
}

static bool logs_export(struct cli *c, struct err *e)
{
    int64_t id;
    if (!one_arg(c, "SESSION [--format FORMAT] [--output FILE]", e) ||
        !cmd_session_id(c, c->args->pos[1], &id, e))
        return false;
    const char *format = c->args->format ? c->args->format : c->args->json ? "json" : "md";
    return export_as(c, id, format, e);
}

/* ---- what changes the store ----------------------------------------------------------- */

static bool logs_rm(struct cli *c, struct err *e)
{
    if (c->args->n_pos < 2)
        return err_set(e, ERR_USAGE, "usage: terra logs rm SESSION ...");
    for (int i = 1; i < c->args->n_pos; i++) {
        int64_t id;
        if (!cmd_session_id(c, c->args->pos[i], &id, e) ||
            !store_session_delete(c->store, id, e))
            return false;
        cli_note(c, "session %" PRId64 " deleted", id);
    }
    return true;
}

static bool logs_prune(struct cli *c, struct err *e)
{
    struct store_prune_opts o = {.traces = c->args->traces};
    struct store_pruned pruned;
    char bytes[24];
    if (!c->args->older_than)
        return err_set(e, ERR_USAGE, "usage: terra logs prune [--traces] --older-than 30d");
    if (!no_arg(c, e) || !age(c->args->older_than, &o.before_ms, e) ||
        !store_prune(c->store, &o, &pruned, e))
        return false;
    cli_note(c,
             "removed %" PRIu64 " sessions, %" PRIu64 " runs, traces of %" PRIu64
             " tokens; %s freed",
             pruned.sessions, pruned.runs, pruned.traces, cli_bytes(pruned.bytes, bytes));
    return true;
}

static bool logs_status(struct cli *c, struct err *e)
{
    struct store_stat s;
    struct buf b = {0};
    char size[24], trace[24];
    if (!no_arg(c, e) || !store_stat(c->store, &s, e))
        return false;
    bool on = s.log_on && config_bool(&c->config, CONFIG_LOG);
    if (c->args->json) {
        headless_object(&b, "status");
        json_cstr(&b, "path", store_path(c->store));
        json_bool(&b, "log", on);
        json_int(&b, "schema", s.schema);
        json_bool(&b, "wal", s.wal);
        json_int(&b, "bytes", (int64_t)s.bytes);
        json_int(&b, "free_bytes", (int64_t)s.free_bytes);
        json_int(&b, "sessions", (int64_t)s.n_sessions);
        json_int(&b, "runs", (int64_t)s.n_runs);
        json_int(&b, "tokens", (int64_t)s.n_tokens);
        json_int(&b, "documents", (int64_t)s.n_documents);
        json_int(&b, "summaries", (int64_t)s.n_summaries);
        json_int(&b, "models", (int64_t)s.n_models);
        json_int(&b, "trace_bytes", (int64_t)s.trace_bytes);
        json_cstr(&b, "sqlite", s.sqlite);
        json_close(&b, '}');
        headless_line(&c->out, &b);
    } else {
        buf_printf(&b, "file       %s\nsaving     %s\nsize       %s, of which traces %s\n",
                   store_path(c->store), on ? "on" : "off", cli_bytes(s.bytes, size),
                   cli_bytes(s.trace_bytes, trace));
        buf_printf(&b,
                   "holds      %" PRIu64 " sessions, %" PRIu64 " runs, %" PRIu64
                   " tokens, %" PRIu64 " documents, %" PRIu64 " summaries\n",
                   s.n_sessions, s.n_runs, s.n_tokens, s.n_documents, s.n_summaries);
        buf_printf(&b, "schema     %d, SQLite %s, %s\n", s.schema, s.sqlite,
                   s.wal ? "write-ahead log" : "no write-ahead log");
        headless_text(&c->out, buf_str(&b), b.len);
    }
    buf_free(&b);
    return true;
}

static bool logs_backup(struct cli *c, struct err *e)
{
    return one_arg(c, "FILE", e) && store_backup(c->store, c->args->pos[1], e);
}

static bool logs_on(struct cli *c, struct err *e)
{
    return no_arg(c, e) && store_log_set(c->store, true, e);
}

static bool logs_off(struct cli *c, struct err *e)
{
    return no_arg(c, e) && store_log_set(c->store, false, e);
}

/* These two work without opening: the file may be damaged or not there. */
static bool logs_path(struct cli *c, const char *path, struct err *e)
{
    struct buf b = {0};
    if (!no_arg(c, e))
        return false;
    if (c->args->json) {
        headless_object(&b, "path");
        json_cstr(&b, "path", path);
        json_close(&b, '}');
        headless_line(&c->out, &b);
    } else {
        buf_printf(&b, "%s\n", path);
        headless_text(&c->out, b.data, b.len);
    }
    buf_free(&b);
    return true;
}

static bool logs_set_aside(struct cli *c, const char *path, struct err *e)
{
    char moved[512];
    if (!no_arg(c, e) || !store_set_aside(path, moved, e))
        return false;
    cli_note(c, "moved to %s", moved);
    return true;
}

static const struct {
    const char *name;
    bool (*run)(struct cli *c, struct err *e);
    bool makes; /* creates a file that is not there */
} actions[] = {
    {"list", logs_list, false},     {"show", logs_show, false},
    {"search", logs_search, false}, {"export", logs_export, false},
    {"rm", logs_rm, false},         {"prune", logs_prune, false},
    {"status", logs_status, false}, {"backup", logs_backup, false},
    {"like", logs_like, false},     {"on", logs_on, true},
    {"off", logs_off, true},
};

static bool act(struct cli *c, const char *name, const char *path, struct err *e)
{
    if (strcmp(name, "path") == 0)
        return logs_path(c, path, e);
    if (strcmp(name, "set-aside") == 0)
        return logs_set_aside(c, path, e);
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(actions[i].name, name) != 0)
            continue;
        if (!actions[i].makes && access(path, F_OK) != 0 && errno == ENOENT)
            return err_set(e, ERR_CHECK, "nothing is stored in %s: no such file", path);
        /* Opening for writing also marks runs of dead processes as interrupted. */
        return cli_store(c, false, e) && actions[i].run(c, e);
    }
    return err_set(e, ERR_USAGE,
                   "unknown 'terra logs %s': list, show, search, like, export, rm, prune, "
                   "path, status, backup, set-aside, on or off",
                   name);
}

static bool logs(struct cli *c, const char *name, struct err *e)
{
    struct buf path = {0};
    cli_store_path(c, &path);
    bool ok = path.len ? act(c, name, path.data, e) : err_set(e, ERR_STORE, CLI_NO_PLACE);
    buf_free(&path);
    return ok;
}

/* Options that this action would not look at. */
static bool check_options(const char *action, struct args *a, struct err *e)
{
    bool show = strcmp(action, "show") == 0, exports = strcmp(action, "export") == 0;
    if (a->reply_only && !show)
        return err_set(e, ERR_USAGE, "--response is for 'terra logs show', not for '%s'",
                       action);
    if (a->output && !show && !exports)
        return err_set(e, ERR_USAGE,
                       "--output is for 'terra logs show' and 'export'; write '%s' to a file "
                       "with >",
                       action);
    return (exports || (show && !a->reply_only)) || cli_format(a, "json|jsonl", e);
}

int cmd_logs(const struct args *a)
{
    struct cli c;
    struct err e = {0};
    struct args own = *a;
    const char *action = a->n_pos ? a->pos[0] : a->reply_only ? "show" : "list";
    if (!check_options(action, &own, &e))
        return cli_fail(a, &e);
    bool ok = cli_open(&c, &own, &e) && logs(&c, action, &e);
    return cli_close(&c, ok, &e);
}
