/* SPDX-License-Identifier: MIT */
#include "engine/config_impl.h"

#include "engine/file.h"
#include "engine/json_read.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_LAYERS = 1024,
    MAX_BYTES = 1 << 20,
    MAX_DEPTH = 6,
    MAX_VALUES = 4096,
};

/* ---- reading by table ------------------------------------------------------- */

struct reader {
    const char *where; /* the file */
    struct err *e;
};

struct field;
typedef bool read_fn(const struct reader *r, const char *at, const cJSON *item,
                     const struct field *f, void *out);

/* One key of an object: how it is read and where the value goes. */
struct field {
    const char *key;
    read_fn *read;
    size_t offset;
    uint32_t min, max;          /* of a whole number */
    const char *const *choices; /* of a word: its index is stored; ends in NULL */
};

static_assert(sizeof(enum terra_attention_type) == sizeof(uint32_t), "enums are stored as u32");

/* `at` is the path of an object with its dot, "decoder_attention.", or of a value. */
static bool bad(const struct reader *r, const char *at, const char *key, const cJSON *item,
                const char *wanted)
{
    char show[48];
    return err_set(r->e, ERR_MODEL, "%s: %s%s: %s, wanted %s", r->where, at, key,
                   json_show(item, show), wanted);
}

static bool read_whole(const struct reader *r, const char *at, const cJSON *item,
                       const struct field *f, void *out)
{
    uint64_t v;
    if (!json_whole(item, f->max, &v) || v < f->min) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "a whole number %" PRIu32 "..%" PRIu32, f->min, f->max);
        return bad(r, at, f->key, item, wanted);
    }
    *(uint32_t *)out = (uint32_t)v;
    return true;
}

static bool read_flag(const struct reader *r, const char *at, const cJSON *item,
                      const struct field *f, void *out)
{
    if (!cJSON_IsBool(item))
        return bad(r, at, f->key, item, "true or false");
    *(bool *)out = cJSON_IsTrue(item);
    return true;
}

static bool read_word(const struct reader *r, const char *at, const cJSON *item,
                      const struct field *f, void *out)
{
    char wanted[128] = "";
    size_t n = 0;
    for (uint32_t i = 0; f->choices[i]; i++) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, f->choices[i]) == 0) {
            memcpy(out, &i, sizeof i);
            return true;
        }
        if (n < sizeof wanted)
            n += (size_t)snprintf(wanted + n, sizeof wanted - n, "%s%s", i ? ", " : "one of ",
                                  f->choices[i]);
    }
    return bad(r, at, f->key, item, wanted);
}

/* Copies a string of 1 .. cap-1 bytes without control characters. */
static bool read_text(const struct reader *r, const char *at, const char *key,
                      const cJSON *item, char *out, size_t cap)
{
    bool ok = cJSON_IsString(item) && item->valuestring[0] && strlen(item->valuestring) < cap;
    for (const char *s = ok ? item->valuestring : ""; *s; s++)
        ok = ok && (unsigned char)*s >= 0x20 && *s != 0x7F;
    if (!ok) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "a string of 1 to %zu bytes", cap - 1);
        return bad(r, at, key, item, wanted);
    }
    memcpy(out, item->valuestring, strlen(item->valuestring) + 1);
    return true;
}

/* A list of n_min..n_max whole numbers. */
static bool read_list(const struct reader *r, const char *at, const struct field *f,
                      const cJSON *item, uint32_t n_min, uint32_t n_max, uint32_t *out,
                      uint32_t *n)
{
    int size = cJSON_IsArray(item) ? cJSON_GetArraySize(item) : -1;
    if (size < (int)n_min || size > (int)n_max) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "a list of %" PRIu32 " to %" PRIu32 " numbers", n_min,
                 n_max);
        return bad(r, at, f->key, item, wanted);
    }
    *n = 0;
    for (const cJSON *v = item->child; v; v = v->next)
        if (!read_whole(r, at, v, f, &out[(*n)++]))
            return false;
    return true;
}

