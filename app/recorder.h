/* recorder.h - what a run does, on its way into the store.
 *
 * Purpose: takes a run's events and writes them in batches: every 64 tokens or every
 *          half second.  When the store refuses (disk full, locked) events wait in
 *          memory, up to 64 MB, and are tried again later and at the end.  A database
 *          deleted while open is made anew with what is still in memory.  A session that
 *          was deleted is left alone: the next run begins a new one.
 * Owns:    copies of everything it is given; the store stays the caller's.
 * Errors:  recorder_trouble: one line for a banner, NULL while all is well.
 *          recorder_close: false if anything could not be saved.
 * Threads: the store's thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_RECORDER_H
#define TERRA_APP_RECORDER_H

#include "data/store.h"
#include "engine/terra.h"

enum recorder_trace { RECORDER_NONE, RECORDER_DEC, RECORDER_ALL };

struct recorder_opts {
    struct store *store; /* NULL: everything below does nothing */
    const struct terra_model *model;
    enum recorder_trace trace;
    const char *build, *host;
    int64_t session; /* 0: a new one with the first run */
    /* Optional: its session is this one's too (the other side of a compare).  It must live
     * longer. */
    struct recorder *beside;
    uint32_t retry_ms; /* after a failed write; 0: a minute */
    size_t memory;     /* for what waits; 0: 64 MB */
};

struct recorder;

struct recorder *recorder_open(const struct recorder_opts *o);

/* The document that the following runs read, stored with the first of them. */
struct recorder_document {
    const char *name, *body;
    size_t n_body;
    uint8_t sha256[32];
    uint64_t bytes, fixes;
    int64_t n_tok;
};
void recorder_document(struct recorder *r, const struct recorder_document *d);

#define RECORDER_LAST (-1) /* as parent: the run before this one, stored yet or not */

struct recorder_run {
    enum store_kind kind;
    enum store_mode mode;
    const char *prompt, *params; /* params: JSON object or NULL */
    size_t n_prompt;
    uint64_t seed;
    int64_t n_in, n_read; /* as struct store_run */
    int64_t parent;       /* 0: none */
    int64_t pair;         /* a number that both runs of a compare have; 0: none */
    int32_t chunk;        /* -1: none */
    bool with_document;
    bool apart; /* a branch: no step of a summary, though it reads the document */
};

/* One run at a time: begin, choices and prefilled, tokens, end. */
void recorder_begin(struct recorder *r, const struct recorder_run *run);
/* Encoder choices, when everything is traced; other stages are ignored. */
void recorder_choices(struct recorder *r, const struct terra_choices *c);
void recorder_prefilled(struct recorder *r, uint64_t load_ns, uint64_t prefill_ns);
/* t NULL: text behind the last token. */
void recorder_token(struct recorder *r, const struct terra_token *t, const char *text,
                    size_t n);
void recorder_end(struct recorder *r, enum store_status status, const char *error,
                  uint64_t decode_ns);

/* A summary made of the runs since the last one; the last run wrote its text. */
struct recorder_summary {
    const char *method, *target, *body, *rouge; /* target, rouge: NULL if none */
    int64_t tok_read, tok_total;
};
void recorder_summary(struct recorder *r, const struct recorder_summary *s);

/* Writes what is due.  recorder_token does this too; a loop that waits calls it. */
void recorder_tick(struct recorder *r);

const char *recorder_trouble(const struct recorder *r);
int64_t recorder_session(const struct recorder *r); /* 0 until the first run is stored */
int64_t recorder_run_id(const struct recorder *r);  /* of the newest run; 0 until stored */
bool recorder_saves(const struct recorder *r);      /* it was given a store */
bool recorder_waits(const struct recorder *r);      /* something is not stored yet */

/* Tries once more to write what waits. */
bool recorder_close(struct recorder *r, struct err *e);

#endif
