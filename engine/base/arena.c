/* SPDX-License-Identifier: MIT */
#include "engine/base/arena.h"

#include "engine/base/xalloc.h"

#include <stdint.h>
#include <stdlib.h>

enum { ALIGN = 64 };

void *arena_get(struct arena *a, size_t n, size_t size)
{
    size_t bytes, end;
    if (!size_mul(n, size, &bytes) || !size_add(bytes, ALIGN - 1, &bytes) ||
        !size_add(a->used, bytes & ~(size_t)(ALIGN - 1), &end) || (a->base && end > a->cap)) {
        a->overflow = true;
        return NULL;
    }
    char *p = a->base ? a->base + a->used : NULL;
    a->used = end;
    return p;
}

bool arena_open(struct arena *a, size_t cap, struct err *e)
{
    *a = (struct arena){0};
    size_t bytes;
    if (size_add(cap, ALIGN, &bytes))
        a->block = calloc(1, bytes); /* large blocks come zeroed and untouched */
    if (!a->block)
        return err_set(e, ERR_RESOURCE, "out of memory: %.1f MB wanted in one piece",
                       (double)cap / 1e6);
    a->base = (char *)a->block + (ALIGN - (uintptr_t)a->block % ALIGN) % ALIGN;
    a->cap = cap;
    return true;
}

void arena_free(struct arena *a)
{
    free(a->block);
    *a = (struct arena){0};
}