/* Reads every key of `object` by the table; *seen gets one bit per field. */
static bool read_object(const struct reader *r, const char *at, const cJSON *object,
                        const struct field *fields, size_t n_fields, void *base, uint32_t *seen)
{
    assert(n_fields <= 32);
    *seen = 0;
    for (const cJSON *item = object->child; item; item = item->next) {
        size_t i = 0;
        while (i < n_fields && strcmp(item->string, fields[i].key) != 0)
            i++;
        if (i == n_fields)
            return err_set(r->e, ERR_MODEL, "%s: %s%s: unknown key", r->where, at,
                           item->string);
        if (*seen >> i & 1)
            return err_set(r->e, ERR_MODEL, "%s: %s%s: given twice", r->where, at,
                           item->string);
        *seen |= (uint32_t)1 << i;
        if (!fields[i].read(r, at, item, &fields[i], (char *)base + fields[i].offset))
            return false;
    }
    return true;
}

/* Every field of the mask `required` must have been seen, and none outside `allowed`. */
static bool check_seen(const struct reader *r, const char *at, const struct field *fields,
                       size_t n_fields, uint32_t seen, uint32_t required, uint32_t allowed,
                       const char *by)
{
    for (size_t i = 0; i < n_fields; i++) {
        uint32_t bit = (uint32_t)1 << i;
        if (required & ~seen & bit)
            return err_set(r->e, ERR_MODEL, "%s: %s%s: missing%s%s", r->where, at,
                           fields[i].key, by ? ", it is needed by " : "", by ? by : "");
        if (seen & ~allowed & bit)
            return err_set(r->e, ERR_MODEL, "%s: %s%s: has no meaning with %s", r->where, at,
                           fields[i].key, by ? by : "the other keys");
    }
    return true;
}

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define WHOLE(key, type, field, min, max)                                                      \
    {                                                                                          \
        key, read_whole, offsetof(type, field), min, max, NULL                                 \
    }
#define FLAG(key, type, field)                                                                 \
    {                                                                                          \
        key, read_flag, offsetof(type, field), 0, 0, NULL                                      \
    }
#define WORD(key, type, field, choices)                                                        \
    {                                                                                          \
        key, read_word, offsetof(type, field), 0, 0, choices                                   \
    }
#define OTHER(key, read, type, field, max)                                                     \
    {                                                                                          \
        key, read, offsetof(type, field), 0, max, NULL                                         \
    }

/* ---- attention --------------------------------------------------------------- */

static const char *const attention_types[] = {[TERRA_ATT_DENSE] = "dense",
                                              [TERRA_ATT_MULT] = "mult",
                                              [TERRA_ATT_MULTMOD] = "multmod",
                                              [TERRA_ATT_MODULAR] = "modular",
                                              [TERRA_ATT_CONV] = "conv",
                                              [TERRA_ATT_LOWRANK] = "lowrank",
                                              [TERRA_ATT_MULTCONV] = "multconv",
                                              [TERRA_ATT_SELF] = "self",
                                              NULL};
static const char *const cores[] = {[TERRA_CORE_STANDARD] = "standard",
                                    [TERRA_CORE_SHARED] = "shared",
                                    [TERRA_CORE_LSH] = "lsh",
                                    [TERRA_CORE_MIXED] = "mixed",
                                    NULL};
static const char *const v_concats[] = {
    [TERRA_V_NONE] = "none", [TERRA_V_FIXED] = "fixed", [TERRA_V_ORIGINAL] = "original", NULL};

static bool read_output(const struct reader *r, const char *at, const cJSON *item,
                        const struct field *f, void *out)
{
    static const char *const words[] = {"none", "mult", "conv", "multconv", NULL};
    struct terra_attention_config *a = out;
    struct field named = *f;
    named.choices = words;
    uint32_t which;
    if (!read_word(r, at, item, &named, &which))
        return false;
    a->out_mult = which & 1;
    a->out_conv = which & 2;
    return true;
}

