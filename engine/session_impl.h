/* session_impl.h - a session from inside: for session.c and search.c only.
 *
 * Purpose: the timeline's state, and marks: copies of its target side that it can go
 *          back to.
 * Owns:    the session owns its arena; a mark's memory is its owner's.
 * Errors:  none; a mark must be restored into the session that it was saved from, with the
 *          same source and pins.
 * Threads: the session's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_SESSION_IMPL_H
#define TERRA_SESSION_IMPL_H

#include "engine/decoder.h"
#include "engine/sampler.h"

struct terra_session {
    const struct terra_model *m;
    struct terra_session_opts o;
    struct compute *cx;
    struct arena arena;
    struct pass pass;
    size_t pin_room; /* of pass.pin, which grows in terra_pin alone */
    struct streams x;
    struct stack_state enc, dec;
    enum terra_dtype cache; /* how decoder keys and values are kept */
    bool whole;             /* decoder rows pass all together, every time */
    bool keep_padding;      /* some attention's result depends on the padded length */
    size_t rows;            /* most rows of one pass */
    size_t enc_cap, dec_cap;
    float *enc_a, *enc_b; /* whole: the encoder's result [n_source][d] */
    uint8_t *valid;       /* [enc_cap] */
    int32_t *ids;         /* [rows] inputs of a pass */
    int32_t *source, *target;
    size_t n_source, n_e; /* padded length; non-zero tokens */
    size_t n_target;      /* known target tokens */
    size_t fed;           /* decoder rows passed */
    bool ready, have_logits;
    float *logits; /* [out_vocab] of the next token */
    struct sampler sampler;
    uint64_t part_ns[TERRA_PARTS]; /* of the pending token */
    uint64_t logits_ns;
    struct terra_prefill_stats prefill;
    uint64_t progress_done, progress_total;
};

/* Whether there is a prefilled timeline; ERR_USAGE if not. */
bool session_has_timeline(const struct terra_session *s, struct err *e);

/* A point of the timeline behind the source. */
struct session_mark {
    struct stack_state dec;
    size_t cap;  /* target rows it can hold */
    size_t rows; /* target rows passed */
    int32_t *target;
    size_t n_target;
};

/* Lays out a mark of at most `rows` target rows; a dry arena only measures. */
void session_mark_layout(const struct terra_session *s, struct session_mark *mk,
                         struct arena *a, size_t rows);

/* Both copy only what differs: rows behind equal tokens are equal.  Logits are not kept. */
void session_save(const struct terra_session *s, struct session_mark *mk);
void session_restore(struct terra_session *s, const struct session_mark *mk);

#endif
