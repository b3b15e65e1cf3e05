/* SPDX-License-Identifier: MIT */
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BESIDE_W 120 /* columns from which the preview is beside the list */

/* Bytes of a long query to leave out, so that what is in front of the cursor fits. */
static size_t query_start(const char *query, size_t cursor, int room)
{
    size_t at = 0;
    struct glyph g;
    while (at < cursor && text_width(query + at, cursor - at) > room)
        at += text_glyph(query + at, cursor - at, &g);
    return at;
}

static void draw_search(struct surface *s, const struct theme *t, const struct vm_sessions *vm,
                        int *cx, int *cy)
{
    struct style dim = theme_style(t, ROLE_DIM);
    const char *query = vm->query ? vm->query : "";
    size_t n = strlen(query), cursor = vm->cursor < n ? vm->cursor : n;
    size_t skip = vm->editing ? query_start(query, cursor, s->w / 3) : 0;
    query += skip;
    cursor -= skip;
    int x = surface_text(s, 0, 0, "sessions  ", theme_style(t, ROLE_TITLE));
    x = surface_text(s, x, 0, "/", theme_style(t, vm->editing ? ROLE_FOCUS : ROLE_DIM));
    if (vm->editing) {
        *cx = x + text_width(query, cursor);
        *cy = 0;
    }
    int end = surface_textn(s, x, 0, s->w / 3, query, strlen(query), theme_style(t, ROLE_TEXT));
    if (!query[0] && !vm->editing)
        end = surface_text(s, x, 0, " searches all prompts and replies", dim);

    char state[96] = "";
    snprintf(state, sizeof state, "sort: %s  db %s  log %s", vm->sort ? vm->sort : "-",
             vm->size ? vm->size : "-", vm->log ? vm->log : "-");
    int w = text_width(state, strlen(state));
    if (end + w + 2 <= s->w)
        surface_text_right(s, s->w, 0, state, dim);
    char match[48];
    snprintf(match, sizeof match, "%zu of %zu match", vm->n, vm->total);
    if (query[0] && end + 2 + (int)strlen(match) + w + 2 <= s->w)
        surface_text(s, end + 2, 0, match, theme_style(t, ROLE_TEXT));
}

/* Columns that a narrow screen can do without come last in each comparison. */
static void draw_row(struct surface *s, const struct theme *t, const struct vm_session *r,
                     bool selected, int y)
{
    struct style st = theme_style(t, selected ? ROLE_SELECT : ROLE_TEXT);
    struct style warn = selected ? st : theme_style(t, ROLE_WARN);
    if (selected)
        surface_fill(s, (struct rect){0, y, s->w, 1}, ' ', st);
    surface_text(s, 0, y, selected ? ">" : " ", st);
    surface_rune(s, 1, y, (unsigned char)(r->mark ? r->mark : ' '), warn);
    surface_printf(s, 2, y, st, "%4" PRId64, r->id);
    int x = 8;
    const char *updated = r->updated ? r->updated : "-";
    surface_textn(s, x, y, 13, updated, strlen(updated), st);
    x += 14;
    if (s->w >= 60) {
        surface_printf(s, x, y, st, "%4u %6" PRIu64, r->runs, r->tokens);
        x += 12;
        if (s->w >= 70) {
            surface_printf(s, x, y, st, "%6s", fmt_short(r->tok_s).s);
            x += 8;
        }
        int doc = s->w >= 110 ? 22 : 13;
        const char *name = r->doc ? r->doc : "-";
        pane_text(s, t, x, y, doc, name, st);
        x += doc + 1;
    }
    pane_text(s, t, x, y, s->w - x, r->title ? r->title : "(no title)", st);
}

static void draw_columns(struct surface *s, const struct theme *t, int y)
{
    struct style dim = theme_style(t, ROLE_DIM);
    surface_text(s, 4, y, "id", dim);
    int x = surface_text(s, 8, y, "updated       ", dim);
    if (s->w >= 60) {
        x = surface_text(s, x, y, "runs    tok ", dim);
        if (s->w >= 70)
            x = surface_text(s, x, y, " tok/s  ", dim);
        surface_text(s, x, y, "doc", dim);
        x += (s->w >= 110 ? 22 : 13) + 1;
    }
    surface_text(s, x, y, "title", dim);
}