static bool read_buckets(const struct reader *r, const char *at, const cJSON *item,
                         const struct field *f, void *out)
{
    struct terra_attention_config *a = out;
    uint64_t product = 1;
    if (cJSON_IsArray(item)) {
        if (!read_list(r, at, f, item, 1, COUNT(a->buckets), a->buckets, &a->n_buckets))
            return false;
    } else {
        if (!read_whole(r, at, item, f, &a->buckets[0]))
            return false;
        a->n_buckets = a->buckets[0] ? 1 : 0;
    }
    for (uint32_t i = 0; i < a->n_buckets; i++) {
        product *= a->buckets[i];
        if (a->buckets[i] == 0 || a->buckets[i] % 2 || product > CONFIG_MAX_SIZE)
            return bad(r, at, f->key, item, "even numbers with a product below 2^24");
    }
    return true;
}

enum {
    A_TYPE,
    A_CORE,
    A_MODULES,
    A_LENGTH,
    A_KERNEL,
    A_RANK,
    A_VCONCAT,
    A_OUTPUT,
    A_SHARE,
    A_DKEY,
    A_DVALUE,
    A_CHUNK,
    A_HASHES,
    A_BUCKETS,
    A_BEFORE,
    A_AFTER,
    A_STD,
};

#define ATT struct terra_attention_config
static const struct field attention_fields[] = {
    [A_TYPE] = WORD("type", ATT, type, attention_types),
    [A_CORE] = WORD("core", ATT, core, cores),
    [A_MODULES] = WHOLE("modules", ATT, modules, 1, CONFIG_MAX_SIZE),
    [A_LENGTH] = WHOLE("length_kernel", ATT, length_kernel, 1, 256),
    [A_KERNEL] = WHOLE("module_kernel", ATT, module_kernel, 1, 255),
    [A_RANK] = WHOLE("rank", ATT, rank, 1, CONFIG_MAX_SIZE),
    [A_VCONCAT] = WORD("v_concat", ATT, v_concat, v_concats),
    [A_OUTPUT] = OTHER("output", read_output, ATT, type, 0),
    [A_SHARE] = FLAG("share_qk", ATT, share_qk),
    [A_DKEY] = WHOLE("d_key", ATT, d_key, 1, 65536),
    [A_DVALUE] = WHOLE("d_value", ATT, d_value, 1, 65536),
    [A_CHUNK] = WHOLE("chunk", ATT, chunk, 0, CONFIG_MAX_SIZE),
    [A_HASHES] = WHOLE("hashes", ATT, hashes, 1, 64),
    [A_BUCKETS] = OTHER("buckets", read_buckets, ATT, type, 1 << 20),
    [A_BEFORE] = WHOLE("before", ATT, before, 0, 1024),
    [A_AFTER] = WHOLE("after", ATT, after, 0, 1024),
    [A_STD] = WHOLE("std_length", ATT, std_length, 0, CONFIG_MAX_SIZE),
};
static_assert(offsetof(ATT, type) == 0, "read_output and read_buckets get the whole struct");

/* The keys that a type and core give a meaning to. */
static uint32_t attention_keys(const ATT *a, uint32_t *required)
{
#define K(name) ((uint32_t)1 << (name))
    static const struct {
        uint32_t required, optional;
    } by_type[] = {
        [TERRA_ATT_DENSE] = {0, K(A_SHARE)},
        [TERRA_ATT_MULT] = {K(A_MODULES), 0},
        [TERRA_ATT_MULTMOD] = {K(A_MODULES), 0},
        [TERRA_ATT_MODULAR] = {K(A_MODULES), K(A_KERNEL)},
        [TERRA_ATT_CONV] = {K(A_MODULES), K(A_KERNEL)},
        [TERRA_ATT_LOWRANK] = {0, K(A_RANK)},
        [TERRA_ATT_MULTCONV] = {K(A_MODULES),
                                K(A_LENGTH) | K(A_VCONCAT) | K(A_OUTPUT) | K(A_SHARE)},
        [TERRA_ATT_SELF] = {K(A_DKEY) | K(A_DVALUE),
                            K(A_SHARE) | K(A_CHUNK) | K(A_BEFORE) | K(A_AFTER)},
    };
    *required = K(A_TYPE) | by_type[a->type].required;
    uint32_t optional = K(A_CORE) | by_type[a->type].optional;
    if (a->core == TERRA_CORE_LSH || a->core == TERRA_CORE_MIXED) {
        *required |= K(A_CHUNK) | K(A_HASHES);
        optional |= K(A_BUCKETS) | K(A_BEFORE) | K(A_AFTER);
    }
    if (a->core == TERRA_CORE_MIXED)
        optional |= K(A_STD);
    return *required | optional;
#undef K
}

