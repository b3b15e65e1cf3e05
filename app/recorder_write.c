/* From memory into the store: jobs, documents, summaries.
 * SPDX-License-Identifier: MIT */
#include "app/recorder_impl.h"

#include "engine/base/clock.h"
#include "engine/base/json_out.h"
#include "engine/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory of one run --------------------------------------------------------- */

size_t recorder_job_memory(const struct job *j)
{
    return rows_memory(&j->dec) + rows_memory(&j->enc) +
           j->cap * (sizeof *j->token + sizeof *j->text_at) + j->output.cap + j->run.n_prompt;
}

void recorder_doc_free(struct doc *d)
{
    if (!d || --d->refs)
        return;
    free((char *)d->row.name);
    free((char *)d->row.body);
    free(d);
}

struct doc *recorder_doc_share(struct doc *d)
{
    if (d)
        d->refs++;
    return d;
}

void recorder_summary_free(struct summary *s)
{
    if (!s)
        return;
    recorder_doc_free(s->doc);
    free(s->method);
    free(s->target);
    free(s->body);
    free(s->rouge);
    free(s);
}

void recorder_job_free(struct job *j)
{
    recorder_doc_free(j->doc);
    recorder_summary_free(j->summary);
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
        recorder_flush(other);
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
        for (size_t at = 0; at < j->enc.n; at += RECORDER_BATCH) {
            size_t n = j->enc.n - at < RECORDER_BATCH ? j->enc.n - at : RECORDER_BATCH;
            struct store_trace t = trace_of(&j->enc, STORE_ENC, at, n, units);
            if (!store_run_append(r->store, j->run.id, 0, NULL, 0, &t, 1, e))
                return false;
        }
        j->enc_stored = true;
    }
    while (j->n_stored < j->n) {
        size_t at = j->n_stored;
        size_t n = j->n - at < RECORDER_BATCH ? j->n - at : RECORDER_BATCH;
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
    if (j->apart)
        return;
    if (j->doc != r->step_doc) {
        recorder_doc_free(r->step_doc);
        r->step_doc = recorder_doc_share(j->doc);
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
    recorder_summary_free(r->summary);
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
        r->memory -= recorder_job_memory(j) < r->memory ? recorder_job_memory(j) : r->memory;
        recorder_job_free(j);
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

void recorder_flush(struct recorder *r)
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
