/* pool.h - a fixed set of threads that share loops.
 *
 * Purpose: splits work that is already cut into items.  The caller's thread takes
 *          part.  Waiting threads spin briefly, then sleep: an idle pool uses no CPU.
 * Owns:    its threads, until pool_close.
 * Errors:  pool_open reports ERR_RESOURCE.
 * Threads: one caller at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_POOL_H
#define TERRA_POOL_H

#include "engine/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct pool;

struct pool *pool_open(uint32_t threads, struct err *e);
void pool_close(struct pool *p);
uint32_t pool_threads(const struct pool *p);

/* Calls fn(arg, piece, i0, i1) so that [0, n) is covered once, in contiguous ranges that are
 * multiples of `grain` (but the last), at most one per thread.  `piece` is below the number
 * of threads and no other call has it at the same time: it may choose scratch memory.
 * Returns when all are done.  The ranges may depend on the number of threads: results must
 * not. */
typedef void pool_fn(void *arg, uint32_t piece, size_t i0, size_t i1);
void pool_run(struct pool *p, size_t n, size_t grain, pool_fn *fn, void *arg);

#endif
