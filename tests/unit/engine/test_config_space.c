/* test_config_space.c - what must hold for every configuration, on many small random ones.
 *
 * Each model is a random config.json that the reader accepts, with made-up weights, so that
 * combinations nobody wrote down are run too: widened streams under a list of attention
 * types, one module, sources with zeros inside, chunks that wrap.  Seeds are fixed.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/attention.h"
#include "engine/base/buf.h"
#include "engine/base/xalloc.h"
#include "engine/decoder.h"
#include "engine/position.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODELS     100
#define MAX_SOURCE 16
#define N_TARGET   11
#define PADDED     16 /* target rows of a whole run: the session's default */

/* Of the logits' deviation.  The scalar kernels sum in one order whatever the tile; the others
 * differ by 1e-7, which a deep random model can amplify a thousandfold.  A wrong row, weight
 * or mask is off by all of it. */
#ifdef TERRA_SCALAR_ONLY
#define TOLERANCE 0
#else
#define TOLERANCE 2e-3
#endif
#define ROUNDED 10 /* times that where activations are rounded: 1e-7 may become a step */

/* ---- chance -------------------------------------------------------------------------- */

static uint32_t draw(uint64_t *seed, uint32_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % n;
}

static uint32_t pick(uint64_t *seed, const uint32_t *from, uint32_t n)
{
    return from[draw(seed, n)];
}
#define PICK(seed, ...)                                                                        \
    pick(seed, (const uint32_t[]){__VA_ARGS__},                                                \
         sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static const char *word(uint64_t *seed, const char *const *from, uint32_t n)
{
    return from[draw(seed, n)];
}
#define WORD(seed, ...)                                                                        \
    word(seed, (const char *const[]){__VA_ARGS__},                                             \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static const char *flag(uint64_t *seed)
{
    return WORD(seed, "true", "false");
}

/* Roughly normal. */
static float noise(uint64_t *seed)
{
    float sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (float)draw(seed, 1u << 20) / (1u << 20) - 0.5f;
    return sum * 1.414f;
}

/* ---- a random configuration ------------------------------------------------------------ */

static void write_core(struct buf *b, uint64_t *seed, const char *core)
{
    buf_printf(b, ", \"core\": \"%s\"", core);
    if (strcmp(core, "lsh") != 0 && strcmp(core, "mixed") != 0)
        return;
    buf_printf(b, ", \"chunk\": %u, \"hashes\": %u, \"before\": %u, \"after\": %u",
               PICK(seed, 2, 4, 8), 1 + draw(seed, 3), draw(seed, 3), draw(seed, 3));
    buf_printf(b, ", \"buckets\": %s", WORD(seed, "2", "6", "[2, 4]", "[4, 2, 2]"));
    if (strcmp(core, "mixed") == 0)
        buf_printf(b, ", \"std_length\": %u", PICK(seed, 0, 20, 24, 1000));
}

static void write_attention(struct buf *b, uint64_t *seed)
{
    const char *type = WORD(seed, "dense", "mult", "multmod", "modular", "conv", "lowrank",
                            "multconv", "multconv", "self");
    const char *core = WORD(seed, "standard", "standard", "shared", "lsh", "mixed");
    uint32_t modules = PICK(seed, 1, 2, 4, 8);
    buf_printf(b, "{\"type\": \"%s\"", type);
    if (strcmp(type, "self") == 0) {
        bool lsh = draw(seed, 3) == 0;
        buf_printf(b, ", \"d_key\": %u, \"d_value\": %u", 1 + draw(seed, 5), 1 + draw(seed, 5));
        if (lsh)
            write_core(b, seed, "lsh");
        else
            buf_printf(b, ", \"share_qk\": %s, \"chunk\": %u, \"before\": %u, \"after\": %u",
                       flag(seed), PICK(seed, 0, 2, 4, 8), draw(seed, 3), draw(seed, 3));
    } else if (strcmp(type, "lowrank") == 0) {
        buf_printf(b, ", \"rank\": %u", 1 + draw(seed, 6));
    } else if (strcmp(type, "dense") != 0) {
        buf_printf(b, ", \"modules\": %u", modules);
    }
    if (strcmp(type, "modular") == 0 || strcmp(type, "conv") == 0)
        buf_printf(b, ", \"module_kernel\": %u", PICK(seed, 1, 3, 5, 9));
    if (strcmp(type, "multconv") == 0)
        buf_printf(b, ", \"length_kernel\": %u, \"v_concat\": \"%s\", \"output\": \"%s\"",
                   PICK(seed, 1, 2, 3, 5, 19), WORD(seed, "none", "fixed", "original"),
                   WORD(seed, "none", "mult", "conv", "multconv"));
    if (strcmp(type, "multconv") == 0 || strcmp(type, "dense") == 0) {
        buf_printf(b, ", \"share_qk\": %s", flag(seed));
        write_core(b, seed, core);
    }
    buf_printf(b, "}");
}

static void write_ff(struct buf *b, uint64_t *seed)
{
    switch (draw(seed, 4)) {
    case 0:
        break;
    case 1:
        buf_printf(b, ", \"ff_experts\": %u, \"ff_switch\": %s", PICK(seed, 1, 2, 4, 6),
                   flag(seed));
        break;
    default:
        buf_printf(b, ", \"ff_block\": %u, \"ff_rank\": %u, \"ff_multiply\": %s",
                   PICK(seed, 1, 4, 8), draw(seed, 7), draw(seed, 4) ? "false" : "true");
    }
    buf_printf(b, ", \"ff_sru\": [%u, %u]", draw(seed, 3), 1 + draw(seed, 5));
}

static void write_positions(struct buf *b, uint64_t *seed, uint32_t d)
{
    const char *type =
        WORD(seed, "none", "table", "factored", "fixed-base", "sin-cos", "axial");
    buf_printf(b, ", \"positions\": {\"type\": \"%s\"", type);
    if (strcmp(type, "table") == 0 || strcmp(type, "factored") == 0)
        buf_printf(b, ", \"max\": 33");
    if (strcmp(type, "factored") == 0)
        buf_printf(b, ", \"width\": 3");
    if (strcmp(type, "axial") == 0)
        buf_printf(b, ", \"shape\": [3, 11], \"widths\": [%u, %u]", d / 4, d - d / 4);
    buf_printf(b, "}");
}

static void write_config(struct buf *b, uint64_t *seed)
{
    uint32_t n_dec = 1 + draw(seed, 4), d = PICK(seed, 16, 24, 48), types = 1 + draw(seed, 3);
    uint32_t half = draw(seed, 4) ? 0 : 1 + draw(seed, n_dec);
    buf_clear(b);
    buf_printf(b,
               "{\"format\": \"terra-1\", \"vocab_size\": %u, \"output_vocab_size\": %u, "
               "\"d_model\": %u, \"d_ff\": %u, \"n_heads\": %u, \"n_encoder_layers\": %u, "
               "\"n_decoder_layers\": %u, \"n_decoder_attention_layers\": %u",
               PICK(seed, 20, 28), PICK(seed, 0, 0, 12), d, PICK(seed, 24, 48),
               PICK(seed, 1, 2, 4), PICK(seed, 0, 1, 2, 4), n_dec, 1 + draw(seed, 3));
    buf_printf(b,
               ", \"reversible_encoder\": %s, \"two_swaps\": %s, \"center_layernorm\": %s, "
               "\"n_layers_forget\": %u, \"forget_dense\": %s, \"half_before_layer\": %u, "
               "\"double_after_layer\": %u, \"loss_modules\": %u",
               flag(seed), flag(seed), flag(seed), draw(seed, 3), flag(seed), half,
               draw(seed, 4) ? 0 : draw(seed, n_dec), PICK(seed, 0, 1, 4));
    write_ff(b, seed);
    write_positions(b, seed, half ? d / 2 : d);
    buf_printf(b, ", \"encoder_attention\": ");
    write_attention(b, seed);
    buf_printf(b, ", \"decoder_attention\": [");
    for (uint32_t i = 0; i < types; i++) {
        buf_printf(b, i ? ", " : "");
        write_attention(b, seed);
    }
    buf_printf(b, "]}");
}

/* ---- made-up weights ----------------------------------------------------------------------
 */

#define MAX_TENSORS 4096

struct maker {
    uint64_t seed;
    enum terra_dtype dtype; /* of matrices */
    bool hollow;            /* only shapes: nobody looks at the data */
    size_t left;            /* tensors until one is missing */
    struct tensor t;        /* the answer; valid until the next question */
    void *data[MAX_TENSORS];
    size_t n;
};

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

static void fill(struct maker *mk, const char *name, size_t n, void *data)
{
    const struct tensor *t = &mk->t;
    float size = t->rank > 1 ? 1.2f / sqrtf((float)t->cols) : 0.1f, base = 0;
    if (ends_with(name, ".scale"))
        base = 1;
    if (ends_with(name, ".gate") || strcmp(name, "emb") == 0 || ends_with(name, ".rotations"))
        size = 1;
    if (ends_with(name, ".base")) /* times digits up to 14 */
        size = 0.05f;
    if (ends_with(name, ".qscale"))
        base = 0.01f, size = 0.001f;
    for (size_t i = 0; i < n; i++) {
        float x = base + size * noise(&mk->seed);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        if (t->dtype == TERRA_F32)
            ((float *)data)[i] = x;
        else if (t->dtype == TERRA_BF16)
            ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
        else
            ((int8_t *)data)[i] = (int8_t)((int)draw(&mk->seed, 255) - 127);
    }
}

static const struct tensor *make(void *self, const char *name, uint32_t rank,
                                 const uint64_t *shape, bool is_matrix)
{
    static char nothing[64];
    struct maker *mk = self;
    if (mk->left-- == 0)
        return NULL;
    assert_true(mk->n < MAX_TENSORS);
    mk->t = (struct tensor){.name = name,
                            .dtype = is_matrix ? mk->dtype : TERRA_F32,
                            .rank = rank,
                            .rows = 1,
                            .cols = shape[rank - 1],
                            .data = nothing};
    for (uint32_t i = 0; i < rank; i++) {
        mk->t.shape[i] = shape[i];
        mk->t.rows *= i + 1 < rank ? shape[i] : 1;
    }
    if (!mk->hollow) {
        size_t n = mk->t.rows * mk->t.cols;
        void *data = xcalloc(n, sizeof(float));
        fill(mk, name, n, data);
        mk->t.data = mk->data[mk->n++] = data;
    }
    return &mk->t;
}

static struct maker *maker_open(uint64_t seed, enum terra_dtype dtype)
{
    struct maker *mk = xcalloc(1, sizeof *mk);
    mk->seed = seed;
    mk->dtype = dtype;
    mk->left = SIZE_MAX;
    return mk;
}

static void maker_close(struct maker *mk)
{
    for (size_t i = 0; i < mk->n; i++)
        free(mk->data[i]);
    free(mk);
}

static struct terra_model *bind_model(const struct terra_config *c, struct maker *mk,
                                      struct err *e)
{
    struct terra_model *m = xcalloc(1, sizeof *m);
    struct tensor_source src = {make, mk};
    m->cfg = *c;
    if (model_bind(m, &src, e) && (mk->hollow || model_pack(m, e)))
        return m;
    terra_model_close(m);
    return NULL;
}

/* ---- one random case ------------------------------------------------------------------------
 */

struct rig {
    struct buf json;
    struct terra_config cfg;
    struct maker *mk;
    struct terra_model *m;
    bool whole; /* the session runs all rows for every token */
    int32_t source[MAX_SOURCE], target[N_TARGET];
    size_t n_source;
    const float *want; /* [N_TARGET][V] of the session, all at once */
};

static bool needs_rows(const struct stack *s, size_t rows)
{
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t j = 0; j < s->item[i].n_att; j++)
            if (attention_is_lsh(&s->item[i].att[j], rows))
                return true;
    return false;
}

/* Sources end in padding up to a multiple of all chunks; some have a zero inside. */
static void draw_source(struct rig *r, uint64_t *seed)
{
    size_t real = draw(seed, MAX_SOURCE + 1);
    r->n_source = r->cfg.n_enc ? (real + 7) / 8 * 8 : 0;
    for (size_t i = 0; i < r->n_source; i++)
        r->source[i] = i < real ? 1 + (int32_t)draw(seed, r->cfg.vocab - 1) : 0;
    if (real > 5 && draw(seed, 3) == 0)
        r->source[draw(seed, 5)] = 0;
    for (size_t i = 0; i < N_TARGET; i++)
        r->target[i] = (int32_t)draw(seed, r->cfg.out_vocab);
}

static void rig_open(struct rig *r, uint64_t seed)
{
    struct config_file file;
    struct err e = {0};
    *r = (struct rig){0};
    do
        write_config(&r->json, &seed);
    while (!config_parse(buf_str(&r->json), r->json.len, "random", &file, &e));
    r->cfg = file.config;
    r->mk = maker_open(seed, PICK(&seed, TERRA_F32, TERRA_F32, TERRA_BF16, TERRA_I8));
    r->m = bind_model(&r->cfg, r->mk, &e);
    if (!r->m)
        fail_msg("%s: %s", e.msg, buf_str(&r->json));
    uint32_t max_source = r->cfg.n_enc ? MAX_SOURCE : 0;
    r->whole = needs_rows(&r->m->dec, max_source + PADDED);
    draw_source(r, &seed);
}

static void rig_close(struct rig *r)
{
    terra_model_close(r->m);
    maker_close(r->mk);
    buf_free(&r->json);
}

static void check(const struct rig *r, bool ok, const struct err *e)
{
    if (!ok)
        fail_msg("%s: %s", e->msg, buf_str(&r->json));
}

/* Largest difference of n logits within `relative` deviations of b. */
static void assert_close(const struct rig *r, const float *a, const float *b, size_t n,
                         double relative, const char *what)
{
    double mean = 0, var = 0, worst = 0;
    for (size_t i = 0; i < n; i++)
        mean += b[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        var += (b[i] - mean) * (b[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)a[i] - b[i]));
    if (r->mk->dtype == TERRA_I8)
        relative *= ROUNDED;
    if (!(worst <= relative * sqrt(var)))
        fail_msg("%s: off by %g of %g: %s", what, worst, sqrt(var), buf_str(&r->json));
}

static struct terra_session *open_session(const struct rig *r, enum terra_mode mode,
                                          uint32_t threads)
{
    struct err e = {0};
    struct terra_session_opts o = {.mode = mode,
                                   .threads = threads,
                                   .max_source = MAX_SOURCE,
                                   .max_target = N_TARGET,
                                   .cache = TERRA_CACHE_F32};
    struct terra_session *s = terra_session_open(r->m, &o, &e);
    check(r, s != NULL, &e);
    check(r, terra_prefill(s, r->source, r->n_source, &e), &e);
    return s;
}

/* Logits [N_TARGET][V] of the target fed at once; the caller frees. */
static float *feed_all(const struct rig *r, enum terra_mode mode, uint32_t threads)
{
    struct err e = {0};
    float *y = xcalloc((size_t)N_TARGET * r->cfg.out_vocab, sizeof *y);
    struct terra_session *s = open_session(r, mode, threads);
    check(r, terra_feed(s, r->target, N_TARGET, y, &e), &e);
    terra_session_close(s);
    return y;
}

/* ---- the whole model in one pass, tile by tile
 * ----------------------------------------------- */

struct full {
    struct arena arena;
    struct pass p;
    struct streams x;
    struct stack_state enc, dec;
    uint8_t valid[MAX_SOURCE];
};

static void full_layout(struct full *f, struct arena *a, const struct terra_model *m, size_t n)
{
    f->x.a = arena_get(a, n * m->d_out, sizeof(float));
    f->x.b = arena_get(a, n * m->d_out, sizeof(float));
    stack_state_layout(&f->enc, a, &m->enc, n, TERRA_F32, true);
    stack_state_layout(&f->dec, a, &m->dec, n, TERRA_F32, true);
    scratch_layout(&f->p.s, a, m, compute_threads(f->p.cx), n, n, true);
}

static void full_open(struct full *f, const struct rig *r, struct compute *cx, size_t rows,
                      size_t tile)
{
    struct arena dry = {0};
    struct err e = {0};
    *f = (struct full){.p.cx = cx};
    full_layout(f, &dry, r->m, rows);
    check(r, arena_open(&f->arena, dry.used, &e), &e);
    full_layout(f, &f->arena, r->m, rows);
    f->p.m = r->m;
    f->p.tile = tile;
    f->p.cap = rows;
    f->p.valid = f->valid;
    f->p.step_row = SIZE_MAX;
}

/* Spec 1.4 and 1.5 to the letter: padded encoder, joined sequence, strip. */
static void full_run(struct full *f, const struct rig *r, float *logits, struct err *e)
{
    const struct terra_model *m = r->m;
    size_t L1 = r->n_source, n_e = 0, d = m->d_enc;
    int32_t ids[PADDED] = {0};
    memcpy(ids + 1, r->target, N_TARGET * sizeof *ids);
    for (size_t t = 0; t < L1; t++)
        n_e += f->valid[t] = r->source[t] != 0;
    if (L1) {
        f->p.length = L1;
        check(r, embed_rows(f->p.cx, &m->emb, &m->pos_enc, r->source, L1, 0, f->x.a, e), e);
        memcpy(f->x.b, f->x.a, L1 * d * sizeof(float));
        check(r, encoder_run(&f->p, &f->enc, &f->x, L1, NULL, NULL, e), e);
    }
    memset(f->x.a + L1 * d, 0, PADDED * d * sizeof(float));
    memset(f->x.b + L1 * d, 0, PADDED * d * sizeof(float));
    check(r, embed_rows(f->p.cx, &m->out_emb, &m->pos_dec, ids, PADDED, 0, f->x.a + n_e * d, e),
          e);
    memcpy(f->x.b + n_e * d, f->x.a + n_e * d, PADDED * d * sizeof(float));
    f->p.length = L1 + PADDED;
    check(r, decoder_run(&f->p, &f->dec, &f->x, L1 + PADDED, 0, NULL, NULL, e), e);
    check(r, head_run(&f->p, &f->x, n_e, N_TARGET, logits, e), e);
}

/* ---- properties
 * --------------------------------------------------------------------------------- */

static void check_full(const struct rig *r)
{
    static const size_t tiles[] = {1, 3, 64};
    size_t n = (size_t)N_TARGET * r->cfg.out_vocab;
    float *y = xcalloc(n, sizeof *y);
    struct err e = {0};
    struct compute *cx = compute_open(1, NULL, &e);
    check(r, cx != NULL, &e);
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        struct full f;
        size_t rows = r->n_source + PADDED;
        full_open(&f, r, cx, rows, tiles[i] < rows ? tiles[i] : rows);
        full_run(&f, r, y, &e);
        assert_close(r, y, r->want, n, TOLERANCE, "session and full pass");
        arena_free(&f.arena);
    }
    compute_close(cx);
    free(y);
}

