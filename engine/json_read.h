/* json_read.h - JSON out of files that may be anything.
 *
 * Purpose: one guard in front of cJSON: nesting and number of values are counted
 *          before anything is allocated, nothing may follow the value, and numbers
 *          are read as exact integers.
 * Owns:    the caller frees the tree with cJSON_Delete.
 * Errors:  ERR_MODEL.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_JSON_READ_H
#define TERRA_JSON_READ_H

#include "engine/base/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

cJSON *json_read(const char *text, size_t n, unsigned max_depth, size_t max_values,
                 struct err *e);

/* A whole number in 0..max, max <= 2^53. */
bool json_whole(const cJSON *item, uint64_t max, uint64_t *out);

/* A value as one short line for messages, e.g. "abc", 1.5, a list. */
const char *json_show(const cJSON *item, char out[48]);

#endif
