/* trace_codec.h - controller choices of up to 64 tokens, as compact bytes.
 *
 * Purpose: a token of a large model makes 24 x 64 choices; 16 bits each would be
 *          3 KB a token.  A chunk holds n rows of layers x blocks values below
 *          `levels` (or TRACE_NONE) in one of two forms:
 *            1  packed: ceil(log2(levels)) bits a value, most significant bit first
 *            2  flips:  the first row packed, then for each row one bit per place
 *                       that says "changed", and the changed values
 *          Units, the "alive" bits and margins all use it; only `levels` differs.
 *          The byte layout is in man terra-db.
 * Owns:    nothing; bytes are appended to the caller's buffer.
 * Errors:  ERR_STORE for a blob that is not exactly what trace_encode makes.  Any
 *          bytes may be given: sizes are checked before memory is touched.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_TRACE_CODEC_H
#define TERRA_DATA_TRACE_CODEC_H

#include "engine/base/buf.h"

#include <stdint.h>

#define TRACE_NONE       0xFFFFu /* no block here: a narrow layer, or a damaged chunk */
#define TRACE_CHUNK_ROWS 64
#define TRACE_MAX_VALUES (1u << 22) /* of one chunk */

enum trace_codec { TRACE_PACKED = 1, TRACE_FLIPS = 2 };

struct trace_shape {
    uint32_t rows; /* 1 .. TRACE_CHUNK_ROWS */
    uint32_t layers, blocks;
    uint32_t levels; /* 1 .. 65535; values are below it, or TRACE_NONE */
};

/* Appends the chunk to *out and tells which form was used: the smaller one, or
 * `force` if it is not 0.  value is [rows][layers][blocks]. */
bool trace_encode(const struct trace_shape *shape, const uint16_t *value, int force,
                  struct buf *out, enum trace_codec *used, struct err *e);

/* Reads only the header: what trace_decode will need room for. */
bool trace_peek(const void *blob, size_t n, struct trace_shape *shape, struct err *e);

/* value has room for rows * layers * blocks as trace_peek told. */
bool trace_decode(enum trace_codec codec, const void *blob, size_t n, uint16_t *value,
                  struct err *e);

/* Margins are kept in 64 steps: 0 is below 2^-10, then quarter octaves up to 2^5.5;
 * trace_margin_value gives the middle of a step. */
#define TRACE_MARGIN_LEVELS 64
uint16_t trace_margin_level(float margin);
void trace_margin_levels(const float *margin, size_t n, uint16_t *level);
float trace_margin_value(uint16_t level);

/* The CRC-32 of zlib, PNG and Ethernet. */
uint32_t trace_crc32(const void *data, size_t n);

#endif
