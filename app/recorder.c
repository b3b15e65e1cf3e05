/* SPDX-License-Identifier: MIT */
#include "app/recorder_impl.h"

#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_NS   500000000ull
#define RETRY_MS   60000u
#define MEMORY_CAP (64u << 20)

/* ---- memory ------------------------------------------------------------------------- */

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

void recorder_document(struct recorder *r, const struct recorder_document *d)
{
    if (!r->store || (r->doc && memcmp(r->doc->row.sha256, d->sha256, sizeof d->sha256) == 0))
        return;
    recorder_doc_free(r->doc);
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
    j->doc = run->with_document ? recorder_doc_share(r->doc) : NULL;
    j->apart = run->apart;
    j->model = r->model;
    r->memory += run->n_prompt;
    if (r->last)
        r->last->next = j;
    else
        r->first = j;
    r->last = j;
    if (r->why.kind == ERR_NONE)
        recorder_flush(r);
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
        recorder_flush(r);
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
        size_t cap = j->cap ? j->cap * 2 : RECORDER_BATCH;
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
    } else if (n && j->n && j->n_stored == j->n) {
        j->n_stored--; /* this belongs to the last token, too */
    }
    buf_add(&j->output, text, n);
    limit_memory(r);
    if (j->n - j->n_stored >= RECORDER_BATCH && r->why.kind == ERR_NONE)
        recorder_flush(r);
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
            recorder_flush(r);
        return;
    }
    bool due =
        !r->first || r->first != r->last || r->last->ended || r->last->n_stored < r->last->n;
    if (due && now - r->flushed_at >= BATCH_NS)
        recorder_flush(r);
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
        recorder_flush(r);
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
                          .doc = recorder_doc_share(r->doc)};
    struct summary **place = r->last ? &r->last->summary : &r->summary;
    recorder_summary_free(*place);
    *place = m;
    if (r->why.kind == ERR_NONE)
        recorder_flush(r);
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
        recorder_flush(r);
    bool ok = r->why.kind == ERR_NONE && !r->lost;
    if (r->why.kind != ERR_NONE && e)
        *e = r->why;
    else if (r->lost)
        err_set(e, ERR_STORE, "%s", recorder_trouble(r));
    while (r->first) {
        struct job *j = r->first;
        r->first = j->next;
        recorder_job_free(j);
    }
    recorder_summary_free(r->summary);
    recorder_doc_free(r->doc);
    recorder_doc_free(r->step_doc);
    free(r->step);
    free(r->build);
    free(r->host);
    free(r);
    return ok;
}