static bool core_fits(const ATT *a)
{
    if (a->core == TERRA_CORE_STANDARD || a->type == TERRA_ATT_DENSE ||
        a->type == TERRA_ATT_MULTCONV)
        return true;
    return a->type == TERRA_ATT_SELF && a->core == TERRA_CORE_LSH;
}

static bool read_attention_as(const struct reader *r, const char *at, const cJSON *item,
                              bool decoder, ATT *a)
{
    *a = (ATT){.length_kernel = 3,
               .module_kernel = 1,
               .rank = 64,
               .before = 1,
               .after = decoder ? 0 : 1};
    char path[64], by[64];
    snprintf(path, sizeof path, "%s.", at);
    uint32_t seen, required, allowed;
    if (!cJSON_IsObject(item))
        return bad(r, at, "", item, "an object");
    if (!read_object(r, path, item, attention_fields, COUNT(attention_fields), a, &seen))
        return false;
    if (!core_fits(a))
        return err_set(r->e, ERR_MODEL, "%s: %s.core: %s does not go with type %s", r->where,
                       at, cores[a->core], attention_types[a->type]);
    snprintf(by, sizeof by, "type %s, core %s", attention_types[a->type], cores[a->core]);
    allowed = attention_keys(a, &required);
    if (!check_seen(r, path, attention_fields, COUNT(attention_fields), seen, required, allowed,
                    by))
        return false;
    bool lsh = a->core == TERRA_CORE_LSH || a->core == TERRA_CORE_MIXED;
    if (lsh && a->chunk == 0)
        return err_set(r->e, ERR_MODEL, "%s: %s.chunk: 0, LSH needs chunks", r->where, at);
    if (a->module_kernel % 2 == 0)
        return err_set(r->e, ERR_MODEL, "%s: %s.module_kernel: %" PRIu32 " is not odd",
                       r->where, at, a->module_kernel);
    if (a->type == TERRA_ATT_SELF && lsh) { /* LSHSelfAttention has one projection */
        if (seen >> A_SHARE & 1 && !a->share_qk)
            return err_set(r->e, ERR_MODEL, "%s: %s.share_qk: false, LSH shares q and k",
                           r->where, at);
        a->share_qk = true;
    }
    return true;
}

static bool read_encoder_attention(const struct reader *r, const char *at, const cJSON *item,
                                   const struct field *f, void *out)
{
    (void)at;
    return read_attention_as(r, f->key, item, false, out);
}

static bool read_decoder_attention(const struct reader *r, const char *at, const cJSON *item,
                                   const struct field *f, void *out)
{
    struct terra_config *c = out;
    if (!cJSON_IsArray(item)) {
        c->n_dec_att_types = 1;
        return read_attention_as(r, f->key, item, true, &c->dec_att[0]);
    }
    int n = cJSON_GetArraySize(item);
    if (n < 1 || n > TERRA_MAX_ATT)
        return bad(r, at, f->key, item, "one object, or a list of 1 to 8");
    for (const cJSON *entry = item->child; entry; entry = entry->next) {
        char path[48];
        snprintf(path, sizeof path, "%s[%" PRIu32 "]", f->key, c->n_dec_att_types);
        if (!read_attention_as(r, path, entry, true, &c->dec_att[c->n_dec_att_types++]))
            return false;
    }
    return true;
}

/* ---- positions ----------------------------------------------------------------- */

static const char *const position_types[] = {[TERRA_POS_NONE] = "none",
                                             [TERRA_POS_TABLE] = "table",
                                             [TERRA_POS_FACTORED] = "factored",
                                             [TERRA_POS_FIXED_BASE] = "fixed-base",
                                             [TERRA_POS_SIN_COS] = "sin-cos",
                                             [TERRA_POS_AXIAL] = "axial",
                                             NULL};

