/* about.h - the line above a reply that says what it was made of.
 *
 * Purpose: the same words while a run is written and when it is read back from the store.
 * Owns:    nothing.  Errors: none.  Threads: any.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_ABOUT_H
#define TERRA_APP_ABOUT_H

#include "app/generate.h"
#include "data/store.h"

#define ABOUT_TEXT 256

/* "all 225 tokens", or how many of them. */
const char *about_tokens(int64_t n_read, int64_t n_in, char out[80]);

/* "doc.txt: all 225 tokens, style title"; style NULL: none. */
void about_document(const char *name, int64_t n_read, int64_t n_in, const char *style,
                    char out[ABOUT_TEXT]);

/* "chunk 2/4, 200 tokens"; `of` 0: not known. */
void about_part(enum store_kind kind, uint32_t no, uint32_t of, int64_t n_in,
                char out[ABOUT_TEXT]);

struct about_branch {
    size_t after;                   /* tokens given by force */
    const struct generate_pin *pin; /* the question; NULL: it only goes on */
    uint32_t was;                   /* the unit chosen before */
    bool second;                    /* the pin's unit was the controller's second choice */
    size_t kept;                    /* pins of earlier branches */
};
void about_branch(const struct about_branch *b, char out[ABOUT_TEXT]);

#endif
