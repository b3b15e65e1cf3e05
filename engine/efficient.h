/* efficient.h - the attention of spec section 3: full, chunked, or sorted by LSH.
 *
 * Purpose: exactness first.  Keys arrive normalised and scaled, masks are added to the
 *          scores (never replace them), and results of hash rounds are combined.
 * Owns:    nothing; the workspace is the session's.
 * Errors:  none; attention_check refuses what does not fit.
 * Threads: one caller per workspace.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_EFFICIENT_H
#define TERRA_EFFICIENT_H

#include "engine/base/arena.h"

#include <stdint.h>

struct efficient_work {
    uint64_t *key;   /* [hashes * rows] sort keys; their low part is the entry */
    uint32_t *order; /* [hashes * rows] position of each sorted entry */
    uint32_t *slot;  /* [hashes * rows] sorted place of each (round, position) */
    uint32_t *list;  /* keys that one query sees */
    double *score;   /* its scores of them */
    float *out;      /* [hashes * rows][dv], sorted order */
    double *lse;     /* [hashes * rows] */
};

struct efficient {
    uint32_t heads, dk, dv;
    size_t cap, rows;       /* cache stride; rows present */
    bool causal, self_last; /* self_last: attend to oneself only as a last resort */
    bool sorted;            /* LSH */
    uint32_t chunk;         /* 0: every query sees every key */
    uint32_t before, after, hashes;
    uint32_t n_buckets; /* entries of buckets[] */
    const uint32_t *buckets;
    const float *rotations; /* [heads][dk][hashes][n_rot] */
    uint32_t n_rot;
    const uint8_t *valid; /* [rows] or NULL */
    const float *q;       /* [n][heads * dk] raw queries of rows first .. first + n - 1 */
    size_t first, n;
    const float *k, *v; /* caches [heads][cap][dk or dv] */
};

/* `seen`: most keys of one query.  Where chunks wrap around they can be more than there are
 * rows: the same chunk is then seen twice. */
void efficient_layout(struct efficient_work *w, struct arena *a, size_t rows, size_t hashes,
                      size_t dv, size_t seen);

/* out: [n][heads * dv].  A sorted run wants the whole sequence: first 0, n == rows, and
 * chunks that divide it; so do chunks that wrap around (attention_check). */
void efficient_run(const struct efficient *f, struct efficient_work *w, float *out);

#endif
