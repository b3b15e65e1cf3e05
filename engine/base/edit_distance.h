/* edit_distance.h - how far two names are apart, for "did you mean".
 *
 * Owns: nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_EDIT_DISTANCE_H
#define TERRA_BASE_EDIT_DISTANCE_H

#include <limits.h>
#include <stddef.h>

#define EDIT_DISTANCE_FAR UINT_MAX /* of names longer than 63 bytes */

/* Bytes put in, left out or exchanged, and swaps of neighbours. */
unsigned edit_distance(const char *a, size_t n_a, const char *b, size_t n_b);

#endif
