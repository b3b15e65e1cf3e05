/* compute.h - layer arithmetic over rows of activations, shared by all layers.
 *
 * Purpose: picks gemv or gemm, threads and instruction set; layers above only say what
 *          is multiplied.  n is the number of rows (positions): 1 while decoding, a tile
 *          during prefill.  Activations are float32, row-major, densely packed.
 * Owns:    a pool and per-thread tiles.  Errors: compute_open only.
 * Threads: one caller at a time.  Results do not depend on the number of threads.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_COMPUTE_H
#define TERRA_COMPUTE_H

#include "engine/kernels/kernels.h"

#include <stdatomic.h>

struct compute; /* opaque */

/* threads 0: physical cores.  kernels NULL: the best. */
struct compute *compute_open(uint32_t threads, const char *kernels, struct err *e);
void compute_close(struct compute *c);
uint32_t compute_threads(const struct compute *c);
const struct kernels *compute_kernels(const struct compute *c);

/* Memory that the coming calls will read, in that order.  Calls bound by multiplies fetch it
 * into the cache along the way, at this pace (struct fetch).  The list stays the caller's; n 0
 * ends it. */
void compute_soon(struct compute *c, const struct span *list, uint32_t n, uint32_t pace);

/* Most inputs of a matrix packed by fours that compute_linear or compute_choose is given: a
 * row of activations in 8 bits fits a thread's scratch. */
enum { QUAD_DEPTH = 1 << 16 };

/* y[n][rows] = x[n][cols] w^T + bias; bias may be NULL. */
void compute_linear(struct compute *c, const struct mat *w, const float *bias, const float *x,
                    size_t n, float *y);

/* compute_linear of one position; bias may be NULL. */
struct linear {
    const struct mat *w;
    const float *bias, *x;
    float *y;
};

/* By one thread of a call that is running. */
void compute_linear_alone(struct compute *c, uint32_t thread, const struct linear *l);

/* FactoredDense, spec 2.6: gate (modules, in), proj (out/modules, in), bias [out].
 * scratch: n * modules * in floats. */
void compute_factored(struct compute *c, const struct mat *gate, const struct mat *proj,
                      const float *bias, uint32_t modules, const float *x, size_t n,
                      float *scratch, float *y);

/* LocallyConvDense, spec 2.6.  w is (length * modules_kernel * m_out, c_in): rows ordered
 * (length tap, module tap, output).  x holds length - 1 rows of history and then n rows, each
 * modules * c_in wide; y is [n][modules * m_out]; bias [m_out]. */
struct conv_shape {
    uint32_t modules, length, kernel, c_in, m_out;
};
void compute_conv(struct compute *c, const struct mat *w, const float *bias,
                  const struct conv_shape *s, const float *x, size_t n, float *y);

/* Layer normalisation, spec 2.1. */
struct norm {
    const float *scale, *bias; /* [d]; bias is read but unused when not centred */
    bool center;
};
void compute_norm(struct compute *c, const struct norm *ln, const float *x, size_t n, size_t d,
                  float *y);

/* One decoded position's way through a residual layer, x (one stream) to acc (the other): every
 * thread norms x for itself and adds its columns of the result to acc, so that none of it
 * crosses from one core to another more often than it must, and nobody waits for it. */
struct residual {
    const struct norm *ln; /* NULL: x is taken as it is */
    const float *x;        /* [d] */
    float *own;            /* scratch, [threads][d] */
    float *acc;            /* [d]; NULL: nothing is added */
    atomic_bool bad;       /* set where a sum is NaN or Inf; the caller clears it */
};

/* A linear layer of one position. */
struct linear_step {
    struct residual res;
    struct linear call; /* x is not read; y: what res.acc gets */
    bool relu;
};
void compute_linear_step(struct compute *c, struct linear_step *s);

/* One sparse feed-forward layer, spec 2.7; w1 and w2 are (blocks * units, d). */
struct ff_weights {
    struct mat ctl1, ctl2; /* (r, d), (blocks * units, r) */
    const float *ctlb;     /* [blocks * units] */
    struct mat w1, w2;
    const float *b2; /* [d] */
    uint32_t blocks, units;
};

/* unit, margin, alive: [n][blocks].  Controller in float32; the first of equal maxima wins.
 * A block's margin is NaN if one of its logits is NaN or infinite.
 * z is scratch of n * (r + blocks * units) floats; behind the first n * r it holds the
 * controller's logits, bias included. */
void compute_choose(struct compute *c, const struct ff_weights *w, const float *x, size_t n,
                    float *z, uint16_t *unit, float *margin);

/* y[n][d]: only the chosen rows are read.  hidden is scratch of n * blocks floats. */
void compute_ff_sparse(struct compute *c, const struct ff_weights *w, const float *x, size_t n,
                       const uint16_t *unit, float *hidden, uint8_t *alive, float *y);

