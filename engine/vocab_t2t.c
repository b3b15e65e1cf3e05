/* vocab_t2t.c - tensor2tensor's subword text encoder, as spec 6.4 pins it down.
 *
 * Text is cut into tokens of alphanumeric and of other characters; a single space
 * between two tokens is implied.  A token is escaped so that only characters of the
 * alphabet are left, ends in '_', and is cut greedily into the longest subtokens.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"
#include "engine/unicode.h"
#include "engine/vocab_internal.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_LINES = (1 << 24) - 1, GETA = 0x3013 /* stands for an impossible escape */ };

static bool is_alnum(uint32_t cp)
{
    enum unicode_class c = unicode_class(cp);
    return c == UNICODE_LETTER || c == UNICODE_NUMBER;
}

/* ---- loading ------------------------------------------------------------------ */

/* What Python's str.rstrip() removes. */
static bool is_python_space(uint32_t cp)
{
    return unicode_class(cp) == UNICODE_SPACE || (cp >= 0x1C && cp <= 0x1F);
}

/* The subtoken of one line, which is valid UTF-8. */
static const char *trim_line(const char *line, size_t *n)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n;) {
        uint32_t cp;
        i += utf8_decode(line + i, *n - i, &cp, NULL);
        if (!is_python_space(cp))
            kept = i;
    }
    *n = kept;
    if (*n == 0 || line[0] != line[*n - 1] || (line[0] != '\'' && line[0] != '"'))
        return line;
    *n = *n < 2 ? 0 : *n - 2; /* a single quote is both ends */
    return line + 1;
}

static void add_to_alphabet(struct terra_vocab *v, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode(s + i, n - i, &cp, NULL);
        map64_set(&v->alphabet, cp, 1);
    }
}

bool t2t_load(struct terra_vocab *v, const char *text, size_t n, struct err *e)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n' || i + 1 == n;
    if (lines == 0 || lines > MAX_LINES - v->reserved)
        return err_set(e, ERR_MODEL,
                       "%zu lines and %" PRIu32 " reserved ids, wanted 1 to %d in all", lines,
                       v->reserved, MAX_LINES);
    v->n = v->reserved + (uint32_t)lines;
    v->at = xcalloc(v->n + 1, sizeof *v->at);
    v->bytes = xmalloc(n);
    uint32_t used = 0, id = v->reserved;
    for (size_t i = 0; i < n; id++) {
        const char *end = memchr(text + i, '\n', n - i);
        size_t len = end ? (size_t)(end - (text + i)) : n - i;
        if (utf8_count_bad(text + i, len) > 0)
            return err_set(e, ERR_MODEL, "line %" PRIu32 " is not UTF-8", id - v->reserved + 1);
        size_t sub_len = len;
        const char *sub = trim_line(text + i, &sub_len);
        memcpy(v->bytes + used, sub, sub_len);
        used += (uint32_t)sub_len;
        v->at[id + 1] = used;
        if (sub_len > 0)
            trie_add(&v->trie, sub, sub_len, id);
        add_to_alphabet(v, sub, sub_len);
        i += len + 1;
    }
    add_to_alphabet(v, "\\_u;0123456789", 14);
    return true;
}

/* ---- encoding ------------------------------------------------------------------ */

static void escape(const struct terra_vocab *v, const char *token, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp, found;
        char utf8[4];
        i += utf8_decode(token + i, n - i, &cp, NULL);
        if (cp == '\\')
            buf_add_str(out, "\\\\");
        else if (cp == '_')
            buf_add_str(out, "\\u");
        else if (cp == '\n' || !map64_get(&v->alphabet, cp, &found))
            buf_printf(out, "\\%" PRIu32 ";", cp);
        else
            buf_add(out, utf8, utf8_encode(cp, utf8));
    }
    buf_add_byte(out, '_');
}

static bool encode_token(const struct terra_vocab *v, const char *token, size_t n,
                         struct buf *work, struct terra_ids *out, struct err *e)
{
    buf_clear(work);
    escape(v, token, n, work);
    for (size_t i = 0; i < work->len;) {
        uint32_t id;
        size_t len = trie_longest(&v->trie, work->data + i, work->len - i, &id);
        if (len == 0) {
            uint32_t cp;
            utf8_decode(work->data + i, work->len - i, &cp, NULL);
            return err_set(e, ERR_MODEL, "the vocabulary has no subtoken for U+%04" PRIX32, cp);
        }
        terra_ids_add(out, (int32_t)id);
        i += len;
    }
    return true;
}

bool t2t_encode(const struct terra_vocab *v, const char *text, size_t n, struct terra_ids *out,
                struct err *e)
{
    struct buf work = {0};
    bool ok = true;
    for (size_t start = 0, i = 0; i < n && ok;) {
        uint32_t cp;
        size_t len = utf8_decode(text + i, n - i, &cp, NULL);
        bool alnum = is_alnum(cp);
        do { /* the token's end */
            i += len;
            if (i == n)
                break;
            len = utf8_decode(text + i, n - i, &cp, NULL);
        } while (is_alnum(cp) == alnum);
        bool implied = i - start == 1 && text[start] == ' ' && start > 0 && i < n;
        if (!implied)
            ok = encode_token(v, text + start, i - start, &work, out, e);
        start = i;
    }
    buf_free(&work);
    return ok;
}

/* ---- decoding ------------------------------------------------------------------ */

static void emit(struct terra_detok *d, uint32_t cp)
{
    char utf8[4];
    if (!d->in_token) {
        bool alnum = is_alnum(cp);
        if (d->after_token && d->was_alnum && alnum)
            buf_add_byte(&d->out, ' ');
        d->in_token = d->after_token = true;
        d->was_alnum = alnum;
    }
    buf_add(&d->out, utf8, utf8_encode(cp, utf8));
}

/* What began like an escape was none: its bytes stand for themselves. */
static void emit_escape_as_text(struct terra_detok *d)
{
    for (size_t i = 0; i < d->escape.len; i++)
        emit(d, (unsigned char)d->escape.data[i]);
    buf_clear(&d->escape);
}

static void emit_code_point(struct terra_detok *d)
{
    uint32_t cp = 0;
    for (size_t i = 1; i < d->escape.len && cp <= 0x10FFFF; i++)
        cp = cp * 10 + (uint32_t)(d->escape.data[i] - '0');
    buf_clear(&d->escape);
    emit(d, cp > 0x10FFFF ? GETA : cp);
}

/* Takes cp into the escape that is being read; false if it does not belong there. */
static bool continue_escape(struct terra_detok *d, uint32_t cp)
{
    bool bare = d->escape.len == 1; /* the backslash alone */
    if (cp >= '0' && cp <= '9')
        buf_add_byte(&d->escape, (char)cp);
    else if (bare && (cp == 'u' || cp == '\\')) {
        buf_clear(&d->escape);
        emit(d, cp == 'u' ? '_' : '\\');
    } else if (!bare && cp == ';')
        emit_code_point(d);
    else {
        emit_escape_as_text(d);
        return false;
    }
    return true;
}

void t2t_decode(struct terra_detok *d, const char *subtoken, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode(subtoken + i, n - i, &cp, NULL);
        if (d->escape.len > 0 && continue_escape(d, cp))
            continue;
        if (cp == '_')
            d->in_token = false;
        else if (cp == '\\')
            buf_add_byte(&d->escape, '\\');
        else
            emit(d, cp);
    }
}

void t2t_decode_end(struct terra_detok *d)
{
    emit_escape_as_text(d);
}
