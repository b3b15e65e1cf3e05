/* Tokens whose controller choices agree with those of one token.
 * SPDX-License-Identifier: MIT */
#include "data/store_impl.h"

#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

struct search {
    const struct store_like_opts *o;
    struct store_like *out;
    const uint16_t *want; /* [layers][blocks] */
    size_t cells;
    uint16_t *value; /* of a chunk */
    size_t cap;
};

/* Keeps the best `limit` hits, sorted; of equals those found first. */
static void keep(struct search *q, struct store_like_hit h)
{
    struct store_like *l = q->out;
    size_t at = l->n;
    while (at > 0 && l->hit[at - 1].same < h.same)
        at--;
    if (at >= q->o->limit)
        return;
    size_t last = l->n < q->o->limit ? l->n++ : l->n - 1;
    memmove(l->hit + at + 1, l->hit + at, (last - at) * sizeof *l->hit);
    l->hit[at] = h;
}

static uint32_t same_places(const struct search *q, const uint16_t *row)
{
    uint32_t n = 0;
    for (size_t i = 0; i < q->cells; i++)
        n += row[i] == q->want[i] && row[i] != TRACE_NONE;
    return n;
}

/* The chunk's rows, or NULL if it is damaged or of another shape. */
static const uint16_t *rows_of(struct search *q, sqlite3_stmt *st, uint32_t n)
{
    const void *data = sqlite3_column_blob(st, 5);
    size_t bytes = (size_t)sqlite3_column_bytes(st, 5);
    struct trace_shape shape;
    if (trace_crc32(data, bytes) != (uint32_t)sqlite3_column_int64(st, 4) ||
        !trace_peek(data, bytes, &shape, NULL) || shape.rows != n ||
        shape.layers != q->out->layers || shape.blocks != q->out->blocks ||
        shape.levels != q->out->units)
        return NULL;
    if (n * q->cells > q->cap) {
        q->cap = n * q->cells;
        q->value = xrealloc(q->value, q->cap, sizeof *q->value);
    }
    enum trace_codec codec = (enum trace_codec)sqlite3_column_int(st, 3);
    return trace_decode(codec, data, bytes, q->value, NULL) ? q->value : NULL;
}

static void look_at_chunk(struct search *q, sqlite3_stmt *st)
{
    int64_t run = sqlite3_column_int64(st, 0);
    uint32_t pos = (uint32_t)sqlite3_column_int64(st, 1);
    uint32_t n = (uint32_t)sqlite3_column_int64(st, 2);
    const uint16_t *row = rows_of(q, st, n);
    if (!row) {
        q->out->other_rows += n;
        return;
    }
    for (uint32_t i = 0; i < n; i++, row += q->cells) {
        if (run == q->o->run && pos + i == q->o->pos)
            continue;
        q->out->rows++;
        keep(q,
             (struct store_like_hit){.run = run, .pos = pos + i, .same = same_places(q, row)});
    }
}

static bool look(struct store *s, struct search *q, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_TRACE_USE, e);
    if (!st)
        return false;
    bind_text(st, 1, "dec");
    bind_text(st, 2, "unit");
    int got;
    while ((got = store_row(s, st, e)) == 1) { /* newest run first */
        if (q->o->max_rows && q->out->rows + q->out->other_rows >= q->o->max_rows) {
            q->out->more = true;
            sqlite3_reset(st);
            return true;
        }
        look_at_chunk(q, st);
    }
    return got == 0;
}

/* Sessions and texts, for the few that are shown. */
static bool describe(struct store *s, struct store_like *l, struct pool *p, struct err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        struct store_like_hit *h = &l->hit[i];
        sqlite3_stmt *st = store_stmt(s, STMT_TOKEN_AT, e);
        if (!st)
            return false;
        bind_int(st, 1, h->run);
        bind_int(st, 2, h->pos);
        int got = store_row(s, st, e);
        if (got < 0)
            return false;
        if (got == 1) {
            h->session = sqlite3_column_int64(st, 0);
            h->text = column_blob(st, 1, p, &h->n_text);
            sqlite3_reset(st);
        }
        if (!h->text)
            h->text = "";
    }
    return true;
}

bool store_like(struct store *s, const struct store_like_opts *o, struct pool *p,
                struct store_like *out, struct err *e)
{
    *out = (struct store_like){0};
    struct store_trace t;
    struct search q = {.o = o, .out = out};
    if (!store_trace_get(s, o->run, STORE_DEC, p, &t, e))
        return false;
    if (o->pos >= t.n)
        return err_set(e, ERR_CHECK, "run %lld has no stored choices of a token %u",
                       (long long)o->run, o->pos);
    out->layers = t.layers;
    out->blocks = t.blocks;
    out->units = t.units;
    q.cells = (size_t)t.layers * t.blocks;
    q.want = t.unit + o->pos * q.cells;
    for (size_t i = 0; i < q.cells; i++)
        out->places += q.want[i] != TRACE_NONE;
    out->hit = pool_get(p, (size_t)o->limit + 1, sizeof *out->hit);
    bool ok = look(s, &q, e) && describe(s, out, p, e);
    free(q.value);
    return ok;
}