static void check_steps(const struct rig *r)
{
    struct err e = {0};
    size_t V = r->cfg.out_vocab;
    struct terra_session *s = open_session(r, TERRA_SPARSE, 1);
    for (size_t t = 0; t < N_TARGET; t++) {
        const float *y = terra_logits(s, &e);
        check(r, y != NULL, &e);
        if (!r->whole) /* LSH: later tokens move chunk borders */
            assert_close(r, y, r->want + t * V, V, TOLERANCE, "step");
        check(r, terra_accept(s, r->target[t], &e), &e);
    }
    assert_null(terra_logits(s, &e)); /* max_target is reached */
    assert_int_equal(e.kind, ERR_INPUT);
    /* Again, fed in pieces, the first row of the second asked for before. */
    float *y = xcalloc((size_t)N_TARGET * V, sizeof *y);
    check(r, terra_prefill(s, r->source, r->n_source, &e), &e);
    check(r, terra_feed(s, r->target, 2, NULL, &e), &e);
    check(r, terra_logits(s, &e) != NULL, &e);
    check(r, terra_feed(s, r->target + 2, N_TARGET - 2, y, &e), &e);
    if (!r->whole)
        assert_close(r, y, r->want + 2 * V, (N_TARGET - 2) * V, TOLERANCE, "pieces");
    free(y);
    terra_session_close(s);
}

