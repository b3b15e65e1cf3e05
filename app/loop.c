/* SPDX-License-Identifier: MIT */
#include "app/loop.h"

#include "app/commands_do.h"
#include "app/input.h"
#include "app/live.h"
#include "app/pace.h"
#include "app/present.h"
#include "app/replay.h"
#include "engine/base/clock.h"
#include "engine/base/fd.h"
#include "engine/base/json_out.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#define KEY_NS  10000000u  /* and after a key at most 100 */
#define LONG_NS 250000000u /* the picture is never older */
#define MAIL_NS                                                                                \
    10000000u              /* tokens are taken together: waking up costs more than taking one  \
                            */
#define TICK_NS 500000000u /* what waits for the store is written this often */
#define STOP_NS 900000000u /* a signal waits this long for the reply to stop */

enum { DRAW_SHARE = 120 }; /* a frame's cost is less than 1% of the time to the next */

/* ---- signals --------------------------------------------------------------------------- */

static volatile sig_atomic_t got_stop, got_resize, got_suspend;
static sigset_t wait_mask; /* as it was: signals come only inside pselect */

static void on_stop(int sig)
{
    if (got_stop && sig == SIGHUP) /* a lost terminal sends several */
        return;
    if (got_stop) { /* the second one: at once */
        term_restore_now();
        signal(sig, SIG_DFL);
        raise(sig);
    }
    got_stop = sig;
}

static void on_resize(int sig)
{
    (void)sig;
    got_resize = 1;
}

static void on_suspend(int sig)
{
    (void)sig;
    got_suspend = 1;
}

static void on_bus(int sig)
{
    static const char line[] =
        "terra: the model file became shorter while it was in use; restore it and run again\n";
    (void)sig;
    term_restore_now();
    ssize_t n = write(STDERR_FILENO, line, sizeof line - 1);
    (void)n;
    _exit(ERR_MODEL);
}

static void handle(int sig, void (*handler)(int))
{
    struct sigaction sa = {.sa_handler = handler};
    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
}

void loop_signals(void)
{
    const int stop[] = {SIGTERM, SIGHUP, SIGINT};
    sigset_t block;
    sigemptyset(&block);
    for (size_t i = 0; i < sizeof stop / sizeof *stop; i++) {
        handle(stop[i], on_stop);
        sigaddset(&block, stop[i]);
    }
    handle(SIGWINCH, on_resize);
    handle(SIGTSTP, on_suspend);
    handle(SIGBUS, on_bus);
    handle(SIGPIPE, SIG_IGN);
    handle(SIGXFSZ, SIG_IGN); /* a file too large is an error of write, shown as such */
    sigaddset(&block, SIGWINCH);
    sigaddset(&block, SIGTSTP);
    sigprocmask(SIG_BLOCK, &block, &wait_mask);
    for (size_t i = 0; i < sizeof stop / sizeof *stop; i++)
        sigdelset(&wait_mask, stop[i]);
    sigdelset(&wait_mask, SIGWINCH);
    sigdelset(&wait_mask, SIGTSTP);
}

/* ---- drawing ----------------------------------------------------------------------------- */

