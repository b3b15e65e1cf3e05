/* utf8.h - code points from bytes that may be anything.
 *
 * Owns: nothing.  Errors: malformed bytes decode as U+FFFD, one byte at a time
 * (a truncated but so far valid sequence counts as one).  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_UTF8_H
#define TERRA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_BAD 0xFFFDu

/* Decodes one code point at s (n >= 1 bytes); *cp is UTF8_BAD for malformed input.
 * Returns the bytes consumed, at least 1.  *ok (may be NULL) tells the two U+FFFD apart. */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp, bool *ok);

/* Writes 1..4 bytes to out; an invalid code point is written as U+FFFD. */
size_t utf8_encode(uint32_t cp, char out[4]);

/* Length of the longest prefix of s that does not end inside a sequence which
 * more bytes could still complete. */
size_t utf8_complete(const char *s, size_t n);

/* Number of malformed bytes. */
size_t utf8_count_bad(const char *s, size_t n);

#endif