static void check_same(const struct rig *r, enum terra_mode mode, uint32_t threads,
                       double relative, const char *what)
{
    size_t n = (size_t)N_TARGET * r->cfg.out_vocab;
    float *y = feed_all(r, mode, threads);
    if (relative == 0 && memcmp(y, r->want, n * sizeof *y) != 0)
        fail_msg("%s: other bits: %s", what, buf_str(&r->json));
    assert_close(r, y, r->want, n, relative, what);
    free(y);
}

static void test_properties(void **state)
{
    (void)state;
    size_t whole = 0, widened = 0, decoder_only = 0;
    for (uint64_t i = 0; i < MODELS; i++) {
        struct rig r;
        rig_open(&r, i * 7919 + 1);
        float *want = feed_all(&r, TERRA_SPARSE, 1);
        r.want = want;
        check_full(&r);
        check_steps(&r);
        check_same(&r, TERRA_MASKED, 1, TOLERANCE, "masked");
        check_same(&r, TERRA_SPARSE, 3, 0, "three threads");
        whole += r.whole;
        widened += r.cfg.half_before || r.cfg.double_after;
        decoder_only += r.cfg.n_enc == 0;
        free(want);
        rig_close(&r);
    }
    /* The draw must not quietly lose a kind of model. */
    assert_in_range(whole, 10, MODELS - 20);
    assert_in_range(widened, 5, MODELS);
    assert_in_range(decoder_only, 5, MODELS / 2);
}

