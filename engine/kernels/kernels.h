/* kernels.h - the inner loops, one table of functions per instruction set.
 *
 * Purpose: everything that reads weights goes through here.  The scalar set is the
 *          oracle: plain loops, sums in index order.  The others may add in another
 *          order inside one dot product, but every set gives the same result for the
 *          same row however it is called (alone, in a range, gathered): that is what
 *          makes sparse and masked runs agree.
 * Owns:    nothing.  Errors: none; shapes were checked when the model was opened.
 * Threads: pure functions.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_KERNELS_H
#define TERRA_KERNELS_H

#include "engine/terra.h"

/* The same weights once more, for products with many rows of activations at once: the
 * outputs of a row group (all rows; or one tap of a convolution) lie PANEL by PANEL, and
 * inside a panel input by input, PANEL neighbours together.  Of several groups, `slab` panels
 * of each lie together: what one thread reads of a convolution is in one piece. */
enum { PANEL = 16, SLAB = 2 };

struct pack {
    enum terra_dtype dtype;
    uint32_t groups, panels, slab, depth; /* depth: inputs; slab divides panels */
    const void *data;                     /* [panels / slab][groups][slab][depth][PANEL] */
    const float *scale; /* [panels / slab][groups][slab][PANEL] for TERRA_I8, else NULL */
    bool quads; /* data is [..][slab][depth / 4][PANEL][4]: weights + 128, unsigned bytes */
};

/* Where panel `panel` of a group is, counted in panels. */
static inline size_t pack_at(const struct pack *p, size_t group, size_t panel)
{
    return (panel / p->slab * p->groups + group) * p->slab + panel % p->slab;
}

/* A weight matrix: one row per output, `cols` inputs, rows contiguous. */
struct mat {
    enum terra_dtype dtype;
    uint32_t rows, cols;
    const void *data;
    const float *scale;      /* [rows] for TERRA_I8, else NULL */
    const struct pack *pack; /* NULL: not packed */
};

/* Packs `w`, whose rows are `groups` equal runs of whole panels, into pack_size bytes,
 * aligned to 64; by fours of inputs if `quads`.  pack_size is 0 if the runs are no whole
 * panels, or for quads if w is not int8 or its inputs are no multiple of 4. */
size_t pack_size(const struct mat *w, uint32_t groups, bool quads);
void pack_fill(struct pack *p, const struct mat *w, uint32_t groups, bool quads, void *memory);

/* Memory that will be read soon. */
struct span {
    const void *p;
    size_t bytes;
    bool shared; /* every thread reads all of it, not its own part */
};

/* What a thread may fetch into the cache while it computes something else: `lines` of 64 bytes
 * from p on, and after them its parts of `left` spans.  `pace` of them, 1 or 2, in the time of
 * a dozen products of vectors: what is asked for faster than it comes may be dropped. */
struct fetch {
    const char *p; /* never NULL */
    size_t lines;
    const struct span *next;
    uint32_t left, thread, threads, pace;
};

/* Goes on to the next span if this one is fetched.  Of what is not shared every thread has a
 * contiguous part, as it later has of the work. */
static inline void fetch_more(struct fetch *f)
{
    for (; !f->lines && f->left; f->left--, f->next++) {
        size_t lines = (f->next->bytes + 63) / 64, l0 = 0;
        if (!f->next->shared) {
            l0 = lines * f->thread / f->threads;
            lines = lines * (f->thread + 1) / f->threads;
        }
        f->p = (const char *)f->next->p + l0 * 64;
        f->lines = lines - l0;
    }
}

/* Activations for packs by fours: a row of n values as whole numbers of -127 .. 127, then a
 * q8_block for every Q8_BLOCK of them, the last of which takes what is left over.  A value is
 * scale * number, off by at most half a scale, max |x| / 127 of its block. */
enum { Q8_BLOCK = 128 };
#define Q8_LEAST 1e-30f /* a block of smaller values is zero: 127 / max must be finite */

struct q8_block {
    float scale;   /* NaN if a value is not finite */
    int32_t start; /* -128 * (sum of the numbers): what weights plus 128 add too much */
};

static inline size_t q8_blocks(size_t n)
{
    return n < Q8_BLOCK ? 1 : n / Q8_BLOCK;
}

static inline size_t q8_bytes(size_t n)
{
    return n + q8_blocks(n) * sizeof(struct q8_block);
}

/* In 16 bits: n whole numbers of -32767 .. 32767, then a float scale for every block. */
static inline size_t q16_bytes(size_t n)
{
    return n * sizeof(int16_t) + q8_blocks(n) * sizeof(float);
}

struct kernels {
    const char *name;

    /* y[t * ld_y + r - r0] = x[t] . w[r]  for r in [r0, r1), t < n; x rows are ld_x apart. */
    void (*rows)(const struct mat *w, size_t r0, size_t r1, const float *x, size_t ld_x,
                 size_t n, float *y, size_t ld_y);

    /* y[i] = x . w[row[i]] for i < n: the gathered twin of `rows`, bit-identical to it.  The
     * `more` rows behind them in the list come next, and may be fetched. */
    void (*rows_at)(const struct mat *w, const uint32_t *row, size_t n, size_t more,
                    const float *x, float *y);

    /* y[c] += sum over i < n, ascending, of a[i] * w[row[i]][c], for c in [c0, c1).
     * row NULL: row[i] = i. */
    void (*axpy_at)(const struct mat *w, const uint32_t *row, const float *a, size_t n,
                    size_t c0, size_t c1, float *y);

