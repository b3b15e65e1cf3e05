/* page.h - plain pages: statistics, the model's card, a token layer by layer, tokens alike,
 *          tokens that used a unit.
 *
 * Owns:    the state's page.  Errors: page_like: the store's.  Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_PAGE_H
#define TERRA_APP_PAGE_H

#include "app/lens.h"
#include "app/state.h"

void page_stats(struct app *a);
void page_model(struct app *a);
/* What each decoder layer would have written in place of `token` of the run on screen. */
void page_lens(struct app *a, const struct lens *l, int64_t token);
/* The tokens of the run on screen that chose `unit` there, to go to; the cursor is on the one
 * of the token shown. */
void page_users(struct app *a, uint32_t layer, uint32_t block, uint16_t unit);
/* Tokens of stored runs like token `pos` of the run on screen. */
bool page_like(struct app *a, int64_t pos, struct err *e);

#endif
