/* live_impl.h - what the files of live share; nobody else includes it.
 *
 * Purpose: live.c holds jobs, runs and their mail, live_done.c
 *          what they gave, live_store.c the history and its
 *          recorder, live_branch.c what goes on from a run, live_lens.c a look into one
 *          token, live_compare.c the two sides of a compare.
 * Owns:    nothing: all of it is in the state.
 * Errors:  as live.h.  Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_LIVE_IMPL_H
#define TERRA_APP_LIVE_IMPL_H

#include "app/live.h"

#define LIVE_OPENING  "opening " /* a message while a model opens begins so */
#define LIVE_RETRY_MS 1000       /* what could not be written is tried again */

/* A job with the settings of now; NULL while something runs, or without a model. */
struct job *live_job(struct app *a, enum job_kind kind, struct err *e);
void live_side_recorder_close(struct app *a); /* of side B of a compare */
/* The session that runs are stored in is the one on screen. */
void live_follow_session(struct app *a);
/* Runs a text by a method; cut: read only what fits. */
unsigned live_run_text(struct app *a, const char *text, size_t n, bool document,
                       enum summarize_method method, bool ask, bool cut);
/* A run begins, nothing of it is there yet. */
void live_start_timeline(struct app *a);
void live_done(struct app *a, const struct mail *m);
/* Hands it to the worker, or lets it wait for the measuring of memory. */
unsigned live_submit(struct app *a, struct job *j, enum app_busy busy);
/* What is run again and compared. */
void live_remember_source(struct app *a, const char *text, size_t n, bool document);
/* What the list of sessions calls it, unless it has a name. */
void live_name_session(struct app *a);
/* [0] layers, [1] blocks, [2] units of both stages. */
void live_decoder_shape(const struct terra_config *c, uint32_t dec[3], uint32_t enc[3]);

/* The run that begins reads the loaded document; a branch, if its parent did. */
bool live_reads_document(const struct app *a);
/* A run begins: what it reads, and the branch it is, if it is one. */
void live_origin_begin(struct app *a, const struct mail *m);
/* Adds a branch's parameters to a JSON object. */
void live_branch_params(const struct app *a, struct buf *params);
void live_branch_note(struct app *a); /* a line of the text that says what it is */
void live_branch_done(struct app *a);

/* Why the model cannot do the run on screen again, `nothing` if there is none; NULL: it
 * can. */
const char *live_origin_problem(struct app *a, const char *nothing);
void live_lens_done(struct app *a, const struct job *j);

void live_compare_mail(struct app *a, const struct mail *m);
void live_compare_done(struct app *a, struct job *j);

#endif
