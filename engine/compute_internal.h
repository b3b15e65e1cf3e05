/* compute_internal.h - what the files of compute.h share.
 *
 * Owns: struct compute is made and freed in compute.c.  Errors, threads: see compute.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_COMPUTE_INTERNAL_H
#define TERRA_COMPUTE_INTERNAL_H

#include "engine/compute.h"
#include "engine/pool.h"

#include <string.h>

/* Tile sizes are constants: they may change a sum's last bit, the machine must not. */
enum {
    GEMM_FROM = 16,         /* positions from which sgemm beats row products */
    GEMM_WEIGHTS = 1 << 20, /* smaller matrices stay with the row kernels, whatever n is */
    GEMM_OUT = 128,
    GEMM_ROWS = 128,
    GEMM_DEPTH = 512,
    ATTEND_ROWS = 64,  /* queries whose scores are one product */
    MODULE_GRAIN = 8,  /* modules of a factored product that stay together */
    Q8_ROWS = 60,      /* rows turned into 8 bits at a time, */
    ROWS_TOGETHER = 6, /* in multiples of what the kernel multiplies at once */
    CONV_MODULES = 16,
    SHARE_ROWS = 8, /* positions a thread from which they are shared out, not the outputs */
    CONV_OUT = SLAB * PANEL,
    CHOOSE_ROWS = 18,   /* rows whose logits stay in the second-level cache until the choice */
    CHOOSE_UNITS = 256, /* controller outputs computed between two looks at the maximum */
    ROW_GRAIN = 8,
    ROW_FETCH = 2048,         /* bytes */
    SHARE = 3,                /* fewest heads or groups of them that a thread stays with */
    FEW_MULTIPLIES = 1 << 16, /* done before another thread has heard of them */
    TILE_FLOATS = 96 << 10 /* scratch of one thread: a tile of sgemm, or as many rows in 8 bits
                            * as a thread has of 64 modules (weights are read once for them) */
};

_Static_assert(GEMM_OUT *GEMM_DEPTH <= TILE_FLOATS, "a tile of sgemm fits");

/* How far a thread has fetched its share of the list. */
struct soon_cursor {
    struct fetch f;
    char pad[64 - sizeof(struct fetch)]; /* a cache line each */
};

struct compute {
    const struct kernels *k;
    struct pool *pool;
    float *tile;                /* [threads][TILE_FLOATS] */
    struct soon_cursor *cursor; /* [threads] */
};

/* What `thread` may fetch next. */
static inline struct fetch *compute_fetch(const struct compute *c, uint32_t thread)
{
    return &c->cursor[thread].f;
}

static inline void fetch_bytes(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i += 64)
        __builtin_prefetch((const char *)p + i, 0, 2);
}

/* Fetches some lines now, where a thread computes without asking memory for much else. */
static inline void fetch_some(const struct compute *c, uint32_t thread, size_t lines)
{
    struct fetch *f = compute_fetch(c, thread);
    fetch_more(f);
    lines = f->lines < lines ? f->lines : lines;
    fetch_bytes(f->p, 64 * lines);
    f->p += 64 * lines;
    f->lines -= lines;
}

static inline float *compute_tile(const struct compute *c, uint32_t thread)
{
    return c->tile + (size_t)thread * TILE_FLOATS;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many rows of `depth` <= QUAD_DEPTH values in 8 bits fit a thread's tile, beside `rest`
 * bytes. */
static inline size_t q8_room(size_t depth, size_t rest)
{
    size_t room = (TILE_FLOATS * sizeof(float) - rest) / q8_bytes(depth);
    return room < ROWS_TOGETHER ? room : room / ROWS_TOGETHER * ROWS_TOGETHER;
}

static inline int8_t *q8_tile(const struct compute *c, uint32_t thread)
{
    return (int8_t *)compute_tile(c, thread);
}

/* n rows, `ld` apart, as rows of q8_bytes(depth). */
static inline void quantize_rows(const struct kernels *k, const float *x, size_t ld, float gain,
                                 size_t n, size_t depth, int8_t *out)
{
    for (size_t t = 0; t < n; t++)
        k->quantize(x + t * ld, NULL, TERRA_F32, gain, depth, out + t * q8_bytes(depth));
}

static inline void set_bias(const float *bias, size_t n, float *y)
{
    if (bias)
        memcpy(y, bias, n * sizeof *y);
    else
        memset(y, 0, n * sizeof *y);
}

/* y[t] += bias for n rows; NULL adds nothing. */
void add_bias(const float *bias, size_t n, size_t width, float *y);

/* Parts of compute_factored, compute_convs, compute_store and compute_attend for one position,
 * by one thread.  Modules [m0, m1): y and the calls' y are whole rows. */
void factored_modules(struct compute *c, uint32_t thread, const struct factored *f,
                      const float *x, size_t m0, size_t m1, float *y);
void conv_modules(struct compute *c, uint32_t thread, const struct conv_call *call,
                  uint32_t n_calls, const float *x, size_t m0, size_t m1);
void store_heads(struct compute *cx, const struct cache *c, size_t width, size_t cap, size_t at,
                 const float *x, size_t h0, size_t h1);
/* Begins to fetch what attend_heads reads of a head. */
void fetch_head(const struct attend *a, size_t head, size_t seen);
void attend_heads(struct compute *c, uint32_t thread, const struct attend *a, const float *q,
                  float *scores, size_t h0, size_t h1, float *out);

/* x as the thread's own layers read it; own: [threads][d]. */
static inline const float *own_norm(const struct kernels *k, const struct norm *ln,
                                    const float *x, size_t d, float *own, uint32_t thread)
{
    if (!ln)
        return x;
    k->norm(x, d, ln->scale, ln->bias, ln->center, own + thread * d);
    return own + thread * d;
}

/* acc[c0, c1) += y[c0, c1). */
static inline void own_add(const struct kernels *k, const float *y, size_t c0, size_t c1,
                           float *acc, atomic_bool *bad)
{
    if (!acc)
        return;
    k->add(y + c0, c1 - c0, acc + c0);
    if (!k->finite(acc + c0, c1 - c0))
        atomic_store_explicit(bad, true, memory_order_relaxed);
}

/* Outputs [r0, r1) of one position, by one thread; r0 and, but for the last, r1 are multiples
 * of PANEL. */
void linear_outputs(struct compute *c, uint32_t thread, const struct linear *l, size_t r0,
                    size_t r1);
/* Heads [h0, h1) of a decoded position, whose keys and values are stored first. */
void attend_own(struct compute *c, uint32_t thread, const struct attend *a,
                const float *const qkv[3], float *scores, size_t h0, size_t h1, float *out);

/* compute_linear without bias, through the row or packed kernels whatever n is. */
void linear_rows(struct compute *c, const struct mat *w, const float *x, size_t n, float *y);

#endif
