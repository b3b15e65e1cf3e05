/* position.h - embeds token ids: a row of the embedding plus its position (spec 1.2, 1.3).
 *
 * Owns: nothing.  Errors: ERR_INPUT past the last position.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_POSITION_H
#define TERRA_POSITION_H

#include "engine/model.h"

/* out[n][d]: rows of `emb` for ids (clipped to the vocabulary) at positions first... */
bool embed_rows(struct compute *c, const struct mat *emb, const struct positions *p,
                const int32_t *ids, size_t n, size_t first, float *out, struct err *e);

/* Number of positions, SIZE_MAX if unlimited. */
size_t position_limit(const struct positions *p);

#endif
