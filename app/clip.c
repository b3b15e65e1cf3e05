/* SPDX-License-Identifier: MIT */
#include "app/clip.h"

#include "engine/base/fd.h"
#include "engine/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int wait_for(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* A child starts with the signals of a fresh program. */
static pid_t fork_clean(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
    }
    return pid;
}

static bool copy_tmux(const char *text, size_t n)
{
    int fd[2];
    if (!getenv("TMUX") || pipe(fd) < 0)
        return false;
    pid_t pid = fork_clean();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(fd[0], 0);
        dup2(null, 1);
        dup2(null, 2);
        close(fd[0]);
        close(fd[1]);
        execlp("tmux", "tmux", "load-buffer", "-", (char *)NULL);
        _exit(127);
    }
    close(fd[0]);
    bool ok = pid > 0 && fd_write_all(fd[1], text, n);
    close(fd[1]);
    return pid > 0 && wait_for(pid) == 0 && ok;
}

bool clip_copy(struct app *a, const char *text, size_t n, char *how, struct err *e)
{
    if (copy_tmux(text, n)) {
        snprintf(how, APP_TEXT, "in the tmux buffer");
        return true;
    }
    if (a->term && term_copy(a->term, text, n)) {
        snprintf(how, APP_TEXT, "on the clipboard, if the terminal allows it");
        return true;
    }
    if (a->no_log)
        return err_set(e, ERR_RESOURCE,
                       "%zu bytes are too long for the terminal's clipboard, "
                       "and --no-log forbids files",
                       n);
    struct buf path = {0};
    if (!user_config_make_dir(a->config->paths.state_dir, e))
        return false;
    buf_printf(&path, "%s/copied.txt", a->config->paths.state_dir);
    int fd = open(buf_str(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && fd_write_all(fd, text, n);
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (!ok)
        err_set(e, ERR_RESOURCE, "%s: %s", buf_str(&path), strerror(errno));
    snprintf(how, APP_TEXT, "in %s", buf_str(&path));
    buf_free(&path);
    return ok;
}

/* ---- editor ------------------------------------------------------------------------- */

static char *read_back(const char *path, struct err *e)
{
    struct buf text = {0};
    char part[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    if (fd < 0) {
        err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
        return NULL;
    }
    while ((n = read(fd, part, sizeof part)) > 0)
        buf_add(&text, part, (size_t)n);
    close(fd);
    while (text.len && text.data[text.len - 1] == '\n') /* editors add one */
        text.data[--text.len] = 0;
    return text.data ? buf_take(&text) : xstrdup("");
}

char *clip_edit(struct app *a, const char *text, size_t n, struct err *e)
{
    char path[] = "/tmp/terra-prompt-XXXXXX";
    if (a->no_log) {
        err_set(e, ERR_USAGE, "--no-log forbids the file an editor needs");
        return NULL;
    }
    int fd = mkstemp(path);
    if (fd < 0 || !fd_write_all(fd, text, n)) {
        err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    close(fd);
    if (a->term)
        term_leave(a->term);
    pid_t pid = fork_clean();
    if (pid == 0) {
        /* The variables may hold options, as in EDITOR="vim -u NONE". */
        execl("/bin/sh", "sh", "-c", "${VISUAL:-${EDITOR:-vi}} \"$1\"", "sh", path,
              (char *)NULL);
        _exit(127);
    }
    int status = pid > 0 ? wait_for(pid) : -1;
    if (a->term)
        term_enter(a->term);
    char *edited = NULL;
    if (status != 0)
        err_set(e, ERR_RESOURCE, "the editor failed; the prompt is as it was");
    else
        edited = read_back(path, e);
    unlink(path);
    return edited;
}
