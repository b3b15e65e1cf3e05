/* SPDX-License-Identifier: MIT */
#include "data/trace_codec.h"

#include <math.h>
#include <string.h>

/* Header: rows, layers, blocks, levels as 16-bit little-endian, then one byte of flags. */
#define HEADER    9
#define FLAG_NONE 1u /* some values are TRACE_NONE, stored as `levels` */

/* ---- bits, most significant first ----------------------------------------------- */

struct bit_writer {
    uint8_t *p; /* the caller has made sure of the room */
    uint64_t acc;
    unsigned n; /* bits waiting in acc, below 32 between calls */
};

/* `bits` <= 32.  Four bytes leave at a time. */
static inline void put_bits(struct bit_writer *w, uint32_t value, unsigned bits)
{
    w->acc = w->acc << bits | value;
    w->n += bits;
    if (w->n < 32)
        return;
    w->n -= 32;
    uint32_t word = (uint32_t)(w->acc >> w->n);
    for (int i = 0; i < 4; i++)
        *w->p++ = (uint8_t)(word >> (24 - 8 * i));
}

static void put_end(struct bit_writer *w)
{
    for (; w->n >= 8; w->n -= 8)
        *w->p++ = (uint8_t)(w->acc >> (w->n - 8));
    if (w->n)
        *w->p++ = (uint8_t)(w->acc << (8 - w->n));
}

struct bit_reader {
    const uint8_t *p;
    uint64_t at, n; /* in bits */
};

/* The caller has made sure that the bits exist. */
static uint32_t get_bits(struct bit_reader *r, unsigned bits)
{
    uint32_t v = 0;
    while (bits) {
        unsigned offset = r->at & 7, take = 8 - offset < bits ? 8 - offset : bits;
        uint32_t byte = r->p[r->at >> 3];
        v = v << take | (byte >> (8 - offset - take) & ((1u << take) - 1));
        r->at += take;
        bits -= take;
    }
    return v;
}

static unsigned bits_for(uint32_t symbols)
{
    unsigned bits = 0;
    while ((uint64_t)1 << bits < symbols)
        bits++;
    return bits;
}

/* ---- header --------------------------------------------------------------------- */

struct layout {
    uint32_t rows, places; /* places = layers * blocks */
    uint32_t symbols;      /* levels, and one more if some values are none */
    uint32_t levels;
    unsigned bits; /* of one value */
};

static bool layout_of(const struct trace_shape *s, bool has_none, struct layout *l,
                      struct err *e)
{
    if (s->rows < 1 || s->rows > TRACE_CHUNK_ROWS || s->layers < 1 || s->layers > 0xFFFF ||
        s->blocks < 1 || s->blocks > 0xFFFF || s->levels < 1 || s->levels > 0xFFFF ||
        (uint64_t)s->rows * s->layers * s->blocks > TRACE_MAX_VALUES)
        return err_set(e, ERR_STORE, "trace chunk: impossible shape %u x %u x %u of %u",
                       s->rows, s->layers, s->blocks, s->levels);
    l->rows = s->rows;
    l->places = s->layers * s->blocks;
    l->levels = s->levels;
    l->symbols = s->levels + has_none;
    l->bits = bits_for(l->symbols);
    return true;
}

static void put_u16(struct buf *out, uint32_t v)
{
    buf_add_byte(out, (char)(uint8_t)v);
    buf_add_byte(out, (char)(uint8_t)(v >> 8));
}

static uint32_t get_u16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static bool read_header(const void *blob, size_t n, struct trace_shape *shape, struct layout *l,
                        struct err *e)
{
    const uint8_t *p = blob;
    if (n < HEADER)
        return err_set(e, ERR_STORE, "trace chunk: %zu bytes, shorter than its header", n);
    *shape = (struct trace_shape){get_u16(p), get_u16(p + 2), get_u16(p + 4), get_u16(p + 6)};
    if (p[8] > FLAG_NONE)
        return err_set(e, ERR_STORE, "trace chunk: unknown flags 0x%02x", p[8]);
    return layout_of(shape, p[8] & FLAG_NONE, l, e);
}

bool trace_peek(const void *blob, size_t n, struct trace_shape *shape, struct err *e)
{
    struct layout l;
    return read_header(blob, n, shape, &l, e);
}

/* ---- encoding ------------------------------------------------------------------- */

static inline uint32_t symbol(const struct layout *l, uint16_t value)
{
    return value == TRACE_NONE ? l->levels : value;
}

