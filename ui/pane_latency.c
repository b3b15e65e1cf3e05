/* SPDX-License-Identifier: MIT */
#include "ui/fit.h"
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SPARK_MIN 8
#define SPARK_MAX 60
#define AXIS      6 /* columns of the chart's scale */
#define OFF_SCALE '!'

static double ms_of(const struct vm_timing *tm)
{
    return (double)tm->ns / 1e6;
}

/* The largest of the tokens from `from` on. One spike must not flatten the rest: what takes
 * more than four times the usual does not count, and is drawn as OFF_SCALE. */
static double scale_of(const struct vm_latency *vm, size_t from)
{
    double most = 0, all = 0;
    for (size_t i = from; i < vm->n; i++) {
        double ms = ms_of(&vm->token[i]);
        all = fmax(all, ms);
        if (!(ms > 4 * vm->p50)) /* true for NaN */
            most = fmax(most, ms);
    }
    return most > 0 ? most : all;
}

/* The newest tokens as bars between the smallest and the largest of them; all half
 * high when they hardly differ. */
static void draw_spark(struct surface *s, const struct theme *t, const struct vm_latency *vm,
                       int x, int cols)
{
    size_t shown = vm->n < (size_t)cols ? vm->n : (size_t)cols, from = vm->n - shown;
    double lo = INFINITY, hi = scale_of(vm, from);
    for (size_t i = from; i < vm->n; i++)
        lo = fmin(lo, ms_of(&vm->token[i]));
    for (size_t i = 0; i < shown; i++) {
        double v = ms_of(&vm->token[from + i]);
        int e = hi - lo > hi * 0.02 ? 1 + (int)((v - lo) / (hi - lo) * 7 + 0.5) : 4;
        bool marked = from + i == vm->mark, off = v > hi;
        surface_rune(s, x + (int)i, 0, off ? OFF_SCALE : theme_bar(t, e),
                     theme_style(t, marked ? ROLE_SELECT
                                    : off  ? ROLE_WARN
                                           : ROLE_GAUGE));
    }
}

/* Parts of at least `share` of the token, as "ctl 3.1 ff 4.8 ..." */
static int list_parts(char *text, size_t size, const struct vm_latency *vm, double share)
{
    double sum = 0;
    int n = 0;
    for (uint32_t i = 0; i < vm->parts; i++)
        sum += vm->part_ms[i];
    for (uint32_t i = 0; i < vm->parts && n < (int)size - 24; i++)
        if (vm->part[i] && vm->part_ms[i] > 0 && vm->part_ms[i] >= share * sum)
            n += snprintf(text + n, size - (size_t)n, " %s %s", vm->part[i],
                          vm->part_ms[i] >= 9.95 ? fmt_count((uint64_t)(vm->part_ms[i] + 0.5)).s
                                                 : fmt_short(vm->part_ms[i]).s);
    return n;
}

/* All parts, or the largest of them that `room` columns can hold. */
static void add_parts(struct fit *f, const struct vm_latency *vm, struct style st, int rank,
                      int room)
{
    char text[FIT_TEXT - 2];
    int n = list_parts(text, sizeof text, vm, 0);
    for (double share = 0.1; n + 1 > room && share < 0.6; share += 0.02)
        n = list_parts(text, sizeof text, vm, share);
    if (n > 0)
        fit_add(f, rank, st, "|%s", text);
}

/* One row: "lat ms <spark> 38.1  p50 37.4 p99 52.0 | ctl 3 ff 5 ..." */
static void draw_row(struct surface *s, const struct theme *t, const struct vm_latency *vm,
                     bool focus)
{
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    int x = surface_text(s, 0, 0, "lat ms ", theme_style(t, focus ? ROLE_FOCUS : ROLE_TITLE));
    if (vm->n == 0 && !isfinite(vm->p50)) {
        surface_text(s, x, 0, "no token decoded yet", dim);
        return;
    }
    struct fit f = {.n = 0};
    fit_add(&f, 0, text, "%s", fmt_short(vm->ms).s);
    fit_add(&f, 1, text, " p50 %s", fmt_short(vm->p50).s);
    fit_add(&f, 2, text, "p99 %s", fmt_short(vm->p99).s);
    int room = s->w - x - SPARK_MIN - 1;
    struct surface nowhere = surface_sub(s, (struct rect){0, 0, 0, 0});
    struct fit numbers = f; /* drawn off screen to learn their width */
    add_parts(&f, vm, dim, 3, room - 1 - fit_draw(&numbers, &nowhere, t, 0, 0, room, " ", dim));
    int used = fit_draw(&f, &nowhere, t, 0, 0, room, " ", dim);
    int spark = s->w - x - used - 1;
    spark = spark > SPARK_MAX ? SPARK_MAX : spark;
    draw_spark(s, t, vm, x, spark);
    int have = vm->n < (size_t)spark ? (int)vm->n : spark;
    fit_draw(&f, s, t, x + (have < SPARK_MIN ? SPARK_MIN : have) + 1, 0, used, " ", dim);
}

