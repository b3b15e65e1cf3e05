/* SPDX-License-Identifier: MIT */
#include "ui/fit.h"
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void draw_head(struct surface *s, const struct theme *t, const struct vm_compare *vm)
{
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    struct fit f = {.n = 0};
    fit_add(&f, 0, theme_style(t, ROLE_TITLE), "compare  A %s | B %s",
            vm->a.name ? vm->a.name : "-", vm->b.name ? vm->b.name : "-");
    if (vm->relation)
        fit_add(&f, 1, text, "(%s)", vm->relation);
    if (vm->has_seed)
        fit_add(&f, 4, dim, "seed %" PRIu64, vm->seed);
    fit_add(&f, 3, dim, "T=%g", vm->temperature);
    if (vm->token >= 0)
        fit_brief(fit_add(&f, 2, theme_style(t, ROLE_FOCUS), "%s token %d, %s",
                          vm->playing ? "playing" : "paused at", vm->token,
                          fmt_speed(vm->speed).s),
                  "tok %d", vm->token);
    else if (vm->playing)
        fit_brief(
            fit_add(&f, 2, theme_style(t, ROLE_FOCUS), "playing, %s", fmt_speed(vm->speed).s),
            "play %s", fmt_speed(vm->speed).s);
    fit_draw(&f, s, t, 0, 0, s->w, "  ", dim);
}

static void draw_side_head(struct surface *s, const struct theme *t, const struct vm_side *side,
                           char name)
{
    struct fit f = {.n = 0};
    struct style text = theme_style(t, ROLE_TEXT);
    fit_add(&f, 0, theme_style(t, ROLE_TITLE), "%c  %u/%u", name, side->done, side->total);
    fit_add(&f, 1, text, "%s ms", fmt_short(side->ms).s);
    fit_add(&f, 2, text, "%s tok/s", fmt_short(side->tok_s).s);
    fit_draw(&f, s, t, 0, 0, s->w, "   ", text);
}

static void draw_text(struct surface *s, const struct theme *t, const struct vm_compare *vm,
                      const struct vm_side *side, char name)
{
    draw_side_head(s, t, side, name);
    struct surface body = surface_sub(s, (struct rect){0, 1, s->w, s->h - 1});
    struct vm_output out = {.flow = side->flow,
                            .view = side->view,
                            .empty = "waiting for its turn",
                            .token = vm->token,
                            .pinned = vm->first_diff,
                            .live = vm->token < 0 && side->done < side->total};
    pane_output(&body, t, &out, false, false);
}

static void draw_timeline(struct surface *s, const struct theme *t, const struct vm_side *side,
                          char name, int y)
{
    struct style dim = theme_style(t, ROLE_DIM);
    uint32_t total = side->total ? side->total : 1;
    int w = s->w - 12;
    int full = w > 0 ? (int)((uint64_t)side->done * (uint64_t)w / total) : 0;
    surface_printf(s, 0, y, theme_style(t, ROLE_TITLE), "%c ", name);
    surface_text(s, 2, y, "|", dim);
    for (int i = 0; i < full && i < w; i++)
        surface_rune(s, 3 + i, y, i + 1 == full && side->done < total ? '>' : '=',
                     theme_style(t, ROLE_GAUGE));
    surface_text(s, 3 + w, y, "|", dim);
    surface_printf(s, 5 + w, y, theme_style(t, ROLE_TEXT), "%5u", side->done);
}

static void draw_badge(struct surface *s, const struct theme *t, const struct vm_compare *vm,
                       int y)
{
    struct style text = theme_style(t, ROLE_TEXT), good = theme_style(t, ROLE_GOOD);
    struct fit f = {.n = 0};
    fit_add(&f, 1, text, "same tokens %u/%u", vm->same, vm->compared);
    switch (vm->badge) {
    case VM_BADGE_BIT:
        fit_brief(fit_add(&f, 0, good, "[BIT: logits identical]"), "[BIT]");
        break;
    case VM_BADGE_TOKEN:
        fit_brief(fit_add(&f, 0, good, "[TOK: same tokens, logits differ by at most %.3g]",
                          vm->max_abs),
                  "[TOK]");
        break;
    case VM_BADGE_DIFF:
        fit_brief(fit_add(&f, 0, theme_style(t, ROLE_ERROR), "[DIFF@%d: A '%s', B '%s']",
                          vm->first_diff, vm->diff_a ? vm->diff_a : "",
                          vm->diff_b ? vm->diff_b : ""),
                  "[DIFF@%d]", vm->first_diff);
        if (isfinite(vm->gap))
            fit_add(&f, 2, text, "top-2 gap %.3g (%s)", vm->gap,
                    vm->gap < 1e-3 ? "a near tie" : "not a tie");
        break;
    case VM_BADGE_NONE:
        fit_add(&f, 0, theme_style(t, ROLE_DIM), "%s",
                vm->pairs ? "another function: tokens may differ"
                          : "the proof appears when both have run");
        break;
    }
    if (vm->badge == VM_BADGE_BIT || vm->badge == VM_BADGE_TOKEN)
        fit_add(&f, 3, text, "first difference: none");
    if (isfinite(vm->max_abs) && vm->badge != VM_BADGE_TOKEN)
        fit_add(&f, 4, text, "max|d| %.3g", vm->max_abs);
    fit_draw(&f, s, t, 0, y, s->w, "  ", text);
}

