/* Going on from a token of the run on screen: continue, and what-if.
 * SPDX-License-Identifier: MIT */
#include "app/about.h"
#include "app/live_impl.h"
#include "app/setup.h"
#include "engine/base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- where a run comes from ---------------------------------------------------------- */

static void set_origin(struct app *a, const char *text, size_t n, int kind, const char *style)
{
    struct app_origin *o = &a->origin;
    free(o->text);
    o->text = xstrndup(text, n);
    o->n_text = n;
    o->kind = kind;
    snprintf(o->style, sizeof o->style, "%s", style ? style : "");
}

static void set_forced(struct app *a, const int32_t *id, size_t n)
{
    a->origin.forced.n = 0;
    for (size_t i = 0; i < n; i++)
        terra_ids_add(&a->origin.forced, id[i]);
}

bool live_reads_document(const struct app *a)
{
    const struct app_origin *o = &a->origin;
    if (!a->has_document)
        return false;
    if (!a->branch.on)
        return a->source_is_document;
    return o->of_document && memcmp(o->document, a->document.sha256, sizeof o->document) == 0;
}

void live_origin_begin(struct app *a, const struct mail *m)
{
    bool document = live_reads_document(a);
    bool chat = m->step.kind == STORE_SUMMARY && !document && !a->branch.on;
    set_origin(a, buf_str(&m->text), m->text.len, chat ? STORE_CHAT : m->step.kind,
               a->branch.on ? a->branch.style : live_style(a));
    a->origin.status = STORE_RUNNING;
    a->origin.ids = false;
    if (!a->branch.on) { /* a branch reads what its parent read */
        a->origin.n_in = m->step.n_in;
        a->origin.n_read = m->step.n_read;
        a->origin.of_document = document;
        memcpy(a->origin.document, a->document.sha256, sizeof a->origin.document);
    }
    memcpy(a->origin.model, a->model_info.header_sha256, sizeof a->origin.model);
    set_forced(a, a->branch.forced.id, a->branch.on ? a->branch.forced.n : 0);
    a->origin.n_pins = a->branch.on ? a->branch.n_pins : 0;
    if (a->branch.on && a->branch.pinned)
        a->branch.pin[a->branch.n_pins - 1].unit = m->step.unit;
    memcpy(a->origin.pin, a->branch.pin, sizeof a->origin.pin);
}

void live_origin_stored(struct app *a, const struct store_run *r)
{
    struct pool p = {0};
    struct store_model m;
    struct store_document d;
    int32_t *id;
    size_t n, n_forced;
    struct err e = {0};
    set_origin(a, r->prompt, r->n_prompt, r->kind, store_param_text(r->params, "style", &p));
    a->origin.status = r->status;
    a->origin.ids = setup_ids(r->params);
    a->origin.n_in = r->n_in;
    a->origin.n_read = r->n_read;
    a->origin.of_document =
        r->document && store_document_get(a->store, r->document, false, &p, &d, NULL);
    if (a->origin.of_document)
        memcpy(a->origin.document, d.sha256, sizeof a->origin.document);
    set_forced(a, NULL, 0);
    memset(a->origin.model, 0, sizeof a->origin.model);
    if (store_model_get(a->store, r->model, &p, &m, &e) &&
        store_run_target(a->store, r->id, &p, &id, &n, &n_forced, &e) &&
        setup_pins(r->params, a->origin.pin, &a->origin.n_pins, &e)) {
        memcpy(a->origin.model, m.header_sha256, sizeof a->origin.model);
        set_forced(a, id, n_forced);
    } else { /* it can be looked at, but not gone on from */
        free(a->origin.text);
        a->origin.text = NULL;
    }
    pool_free(&p);
}

void live_origin_free(struct app *a)
{
    free(a->origin.text);
    terra_ids_free(&a->origin.forced);
    terra_ids_free(&a->branch.forced);
}

/* ---- asking for a branch ----------------------------------------------------------------- */

const char *live_origin_problem(struct app *a, const char *nothing)
{
    if (app_running(a))
        return "something is still running; Esc stops it";
    if (!a->origin.text || a->run.n == 0)
        return nothing;
    if (a->origin.ids)
        return "the prompt of this run is token ids; 'terra trace RUN --lens TOKEN' reads them";
    if (!a->model)
        return "no model is open; :model PATH opens one";
    if (memcmp(a->origin.model, a->model_info.header_sha256, sizeof a->origin.model) != 0)
        return "this run was written by another model; open that one with :model PATH";
    return NULL;
}

static bool can_branch(struct app *a)
{
    const char *why = live_origin_problem(a, "nothing was run yet that could be gone on from");
    if (why)
        app_say(a, VM_WARN, "%s", why);
    return !why;
}

/* Behind the first `n_own` tokens of the run on screen, under its pins and one more, or
 * NULL. */
