/* SPDX-License-Identifier: MIT */
#include "app/replay.h"

#include "app/about.h"
#include "app/live.h"
#include "data/run_branch.h"
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"
#include "ui/fmt.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOWEST (1.0 / 4096)
#define FASTEST 64.0
#define BLINK_S 1.0 /* nobody sees what is over sooner */
#define WATCH_S 2.8 /* at least, once it is made slow enough */

/* ---- from the store ------------------------------------------------------------------- */

static void load_rows(struct choice_rows *rows, const struct store_trace *t)
{
    size_t cells = (size_t)t->layers * t->blocks;
    for (uint32_t i = 0; i < t->n; i++)
        choice_rows_add(rows, t->unit + i * cells, t->margin ? t->margin + i * cells : NULL,
                        t->alive ? t->alive + i * cells : NULL);
}

static void load_tokens(struct timeline *run, const struct store_token *t, size_t n)
{
    static const enum terra_part part[STORE_PARTS] = {
        TERRA_PART_CTL,  TERRA_PART_FF,     TERRA_PART_QKV,  TERRA_PART_ATT,
        TERRA_PART_HEAD, TERRA_PART_SAMPLE, TERRA_PART_OTHER};
    for (size_t i = 0; i < n; i++) {
        struct timeline_token k = {.id = t[i].id,
                                   .logprob = t[i].logprob,
                                   .ns = t[i].ns,
                                   .weight_bytes = t[i].bytes,
                                   .n_top = t[i].n_top < TERRA_TOP ? t[i].n_top : TERRA_TOP};
        for (int p = 0; p < STORE_PARTS; p++)
            k.part_ns[part[p]] = (uint64_t)t[i].part_us[p] * 1000;
        for (uint32_t j = 0; j < k.n_top; j++) {
            k.top[j].id = t[i].top[j].id;
            k.top[j].logprob = t[i].top[j].logprob;
        }
        timeline_add_bare(run, &k, t[i].text, t[i].n_text);
    }
}

static bool load_run(struct app *a, const struct store_run *r, struct pool *p, struct err *e)
{
    struct store_token *t;
    struct store_trace dec = {0}, enc = {0};
    size_t n;
    if (!store_tokens(a->store, r->id, p, &t, &n, e) ||
        !store_trace_get(a->store, r->id, STORE_DEC, p, &dec, e) ||
        !store_trace_get(a->store, r->id, STORE_ENC, p, &enc, e))
        return false;
    uint32_t d[3] = {0}, s[3] = {0};
    if (dec.n)
        memcpy(d, (uint32_t[]){dec.layers, dec.blocks, dec.units}, sizeof d);
    if (enc.n)
        memcpy(s, (uint32_t[]){enc.layers, enc.blocks, enc.units}, sizeof s);
    timeline_start(&a->run, d, s);
    a->stat.rows = NULL;
    a->order.rows = NULL;
    a->run.prefill_ns = r->prefill_ns;
    a->run.prefill_rows = r->n_read > 0 ? (uint64_t)r->n_read : 0;
    load_tokens(&a->run, t, n);
    load_rows(&a->run.dec, &dec);
    load_rows(&a->run.enc, &enc);
    a->shown = a->run.n;
    a->stored = true;
    a->cursor = a->pinned = -1;
    a->map_token = -1;
    a->play.on = false;
    a->run_id = r->id;
    a->tok_read = r->n_read;
    a->tok_total = r->n_in;
    if (a->layer >= d[0])
        a->layer = 0;
    if (a->block >= d[1])
        a->block = 0;
    if (dec.n_damaged)
        app_say(a, VM_WARN, "%u rows of this run's trace are damaged and left blank",
                dec.n_damaged);
    return true;
}

/* ---- text ---------------------------------------------------------------------------------
 */

/* The line of a branch; false if it is none. */
static bool branch_line(const struct store_run *r, char line[ABOUT_TEXT])
{
    struct run_branch b;
    if (!run_branch(r->params, &b))
        return false;
    struct generate_pin pin = {b.layer, b.block, (uint16_t)b.unit, b.after};
    about_branch(
        &(struct about_branch){
            .after = b.after, .pin = b.pinned ? &pin : NULL, .was = b.was, .kept = b.kept},
        line);
    return true;
}

