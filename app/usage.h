/* usage.h - how evenly the units of a sparse feed-forward are used.
 *
 * Purpose: entropy, effective units and unused units from counts, each beside what
 *          chance alone gives for as many rows: small samples lie.
 * Owns:    nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_USAGE_H
#define TERRA_APP_USAGE_H

#include <stdbool.h>
#include <stdint.h>

struct usage {        /* of one block, or the mean over some */
    double entropy;   /* bits, of the counts as they are */
    double effective; /* 2^entropy */
    double unused;    /* share of units never chosen */
};

/* count[units] of n rows. */
struct usage usage_of(const uint64_t *count, uint32_t units);
/* Mean over blocks of count[blocks][units]. */
struct usage usage_mean(const uint64_t *count, uint32_t blocks, uint32_t units);
/* What n rows of uniform choices are expected to give. */
struct usage usage_chance(uint64_t n, uint32_t units);
/* May a unit that was not chosen in n rows be called dead? */
bool usage_is_evidence(uint64_t n, uint64_t documents, uint32_t units);

#endif
