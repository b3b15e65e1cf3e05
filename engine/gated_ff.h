/* gated_ff.h - feed-forward layers that trax has and Terraformer does not reach.
 *
 * Purpose: BlockSparseFF, SwitchSparseFF and the sparse layer times its controller's
 *          softmax (spec 2.7, last paragraphs).  Plain code: exact, not tuned, always
 *          gathered.
 * Owns: nothing.  Errors: none.  Threads: see pass.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_GATED_FF_H
#define TERRA_GATED_FF_H

#include "engine/pass.h"

/* p->s.y = layer(p->s.x) for n rows of a tile, with the choices in p->s. */
void gated_ff_run(struct pass *p, const struct ff *ff, size_t first_row, size_t n);

#endif
