/* arena.h - one block of memory, handed out in 64-byte aligned pieces.
 *
 * Purpose: everything a model or session needs for its whole life.  Used in two
 *          passes: a dry arena (base NULL) measures, a real one hands out.
 *          Pages nobody writes to cost no memory.
 * Owns:    the block; arena_free releases everything at once.
 * Errors:  arena_open reports ERR_RESOURCE with the size; arena_get returns NULL on
 *          a dry arena and, with `overflow` set, when the sizes do not fit.
 * Threads: one owner at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_ARENA_H
#define TERRA_BASE_ARENA_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct arena {
    char *base;  /* aligned start of the block; NULL: only measuring */
    void *block; /* what free() gets */
    size_t used, cap;
    bool overflow; /* a size product overflowed, or the block is full */
};

/* n elements of `size` bytes, zeroed, aligned to 64. */
void *arena_get(struct arena *a, size_t n, size_t size);
bool arena_open(struct arena *a, size_t cap, struct err *e);
void arena_free(struct arena *a);

#endif
