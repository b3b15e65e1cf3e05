/* test_term.c - the terminal in a pty: what is sent, and that it is given back.
 *
 * The child plays a scene on the slave side; the parent collects every byte and
 * looks at the terminal's settings afterwards.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "tests/unit/ui/sample.h"
#include "ui/screen.h"
#include "ui/term.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

struct played {
    struct buf bytes;
    int status; /* of the child */
    struct termios before, after;
};

static int open_pty(char *name, size_t size)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(fd >= 0);
    assert_int_equal(grantpt(fd), 0);
    assert_int_equal(unlockpt(fd), 0);
    snprintf(name, size, "%s", ptsname(fd));
    return fd;
}

static void become_foreground(const char *name)
{
    setsid();
    int fd = open(name, O_RDWR);
    ioctl(fd, TIOCSCTTY, 0);
    struct winsize ws = {.ws_row = 24, .ws_col = 80};
    ioctl(fd, TIOCSWINSZ, &ws);
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    if (fd > STDOUT_FILENO)
        close(fd);
}

static void play(struct played *p, const char *term, void (*scene)(void))
{
    char name[128];
    int master = open_pty(name, sizeof name);
    int slave = open(name, O_RDWR | O_NOCTTY); /* keeps the settings alive */
    assert_true(slave >= 0);
    memset(p, 0, sizeof *p);
    tcgetattr(slave, &p->before);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(master);
        close(slave);
        become_foreground(name);
        if (term)
            setenv("TERM", term, 1);
        else
            unsetenv("TERM");
        signal(SIGALRM, SIG_DFL);
        alarm(20);
        scene();
        _exit(0);
    }
    /* The slave stays open here, so read until the child is gone and nothing is left. */
    bool gone = false;
    fcntl(master, F_SETFL, O_NONBLOCK);
    for (;;) {
        char block[4096];
        ssize_t n = read(master, block, sizeof block);
        if (n > 0) {
            buf_add(&p->bytes, block, (size_t)n);
            continue;
        }
        if (gone)
            break;
        gone = waitpid(pid, &p->status, WNOHANG) == pid;
        if (!gone)
            usleep(1000);
    }
    tcgetattr(slave, &p->after);
    close(slave);
    close(master);
}

static bool sent(const struct played *p, const char *what)
{
    return strstr(buf_str(&p->bytes), what) != NULL;
}

static void check_given_back(const struct played *p)
{
    assert_int_equal(p->before.c_iflag, p->after.c_iflag);
    assert_int_equal(p->before.c_oflag, p->after.c_oflag);
    assert_int_equal(p->before.c_cflag, p->after.c_cflag);
    assert_int_equal(p->before.c_lflag, p->after.c_lflag);
    assert_memory_equal(p->before.c_cc, p->after.c_cc, sizeof p->before.c_cc);
    assert_true(sent(p, "\033[?2004l"));
    assert_true(sent(p, "\033[?1049l")); /* the other screen */
}

/* ---- scenes ------------------------------------------------------------------------------ */

static struct term_opts scene_opts;

static struct terminal *open_or_exit(void)
{
    struct err e = {0};
    struct terminal *t = term_open(&scene_opts, &e);
    if (!t) {
        printf("refused: %s", e.msg);
        fflush(stdout);
        _exit((int)e.kind);
    }
    return t;
}

static void draw_sample(struct terminal *t, struct sample *sample, struct surface *s)
{
    struct theme theme = term_theme(t);
    struct screen sc;
    screen_draw(s, &theme, &sample->vm, &sc);
    term_draw(t, s, sc.cursor_x, sc.cursor_y);
}

static void scene_draw(void)
{
    struct sample sample;
    struct surface s;
    struct terminal *t = open_or_exit();
    int w, h;
    term_size(t, &w, &h);
    sample_open(&sample);
    surface_open(&s, w, h);
    draw_sample(t, &sample, &s);
    term_close(t);
    surface_free(&s);
    sample_close(&sample);
}

static void ring(void)
{
    (void)!write(STDOUT_FILENO, "\a", 1);
}

/* The same picture twice, marked by a bell in between. */
static void scene_redraw(void)
{
    struct sample sample;
    struct surface s;
    struct terminal *t = open_or_exit();
    sample_open(&sample);
    surface_open(&s, 80, 24);
    draw_sample(t, &sample, &s);
    ring();
    draw_sample(t, &sample, &s);
    ring();
    term_close(t);
    surface_free(&s);
    sample_close(&sample);
}