static void draw_speedup(struct surface *s, const struct theme *t, const struct vm_compare *vm,
                         int y)
{
    struct style text = theme_style(t, ROLE_TEXT);
    struct fit f = {.n = 0};
    if (!isfinite(vm->speedup)) {
        surface_text(s, 0, y, "speed-up appears when both have run", theme_style(t, ROLE_DIM));
        return;
    }
    fit_add(&f, 0, theme_style(t, ROLE_TITLE), "speed-up %.2fx", vm->speedup);
    if (isfinite(vm->low))
        fit_brief(fit_add(&f, 1, text, "(p50/p50, %u pairs, 95%% %.2f-%.2f)", vm->pairs,
                          vm->low, vm->high),
                  "(%.2f-%.2f)", vm->low, vm->high);
    if (isfinite(vm->expected))
        fit_add(&f, 2, text, "expected from bytes %.2fx", vm->expected);
    fit_draw(&f, s, t, 0, y, s->w, "  ", text);
}

/* Three rows; the slower side of a part is what to look at. */
static void draw_parts(struct surface *s, const struct theme *t, const struct vm_compare *vm,
                       int y)
{
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    surface_text(s, 0, y, "part ms", dim);
    surface_text(s, 2, y + 1, "A", theme_style(t, ROLE_TITLE));
    surface_text(s, 2, y + 2, "B", theme_style(t, ROLE_TITLE));
    int x = 7, w = 6;
    for (uint32_t i = 0; i < vm->parts; i++) /* 0.0062 fills a column of six */
        if (strlen(fmt_short(vm->a.part_ms[i]).s) > 5 ||
            strlen(fmt_short(vm->b.part_ms[i]).s) > 5)
            w = 7;
    for (uint32_t i = 0; i < vm->parts && x + w <= s->w; i++, x += w) {
        double a = vm->a.part_ms[i], b = vm->b.part_ms[i];
        struct style mark = theme_style(t, ROLE_WARN);
        surface_printf(s, x, y, dim, "%*.5s", w, vm->part[i] ? vm->part[i] : "");
        surface_printf(s, x, y + 1, a > 1.5 * b ? mark : text, "%*s", w, fmt_short(a).s);
        surface_printf(s, x, y + 2, b > 1.5 * a ? mark : text, "%*s", w, fmt_short(b).s);
    }
    if (vm->order && s->w - x >= 34) {
        surface_printf(s, x + 2, y, dim, "|  order %s", vm->order);
        surface_text(s, x + 2, y + 1, "|  (never timed at the same time)", dim);
    }
}

/* A, B and their difference, beside each other. */
static void draw_maps(struct surface *s, const struct theme *t, const struct vm_compare *vm)
{
    static const char *const name[] = {"A", "B", "difference: blank = same unit"};
    const uint8_t *level[] = {vm->a.level, vm->b.level, vm->difference};
    int w = (s->w - 2) / 3;
    for (int i = 0; i < 3; i++) {
        struct surface a = surface_sub(s, (struct rect){i * (w + 1), 0, w, s->h});
        struct vm_map map = {.metric = i < 2 ? vm->metric : "differs",
                             .lo = i < 2 ? vm->lo : "same",
                             .hi = i < 2 ? vm->hi : "other",
                             .layers = vm->layers,
                             .blocks = vm->blocks,
                             .level = level[i],
                             .token = -1,
                             .flips = NAN};
        surface_text(&a, 0, 0, name[i], theme_style(t, ROLE_TITLE));
        struct surface below = surface_sub(&a, (struct rect){0, 1, a.w, a.h - 1});
        pane_map(&below, t, &map, false);
    }
}

void pane_compare(struct surface *s, const struct theme *t, const struct vm_compare *vm)
{
    int numbers = 7, maps = 0; /* timelines, badge, speed-up, parts */
    if (s->h >= 30 && s->w >= 100 && vm->difference) {
        struct vm_map shape = {.layers = vm->layers, .blocks = vm->blocks};
        maps = 1 + pane_map_rows(t, &shape, (s->w - 2) / 3, true);
        maps = maps > s->h / 2 ? s->h / 2 : maps;
    }
    int text = s->h - 1 - numbers - maps;
    if (text < 3) { /* a small screen: texts matter most, then the verdict */
        numbers = s->h - 4 > 0 ? s->h - 4 : 0;
        text = s->h - 1 - numbers;
    }
    draw_head(s, t, vm);
    int half = (s->w - 2) / 2;
    struct surface a = surface_sub(s, (struct rect){0, 1, half, text});
    draw_text(&a, t, vm, &vm->a, 'A');
    a = surface_sub(s, (struct rect){half + 2, 1, s->w - half - 2, text});
    draw_text(&a, t, vm, &vm->b, 'B');
    for (int y = 1; y < 1 + text; y++)
        surface_text(s, half, y, "||", theme_style(t, ROLE_DIM));

    struct surface n = surface_sub(s, (struct rect){0, 1 + text, s->w, numbers});
    draw_badge(&n, t, vm, 0);
    draw_speedup(&n, t, vm, 1);
    draw_timeline(&n, t, &vm->a, 'A', 2);
    draw_timeline(&n, t, &vm->b, 'B', 3);
    draw_parts(&n, t, vm, 4);
    struct surface m = surface_sub(s, (struct rect){0, 1 + text + numbers, s->w, maps});
    draw_maps(&m, t, vm);
}
