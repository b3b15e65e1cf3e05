/* recorder_impl.h - what the files of the recorder share; nobody else includes it.
 *
 * Purpose: recorder.c takes events into memory, recorder_write.c writes what waits there,
 *          recorder_rows.c holds rows of choices.
 * Owns:    as recorder.h.  Errors: the banner.  Threads: the store's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_RECORDER_IMPL_H
#define TERRA_APP_RECORDER_IMPL_H

#include "app/recorder.h"

#include "app/recorder_rows.h"
#include "engine/base/buf.h"

#define RECORDER_BATCH 64u /* tokens */

struct doc { /* shared by the runs that read it and their summary */
    size_t refs;
    struct store_document row; /* strings owned */
    int64_t id;                /* 0: not stored */
};

struct summary {
    char *method, *target, *body, *rouge;
    int64_t tok_read, tok_total;
    struct doc *doc;
};

struct job { /* a run that is not completely stored yet */
    struct job *next;
    struct store_run run; /* strings owned */
    bool apart, begun, prefilled, prefill_stored, ended, counted;
    struct doc *doc; /* NULL: it read none */
    uint64_t load_ns, prefill_ns, decode_ns;
    enum store_status status;
    char *error; /* NULL: none */
    struct buf output;
    struct store_token *token; /* text: offset into `output` until written */
    size_t *text_at;           /* [cap] where the token's text begins */
    size_t n, cap, n_stored;
    struct rows dec, enc;
    bool enc_stored;
    const struct terra_model *model;
    struct summary *summary; /* this run wrote its text; NULL: none */
};

struct recorder {
    struct store *store;
    struct recorder *beside; /* whose session this one's runs go into; NULL: its own */
    enum recorder_trace trace;
    char *build, *host;
    uint64_t retry_ns, retry_at, flushed_at;
    const struct terra_model *model, *stored_model;
    int64_t session, model_id, run_id;
    uint32_t opened;          /* of the store, when those ids were its own */
    struct doc *doc;          /* of the runs to come; NULL: none */
    struct job *first, *last; /* the last one may be running */
    int64_t *step;            /* runs of step_doc since its last summary */
    struct doc *step_doc;
    size_t n_steps, cap_steps;
    size_t memory, cap;
    struct summary *summary; /* its runs were stored before it came; NULL: none */
    bool lost;               /* the cap was reached: something is not stored */
    struct err why;          /* of the last failure; kind 0: none */
    char banner[300];
};

void recorder_doc_free(struct doc *d); /* one share of it */
struct doc *recorder_doc_share(struct doc *d);
void recorder_summary_free(struct summary *s);
void recorder_job_free(struct job *j);
size_t recorder_job_memory(const struct job *j);

/* Writes everything that waits, or sets the banner. */
void recorder_flush(struct recorder *r);

#endif
