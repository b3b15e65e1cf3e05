/* pool.h - many small pieces of memory, freed together.
 *
 * Purpose: where readers of the store, of documents and of fixtures put what they
 *          return.  A caller keeps one pool per thing it shows and clears it before
 *          it asks again.  Zero-initialise to start.
 * Owns:    its blocks; pool_free releases every piece at once.
 * Errors:  none; growth failure ends the program through xalloc.
 * Threads: one owner at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_POOL_H
#define TERRA_DATA_POOL_H

#include <stddef.h>

struct pool_block;

struct pool {
    struct pool_block *last; /* newest block; NULL while empty */
};

/* n elements of `size` bytes, zeroed, aligned for any type; never NULL. */
void *pool_get(struct pool *p, size_t n, size_t size);
/* A copy with a NUL behind it; never NULL. */
char *pool_copy(struct pool *p, const void *data, size_t n);
char *pool_str(struct pool *p, const char *s); /* NULL stays NULL */
/* Room for one more behind n elements: the list itself, or a copy twice as large (the old
 * one stays in the pool).  Start with NULL and cap 0. */
void *pool_grow(struct pool *p, void *list, size_t n, size_t *cap, size_t size);
void pool_free(struct pool *p); /* p is empty afterwards, and usable */

#endif
