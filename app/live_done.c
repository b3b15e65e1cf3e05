/* A job is done: what it gave goes into the state.
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/live_impl.h"
#include "app/replay.h"
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <inttypes.h>
#include <langinfo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a document that does not fit ------------------------------------------------------- */

static unsigned chosen_method(struct app *a, size_t which)
{
    static const enum summarize_method method[] = {SUMMARIZE_AUTO, SUMMARIZE_MAP_REDUCE,
                                                   SUMMARIZE_REFINE, SUMMARIZE_SINGLE};
    if (which >= sizeof method / sizeof *method || !a->source) {
        app_say(a, VM_INFO, "nothing was run");
        return EFFECT_DRAW;
    }
    return live_run_text(a, a->source, a->n_source, a->source_is_document, method[which], false,
                         method[which] == SUMMARIZE_SINGLE);
}

static void ask_method(struct app *a, const struct job *j)
{
    struct app_dialog *d = &a->dialog;
    uint64_t all = j->plan.tok_total, first = j->plan.tok_first;
    *d = (struct app_dialog){.open = true, .n = 5, .chosen = chosen_method};
    snprintf(d->title, sizeof d->title, "longer than the model reads at once");
    snprintf(d->text, sizeof d->text,
             "%.60s has %" PRIu64 " tokens; this model reads %u at once. Nothing is left out "
             "unless you say so.",
             live_reads_document(a) ? a->document.name : "The text", all,
             j->summarize.max_source);
    const char *key[] = {"c", "m", "r", "t", "Esc"};
    for (size_t i = 0; i < d->n; i++)
        snprintf(d->key[i], sizeof d->key[i], "%s", key[i]);
    snprintf(d->choice[0], sizeof d->choice[0],
             "chunk: %zu parts, then the summary that fits all best", j->plan.n_chunks);
    snprintf(d->choice[1], sizeof d->choice[1],
             "map-reduce: the same parts, then a summary of summaries");
    snprintf(d->choice[2], sizeof d->choice[2], "refine: the parts one after the other");
    snprintf(d->choice[3], sizeof d->choice[3],
             "cut: read only the first %" PRIu64 " tokens (%.0f%%)", first,
             all ? 100.0 * (double)first / (double)all : 0);
    snprintf(d->choice[4], sizeof d->choice[4], "cancel");
}

/* ---- what a job gave ------------------------------------------------------------------- */

static const char *dtype_name(const struct terra_model *m)
{
    static const char *const name[] = {"f32", "bf16", "int8"};
    struct terra_tensor_info t;
    uint64_t bytes[3] = {0};
    for (size_t i = 0; terra_model_tensor(m, i, &t); i++)
        bytes[t.dtype] += t.bytes;
    int best = 0;
    for (int i = 1; i < 3; i++)
        if (bytes[i] > bytes[best])
            best = i;
    return name[best];
}

/* Unless something worse, or about a session, was said meanwhile. */
static void say_opened(struct app *a)
{
    struct terra_machine machine;
    terra_machine_info(&machine);
    char size[24], room[24];
    bool opening = strncmp(a->message, LIVE_OPENING, strlen(LIVE_OPENING)) == 0;
    if (*a->message && a->severity != VM_INFO)
        return;
    if (!a->vocab)
        app_say(a, VM_WARN,
                "%s has no vocabulary: it runs on token ids, with `terra run --ids`",
                a->shape->name);
    else if (machine.available_bytes && a->model_info.file_bytes > machine.available_bytes)
        app_say(a, VM_WARN, "the model is %s, only %s of memory is free: it will be slow",
                cli_bytes(a->model_info.file_bytes, size),
                cli_bytes(machine.available_bytes, room));
    else if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        app_say(a, VM_WARN, "only ASCII can be shown, all else as '?'; try LANG=C.UTF-8");
    else if (opening || !*a->message)
        app_say(a, VM_INFO, "%s: reads %u tokens, writes up to %u", a->shape->name,
                generate_max_source(a->shape), generate_max_target(a->shape));
}

