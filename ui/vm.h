/* vm.h - view models: what the panes draw, as plain data.
 *
 * Purpose: the contract between app (which fills these in) and ui (which draws
 *          them).  Nothing here knows an engine, a database or a terminal.
 * Owns:    nothing: all pointers belong to the filler and must live until the draw
 *          returns.  Strings are NUL-terminated and may hold anything: panes make
 *          control characters and malformed UTF-8 visible.  NULL means "leave it out".
 * Errors:  none.  A NaN (or a negative number where noted) means "not known" and shows
 *          as "-".
 * Threads: the drawing thread only.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_VM_H
#define TERRA_UI_VM_H

#include "ui/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vm_view {
    VM_MAIN,
    VM_COMPARE,
    VM_SESSIONS,
    VM_INSPECT,
    VM_PAGE, /* plain lines: statistics, bench, model card */
    VM_VIEWS
};

enum vm_pane { /* what can have the focus, and what a mouse can hit */
               VM_PROMPT,
               VM_OUTPUT,
               VM_MAP,
               VM_LATENCY,
               VM_STRIP,
               VM_OTHER, /* the body of a view other than main */
               VM_NOWHERE
};

/* ---- frame -------------------------------------------------------------------- */

struct vm_header {
    int64_t session;   /* 0: none yet */
    const char *title; /* of the session or the document */
    const char *model; /* NULL: "no model" */
    uint32_t layers, blocks, units;
    const char *dtype, *mode; /* "f32", "sparse" */
    uint32_t threads;
    bool has_seed;
    uint64_t seed;
    uint32_t run, runs;   /* 1-based; 0: none */
    const char *state;    /* "idle", "GEN", "PREFILL", "REPLAY 2x", "LOADING" */
    bool busy;            /* draws the state as active */
    uint64_t done, total; /* beside the state; total 0: not shown */
    double tok_s;         /* NaN: not known */
    const char *saving;   /* NULL: saved as usual; "log off", "NOT SAVED" */
};

enum vm_severity { VM_INFO, VM_WARN, VM_ERROR };

struct vm_message {
    enum vm_severity severity;
    const char *text;
    double progress;    /* 0..1 draws a bar; negative or NaN: none */
    const char *banner; /* stays in front until the reason is gone */
};

struct vm_hint {
    const char *key, *text; /* "Esc", "stop" */
};

struct vm_hints {
    const struct vm_hint *hint; /* most wanted first; "? help" is always added */
    size_t n;
};

/* ---- prompt ------------------------------------------------------------------- */

struct vm_prompt {
    const char *prompt; /* "> " or what a search shows */
    const char *text;
    size_t n;
    size_t cursor;            /* byte offset into text, 0..n */
    bool active;              /* has the keys: the cursor is shown */
    const char *placeholder;  /* while empty: what may be typed here */
    const char *const *popup; /* completion candidates, NULL: none */
    size_t n_popup;
};

/* ---- output ------------------------------------------------------------------- */

struct vm_output {
    struct flow *flow; /* wrapped by the pane */
    const struct flow_view *view;
    const char *title; /* NULL: "output" */
    const char *empty; /* while the flow is empty: what to do first */
    const char *find;  /* highlighted; NULL: none */
    int32_t token;     /* scrubbed, FLOW_NO_TOKEN: none */
    int32_t pinned;    /* likewise */
    bool live;         /* a reply is arriving: its end is marked */
};

/* ---- latency ------------------------------------------------------------------ */

#define VM_PARTS 8

struct vm_timing {
    uint64_t ns;
    uint64_t part_ns[VM_PARTS];
};

struct vm_latency {
    const struct vm_timing *token; /* oldest first */
    size_t n;
    size_t mark; /* index of the scrubbed one, >= n: the last */
    uint32_t parts;
    const char *part[VM_PARTS];
    double part_ms[VM_PARTS]; /* shown: of the scrubbed token or the mean */
    double ms, p50, p90, p99; /* NaN: not known */
    double ttft_s, prefill_tok_s, decode_tok_s;
    double observer; /* share of a token spent on tracing and drawing, 0..1 */
    /* memory traffic; 0: not known */
    double bytes_token, bytes_dense;  /* touched per token; by the masked run */
    double bandwidth, bandwidth_peak; /* bytes per second, used and measured */
    uint32_t byte_parts;
    const char *byte_part[VM_PARTS];
    double byte_part_n[VM_PARTS]; /* bytes */
};

