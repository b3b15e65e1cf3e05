/* SPDX-License-Identifier: MIT */
#include "app/input.h"

#include "app/browse.h"
#include "app/clip.h"
#include "app/commands_do.h"
#include "app/live.h"
#include "app/present.h"
#include "app/setup.h"
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_rune(const struct key *k, char c)
{
    return k->code == K_RUNE && !(k->mods & (K_CTRL | K_ALT)) && k->rune == (uint32_t)c;
}

static bool is_ctrl(const struct key *k, char c)
{
    return k->code == K_RUNE && (k->mods & K_CTRL) && k->rune == (uint32_t)c;
}

/* ---- overlays --------------------------------------------------------------------------- */

static unsigned dialog_done(struct app *a, size_t which)
{
    unsigned (*chosen)(struct app *, size_t) = a->dialog.chosen;
    a->dialog.open = false;
    return EFFECT_DRAW | (chosen ? chosen(a, which) : 0);
}

static unsigned dialog_key(struct app *a, const struct key *k)
{
    struct app_dialog *d = &a->dialog;
    char name[KEY_NAME_MAX];
    if (k->code == K_ESC || is_ctrl(k, 'c') || is_rune(k, 'q')) {
        d->open = false;
        app_say(a, VM_INFO, "cancelled");
        return EFFECT_DRAW;
    }
    if (is_rune(k, '?') || k->code == K_F1)
        app_say(a, VM_INFO, "the key in front of a line chooses it, or arrows and Enter");
    if (k->code == K_ENTER)
        return dialog_done(a, d->selected);
    if (k->code == K_UP || k->code == K_LEFT)
        d->selected = (d->selected + d->n - 1) % d->n;
    if (k->code == K_DOWN || k->code == K_RIGHT || k->code == K_TAB)
        d->selected = (d->selected + 1) % d->n;
    key_name(k, name);
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(name, d->key[i]) == 0)
            return dialog_done(a, i);
    return EFFECT_DRAW;
}

static unsigned help_run(struct app *a)
{
    int list[HELP_ROWS];
    size_t n = present_help_list(a, list);
    if (a->help.selected < n && list[a->help.selected] >= COMMANDS)
        return EFFECT_NONE; /* a number: it is explained, there is nothing to run */
    a->help.open = false;
    if (a->help.selected >= n)
        return EFFECT_DRAW;
    enum command c = (enum command)list[a->help.selected];
    const struct command_info *i = &command_info[c];
    bool needs = *i->argument && *i->argument != '[';
    if (needs) { /* it cannot run alone: type the rest */
        char line[64];
        snprintf(line, sizeof line, "%s ", i->name);
        app_ask(a, INPUT_COMMAND, ":", line);
        return EFFECT_DRAW;
    }
    return EFFECT_DRAW | EFFECT_MAP | command_run(a, c, "");
}

static unsigned help_key(struct app *a, const struct key *k)
{
    int list[HELP_ROWS];
    size_t n = present_help_list(a, list), len = strlen(a->help.filter);
    size_t page = a->screen.body_rows > 4 ? (size_t)a->screen.body_rows - 2 : 4;
    switch (k->code) {
    case K_ESC:
    case K_F1:
        a->help.open = false;
        return EFFECT_DRAW;
    case K_ENTER:
        return help_run(a);
    case K_UP:
        a->help.selected -= a->help.selected > 0;
        return EFFECT_DRAW;
    case K_DOWN:
        a->help.selected += a->help.selected + 1 < n;
        return EFFECT_DRAW;
    case K_PGUP:
        a->help.selected -= a->help.selected < page ? a->help.selected : page;
        return EFFECT_DRAW;
    case K_PGDN:
        a->help.selected += page;
        if (a->help.selected >= n)
            a->help.selected = n ? n - 1 : 0;
        return EFFECT_DRAW;
    case K_BACKSPACE:
        while (len > 0 && ((unsigned char)a->help.filter[--len] & 0xC0) == 0x80)
            ;
        a->help.filter[len] = 0;
        a->help.selected = 0;
        return EFFECT_DRAW;
    case K_RUNE:
        if (is_ctrl(k, 'c') || (len == 0 && (is_rune(k, '?') || is_rune(k, 'q')))) {
            a->help.open = false;
            return EFFECT_DRAW;
        }
        if (!(k->mods & (K_CTRL | K_ALT)) && len + 5 < sizeof a->help.filter) {
            len += utf8_encode(k->rune, a->help.filter + len);
            a->help.filter[len] = 0;
            a->help.selected = 0;
        }
        return EFFECT_DRAW;
    default:
        return EFFECT_NONE;
    }
}

