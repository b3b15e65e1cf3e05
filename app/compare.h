/* compare.h - the same source decoded two ways, timed alternately.
 *
 * Purpose: two sessions take steps A, B, A, B, never at the same time, so that they do
 *          not share cores or bandwidth.  While both have written the same tokens their
 *          logits are compared, bit by bit and by difference.
 * Owns:    nothing that outlives a call, but the result's arrays: compare_result_free.
 * Errors:  the engine's.  After ERR_CANCELLED the result holds what was measured.
 * Threads: the caller's; both sessions are opened and closed inside.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_COMPARE_H
#define TERRA_APP_COMPARE_H

#include "app/generate.h"
#include "engine/terra.h"

enum compare_kind {
    COMPARE_MASKED, /* same weights, all units computed: the same function */
    COMPARE_OPEN,   /* same weights, no mask: another function */
    COMPARE_MODEL   /* another model */
};

struct compare_side {
    const struct terra_model *model;
    enum terra_mode mode;
    const struct terra_ids *source; /* control word and end symbol included */
};

struct compare_opts {
    enum compare_kind kind;
    struct compare_side side[2];
    uint32_t threads; /* of each; they never run at once */
    struct terra_sampling sampling;
    uint32_t max_tokens;
    const atomic_bool *cancel;
};

struct compare_sink { /* every function is optional; side is 0 or 1 */
    void (*progress)(void *user, int side, uint64_t done, uint64_t total);
    void (*prefilled)(void *user, int side, const struct terra_prefill_stats *p);
    /* t is NULL once at most, for the rest of an unfinished character. */
    void (*token)(void *user, int side, const struct terra_token *t, const char *piece,
                  size_t n);
    void *user;
};

enum compare_badge {
    COMPARE_NONE,  /* nothing compared, or a kind that need not agree */
    COMPARE_BIT,   /* logits bit-identical */
    COMPARE_TOKEN, /* same tokens; max_abs tells how far the logits were apart */
    COMPARE_DIFF   /* tokens differ from first_diff on */
};
extern const char *const compare_badge_name[]; /* "" "BIT" "TOK" "DIFF" */

struct compare_result {
    enum compare_badge badge;
    uint32_t same, compared; /* tokens equal before the first difference; of so many */
    int32_t first_diff;      /* -1: none */
    int32_t diff_id[2];      /* what each side wrote there; TERRA_EOS if it ended */
    double gap;              /* there: A's logit of its choice minus that of B's; NaN */
    double max_abs, max_rel; /* of logits before the first difference; rel: / their sd */
    struct compare_times {
        struct buf text;
        uint32_t n_tokens;
        enum generate_stop stop;
        uint64_t *ns; /* [n_tokens], per step */
        struct terra_prefill_stats prefill;
        double p50_ms, tok_s;
        double part_ms[TERRA_PARTS]; /* means */
        double bytes;                /* weights and caches per token, mean */
    } side[2];
    uint32_t pairs; /* steps that count for the speed-up: both sides, but the first */
    double speedup, low, high; /* p50 of B / p50 of A; 95% by resampling; NaN: no pairs */
    double expected;           /* bytes of B / bytes of A; NaN */
};

/* The kind from "masked", "open" or "model:PATH" (*path then points into text). */
bool compare_parse(const char *text, enum compare_kind *kind, const char **path, struct err *e);
/* What may be claimed: "same weights, same function" ... */
const char *compare_relation(enum compare_kind k);
/* Would that be so with a first side in this mode? */
bool compare_first_side(enum compare_kind k, enum terra_mode mode, struct err *e);

bool compare_run(const struct compare_opts *o, const struct compare_sink *sink,
                 struct compare_result *out, struct err *e);
void compare_result_free(struct compare_result *r);

/* Median over pairs of b[i] and a[i]: median(b) / median(a), with a 95% interval. */
void compare_speedup(const uint64_t *a, const uint64_t *b, uint32_t n, double *ratio,
                     double *low, double *high);

#endif
