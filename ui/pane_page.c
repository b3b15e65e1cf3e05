/* SPDX-License-Identifier: MIT */
#include "ui/pane.h"

#include <stdio.h>
#include <string.h>

void pane_page(struct surface *s, const struct theme *t, const struct vm_page *vm)
{
    if (s->h < 1)
        return;
    int rows = s->h - 1;
    char where[64] = "";
    size_t end = vm->top + (size_t)rows < vm->n ? vm->top + (size_t)rows : vm->n;
    if (vm->n > (size_t)rows)
        snprintf(where, sizeof where, "%zu-%zu of %zu", vm->top + 1, end, vm->n);
    pane_rule(s, t, 0, vm->title, where[0] ? where : NULL, true);
    for (size_t i = vm->top; i < end; i++) {
        const char *line = vm->line[i];
        bool heading = strncmp(line, "# ", 2) == 0;
        surface_text(s, 0, 1 + (int)(i - vm->top), heading ? line + 2 : line,
                     theme_style(t, heading ? ROLE_TITLE : ROLE_TEXT));
    }
}