static void scene_resize(void)
{
    struct sample sample;
    struct surface s;
    struct terminal *t = open_or_exit();
    sample_open(&sample);
    surface_open(&s, 80, 24);
    for (int i = 0; i < 200; i++) {
        struct winsize ws = {.ws_row = (unsigned short)(1 + i * 7 % 60),
                             .ws_col = (unsigned short)(1 + i * 13 % 200)};
        int w, h;
        ioctl(STDOUT_FILENO, TIOCSWINSZ, &ws);
        term_size(t, &w, &h);
        term_resized(t, w, h);
        surface_resize(&s, w, h);
        draw_sample(t, &sample, &s);
    }
    term_close(t);
    surface_free(&s);
    sample_close(&sample);
}

static void scene_leave_and_enter(void)
{
    struct terminal *t = open_or_exit();
    term_leave(t);
    term_leave(t);
    fputs("between", stdout);
    fflush(stdout);
    term_enter(t);
    term_close(t);
}

static void scene_copy(void)
{
    struct terminal *t = open_or_exit();
    bool ok = term_copy(t, "hello", 5);
    static char large[100000];
    bool too_long = !term_copy(t, large, sizeof large);
    term_close(t);
    _exit(ok && too_long ? 0 : 9);
}

static int fatal_signal;

static void scene_crash(void)
{
    (void)open_or_exit();
    term_catch_crashes();
    raise(fatal_signal);
}

/* ---- tests ---------------------------------------------------------------------------------
 */

static void draws_and_gives_back(void **state)
{
    (void)state;
    struct played p;
    play(&p, "xterm-256color", scene_draw);
    assert_int_equal(p.status, 0);
    assert_true(sent(&p, "\033[?1049h"));
    assert_true(sent(&p, "\033[?2004h"));
    assert_true(sent(&p, "prompt> "));
    assert_true(sent(&p, "\xe2\x96\x80")); /* half blocks */
    check_given_back(&p);
    buf_free(&p.bytes);
}

/* More than 256 pairs of colours are told apart: COLOR_PAIR() could not. */
static void every_shade_arrives(void **state)
{
    (void)state;
    struct played p;
    play(&p, "xterm-256color", scene_draw);
    static const int ramp[] = {234, 235, 236, 237, 238, 24, 30, 36, 72, 77, 113, 149, 185};
    for (size_t i = 0; i < sizeof ramp / sizeof *ramp; i++) {
        char fg[24], bg[24];
        snprintf(fg, sizeof fg, "38;5;%d", ramp[i]);
        snprintf(bg, sizeof bg, "48;5;%d", ramp[i]);
        assert_true(sent(&p, fg) || sent(&p, bg));
    }
    buf_free(&p.bytes);
}

static void an_unchanged_picture_costs_nothing(void **state)
{
    (void)state;
    struct played p;
    play(&p, "xterm-256color", scene_redraw);
    assert_int_equal(p.status, 0);
    char *first = strchr(p.bytes.data, '\a');
    assert_non_null(first);
    char *second = strchr(first + 1, '\a');
    assert_non_null(second);
    assert_true(second - first < 16);
    buf_free(&p.bytes);
}

static void two_hundred_sizes(void **state)
{
    (void)state;
    struct played p;
    play(&p, "xterm-256color", scene_resize);
    assert_int_equal(p.status, 0);
    assert_true(sent(&p, "need 40x10"));
    check_given_back(&p);
    buf_free(&p.bytes);
}

static void leaves_and_comes_back(void **state)
{
    (void)state;
    struct played p;
    play(&p, "xterm-256color", scene_leave_and_enter);
    assert_int_equal(p.status, 0);
    char *between = strstr(p.bytes.data, "between");
    assert_non_null(between);
    assert_non_null(strstr(between, "\033[?1049h"));
    assert_non_null(strstr(between, "\033[?2004h"));
    check_given_back(&p);
    buf_free(&p.bytes);
}

static void copies_through_the_terminal(void **state)
{
    (void)state;
    struct played p;
    play(&p, "xterm-256color", scene_copy);
    assert_int_equal(p.status, 0);
    assert_true(sent(&p, "\033]52;c;aGVsbG8=\a"));
    buf_free(&p.bytes);
}

