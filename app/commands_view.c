/* Commands for leaving, views and panes.
 * SPDX-License-Identifier: MIT */
#include "app/commands_do.h"
#include "app/live.h"
#include "app/page.h"
#include "app/state.h"

#include <stdio.h>
#include <string.h>

/* ---- stopping, leaving ------------------------------------------------------------------ */

unsigned do_stop(struct app *a, const char *arg)
{
    (void)arg;
    if (worker_busy(a->worker) && a->busy != BUSY_MEASURE)
        return live_cancel(a);
    if (a->play.on || a->compare.play.on) {
        a->play.on = a->compare.play.on = false;
        return EFFECT_DRAW;
    }
    app_say(a, VM_INFO, "nothing is running; C-d on an empty prompt quits");
    return EFFECT_DRAW;
}

unsigned do_escape(struct app *a, const char *arg)
{
    (void)arg;
    if (app_running(a))
        return live_cancel(a);
    if (a->play.on || a->compare.play.on)
        a->play.on = a->compare.play.on = false;
    else if (a->view != VM_MAIN)
        return do_back(a, "");
    else if (a->focus == VM_PROMPT)
        a->focus = VM_OUTPUT;
    else if (a->zoom != VM_ZOOM_ALL)
        a->zoom = VM_ZOOM_ALL;
    else if (a->cursor >= 0 || a->pinned >= 0) {
        a->cursor = a->pinned = -1;
        flow_view_end(&a->flow_view);
    } else
        a->focus = VM_PROMPT;
    return EFFECT_DRAW | EFFECT_MAP;
}

static unsigned quit_chosen(struct app *a, size_t which)
{
    (void)a;
    return which == 0 ? EFFECT_QUIT : EFFECT_DRAW;
}

unsigned do_bye(struct app *a, const char *arg)
{
    (void)a;
    (void)arg;
    return EFFECT_QUIT;
}

unsigned do_back(struct app *a, const char *arg)
{
    (void)arg;
    if (a->view != VM_MAIN) {
        *a->message = 0;
        a->view = VM_MAIN;
        a->focus = a->run.n ? VM_OUTPUT : VM_PROMPT;
        return EFFECT_DRAW | EFFECT_MAP;
    }
    struct app_dialog *d = &a->dialog;
    *d = (struct app_dialog){.open = true, .n = 2, .chosen = quit_chosen};
    snprintf(d->title, sizeof d->title, "quit?");
    snprintf(d->text, sizeof d->text, "%s",
             app_running(a) ? "A reply is still being written; what there is will be kept."
             : a->recorder && !live_banner(a) ? "Everything is saved."
                                              : "");
    snprintf(d->key[0], sizeof d->key[0], "y");
    snprintf(d->choice[0], sizeof d->choice[0], "quit");
    snprintf(d->key[1], sizeof d->key[1], "n");
    snprintf(d->choice[1], sizeof d->choice[1], "stay");
    return EFFECT_DRAW;
}

unsigned do_suspend(struct app *a, const char *arg)
{
    (void)a;
    (void)arg;
    return EFFECT_SUSPEND;
}

unsigned do_redraw(struct app *a, const char *arg)
{
    (void)a;
    (void)arg;
    return EFFECT_DRAW | EFFECT_MAP | EFFECT_REDRAW;
}

/* ---- views and panes ------------------------------------------------------------------------
 */

unsigned do_help(struct app *a, const char *arg)
{
    a->help.open = true;
    a->help.selected = 0;
    snprintf(a->help.filter, sizeof a->help.filter, "%s", arg);
    return EFFECT_DRAW;
}

unsigned do_help_key(struct app *a, const char *arg)
{
    (void)arg;
    return do_help(a, "");
}

unsigned do_command(struct app *a, const char *arg)
{
    (void)arg;
    app_ask(a, INPUT_COMMAND, ":", "");
    return EFFECT_DRAW;
}

unsigned do_prompt(struct app *a, const char *arg)
{
    (void)arg;
    a->view = VM_MAIN;
    a->focus = VM_PROMPT;
    return EFFECT_DRAW | EFFECT_MAP;
}

