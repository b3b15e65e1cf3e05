/* summarize_impl.h - what the files of summarize.h share.
 *
 * Owns: nothing.  Errors, threads: see summarize.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_SUMMARIZE_IMPL_H
#define TERRA_APP_SUMMARIZE_IMPL_H

#include "app/summarize.h"

#define SUMMARIZE_SLACK 0.25 /* a wanted length counts as met within this share of it */

/* ---- summarize_text.c: text alone ---- */

bool summarize_is_space(char c);
/* Does text[0..n) end where a sentence ends, whatever comes next?  A point behind a digit may
 * be a number, and one behind "Mr" or "U.S" seldom ends anything. */
bool summarize_ends_sentence(const char *text, size_t n);
/* Moves both ends over white space. */
void summarize_trim(const char *text, size_t *start, size_t *end);
/* The wanted length of a document of tok_total tokens, in the length's own unit. */
double summarize_goal(const struct summarize_length *l, uint64_t tok_total);
/* A summary's length in a unit; `tokens` is what it is for SUMMARIZE_TOKENS. */
double summarize_measure(enum summarize_unit unit, const char *text, size_t n, uint64_t tokens);

/* ---- summarize_plan.c: tokens and chunks ---- */

bool summarize_count_tokens(const struct summarize_opts *o, const char *text, size_t n,
                            struct terra_ids *scratch, uint64_t *out, struct err *e);
/* Tokens of text that one source takes beside control word and end symbol. */
uint32_t summarize_budget(const struct summarize_opts *o, uint32_t max_tokens);

struct summarize_chunks {
    struct summarize_chunk *c; /* free it */
    size_t n, cap;
};

/* Chunks of at most `budget` tokens that together hold the whole text, of like lengths or as
 * full as they can be. */
bool summarize_cut(const struct summarize_opts *o, const char *text, size_t n, uint32_t budget,
                   uint32_t overlap, bool even, struct summarize_chunks *out, struct err *e);

/* ---- summarize_select.c: the chunk summaries that speak for the document ---- */

#define SUMMARIZE_JUDGES 16u /* chunks that are asked, evenly over the document */
#define SUMMARIZE_MOST   24u /* summaries that are judged: those that suit their chunk best */
#define SUMMARIZE_CHOICE 2.0 /* ... and more, until they are this often the wanted length */

struct summarize_candidate { /* the summary of one chunk */
    struct terra_ids ids;    /* the end symbol included */
    struct buf text;
    double own;   /* its log-probability behind its own chunk */
    double score; /* of a kept one: how well the document supports it, higher is better */
    bool keep;    /* worth choosing at all */
};

/* Judges the summaries of all n chunks by chunks from the whole document; the session's
 * timeline is lost.  max_tokens: of the longest candidate; goal: the wanted length, or 0. */
bool summarize_select(const struct summarize_opts *o, struct terra_session *s,
                      const struct summarize_sink *sink, const char *text,
                      const struct summarize_chunk *chunk, struct summarize_candidate *c,
                      size_t n, uint32_t max_tokens, double goal, struct err *e);

#endif
