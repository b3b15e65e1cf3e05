/* golden.h - expected results of a model folder, for `terra parity`.
 *
 * Purpose: reads a folder with expect.json and its .npy files: token ids fed, logits,
 *          the controller's choices and greedy ids that an independent implementation
 *          computed.  Every size is checked against every other one.
 * Owns:    everything, until golden_free.
 * Errors:  ERR_INPUT naming file, case and key.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_GOLDEN_H
#define TERRA_DATA_GOLDEN_H

#include "data/npy.h"
#include "data/pool.h"

struct golden_case {
    const char *name;
    const int32_t *source, *target, *greedy;
    size_t n_source, n_target, n_greedy;
    size_t n_rows;          /* of logits: n_target, but 1 for an empty target */
    const float *logits;    /* [n_rows][vocab] */
    const int32_t *choice;  /* [choice_layers][choice_rows][choice_blocks], -1: unused place;
                               NULL for a dense feed-forward */
    uint32_t choice_layers; /* encoder blocks, then decoder blocks */
    uint32_t choice_rows;   /* source ids that are not 0, then n_rows */
    uint32_t choice_blocks;
    bool greedy_predict;     /* false: greedy ids come from eval mode */
    size_t target_padded_to; /* 0: the target is fed as it is */
};

struct golden {
    double tolerance;           /* of max |difference| / std of the expected logits */
    uint32_t vocab;             /* columns of every case's logits */
    const char *rotations_file; /* name in the folder, or NULL */
    struct golden_case *cases;
    size_t n_cases;
    struct pool pool;
};

bool golden_read(const char *folder, struct golden *out, struct err *e);
void golden_free(struct golden *g);

#endif
