/* Commands of the line mode about what is stored.
 * SPDX-License-Identifier: MIT */
#include "app/chat_impl.h"

#include "app/cmd_stored.h"
#include "data/export.h"

#include <errno.h>
#include <inttypes.h>
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
    bool alive = false;
    *id = h->c.recorder ? recorder_session(h->c.recorder) : h->c.want_session;
    if (*id > 0 && !store_session_alive(h->c.store, *id, &alive, e))
        return false;
    return alive || err_set(e, ERR_CHECK, "this session has nothing stored yet");
}

bool chat_rename(struct chat *h, const char *arg, struct err *e)
{
    int64_t id;
    if (!*arg)
        return err_set(e, ERR_USAGE, "/rename TITLE");
    return chat_need_store(h, e) && current_session(h, &id, e) &&
           store_session_rename(h->c.store, id, arg, e);
}

/* Its prompts and replies; the last of them is what /lens and the like look at. */
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
    h->seen = n ? run[n - 1].id : 0;
    pool_free(&pool);
}

bool chat_open(struct chat *h, const char *arg, struct err *e)
{
    struct pool pool = {0};
    struct store_session s;
    int64_t id;
    if (!*arg)
        return err_set(e, ERR_USAGE, "/open ID, a number of /sessions");
    bool ok = chat_need_store(h, e) && cmd_session_id(&h->c, arg, &id, e) &&
              store_session_get(h->c.store, id, &pool, &s, e);
    if (ok && s.deleted_ms)
        ok = err_set(e, ERR_CHECK, "session %" PRId64 " was deleted", id);
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

/* ---- lists --------------------------------------------------------------------------------
 */

/* With what waits to be stored, if the store takes it now. */
static bool fresh_store(struct chat *h, struct err *e)
{
    if (!chat_need_store(h, e))
        return false;
    if (h->c.recorder)
        recorder_tick(h->c.recorder);
    return true;
}

bool chat_sessions(struct chat *h, const char *arg, struct err *e)
{
    return fresh_store(h, e) && cmd_sessions(&h->c, arg, e);
}

bool chat_find(struct chat *h, const char *arg, struct err *e)
{
    if (!*arg)
        return err_set(e, ERR_USAGE, "/find TEXT");
    return fresh_store(h, e) && cmd_search(&h->c, arg, e);
}

/* ---- deleting --------------------------------------------------------------------------- */

static void remember_deleted(struct chat *h, int64_t id)
{
    size_t max = sizeof h->deleted / sizeof *h->deleted;
    if (h->n_deleted == max)
        memmove(h->deleted, h->deleted + 1, --h->n_deleted * sizeof *h->deleted);
    h->deleted[h->n_deleted++] = id;
}

/* Of this chat's own session too: the next run then begins another. */
bool chat_delete(struct chat *h, const char *arg, struct err *e)
{
    int64_t id;
    if (!*arg)
        return err_set(e, ERR_USAGE, "/delete ID, a number of /sessions");
    if (!fresh_store(h, e) || !cmd_session_id(&h->c, arg, &id, e) ||
        !store_session_delete(h->c.store, id, e))
        return false;
    remember_deleted(h, id);
    cli_note(&h->c, "session %" PRId64 " deleted; /undo brings it back", id);
    return true;
}

bool chat_undo(struct chat *h, const char *arg, struct err *e)
{
    (void)arg;
    if (h->n_deleted == 0)
        return err_set(e, ERR_CHECK, "nothing was deleted here");
    if (!chat_need_store(h, e))
        return false;
    while (h->n_deleted) {
        int64_t id = h->deleted[h->n_deleted - 1];
        bool back = store_session_undelete(h->c.store, id, e);
        if (!back && e->kind != ERR_CHECK)
            return false;
        h->n_deleted--; /* back, or purged by somebody: then the one before */
        if (back) {
            cli_note(&h->c, "session %" PRId64 " is back", id);
            *e = (struct err){0};
            return true;
        }
    }
    return err_set(e, ERR_CHECK, "what was deleted here is gone for good");
}

/* ---- one run ------------------------------------------------------------------------------
 */

/* What only shows something has no text to keep when a signal ends it. */
static bool shown(struct chat *h, bool ok, struct err *e)
{
    if (ok || e->kind != ERR_CANCELLED)
        return ok;
    cli_note(&h->c, "stopped");
    return true;
}

static bool seen_run(struct chat *h, int64_t *run, struct err *e)
{
    const struct recorder *r = h->c.recorder;
    if (!fresh_store(h, e))
        return false;
    if (r && recorder_waits(r))
        return err_set(e, ERR_STORE, "the last reply is not saved yet");
    if (h->seen == RECORDER_LAST)
        h->seen = r ? recorder_run_id(r) : 0;
    *run = h->seen;
    return *run > 0 || err_set(e, ERR_CHECK, "no reply to look at is stored");
}

/* "" is the last one. */
static bool seen_token(struct chat *h, const char *arg, int64_t *run, uint32_t *token,
                       struct err *e)
{
    struct pool pool = {0};
    struct store_run r;
    if (!seen_run(h, run, e))
        return false;
    if (*arg)
        return cmd_token(arg, token, e);
    bool ok = store_run_get(h->c.store, *run, &pool, &r, e);
    if (ok && r.n_out <= 0)
        ok = err_set(e, ERR_CHECK, "run %" PRId64 " has no tokens", *run);
    *token = ok ? (uint32_t)r.n_out - 1 : 0;
    pool_free(&pool);
    return ok;
}

bool chat_lens(struct chat *h, const char *arg, struct err *e)
{
    int64_t run;
    uint32_t token;
    return seen_token(h, arg, &run, &token, e) &&
           shown(h, cmd_lens(&h->c, run, token, false, e), e);
}

bool chat_like(struct chat *h, const char *arg, struct err *e)
{
    int64_t run;
    uint32_t token;
    return seen_token(h, arg, &run, &token, e) && cmd_like(&h->c, run, token, e);
}

bool chat_replay(struct chat *h, const char *arg, struct err *e)
{
    int64_t run;
    bool ok =
        *arg ? fresh_store(h, e) && cli_run_id(&h->c, arg, &run, e) : seen_run(h, &run, e);
    return ok && shown(h, cmd_play(&h->c, run, e), e);
}
