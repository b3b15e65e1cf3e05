/* xalloc.h - small allocations that may not fail.
 *
 * Purpose: for objects of at most a few megabytes.  On failure the hook (if the
 *          program set one, to give the terminal back) runs, one line is printed
 *          and the process exits with status 6.  Model-sized memory is allocated
 *          with checks and an `err` instead.
 * Owns:    nothing.
 * Threads: reentrant; the hook is set once before threads start.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_XALLOC_H
#define TERRA_BASE_XALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* libreadline.so exports functions with these very names (and other parameters):
 * hidden, ours do not replace the ones it calls. */
#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size); /* the product is checked */
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n); /* exactly n bytes, NULs kept, and a NUL behind */

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

void xalloc_set_hook(void (*restore_terminal)(void));

/* a * b into *out; false on overflow. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

#endif