/* Every cell of every token: eight of up to 4 bits, or four of up to 8, leave as one. */
static void put_values(const struct layout *l, const uint16_t *value, size_t n,
                       struct bit_writer *w)
{
    size_t i = 0;
    const unsigned bits = l->bits;
    for (; bits <= 4 && i + 8 <= n; i += 8) {
        uint32_t word = 0;
        for (size_t k = 0; k < 8; k++)
            word = word << bits | symbol(l, value[i + k]);
        put_bits(w, word, 8 * bits);
    }
    for (; bits <= 8 && i + 4 <= n; i += 4) {
        uint32_t two = symbol(l, value[i]) << bits | symbol(l, value[i + 1]);
        uint32_t more = symbol(l, value[i + 2]) << bits | symbol(l, value[i + 3]);
        put_bits(w, two << 2 * bits | more, 4 * bits);
    }
    for (; i < n; i++)
        put_bits(w, symbol(l, value[i]), bits);
}

/* One bit for each of n cells: it differs from the row before. */
static void put_changes(const uint16_t *row, const uint16_t *before, size_t n,
                        struct bit_writer *w)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        uint32_t word = 0;
        for (size_t k = 0; k < 32; k++)
            word = word << 1 | (row[i + k] != before[i + k]);
        put_bits(w, word, 32);
    }
    for (; i < n; i++)
        put_bits(w, row[i] != before[i], 1);
}

static void encode_flips(const struct layout *l, const uint16_t *value, struct bit_writer *w)
{
    uint16_t changed[256];
    put_values(l, value, l->places, w);
    for (uint32_t r = 1; r < l->rows; r++) {
        const uint16_t *row = value + (size_t)r * l->places, *before = row - l->places;
        put_changes(row, before, l->places, w);
        for (uint32_t from = 0; from < l->places; from += 256) {
            uint32_t to = l->places - from < 256 ? l->places : from + 256;
            size_t n = 0;
            for (uint32_t i = from; i < to; i++) { /* no branch: nobody can guess it */
                changed[n] = row[i];
                n += row[i] != before[i];
            }
            put_values(l, changed, n, w);
        }
    }
}

/* Looks for TRACE_NONE, and for values that are neither that nor below l->levels. */
static bool check_values(const struct layout *l, const uint16_t *value, bool *has_none,
                         struct err *e)
{
    uint32_t none = 0, most = 0; /* no branches: for every cell of every token */
    for (size_t i = 0; i < (size_t)l->rows * l->places; i++) {
        uint32_t v = value[i], is_none = v == TRACE_NONE;
        none |= is_none;
        v = is_none ? 0 : v;
        most = most > v ? most : v;
    }
    *has_none = none;
    return most < l->levels ||
           err_set(e, ERR_STORE, "trace chunk: value %u of %u levels", most, l->levels);
}

/* Bits of both forms, header not counted. */
static void sizes(const struct layout *l, const uint16_t *value, uint64_t *packed,
                  uint64_t *flips)
{
    uint64_t changed = 0, all = (uint64_t)l->rows * l->places;
    for (size_t i = l->places; i < all; i++)
        changed += value[i] != value[i - l->places];
    *packed = all * l->bits;
    *flips = (uint64_t)l->places * l->bits + (all - l->places) + changed * l->bits;
}

bool trace_encode(const struct trace_shape *shape, const uint16_t *value, int force,
                  struct buf *out, enum trace_codec *used, struct err *e)
{
    struct layout l;
    if (!layout_of(shape, false, &l, e))
        return false;
    bool has_none = false;
    if (!check_values(&l, value, &has_none, e))
        return false;
    layout_of(shape, has_none, &l, NULL);
    uint64_t packed, flips;
    sizes(&l, value, &packed, &flips);
    *used = force ? (enum trace_codec)force : flips < packed ? TRACE_FLIPS : TRACE_PACKED;

    put_u16(out, shape->rows);
    put_u16(out, shape->layers);
    put_u16(out, shape->blocks);
    put_u16(out, shape->levels);
    buf_add_byte(out, has_none ? FLAG_NONE : 0);
    size_t n = (size_t)((*used == TRACE_FLIPS ? flips : packed) + 7) / 8;
    buf_reserve(out, n);
    struct bit_writer w = {.p = (uint8_t *)out->data + out->len};
    if (*used == TRACE_FLIPS)
        encode_flips(&l, value, &w);
    else
        put_values(&l, value, (size_t)l.rows * l.places, &w);
    put_end(&w);
    out->len += n;
    out->data[out->len] = '\0'; /* as every buf ends */
    return true;
}

/* ---- decoding ------------------------------------------------------------------- */

