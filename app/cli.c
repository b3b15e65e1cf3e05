/* SPDX-License-Identifier: MIT */
#include "app/cli.h"

#include "app/signals.h"
#include "engine/base/clock.h"
#include "engine/base/json_out.h"
#include "engine/base/xalloc.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- messages ---------------------------------------------------------------- */

static void message(struct cli *c, const char *fmt, va_list args)
{
    struct buf line = {0};
    char text[1024];
    if (c->out.broken) /* the reader has gone: the process is about to die of SIGPIPE */
        return;
    vsnprintf(text, sizeof text, fmt, args);
    headless_visible(&line, text, strlen(text)); /* names may hold escapes */
    cli_progress_end(c);
    if (!c->out.json)
        headless_newline(&c->out);
    fprintf(stderr, "terra: %s\n", buf_str(&line));
    buf_free(&line);
}

void cli_note(struct cli *c, const char *fmt, ...)
{
    if (c->args->quiet)
        return;
    va_list args;
    va_start(args, fmt);
    message(c, fmt, args);
    va_end(args);
}

void cli_verbose(struct cli *c, const char *fmt, ...)
{
    if (!c->args->verbose || c->args->quiet)
        return;
    va_list args;
    va_start(args, fmt);
    message(c, fmt, args);
    va_end(args);
}

void cli_progress(struct cli *c, const char *fmt, ...)
{
    /* A reply on the same terminal would be overwritten. */
    if (!c->err_tty || c->args->quiet || (c->out_tty && !c->out.at_line_start))
        return;
    va_list args;
    va_start(args, fmt);
    fputs("\rterra: ", stderr);
    vfprintf(stderr, fmt, args);
    fputs("\033[K", stderr);
    fflush(stderr);
    va_end(args);
    c->progress_shown = true;
}

