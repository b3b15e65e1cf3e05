/* terra.h - the public face of the engine: a Terraformer that decodes sparsely.
 *
 * Three opaque things:
 *   terra_model    weights, configuration and vocabulary.  Immutable after it is
 *                  opened; any number of sessions may share it.
 *   terra_session  one mutable timeline: source, fed tokens, caches, scratch.
 *   terra_detok    turns token ids back into text, whole characters only.
 *
 * Purpose: computes what trax's ConfigurableTerraformer computes (arXiv 2111.12763,
 *          man terra-model for the files).  Knows nothing of screens or databases.
 * Owns:    what an _open function returns, until the matching _close (NULL is fine).
 *          Pointers inside results belong to the session or model and stay valid
 *          until its next call.
 * Errors:  bool/NULL and a caller's `struct err`; see engine/base/err.h.
 * Threads: a model may be used from any thread; a session from one at a time.  The
 *          session runs its own pool of compute threads and no others.  `cancel`
 *          may be set from anywhere, signal handlers included.
 * Memory:  nothing is allocated per token.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_H
#define TERRA_H

#include "engine/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TERRA_PAD       0 /* padding, and the decoder's start symbol */
#define TERRA_EOS       1 /* end of sequence */
#define TERRA_TOP       5 /* alternatives reported with every token */
#define TERRA_NO_UNIT   0xFFFF
#define TERRA_RUNNER_UP 0xFFFE /* terra_pin: the unit the controller puts second */
#define TERRA_MAX_CTL   16     /* control words of one model */

/* ---- configuration ------------------------------------------------------ */

enum terra_dtype { TERRA_F32, TERRA_BF16, TERRA_I8 };

/* How a model with a sparse feed-forward is run.  A dense model ignores it, and so does one
 * with ff_multiply or ff_experts: what it chose is always gathered. */
enum terra_mode {
    TERRA_SPARSE, /* gather only the chosen units */
    TERRA_MASKED, /* compute all units, apply the mask: the same function */
    TERRA_OPEN    /* compute all units, no mask: a different function */
};

enum terra_position_type {
    TERRA_POS_NONE,
    TERRA_POS_TABLE,
    TERRA_POS_FACTORED,
    TERRA_POS_FIXED_BASE,
    TERRA_POS_SIN_COS,
    TERRA_POS_AXIAL
};

enum terra_attention_type {
    TERRA_ATT_DENSE,    /* spec 2.4, 2.5 */
    TERRA_ATT_MULT,     /* MultiplicativeCausalAttention */
    TERRA_ATT_MULTMOD,  /* MultiplicativeModularCausalAttention */
    TERRA_ATT_MODULAR,  /* ModularCausalAttention */
    TERRA_ATT_CONV,     /* ConvCausalAttention */
    TERRA_ATT_LOWRANK,  /* LowRankCausalAttention */
    TERRA_ATT_MULTCONV, /* MultiplicativeConvCausalAttention */
    TERRA_ATT_SELF      /* SelfAttention, LSHSelfAttention */
};

enum terra_attention_core {
    TERRA_CORE_STANDARD,
    TERRA_CORE_SHARED, /* q and k averaged, then standard */
    TERRA_CORE_LSH,
    TERRA_CORE_MIXED /* shared up to std_length rows, LSH above */
};

enum terra_v_concat { TERRA_V_NONE, TERRA_V_FIXED, TERRA_V_ORIGINAL };

struct terra_attention_config {
    enum terra_attention_type type;
    enum terra_attention_core core;
    uint32_t modules;       /* M; 0 where unused */
    uint32_t length_kernel; /* l */
    uint32_t module_kernel; /* kappa of conv and modular */
    uint32_t rank;          /* lowrank */
    enum terra_v_concat v_concat;
    bool out_mult, out_conv; /* output layers of multconv */
    bool share_qk;
    uint32_t d_key, d_value; /* per head; self only */
    uint32_t chunk;          /* self, lsh; 0: full attention */
    uint32_t hashes, before, after, std_length;
    uint32_t n_buckets; /* entries of buckets[]; 0: from the length */
    uint32_t buckets[4];
};

#define TERRA_MAX_ATT       8 /* different decoder attention types in one model */
#define TERRA_MAX_AXES      4
#define TERRA_MAX_POS_WIDTH 4096 /* inner width of a factored table */

struct terra_position_config {
    enum terra_position_type type;
    uint32_t max, width; /* rows of the table; inner width when factored */
    uint32_t n_axes, shape[TERRA_MAX_AXES], widths[TERRA_MAX_AXES];
};