static void model_opened(struct app *a, struct job *j)
{
    live_recorder_close(a); /* what waits names its model; the next run opens one for this */
    terra_model_close(a->model);
    a->model = j->opened;
    j->opened = NULL;
    a->shape = terra_model_config(a->model);
    a->vocab = terra_model_vocab(a->model);
    a->load_ns = clock_ns() - a->busy_since;
    terra_model_info(a->model, &a->model_info);
    snprintf(a->model_path, sizeof a->model_path, "%s", j->path);
    snprintf(a->dtype, sizeof a->dtype, "%s", dtype_name(a->model));
    if (a->input == INPUT_PROMPT)
        live_prompt(a);
    say_opened(a);
    if (*a->after_open) {
        if (a->severity != VM_INFO) /* the document's own messages come next */
            flow_put(&a->flow, FLOW_NOTE, a->message);
        char path[sizeof a->after_open];
        memcpy(path, a->after_open, sizeof path);
        *a->after_open = 0;
        worker_busy(a->worker) ? (void)0 : (void)live_read(a, path);
    }
}

static void document_read_done(struct app *a, struct job *j)
{
    if (!j->has_document)
        return;
    document_free(&a->document);
    a->document = j->document;
    memset(&j->document, 0, sizeof j->document);
    a->has_document = true;
    live_remember_source(a, a->document.text, a->document.n, true);
    a->tok_total = j->planned ? (int64_t)j->plan.tok_total : -1;
    a->tok_read = -1;
    if (!a->titled && !a->n_runs)
        snprintf(a->title, sizeof a->title, "%.200s", a->document.name);
    char fixes[64] = "";
    if (a->document.fixes)
        snprintf(fixes, sizeof fixes, "; %" PRIu64 " malformed bytes replaced",
                 a->document.fixes);
    if (!j->planned)
        app_say(a, VM_INFO, "%.80s: %zu bytes%s", a->document.name, a->document.n, fixes);
    else if (j->plan.n_chunks <= 1)
        app_say(a, VM_INFO,
                "%.80s: %" PRIu64 " tokens, the model reads %u: fits, nothing dropped%s%s",
                a->document.name, j->plan.tok_total, j->summarize.max_source, fixes,
                a->run_after_load ? "" : " - Enter summarizes");
    else
        app_say(a, VM_INFO,
                "%.80s: %" PRIu64 " tokens, the model reads %u at once: %zu parts%s%s",
                a->document.name, j->plan.tok_total, j->summarize.max_source, j->plan.n_chunks,
                fixes, a->run_after_load ? "" : " - Enter asks how");
    if (a->run_after_load && a->model) {
        a->run_after_load = false;
        live_run_document(a);
    }
}

/* Nothing ran: there are no tokens to look at, and no run to go on from. */
static void given_back(struct app *a, const struct buf *text)
{
    live_start_timeline(a);
    buf_add(&a->run.text, buf_str(text), text->len); /* to be copied */
    a->run_id = 0;
    a->run_at = a->n_runs; /* behind the last one */
    free(a->origin.text);
    a->origin.text = NULL;
    live_echo(a, a->source, a->n_source);
    flow_put(&a->flow, FLOW_REPLY, buf_str(text));
    flow_put(&a->flow, FLOW_NOTE, "(as it is: a summary would not be shorter)");
    app_say(a, VM_INFO, "shorter than a summary would be: given back as it is");
}

