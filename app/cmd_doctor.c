/* cmd_doctor.c - `terra doctor`: what is set, where it comes from, and whether it works.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "data/store.h"
#include "engine/base/json_out.h"
#include "ui/versions.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum verdict { GOOD, NOTE, BAD };
static const char *const verdict_name[] = {"ok", "note", "BAD"};

struct doctor {
    struct cli *c;
    struct buf out;
    int bad;
};

static void say(struct doctor *d, enum verdict v, const char *topic, const char *fmt, ...)
    ERR_PRINTF(4, 5);

static void say(struct doctor *d, enum verdict v, const char *topic, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    d->bad += v == BAD;
    if (d->c->args->json) {
        headless_object(&d->out, "check");
        json_cstr(&d->out, "topic", topic);
        json_cstr(&d->out, "verdict", verdict_name[v]);
        json_cstr(&d->out, "text", text);
        json_close(&d->out, '}');
        buf_add_byte(&d->out, '\n');
    } else {
        buf_printf(&d->out, "%-5s %-10s %s\n", verdict_name[v], topic, text);
    }
}

static void check_settings(struct doctor *d)
{
    const struct user_config *u = &d->c->config;
    const struct config_paths *p = &u->paths;
    for (size_t i = 0; i < u->n_problems; i++)
        say(d, BAD, "config", "%s", u->problem[i]);
    for (int k = 0; k < CONFIG_KEYS; k++) {
        const char *text = config_text(u, (enum config_key)k);
        if (u->value[k].origin != CONFIG_DEFAULT || d->c->args->verbose)
            say(d, GOOD, "setting", "%s = %s (%s)", config_info[k].name, *text ? text : "\"\"",
                u->value[k].from);
    }
    struct buf db = {0};
    cli_store_path(d->c, &db);
    const char *const files[][2] = {
        {"config", p->config_file},     {"keys", p->keys_file},
        {"history", buf_str(&db)},      {"models", p->models_dir},
        {"prompts", p->prompt_history}, {"machine", p->machine_file}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        say(d, *files[i][1] ? GOOD : NOTE, "file", "%s: %s%s", files[i][0],
            *files[i][1] ? files[i][1] : "HOME is not set",
            *files[i][1] && access(files[i][1], F_OK) != 0 ? " (not there)" : "");
    buf_free(&db);
}

static void check_machine(struct doctor *d)
{
    struct terra_machine m;
    struct err e = {0};
    char all[24], available[24];
    terra_machine_info(&m);
    uint32_t threads = setup_threads(&d->c->config);
    if (!threads)
        threads = m.cores;
    say(d, GOOD, "cpu", "%s, %u cores, kernels %s", m.cpu, m.cores, m.kernels);
    say(d, GOOD, "libraries", "%s; %s; readline %s", m.blas, versions_curses(),
        versions_readline());
    say(d, GOOD, "memory", "%s, %s available", cli_bytes(m.memory_bytes, all),
        cli_bytes(m.available_bytes, available));
    double bandwidth = terra_machine_bandwidth(threads, 3, &e);
    if (bandwidth > 0)
        say(d, GOOD, "bandwidth", "%.1f GB/s with %u threads", bandwidth / 1e9, threads);
    else
        say(d, NOTE, "bandwidth", "%s", e.msg);
}

static void check_model(struct doctor *d)
{
    struct cli *c = d->c;
    struct err e = {0};
    struct buf folders = {0};
    setup_model_folders(&c->config, &folders);
    for (char *line = folders.len ? strtok(folders.data, "\n") : NULL; line;
         line = strtok(NULL, "\n"))
        say(d, GOOD, "models", "searched: %s%s", line,
            access(line, F_OK) ? " (not there)" : "");
    buf_free(&folders);
    if (!cli_model(c, &e)) {
        say(d, BAD, "model", "%s", e.msg);
        return;
    }
    struct terra_model_info info;
    char size[24];
    terra_model_info(c->model, &info);
    say(d, GOOD, "model", "%s: %s, %" PRIu64 " parameters, %s", terra_model_path(c->model),
        c->shape->name, info.parameters, cli_bytes(info.file_bytes, size));
    if (!cli_session(c, 0, 0, &e))
        say(d, BAD, "model", "%s", e.msg);
    else
        say(d, GOOD, "session", "%s beside the weights, %u threads, %s kernels",
            cli_bytes(terra_session_bytes(c->session), size), terra_session_threads(c->session),
            terra_session_kernels(c->session));
}

static void check_store(struct doctor *d)
{
    struct cli *c = d->c;
    struct err e = {0};
    struct buf path = {0};
    cli_store_path(c, &path);
    if (access(buf_str(&path), F_OK) != 0) {
        say(d, NOTE, "history", "%s: not there yet",
            path.len ? buf_str(&path) : "HOME is not set");
        buf_free(&path);
        return;
    }
    buf_free(&path);
    struct store_stat stat;
    char size[24];
    if (!cli_store(c, true, &e) || !store_check(c->store, &e) ||
        !store_stat(c->store, &stat, &e)) {
        say(d, BAD, "history", "%s", e.msg);
        return;
    }
    say(d, GOOD, "history",
        "%s, schema %d, %" PRIu64 " sessions, %" PRIu64 " runs, saving is %s",
        cli_bytes(stat.bytes, size), stat.schema, stat.n_sessions, stat.n_runs,
        stat.log_on && config_bool(&c->config, CONFIG_LOG) ? "on" : "off");
}

static void check_terminal(struct doctor *d)
{
    const char *term = getenv("TERM"), *color = getenv("COLORTERM"), *no = getenv("NO_COLOR");
    say(d, term && *term ? GOOD : NOTE, "terminal", "TERM=%s COLORTERM=%s%s", term ? term : "",
        color ? color : "", no && *no ? " NO_COLOR" : "");
    const char *codeset = nl_langinfo(CODESET);
    if (strcmp(codeset, "UTF-8") == 0)
        say(d, GOOD, "locale", "%s", codeset);
    else
        say(d, NOTE, "locale", "%s: characters beyond ASCII show as '?'; try LANG=C.UTF-8",
            codeset);
}

/* What a killed program may leave behind: raw mode, the alternate screen, mouse reports,
 * bracketed paste, a hidden cursor, colours. */
