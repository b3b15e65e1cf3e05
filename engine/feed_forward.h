/* feed_forward.h - the feed-forward half of a block: main layer plus SRU branch.
 *
 * Purpose: acc += Main(LN_a(x)) + Dense_out(SRU(Dense_in(LN_s(x)))), spec 2.7 and 2.8.
 * Owns: nothing.  Errors: none.  Threads: see pass.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_FEED_FORWARD_H
#define TERRA_FEED_FORWARD_H

#include "engine/pass.h"

/* x, acc: [n][d], the two streams.  first_row numbers the rows for observers. */
void feed_forward_run(struct pass *p, const struct ff *ff, struct ff_state *st, const float *x,
                      size_t n, size_t first_row, float *acc);

/* One SRU layer over n rows of width w, in place; gates: [n][3w] = r, f, y, overwritten; carry
 * [w] moves on.  Spec 2.8. */
void sru_run(const struct kernels *k, float *gates, float *x, size_t n, size_t w, float *carry);

#endif
