/* SPDX-License-Identifier: MIT */
#include "ui/pane.h"
#include "ui/text.h"

#include <stdio.h>
#include <string.h>

/* A cleared box with a frame and a title; returns its inside. */
static struct surface draw_box(struct surface *s, const struct theme *t, struct rect r,
                               const char *title)
{
    struct style dim = theme_style(t, ROLE_DIM);
    struct surface box = surface_sub(s, r);
    surface_clear(&box, (struct style){0});
    for (int y = 0; y < box.h; y++) {
        bool edge = y == 0 || y == box.h - 1;
        if (edge)
            surface_fill(&box, (struct rect){1, y, box.w - 2, 1}, '-', dim);
        surface_rune(&box, 0, y, edge ? '+' : '|', dim);
        surface_rune(&box, box.w - 1, y, edge ? '+' : '|', dim);
    }
    int x = surface_text(&box, 2, 0, " ", dim);
    x = surface_text(&box, x, 0, title, theme_style(t, ROLE_FOCUS));
    surface_text(&box, x, 0, " ", dim);
    return surface_sub(&box, (struct rect){2, 1, box.w - 4, box.h - 2});
}

/* ---- help ---------------------------------------------------------------------------- */

struct help_line {
    const char *key, *text;
    size_t n; /* bytes of text */
    int x;    /* column of text */
    enum theme_role role;
    bool heading;
};

#define HELP_MAX    512
#define HELP_NARROW 50 /* columns below which the selected row's text has lines of its own */
#define HELP_INDENT 3

struct help_list {
    struct help_line line[HELP_MAX];
    int n, w, key_w; /* columns of all and of the keys */
    int from, to;    /* lines of the selected row */
};

/* Adds text over as many lines as it takes, the first of them after `key`. */
static void add_wrapped(struct help_list *l, const char *key, const char *text, int x,
                        enum theme_role role)
{
    size_t n = strlen(text), at = 0, len;
    bool newline;
    while ((at < n || key) && l->n < HELP_MAX) {
        size_t next = at + text_line(text + at, n - at, l->w - x, &len, &newline);
        l->line[l->n++] = (struct help_line){key, text + at, len, x, role, false};
        key = NULL;
        at = next;
    }
}

/* All of it, even where the list has no room for that. */
static void add_selected(struct help_list *l, const struct vm_help_row *r, const char *text)
{
    const char *key = r->key ? r->key : "";
    int x = l->w < HELP_NARROW ? HELP_INDENT : l->key_w;
    l->from = l->n;
    if (x < l->key_w || text_width(key, strlen(key)) > l->key_w - 2) { /* its own line */
        add_wrapped(l, key, "", x, ROLE_SELECT);
        key = NULL;
    }
    add_wrapped(l, key, text, x, ROLE_SELECT);
    if (r->more)
        add_wrapped(l, NULL, r->more, x, ROLE_DIM);
    l->to = l->n;
}

/* What is drawn: rows and their headings. */
static void help_lines(const struct vm_help *vm, struct help_list *l)
{
    const char *group = NULL;
    for (size_t i = 0; i < vm->n && l->n + 2 < HELP_MAX; i++) {
        const struct vm_help_row *r = &vm->row[i];
        const char *text = r->text ? r->text : "";
        if (r->group && (!group || strcmp(group, r->group) != 0))
            l->line[l->n++] =
                (struct help_line){NULL, r->group, strlen(r->group), 0, ROLE_TITLE, true};
        group = r->group;
        if (i == vm->selected)
            add_selected(l, r, text);
        else
            l->line[l->n++] =
                (struct help_line){r->key, text, strlen(text), l->key_w, ROLE_TEXT, false};
    }
}

static void draw_help_line(struct surface *s, const struct theme *t, const struct help_line *l,
                           int x, int y, int cols)
{
    struct style st = theme_style(t, l->role);
    if (l->heading) {
        surface_textn(s, x, y, cols, l->text, l->n, st);
        return;
    }
    if (l->role == ROLE_SELECT)
        surface_fill(s, (struct rect){x, y, cols, 1}, ' ', st);
    if (l->key)
        pane_text(s, t, x + 1, y, l->n ? l->x - 2 : cols - 1, l->key,
                  l->role == ROLE_SELECT ? st : theme_style(t, ROLE_KEY));
    pane_textn(s, t, x + l->x, y, cols - l->x, l->text, l->n, st);
}

