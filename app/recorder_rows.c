/* SPDX-License-Identifier: MIT */
#include "app/recorder_rows.h"

#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROWS = 64 };

static size_t row_bytes(const struct rows *w)
{
    return (size_t)w->layers * w->blocks *
           (sizeof *w->unit + sizeof *w->alive + sizeof *w->margin);
}

size_t rows_memory(const struct rows *w)
{
    return w->cap * row_bytes(w);
}

void rows_free(struct rows *w)
{
    free(w->unit);
    free(w->alive);
    free(w->margin);
    *w = (struct rows){0};
}

size_t rows_grow(struct rows *w, size_t n_all, bool blank)
{
    size_t n = n_all - w->base;
    if (n <= w->cap)
        return 0;
    size_t cap = w->cap ? w->cap * 2 : FIRST_ROWS, cells = (size_t)w->layers * w->blocks;
    if (cap < n)
        cap = n;
    w->unit = xrealloc(w->unit, cap * cells, sizeof *w->unit);
    w->alive = xrealloc(w->alive, cap * cells, sizeof *w->alive);
    w->margin = xrealloc(w->margin, cap * cells, sizeof *w->margin);
    for (size_t i = w->cap * cells; blank && i < cap * cells; i++) {
        w->unit[i] = TERRA_NO_UNIT;
        w->alive[i] = 0;
        w->margin[i] = 0;
    }
    size_t more = (cap - w->cap) * row_bytes(w);
    w->cap = cap;
    return more;
}

void rows_forget(struct rows *w, size_t end)
{
    size_t cells = (size_t)w->layers * w->blocks;
    end = end < w->n ? end : w->n;
    if (end <= w->base || !w->cap)
        return;
    size_t from = (end - w->base) * cells, left = (w->n - end) * cells;
    memmove(w->unit, w->unit + from, left * sizeof *w->unit);
    memmove(w->alive, w->alive + from, left * sizeof *w->alive);
    memmove(w->margin, w->margin + from, left * sizeof *w->margin);
    w->base = end;
}

size_t rows_recall(struct rows *w, const struct store_trace *t)
{
    size_t cells = (size_t)w->layers * w->blocks, front = w->base * cells;
    size_t left = w->n * cells - front;
    w->base = 0;
    size_t more = rows_grow(w, w->n, false);
    memmove(w->unit + front, w->unit, left * sizeof *w->unit);
    memmove(w->alive + front, w->alive, left * sizeof *w->alive);
    memmove(w->margin + front, w->margin, left * sizeof *w->margin);
    memcpy(w->unit, t->unit, front * sizeof *w->unit);
    memcpy(w->alive, t->alive, front * sizeof *w->alive);
    memcpy(w->margin, t->margin, front * sizeof *w->margin);
    return more;
}