/* A tensor missing anywhere is a message and no leak. */
static void test_missing_tensor(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        struct rig r;
        rig_open(&r, i * 104729 + 3);
        size_t n = SIZE_MAX - r.mk->left;
        for (size_t k = 0; k < n; k += 1 + n / 40) {
            struct maker *mk = maker_open(1, TERRA_F32);
            struct err e = {0};
            mk->left = k;
            mk->hollow = true;
            struct terra_model *m = bind_model(&r.cfg, mk, &e);
            if (m) { /* only rotations of mixed attention may be missing */
                assert_true(needs_rows(&m->dec, SIZE_MAX) || needs_rows(&m->enc, SIZE_MAX));
                terra_model_close(m);
            } else {
                assert_int_equal(e.kind, ERR_MODEL);
                assert_non_null(strstr(e.msg, "is missing"));
            }
            maker_close(mk);
        }
        rig_close(&r);
    }
}

static struct terra_model *model_of(const char *json, struct maker *mk)
{
    struct config_file file;
    struct err e = {0};
    if (!config_parse(json, strlen(json), "test", &file, &e))
        fail_msg("%s", e.msg);
    struct terra_model *m = bind_model(&file.config, mk, &e);
    if (!m)
        fail_msg("%s", e.msg);
    return m;
}

