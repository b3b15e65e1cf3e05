/* SPDX-License-Identifier: MIT */
#include "ui/flow.h"

#include "engine/base/xalloc.h"
#include "ui/text.h"

#include <stdlib.h>
#include <string.h>

/* The same array with room for one more than n elements. */
static void *grown(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 64;
    return xrealloc(items, *cap, size);
}

void flow_free(struct flow *f)
{
    free(f->text);
    free(f->block);
    free(f->token);
    free(f->line);
    memset(f, 0, sizeof *f);
}

void flow_clear(struct flow *f)
{
    f->len = f->n_blocks = f->n_tokens = f->n_lines = 0;
}

static void add_token(struct flow *f, int32_t token, uint8_t level)
{
    f->token = grown(f->token, f->n_tokens, &f->cap_tokens, sizeof *f->token);
    f->token[f->n_tokens++] = (struct flow_token){f->len, token, level};
}

void flow_begin(struct flow *f, enum flow_kind kind)
{
    f->block = grown(f->block, f->n_blocks, &f->cap_blocks, sizeof *f->block);
    f->block[f->n_blocks++] = (struct flow_block){f->len, kind};
    add_token(f, FLOW_NO_TOKEN, 255);
}

void flow_add(struct flow *f, const char *text, size_t n, int32_t token, uint8_t level)
{
    if (f->n_blocks == 0)
        flow_begin(f, FLOW_REPLY);
    const struct flow_token *last = &f->token[f->n_tokens - 1];
    if (last->token != token || last->level != level)
        add_token(f, token, level);
    if (n == 0)
        return;
    if (f->len + n + 1 > f->cap) {
        f->cap = (f->len + n + 1) * 2;
        f->text = xrealloc(f->text, f->cap, 1);
    }
    memcpy(f->text + f->len, text, n);
    f->len += n;
    f->text[f->len] = 0;
}

void flow_put(struct flow *f, enum flow_kind kind, const char *text)
{
    flow_begin(f, kind);
    flow_add(f, text, strlen(text), FLOW_NO_TOKEN, 255);
}

void flow_set_level(struct flow *f, int32_t token, uint8_t level)
{
    for (size_t i = f->n_tokens; i-- > 0;)
        if (f->token[i].token == token) {
            f->token[i].level = level;
            return;
        }
}

/* ---- lines ---------------------------------------------------------------------- */

static int indent_of(enum flow_kind kind)
{
    return kind == FLOW_USER ? 2 : 0;
}

static size_t block_end(const struct flow *f, size_t b)
{
    return b + 1 < f->n_blocks ? f->block[b + 1].at : f->len;
}

static void add_line(struct flow *f, size_t at, size_t len, size_t block)
{
    f->line = grown(f->line, f->n_lines, &f->cap_lines, sizeof *f->line);
    f->line[f->n_lines++] = (struct flow_line){at, len, (uint32_t)block};
}

/* Cuts one block from byte `at` on; an empty block is one empty line. */
static void wrap_block(struct flow *f, size_t b, size_t at)
{
    size_t end = block_end(f, b);
    int cols = f->cols - indent_of(f->block[b].kind);
    bool newline;
    do {
        size_t len;
        size_t next = at + text_line(f->text ? f->text + at : "", end - at, cols > 0 ? cols : 1,
                                     &len, &newline);
        add_line(f, at, len, b);
        at = next;
    } while (at < end || newline);
}

void flow_wrap(struct flow *f, int cols)
{
    if (cols != f->cols) {
        f->cols = cols;
        f->n_lines = 0;
    }
    if (f->n_blocks == 0)
        return;
    /* Only the last line can change when text is added: whatever ended an earlier
     * line is still there. */
    size_t block = 0, at = 0;
    if (f->n_lines > 0) {
        const struct flow_line last = f->line[--f->n_lines];
        block = last.block;
        at = last.at;
    }
    for (; block < f->n_blocks; block++) {
        wrap_block(f, block, at);
        at = block_end(f, block);
    }
}

