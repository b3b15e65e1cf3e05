/* SPDX-License-Identifier: MIT */
#include "app/recorder.h"

#include "app/recorder_rows.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/json_out.h"
#include "engine/base/xalloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_TOKENS 64u
#define BATCH_NS     500000000ull
#define RETRY_MS     60000u
#define MEMORY_CAP   (64u << 20)

struct doc { /* shared by the runs that read it and their summary */
    size_t refs;
    struct store_document row; /* strings owned */
    int64_t id;                /* 0: not stored */
};

struct summary {
    char *method, *target, *body, *rouge;
    int64_t tok_read, tok_total;
    struct doc *doc;
};

struct job { /* a run that is not completely stored yet */
    struct job *next;
    struct store_run run; /* strings owned */
    bool begun, prefilled, prefill_stored, ended, counted;
    struct doc *doc; /* NULL: it read none */
    uint64_t load_ns, prefill_ns, decode_ns;
    enum store_status status;
    char *error; /* NULL: none */
    struct buf output;
    struct store_token *token; /* text: offset into `output` until written */
    size_t *text_at;           /* [cap] where the token's text begins */
    size_t n, cap, n_stored;
    struct rows dec, enc;
    bool enc_stored;
    const struct terra_model *model;
    struct summary *summary; /* this run wrote its text; NULL: none */
};

struct recorder {
    struct store *store;
    struct recorder *beside; /* whose session this one's runs go into; NULL: its own */
    enum recorder_trace trace;
    char *build, *host;
    uint64_t retry_ns, retry_at, flushed_at;
    const struct terra_model *model, *stored_model;
    int64_t session, model_id, run_id;
    uint32_t opened;          /* of the store, when those ids were its own */
    struct doc *doc;          /* of the runs to come; NULL: none */
    struct job *first, *last; /* the last one may be running */
    int64_t *step;            /* runs of step_doc since its last summary */
    struct doc *step_doc;
    size_t n_steps, cap_steps;
    size_t memory, cap;
    struct summary *summary; /* its runs were stored before it came; NULL: none */
    bool lost;               /* the cap was reached: something is not stored */
    struct err why;          /* of the last failure; kind 0: none */
    char banner[300];
};

/* ---- memory of one run --------------------------------------------------------- */

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

