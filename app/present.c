/* SPDX-License-Identifier: MIT */
#include "app/present.h"

#include "app/live.h"
#include "app/setup.h"
#include "engine/base/xalloc.h"
#include "ui/fmt.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMINGS   512 /* tokens of the latency pane */
#define STRIP     48  /* tokens on each side of the scrubbed one */
#define AGREE     12
#define AGE_ROWS  16
#define AGE_NEVER 255
#define SLOW_NS   500000000u /* numbers that nobody reads faster, while a reply is written */

static const char *print(struct app *a, const char *fmt, ...) ERR_PRINTF(2, 3);
static const char *print(struct app *a, const char *fmt, ...)
{
    char text[APP_TEXT * 2];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return pool_str(&a->frame, text);
}

/* Percentiles need a sort, and the store a query. */
static const struct timeline_times *run_times(struct app *a)
{
    bool same_run = a->times.prefill_ns == a->run.prefill_ns && a->times.n <= a->run.n;
    bool fresh = a->times.n == a->run.n || (app_running(a) && a->now < a->times.due);
    if (!same_run || !fresh || a->run.n == 0) {
        timeline_times(&a->run, &a->times.t);
        a->times.n = a->run.n;
        a->times.prefill_ns = a->run.prefill_ns;
        a->times.due = a->now + SLOW_NS;
    }
    return &a->times.t;
}

/* Another process may turn the log off. */
static bool log_on(struct app *a)
{
    if (!a->log.due || a->now >= a->log.due) {
        a->log.on = a->store && store_log_on(a->store);
        a->log.due = a->now + SLOW_NS;
    }
    return a->log.on;
}

/* ---- header ------------------------------------------------------------------------- */

static void header_state(struct app *a, struct vm_header *h)
{
    static const char *const name[] = {"idle", "LOADING", "READING", "PREFILL", "GEN", "idle"};
    h->busy = app_running(a) || a->busy == BUSY_LOADING;
    h->state = name[a->busy];
    if (a->busy == BUSY_DECODE && a->job == JOB_COMPARE) {
        h->state = "COMPARE";
        h->done = a->compare.side[0].run.n;
        h->total = a->compare.total;
    } else if (a->busy == BUSY_DECODE) {
        h->done = a->run.n;
        h->total = setup_max_tokens(a->config, a->shape);
    } else if (!h->busy && (a->play.on || a->shown < a->run.n)) {
        h->state = a->play.on ? print(a, "REPLAY %s", fmt_speed(a->play.speed).s) : "PAUSED";
        h->busy = a->play.on;
        h->done = a->shown;
        h->total = a->run.n;
    }
}

void present_header(struct app *a, struct vm_header *h)
{
    h->session = a->session;
    h->title = *a->title ? a->title : NULL;
    h->tok_s = NAN;
    if (a->shape) {
        h->model = a->shape->name;
        h->layers = a->shape->n_dec;
        h->blocks = terra_config_max_blocks(a->shape);
        h->units = a->shape->ff_block;
        h->dtype = a->dtype;
        h->mode = a->shape->ff_block ? config_text(a->config, CONFIG_MODE) : "dense";
    }
    h->threads = setup_threads(a->config);
    struct terra_sampling s = setup_sampling_summary(a->config, a->args);
    h->has_seed = s.temperature > 0;
    h->seed = s.seed;
    if (a->run_at < a->n_runs) {
        h->run = (uint32_t)a->run_at + 1;
        h->runs = (uint32_t)a->n_runs;
    }
    h->tok_s = run_times(a)->tok_s;
    if (live_banner(a))
        h->saving = "NOT SAVED";
    else if (a->no_log || !config_bool(a->config, CONFIG_LOG) || !log_on(a))
        h->saving = "log off";
    header_state(a, h);
}

/* ---- hints ---------------------------------------------------------------------------- */

static void hint(struct app *a, struct vm_hints *h, const char *key, const char *text)
{
    if (!h->hint)
        h->hint = pool_get(&a->frame, 16, sizeof *h->hint);
    if (h->n < 16)
        ((struct vm_hint *)h->hint)[h->n++] = (struct vm_hint){key, text};
}

