/* SPDX-License-Identifier: MIT */
#include "data/export.h"

#include "engine/base/json_out.h"
#include "engine/base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

const char *const export_format_name[EXPORT_FORMATS] = {"md",  "json",  "jsonl",
                                                        "csv", "trace", "asciicast"};

#define CAST_COLS 80
#define CAST_ROWS 24
#define CAST_GAP  1.0 /* seconds between two runs */

/* One export: where it goes, and the text that is not written yet. */
struct exporter {
    struct store *s;
    FILE *out;
    struct buf text;
    struct err *e;
    double clock; /* seconds played so far: cast */
};

static bool flush(struct exporter *x)
{
    bool ok = fwrite(buf_str(&x->text), 1, x->text.len, x->out) == x->text.len;
    buf_clear(&x->text);
    return ok || err_set(x->e, ERR_RESOURCE, "export: %s", strerror(errno));
}

bool export_format_parse(const char *name, enum export_format *out, struct err *e)
{
    if (strcmp(name, "cast") == 0)
        name = "asciicast"; /* as such files are called */
    for (int i = 0; i < EXPORT_FORMATS; i++) {
        if (strcmp(name, export_format_name[i]) == 0) {
            *out = (enum export_format)i;
            return true;
        }
    }
    return err_set(e, ERR_USAGE,
                   "export format \"%s\" is none of md, json, jsonl, csv, trace, asciicast",
                   name);
}

/* ---- Markdown -------------------------------------------------------------------- */

static void iso_time(int64_t ms, char out[32])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Valid UTF-8; control characters but line ends and tabs become U+FFFD, so that an
 * export can be shown with cat. */
static void add_text(struct buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        char c[4];
        i += utf8_decode(s + i, n - i, &cp, NULL);
        bool control = (cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7F && cp < 0xA0);
        buf_add(b, c, utf8_encode(control ? UTF8_BAD : cp, c));
    }
}

static double tok_per_s(const struct store_run *r)
{
    return r->decode_ns ? (double)r->n_out * 1e9 / (double)r->decode_ns : 0;
}

static void run_md(struct exporter *x, const struct store_run *r)
{
    struct buf *b = &x->text;
    char when[32];
    iso_time(r->start_ms, when);
    buf_printf(b, "## Run %" PRId64 "\n\n%s, %s, %s, seed %" PRIu64 ", %s, %" PRId64 " tokens",
               r->id, when, store_kind_name[r->kind], store_mode_name[r->mode], r->seed,
               store_status_name[r->status], r->n_out);
    if (r->decode_ns)
        buf_printf(b, ", %ld.%ld tok/s", (long)tok_per_s(r), (long)(tok_per_s(r) * 10) % 10);
    if (r->n_in >= 0 && r->n_read >= 0)
        buf_printf(b, ", read %" PRId64 " of %" PRId64, r->n_read, r->n_in);
    buf_add_str(b, "\n\n");
    for (size_t i = 0; i < r->n_prompt;) { /* the prompt as a quotation */
        const char *end = memchr(r->prompt + i, '\n', r->n_prompt - i);
        size_t n = end ? (size_t)(end - r->prompt) - i : r->n_prompt - i;
        buf_add_str(b, n ? "> " : ">");
        add_text(b, r->prompt + i, n);
        buf_add_byte(b, '\n');
        i += n + 1;
    }
    buf_add_byte(b, '\n');
    add_text(b, r->output, r->n_output);
    if (r->error) {
        buf_add_str(b, "\n\n**Error:** ");
        add_text(b, r->error, strlen(r->error));
    }
    buf_add_str(b, "\n\n");
}

/* ---- JSON -------------------------------------------------------------------------- */

static void session_fields(struct buf *b, const struct store_session *o)
{
    json_int(b, "id", o->id);
    json_cstr(b, "uid", o->uid);
    json_cstr(b, "title", o->title);
    json_int(b, "created_ms", o->created_ms);
    json_int(b, "updated_ms", o->updated_ms);
}

