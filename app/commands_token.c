/* Commands that look at text, tokens and the map.
 * SPDX-License-Identifier: MIT */
#include "app/browse.h"
#include "app/commands_do.h"
#include "app/live.h"
#include "app/page.h"
#include "app/replay.h"
#include "app/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text
 * ------------------------------------------------------------------------------------ */

static int text_rows(const struct app *a)
{
    return a->screen.output_rows > 0 ? a->screen.output_rows : 10;
}

static void wrap(struct app *a)
{
    int cols = a->screen.layout.output.w;
    flow_wrap(&a->flow, cols > 0 ? cols : 80);
}

static void select_line(struct app *a, long to)
{
    long last = (long)a->page.n_tokens - 1;
    to = to > last ? last : to;
    a->page.selected = to > 0 ? (size_t)to : 0;
}

static unsigned scroll(struct app *a, long by)
{
    if (a->view == VM_MAIN) {
        wrap(a);
        flow_view_scroll(&a->flow_view, &a->flow, text_rows(a), by);
    } else if (a->view == VM_PAGE && a->page.n_tokens) {
        select_line(a, (long)a->page.selected + by);
    } else if (a->view == VM_PAGE) {
        long top = (long)a->page.top + by, last = (long)a->page.n - a->screen.body_rows + 1;
        top = top > last ? last : top;
        a->page.top = top > 0 ? (size_t)top : 0;
    } else if (a->view == VM_SESSIONS) {
        browse_move(a, by);
    } else if (a->view == VM_COMPARE) {
        for (int i = 0; i < 2; i++) {
            struct app_side *s = &a->compare.side[i];
            flow_view_scroll(&s->view, &s->flow, 4, by);
        }
    }
    return EFFECT_DRAW;
}

unsigned do_page_up(struct app *a, const char *arg)
{
    (void)arg;
    int rows = a->view == VM_MAIN ? text_rows(a) : a->screen.body_rows;
    return scroll(a, -(rows > 2 ? rows - 1 : 1));
}

unsigned do_page_down(struct app *a, const char *arg)
{
    (void)arg;
    int rows = a->view == VM_MAIN ? text_rows(a) : a->screen.body_rows;
    return scroll(a, rows > 2 ? rows - 1 : 1);
}

/* ---- tokens
 * ------------------------------------------------------------------------------------ */

static void show_token(struct app *a)
{
    size_t at, len;
    wrap(a);
    if (a->cursor >= 0 && flow_token_range(&a->flow, (int32_t)a->cursor, &at, &len))
        flow_view_show(&a->flow_view, &a->flow, text_rows(a), at);
}

static unsigned go_token(struct app *a, int64_t to)
{
    if (a->shown == 0)
        return EFFECT_NONE;
    if (to < 0)
        to = 0;
    if (to >= (int64_t)a->shown)
        to = (int64_t)a->shown - 1;
    a->cursor = to;
    show_token(a);
    return EFFECT_DRAW | EFFECT_MAP;
}

static unsigned step_compare(struct app *a, int by)
{
    struct app_compare *c = &a->compare;
    size_t last = c->side[0].shown > c->side[1].shown ? c->side[0].shown : c->side[1].shown;
    if (last == 0 || c->running)
        return EFFECT_NONE;
    c->play.on = false;
    c->cursor = (c->cursor < 0 ? (int64_t)last - 1 : c->cursor) + by;
    if (c->cursor < 0)
        c->cursor = 0;
    if (c->cursor >= (int64_t)last)
        c->cursor = (int64_t)last - 1;
    return EFFECT_DRAW | EFFECT_MAP;
}

static unsigned step_token(struct app *a, int by)
{
    if (a->view == VM_COMPARE)
        return step_compare(a, by);
    if (a->play.on)
        a->play.on = false;
    if (by > 0 && !app_running(a) && app_token(a) + 1 >= (int64_t)a->shown &&
        a->shown < a->run.n) {
        live_flow_token(a, a->shown++); /* a paused replay goes on by one */
        a->cursor = -1;
        flow_view_end(&a->flow_view);
        return EFFECT_DRAW | EFFECT_MAP;
    }
    return go_token(a, app_token(a) + by);
}

unsigned do_token_next(struct app *a, const char *arg)
{
    (void)arg;
    return step_token(a, 1);
}

unsigned do_token_prev(struct app *a, const char *arg)
{
    (void)arg;
    return step_token(a, -1);
}

/* In a list of tokens; the view it was asked for in shows the one selected. */
static unsigned open_line(struct app *a)
{
    if (!a->page.n_tokens) {
        app_say(a, VM_INFO, "there is nothing to open here; i goes to the prompt");
        return EFFECT_DRAW;
    }
    a->view = a->page.from == VM_INSPECT ? VM_INSPECT : VM_MAIN;
    if (a->view == VM_MAIN)
        a->focus = VM_MAP;
    return go_token(a, a->page.token[a->page.selected]);
}

