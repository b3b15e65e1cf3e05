/* SPDX-License-Identifier: MIT */
#include "ui/term.h"

#include "engine/base/buf.h"
#include "engine/base/fd.h"
#include "engine/base/xalloc.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MODES_ON   "\033[?2004h" /* bracketed paste */
#define MODES_OFF  "\033[?2004l"
#define MOUSE_ON   "\033[?1002h\033[?1006h"
#define MOUSE_OFF  "\033[?1006l\033[?1002l"
#define PAIR_SLOTS 4096  /* power of two; a map of 16 x 16 shades needs 272 */
#define COPY_MAX   74000 /* bytes of base64 that xterm and tmux still take */

struct pair {
    uint32_t fg, bg;
    int number; /* 0: free slot */
};

struct terminal {
    SCREEN *screen;
    struct surface shown; /* what curses was told last */
    bool mouse, inside;
    struct theme theme;
    int colours;
    int n_pairs, pair_limit;
    struct pair pair[PAIR_SLOTS];
};

/* What term_restore_now needs. Written before signals are caught, read by handlers:
 * `active` is the only thing that changes later. */
static struct {
    int fd;
    struct termios saved;
    char bytes[256];
    size_t n;
    atomic_int active;
} restore;
enum { OUTSIDE, INSIDE, RESTORING }; /* values of active */

void term_restore_now(void)
{
    int was = INSIDE;
    if (atomic_compare_exchange_strong(&restore.active, &was, RESTORING)) {
        fd_write_all(restore.fd, restore.bytes, restore.n);
        tcsetattr(restore.fd, TCSANOW, &restore.saved);
        atomic_store(&restore.active, OUTSIDE);
        return;
    }
    /* Two threads may fault at once: the second must not end the program under the first. */
    const struct timespec moment = {0, 1000000};
    for (int i = 0; was == RESTORING && i < 100; i++) {
        nanosleep(&moment, NULL);
        was = atomic_load(&restore.active);
    }
}

static void restore_add(const char *s)
{
    size_t n = s && s != (char *)-1 ? strlen(s) : 0;
    if (n && restore.n + n <= sizeof restore.bytes) {
        memcpy(restore.bytes + restore.n, s, n);
        restore.n += n;
    }
}

/* Everything that undoes our modes, without padding ("$<5>"), which no terminal
 * emulator needs. */
static void build_restore(void)
{
    restore.n = 0;
    restore_add(MOUSE_OFF MODES_OFF);
    restore_add("\033[0m");
    restore_add(tigetstr("op"));
    restore_add(tigetstr("cnorm"));
    restore_add(tigetstr("rmcup"));
    for (size_t i = 0; i < restore.n; i++) {
        char *close = memchr(restore.bytes + i, '>', restore.n - i);
        if (restore.bytes[i] == '$' && restore.bytes[i + 1] == '<' && close) {
            size_t end = (size_t)(close - restore.bytes) + 1;
            memmove(restore.bytes + i, restore.bytes + end, restore.n - end);
            restore.n -= end - i--;
        }
    }
    restore_add("\r\n");
}

static void die_by_signal(int sig)
{
    term_restore_now();
    signal(sig, SIG_DFL);
    raise(sig);
}

void term_catch_crashes(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT, SIGSYS};
    static char stack_bytes[64 * 1024];
    stack_t stack = {.ss_sp = stack_bytes, .ss_size = sizeof stack_bytes};
    sigaltstack(&stack, NULL);
    struct sigaction sa = {.sa_handler = die_by_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        sigaction(fatal[i], &sa, NULL);
}

/* ---- opening --------------------------------------------------------------------- */

static void send(const char *s)
{
    fd_write_all(STDOUT_FILENO, s, strlen(s));
}

static bool wants_colour(enum term_colour c)
{
    const char *no = getenv("NO_COLOR");
    return c == TERM_COLOUR_ALWAYS || (c == TERM_COLOUR_AUTO && !(no && no[0]));
}