#define POS struct terra_position_config
static bool read_axial_shape(const struct reader *r, const char *at, const cJSON *item,
                             const struct field *f, void *out)
{
    POS *p = out;
    if (!read_list(r, at, f, item, 1, TERRA_MAX_AXES, p->shape, &p->n_axes))
        return false;
    uint64_t product = 1;
    for (uint32_t i = 0; i < p->n_axes; i++) {
        product *= p->shape[i];
        if (product == 0 || product > CONFIG_MAX_SIZE)
            return bad(r, at, f->key, item, "sizes with a product of 1 to 2^24-1");
    }
    p->max = (uint32_t)product;
    return true;
}

static bool read_axial_widths(const struct reader *r, const char *at, const cJSON *item,
                              const struct field *f, void *out)
{
    uint32_t n;
    return read_list(r, at, f, item, 1, TERRA_MAX_AXES, ((POS *)out)->widths, &n);
}

static bool read_positions(const struct reader *r, const char *at, const cJSON *item,
                           const struct field *self, void *out)
{
    enum { P_TYPE, P_MAX, P_WIDTH, P_SHAPE, P_WIDTHS };
    static const struct field fields[] = {
        [P_TYPE] = WORD("type", POS, type, position_types),
        [P_MAX] = WHOLE("max", POS, max, 1, CONFIG_MAX_SIZE),
        [P_WIDTH] = WHOLE("width", POS, width, 1, TERRA_MAX_POS_WIDTH),
        [P_SHAPE] = OTHER("shape", read_axial_shape, POS, type, CONFIG_MAX_SIZE),
        [P_WIDTHS] = OTHER("widths", read_axial_widths, POS, type, CONFIG_MAX_SIZE),
    };
    static_assert(offsetof(POS, type) == 0, "the list readers get the whole struct");
    static const uint32_t needed[] = {
        [TERRA_POS_NONE] = 0,       [TERRA_POS_TABLE] = 1 << P_MAX,
        [TERRA_POS_FIXED_BASE] = 0, [TERRA_POS_FACTORED] = 1 << P_MAX | 1 << P_WIDTH,
        [TERRA_POS_SIN_COS] = 0,    [TERRA_POS_AXIAL] = 1 << P_SHAPE | 1 << P_WIDTHS};
    POS *p = out;
    uint32_t seen;
    if (!cJSON_IsObject(item))
        return bad(r, at, self->key, item, "an object");
    if (!read_object(r, "positions.", item, fields, COUNT(fields), p, &seen))
        return false;
    uint32_t required = needed[p->type] | 1 << P_TYPE;
    char by[32];
    snprintf(by, sizeof by, "type %s", position_types[p->type]);
    return check_seen(r, "positions.", fields, COUNT(fields), seen, required, required, by);
}

/* ---- vocabulary, control words, the rest ------------------------------------------ */

static bool read_sha256(const struct reader *r, const char *at, const cJSON *item,
                        const struct field *f, void *out)
{
    struct vocab_config *v = out;
    const char *s = cJSON_IsString(item) ? item->valuestring : "";
    if (strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64)
        return bad(r, at, f->key, item, "64 lower-case hexadecimal digits");
    for (int i = 0; i < 64; i++) {
        uint8_t digit = (uint8_t)(s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10);
        v->sha256[i / 2] = (uint8_t)(v->sha256[i / 2] << 4 | digit);
    }
    v->has_sha256 = true;
    return true;
}

static bool read_vocab_file(const struct reader *r, const char *at, const cJSON *item,
                            const struct field *f, void *out)
{
    struct vocab_config *v = out;
    if (!read_text(r, at, f->key, item, v->file, sizeof v->file))
        return false;
    if (strchr(v->file, '/') || v->file[0] == '.')
        return bad(r, at, f->key, item, "a file name in the model's folder");
    return true;
}

