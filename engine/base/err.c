/* SPDX-License-Identifier: MIT */
#include "engine/base/err.h"

#include "engine/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A name out of a damaged file must not reach the terminal as control characters,
 * nor end in half a character where the message was cut. */
static void clean(char *s)
{
    size_t n = utf8_complete(s, strlen(s));
    s[n] = '\0';
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        bool ok;
        size_t len = utf8_decode(s + i, n - i, &cp, &ok);
        if (!ok || cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0x2028 || cp == 0x2029 ||
            (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069))
            memset(s + i, '?', len);
        i += len;
    }
}

bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    if (!e)
        return false;
    va_list args;
    va_start(args, fmt);
    e->kind = kind;
    vsnprintf(e->msg, sizeof e->msg, fmt, args);
    va_end(args);
    clean(e->msg);
    return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e)
        return false;
    char old[sizeof e->msg];
    memcpy(old, e->msg, sizeof old);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, args);
    va_end(args);
    size_t at = n > 0 ? (size_t)n : 0;
    if (at + 3 < sizeof e->msg) {
        size_t room = sizeof e->msg - at - 3, len = strlen(old);
        memcpy(e->msg + at, ": ", 2);
        memcpy(e->msg + at + 2, old, len < room ? len : room);
        e->msg[at + 2 + (len < room ? len : room)] = '\0';
    }
    clean(e->msg);
    return false;
}
