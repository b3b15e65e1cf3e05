/* pane.h - what each part of the screen looks like.
 *
 * Purpose: every function draws one view model into one surface and does nothing
 *          else.  Each copes with any size, down to nothing.
 * Owns:    nothing.  Errors: none.
 * Threads: the drawing thread only.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_PANE_H
#define TERRA_UI_PANE_H

#include "ui/surface.h"
#include "ui/theme.h"
#include "ui/vm.h"

/* A rule with a title: "-- title ------ right --". */
void pane_rule(struct surface *s, const struct theme *t, int y, const char *title,
               const char *right, bool focus);

/* Bytes of the text to draw within cols; *mark is what follows them: an ellipsis if the
 * text is cut, else "". */
size_t pane_cut(const struct theme *t, const char *text, size_t n, int cols, const char **mark);
/* One line of text, cut like that.  Returns the column after it. */
int pane_textn(struct surface *s, const struct theme *t, int x, int y, int cols,
               const char *text, size_t n, struct style st);
int pane_text(struct surface *s, const struct theme *t, int x, int y, int cols,
              const char *text, struct style st);

void pane_header(struct surface *s, const struct theme *t, const struct vm_header *vm);
void pane_message(struct surface *s, const struct theme *t, const struct vm_message *vm);
void pane_hints(struct surface *s, const struct theme *t, const struct vm_hints *vm);

/* Rows the prompt wants at this width, 1..10. */
int pane_prompt_rows(const struct vm_prompt *vm, int cols);
/* Returns the cursor's cell, relative to s; both negative: hidden. */
void pane_prompt(struct surface *s, const struct theme *t, const struct vm_prompt *vm, int *cx,
                 int *cy);
/* The completion list, growing upwards from the bottom of s. */
void pane_popup(struct surface *s, const struct theme *t, const struct vm_prompt *vm);

/* With `title` a rule is drawn first. */
void pane_output(struct surface *s, const struct theme *t, const struct vm_output *vm,
                 bool title, bool focus);
int pane_output_rows(int h, bool title);
int32_t pane_output_at(int w, int h, const struct vm_output *vm, bool title, int x, int y);

/* Two rows at least: sparkline with numbers; four and more: stacked chart. */
void pane_latency(struct surface *s, const struct theme *t, const struct vm_latency *vm,
                  bool focus);
void pane_bandwidth(struct surface *s, const struct theme *t, const struct vm_latency *vm);

/* Rows for the whole map with its legend at a width; packed: two layers in a row where
 * the terminal can show that. */
int pane_map_rows(const struct theme *t, const struct vm_map *vm, int cols, bool packed);
int pane_map_legend(const struct vm_map *vm, int cols); /* rows of the legend alone */
/* Rows that give every block a cell of its own. */
int pane_map_rows_folded(const struct theme *t, const struct vm_map *vm, int cols);
void pane_map(struct surface *s, const struct theme *t, const struct vm_map *vm, bool focus);
bool pane_map_at(int w, int h, const struct theme *t, const struct vm_map *vm, int x, int y,
                 uint32_t *layer, uint32_t *block);
/* Unit counts of the cursor's block, with title. */
void pane_units(struct surface *s, const struct theme *t, const struct vm_map *vm);
/* Block x unit of the cursor's layer: what was chosen now and recently. */
void pane_choices(struct surface *s, const struct theme *t, const struct vm_map *vm);
void pane_agree(struct surface *s, const struct theme *t, const struct vm_agree *vm,
                int32_t token);
void pane_strip(struct surface *s, const struct theme *t, const struct vm_strip *vm,
                bool focus);

void pane_compare(struct surface *s, const struct theme *t, const struct vm_compare *vm);
void pane_sessions(struct surface *s, const struct theme *t, const struct vm_sessions *vm,
                   int *cx, int *cy);
bool pane_sessions_at(int w, int h, const struct vm_sessions *vm, int x, int y, size_t *row);
void pane_inspect(struct surface *s, const struct theme *t, const struct vm_inspect *vm);
void pane_page(struct surface *s, const struct theme *t, const struct vm_page *vm);
void pane_help(struct surface *s, const struct theme *t, const struct vm_help *vm);
void pane_dialog(struct surface *s, const struct theme *t, const struct vm_dialog *vm);

#endif