static const char *model_name(struct app *a, int64_t id, struct pool *p)
{
    struct store_model m;
    if (!store_model_get(a->store, id, p, &m, NULL))
        return "a model that is gone";
    const char *slash = strrchr(m.path, '/');
    return slash && slash[1] ? slash + 1 : m.path;
}

/* Both sides of a compare read the same text: it stands above the first. */
static void echo_side(struct app *a, const struct store_run *r, const struct store_run *list,
                      size_t n, struct pool *p)
{
    char line[ABOUT_TEXT], how[80] = "";
    bool b = false, models = false;
    for (size_t i = 0; i < n; i++)
        if (r->pair && list[i].pair == r->pair) {
            b |= list[i].id < r->id;
            models |= list[i].model != r->model;
        }
    if (!b)
        live_echo(a, r->prompt, r->n_prompt);
    if (r->n_read < r->n_in)
        snprintf(how, sizeof how, ", the first %" PRId64 " of %" PRId64 " tokens", r->n_read,
                 r->n_in);
    snprintf(line, sizeof line, "compare, side %c: %.100s%s", b ? 'B' : 'A',
             models ? model_name(a, r->model, p) : store_mode_name[r->mode], how);
    flow_put(&a->flow, FLOW_NOTE, line);
}

/* What stood above the reply when it was written. */
static void echo_prompt(struct app *a, const struct store_run *r, const struct store_run *list,
                        size_t n)
{
    struct pool p = {0};
    struct store_document d;
    char line[ABOUT_TEXT];
    if (r->kind == STORE_COMPARE) {
        echo_side(a, r, list, n, &p);
    } else if (branch_line(r, line)) {
        flow_put(&a->flow, FLOW_NOTE, line);
    } else if (r->chunk >= 0) {
        about_part(r->kind, (uint32_t)r->chunk, 0, r->n_in, line);
        flow_put(&a->flow, FLOW_NOTE, line);
    } else if (r->document && store_document_get(a->store, r->document, false, &p, &d, NULL)) {
        about_document(d.name ? d.name : "document", r->n_read, r->n_in,
                       store_param_text(r->params, "style", &p), line);
        flow_put(&a->flow, FLOW_DOCUMENT, line);
    } else {
        live_echo(a, r->prompt, r->n_prompt);
        if (r->n_read < r->n_in)
            flow_put(&a->flow, FLOW_NOTE, about_tokens(r->n_read, r->n_in, line));
    }
    pool_free(&p);
}

static void note_status(struct app *a, const struct store_run *r)
{
    char line[APP_TEXT];
    if (r->status == STORE_INTERRUPTED)
        snprintf(line, sizeof line, "(interrupted, kept %" PRId64 " tokens)", r->n_out);
    else if (r->status == STORE_CANCELLED)
        snprintf(line, sizeof line, "(stopped after %" PRId64 " tokens)", r->n_out);
    else if (r->status == STORE_ERROR)
        snprintf(line, sizeof line, "(%.200s)", r->error ? r->error : "error");
    else
        return;
    flow_put(&a->flow, r->status == STORE_ERROR ? FLOW_ERROR : FLOW_NOTE, line);
}

/* Run i of the session's. */
static void add_run_text(struct app *a, const struct store_run *list, size_t n, size_t i)
{
    const struct store_run *r = &list[i];
    bool tokens = r->id == a->run_id;
    echo_prompt(a, r, list, n);
    flow_begin(&a->flow, FLOW_REPLY);
    if (tokens)
        for (size_t k = 0; k < a->shown; k++)
            live_flow_token(a, k);
    else
        flow_add(&a->flow, r->output, r->n_output, FLOW_NO_TOKEN, 255);
    if (!tokens || a->shown == a->run.n)
        note_status(a, r);
}

