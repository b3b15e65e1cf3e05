/* page.h - plain pages: statistics and the model's card.
 *
 * Owns:    the state's page.  Errors: none.  Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_PAGE_H
#define TERRA_APP_PAGE_H

#include "app/state.h"

void page_stats(struct app *a);
void page_model(struct app *a);

#endif
