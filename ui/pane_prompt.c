/* SPDX-License-Identifier: MIT */
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <stdio.h>
#include <string.h>

#define ROWS_MAX 10
#define WINDOW   8192 /* bytes around the cursor that are laid out */

/* The part of the text that can be visible, and where the cursor is in it. */
struct window {
    const char *text;
    size_t n, cursor;
};

static struct window window_of(const struct vm_prompt *vm)
{
    struct window win = {vm->text ? vm->text : "", vm->n, vm->cursor};
    if (win.cursor > win.n)
        win.cursor = win.n;
    if (win.cursor > WINDOW) {
        size_t from = win.cursor - WINDOW;
        while (from < win.cursor && ((unsigned char)win.text[from] & 0xC0) == 0x80)
            from++; /* not inside a character */
        win.text += from;
        win.n -= from;
        win.cursor -= from;
    }
    if (win.n > win.cursor + WINDOW)
        win.n = win.cursor + WINDOW;
    return win;
}

/* Walks the text in rows of `cols`, the first after the prompt and the others
 * indented like it; draws rows `first`.. when s is not NULL. */
struct walk {
    int rows, cursor_row, cursor_col;
};

static int indent_for(const struct vm_prompt *vm, int cols)
{
    int w = vm->prompt ? text_width(vm->prompt, strlen(vm->prompt)) : 0;
    return w < cols - 8 ? w : cols > 8 ? cols - 8 : 0;
}

static struct walk walk_text(struct surface *s, const struct theme *t,
                             const struct vm_prompt *vm, int cols, int first)
{
    struct window win = window_of(vm);
    int indent = indent_for(vm, cols), row = 0, col = indent;
    struct walk out = {0};
    struct glyph g;
    struct style st = {0};
    if (t)
        st = theme_style(t, ROLE_TEXT);
    for (size_t i = 0;;) {
        size_t used = i < win.n ? text_glyph(win.text + i, win.n - i, &g) : 0;
        if (col + (used && g.rune != '\n' ? g.width : 1) > cols) {
            row++;
            col = indent;
        }
        if (i <= win.cursor && (win.cursor < i + used || !used)) {
            out.cursor_row = row;
            out.cursor_col = col;
        }
        if (!used)
            break;
        if (g.rune == '\n') {
            row++;
            col = indent;
        } else {
            if (s)
                surface_textn(s, col, row - first, g.width, win.text + i, used, st);
            col += g.width;
        }
        i += used;
    }
    out.rows = row + 1;
    return out;
}

int pane_prompt_rows(const struct vm_prompt *vm, int cols)
{
    int rows = walk_text(NULL, NULL, vm, cols, 0).rows;
    return rows < ROWS_MAX ? rows : ROWS_MAX;
}

void pane_prompt(struct surface *s, const struct theme *t, const struct vm_prompt *vm, int *cx,
                 int *cy)
{
    *cx = *cy = -1;
    if (s->h <= 0)
        return;
    struct walk size = walk_text(NULL, NULL, vm, s->w, 0);
    int first = size.rows > s->h ? size.cursor_row - s->h / 2 : 0;
    if (first + s->h > size.rows)
        first = size.rows - s->h;
    if (first < 0)
        first = 0;
    walk_text(s, t, vm, s->w, first);
    if (first == 0)
        surface_textn(s, 0, 0, s->w, vm->prompt ? vm->prompt : "",
                      vm->prompt ? strlen(vm->prompt) : 0,
                      theme_style(t, vm->active ? ROLE_FOCUS : ROLE_TITLE));
    if (vm->n == 0 && vm->placeholder)
        surface_text(s, size.cursor_col + (vm->active ? 1 : 0), 0, vm->placeholder,
                     theme_style(t, ROLE_DIM));
    if (vm->n > 4096) {
        char note[48];
        snprintf(note, sizeof note, " %s ", fmt_bytes((double)vm->n).s);
        surface_text_right(s, s->w, 0, note, theme_style(t, ROLE_DIM));
    }
    if (vm->active) {
        *cx = size.cursor_col;
        *cy = size.cursor_row - first;
    }
}

void pane_popup(struct surface *s, const struct theme *t, const struct vm_prompt *vm)
{
    if (vm->n_popup == 0 || s->h < 1)
        return;
    int widest = 4;
    for (size_t i = 0; i < vm->n_popup; i++) {
        int w = text_width(vm->popup[i], strlen(vm->popup[i]));
        widest = w > widest ? w : widest;
    }
    int col_w = widest + 2 < s->w - 2 ? widest + 2 : s->w - 2;
    int cols = (s->w - 2) / (col_w > 0 ? col_w : 1);
    cols = cols < 1 ? 1 : cols;
    int rows = ((int)vm->n_popup + cols - 1) / cols;
    int limit = s->h < 8 ? s->h : 8;
    int shown = rows < limit ? rows : limit;
    int used = rows == 1 ? (int)vm->n_popup : cols;

    struct style st = theme_style(t, ROLE_BAR);
    struct rect box = {0, s->h - shown, used * col_w + 2, shown};
    surface_fill(s, box, ' ', st);
    for (int i = 0; i < (int)vm->n_popup && i < shown * cols; i++) {
        bool more = shown < rows && i == shown * cols - 1;
        char note[32];
        snprintf(note, sizeof note, "%d more", (int)vm->n_popup - i);
        const char *text = more ? note : vm->popup[i];
        surface_textn(s, 1 + i % cols * col_w, box.y + i / cols, col_w - 1, text, strlen(text),
                      st);
    }
}