/* The whole session, with the tokens of the run on screen marked. */
void replay_rebuild_flow(struct app *a)
{
    struct pool p = {0};
    struct store_run *r = NULL;
    size_t n = 0;
    flow_clear(&a->flow);
    if (a->store && a->session && store_run_list(a->store, a->session, &p, &r, &n, NULL)) {
        for (size_t i = 0; i < n; i++)
            if (!a->play.on || r[i].id <= a->run_id) /* a replay ends with its run */
                add_run_text(a, r, n, i);
    } else {
        flow_begin(&a->flow, FLOW_REPLY);
        for (size_t i = 0; i < a->shown; i++)
            live_flow_token(a, i);
    }
    pool_free(&p);
}

static bool need_store(struct app *a)
{
    if (a->store && !app_running(a))
        return true;
    app_say(a, VM_WARN,
            a->store ? "something is still running; Esc stops it"
                     : "there is no history: runs are not being saved");
    return false;
}

static void list_runs(struct app *a, const struct store_run *r, size_t n, int64_t at)
{
    a->runs = xrealloc(a->runs, n + 1, sizeof *a->runs);
    a->n_runs = a->run_at = n;
    for (size_t i = 0; i < n; i++) {
        a->runs[i] = r[i].id;
        if (r[i].id == at)
            a->run_at = i;
    }
}

void replay_list_runs(struct app *a)
{
    struct pool p = {0};
    struct store_run *r;
    size_t n;
    if (a->store && a->session && store_run_list(a->store, a->session, &p, &r, &n, NULL))
        list_runs(a, r, n, a->run_id);
    pool_free(&p);
}

/* As the list of sessions shows it: the title that was given, else what it read first. */
static void take_title(struct app *a, const struct store_session *s,
                       const struct store_run *first)
{
    struct pool p = {0};
    struct store_document d = {0};
    bool document = !s->titled && first->document &&
                    store_document_get(a->store, first->document, false, &p, &d, NULL) &&
                    d.name;
    snprintf(a->title, sizeof a->title, "%.200s", document ? d.name : s->title);
    a->titled = s->titled;
    pool_free(&p);
}

void replay_take_title(struct app *a)
{
    struct pool p = {0};
    struct store_session s;
    struct store_run *r;
    size_t n;
    if (store_session_get(a->store, a->session, &p, &s, NULL) &&
        store_run_list(a->store, a->session, &p, &r, &n, NULL) && n)
        take_title(a, &s, &r[0]);
    pool_free(&p);
}

static bool show(struct app *a, int64_t session, int64_t run, struct err *e)
{
    struct pool p = {0};
    struct store_session s;
    struct store_run *r;
    size_t n;
    bool ok = store_session_get(a->store, session, &p, &s, e) &&
              store_run_list(a->store, session, &p, &r, &n, e);
    if (ok && n == 0)
        ok = err_set(e, ERR_CHECK, "session %" PRId64 " has no runs", session);
    const struct store_run *chosen = NULL;
    for (size_t i = 0; ok && i < n; i++)
        if (r[i].id == run || (!run && i == n - 1))
            chosen = &r[i];
    if (ok && !chosen)
        ok = err_set(e, ERR_CHECK, "run %" PRId64 " is not in session %" PRId64, run, session);
    ok = ok && load_run(a, chosen, &p, e);
    if (ok) {
        if (a->session != session) {
            a->session = session;
            live_recorder_close(a);
        }
        take_title(a, &s, &r[0]);
        list_runs(a, r, n, chosen->id);
        live_origin_stored(a, chosen);
        free(a->source); /* a prompt may be run again; a document is not on screen */
        a->source = xstrndup(chosen->prompt, chosen->n_prompt);
        a->n_source = chosen->n_prompt;
        a->source_is_document = false;
        a->view = VM_MAIN;
        a->focus = VM_OUTPUT;
        a->flow_view = (struct flow_view){.follow = true};
        replay_rebuild_flow(a);
    }
    pool_free(&p);
    return ok;
}

