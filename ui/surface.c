/* SPDX-License-Identifier: MIT */
#include "ui/surface.h"

#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"
#include "ui/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cell BLANK = {.rune = ' '};

static struct rect intersect(struct rect a, struct rect b)
{
    int x0 = a.x > b.x ? a.x : b.x, y0 = a.y > b.y ? a.y : b.y;
    int x1 = a.x + a.w < b.x + b.w ? a.x + a.w : b.x + b.w;
    int y1 = a.y + a.h < b.y + b.h ? a.y + a.h : b.y + b.h;
    return (struct rect){x0, y0, x1 > x0 ? x1 - x0 : 0, y1 > y0 ? y1 - y0 : 0};
}

void surface_open(struct surface *s, int w, int h)
{
    memset(s, 0, sizeof *s);
    surface_resize(s, w, h);
}

void surface_free(struct surface *s)
{
    free(s->cells);
    memset(s, 0, sizeof *s);
}

void surface_resize(struct surface *s, int w, int h)
{
    w = w < 0 ? 0 : w;
    h = h < 0 ? 0 : h;
    if (s->cells && s->w == w && s->h == h)
        return;
    free(s->cells);
    size_t n = (size_t)w * (size_t)h;
    *s = (struct surface){.cells = xmalloc((n ? n : 1) * sizeof *s->cells),
                          .stride = w,
                          .w = w,
                          .h = h,
                          .clip = {0, 0, w, h}};
    for (size_t i = 0; i < n; i++)
        s->cells[i] = BLANK;
}

struct surface surface_sub(const struct surface *s, struct rect r)
{
    struct surface sub = *s;
    sub.x = s->x + r.x;
    sub.y = s->y + r.y;
    sub.w = r.w < 0 ? 0 : r.w;
    sub.h = r.h < 0 ? 0 : r.h;
    sub.clip = intersect(s->clip, (struct rect){sub.x, sub.y, sub.w, sub.h});
    return sub;
}

/* The cell at (x, y) of the window, or NULL outside of the clip. */
static struct cell *cell_at(const struct surface *s, int x, int y)
{
    x += s->x;
    y += s->y;
    if (x < s->clip.x || x >= s->clip.x + s->clip.w || y < s->clip.y ||
        y >= s->clip.y + s->clip.h)
        return NULL;
    return &s->cells[(size_t)y * (size_t)s->stride + (size_t)x];
}

/* The cell at column x of the window is about to be overwritten: if it was half of a wide
 * character, blank the other half, even beyond the clip, or the terminal would draw over both.
 */
static void break_wide(const struct surface *s, struct cell *c, int x)
{
    int col = s->x + x;
    if (c->rune == 0 && col > 0) {
        c[-1].rune = ' ';
        memset(c[-1].comb, 0, sizeof c[-1].comb);
    }
    if (col + 1 < s->stride && c[1].rune == 0)
        c[1].rune = ' ';
}

static void put(struct surface *s, int x, int y, const struct glyph *g, struct style st)
{
    struct cell *left = cell_at(s, x, y);
    if (g->width != 2) {
        if (left) {
            break_wide(s, left, x);
            *left = (struct cell){.rune = g->rune, .style = st};
            memcpy(left->comb, g->comb, sizeof left->comb);
        }
        return;
    }
    struct cell *right = cell_at(s, x + 1, y);
    if (left)
        break_wide(s, left, x);
    if (right)
        break_wide(s, right, x + 1);
    if (left && right) {
        *left = (struct cell){.rune = g->rune, .style = st};
        memcpy(left->comb, g->comb, sizeof left->comb);
        *right = (struct cell){.rune = 0, .style = st};
    } else if (left) {
        *left = (struct cell){.rune = ' ', .style = st};
    } else if (right) {
        *right = (struct cell){.rune = ' ', .style = st};
    }
}

void surface_rune(struct surface *s, int x, int y, uint32_t rune, struct style st)
{
    put(s, x, y, &(struct glyph){.rune = rune, .width = 1}, st);
}

void surface_fill(struct surface *s, struct rect r, uint32_t rune, struct style st)
{
    struct rect in = intersect(s->clip, (struct rect){s->x + r.x, s->y + r.y, r.w, r.h});
    for (int y = in.y; y < in.y + in.h; y++)
        for (int x = in.x; x < in.x + in.w; x++)
            surface_rune(s, x - s->x, y - s->y, rune, st);
}

void surface_clear(struct surface *s, struct style st)
{
    const struct cell blank = {.rune = ' ', .style = st};
    if (s->clip.w != s->stride) { /* a window may cut wide characters in two */
        surface_fill(s, (struct rect){0, 0, s->w, s->h}, ' ', st);
        return;
    }
    struct cell *c = &s->cells[(size_t)s->clip.y * (size_t)s->stride];
    for (size_t i = 0, n = (size_t)s->clip.h * (size_t)s->stride; i < n; i++)
        c[i] = blank;
}

