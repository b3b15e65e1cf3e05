/* SPDX-License-Identifier: MIT */
#include "app/tui.h"

#include "app/input.h"
#include "app/live.h"
#include "app/loop.h"
#include "app/pace.h"
#include "app/replay.h"
#include "app/setup.h"
#include "app/state.h"
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the state's own functions ---------------------------------------------------------- */

void app_say(struct app *a, enum vm_severity s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(a->message, sizeof a->message, fmt, args);
    va_end(args);
    a->severity = s;
}

unsigned app_fail(struct app *a, const struct err *e)
{
    const char *msg = e->msg;
    if (strncmp(msg, "--", 2) == 0) /* a setting, which nobody called an option here */
        msg += 2;
    app_say(a, e->kind == ERR_USAGE || e->kind == ERR_CHECK ? VM_WARN : VM_ERROR, "%s", msg);
    return EFFECT_DRAW;
}

struct choice_rows *app_rows(struct app *a)
{
    return a->stage == STAGE_ENC && a->run.enc.n ? &a->run.enc : &a->run.dec;
}

int64_t app_token(const struct app *a)
{
    return a->cursor >= 0 && (size_t)a->cursor < a->shown ? a->cursor : (int64_t)a->shown - 1;
}

bool app_running(const struct app *a)
{
    return a->waiting || a->busy == BUSY_READING || a->busy == BUSY_PREFILL ||
           a->busy == BUSY_DECODE;
}

void app_ask(struct app *a, enum app_input what, const char *prompt, const char *text)
{
    size_t n;
    if (a->edit && a->input == INPUT_PROMPT) {
        const char *now = line_edit_text(a->edit, &n);
        free(a->kept_prompt);
        a->kept_prompt = xstrndup(now, n);
    }
    a->input = what;
    if (a->edit) {
        line_edit_prompt(a->edit, prompt);
        line_edit_set(a->edit, text);
    }
}

void app_ask_done(struct app *a)
{
    a->input = INPUT_PROMPT;
    if (a->edit) {
        line_edit_reset(a->edit);
        live_prompt(a);
        line_edit_set(a->edit, a->kept_prompt ? a->kept_prompt : "");
    }
    free(a->kept_prompt);
    a->kept_prompt = NULL;
}

/* ---- building and tearing down -------------------------------------------------------------
 */

static enum term_colour colour(const struct user_config *c)
{
    const char *name = config_text(c, CONFIG_COLOR);
    return strcmp(name, "never") == 0    ? TERM_COLOUR_NEVER
           : strcmp(name, "always") == 0 ? TERM_COLOUR_ALWAYS
                                         : TERM_COLOUR_AUTO;
}

static bool open_terminal(struct app *a, struct err *e)
{
    const char *theme = config_text(a->config, CONFIG_THEME);
    struct term_opts o = {.colour = strcmp(theme, "mono") == 0 ? TERM_COLOUR_NEVER
                                                               : colour(a->config),
                          .ascii = config_bool(a->config, CONFIG_ASCII),
                          .mouse = config_bool(a->config, CONFIG_MOUSE),
                          .light = strcmp(theme, "light") == 0};
    a->mouse = o.mouse;
    a->term = term_open(&o, e);
    if (!a->term)
        return false;
    a->theme = term_theme(a->term);
    int w, h;
    term_size(a->term, &w, &h);
    surface_open(&a->surface, w, h);
    return true;
}

static void open_prompt(struct app *a)
{
    struct line_edit_opts o = {.complete = input_complete, .user = a};
    const struct config_paths *p = &a->config->paths;
    if (!a->no_log && *p->prompt_history && user_config_make_dir(p->state_dir, NULL))
        o.history_file = p->prompt_history;
    a->edit = line_edit_open(&o);
}

static void open_clocks(struct app *a)
{
    pace_open(a, getenv("SSH_CONNECTION") != NULL, config_real(a->config, CONFIG_FPS));
    const char *fd = getenv("TERRA_TEST_FD");
    a->test_fd = fd && *fd ? atoi(fd) : -1;
    a->now = clock_ns();
}

/* Several things may have something to say at the start: the worst of it stays, of equals the
 * last. */
struct said {
    char text[APP_TEXT];
    enum vm_severity severity;
};