/* Text with [bracketed] hits picked out; without a search brackets are the text's own. */
static void draw_preview(struct surface *s, const struct theme *t, const struct vm_sessions *vm)
{
    const char *text = vm->preview ? vm->preview : "";
    size_t n = strlen(text), at = 0, len;
    bool newline, hit = false, marks = vm->query && vm->query[0];
    for (int y = 0; at < n && y < s->h; y++) {
        size_t used = text_line(text + at, n - at, s->w, &len, &newline);
        struct glyph g;
        int x = 0;
        for (size_t i = at, k; i < at + len; i += k) {
            k = text_glyph(text + i, at + len - i, &g);
            hit = hit || (marks && text[i] == '[');
            x = surface_textn(s, x, y, g.width, text + i, k,
                              theme_style(t, hit ? ROLE_FOUND : ROLE_TEXT));
            hit = hit && text[i] != ']';
        }
        at += used;
    }
}

static void draw_rates(struct surface *s, const struct theme *t, const struct vm_sessions *vm,
                       int y)
{
    double top = 0;
    size_t from = vm->n_rate > (size_t)s->w - 20 ? vm->n_rate - ((size_t)s->w - 20) : 0;
    for (size_t i = from; i < vm->n_rate; i++)
        top = fmax(top, vm->rate[i]);
    int x = surface_text(s, 0, y, "tok/s per run ", theme_style(t, ROLE_DIM));
    for (size_t i = from; i < vm->n_rate && top > 0; i++, x++)
        surface_rune(s, x, y, theme_bar(t, (int)(vm->rate[i] / top * 8 + 0.5)),
                     theme_style(t, ROLE_GAUGE));
    surface_printf(s, x + 1, y, theme_style(t, ROLE_DIM), "%s", fmt_short(top).s);
}

/* The list scrolls no further than the selected row needs. */
static size_t first_row(const struct vm_sessions *vm, int rows)
{
    return vm->selected >= (size_t)rows && rows > 0 ? vm->selected - (size_t)rows + 1 : 0;
}

static void draw_list(struct surface *s, const struct theme *t, const struct vm_sessions *vm)
{
    draw_columns(s, t, 0);
    int rows = s->h - 1;
    if (vm->n == 0) {
        surface_text(s, 2, 1,
                     vm->total ? "no session matches; Esc clears the search"
                               : "nothing saved yet; every run appears here by itself",
                     theme_style(t, ROLE_DIM));
        return;
    }
    size_t top = first_row(vm, rows);
    for (size_t i = top; i < vm->n && (int)(i - top) < rows; i++)
        draw_row(s, t, &vm->row[i], i == vm->selected, 1 + (int)(i - top));
}

/* Rows of the preview; on a wide screen it is beside the list. */
static int preview_rows(const struct vm_sessions *vm, int w, int h)
{
    return vm->n == 0 ? 0 : w >= BESIDE_W ? h - 1 : h >= 12 ? 4 : 0;
}

/* With the titles of its columns. */
static struct rect list_rect(const struct vm_sessions *vm, int w, int h)
{
    int preview = preview_rows(vm, w, h);
    bool beside = w >= BESIDE_W;
    return (struct rect){0, 1, beside && preview ? w * 3 / 5 : w,
                         h - 1 - (beside ? 0 : preview)};
}

bool pane_sessions_at(int w, int h, const struct vm_sessions *vm, int x, int y, size_t *row)
{
    struct rect r = list_rect(vm, w, h);
    int at = y - r.y - 1;
    if (h < 3 || x >= r.w || at < 0 || at >= r.h - 1)
        return false;
    *row = first_row(vm, r.h - 1) + (size_t)at;
    return *row < vm->n;
}

void pane_sessions(struct surface *s, const struct theme *t, const struct vm_sessions *vm,
                   int *cx, int *cy)
{
    *cx = *cy = -1;
    if (s->h < 3)
        return;
    draw_search(s, t, vm, cx, cy);
    char title[64] = "preview";
    if (vm->selected < vm->n)
        snprintf(title, sizeof title, "preview of %" PRId64, vm->row[vm->selected].id);

    bool beside = s->w >= BESIDE_W;
    int preview = preview_rows(vm, s->w, s->h);
    struct rect r = list_rect(vm, s->w, s->h);
    struct surface list = surface_sub(s, r);
    draw_list(&list, t, vm);
    if (!preview)
        return;
    r = beside ? (struct rect){r.w + 1, 1, s->w - r.w - 1, s->h - 1}
               : (struct rect){0, s->h - preview, s->w, preview};
    struct surface side = surface_sub(s, r);
    pane_rule(&side, t, 0, title, "* open here  ! interrupted", false);
    bool rates = beside && vm->n_rate > 1 && side.w > 24;
    struct surface text = surface_sub(&side, (struct rect){0, 1, side.w, side.h - 1 - rates});
    draw_preview(&text, t, vm);
    if (rates)
        draw_rates(&side, t, vm, side.h - 1);
}
