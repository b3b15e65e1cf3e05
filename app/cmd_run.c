/* cmd_run.c - `terra run`: one reply to a prompt, a pipe, or both.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/reply.h"
#include "app/signals.h"

#include <string.h>
#include <unistd.h>

/* The words of the command line, then standard input if something is piped in. */
static bool read_prompt(struct cli *c, struct buf *out, struct err *e)
{
    const struct args *a = c->args;
    if (a->n_pos == 1 && !*a->pos[0] && isatty(STDIN_FILENO))
        return err_set(e, ERR_INPUT, "the prompt is empty");
    for (int i = 0; i < a->n_pos; i++)
        buf_printf(out, "%s%s", i ? " " : "", a->pos[i]);
    bool only_dash = a->n_pos == 1 && strcmp(a->pos[0], "-") == 0;
    if (only_dash)
        buf_clear(out);
    if (isatty(STDIN_FILENO)) {
        if (out->len || only_dash)
            return out->len || err_set(e, ERR_INPUT,
                                       "standard input is a terminal: give a prompt or a pipe");
        return err_set(e, ERR_USAGE, "usage: terra run PROMPT, or pipe it in");
    }
    struct document doc = {0};
    struct document_opts o = {.max_bytes =
                                  (uint64_t)config_int(&c->config, CONFIG_MAX_DOCUMENT),
                              .cancel = signals_cancel()};
    struct err why = {0};
    bool ok = document_read("-", &o, &doc, &why);
    if (ok) {
        if (doc.fixes)
            cli_note(c, "standard input: %llu malformed bytes became U+FFFD",
                     (unsigned long long)doc.fixes);
        buf_printf(out, "%s", out->len && doc.n ? "\n\n" : "");
        buf_add(out, doc.text, doc.n);
    } else if (out->len && why.kind == ERR_INPUT) {
        ok = true; /* an empty standard input beside a prompt, as cron and ssh give */
    } else if (a->cmd == CMD_TUI && why.kind == ERR_INPUT) {
        err_set(e, ERR_USAGE,
                "no terminal and no prompt; see 'terra help', or pipe a prompt in");
    } else if (a->n_pos && !only_dash && why.kind == ERR_INPUT) {
        err_set(e, ERR_INPUT, "the prompt is empty");
    } else {
        *e = why;
    }
    document_free(&doc);
    return ok;
}

static bool run(struct cli *c, struct err *e)
{
    struct buf prompt = {0};
    struct terra_ids ids = {0};
    struct reply r = {.command = "run", .kind = STORE_CHAT, .ids = &ids};
    bool ok = read_prompt(c, &prompt, e) && cli_model(c, e);
    if (ok && c->args->ids)
        ok = cli_parse_ids(buf_str(&prompt), c->shape->vocab, &ids, e);
    else if (ok)
        ok = reply_source(c, buf_str(&prompt), prompt.len, &r, &ids, e);
    if (c->args->ids)
        r.n_text = ids.n;
    r.prompt = buf_str(&prompt);
    r.n_prompt = prompt.len;
    ok = ok && reply_open(c, &r, e) && reply_run(c, &r, e);
    reply_close(c, &r);
    terra_ids_free(&ids);
    buf_free(&prompt);
    return ok;
}

int cmd_run(const struct args *a)
{
    struct cli c;
    struct err e = {0};
    bool ok = cli_open(&c, a, &e) && run(&c, &e);
    return cli_close(&c, ok, &e);
}
