/* SPDX-License-Identifier: MIT */
#include "ui/screen.h"

#include "ui/pane.h"
#include "ui/text.h"

#include <string.h>

static struct surface area(struct surface *s, struct rect r)
{
    return surface_sub(s, r);
}

/* One line, or two where even that is too narrow. */
static void draw_too_small(struct surface *s, const struct theme *t)
{
    struct style st = theme_style(t, ROLE_WARN);
    int x = surface_printf(s, 0, 0, st, "need %dx%d, ", LAYOUT_MIN_W, LAYOUT_MIN_H);
    bool two = s->w < x + 10 && s->h > 1;
    surface_printf(s, two ? 0 : x, two, st, "have %dx%d", s->w, s->h);
}

static void draw_main(struct surface *s, const struct theme *t, const struct vm *vm,
                      const struct layout *l)
{
    enum vm_pane focus = vm->focus;
    struct surface a = area(s, l->output);
    pane_output(&a, t, &vm->output, l->wide, focus == VM_OUTPUT);
    a = area(s, l->map);
    pane_map(&a, t, &vm->map, focus == VM_MAP);
    if (l->latency.h > 0) {
        a = area(s, l->latency);
        pane_latency(&a, t, &vm->latency, focus == VM_LATENCY);
        a = area(s, l->bandwidth);
        pane_bandwidth(&a, t, &vm->latency);
    }
    if (!l->wide)
        return;
    a = area(s, l->strip);
    pane_strip(&a, t, &vm->strip, focus == VM_STRIP);
    a = area(s, l->zoom);
    pane_units(&a, t, &vm->map);
    a = area(s, l->agree);
    pane_agree(&a, t, &vm->agree, vm->map.token);
    if (l->map.h > 0)
        for (int y = l->output.y; y < l->bandwidth.y; y++)
            surface_rune(s, l->map.x - 1, y, '|', theme_style(t, ROLE_DIM));
}

static void draw_body(struct surface *s, const struct theme *t, const struct vm *vm,
                      struct screen *out)
{
    struct surface body = area(s, out->layout.body);
    int cx = -1, cy = -1;
    switch (vm->view) {
    case VM_COMPARE:
        pane_compare(&body, t, &vm->compare);
        break;
    case VM_SESSIONS:
        pane_sessions(&body, t, &vm->sessions, &cx, &cy);
        break;
    case VM_INSPECT:
        pane_inspect(&body, t, &vm->inspect);
        break;
    case VM_PAGE:
        pane_page(&body, t, &vm->page);
        break;
    default:
        draw_main(s, t, vm, &out->layout);
    }
    if (cx >= 0) {
        out->cursor_x = out->layout.body.x + cx;
        out->cursor_y = out->layout.body.y + cy;
    }
}

static void draw_prompt(struct surface *s, const struct theme *t, const struct vm *vm,
                        struct screen *out)
{
    struct rect r = out->layout.prompt;
    if (r.h < 1)
        return;
    struct surface a = area(s, r);
    int cx, cy;
    pane_prompt(&a, t, &vm->prompt, &cx, &cy);
    if (cx >= 0) {
        out->cursor_x = r.x + cx;
        out->cursor_y = r.y + cy;
    }
    struct surface above = area(s, (struct rect){0, 1, s->w, r.y - 1});
    pane_popup(&above, t, &vm->prompt);
}

void screen_draw(struct surface *s, const struct theme *t, const struct vm *vm,
                 struct screen *out)
{
    int map_w = layout_map_cols(s->w, s->h);
    struct layout_want want = {.w = s->w,
                               .h = s->h,
                               .view = vm->view,
                               .prompt_rows = pane_prompt_rows(&vm->prompt, s->w),
                               .map_rows = pane_map_rows(t, &vm->map, map_w, false),
                               .map_legend = pane_map_legend(&vm->map, map_w),
                               .map_packed = pane_map_rows(t, &vm->map, map_w, true),
                               .map_folded = pane_map_rows_folded(t, &vm->map, map_w),
                               .prompt_shown = vm->prompt.active};
    memset(out, 0, sizeof *out);
    out->cursor_x = out->cursor_y = -1;
    out->layout = layout_make(&want);
    surface_clear(s, (struct style){0});
    if (out->layout.too_small) {
        draw_too_small(s, t);
        return;
    }
    out->output_rows = pane_output_rows(out->layout.output.h, out->layout.wide);
    out->body_rows = out->layout.body.h - 1;

    struct surface a = area(s, out->layout.header);
    pane_header(&a, t, &vm->header);
    draw_body(s, t, vm, out);
    draw_prompt(s, t, vm, out);
    a = area(s, out->layout.message);
    pane_message(&a, t, &vm->message);
    a = area(s, out->layout.hints);
    pane_hints(&a, t, &vm->hints);
    a = area(s, (struct rect){0, 1, s->w, s->h - 2});
    if (vm->help) {
        out->cursor_x = out->cursor_y = -1;
        pane_help(&a, t, vm->help);
    }
    if (vm->dialog) {
        out->cursor_x = out->cursor_y = -1;
        pane_dialog(&a, t, vm->dialog);
    }
}

struct screen_hit screen_at(const struct screen *sc, const struct theme *t, const struct vm *vm,
                            int x, int y)
{
    struct screen_hit hit = {.pane = layout_at(&sc->layout, vm->view, x, y),
                             .token = FLOW_NO_TOKEN};
    struct rect r = sc->layout.map;
    if (hit.pane == VM_MAP)
        hit.has_cell =
            pane_map_at(r.w, r.h, t, &vm->map, x - r.x, y - r.y, &hit.layer, &hit.block);
    r = sc->layout.output;
    if (hit.pane == VM_OUTPUT)
        hit.token = pane_output_at(r.w, r.h, &vm->output, sc->layout.wide, x - r.x, y - r.y);
    r = sc->layout.body;
    if (hit.pane == VM_OTHER && vm->view == VM_SESSIONS)
        hit.has_row = pane_sessions_at(r.w, r.h, &vm->sessions, x - r.x, y - r.y, &hit.row);
    return hit;
}
