/* SPDX-License-Identifier: MIT */
#include "app/browse.h"

#include "app/replay.h"
#include "engine/base/clock.h"
#include "engine/base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LIST_MAX    500
#define PREVIEW_MAX 2000

static const char *const sort_name[] = {"updated", "created", "title", "tokens"};

void browse_when(int64_t ms, int64_t now_ms, char out[24])
{
    time_t then = (time_t)(ms / 1000), now = (time_t)(now_ms / 1000);
    struct tm t, n;
    localtime_r(&then, &t);
    localtime_r(&now, &n);
    if (t.tm_year == n.tm_year && t.tm_yday == n.tm_yday)
        strftime(out, 24, "today %H:%M", &t);
    else if (t.tm_year == n.tm_year)
        strftime(out, 24, "%b %d %H:%M", &t);
    else
        strftime(out, 24, "%Y-%m-%d", &t);
}

/* The newest reply of the selected session, unless a search shows its hit. */
static void preview(struct app *a)
{
    struct app_sessions *s = &a->sessions;
    s->preview = "";
    s->rate = NULL;
    s->n_rate = 0;
    if (s->selected >= s->n)
        return;
    const struct store_session *row = &s->row[s->selected];
    struct store_run *runs;
    size_t n;
    s->preview = row->snippet ? row->snippet : "";
    if (!store_run_list(a->store, row->id, &s->pool, &runs, &n, NULL) || n == 0)
        return;
    s->rate = pool_get(&s->pool, n, sizeof *s->rate);
    for (size_t i = 0; i < n; i++)
        if (runs[i].decode_ns)
            s->rate[s->n_rate++] = (double)runs[i].n_out * 1e9 / (double)runs[i].decode_ns;
    if (!*s->query)
        s->preview =
            pool_copy(&s->pool, runs[n - 1].output,
                      utf8_complete(runs[n - 1].output, runs[n - 1].n_output < PREVIEW_MAX
                                                            ? runs[n - 1].n_output
                                                            : PREVIEW_MAX));
}

static void reload(struct app *a)
{
    struct app_sessions *s = &a->sessions;
    int64_t id = browse_selected(a);
    struct err e = {0};
    struct store_list_opts o = {.search = s->query, .sort = s->sort, .limit = LIST_MAX};
    pool_free(&s->pool);
    s->row = NULL;
    s->n = s->total = 0;
    if (!store_session_list(a->store, &o, &s->pool, &s->row, &s->n, NULL, &e)) {
        app_fail(a, &e);
        s->n = 0;
    }
    struct store_stat st;
    if (store_stat(a->store, &st, NULL)) {
        s->total = st.n_sessions;
        snprintf(s->size, sizeof s->size, "%.1fMB", (double)st.bytes / 1e6);
    }
    s->selected = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->row[i].id == id)
            s->selected = i;
    preview(a);
}

unsigned browse_show(struct app *a, const char *search)
{
    if (search)
        snprintf(a->sessions.query, sizeof a->sessions.query, "%s", search);
    if (a->recorder)
        recorder_tick(a->recorder);
    a->view = VM_SESSIONS;
    a->focus = VM_OTHER;
    *a->message = 0;
    reload(a);
    return EFFECT_DRAW;
}

void browse_search(struct app *a, const char *words)
{
    snprintf(a->sessions.query, sizeof a->sessions.query, "%s", words);
    reload(a);
}

int64_t browse_selected(const struct app *a)
{
    const struct app_sessions *s = &a->sessions;
    return s->selected < s->n ? s->row[s->selected].id : 0;
}

void browse_move(struct app *a, long by)
{
    struct app_sessions *s = &a->sessions;
    long to = (long)s->selected + by;
    if (to >= (long)s->n)
        to = (long)s->n - 1;
    s->selected = to > 0 ? (size_t)to : 0;
    preview(a);
}

unsigned browse_open(struct app *a)
{
    int64_t id = browse_selected(a);
    return id ? replay_open_session(a, id) : EFFECT_NONE;
}

unsigned browse_replay(struct app *a)
{
    int64_t id = browse_selected(a);
    if (!id)
        return EFFECT_NONE;
    unsigned effect = replay_open_session(a, id);
    if (a->session == id && a->view == VM_MAIN)
        replay_restart(a);
    return effect | EFFECT_MAP;
}

