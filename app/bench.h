/* bench.h - `terra bench`: how fast this machine decodes, and why.
 *
 * Purpose: times sparse, masked and dense decoding and prefill of made-up models (or of a
 *          model folder) in alternating rounds, next to the read bandwidth and multiply
 *          rate measured in the same run.
 * Owns:    nothing between calls.
 * Errors:  reported in `e`; the return value is the exit status.
 * Threads: call from the main thread; nothing else should run meanwhile.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_BENCH_H
#define TERRA_APP_BENCH_H

#include "engine/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bench_options {
    const char *model;  /* folder; NULL: made-up weights */
    const char *preset; /* "medium", "big", "tiny"; NULL: medium */
    const char *modes;  /* comma-separated of sparse, masked, open, untraced and, for presets,
                           dense, dense6144; NULL: sparse,dense, of a folder sparse,masked */
    const char *dtype;  /* "int8", "bf16", "f32"; NULL: int8 */
    const char *format; /* "md", "csv", "json", "jsonl", "sql"; NULL: md */
    const char *output; /* new file; NULL: standard output */
    const char *svg;    /* also writes the plot here, over an older one; NULL: no */
    int64_t threads;    /* -1 or 0: physical cores */
    int64_t blocks;     /* decoder blocks; -1: the preset's */
    int64_t prompt;     /* -p tokens of prefill; -1: none */
    int64_t tokens;     /* -n decoded tokens a round; -1: 32 */
    int64_t rounds;     /* -r rounds of every mode; -1: 5 */
    int64_t depth;      /* -d tokens in the cache before decoding; -1: 0 */
    bool paper;         /* the paper's table beside ours */
    bool sweep;         /* cost over threads and cache length */
    bool layer;         /* one feed-forward layer, dense against 1 of N, instead */
    bool json;          /* same as format "jsonl" */
    bool quiet;         /* no progress on standard error */
    const atomic_bool *cancel;
};

int bench_run(const struct bench_options *o, struct err *e);

#endif
