/* pass.h - what one trip of rows through the layers needs besides weights.
 *
 * Purpose: scratch memory, caches and observers, shared by attention, feed-forward and
 *          the stacks.  A pass carries n rows (positions): the whole source in the
 *          encoder, the source or one token in the decoder.  Layers cut rows into tiles
 *          of at most `tile`, so scratch stays small.
 * Owns:    nothing itself; the session holds the memory, nearly all of it in its arena.
 * Errors:  layers cannot fail; a NaN or Inf is noted in `bad` and checked by the session.
 * Threads: one pass at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_PASS_H
#define TERRA_PASS_H

#include "engine/base/arena.h"
#include "engine/efficient.h"
#include "engine/model.h"

/* State of one attention layer (spec 4.1). */
struct att_state {
    struct cache k, v; /* efficient types: floats, k normalised and scaled */
    /* The last rows that convolutions read; row r is at r % length.  Multconv only. */
    float *ring_u; /* [length][d]: input of q, k and v */
    float *ring_v; /* [length][2d]: v's input, with v_concat */
    float *ring_o; /* [length][d]: input of the output convolution */
};

struct ff_state {
    float *carry; /* [sru layers][width] */
};

struct scratch {
    /* whole pass */
    float *q, *o; /* [rows][heads * dk], [rows][heads * dv] */
    /* one tile */
    float *x, *y;  /* [tile][d] normed input, sub-layer output */
    float *k, *v;  /* [tile][heads * dk], [tile][heads * dv] */
    float *u, *uv; /* [length - 1 + tile][d], [..][2d] */
    float *wide;   /* factored products, controller values, hidden units: `wide_floats` */
    float *hidden;
    float *scores;       /* score_floats */
    float *small;        /* SRU: [tile][4 * width] */
    float *own;          /* [2][threads][d]: decoded rows, normed by each thread for itself */
    size_t score_floats; /* for any number of rows */
    uint16_t *unit;      /* [tile][blocks] */
    float *margin;
    uint8_t *alive;
    struct efficient_work efficient; /* only for models that need it */
};

struct bad_value {
    bool found;
    enum terra_stage stage;
    uint32_t layer;
    const char *part; /* "attention" ... */
};

/* A block that takes `unit` in some decoder rows whatever its controller says. */
struct pin {
    uint32_t layer, block;
    uint16_t unit;   /* TERRA_RUNNER_UP: not known yet */
    size_t from, to; /* rows [from, to); to SIZE_MAX: no end yet */
};

struct pass {
    const struct terra_model *m;
    struct compute *cx;
    struct scratch s;
    size_t tile, cap; /* rows of a tile; rows of every k/v cache used by this pass */
    enum terra_mode mode;
    enum terra_stage stage;
    uint32_t layer;       /* block being run, for observers */
    const uint8_t *valid; /* encoder: [rows] 1 = may be attended to; NULL in the decoder */
    size_t length; /* rows of the whole sequence: chooses the function of mixed attention */
    bool timed;
    uint64_t part_ns[TERRA_PARTS];
    struct bad_value bad;
    const atomic_bool *cancel;
    void (*on_choices)(void *user, const struct terra_choices *c);
    void *user;
    /* The choices of decoder row step_row are kept here, [layers][step_blocks]. */
    size_t step_row; /* SIZE_MAX: none */
    uint32_t step_blocks;
    uint16_t *step_unit;
    float *step_margin;
    uint8_t *step_alive;
    struct pin *pin; /* [n_pins], in any order: no two of a block hold for the same row */
    size_t n_pins;
    float *lens; /* logits [layers][out_vocab] of step_row after each block; NULL: none */
};

static inline bool pass_cancelled(const struct pass *p)
{
    return p->cancel && atomic_load_explicit(p->cancel, memory_order_relaxed);
}

/* Time since *since goes to `part`; *since moves on. */
void pass_clock(struct pass *p, enum terra_part part, uint64_t *since);

/* Notes the first part that is bad... */
void pass_bad(struct pass *p, const char *part);
/* ... because one of n values is NaN or Inf. */
void pass_check(struct pass *p, const char *part, const float *x, size_t n);

/* Puts pinned units in place of a tile's choices in s.unit [n][blocks], which compute_choose
 * made of s.x with s.wide. */
void pass_pin(struct pass *p, const struct ff_weights *w, size_t first_row, size_t n);
/* The unit that a pin takes in a row where the controller's values are z [units]. */
uint16_t pass_pinned(struct pin *pin, const float *z, uint32_t units);

/* Rows per tile, so that scratch stays at a few megabytes for any model. */
size_t pass_tile(const struct terra_model *m);

/* Lays out scratch for passes of `rows` rows over caches of `cap` rows by p->cx's threads.
 * `efficient`: with the workspace of efficient attention.  A dry arena only measures. */
void scratch_layout(struct scratch *s, struct arena *a, const struct terra_model *m,
                    uint32_t threads, size_t rows, size_t cap, bool efficient);

#endif
