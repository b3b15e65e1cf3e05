/* numbers.h - what the numbers on the screens mean.
 *
 * Purpose: one table, from numbers.def, for the help view and `terra help numbers`.
 * Owns:    nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_NUMBERS_H
#define TERRA_APP_NUMBERS_H

#include "engine/base/buf.h"

enum number_count {
    NUMBERS = 0
#define NUMBER(name, text, more) +1
#include "app/numbers.def"
#undef NUMBER
};

struct number_info {
    const char *name, *text, *more; /* more: NULL for none */
};
extern const struct number_info number_info[NUMBERS];

/* Is `word` one of the spellings in a name?  Case does not matter. */
bool number_called(const struct number_info *n, const char *word);
/* The whole table as text. */
void numbers_help(struct buf *out);

#endif