static void hints_main(struct app *a, struct vm_hints *h)
{
    if (a->focus == VM_PROMPT) {
        if (!app_running(a)) {
            hint(a, h, "Enter", a->has_document ? "summarize" : "run");
            hint(a, h, "Esc", "leave prompt");
        }
        hint(a, h, "Tab", "panes");
        hint(a, h, "/load", "FILE");
        hint(a, h, "PgUp", "scroll");
        hint(a, h, "M-Enter", "new line");
        hint(a, h, "C-d", "quit");
        return;
    }
    hint(a, h, "h/l", "token");
    hint(a, h, "m", "metric");
    if (a->focus == VM_MAP) {
        hint(a, h, "jk[]", "cell");
        hint(a, h, "f", "find unit");
        hint(a, h, "z", "zoom");
        hint(a, h, "x", "pin");
    }
    hint(a, h, "Tab", "pane");
    hint(a, h, "i", "prompt");
    if (a->focus == VM_MAP)
        hint(a, h, "U", "its tokens");
    hint(a, h, "Space", "play");
    hint(a, h, "c", "compare");
    hint(a, h, "s", "sessions");
    hint(a, h, "4", "inspect");
    hint(a, h, "5", "numbers");
    hint(a, h, "e", "export");
    hint(a, h, "y", "copy");
    hint(a, h, ":", "command");
}

void present_hints(struct app *a, struct vm_hints *h)
{
    if (a->dialog.open || a->help.open) {
        hint(a, h, "Enter", a->help.open ? "run the line" : "choose");
        hint(a, h, "Esc", a->help.open ? "close" : "cancel");
        return;
    }
    if (app_running(a))
        hint(a, h, "Esc", "stop");
    if (a->input != INPUT_PROMPT) {
        hint(a, h, "Enter", a->input == INPUT_COMMAND ? "run" : "done");
        if (a->input == INPUT_COMMAND)
            hint(a, h, "Tab", "complete");
        hint(a, h, "Esc", "cancel");
        return;
    }
    switch (a->view) {
    case VM_COMPARE:
        hint(a, h, "Space", "play");
        hint(a, h, ",/.", "step");
        hint(a, h, "d", "first difference");
        hint(a, h, "B", "choose B");
        hint(a, h, "+/-", "speed");
        hint(a, h, "q", "back");
        break;
    case VM_SESSIONS:
        hint(a, h, "Enter", "open");
        hint(a, h, "r", "replay");
        hint(a, h, "/", "search");
        hint(a, h, "e", "export");
        hint(a, h, "R", "rename");
        hint(a, h, "d", "delete");
        hint(a, h, "u", "undo");
        hint(a, h, "o", "sort");
        hint(a, h, "q", "back");
        break;
    case VM_INSPECT:
        hint(a, h, "h/l", "token");
        hint(a, h, "j/k", "layer");
        hint(a, h, "[ ]", "block");
        hint(a, h, "f", "find unit");
        hint(a, h, "x", "pin");
        hint(a, h, "a", "most alike");
        hint(a, h, "U", "its tokens");
        hint(a, h, "q", "back");
        break;
    case VM_PAGE:
        if (a->page.n_tokens)
            hint(a, h, "Enter", "go to the token");
        hint(a, h, "j/k", a->page.n_tokens ? "choose" : "scroll");
        hint(a, h, "q", "back");
        break;
    default:
        hints_main(a, h);
        break;
    }
}

/* ---- prompt, message --------------------------------------------------------------------- */

static void present_prompt(struct app *a, struct vm_prompt *p)
{
    if (a->edit)
        line_edit_view(a->edit, p);
    p->active = a->input != INPUT_PROMPT || (a->focus == VM_PROMPT && a->view == VM_MAIN);
    if (a->input == INPUT_SEARCH)
        p->active = false; /* drawn in the list */
    if (a->input == INPUT_COMMAND)
        p->placeholder = "command; Tab completes, F1 lists all";
    else if (a->input != INPUT_PROMPT)
        p->placeholder = NULL;
    else if (!a->model)
        p->placeholder = "no model: /model PATH opens one; 3 shows stored sessions";
    else if (app_running(a))
        p->placeholder = "Esc stops; what you type waits here";
    else if (a->has_document)
        p->placeholder = print(a, "Enter summarizes %.60s; or type a text", a->document.name);
    else
        p->placeholder = "type or paste a text, Enter summarizes it; /load FILE reads one";
}

static void present_message(struct app *a, struct vm_message *m)
{
    m->severity = a->severity;
    m->text = a->message;
    m->progress = -1;
    m->banner = live_banner(a);
    /* of several parts each is half read, half written; one chosen of them is no part */
    bool parts = a->job == JOB_SUMMARIZE && a->step.of > 1 && a->step.kind != STORE_SUMMARY;
    if (a->busy == BUSY_PREFILL && (a->total || parts)) {
        double share = a->total ? (double)a->done / (double)a->total : 0;
        m->progress = parts ? (a->step.no - 1 + share / 2) / a->step.of : share;
        m->severity = VM_INFO;
        m->text = parts ? print(a, "reading part %u of %u; Esc stops", a->step.no, a->step.of)
                        : "reading; Esc stops";
    } else if (a->judges) {
        m->progress = (double)a->judged / (double)a->judges;
        m->severity = VM_INFO;
        m->text = "asking parts which of the summaries they support; Esc stops";
    } else if (a->busy == BUSY_DECODE && parts) {
        m->progress = (a->step.no - 0.5) / a->step.of;
    }
}