static void id_or_null(struct buf *b, const char *key, int64_t id)
{
    if (id)
        json_int(b, key, id);
    else
        json_null(b, key);
}

static void count_or_null(struct buf *b, const char *key, int64_t n)
{
    if (n >= 0)
        json_int(b, key, n);
    else
        json_null(b, key);
}

static void run_fields(struct buf *b, const struct store_run *r)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, r->seed); /* as text: 2^64 is no JSON number */
    json_int(b, "id", r->id);
    json_int(b, "session", r->session);
    id_or_null(b, "parent", r->parent);
    id_or_null(b, "pair", r->pair);
    json_int(b, "model", r->model);
    id_or_null(b, "document", r->document);
    count_or_null(b, "chunk", r->chunk);
    json_cstr(b, "kind", store_kind_name[r->kind]);
    json_cstr(b, "mode", store_mode_name[r->mode]);
    json_cstr(b, "status", store_status_name[r->status]);
    json_cstr(b, "error", r->error);
    json_cstr(b, "seed", seed);
    json_cstr(b, "params", r->params);
    json_cstr(b, "build", r->build);
    json_cstr(b, "host", r->host);
    count_or_null(b, "n_in", r->n_in);
    count_or_null(b, "n_read", r->n_read);
    json_int(b, "n_out", r->n_out);
    json_int(b, "load_ns", (int64_t)r->load_ns);
    json_int(b, "prefill_ns", (int64_t)r->prefill_ns);
    json_int(b, "decode_ns", (int64_t)r->decode_ns);
    json_int(b, "start_ms", r->start_ms);
    id_or_null(b, "end_ms", r->end_ms);
    json_str(b, "prompt", r->prompt, r->n_prompt);
    json_str(b, "output", r->output, r->n_output);
}

static void token_fields(struct buf *b, size_t i, const struct store_token *t)
{
    json_int(b, "i", (int64_t)i);
    json_int(b, "id", t->id);
    json_str(b, "text", t->text, t->n_text);
    if (utf8_count_bad(t->text, t->n_text)) /* a JSON string cannot hold the bytes */
        json_base64(b, "bytes_b64", t->text, t->n_text);
    json_num(b, "logprob", t->logprob, 9);
    json_int(b, "ns", (int64_t)t->ns);
    json_open(b, "parts_us", '{');
    for (int k = 0; k < STORE_PARTS; k++)
        json_int(b, store_part_name[k], t->part_us[k]);
    json_close(b, '}');
    json_int(b, "bytes", (int64_t)t->bytes);
    json_int(b, "zero", t->zero);
    json_open(b, "top", '[');
    for (uint32_t k = 0; k < t->n_top; k++) {
        json_open(b, NULL, '{');
        json_int(b, "id", t->top[k].id);
        json_num(b, "logprob", t->top[k].logprob, 9);
        json_close(b, '}');
    }
    json_close(b, ']');
}

static void run_json(struct exporter *x, const struct store_run *r, const struct store_token *t,
                     size_t n)
{
    struct buf *b = &x->text;
    json_open(b, NULL, '{');
    run_fields(b, r);
    json_open(b, "tokens", '[');
    for (size_t i = 0; i < n; i++) {
        json_open(b, NULL, '{');
        token_fields(b, i, &t[i]);
        json_close(b, '}');
    }
    json_close(b, ']');
    json_close(b, '}');
}

static void run_jsonl(struct exporter *x, const struct store_run *r,
                      const struct store_token *t, size_t n)
{
    struct buf *b = &x->text;
    json_open(b, NULL, '{');
    json_int(b, "v", 1);
    json_cstr(b, "type", "run");
    run_fields(b, r);
    json_close(b, '}');
    buf_add_byte(b, '\n');
    for (size_t i = 0; i < n; i++) {
        json_open(b, NULL, '{');
        json_int(b, "v", 1);
        json_cstr(b, "type", "token");
        json_int(b, "run", r->id);
        token_fields(b, i, &t[i]);
        json_close(b, '}');
        buf_add_byte(b, '\n');
    }
}

