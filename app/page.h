/* page.h - plain pages: statistics, the model's card, tokens alike.
 *
 * Owns:    the state's page.  Errors: page_like: the store's.  Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_PAGE_H
#define TERRA_APP_PAGE_H

#include "app/state.h"

void page_stats(struct app *a);
void page_model(struct app *a);
/* Tokens of stored runs like token `pos` of the run on screen. */
bool page_like(struct app *a, int64_t pos, struct err *e);

#endif
