/* SPDX-License-Identifier: MIT */
#include "app/signals.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Written by the handler and by writers that met a closed pipe, read everywhere. */
static atomic_bool cancel;
static volatile sig_atomic_t got;

static void on_stop(int sig)
{
    if (got) { /* the second one: at once */
        signal(sig, SIG_DFL);
        raise(sig);
        return;
    }
    got = sig;
    atomic_store(&cancel, true);
}

static void on_bus(int sig)
{
    static const char line[] =
        "terra: the model file became shorter while it was in use; restore it and run again\n";
    (void)sig;
    ssize_t n = write(STDERR_FILENO, line, sizeof line - 1);
    (void)n; /* nothing can be done about a lost line */
    _exit(3);
}

static void on_signal(int sig, void (*handler)(int), int flags)
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
}

void signals_install(void)
{
    struct sigaction old;
    const int stop[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof stop / sizeof *stop; i++)
        if (sigaction(stop[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup */
            on_signal(stop[i], on_stop, SA_NODEFER);
    on_signal(SIGBUS, on_bus, 0);
    on_signal(SIGPIPE, SIG_IGN, 0);
    on_signal(SIGXFSZ, SIG_IGN, 0);
}

atomic_bool *signals_cancel(void)
{
    return &cancel;
}

int signals_got(void)
{
    return got;
}

void signals_reset(void)
{
    got = 0;
    atomic_store(&cancel, false);
}

void signals_die(int sig)
{
    sigset_t set;
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(sig);
    _exit(128 + sig); /* not reached */
}
