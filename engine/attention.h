/* attention.h - the attention half of a block: norm, projections, cache, core, output.
 *
 * Purpose: acc += Attention(LN(x)), spec 2.4 - 2.6 and 3.  In the decoder it is causal
 *          and appends to the caches; the encoder uses the same code over fresh caches.
 * Owns:    nothing.  Errors: attention_check, before a pass.  Threads: see pass.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_ATTENTION_H
#define TERRA_ATTENTION_H

#include "engine/pass.h"

/* x, acc: [n][d], the two streams; row 0 of x is row `first` of the caches.  A layer without
 * a norm (ln.scale NULL, only in tests) takes x as it is. */
void attention_run(struct pass *p, const struct attention *a, struct att_state *st,
                   const float *x, size_t n, size_t first, bool causal, float *acc);

/* Rows of the layer's rings: the length kernel of its convolutions, 0 for other types. */
uint32_t attention_ring(const struct attention *a);

/* Whether this layer computes a function of the whole sequence at `rows` rows, so that it
 * cannot be decoded incrementally. */
bool attention_is_lsh(const struct attention *a, size_t rows);

/* Whether a whole sequence of `rows` rows can pass: ERR_INPUT if chunks do not divide it
 * where they must, or LSH is due and the model stores no rotations. */
bool attention_check(const struct attention *a, size_t rows, bool causal, struct err *e);

#endif
