/* SPDX-License-Identifier: MIT */
#include "engine/base/xalloc.h"

#include "engine/base/err.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*restore_hook)(void);

void xalloc_set_hook(void (*restore_terminal)(void))
{
    restore_hook = restore_terminal;
}

static void *or_die(void *p)
{
    if (p)
        return p;
    if (restore_hook)
        restore_hook();
    fputs("terra: out of memory\n", stderr);
    _Exit(ERR_RESOURCE); /* atexit handlers may allocate, too */
}

bool size_mul(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool size_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

void *xmalloc(size_t n)
{
    return or_die(malloc(n ? n : 1));
}

void *xcalloc(size_t n, size_t size)
{
    return or_die(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes))
        return or_die(NULL);
    return or_die(realloc(p, bytes ? bytes : 1));
}

char *xstrndup(const char *s, size_t n)
{
    size_t size;
    char *p = or_die(size_add(n, 1, &size) ? malloc(size) : NULL);
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}