/* ---- stacked chart ------------------------------------------------------------------ */

/* The next 1, 2, 5 x 10^k. */
static double round_up(double v)
{
    double p = pow(10, floor(log10(v > 1e-6 ? v : 1e-6)));
    for (int i = 0; i < 4; i++) {
        static const double step[] = {1, 2, 5, 10};
        if (v <= p * step[i] * 1.0001)
            return p * step[i];
    }
    return v;
}

/* Which part is at height `ms` of a token's stack, or -1 above it. */
static int part_at(const struct vm_latency *vm, const struct vm_timing *tm, double ms)
{
    double sum = 0;
    for (uint32_t i = 0; i < vm->parts; i++) {
        sum += (double)tm->part_ns[i] / 1e6;
        if (ms < sum)
            return (int)i;
    }
    return ms < ms_of(tm) ? (int)(vm->parts ? vm->parts - 1 : 0) : -1;
}

/* What a row stands for: a plain number, and little enough that the usual token fills one. */
static double chart_row(const struct vm_latency *vm, size_t from, int h)
{
    double row = round_up(scale_of(vm, from) / h);
    return row > 1.8 * vm->p50 ? round_up(0.4 * row) : row;
}

static bool any_off(const struct vm_latency *vm, int h)
{
    double top = h * chart_row(vm, 0, h);
    bool any = false;
    for (size_t i = 0; i < vm->n; i++)
        any |= ms_of(&vm->token[i]) > top;
    return any;
}

static void draw_stacks(struct surface *s, const struct theme *t, const struct vm_latency *vm)
{
    size_t shown = vm->n < (size_t)s->w ? vm->n : (size_t)s->w, from = vm->n - shown;
    double row = chart_row(vm, from, s->h), top = s->h * row;

    struct style dim = theme_style(t, ROLE_DIM);
    for (int y = 0; y < s->h; y++) {
        surface_printf(s, 0, y, dim, "%5.3g|", row * (s->h - y));
        for (size_t i = 0; i < shown && (int)i < s->w - AXIS; i++) {
            const struct vm_timing *tm = &vm->token[from + i];
            double at = row * (s->h - y - 0.5);
            int part = part_at(vm, tm, at);
            if (part >= 0) {
                struct theme_heat h = theme_part(t, part);
                surface_rune(s, AXIS + (int)i, y, h.rune, h.style);
                if (y == 0 && ms_of(tm) > top)
                    surface_rune(s, AXIS + (int)i, y, OFF_SCALE, theme_style(t, ROLE_WARN));
            } else if (from + i == vm->mark && part_at(vm, tm, at - row) >= 0) {
                surface_rune(s, AXIS + (int)i, y, 'v', theme_style(t, ROLE_FOCUS));
            }
        }
    }
}

static void draw_key(struct surface *s, const struct theme *t, const struct vm_latency *vm,
                     int y)
{
    struct style text = theme_style(t, ROLE_TEXT);
    for (int i = 0, x = 0; i < (int)vm->parts && y < s->h; i++) {
        char label[32];
        if (!vm->part[i])
            continue;
        int w =
            snprintf(label, sizeof label, " %s %s", vm->part[i], fmt_short(vm->part_ms[i]).s);
        if (x + 1 + w > s->w && x > 0) {
            x = 0;
            y++;
        }
        struct theme_heat h = theme_part(t, i);
        if (y < s->h) {
            surface_rune(s, x, y, h.rune, h.style);
            x = surface_text(s, x + 1, y, label, text) + 2;
        }
    }
}

static void draw_numbers(struct surface *s, const struct theme *t, const struct vm_latency *vm)
{
    struct style text = theme_style(t, ROLE_TEXT);
    int y = 0;
    struct fit f = {.n = 0};
    fit_add(&f, 0, text, "%s now", fmt_short(vm->ms).s);
    fit_add(&f, 1, text, "p50 %s", fmt_short(vm->p50).s);
    fit_add(&f, 3, text, "p90 %s", fmt_short(vm->p90).s);
    fit_add(&f, 2, text, "p99 %s", fmt_short(vm->p99).s);
    fit_draw(&f, s, t, 0, y++, s->w, "  ", text);
    int x = surface_printf(s, 0, y, text, "decode %s tok/s", fmt_short(vm->decode_tok_s).s);
    if (isfinite(vm->ttft_s))
        surface_printf(s, x, y, text, "  TTFT %s", fmt_seconds(vm->ttft_s).s);
    y++;
    if (isfinite(vm->prefill_tok_s) && vm->prefill_tok_s > 0 && s->h >= 6)
        surface_printf(s, 0, y++, text, "prefill %s tok/s", fmt_short(vm->prefill_tok_s).s);
    draw_key(s, t, vm, y);
    if (isfinite(vm->observer) && s->h > y + 3)
        surface_printf(s, 0, s->h - 1, theme_style(t, ROLE_DIM),
                       "tracing and drawing cost %s of a token", fmt_percent(vm->observer).s);
}

