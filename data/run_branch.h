/* run_branch.h - what a stored run's parameters say about the branch it is.
 *
 * Purpose: "after", "pin" and "kept", as man terra-db tells them.  run_branch.c holds the
 *          store_param functions of store.h, too.
 * Owns:    nothing.
 * Errors:  false if the run is no branch; a count that is none reads as 0.
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_RUN_BRANCH_H
#define TERRA_DATA_RUN_BRANCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run_branch {
    uint32_t after; /* target tokens given by force */
    bool pinned;    /* a block was pinned from there on: the next four */
    uint32_t layer, block, unit, was;
    size_t kept; /* pins of earlier branches */
};

bool run_branch(const char *params, struct run_branch *out);

#endif
