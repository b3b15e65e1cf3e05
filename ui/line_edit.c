/* SPDX-License-Identifier: MIT */
#include "ui/line_edit.h"

#include "engine/base/xalloc.h"
#include "ui/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#define HISTORY_MAX      2000
#define HISTORY_LINE_MAX (64 * 1024) /* a pasted book is not worth remembering */
#define POPUP_MAX        200

struct line_edit {
    struct line_edit_opts opts;
    char *prompt, *history_file;
    FILE *null_in, *null_out;
    /* bytes readline has not asked for yet */
    const char *bytes;
    size_t n_bytes;
    enum line_event event;
    char *submitted; /* with LINE_SUBMIT, until taken */
    char *popup[POPUP_MAX];
    size_t n_popup;
};

/* Readline's callbacks carry no user pointer. */
static struct line_edit *self;

/* ---- what readline calls ----------------------------------------------------------- */

static int next_byte(FILE *unused)
{
    (void)unused;
    /* Callers hand over whole characters, so this is a half-typed sequence at worst:
     * abort it. */
    if (self->n_bytes == 0)
        return '\a';
    self->n_bytes--;
    return (unsigned char)*self->bytes++;
}

static int byte_available(void)
{
    return self->n_bytes > 0;
}

static void draw_nothing(void)
{
}

static void on_line(char *line)
{
    free(self->submitted);
    self->submitted = line;
    self->event = line ? LINE_SUBMIT : LINE_EOF;
}

static int on_newline(int count, int key)
{
    (void)count;
    (void)key;
    rl_insert_text("\n");
    return 0;
}

static int on_editor(int count, int key)
{
    (void)count;
    (void)key;
    self->event = LINE_EDITOR;
    return 0;
}

/* Column the cursor has within its line of the text. */
static int column(int line_start)
{
    return text_width(rl_line_buffer + line_start, (size_t)(rl_point - line_start));
}

static int line_start_before(int at)
{
    while (at > 0 && rl_line_buffer[at - 1] != '\n')
        at--;
    return at;
}

static int line_end_after(int at)
{
    while (at < rl_end && rl_line_buffer[at] != '\n')
        at++;
    return at;
}

static int on_up(int count, int key)
{
    int start = line_start_before(rl_point);
    if (start == 0)
        return rl_get_previous_history(count, key);
    int above = line_start_before(start - 1);
    rl_point = above + (int)text_fit(rl_line_buffer + above, (size_t)(start - 1 - above),
                                     column(start));
    return 0;
}

static int on_down(int count, int key)
{
    int end = line_end_after(rl_point);
    if (end == rl_end)
        return rl_get_next_history(count, key);
    int below = end + 1, below_end = line_end_after(below);
    rl_point = below + (int)text_fit(rl_line_buffer + below, (size_t)(below_end - below),
                                     column(line_start_before(rl_point)));
    return 0;
}

/* ---- completion ------------------------------------------------------------------------ */

struct candidates {
    const char *word;
    char **text;
    size_t n, cap, next;
};

static void add_candidate(void *list, const char *text)
{
    struct candidates *c = list;
    if (strncmp(text, c->word, strlen(c->word)) != 0)
        return;
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 16;
        c->text = xrealloc(c->text, c->cap, sizeof *c->text);
    }
    c->text[c->n++] = xstrdup(text);
}

static struct candidates *generating;

/* Readline frees what this returns. */
static char *next_candidate(const char *word, int state)
{
    (void)word;
    (void)state;
    return generating->next < generating->n ? generating->text[generating->next++] : NULL;
}

static char **attempt(const char *word, int start, int end)
{
    (void)end;
    rl_attempted_completion_over = 1;
    if (!self->opts.complete || start < 0)
        return NULL;
    struct candidates c = {.word = word};
    bool files = self->opts.complete(self->opts.user, rl_line_buffer, (size_t)start, word,
                                     add_candidate, &c);
    char **found = NULL;
    if (files) {
        while (c.n > 0)
            free(c.text[--c.n]);
        rl_filename_completion_desired = 1;
        found = rl_completion_matches(word, rl_filename_completion_function);
    } else {
        generating = &c;
        found = rl_completion_matches(word, next_candidate);
        generating = NULL;
    }
    free(c.text);
    return found;
}

