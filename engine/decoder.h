/* decoder.h - the order of layers: encoder, decoder, head.
 *
 * Purpose: rows through the stacks (spec 1.4 - 1.8).  The same code runs a whole source,
 *          a whole joined sequence, and one token.
 * Owns:    nothing.  Errors: ERR_CANCELLED and ERR_NUMERIC.  Threads: see pass.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DECODER_H
#define TERRA_DECODER_H

#include "engine/pass.h"

/* State of one stack item, in the order of struct stack. */
struct item_state {
    struct att_state *att; /* [n_att] */
    struct ff_state ff;
};

/* State of a stack.  `shared`: every item uses state of its own only during the pass, so all
 * share one, zeroed before each layer. */
struct stack_state {
    struct item_state *item;
    bool shared;
};

/* The two reversible streams, [rows][widest d] each, densely packed at the current width. */
struct streams {
    float *a, *b;
};

/* `cache` is how keys and values are kept; shared ones are always floats. */
void stack_state_layout(struct stack_state *st, struct arena *a, const struct stack *s,
                        size_t cap, enum terra_dtype cache, bool shared);

/* attention_check of every layer. */
bool stack_check(const struct stack *s, size_t rows, bool causal, struct err *e);

/* Forgets convolution history and SRU carries. */
void stack_state_reset(struct stack_state *st, const struct stack *s);

/* A state (not a shared one), the rows its caches hold, and the cache row where row 0 of a
 * copy lies. */
struct state_rows {
    const struct stack_state *st;
    size_t cap, at;
};

/* Copies the cache rows [from, upto) and all convolution history and SRU carries. */
void stack_state_copy(const struct stack *s, const struct state_rows *to,
                      const struct state_rows *src, size_t from, size_t upto);

/* n embedded rows (a = b) through the encoder, the merge of a non-reversible one included. */
bool encoder_run(struct pass *p, struct stack_state *st, struct streams *x, size_t n,
                 void (*progress)(void *user, uint64_t done), void *user, struct err *e);

/* n rows, the first of which is cache row `first`, through the decoder blocks. */
bool decoder_run(struct pass *p, struct stack_state *st, struct streams *x, size_t n,
                 size_t first, void (*progress)(void *user, uint64_t done), void *user,
                 struct err *e);

/* Logits [n][out_vocab] of the rows from..from+n-1 that decoder_run left in x. */
bool head_run(struct pass *p, const struct streams *x, size_t from, size_t n, float *logits,
              struct err *e);

#endif
