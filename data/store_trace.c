/* Controller choices: chunks in, rows and counts out.
 * SPDX-License-Identifier: MIT */
#include "data/store_impl.h"

#include "engine/base/buf.h"
#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

enum plane { UNIT, ALIVE, MARGIN, PLANES };
static const char *const plane_name[PLANES] = {"unit", "alive", "margin"};
static const char *const stage_name[2] = {"enc", "dec"};

/* A chunk as its row has it; data lives until the statement's next step. */
struct chunk {
    uint32_t pos, n;
    int codec;
    uint32_t crc;
    const void *data;
    size_t bytes;
};

static struct chunk read_chunk(sqlite3_stmt *st, int first)
{
    return (struct chunk){.pos = (uint32_t)sqlite3_column_int64(st, first),
                          .n = (uint32_t)sqlite3_column_int64(st, first + 1),
                          .codec = sqlite3_column_int(st, first + 2),
                          .crc = (uint32_t)sqlite3_column_int64(st, first + 3),
                          .data = sqlite3_column_blob(st, first + 4),
                          .bytes = (size_t)sqlite3_column_bytes(st, first + 4)};
}

/* True if checksum, header and row agree. */
static bool chunk_shape(const struct chunk *c, struct trace_shape *shape)
{
    return trace_crc32(c->data, c->bytes) == c->crc &&
           trace_peek(c->data, c->bytes, shape, NULL) && shape->rows == c->n;
}

/* ---- writing -------------------------------------------------------------------- */

/* The plane as codec values. */
static void plane_values(const struct store_trace *t, enum plane plane, size_t n, uint16_t *out)
{
    if (plane == UNIT)
        memcpy(out, t->unit, n * sizeof *out);
    else if (plane == MARGIN)
        trace_margin_levels(t->margin, n, out);
    for (size_t i = 0; plane == ALIVE && i < n; i++)
        out[i] = t->alive[i] != 0;
    for (size_t i = 0; plane != UNIT && i < n; i++)
        out[i] = t->unit[i] == TRACE_NONE ? TRACE_NONE : out[i];
}

/* Room for n values; they last until the next call. */
static uint16_t *plane_room(struct store *s, size_t n)
{
    if (n > s->plane_cap) {
        s->plane = xrealloc(s->plane, n, sizeof *s->plane);
        s->plane_cap = n;
    }
    return s->plane;
}

/* Rows of a short chunk that ends where `pos` begins come in front, so that chunks are
 * full even if tokens arrive a few at a time.  Returns how many; *first is their start. */