static void keep_worst(struct app *a, struct said *worst)
{
    if (*a->message && a->severity >= worst->severity) {
        memcpy(worst->text, a->message, sizeof worst->text);
        worst->severity = a->severity;
    }
}

static void say_problems(struct app *a)
{
    size_t n = a->config->n_problems;
    if (n == 1)
        app_say(a, VM_WARN, "%s", a->config->problem[0]);
    else if (n)
        app_say(a, VM_WARN, "%.200s (and %zu more)", a->config->problem[0], n - 1);
}

/* The one of the command line. */
static void open_session(struct app *a)
{
    int64_t session = a->args->session ? strtoll(a->args->session, NULL, 10) : 0;
    struct err e = {0};
    if (a->store && (session || (a->args->cont && store_session_last(a->store, &session, &e))))
        replay_open_session(a, session);
}

/* The model, and with it the document of the command line. */
static void begin_work(struct app *a)
{
    struct said worst = {.severity = VM_INFO};
    keep_worst(a, &worst); /* of the store */
    const char *wanted = config_text(a->config, CONFIG_MODEL);
    if (a->args->n_pos) {
        snprintf(a->after_open, sizeof a->after_open, "%s", a->args->pos[0]);
        a->run_after_load = true;
    }
    struct buf path = {0};
    struct err e = {0};
    if (setup_find_model(a->config, wanted, &path, &e))
        live_open_model(a, wanted);
    else
        app_fail(a, &e);
    buf_free(&path);
    keep_worst(a, &worst);
    say_problems(a);
    keep_worst(a, &worst);
    open_session(a);
    keep_worst(a, &worst);
    app_say(a, worst.severity, "%s", worst.text);
}

static void close_all(struct app *a)
{
    worker_close(a->worker);
    live_recorder_close(a);
    store_close(a->store);
    line_edit_close(a->edit);
    keys_close(a->keys);
    command_keys_close(a->bindings);
    surface_free(&a->surface);
    for (int i = 0; i < 2; i++) {
        timeline_free(&a->compare.side[i].run);
        flow_free(&a->compare.side[i].flow);
    }
    terra_model_close(a->compare.model_b);
    timeline_free(&a->run);
    flow_free(&a->flow);
    job_free(a->waiting);
    document_free(&a->document);
    terra_model_close(a->model);
    pool_free(&a->sessions.pool);
    pool_free(&a->frame);
    buf_free(&a->page.text);
    free(a->page.line);
    free(a->page.token);
    free(a->stat.layer);
    block_order_free(&a->order);
    free(a->runs);
    free(a->source);
    live_origin_free(a);
    free(a->kept_prompt);
}

static void die_by(int sig)
{
    sigset_t set;
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    raise(sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int tui_main(struct user_config *c, const struct args *args)
{
    struct app *a = xcalloc(1, sizeof *a);
    struct err e = {0};
    int status = 0;
    a->config = c;
    a->args = args;
    a->no_log = args->no_log;
    a->cursor = a->pinned = a->map_token = a->tok_read = a->tok_total = -1;
    a->flow_view.follow = true;
    metric_parse(config_text(c, CONFIG_METRIC), &a->metric);
    a->bindings = command_keys_open(c);
    a->keys = keys_open();
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    open_clocks(a);
    open_prompt(a);
    if (!open_terminal(a, &e))
        goto out;
    term_catch_crashes();
    loop_signals();
    xalloc_set_hook(term_restore_now);
    a->worker = worker_open(NULL, &e);
    if (!a->worker)
        goto out;
    live_store_open(a);
    begin_work(a);
    loop_run(a);
out:
    if (a->worker)
        worker_cancel(a->worker);
    status = e.kind ? (int)e.kind : 0;
    int sig = a->signal;
    if (sig)
        term_close(a->term); /* the person gets the terminal back at once */
    *a->message = 0;
    close_all(a); /* says what could not be saved */
    const char *last = *a->message ? a->message : a->store_note;
    if (!sig)
        term_close(a->term);
    if (e.kind)
        fprintf(stderr, "terra: %s\n", e.msg);
    else if (*last && !sig)
        fprintf(stderr, "terra: %s\n", last);
    free(a);
    if (sig)
        die_by(sig);
    return status;
}
