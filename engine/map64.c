/* SPDX-License-Identifier: MIT */
#include "engine/map64.h"

#include "engine/base/xalloc.h"

#include <stdlib.h>

static size_t slot(const struct map64 *m, uint64_t key)
{
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    size_t i = (h ^ h >> 32) & (m->cap - 1);
    while (m->entry[i].used && m->entry[i].key != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

bool map64_get(const struct map64 *m, uint64_t key, uint32_t *value)
{
    if (m->cap == 0)
        return false;
    const struct map64_entry *found = &m->entry[slot(m, key)];
    if (found->used)
        *value = found->value;
    return found->used;
}

static void grow(struct map64 *m)
{
    struct map64 bigger = {.n = m->n, .cap = m->cap ? m->cap * 2 : 64};
    bigger.entry = xcalloc(bigger.cap, sizeof *bigger.entry);
    for (size_t i = 0; i < m->cap; i++)
        if (m->entry[i].used)
            bigger.entry[slot(&bigger, m->entry[i].key)] = m->entry[i];
    free(m->entry);
    *m = bigger;
}

void map64_set(struct map64 *m, uint64_t key, uint32_t value)
{
    if (m->n * 2 >= m->cap)
        grow(m);
    struct map64_entry *e = &m->entry[slot(m, key)];
    m->n += !e->used;
    *e = (struct map64_entry){key, value, 1};
}

void map64_free(struct map64 *m)
{
    free(m->entry);
    *m = (struct map64){0};
}