/* ---- summaries ---------------------------------------------------------------------- */

/* A run alone is its summary: only one of several steps has a text of its own. */
static void summary_md(struct exporter *x, const struct store_summary *m)
{
    struct buf *b = &x->text;
    if (m->n_steps < 2)
        return;
    buf_printf(b, "## Summary\n\n%s of %zu runs", m->method, m->n_steps);
    if (m->target)
        buf_printf(b, ", wanted %s", m->target);
    buf_printf(b, ", read %" PRId64 " of %" PRId64 "\n\n", m->tok_read, m->tok_total);
    add_text(b, m->body, strlen(m->body));
    buf_add_str(b, "\n\n");
}

static void summary_fields(struct buf *b, const struct store_summary *m)
{
    json_int(b, "id", m->id);
    json_int(b, "document", m->document);
    json_int(b, "run", m->run);
    json_cstr(b, "method", m->method);
    json_cstr(b, "target", m->target);
    json_int(b, "tok_read", m->tok_read);
    json_int(b, "tok_total", m->tok_total);
    json_cstr(b, "rouge", m->rouge);
    json_int(b, "created_ms", m->created_ms);
    json_open(b, "steps", '[');
    for (size_t i = 0; i < m->n_steps; i++)
        json_int(b, NULL, m->step[i]);
    json_close(b, ']');
    json_cstr(b, "body", m->body);
}

static void summary_json(struct exporter *x, const struct store_summary *m, bool line)
{
    struct buf *b = &x->text;
    json_open(b, NULL, '{');
    if (line) {
        json_int(b, "v", 1);
        json_cstr(b, "type", "summary");
    }
    summary_fields(b, m);
    json_close(b, '}');
    buf_add_str(b, line ? "\n" : "");
}

/* The summary that this run is the last step of, if there is one. */
static bool one_summary(struct exporter *x, int64_t run, enum export_format f)
{
    struct pool pool = {0};
    struct store_summary m;
    struct err e = {0};
    if (store_summary_of(x->s, run, &pool, &m, &e)) {
        if (f == EXPORT_MD)
            summary_md(x, &m);
        else
            summary_json(x, &m, f == EXPORT_JSONL);
    }
    pool_free(&pool);
    if (e.kind == ERR_NONE || e.kind == ERR_CHECK)
        return true;
    *x->e = e;
    return false;
}

/* ---- CSV (RFC 4180, but lines end in LF) --------------------------------------------- */

static void csv_text(struct buf *b, const char *s, size_t n)
{
    buf_add_byte(b, '"');
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        char c[4];
        i += utf8_decode(s + i, n - i, &cp, NULL);
        if (cp == '"')
            buf_add_byte(b, '"');
        buf_add(b, c, utf8_encode(cp, c));
    }
    buf_add_byte(b, '"');
}

/* A number with '.', whatever the locale; empty if there is none. */
static void csv_number(struct buf *b, double v)
{
    if (isfinite(v))
        json_num(b, NULL, v, 9);
}

static void run_csv(struct exporter *x, const struct store_run *r, const struct store_token *t,
                    size_t n)
{
    struct buf *b = &x->text;
    for (size_t i = 0; i < n; i++) {
        struct buf number = {0};
        buf_printf(b, "%" PRId64 ",%zu,%" PRId32 ",", r->id, i, t[i].id);
        csv_text(b, t[i].text, t[i].n_text);
        csv_number(&number, t[i].logprob);
        buf_printf(b, ",%s,%" PRIu64, buf_str(&number), t[i].ns);
        buf_free(&number);
        for (int k = 0; k < STORE_PARTS; k++)
            buf_printf(b, ",%" PRIu32, t[i].part_us[k]);
        buf_printf(b, ",%" PRIu64 ",%" PRIu32 "\n", t[i].bytes, t[i].zero);
    }
}