/* The terminfo name to use: a "-direct" entry where the terminal says that it shows
 * exact colours and the entry exists. */
static const char *entry_name(const char *name, bool colour, char *room, size_t size)
{
    const char *ct = getenv("COLORTERM");
    const char *cut = strstr(name, "-256color");
    int err;
    if (!colour || !cut || !ct || (strcmp(ct, "truecolor") != 0 && strcmp(ct, "24bit") != 0))
        return name;
    snprintf(room, size, "%.*s-direct", (int)(cut - name), name);
    bool known = setupterm(room, STDOUT_FILENO, &err) == OK;
    if (known)
        del_curterm(cur_term);
    return known ? room : name;
}

static bool check_terminal(const char *name, struct err *e)
{
    int status;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(e, ERR_USAGE, "standard input and output must be a terminal");
    if (!name || !name[0])
        return err_set(e, ERR_USAGE,
                       "TERM is not set; try TERM=xterm-256color, or use 'terra chat'");
    if (setupterm(name, STDOUT_FILENO, &status) != OK)
        return err_set(e, ERR_USAGE,
                       "unknown TERM '%s'; try TERM=xterm-256color, or use 'terra chat'", name);
    const char *cup = tigetstr("cup");
    del_curterm(cur_term);
    if (!cup || cup == (char *)-1)
        return err_set(e, ERR_USAGE,
                       "TERM '%s' cannot move the cursor; use 'terra chat' instead", name);
    return true;
}

static void start_colours(struct terminal *t, bool colour)
{
    t->colours = 0;
    if (colour && has_colors() && start_color() == OK) {
        use_default_colors();
        t->colours = COLORS;
        t->pair_limit = COLOR_PAIRS - 1;
    }
    if (t->colours > 256 && tigetflag("RGB") != 1 && tigetnum("RGB") < 0)
        t->colours = 256;
    t->theme.depth = t->colours > 256    ? THEME_RGB
                     : t->colours == 256 ? THEME_256
                     : t->colours >= 8   ? THEME_16
                                         : THEME_MONO;
}

struct terminal *term_open(const struct term_opts *o, struct err *e)
{
    const char *name = getenv("TERM");
    char room[64];
    if (!check_terminal(name, e))
        return NULL;
    if (tcgetattr(STDIN_FILENO, &restore.saved) != 0) {
        err_set(e, ERR_USAGE, "the terminal's settings cannot be read: %s", strerror(errno));
        return NULL;
    }
    bool colour = wants_colour(o->colour);

    /* curses installs handlers of its own: keep ours, or the defaults */
    static const int taken[] = {SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
    struct sigaction before[4];
    for (int i = 0; i < 4; i++)
        sigaction(taken[i], NULL, &before[i]);
    SCREEN *screen = newterm(entry_name(name, colour, room, sizeof room), stdout, stdin);
    for (int i = 0; i < 4; i++)
        sigaction(taken[i], &before[i], NULL);
    if (!screen) {
        err_set(e, ERR_USAGE, "TERM '%s' cannot be used; try 'terra chat'", name);
        return NULL;
    }

    struct terminal *t = xcalloc(1, sizeof *t);
    t->screen = screen;
    t->theme.light = o->light;
    t->theme.blocks = !o->ascii && theme_blocks_usable();
    t->mouse = o->mouse;
    start_colours(t, colour);
    build_restore();
    restore.fd = STDOUT_FILENO;
    xalloc_set_hook(term_restore_now);

    raw(); /* Ctrl-C, Ctrl-Z, Ctrl-S arrive as bytes */
    noecho();
    nonl();
    scrollok(stdscr, FALSE);
    leaveok(stdscr, FALSE);
    curs_set(0);
    restore.active = INSIDE;
    t->inside = true;
    refresh();
    send(MODES_ON);
    if (t->mouse)
        send(MOUSE_ON);
    return t;
}

void term_close(struct terminal *t)
{
    if (!t)
        return;
    term_leave(t);
    delscreen(t->screen);
    surface_free(&t->shown);
    free(t);
}

int term_fd(const struct terminal *t)
{
    (void)t;
    return STDIN_FILENO;
}

struct theme term_theme(const struct terminal *t)
{
    return t->theme;
}

/* ---- size, leaving, coming back ------------------------------------------------------ */

void term_size(struct terminal *t, int *w, int *h)
{
    struct winsize ws;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0) {
        *w = ws.ws_col;
        *h = ws.ws_row;
    } else { /* a serial line does not know: what terminfo says */
        *w = t->shown.w > 0 ? t->shown.w : COLS;
        *h = t->shown.h > 0 ? t->shown.h : LINES;
    }
}

