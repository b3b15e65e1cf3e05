/* SPDX-License-Identifier: MIT */
#include "ui/text.h"

#include "engine/base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* Format characters without a shape. Terminals disagree about joined emoji, and
 * direction marks can reorder what a person reads: none of them is drawn. */
static bool is_invisible(uint32_t c)
{
    return (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x206F) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF ||
           (c >= 0xE0000 && c <= 0xE0FFF);
}

static void escape_control(struct glyph *g, uint32_t c)
{
    if (c < 0x20 || c == 0x7F)
        snprintf(g->escape, sizeof g->escape, "^%c", (char)(c ^ 0x40));
    else
        snprintf(g->escape, sizeof g->escape, "<%02x>", (unsigned)c);
    g->width = (int)strlen(g->escape);
}

size_t text_glyph(const char *s, size_t n, struct glyph *g)
{
    memset(g, 0, sizeof *g);
    unsigned char b = (unsigned char)s[0];
    if (b >= 0x20 && b < 0x7F && (n == 1 || (unsigned char)s[1] < 0x80)) {
        g->rune = b;
        g->width = 1;
        return 1;
    }

    uint32_t c;
    size_t used = utf8_decode(s, n, &c, NULL);
    if (c == '\n' || c == '\t') {
        g->rune = c;
        g->width = 1;
        return used;
    }
    if (c < 0x20 || (c >= 0x7F && c < 0xA0)) {
        escape_control(g, c);
        return used;
    }
    int w = is_invisible(c) ? 0 : wcwidth((wchar_t)c);
    if (w < 0) { /* not in this locale, or not assigned */
        g->rune = wcwidth(UTF8_BAD) == 1 ? UTF8_BAD : '?';
        g->width = 1;
    } else if (w > 0) {
        g->rune = c;
        g->width = w;
    } else if (!is_invisible(c)) { /* a mark without a base */
        g->rune = ' ';
        g->comb[0] = c;
        g->width = 1;
    }

    /* marks that belong to it */
    for (size_t marks = 0; used < n && (unsigned char)s[used] >= 0x80;) {
        size_t len = utf8_decode(s + used, n - used, &c, NULL);
        bool hidden = is_invisible(c);
        if (!hidden && (c < 0xA0 || wcwidth((wchar_t)c) != 0))
            break;
        if (!hidden && g->rune && marks < SURFACE_COMBINING) {
            while (marks < SURFACE_COMBINING && g->comb[marks])
                marks++;
            if (marks < SURFACE_COMBINING)
                g->comb[marks++] = c;
        }
        used += len;
    }
    return used;
}

int text_width(const char *s, size_t n)
{
    int cols = 0;
    struct glyph g;
    for (size_t i = 0; i < n; cols += g.width)
        i += text_glyph(s + i, n - i, &g);
    return cols;
}

size_t text_fit(const char *s, size_t n, int cols)
{
    struct glyph g;
    for (size_t i = 0, used; i < n; i += used) {
        used = text_glyph(s + i, n - i, &g);
        cols -= g.width;
        if (cols < 0)
            return i;
    }
    return n;
}

/* Where the blanks that start at i end: they hang over the edge, unseen. */
static size_t skip_blanks(const char *s, size_t n, size_t i)
{
    while (i < n && s[i] == ' ')
        i++;
    return i;
}

size_t text_line(const char *s, size_t n, int cols, size_t *len, bool *newline)
{
    size_t cut = 0, next = 0; /* last place to break: draw s[0..cut), go on at next */
    int col = 0;
    struct glyph g;

    *newline = false;
    for (size_t i = 0, used; i < n; i += used) {
        used = text_glyph(s + i, n - i, &g);
        if (g.rune == '\n') {
            *len = i;
            *newline = true;
            return i + used;
        }
        if (g.rune == '\t')
            g.width = TEXT_TAB - col % TEXT_TAB;
        if (g.rune == ' ' && next != i) /* first of a run */
            cut = i;
        if (col + g.width > cols && i > 0) {
            if (g.rune == ' ') {
                *len = next == i ? cut : i; /* without the run's first blanks */
                i = skip_blanks(s, n, i);
                if (i < n && s[i] == '\n') {
                    *newline = true;
                    i++;
                }
                return i;
            }
            if (cut == 0) /* one long word */
                cut = next = i;
            *len = cut;
            return next;
        }
        col += g.width;
        if (g.rune == ' ')
            next = i + used;
        else if (g.width == 2 && !g.escape[0])
            cut = next = i + used; /* ideographs break anywhere */
    }
    *len = n;
    return n;
}