/* One JSON line for tests, which wait for states instead of sleeping. */
static void report_frame(struct app *a)
{
    static const char *const view[] = {"main", "compare", "sessions", "inspect", "page"};
    static const char *const pane[] = {"prompt", "output", "map", "latency", "strip", "other"};
    static const char *const input[] = {"prompt", "command", "find", "search", "rename"};
    if (a->test_fd < 0)
        return;
    struct buf b = {0};
    json_open(&b, NULL, '{');
    json_int(&b, "frame", (int64_t)a->frames);
    json_cstr(&b, "view", view[a->view]);
    json_cstr(&b, "focus", pane[a->focus]);
    json_cstr(&b, "input", input[a->input]);
    json_cstr(&b, "state", a->vm.header.state);
    json_bool(&b, "busy", app_running(a) || a->busy == BUSY_LOADING);
    json_int(&b, "w", a->surface.w);
    json_int(&b, "h", a->surface.h);
    json_int(&b, "tokens", (int64_t)a->run.n);
    json_int(&b, "shown", (int64_t)a->shown);
    json_int(&b, "token", app_token(a));
    json_int(&b, "map", a->map_token);
    json_bool(&b, "playing", a->play.on || a->compare.play.on);
    json_bool(&b, "compared", a->compare.done);
    json_int(&b, "session", a->session);
    json_int(&b, "run", a->run_id);
    json_bool(&b, "dialog", a->dialog.open);
    json_bool(&b, "help", a->help.open);
    json_cstr(&b, "metric", metric_name[a->metric]);
    json_int(&b, "layer", a->layer);
    json_int(&b, "block", a->block);
    json_int(&b, "draw_us", (int64_t)(a->draw_ns / 1000));
    json_int(&b, "trace_us", (int64_t)(a->trace_ns / 1000));
    json_int(&b, "decode_us", (int64_t)(a->observed_ns / 1000));
    json_num(&b, "progress", a->vm.message.progress, 4);
    json_cstr(&b, "message", a->message);
    json_close(&b, '}');
    buf_add_byte(&b, '\n');
    fd_write_all(a->test_fd, b.data, b.len);
    buf_free(&b);
}

/* Processor time of this thread: waiting for a busy machine is not drawing's cost. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool may_draw(const struct app *a)
{
    return a->dirty && !a->freeze_shown;
}

static void draw(struct app *a)
{
    uint64_t start = cpu_ns();
    int w, h;
    term_size(a->term, &w, &h);
    if (w != a->surface.w || h != a->surface.h) {
        surface_resize(&a->surface, w, h);
        term_resized(a->term, w, h);
    }
    present(a);
    screen_draw(&a->surface, &a->theme, &a->vm, &a->screen);
    term_draw(a->term, &a->surface, a->screen.cursor_x, a->screen.cursor_y);
    uint64_t cost = cpu_ns() - start, pause = pace_frame_ns(a);
    if (a->busy == BUSY_DECODE) {
        a->draw_ns += cost;
        pause = pause > cost * DRAW_SHARE ? pause : cost * DRAW_SHARE;
        pause = pause < LONG_NS ? pause : LONG_NS;
    }
    a->frames++;
    a->dirty = false;
    a->freeze_shown = a->frozen;
    report_frame(a);
    a->drawn = clock_ns();
    a->draw_due = a->drawn + pause;
}

/* The map follows on its own clock: a frame of it costs more bytes than all the text. */
static void follow_map(struct app *a, bool at_once)
{
    int64_t token = app_token(a);
    if (token == a->map_token)
        return;
    if (!at_once && a->now < a->map_due)
        return;
    a->map_token = token;
    a->map_due = a->now + pace_map_ns(a);
    a->dirty = true;
}

/* ---- one turn ------------------------------------------------------------------------------
 */

/* The terminal lost the picture: a frozen one, too. */
static void draw_anew(struct app *a)
{
    if (a->frozen)
        do_freeze(a, ""); /* something else may have been said since */
    a->dirty = true;
    a->freeze_shown = false;
    a->draw_due = 0;
}

static void suspend(struct app *a)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL);
    term_suspend(a->term);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    draw_anew(a);
}

static void apply(struct app *a, unsigned effect)
{
    if (effect & EFFECT_DRAW)
        a->dirty = true;
    if (effect & EFFECT_MAP)
        follow_map(a, true);
    if (effect & EFFECT_REDRAW)
        term_redraw(a->term);
    if (effect & EFFECT_QUIT)
        a->quit = true;
    if (effect & EFFECT_SUSPEND)
        suspend(a);
}

/* What happens to a token here is what watching it costs: timeline, trace, text. */
static void take_mail(struct app *a)
{
    bool decoding = a->busy == BUSY_DECODE;
    uint64_t start = cpu_ns();
    unsigned effect = live_mail(a);
    if (decoding)
        a->trace_ns += cpu_ns() - start;
    apply(a, effect);
}