void term_redraw(struct terminal *t)
{
    clearok(curscr, TRUE);
    surface_resize(&t->shown, 0, 0);
}

void term_resized(struct terminal *t, int w, int h)
{
    if (w > 0 && h > 0)
        resize_term(h, w);
    werase(stdscr);
    term_redraw(t);
}

void term_mouse(struct terminal *t, bool on)
{
    t->mouse = on;
    if (t->inside)
        send(on ? MOUSE_ON : MOUSE_OFF);
}

void term_leave(struct terminal *t)
{
    if (!t->inside)
        return;
    t->inside = false;
    send(MOUSE_OFF MODES_OFF);
    curs_set(1);
    endwin();
    restore.active = OUTSIDE;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &restore.saved);
}

void term_enter(struct terminal *t)
{
    if (t->inside)
        return;
    /* whoever had the terminal may have left other settings: they are the ones to
     * give back from now on */
    tcgetattr(STDIN_FILENO, &restore.saved);
    restore.active = INSIDE;
    t->inside = true;
    reset_prog_mode();
    raw();
    noecho();
    nonl();
    term_redraw(t);
    doupdate();
    send(MODES_ON);
    if (t->mouse)
        send(MOUSE_ON);
}

void term_suspend(struct terminal *t)
{
    struct sigaction now, dfl = {.sa_handler = SIG_DFL};
    term_leave(t);
    sigaction(SIGTSTP, &dfl, &now);
    kill(0, SIGTSTP); /* the whole job, as the terminal driver does */
    sigaction(SIGTSTP, &now, NULL);
    term_enter(t);
}

/* ---- copying to the clipboard ---------------------------------------------------------- */

bool term_copy(struct terminal *t, const char *text, size_t n)
{
    if (!t->inside || n > COPY_MAX / 4 * 3)
        return false;
    struct buf out = {0};
    buf_add_str(&out, "\033]52;c;");
    buf_add_base64(&out, text, n);
    buf_add_byte(&out, '\a');
    fd_write_all(STDOUT_FILENO, out.data, out.len);
    buf_free(&out);
    return true;
}

/* ---- drawing ----------------------------------------------------------------------------- */

/* What curses calls a colour; -1 is the default. */
static int curses_colour(const struct terminal *t, uint32_t c)
{
    if (c == COLOUR_DEFAULT)
        return -1;
    int v = (int)(c & 0xFFFFFF);
    if (c & 0x02000000u) {
        /* direct terminals read 0..7 as palette entries */
        return v < 8 ? 0 : v;
    }
    if (t->colours > 256) { /* palette entry on a direct terminal */
        static const uint8_t cube[6] = {0, 95, 135, 175, 215, 255};
        if (v < 8)
            return v;
        if (v < 16)
            return (v & 1 ? 0xFF0000 : 0) | (v & 2 ? 0xFF00 : 0) | (v & 4 ? 0xFF : 0) |
                   0x080808;
        if (v >= 232)
            return (8 + 10 * (v - 232)) * 0x010101;
        v -= 16;
        return cube[v / 36] << 16 | cube[v / 6 % 6] << 8 | cube[v % 6];
    }
    return v < t->colours ? v : v % 8;
}

