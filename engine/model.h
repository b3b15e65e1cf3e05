/* model.h - a model's weights by role, after every name and shape was checked.
 *
 * Purpose: turns (config, tensors) into plain structs that the layers read.  A preset
 *          fills the same structs from made-up memory.
 * Owns:    struct terra_model owns the mapping, the vocabulary, the block arrays and, for
 *          presets, the weights; everything else points into them.
 * Errors:  model_bind: ERR_MODEL naming the tensor and both values.
 * Threads: immutable after opening.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_MODEL_H
#define TERRA_MODEL_H

#include "engine/base/arena.h"
#include "engine/compute.h"
#include "engine/config.h"
#include "engine/tensor_file.h"

#define MODEL_MAX_SRU 4
#define MODEL_SOON    16

struct dense {
    struct mat w;   /* (out, in) */
    const float *b; /* [out], NULL: none */
};

/* A map from rows of width `in` to rows of width `out`, position by position
 * (`length` 1) or looking `length` - 1 rows back. */
enum projection_kind {
    PROJ_NONE, /* absent */
    PROJ_DENSE,
    PROJ_FACTORED,
    PROJ_MULTMOD,
    PROJ_MODULAR,
    PROJ_CONV,
    PROJ_LOWRANK
};

struct projection {
    enum projection_kind kind;
    uint32_t in, out;
    struct mat w;           /* dense, modular (M k m, m), conv; proj of the factored ones */
    const float *b;         /* bias of the result, NULL: none */
    struct mat gate;        /* factored, multmod: (modules, in) */
    struct mat w2;          /* multmod (M m, m); lowrank: the second matrix (out, rank) */
    const float *b1;        /* lowrank: bias [rank] of the first */
    struct conv_shape conv; /* conv, and modules/kernel/sizes of the modular ones */
};

struct attention {
    const struct terra_attention_config *cfg;
    uint32_t d, heads, dk, dv; /* dk, dv: per head */
    struct norm ln;
    struct projection mult;       /* multconv only: u, what q, k and v read */
    struct projection q, k, v, o; /* k PROJ_NONE: shared with q; o of multconv: see omult */
    struct projection omult, oconv;
    const float *rotations; /* [heads][dk][hashes][n_rot], NULL without */
    uint32_t n_rot;         /* columns per hash: half of the buckets' sum */
};

struct sru {
    struct norm ln;
    struct dense in, out;
    struct dense gate[MODEL_MAX_SRU]; /* (3s, s): rows r, f, y */
    uint32_t layers, width;
};

enum ff_kind {
    FF_DENSE,
    FF_SPARSE,
    FF_MULTIPLY, /* sparse, times the controller's softmax */
    FF_EXPERTS,  /* BlockSparseFF */
    FF_SWITCH    /* SwitchSparseFF */
};

struct ff {
    uint32_t d, f;
    struct norm ln;
    enum ff_kind kind;
    struct ff_weights s;  /* sparse; experts: w1, w2 (f, d) and b2, one block of X units */
    struct mat router;    /* experts: (X, d) */
    struct dense in, out; /* dense */
    struct sru sru;       /* layers 0: none */
};

struct positions {
    const struct terra_position_config *cfg;
    struct mat table;   /* (P, d) or (P, width) */
    struct dense ff;    /* factored: (d, width), no bias */
    const float *base;  /* fixed-base [4][8][d/8] */
    const float *start; /* fixed-base [d] */
    const float *axis[TERRA_MAX_AXES];
};

enum item_kind { ITEM_BLOCK, ITEM_WIDEN, ITEM_FORGET };

/* The decoder (or encoder) as a list: blocks, widenings, forgetting layers. */
struct stack_item {
    enum item_kind kind;
    struct attention *att; /* [n_att] of a block */
    uint32_t n_att;
    struct ff ff;
    struct dense forget; /* w.rows 0: forget_dense is off, nothing happens */
    struct span
        soon[MODEL_SOON]; /* what a decoding step reads from here on, see compute_soon */
    uint32_t n_soon, soon_pace;
};

struct stack {
    struct stack_item *item;
    uint32_t n;
};

struct terra_model {
    struct terra_config cfg;
    char *path;
    struct tensor_file file; /* empty for a preset */
    void *made_up;           /* preset's weights, NULL otherwise */
    struct pack *packs;      /* copies in packed form, see model_pack.c */
    struct arena packed;
    struct terra_vocab *vocab;
    struct mat emb, out_emb;
    struct positions pos_enc, pos_dec;
    struct stack enc, dec;
    struct dense merge; /* only without a reversible encoder */
    struct norm merge_ln, ln_out;
    struct projection loss;
    struct terra_model_info info;
    uint32_t d_enc, d_out; /* widths */
};

/* Where a file's or a preset's tensors come from.  `find` is asked with the shape that
 * the configuration implies (a preset makes it up) and returns NULL if there is none. */
struct tensor_source {
    const struct tensor *(*find)(void *self, const char *name, uint32_t rank,
                                 const uint64_t *shape, bool is_matrix);
    void *self;
};

/* Fills m's weights from m->cfg and a source of tensors, and the byte counts of m->info. */
bool model_bind(struct terra_model *m, const struct tensor_source *src, struct err *e);

/* Copies the small always-used matrices into the form that the fast kernels want; does
 * nothing for the scalar set. */
bool model_pack(struct terra_model *m, struct err *e);

/* For a file larger than `available` bytes: tells the system which pages are read row by
 * row, and which are always needed, so that decoding reads from disk what it touches. */
void model_advise(const struct terra_model *m, uint64_t available);

#endif