static void crashes_give_the_terminal_back(void **state)
{
    (void)state;
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGQUIT, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        struct played p;
        fatal_signal = fatal[i];
        play(&p, "xterm-256color", scene_crash);
        assert_true(WIFSIGNALED(p.status));
        assert_int_equal(WTERMSIG(p.status), fatal[i]);
        check_given_back(&p);
        assert_true(sent(&p, "\033[?25h") || sent(&p, "\033[?12l\033[?25h"));
        buf_free(&p.bytes);
    }
}

static void refuses_unknown_terminals(void **state)
{
    (void)state;
    struct played p;
    play(&p, "no-such-terminal", scene_draw);
    assert_int_equal(WEXITSTATUS(p.status), ERR_USAGE);
    assert_true(sent(&p, "unknown TERM 'no-such-terminal'; try TERM=xterm-256color"));
    buf_free(&p.bytes);
    play(&p, NULL, scene_draw);
    assert_int_equal(WEXITSTATUS(p.status), ERR_USAGE);
    assert_true(sent(&p, "TERM is not set"));
    buf_free(&p.bytes);
    play(&p, "dumb", scene_draw);
    assert_int_equal(WEXITSTATUS(p.status), ERR_USAGE);
    assert_true(sent(&p, "terra chat"));
    buf_free(&p.bytes);
}

/* Is any colour but the default selected by an SGR sequence? */
static bool has_colour(const struct buf *b)
{
    for (const char *p = buf_str(b); (p = strstr(p, "\033["));) {
        const char *end = p + 2 + strspn(p + 2, "0123456789;:");
        for (p += 2; *end == 'm' && p < end; p++) {
            long v = strtol(p, (char **)&p, 10);
            if ((v >= 30 && v <= 38) || (v >= 40 && v <= 48) || v >= 90)
                return true;
        }
        p = end;
    }
    return false;
}

static void check_colourless(const struct played *p)
{
    assert_int_equal(p->status, 0);
    assert_false(has_colour(&p->bytes));
    assert_true(sent(p, "prompt> "));
}

static void no_color_is_respected(void **state)
{
    (void)state;
    struct played p;
    setenv("NO_COLOR", "1", 1);
    play(&p, "xterm-256color", scene_draw);
    check_colourless(&p);
    buf_free(&p.bytes);
    scene_opts.colour = TERM_COLOUR_ALWAYS; /* asked for: wins */
    play(&p, "xterm-256color", scene_draw);
    assert_true(has_colour(&p.bytes));
    buf_free(&p.bytes);
    unsetenv("NO_COLOR");
    scene_opts.colour = TERM_COLOUR_NEVER;
    play(&p, "xterm-256color", scene_draw);
    check_colourless(&p);
    buf_free(&p.bytes);
    scene_opts.colour = TERM_COLOUR_AUTO;
}

static void old_terminals_work(void **state)
{
    (void)state;
    static const char *const names[] = {"vt100", "linux", "screen", "xterm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct played p;
        play(&p, names[i], scene_draw);
        assert_int_equal(p.status, 0);
        assert_true(sent(&p, "prompt> "));
        assert_int_equal(p.before.c_lflag, p.after.c_lflag);
        buf_free(&p.bytes);
    }
}

static void ascii_sends_only_ascii(void **state)
{
    (void)state;
    struct played p;
    scene_opts.ascii = true;
    play(&p, "xterm-256color", scene_draw);
    scene_opts.ascii = false;
    assert_int_equal(p.status, 0);
    for (size_t i = 0; i < p.bytes.len; i++)
        assert_true((unsigned char)p.bytes.data[i] < 0x80);
    buf_free(&p.bytes);
}

int main(void)
{
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("NO_COLOR");
    unsetenv("COLORTERM");
    setlocale(LC_ALL, "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_and_gives_back),
        cmocka_unit_test(every_shade_arrives),
        cmocka_unit_test(an_unchanged_picture_costs_nothing),
        cmocka_unit_test(two_hundred_sizes),
        cmocka_unit_test(leaves_and_comes_back),
        cmocka_unit_test(copies_through_the_terminal),
        cmocka_unit_test(crashes_give_the_terminal_back),
        cmocka_unit_test(refuses_unknown_terminals),
        cmocka_unit_test(no_color_is_respected),
        cmocka_unit_test(old_terminals_work),
        cmocka_unit_test(ascii_sends_only_ascii),
    };
    return cmocka_run_group_tests_name("term", tests, NULL, NULL);
}