static void clear_popup(struct line_edit *l)
{
    while (l->n_popup > 0)
        free(l->popup[--l->n_popup]);
}

static void show_matches(char **match, int n, int longest)
{
    (void)longest;
    clear_popup(self);
    for (int i = 1; i <= n && self->n_popup < POPUP_MAX; i++) {
        const char *slash = strrchr(match[i], '/');
        self->popup[self->n_popup++] = xstrdup(slash && slash[1] ? slash + 1 : match[i]);
    }
}

/* ---- opening ------------------------------------------------------------------------------
 */

/* Binds raw keys, but only where the default still stands: ~/.inputrc wins. */
static void rebind(const char *keymap, const char *keys, rl_command_func_t *from,
                   rl_command_func_t *to)
{
    Keymap map = rl_get_keymap_by_name(keymap);
    int type;
    if (map && rl_function_of_keyseq(keys, map, &type) == from && type == ISFUNC)
        rl_bind_keyseq_in_map(keys, to, map);
}

static void bind_keys(void)
{
    static const char *const maps[] = {"emacs", "vi-insert"};
    for (int i = 0; i < 2; i++) {
        rebind(maps[i], "\n", rl_newline, on_newline);
        rebind(maps[i], "\033[A", rl_get_previous_history, on_up);
        rebind(maps[i], "\033OA", rl_get_previous_history, on_up);
        rebind(maps[i], "\033[B", rl_get_next_history, on_down);
        rebind(maps[i], "\033OB", rl_get_next_history, on_down);
    }
    rebind("emacs", "\033\r", rl_vi_editing_mode, on_newline);
    rebind("emacs", "\033\n", rl_vi_editing_mode, on_newline);
    rl_bind_keyseq_if_unbound("\\C-x\\C-e", on_editor);
}

static void start_readline(struct line_edit *l)
{
    static bool named;
    rl_readline_name = "terra";
    rl_instream = l->null_in;
    rl_outstream = l->null_out;
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
    rl_change_environment = 0; /* else LINES and COLUMNS freeze the size of curses */
    rl_prep_term_function = NULL;
    rl_deprep_term_function = NULL;
    rl_getc_function = next_byte;
    rl_input_available_hook = byte_available;
    rl_redisplay_function = draw_nothing;
    rl_attempted_completion_function = attempt;
    rl_completion_display_matches_hook = show_matches;
    rl_completer_word_break_characters = " \t\n";
    if (!named) { /* ~/.inputrc may use these names */
        rl_add_defun("terra-newline", on_newline, -1);
        rl_add_defun("terra-editor", on_editor, -1);
        rl_add_defun("terra-line-up", on_up, -1);
        rl_add_defun("terra-line-down", on_down, -1);
        /* defaults that ~/.inputrc may change */
        rl_variable_bind("show-all-if-ambiguous", "on");
        rl_variable_bind("input-meta", "on");
        rl_variable_bind("output-meta", "on");
        rl_variable_bind("convert-meta", "off");
        rl_initialize();
        bind_keys();
        named = true;
    }
    /* these would write to or wait for a terminal */
    rl_variable_bind("bell-style", "none");
    rl_variable_bind("enable-bracketed-paste", "off");
    rl_variable_bind("blink-matching-paren", "off");
}