/* Models write NUL bytes too. */
static char *copy_bytes(const char *s, size_t n)
{
    char *p = xmalloc(n + 1);
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

static size_t job_memory(const struct job *j)
{
    return rows_memory(&j->dec) + rows_memory(&j->enc) +
           j->cap * (sizeof *j->token + sizeof *j->text_at) + j->output.cap + j->run.n_prompt;
}

static void doc_free(struct doc *d)
{
    if (!d || --d->refs)
        return;
    free((char *)d->row.name);
    free((char *)d->row.body);
    free(d);
}

static struct doc *doc_share(struct doc *d)
{
    if (d)
        d->refs++;
    return d;
}

static void summary_free(struct summary *s)
{
    if (!s)
        return;
    doc_free(s->doc);
    free(s->method);
    free(s->target);
    free(s->body);
    free(s->rouge);
    free(s);
}

static void job_free(struct job *j)
{
    doc_free(j->doc);
    summary_free(j->summary);
    free((char *)j->run.prompt);
    free((char *)j->run.params);
    free(j->error);
    buf_free(&j->output);
    free(j->token);
    free(j->text_at);
    rows_free(&j->dec);
    rows_free(&j->enc);
    free(j);
}

/* ---- writing ------------------------------------------------------------------------ */

static bool put_model(struct recorder *r, const struct terra_model *m, struct err *e)
{
    if (r->model_id && r->stored_model == m)
        return true;
    struct terra_model_info info;
    const struct terra_config *c = terra_model_config(m);
    terra_model_info(m, &info);
    struct buf text = {0};
    json_open(&text, NULL, '{');
    json_cstr(&text, "name", c->name);
    json_int(&text, "d_model", c->d_model);
    json_int(&text, "d_ff", c->d_ff);
    json_int(&text, "n_encoder_layers", c->n_enc);
    json_int(&text, "n_decoder_layers", c->n_dec);
    json_int(&text, "ff_block", c->ff_block);
    json_int(&text, "blocks", terra_config_max_blocks(c));
    json_int(&text, "parameters", (int64_t)info.parameters);
    json_close(&text, '}');
    struct store_model row = {
        .bytes = info.file_bytes, .path = terra_model_path(m), .config = buf_str(&text)};
    memcpy(row.header_sha256, info.header_sha256, sizeof row.header_sha256);
    int64_t id;
    bool ok = store_model_put(r->store, &row, &id, e);
    buf_free(&text);
    if (ok) {
        r->model_id = id;
        r->stored_model = m;
    }
    return ok;
}

static void flush(struct recorder *r);

static void forget_ids(struct recorder *r)
{
    r->session = r->model_id = r->run_id = 0;
    r->n_steps = 0;
    if (r->doc)
        r->doc->id = 0;
    for (struct job *j = r->first; j; j = j->next) {
        if (j->doc)
            j->doc->id = 0;
        if (j->run.parent > 0)
            j->run.parent = 0;
    }
}

/* Runs never go into a session that was deleted meanwhile, here or by another process. */
static bool have_session(struct recorder *r, struct err *e)
{
    struct recorder *other = r->beside;
    bool alive = false;
    if (other && !other->session && other->first) {
        flush(other);
        if (!other->session)
            return err_set(e, ERR_STORE, "%s", other->why.msg);
    }
    if (other)
        r->session = other->session;
    if (r->session && !store_session_alive(r->store, r->session, &alive, e))
        return false;
    if (alive)
        return true;
    if (r->session) {
        forget_ids(r);
        if (other)
            forget_ids(other);
    }
    /* An id counts once its row is committed: after a full disk it is asked for again. */
    int64_t id;
    if (!store_session_new(r->store, NULL, &id, e))
        return false;
    r->session = id;
    if (other)
        other->session = id;
    return true;
}

static bool put_document(struct recorder *r, struct doc *d, struct err *e)
{
    int64_t id;
    if (!d || d->id)
        return true;
    if (!store_document_put(r->store, &d->row, &id, e))
        return false;
    d->id = id;
    return true;
}

static bool job_begin(struct recorder *r, struct job *j, struct err *e)
{
    if (!have_session(r, e) || !put_model(r, j->model, e) || !put_document(r, j->doc, e))
        return false;
    j->run.session = r->session;
    j->run.model = r->model_id;
    j->run.document = j->doc ? j->doc->id : 0;
    j->run.build = r->build;
    j->run.host = r->host;
    if (j->run.parent == RECORDER_LAST)
        j->run.parent = r->run_id;
    if (!store_run_begin(r->store, &j->run, &j->run.id, e))
        return false;
    j->begun = true;
    r->run_id = j->run.id;
    return true;
}

static struct store_trace trace_of(const struct rows *w, enum store_stage stage, size_t from,
                                   size_t n, uint32_t units)
{
    size_t at = (from - w->base) * w->layers * w->blocks;
    return (struct store_trace){.stage = stage,
                                .pos = (uint32_t)from,
                                .n = (uint32_t)n,
                                .layers = w->layers,
                                .blocks = w->blocks,
                                .units = units,
                                .unit = w->unit + at,
                                .alive = w->alive + at,
                                .margin = w->margin + at};
}

static bool job_append(struct recorder *r, struct job *j, struct err *e)
{
    uint32_t units = terra_model_config(j->model)->ff_block;
    if (!j->enc_stored && j->enc.cap && j->prefilled) {
        for (size_t at = 0; at < j->enc.n; at += BATCH_TOKENS) {
            size_t n = j->enc.n - at < BATCH_TOKENS ? j->enc.n - at : BATCH_TOKENS;
            struct store_trace t = trace_of(&j->enc, STORE_ENC, at, n, units);
            if (!store_run_append(r->store, j->run.id, 0, NULL, 0, &t, 1, e))
                return false;
        }
        j->enc_stored = true;
    }
    while (j->n_stored < j->n) {
        size_t at = j->n_stored;
        size_t n = j->n - at < BATCH_TOKENS ? j->n - at : BATCH_TOKENS;
        for (size_t i = at; i < at + n; i++) {
            size_t end = i + 1 < j->n ? j->text_at[i + 1] : j->output.len;
            j->token[i].text = buf_str(&j->output) + j->text_at[i];
            j->token[i].n_text = end - j->text_at[i];
        }
        struct store_trace t = {0};
        bool traced = j->dec.n >= at + n && at >= j->dec.base;
        if (traced)
            t = trace_of(&j->dec, STORE_DEC, at, n, units);
        if (!store_run_append(r->store, j->run.id, (uint32_t)at, j->token + at, n, &t, traced,
                              e))
            return false;
        j->n_stored += n;
        rows_forget(&j->dec, j->n_stored);
    }
    return true;
}

static bool job_write(struct recorder *r, struct job *j, struct err *e)
{
    if (!j->begun && !job_begin(r, j, e))
        return false;
    if (j->prefilled && !j->prefill_stored) {
        if (!store_run_prefilled(r->store, j->run.id, j->run.n_in, j->run.n_read, j->load_ns,
                                 j->prefill_ns, e))
            return false;
        j->prefill_stored = true;
    }
    if (!job_append(r, j, e))
        return false;
    if (!j->ended)
        return true;
    struct store_run_end end = {.status = j->status,
                                .output = buf_str(&j->output),
                                .n_output = j->output.len,
                                .error = j->error,
                                .decode_ns = j->decode_ns};
    return store_run_end(r->store, j->run.id, &end, e);
}

/* Runs of one document in a row make its summary. */
static void add_step(struct recorder *r, const struct job *j)
{
    if (j->doc != r->step_doc) {
        doc_free(r->step_doc);
        r->step_doc = doc_share(j->doc);
        r->n_steps = 0;
    }
    if (!j->doc)
        return;
    if (r->n_steps == r->cap_steps) {
        r->cap_steps = r->cap_steps ? r->cap_steps * 2 : 16;
        r->step = xrealloc(r->step, r->cap_steps, sizeof *r->step);
    }
    r->step[r->n_steps++] = j->run.id;
}

static bool summary_write(struct recorder *r, struct summary *s, struct err *e)
{
    if (!s || r->n_steps == 0 || !s->doc || !s->doc->id)
        return true; /* nothing ran: a text returned as it is */
    struct store_summary row = {.document = s->doc->id,
                                .run = r->step[r->n_steps - 1],
                                .method = s->method,
                                .target = s->target,
                                .body = s->body,
                                .tok_read = s->tok_read,
                                .tok_total = s->tok_total,
                                .rouge = s->rouge,
                                .created_ms = clock_wall_ms(),
                                .step = r->step,
                                .n_steps = r->n_steps};
    int64_t id;
    if (!store_summary_put(r->store, &row, &id, e))
        return false;
    r->n_steps = 0;
    return true;
}

/* Everything that waits, oldest first; a finished run leaves the list. */
static bool write_all(struct recorder *r, struct err *e)
{
    if (!summary_write(r, r->summary, e))
        return false;
    summary_free(r->summary);
    r->summary = NULL;
    while (r->first) {
        struct job *j = r->first;
        if (!j->counted && !job_write(r, j, e))
            return false;
        if (!j->ended)
            break;
        if (!j->counted)
            add_step(r, j);
        j->counted = true;
        if (!summary_write(r, j->summary, e))
            return false;
        r->first = j->next;
        if (!r->first)
            r->last = NULL;
        r->memory -= job_memory(j) < r->memory ? job_memory(j) : r->memory;
        job_free(j);
    }
    return true;
}

/* What was stored is still in the file that has no name any more. */
static void recall(struct recorder *r, struct job *j)
{
    struct rows *w = &j->dec;
    struct pool p = {0};
    struct store_trace t;
    if (j->begun && w->base) {
        if (store_trace_get(r->store, j->run.id, STORE_DEC, &p, &t, NULL) && t.n >= w->base &&
            t.n_damaged == 0 && t.layers == w->layers && t.blocks == w->blocks && t.alive &&
            t.margin)
            r->memory += rows_recall(w, &t);
        else
            r->lost = true;
    }
    pool_free(&p);
}

/* What waits goes into another file than the one that its ids are of. */
static void begin_anew(struct recorder *r)
{
    forget_ids(r);
    for (struct job *j = r->first; j; j = j->next) {
        j->begun = j->prefill_stored = j->enc_stored = j->counted = false;
        j->n_stored = 0;
        r->lost |= j->dec.base > 0;
    }
    r->opened = store_opened(r->store);
}

/* The file was deleted under us: begin again in a new one. */
static bool start_over(struct recorder *r, struct err *e)
{
    struct store_report report;
    for (struct job *j = r->first; j; j = j->next)
        recall(r, j);
    if (!store_reopen(r->store, &report, e))
        return false;
    begin_anew(r);
    return write_all(r, e);
}

static void flush(struct recorder *r)
{
    struct err e = {0};
    r->flushed_at = clock_ns();
    if (r->opened != store_opened(r->store)) /* by another recorder of this store */
        begin_anew(r);
    bool ok = write_all(r, &e);
    if (!ok && store_trouble(r->store) == STORE_GONE)
        ok = start_over(r, &e);
    if (ok) {
        r->why.kind = ERR_NONE;
        return;
    }
    r->why = e;
    r->retry_at = clock_ns() + r->retry_ns;
    switch (store_trouble(r->store)) {
    case STORE_FULL:
        snprintf(r->banner, sizeof r->banner, "not being saved: disk full");
        break;
    case STORE_BUSY:
        snprintf(r->banner, sizeof r->banner, "not being saved: database locked");
        break;
    default:
        snprintf(r->banner, sizeof r->banner, "not being saved: %s", e.msg);
    }
}

static bool over_cap(const struct recorder *r)
{
    /* The source's choices are complete, and can be written, only when all of it was read. */
    bool reading = r->last && !r->last->prefilled && r->why.kind == ERR_NONE;
    return r->memory - (reading ? rows_memory(&r->last->enc) : 0) > r->cap;
}

/* Over the cap, stored rows go first; then what waits is given up. */
static void limit_memory(struct recorder *r)
{
    for (struct job *j = r->first; j && over_cap(r); j = j->next)
        if (j->enc_stored) {
            r->memory -= rows_memory(&j->enc);
            rows_free(&j->enc);
        }
    if (!over_cap(r))
        return;
    for (struct job *j = r->first; j; j = j->next) {
        r->memory -= rows_memory(&j->dec) + rows_memory(&j->enc);
        r->lost |= j->dec.n > j->n_stored || (j->enc.n && !j->enc_stored);
        size_t n = j->dec.n;
        uint32_t layers = j->dec.layers, blocks = j->dec.blocks;
        rows_free(&j->dec);
        rows_free(&j->enc);
        j->dec = (struct rows){.base = n, .n = n, .layers = layers, .blocks = blocks};
    }
}

/* ---- the interface ------------------------------------------------------------------ */

struct recorder *recorder_open(const struct recorder_opts *o)
{
    struct recorder *r = xcalloc(1, sizeof *r);
    r->store = o->store;
    r->opened = o->store ? store_opened(o->store) : 0;
    r->beside = o->beside;
    r->cap = o->memory ? o->memory : MEMORY_CAP;
    r->model = o->model;
    r->trace = o->trace;
    r->build = copy(o->build ? o->build : "");
    r->host = copy(o->host ? o->host : "");
    r->session = o->session;
    r->retry_ns = (o->retry_ms ? o->retry_ms : RETRY_MS) * 1000000ull;
    return r;
}

void recorder_model(struct recorder *r, const struct terra_model *m)
{
    r->model = m;
}

void recorder_document(struct recorder *r, const struct recorder_document *d)
{
    if (!r->store || (r->doc && memcmp(r->doc->row.sha256, d->sha256, sizeof d->sha256) == 0))
        return;
    doc_free(r->doc);
    r->doc = xcalloc(1, sizeof *r->doc);
    r->doc->refs = 1;
    r->doc->row = (struct store_document){.name = copy(d->name),
                                          .bytes = d->bytes,
                                          .n_tok = d->n_tok,
                                          .fixes = d->fixes,
                                          .n_body = d->n_body};
    memcpy(r->doc->row.sha256, d->sha256, sizeof d->sha256);
    if (d->body)
        r->doc->row.body = copy_bytes(d->body, d->n_body);
}

void recorder_begin(struct recorder *r, const struct recorder_run *run)
{
    if (!r->store)
        return;
    struct job *j = xcalloc(1, sizeof *j);
    j->run = (struct store_run){.parent = run->parent,
                                .pair = run->pair,
                                .chunk = run->chunk,
                                .kind = run->kind,
                                .mode = run->mode,
                                .n_prompt = run->n_prompt,
                                .params = copy(run->params),
                                .seed = run->seed,
                                .n_in = run->n_in,
                                .n_read = run->n_read};
    j->run.prompt = copy_bytes(run->prompt, run->n_prompt);
    j->doc = run->with_document ? doc_share(r->doc) : NULL;
    j->model = r->model;
    r->memory += run->n_prompt;
    if (r->last)
        r->last->next = j;
    else
        r->first = j;
    r->last = j;
    if (r->why.kind == ERR_NONE)
        flush(r);
}

void recorder_choices(struct recorder *r, const struct terra_choices *c)
{
    if (!r->store || r->trace != RECORDER_ALL || c->stage != TERRA_ENCODER || !r->last)
        return;
    struct rows *w = &r->last->enc;
    const struct terra_config *config = terra_model_config(r->last->model);
    if (!w->layers) {
        w->layers = config->n_enc;
        w->blocks = terra_config_max_blocks(config);
    }
    if (c->layer >= w->layers || c->blocks > w->blocks)
        return;
    size_t end = (size_t)c->first_row + c->n_rows;
    r->memory += rows_grow(w, end, true);
    for (uint32_t i = 0; i < c->n_rows; i++) {
        size_t to = ((c->first_row + (size_t)i) * w->layers + c->layer) * w->blocks;
        size_t from = (size_t)i * c->blocks;
        memcpy(w->unit + to, c->unit + from, c->blocks * sizeof *w->unit);
        memcpy(w->alive + to, c->alive + from, c->blocks * sizeof *w->alive);
        memcpy(w->margin + to, c->margin + from, c->blocks * sizeof *w->margin);
    }
    if (end > w->n)
        w->n = end;
    limit_memory(r);
}

void recorder_prefilled(struct recorder *r, uint64_t load_ns, uint64_t prefill_ns)
{
    if (!r->store || !r->last)
        return;
    r->last->prefilled = true;
    r->last->load_ns = load_ns;
    r->last->prefill_ns = prefill_ns;
    if (r->last->enc.cap && r->why.kind == ERR_NONE)
        flush(r);
}

static void add_choices(struct recorder *r, struct job *j, const struct terra_token *t)
{
    struct rows *w = &j->dec;
    if (r->trace == RECORDER_NONE || !t->blocks || !t->unit || r->lost)
        return;
    if (!w->layers) {
        w->layers = t->layers;
        w->blocks = t->blocks;
    }
    if (w->layers != t->layers || w->blocks != t->blocks || w->n != j->n)
        return;
    size_t cells = (size_t)w->layers * w->blocks, at = (w->n - w->base) * cells;
    r->memory += rows_grow(w, w->n + 1, false);
    memcpy(w->unit + at, t->unit, cells * sizeof *w->unit);
    memcpy(w->alive + at, t->alive, cells * sizeof *w->alive);
    memcpy(w->margin + at, t->margin, cells * sizeof *w->margin);
    w->n++;
}

static uint32_t count_zero(const struct terra_token *t)
{
    uint32_t n = 0;
    for (size_t i = 0; t->unit && i < (size_t)t->layers * t->blocks; i++)
        n += t->unit[i] != TERRA_NO_UNIT && !t->alive[i];
    return n;
}

static void add_token(struct recorder *r, struct job *j, const struct terra_token *t)
{
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : BATCH_TOKENS;
        j->token = xrealloc(j->token, cap, sizeof *j->token);
        j->text_at = xrealloc(j->text_at, cap, sizeof *j->text_at);
        r->memory += (cap - j->cap) * (sizeof *j->token + sizeof *j->text_at);
        j->cap = cap;
    }
    struct store_token s = {.id = t->id,
                            .logprob = t->logprob,
                            .ns = t->ns,
                            .bytes = t->weight_bytes + t->cache_bytes,
                            .zero = count_zero(t),
                            .n_top = t->n_top < STORE_TOP ? t->n_top : STORE_TOP};
    for (int p = 0; p < STORE_PARTS; p++)
        s.part_us[p] = (uint32_t)(t->part_ns[p] / 1000);
    for (uint32_t i = 0; i < s.n_top; i++) {
        s.top[i].id = t->top[i].id;
        s.top[i].logprob = t->top[i].logprob;
    }
    j->text_at[j->n] = j->output.len;
    j->token[j->n++] = s;
}

