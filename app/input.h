/* input.h - what a key does, wherever the keys are going.
 *
 * Owns:    nothing.  Errors: the message row.  Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_INPUT_H
#define TERRA_APP_INPUT_H

#include "app/state.h"

/* EFFECT_... flags. */
unsigned input_key(struct app *a, const struct key *k);

/* Candidates for the prompt line, for line_edit. */
bool input_complete(void *user, const char *line, size_t start, const char *word,
                    void (*add)(void *list, const char *candidate), void *list);

/* A submitted line of the prompt. */
unsigned input_prompt(struct app *a, const char *text);

#endif