static bool read_vocabulary(const struct reader *r, const char *at, const cJSON *item,
                            const struct field *self, void *out)
{
    enum { V_TYPE, V_FILE, V_RESERVED, V_SHA256 };
    static const char *const types[] = {
        [VOCAB_NONE] = "none", [VOCAB_BPE] = "bpe", [VOCAB_T2T] = "t2t", NULL};
    static const struct field fields[] = {
        [V_TYPE] = WORD("type", struct vocab_config, type, types),
        [V_FILE] = OTHER("file", read_vocab_file, struct vocab_config, type, 0),
        [V_RESERVED] = WHOLE("reserved", struct vocab_config, reserved, 0, CONFIG_MAX_SIZE),
        [V_SHA256] = OTHER("sha256", read_sha256, struct vocab_config, type, 0),
    };
    struct vocab_config *v = out;
    uint32_t seen, type = 1 << V_TYPE, file = 1 << V_FILE;
    if (!cJSON_IsObject(item))
        return bad(r, at, self->key, item, "an object");
    if (!read_object(r, "vocabulary.", item, fields, COUNT(fields), v, &seen))
        return false;
    if (v->type == VOCAB_NONE)
        return check_seen(r, "vocabulary.", fields, COUNT(fields), seen, type, type,
                          "type none");
    uint32_t allowed = type | file | 1 << V_SHA256 | (v->type == VOCAB_T2T) << V_RESERVED;
    return check_seen(r, "vocabulary.", fields, COUNT(fields), seen, type | file, allowed,
                      types[v->type]);
}

static bool read_control(const struct reader *r, const char *at, const cJSON *item,
                         const struct field *f, void *out)
{
    struct terra_config *c = out;
    if (!cJSON_IsObject(item))
        return bad(r, at, f->key, item, "an object");
    for (const cJSON *word = item->child; word; word = word->next) {
        struct field id = {word->string, read_whole, 0, 2, CONFIG_MAX_SIZE, NULL};
        uint32_t v = 0;
        if (c->n_control == TERRA_MAX_CTL)
            return bad(r, at, f->key, item, "at most 16 control words");
        for (uint32_t i = 0; i < c->n_control; i++)
            if (strcmp(c->control[i].name, word->string) == 0)
                return err_set(r->e, ERR_MODEL, "%s: control.%s: given twice", r->where,
                               word->string);
        size_t n = strlen(word->string);
        if (n == 0 || n >= sizeof c->control[0].name)
            return err_set(r->e, ERR_MODEL, "%s: control.%s: a name of %zu bytes, wanted 1..23",
                           r->where, word->string, n);
        if (!read_whole(r, "control.", word, &id, &v))
            return false;
        memcpy(c->control[c->n_control].name, word->string, n + 1);
        c->control[c->n_control++].id = (int32_t)v;
    }
    return true;
}

static bool read_sru(const struct reader *r, const char *at, const cJSON *item,
                     const struct field *f, void *out)
{
    uint32_t pair[2] = {0}, n;
    if (!read_list(r, at, f, item, 2, 2, pair, &n))
        return false;
    struct terra_config *c = out;
    if (pair[0] > 4 || pair[1] == 0)
        return bad(r, at, f->key, item, "[0..4 layers, a width]");
    c->sru_layers = pair[0];
    c->sru_width = pair[1];
    return true;
}

static bool read_format(const struct reader *r, const char *at, const cJSON *item,
                        const struct field *f, void *out)
{
    (void)out;
    if (!cJSON_IsString(item) || strcmp(item->valuestring, "terra-1") != 0)
        return bad(r, at, f->key, item, "\"terra-1\"");
    return true;
}

static bool read_name(const struct reader *r, const char *at, const cJSON *item,
                      const struct field *f, void *out)
{
    return read_text(r, at, f->key, item, out, sizeof((struct terra_config *)0)->name);
}

/* ---- the whole file ---------------------------------------------------------------- */

