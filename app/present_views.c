/* The views other than main.
 * SPDX-License-Identifier: MIT */
#include "app/browse.h"
#include "app/present.h"
#include "app/setup.h"
#include "engine/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- compare ------------------------------------------------------------------------ */

static void present_side(struct app *a, struct vm_side *v, struct app_side *s, int64_t cursor)
{
    struct timeline_times t;
    timeline_times(&s->run, &t);
    v->name = s->name;
    v->flow = &s->flow;
    v->view = &s->view;
    v->done = (uint32_t)s->shown;
    v->total = a->compare.running ? a->compare.total : (uint32_t)s->run.n;
    v->ms = t.p50;
    v->tok_s = t.tok_s;
    memcpy(v->part_ms, t.part_ms, sizeof t.part_ms);
    size_t row = cursor >= 0 ? (size_t)cursor : s->shown ? s->shown - 1 : 0;
    if (row < s->run.dec.n) {
        uint8_t *level = pool_get(&a->frame, choice_cells(&s->run.dec) + 1, 1);
        metric_levels(&s->run.dec, row, a->metric == METRIC_P ? METRIC_SURPRISE : a->metric,
                      level);
        v->level = level;
    }
}

static enum vm_badge badge(const struct compare_result *r)
{
    switch (r->badge) {
    case COMPARE_BIT:
        return VM_BADGE_BIT;
    case COMPARE_TOKEN:
        return VM_BADGE_TOKEN;
    case COMPARE_DIFF:
        return VM_BADGE_DIFF;
    default:
        return VM_BADGE_NONE;
    }
}

static void compare_map(struct app *a, struct vm_compare *v)
{
    const struct app_compare *c = &a->compare;
    const struct choice_rows *x = &c->side[0].run.dec, *y = &c->side[1].run.dec;
    char lo[24], hi[24];
    size_t shown = c->side[0].shown < c->side[1].shown ? c->side[0].shown : c->side[1].shown;
    size_t row = c->cursor >= 0 ? (size_t)c->cursor : shown ? shown - 1 : 0;
    v->layers = x->layers;
    v->blocks = x->blocks;
    v->metric = metric_name[a->metric == METRIC_P ? METRIC_SURPRISE : a->metric];
    metric_ends(x, a->metric == METRIC_P ? METRIC_SURPRISE : a->metric, lo, hi);
    v->lo = pool_str(&a->frame, lo);
    v->hi = pool_str(&a->frame, hi);
    if (row < x->n && row < y->n && choice_cells(x) == choice_cells(y)) {
        uint8_t *level = pool_get(&a->frame, choice_cells(x) + 1, 1);
        metric_difference(x, row, y, row, level);
        v->difference = level;
    } else {
        v->b.level = NULL; /* of another shape */
    }
}

/* So far; the proof comes with the result. */
static void count_same(const struct app_compare *c, struct vm_compare *v)
{
    const struct timeline *x = &c->side[0].run, *y = &c->side[1].run;
    v->compared = (uint32_t)(x->n < y->n ? x->n : y->n);
    while (v->same < v->compared && x->token[v->same].id == y->token[v->same].id)
        v->same++;
}

void present_compare(struct app *a)
{
    struct vm_compare *v = &a->vm.compare;
    struct app_compare *c = &a->compare;
    const struct compare_result *r = &c->result;
    present_side(a, &v->a, &c->side[0], c->cursor);
    present_side(a, &v->b, &c->side[1], c->cursor);
    v->relation = c->any ? compare_relation(c->kind) : "press B to choose what to compare with";
    struct terra_sampling s = setup_sampling_summary(a->config, a->args);
    v->has_seed = true;
    v->seed = s.seed;
    v->temperature = (double)s.temperature;
    v->playing = c->play.on;
    v->speed = c->play.speed > 0 ? c->play.speed : 1;
    v->token = c->cursor >= 0 ? (int32_t)c->cursor : FLOW_NO_TOKEN;
    v->first_diff = -1;
    v->gap = v->max_abs = v->speedup = v->low = v->high = v->expected = NAN;
    v->parts = TERRA_PARTS;
    for (int i = 0; i < TERRA_PARTS; i++)
        v->part[i] = terra_part_name[i];
    if (c->running)
        count_same(c, v);
    v->order = c->running ? "A,B,A,B: never at the same time" : "A,B,A,B then replayed";
    if (c->done) {
        v->badge = badge(r);
        v->same = r->same;
        v->compared = r->compared;
        v->first_diff = r->first_diff;
        v->diff_a = c->diff[0];
        v->diff_b = c->diff[1];
        v->gap = r->gap;
        v->max_abs = c->kind == COMPARE_MASKED ? r->max_abs : (double)NAN;
        v->speedup = r->speedup;
        v->low = r->low;
        v->high = r->high;
        v->pairs = r->pairs;
        v->expected = r->expected;
    }
    compare_map(a, v);
}

