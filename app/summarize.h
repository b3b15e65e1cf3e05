/* summarize.h - a document of any length into one text by a model of fixed context.
 *
 * Purpose: cuts a document at sentences into chunks that the model can read, and runs
 *          the steps that make one summary of them.  Nothing is left out silently: the
 *          plan tells how many tokens there are and how many will be read.
 *          single      the document in one piece
 *          select      a summary of each chunk, of which the one is kept that chunks from all
 *                      over the document support best; with a wanted length, several
 *          map-reduce  a summary of each chunk, then of the summaries, until one is left
 *          refine      the summary so far goes in front of the next chunk
 * Owns:    plan and result, until their _free.  The document's text is the caller's and
 *          must outlive the plan.
 * Errors:  ERR_INPUT when the document does not fit and may not be cut; ERR_USAGE for
 *          impossible sizes; the engine's.  After ERR_CANCELLED and numeric errors the
 *          result holds the text so far.
 * Threads: planning needs only a vocabulary; running belongs to the session's thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_SUMMARIZE_H
#define TERRA_APP_SUMMARIZE_H

#include "app/generate.h"
#include "engine/terra.h"

#include <stdatomic.h>

enum summarize_method {
    SUMMARIZE_AUTO,
    SUMMARIZE_SINGLE,
    SUMMARIZE_SELECT, /* needs an encoder */
    SUMMARIZE_MAP_REDUCE,
    SUMMARIZE_REFINE
};
extern const char *const summarize_method_name[]; /* "auto" "single" ... */
bool summarize_method_parse(const char *name, enum summarize_method *out);

enum summarize_unit { SUMMARIZE_FREE, SUMMARIZE_WORDS, SUMMARIZE_SENTENCES, SUMMARIZE_TOKENS };

struct summarize_length {
    enum summarize_unit unit; /* FREE: the model decides */
    double amount;            /* share of the document's tokens if percent */
    bool percent;
};

/* "80w" "5s" "300t" "10%"; NULL or "": free. */
bool summarize_length_parse(const char *text, struct summarize_length *out, struct err *e);

struct summarize_opts {
    const struct terra_config *config;
    const struct terra_vocab *vocab;
    int32_t style; /* id of the control word, -1: none */
    enum summarize_method method;
    struct summarize_length length;
    uint32_t max_source; /* tokens of one source, control word and end symbol included */
    uint32_t chunk;      /* wanted tokens of a chunk's text; 0: what fits */
    uint32_t overlap;    /* tokens that neighbouring chunks share */
    bool allow_truncate; /* single: read what fits */
    struct terra_sampling sampling;
    uint32_t max_tokens;       /* of every step */
    const atomic_bool *cancel; /* stops planning; may be NULL */
};

struct summarize_chunk {
    size_t start, end; /* bytes of the document */
    uint32_t n_tok;
};

#define SUMMARIZE_SHORT 12u /* a text of fewer tokens is its own summary */

struct summarize_plan {
    enum summarize_method method; /* decided */
    bool as_is;                   /* shorter than the summary would be: give it back */
    uint64_t tok_total, tok_read; /* of the text; control word and end not counted */
    uint64_t tok_first;           /* auto: read if the text were cut to what fits */
    struct summarize_chunk *chunk;
    size_t n_chunks;
    uint32_t max_tokens; /* of every step, after the length goal */
};

bool summarize_plan(const struct summarize_opts *o, const char *text, size_t n,
                    struct summarize_plan *out, struct err *e);
void summarize_plan_free(struct summarize_plan *p);

/* What a plan comes to, if summaries are half as long as they may be: rough. */
struct summarize_work {
    double read;    /* tokens read at once: of texts, and of summaries by the judges */
    double written; /* tokens written one after another, those of a beam search too */
};

void summarize_work(const struct summarize_opts *o, const struct summarize_plan *p,
                    struct summarize_work *out);

enum summarize_kind {
    SUMMARIZE_STEP_SINGLE,
    SUMMARIZE_STEP_MAP,
    SUMMARIZE_STEP_REDUCE,
    SUMMARIZE_STEP_REFINE,
    SUMMARIZE_STEP_CHOSEN /* a chunk's summary is written again, now as the document's */
};
extern const char *const summarize_kind_name[]; /* "single" "map" "reduce" "refine" ... */

struct summarize_step {
    enum summarize_kind kind;
    uint32_t index;   /* of all steps, from 0 */
    uint32_t no, of;  /* within its kind and round, no from 1; map and chosen: the chunk */
    uint32_t round;   /* reduce: 1, 2 ... */
    bool final;       /* its text is the summary, or a line of it */
    const char *text; /* what it reads */
    size_t n_text;
    uint32_t n_in;                /* tokens, control word and end symbol included */
    uint64_t tok_read, tok_total; /* of the text alone; they differ when it was cut */
    const struct terra_ids *source;
};

struct summarize_sink { /* every function is optional */
    void (*begin)(void *user, const struct summarize_step *s);
    void (*prefilled)(void *user, const struct terra_prefill_stats *p);
    void (*token)(void *user, const struct terra_token *t, const char *piece, size_t n);
    /* select: chunk `no` of `of` is asked next, which of the summaries it supports. */
    void (*judge)(void *user, uint32_t no, uint32_t of);
    /* Also after an error or cancellation; e is NULL if all went well. */
    void (*end)(void *user, const struct summarize_step *s, const struct generate_result *r,
                const struct err *e);
    void *user;
};

struct summarize_result {
    struct buf text;
    enum generate_stop stop; /* of the final step */
    uint32_t n_steps;
    uint64_t tok_read; /* of the document: less than the plan's if it was stopped */
    uint64_t tokens_in, tokens_out;                      /* of all steps */
    uint64_t prefill_ns, search_ns, decode_ns, first_ns; /* search: choosing included */
    double length;                 /* of the text, in the goal's unit; 0 if free */
    double goal;                   /* 0: free */
    bool length_met;               /* within 25% of the goal, or free */
    double ms_p50, ms_p90, ms_p99; /* decode steps of the final step */
};

bool summarize_run(const struct summarize_opts *o, const struct summarize_plan *p,
                   const char *text, size_t n, struct terra_session *s,
                   const struct summarize_sink *sink, struct summarize_result *out,
                   struct err *e);
void summarize_result_free(struct summarize_result *r);

/* The source of one step: control word, text, end symbol. */
bool summarize_source(const struct summarize_opts *o, const char *text, size_t n,
                      struct terra_ids *out, struct err *e);
/* Of the n tokens of such a source those of the text: what is shown and stored as read. */
size_t summarize_text_tokens(const struct summarize_opts *o, size_t n);

/* End of the sentence that begins at `from`, before the white space behind it; a blank
 * line and a list item end one too. */
size_t summarize_sentence_end(const char *text, size_t n, size_t from);
uint32_t summarize_count_words(const char *text, size_t n);
uint32_t summarize_count_sentences(const char *text, size_t n);

#endif