size_t flow_line_of(const struct flow *f, size_t at)
{
    size_t lo = 0, hi = f->n_lines;
    while (lo + 1 < hi) { /* last line that starts at or before `at` */
        size_t mid = lo + (hi - lo) / 2;
        if (f->line[mid].at <= at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* ---- tokens ------------------------------------------------------------------------ */

bool flow_token_range(const struct flow *f, int32_t token, size_t *at, size_t *len)
{
    if (token == FLOW_NO_TOKEN)
        return false;
    for (size_t i = f->n_tokens; i-- > 0;)
        if (f->token[i].token == token) {
            size_t end = i + 1 < f->n_tokens ? f->token[i + 1].at : f->len;
            *at = f->token[i].at;
            *len = end - *at;
            return true;
        }
    return false;
}

int32_t flow_token_at(const struct flow *f, size_t at)
{
    size_t lo = 0, hi = f->n_tokens;
    while (lo + 1 < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (f->token[mid].at <= at)
            lo = mid;
        else
            hi = mid;
    }
    return hi ? f->token[lo].token : FLOW_NO_TOKEN;
}

/* ---- search --------------------------------------------------------------------------- */

static bool has_upper(const char *s)
{
    for (; *s; s++)
        if (*s >= 'A' && *s <= 'Z')
            return true;
    return false;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

size_t flow_match(const struct flow *f, const char *what, size_t at)
{
    size_t n = what ? strlen(what) : 0;
    if (n == 0 || at > f->len || n > f->len - at)
        return 0;
    if (has_upper(what))
        return memcmp(f->text + at, what, n) == 0 ? n : 0;
    for (size_t i = 0; i < n; i++)
        if (lower(f->text[at + i]) != what[i])
            return 0;
    return n;
}

bool flow_find(const struct flow *f, const char *what, size_t from, int dir, size_t *at)
{
    for (size_t step = 1; step <= f->len; step++) {
        size_t i = dir > 0 ? (from + step) % f->len : (from + f->len - step % f->len) % f->len;
        if (flow_match(f, what, i)) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* ---- view ----------------------------------------------------------------------------- */

static size_t last_top(const struct flow *f, int rows)
{
    size_t shown = rows > 0 ? (size_t)rows : 0;
    return f->n_lines > shown ? f->n_lines - shown : 0;
}

size_t flow_view_top(const struct flow_view *v, const struct flow *f, int rows)
{
    size_t last = last_top(f, rows);
    if (v->follow)
        return last;
    size_t top = flow_line_of(f, v->top);
    return top < last ? top : last;
}

size_t flow_view_unseen(const struct flow_view *v, const struct flow *f)
{
    if (v->follow || v->seen >= f->len || f->n_lines == 0)
        return 0;
    return f->n_lines - 1 - flow_line_of(f, v->seen);
}

static void move_to(struct flow_view *v, const struct flow *f, int rows, size_t top)
{
    if (v->follow)
        v->seen = f->len;
    size_t last = last_top(f, rows);
    v->follow = top >= last;
    v->top = f->n_lines ? f->line[top < last ? top : last].at : 0;
}

void flow_view_scroll(struct flow_view *v, const struct flow *f, int rows, long by)
{
    long top = (long)flow_view_top(v, f, rows) + by;
    move_to(v, f, rows, top < 0 ? 0 : (size_t)top);
}

void flow_view_end(struct flow_view *v)
{
    v->follow = true;
}

void flow_view_show(struct flow_view *v, const struct flow *f, int rows, size_t at)
{
    size_t top = flow_view_top(v, f, rows), line = flow_line_of(f, at);
    size_t shown = rows > 0 ? (size_t)rows : 1;
    if (line < top)
        move_to(v, f, rows, line);
    else if (line >= top + shown)
        move_to(v, f, rows, line - shown + 1);
}