/* ---- the line -------------------------------------------------------------------------------
 */

/* "/word", whatever the word; ":word" only for a command's name: who thinks of another
 * editor types it here, and hardly a text begins like that. */
static bool is_command(const char *text)
{
    if (text[0] == '/')
        return text[1] != '/';
    return text[0] == ':' && !strchr(text, '\n') &&
           command_find(text + 1, strcspn(text + 1, " ")) != COMMANDS;
}

unsigned input_prompt(struct app *a, const char *text)
{
    size_t n = strlen(text), blank = strspn(text, " \t\n\r");
    a->view = VM_MAIN;
    if (blank == n) {
        if (a->has_document)
            return live_run_document(a);
        app_say(a, VM_INFO, "type a text first, or /load FILE");
        return EFFECT_DRAW;
    }
    if (is_command(text)) {
        enum command c = command_find(text + 1, strcspn(text + 1, " \n"));
        if (c == COMMANDS && a->edit)
            line_edit_set(a->edit, text); /* to be mended */
        unsigned effect = command_line(a, text + 1);
        if (c == COMMANDS && a->severity == VM_WARN) {
            size_t len = strlen(a->message);
            snprintf(a->message + len, sizeof a->message - len,
                     "; // begins a text with a slash");
        }
        return effect;
    }
    if (text[0] == '/') {
        text++;
        n--;
    }
    flow_view_end(&a->flow_view);
    a->cursor = -1;
    return EFFECT_MAP | live_run_prompt(a, text, n);
}

static unsigned submit(struct app *a)
{
    char *text = line_edit_take(a->edit);
    unsigned effect = EFFECT_DRAW;
    enum app_input input = a->input;
    if (!text)
        return EFFECT_DRAW;
    if (input != INPUT_PROMPT)
        app_ask_done(a);
    switch (input) {
    case INPUT_PROMPT:
        if (*text)
            line_edit_remember(a->edit, text);
        if (*text && text[strspn(text, " \t\n")] && !is_command(text) &&
            ((worker_busy(a->worker) && a->busy != BUSY_MEASURE) || !a->model)) {
            line_edit_set(a->edit, text); /* refused below: keep it */
        }
        effect |= input_prompt(a, text);
        break;
    case INPUT_COMMAND:
        effect |= command_line(a, text);
        break;
    case INPUT_FIND:
        effect |= *text ? do_find(a, text) : EFFECT_NONE;
        if (!*text)
            *a->find = 0;
        break;
    case INPUT_SEARCH:
        browse_search(a, text);
        break;
    case INPUT_RENAME:
        if (*text)
            effect |= browse_rename(a, text);
        else
            a->sessions.renaming = 0;
        break;
    }
    free(text);
    return effect;
}

static unsigned edit_outside(struct app *a)
{
    size_t n;
    struct err e = {0};
    const char *text = line_edit_text(a->edit, &n);
    char *edited = clip_edit(a, text, n, &e);
    if (!edited)
        return EFFECT_REDRAW | app_fail(a, &e);
    line_edit_set(a->edit, edited);
    free(edited);
    return EFFECT_DRAW | EFFECT_REDRAW;
}

/* The list follows the words that are typed. */
static void search_typed(struct app *a)
{
    size_t n;
    const char *text = line_edit_text(a->edit, &n);
    if (a->input == INPUT_SEARCH && strcmp(text, a->sessions.query) != 0)
        browse_search(a, text);
}

