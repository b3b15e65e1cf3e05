/* map64.h - hash map from 64-bit keys to 32-bit values, for vocabularies.
 *
 * Owns:    its table until map64_free (a zeroed struct is an empty map).
 * Errors:  none; growth is a small allocation.
 * Threads: any number of readers, or one writer.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_MAP64_H
#define TERRA_MAP64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map64_entry {
    uint64_t key;
    uint32_t value, used;
};

struct map64 {
    struct map64_entry *entry;
    size_t n, cap; /* cap is 0 or a power of two */
};

bool map64_get(const struct map64 *m, uint64_t key, uint32_t *value);
void map64_set(struct map64 *m, uint64_t key, uint32_t value); /* replaces */
void map64_free(struct map64 *m);

#endif