static bool reset_tty(struct err *e)
{
    static const char sane[] =
        "\033[?1049l\033[?1000l\033[?1002l\033[?1006l\033[?2004l\033[?25h"
        "\033[0m\033(B\017\r\n";
    struct termios t;
    int fd = isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO;
    if (tcgetattr(fd, &t) != 0)
        return err_set(e, ERR_USAGE,
                       "--reset-tty: neither standard input nor output is a terminal");
    t.c_iflag = (t.c_iflag | BRKINT | ICRNL | IXON) & ~(tcflag_t)(IGNBRK | INLCR | IGNCR);
    t.c_oflag |= OPOST | ONLCR;
    t.c_lflag |= ICANON | ISIG | IEXTEN | ECHO | ECHOE | ECHOK;
    t.c_cc[VINTR] = 3;
    t.c_cc[VQUIT] = 28;
    t.c_cc[VEOF] = 4;
    t.c_cc[VSUSP] = 26;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(fd, TCSADRAIN, &t);
    if (isatty(STDOUT_FILENO))
        (void)!write(STDOUT_FILENO, sane, sizeof sane - 1);
    return true;
}

int cmd_doctor(const struct args *a)
{
    struct cli c;
    struct err e = {0};
    struct doctor d = {.c = &c};
    if (a->reset_tty)
        return reset_tty(&e) ? 0 : cli_fail(a, &e);
    bool ok = cli_open(&c, a, &e);
    if (ok) {
        check_settings(&d);
        check_machine(&d);
        check_model(&d);
        check_store(&d);
        check_terminal(&d);
        cli_output(&c, buf_str(&d.out), d.out.len, &e);
        if (d.bad)
            ok = err_set(&e, ERR_CHECK, "%d thing%s to look at", d.bad, d.bad == 1 ? "" : "s");
    }
    buf_free(&d.out);
    return cli_close(&c, ok, &e);
}
