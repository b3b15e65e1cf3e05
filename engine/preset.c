/* preset.c - models of the paper's sizes with made-up weights, for measuring.
 *
 * The tensors are asked for by model_bind exactly as for a file: a first pass adds up
 * their sizes, a second hands out memory and fills it.  Weights are noise scaled by
 * 1 / sqrt(inputs), so activations stay near 1 and every token makes its own choices.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/xalloc.h"
#include "engine/model.h"
#include "engine/pool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- configurations (spec 4.3) --------------------------------------------------- */

struct preset {
    const char *name;
    uint32_t vocab, d, heads, blocks, f, unit, rank, modules, loss, sru, positions;
};

/* unit 0: the dense twin, with plain attention and loss. */
static const struct preset presets[] = {
    {"medium", 32000, 1024, 16, 24, 6144, 64, 96, 16, 4, 32, 8192},
    {"medium-dense", 32000, 1024, 16, 24, 4096, 0, 0, 0, 0, 0, 8192},
    {"medium-dense6144", 32000, 1024, 16, 24, 6144, 0, 0, 0, 0, 0, 8192},
    {"big", 32000, 9216, 96, 14, 65536, 256, 32, 64, 4, 64, 4096},
    {"big-dense", 32000, 9216, 96, 12, 40960, 0, 0, 0, 0, 0, 4096},
    {"tiny", 512, 64, 4, 2, 256, 16, 16, 4, 4, 32, 1024},
    {"tiny-dense", 512, 64, 4, 2, 256, 0, 0, 0, 0, 0, 1024},
};