struct terra_config {
    char name[64];
    uint32_t vocab, out_vocab; /* out_vocab == vocab when the embedding is shared */
    bool separate_vocab;
    uint32_t d_model, d_ff, n_heads;
    uint32_t n_enc, n_dec, n_dec_att;
    bool reversible_encoder, two_swaps, center_norm;
    uint32_t forget;
    bool forget_dense;
    uint32_t half_before, double_after;
    uint32_t ff_block, ff_rank; /* N (0: dense) and r */
    bool ff_multiply;           /* chosen units times their softmax */
    uint32_t ff_experts;        /* X of BlockSparseFF; 0: none */
    bool ff_switch;             /* SwitchSparseFF */
    uint32_t sru_layers, sru_width;
    uint32_t loss_modules; /* S; 0: dense */
    struct terra_position_config pos;
    struct terra_attention_config enc_att, dec_att[TERRA_MAX_ATT];
    uint32_t n_dec_att_types;
    uint32_t max_source, max_target; /* tokens; 0: only limited by positions */
    bool source_eos;
    uint32_t n_control;
    struct {
        char name[24];
        int32_t id;
    } control[TERRA_MAX_CTL];
};

/* Feed-forward blocks of encoder block or decoder block `layer` (encoder blocks
 * first); 0 for a dense model.  Layers 0 .. n_enc + n_dec - 1. */
uint32_t terra_config_blocks(const struct terra_config *c, uint32_t layer);
uint32_t terra_config_max_blocks(const struct terra_config *c);

/* ---- model ---------------------------------------------------------------- */

struct terra_model;

/* Opens a model folder.  Weights are mapped, not read.  ERR_MODEL on anything that
 * disagrees with terra-model(5): the message names the tensor and both values. */
struct terra_model *terra_model_open(const char *dir, struct err *e);

/* A model with made-up weights whose controllers really choose, for bench.
 * Presets: "medium", "medium-dense", "medium-dense6144", "big", "big-dense", "tiny",
 * "tiny-dense".  `blocks` > 0 overrides the number of decoder blocks. */
struct terra_model *terra_model_preset(const char *preset, enum terra_dtype dtype,
                                       uint32_t blocks, struct err *e);
void terra_model_close(struct terra_model *m);

const struct terra_config *terra_model_config(const struct terra_model *m);
const char *terra_model_path(const struct terra_model *m); /* "" for a preset */

struct terra_tensor_info {
    const char *name;
    enum terra_dtype dtype;
    uint32_t rank;
    uint64_t shape[6];
    uint64_t bytes; /* with scales */
};

struct terra_model_info {
    uint64_t n_tensors, parameters, file_bytes, header_bytes;
    uint8_t header_sha256[32];
    /* decoder side, per decoded token at batch 1 without the cache (spec 4.2) */
    uint64_t bytes_sparse, bytes_dense;
};

void terra_model_info(const struct terra_model *m, struct terra_model_info *out);
/* false past the last tensor; file order. */
bool terra_model_tensor(const struct terra_model *m, size_t i, struct terra_tensor_info *out);

/* ---- vocabulary ----------------------------------------------------------- */

struct terra_vocab; /* belongs to the model */

/* NULL if the model folder has none. */
const struct terra_vocab *terra_model_vocab(const struct terra_model *m);

struct terra_ids {
    int32_t *id; /* grown with realloc; free with terra_ids_free */
    size_t n, cap;
};

void terra_ids_free(struct terra_ids *ids);
void terra_ids_add(struct terra_ids *ids, int32_t id);

/* Appends the ids of `text`; adds no control word and no end symbol. */
bool terra_encode(const struct terra_vocab *v, const char *text, size_t n,
                  struct terra_ids *out, struct err *e);

struct terra_detok;

struct terra_detok *terra_detok_open(const struct terra_vocab *v);
void terra_detok_close(struct terra_detok *d);
void terra_detok_reset(struct terra_detok *d);
/* Text that became certain with this id: possibly empty, never half a character
 * unless the model wrote malformed bytes.  Concatenating all pieces and the flush
 * gives the decoding of the whole list.  Valid until the next call. */
const char *terra_detok_add(struct terra_detok *d, int32_t id, size_t *n);
const char *terra_detok_flush(struct terra_detok *d, size_t *n);

/* The id's own raw bytes, for token lists ("" for control words and unknown ids). */
const char *terra_token_bytes(const struct terra_vocab *v, int32_t id, size_t *n);

/* ---- session ---------------------------------------------------------------- */

