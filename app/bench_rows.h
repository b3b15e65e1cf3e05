/* bench_rows.h - results of `terra bench` as rows, and every way to show them.
 *
 * Owns: nothing; text goes to the caller's buffer.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_BENCH_ROWS_H
#define TERRA_APP_BENCH_ROWS_H

#include "engine/base/buf.h"
#include "engine/terra.h"

enum bench_kind {
    BENCH_DECODE,  /* tokens one by one */
    BENCH_PREFILL, /* many tokens at once */
    BENCH_LAYER    /* one feed-forward layer */
};

struct bench_row {
    enum bench_kind kind;
    char model[64], mode[24], dtype[8], kernels[16], test[32];
    uint32_t threads, blocks, rounds;
    double tokens, depth;          /* decoded or fed per round; rows cached before */
    double mean, sd, p50, p99;     /* milliseconds: per token, or of the whole prefill */
    double rate;                   /* tokens per second, from p50 */
    double part[TERRA_PARTS];      /* milliseconds per token, means */
    double weights_m, weight_mb;   /* millions of weights, megabytes: touched per token */
    double cache_mb, multiplies_m; /* per token */
    double gbs, bandwidth;         /* bytes over p50; measured read bandwidth, GB/s */
    double multiply_rate;          /* measured, 1e9 per second */
    double bound_bytes, bound_multiplies; /* milliseconds */
    double of_bound;                      /* the larger bound over p50, percent */
    double speedup; /* p50 of the dense row of the same test over this; 0: none */
    double faults;  /* major page faults per token */
    double rss_mb;  /* most memory of the process so far */
    double scale;   /* 1, or: measured on fewer blocks and scaled by this */
};

/* "md", "csv", "json", "jsonl" or "sql"; false if unknown. */
bool bench_write(const char *format, const struct bench_row *row, size_t n, struct buf *out);

/* Bars of p50 per row, parts told apart by letters; `width` columns. */
void bench_plot(const struct bench_row *row, size_t n, int width, struct buf *out);
/* The same as an SVG picture. */
void bench_svg(const struct bench_row *row, size_t n, struct buf *out);

/* The paper's decoding times beside ours: dense and sparse rows of the decode tests. */
void bench_paper(const struct bench_row *row, size_t n, struct buf *out);

#endif
