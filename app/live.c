/* SPDX-License-Identifier: MIT */
#include "app/live.h"

#include "app/about.h"
#include "app/cli.h"
#include "app/live_impl.h"
#include "app/replay.h"
#include "app/reply.h"
#include "app/setup.h"
#include "engine/base/clock.h"
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"

#include <inttypes.h>
#include <langinfo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ECHO_MAX 1200 /* bytes of a prompt repeated above its reply */

/* ---- jobs ----------------------------------------------------------------------------- */

const char *live_style(const struct app *a)
{
    int32_t id;
    const char *name = NULL;
    if (!a->shape ||
        !setup_style(a->shape, config_text(a->config, CONFIG_STYLE), &id, &name, NULL))
        return NULL;
    return name;
}

void live_prompt(struct app *a)
{
    const char *style = live_style(a);
    char prompt[40];
    snprintf(prompt, sizeof prompt, "%.30s> ", style ? style : "prompt");
    if (a->edit)
        line_edit_prompt(a->edit, prompt);
}

static bool fill_summarize(struct app *a, struct summarize_opts *o, struct err *e)
{
    const char *name;
    o->style = -1;
    o->config = a->shape;
    o->vocab = a->vocab;
    o->max_source = generate_max_source(a->shape);
    o->chunk = (uint32_t)config_int(a->config, CONFIG_CHUNK);
    o->overlap = (uint32_t)config_int(a->config, CONFIG_OVERLAP);
    o->sampling = setup_sampling_summary(a->config, a->args);
    o->max_tokens = setup_max_tokens(a->config, a->shape);
    uint32_t most = generate_max_target(a->shape);
    if (o->max_tokens > most)
        o->max_tokens = most;
    summarize_method_parse(config_text(a->config, CONFIG_METHOD), &o->method);
    if (!setup_style(a->shape, config_text(a->config, CONFIG_STYLE), &o->style, &name, e))
        return false;
    return summarize_length_parse(config_text(a->config, CONFIG_LENGTH), &o->length, e);
}

bool live_settings_fit(struct app *a, struct err *e)
{
    struct summarize_opts o = {0};
    struct summarize_plan plan;
    if (!summarize_length_parse(config_text(a->config, CONFIG_LENGTH), &o.length, e))
        return false;
    if (!a->vocab)
        return true;
    if (!fill_summarize(a, &o, e))
        return false;
    if (o.method == SUMMARIZE_AUTO || o.method == SUMMARIZE_SINGLE)
        o.method = SUMMARIZE_MAP_REDUCE; /* chunks, whatever the text */
    if (!summarize_plan(&o, "x", 1, &plan, e))
        return false;
    summarize_plan_free(&plan);
    return true;
}

struct job *live_job(struct app *a, enum job_kind kind, struct err *e)
{
    if (worker_busy(a->worker) && (a->busy != BUSY_MEASURE || a->waiting)) {
        err_set(e, ERR_CHECK, "something is still running; Esc stops it");
        return NULL;
    }
    if (kind != JOB_OPEN && kind != JOB_BANDWIDTH && kind != JOB_READ && !a->model) {
        err_set(e, ERR_MODEL, "no model is open; :model PATH opens one");
        return NULL;
    }
    struct job *j = job_new(kind);
    j->model = a->model;
    j->mode = setup_mode(a->config);
    j->threads = setup_threads(a->config);
    j->max_bytes = (uint64_t)config_int(a->config, CONFIG_MAX_DOCUMENT);
    j->encoder_too = true;
    if (a->model && kind != JOB_OPEN && kind != JOB_BANDWIDTH &&
        !fill_summarize(a, &j->summarize, e) && kind != JOB_READ) {
        job_free(j);
        return NULL;
    }
    return j;
}

unsigned live_submit(struct app *a, struct job *j, enum app_busy busy)
{
    if (worker_busy(a->worker)) { /* with the memory's speed: it takes a moment */
        a->waiting = j;
        a->waiting_busy = busy;
        return EFFECT_DRAW;
    }
    a->job = j->kind;
    a->busy = busy;
    a->busy_since = a->now;
    a->done = a->total = 0;
    a->cancelled = false;
    worker_submit(a->worker, j);
    return EFFECT_DRAW;
}