static void summary_done(struct app *a, struct job *j, bool ok)
{
    if (!j->ran) {
        if (ok)
            ask_method(a, j);
        return;
    }
    const struct summarize_result *r = &j->summary;
    a->tok_total = (int64_t)j->plan.tok_total;
    a->tok_read = (int64_t)(j->plan.as_is ? j->plan.tok_read : r->tok_read);
    if (a->source_is_document && r->n_steps && a->recorder) {
        struct recorder_summary s = {
            .method = summarize_method_name[j->plan.method],
            .target = *config_text(a->config, CONFIG_LENGTH)
                          ? config_text(a->config, CONFIG_LENGTH)
                          : NULL,
            .body = buf_str(&r->text),
            .tok_read = a->tok_read,
            .tok_total = (int64_t)j->plan.tok_total,
        };
        recorder_summary(a->recorder, &s);
    }
    if (j->plan.as_is) {
        given_back(a, &r->text);
        return;
    }
    if (!ok)
        return;
    struct timeline_times t;
    timeline_times(&a->run, &t);
    char saved[64] = "";
    if (a->run_id)
        snprintf(saved, sizeof saved, ", saved as run %" PRId64, a->run_id);
    char missed[64] = "";
    if (!r->length_met)
        snprintf(missed, sizeof missed, "; length %.0f of %.0f wanted", r->length, r->goal);
    double rate = isnan(t.tok_s) ? 0 : t.tok_s;
    app_say(a, r->length_met ? VM_INFO : VM_WARN,
            "read %" PRIu64 " of %" PRIu64 " tokens, wrote %" PRIu64 " (%s), %.*f tok/s%s%s",
            r->tok_read, j->plan.tok_total, r->tokens_out,
            r->stop == GENERATE_END      ? "end"
            : r->stop == GENERATE_LENGTH ? "token limit"
            : r->stop == GENERATE_GOAL   ? "length reached"
                                         : "stopped",
            rate < 100 ? 1 : 0, rate, saved, missed);
}

/* The memory's speed, once, while nobody waits for anything. */
static void measure_when_idle(struct app *a)
{
    if (a->bandwidth_peak != 0 || !a->model || worker_busy(a->worker) || a->run.n == 0)
        return;
    struct err e = {0};
    struct job *j = live_job(a, JOB_BANDWIDTH, &e);
    if (!j)
        return;
    a->bandwidth_peak = -1; /* asked once */
    live_submit(a, j, BUSY_MEASURE);
}

void live_done(struct app *a, const struct mail *m)
{
    struct job *j = worker_finish(a->worker, m);
    bool ok = m->err.kind == ERR_NONE;
    a->busy = BUSY_IDLE;
    a->total = a->judges = 0;
    if (j->kind == JOB_SUMMARIZE || j->kind == JOB_BRANCH)
        a->order.rows = NULL; /* the run is whole, as long as the last or not */
    switch (j->kind) {
    case JOB_OPEN:
        if (ok)
            model_opened(a, j);
        break;
    case JOB_READ:
        if (ok)
            document_read_done(a, j);
        break;
    case JOB_SUMMARIZE:
        summary_done(a, j, ok);
        break;
    case JOB_COMPARE:
        live_compare_done(a, j);
        break;
    case JOB_BRANCH:
        if (ok)
            live_branch_done(a);
        a->branch.on = false;
        break;
    case JOB_LENS:
        if (ok)
            live_lens_done(a, j);
        break;
    case JOB_BANDWIDTH:
        if (ok)
            a->bandwidth_peak = j->bandwidth;
        break;
    }
    if (!ok && (m->err.kind == ERR_CANCELLED || a->cancelled)) {
        app_say(a, VM_INFO, "stopped%s", j->ran ? "; what was written is kept" : "");
    } else if (!ok && j->kind != JOB_BANDWIDTH) {
        if (j->ran && j->kind == JOB_SUMMARIZE)
            flow_put(&a->flow, FLOW_ERROR, m->err.msg);
        else if (j->kind == JOB_SUMMARIZE && !a->source_is_document && a->edit &&
                 a->input == INPUT_PROMPT && line_edit_empty(a->edit))
            line_edit_set(a->edit, a->source); /* to be mended */
        app_fail(a, &m->err);
    }
    job_free(j);
    if (a->waiting) {
        j = a->waiting;
        a->waiting = NULL;
        live_submit(a, j, a->waiting_busy);
    }
    measure_when_idle(a);
}