enum terra_part { /* where a token's time goes */
                  TERRA_PART_CTL,
                  TERRA_PART_FF,
                  TERRA_PART_QKV,
                  TERRA_PART_ATT,
                  TERRA_PART_HEAD,
                  TERRA_PART_SAMPLE,
                  /* Embedding, norms, the rest; SRU, but where a sparse decoding step does it
                   * beside ctl and ff. */
                  TERRA_PART_OTHER,
                  TERRA_PARTS
};
extern const char *const terra_part_name[TERRA_PARTS]; /* "ctl" ... */

enum terra_stage { TERRA_ENCODER, TERRA_DECODER };

/* The controller's choices for n_rows consecutive rows of one feed-forward layer.
 * Decoder rows are numbered from 0 = first source row. */
struct terra_choices {
    enum terra_stage stage;
    uint32_t layer; /* encoder or decoder block */
    uint32_t first_row, n_rows, blocks;
    const uint16_t *unit; /* [n_rows][blocks] */
    const float *margin;  /* [n_rows][blocks], top1 - top2 of the controller */
    const uint8_t *alive; /* [n_rows][blocks], 1 if ReLU let the unit through */
};

/* How the decoder's keys and values are kept. */
enum terra_cache {
    TERRA_CACHE_AUTO, /* like the weights */
    TERRA_CACHE_F32,
    TERRA_CACHE_BF16,
    TERRA_CACHE_I8
};

struct terra_session_opts {
    enum terra_mode mode;
    uint32_t threads;         /* 0: physical cores */
    uint32_t max_source;      /* source tokens of one prefill; 0: the model's, else 512 */
    uint32_t max_target;      /* fed tokens; 0: the model's, else 512 */
    uint32_t eval_min_length; /* LSH only: shortest padded target (spec 1.9); 0: 16 */
    enum terra_cache cache;
    bool quiet;                /* no choices, no parts: the control run for tracing cost */
    const atomic_bool *cancel; /* polled between layers; NULL: never */
    /* Optional: every choice made, prefill included.  Called from the caller's thread. */
    void (*on_choices)(void *user, const struct terra_choices *c);
    /* Optional: prefill progress in layer-rows. */
    void (*on_progress)(void *user, uint64_t done, uint64_t total);
    void *user;
};

struct terra_session;

struct terra_session *terra_session_open(const struct terra_model *m,
                                         const struct terra_session_opts *o, struct err *e);
void terra_session_close(struct terra_session *s);
uint64_t terra_session_bytes(const struct terra_session *s); /* memory held, without weights */
uint32_t terra_session_threads(const struct terra_session *s);
const char *terra_session_kernels(const struct terra_session *s); /* "avx512", "scalar" ... */

/* Starts over with a source (n_source 0: decoder-only).  Zeros at the end are
 * padding.  Afterwards the start symbol is pending.  Spec 1.4 - 1.8. */
bool terra_prefill(struct terra_session *s, const int32_t *source, size_t n_source,
                   struct err *e);

/* Feeds target tokens by force: row t scores ids[t] given ids[..t-1].  `logits` is
 * [n][out_vocab] or NULL.  Afterwards ids[n-1] is pending. */
bool terra_feed(struct terra_session *s, const int32_t *ids, size_t n, float *logits,
                struct err *e);

/* Logits [out_vocab] of the next token; computed once, the session's memory. */
const float *terra_logits(struct terra_session *s, struct err *e);

/* terra_logits, and what the head (final norm and loss) makes of the mean of both streams
 * after every decoder block, the "logit lens": logits is [n_dec][out_vocab].  The last row
 * is terra_logits; NaN where a layer is narrower than the last.  Ask before terra_logits. */
bool terra_lens(struct terra_session *s, float *logits, struct err *e);

/* From the next computed row on, a block of decoder layer `layer` takes `unit` whatever its
 * controller says; TERRA_RUNNER_UP is the one its controller puts second in that row, kept
 * from there on.  TERRA_NO_UNIT gives it back, and terra_prefill gives back all.  Sparse and
 * masked mode alike; ERR_USAGE for what does not exist, a dense layer and open mode. */
bool terra_pin(struct terra_session *s, uint32_t layer, uint32_t block, uint16_t unit,
               struct err *e);

/* Makes `id` the pending token. */
bool terra_accept(struct terra_session *s, int32_t id, struct err *e);

struct terra_sampling {
    float temperature;        /* 0: greedy, the first of equal maxima */
    uint32_t top_k;           /* 0: all */
    float top_p;              /* 1 or 0: all */
    float repeat_penalty;     /* 1 or 0: none; over the fed and sampled target tokens */
    uint32_t no_repeat_ngram; /* 0: off; forbids completing an n-gram already written */
    uint32_t min_tokens;      /* the end symbol is forbidden before */
    uint32_t beams;           /* of terra_search_run's caller; terra_next ignores it */
    uint64_t seed;
};