/* COLOR_PAIR() wraps at 256 in ncurses 6.4: extended pairs only. */
static int pair_for(struct terminal *t, uint32_t fg, uint32_t bg)
{
    if (t->colours == 0 || (fg == COLOUR_DEFAULT && bg == COLOUR_DEFAULT))
        return 0;
    uint32_t hash = (fg * 0x9E3779B1u) ^ (bg * 0x85EBCA6Bu);
    for (uint32_t i = hash >> 8, tries = 0; tries < PAIR_SLOTS; i++, tries++) {
        struct pair *p = &t->pair[i % PAIR_SLOTS];
        if (p->number && p->fg == fg && p->bg == bg)
            return p->number;
        if (p->number)
            continue;
        if (t->n_pairs + 1 > t->pair_limit || t->n_pairs >= PAIR_SLOTS / 2)
            return 0; /* no terminal we know has so few and so many themes */
        p->fg = fg;
        p->bg = bg;
        p->number = ++t->n_pairs;
        init_extended_pair(p->number, curses_colour(t, fg), curses_colour(t, bg));
        return p->number;
    }
    return 0;
}

static attr_t curses_attr(uint16_t a)
{
    return (a & ATTR_BOLD ? A_BOLD : 0) | (a & ATTR_DIM ? A_DIM : 0) |
           (a & ATTR_UNDERLINE ? A_UNDERLINE : 0) | (a & ATTR_REVERSE ? A_REVERSE : 0);
}

static void draw_cell(struct terminal *t, int x, int y, const struct cell *c)
{
    wchar_t text[2 + SURFACE_COMBINING] = {(wchar_t)c->rune};
    for (int k = 0; k < SURFACE_COMBINING; k++)
        text[k + 1] = (wchar_t)c->comb[k];
    int pair = pair_for(t, c->style.fg, c->style.bg);
    cchar_t cc;
    if (setcchar(&cc, text, curses_attr(c->style.attr), (short)(pair & 0x7FFF), &pair) != OK)
        setcchar(&cc, L"?", A_NORMAL, 0, NULL);
    /* the last cell of the screen "fails" after drawing: it cannot advance */
    (void)mvadd_wch(y, x, &cc);
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
    return a->rune == b->rune && memcmp(a->comb, b->comb, sizeof a->comb) == 0 &&
           a->style.fg == b->style.fg && a->style.bg == b->style.bg &&
           a->style.attr == b->style.attr;
}

void term_draw(struct terminal *t, const struct surface *s, int cx, int cy)
{
    if (!t->inside)
        return;
    bool all = t->shown.w != s->w || t->shown.h != s->h;
    if (all)
        surface_resize(&t->shown, s->w, s->h);
    int w = s->w < COLS ? s->w : COLS, h = s->h < LINES ? s->h : LINES;
    for (int y = 0; y < h; y++) {
        const struct cell *row = &s->cells[(size_t)y * (size_t)s->stride];
        struct cell *old = &t->shown.cells[(size_t)y * (size_t)t->shown.stride];
        if (!all && memcmp(row, old, (size_t)s->w * sizeof *row) == 0)
            continue; /* padding may differ: then cell by cell */
        for (int x = 0; x < w; x++) {
            bool half = x + 1 < w && row[x + 1].rune == 0; /* both halves at once */
            bool same = !all && same_cell(&row[x], &old[x]) &&
                        (!half || same_cell(&row[x + 1], &old[x + 1]));
            if (!same && row[x].rune)
                draw_cell(t, x, y, &row[x]);
        }
        memcpy(old, row, (size_t)s->w * sizeof *row);
    }
    bool cursor = cx >= 0 && cy >= 0 && cx < w && cy < h;
    if (cursor)
        wmove(stdscr, cy, cx);
    curs_set(cursor);
    wnoutrefresh(stdscr);
    doupdate();
}
