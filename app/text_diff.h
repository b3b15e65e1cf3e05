/* text_diff.h - which pieces of two texts are not in the other.
 *
 * Purpose: marks for the compare view: a longest common subsequence of the pieces (the
 *          tokens) of two replies; what is not part of it differs.
 * Owns:    nothing.  Errors: none.  Threads: reentrant.
 * Cost:    time and memory are the product of the pieces between the first and the last
 *          difference; above TEXT_DIFF_CELLS all of those are marked.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_TEXT_DIFF_H
#define TERRA_APP_TEXT_DIFF_H

#include "app/timeline.h"

#define TEXT_DIFF_CELLS (4u << 20)

/* marks: one for each token of a and of b, true where it differs.  Returns how many do. */
size_t text_diff(const struct timeline *a, const struct timeline *b, bool *marks_a,
                 bool *marks_b);

#endif