void recorder_token(struct recorder *r, const struct terra_token *t, const char *text, size_t n)
{
    if (!r->store || !r->last || r->last->ended)
        return;
    struct job *j = r->last;
    if (t) {
        add_choices(r, j, t);
        add_token(r, j, t);
    }
    buf_add(&j->output, text, n);
    limit_memory(r);
    if (j->n - j->n_stored >= BATCH_TOKENS && r->why.kind == ERR_NONE)
        flush(r);
    else
        recorder_tick(r);
}

void recorder_tick(struct recorder *r)
{
    if (!r->store || !recorder_waits(r))
        return;
    uint64_t now = clock_ns();
    if (r->why.kind != ERR_NONE) {
        if (now >= r->retry_at)
            flush(r);
        return;
    }
    bool due =
        !r->first || r->first != r->last || r->last->ended || r->last->n_stored < r->last->n;
    if (due && now - r->flushed_at >= BATCH_NS)
        flush(r);
}

void recorder_end(struct recorder *r, enum store_status status, const char *error,
                  uint64_t decode_ns)
{
    if (!r->store || !r->last || r->last->ended)
        return;
    r->last->ended = true;
    r->last->status = status;
    r->last->error = copy(error);
    r->last->decode_ns = decode_ns;
    if (r->why.kind == ERR_NONE)
        flush(r);
}

