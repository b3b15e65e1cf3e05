/* One text run two ways: the job, its mail, and what differs.
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/live_impl.h"
#include "app/replay.h"
#include "app/reply.h"
#include "app/setup.h"
#include "app/text_diff.h"
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the control word that a side read: another model may have none of the name. */
static const char *side_style(const struct app *a, const struct terra_model *m)
{
    const char *style = live_style(a), *name = NULL;
    int32_t id;
    return style && setup_style(terra_model_config(m), style, &id, &name, NULL) ? name : NULL;
}

static void compare_recorder(struct app *a, const struct mail *m)
{
    struct app_compare *c = &a->compare;
    if (!a->recorder)
        live_recorder_open(a);
    struct recorder *r = a->recorder;
    if (m->side == 1) {
        struct buf host = {0};
        setup_host(&host);
        struct recorder_opts o = {.store = recorder_saves(r) ? a->store : NULL,
                                  .model = m->step.model,
                                  .trace = setup_trace(a->config),
                                  .build = *a->build ? a->build : "terra " TERRA_VERSION,
                                  .host = buf_str(&host),
                                  .beside = r,
                                  .retry_ms = LIVE_RETRY_MS};
        r = c->recorder = recorder_open(&o);
        buf_free(&host);
    }
    if (m->side == 0)
        c->pair = clock_wall_ms() * 1000 + getpid() % 1000;
    struct buf params = {0};
    struct terra_sampling s = setup_sampling_summary(a->config, a->args);
    s.beams = 1; /* both sides go token by token */
    cli_params(&s, setup_max_tokens(a->config, a->shape), side_style(a, m->step.model), false,
               &params);
    struct recorder_run run = {.kind = STORE_COMPARE,
                               .mode = (enum store_mode)m->step.mode,
                               .prompt = buf_str(&m->text),
                               .n_prompt = m->text.len,
                               .params = buf_str(&params),
                               .seed = s.seed,
                               .n_in = m->step.n_in,
                               .n_read = m->step.n_read,
                               .pair = c->pair,
                               .chunk = -1};
    recorder_begin(r, &run);
    buf_free(&params);
}

static struct recorder *side_recorder(struct app *a, int side)
{
    return side ? a->compare.recorder : a->recorder;
}

static void compare_step(struct app *a, const struct mail *m)
{
    static const char *const mode[] = {"sparse", "masked-dense", "open"};
    struct app_side *s = &a->compare.side[m->side];
    const struct terra_config *c = terra_model_config(m->step.model);
    uint32_t dec[3], enc[3];
    live_decoder_shape(c, dec, enc);
    enc[0] = 0;
    timeline_start(&s->run, dec, enc);
    flow_clear(&s->flow);
    flow_begin(&s->flow, FLOW_REPLY);
    s->view = (struct flow_view){.follow = true};
    s->shown = 0;
    if (m->step.model == a->model)
        snprintf(s->name, sizeof s->name, "%s", c->ff_block ? mode[m->step.mode] : "dense");
    else
        snprintf(s->name, sizeof s->name, "%.40s", c->name);
    if (m->step.n_read < m->step.n_in)
        app_say(a, VM_WARN, "both sides read the first %" PRId64 " of %" PRId64 " tokens",
                m->step.n_read, m->step.n_in);
    a->busy = BUSY_PREFILL;
    compare_recorder(a, m);
}

static void compare_token(struct app *a, const struct mail *m)
{
    struct app_side *s = &a->compare.side[m->side];
    const char *text = buf_str(&m->text);
    if (m->kind == MAIL_TOKEN) {
        timeline_add(&s->run, &m->token, text, m->text.len);
        s->shown = s->run.n;
        flow_add(&s->flow, text, m->text.len, (int32_t)s->run.n - 1, 255);
    } else {
        flow_add(&s->flow, text, m->text.len, FLOW_NO_TOKEN, 255);
    }
    recorder_token(side_recorder(a, m->side), m->kind == MAIL_TOKEN ? &m->token : NULL, text,
                   m->text.len);
}

void live_compare_mail(struct app *a, const struct mail *m)
{
    struct app_side *s = &a->compare.side[m->side];
    switch (m->kind) {
    case MAIL_STEP:
        compare_step(a, m);
        break;
    case MAIL_PREFILLED:
        s->run.prefill_ns = m->prefill.ns;
        s->run.prefill_rows = m->prefill.rows;
        recorder_prefilled(side_recorder(a, m->side), a->load_ns, m->prefill.ns);
        if (m->side)
            a->busy = BUSY_DECODE;
        break;
    case MAIL_TOKEN:
    case MAIL_TEXT:
        compare_token(a, m);
        break;
    case MAIL_STEP_END:
        recorder_end(side_recorder(a, m->side), reply_status((enum generate_stop)m->end.stop),
                     m->err.kind ? m->err.msg : NULL, m->end.decode_ns);
        if (m->side == 0)
            live_follow_session(a);
        if (m->side == 1 && !recorder_waits(a->compare.recorder))
            live_side_recorder_close(a);
        break;
    default:
        break;
    }
}

