/* Commands that run models or change what they run with.
 * SPDX-License-Identifier: MIT */
#include "app/browse.h"
#include "app/clip.h"
#include "app/commands_do.h"
#include "app/live.h"
#include "app/page.h"
#include "app/replay.h"
#include "app/setup.h"
#include "app/state.h"
#include "app/summarize.h"
#include "engine/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned do_new(struct app *a, const char *arg)
{
    (void)arg;
    if (app_running(a)) {
        app_say(a, VM_WARN, "a reply is being written; Esc stops it");
        return EFFECT_DRAW;
    }
    *a->message = 0;
    live_recorder_close(a);
    flow_clear(&a->flow);
    a->flow_view = (struct flow_view){.follow = true};
    timeline_start(&a->run, (uint32_t[]){0, 0, 0}, (uint32_t[]){0, 0, 0});
    a->stat.rows = NULL;
    a->shown = 0;
    a->cursor = a->pinned = -1;
    a->play.on = false;
    a->session = a->run_id = 0;
    a->n_runs = a->run_at = 0;
    a->titled = false;
    *a->title = 0;
    a->tok_read = a->tok_total = -1;
    free(a->origin.text);
    a->origin.text = NULL;
    free(a->source);
    a->source = NULL;
    document_free(&a->document);
    memset(&a->document, 0, sizeof a->document);
    a->has_document = false;
    a->view = VM_MAIN;
    a->focus = VM_PROMPT;
    if (!*a->message) /* a run that could not be saved */
        app_say(a, VM_INFO, "a new session");
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_load(struct app *a, const char *arg)
{
    if (!*arg) {
        app_say(a, VM_WARN, "load FILE: a text, Markdown or PDF file");
        return EFFECT_DRAW;
    }
    if (a->view != VM_MAIN)
        do_view_main(a, "");
    return live_read(a, arg);
}

static const char *length_text(const char *word)
{
    return strcmp(word, "none") == 0 ? "" : word;
}

/* "[STYLE] [LENGTH]" in any order. */
static bool set_run_options(struct app *a, const char *arg, struct err *e)
{
    char word[64];
    int used;
    while (sscanf(arg, " %63s%n", word, &used) == 1) {
        struct summarize_length length;
        int32_t id;
        const char *name, *text = length_text(word);
        if (summarize_length_parse(text, &length, NULL)) {
            if (!user_config_set(a->config, CONFIG_LENGTH, text, CONFIG_FLAG, ":summarize", e))
                return false;
        } else if (a->shape && !setup_style(a->shape, word, &id, &name, e)) {
            return false;
        } else if (!user_config_set(a->config, CONFIG_STYLE, word, CONFIG_FLAG, ":summarize",
                                    e)) {
            return false;
        }
        arg += used;
    }
    live_prompt(a);
    return true;
}

unsigned do_summarize(struct app *a, const char *arg)
{
    struct err e = {0};
    if (!set_run_options(a, arg, &e))
        return app_fail(a, &e);
    do_view_main(a, "");
    return a->has_document || !a->source ? live_run_document(a) : live_again(a);
}

unsigned do_style(struct app *a, const char *arg)
{
    struct err e = {0};
    if (!*arg) {
        struct buf known = {0};
        for (uint32_t i = 0; a->shape && i < a->shape->n_control; i++)
            buf_printf(&known, "%s%s", i ? ", " : "", a->shape->control[i].name);
        app_say(a, VM_INFO, "styles: %s", known.len ? buf_str(&known) : "none");
        buf_free(&known);
        return EFFECT_DRAW;
    }
    if (!set_run_options(a, arg, &e))
        return app_fail(a, &e);
    app_say(a, VM_INFO, "style %s", live_style(a));
    return EFFECT_DRAW;
}

unsigned do_regenerate(struct app *a, const char *arg)
{
    (void)arg;
    if (a->view == VM_SESSIONS)
        return do_rename(a, "");
    do_view_main(a, "");
    return live_again(a);
}

unsigned do_continue(struct app *a, const char *arg)
{
    (void)arg;
    do_view_main(a, "");
    return live_continue(a);
}

unsigned do_whatif(struct app *a, const char *arg)
{
    char *end;
    long unit = *arg ? strtol(arg, &end, 10) : -1;
    if (*arg && (end == arg || *end || unit < 0 || unit >= TERRA_NO_UNIT)) {
        app_say(a, VM_WARN, "whatif UNIT: '%.40s' is not the number of a unit", arg);
        return EFFECT_DRAW;
    }
    do_view_main(a, "");
    return live_what_if(a, (int32_t)unit);
}

unsigned do_lens(struct app *a, const char *arg)
{
    char *end;
    long long token = *arg ? strtoll(arg, &end, 10) : (long long)app_token(a);
    if (*arg && (end == arg || *end || token < 0)) {
        app_say(a, VM_WARN, "lens TOKEN: '%.40s' is not the number of a token", arg);
        return EFFECT_DRAW;
    }
    return live_lens(a, token);
}

/* ---- compare -------------------------------------------------------------------------- */

static unsigned against_chosen(struct app *a, size_t which)
{
    if (which == 0)
        return live_compare(a, COMPARE_MASKED, NULL);
    if (which == 1)
        return live_compare(a, COMPARE_OPEN, NULL);
    if (which == 2)
        app_ask(a, INPUT_COMMAND, ":", "compare model:");
    return EFFECT_DRAW;
}

unsigned do_against(struct app *a, const char *arg)
{
    static const char *const key[] = {"m", "o", "d"};
    static const char *const text[] = {"masked: all units computed, same mask, same function",
                                       "open: mask off, another function of the same weights",
                                       "another model, such as the dense twin: type its name"};
    (void)arg;
    struct app_dialog *d = &a->dialog;
    *d = (struct app_dialog){.open = true, .n = 3, .chosen = against_chosen};
    snprintf(d->title, sizeof d->title, "compare sparse with");
    snprintf(
        d->text, sizeof d->text,
        "Both sides read the same text. Their steps are timed alternately, never at once.");
    for (size_t i = 0; i < d->n; i++) {
        snprintf(d->key[i], sizeof d->key[i], "%s", key[i]);
        snprintf(d->choice[i], sizeof d->choice[i], "%s", text[i]);
    }
    return EFFECT_DRAW;
}

unsigned do_compare(struct app *a, const char *arg)
{
    enum compare_kind kind;
    const char *path;
    struct err e = {0};
    if (a->view == VM_SESSIONS) {
        browse_open(a);
        if (a->view == VM_SESSIONS)
            return EFFECT_DRAW;
    }
    if (!*arg)
        return do_against(a, "");
    if (!compare_parse(arg, &kind, &path, &e))
        return app_fail(a, &e);
    return live_compare(a, kind, path);
}

/* ---- settings --------------------------------------------------------------------------- */

unsigned do_model(struct app *a, const char *arg)
{
    if (*arg)
        return live_open_model(a, arg);
    page_model(a);
    return EFFECT_DRAW;
}

static void apply(struct app *a, enum config_key k)
{
    if (k == CONFIG_FPS && config_int(a->config, k) > 0) {
        a->map_fps = (double)config_int(a->config, k);
        a->map_paced = true;
    }
    if (k == CONFIG_METRIC)
        do_metric(a, config_text(a->config, k));
    if (k == CONFIG_STYLE)
        live_prompt(a);
    if (k == CONFIG_TRACE || k == CONFIG_LOG)
        live_recorder_close(a);
}

#define LEAST_CHUNK 8 /* tokens; below, single characters may not fit */

/* Settings that no summary could be made with are refused at once, unless they were so before:
 * then one must come first. */
static bool change(struct app *a, enum config_key k, const char *text, struct err *e)
{
    struct config_value old = a->config->value[k];
    bool fitted = live_settings_fit(a, NULL);
    if (!user_config_set(a->config, k, text, CONFIG_FLAG, ":set", e))
        return false;
    bool fits = live_settings_fit(a, e);
    if (fits && k == CONFIG_CHUNK && config_int(a->config, k) &&
        config_int(a->config, k) < LEAST_CHUNK)
        fits = err_set(e, ERR_USAGE, "chunk: %s is less than %d tokens; 0 is what fits", text,
                       LEAST_CHUNK);
    if (fits || !fitted)
        return true;
    a->config->value[k] = old;
    return false;
}

static const char *setting(const struct app *a, enum config_key k)
{
    const char *text = config_text(a->config, k);
    return *text ? text : k == CONFIG_LENGTH ? "none" : "not set";
}

unsigned do_set(struct app *a, const char *arg)
{
    char name[32], value[APP_TEXT] = "";
    enum config_key k;
    struct err e = {0};
    int n = sscanf(arg, "%31s %255[^\n]", name, value);
    if (n < 1 || !user_config_find(name, &k)) {
        app_say(a, VM_WARN, "set NAME VALUE, as in `set temp 0.7`; F1 lists the names");
        return EFFECT_DRAW;
    }
    if (n == 1) {
        app_say(a, VM_INFO, "%s is %s (%s): %s", name, setting(a, k), a->config->value[k].from,
                config_info[k].help);
        return EFFECT_DRAW;
    }
    if (app_running(a)) {
        app_say(a, VM_WARN, "a reply is being written; Esc stops it");
        return EFFECT_DRAW;
    }
    if (k == CONFIG_DB || k == CONFIG_MODEL) {
        app_say(a, VM_WARN, "%s is chosen when terra starts%s", name,
                k == CONFIG_MODEL ? "; :model PATH opens another" : "");
        return EFFECT_DRAW;
    }
    if (!change(a, k, k == CONFIG_LENGTH ? length_text(value) : value, &e))
        return app_fail(a, &e);
    apply(a, k);
    if (k != CONFIG_METRIC)
        app_say(a, VM_INFO, "%s is now %s", name, setting(a, k));
    return EFFECT_DRAW | EFFECT_MAP;
}

/* ---- copy ----------------------------------------------------------------------------------
 */

unsigned do_copy(struct app *a, const char *arg)
{
    (void)arg;
    const struct buf *text =
        a->view == VM_COMPARE ? &a->compare.side[0].run.text : &a->run.text;
    if (text->len == 0) {
        app_say(a, VM_INFO, "nothing to copy yet");
        return EFFECT_DRAW;
    }
    char how[APP_TEXT];
    struct err e = {0};
    if (!clip_copy(a, buf_str(text), text->len, how, &e))
        return app_fail(a, &e);
    app_say(a, VM_INFO, "the reply, %zu bytes, is %s", text->len, how);
    return EFFECT_DRAW;
}