static bool run_trace(struct exporter *x, const struct store_run *r, enum store_stage stage,
                      const char *name)
{
    struct pool pool = {0};
    struct store_trace t;
    bool ok = store_trace_get(x->s, r->id, stage, &pool, &t, x->e);
    for (uint32_t row = 0; ok && row < t.n; row++) {
        for (uint32_t i = 0; i < t.layers * t.blocks; i++) {
            size_t at = (size_t)row * t.layers * t.blocks + i;
            if (t.unit[at] == TRACE_NONE)
                continue;
            struct buf number = {0};
            if (t.margin)
                json_num(&number, NULL, t.margin[at], 4);
            buf_printf(&x->text, "%" PRId64 ",%s,%u,%u,%u,%u,%s,%s\n", r->id, name, row,
                       i / t.blocks, i % t.blocks, t.unit[at], buf_str(&number),
                       !t.alive      ? ""
                       : t.alive[at] ? "1"
                                     : "0");
            buf_free(&number);
        }
        ok = x->text.len < 65536 || flush(x);
    }
    pool_free(&pool);
    return ok;
}

/* ---- asciicast ------------------------------------------------------------------------- */

/* [seconds, "o", text]; a terminal wants CR before LF. */
static void cast_event(struct exporter *x, const char *s, size_t n)
{
    struct buf text = {0}, clean = {0};
    add_text(&clean, s, n);
    for (size_t i = 0; i < clean.len; i++) {
        if (clean.data[i] == '\n')
            buf_add_byte(&text, '\r');
        buf_add_byte(&text, clean.data[i]);
    }
    json_open(&x->text, NULL, '[');
    json_num(&x->text, NULL, x->clock, 9);
    json_cstr(&x->text, NULL, "o");
    json_str(&x->text, NULL, buf_str(&text), text.len);
    json_close(&x->text, ']');
    buf_add_byte(&x->text, '\n');
    buf_free(&text);
    buf_free(&clean);
}

/* Tokens may cut a character in two; an event must not. */
static void run_cast(struct exporter *x, const struct store_run *r, const struct store_token *t,
                     size_t n)
{
    struct buf line = {0}, held = {0};
    buf_add_str(&line, "> ");
    buf_add(&line, r->prompt, r->n_prompt);
    buf_add_byte(&line, '\n');
    cast_event(x, line.data, line.len);
    x->clock += (double)r->prefill_ns / 1e9;
    for (size_t i = 0; i < n; i++) {
        x->clock += (double)t[i].ns / 1e9;
        buf_add(&held, t[i].text, t[i].n_text);
        size_t whole = i + 1 == n ? held.len : utf8_complete(buf_str(&held), held.len);
        if (whole)
            cast_event(x, held.data, whole);
        buf_clear(&line);
        buf_add(&line, buf_str(&held) + whole, held.len - whole);
        buf_clear(&held);
        buf_add(&held, buf_str(&line), line.len);
    }
    if (n == 0 && r->n_output)
        cast_event(x, r->output, r->n_output);
    cast_event(x, "\n\n", 2);
    x->clock += CAST_GAP;
    buf_free(&line);
    buf_free(&held);
}

/* ---- whole exports ------------------------------------------------------------------------
 */

