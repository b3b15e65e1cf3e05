/* json_out.h - JSON text appended to a buffer, one value at a time.
 *
 * Purpose: output lines of the command line and of exports.  Writes commas itself.
 *          Numbers use '.', whatever the locale.  Strings are made valid UTF-8:
 *          malformed bytes become U+FFFD.
 * Owns:    nothing; the buffer is the caller's.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_JSON_OUT_H
#define TERRA_BASE_JSON_OUT_H

#include "engine/base/buf.h"

/* `key` is NULL inside arrays and at the top level. */
void json_open(struct buf *b, const char *key, char bracket); /* '{' or '[' */
void json_close(struct buf *b, char bracket);                 /* '}' or ']' */
void json_str(struct buf *b, const char *key, const char *s, size_t n);
void json_cstr(struct buf *b, const char *key, const char *s); /* NULL: null */
void json_int(struct buf *b, const char *key, int64_t v);
void json_base64(struct buf *b, const char *key, const void *data, size_t n);
void json_num(struct buf *b, const char *key, double v, int digits); /* NaN, Inf: null */
void json_bool(struct buf *b, const char *key, bool v);
void json_null(struct buf *b, const char *key);

#endif
