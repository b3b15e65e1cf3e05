/* SPDX-License-Identifier: MIT */
#include "ui/fit.h"
#include "ui/fmt.h"
#include "ui/pane.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void draw_head(struct surface *s, const struct theme *t, const struct vm_inspect *vm)
{
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    struct fit f = {.n = 0};
    fit_add(&f, 0, theme_style(t, ROLE_TITLE), "inspect");
    fit_add(&f, 4, text, "run %" PRId64, vm->run);
    fit_brief(
        fit_add(&f, 1, text, "token %d of %u '%s'", vm->token, vm->n, vm->text ? vm->text : ""),
        "token %d/%u", vm->token, vm->n);
    fit_add(&f, 5, dim, "id %d", vm->id);
    fit_add(&f, 3, text, "p %s", fmt_share(vm->p).s);
    if (vm->map.level) {
        fit_add(&f, 0, theme_style(t, ROLE_FOCUS), "layer %u", vm->map.layer);
        fit_add(&f, 0, theme_style(t, ROLE_FOCUS), "block %u", vm->map.block);
    }
    fit_draw(&f, s, t, 0, 0, s->w, "  ", dim);
}

static void add_relu(struct fit *f, struct style st, double relu)
{
    if (relu > 0)
        fit_brief(fit_add(f, 2, st, "relu out %s", fmt_short(relu).s), "relu %s",
                  fmt_short(relu).s);
    else
        fit_brief(fit_add(f, 2, st, "chosen but zero after relu"), "relu 0");
}

static void draw_block_line(struct surface *s, const struct theme *t,
                            const struct vm_inspect *vm, int y, bool low_n)
{
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    struct fit f = {.n = 0};
    fit_add(&f, 0, theme_style(t, ROLE_TITLE), "block %u:", vm->map.block);
    if (vm->unit >= 0)
        fit_add(&f, 0, text, "unit %d", vm->unit);
    fit_add(&f, 1, text, "margin %s", fmt_short(vm->margin).s);
    if (isfinite(vm->relu))
        add_relu(&f, text, vm->relu);
    fit_add(&f, 3, text, "flips %u/%u", vm->block_flips, vm->n ? vm->n - 1 : 0);
    fit_add(&f, 4, text, "entropy %s/%s bits", fmt_short(vm->block_entropy).s,
            fmt_short(vm->max_entropy).s);
    if (low_n)
        fit_add(&f, 3, theme_style(t, ROLE_WARN), "low n");
    fit_draw(&f, s, t, 0, y, s->w, "  ", dim);
}

static void draw_layer_line(struct surface *s, const struct theme *t,
                            const struct vm_inspect *vm, const struct vm_layer_stat *st, int y)
{
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    struct fit f = {.n = 0};
    fit_add(&f, 0, theme_style(t, ROLE_TITLE), "layer %u:", vm->map.layer);
    if (st) {
        fit_add(&f, 1, text, "flips %s", fmt_percent(st->flips).s);
        fit_brief(fit_add(&f, 2, text, "chosen-but-zero %s", fmt_percent(st->zero).s),
                  "zero %s", fmt_percent(st->zero).s);
        fit_add(&f, 3, text, "eff.units %s of %u", fmt_short(st->eff).s, vm->map.units);
    }
    if (vm->agree.like >= 0)
        fit_brief(fit_add(&f, 4, text, "agrees with tok %d %s (chance %s)", vm->agree.like,
                          fmt_percent(vm->agree.like_share).s, fmt_percent(vm->agree.chance).s),
                  "like tok %d %s", vm->agree.like, fmt_percent(vm->agree.like_share).s);
    fit_draw(&f, s, t, 0, y, s->w, "  ", dim);
}

/* layer x token: how much of a layer chose anew at each token */
static void draw_flips(struct surface *s, const struct theme *t, const struct vm_inspect *vm)
{
    struct vm_map map = {.metric = "flips per token",
                         .lo = "0%",
                         .hi = "100%",
                         .layers = vm->map.layers,
                         .blocks = (uint32_t)vm->n_flips,
                         .level = vm->flips,
                         .layer = vm->map.layer,
                         .token = -1,
                         .flips = NAN};
    int32_t at = vm->token - vm->flips_first;
    if (at >= 0 && (size_t)at < vm->n_flips) {
        map.cursor = true;
        map.block = (uint32_t)at;
    }
    pane_map(s, t, &map, false);
}

void pane_inspect(struct surface *s, const struct theme *t, const struct vm_inspect *vm)
{
    const struct vm_layer_stat *st =
        vm->map.stat && vm->map.layer < vm->map.layers ? &vm->map.stat[vm->map.layer] : NULL;
    draw_head(s, t, vm);
    if (vm->n == 0) {
        surface_text(s, 0, 2, "nothing to inspect: run something first, or open a session",
                     theme_style(t, ROLE_DIM));
        return;
    }
    int strip = s->h >= 14 ? 3 : s->h >= 8 ? 1 : 0;
    struct surface a = surface_sub(s, (struct rect){0, 1, s->w, strip});
    pane_strip(&a, t, &vm->strip, true);

    if (!vm->map.level) {
        surface_text(s, 0, 1 + strip,
                     "no choices are kept for this run:", theme_style(t, ROLE_DIM));
        surface_text(s, 0, 2 + strip, "a dense model, or no trace", theme_style(t, ROLE_DIM));
        return;
    }

    int lines = s->h >= 6 ? 2 : 1;
    draw_block_line(s, t, vm, s->h - lines, st && st->low_n);
    if (lines == 2)
        draw_layer_line(s, t, vm, st, s->h - 1);

    int room = s->h - 1 - strip - lines;
    int flips = 0;
    if (room >= 24 && vm->flips && vm->n_flips) {
        struct vm_map shape = {.layers = vm->map.layers, .blocks = 1};
        flips = pane_map_rows(t, &shape, s->w, room < (int)vm->map.layers * 2);
        flips = flips > room / 2 ? room / 2 : flips;
    }
    a = surface_sub(s, (struct rect){0, 1 + strip, s->w, room - flips});
    pane_choices(&a, t, &vm->map);
    a = surface_sub(s, (struct rect){0, 1 + strip + room - flips, s->w, flips});
    if (flips)
        draw_flips(&a, t, vm);
}