/* The first line shown: pages, moved on where the selected row would not end on its page. */
static int help_first(const struct help_list *l, int size)
{
    if (size < 1)
        return 0;
    int first = l->from / size * size;
    if (l->to > first + size)
        first = l->to - size;
    return first < l->from ? first : l->from;
}

void pane_help(struct surface *s, const struct theme *t, const struct vm_help *vm)
{
    int w = s->w * (s->w >= 120 ? 9 : 7) / 10, h = s->h * 7 / 10;
    w = w < 76 ? (s->w < 76 ? s->w : 76) : w;
    h = h < 12 ? (s->h < 12 ? s->h : 12) : h;
    struct rect r = {(s->w - w) / 2, (s->h - h) / 2, w, h};
    char text[160];
    snprintf(text, sizeof text, "help: %s", vm->title ? vm->title : "all keys");
    struct surface in = draw_box(s, t, r, text);
    surface_printf(&in, 0, 0, theme_style(t, ROLE_DIM), "type to filter: ");
    surface_printf(&in, 16, 0, theme_style(t, ROLE_TITLE), "%s_", vm->filter ? vm->filter : "");

    int columns = in.w >= 100 ? 2 : 1, rows = in.h - 1, col_w = in.w / columns;
    struct help_list list = {.w = col_w - 1, .key_w = col_w < HELP_NARROW ? 14 : 17};
    help_lines(vm, &list);
    int size = rows > 0 ? rows * columns : 0, first = help_first(&list, size);
    for (int k = 0; k < size && first + k < list.n; k++)
        draw_help_line(&in, t, &list.line[first + k], k / rows * col_w, 1 + k % rows, list.w);
    if (list.n == 0)
        surface_text(&in, 0, 2, "nothing matches", theme_style(t, ROLE_DIM));

    struct surface box = surface_sub(s, r);
    surface_text(&box, 2, r.h - 1, " Enter runs the line  Esc closes ",
                 theme_style(t, ROLE_DIM));
    snprintf(text, sizeof text, " %zu of %zu ", vm->n, vm->total);
    surface_text_right(&box, r.w - 2, r.h - 1, text, theme_style(t, ROLE_DIM));
}

/* ---- dialog ------------------------------------------------------------------------------ */

static int wrapped_rows(const char *text, int cols)
{
    size_t n = strlen(text), at = 0, len;
    bool newline;
    int rows = 0;
    for (; at < n; rows++)
        at += text_line(text + at, n - at, cols, &len, &newline);
    return rows;
}

void pane_dialog(struct surface *s, const struct theme *t, const struct vm_dialog *vm)
{
    const char *text = vm->text ? vm->text : "";
    int w = s->w < 66 ? s->w : 66;
    int body = wrapped_rows(text, w - 4);
    int h = body + (int)vm->n + 3;
    h = h > s->h ? s->h : h;
    struct rect r = {(s->w - w) / 2, (s->h - h) / 2, w, h};
    struct surface in = draw_box(s, t, r, vm->title ? vm->title : "question");
    int choices = in.h - (int)vm->n;
    size_t n = strlen(text), at = 0, len;
    bool newline;
    for (int y = 0; at < n && y < choices; y++) {
        size_t used = text_line(text + at, n - at, in.w, &len, &newline);
        surface_textn(&in, 0, y, -1, text + at, len, theme_style(t, ROLE_TEXT));
        at += used;
    }
    for (size_t i = 0; i < vm->n; i++) {
        int y = choices + (int)i;
        bool here = i == vm->selected;
        struct style st = theme_style(t, here ? ROLE_SELECT : ROLE_TEXT);
        if (here)
            surface_fill(&in, (struct rect){0, y, in.w, 1}, ' ', st);
        int x =
            surface_text(&in, 1, y, vm->choice[i].key, here ? st : theme_style(t, ROLE_KEY));
        surface_text(&in, x + 2, y, vm->choice[i].text, st);
    }
}
