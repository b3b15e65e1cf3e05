/* Commands about what is stored, and about writing files.
 * SPDX-License-Identifier: MIT */
#include "app/browse.h"
#include "app/commands_do.h"
#include "app/export_map.h"
#include "app/live.h"
#include "app/replay.h"
#include "app/state.h"
#include "data/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool need_store(struct app *a)
{
    if (a->store)
        return true;
    app_say(a, VM_WARN, "%s",
            *a->store_note ? a->store_note : "there is no history (--no-log)");
    return false;
}

static int64_t number(const char *arg)
{
    char *end;
    long long n = strtoll(arg, &end, 10);
    return end == arg || n <= 0 ? 0 : n;
}

unsigned do_sessions(struct app *a, const char *arg)
{
    return need_store(a) ? browse_show(a, *arg ? arg : NULL) : EFFECT_DRAW;
}

unsigned do_open(struct app *a, const char *arg)
{
    if (!number(arg)) {
        app_say(a, VM_WARN, "open ID: the number of a session, as `3` lists them");
        return EFFECT_DRAW;
    }
    return need_store(a) ? replay_open_session(a, number(arg)) : EFFECT_DRAW;
}

unsigned do_replay(struct app *a, const char *arg)
{
    if (a->view == VM_SESSIONS && !*arg)
        return browse_replay(a);
    if (*arg)
        return need_store(a) ? replay_run(a, number(arg)) : EFFECT_DRAW;
    if (a->view == VM_COMPARE) {
        if (a->compare.done)
            replay_compare_start(a);
        return EFFECT_DRAW;
    }
    if (!app_running(a))
        replay_restart(a);
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_rename(struct app *a, const char *arg)
{
    return need_store(a) ? browse_rename(a, *arg ? arg : NULL) : EFFECT_DRAW;
}

unsigned do_save(struct app *a, const char *arg)
{
    return do_rename(a, arg);
}

unsigned do_delete(struct app *a, const char *arg)
{
    if (!need_store(a))
        return EFFECT_DRAW;
    if (!*arg && a->view != VM_SESSIONS) {
        app_say(a, VM_WARN, "delete ID, or d in the sessions view");
        return EFFECT_DRAW;
    }
    if (*arg && !number(arg)) {
        app_say(a, VM_WARN, "delete ID: '%.40s' is not the number of a session", arg);
        return EFFECT_DRAW;
    }
    return *arg ? browse_delete_session(a, number(arg)) : browse_delete(a);
}

unsigned do_undo(struct app *a, const char *arg)
{
    (void)arg;
    return need_store(a) ? browse_undo(a) : EFFECT_DRAW;
}

unsigned do_sort(struct app *a, const char *arg)
{
    (void)arg;
    return browse_sort(a);
}

unsigned do_log(struct app *a, const char *arg)
{
    struct err e = {0};
    bool on = strcmp(arg, "on") == 0;
    if (!on && strcmp(arg, "off") != 0) {
        app_say(a, VM_WARN, "log on|off");
        return EFFECT_DRAW;
    }
    if (!need_store(a))
        return EFFECT_DRAW;
    if (app_running(a)) {
        app_say(a, VM_WARN, "a reply is being written; Esc stops it");
        return EFFECT_DRAW;
    }
    if (!store_log_set(a->store, on, &e))
        return app_fail(a, &e);
    live_recorder_close(a);
    app_say(a, VM_INFO, on ? "runs are saved from now on" : "runs are not saved from now on");
    return EFFECT_DRAW;
}

/* ---- files ------------------------------------------------------------------------------- */

/* Never overwrites. */
static FILE *create(const char *path, struct err *e)
{
    FILE *f = fopen(path, "wx");
    if (!f)
        err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
    return f;
}

/* A file name not taken yet: "base.ending", "base-2.ending", ... */
static void free_name(char *path, size_t size, const char *base, const char *ending)
{
    snprintf(path, size, "%s.%s", base, ending);
    for (int i = 2; access(path, F_OK) == 0 && i < 1000; i++)
        snprintf(path, size, "%s-%d.%s", base, i, ending);
}

static bool finish(FILE *f, const char *path, bool ok, struct err *e)
{
    bool bad = ferror(f);
    bad |= fclose(f) != 0;
    if (ok && bad)
        ok = err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
    if (!ok)
        remove(path);
    return ok;
}

unsigned do_export(struct app *a, const char *arg)
{
    char name[16] = "md", path[APP_TEXT] = "";
    struct err e = {0};
    enum export_format format;
    sscanf(arg, "%15s %255[^\n]", name, path);
    int64_t session = a->view == VM_SESSIONS ? browse_selected(a) : a->session;
    if (!need_store(a))
        return EFFECT_DRAW;
    if (!session) {
        app_say(a, VM_INFO, "nothing is stored yet");
        return EFFECT_DRAW;
    }
    if (!export_format_parse(name, &format, &e))
        return app_fail(a, &e);
    bool run = format >= EXPORT_TRACE && a->view != VM_SESSIONS && a->run_id;
    if (!*path) {
        char base[64];
        snprintf(base, sizeof base, "terra-%s-%" PRId64, run ? "run" : "session",
                 run ? a->run_id : session);
        free_name(path, sizeof path, base, format == EXPORT_TRACE ? "trace.csv" : name);
    }
    FILE *f = create(path, &e);
    if (!f)
        return app_fail(a, &e);
    bool ok = run ? export_run(a->store, a->run_id, format, f, &e)
                  : export_session(a->store, session, format, f, &e);
    if (!finish(f, path, ok, &e))
        return app_fail(a, &e);
    app_say(a, VM_INFO, "%s %" PRId64 " is in %s", run ? "run" : "session",
            run ? a->run_id : session, path);
    return EFFECT_DRAW;
}

unsigned do_map(struct app *a, const char *arg)
{
    char kind[8] = "", path[APP_TEXT] = "";
    struct err e = {0};
    if (sscanf(arg, "%7s %255[^\n]", kind, path) != 2 ||
        (strcmp(kind, "csv") != 0 && strcmp(kind, "svg") != 0 && strcmp(kind, "ppm") != 0)) {
        app_say(
            a, VM_WARN,
            "map csv FILE: every choice as a row; map svg FILE, map ppm FILE: this picture");
        return EFFECT_DRAW;
    }
    struct choice_rows *r = app_rows(a);
    if (a->shown == 0 || r->n == 0) {
        app_say(a, VM_INFO, "there is no map yet");
        return EFFECT_DRAW;
    }
    FILE *f = create(path, &e);
    if (!f)
        return app_fail(a, &e);
    if (strcmp(kind, "csv") == 0)
        export_map_csv(r, a->shown, f);
    else if (strcmp(kind, "ppm") == 0)
        export_map_ppm(r, (size_t)app_token(a), a->metric, f);
    else
        export_map_svg(r, (size_t)app_token(a), a->metric, f);
    if (!finish(f, path, true, &e))
        return app_fail(a, &e);
    app_say(a, VM_INFO, "the map is in %s", path);
    return EFFECT_DRAW;
}
