/* Commands of the line mode about what is stored.
 * SPDX-License-Identifier: MIT */
#include "app/chat_impl.h"

#include "data/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool chat_need_store(struct chat *h, struct err *e)
{
    if (h->c.store)
        return true;
    if (h->c.args->no_log)
        return err_set(e, ERR_USAGE, "nothing is saved: --no-log");
    return cli_store(&h->c, false, e);
}

static bool current_session(struct chat *h, int64_t *id, struct err *e)
{
    *id = h->c.recorder ? recorder_session(h->c.recorder) : h->c.want_session;
    return *id > 0 || err_set(e, ERR_CHECK, "this session has nothing stored yet");
}

bool chat_rename(struct chat *h, const char *arg, struct err *e)
{
    int64_t id;
    if (!*arg)
        return err_set(e, ERR_USAGE, "/rename TITLE");
    return chat_need_store(h, e) && current_session(h, &id, e) &&
           store_session_rename(h->c.store, id, arg, e);
}

static void show_turns(struct chat *h, int64_t id)
{
    struct pool pool = {0};
    struct store_run *run;
    size_t n;
    struct err e = {0};
    if (!store_run_list(h->c.store, id, &pool, &run, &n, &e)) {
        cli_note(&h->c, "%s", e.msg);
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        headless_text(&h->c.out, "> ", 2);
        headless_text(&h->c.out, run[i].prompt, run[i].n_prompt < 400 ? run[i].n_prompt : 400);
        headless_newline(&h->c.out);
        headless_text(&h->c.out, run[i].output, run[i].n_output);
        headless_newline(&h->c.out);
    }
    pool_free(&pool);
}

bool chat_open(struct chat *h, const char *arg, struct err *e)
{
    struct pool pool = {0};
    struct store_session s;
    char *end;
    int64_t id = strtoll(arg, &end, 10);
    if (end == arg || *end)
        return err_set(e, ERR_USAGE, "/open ID, a number of 'terra logs list'");
    bool ok = chat_need_store(h, e) && store_session_get(h->c.store, id, &pool, &s, e);
    if (ok) {
        cli_record_end(&h->c);
        h->by = NULL;
        h->c.want_session = id;
        show_turns(h, id);
    }
    pool_free(&pool);
    return ok;
}

bool chat_export(struct chat *h, const char *arg, struct err *e)
{
    char format[16] = "md";
    int at = 0;
    int64_t id;
    enum export_format f;
    sscanf(arg, "%15s %n", format, &at);
    if (!chat_need_store(h, e) || !current_session(h, &id, e) ||
        !export_format_parse(format, &f, e))
        return false;
    const char *path = at ? arg + at : "";
    FILE *out = *path ? fopen(path, "wx") : stdout;
    if (!out)
        return err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
    bool ok = export_session(h->c.store, id, f, out, e);
    if (out != stdout && fclose(out) != 0 && ok)
        ok = err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
    fflush(stdout);
    return ok;
}
