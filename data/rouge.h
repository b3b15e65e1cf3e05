/* rouge.h - overlap of a summary with a reference: ROUGE-1, -2, -L and -Lsum.
 *
 * Purpose: the numbers of the `rouge_score` Python package with its defaults.
 *          Tokens: lower case, everything but a-z and 0-9 separates.  No stemming.
 *          Lsum: sentences end at newlines, union of their common subsequences.
 * Owns:    nothing that outlives a call.
 * Errors:  none; an empty text scores 0.
 * Threads: reentrant.
 * Cost:    time is the product of both lengths (64 pairs of words a step); memory one bit
 *          row for L, and about twice the square root of the reference's words of them
 *          for Lsum.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_ROUGE_H
#define TERRA_DATA_ROUGE_H

#include <stddef.h>

struct rouge_score {
    double precision, recall, f; /* 0 .. 1 */
};

struct rouge {
    struct rouge_score r1, r2, rl, rlsum;
};

/* Printed beside scores. */
#define ROUGE_RULES "rouge_score rules: lower case, a-z0-9 words, no stemming, Lsum by line"

void rouge_compute(const char *reference, size_t n_reference, const char *candidate,
                   size_t n_candidate, struct rouge *out);

#endif
