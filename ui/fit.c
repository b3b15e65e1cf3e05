/* SPDX-License-Identifier: MIT */
#include "ui/fit.h"

#include "ui/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct fit_piece *fit_add(struct fit *f, int rank, struct style st, const char *fmt, ...)
{
    static struct fit_piece spare; /* nobody draws it */
    struct fit_piece *p = f->n < FIT_MAX ? &f->piece[f->n++] : &spare;
    va_list ap;
    memset(p, 0, sizeof *p);
    p->rank = rank;
    p->style = st;
    va_start(ap, fmt);
    vsnprintf(p->text, sizeof p->text, fmt, ap);
    va_end(ap);
    return p;
}

void fit_brief(struct fit_piece *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->brief, sizeof p->brief, fmt, ap);
    va_end(ap);
}

static int width_of(const struct fit_piece *p)
{
    int w = text_width(p->text, strlen(p->text));
    if (p->ramp)
        w += FIT_RAMP + 2 + text_width(p->after, strlen(p->after));
    return w;
}

static int total(const struct fit *f, int gap)
{
    int w = 0;
    for (int i = 0; i < f->n; i++)
        w += width_of(&f->piece[i]) + (i ? gap : 0);
    return w;
}

/* The piece to give up next: the highest rank that can still shrink or go. */
static struct fit_piece *least(struct fit *f)
{
    struct fit_piece *found = NULL;
    for (int i = 0; i < f->n; i++) {
        struct fit_piece *p = &f->piece[i];
        bool can = p->brief[0] || p->rank > 0;
        if (can && (!found || p->rank >= found->rank))
            found = p;
    }
    return found;
}

static void remove_piece(struct fit *f, struct fit_piece *p)
{
    int i = (int)(p - f->piece);
    memmove(p, p + 1, (size_t)(f->n - i - 1) * sizeof *p);
    f->n--;
}

static int draw_ramp(struct surface *s, const struct theme *t, int x, int y)
{
    for (int i = 0; i < FIT_RAMP; i++) {
        struct theme_heat h = theme_heat(t, (uint8_t)(i * 254 / (FIT_RAMP - 1)));
        surface_rune(s, x + i, y, h.rune, h.style);
    }
    return x + FIT_RAMP;
}

int fit_draw(struct fit *f, struct surface *s, const struct theme *t, int x, int y, int cols,
             const char *gap, struct style gap_style)
{
    int gap_w = text_width(gap, strlen(gap)), end = x + cols;
    struct fit_piece *p;
    while (total(f, gap_w) > cols && (p = least(f))) {
        if (p->brief[0]) {
            memcpy(p->text, p->brief, sizeof p->text);
            p->brief[0] = 0;
        } else {
            remove_piece(f, p);
        }
    }

    for (int i = 0; i < f->n && x < end; i++) {
        p = &f->piece[i];
        if (i)
            x = surface_textn(s, x, y, end - x, gap, strlen(gap), gap_style);
        x = surface_textn(s, x, y, end - x, p->text, strlen(p->text), p->style);
        if (p->ramp && x + 1 + FIT_RAMP <= end) {
            x = surface_text(s, x, y, " ", gap_style);
            x = draw_ramp(s, t, x, y);
            x = surface_text(s, x, y, " ", gap_style);
            x = surface_textn(s, x, y, end - x, p->after, strlen(p->after), p->style);
        }
    }
    return x;
}