/* ---- the map of chosen units ---------------------------------------------------- */

#define VM_ABSENT 255 /* no such block, no value yet */

enum vm_zoom {
    VM_ZOOM_ALL,   /* layer x block */
    VM_ZOOM_LAYER, /* block x unit of one layer */
    VM_ZOOM_BLOCK  /* unit counts of one block */
};

struct vm_layer_stat {
    double entropy; /* bits, mean over blocks; NaN: not known */
    double eff;     /* effective units, 2^entropy averaged */
    double zero;    /* share chosen but zero after ReLU, 0..1 */
    double margin;  /* mean controller margin */
    double flips;   /* share of blocks whose unit changed, 0..1 */
    double unused;  /* units never chosen, mean per block */
    uint32_t n;     /* tokens counted */
    bool low_n;     /* too few to be evidence */
};

struct vm_map {
    enum vm_zoom zoom;
    const char *stage;   /* "decoder", "encoder" */
    const char *metric;  /* "surprise" */
    const char *lo, *hi; /* what the ends of the ramp mean: "0", "6 bits" */
    uint32_t layers, blocks, units;
    const uint8_t *level;  /* [layers][blocks] 0..254 or VM_ABSENT; NULL: nothing yet */
    const uint16_t *unit;  /* [layers][blocks] chosen unit, or NULL */
    const uint32_t *order; /* [layers][blocks] the block at each place of the map; NULL: by
                              index, as in the inspector */
    const struct vm_layer_stat *stat; /* [layers], or NULL */
    uint32_t layer, block;            /* cursor; the map pages so that it is visible */
    bool cursor;                      /* draw it */
    int32_t token;                    /* number shown; negative: none */
    const char *text;                 /* of that token */
    bool live;                        /* it is the newest one */
    bool pinned;                      /* levels are differences against a pinned token */
    double flips;                     /* 0..1 of all cells since the token before; NaN */
    double chance;                    /* share of agreement by chance, 1/units; NaN */
    /* of `layer`, for the two closer zooms; NULL: not counted */
    const uint32_t *uses; /* [blocks][units] how often each was chosen */
    uint32_t uses_n;      /* tokens counted */
    const uint8_t *age;   /* [blocks][units] 0: chosen now, k: k tokens ago, 255: longer */
    double unused_chance; /* units chance alone leaves unused after uses_n; NaN */
};

/* ---- tokens -------------------------------------------------------------------- */

#define VM_TOP 5

struct vm_alternative {
    const char *text;
    double p; /* 0..1 */
};

struct vm_strip {
    const char *const *text; /* tokens around the scrubbed one, in order */
    size_t n;
    size_t at;     /* which of them is scrubbed */
    int32_t first; /* number of text[0] */
    struct vm_alternative top[VM_TOP];
    size_t n_top;
    double p; /* of the scrubbed token; NaN */
};

/* Agreement of the scrubbed token with earlier ones: share of blocks with the same unit. */
struct vm_agree {
    size_t n;
    const int32_t *token;
    const double *share; /* 0..1 */
    double chance;       /* 1/units */
    int32_t like;        /* most alike of all, negative: none */
    const char *like_text;
    double like_share;
};

/* ---- compare --------------------------------------------------------------------- */

enum vm_badge {
    VM_BADGE_NONE,  /* nothing compared yet, or kinds that need not agree */
    VM_BADGE_BIT,   /* logits bit-identical */
    VM_BADGE_TOKEN, /* same tokens, logits differ by at most max_abs */
    VM_BADGE_DIFF   /* tokens differ from first_diff on */
};

struct vm_side {
    const char *name; /* "sparse", "masked-dense" */
    struct flow *flow;
    const struct flow_view *view;
    uint32_t done, total;
    double ms, tok_s;         /* p50 of a token */
    double part_ms[VM_PARTS]; /* means */
    const uint8_t *level;     /* [layers][blocks], for the wide view; NULL */
};

