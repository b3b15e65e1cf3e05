/* pairs.h - documents with summaries, one JSON object a line.
 *
 * Purpose: the input of `terra eval`: {"document": ..., "summary": ..., "source": ...,
 *          "style": ...}, other keys ignored.
 * Owns:    the last pair's text, until the next call.  The stream is the caller's.
 * Errors:  ERR_INPUT with name, line number and reason.
 * Threads: one reader at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_PAIRS_H
#define TERRA_DATA_PAIRS_H

#include "data/pool.h"
#include "engine/base/buf.h"

#include <stdio.h>

#define PAIRS_MAX_LINE (64u << 20)

struct pair {
    const char *document, *summary; /* never NULL */
    size_t n_document, n_summary;
    const char *source, *style; /* "" if missing */
    uint64_t line;              /* from 1 */
};

struct pairs {
    FILE *in;
    const char *name; /* for messages */
    uint64_t line;
    struct buf text;
    struct pool pool;
};

void pairs_open(struct pairs *p, FILE *in, const char *name);
/* False at the end (e->kind is then ERR_NONE) and on errors.  Blank lines are skipped. */
bool pairs_next(struct pairs *p, struct pair *out, struct err *e);
void pairs_close(struct pairs *p); /* not the stream */

#endif
