/* SPDX-License-Identifier: MIT */
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- token strip and alternatives -------------------------------------------------- */

static int boxed_width(const char *text)
{
    return 2 + text_width(text, strlen(text));
}

static void draw_boxes(struct surface *s, const struct theme *t, const struct vm_strip *vm)
{
    /* walk back from the scrubbed one while there is room for it and for a third of
     * the row after it */
    size_t first = vm->at;
    int used = boxed_width(vm->text[vm->at]), limit = s->w * 2 / 3;
    while (first > 0 && used + boxed_width(vm->text[first - 1]) <= limit)
        used += boxed_width(vm->text[--first]);
    int x = 0;
    for (size_t i = first; i < vm->n && x < s->w; i++) {
        bool here = i == vm->at;
        struct style box = theme_style(t, ROLE_DIM);
        struct style text = theme_style(t, here ? ROLE_SELECT : ROLE_TEXT);
        x = surface_text(s, x, 0, "[", here ? text : box);
        x = surface_text(s, x, 0, vm->text[i], text);
        x = surface_text(s, x, 0, "]", here ? text : box);
    }
}

static void draw_top(struct surface *s, const struct theme *t, const struct vm_strip *vm, int y)
{
    int x = surface_printf(s, 0, y, theme_style(t, ROLE_DIM), "top %d ", VM_TOP);
    for (size_t i = 0; i < vm->n_top && x < s->w - 8; i++) {
        x = surface_printf(s, x, y, theme_style(t, i ? ROLE_TEXT : ROLE_TITLE), " '%s' ",
                           vm->top[i].text ? vm->top[i].text : "");
        x = surface_printf(s, x, y, theme_style(t, ROLE_DIM), "%s ", fmt_share(vm->top[i].p).s);
    }
}

void pane_strip(struct surface *s, const struct theme *t, const struct vm_strip *vm, bool focus)
{
    char title[64] = "tokens", right[48];
    if (vm->n)
        snprintf(title, sizeof title, "token %d", vm->first + (int)vm->at);
    if (s->h < 1)
        return;
    snprintf(right, sizeof right, "p %s", fmt_share(vm->p).s);
    int y = 0;
    if (s->h >= 3)
        pane_rule(s, t, y++, title, isfinite(vm->p) ? right : NULL, focus);
    if (vm->n == 0 || vm->at >= vm->n) {
        surface_text(s, 0, y, "no token yet; h and l move through them later",
                     theme_style(t, ROLE_DIM));
        return;
    }
    struct surface row = surface_sub(s, (struct rect){0, y++, s->w, 1});
    draw_boxes(&row, t, vm);
    if (vm->n_top && y < s->h)
        draw_top(s, t, vm, y);
}

/* ---- agreement ------------------------------------------------------------------------ */

void pane_agree(struct surface *s, const struct theme *t, const struct vm_agree *vm,
                int32_t token)
{
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    char title[96];
    snprintf(title, sizeof title, "agreement with earlier tokens, %% of blocks (chance %s)",
             fmt_percent(vm->chance).s);
    if (s->h < 3)
        return;
    pane_rule(s, t, 0, title, NULL, false);
    if (vm->n == 0) {
        surface_text(s, 1, 1, "needs two tokens", dim);
        return;
    }
    int like = vm->like >= 0 && s->w >= 60 ? 26 : 0;
    size_t fits = s->w - 7 - like > 0 ? (size_t)((s->w - 7 - like) / 5) : 0;
    size_t from = vm->n > fits ? vm->n - fits : 0;
    surface_printf(s, 0, 2, theme_style(t, ROLE_TITLE), "%5d", token);
    for (size_t i = from; i < vm->n; i++) {
        int x = 7 + (int)(i - from) * 5;
        bool above = vm->share[i] > 2 * vm->chance;
        surface_printf(s, x, 1, dim, "%4d", vm->token[i]);
        surface_printf(s, x, 2, above ? text : dim, "%4.0f", vm->share[i] * 100);
    }
    if (like) {
        surface_text(s, s->w - like, 1, "most alike", dim);
        int x = surface_printf(s, s->w - like, 2, text, "%d %s ", vm->like,
                               fmt_percent(vm->like_share).s);
        if (vm->like_text)
            surface_printf(s, x, 2, text, "'%s'", vm->like_text);
    }
}