struct vm_compare {
    struct vm_side a, b;
    const char *relation; /* "same weights, same function" */
    bool has_seed;
    uint64_t seed;
    double temperature;
    bool playing;
    double speed;  /* of the replay */
    int32_t token; /* replay position, FLOW_NO_TOKEN: running */
    enum vm_badge badge;
    uint32_t same, compared;
    int32_t first_diff;          /* token, negative: none */
    const char *diff_a, *diff_b; /* candidates there */
    double gap;                  /* of the top two logits there; NaN */
    double max_abs;              /* largest difference of logits; NaN */
    double speedup, low, high;   /* p50/p50 and its 95% interval; NaN */
    uint32_t pairs;
    double expected; /* speed-up by bytes touched; NaN */
    uint32_t parts;
    const char *part[VM_PARTS];
    uint32_t layers, blocks;
    const uint8_t *difference; /* [layers][blocks] 0: same unit; NULL */
    const char *metric, *lo, *hi;
    const char *order; /* "A,B,A,B then replayed" */
};

/* ---- sessions ------------------------------------------------------------------------ */

struct vm_session {
    int64_t id;
    char mark;           /* '!' interrupted, '*' open here, ' ' */
    const char *updated; /* "today 18:20" */
    uint32_t runs;
    uint64_t tokens;
    double tok_s; /* NaN */
    const char *doc, *title;
};

struct vm_sessions {
    const struct vm_session *row;
    size_t n;
    size_t total;    /* without the search */
    size_t selected; /* index into row */
    const char *query;
    bool editing;                  /* the query has the keys */
    size_t cursor;                 /* byte in query */
    const char *sort, *size, *log; /* "updated", "38MB", "on" */
    const char *preview;           /* of the selected one; hits in [brackets] */
    const double *rate;            /* tok/s of its runs, oldest first */
    size_t n_rate;
};

/* ---- inspector ----------------------------------------------------------------------- */

struct vm_inspect {
    int64_t run;
    int32_t token;
    uint32_t n;       /* tokens in the run */
    const char *text; /* of the token */
    int32_t id;
    double p;
    struct vm_strip strip;
    struct vm_map map;    /* layer, block, age, uses as above */
    int32_t unit;         /* chosen in the cursor's block, negative: none */
    double margin, relu;  /* there; NaN */
    uint32_t block_flips; /* tokens whose unit differs from the one before */
    double block_entropy; /* bits */
    double max_entropy;   /* log2(units) */
    const uint8_t *flips; /* [layers][n_flips] share of flips per token, level */
    size_t n_flips;
    int32_t flips_first; /* token of the first column */
    struct vm_agree agree;
};

/* ---- overlays, pages ------------------------------------------------------------------- */

struct vm_help_row {
    const char *key, *text;
    const char *group; /* heading drawn when it changes; NULL: none */
    const char *more;  /* second line of the selected row; NULL */
};

struct vm_help {
    const char *title; /* "main, focus = prompt" */
    const char *filter;
    const struct vm_help_row *row; /* those that match */
    size_t n, total;
    size_t selected;
};

struct vm_choice {
    const char *key, *text; /* "c", "chunk: 11 parts" */
};

struct vm_dialog {
    const char *title, *text; /* text is wrapped */
    const struct vm_choice *choice;
    size_t n, selected;
};

struct vm_page {
    const char *title;
    const char *const *line; /* a line that starts with '#' and a space is a heading */
    size_t n;
    size_t top;
    bool list;       /* one line is selected, and shown whatever top says */
    size_t selected; /* index into line */
};

/* ---- everything ----------------------------------------------------------------------------
 */

struct vm {
    enum vm_view view;
    enum vm_pane focus;
    struct vm_header header;
    struct vm_message message;
    struct vm_hints hints;
    struct vm_prompt prompt;
    struct vm_output output;
    struct vm_latency latency;
    struct vm_map map;
    struct vm_strip strip;
    struct vm_agree agree;
    struct vm_compare compare;
    struct vm_sessions sessions;
    struct vm_inspect inspect;
    struct vm_page page;
    const struct vm_help *help;     /* NULL: closed */
    const struct vm_dialog *dialog; /* NULL: closed */
};

#endif
