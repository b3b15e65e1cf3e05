/* SPDX-License-Identifier: MIT */
#include "ui/fit.h"
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TITLE_COLS  28 /* that the title takes from other facts */
#define TITLE_BRIEF 12 /* where there is little room */
#define TITLE_MAX   80 /* bytes */

static struct style on_bar(struct style bar, struct style st)
{
    st.bg = bar.bg;
    st.attr |= bar.attr & ATTR_REVERSE;
    return st;
}

/* Right-hand side: what is going on, and whether it is kept. */
static void add_state(struct fit *f, const struct theme *t, struct style bar,
                      const struct vm_header *vm, bool roomy)
{
    struct style busy = on_bar(bar, theme_style(t, ROLE_FOCUS));
    struct style warn = on_bar(bar, theme_style(t, ROLE_WARN));
    if (vm->saving)
        fit_add(f, 1, warn, "%s", vm->saving);
    if (vm->state && vm->total)
        fit_add(f, 0, vm->busy ? busy : bar, "%s %" PRIu64 "/%" PRIu64, vm->state, vm->done,
                vm->total);
    else if (vm->state)
        fit_add(f, 0, vm->busy ? busy : bar, "%s", vm->state);
    if (roomy && isfinite(vm->tok_s) && vm->tok_s > 0)
        fit_add(f, 2, bar, "%s tok/s", fmt_short(vm->tok_s).s);
}

/* The title as far as it fits, in quotes. */
static void quote(char out[TITLE_MAX + 8], const struct theme *t, const char *title, int cols)
{
    const char *mark;
    size_t n;
    do
        n = pane_cut(t, title, strlen(title), cols, &mark);
    while (n > TITLE_MAX && cols-- > 0);
    snprintf(out, TITLE_MAX + 8, "'%.*s%s'", (int)n, title, mark);
}

static void add_title(struct fit *f, const struct theme *t, struct style bar,
                      const struct vm_header *vm, int spare)
{
    char text[TITLE_MAX + 8], brief[TITLE_MAX + 8];
    const char *title = vm->title ? vm->title : "untitled";
    quote(text, t, title, TITLE_COLS + spare);
    quote(brief, t, title, TITLE_BRIEF + spare);
    if (vm->session)
        fit_brief(fit_add(f, 4, bar, "session %" PRId64 " %s", vm->session, text),
                  "s%" PRId64 " %s", vm->session, brief);
    else /* nothing is stored yet */
        fit_brief(fit_add(f, 4, bar, "%s", text), "%s", brief);
}

static void add_facts(struct fit *f, const struct theme *t, struct style bar,
                      const struct vm_header *vm, int spare)
{
    struct style bold = bar;
    bold.attr |= ATTR_BOLD;
    fit_add(f, 0, bold, "terra");
    if (vm->session || vm->title)
        add_title(f, t, bar, vm, spare);
    if (vm->model)
        fit_add(f, 1, bar, "model %s", vm->model);
    else
        fit_add(f, 1, bar, "no model");
    if (vm->blocks)
        fit_brief(fit_add(f, 5, bar, "%u layers x %u blocks x %u units", vm->layers, vm->blocks,
                          vm->units),
                  "%uLx%uBx%u", vm->layers, vm->blocks, vm->units);
    else if (vm->layers)
        fit_brief(fit_add(f, 5, bar, "%u layers, dense", vm->layers), "%uL", vm->layers);
    if (vm->dtype)
        fit_add(f, 7, bar, "%s", vm->dtype);
    if (vm->mode)
        fit_add(f, 2, bar, "%s", vm->mode);
    if (vm->threads)
        fit_brief(fit_add(f, 9, bar, "threads %u", vm->threads), "%ut", vm->threads);
    if (vm->has_seed)
        fit_add(f, 8, bar, "seed %" PRIu64, vm->seed);
    if (vm->run)
        fit_brief(fit_add(f, 6, bar, "run %u/%u", vm->run, vm->runs), "run %u", vm->run);
}

void pane_header(struct surface *s, const struct theme *t, const struct vm_header *vm)
{
    struct style bar = theme_style(t, ROLE_BAR);
    surface_fill(s, (struct rect){0, 0, s->w, 1}, ' ', bar);

    struct fit state = {.n = 0}, facts = {.n = 0};
    add_state(&state, t, bar, vm, s->w >= 100);
    /* drawn once off screen to learn its width */
    struct surface nowhere = surface_sub(s, (struct rect){0, 0, 0, 0});
    int used = fit_draw(&state, &nowhere, t, 0, 0, s->w * 2 / 3, "  ", bar);
    fit_draw(&state, s, t, s->w - used, 0, used, "  ", bar);
    int room = s->w - used - 2;
    add_facts(&facts, t, bar, vm, 0);
    int spare = room - fit_draw(&facts, &nowhere, t, 0, 0, room, "  ", bar);
    facts.n = 0; /* once more, the title with what the other facts leave */
    add_facts(&facts, t, bar, vm, spare > 0 ? spare : 0);
    fit_draw(&facts, s, t, 0, 0, room, "  ", bar);
}