/* Another branch of the block, from its first to its last layer. */
struct ff_branch {
    const struct norm *ln; /* of the layer's x; NULL: x is taken as it is */
    float *own;            /* as the layer's */
    struct linear in, out; /* in.x is not read; out: [d], added to acc after the layer */
    void (*between)(void *user, uint32_t thread); /* by one thread, once `in` is done */
    void *user;
    atomic_bool bad; /* as the layer's */
};

/* One decoded position: bit for bit what compute_choose and compute_ff_sparse do, but a thread
 * multiplies the rows that it chose while the next ones arrive, and with a branch beside it
 * that would keep few threads busy alone. */
struct ff_step {
    const struct ff_weights *w;
    struct residual res;
    struct ff_branch *branch; /* NULL: none */
    float *z;                 /* scratch, as in compute_choose */
    uint16_t *unit;           /* [blocks] */
    float *margin;
    float *hidden;
    uint8_t *alive;
    float *y; /* [d], what res.acc gets */
    bool timed;
    uint64_t rows_ns; /* timed: the calling thread's time with rows of w1 and w2 */
};
void compute_ff_step(struct compute *c, struct ff_step *s);

/* The same function computed the long way: all units, then the mask (unit NULL: no mask,
 * terra's `open` mode).  hidden is scratch of n * blocks * units floats. */
void compute_ff_dense(struct compute *c, const struct ff_weights *w, const float *x, size_t n,
                      const uint16_t *unit, float *hidden, uint8_t *alive, float *y);

/* Several convolutions of the same x, alike in modules, length, c_in and m_out. */
struct conv_call {
    const struct mat *w;
    const float *bias;
    const struct conv_shape *s;
    float *y;
};
void compute_convs(struct compute *c, const struct conv_call *call, uint32_t n_calls,
                   const float *x, size_t n);

/* Keys or values of one attention layer.  Rows of int8 have a scale each: max |x| / 127. */
struct cache {
    enum terra_dtype dtype;
    void *data;   /* [heads][cap][width] */
    float *scale; /* [heads][cap] for TERRA_I8, else NULL */
};

/* Writes rows [at, at + n) from x [n][heads * width]. */
void compute_store(struct compute *cx, const struct cache *c, size_t heads, size_t width,
                   size_t cap, size_t at, const float *x, size_t n);

/* Attention of n query rows over cached rows, one head after another (spec 2.3).
 * q: [n][heads * dh].  k, v: of one layer, rows dh wide.
 * Query row t sees key rows [0, first + t + 1) if causal, else all `rows` keys that are
 * valid (valid NULL: all; a masked score is -1e9, replaced).  out: [n][heads * dh].
 * scores: scratch of score_floats floats, at least compute_attend_floats. */
struct attend {
    uint32_t heads, dh;
    size_t cap, rows, first;
    bool causal;
    const uint8_t *valid;
    struct cache k, v;
};
size_t compute_attend_floats(size_t threads, size_t heads, size_t rows);
void compute_attend(struct compute *c, const struct attend *a, const float *q, size_t n,
                    float *scores, size_t score_floats, float *out);

/* One decoded position of attention whose queries, keys and values are linear layers: bit for
 * bit what compute_linear, compute_store and compute_attend do one after another, but a thread
 * stays with its heads. */
struct heads_step {
    struct residual res;  /* acc NULL */
    struct linear qkv[3]; /* x is not read; y [heads * dh] each; k and v go to the caches too */
    struct attend attend; /* of this row: causal, rows = first + 1 */
    float *scores, *out;  /* heads * rows floats; [heads * dh] */
    bool timed;
    uint64_t attend_ns; /* timed: how long the calling thread's heads took */
};
/* False, and nothing done, where one call after another is the better or the only way: few
 * heads for the threads, or heads that packed weights cannot be cut by. */
bool compute_heads(struct compute *c, struct heads_step *s);

/* A FactoredDense layer: what compute_factored takes. */
struct factored {
    const struct mat *gate, *proj;
    const float *bias;
    uint32_t modules;
};

/* One decoded position of multiplicative convolutional attention (spec 2.6): bit for bit what
 * compute_factored, compute_convs, compute_store and compute_attend do one after another, but
 * a thread stays with its modules and heads and waits for nobody in between.  What a
 * convolution reads of its neighbours' modules it computes itself. */
struct multconv_step {
    struct residual res; /* d = modules * m = heads * dh */
    struct factored mult;
    const struct conv_call *qkv; /* [3], y [d] each; k and v go to the caches as well */
    float *ring;                 /* [length][d]: mult's output of row r at r % length */
    struct attend attend;        /* of this row: causal, rows = first + 1 */
    float *scratch;              /* threads * length * d floats */
    float *scores, *out;         /* heads * rows floats; [d], what res.acc gets */
    bool timed;
    uint64_t attend_ns; /* timed: how long the calling thread's heads took */
};

/* False, and nothing done, where one call after another is the better or the only way: few
 * modules for the threads, or no packed weights. */
bool compute_multconv(struct compute *c, struct multconv_step *s);

#endif
