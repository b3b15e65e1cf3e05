/* SPDX-License-Identifier: MIT */
#include "engine/base/arena.h"

#include "engine/base/xalloc.h"

#include <stdint.h>
#include <stdlib.h>

enum { ALIGN = 64 };

/* Under AddressSanitizer a forbidden gap follows every piece, so that running out of one is
 * seen although all lie in one block. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GUARDED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define GUARDED 1
#endif
#ifdef GUARDED
#include <sanitizer/asan_interface.h>
enum { GAP = ALIGN };
#else
enum { GAP = 0 };
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

void *arena_get(struct arena *a, size_t n, size_t size)
{
    size_t bytes, end;
    if (!size_mul(n, size, &bytes) || !size_add(bytes, GAP + ALIGN - 1, &end) ||
        !size_add(a->used, end & ~(size_t)(ALIGN - 1), &end) || (a->base && end > a->cap)) {
        a->overflow = true;
        return NULL;
    }
    char *p = a->base ? a->base + a->used : NULL;
    if (p)
        ASAN_POISON_MEMORY_REGION(p + bytes, end - a->used - bytes);
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
    if (a->block)
        ASAN_UNPOISON_MEMORY_REGION(a->base, a->cap);
    free(a->block);
    *a = (struct arena){0};
}