static void begin(struct exporter *x, const struct store_session *o, enum export_format f)
{
    struct buf *b = &x->text;
    if (f == EXPORT_MD) {
        buf_add_str(b, "# ");
        add_text(b, o->title, strlen(o->title));
        buf_add_str(b, "\n\n");
    } else if (f == EXPORT_JSON) {
        json_open(b, NULL, '{');
        json_int(b, "v", 1);
        session_fields(b, o);
        json_open(b, "runs", '[');
    } else if (f == EXPORT_JSONL) {
        json_open(b, NULL, '{');
        json_int(b, "v", 1);
        json_cstr(b, "type", "session");
        session_fields(b, o);
        json_close(b, '}');
        buf_add_byte(b, '\n');
    } else if (f == EXPORT_CSV) {
        buf_add_str(b, "run,i,id,text,logprob,ns");
        for (int k = 0; k < STORE_PARTS; k++)
            buf_printf(b, ",%s_us", store_part_name[k]);
        buf_add_str(b, ",bytes,zero\n");
    } else if (f == EXPORT_TRACE) {
        buf_add_str(b, "run,stage,pos,layer,block,unit,margin,alive\n");
    } else {
        json_open(b, NULL, '{');
        json_int(b, "version", 2);
        json_int(b, "width", CAST_COLS);
        json_int(b, "height", CAST_ROWS);
        json_int(b, "timestamp", o->created_ms / 1000);
        json_cstr(b, "title", o->title);
        json_close(b, '}');
        buf_add_byte(b, '\n');
    }
}

static bool one_run(struct exporter *x, const struct store_run *r, enum export_format f)
{
    struct pool pool = {0};
    struct store_token *t = NULL;
    size_t n = 0;
    bool ok =
        f == EXPORT_MD || f == EXPORT_TRACE || store_tokens(x->s, r->id, &pool, &t, &n, x->e);
    if (ok && f == EXPORT_MD)
        run_md(x, r);
    else if (ok && f == EXPORT_JSON)
        run_json(x, r, t, n);
    else if (ok && f == EXPORT_JSONL)
        run_jsonl(x, r, t, n);
    else if (ok && f == EXPORT_CSV)
        run_csv(x, r, t, n);
    else if (ok && f == EXPORT_TRACE)
        ok = run_trace(x, r, STORE_ENC, "enc") && run_trace(x, r, STORE_DEC, "dec");
    else if (ok)
        run_cast(x, r, t, n);
    pool_free(&pool);
    if (ok && (f == EXPORT_MD || f == EXPORT_JSONL))
        ok = one_summary(x, r->id, f);
    return ok;
}

/* The JSON writer keeps its commas by looking at the text before: one flush at the end. */
static bool all_runs(struct exporter *x, const struct store_session *o,
                     const struct store_run *run, size_t n, enum export_format f)
{
    begin(x, o, f);
    for (size_t i = 0; i < n; i++)
        if (!one_run(x, &run[i], f) || (f != EXPORT_JSON && !flush(x)))
            return false;
    if (f == EXPORT_JSON) {
        json_close(&x->text, ']');
        json_open(&x->text, "summaries", '[');
        for (size_t i = 0; i < n; i++)
            if (!one_summary(x, run[i].id, f))
                return false;
        json_close(&x->text, ']');
        json_close(&x->text, '}');
        buf_add_byte(&x->text, '\n');
    }
    if (!flush(x))
        return false;
    return fflush(x->out) == 0 || err_set(x->e, ERR_RESOURCE, "export: %s", strerror(errno));
}

bool export_session(struct store *s, int64_t session, enum export_format f, FILE *out,
                    struct err *e)
{
    struct exporter x = {.s = s, .out = out, .e = e};
    struct pool pool = {0};
    struct store_session o;
    struct store_run *run;
    size_t n;
    bool ok = store_session_get(s, session, &pool, &o, e) &&
              store_run_list(s, session, &pool, &run, &n, e) && all_runs(&x, &o, run, n, f);
    buf_free(&x.text);
    pool_free(&pool);
    return ok;
}

bool export_run(struct store *s, int64_t run, enum export_format f, FILE *out, struct err *e)
{
    struct exporter x = {.s = s, .out = out, .e = e};
    struct pool pool = {0};
    struct store_session o;
    struct store_run r;
    bool ok = store_run_get(s, run, &pool, &r, e) &&
              store_session_get(s, r.session, &pool, &o, e) && all_runs(&x, &o, &r, 1, f);
    buf_free(&x.text);
    pool_free(&pool);
    return ok;
}
