/* cmd_help.c - `terra help`, `terra completion`: what the tables of args.c know.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/numbers.h"
#include "app/tui.h"

#include <string.h>

static int print(struct buf *text, bool ok, const struct args *a, const struct err *e)
{
    int status = ok ? cli_print(a, buf_str(text), text->len) : cli_fail(a, e);
    buf_free(text);
    return status;
}

int cmd_help(const struct args *a)
{
    struct buf text = {0};
    struct err e = {0};
    bool ok = true;
    if (a->keys) {
        tui_keys(&text);
    } else if (a->n_pos == 0) {
        args_help(CMD_COUNT, &text);
    } else if (strcmp(a->pos[0], "numbers") == 0) {
        numbers_help(&text);
    } else {
        enum cmd c;
        ok = args_cmd_find(a->pos[0], &c, &e);
        if (ok)
            args_help(c, &text);
    }
    return print(&text, ok, a, &e);
}

int cmd_completion(const struct args *a)
{
    struct buf text = {0};
    struct err e = {0};
    bool ok = args_completion(a->pos[0], &text, &e);
    return print(&text, ok, a, &e);
}