#define FILE_ struct config_file
static const struct field fields[] = {
    /* the first ones are required */
    OTHER("format", read_format, FILE_, config, 0),
    WHOLE("vocab_size", FILE_, config.vocab, 2, CONFIG_MAX_SIZE),
    WHOLE("d_model", FILE_, config.d_model, 1, 1 << 17),
    WHOLE("d_ff", FILE_, config.d_ff, 1, 1 << 20),
    WHOLE("n_heads", FILE_, config.n_heads, 1, 1 << 16),
    WHOLE("n_encoder_layers", FILE_, config.n_enc, 0, MAX_LAYERS),
    WHOLE("n_decoder_layers", FILE_, config.n_dec, 1, MAX_LAYERS),
    OTHER("positions", read_positions, FILE_, config.pos, 0),
    OTHER("decoder_attention", read_decoder_attention, FILE_, config, 0),
#define N_REQUIRED 9
    OTHER("name", read_name, FILE_, config.name, 0),
    WHOLE("output_vocab_size", FILE_, config.out_vocab, 0, CONFIG_MAX_SIZE),
    WHOLE("n_decoder_attention_layers", FILE_, config.n_dec_att, 1, 16),
    FLAG("reversible_encoder", FILE_, config.reversible_encoder),
    FLAG("two_swaps", FILE_, config.two_swaps),
    FLAG("center_layernorm", FILE_, config.center_norm),
    WHOLE("n_layers_forget", FILE_, config.forget, 0, MAX_LAYERS),
    FLAG("forget_dense", FILE_, config.forget_dense),
    WHOLE("half_before_layer", FILE_, config.half_before, 0, MAX_LAYERS),
    WHOLE("double_after_layer", FILE_, config.double_after, 0, MAX_LAYERS),
    /* of a block's units the last one's number is below TERRA_RUNNER_UP */
    WHOLE("ff_block", FILE_, config.ff_block, 0, TERRA_RUNNER_UP),
    WHOLE("ff_rank", FILE_, config.ff_rank, 0, CONFIG_MAX_SIZE),
    FLAG("ff_multiply", FILE_, config.ff_multiply),
    WHOLE("ff_experts", FILE_, config.ff_experts, 0, TERRA_RUNNER_UP),
    FLAG("ff_switch", FILE_, config.ff_switch),
    OTHER("ff_sru", read_sru, FILE_, config, 1 << 16),
    WHOLE("loss_modules", FILE_, config.loss_modules, 0, CONFIG_MAX_SIZE),
    OTHER("encoder_attention", read_encoder_attention, FILE_, config.enc_att, 0),
    WHOLE("max_source", FILE_, config.max_source, 0, CONFIG_MAX_SIZE),
    WHOLE("max_target", FILE_, config.max_target, 0, CONFIG_MAX_SIZE),
    OTHER("vocabulary", read_vocabulary, FILE_, vocab, 0),
    OTHER("control", read_control, FILE_, config, 0),
    FLAG("source_eos", FILE_, config.source_eos),
};
static_assert(offsetof(FILE_, config) == 0,
              "readers of several fields get struct terra_config");

static bool parse(const struct reader *r, const cJSON *root, struct config_file *out)
{
    uint32_t seen, required = ((uint32_t)1 << N_REQUIRED) - 1;
    if (!cJSON_IsObject(root))
        return err_set(r->e, ERR_MODEL, "%s: not a JSON object", r->where);
    if (!read_object(r, "", root, fields, COUNT(fields), out, &seen) ||
        !check_seen(r, "", fields, COUNT(fields), seen, required, UINT32_MAX, NULL))
        return false;
    struct terra_config *c = &out->config;
    c->separate_vocab = c->out_vocab != 0;
    if (!c->separate_vocab)
        c->out_vocab = c->vocab;
    return config_check(c, r->where, r->e);
}

bool config_parse(const char *json, size_t n, const char *where, struct config_file *out,
                  struct err *e)
{
    *out = (struct config_file){.config = {.n_dec_att = 2,
                                           .two_swaps = true,
                                           .center_norm = true,
                                           .forget_dense = true,
                                           .sru_width = 32,
                                           .enc_att = {.type = TERRA_ATT_DENSE,
                                                       .length_kernel = 3,
                                                       .module_kernel = 1,
                                                       .rank = 64,
                                                       .before = 1,
                                                       .after = 1}}};
    const struct reader r = {where, e};
    const char *looks = file_looks_like(json, n);
    if (looks)
        return err_set(e, ERR_MODEL, "%s: not JSON: looks like %s", where, looks);
    if (n > MAX_BYTES)
        return err_set(e, ERR_MODEL, "%s: %zu bytes, wanted at most %d", where, n, MAX_BYTES);
    cJSON *root = json_read(json, n, MAX_DEPTH, MAX_VALUES, e);
    if (!root)
        return err_prefix(e, "%s", where);
    bool ok = parse(&r, root, out);
    cJSON_Delete(root);
    return ok;
}
