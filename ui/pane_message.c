/* SPDX-License-Identifier: MIT */
#include "ui/fit.h"
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <stdio.h>
#include <string.h>

void pane_rule(struct surface *s, const struct theme *t, int y, const char *title,
               const char *right, bool focus)
{
    struct style dim = theme_style(t, ROLE_DIM);
    surface_fill(s, (struct rect){0, y, s->w, 1}, '-', dim);
    if (title && s->w > 6) {
        size_t n = text_fit(title, strlen(title), s->w - 6);
        int x = surface_text(s, 2, y, " ", dim);
        x = surface_textn(s, x, y, s->w - x - 3, title, n,
                          theme_style(t, focus ? ROLE_FOCUS : ROLE_TITLE));
        x = surface_text(s, x, y, " ", dim);
        if (right && x + text_width(right, strlen(right)) + 6 < s->w) {
            x = surface_text_right(s, s->w - 3, y, right, dim);
            surface_text(s, x - 1, y, " ", dim);
            surface_text(s, s->w - 3, y, " ", dim);
        }
    }
}

size_t pane_cut(const struct theme *t, const char *text, size_t n, int cols, const char **mark)
{
    *mark = "";
    if (text_width(text, n) <= cols)
        return n;
    *mark = t->blocks ? "\u2026" : "..";
    return text_fit(text, n, cols - text_width(*mark, strlen(*mark)));
}

int pane_textn(struct surface *s, const struct theme *t, int x, int y, int cols,
               const char *text, size_t n, struct style st)
{
    const char *mark;
    int end = x + (cols > 0 ? cols : 0);
    n = pane_cut(t, text, n, cols, &mark);
    x = surface_textn(s, x, y, end - x, text, n, st);
    return surface_textn(s, x, y, end - x, mark, strlen(mark), st);
}

int pane_text(struct surface *s, const struct theme *t, int x, int y, int cols,
              const char *text, struct style st)
{
    return pane_textn(s, t, x, y, cols, text, strlen(text), st);
}

/* Columns of the bar itself. */
static int bar_width(int w)
{
    return w >= 100 ? 30 : w >= 60 ? 16 : 8;
}

/* " 48% [#####.....]"; returns the column after it. */
static int draw_progress(struct surface *s, const struct theme *t, int x, double share)
{
    struct style gauge = theme_style(t, ROLE_GAUGE), dim = theme_style(t, ROLE_DIM);
    int w = bar_width(s->w);
    share = share > 1 ? 1 : share;
    int full = (int)(share * w + 0.5);
    x = surface_printf(s, x, 0, theme_style(t, ROLE_TEXT), "%3.0f%% ", share * 100);
    x = surface_text(s, x, 0, "[", dim);
    for (int i = 0; i < w; i++)
        surface_rune(s, x + i, 0, i < full ? '#' : '.', i < full ? gauge : dim);
    return surface_text(s, x + w, 0, "]  ", dim);
}

void pane_message(struct surface *s, const struct theme *t, const struct vm_message *vm)
{
    static const enum theme_role role[] = {ROLE_NOTE, ROLE_WARN, ROLE_ERROR};
    const char *text = vm->text ? vm->text : "";
    bool progress = vm->progress >= 0; /* false for NaN */
    int x = 0;
    if (vm->banner && vm->banner[0]) { /* half of the row, or what the rest leaves free */
        struct style warn = theme_style(t, ROLE_ERROR);
        int rest = text_width(text, strlen(text)) + (progress ? bar_width(s->w) + 9 : 0);
        int room = rest + 2 < s->w / 2 ? s->w - rest - 2 : s->w / 2;
        x = surface_text(s, x, 0, "! ", warn);
        x = pane_text(s, t, x, 0, room - x, vm->banner, warn) + 2;
    }
    if (progress)
        x = draw_progress(s, t, x, vm->progress);
    pane_text(s, t, x, 0, s->w - x, text, theme_style(t, role[vm->severity]));
}

void pane_hints(struct surface *s, const struct theme *t, const struct vm_hints *vm)
{
    struct style key = theme_style(t, ROLE_KEY), dim = theme_style(t, ROLE_DIM);
    int end = s->w - (int)strlen("? help");
    for (int x = 0, i = 0; i < (int)vm->n; i++) {
        const struct vm_hint *h = &vm->hint[i];
        int w = text_width(h->key, strlen(h->key)) + 1 + text_width(h->text, strlen(h->text));
        if (x + w + 2 > end)
            break;
        x = surface_text(s, x, 0, h->key, key);
        x = surface_text(s, x + 1, 0, h->text, dim) + 2;
    }
    surface_text(s, end, 0, "?", key);
    surface_text(s, end + 2, 0, "help", dim);
}
