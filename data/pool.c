/* SPDX-License-Identifier: MIT */
#include "data/pool.h"

#include "engine/base/xalloc.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 8192

struct pool_block {
    struct pool_block *before;
    size_t used, cap;
    alignas(max_align_t) char data[];
};

void *pool_get(struct pool *p, size_t n, size_t size)
{
    size_t bytes, align = alignof(max_align_t);
    if (!size_mul(n, size, &bytes) || bytes > (size_t)-1 / 2)
        return xmalloc((size_t)-1); /* ends the program as any failed small allocation */
    bytes = (bytes + align - 1) / align * align;
    struct pool_block *b = p->last;
    if (!b || b->cap - b->used < bytes) {
        size_t cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = xmalloc(sizeof *b + cap);
        b->before = p->last;
        b->used = 0;
        b->cap = cap;
        p->last = b;
    }
    void *piece = b->data + b->used;
    b->used += bytes;
    return memset(piece, 0, bytes);
}

char *pool_copy(struct pool *p, const void *data, size_t n)
{
    char *s = pool_get(p, n + 1, 1);
    if (n)
        memcpy(s, data, n);
    return s;
}

char *pool_str(struct pool *p, const char *s)
{
    return s ? pool_copy(p, s, strlen(s)) : NULL;
}

void *pool_grow(struct pool *p, void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    *cap = *cap ? *cap * 2 : 16;
    void *more = pool_get(p, *cap, size);
    if (n)
        memcpy(more, list, n * size);
    return more;
}

void pool_free(struct pool *p)
{
    for (struct pool_block *b = p->last, *before; b; b = before) {
        before = b->before;
        free(b);
    }
    p->last = NULL;
}