void recorder_summary(struct recorder *r, const struct recorder_summary *s)
{
    if (!r->store || (!r->first && r->summary))
        return; /* one waits already, and nothing ran since */
    struct summary *m = xcalloc(1, sizeof *m);
    *m = (struct summary){.method = copy(s->method),
                          .target = copy(s->target),
                          .body = copy(s->body),
                          .rouge = copy(s->rouge),
                          .tok_read = s->tok_read,
                          .tok_total = s->tok_total,
                          .doc = doc_share(r->doc)};
    struct summary **place = r->last ? &r->last->summary : &r->summary;
    summary_free(*place);
    *place = m;
    if (r->why.kind == ERR_NONE)
        flush(r);
}

const char *recorder_trouble(const struct recorder *r)
{
    if (r->why.kind != ERR_NONE)
        return r->banner;
    return r->lost ? "not all of this run could be saved: it waited in memory for too long"
                   : NULL;
}

int64_t recorder_session(const struct recorder *r)
{
    return r->session;
}

int64_t recorder_run_id(const struct recorder *r)
{
    return r->last && !r->last->begun ? 0 : r->run_id;
}

bool recorder_saves(const struct recorder *r)
{
    return r->store != NULL;
}

bool recorder_waits(const struct recorder *r)
{
    return r->first || r->summary;
}

bool recorder_close(struct recorder *r, struct err *e)
{
    if (!r)
        return true;
    if (r->store && recorder_waits(r))
        flush(r);
    bool ok = r->why.kind == ERR_NONE && !r->lost;
    if (r->why.kind != ERR_NONE && e)
        *e = r->why;
    else if (r->lost)
        err_set(e, ERR_STORE, "%s", recorder_trouble(r));
    while (r->first) {
        struct job *j = r->first;
        r->first = j->next;
        job_free(j);
    }
    summary_free(r->summary);
    doc_free(r->doc);
    doc_free(r->step_doc);
    free(r->step);
    free(r->build);
    free(r->host);
    free(r);
    return ok;
}