static void open_history(struct line_edit *l)
{
    int max = l->opts.history_max > 0 ? l->opts.history_max : HISTORY_MAX;
    using_history();
    unstifle_history();
    clear_history();
    history_comment_char = '#'; /* time stamps separate entries of several lines */
    history_write_timestamps = 1;
    if (!l->history_file) {
        stifle_history(max);
        return;
    }
    int fd = open(l->history_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    bool usable = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (fd >= 0)
        close(fd);
    if (usable) {
        read_history(l->history_file);
    } else {
        free(l->history_file);
        l->history_file = NULL;
    }
    /* history_truncate_file() counts lines and would cut an entry of several in two */
    bool too_long = history_length > max;
    stifle_history(max);
    if (too_long)
        write_history(l->history_file);
    using_history();
}

struct line_edit *line_edit_open(const struct line_edit_opts *o)
{
    struct line_edit *l = xcalloc(1, sizeof *l);
    l->opts = *o;
    l->prompt = xstrdup(o->prompt ? o->prompt : "prompt> ");
    l->history_file = o->history_file ? xstrdup(o->history_file) : NULL;
    l->null_in = fopen("/dev/null", "re");
    l->null_out = fopen("/dev/null", "we");
    self = l;
    start_readline(l);
    open_history(l);
    rl_callback_handler_install(l->prompt, on_line);
    return l;
}

void line_edit_close(struct line_edit *l)
{
    if (!l)
        return;
    rl_callback_handler_remove();
    clear_history();
    clear_popup(l);
    if (l->null_in)
        fclose(l->null_in);
    if (l->null_out)
        fclose(l->null_out);
    rl_instream = rl_outstream = NULL;
    free(l->submitted);
    free(l->history_file);
    free(l->prompt);
    free(l);
    self = NULL;
}

/* ---- editing -------------------------------------------------------------------------------
 */

enum line_event line_edit_feed(struct line_edit *l, const char *bytes, size_t n, size_t *used)
{
    clear_popup(l);
    l->event = LINE_NONE;
    l->bytes = bytes;
    l->n_bytes = n;
    while (l->n_bytes > 0 && l->event == LINE_NONE)
        rl_callback_read_char();
    if (used)
        *used = n - l->n_bytes;
    l->bytes = NULL;
    l->n_bytes = 0;
    return l->event;
}

void line_edit_paste(struct line_edit *l, const char *text, size_t n)
{
    line_edit_reset(l);
    clear_popup(l);
    char *clean = xmalloc(n + 1);
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r') {
            if (i + 1 >= n || text[i + 1] != '\n')
                clean[m++] = '\n';
        } else if (text[i]) {
            clean[m++] = text[i];
        }
    }
    clean[m] = 0;
    rl_begin_undo_group();
    rl_insert_text(clean);
    rl_end_undo_group();
    free(clean);
}

char *line_edit_take(struct line_edit *l)
{
    char *line = l->submitted;
    l->submitted = NULL;
    return line;
}

void line_edit_remember(struct line_edit *l, const char *line)
{
    size_t n = strlen(line);
    if (n == 0 || line[0] == ' ' || n > HISTORY_LINE_MAX)
        return;
    HIST_ENTRY *last =
        history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (last && strcmp(last->line, line) == 0)
        return;
    add_history(line);
    using_history(); /* the line being typed comes after it */
    if (l->history_file)
        append_history(1, l->history_file);
}

const char *line_edit_text(const struct line_edit *l, size_t *n)
{
    (void)l;
    if (n)
        *n = (size_t)rl_end;
    return rl_line_buffer;
}

bool line_edit_empty(const struct line_edit *l)
{
    (void)l;
    return rl_end == 0;
}

void line_edit_set(struct line_edit *l, const char *text)
{
    line_edit_reset(l);
    rl_begin_undo_group();
    rl_delete_text(0, rl_end);
    rl_point = 0;
    rl_insert_text(text);
    rl_end_undo_group();
}

void line_edit_prompt(struct line_edit *l, const char *prompt)
{
    line_edit_reset(l);
    rl_set_prompt(prompt ? prompt : l->prompt);
}

bool line_edit_busy(const struct line_edit *l)
{
    (void)l;
    return RL_ISSTATE(RL_STATE_ISEARCH | RL_STATE_NSEARCH | RL_STATE_SEARCH |
                      RL_STATE_NUMERICARG | RL_STATE_MULTIKEY | RL_STATE_CHARSEARCH |
                      RL_STATE_VIMOTION) != 0;
}

void line_edit_reset(struct line_edit *l)
{
    if (line_edit_busy(l))
        line_edit_feed(l, "\a", 1, NULL);
}

bool line_edit_vi(const struct line_edit *l)
{
    (void)l;
    return rl_editing_mode == 0;
}

void line_edit_view(struct line_edit *l, struct vm_prompt *vm)
{
    vm->prompt = rl_display_prompt ? rl_display_prompt : l->prompt;
    vm->text = rl_line_buffer;
    vm->n = (size_t)rl_end;
    vm->cursor = (size_t)rl_point;
    vm->popup = (const char *const *)l->popup;
    vm->n_popup = l->n_popup;
}
