/* sampler.h - one token out of a row of logits.
 *
 * Purpose: penalties and bans, then greedy choice or a draw from the temperature's
 *          distribution cut by top-k and top-p; log-probabilities under the raw logits.
 *          A draw depends on the seed, the history's length and the logits alone: the
 *          same seed gives the same tokens, and a cancelled step may be repeated.
 * Owns:    nothing; scratch lies in the caller's arena.
 * Errors:  ERR_NUMERIC if a logit is NaN or infinite: nothing is sampled from that.
 * Threads: one user at a time.  Nothing is allocated per token.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_SAMPLER_H
#define TERRA_SAMPLER_H

#include "engine/base/arena.h"
#include "engine/terra.h"

struct sampler_candidate {
    float logit;
    int32_t id;
};

struct sampler {
    uint32_t n;                     /* logits per row */
    float *work;                    /* [n] adjusted logits */
    uint8_t *marked;                /* [n] zero between calls */
    struct sampler_candidate *heap; /* [n] */
    double *mass;                   /* of every run of ids */
};

void sampler_layout(struct sampler *s, struct arena *a, uint32_t n);

/* Fills id, logprob, top and n_top of *out; history is the target so far. */
bool sampler_pick(struct sampler *s, const struct terra_sampling *p, const float *logits,
                  const int32_t *history, size_t n_history, struct terra_token *out,
                  struct err *e);

/* The same report about a token that was chosen before. */
bool sampler_take(struct sampler *s, int32_t id, const float *logits, struct terra_token *out,
                  struct err *e);

/* Leaves in s->work the log-probabilities under the raw logits, penalties applied and what is
 * forbidden at -INFINITY. */
bool sampler_score(struct sampler *s, const struct terra_sampling *p, const float *logits,
                   const int32_t *history, size_t n_history, struct err *e);

/* Index of the first NaN or infinity, n if there is none. */
size_t sampler_first_bad(const float *x, size_t n);

#endif
