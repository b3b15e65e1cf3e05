/* SPDX-License-Identifier: MIT */
#include "engine/base/json_out.h"

#include "engine/base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void add_quoted(struct buf *b, const char *s, size_t n)
{
    buf_add_byte(b, '"');
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        char out[4];
        i += utf8_decode(s + i, n - i, &cp, NULL);
        if (cp == '"' || cp == '\\')
            buf_printf(b, "\\%c", (char)cp);
        else if (cp == '\n')
            buf_add_str(b, "\\n");
        else if (cp == '\t')
            buf_add_str(b, "\\t");
        else if (cp == '\r')
            buf_add_str(b, "\\r");
        else if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0))
            buf_printf(b, "\\u%04" PRIx32, cp);
        else
            buf_add(b, out, utf8_encode(cp, out));
    }
    buf_add_byte(b, '"');
}

/* The comma and key of the next value.  The last byte tells whether one precedes it:
 * every value ends in a digit, a letter, a quote or a closing bracket. */
static void begin(struct buf *b, const char *key)
{
    char last = b->len ? b->data[b->len - 1] : '\n';
    if (last != '{' && last != '[' && last != '\n')
        buf_add_byte(b, ',');
    if (key) {
        add_quoted(b, key, strlen(key));
        buf_add_byte(b, ':');
    }
}

void json_open(struct buf *b, const char *key, char bracket)
{
    begin(b, key);
    buf_add_byte(b, bracket);
}

void json_close(struct buf *b, char bracket)
{
    buf_add_byte(b, bracket);
}

void json_str(struct buf *b, const char *key, const char *s, size_t n)
{
    begin(b, key);
    add_quoted(b, s, n);
}

void json_cstr(struct buf *b, const char *key, const char *s)
{
    if (s)
        json_str(b, key, s, strlen(s));
    else
        json_null(b, key);
}

void json_int(struct buf *b, const char *key, int64_t v)
{
    begin(b, key);
    buf_printf(b, "%" PRId64, v);
}

void json_base64(struct buf *b, const char *key, const void *data, size_t n)
{
    begin(b, key);
    buf_add_byte(b, '"');
    buf_add_base64(b, data, n);
    buf_add_byte(b, '"');
}

void json_num(struct buf *b, const char *key, double v, int digits)
{
    if (!isfinite(v)) {
        json_null(b, key);
        return;
    }
    begin(b, key);
    char text[64];
    int n = snprintf(text, sizeof text, "%.*g", digits, v);
    for (int i = 0; i < n; i++) /* a locale's decimal comma */
        if (text[i] == ',')
            text[i] = '.';
    buf_add_str(b, text);
}

void json_bool(struct buf *b, const char *key, bool v)
{
    begin(b, key);
    buf_add_str(b, v ? "true" : "false");
}

void json_null(struct buf *b, const char *key)
{
    begin(b, key);
    buf_add_str(b, "null");
}