static bool rows_before(struct store *s, int64_t run, enum store_stage stage, enum plane plane,
                        uint32_t pos, const struct trace_shape *want, uint16_t **rows,
                        uint32_t *n, struct err *e)
{
    *n = 0;
    *rows = NULL;
    if (pos == 0)
        return true;
    sqlite3_stmt *st = store_stmt(s, STMT_TRACE_LAST, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    bind_text(st, 2, stage_name[stage]);
    bind_text(st, 3, plane_name[plane]);
    bind_int(st, 4, (int64_t)pos - 1);
    int got = store_row(s, st, e);
    if (got <= 0)
        return got == 0;
    struct chunk c = read_chunk(st, 0);
    struct trace_shape shape;
    if (c.pos < pos && pos - c.pos < TRACE_CHUNK_ROWS && c.n >= pos - c.pos &&
        chunk_shape(&c, &shape) && shape.layers == want->layers &&
        shape.blocks == want->blocks && shape.levels == want->levels) {
        uint16_t *v = xmalloc((size_t)shape.rows * shape.layers * shape.blocks * sizeof *v);
        if (trace_decode((enum trace_codec)c.codec, c.data, c.bytes, v, NULL)) {
            *rows = v;
            *n = pos - c.pos;
        } else {
            free(v);
        }
    }
    sqlite3_reset(st);
    return true;
}

static bool put_chunk(struct store *s, int64_t run, enum store_stage stage, enum plane plane,
                      uint32_t pos, const struct trace_shape *shape, const uint16_t *value,
                      struct err *e)
{
    enum trace_codec codec;
    sqlite3_stmt *st = NULL;
    buf_clear(&s->chunk);
    if (trace_encode(shape, value, 0, &s->chunk, &codec, e) &&
        (st = store_stmt(s, STMT_TRACE_PUT, e))) {
        bind_int(st, 1, run);
        bind_text(st, 2, stage_name[stage]);
        bind_text(st, 3, plane_name[plane]);
        bind_int(st, 4, pos);
        bind_int(st, 5, shape->rows);
        bind_int(st, 6, codec);
        bind_int(st, 7, trace_crc32(s->chunk.data, s->chunk.len));
        bind_blob(st, 8, s->chunk.data, s->chunk.len);
    }
    return st && store_done(s, st, e);
}

static bool cut_from(struct store *s, int64_t run, enum store_stage stage, enum plane plane,
                     uint32_t pos, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, STMT_TRACE_CUT, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    bind_text(st, 2, stage_name[stage]);
    bind_text(st, 3, plane_name[plane]);
    bind_int(st, 4, pos);
    return store_done(s, st, e);
}

static bool put_plane(struct store *s, int64_t run, const struct store_trace *t,
                      enum plane plane, struct err *e)
{
    static const uint32_t levels[PLANES] = {0, 2, TRACE_MARGIN_LEVELS};
    struct trace_shape shape = {1, t->layers, t->blocks,
                                plane == UNIT ? t->units : levels[plane]};
    size_t places = (size_t)t->layers * t->blocks;
    uint16_t *before;
    uint32_t n_before;
    if (!rows_before(s, run, t->stage, plane, t->pos, &shape, &before, &n_before, e) ||
        !cut_from(s, run, t->stage, plane, t->pos - n_before, e)) {
        free(before);
        return false;
    }
    uint32_t n = n_before + t->n;
    uint16_t *all = plane_room(s, n * places);
    if (n_before)
        memcpy(all, before, n_before * places * sizeof *all);
    free(before);
    plane_values(t, plane, t->n * places, all + n_before * places);
    bool ok = true;
    for (uint32_t row = 0; ok && row < n; row += shape.rows) {
        shape.rows = n - row < TRACE_CHUNK_ROWS ? n - row : TRACE_CHUNK_ROWS;
        ok = put_chunk(s, run, t->stage, plane, t->pos - n_before + row, &shape,
                       all + row * places, e);
    }
    return ok;
}

bool store_trace_put(struct store *s, int64_t run, const struct store_trace *t, struct err *e)
{
    if (t->n == 0 || t->layers == 0 || t->blocks == 0)
        return true; /* a dense model chooses nothing */
    return put_plane(s, run, t, UNIT, e) && (!t->alive || put_plane(s, run, t, ALIVE, e)) &&
           (!t->margin || put_plane(s, run, t, MARGIN, e));
}

/* ---- reading -------------------------------------------------------------------- */

static enum plane plane_of(const char *name)
{
    for (int i = 0; i < PLANES; i++)
        if (strcmp(name, plane_name[i]) == 0)
            return (enum plane)i;
    return PLANES;
}

/* What is being put together from chunks; the arrays grow with the highest row. */
struct assembly {
    struct store_trace *out;
    uint16_t *unit;
    uint8_t *alive;
    float *margin;
    size_t cap_rows;
    uint64_t rows, good_rows; /* of the unit plane's chunks */
    uint32_t lost;            /* rows of chunks that were too far away */
};

static void make_room(struct assembly *a, size_t rows, size_t places)
{
    if (rows <= a->cap_rows)
        return;
    size_t cap = a->cap_rows * 2 > rows ? a->cap_rows * 2 : rows, old = a->cap_rows * places;
    a->unit = xrealloc(a->unit, cap * places, sizeof *a->unit);
    a->alive = xrealloc(a->alive, cap * places, sizeof *a->alive);
    a->margin = xrealloc(a->margin, cap * places, sizeof *a->margin);
    memset(a->unit + old, 0xFF, (cap * places - old) * sizeof *a->unit);
    memset(a->alive + old, 0, cap * places - old);
    memset(a->margin + old, 0, (cap * places - old) * sizeof *a->margin);
    a->cap_rows = cap;
}

/* Rows and values that may be missing: a number in a damaged row must not decide how much
 * memory is taken. */
#define MAX_GAP_ROWS   (1u << 14)
#define MAX_GAP_VALUES (1u << 24)

static bool too_far(const struct assembly *a, const struct chunk *c, size_t places)
{
    uint64_t gap = c->pos > a->rows ? c->pos - a->rows : 0;
    return gap > MAX_GAP_ROWS || gap * places > MAX_GAP_VALUES;
}

static void add_chunk(struct assembly *a, enum plane plane, const struct chunk *c)
{
    struct store_trace *t = a->out;
    struct trace_shape shape;
    if (c->n == 0 || c->n > TRACE_CHUNK_ROWS)
        return;
    bool good = chunk_shape(c, &shape);
    bool first = good && t->layers == 0 && plane == UNIT;
    size_t places = first ? (size_t)shape.layers * shape.blocks : (size_t)t->layers * t->blocks;
    if (plane == UNIT && too_far(a, c, places)) {
        a->lost += c->n;
        return;
    }
    uint64_t end = (uint64_t)c->pos + c->n;
    a->rows += plane == UNIT ? c->n : 0;
    if (first) {
        t->layers = shape.layers;
        t->blocks = shape.blocks;
        t->units = shape.levels;
    }
    if (plane == UNIT && end > t->n)
        t->n = (uint32_t)end;
    good = good && shape.layers == t->layers && shape.blocks == t->blocks && end <= t->n;
    if (!good)
        return;
    size_t n = c->n * places;
    uint16_t *v = xmalloc(n * sizeof *v);
    if (trace_decode((enum trace_codec)c->codec, c->data, c->bytes, v, NULL)) {
        make_room(a, end, places);
        for (size_t i = 0, at = c->pos * places; i < n; i++, at++) {
            if (plane == UNIT)
                a->unit[at] = v[i];
            else if (plane == ALIVE)
                a->alive[at] = v[i] == 1;
            else
                a->margin[at] = v[i] == TRACE_NONE ? 0 : trace_margin_value(v[i]);
        }
        a->good_rows += plane == UNIT ? c->n : 0;
        if (plane == ALIVE)
            t->alive = a->alive; /* present; the address is set at the end */
        if (plane == MARGIN)
            t->margin = a->margin;
    }
    free(v);
}

bool store_trace_get(struct store *s, int64_t run, enum store_stage stage, struct pool *p,
                     struct store_trace *out, struct err *e)
{
    *out = (struct store_trace){.stage = stage};
    struct assembly a = {.out = out};
    sqlite3_stmt *st = store_stmt(s, STMT_TRACE_LIST, e);
    if (!st)
        return false;
    bind_int(st, 1, run);
    bind_text(st, 2, stage_name[stage]);
    int got;
    while ((got = store_row(s, st, e)) == 1) { /* units come first */
        enum plane plane = plane_of((const char *)sqlite3_column_text(st, 0));
        struct chunk c = read_chunk(st, 1);
        if (plane < PLANES)
            add_chunk(&a, plane, &c);
    }
    if (got == 0 && out->layers) {
        size_t places = (size_t)out->layers * out->blocks, n = out->n * places;
        make_room(&a, out->n, places);
        out->unit = (uint16_t *)(void *)pool_copy(p, a.unit, n * sizeof *a.unit);
        if (out->alive)
            out->alive = (uint8_t *)pool_copy(p, a.alive, n);
        if (out->margin)
            out->margin = (float *)(void *)pool_copy(p, a.margin, n * sizeof *a.margin);
    }
    out->n_damaged = out->n - (uint32_t)(a.good_rows < out->n ? a.good_rows : out->n) + a.lost;
    free(a.unit);
    free(a.alive);
    free(a.margin);
    return got == 0;
}

/* ---- use of units --------------------------------------------------------------- */

/* The last row of the run before, to count flips over chunk borders. */
struct last_row {
    int64_t run;
    uint32_t pos;
    uint16_t *unit;
};

static void count_units(struct store_use *u, const struct chunk *c, const uint16_t *v,
                        int64_t run, struct last_row *last)
{
    size_t places = (size_t)u->layers * u->blocks;
    for (uint32_t r = 0; r < c->n; r++) {
        const uint16_t *row = v + r * places;
        bool follows = last->run == run && last->pos + 1 == c->pos + r;
        for (size_t i = 0; i < places; i++) {
            if (row[i] != TRACE_NONE)
                u->count[i * u->units + row[i]]++;
            u->flips[i] += follows && row[i] != last->unit[i];
        }
        u->runs += run != last->run;
        last->run = run;
        last->pos = c->pos + r;
        memcpy(last->unit, row, places * sizeof *row);
    }
    u->rows += c->n;
}

#define MAX_COUNTS (1u << 26) /* one for every unit of every place */

static void use_chunk(struct store_use *u, enum plane plane, const struct chunk *c, int64_t run,
                      struct last_row *last, struct pool *p)
{
    struct trace_shape shape;
    bool good = chunk_shape(c, &shape);
    size_t places = good ? (size_t)shape.layers * shape.blocks : 0;
    if (!good || places * shape.levels > MAX_COUNTS) {
        u->damaged_rows += plane == UNIT ? c->n : 0;
        return;
    }
    if (u->layers == 0 && plane == UNIT) {
        u->layers = shape.layers;
        u->blocks = shape.blocks;
        u->units = shape.levels;
        u->count = pool_get(p, places * shape.levels, sizeof *u->count);
        u->zero = pool_get(p, places, sizeof *u->zero);
        u->flips = pool_get(p, places, sizeof *u->flips);
        last->unit = pool_get(p, places, sizeof *last->unit);
    }
    if (shape.layers != u->layers || shape.blocks != u->blocks ||
        (plane == UNIT && shape.levels != u->units)) {
        u->other_rows += plane == UNIT ? c->n : 0;
        return;
    }
    uint16_t *v = xmalloc(c->n * places * sizeof *v);
    if (!trace_decode((enum trace_codec)c->codec, c->data, c->bytes, v, NULL)) {
        u->damaged_rows += plane == UNIT ? c->n : 0;
    } else if (plane == UNIT) {
        count_units(u, c, v, run, last);
    } else {
        for (size_t i = 0; i < c->n * places; i++)
            u->zero[i % places] += v[i] == 0;
        u->alive_rows += c->n;
    }
    free(v);
}

bool store_use(struct store *s, const struct store_use_opts *o, struct pool *p,
               struct store_use *out, struct err *e)
{
    *out = (struct store_use){0};
    struct last_row last = {0};
    for (int plane = UNIT; plane <= ALIVE; plane++) {
        sqlite3_stmt *st = store_stmt(s, STMT_TRACE_USE, e);
        if (!st)
            return false;
        bind_text(st, 1, stage_name[o->stage]);
        bind_text(st, 2, plane_name[plane]);
        bind_id(st, 3, o->model);
        bind_id(st, 4, o->session);
        bind_id(st, 5, o->run);
        int got;
        while ((got = store_row(s, st, e)) == 1) { /* newest run first */
            struct chunk c = read_chunk(st, 1);
            use_chunk(out, (enum plane)plane, &c, sqlite3_column_int64(st, 0), &last, p);
        }
        if (got < 0)
            return false;
    }
    return true;
}