static unsigned feed(struct app *a, const struct key *k)
{
    size_t used;
    unsigned effect = EFFECT_DRAW;
    for (size_t at = 0; at < k->n; at += used) {
        enum line_event ev = line_edit_feed(a->edit, k->text + at, k->n - at, &used);
        if (ev == LINE_SUBMIT)
            effect |= submit(a);
        else if (ev == LINE_EDITOR)
            effect |= edit_outside(a);
        else if (ev == LINE_EOF && a->input == INPUT_PROMPT)
            effect |= EFFECT_QUIT;
        else if (ev == LINE_EOF)
            app_ask_done(a);
        if (used == 0)
            break;
    }
    search_typed(a);
    return effect;
}

static unsigned cancel_input(struct app *a)
{
    if (a->input == INPUT_SEARCH)
        browse_search(a, "");
    a->sessions.renaming = 0;
    app_ask_done(a);
    return EFFECT_DRAW;
}

static unsigned line_key(struct app *a, const struct key *k)
{
    bool esc = k->code == K_ESC, ctrl_c = is_ctrl(k, 'c');
    if ((esc || ctrl_c) && (line_edit_busy(a->edit) || (esc && line_edit_vi(a->edit))) &&
        !app_running(a))
        return feed(a, k);
    if ((esc || ctrl_c) && a->input != INPUT_PROMPT)
        return cancel_input(a);
    if (esc)
        return do_escape(a, "");
    if (ctrl_c && app_running(a))
        return live_cancel(a);
    if (ctrl_c && !line_edit_empty(a->edit)) {
        line_edit_set(a->edit, "");
        return EFFECT_DRAW;
    }
    if (k->code == K_TAB && a->input == INPUT_PROMPT && line_edit_empty(a->edit))
        return (k->mods & K_SHIFT) ? do_pane_prev(a, "") : do_pane_next(a, "");
    if (a->input == INPUT_SEARCH && (k->code == K_UP || k->code == K_DOWN)) {
        browse_move(a, k->code == K_UP ? -1 : 1);
        return EFFECT_DRAW;
    }
    enum command c = command_for_key(a->bindings, k, IN_PROMPT);
    if (c != COMMANDS)
        return command_run(a, c, "");
    return feed(a, k);
}

/* ---- paste and mouse
 * ---------------------------------------------------------------------------- */

static unsigned paste(struct app *a, const struct key *k)
{
    if (a->input == INPUT_PROMPT) {
        a->view = VM_MAIN;
        a->focus = VM_PROMPT;
    }
    if (a->edit) {
        line_edit_paste(a->edit, k->text, k->n);
        search_typed(a);
    }
    return EFFECT_DRAW;
}