/* ---- tokens --------------------------------------------------------------------------------
 */

static const char *id_text(struct app *a, int32_t id)
{
    size_t n = 0;
    const char *s = a->vocab && id >= 0 ? terra_token_bytes(a->vocab, id, &n) : "";
    if (id == TERRA_EOS)
        return "<end>";
    return n ? pool_copy(&a->frame, s, n) : print(a, "#%d", id);
}

const char *present_token(struct app *a, const struct timeline *t, size_t i)
{
    const struct timeline_token *k = &t->token[i];
    if (k->len || !a->vocab)
        return pool_copy(&a->frame, buf_str(&t->text) + k->at, k->len);
    return id_text(a, k->id);
}

void present_strip(struct app *a, struct vm_strip *s, int64_t token)
{
    s->p = NAN;
    if (token < 0 || (size_t)token >= a->run.n)
        return;
    size_t at = (size_t)token, first = at > STRIP ? at - STRIP : 0, end = at + STRIP;
    end = end < a->shown ? end : a->shown;
    const char **text = pool_get(&a->frame, STRIP * 2 + 1, sizeof *text);
    for (size_t i = first; i < end; i++)
        text[s->n++] = present_token(a, &a->run, i);
    s->text = text;
    s->first = (int32_t)first;
    s->at = at - first;
    const struct timeline_token *k = &a->run.token[at];
    s->p = exp((double)k->logprob);
    for (uint32_t i = 0; i < k->n_top && i < VM_TOP; i++)
        s->top[s->n_top++] =
            (struct vm_alternative){id_text(a, k->top[i].id), exp((double)k->top[i].logprob)};
}

void present_agree(struct app *a, struct vm_agree *g, int64_t token)
{
    struct choice_rows *r = &a->run.dec;
    g->like = -1;
    g->chance = r->units ? 1.0 / r->units : NAN;
    if (token < 0 || (size_t)token >= r->n)
        return;
    size_t first = token >= AGREE ? (size_t)token - AGREE + 1 : 0;
    int32_t *id = pool_get(&a->frame, AGREE, sizeof *id);
    double *share = pool_get(&a->frame, AGREE, sizeof *share);
    for (size_t i = first; i <= (size_t)token; i++, g->n++) {
        id[g->n] = (int32_t)i;
        share[g->n] = choice_agreement(r, i, (size_t)token);
    }
    g->token = id;
    g->share = share;
    if (a->stat.has_like && a->stat.rows == r && a->stat.token == token) {
        g->like = (int32_t)a->stat.like;
        g->like_share = a->stat.like_share;
        g->like_text = present_token(a, &a->run, a->stat.like);
    }
}

/* ---- map ------------------------------------------------------------------------------------
 */

/* Entropy and its like cost too much for every frame, and change little from one token to the
 * next. */
static void refresh_stat(struct app *a, struct choice_rows *r, int64_t row)
{
    bool running = app_running(a), here = a->stat.token == row;
    bool fresh = here && a->stat.n == r->n && (a->stat.has_like || running);
    bool soon = running && a->now < a->stat.due && (here || a->cursor < 0);
    choice_count_to(r, (size_t)row + 1);
    if (a->stat.rows == r && a->stat.layer && (fresh || soon))
        return;
    a->stat.layer = xrealloc(a->stat.layer, r->layers + 1, sizeof *a->stat.layer);
    for (uint32_t l = 0; l < r->layers; l++) {
        struct choice_stat s;
        choice_layer_stat(r, l, &s);
        a->stat.layer[l] = (struct vm_layer_stat){.entropy = s.entropy,
                                                  .eff = s.eff,
                                                  .zero = s.zero,
                                                  .margin = s.margin,
                                                  .flips = s.flips,
                                                  .unused = s.unused,
                                                  .n = (uint32_t)r->counted,
                                                  .low_n = s.low_n};
    }
    /* the whole run is searched: not while it grows */
    a->stat.has_like = (!running || a->cursor >= 0) &&
                       choice_like(r, (size_t)row, &a->stat.like, &a->stat.like_share);
    a->stat.rows = r;
    a->stat.token = row;
    a->stat.n = r->n;
    a->stat.due = a->now + SLOW_NS;
}