unsigned live_open_model(struct app *a, const char *path)
{
    struct err e = {0};
    struct buf found = {0};
    unsigned effect = EFFECT_DRAW;
    if (!setup_find_model(a->config, path, &found, &e)) {
        effect = app_fail(a, &e);
    } else {
        struct job *j = live_job(a, JOB_OPEN, &e);
        if (j) {
            j->path = xstrdup(buf_str(&found));
            app_say(a, VM_INFO, LIVE_OPENING "%s", j->path);
            effect = live_submit(a, j, BUSY_LOADING);
        } else {
            effect = app_fail(a, &e);
        }
    }
    buf_free(&found);
    return effect;
}

unsigned live_read(struct app *a, const char *path)
{
    struct err e = {0};
    struct job *j = live_job(a, JOB_READ, &e);
    if (!j)
        return app_fail(a, &e);
    j->path = xstrdup(path);
    app_say(a, VM_INFO, "reading %s; Esc stops", path);
    return live_submit(a, j, BUSY_READING);
}

void live_remember_source(struct app *a, const char *text, size_t n, bool document)
{
    if (text == a->source)
        return;
    free(a->source);
    a->source = xstrndup(text, n);
    a->n_source = n;
    a->source_is_document = document;
}

unsigned live_run_text(struct app *a, const char *text, size_t n, bool document,
                       enum summarize_method method, bool ask, bool cut)
{
    struct err e = {0};
    struct job *j = live_job(a, JOB_SUMMARIZE, &e);
    if (!j)
        return app_fail(a, &e);
    live_remember_source(a, text, n, document);
    j->text = xstrndup(a->source, a->n_source);
    j->n_text = a->n_source;
    j->ask = ask && j->summarize.method == SUMMARIZE_AUTO;
    j->summarize.allow_truncate = cut;
    if (method != SUMMARIZE_AUTO)
        j->summarize.method = method;
    return live_submit(a, j, BUSY_READING);
}

unsigned live_run_document(struct app *a)
{
    if (!a->has_document) {
        app_say(a, VM_WARN, "no document; :load FILE reads one, or type a text");
        return EFFECT_DRAW;
    }
    return live_run_text(a, a->document.text, a->document.n, true, SUMMARIZE_AUTO, true, false);
}

unsigned live_run_prompt(struct app *a, const char *text, size_t n)
{
    return live_run_text(a, text, n, false, SUMMARIZE_AUTO, true, false);
}

unsigned live_again(struct app *a)
{
    if (!a->source) {
        app_say(a, VM_WARN, "nothing was run yet");
        return EFFECT_DRAW;
    }
    return live_run_text(a, a->source, a->n_source, a->source_is_document, SUMMARIZE_AUTO, true,
                         false);
}

unsigned live_cancel(struct app *a)
{
    if (!worker_busy(a->worker))
        return EFFECT_NONE;
    a->cancelled = true;
    worker_cancel(a->worker);
    app_say(a, VM_INFO, "stopping");
    return EFFECT_DRAW;
}

/* ---- mail: a run ----------------------------------------------------------------------------
 */

uint8_t live_shade(const struct app *a, const struct timeline_token *t)
{
    if (a->metric != METRIC_P || isnan(t->logprob))
        return 255;
    return (uint8_t)(254 * (1 - exp((double)t->logprob)) + 0.5);
}

void live_flow_token(struct app *a, size_t i)
{
    const struct timeline_token *t = &a->run.token[i];
    flow_add(&a->flow, buf_str(&a->run.text) + t->at, t->len, (int32_t)i, live_shade(a, t));
}

void live_decoder_shape(const struct terra_config *c, uint32_t dec[3], uint32_t enc[3])
{
    uint32_t d = 0, e = 0;
    for (uint32_t i = 0; i < c->n_enc + c->n_dec; i++) {
        uint32_t *max = i < c->n_enc ? &e : &d, k = terra_config_blocks(c, i);
        *max = k > *max ? k : *max;
    }
    /* tokens carry the model's widest layer */
    dec[0] = c->n_dec;
    dec[1] = d ? terra_config_max_blocks(c) : 0;
    dec[2] = c->ff_block;
    enc[0] = c->n_enc;
    enc[1] = e;
    enc[2] = c->ff_block;
}

