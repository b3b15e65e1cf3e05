/* worker.h - the thread that runs models, and the jobs it is given.
 *
 * Purpose: one job at a time: open a model, read and summarize a document or prompt,
 *          compare two ways of running, measure the memory's speed.  Everything a job
 *          tells arrives as mail; MAIL_DONE is the last and carries the result.
 * Owns:    engine sessions, its thread, and a job from worker_submit until its
 *          MAIL_DONE hands the result over.  Models belong to who got them.
 * Errors:  in MAIL_DONE.
 * Threads: submit, cancel and stop from the main thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_WORKER_H
#define TERRA_APP_WORKER_H

#include "app/compare.h"
#include "app/lens.h"
#include "app/mailbox.h"
#include "app/summarize.h"
#include "data/document.h"

enum job_kind {
    JOB_OPEN,      /* open a model folder: path */
    JOB_READ,      /* read a document and plan; run nothing */
    JOB_SUMMARIZE, /* read if there is a path, plan, and run unless it must ask first */
    JOB_COMPARE,
    JOB_BRANCH,   /* go on behind `forced` target tokens of the text's run */
    JOB_LENS,     /* look into the last of the `forced` target tokens */
    JOB_BANDWIDTH /* memory read speed with `threads` */
};

struct job {
    enum job_kind kind;
    uint32_t number;
    char *path; /* JOB_OPEN: model; READ, SUMMARIZE: document or NULL; the job's own */
    char *text; /* prompt or document when path is NULL; the job's own */
    size_t n_text;
    uint64_t max_bytes; /* of a document */
    const struct terra_model *model;
    enum terra_mode mode;
    uint32_t threads;
    bool ask;         /* stop before running if the document does not fit in one piece */
    bool encoder_too; /* mail encoder choices */
    struct summarize_opts summarize;
    /* compare */
    enum compare_kind against;
    char *model_b; /* folder; the job's own */

    /* branch */
    struct terra_ids forced;
    struct generate_pin pin[GENERATE_PINS]; /* the last: a unit, or TERRA_RUNNER_UP */
    size_t n_pins;
    int store_kind;

    /* results */
    struct buf build;           /* version, kernels and threads, once a session is open */
    struct terra_model *opened; /* JOB_OPEN: the model; COMPARE: side B's, or NULL */
    bool has_document, planned, ran;
    struct document document;
    struct summarize_plan plan;
    struct summarize_result summary;
    struct compare_result compare;
    struct lens lens;
    double bandwidth; /* bytes per second */
};

struct job *job_new(enum job_kind k);
void job_free(struct job *j); /* with everything still in it; NULL is fine */

struct worker;

/* `run` does the job and posts its mail, MAIL_DONE excepted; NULL: worker_run.  Tests
 * put a fake here. */
typedef bool worker_fn(struct worker *w, struct job *j, struct err *e);

struct worker *worker_open(worker_fn *run, struct err *e);
/* Cancels what runs and waits for the thread. */
void worker_close(struct worker *w);

struct mailbox *worker_mailbox(struct worker *w);
/* false while another job is under way; it takes the job over otherwise. */
bool worker_submit(struct worker *w, struct job *j);
void worker_cancel(struct worker *w);
bool worker_busy(const struct worker *w); /* until its MAIL_DONE was taken */
/* To be called with each MAIL_DONE: the finished job, now the caller's. */
struct job *worker_finish(struct worker *w, const struct mail *done);

/* For worker functions. */
const atomic_bool *worker_cancelled(const struct worker *w);
bool worker_post(struct worker *w, struct mail *m, const char *text, size_t n);
bool worker_run(struct worker *w, struct job *j, struct err *e);

#endif
