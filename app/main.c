/* main.c - the program `terra`: one command, one exit status.  See man terra.
 *
 * SPDX-License-Identifier: MIT */
#include "app/args.h"
#include "app/blas_core.h"
#include "app/cli.h"
#include "app/signals.h"
#include "app/tui.h"

#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A closed standard stream would give its number to the next file opened.  False if
 * there is no standard output: what is written would be lost. */
static bool open_missing_streams(void)
{
    bool writable = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
    return writable;
}

static int usage(void)
{
    struct err e = {0};
    err_set(&e, ERR_USAGE,
            "no terminal here; give a command, as in 'terra summarize FILE' ('terra help')");
    return cli_fail(&(struct args){0}, &e);
}

static int tui(const struct args *a)
{
    struct user_config config;
    struct err e = {0};
    if (!setup_open(&config, a, &e))
        return cli_fail(a, &e);
    int status = tui_main(&config, a);
    setup_close(&config);
    return status;
}

/* The default command: a screen if there is one, else what makes sense without. */
static int open_default(const struct args *a)
{
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        const char *term = getenv("TERM");
        if (term && strcmp(term, "dumb") == 0)
            return cmd_chat(a);
        return tui(a);
    }
    signals_install();
    if (a->n_pos)
        return cmd_summarize(a);
    if (!isatty(STDIN_FILENO))
        return cmd_run(a);
    return usage();
}

static int dispatch(const struct args *a)
{
    if (a->cmd != CMD_TUI)
        signals_install();
    switch (a->cmd) {
    case CMD_TUI:
        return open_default(a);
    case CMD_SUMMARIZE:
        return cmd_summarize(a);
    case CMD_RUN:
        return cmd_run(a);
    case CMD_CHAT:
        return cmd_chat(a);
    case CMD_COMPARE:
        return cmd_compare(a);
    case CMD_LOGS:
        return cmd_logs(a);
    case CMD_REPLAY:
        return cmd_replay(a);
    case CMD_TRACE:
        return cmd_trace(a);
    case CMD_STATS:
        return cmd_stats(a);
    case CMD_INSPECT:
        return cmd_inspect(a);
    case CMD_PARITY:
        return cmd_parity(a);
    case CMD_EVAL:
        return cmd_eval(a);
    case CMD_ROUGE:
        return cmd_rouge(a);
    case CMD_BENCH:
        return cmd_bench(a);
    case CMD_DOCTOR:
        return cmd_doctor(a);
    case CMD_COMPLETION:
        return cmd_completion(a);
    case CMD_HELP:
        return cmd_help(a);
    case CMD_VERSION:
        return cmd_version(a);
    case CMD_COUNT:
        break;
    }
    return ERR_USAGE;
}

int main(int argc, char **argv)
{
    blas_core_choose(argv);
    bool writable = open_missing_streams();
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* or a German locale breaks JSON and CSV */
    struct args a;
    struct err e = {0};
    int status;
    if (!args_parse(argc, argv, &a, &e))
        status = cli_fail(&a, &e);
    else if (!writable)
        status = (err_set(&e, ERR_RESOURCE, "standard output is closed"), cli_fail(&a, &e));
    else if (a.help) {
        const char *name[] = {args_cmd_name(a.cmd)};
        struct args help = {.pos = name, .n_pos = a.named};
        status = cmd_help(&help);
    } else
        status = a.version ? cmd_version(&a) : dispatch(&a);
    args_free(&a);
    return status;
}