void live_start_timeline(struct app *a)
{
    uint32_t dec[3], enc[3];
    live_decoder_shape(a->shape, dec, enc);
    timeline_start(&a->run, dec, enc);
    a->stat.rows = NULL;
    a->shown = 0;
    a->stored = false;
    a->cursor = a->pinned = -1;
    a->map_token = -1;
    a->play.on = false;
    if (a->layer >= dec[0])
        a->layer = 0;
    if (a->block >= dec[1])
        a->block = 0;
}

void live_echo(struct app *a, const char *text, size_t n_text)
{
    char line[64];
    size_t n = n_text > ECHO_MAX ? utf8_complete(text, ECHO_MAX) : n_text;
    flow_begin(&a->flow, FLOW_USER);
    flow_add(&a->flow, text, n, FLOW_NO_TOKEN, 255);
    if (n < n_text) {
        snprintf(line, sizeof line, "... (%zu bytes in all)", n_text);
        flow_put(&a->flow, FLOW_NOTE, line);
    }
}

static void echo_source(struct app *a, const struct mail *m)
{
    char line[ABOUT_TEXT];
    const struct mail_step *p = &m->step;
    if (p->of > 1 || p->kind != STORE_SUMMARY) {
        about_part((enum store_kind)p->kind, p->no, p->of, p->n_in, line);
        flow_put(&a->flow, FLOW_NOTE, line);
    } else if (live_reads_document(a)) {
        about_document(a->document.name, p->n_read, p->n_in, live_style(a), line);
        flow_put(&a->flow, FLOW_DOCUMENT, line);
    } else {
        live_echo(a, a->source, a->n_source);
        if (p->n_read < p->n_in)
            flow_put(&a->flow, FLOW_NOTE, about_tokens(p->n_read, p->n_in, line));
    }
}

void live_name_session(struct app *a)
{
    if (!*a->title && a->session && a->store)
        replay_take_title(a);
}

static void begin_recording(struct app *a, const struct mail *m)
{
    if (m->step.build)
        snprintf(a->build, sizeof a->build, "%s", m->step.build);
    if (!a->recorder)
        live_recorder_open(a);
    bool document = live_reads_document(a);
    if (!a->titled && !a->n_runs) /* after what it reads first */
        snprintf(a->title, sizeof a->title, "%.200s", document ? a->document.name : "");
    if (document && m->step.no <= 1 && m->step.kind != STORE_REDUCE) {
        const struct document *d = &a->document;
        struct recorder_document rd = {.name = d->name,
                                       .body = d->text,
                                       .n_body = d->n,
                                       .bytes = d->bytes,
                                       .fixes = d->fixes,
                                       .n_tok = a->tok_total};
        memcpy(rd.sha256, d->sha256, sizeof rd.sha256);
        recorder_document(a->recorder, &rd);
    }
    struct buf params = {0};
    struct terra_sampling s = setup_sampling_summary(a->config, a->args);
    cli_params(&s, setup_max_tokens(a->config, a->shape),
               a->branch.on ? a->origin.style : live_style(a), false, &params);
    if (a->branch.on)
        live_branch_params(a, &params);
    bool chat = m->step.kind == STORE_SUMMARY && !document;
    struct recorder_run run = {
        .kind = chat && !a->branch.on ? STORE_CHAT : (enum store_kind)m->step.kind,
        .mode = (enum store_mode)setup_mode(a->config),
        .prompt = buf_str(&m->text),
        .n_prompt = m->text.len,
        .params = buf_str(&params),
        .seed = s.seed,
        .n_in = a->origin.n_in,
        .n_read = a->origin.n_read,
        .parent = a->branch.on ? a->branch.parent : 0,
        .chunk = m->step.kind == STORE_SUMMARY && m->step.of <= 1 ? -1 : (int32_t)m->step.no,
        .with_document = document,
        .apart = a->branch.on,
    };
    recorder_begin(a->recorder, &run);
    live_follow_session(a);
    live_name_session(a);
    buf_free(&params);
}