static unsigned branch(struct app *a, size_t n_own, const struct generate_pin *pin)
{
    struct err e = {0};
    struct app_branch *b = &a->branch;
    const char *name;
    if (pin && a->origin.n_pins == GENERATE_PINS) {
        app_say(a, VM_WARN, "this branch pins %d blocks already, and keeps no more",
                GENERATE_PINS);
        return EFFECT_DRAW;
    }
    struct job *j = live_job(a, JOB_BRANCH, &e);
    if (!j)
        return app_fail(a, &e);
    j->summarize.style = -1;
    if (*a->origin.style &&
        !setup_style(a->shape, a->origin.style, &j->summarize.style, &name, &e)) {
        job_free(j);
        return app_fail(a, &e);
    }
    j->text = xstrndup(a->origin.text, a->origin.n_text);
    j->n_text = a->origin.n_text;
    j->store_kind = a->origin.kind;
    b->forced.n = 0;
    for (size_t i = 0; i < a->origin.forced.n; i++)
        terra_ids_add(&b->forced, a->origin.forced.id[i]);
    for (size_t i = 0; i < n_own; i++)
        terra_ids_add(&b->forced, a->run.token[i].id);
    for (size_t i = 0; i < b->forced.n; i++)
        terra_ids_add(&j->forced, b->forced.id[i]);
    b->on = true;
    b->parent = a->run_id;
    snprintf(b->style, sizeof b->style, "%s", a->origin.style);
    memcpy(b->pin, a->origin.pin, sizeof b->pin);
    b->n_pins = a->origin.n_pins;
    b->pinned = pin != NULL;
    if (pin) {
        b->pin[b->n_pins] = *pin;
        b->pin[b->n_pins++].at = b->forced.n;
    }
    memcpy(j->pin, b->pin, sizeof j->pin);
    j->n_pins = b->n_pins;
    return live_submit(a, j, BUSY_PREFILL);
}

unsigned live_continue(struct app *a)
{
    if (!can_branch(a))
        return EFFECT_DRAW;
    if (a->origin.status != STORE_LENGTH) {
        app_say(a, VM_INFO, "nothing to continue: the token limit did not end this reply");
        return EFFECT_DRAW;
    }
    return branch(a, a->run.n, NULL);
}

unsigned live_what_if(struct app *a, int32_t unit)
{
    const struct choice_rows *r = &a->run.dec;
    int64_t token = app_token(a);
    if (!can_branch(a))
        return EFFECT_DRAW;
    if (a->stage != STAGE_DEC || token < 0 || (size_t)token >= r->n) {
        app_say(a, VM_INFO, "whatif needs a decoder token with choices under the cursor");
        return EFFECT_DRAW;
    }
    uint16_t was = choice_row(r, (size_t)token)[a->layer * r->blocks + a->block];
    if (was >= r->units) {
        app_say(a, VM_INFO, "there is no block here; move with j k [ ]");
        return EFFECT_DRAW;
    }
    if (unit >= (int32_t)r->units) {
        app_say(a, VM_WARN, "whatif UNIT: a block has %u units, from 0", r->units);
        return EFFECT_DRAW;
    }
    struct generate_pin pin = {.layer = a->layer,
                               .block = a->block,
                               .unit = unit < 0 ? TERRA_RUNNER_UP : (uint16_t)unit};
    a->branch.second = unit < 0;
    a->branch.was = was;
    return branch(a, (size_t)token, &pin);
}

/* ---- its run -------------------------------------------------------------------------------
 */

void live_branch_params(const struct app *a, struct buf *params)
{
    const struct app_branch *b = &a->branch;
    if (!params->len || params->data[params->len - 1] != '}')
        return;
    params->data[--params->len] = '\0';
    buf_printf(params, ",\"after\":%zu", b->forced.n);
    const struct generate_pin *last = b->pinned ? &b->pin[b->n_pins - 1] : NULL;
    if (last)
        buf_printf(params, ",\"pin\":{\"layer\":%u,\"block\":%u,\"unit\":%u,\"was\":%u}",
                   last->layer, last->block, last->unit, b->was);
    size_t kept = b->n_pins - (last != NULL);
    for (size_t i = 0; i < kept; i++)
        buf_printf(params, "%s{\"at\":%zu,\"layer\":%u,\"block\":%u,\"unit\":%u}%s",
                   i ? "," : ",\"kept\":[", b->pin[i].at, b->pin[i].layer, b->pin[i].block,
                   b->pin[i].unit, i + 1 == kept ? "]" : "");
    buf_add_byte(params, '}');
}

void live_branch_note(struct app *a)
{
    const struct app_branch *b = &a->branch;
    const struct generate_pin *last = b->pinned ? &b->pin[b->n_pins - 1] : NULL;
    struct about_branch about = {.after = b->forced.n,
                                 .pin = last,
                                 .was = b->was,
                                 .second = b->second,
                                 .kept = b->n_pins - (last != NULL)};
    char line[ABOUT_TEXT];
    about_branch(&about, line);
    flow_put(&a->flow, FLOW_NOTE, line);
}

void live_branch_done(struct app *a)
{
    char saved[64] = "";
    if (a->run_id)
        snprintf(saved, sizeof saved, ", saved as run %" PRId64, a->run_id);
    const struct app_branch *b = &a->branch;
    const struct generate_pin *last = b->pinned ? &b->pin[b->n_pins - 1] : NULL;
    if (last)
        app_say(a, VM_INFO, "layer %u block %u pinned to unit %u: %zu token%s%s", last->layer,
                last->block, last->unit, a->run.n, a->run.n == 1 ? "" : "s", saved);
    else
        app_say(a, VM_INFO, "went on for %zu token%s%s%s", a->run.n, a->run.n == 1 ? "" : "s",
                saved, a->origin.status == STORE_LENGTH ? " (token limit)" : "");
}
