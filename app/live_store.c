/* The history: opening it, and who writes runs into it.
 * SPDX-License-Identifier: MIT */
#include "app/live_impl.h"
#include "app/setup.h"

#include <stdio.h>

#define BUSY_MS     100         /* the screen must not wait for another process */
#define OPEN_TRIES  30          /* of BUSY_MS each */
#define PATIENCE_NS 5000000000u /* before a person is told */

static unsigned set_aside(struct app *a, size_t which)
{
    char moved[512];
    struct err e = {0};
    if (which != 0)
        return EFFECT_DRAW;
    const char *path = config_text(a->config, CONFIG_DB);
    if (!*path)
        path = a->config->paths.db_file;
    if (!store_set_aside(path, moved, &e))
        return app_fail(a, &e);
    live_store_open(a);
    app_say(a, VM_INFO, "the damaged history is now %s; a new one was begun", moved);
    return EFFECT_DRAW;
}

static void ask_set_aside(struct app *a, const struct err *e)
{
    struct app_dialog *d = &a->dialog;
    *d = (struct app_dialog){.open = true, .n = 2, .chosen = set_aside};
    snprintf(d->title, sizeof d->title, "history is damaged");
    snprintf(d->text, sizeof d->text,
             "%s. Move it out of the way and begin a new one? Until then nothing is saved.",
             e->msg);
    snprintf(d->key[0], sizeof d->key[0], "m");
    snprintf(d->choice[0], sizeof d->choice[0], "move it aside, begin a new history");
    snprintf(d->key[1], sizeof d->key[1], "n");
    snprintf(d->choice[1], sizeof d->choice[1], "not now: go on without saving");
}

void live_store_open(struct app *a)
{
    *a->store_note = 0;
    if (a->no_log)
        return;
    const char *path = config_text(a->config, CONFIG_DB);
    struct store_opts o = {.path = *path ? path : a->config->paths.db_file, .busy_ms = BUSY_MS};
    struct store_report rep = {0};
    struct err e = {0};
    if (!*o.path) {
        snprintf(a->store_note, sizeof a->store_note, "not being saved: HOME is not set");
        return;
    }
    for (int i = 0; i < OPEN_TRIES && !a->store; i++) {
        rep = (struct store_report){0};
        a->store = store_open(&o, &rep, &e);
        if (rep.trouble != STORE_BUSY)
            break;
    }
    if (!a->store) {
        snprintf(a->store_note, sizeof a->store_note, "not being saved: %.200s", e.msg);
        if (rep.trouble == STORE_CORRUPT)
            ask_set_aside(a, &e);
    } else if (rep.read_only) {
        snprintf(a->store_note, sizeof a->store_note, "not being saved: %.200s",
                 *rep.note ? rep.note : "the history can only be read");
    } else if (*rep.note) {
        app_say(a, VM_WARN, "%s", rep.note);
    }
}

static bool saving(const struct app *a)
{
    return a->store && !a->no_log && config_bool(a->config, CONFIG_LOG) &&
           store_log_on(a->store) && !store_is_read_only(a->store);
}

void live_recorder_open(struct app *a)
{
    live_recorder_close(a);
    struct buf host = {0};
    setup_host(&host);
    struct recorder_opts o = {.store = saving(a) ? a->store : NULL,
                              .model = a->model,
                              .trace = setup_trace(a->config),
                              .build = *a->build ? a->build : "terra " TERRA_VERSION,
                              .host = buf_str(&host),
                              .session = a->session,
                              .retry_ms = LIVE_RETRY_MS};
    a->recorder = recorder_open(&o);
    buf_free(&host);
}

static void close_recorder(struct app *a, struct recorder **r)
{
    struct err e = {0};
    if (*r && !recorder_close(*r, &e))
        app_say(a, VM_ERROR, "not saved: %s", e.msg);
    *r = NULL;
}

void live_side_recorder_close(struct app *a)
{
    close_recorder(a, &a->compare.recorder);
}

void live_recorder_close(struct app *a)
{
    live_side_recorder_close(a); /* it looks at the other one */
    close_recorder(a, &a->recorder);
}

void live_follow_session(struct app *a)
{
    int64_t id = recorder_session(a->recorder);
    if (!id || id == a->session)
        return;
    if (a->session) { /* it was deleted */
        a->titled = false;
        *a->title = 0;
        a->n_runs = a->run_at = 0;
    }
    a->session = id;
}

const char *live_trouble(const struct app *a)
{
    const char *trouble = a->recorder ? recorder_trouble(a->recorder) : NULL;
    if (!trouble && a->compare.recorder)
        trouble = recorder_trouble(a->compare.recorder);
    return trouble;
}

const char *live_banner(const struct app *a)
{
    const char *trouble = live_trouble(a);
    /* Another process that writes holds the lock for a moment: say it when it lasts. */
    if (trouble && a->trouble_since && a->now - a->trouble_since > PATIENCE_NS)
        return trouble;
    return *a->store_note ? a->store_note : NULL;
}
