/* SPDX-License-Identifier: MIT */
#include "engine/base/utf8.h"

/* Bytes of the sequence that starts with c, and the range of its second byte, which
 * excludes overlong forms, surrogates and what lies above U+10FFFF (Unicode table 3-7).
 * 0: c starts no sequence. */
static size_t sequence(unsigned char c, unsigned char *lo, unsigned char *hi)
{
    *lo = 0x80;
    *hi = 0xBF;
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    if (c == 0xE0)
        *lo = 0xA0;
    if (c == 0xED)
        *hi = 0x9F;
    if (c == 0xF0)
        *lo = 0x90;
    if (c == 0xF4)
        *hi = 0x8F;
    return c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* Bytes at s that form the valid beginning of one sequence of *want bytes. */
static size_t valid_part(const char *s, size_t n, size_t *want)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char lo, hi;
    *want = sequence(u[0], &lo, &hi);
    if (*want == 0)
        return 0;
    size_t i = 1;
    for (; i < *want && i < n && u[i] >= lo && u[i] <= hi; i++) {
        lo = 0x80;
        hi = 0xBF;
    }
    return i;
}

size_t utf8_decode(const char *s, size_t n, uint32_t *cp, bool *ok)
{
    static const unsigned char first_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t want, have = valid_part(s, n, &want);
    bool good = want != 0 && have == want;
    if (ok)
        *ok = good;
    *cp = UTF8_BAD;
    if (!good)
        return have ? have : 1;
    uint32_t c = (unsigned char)s[0] & first_mask[want];
    for (size_t i = 1; i < want; i++)
        c = c << 6 | ((unsigned char)s[i] & 0x3F);
    *cp = c;
    return want;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        cp = UTF8_BAD;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(lead[n] | cp);
    return n;
}

size_t utf8_complete(const char *s, size_t n)
{
    /* Only a sequence that begins in the last three bytes can be open. */
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        size_t want, have = valid_part(s + n - back, back, &want);
        if (want > back && have == back)
            return n - back;
    }
    return n;
}

size_t utf8_count_bad(const char *s, size_t n)
{
    size_t bad = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        bool ok;
        size_t len = utf8_decode(s + i, n - i, &cp, &ok);
        if (!ok)
            bad += len;
        i += len;
    }
    return bad;
}
