/* cmd_replay.c - `terra replay`: a stored run again, at the speed it had, without its model.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cmd_stored.h"
#include "app/reply.h"
#include "app/signals.h"
#include "data/export.h"
#include "data/store.h"
#include "engine/base/json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Sleeps; a signal ends it. */
static void wait_ns(double ns)
{
    while (ns > 0 && !atomic_load(signals_cancel())) {
        double part = ns > 5e7 ? 5e7 : ns;
        struct timespec t = {0, (long)part};
        nanosleep(&t, NULL);
        ns -= part;
    }
}

static bool wait_enter(void)
{
    int ch;
    do
        ch = getchar();
    while (ch != '\n' && ch != EOF && !atomic_load(signals_cancel()));
    return ch != EOF;
}

static void token_line(struct cli *c, uint32_t i, const struct store_token *t)
{
    struct buf b = {0};
    headless_object(&b, "token");
    json_int(&b, "i", i);
    json_int(&b, "id", t->id);
    json_str(&b, "text", t->text, t->n_text);
    json_num(&b, "p", exp((double)t->logprob), 6);
    json_num(&b, "ms", (double)t->ns / 1e6, 4);
    json_open(&b, "parts", '{');
    for (int p = 0; p < STORE_PARTS; p++)
        json_num(&b, store_part_name[p], t->part_us[p] / 1e3, 4);
    json_close(&b, '}');
    json_int(&b, "bytes", (int64_t)t->bytes);
    json_close(&b, '}');
    headless_line(&c->out, &b);
    buf_free(&b);
}

static bool play(struct cli *c, const struct store_run *run, const struct store_token *t,
                 size_t n)
{
    const struct args *a = c->args;
    double speed = a->speed >= 0 ? a->speed : 1;
    if (speed > 0 && !a->step)
        wait_ns((double)run->prefill_ns / speed);
    for (size_t i = 0; i < n && !atomic_load(signals_cancel()); i++) {
        if (a->step ? i > 0 && !wait_enter() : false)
            break;
        if (speed > 0 && !a->step)
            wait_ns((double)t[i].ns / speed);
        if (a->json)
            token_line(c, (uint32_t)i, &t[i]);
        else
            headless_text(&c->out, t[i].text, t[i].n_text);
    }
    headless_newline(&c->out);
    return !atomic_load(signals_cancel());
}

bool cmd_play(struct cli *c, int64_t id, struct err *e)
{
    struct pool pool = {0};
    struct store_run run;
    struct store_token *t;
    size_t n;
    bool ok = store_run_get(c->store, id, &pool, &run, e) &&
              store_tokens(c->store, id, &pool, &t, &n, e);
    if (ok && !play(c, &run, t, n))
        ok = err_set(e, ERR_CANCELLED, "stopped");
    if (ok)
        cli_note(c, "run %" PRId64 ": %zu tokens in %.2f s, %s", id, n,
                 (double)run.decode_ns / 1e9, store_status_name[run.status]);
    pool_free(&pool);
    return ok;
}

static bool replay(struct cli *c, struct err *e)
{
    int64_t id;
    if (!cli_store(c, true, e) || !cli_run_id(c, c->args->pos[0], &id, e))
        return false;
    if (!c->args->format)
        return cmd_play(c, id, e);
    const char *name = strcmp(c->args->format, "asciicast") ? c->args->format : "cast";
    enum export_format f;
    bool done = export_format_parse(name, &f, e) && export_run(c->store, id, f, stdout, e);
    if (!done && cli_reader_gone()) {
        c->out.broken = true;
        err_set(e, ERR_CANCELLED, "closed pipe");
    }
    return done;
}

int cmd_replay(const struct args *a)
{
    struct cli c;
    struct err e = {0};
    bool ok = cli_open(&c, a, &e) && replay(&c, &e);
    return cli_close(&c, ok, &e);
}