static bool pane_visible(const struct app *a, enum vm_pane p)
{
    const struct layout *l = &a->screen.layout;
    switch (p) {
    case VM_PROMPT:
    case VM_OUTPUT:
        return true;
    case VM_MAP:
        return l->map.h > 0;
    case VM_LATENCY:
        return l->latency.h > 0;
    case VM_STRIP:
        return l->strip.h > 0;
    default:
        return false;
    }
}

static unsigned move_focus(struct app *a, int dir)
{
    if (a->view != VM_MAIN) {
        a->focus = a->focus == VM_OTHER ? VM_PROMPT : VM_OTHER;
        if (a->focus == VM_PROMPT)
            a->view = VM_MAIN;
        return EFFECT_DRAW | EFFECT_MAP;
    }
    int p = (int)a->focus;
    do
        p = (p + dir + VM_OTHER) % VM_OTHER;
    while (!pane_visible(a, (enum vm_pane)p));
    a->focus = (enum vm_pane)p;
    a->map_cursor |= a->focus == VM_MAP;
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_pane_next(struct app *a, const char *arg)
{
    (void)arg;
    return move_focus(a, 1);
}

unsigned do_pane_prev(struct app *a, const char *arg)
{
    (void)arg;
    return move_focus(a, -1);
}

unsigned do_view_main(struct app *a, const char *arg)
{
    (void)arg;
    a->view = VM_MAIN;
    if (a->focus == VM_OTHER)
        a->focus = VM_OUTPUT;
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_view_compare(struct app *a, const char *arg)
{
    (void)arg;
    if (a->view != VM_COMPARE)
        *a->message = 0; /* it was about another view */
    a->view = VM_COMPARE;
    a->focus = VM_OTHER;
    if (!a->compare.any)
        app_say(a, VM_INFO, "nothing was compared yet; B chooses what to compare with");
    return EFFECT_DRAW;
}

unsigned do_inspect(struct app *a, const char *arg)
{
    (void)arg;
    if (a->shown == 0) {
        app_say(a, VM_INFO, "nothing to inspect yet: run or open something first");
        return EFFECT_DRAW;
    }
    a->view = VM_INSPECT;
    a->focus = VM_OTHER;
    *a->message = 0; /* it was about another view */
    return EFFECT_DRAW | EFFECT_MAP;
}

unsigned do_stats(struct app *a, const char *arg)
{
    (void)arg;
    page_stats(a);
    return EFFECT_DRAW;
}

unsigned do_freeze(struct app *a, const char *arg)
{
    (void)arg;
    app_say(a, VM_INFO, "frozen: any key lets the screen go on");
    a->frozen = true;
    return EFFECT_DRAW;
}

unsigned do_theme(struct app *a, const char *arg)
{
    static const char *const name[] = {"terminal", "dark", "light", "mono", "ascii"};
    int choice = (a->theme_choice + 1) % 5;
    if (*arg) {
        for (choice = 4; choice > 0 && strcmp(name[choice], arg) != 0; choice--)
            ;
        if (choice == 0 && strcmp(arg, "terminal") != 0 && strcmp(arg, "auto") != 0) {
            app_say(a, VM_WARN, "theme '%.40s'? choose terminal, dark, light, mono or ascii",
                    arg);
            return EFFECT_DRAW;
        }
    }
    a->theme_choice = choice;
    if (a->term)
        a->theme = term_theme(a->term);
    if (choice == 1 || choice == 2)
        a->theme.light = choice == 2;
    if (choice == 3)
        a->theme.depth = THEME_MONO;
    if (choice == 4)
        a->theme.blocks = false;
    app_say(a, VM_INFO, "theme: %s", name[choice]);
    return EFFECT_DRAW | EFFECT_MAP | EFFECT_REDRAW;
}

unsigned do_mouse(struct app *a, const char *arg)
{
    a->mouse = strcmp(arg, "on") == 0 || (strcmp(arg, "off") != 0 && !a->mouse);
    if (a->term)
        term_mouse(a->term, a->mouse);
    app_say(a, VM_INFO, a->mouse ? "mouse on; Shift+drag selects text as usual" : "mouse off");
    return EFFECT_DRAW;
}
