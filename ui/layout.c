/* SPDX-License-Identifier: MIT */
#include "ui/layout.h"

#define WIDE_W     120
#define WIDE_H     30
#define MAP_MIN    3  /* title and two rows: less tells nothing */
#define MAP_FAIR   13 /* legend and 24 layers, two per row: what 80x24 must show */
#define OUTPUT_MIN 5
#define MAP_W      73 /* 64 blocks, labels and the summary column */

static int at_most(int v, int limit)
{
    return v < limit ? v : limit;
}

static int at_least(int v, int limit)
{
    return v > limit ? v : limit;
}

/* Cuts rows off the top of *r. */
static struct rect top(struct rect *r, int rows)
{
    rows = at_most(at_least(rows, 0), r->h);
    struct rect cut = {r->x, r->y, r->w, rows};
    r->y += rows;
    r->h -= rows;
    return cut;
}

static struct rect bottom(struct rect *r, int rows)
{
    rows = at_most(at_least(rows, 0), r->h);
    r->h -= rows;
    return (struct rect){r->x, r->y + r->h, r->w, rows};
}

static bool is_wide(int w, int h)
{
    return w >= WIDE_W && h >= WIDE_H;
}

int layout_map_cols(int w, int h)
{
    return is_wide(w, h) ? at_least(w * 47 / 100, MAP_W) : w;
}

/* 80x24: panes above each other. */
static void stack(struct layout *l, struct rect body, const struct layout_want *want)
{
    int map_rows = want->map_rows;
    if (body.h >= OUTPUT_MIN + 2) {
        l->bandwidth = bottom(&body, 1);
        l->latency = bottom(&body, 1);
    }
    if (map_rows > 0 && body.h >= OUTPUT_MIN + MAP_MIN) {
        if (want->map_folded > map_rows && want->map_folded <= body.h / 2)
            map_rows = want->map_folded;
        if (map_rows > body.h / 2)
            map_rows = want->map_packed;
        int room = at_most(body.h - OUTPUT_MIN, at_least(MAP_FAIR, body.h * 3 / 5));
        l->map = bottom(&body, at_most(map_rows, at_least(room, MAP_MIN)));
    }
    l->output = body;
}

/* 160x48: text and latency on the left, the map on the right. */
static void side_by_side(struct layout *l, struct rect body, const struct layout_want *want)
{
    int map_rows = want->map_rows, legend = at_least(want->map_legend, 1);
    l->wide = true;
    l->bandwidth = bottom(&body, 1);
    int right_w = layout_map_cols(want->w, want->h);
    struct rect left = body, right = body;
    if (map_rows > 0) {
        left.w = body.w - right_w - 1; /* one column for the rule between */
        right.x = left.w + 1;
        right.w = right_w;
    } else {
        right.h = 0;
    }

    l->latency = bottom(&left, at_most(4 + left.h / 12, 9));
    l->strip = bottom(&left, 3);
    l->output = left;

    int agree = right.h >= 24 ? 3 : 0;
    int zoom = right.h >= 18 ? 3 + right.h / 16 : 0;
    /* few layers: up to three rows for each */
    int rows = map_rows - legend, tall = rows > 0 ? at_most(3, right.h * 2 / 3 / rows) : 1;
    if (want->map_folded > map_rows && want->map_folded <= right.h * 2 / 3)
        map_rows = want->map_folded;
    else if (tall > 1)
        map_rows = legend + rows * tall;
    l->map = top(&right, at_most(map_rows, right.h - agree - zoom));
    l->agree = bottom(&right, agree);
    l->zoom = right;
    if (l->zoom.h > zoom * 4) /* a tall screen: leave the rest empty */
        l->zoom.h = zoom * 4;
}

struct layout layout_make(const struct layout_want *want)
{
    struct layout l = {0};
    struct rect all = {0, 0, want->w, want->h};
    if (want->w < LAYOUT_MIN_W || want->h < LAYOUT_MIN_H) {
        l.too_small = true;
        return l;
    }
    l.header = top(&all, 1);
    l.hints = bottom(&all, 1);
    l.message = bottom(&all, 1);
    int prompt = at_most(at_least(want->prompt_rows, 1), at_least(want->h / 4, 1));
    if (want->view == VM_MAIN || want->prompt_shown)
        l.prompt = bottom(&all, prompt);
    l.body = all;
    if (want->view != VM_MAIN)
        return l;
    if (is_wide(want->w, want->h))
        side_by_side(&l, all, want);
    else
        stack(&l, all, want);
    return l;
}

static bool inside(struct rect r, int x, int y)
{
    return x >= r.x && x < r.x + r.w && y >= r.y && y < r.y + r.h;
}

enum vm_pane layout_at(const struct layout *l, enum vm_view view, int x, int y)
{
    if (l->too_small)
        return VM_NOWHERE;
    if (inside(l->prompt, x, y))
        return VM_PROMPT;
    if (view != VM_MAIN)
        return inside(l->body, x, y) ? VM_OTHER : VM_NOWHERE;
    if (inside(l->output, x, y))
        return VM_OUTPUT;
    if (inside(l->map, x, y) || inside(l->zoom, x, y) || inside(l->agree, x, y))
        return VM_MAP;
    if (inside(l->latency, x, y) || inside(l->bandwidth, x, y))
        return VM_LATENCY;
    return inside(l->strip, x, y) ? VM_STRIP : VM_NOWHERE;
}