static const uint8_t *ages(struct app *a, const struct choice_rows *r, size_t row)
{
    size_t n = (size_t)r->blocks * r->units, cells = choice_cells(r);
    uint8_t *age = pool_get(&a->frame, n, 1);
    memset(age, AGE_NEVER, n);
    size_t back = row < AGE_ROWS ? row : AGE_ROWS;
    for (size_t k = back + 1; k-- > 0;) /* oldest first: newer ones overwrite */
        for (uint32_t b = 0; b < r->blocks; b++) {
            uint16_t u = r->unit[(row - k) * cells + (size_t)a->layer * r->blocks + b];
            if (u < r->units)
                age[(size_t)b * r->units + u] = (uint8_t)k;
        }
    return age;
}

void present_map(struct app *a, struct vm_map *m, struct choice_rows *r, int64_t row)
{
    char lo[24], hi[24];
    bool decoder = r == &a->run.dec;
    m->zoom = a->zoom;
    m->stage = decoder ? "decoder" : "encoder";
    m->layers = r->layers;
    m->blocks = r->blocks;
    m->units = r->units;
    m->layer = a->layer;
    m->block = a->block;
    m->cursor = a->map_cursor && (a->focus == VM_MAP || a->view == VM_INSPECT);
    m->token = -1;
    m->flips = m->unused_chance = NAN;
    m->chance = r->units ? 1.0 / r->units : NAN;
    enum metric shown = a->metric == METRIC_P ? METRIC_SURPRISE : a->metric;
    m->metric = a->metric == METRIC_P ? "surprise (text: p)" : metric_name[shown];
    metric_ends(r, shown, lo, hi);
    m->lo = pool_str(&a->frame, lo);
    m->hi = pool_str(&a->frame, hi);
    if (row < 0 || !r->n)
        return;
    if ((size_t)row >= r->n)
        row = (int64_t)r->n - 1;
    uint8_t *level = pool_get(&a->frame, choice_cells(r) + 1, 1);
    m->pinned = decoder && a->difference && a->pinned >= 0 && (size_t)a->pinned < r->n;
    if (m->pinned) {
        metric_difference(r, (size_t)row, r, (size_t)a->pinned, level);
        m->metric = print(a, "differs from token %lld", (long long)a->pinned);
        m->lo = "same";
        m->hi = "other";
    } else {
        metric_levels(r, (size_t)row, shown, level);
    }
    m->level = level;
    m->unit = choice_row(r, (size_t)row);
    m->token = (int32_t)row;
    if (decoder && (size_t)row < a->run.n)
        m->text = present_token(a, &a->run, (size_t)row);
    m->live = a->cursor < 0;
    m->flips = choice_flips(r, (size_t)row);
    refresh_stat(a, r, row);
    m->stat = a->stat.layer;
    if (a->layer < r->layers) {
        m->uses = r->count + (size_t)a->layer * r->blocks * r->units;
        m->uses_n = (uint32_t)r->counted;
        m->unused_chance = choice_unused_by_chance(r->units, r->counted);
        if (a->zoom != VM_ZOOM_ALL || a->view == VM_INSPECT)
            m->age = ages(a, r, (size_t)row);
    }
}

/* While a run is written the order of the one before stays: the blocks are the model's. */
static const uint32_t *map_order(struct app *a, const struct choice_rows *r)
{
    struct block_order *o = &a->order;
    if (!a->ordered || !r->n)
        return NULL;
    bool same = o->rows == r && o->layers == r->layers && o->blocks == r->blocks;
    if (!same || (o->n != r->n && !app_running(a)))
        block_order_make(o, r);
    return o->at;
}

/* ---- latency
 * -------------------------------------------------------------------------------------- */