static unsigned mouse(struct app *a, const struct key *k)
{
    if (k->button == K_WHEEL_UP || k->button == K_WHEEL_DOWN) {
        unsigned effect = EFFECT_NONE;
        enum vm_pane focus = a->focus;
        if (a->view == VM_MAIN)
            a->focus = VM_OUTPUT; /* the wheel scrolls text, whatever has the keys */
        for (int i = 0; i < (a->view == VM_SESSIONS ? 1 : 3); i++)
            effect |= k->button == K_WHEEL_UP ? do_up(a, "") : do_down(a, "");
        a->focus = focus;
        return effect;
    }
    if (!k->press || k->button != K_LEFT_BUTTON)
        return EFFECT_NONE;
    struct screen_hit hit = screen_at(&a->screen, &a->theme, &a->vm, k->x, k->y);
    if (hit.pane == VM_NOWHERE)
        return EFFECT_NONE;
    if (a->view == VM_MAIN || hit.pane == VM_PROMPT)
        a->focus = hit.pane;
    if (hit.pane == VM_PROMPT)
        a->view = VM_MAIN;
    if (hit.token >= 0 && (size_t)hit.token < a->shown)
        a->cursor = hit.token;
    if (hit.has_row)
        browse_move(a, (long)hit.row - (long)a->sessions.selected);
    if (hit.has_cell) {
        a->layer = hit.layer;
        a->block = hit.block;
        a->map_cursor = true;
    }
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned input_key(struct app *a, const struct key *k)
{
    if (k->code == K_UNKNOWN || k->code == K_NONE)
        return EFFECT_NONE;
    if (k->code == K_MOUSE)
        return a->dialog.open || a->help.open ? EFFECT_NONE : mouse(a, k);
    if (a->frozen) {
        a->frozen = a->freeze_shown = false;
        *a->message = 0;
        return EFFECT_DRAW | EFFECT_MAP;
    }
    if (is_ctrl(k, 'z'))
        return EFFECT_SUSPEND;
    if (a->dialog.open)
        return dialog_key(a, k);
    if (a->help.open)
        return help_key(a, k);
    if (k->code == K_PASTE)
        return paste(a, k);
    if (a->edit && (a->input != INPUT_PROMPT || (a->focus == VM_PROMPT && a->view == VM_MAIN)))
        return line_key(a, k);
    if (k->code == K_ESC && a->view == VM_SESSIONS && *a->sessions.query && !app_running(a)) {
        browse_search(a, ""); /* before the view is left */
        return EFFECT_DRAW;
    }
    enum command c = command_for_key(a->bindings, k, present_scope(a));
    if (c != COMMANDS)
        return command_run(a, c, "") | EFFECT_DRAW;
    char name[KEY_NAME_MAX];
    key_name(k, name);
    app_say(a, VM_INFO, "%s does nothing here; ? lists the keys, i goes to the prompt", name);
    return EFFECT_DRAW;
}

/* ---- completion
 * ----------------------------------------------------------------------------------- */

struct adding {
    void (*add)(void *list, const char *candidate);
    void *list;
};

static void complete_words(struct adding *to, const char *words)
{
    char copy[256], *rest = copy, *w;
    snprintf(copy, sizeof copy, "%s", words);
    while ((w = strtok_r(rest, " |", &rest)))
        to->add(to->list, w);
}

static void complete_names(struct adding *to, bool slash)
{
    char name[64];
    for (int c = 0; c < COMMANDS; c++)
        if (*command_info[c].name) {
            snprintf(name, sizeof name, "%s%s", slash ? "/" : "", command_info[c].name);
            to->add(to->list, name);
        }
}

/* True: file names instead. */
static bool complete_argument(struct app *a, struct adding *to, enum command c, bool first)
{
    switch (c) {
    case COMMAND_load:
    case COMMAND_model:
        return true;
    case COMMAND_export:
        complete_words(to, first ? "md json jsonl csv trace cast" : "");
        return !first;
    case COMMAND_map:
        complete_words(to, first ? "csv svg ppm" : "");
        return !first;
    case COMMAND_metric:
        for (int m = 0; m < METRICS; m++)
            to->add(to->list, metric_name[m]);
        return false;
    case COMMAND_summarize:
    case COMMAND_style:
        for (uint32_t i = 0; a->shape && i < a->shape->n_control; i++)
            to->add(to->list, a->shape->control[i].name);
        return false;
    case COMMAND_set:
        for (int k = 0; first && k < CONFIG_KEYS; k++)
            to->add(to->list, config_info[k].name);
        return false;
    case COMMAND_compare:
        complete_words(to, "masked open model:");
        return false;
    case COMMAND_theme:
        complete_words(to, "terminal dark light mono ascii");
        return false;
    case COMMAND_log:
    case COMMAND_mouse:
        complete_words(to, "on off");
        return false;
    default:
        return false;
    }
}

bool input_complete(void *user, const char *line, size_t start, const char *word,
                    void (*add)(void *list, const char *candidate), void *list)
{
    struct app *a = user;
    struct adding to = {add, list};
    (void)word;
    bool command = a->input == INPUT_COMMAND;
    if (!command && (a->input != INPUT_PROMPT || line[0] != '/'))
        return false;
    if (start == 0) {
        complete_names(&to, !command);
        return false;
    }
    const char *name = command ? line : line + 1;
    size_t n = strcspn(name, " "), gap = n + strspn(name + n, " ");
    bool first = start <= gap + !command;
    return complete_argument(a, &to, command_find(name, n), first);
}