/* ---- sessions ------------------------------------------------------------------------- */

void present_sessions(struct app *a)
{
    static const char *const sort_name[] = {"updated", "created", "title", "tokens"};
    struct app_sessions *s = &a->sessions;
    struct vm_sessions *v = &a->vm.sessions;
    struct vm_session *row = pool_get(&a->frame, s->n + 1, sizeof *row);
    int64_t now = clock_wall_ms();
    for (size_t i = 0; i < s->n; i++) {
        const struct store_session *x = &s->row[i];
        char when[24];
        browse_when(x->updated_ms, now, when);
        row[i] = (struct vm_session){.id = x->id,
                                     .mark = x->id == a->session ? '*'
                                             : x->interrupted    ? '!'
                                                                 : ' ',
                                     .updated = pool_str(&a->frame, when),
                                     .runs = x->n_runs,
                                     .tokens = x->n_tok,
                                     .tok_s = x->tok_per_s > 0 ? x->tok_per_s : (double)NAN,
                                     .doc = x->document,
                                     .title = x->title};
    }
    v->row = row;
    v->n = s->n;
    v->total = s->total;
    v->selected = s->selected;
    v->query = s->query;
    v->editing = a->input == INPUT_SEARCH;
    v->cursor = v->editing ? a->vm.prompt.cursor : strlen(s->query);
    v->sort = sort_name[s->sort];
    v->size = s->size;
    v->log = a->vm.header.saving ? "off" : "on";
    v->preview = s->preview;
    v->rate = s->rate;
    v->n_rate = s->n_rate;
}

/* ---- inspector -------------------------------------------------------------------------- */

#define FLIP_COLUMNS 64

static void inspect_flips(struct app *a, struct vm_inspect *v, const struct choice_rows *r,
                          size_t row)
{
    size_t first = row >= FLIP_COLUMNS ? row - FLIP_COLUMNS + 1 : 0, n = row - first + 1;
    uint8_t *level = pool_get(&a->frame, (size_t)r->layers * n + 1, 1);
    for (uint32_t l = 0; l < r->layers; l++)
        for (size_t i = 0; i < n; i++) {
            const uint16_t *now = choice_row(r, first + i) + (size_t)l * r->blocks;
            uint32_t flips = 0;
            for (uint32_t b = 0; first + i > 0 && b < r->blocks; b++)
                flips += now[b] != now[(ptrdiff_t)b - (ptrdiff_t)choice_cells(r)];
            level[l * n + i] = (uint8_t)(first + i == 0 ? VM_ABSENT : flips * 254 / r->blocks);
        }
    v->flips = level;
    v->n_flips = n;
    v->flips_first = (int32_t)first;
}

void present_inspect(struct app *a)
{
    struct vm_inspect *v = &a->vm.inspect;
    struct choice_rows *r = app_rows(a);
    int64_t token = app_token(a);
    v->run = a->run_id;
    v->n = (uint32_t)a->shown;
    v->token = (int32_t)token;
    v->unit = -1;
    v->p = v->margin = v->relu = v->block_entropy = NAN;
    v->max_entropy = r->units ? log2(r->units) : NAN;
    if (token < 0)
        return;
    v->text = present_token(a, &a->run, (size_t)token);
    v->id = a->run.token[token].id;
    v->p = exp((double)a->run.token[token].logprob);
    present_strip(a, &v->strip, token);
    present_map(a, &v->map, r, token);
    present_agree(a, &v->agree, token);
    size_t row = (size_t)token < r->n ? (size_t)token : r->n ? r->n - 1 : 0;
    if (!r->n || a->layer >= r->layers || a->block >= r->blocks)
        return;
    size_t cell = (size_t)a->layer * r->blocks + a->block, at = row * choice_cells(r) + cell;
    struct choice_stat s;
    choice_block_stat(r, a->layer, a->block, &s);
    v->block_entropy = s.entropy;
    if (r->unit[at] < r->units)
        v->unit = r->unit[at];
    v->margin = (double)r->margin[at];
    v->relu = r->alive[at] == 0 ? 0 : NAN; /* the engine tells only whether it was zero */
    for (size_t i = 1; i <= row; i++)
        v->block_flips += choice_row(r, i)[cell] != choice_row(r, i - 1)[cell];
    inspect_flips(a, v, r, row);
}

