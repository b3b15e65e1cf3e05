/* SPDX-License-Identifier: MIT */
#include "data/pairs.h"

#include "engine/base/err.h"

#include <cjson/cJSON.h>
#include <string.h>

#define BLANK " \t\r\n"

void pairs_open(struct pairs *p, FILE *in, const char *name)
{
    *p = (struct pairs){.in = in, .name = name};
}

void pairs_close(struct pairs *p)
{
    buf_free(&p->text);
    pool_free(&p->pool);
    *p = (struct pairs){0};
}

static bool bad_line(const struct pairs *p, const char *what, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s:%llu: %s", p->name, (unsigned long long)p->line, what);
}

/* One line into p->text; false at the end, on a read error and on a line that is no text or
 * endless. */
static bool read_line(struct pairs *p, struct err *e)
{
    int c;
    buf_clear(&p->text);
    p->line++;
    while ((c = getc_unlocked(p->in)) != EOF) {
        if (c == '\0')
            return bad_line(p, "holds a NUL byte", e);
        buf_add_byte(&p->text, (char)c);
        if (c == '\n')
            return true;
        if (p->text.len > PAIRS_MAX_LINE)
            return err_set(e, ERR_INPUT, "%s:%llu: line over %u MB", p->name,
                           (unsigned long long)p->line, PAIRS_MAX_LINE >> 20);
    }
    if (ferror(p->in))
        return err_set(e, ERR_INPUT, "%s: cannot be read", p->name);
    return p->text.len > 0;
}

/* The line's JSON value; NULL if it has none or something follows. */
static cJSON *parse(const struct buf *line)
{
    const char *text = buf_str(line), *end = text;
    cJSON *o = cJSON_ParseWithLengthOpts(text, line->len, &end, 0);
    if (o && end + strspn(end, BLANK) != text + line->len) {
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

static const char *text_of(const cJSON *o, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

bool pairs_next(struct pairs *p, struct pair *out, struct err *e)
{
    if (e)
        e->kind = ERR_NONE;
    do {
        if (!read_line(p, e))
            return false;
    } while (strspn(buf_str(&p->text), BLANK) == p->text.len);

    cJSON *o = parse(&p->text);
    const char *document = text_of(o, "document"), *summary = text_of(o, "summary");
    const char *source = text_of(o, "source"), *style = text_of(o, "style");
    pool_free(&p->pool);
    if (document && summary) {
        *out = (struct pair){.document = pool_str(&p->pool, document),
                             .summary = pool_str(&p->pool, summary),
                             .n_document = strlen(document),
                             .n_summary = strlen(summary),
                             .source = pool_str(&p->pool, source ? source : ""),
                             .style = pool_str(&p->pool, style ? style : ""),
                             .line = p->line};
    } else {
        bad_line(p, o ? "\"document\" and \"summary\" must be strings" : "not one JSON object",
                 e);
    }
    bool ok = document && summary;
    cJSON_Delete(o);
    return ok;
}