unsigned do_enter(struct app *a, const char *arg)
{
    (void)arg;
    if (a->view == VM_SESSIONS)
        return browse_open(a);
    if (a->view == VM_PAGE)
        return open_line(a);
    if (a->focus == VM_MAP && a->shown)
        return do_inspect(a, "");
    return do_prompt(a, "");
}

unsigned do_goto(struct app *a, const char *arg)
{
    char *end;
    long long to = strtoll(arg, &end, 10);
    if (end == arg || to < 0 || (size_t)to >= a->shown) {
        app_say(a, VM_WARN, a->shown ? "goto TOKEN: a number from 0 to %zu" : "no tokens yet",
                a->shown - 1);
        return EFFECT_DRAW;
    }
    return go_token(a, to);
}

/* In which the map was drawn; NULL: by the blocks' numbers, as in the inspector. */
static const struct block_order *order_shown(struct app *a)
{
    const struct choice_rows *r = app_rows(a);
    bool fits = a->order.layers == r->layers && a->order.blocks == r->blocks;
    return a->ordered && a->view == VM_MAIN && a->order.at && fits ? &a->order : NULL;
}

/* Up and down in the same column. */
static unsigned move_layer(struct app *a, int by)
{
    const struct choice_rows *r = app_rows(a);
    int64_t to = (int64_t)a->layer + by;
    if (!r->layers)
        return EFFECT_NONE;
    uint32_t place = block_place(order_shown(a), a->layer, a->block);
    a->layer = (uint32_t)(to < 0 ? 0 : to >= r->layers ? r->layers - 1 : to);
    a->block = block_at(order_shown(a), a->layer, place);
    a->map_cursor = true;
    return EFFECT_DRAW | EFFECT_MAP;
}

static unsigned vertical(struct app *a, int by)
{
    if (a->view == VM_INSPECT || (a->view == VM_MAIN && a->focus != VM_OUTPUT))
        return move_layer(a, by);
    return scroll(a, by);
}

unsigned do_up(struct app *a, const char *arg)
{
    (void)arg;
    return vertical(a, -1);
}

unsigned do_down(struct app *a, const char *arg)
{
    (void)arg;
    return vertical(a, 1);
}

unsigned do_first(struct app *a, const char *arg)
{
    (void)arg;
    if (a->view == VM_SESSIONS || a->view == VM_PAGE)
        return scroll(a, -1000000);
    if (a->view == VM_COMPARE) {
        a->compare.cursor = 0;
        return step_compare(a, 0);
    }
    return go_token(a, 0);
}