static void press_all(struct app *a)
{
    struct key k;
    while (!a->quit && keys_next(a->keys, a->now, &k)) {
        apply(a, input_key(a, &k));
        if (a->draw_due > a->drawn + KEY_NS) /* an answer to a key need not wait for its turn */
            a->draw_due = a->drawn + KEY_NS;
    }
}

static void read_terminal(struct app *a)
{
    char bytes[65536];
    ssize_t n = read(term_fd(a->term), bytes, sizeof bytes);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) { /* it is gone */
        got_stop = got_stop ? got_stop : SIGHUP;
        return;
    }
    if (n > 0) {
        keys_feed(a->keys, bytes, (size_t)n, a->now);
        press_all(a);
    }
}

static void earlier(uint64_t *due, uint64_t t)
{
    if (t && (!*due || t < *due))
        *due = t;
}

static uint64_t next_due(struct app *a)
{
    uint64_t due = 0;
    earlier(&due, keys_deadline(a->keys));
    earlier(&due, replay_deadline(a));
    if (may_draw(a))
        earlier(&due, a->draw_due);
    if (app_token(a) != a->map_token)
        earlier(&due, a->map_due);
    if (a->recorder && (app_running(a) || live_trouble(a)))
        earlier(&due, a->tick_due);
    if (a->signal)
        earlier(&due, a->stop_due);
    return due;
}

static void wait_for_something(struct app *a, bool *terminal, bool *worker)
{
    int tty = term_fd(a->term), mail = mailbox_fd(worker_mailbox(a->worker));
    uint64_t due = next_due(a), now = clock_ns();
    bool open = now >= a->mail_due;
    if (!open)
        earlier(&due, a->mail_due);
    uint64_t left = due > now ? due - now : 0;
    struct timespec ts = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    fd_set fds;
    FD_ZERO(&fds);
    if (!a->signal) /* a lost terminal would never be quiet */
        FD_SET(tty, &fds);
    if (open)
        FD_SET(mail, &fds);
    int n =
        pselect((tty > mail ? tty : mail) + 1, &fds, NULL, NULL, due ? &ts : NULL, &wait_mask);
    *terminal = n > 0 && FD_ISSET(tty, &fds);
    *worker = n > 0 && FD_ISSET(mail, &fds);
    a->now = clock_ns();
}

static void tick_store(struct app *a)
{
    if (!a->recorder || a->now < a->tick_due)
        return;
    recorder_tick(a->recorder);
    if (a->compare.recorder)
        recorder_tick(a->compare.recorder);
    bool trouble = live_trouble(a) != NULL;
    if (!trouble)
        a->trouble_since = 0;
    else if (!a->trouble_since)
        a->trouble_since = a->now;
    if (!live_banner(a) != !a->vm.message.banner)
        a->dirty = true;
    a->tick_due = a->now + TICK_NS;
}

/* A signal first stops the reply, so that it is stored as cancelled. */
static void stop_politely(struct app *a)
{
    if (!got_stop)
        return;
    if (!a->signal) {
        a->signal = got_stop;
        a->stop_due = a->now + STOP_NS;
        if (app_running(a))
            worker_cancel(a->worker);
    }
    if (!app_running(a) || a->now >= a->stop_due)
        a->quit = true;
}

void loop_run(struct app *a)
{
    a->now = clock_ns();
    draw(a);
    while (!a->quit) {
        bool terminal, worker;
        wait_for_something(a, &terminal, &worker);
        if (got_resize) {
            got_resize = 0;
            draw_anew(a);
        }
        if (got_suspend) {
            got_suspend = 0;
            apply(a, EFFECT_SUSPEND);
        }
        if (terminal && !a->signal)
            read_terminal(a);
        press_all(a); /* a lone Esc that waited */
        if (worker) {
            take_mail(a);
            a->mail_due = app_running(a) ? a->now + MAIL_NS : 0; /* who idles sleeps */
        }
        apply(a, replay_tick(a));
        follow_map(a, !app_running(a) && !a->play.on);
        tick_store(a);
        stop_politely(a);
        if (may_draw(a) && !a->quit && a->now >= a->draw_due)
            draw(a);
    }
}
