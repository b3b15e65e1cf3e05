/* SPDX-License-Identifier: MIT */
#include "engine/unicode.h"

#include <stdbool.h>
#include <stddef.h>

#define LETTER(first, last)                                                                    \
    {                                                                                          \
        first, (uint32_t)(last) << 2 | UNICODE_LETTER                                          \
    }
#define NUMBER(first, last)                                                                    \
    {                                                                                          \
        first, (uint32_t)(last) << 2 | UNICODE_NUMBER                                          \
    }
static const struct {
    uint32_t first, last_and_class;
} table[] = {
#include "engine/unicode_table.inc"
};
#undef LETTER
#undef NUMBER

static bool is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || cp == 0x20 || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

enum unicode_class unicode_class(uint32_t cp)
{
    if (cp < 0x80) { /* most text */
        if ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z')
            return UNICODE_LETTER;
        if (cp >= '0' && cp <= '9')
            return UNICODE_NUMBER;
        return is_space(cp) ? UNICODE_SPACE : UNICODE_OTHER;
    }
    size_t lo = 0,
           hi = sizeof table / sizeof *table; /* the first range that ends at cp or later */
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (table[mid].last_and_class >> 2 < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < sizeof table / sizeof *table && table[lo].first <= cp)
        return (enum unicode_class)(table[lo].last_and_class & 3);
    return is_space(cp) ? UNICODE_SPACE : UNICODE_OTHER;
}