unsigned do_last(struct app *a, const char *arg)
{
    (void)arg;
    if (a->view == VM_SESSIONS || a->view == VM_PAGE)
        return scroll(a, 1000000);
    a->compare.cursor = a->cursor = -1;
    flow_view_end(&a->flow_view);
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_play(struct app *a, const char *arg)
{
    (void)arg;
    return replay_toggle(a);
}

unsigned do_faster(struct app *a, const char *arg)
{
    (void)arg;
    return replay_speed(a, 2);
}

unsigned do_slower(struct app *a, const char *arg)
{
    (void)arg;
    return replay_speed(a, 0.5);
}

unsigned do_run_prev(struct app *a, const char *arg)
{
    (void)arg;
    return replay_step_run(a, -1);
}

unsigned do_run_next(struct app *a, const char *arg)
{
    (void)arg;
    return replay_step_run(a, 1);
}

/* ---- finding
 * ------------------------------------------------------------------------------------- */

static unsigned find_text(struct app *a, int dir)
{
    size_t at;
    if (!*a->find)
        return EFFECT_NONE;
    if (!flow_find(&a->flow, a->find, a->found, dir, &at)) {
        app_say(a, VM_INFO, "'%.60s' is not in the text", a->find);
        return EFFECT_DRAW;
    }
    a->found = at;
    wrap(a);
    flow_view_show(&a->flow_view, &a->flow, text_rows(a), at);
    int32_t token = flow_token_at(&a->flow, at);
    if (token >= 0 && (size_t)token < a->shown)
        a->cursor = token;
    return EFFECT_DRAW | EFFECT_MAP;
}

/* The cursor stays on a cell: encoder and decoder may differ in shape. */
static void show_stage(struct app *a, enum app_stage stage)
{
    a->stage = stage;
    const struct choice_rows *r = app_rows(a);
    if (a->layer >= r->layers)
        a->layer = 0;
    if (a->block >= r->blocks)
        a->block = 0;
}

static unsigned find_unit(struct app *a, int dir)
{
    size_t row;
    struct choice_rows *r = &a->run.dec;
    if (!choice_find(r, a->found_layer, a->found_block, a->found_unit, (size_t)app_token(a),
                     dir, &row))
        return EFFECT_NONE;
    show_stage(a, STAGE_DEC);
    size_t uses = 0, n = a->shown < r->n ? a->shown : r->n;
    for (size_t i = 0; i < n; i++)
        uses += choice_row(r, i)[a->found_layer * r->blocks + a->found_block] == a->found_unit;
    app_say(a, VM_INFO, "layer %u block %u unit %u: chosen by %zu of %zu tokens; n and N go on",
            a->found_layer, a->found_block, a->found_unit, uses, n);
    return go_token(a, (int64_t)row);
}

unsigned do_find(struct app *a, const char *arg)
{
    if (a->view == VM_SESSIONS) {
        app_ask(a, INPUT_SEARCH, "/", a->sessions.query);
        return EFFECT_DRAW;
    }
    if (!*arg) {
        app_ask(a, INPUT_FIND, "/", "");
        return EFFECT_DRAW;
    }
    snprintf(a->find, sizeof a->find, "%s", arg);
    a->find_kind = FIND_TEXT;
    a->found = 0;
    return find_text(a, 1);
}

static unsigned find_again(struct app *a, int dir)
{
    return a->find_kind == FIND_UNITS && a->shown ? find_unit(a, dir) : find_text(a, dir);
}

unsigned do_find_next(struct app *a, const char *arg)
{
    (void)arg;
    return find_again(a, 1);
}

unsigned do_find_prev(struct app *a, const char *arg)
{
    (void)arg;
    return find_again(a, -1);
}

static bool has_choices(struct app *a)
{
    if (a->shown && a->run.dec.n)
        return true;
    app_say(a, VM_INFO, "%s",
            a->shown    ? "no choices are kept for this run: a dense model, or no trace"
            : a->run_id ? "this run has no token yet"
                        : "nothing was run yet");
    return false;
}

/* The unit at the cursor becomes the one to be found. */
static bool find_here(struct app *a)
{
    if (!has_choices(a))
        return false;
    show_stage(a, STAGE_DEC); /* tokens are the decoder's */
    const struct choice_rows *r = &a->run.dec;
    uint16_t unit = choice_row(r, (size_t)app_token(a))[a->layer * r->blocks + a->block];
    if (unit >= r->units) {
        app_say(a, VM_INFO, "there is no block here; move with j k [ ]");
        return false;
    }
    a->find_kind = FIND_UNITS;
    a->found_layer = a->layer;
    a->found_block = a->block;
    a->found_unit = unit;
    a->map_cursor = true;
    return true;
}

unsigned do_find_unit(struct app *a, const char *arg)
{
    (void)arg;
    return find_here(a) ? find_unit(a, 1) : EFFECT_DRAW;
}

unsigned do_users(struct app *a, const char *arg)
{
    (void)arg;
    if (find_here(a))
        page_users(a, a->found_layer, a->found_block, a->found_unit);
    return EFFECT_DRAW;
}

unsigned do_pin(struct app *a, const char *arg)
{
    (void)arg;
    if (!has_choices(a))
        return EFFECT_DRAW;
    int64_t token = app_token(a);
    show_stage(a, STAGE_DEC);
    a->pinned = a->pinned == token ? -1 : token;
    a->difference = a->pinned >= 0;
    if (a->pinned >= 0)
        app_say(a, VM_INFO,
                "token %lld pinned: the map is blank where a token agrees with it; d: off",
                (long long)token);
    else
        app_say(a, VM_INFO, "no token is pinned");
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_difference(struct app *a, const char *arg)
{
    (void)arg;
    if (a->view == VM_SESSIONS)
        return browse_delete(a);
    if (a->view == VM_COMPARE) {
        int32_t at = a->compare.done ? a->compare.result.first_diff : -1;
        if (at < 0)
            app_say(a, VM_INFO, "no token differs");
        else
            a->compare.cursor = at;
        return EFFECT_DRAW | EFFECT_MAP;
    }
    if (a->pinned < 0)
        return do_pin(a, "");
    bool seen = a->difference && a->stage == STAGE_DEC;
    show_stage(a, STAGE_DEC);
    a->difference = !seen;
    if (seen)
        app_say(a, VM_INFO, "the map shows %s, no differences", metric_name[a->metric]);
    else
        app_say(a, VM_INFO, "the map shows what differs from token %lld; d: off",
                (long long)a->pinned);
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_like(struct app *a, const char *arg)
{
    (void)arg;
    size_t like;
    double share;
    if (!has_choices(a) || !choice_like(&a->run.dec, (size_t)app_token(a), &like, &share))
        return EFFECT_DRAW;
    app_say(a, VM_INFO, "token %zu agrees with %lld in %.0f%% of the blocks; chance is %.1f%%",
            like, (long long)app_token(a), share * 100, 100.0 / a->run.dec.units);
    return go_token(a, (int64_t)like);
}

unsigned do_like_all(struct app *a, const char *arg)
{
    struct err e = {0};
    (void)arg;
    if (app_running(a)) {
        app_say(a, VM_WARN, "a reply is being written; Esc stops it");
        return EFFECT_DRAW;
    }
    if (!has_choices(a))
        return EFFECT_DRAW;
    if (!a->store || !a->run_id) {
        app_say(a, VM_WARN, "this run is not stored: there is nothing to search");
        return EFFECT_DRAW;
    }
    return page_like(a, a->pinned >= 0 ? a->pinned : app_token(a), &e) ? EFFECT_DRAW
                                                                       : app_fail(a, &e);
}

/* ---- the map
 * ------------------------------------------------------------------------------------ */

static void shade_text(struct app *a)
{
    for (size_t i = 0; i < a->shown; i++)
        flow_set_level(&a->flow, (int32_t)i, live_shade(a, &a->run.token[i]));
}

unsigned do_metric(struct app *a, const char *arg)
{
    enum metric m = (enum metric)((a->metric + 1) % METRICS);
    if (*arg && !metric_parse(arg, &m)) {
        app_say(a, VM_WARN,
                "metric '%.40s'? choose surprise, flip, unit, margin, zero, use or p", arg);
        return EFFECT_DRAW;
    }
    a->metric = m;
    a->difference = false; /* the pin stays, d shows them again */
    shade_text(a);
    app_say(a, VM_INFO, "%s: %s", metric_name[m], metric_help[m]);
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_zoom(struct app *a, const char *arg)
{
    (void)arg;
    a->zoom = (enum vm_zoom)((a->zoom + 1) % (VM_ZOOM_BLOCK + 1));
    a->map_cursor = true;
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_order(struct app *a, const char *arg)
{
    (void)arg;
    a->ordered = !a->ordered;
    a->order.rows = NULL; /* from what there is by now */
    a->map_cursor = true;
    app_say(a, VM_INFO,
            a->ordered ? "map: blocks that choose alike stand together; o: by number"
                       : "map: blocks by number");
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_stage(struct app *a, const char *arg)
{
    (void)arg;
    if (a->stage == STAGE_DEC && a->run.enc.n == 0) {
        app_say(a, VM_INFO, "%s",
                a->stored ? "this run's encoder choices were not stored (--trace all)"
                          : "there are no encoder choices");
        return EFFECT_DRAW;
    }
    show_stage(a, a->stage == STAGE_DEC ? STAGE_ENC : STAGE_DEC);
    app_say(a, VM_INFO,
            a->stage == STAGE_ENC
                ? "encoder: the same position of the source as the token's number"
                : "decoder");
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_layer(struct app *a, const char *arg)
{
    char *end;
    long to = strtol(arg, &end, 10);
    if (end == arg || to < 0 || to >= (long)app_rows(a)->layers) {
        app_say(a, VM_WARN, "layer N: there are %u layers, from 0", app_rows(a)->layers);
        return EFFECT_DRAW;
    }
    a->layer = (uint32_t)to;
    return move_layer(a, 0);
}

static unsigned move_block(struct app *a, int64_t to)
{
    const struct choice_rows *r = app_rows(a);
    if (!r->blocks)
        return EFFECT_NONE;
    a->block = (uint32_t)(to < 0 ? 0 : to >= r->blocks ? r->blocks - 1 : to);
    a->map_cursor = true;
    return EFFECT_DRAW | EFFECT_MAP;
}

/* To the left or right on the screen. */
static unsigned step_block(struct app *a, int by)
{
    const struct block_order *o = order_shown(a);
    int64_t to = (int64_t)block_place(o, a->layer, a->block) + by;
    if (to < 0 || to >= app_rows(a)->blocks)
        return move_block(a, a->block);
    return move_block(a, block_at(o, a->layer, (uint32_t)to));
}

unsigned do_block_prev(struct app *a, const char *arg)
{
    (void)arg;
    return step_block(a, -1);
}

unsigned do_block_next(struct app *a, const char *arg)
{
    if (!*arg)
        return step_block(a, 1);
    char *end;
    long to = strtol(arg, &end, 10);
    if (end == arg || to < 0 || to >= (long)app_rows(a)->blocks) {
        app_say(a, VM_WARN, "block N: there are %u blocks, from 0", app_rows(a)->blocks);
        return EFFECT_DRAW;
    }
    return move_block(a, to);
}

unsigned do_latency(struct app *a, const char *arg)
{
    (void)arg;
    a->latency_token = !a->latency_token;
    app_say(a, VM_INFO,
            a->latency_token ? "latency: parts of the token at the cursor"
                             : "latency: parts, mean of the run");
    return EFFECT_DRAW;
}