/* ---- overlays ------------------------------------------------------------------------------
 */

static bool contains(const char *text, const char *what)
{
    size_t n = strlen(what);
    for (; *text; text++)
        if (strncasecmp(text, what, n) == 0)
            return true;
    return n == 0;
}

static bool help_matches(const struct app *a, enum command c)
{
    const struct command_info *i = &command_info[c];
    const char *f = a->help.filter;
    return contains(i->keys, f) || contains(i->name, f) || contains(i->help, f) ||
           (i->more && contains(i->more, f));
}

static bool number_matches(const struct app *a, const struct number_info *i)
{
    const char *f = a->help.filter;
    return contains(i->name, f) || contains(i->text, f) || (i->more && contains(i->more, f));
}

/* Numbers called like the filter, or the others that match. */
static size_t help_numbers(const struct app *a, bool called, int *out)
{
    size_t n = 0;
    for (int i = 0; i < NUMBERS; i++)
        if (number_called(&number_info[i], a->help.filter) == called &&
            number_matches(a, &number_info[i]))
            out[n++] = COMMANDS + i;
    return n;
}

size_t present_help_list(const struct app *a, int out[HELP_ROWS])
{
    unsigned scope = present_scope(a);
    size_t n = help_numbers(a, true, out); /* who types a whole name asks what it is */
    for (int here = 1; here >= 0; here--)  /* what works here comes first */
        for (int c = 0; c < COMMANDS; c++)
            if (((command_info[c].scope & scope) != 0) == here &&
                help_matches(a, (enum command)c))
                out[n++] = c;
    return n + help_numbers(a, false, out + n);
}

static const char *help_key(struct app *a, enum command c)
{
    struct buf keys = {0};
    if (a->bindings)
        command_key_names(a->bindings, c, &keys);
    const struct command_info *i = &command_info[c];
    if (*i->name && !keys.len)
        buf_printf(&keys, ":%s%s%s", i->name, *i->argument ? " " : "", i->argument);
    else if (*i->name)
        buf_printf(&keys, "  :%s", i->name);
    const char *text = pool_str(&a->frame, buf_str(&keys));
    buf_free(&keys);
    return text;
}

static struct vm_help_row help_row(struct app *a, int which)
{
    if (which >= COMMANDS) {
        const struct number_info *i = &number_info[which - COMMANDS];
        return (struct vm_help_row){i->name, i->text, "numbers on the screen", i->more};
    }
    const struct command_info *i = &command_info[which];
    bool here = i->scope & present_scope(a);
    return (struct vm_help_row){.key = help_key(a, (enum command)which),
                                .text = i->help,
                                .group = here ? "works here" : "elsewhere, or as a :command",
                                .more = i->more};
}

void present_help(struct app *a)
{
    static const char *const view[] = {"main", "compare", "sessions", "inspect", "numbers"};
    static const char *const pane[] = {"prompt", "output", "map", "latency", "tokens", "list"};
    int list[HELP_ROWS];
    size_t n = present_help_list(a, list);
    struct vm_help *h = pool_get(&a->frame, 1, sizeof *h);
    struct vm_help_row *row = pool_get(&a->frame, n + 1, sizeof *row);
    char title[64];
    snprintf(title, sizeof title, "%s, focus = %s", view[a->view], pane[a->focus]);
    for (size_t i = 0; i < n; i++)
        row[i] = help_row(a, list[i]);
    if (a->help.selected >= n)
        a->help.selected = n ? n - 1 : 0;
    *h = (struct vm_help){.title = pool_str(&a->frame, title),
                          .filter = a->help.filter,
                          .row = row,
                          .n = n,
                          .total = HELP_ROWS,
                          .selected = a->help.selected};
    a->vm.help = h;
}

void present_dialog(struct app *a)
{
    struct vm_dialog *d = pool_get(&a->frame, 1, sizeof *d);
    struct vm_choice *c = pool_get(&a->frame, DIALOG_CHOICES, sizeof *c);
    for (size_t i = 0; i < a->dialog.n; i++)
        c[i] = (struct vm_choice){a->dialog.key[i], a->dialog.choice[i]};
    *d =
        (struct vm_dialog){a->dialog.title, a->dialog.text, c, a->dialog.n, a->dialog.selected};
    a->vm.dialog = d;
}
