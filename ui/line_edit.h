/* line_edit.h - the prompt: GNU readline without a terminal of its own.
 *
 * Purpose: ~/.inputrc, history, completion, undo and multi-line input, fed with the
 *          raw bytes of keys and drawn from a view model.  Readline never reads a
 *          file descriptor, never writes, and never touches signals or termios.
 * Owns:    readline's global state: one line_edit at a time per process.
 * Errors:  none; a history file that cannot be used is skipped.
 * Threads: the terminal's thread only.
 *
 * Open it before term_open(): readline asks terminfo once, and curses must be the
 * last to do so.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_LINE_EDIT_H
#define TERRA_UI_LINE_EDIT_H

#include "ui/vm.h"

#include <stdbool.h>
#include <stddef.h>

struct line_edit_opts {
    const char *prompt;       /* NULL: "prompt> " */
    const char *history_file; /* NULL: nothing is read or written */
    int history_max;          /* lines kept; 0: 2000 */
    /* Optional: candidates for the word that starts at byte `start` of `line`.  Each is
     * handed to add(); texts are copied, those that do not begin with `word` ignored.
     * Returning true asks for file names instead. */
    bool (*complete)(void *user, const char *line, size_t start, const char *word,
                     void (*add)(void *list, const char *candidate), void *list);
    void *user;
};

enum line_event {
    LINE_NONE,
    LINE_SUBMIT, /* take the text with line_edit_take */
    LINE_EOF,    /* Ctrl-D on an empty line */
    LINE_EDITOR  /* C-x C-e: edit line_edit_text in $EDITOR, then line_edit_set */
};

struct line_edit;

struct line_edit *line_edit_open(const struct line_edit_opts *o);
void line_edit_close(struct line_edit *l);

/* The raw bytes of one or more whole keys; stops after the key that made an event
 * other than LINE_NONE and drops nothing: *used tells how many bytes were eaten. */
enum line_event line_edit_feed(struct line_edit *l, const char *bytes, size_t n, size_t *used);
/* Inserts text at the cursor as one undo step; never submits.  CR and CRLF become
 * newlines, NULs are dropped. */
void line_edit_paste(struct line_edit *l, const char *text, size_t n);

/* The submitted line; the caller frees it.  NULL without a LINE_SUBMIT before. */
char *line_edit_take(struct line_edit *l);
/* Remembers a line in history, on disk too if there is a file. */
void line_edit_remember(struct line_edit *l, const char *line);

const char *line_edit_text(const struct line_edit *l, size_t *n);
bool line_edit_empty(const struct line_edit *l);
/* Replaces the text (undoable), cursor at the end. */
void line_edit_set(struct line_edit *l, const char *text);
/* Another prompt, e.g. ":" or "rename: "; NULL: the usual one. */
void line_edit_prompt(struct line_edit *l, const char *prompt);
/* Leaves searches and half-typed sequences, keeps the text. */
void line_edit_reset(struct line_edit *l);
/* True while an incremental search or another mode owns Esc and Ctrl-C. */
bool line_edit_busy(const struct line_edit *l);
/* True under `set editing-mode vi`, where Esc belongs to readline. */
bool line_edit_vi(const struct line_edit *l);

/* Fills text, cursor, prompt and popup; pointers live until the next call. */
void line_edit_view(struct line_edit *l, struct vm_prompt *vm);

#endif