static bool get_value(const struct layout *l, struct bit_reader *r, uint16_t *v)
{
    if (r->n - r->at < l->bits)
        return false;
    uint32_t symbol = get_bits(r, l->bits);
    if (symbol >= l->symbols)
        return false;
    *v = symbol == l->levels ? TRACE_NONE : (uint16_t)symbol;
    return true;
}

static bool decode_packed(const struct layout *l, struct bit_reader *r, uint16_t *value)
{
    for (size_t i = 0; i < (size_t)l->rows * l->places; i++)
        if (!get_value(l, r, &value[i]))
            return false;
    return true;
}

static bool decode_flips(const struct layout *l, struct bit_reader *r, uint16_t *value)
{
    struct layout first = *l;
    first.rows = 1;
    if (!decode_packed(&first, r, value))
        return false;
    for (uint32_t k = 1; k < l->rows; k++) {
        uint16_t *row = value + (size_t)k * l->places, *before = row - l->places;
        if (r->n - r->at < l->places)
            return false;
        struct bit_reader changed = *r;
        r->at += l->places;
        for (uint32_t i = 0; i < l->places; i++) {
            row[i] = before[i];
            if (get_bits(&changed, 1) && (!get_value(l, r, &row[i]) || row[i] == before[i]))
                return false;
        }
    }
    return true;
}

bool trace_decode(enum trace_codec codec, const void *blob, size_t n, uint16_t *value,
                  struct err *e)
{
    struct trace_shape shape;
    struct layout l;
    if (!read_header(blob, n, &shape, &l, e))
        return false;
    struct bit_reader r = {(const uint8_t *)blob + HEADER, 0, (uint64_t)(n - HEADER) * 8};
    bool ok = codec == TRACE_PACKED  ? decode_packed(&l, &r, value)
              : codec == TRACE_FLIPS ? decode_flips(&l, &r, value)
                                     : false;
    if (!ok)
        return err_set(e, ERR_STORE, "trace chunk: damaged, or of unknown codec %d",
                       (int)codec);
    if (r.n - r.at >= 8 || (r.n > r.at && get_bits(&r, (unsigned)(r.n - r.at))))
        return err_set(e, ERR_STORE, "trace chunk: bytes left over");
    return true;
}

/* ---- margins and checksum ------------------------------------------------------- */

/* For every cell of every token: no frexpf, no branches. */
static inline uint16_t level_of(float margin)
{
    /* What is above the quarters of an octave: 2^(1/4), 2^(1/2), 2^(3/4) less 1, of 2^23. */
    enum { FIRST = 1587184, SECOND = 3474675, THIRD = 5719293, ONE = 1 << 23 };
    int32_t bits;
    memcpy(&bits, &margin, sizeof bits);
    int32_t mantissa = bits & (ONE - 1), octave = (bits >> 23) - 127;
    int32_t quarter = (mantissa >= FIRST) + (mantissa >= SECOND) + (mantissa >= THIRD);
    int32_t level = 1 + 4 * (octave + 10) + quarter;
    level = level < TRACE_MARGIN_LEVELS ? level : TRACE_MARGIN_LEVELS - 1;
    return (uint16_t)(margin > 0 && level > 0 ? level : 0);
}

uint16_t trace_margin_level(float margin)
{
    return level_of(margin);
}

void trace_margin_levels(const float *margin, size_t n, uint16_t *level)
{
    for (size_t i = 0; i < n; i++)
        level[i] = level_of(margin[i]);
}

float trace_margin_value(uint16_t level)
{
    if (level == 0)
        return 0;
    return exp2f(-10 + ((float)level - 0.5f) / 4);
}

/* The remainders of a byte with k zero bytes behind it. */
static void crc_tables(uint32_t table[8][256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        table[0][i] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

/* Eight bytes at a time; a chunk is long enough to pay for making the tables. */
uint32_t trace_crc32(const void *data, size_t n)
{
    uint32_t t[8][256], crc = 0xFFFFFFFF;
    const uint8_t *p = data;
    crc_tables(t);
    for (; n >= 8; n -= 8, p += 8)
        crc = t[7][(crc ^ p[0]) & 255] ^ t[6][(crc >> 8 ^ p[1]) & 255] ^
              t[5][(crc >> 16 ^ p[2]) & 255] ^ t[4][crc >> 24 ^ p[3]] ^ t[3][p[4]] ^
              t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
    for (; n; n--, p++)
        crc = crc >> 8 ^ t[0][(crc ^ *p) & 255];
    return ~crc;
}
