/* SPDX-License-Identifier: MIT */
#include "ui/pane.h"

#include <stdio.h>
#include <string.h>

/* A list scrolls no further than its selected line needs. */
static size_t first_line(const struct vm_page *vm, size_t rows)
{
    if (!vm->list)
        return vm->top;
    return vm->selected >= rows ? vm->selected - rows + 1 : 0;
}

void pane_page(struct surface *s, const struct theme *t, const struct vm_page *vm)
{
    if (s->h < 1)
        return;
    int rows = s->h - 1;
    char where[64] = "";
    size_t top = first_line(vm, (size_t)rows);
    size_t end = top + (size_t)rows < vm->n ? top + (size_t)rows : vm->n;
    if (vm->n > (size_t)rows)
        snprintf(where, sizeof where, "%zu-%zu of %zu", top + 1, end, vm->n);
    pane_rule(s, t, 0, vm->title, where[0] ? where : NULL, true);
    for (size_t i = top; i < end; i++) {
        const char *line = vm->line[i];
        bool heading = strncmp(line, "# ", 2) == 0;
        bool here = vm->list && i == vm->selected;
        int y = 1 + (int)(i - top);
        struct style st = theme_style(t, here ? ROLE_SELECT : heading ? ROLE_TITLE : ROLE_TEXT);
        if (here)
            surface_fill(s, (struct rect){0, y, s->w, 1}, ' ', st);
        surface_text(s, 0, y, heading ? line + 2 : line, st);
    }
}
