/* SPDX-License-Identifier: MIT */
#include "data/pairs.h"

#include "engine/base/err.h"

#include <cjson/cJSON.h>
#include <string.h>

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

/* One line into p->text; false at the end, on a read error and on an endless line. */
static bool read_line(struct pairs *p, struct err *e)
{
    buf_clear(&p->text);
    char chunk[65536];
    p->line++;
    while (fgets(chunk, sizeof chunk, p->in)) {
        buf_add_str(&p->text, chunk);
        if (p->text.len > PAIRS_MAX_LINE)
            return err_set(e, ERR_INPUT, "%s:%llu: line over %u MB", p->name,
                           (unsigned long long)p->line, PAIRS_MAX_LINE >> 20);
        if (p->text.data[p->text.len - 1] == '\n')
            return true;
    }
    if (ferror(p->in))
        return err_set(e, ERR_INPUT, "%s: cannot be read", p->name);
    return p->text.len > 0;
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
    } while (strspn(buf_str(&p->text), " \t\r\n") == p->text.len);

    cJSON *o = cJSON_ParseWithLength(buf_str(&p->text), p->text.len);
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
        err_set(e, ERR_INPUT, "%s:%llu: %s", p->name, (unsigned long long)p->line,
                o ? "\"document\" and \"summary\" must be strings" : "not a JSON object");
    }
    bool ok = document && summary;
    cJSON_Delete(o);
    return ok;
}