static void on_step(struct app *a, const struct mail *m)
{
    a->step.kind = (enum store_kind)m->step.kind;
    a->step.no = m->step.no;
    a->step.of = m->step.of;
    a->busy = BUSY_PREFILL;
    a->busy_since = a->now;
    a->done = a->total = a->judges = 0;
    live_start_timeline(a);
    live_origin_begin(a, m);
    if (!a->branch.on && m->step.no <= 1)
        a->tok_read = -1; /* until it is known */
    if (a->branch.on)
        live_branch_note(a);
    else
        echo_source(a, m);
    flow_begin(&a->flow, FLOW_REPLY);
    begin_recording(a, m);
    a->branch.on = false;
    if (a->step.of > 1 && a->step.kind == STORE_SUMMARY)
        app_say(a, VM_INFO, "chosen of %u: part %u", a->step.of, a->step.no);
    else if (a->step.of > 1)
        app_say(a, VM_INFO, "part %u of %u", a->step.no, a->step.of);
    else
        *a->message = 0;
}

static void on_prefilled(struct app *a, const struct mail *m)
{
    a->busy = BUSY_DECODE;
    a->busy_since = a->now;
    a->run.prefill_ns = m->prefill.ns;
    a->run.prefill_rows = m->prefill.rows;
    recorder_prefilled(a->recorder, a->load_ns, m->prefill.ns);
}

static void on_token(struct app *a, const struct mail *m)
{
    timeline_add(&a->run, &m->token, buf_str(&m->text), m->text.len);
    a->shown = a->run.n;
    a->observed_ns += m->token.ns;
    live_flow_token(a, a->run.n - 1);
    recorder_token(a->recorder, &m->token, buf_str(&m->text), m->text.len);
}

static void on_text(struct app *a, const struct mail *m)
{
    flow_add(&a->flow, buf_str(&m->text), m->text.len, FLOW_NO_TOKEN, 255);
    recorder_token(a->recorder, NULL, buf_str(&m->text), m->text.len);
}

static void on_step_end(struct app *a, const struct mail *m)
{
    recorder_end(a->recorder, reply_status((enum generate_stop)m->end.stop),
                 m->err.kind ? m->err.msg : NULL, m->end.decode_ns);
    live_follow_session(a);
    live_name_session(a); /* the store may have had to wait */
    int64_t id = recorder_run_id(a->recorder);
    if (id && (a->n_runs == 0 || a->runs[a->n_runs - 1] != id)) {
        a->runs = xrealloc(a->runs, a->n_runs + 1, sizeof *a->runs);
        a->runs[a->n_runs++] = id;
    }
    a->run_at = a->n_runs ? a->n_runs - 1 : 0;
    a->run_id = id;
    a->origin.status = reply_status((enum generate_stop)m->end.stop);
}

/* ---- mail ------------------------------------------------------------------------------- */

unsigned live_mail(struct app *a)
{
    size_t n;
    struct mail *m = mailbox_take(worker_mailbox(a->worker), &n);
    for (size_t i = 0; i < n; i++, m++) {
        bool compare =
            a->job == JOB_COMPARE && m->kind != MAIL_DONE && m->kind != MAIL_PROGRESS;
        if (compare) {
            live_compare_mail(a, m);
            continue;
        }
        switch (m->kind) {
        case MAIL_PROGRESS:
            a->done = m->done;
            a->total = m->total;
            break;
        case MAIL_JUDGE:
            a->judged = m->done;
            a->judges = m->total;
            break;
        case MAIL_STEP:
            on_step(a, m);
            break;
        case MAIL_PREFILLED:
            on_prefilled(a, m);
            break;
        case MAIL_CHOICES:
            choice_rows_put(&a->run.enc, m->choices.layer, m->choices.first_row,
                            m->choices.n_rows, m->choices.blocks, m->choices.unit,
                            m->choices.margin, m->choices.alive);
            recorder_choices(a->recorder, &m->choices);
            break;
        case MAIL_TOKEN:
            on_token(a, m);
            break;
        case MAIL_TEXT:
            on_text(a, m);
            break;
        case MAIL_STEP_END:
            on_step_end(a, m);
            break;
        case MAIL_DONE:
            live_done(a, m);
            break;
        }
    }
    return n ? EFFECT_DRAW : EFFECT_NONE;
}