void cli_progress_end(struct cli *c)
{
    if (!c->progress_shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    c->progress_shown = false;
}

int cli_fail(const struct args *a, const struct err *e)
{
    if (a->json) {
        struct headless h;
        headless_open(&h, stdout, true, NULL);
        headless_error(&h, e);
        headless_close(&h);
    }
    fprintf(stderr, "terra: %s\n", e->msg);
    return e->kind ? (int)e->kind : ERR_CHECK;
}

int cli_print(const struct args *a, const char *text, size_t n)
{
    struct err e = {0};
    errno = 0;
    if (fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0)
        return 0;
    if (errno == EPIPE)
        signals_die(SIGPIPE);
    err_set(&e, ERR_RESOURCE, "standard output: %s", strerror(errno ? errno : EIO));
    return cli_fail(a, &e);
}

bool cli_format(struct args *a, const char *formats, struct err *e)
{
    if (!a->format)
        return true;
    if (!strstr(formats, a->format))
        return err_set(e, ERR_USAGE, "--format: '%s' is not one of %s", a->format, formats);
    a->json |= strncmp(a->format, "json", 4) == 0;
    return true;
}

/* ---- opening ------------------------------------------------------------------- */

static void warn_if_large(struct cli *c)
{
    struct terra_model_info info;
    struct terra_machine machine;
    char size[24], free_size[24];
    terra_model_info(c->model, &info);
    terra_machine_info(&machine);
    if (machine.available_bytes && info.file_bytes > machine.available_bytes)
        cli_note(c,
                 "the model is %s and only %s of memory is free: it will be read from disk "
                 "again and again",
                 cli_bytes(info.file_bytes, size),
                 cli_bytes(machine.available_bytes, free_size));
}

bool cli_model(struct cli *c, struct err *e)
{
    uint64_t start = clock_ns();
    c->model = setup_open_model(&c->config, config_text(&c->config, CONFIG_MODEL), e);
    if (!c->model)
        return false;
    c->load_ns = clock_ns() - start;
    c->shape = terra_model_config(c->model);
    c->vocab = terra_model_vocab(c->model);
    c->out.vocab = c->vocab;
    warn_if_large(c);
    return true;
}

static void on_choices(void *user, const struct terra_choices *choices)
{
    struct cli *c = user;
    if (c->recorder)
        recorder_choices(c->recorder, choices);
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    if (total)
        cli_progress(user, "reading %.0f%%", 100.0 * (double)done / (double)total);
}

bool cli_session_in(struct cli *c, enum terra_mode mode, uint32_t max_source,
                    uint32_t max_target, struct err *e)
{
    struct terra_session_opts o = {.mode = mode,
                                   .threads = setup_threads(&c->config),
                                   .max_source = max_source,
                                   .max_target = max_target,
                                   .cancel = signals_cancel(),
                                   .on_choices = on_choices,
                                   .on_progress = c->err_tty ? on_progress : NULL,
                                   .user = c};
    c->session = terra_session_open(c->model, &o, e);
    return c->session != NULL;
}

bool cli_session(struct cli *c, uint32_t max_source, uint32_t max_target, struct err *e)
{
    return cli_session_in(c, setup_mode(&c->config), max_source, max_target, e);
}

void cli_store_path(const struct cli *c, struct buf *out)
{
    const char *path = config_text(&c->config, CONFIG_DB);
    buf_add_str(out, *path ? path : c->config.paths.db_file);
}

/* A damaged file would stop every run from being saved. */
static void advise(enum store_trouble trouble, struct err *e)
{
    struct err was = *e;
    if (trouble == STORE_CORRUPT)
        err_set(e, was.kind, "%.190s; 'terra logs set-aside' makes room for a new one",
                was.msg);
}

static struct store *open_store(struct cli *c, bool read_only, struct err *e)
{
    struct buf path = {0};
    struct store_report report = {0};
    cli_store_path(c, &path);
    if (path.len == 0) {
        err_set(e, ERR_STORE, CLI_NO_PLACE);
        buf_free(&path);
        return NULL;
    }
    struct store_opts o = {.path = path.data, .read_only = read_only};
    struct store *s = store_open(&o, &report, e);
    if (!s)
        advise(report.trouble, e);
    buf_free(&path);
    if (*report.note)
        cli_note(c, "%s", report.note);
    return s;
}

/* The session of --session, into which the command's runs go. */
static bool find_session(struct cli *c, struct err *e)
{
    struct pool pool = {0};
    struct store_session found;
    struct err closed = {0};
    if (!c->args->session || !args_cmd_stores(c->args->cmd) ||
        !config_bool(&c->config, CONFIG_LOG))
        return true;
    c->want_session = strtoll(c->args->session, NULL, 10);
    c->store = open_store(c, false, &closed);
    if (!c->store)
        return true; /* cli_record says why; the reply comes all the same */
    bool ok = store_session_get(c->store, c->want_session, &pool, &found, e);
    if (ok && found.deleted_ms)
        ok = err_set(e, ERR_CHECK, "session %" PRId64 " was deleted", c->want_session);
    pool_free(&pool);
    return ok;
}

bool cli_open(struct cli *c, const struct args *a, struct err *e)
{
    *c = (struct cli){.args = a};
    c->out_tty = isatty(STDOUT_FILENO);
    c->err_tty = isatty(STDERR_FILENO);
    headless_open(&c->out, stdout, a->json, signals_cancel());
    c->out.tty = c->out_tty;
    c->have_config = setup_open(&c->config, a, e);
    if (!c->have_config)
        return false;
    for (size_t i = 0; i < c->config.n_problems; i++)
        cli_note(c, "%s", c->config.problem[i]);
    return find_session(c, e);
}

bool cli_store(struct cli *c, bool read_only, struct err *e)
{
    c->store = open_store(c, read_only, e);
    return c->store != NULL;
}

void cli_record(struct cli *c)
{
    struct err e = {0};
    bool wanted = config_bool(&c->config, CONFIG_LOG);
    if (wanted) {
        if (!c->store)
            c->store = open_store(c, false, &e);
        bool on = c->store && store_log_on(c->store);
        if (on && store_is_read_only(c->store))
            err_set(&e, ERR_STORE, "%s is only read", store_path(c->store));
        if (e.kind) {
            cli_note(c, "not being saved: %s", e.msg);
            c->store_error = e;
        }
        if (!on || e.kind) {
            store_close(c->store);
            c->store = NULL;
            e = (struct err){0};
        }
    }
    struct buf build = {0}, host = {0};
    setup_build(c->session, &build);
    setup_host(&host);
    struct recorder_opts o = {.store = wanted ? c->store : NULL,
                              .model = c->model,
                              .trace = setup_trace(&c->config),
                              .build = buf_str(&build),
                              .host = buf_str(&host)};
    o.session = c->want_session > 0 ? c->want_session : 0;
    if (c->store && c->want_session == 0 && c->args->cont &&
        !store_session_last(c->store, &o.session, &e))
        cli_note(c, "a new session is begun: %s", e.msg);
    c->recorder = recorder_open(&o);
    buf_free(&build);
    buf_free(&host);
}

void cli_record_end(struct cli *c)
{
    if (c->recorder && !recorder_close(c->recorder, &c->store_error)) {
        if (c->store)
            advise(store_trouble(c->store), &c->store_error);
        cli_note(c, "not saved: %s", c->store_error.msg);
    }
    c->recorder = NULL;
}

/* ---- closing ------------------------------------------------------------------- */

static void release(struct cli *c)
{
    terra_session_close(c->session);
    terra_model_close(c->model);
    store_close(c->store);
    headless_close(&c->out);
    if (c->have_config)
        setup_close(&c->config);
}

int cli_close(struct cli *c, bool ok, const struct err *e)
{
    int status = 0, sig = signals_got();
    cli_progress_end(c);
    cli_record_end(c);
    struct err store = c->store_error;
    if (!ok && e->kind != ERR_CANCELLED) {
        headless_newline(&c->out);
        headless_error(&c->out, e);
        struct buf line = {0};
        headless_visible(&line, e->msg, strlen(e->msg));
        fprintf(stderr, "terra: %s\n", buf_str(&line));
        buf_free(&line);
        status = e->kind ? (int)e->kind : ERR_CHECK;
    } else if (!ok) {
        status = ERR_CANCELLED;
    }
    bool broken = c->out.broken;
    if (!status && c->out.write_errno) {
        fprintf(stderr, "terra: standard output: %s\n", strerror(c->out.write_errno));
        status = ERR_RESOURCE;
    } else if (c->out.write_errno && status == ERR_CANCELLED) {
        fprintf(stderr, "terra: standard output: %s\n", strerror(c->out.write_errno));
        status = ERR_RESOURCE;
    }
    if (!status && store.kind)
        status = ERR_STORE;
    release(c);
    if (sig)
        signals_die(sig);
    if (broken)
        signals_die(SIGPIPE);
    return status;
}

bool cli_reader_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

bool cli_output(struct cli *c, const char *text, size_t n, struct err *e)
{
    const char *path = c->args->output;
    if (!path) {
        bool json = c->out.json;
        c->out.json = false; /* the lines are complete */
        headless_text(&c->out, text, n);
        c->out.json = json;
        return true;
    }
    FILE *f = fopen(path, "wx"); /* never over another file */
    if (!f)
        return err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
    bool ok = fwrite(text, 1, n, f) == n;
    ok = fclose(f) == 0 && ok;
    return ok || err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
}

/* ---- small parsers ------------------------------------------------------------------ */

bool cli_parse_ids(const char *text, uint32_t vocab, struct terra_ids *out, struct err *e)
{
    for (const char *p = text;;) {
        p += strspn(p, " \t\n\r,[]");
        if (!*p)
            return true;
        char *end;
        long id = strtol(p, &end, 10);
        if (end == p || id < 0 || (unsigned long)id >= vocab)
            return err_set(e, ERR_USAGE, "--ids: '%.20s' is not an id below %u", p, vocab);
        terra_ids_add(out, (int32_t)id);
        p = end;
    }
}

void cli_params(const struct terra_sampling *s, uint32_t max_tokens, const char *style,
                bool ids, struct buf *out)
{
    json_open(out, NULL, '{');
    json_num(out, "temp", (double)s->temperature, 6);
    json_int(out, "top_k", s->top_k);
    json_num(out, "top_p", (double)s->top_p, 6);
    json_int(out, "no_repeat_ngram", s->no_repeat_ngram);
    json_int(out, "beams", generate_beams(s, max_tokens));
    json_int(out, "max_tokens", max_tokens);
    if (style)
        json_cstr(out, "style", style);
    if (ids)
        json_cstr(out, "prompt", SETUP_IDS);
    json_close(out, '}');
}

bool cli_run_id(struct cli *c, const char *text, int64_t *out, struct err *e)
{
    if (strcmp(text, "last") == 0)
        return store_run_last(c->store, out, e);
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (end == text || *end || *out <= 0)
        return err_set(e, ERR_USAGE, "'%s' is not the number of a run, nor 'last'", text);
    return !errno || err_set(e, ERR_CHECK, "no run has the number %s", text);
}

bool cli_layer(struct cli *c, uint32_t layers, struct err *e)
{
    return c->args->layer < (int64_t)layers ||
           err_set(e, ERR_CHECK, "--layer %" PRId64 ": the model has %u layers, from 0 on",
                   c->args->layer, layers);
}

bool cli_wants_layer(const struct cli *c, uint32_t layer)
{
    return c->args->layer < 0 || c->args->layer == layer;
}

const char *cli_bytes(uint64_t bytes, char out[24])
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)bytes;
    int i = 0;
    for (; v >= 1000 && i < 4; i++)
        v /= 1000;
    snprintf(out, 24, i == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v, unit[i]);
    return out;
}