static void present_latency(struct app *a, struct vm_latency *v)
{
    const struct timeline_times t = *run_times(a);
    const struct timeline *run = &a->run;
    v->ms = v->observer = NAN;
    v->p50 = t.p50;
    v->p90 = t.p90;
    v->p99 = t.p99;
    v->ttft_s = t.ttft_s;
    v->prefill_tok_s = t.prefill_tok_s;
    v->decode_tok_s = t.tok_s;
    v->parts = TERRA_PARTS;
    for (int i = 0; i < TERRA_PARTS; i++) {
        v->part[i] = terra_part_name[i];
        v->part_ms[i] = t.part_ms[i];
    }
    int64_t token = app_token(a);
    size_t shown = a->shown;
    if (app_running(a) && a->cursor < 0 && a->map_token < token) {
        token = a->map_token; /* every column of the chart moves: as often as the map */
        shown = (size_t)(token + 1);
    }
    if (shown == 0 || token < 0)
        return;
    size_t first = shown > TIMINGS ? shown - TIMINGS : 0;
    struct vm_timing *timing = pool_get(&a->frame, shown - first, sizeof *timing);
    for (size_t i = first; i < shown; i++, v->n++) {
        timing[v->n].ns = run->token[i].ns;
        memcpy(timing[v->n].part_ns, run->token[i].part_ns, sizeof run->token[i].part_ns);
    }
    v->token = timing;
    v->mark = (size_t)token >= first ? (size_t)token - first : 0;
    const struct timeline_token *k = &run->token[token];
    v->ms = (double)k->ns / 1e6;
    for (int i = 0; i < TERRA_PARTS && a->latency_token; i++)
        v->part_ms[i] = (double)k->part_ns[i] / 1e6;
    if (a->observed_ns && !a->stored)
        v->observer = (double)(a->draw_ns + a->trace_ns) / (double)a->observed_ns;
    v->bytes_token = t.bytes;
    if (t.bytes > 0 && isfinite(t.tok_s))
        v->bandwidth = t.bytes * t.tok_s;
    if (a->bandwidth_peak > 0)
        v->bandwidth_peak = a->bandwidth_peak;
    if (a->model && !a->stored && setup_mode(a->config) == TERRA_SPARSE && a->shape->ff_block)
        v->bytes_dense = (double)a->model_info.bytes_dense + (double)k->cache_bytes;
}

/* ---- everything
 * ------------------------------------------------------------------------------------ */

void present_main(struct app *a)
{
    struct vm_output *o = &a->vm.output;
    o->flow = &a->flow;
    o->view = &a->flow_view;
    o->find = *a->find && a->find_kind == FIND_TEXT ? a->find : NULL;
    o->token = a->cursor >= 0 ? (int32_t)a->cursor : FLOW_NO_TOKEN;
    o->pinned = a->pinned >= 0 ? (int32_t)a->pinned : FLOW_NO_TOKEN;
    o->live = (a->busy == BUSY_DECODE || a->play.on) && a->view == VM_MAIN;
    o->empty =
        a->model ? "Paste a text below and press Enter, or read a file with /load FILE.\n\n"
                   "The summary appears here. Below it: which feed-forward unit the model's "
                   "controller chose in every layer and block for each token, and where the "
                   "time went.\n\nF1 lists all keys."
                 : "No model is open. /model PATH opens one; Esc then 3 shows stored sessions, "
                   "which need none.";
    present_latency(a, &a->vm.latency);
    present_map(a, &a->vm.map, app_rows(a), a->map_token);
    a->vm.map.order = map_order(a, app_rows(a));
    present_strip(a, &a->vm.strip, app_token(a));
    present_agree(a, &a->vm.agree, a->map_token);
}

unsigned present_scope(const struct app *a)
{
    switch (a->view) {
    case VM_COMPARE:
        return IN_COMPARE;
    case VM_SESSIONS:
        return IN_SESSIONS;
    case VM_INSPECT:
        return IN_INSPECT;
    case VM_PAGE:
        return IN_PAGE;
    default:
        return a->focus == VM_PROMPT ? IN_PROMPT : IN_MAIN;
    }
}

static void present_page(struct app *a, struct vm_page *p)
{
    *p = (struct vm_page){.title = a->page.title,
                          .line = a->page.line,
                          .n = a->page.n,
                          .top = a->page.top,
                          .list = a->page.n_tokens > 0,
                          .selected = a->page.n - a->page.n_tokens + a->page.selected};
}

void present(struct app *a)
{
    pool_free(&a->frame);
    struct vm *vm = &a->vm;
    *vm =
        (struct vm){.view = a->view, .focus = a->input == INPUT_PROMPT ? a->focus : VM_PROMPT};
    if (a->input == INPUT_SEARCH)
        vm->focus = VM_OTHER;
    present_header(a, &vm->header);
    present_hints(a, &vm->hints);
    present_prompt(a, &vm->prompt);
    present_message(a, &vm->message);
    if (a->view == VM_MAIN)
        present_main(a);
    else if (a->view == VM_COMPARE)
        present_compare(a);
    else if (a->view == VM_SESSIONS)
        present_sessions(a);
    else if (a->view == VM_INSPECT)
        present_inspect(a);
    else if (a->view == VM_PAGE)
        present_page(a, &vm->page);
    if (a->help.open)
        present_help(a);
    if (a->dialog.open)
        present_dialog(a);
}
