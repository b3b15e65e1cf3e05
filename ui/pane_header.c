/* SPDX-License-Identifier: MIT */
#include "ui/fit.h"
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

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

static void add_facts(struct fit *f, struct style bar, const struct vm_header *vm)
{
    struct style bold = bar;
    bold.attr |= ATTR_BOLD;
    fit_add(f, 0, bold, "terra");
    if (vm->session || vm->title) {
        struct fit_piece *p = fit_add(f, 4, bar, "%s", "");
        const char *title = vm->title ? vm->title : "untitled";
        int cut = (int)text_fit(title, strlen(title), 28);
        int brief = (int)text_fit(title, strlen(title), 12);
        if (vm->session) {
            snprintf(p->text, sizeof p->text, "session %" PRId64 " '%.*s'", vm->session, cut,
                     title);
            fit_brief(p, "s%" PRId64 " '%.*s'", vm->session, brief, title);
        } else { /* nothing is stored yet */
            snprintf(p->text, sizeof p->text, "'%.*s'", cut, title);
            fit_brief(p, "'%.*s'", brief, title);
        }
    }
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
    add_facts(&facts, bar, vm);
    fit_draw(&facts, s, t, 0, 0, s->w - used - 2, "  ", bar);
}