unsigned replay_open_session(struct app *a, int64_t session)
{
    struct err e = {0};
    if (!need_store(a))
        return EFFECT_DRAW;
    *a->message = 0;
    if (!show(a, session, 0, &e))
        return app_fail(a, &e);
    if (*a->message) /* a run that was lost, or a damaged one */
        return EFFECT_DRAW | EFFECT_MAP;
    app_say(a, VM_INFO,
            "session %" PRId64 ": %zu run%s, this is the newest; h/l tokens, Space plays, "
            "i continues it",
            session, a->n_runs, a->n_runs == 1 ? "" : "s");
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned replay_step_run(struct app *a, int dir)
{
    struct err e = {0};
    size_t at = a->run_at + (size_t)(ptrdiff_t)dir;
    if (!need_store(a))
        return EFFECT_DRAW;
    if (a->n_runs == 0 || at >= a->n_runs) {
        app_say(a, VM_INFO, dir > 0 ? "this is the last run" : "this is the first run");
        return EFFECT_DRAW;
    }
    *a->message = 0; /* it was about the run on screen */
    if (!show(a, a->session, a->runs[at], &e))
        return app_fail(a, &e);
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned replay_run(struct app *a, int64_t run)
{
    struct pool p = {0};
    struct store_run r;
    struct err e = {0};
    if (!need_store(a))
        return EFFECT_DRAW;
    bool ok =
        run ? store_run_get(a->store, run, &p, &r, &e)
            : store_run_last(a->store, &run, &e) && store_run_get(a->store, run, &p, &r, &e);
    ok = ok && show(a, r.session, run, &e);
    pool_free(&p);
    if (!ok)
        return app_fail(a, &e);
    replay_restart(a);
    return EFFECT_DRAW | EFFECT_MAP;
}

/* ---- time
 * ------------------------------------------------------------------------------------ */

static uint64_t pace(const struct timeline *t, size_t next, double speed)
{
    uint64_t ns = next < t->n ? t->token[next].ns : 0;
    return (uint64_t)((double)ns / (speed > 0 ? speed : 1));
}

/* At its own speed. */
static double seconds(const struct timeline *t)
{
    double ns = 0;
    for (size_t i = 0; i < t->n; i++)
        ns += (double)t->token[i].ns;
    return ns / 1e9;
}

static double factor_of(const struct play *p)
{
    return p->speed > 0 ? p->speed : 1;
}

void replay_restart(struct app *a)
{
    if (a->run.n == 0) {
        app_say(a, VM_INFO, "this run has no tokens to play");
        return;
    }
    a->play.speed = factor_of(&a->play);
    a->shown = 0;
    a->cursor = -1;
    a->map_token = -1;
    a->play.on = true;
    a->play.due_ns = a->now + pace(&a->run, 0, a->play.speed);
    replay_rebuild_flow(a);
    a->flow_view = (struct flow_view){.follow = true};
    app_say(a, VM_INFO, "replay, %s: Space pauses, . and , step, + and - change the speed",
            fmt_seconds(seconds(&a->run) / a->play.speed).s);
}

void replay_compare_start(struct app *a)
{
    struct app_compare *c = &a->compare;
    for (int i = 0; i < 2; i++) {
        struct app_side *s = &c->side[i];
        s->shown = 0;
        flow_clear(&s->flow);
        flow_begin(&s->flow, FLOW_REPLY);
        s->view = (struct flow_view){.follow = true};
        s->due_ns = a->now + pace(&s->run, 0, c->play.speed);
    }
    c->cursor = -1;
    c->play.on = true;
}

static void compare_show(struct app_side *s)
{
    const struct timeline_token *t = &s->run.token[s->shown];
    flow_add(&s->flow, buf_str(&s->run.text) + t->at, t->len, (int32_t)s->shown,
             live_shade_difference(t));
    s->shown++;
}

static unsigned toggle_compare(struct app *a)
{
    struct app_compare *c = &a->compare;
    if (!c->done)
        return EFFECT_NONE;
    c->play.speed = factor_of(&c->play);
    bool over = c->side[0].shown == c->side[0].run.n && c->side[1].shown == c->side[1].run.n;
    if (c->play.on)
        c->play.on = false;
    else if (over)
        replay_compare_start(a);
    else {
        c->play.on = true;
        for (int i = 0; i < 2; i++)
            c->side[i].due_ns = a->now + pace(&c->side[i].run, c->side[i].shown, c->play.speed);
    }
    return EFFECT_DRAW;
}

unsigned replay_toggle(struct app *a)
{
    if (a->view == VM_COMPARE)
        return toggle_compare(a);
    if (app_running(a)) {
        app_say(a, VM_INFO, "it is being written right now; Esc stops it");
        return EFFECT_DRAW;
    }
    if (a->play.on) {
        a->play.on = false;
    } else if (a->shown == a->run.n) {
        replay_restart(a);
    } else {
        a->cursor = -1;
        a->play.on = true;
        a->play.due_ns = a->now + pace(&a->run, a->shown, a->play.speed);
    }
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned replay_speed(struct app *a, double factor)
{
    bool compare = a->view == VM_COMPARE;
    struct play *p = compare ? &a->compare.play : &a->play;
    const struct app_side *side = a->compare.side;
    double own =
        compare ? fmax(seconds(&side[0].run), seconds(&side[1].run)) : seconds(&a->run);
    double speed = factor_of(p);
    bool blink = own > 0 && factor < 1 && speed <= 1 && own / speed < BLINK_S;
    do
        speed *= factor;
    while (blink && own / speed < WATCH_S && speed > SLOWEST);
    p->speed = fmin(fmax(speed, SLOWEST), FASTEST);
    char how[32] = "";
    if (p->speed < 1)
        snprintf(how, sizeof how, "1/%.4g of ", 1 / p->speed);
    else if (p->speed > 1)
        snprintf(how, sizeof how, "%.3g times ", p->speed);
    app_say(a, VM_INFO, "replay at %sits own speed: it takes %s", how,
            fmt_seconds(own / p->speed).s);
    return EFFECT_DRAW;
}

static unsigned tick_compare(struct app *a)
{
    struct app_compare *c = &a->compare;
    unsigned effect = EFFECT_NONE;
    bool left = false;
    for (int i = 0; i < 2; i++) {
        struct app_side *s = &c->side[i];
        while (s->shown < s->run.n && a->now >= s->due_ns) {
            compare_show(s);
            s->due_ns += pace(&s->run, s->shown, c->play.speed);
            effect = EFFECT_DRAW;
        }
        left |= s->shown < s->run.n;
    }
    if (!left) {
        c->play.on = false;
        if (a->view == VM_COMPARE)
            app_say(a, VM_INFO,
                    "end of the replay: A took %s, B %s; - plays slower, Space again",
                    fmt_seconds(seconds(&c->side[0].run) / factor_of(&c->play)).s,
                    fmt_seconds(seconds(&c->side[1].run) / factor_of(&c->play)).s);
        effect = EFFECT_DRAW;
    }
    return effect;
}

unsigned replay_tick(struct app *a)
{
    unsigned effect = EFFECT_NONE;
    if (a->compare.play.on)
        effect |= tick_compare(a);
    while (a->play.on && a->now >= a->play.due_ns) {
        effect |= EFFECT_DRAW;
        if (a->shown < a->run.n)
            live_flow_token(a, a->shown++);
        a->play.due_ns += pace(&a->run, a->shown, a->play.speed);
        if (a->shown == a->run.n) {
            a->play.on = false;
            app_say(a, VM_INFO, "end of the replay: it took %s; - plays slower, Space again",
                    fmt_seconds(seconds(&a->run) / a->play.speed).s);
        }
    }
    return effect;
}

uint64_t replay_deadline(const struct app *a)
{
    uint64_t due = a->play.on ? a->play.due_ns : 0;
    for (int i = 0; i < 2 && a->compare.play.on; i++) {
        const struct app_side *s = &a->compare.side[i];
        if (s->shown < s->run.n && (!due || s->due_ns < due))
            due = s->due_ns;
    }
    return due;
}