void pane_latency(struct surface *s, const struct theme *t, const struct vm_latency *vm,
                  bool focus)
{
    if (s->h < 4) {
        draw_row(s, t, vm, focus);
        return;
    }
    int numbers = s->w >= 70 ? 40 : 0;
    int chart = s->w - numbers - (numbers ? 1 : 0);
    char title[64];
    int room = chart - AXIS;
    size_t shown = room < 0 ? 0 : vm->n < (size_t)room ? vm->n : (size_t)room;
    snprintf(title, sizeof title, "latency: ms per token, stacked, last %zu", shown);
    struct vm_latency last = *vm; /* the newest that fit */
    if (shown < vm->n)
        last.token += vm->n - shown;
    last.n = shown;
    last.mark = vm->mark >= vm->n - shown ? vm->mark - (vm->n - shown) : shown;
    pane_rule(s, t, 0, title, any_off(&last, s->h - 1) ? "! is off the scale" : NULL, focus);
    if (vm->n == 0 && !isfinite(vm->p50)) {
        surface_text(s, 0, 1, "no token decoded yet", theme_style(t, ROLE_DIM));
        return;
    }
    struct surface left = surface_sub(s, (struct rect){0, 1, chart, s->h - 1});
    draw_stacks(&left, t, &last);
    struct surface right = surface_sub(s, (struct rect){chart + 1, 1, numbers, s->h - 1});
    draw_numbers(&right, t, vm);
}

/* ---- bandwidth ------------------------------------------------------------------------ */

static void add_bytes(struct fit *f, const struct vm_latency *vm, struct style text, bool wide)
{
    if (vm->bytes_token > 0)
        fit_brief(fit_add(f, 1, text, "%s per token", fmt_bytes(vm->bytes_token).s), "%s/tok",
                  fmt_bytes(vm->bytes_token).s);
    char parts[FIT_TEXT];
    int n = 0;
    for (uint32_t i = 0; wide && i < vm->byte_parts && n < (int)sizeof parts - 32; i++)
        if (vm->byte_part[i])
            n += snprintf(parts + n, sizeof parts - (size_t)n, "%s%s %s", n ? ", " : "",
                          vm->byte_part[i], fmt_bytes(vm->byte_part_n[i]).s);
    if (n)
        fit_add(f, 4, text, "%s", parts);
    if (vm->bytes_dense > 0)
        fit_brief(fit_add(f, 2, text, "dense would read %s", fmt_bytes(vm->bytes_dense).s),
                  "dense %s", fmt_bytes(vm->bytes_dense).s);
}

void pane_bandwidth(struct surface *s, const struct theme *t, const struct vm_latency *vm)
{
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    struct style gauge = theme_style(t, ROLE_GAUGE);
    int x = surface_text(s, 0, 0, "bw  ", theme_style(t, ROLE_TITLE));
    bool known = vm->bandwidth > 0 && vm->bandwidth_peak > 0;
    if (known) {
        double share = vm->bandwidth / vm->bandwidth_peak;
        int w = s->w >= 120 ? 30 : s->w >= 70 ? 16 : 8;
        int full = (int)(fmin(share, 1) * w + 0.5);
        x = surface_text(s, x, 0, "[", dim);
        for (int i = 0; i < w; i++)
            surface_rune(s, x + i, 0, i < full ? '#' : '.', i < full ? gauge : dim);
        x = surface_text(s, x + w, 0, "] ", dim);
    }
    struct fit f = {.n = 0};
    double gb = vm->bandwidth / 1e9, peak = vm->bandwidth_peak / 1e9;
    if (known && gb > peak)
        fit_brief(
            fit_add(&f, 0, text, "%.1f GB/s from the cache (memory gives %.1f)", gb, peak),
            "%.1f GB/s from the cache", gb);
    else if (known)
        fit_brief(fit_add(&f, 0, text, "%.1f of %.1f GB/s (%s of measured peak)", gb, peak,
                          fmt_percent(gb / peak).s),
                  "%.1f of %.1f GB/s %s", gb, peak, fmt_percent(gb / peak).s);
    else if (vm->bandwidth > 0)
        fit_add(&f, 0, text, "%.1f GB/s, peak not measured", vm->bandwidth / 1e9);
    add_bytes(&f, vm, text, s->w >= 120);
    if (f.n == 0)
        fit_add(&f, 0, dim, "memory traffic appears with the first token");
    fit_draw(&f, s, t, x, 0, s->w - x, "  ", dim);
}