/* Mixed attention without stored rotations is exact up to std_length and refuses above. */
static void test_mixed_without_rotations(void **state)
{
    (void)state;
    struct maker *mk = maker_open(5, TERRA_F32);
    struct err e = {0};
    struct terra_model *m = model_of(
        "{\"format\": \"terra-1\", \"vocab_size\": 20, \"d_model\": 8, \"d_ff\": 8, "
        "\"n_heads\": 2, \"n_encoder_layers\": 1, \"n_decoder_layers\": 1, "
        "\"positions\": {\"type\": \"none\"}, \"decoder_attention\": {\"type\": \"dense\", "
        "\"core\": \"mixed\", \"std_length\": 24, \"chunk\": 4, \"hashes\": 1}}",
        mk);
    struct terra_session_opts o = {.threads = 1, .max_source = 16, .max_target = 16};
    struct terra_session *s = terra_session_open(m, &o, &e);
    const int32_t source[16] = {3, 4, 5, 6, 7, 8, 9, 10, 11};
    assert_non_null(s);
    assert_true(terra_prefill(s, source, 8, &e));
    assert_non_null(terra_logits(s, &e));
    assert_true(terra_prefill(s, source, 12, &e));
    assert_null(terra_logits(s, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_non_null(strstr(e.msg, "rotations"));
    terra_session_close(s);
    terra_model_close(m);
    maker_close(mk);
}

/* Floats read per token, from the table of spec 4.3, which leaves positions out. */
static void test_bytes_per_token(void **state)
{
    (void)state;
#define MEDIUM                                                                                 \
    "{\"format\": \"terra-1\", \"vocab_size\": 32000, \"d_model\": 1024, \"n_heads\": 16, "    \
    "\"n_encoder_layers\": 0, \"n_decoder_layers\": 24, \"positions\": {\"type\": "            \
    "\"none\"}, "
    static const struct {
        const char *json;
        uint64_t sparse, dense;
    } cases[] = {
        {MEDIUM "\"d_ff\": 6144, \"ff_block\": 64, \"ff_rank\": 96, \"ff_sru\": [1, 32], "
                "\"loss_modules\": 4, "
                "\"decoder_attention\": {\"type\": \"multconv\", \"modules\": 16}}",
         39627008, 39627008 + 24ull * 2 * 1024 * (6144 - 96)},
        {MEDIUM "\"d_ff\": 4096, \"decoder_attention\": {\"type\": \"dense\"}}", 435923200,
         435923200},
        {MEDIUM "\"d_ff\": 6144, \"decoder_attention\": {\"type\": \"dense\"}}", 536635648,
         536635648},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct terra_model_info info;
        struct maker *mk = maker_open(1, TERRA_F32);
        mk->hollow = true;
        struct terra_model *m = model_of(cases[i].json, mk);
        terra_model_info(m, &info);
        assert_int_equal(info.bytes_sparse, cases[i].sparse * sizeof(float));
        assert_int_equal(info.bytes_dense, cases[i].dense * sizeof(float));
        terra_model_close(m);
        maker_close(mk);
    }
}

/* Layers that are gathered in every mode say so. */
static void test_bytes_by_mode(void **state)
{
    (void)state;
#define LITTLE                                                                                 \
    "{\"format\": \"terra-1\", \"vocab_size\": 20, \"d_model\": 8, \"d_ff\": 16, "             \
    "\"n_heads\": 2, \"n_encoder_layers\": 0, \"n_decoder_layers\": 1, \"positions\": "        \
    "{\"type\": \"none\"}, \"decoder_attention\": {\"type\": \"dense\"}, "
    static const struct {
        const char *json;
        bool always;
    } cases[] = {{LITTLE "\"ff_block\": 4, \"ff_rank\": 2}", false},
                 {LITTLE "\"ff_block\": 4, \"ff_rank\": 2, \"ff_multiply\": true}", true},
                 {LITTLE "\"ff_experts\": 4}", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct terra_model_info info;
        struct maker *mk = maker_open(1, TERRA_F32);
        struct terra_model *m = model_of(cases[i].json, mk);
        terra_model_info(m, &info);
        assert_true(info.bytes_sparse < info.bytes_dense);
        for (int mode = TERRA_SPARSE; mode <= TERRA_OPEN; mode++) {
            struct err e = {0};
            struct terra_session_opts o = {.mode = (enum terra_mode)mode, .threads = 1};
            struct terra_session *s = terra_session_open(m, &o, &e);
            struct terra_token t;
            assert_true(terra_prefill(s, NULL, 0, &e));
            assert_true(terra_next(s, &(struct terra_sampling){0}, &t, &e));
            bool gathered = mode == TERRA_SPARSE || cases[i].always;
            assert_int_equal(t.weight_bytes, gathered ? info.bytes_sparse : info.bytes_dense);
            terra_session_close(s);
        }
        terra_model_close(m);
        maker_close(mk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_missing_tensor),
        cmocka_unit_test(test_mixed_without_rotations),
        cmocka_unit_test(test_bytes_per_token),
        cmocka_unit_test(test_bytes_by_mode),
    };
    return cmocka_run_group_tests_name("config space", tests, NULL, NULL);
}
