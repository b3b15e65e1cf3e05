/* SPDX-License-Identifier: MIT */
#include "ui/pane.h"
#include "ui/text.h"

#include <stdio.h>
#include <string.h>

static struct style kind_style(const struct theme *t, enum flow_kind kind)
{
    static const enum theme_role role[] = {[FLOW_REPLY] = ROLE_TEXT,
                                           [FLOW_USER] = ROLE_USER,
                                           [FLOW_NOTE] = ROLE_NOTE,
                                           [FLOW_ERROR] = ROLE_ERROR,
                                           [FLOW_DOCUMENT] = ROLE_DIM};
    return theme_style(t, role[kind]);
}

/* Index of the flow_token that covers byte `at`. */
static size_t token_index(const struct flow *f, size_t at)
{
    size_t lo = 0, hi = f->n_tokens;
    while (lo + 1 < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (f->token[mid].at <= at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* End of a search hit that began before or at `at`; 0: none. */
static size_t hit_end(const struct flow *f, const char *find, size_t at)
{
    size_t n = find ? strlen(find) : 0;
    for (size_t back = 0; n && back < n && back <= at; back++)
        if (flow_match(f, find, at - back))
            return at - back + n;
    return 0;
}

static int indent_of(const struct flow *f, const struct flow_line *line)
{
    return f->block[line->block].kind == FLOW_USER ? 2 : 0;
}

/* Returns the column after the line. */
static int draw_line(struct surface *s, const struct theme *t, const struct vm_output *vm,
                     const struct flow_line *line, int y)
{
    const struct flow *f = vm->flow;
    struct style base = kind_style(t, f->block[line->block].kind);
    int indent = indent_of(f, line), x = indent;
    if (indent && f->block[line->block].at == line->at)
        surface_text(s, 0, y, "> ", base);

    size_t end = line->at + line->len, tok = token_index(f, line->at);
    size_t hit = line->len ? hit_end(f, vm->find, line->at) : 0;
    struct glyph g;
    for (size_t i = line->at, used; i < end; i += used) {
        used = text_glyph(f->text + i, end - i, &g);
        while (tok + 1 < f->n_tokens && f->token[tok + 1].at <= i)
            tok++;
        int32_t number = f->n_tokens ? f->token[tok].token : FLOW_NO_TOKEN;
        struct style st = base;
        size_t m = vm->find ? flow_match(f, vm->find, i) : 0;
        if (m)
            hit = i + m;
        if (i < hit)
            st = theme_style(t, ROLE_FOUND);
        else if (number != FLOW_NO_TOKEN && number == vm->token)
            st = theme_style(t, ROLE_SELECT);
        else if (number != FLOW_NO_TOKEN && number == vm->pinned)
            st = theme_style(t, ROLE_PINNED);
        else if (f->n_tokens)
            st = theme_shade(t, st, f->token[tok].level);
        if (g.rune == '\t') {
            int stop = TEXT_TAB - (x - indent) % TEXT_TAB;
            surface_fill(s, (struct rect){x, y, stop, 1}, ' ', st);
            x += stop;
        } else {
            x = surface_textn(s, x, y, g.width, f->text + i, used, st);
        }
    }
    return x;
}

int pane_output_rows(int h, bool title)
{
    int rows = h - (title ? 1 : 0);
    return rows > 0 ? rows : 0;
}

static void draw_empty(struct surface *s, const struct theme *t, const char *text)
{
    struct style dim = theme_style(t, ROLE_DIM);
    size_t n = text ? strlen(text) : 0, at = 0, len;
    bool newline;
    for (int y = 0; at < n && y < s->h; y++) {
        size_t used = text_line(text + at, n - at, s->w, &len, &newline);
        surface_textn(s, 0, y, -1, text + at, len, dim);
        at += used;
    }
}

static void draw_title(struct surface *s, const struct theme *t, const struct vm_output *vm,
                       bool focus, size_t unseen)
{
    char title[64];
    snprintf(title, sizeof title, "%s (%s)", vm->title ? vm->title : "output",
             vm->view->follow ? "follow"
             : unseen         ? "reading, more below"
                              : "reading");
    pane_rule(s, t, 0, title, NULL, focus);
}

void pane_output(struct surface *s, const struct theme *t, const struct vm_output *vm,
                 bool title, bool focus)
{
    if (!vm->flow || s->w < 1)
        return;
    flow_wrap(vm->flow, s->w);
    size_t unseen = flow_view_unseen(vm->view, vm->flow);
    if (title)
        draw_title(s, t, vm, focus, unseen);
    struct surface body = surface_sub(s, (struct rect){0, title, s->w, s->h - title});
    if (vm->flow->len == 0) {
        draw_empty(&body, t, vm->empty);
        return;
    }

    size_t top = flow_view_top(vm->view, vm->flow, body.h);
    for (int y = 0; y < body.h && top + (size_t)y < vm->flow->n_lines; y++) {
        size_t i = top + (size_t)y;
        int x = draw_line(&body, t, vm, &vm->flow->line[i], y);
        if (vm->live && i + 1 == vm->flow->n_lines && x < body.w)
            surface_rune(&body, x, y, '_', theme_style(t, ROLE_FOCUS));
    }
    if (unseen) {
        char note[48];
        snprintf(note, sizeof note, " +%zu new, End follows ", unseen);
        surface_text_right(&body, body.w, body.h - 1, note, theme_style(t, ROLE_SELECT));
    }
}

int32_t pane_output_at(int w, int h, const struct vm_output *vm, bool title, int x, int y)
{
    y -= title;
    if (!vm->flow || y < 0 || w < 1)
        return FLOW_NO_TOKEN;
    const struct flow *f = vm->flow;
    size_t i = flow_view_top(vm->view, f, pane_output_rows(h, title)) + (size_t)y;
    if (i >= f->n_lines)
        return FLOW_NO_TOKEN;
    const struct flow_line *line = &f->line[i];
    int col = x - indent_of(f, line);
    if (col < 0)
        return FLOW_NO_TOKEN;
    size_t off = text_fit(f->text + line->at, line->len, col);
    return off < line->len ? flow_token_at(f, line->at + off) : FLOW_NO_TOKEN;
}
