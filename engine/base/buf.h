/* buf.h - growable byte buffer, always NUL-terminated past its length.
 *
 * Owns:    its bytes; free with buf_free, or take them with buf_take.
 * Errors:  growth failure aborts through xalloc (small allocations only; model-
 *          sized memory uses explicit checks).
 * Threads: one owner at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_BUF_H
#define TERRA_BASE_BUF_H

#include "engine/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL while empty and never grown */
    size_t len;
    size_t cap;
};

void buf_free(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t n);
void buf_add_str(struct buf *b, const char *s);
void buf_add_byte(struct buf *b, char c);
void buf_add_base64(struct buf *b, const void *data, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) ERR_PRINTF(2, 3);
const char *buf_str(const struct buf *b); /* "" when empty */
char *buf_take(struct buf *b);            /* caller frees; b becomes empty */

#endif
