/* live.h - work given to the worker, and what it answers.
 *
 * Purpose: opens models, reads documents, runs summaries and compares; turns the
 *          worker's mail into state, text and stored runs.
 * Owns:    nothing: all of it is in the state.
 * Errors:  the message row.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_LIVE_H
#define TERRA_APP_LIVE_H

#include "app/state.h"

/* The settings of summaries go together, and with the model if one is open. */
bool live_settings_fit(struct app *a, struct err *e);

/* Each returns effects, and refuses with a message while something else runs. */
unsigned live_open_model(struct app *a, const char *path);
unsigned live_read(struct app *a, const char *path);
/* A text as what was asked, its beginning if it is long. */
void live_echo(struct app *a, const char *text, size_t n);
/* The loaded document. */
unsigned live_run_document(struct app *a);
unsigned live_run_prompt(struct app *a, const char *text, size_t n);
unsigned live_again(struct app *a); /* the last prompt or document */
unsigned live_compare(struct app *a, enum compare_kind kind, const char *model_b);
/* Goes on where the token limit ended the run on screen. */
unsigned live_continue(struct app *a);
/* Writes again from the token at the cursor with the map's block pinned to `unit`; -1: the
 * controller's second choice.  Pins of the run on screen stay. */
unsigned live_what_if(struct app *a, int32_t unit);
/* The page of what the model would write after each decoder layer in place of `token`. */
unsigned live_lens(struct app *a, int64_t token);
unsigned live_cancel(struct app *a);

/* Everything the worker said since the last call. */
unsigned live_mail(struct app *a);

/* The run on screen came from the store. */
void live_origin_stored(struct app *a, const struct store_run *r);
void live_origin_free(struct app *a);

/* Store and recorder. */
void live_store_open(struct app *a);
void live_recorder_open(struct app *a); /* for a->session; closes the one before */
void live_recorder_close(struct app *a);
const char *live_trouble(const struct app *a); /* of the last write; NULL */
const char *live_banner(const struct app *a);  /* why runs are not saved; NULL */

/* Name of the control word in use; NULL: none. */
const char *live_style(const struct app *a);
void live_prompt(struct app *a); /* shows it in front of the prompt */
/* Text and shade of token i of the run are added to the flow. */
void live_flow_token(struct app *a, size_t i);
uint8_t live_shade(const struct app *a, const struct timeline_token *t);
/* Of a token of a compare that the other side did not write. */
uint8_t live_shade_difference(const struct timeline_token *t);

#endif
