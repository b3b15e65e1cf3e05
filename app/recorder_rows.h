/* recorder_rows.h - a run's choices, until they are stored.
 *
 * Purpose: rows of chosen units in step with a run's tokens or source rows; rows that the
 *          store has are forgotten, and can be put back should its file be lost.
 * Owns:    its arrays.  Errors: none (memory: xalloc.h).  Threads: the recorder's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_RECORDER_ROWS_H
#define TERRA_APP_RECORDER_ROWS_H

#include "data/store.h"
#include "engine/terra.h"

/* Rows before `base` are forgotten. */
struct rows {
    uint16_t *unit; /* [cap][layers][blocks] */
    uint8_t *alive;
    float *margin;
    uint32_t layers, blocks;
    size_t base, n, cap; /* n counts from row 0, cap from base */
};

void rows_free(struct rows *w);
/* Bytes held. */
size_t rows_memory(const struct rows *w);
/* Room for n_all rows, counted from row 0; returns the bytes that takes.  Rows of the encoder
 * come layer by layer and begin blank; a token's comes whole. */
size_t rows_grow(struct rows *w, size_t n_all, bool blank);
/* Rows before `end` are stored. */
void rows_forget(struct rows *w, size_t end);
/* Puts the forgotten rows, all of which t has, back in front; returns bytes as rows_grow. */
size_t rows_recall(struct rows *w, const struct store_trace *t);

#endif
