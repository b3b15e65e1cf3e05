/* cmd_inspect.c - `terra inspect`: a model's settings, tensors and bytes.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "engine/base/json_out.h"
#include "engine/base/sha256.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const dtype_name[] = {"f32", "bf16", "int8"};
static const char *const position_name[] = {"none",       "table",   "factored",
                                            "fixed-base", "sin-cos", "axial"};
static const char *const attention_name[] = {"dense", "mult",    "multmod",  "modular",
                                             "conv",  "lowrank", "multconv", "self"};
static const char *const core_name[] = {"standard", "shared", "lsh", "mixed"};

enum part {
    PART_EMBEDDING,
    PART_CONTROLLER,
    PART_FF,
    PART_SRU,
    PART_ATTENTION,
    PART_HEAD,
    PART_OTHER,
    PARTS
};
static const char *const part_name[PARTS] = {"embedding", "controller", "ff",   "sru",
                                             "attention", "head",       "other"};

static enum part part_of(const char *name)
{
    if (strncmp(name, "emb", 3) == 0 || strncmp(name, "out_emb", 7) == 0 ||
        strncmp(name, "pos_", 4) == 0)
        return PART_EMBEDDING;
    if (strncmp(name, "loss", 4) == 0)
        return PART_HEAD;
    if (strstr(name, ".sru."))
        return PART_SRU;
    if (strstr(name, ".ff.ctl"))
        return PART_CONTROLLER;
    if (strstr(name, ".ff."))
        return PART_FF;
    if (strstr(name, ".attn"))
        return PART_ATTENTION;
    return PART_OTHER;
}

static void add_attention(struct buf *b, const struct terra_attention_config *a)
{
    buf_add_str(b, attention_name[a->type]);
    if (a->modules)
        buf_printf(b, ", %u modules", a->modules);
    if (a->core != TERRA_CORE_STANDARD)
        buf_printf(b, ", %s core", core_name[a->core]);
    if (a->share_qk)
        buf_add_str(b, ", shared qk");
}

static void shape_text(const struct terra_tensor_info *t, char out[96])
{
    int n = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < t->rank && n < 80; i++)
        n += snprintf(out + n, 96 - (size_t)n, "%s%" PRIu64, i ? " x " : "", t->shape[i]);
}

static void print_config(struct cli *c, struct buf *b)
{
    const struct terra_config *m = c->shape;
    buf_printf(b, "model       %s\npath        %s\n", m->name, terra_model_path(c->model));
    buf_printf(b, "layers      %u encoder (%s), %u decoder with %u attention each\n", m->n_enc,
               m->reversible_encoder ? "reversible" : "merged", m->n_dec, m->n_dec_att);
    buf_printf(b, "widths      d_model %u, d_ff %u, %u heads, vocabulary %u", m->d_model,
               m->d_ff, m->n_heads, m->vocab);
    if (m->separate_vocab)
        buf_printf(b, " and %u", m->out_vocab);
    if (m->ff_block)
        buf_printf(b,
                   "\nfeed-fwd    sparse: %u blocks of %u units, one of each is used "
                   "(controller rank %u)",
                   terra_config_max_blocks(m), m->ff_block, m->ff_rank);
    else
        buf_add_str(b, "\nfeed-fwd    dense");
    if (m->sru_layers)
        buf_printf(b, ", %u SRU of width %u", m->sru_layers, m->sru_width);
    buf_add_str(b, "\nattention   encoder ");
    add_attention(b, &m->enc_att);
    for (uint32_t i = 0; i < m->n_dec_att_types; i++) {
        buf_add_str(b, i ? " / " : "; decoder ");
        add_attention(b, &m->dec_att[i]);
    }
    buf_printf(b, "\npositions   %s", position_name[m->pos.type]);
    if (m->pos.max)
        buf_printf(b, ", %u", m->pos.max);
    buf_printf(b, "\ncontext     source %u, target %u tokens\n", generate_max_source(m),
               generate_max_target(m));
    if (m->n_control) {
        buf_add_str(b, "styles     ");
        for (uint32_t i = 0; i < m->n_control; i++)
            buf_printf(b, " %s", m->control[i].name);
        buf_add_byte(b, '\n');
    }
    buf_printf(b, "vocabulary  %s\n", c->vocab ? "yes" : "none: token ids only");
}

static void print_sizes(struct cli *c, struct buf *b)
{
    struct terra_model_info info;
    struct terra_tensor_info t;
    uint64_t bytes[PARTS] = {0}, kinds[3] = {0};
    char text[24], hash[65];
    terra_model_info(c->model, &info);
    for (size_t i = 0; terra_model_tensor(c->model, i, &t); i++) {
        bytes[part_of(t.name)] += t.bytes;
        kinds[t.dtype] += t.bytes;
    }
    buf_printf(b, "parameters  %" PRIu64 " in %" PRIu64 " tensors, file %s\n", info.parameters,
               info.n_tensors, cli_bytes(info.file_bytes, text));
    buf_add_str(b, "numbers    ");
    for (int i = 0; i < 3; i++)
        if (kinds[i])
            buf_printf(b, " %s %s", dtype_name[i], cli_bytes(kinds[i], text));
    buf_add_str(b, "\nbytes      ");
    for (int i = 0; i < PARTS; i++)
        if (bytes[i])
            buf_printf(b, " %s %s", part_name[i], cli_bytes(bytes[i], text));
    buf_printf(b, "\nper token   %s read by the sparse decoder",
               cli_bytes(info.bytes_sparse, text));
    buf_printf(b, ", %s with all units\n", cli_bytes(info.bytes_dense, text));
    sha256_hex(info.header_sha256, hash);
    buf_printf(b, "sha256      %s (header)\n", hash);
}

static void print_tensors(struct cli *c, struct buf *b)
{
    struct terra_tensor_info t;
    char shape[96], text[24];
    buf_add_byte(b, '\n');
    for (size_t i = 0; terra_model_tensor(c->model, i, &t); i++) {
        shape_text(&t, shape);
        buf_printf(b, "%-28s %-5s %-20s %s\n", t.name, dtype_name[t.dtype], shape,
                   cli_bytes(t.bytes, text));
    }
}

static void json_model(struct cli *c, struct buf *b)
{
    const struct terra_config *m = c->shape;
    struct terra_model_info info;
    struct terra_tensor_info t;
    char hash[65];
    terra_model_info(c->model, &info);
    sha256_hex(info.header_sha256, hash);
    headless_object(b, "model");
    json_cstr(b, "name", m->name);
    json_cstr(b, "path", terra_model_path(c->model));
    json_int(b, "vocab_size", m->vocab);
    json_int(b, "d_model", m->d_model);
    json_int(b, "d_ff", m->d_ff);
    json_int(b, "n_heads", m->n_heads);
    json_int(b, "n_encoder_layers", m->n_enc);
    json_int(b, "n_decoder_layers", m->n_dec);
    json_int(b, "ff_block", m->ff_block);
    json_int(b, "blocks", terra_config_max_blocks(m));
    json_int(b, "max_source", generate_max_source(m));
    json_int(b, "max_target", generate_max_target(m));
    json_bool(b, "vocabulary", c->vocab != NULL);
    json_open(b, "styles", '[');
    for (uint32_t i = 0; i < m->n_control; i++)
        json_cstr(b, NULL, m->control[i].name);
    json_close(b, ']');
    json_int(b, "parameters", (int64_t)info.parameters);
    json_int(b, "file_bytes", (int64_t)info.file_bytes);
    json_int(b, "bytes_per_token_sparse", (int64_t)info.bytes_sparse);
    json_int(b, "bytes_per_token_dense", (int64_t)info.bytes_dense);
    json_cstr(b, "header_sha256", hash);
    json_close(b, '}');
    buf_add_byte(b, '\n');
    for (size_t i = 0; terra_model_tensor(c->model, i, &t); i++) {
        headless_object(b, "tensor");
        json_cstr(b, "name", t.name);
        json_cstr(b, "dtype", dtype_name[t.dtype]);
        json_open(b, "shape", '[');
        for (uint32_t k = 0; k < t.rank; k++)
            json_int(b, NULL, (int64_t)t.shape[k]);
        json_close(b, ']');
        json_int(b, "bytes", (int64_t)t.bytes);
        json_close(b, '}');
        buf_add_byte(b, '\n');
    }
    b->data[--b->len] = '\0';
}

static bool open_model(struct cli *c, struct err *e)
{
    const struct args *a = c->args;
    if (a->preset) {
        enum terra_dtype dtype = TERRA_F32;
        for (int i = 0; a->dtype && i < 3; i++)
            if (strcmp(a->dtype, dtype_name[i]) == 0)
                dtype = (enum terra_dtype)i;
        c->model =
            terra_model_preset(a->preset, dtype, a->blocks > 0 ? (uint32_t)a->blocks : 0, e);
    } else if (a->n_pos) {
        c->model = setup_open_model(&c->config, a->pos[0], e);
    } else {
        return cli_model(c, e);
    }
    if (!c->model)
        return false;
    c->shape = terra_model_config(c->model);
    c->vocab = terra_model_vocab(c->model);
    return true;
}

static bool inspect(struct cli *c, struct err *e)
{
    if (!open_model(c, e))
        return false;
    struct buf b = {0};
    if (c->args->json) {
        json_model(c, &b);
        headless_line(&c->out, &b);
    } else {
        print_config(c, &b);
        print_sizes(c, &b);
        if (c->args->verbose)
            print_tensors(c, &b);
        else
            buf_add_str(&b, "tensors     listed with -v\n");
        headless_text(&c->out, buf_str(&b), b.len);
    }
    buf_free(&b);
    return true;
}

int cmd_inspect(const struct args *a)
{
    struct cli c;
    struct err e = {0};
    bool ok = cli_open(&c, a, &e) && inspect(&c, &e);
    return cli_close(&c, ok, &e);
}