unsigned live_compare(struct app *a, enum compare_kind kind, const char *model_b)
{
    struct err e = {0};
    struct buf path = {0};
    if (!a->source) {
        app_say(a, VM_WARN, "nothing to compare on yet: type a text or :load FILE first");
        return EFFECT_DRAW;
    }
    if (kind != COMPARE_MODEL && a->shape && !a->shape->ff_block) {
        app_say(a, VM_WARN, "this model is dense: compare it with :compare model:PATH");
        return EFFECT_DRAW;
    }
    if (!compare_first_side(kind, setup_mode(a->config), &e))
        return app_fail(a, &e);
    if (kind == COMPARE_MODEL && !setup_find_model(a->config, model_b, &path, &e)) {
        buf_free(&path);
        return app_fail(a, &e);
    }
    struct job *j = live_job(a, JOB_COMPARE, &e);
    if (!j) {
        buf_free(&path);
        return app_fail(a, &e);
    }
    j->against = kind;
    j->text = xstrndup(a->source, a->n_source);
    j->n_text = a->n_source;
    if (kind == COMPARE_MODEL)
        j->model_b = buf_take(&path);
    buf_free(&path);
    struct app_compare *c = &a->compare;
    for (int i = 0; i < 2; i++) {
        timeline_free(&c->side[i].run);
        flow_clear(&c->side[i].flow);
    }
    live_side_recorder_close(a); /* what waits names its model */
    terra_model_close(c->model_b);
    c->model_b = NULL;
    c->any = c->running = true;
    c->done = false;
    c->kind = kind;
    c->cursor = -1;
    c->play.on = false;
    c->total = j->summarize.max_tokens;
    a->view = VM_COMPARE;
    a->focus = VM_OTHER;
    return live_submit(a, j, BUSY_PREFILL);
}

static void token_label(const struct terra_vocab *v, int32_t id, char *out, size_t size)
{
    size_t n = 0;
    const char *bytes = v && id >= 0 ? terra_token_bytes(v, id, &n) : "";
    if (id == TERRA_EOS)
        snprintf(out, size, "<end>");
    else if (n)
        snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), bytes);
    else
        snprintf(out, size, "#%d", id);
}

/* Shades what one side wrote and the other did not. */
static void mark_differences(struct app_compare *c)
{
    struct app_side *s = c->side;
    bool *marks[2];
    for (int i = 0; i < 2; i++)
        marks[i] = xcalloc(s[i].run.n + 1, sizeof *marks[i]);
    text_diff(&s[0].run, &s[1].run, marks[0], marks[1]);
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < s[i].run.n; k++)
            s[i].run.token[k].differs = marks[i][k];
        for (size_t k = 0; k < s[i].shown; k++)
            flow_set_level(&s[i].flow, (int32_t)k, live_shade_difference(&s[i].run.token[k]));
        free(marks[i]);
    }
}

uint8_t live_shade_difference(const struct timeline_token *t)
{
    return t->differs ? 200 : 255;
}

void live_compare_done(struct app *a, struct job *j)
{
    struct app_compare *c = &a->compare;
    c->running = false;
    c->result = j->compare;
    compare_result_free(&c->result); /* texts and times are in the timelines */
    memset(&j->compare, 0, sizeof j->compare);
    c->done = j->ran;
    c->model_b = j->opened;
    j->opened = NULL;
    const struct terra_vocab *b = c->model_b ? terra_model_vocab(c->model_b) : a->vocab;
    if (c->result.first_diff >= 0) {
        token_label(a->vocab, c->result.diff_id[0], c->diff[0], sizeof c->diff[0]);
        token_label(b, c->result.diff_id[1], c->diff[1], sizeof c->diff[1]);
    }
    mark_differences(c);
    if (a->session && !a->titled && !a->n_runs) /* its runs are of a text, not of a document */
        *a->title = 0;
    replay_list_runs(a);
    live_name_session(a);
    if (c->done && !a->cancelled)
        app_say(a, VM_INFO, "measured alternately; Space plays both at their own speed");
}
