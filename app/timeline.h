/* timeline.h - one run in memory: its tokens, choices and times, however it came here.
 *
 * Purpose: the same numbers for a live run and a stored one.  Holds every token's times
 *          and alternatives, and for both stages the controller's choices, from which the
 *          map's metrics, use counts, entropy and agreement are computed.
 * Owns:    all its arrays; timeline_free.  Zero-initialise before use.
 * Errors:  none; growth goes through xalloc.
 * Threads: one owner at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_TIMELINE_H
#define TERRA_APP_TIMELINE_H

#include "engine/base/buf.h"
#include "engine/terra.h"

/* ---- choices ------------------------------------------------------------------- */

/* The choices of one stage, a row for each token. */
struct choice_rows {
    uint32_t layers, blocks, units; /* 0: nothing is chosen here (a dense model) */
    size_t n, cap;
    uint16_t *unit;  /* [cap][layers][blocks], TERRA_NO_UNIT where there is no block */
    float *margin;   /* the same shape; NaN: not known */
    uint8_t *alive;  /* the same shape, 2: not known */
    uint32_t *count; /* [layers][blocks][units] over rows 0 .. counted-1 */
    size_t counted;
};

void choice_rows_shape(struct choice_rows *r, uint32_t layers, uint32_t blocks, uint32_t units);
void choice_rows_free(struct choice_rows *r);
/* One row; margin and alive may be NULL. Rows are [layers][blocks]. */
void choice_rows_add(struct choice_rows *r, const uint16_t *unit, const float *margin,
                     const uint8_t *alive);
/* n rows of one layer, [n][blocks]; rows grow as needed.  Layers must come in order of
 * rows: all of a layer's rows up to `first` are there. */
void choice_rows_put(struct choice_rows *r, uint32_t layer, size_t first, size_t n,
                     uint32_t blocks, const uint16_t *unit, const float *margin,
                     const uint8_t *alive);
size_t choice_cells(const struct choice_rows *r); /* layers * blocks */
const uint16_t *choice_row(const struct choice_rows *r, size_t i);

enum metric {
    METRIC_SURPRISE, /* -log2 of the smoothed past frequency of the chosen unit */
    METRIC_FLIP,     /* another unit than the token before */
    METRIC_UNIT,     /* index of the chosen unit */
    METRIC_MARGIN,   /* of the controller, top1 - top2 */
    METRIC_ZERO,     /* chosen, but ReLU made it zero */
    METRIC_USE,      /* share of tokens so far that chose the same unit */
    METRIC_P,        /* the token's probability, shown in the text */
    METRICS
};
extern const char *const metric_name[METRICS];
extern const char *const metric_help[METRICS]; /* one line */
bool metric_parse(const char *name, enum metric *out);

/* Levels 0..254 for the map, 255 where there is no value. */
void metric_levels(struct choice_rows *r, size_t row, enum metric m, uint8_t *out);
/* What the ends of the ramp mean; both hold at least 24 bytes. */
void metric_ends(const struct choice_rows *r, enum metric m, char *lo, char *hi);
/* 0 where both rows chose the same unit, 254 where not. */
void metric_difference(const struct choice_rows *r, size_t row, const struct choice_rows *other,
                       size_t other_row, uint8_t *out);

/* Bits of surprise of a unit chosen `uses` times (this one included) in row `row`. */
double choice_surprise(uint32_t uses, size_t row, uint32_t units);
/* Share of cells with the same unit; NaN if there are none. */
double choice_agreement(const struct choice_rows *r, size_t i, size_t j);
double choice_flips(const struct choice_rows *r, size_t row); /* NaN for row 0 */

/* Makes count[] the counts of rows 0 .. n-1; cheap when n moved a little. */
void choice_count_to(struct choice_rows *r, size_t n);

struct choice_stat {            /* of a layer or block, over the counted rows */
    double entropy;             /* bits, mean over blocks; NaN: nothing counted */
    double eff;                 /* 2^entropy, mean */
    double unused;              /* units never chosen, mean per block */
    double zero, margin, flips; /* shares and mean over the counted rows; NaN: unknown */
    bool low_n;                 /* fewer than 5 * units rows: not evidence */
};
void choice_layer_stat(struct choice_rows *r, uint32_t layer, struct choice_stat *out);
void choice_block_stat(struct choice_rows *r, uint32_t layer, uint32_t block,
                       struct choice_stat *out);
/* Units that chance alone leaves unused after n draws among `units`. */
double choice_unused_by_chance(uint32_t units, size_t n);

/* The row other than `row` that agrees most with it; false if there is none. */
bool choice_like(const struct choice_rows *r, size_t row, size_t *like, double *share);
/* Next (dir > 0) or previous row that chose `unit` there; wraps around. */
bool choice_find(const struct choice_rows *r, uint32_t layer, uint32_t block, uint16_t unit,
                 size_t from, int dir, size_t *row);

/* ---- tokens -------------------------------------------------------------------- */

struct timeline_token {
    int32_t id;
    float logprob; /* natural; NaN: unknown */
    uint64_t ns, part_ns[TERRA_PARTS];
    uint64_t weight_bytes, cache_bytes;
    uint32_t n_top;
    struct {
        int32_t id;
        float logprob;
    } top[TERRA_TOP];
    size_t at, len; /* its piece of text */
    bool differs;   /* compare: the other side did not write it */
};

struct timeline {
    struct timeline_token *token;
    size_t n, cap;
    struct buf text;
    struct choice_rows dec, enc; /* dec: row i is token i; enc: source positions */
    uint64_t prefill_ns, prefill_rows;
};

void timeline_free(struct timeline *t);
/* Forgets the run; keeps memory.  Shapes: [0] layers, [1] blocks, [2] units. */
void timeline_start(struct timeline *t, const uint32_t dec[3], const uint32_t enc[3]);
/* A token of the engine. unit, margin, alive are those of `tok`. */
void timeline_add(struct timeline *t, const struct terra_token *tok, const char *piece,
                  size_t n);
/* A token that has no choices with it (choices come by choice_rows_add). */
void timeline_add_bare(struct timeline *t, const struct timeline_token *tok, const char *piece,
                       size_t n);

struct timeline_times {
    double p50, p90, p99, mean; /* ms; NaN: no tokens */
    double tok_s, ttft_s, prefill_tok_s;
    double part_ms[TERRA_PARTS]; /* means */
    double bytes;                /* per token, mean; 0: not known */
};
void timeline_times(const struct timeline *t, struct timeline_times *out);

/* Nearest-rank percentile of sorted values. */
double timeline_percentile(const uint64_t *sorted, size_t n, double p);

#endif