static const struct preset *find_preset(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

static void configure(const struct preset *p, uint32_t blocks, struct terra_config *c)
{
    *c = (struct terra_config){
        .vocab = p->vocab,
        .out_vocab = p->vocab,
        .d_model = p->d,
        .d_ff = p->f,
        .n_heads = p->heads,
        .n_dec = blocks ? blocks : p->blocks,
        .n_dec_att = 2,
        .two_swaps = true,
        .center_norm = true,
        .forget_dense = true,
        .ff_block = p->unit,
        .ff_rank = p->rank,
        .sru_layers = p->sru ? 1 : 0,
        .sru_width = p->sru ? p->sru : 32,
        .loss_modules = p->loss,
        .pos = {.type = TERRA_POS_TABLE, .max = p->positions},
        .n_dec_att_types = 1,
        .max_target = p->positions,
    };
    snprintf(c->name, sizeof c->name, "%s", p->name);
    c->dec_att[0].type = p->modules ? TERRA_ATT_MULTCONV : TERRA_ATT_DENSE;
    c->dec_att[0].modules = p->modules;
    c->dec_att[0].module_kernel = 3;
    c->dec_att[0].length_kernel = 3;
    c->enc_att.type = TERRA_ATT_DENSE;
}

/* ---- made-up tensors ----------------------------------------------------------------- */

enum { ALIGN = 64, CHUNK = 1 << 20, HUGE_PAGE = 2 << 20 };

struct maker {
    struct tensor t; /* the answer; valid until the next question */
    enum terra_dtype dtype;
    char *base; /* NULL: only measuring */
    size_t used, tensors, parameters;
    bool overflow;
    struct pool *pool;
};

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* As the converter stores a model with nothing spared (--controller, --rest): what an SRU feeds
 * back into itself stays float (terra-model). */
static enum terra_dtype dtype_of(const struct maker *mk, const char *name, bool is_matrix)
{
    const char *sru = strstr(name, ".sru.");
    bool recurrent = sru && sru[5] >= '0' && sru[5] <= '9';
    return is_matrix && !recurrent ? mk->dtype : TERRA_F32;
}

struct noise {
    enum terra_dtype dtype;
    char *data;
    size_t bytes;
    float scale;
    uint64_t seed;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Odd bytes -127 .. 127, alone or times `scale` as floats; chunk by chunk, so that the
 * number of threads changes nothing. */
static void noise_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    (void)thread;
    const struct noise *z = arg;
    for (size_t i = i0; i < i1; i++) {
        char *p = z->data + i * CHUNK;
        size_t n = z->bytes - i * CHUNK < CHUNK ? z->bytes - i * CHUNK : CHUNK;
        uint64_t state = mix(z->seed + i) | 1;
        for (size_t k = 0; k < n; k += 8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            uint64_t word = state | 0x0101010101010101u;
            if (z->dtype == TERRA_I8) {
                memcpy(p + k, &word, n - k < 8 ? n - k : 8);
                continue;
            }
            float f[2] = {(float)(int8_t)word * z->scale,
                          (float)(int8_t)(word >> 8) * z->scale};
            float g[2] = {(float)(int8_t)(word >> 16) * z->scale,
                          (float)(int8_t)(word >> 24) * z->scale};
            if (z->dtype == TERRA_F32) {
                memcpy(p + k, f, n - k < 8 ? n - k : 8);
            } else {
                uint32_t bits[4];
                memcpy(bits, f, 8);
                memcpy(bits + 2, g, 8);
                for (size_t j = 0; j < 4 && k + 2 * j < n; j++) {
                    uint16_t half = (uint16_t)(bits[j] >> 16);
                    memcpy(p + k + 2 * j, &half, 2);
                }
            }
        }
    }
}

/* Standard deviation of odd bytes. */
#define BYTE_SD 73.9f

static float scale_of(const char *name, uint64_t cols)
{
    if (strcmp(name, "emb") == 0 || ends_with(name, ".gate"))
        return 1 / BYTE_SD;
    if (strcmp(name, "pos_d") == 0)
        return 0.3f / BYTE_SD;
    return 1 / (BYTE_SD * sqrtf((float)cols));
}

static void fill(struct maker *mk, const struct tensor *t, const char *name, bool is_matrix,
                 char *data)
{
    size_t n = t->rows * t->cols;
    float *f = (float *)(void *)data;
    if (ends_with(name, ".qscale")) {
        /* `cols` of the matrix itself: its scales follow it, and mk->t still describes it */
        float scale = scale_of(mk->t.name, mk->t.cols);
        for (size_t i = 0; i < n; i++)
            f[i] = scale;
    } else if (ends_with(name, ".scale")) {
        for (size_t i = 0; i < n; i++)
            f[i] = 1;
    } else if (is_matrix) {
        struct noise z = {.dtype = t->dtype,
                          .data = data,
                          .bytes = t->bytes,
                          .scale = scale_of(name, t->cols),
                          .seed = mk->tensors};
        pool_run(mk->pool, (t->bytes + CHUNK - 1) / CHUNK, 1, noise_part, &z);
    } else {
        memset(data, 0, t->bytes); /* biases */
    }
}

static const struct tensor *make(void *self, const char *name, uint32_t rank,
                                 const uint64_t *shape, bool is_matrix)
{
    struct maker *mk = self;
    struct tensor t = {.name = name,
                       .dtype = dtype_of(mk, name, is_matrix),
                       .rank = rank,
                       .rows = 1,
                       .cols = rank ? shape[rank - 1] : 1};
    memcpy(t.shape, shape, rank * sizeof *shape);
    size_t n = 1, bytes;
    for (uint32_t i = 0; i < rank; i++) {
        if (!size_mul(n, shape[i], &n))
            mk->overflow = true;
        if (i + 1 < rank)
            t.rows *= shape[i];
    }
    if (!size_mul(n, dtype_size(t.dtype), &bytes) || bytes > SIZE_MAX / 2 - mk->used)
        mk->overflow = true;
    t.bytes = bytes;
    char *data = mk->base ? mk->base + mk->used : NULL;
    if (data && !mk->overflow)
        fill(mk, &t, name, is_matrix, data);
    t.data = data;
    if (!ends_with(name, ".qscale")) {
        mk->tensors++;
        mk->parameters += n;
    }
    mk->used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    mk->t = t;
    return &mk->t;
}

/* ---- the model ---------------------------------------------------------------------- */

static struct terra_model *bind_with(struct maker *mk, const struct terra_config *c,
                                     struct err *e)
{
    struct terra_model *m = xcalloc(1, sizeof *m);
    struct tensor_source src = {make, mk};
    m->cfg = *c;
    if (model_bind(m, &src, e) && !mk->overflow)
        return m;
    if (mk->overflow)
        err_set(e, ERR_RESOURCE, "preset %s does not fit an address space", c->name);
    terra_model_close(m);
    return NULL;
}

static bool check_memory(const char *name, size_t need, struct err *e)
{
    struct terra_machine machine;
    terra_machine_info(&machine);
    if (!machine.available_bytes || need <= machine.available_bytes)
        return true;
    return err_set(e, ERR_RESOURCE,
                   "preset %s needs %.1f GB of memory, %.1f GB are available (fewer blocks: "
                   "--blocks)",
                   name, (double)need * 1e-9, (double)machine.available_bytes * 1e-9);
}

struct terra_model *terra_model_preset(const char *preset, enum terra_dtype dtype,
                                       uint32_t blocks, struct err *e)
{
    const struct preset *p = find_preset(preset);
    if (!p) {
        err_set(e, ERR_USAGE,
                "no preset '%s' (medium, medium-dense, medium-dense6144, big, "
                "big-dense, tiny, tiny-dense)",
                preset);
        return NULL;
    }
    struct terra_config c;
    struct maker dry = {.dtype = dtype};
    configure(p, blocks, &c);
    struct terra_model *m = bind_with(&dry, &c, e);
    if (!m || !check_memory(preset, dry.used, e)) {
        terra_model_close(m);
        return NULL;
    }
    terra_model_close(m);

    void *memory = aligned_alloc(HUGE_PAGE, (dry.used + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (!memory) {
        err_set(e, ERR_RESOURCE, "out of memory: %zu bytes for preset %s", dry.used, preset);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    madvise(memory, dry.used, MADV_HUGEPAGE); /* gathered rows: fewer page walks */
#endif
    struct terra_machine machine;
    terra_machine_info(&machine);
    struct maker real = {.dtype = dtype, .base = memory, .pool = pool_open(machine.cores, e)};
    m = real.pool ? bind_with(&real, &c, e) : NULL;
    pool_close(real.pool);
    if (!m) {
        free(memory);
        return NULL;
    }
    m->made_up = memory;
    if (!model_pack(m, e)) {
        terra_model_close(m);
        return NULL;
    }
    m->info.n_tensors = real.tensors;
    m->info.parameters = real.parameters;
    m->info.file_bytes = real.used;
    return m;
}
