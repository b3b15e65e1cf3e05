/* generate.h - one reply: prefill a source, then decode until something stops it.
 *
 * Purpose: the loop shared by every command and by the worker of the terminal
 *          application.  Text is given in whole characters; the end symbol is not a
 *          token of the reply.  With beams, a search chooses all tokens first; they are
 *          then decoded one by one, so that what is shown and timed is the same.  Long
 *          replies are never searched: they are shown as they are written.
 * Owns:    the result's text, until generate_result_free.
 * Errors:  the engine's.  A cancelled or failed reply keeps the text written so far.
 * Threads: the session's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_GENERATE_H
#define TERRA_APP_GENERATE_H

#include "engine/base/buf.h"
#include "engine/terra.h"

enum generate_stop {
    GENERATE_END,    /* the model ended the text */
    GENERATE_LENGTH, /* the token limit */
    GENERATE_GOAL,   /* `enough` said so */
    GENERATE_CANCELLED,
    GENERATE_ERROR
};
extern const char *const generate_stop_name[]; /* "end" "length" "goal" ... */

#define GENERATE_PINS 16 /* that a branch may hold */

/* A block pinned (terra_pin) from target token `at` on. */
struct generate_pin {
    uint32_t layer, block;
    uint16_t unit;
    size_t at;
};

struct generate_opts {
    struct terra_sampling sampling;
    uint32_t max_tokens;
    /* Optional: ends the reply after the token just written. */
    bool (*enough)(void *user, const char *text, size_t n, uint32_t n_tokens);
    void *user;
    /* Target tokens given by force before the first one is chosen; not part of the reply.
     * Their text must have been shown before. */
    const int32_t *forced;
    size_t n_forced;
    const struct generate_pin *pin; /* [n_pins], `at` ascending and n_forced at most */
    size_t n_pins;
};

struct generate_sink { /* every function is optional */
    void (*prefilled)(void *user, const struct terra_prefill_stats *p);
    /* piece: the text that became certain, maybe empty.  t is NULL once at most, for
     * the rest of an unfinished character behind the last token. */
    void (*token)(void *user, const struct terra_token *t, const char *piece, size_t n);
    void *user;
};

struct generate_result {
    enum generate_stop stop;
    struct buf text;
    uint32_t n_tokens;
    bool goes_on; /* behind forced tokens */
    struct terra_prefill_stats prefill;
    uint64_t search_ns; /* beam search, before the first token; 0 without */
    uint64_t first_ns;  /* prefill, search and the first token */
    uint64_t decode_ns; /* the steps that made tokens, and the end symbol */
    uint64_t *ns;       /* [n_tokens], per step */
};

/* `source` holds control word and end symbol already.  A model without an encoder
 * continues `source` as the beginning of its target.  `vocab` NULL: no text. */
bool generate(struct terra_session *s, const struct terra_config *c,
              const struct terra_vocab *vocab, const struct terra_ids *source,
              const struct generate_opts *o, const struct generate_sink *sink,
              struct generate_result *out, struct err *e);
void generate_result_free(struct generate_result *r);

/* Beams that a reply of at most max_tokens is searched with; 1: it is not. */
uint32_t generate_beams(const struct terra_sampling *p, uint32_t max_tokens);

/* The session reads `source`, then the n target tokens by force, under the pins that hold so
 * far. */
bool generate_feed(struct terra_session *s, const struct terra_config *c,
                   const struct terra_ids *source, const int32_t *target, size_t n,
                   const struct generate_pin *pin, size_t n_pins, struct err *e);

/* p in 0 .. 1 of the per-token times, in milliseconds; 0 if there are none. */
double generate_percentile_ms(const struct generate_result *r, double p);

/* Tokens of source and target that a session of this model should hold. */
uint32_t generate_max_source(const struct terra_config *c);
uint32_t generate_max_target(const struct terra_config *c);

#endif