struct terra_token {
    int32_t id;
    uint32_t index; /* 0 for the first target token */
    float logprob;  /* natural log, under the raw logits */
    uint32_t n_top;
    struct {
        int32_t id;
        float logprob;
    } top[TERRA_TOP];                   /* best first */
    uint64_t ns;                        /* all of it, sampling included */
    uint64_t part_ns[TERRA_PARTS];      /* zeros when quiet */
    uint64_t weight_bytes, cache_bytes; /* touched */
    uint64_t major_faults;              /* pages read from disk for it */
    uint32_t layers, blocks;            /* decoder layers; widest layer's blocks */
    const uint16_t *unit; /* [layers][blocks], TERRA_NO_UNIT past a narrow layer */
    const float *margin;  /* [layers][blocks] */
    const uint8_t *alive; /* [layers][blocks] */
};

/* One decoding step: terra_logits, sample, terra_accept.  ERR_NUMERIC names the layer
 * and part where the first NaN or Inf appeared.  After an error of any pass (ERR_NUMERIC,
 * ERR_CANCELLED, no position left) the timeline is gone: terra_prefill (and terra_feed)
 * start it again. */
bool terra_next(struct terra_session *s, const struct terra_sampling *p,
                struct terra_token *out, struct err *e);

/* The same step with a token that was chosen before, by terra_search_run or by a person. */
bool terra_take(struct terra_session *s, int32_t id, struct terra_token *out, struct err *e);

#define TERRA_MAX_BEAMS 16

/* Beam search: several continuations side by side, of which the likeliest for its length
 * wins.  A session's search uses the session itself; it holds copies of the target side. */
struct terra_search; /* opaque */

/* For continuations of at most max_tokens from where the session stands. */
struct terra_search *terra_search_open(struct terra_session *s, uint32_t beams,
                                       uint32_t max_tokens, struct err *e);
void terra_search_close(struct terra_search *x);

/* The best continuation of at most max_tokens (the end symbol included, if the text ends):
 * ids stay the search's until its next call.  The penalties and bans of `p` hold, its
 * temperature does not.  The session is then where it was: terra_take goes on from there.
 * Ask before terra_logits; on_choices is not called.  Errors as with terra_next. */
bool terra_search_run(struct terra_search *x, const struct terra_sampling *p,
                      uint32_t max_tokens, const int32_t **ids, size_t *n, struct err *e);

/* Natural-log probability of n given tokens from where the session stands, the end symbol maybe
 * among them; n at most the search's max_tokens.  The session is then where it was.  Ask before
 * terra_logits; on_choices is not called.  Errors as with terra_feed. */
bool terra_search_score(struct terra_search *x, const int32_t *ids, size_t n, double *logprob,
                        struct err *e);

/* The target tokens so far (fed and accepted). */
const int32_t *terra_target(const struct terra_session *s, size_t *n);
uint32_t terra_source_rows(const struct terra_session *s); /* n_e */

struct terra_prefill_stats {
    uint64_t ns, rows;             /* of encoder and decoder together */
    uint64_t part_ns[TERRA_PARTS]; /* zeros when quiet; later terra_feed calls included */
};
void terra_prefill_stats(const struct terra_session *s, struct terra_prefill_stats *out);

/* ---- machine ----------------------------------------------------------------- */

struct terra_machine {
    char cpu[64], blas[96], kernels[64]; /* kernel sets this CPU can run */
    uint32_t cores;                      /* physical */
    uint64_t memory_bytes, available_bytes;
};

void terra_machine_info(struct terra_machine *out);

/* Read bandwidth in bytes per second with `threads` threads: the median of `rounds`
 * passes over a buffer larger than the last-level cache.  Takes about 0.2 s. */
double terra_machine_bandwidth(uint32_t threads, uint32_t rounds, struct err *e);

/* Multiplies (with their additions) per second of `dtype` weights from first-level cache, the
 * best of `rounds` passes: what bounds products whose weights are shared by many rows. */
double terra_machine_multiplies(uint32_t threads, enum terra_dtype dtype, uint32_t rounds,
                                struct err *e);

/* One feed-forward layer on made-up weights that do not fit a cache, `batch` rows at a time. */
struct terra_layer_shape {
    uint32_t d, f, unit, rank, batch;
    enum terra_dtype dtype;
};

/* Median nanoseconds per call over `rounds`, the two forms in turns: all f units, or the
 * controller and one unit of every `unit`. */
bool terra_layer_time(const struct terra_layer_shape *s, uint32_t threads, uint32_t rounds,
                      double *dense_ns, double *sparse_ns, struct err *e);

#endif