unsigned browse_delete(struct app *a)
{
    int64_t id = browse_selected(a);
    return id ? browse_delete_session(a, id) : EFFECT_NONE;
}

unsigned browse_delete_session(struct app *a, int64_t id)
{
    struct app_sessions *s = &a->sessions;
    struct err e = {0};
    if (id == a->session && app_running(a)) {
        app_say(a, VM_WARN, "this session is being written to; Esc stops the reply");
        return EFFECT_DRAW;
    }
    size_t at = s->selected;
    if (!store_session_delete(a->store, id, &e))
        return app_fail(a, &e);
    size_t max = sizeof s->deleted / sizeof *s->deleted;
    if (s->n_deleted == max)
        memmove(s->deleted, s->deleted + 1, --s->n_deleted * sizeof *s->deleted);
    s->deleted[s->n_deleted++] = id;
    if (a->view == VM_SESSIONS) {
        bool selected = id == browse_selected(a);
        reload(a);
        if (selected) /* the next one takes its place */
            s->selected = at < s->n ? at : s->n ? s->n - 1 : 0;
        preview(a);
    }
    app_say(a, VM_INFO,
            "session %" PRId64 " deleted; u %sbrings it back until terra starts again", id,
            a->view == VM_SESSIONS ? "" : "in the sessions view ");
    return EFFECT_DRAW;
}

unsigned browse_undo(struct app *a)
{
    struct app_sessions *s = &a->sessions;
    struct err e = {0};
    if (s->n_deleted == 0) {
        app_say(a, VM_INFO, "nothing was deleted");
        return EFFECT_DRAW;
    }
    int64_t id = s->deleted[s->n_deleted - 1];
    bool back = store_session_undelete(a->store, id, &e);
    while (!back && e.kind == ERR_CHECK && --s->n_deleted) { /* gone for good: the one before */
        id = s->deleted[s->n_deleted - 1];
        e = (struct err){0};
        back = store_session_undelete(a->store, id, &e);
    }
    if (!back)
        return app_fail(a, &e);
    s->n_deleted--;
    reload(a);
    for (size_t i = 0; i < s->n; i++)
        if (s->row[i].id == id)
            s->selected = i;
    preview(a);
    app_say(a, VM_INFO, "session %" PRId64 " is back", id);
    return EFFECT_DRAW;
}

unsigned browse_sort(struct app *a)
{
    struct app_sessions *s = &a->sessions;
    s->sort = (enum store_sort)((s->sort + 1) % 4);
    reload(a);
    app_say(a, VM_INFO, "sorted by %s", sort_name[s->sort]);
    return EFFECT_DRAW;
}

/* To the session that is about to be renamed; "" if it only has the one it got by itself. */
static const char *title_given(const struct app *a)
{
    const struct app_sessions *s = &a->sessions;
    if (a->view != VM_SESSIONS)
        return a->titled ? a->title : "";
    const struct store_session *row = s->selected < s->n ? &s->row[s->selected] : NULL;
    return row && row->titled ? row->title : "";
}

unsigned browse_rename(struct app *a, const char *title)
{
    struct app_sessions *s = &a->sessions;
    struct err e = {0};
    int64_t id = s->renaming              ? s->renaming
                 : a->view == VM_SESSIONS ? browse_selected(a)
                                          : a->session;
    if (!id) {
        app_say(a, VM_INFO, "nothing is stored yet");
        return EFFECT_DRAW;
    }
    if (!title) {
        s->renaming = id;
        app_ask(a, INPUT_RENAME, "title: ", title_given(a));
        return EFFECT_DRAW;
    }
    s->renaming = 0;
    if (!store_session_rename(a->store, id, title, &e))
        return app_fail(a, &e);
    if (id == a->session) {
        snprintf(a->title, sizeof a->title, "%.200s", title);
        a->titled = true;
    }
    if (a->view == VM_SESSIONS)
        reload(a);
    app_say(a, VM_INFO, "session %" PRId64 " is now '%.100s'", id, title);
    return EFFECT_DRAW;
}