    /* The same over all rows for several y: y[t * ld_y + c - c0] += sum of a[t * ld_a + r] *
     * w[r][c]; bit-identical to one axpy_at per t. */
    void (*axpy_rows)(const struct mat *w, const float *a, size_t ld_a, size_t n, size_t c0,
                      size_t c1, float *y, size_t ld_y);

    /* y[t * ld_y + o] += x[t] . w[o] of row group `group` for t < n and the outputs o of panels
     * [p0, p1), all of one slab, counted from the first of them.  Works off `f` meanwhile
     * (NULL: nothing to fetch). NULL in the scalar set. */
    void (*panels)(const struct pack *w, size_t group, size_t p0, size_t p1, const float *x,
                   size_t ld_x, size_t n, float *y, size_t ld_y, struct fetch *f);

    /* The same for packs by fours, from rows in 8 bits, ld_x bytes apart, and for all groups
     * at once: those of group g begin tap[g] bytes after x[t].  tap NULL: there is one group.
     * NULL where the CPU has no such instructions. */
    void (*panels_q8)(const struct pack *w, const size_t *tap, size_t p0, size_t p1,
                      const int8_t *x, size_t ld_x, size_t n, float *y, size_t ld_y,
                      struct fetch *f);

    /* Makes such a row: q8_bytes(n) bytes of gain * x[i] * gate[i].  Gates are of type t,
     * without their scale; NULL: 1.  NULL where panels_q8 is. */
    void (*quantize)(const float *x, const void *gate, enum terra_dtype t, float gain, size_t n,
                     int8_t *out);

    /* The same for several int8 gates of one x, much faster: x in 16 bits, q16_bytes(n), and
     * then out = gain * x * gate, whose numbers are off by a little more than half a scale.
     * NULL where panels_q8 is. */
    void (*round16)(const float *x, size_t n, int16_t *out);
    void (*gate16)(const int16_t *x, const int8_t *gate, float gain, size_t n, int8_t *out);

    /* y[r] = scale[r] * (x . row r) for n int8 rows of cols < 2 * Q8_BLOCK and one such row x:
     * the same bits as from packed rows.  NULL where panels_q8 is. */
    void (*dots_q8)(const int8_t *w, const float *scale, size_t n, size_t cols, const int8_t *x,
                    float *y);

    /* Packs int8 rows by fours on the fly: n rows of `depth` inputs as outputs (n a multiple
     * of PANEL, depth of 4), or the `width` columns of n rows as outputs (n a multiple of 4,
     * width of PANEL).  NULL where panels_q8 is. */
    void (*pack_rows)(const int8_t *w, size_t n, size_t depth, uint8_t *out);
    void (*pack_columns)(const int8_t *w, size_t n, size_t width, uint8_t *out);

    /* Writes columns [c0, c1) of rows [r0, r1) as float, ld floats apart. */
    void (*expand)(const struct mat *w, size_t r0, size_t r1, size_t c0, size_t c1, float *out,
                   size_t ld);

    /* y[i] = (x[i] - mean) / sqrt(var + 1e-6) * scale[i] + bias[i]; spec 2.1. */
    void (*norm)(const float *x, size_t d, const float *scale, const float *bias, bool center,
                 float *y);

    /* s[i] = exp(s[i] - max), in place, for max no less than any of them; their sum. */
    float (*exps)(float *s, size_t n, float max);

    /* s[i] = exp(s[i]) / sum of exp(s[j]), in place; n > 0. */
    void (*softmax)(float *s, size_t n);

    /* y[i] += x[i] */
    void (*add)(const float *x, size_t n, float *y);

    /* Largest of n > 0 finite values. */
    float (*max)(const float *x, size_t n);

    /* Whether no value is NaN or infinite. */
    bool (*finite)(const float *x, size_t n);

    /* Index of the largest of n > 0 values, the first among equals, and the largest of the
     * others (-FLT_MAX if there are none).  *top is NaN if one of them is NaN or infinite. */
    uint32_t (*best)(const float *x, size_t n, float *top, float *second);

    /* out[i] = round(x[i] / scale), ties to even, for the returned scale max |x| / 127; zeros
     * and a scale that is not finite if some x is not. */
    float (*narrow)(const float *x, size_t n, int8_t *out);

    /* Sum of exp(x[i] - max), where max is their maximum. */
    float (*sum_exp)(const float *x, size_t n, float max);
};

/* The best set this CPU runs, or the one named ("scalar", "avx2", "avx512", "avx512vnni",
 * "neon"); NULL if it
 * cannot run here.  NULL `name` reads nothing from the environment. */
const struct kernels *kernels_get(const char *name);

/* Whether set k can use the packed copy of w, and in which form. */
static inline bool mat_has_panels(const struct kernels *k, const struct mat *w)
{
    return w->pack && !w->pack->quads && k->panels;
}

static inline bool mat_has_quads(const struct kernels *k, const struct mat *w)
{
    return w->pack && w->pack->quads && k->panels_q8;
}

static inline size_t dtype_size(enum terra_dtype t)
{
    return t == TERRA_F32 ? 4 : t == TERRA_BF16 ? 2 : 1;
}

static inline const char *mat_row(const struct mat *w, size_t r)
{
    return (const char *)w->data + r * w->cols * dtype_size(w->dtype);
}

/* Bytes one row occupies, its scale included. */
static inline uint64_t mat_row_bytes(const struct mat *w)
{
    return (uint64_t)w->cols * dtype_size(w->dtype) + (w->dtype == TERRA_I8 ? 4 : 0);
}

static inline uint64_t mat_bytes(const struct mat *w)
{
    return mat_row_bytes(w) * w->rows;
}

#endif