int surface_textn(struct surface *s, int x, int y, int cols, const char *text, size_t n,
                  struct style st)
{
    int end = cols < 0 ? s->w : x + cols;
    struct glyph g;
    for (size_t i = 0; i < n;) {
        i += text_glyph(text + i, n - i, &g);
        if (x + g.width > end)
            break;
        if (g.rune == '\n' || g.rune == '\t')
            g.rune = ' ';
        if (g.escape[0])
            for (int k = 0; g.escape[k]; k++)
                surface_rune(s, x + k, y, (unsigned char)g.escape[k], st);
        else if (g.width)
            put(s, x, y, &g, st);
        x += g.width;
    }
    return x;
}

int surface_text(struct surface *s, int x, int y, const char *text, struct style st)
{
    return text ? surface_textn(s, x, y, -1, text, strlen(text), st) : x;
}

int surface_printf(struct surface *s, int x, int y, struct style st, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    return surface_text(s, x, y, line, st);
}

int surface_text_right(struct surface *s, int right, int y, const char *text, struct style st)
{
    if (!text)
        return right;
    int x = right - text_width(text, strlen(text));
    surface_text(s, x, y, text, st);
    return x;
}

/* ---- dumps --------------------------------------------------------------------- */

static void dump_cell(const struct cell *c, struct buf *out)
{
    char utf8[4];
    if (c->rune == 0)
        return;
    buf_add(out, utf8, utf8_encode(c->rune, utf8));
    for (int k = 0; k < SURFACE_COMBINING && c->comb[k]; k++)
        buf_add(out, utf8, utf8_encode(c->comb[k], utf8));
}

void surface_dump(const struct surface *s, struct buf *out)
{
    for (int y = 0; y < s->h; y++) {
        size_t start = out->len;
        for (int x = 0; x < s->w; x++) {
            const struct cell *c = cell_at(s, x, y);
            if (c)
                dump_cell(c, out);
        }
        while (out->len > start && out->data[out->len - 1] == ' ')
            out->data[--out->len] = 0;
        buf_add_byte(out, '\n');
    }
}

static bool same_style(struct style a, struct style b)
{
    return a.fg == b.fg && a.bg == b.bg && a.attr == b.attr;
}

static void dump_colour(struct buf *out, uint32_t colour)
{
    if (colour == COLOUR_DEFAULT)
        buf_add_str(out, "-");
    else if (colour & 0x02000000u)
        buf_printf(out, "#%06x", colour & 0xFFFFFFu);
    else
        buf_printf(out, "%u", colour & 0xFFu);
}

static void dump_run(struct buf *out, int y, int from, int to, struct style st)
{
    buf_printf(out, "%d:%d-%d ", y, from, to);
    dump_colour(out, st.fg);
    buf_add_byte(out, ' ');
    dump_colour(out, st.bg);
    buf_printf(out, " %s%s%s%s%s\n", st.attr & ATTR_BOLD ? "b" : "",
               st.attr & ATTR_DIM ? "d" : "", st.attr & ATTR_UNDERLINE ? "u" : "",
               st.attr & ATTR_REVERSE ? "r" : "", st.attr ? "" : "-");
}

void surface_dump_styles(const struct surface *s, struct buf *out)
{
    surface_dump(s, out);
    const struct style plain = {0};
    for (int y = 0; y < s->h; y++)
        for (int x = 0, from; x < s->w;) {
            const struct cell *c = cell_at(s, x, y);
            from = x++;
            if (!c || same_style(c->style, plain))
                continue;
            while (x < s->w && cell_at(s, x, y) &&
                   same_style(cell_at(s, x, y)->style, c->style))
                x++;
            dump_run(out, y, from, x - 1, c->style);
        }
}

static void ansi_colour(struct buf *out, uint32_t colour, int base)
{
    if (colour == COLOUR_DEFAULT)
        return;
    if (colour & 0x02000000u)
        buf_printf(out, ";%d;2;%u;%u;%u", base, colour >> 16 & 0xFF, colour >> 8 & 0xFF,
                   colour & 0xFF);
    else
        buf_printf(out, ";%d;5;%u", base, colour & 0xFF);
}

void surface_dump_ansi(const struct surface *s, struct buf *out)
{
    for (int y = 0; y < s->h; y++) {
        struct style now = {0};
        for (int x = 0; x < s->w; x++) {
            const struct cell *c = cell_at(s, x, y);
            if (!c)
                continue;
            if (!same_style(c->style, now)) {
                now = c->style;
                buf_printf(out, "\033[0%s%s%s%s", now.attr & ATTR_BOLD ? ";1" : "",
                           now.attr & ATTR_DIM ? ";2" : "",
                           now.attr & ATTR_UNDERLINE ? ";4" : "",
                           now.attr & ATTR_REVERSE ? ";7" : "");
                ansi_colour(out, now.fg, 38);
                ansi_colour(out, now.bg, 48);
                buf_add_byte(out, 'm');
            }
            dump_cell(c, out);
        }
        buf_add_str(out, "\033[0m\n");
    }
}
