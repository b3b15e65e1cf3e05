/* config_check.c - whether the values of a configuration go together, and the sizes that
 * follow from them.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/config_impl.h"

#include <inttypes.h>
#include <stdio.h>

struct place {
    const char *where; /* the file */
    struct err *e;
};

/* "a must divide b" as one line with both keys and values. */
static bool divides(const struct place *r, const char *what, uint32_t value, const char *of,
                    uint32_t whole)
{
    if (value && whole % value == 0)
        return true;
    return err_set(r->e, ERR_MODEL, "%s: %s: %" PRIu32 " does not divide %s of %" PRIu32,
                   r->where, what, value, of, whole);
}

/* An attention type where its streams are d wide. */
static bool check_attention(const struct place *r, const char *at,
                            const struct terra_attention_config *a, uint32_t d, uint32_t heads)
{
    char key[64];
    snprintf(key, sizeof key, "%s.modules", at);
    if (a->modules && !divides(r, key, a->modules, "a width", d))
        return false;
    if (a->v_concat == TERRA_V_ORIGINAL && a->modules % 2)
        return err_set(r->e, ERR_MODEL,
                       "%s: %s: %" PRIu32 " is odd, v_concat original halves it", r->where, key,
                       a->modules);
    if (a->type == TERRA_ATT_CONV && a->modules > 1 && a->module_kernel / 2 >= a->modules)
        return err_set(r->e, ERR_MODEL,
                       "%s: %s.module_kernel: %" PRIu32 " looks past all %" PRIu32 " modules",
                       r->where, at, a->module_kernel, a->modules);
    if (a->type != TERRA_ATT_SELF)
        return divides(r, "n_heads", heads, "a width", d);
    uint32_t widest = a->d_key > a->d_value ? a->d_key : a->d_value;
    if ((uint64_t)heads * widest > CONFIG_MAX_SIZE)
        return err_set(r->e, ERR_MODEL,
                       "%s: %s: %" PRIu32 " heads of %" PRIu32 ", wanted less than 2^24 in all",
                       r->where, at, heads, widest);
    return true;
}

static bool check_widths(const struct place *r, const struct terra_config *c)
{
    const uint32_t half = c->half_before ? 2 : 1;
    if (c->half_before > c->n_dec)
        return err_set(r->e, ERR_MODEL,
                       "%s: half_before_layer: %" PRIu32 " of %" PRIu32 " blocks", r->where,
                       c->half_before, c->n_dec);
    if (c->double_after >= c->n_dec)
        return err_set(r->e, ERR_MODEL,
                       "%s: double_after_layer: %" PRIu32 " of blocks 0..%" PRIu32, r->where,
                       c->double_after, c->n_dec - 1);
    if (c->half_before && c->double_after && c->double_after + 1 < c->half_before)
        return err_set(r->e, ERR_MODEL,
                       "%s: double_after_layer: %" PRIu32
                       " comes before half_before_layer %" PRIu32,
                       r->where, c->double_after, c->half_before);
    if (!divides(r, "half_before_layer: a factor of 2; it", half, "d_model", c->d_model) ||
        !divides(r, "half_before_layer: a factor of 2; it", half, "d_ff", c->d_ff))
        return false;
    for (uint32_t i = 0; i < c->n_enc + c->n_dec; i++) {
        char at[48] = "encoder_attention";
        const struct terra_attention_config *a = &c->enc_att;
        if (i >= c->n_enc) {
            uint32_t which = (i - c->n_enc) % c->n_dec_att_types;
            a = &c->dec_att[which];
            if (c->n_dec_att_types == 1)
                snprintf(at, sizeof at, "decoder_attention");
            else
                snprintf(at, sizeof at, "decoder_attention[%" PRIu32 "]", which);
        }
        if (!check_attention(r, at, a, config_block_d(c, i), c->n_heads))
            return false;
        if (c->ff_block && !divides(r, "ff_block", c->ff_block, "a d_ff", config_block_f(c, i)))
            return false;
        if (c->ff_experts &&
            !divides(r, "ff_experts", c->ff_experts, "a d_ff", config_block_f(c, i)))
            return false;
        if (c->ff_block && config_block_f(c, i) / c->ff_block > UINT16_MAX)
            return err_set(r->e, ERR_MODEL, "%s: ff_block: %" PRIu32 " makes too many blocks",
                           r->where, c->ff_block);
    }
    return true;
}

/* Forgetting layers have the final width (spec 1.7): none may come before a widening. */
static bool check_forget(const struct place *r, const struct terra_config *c)
{
    if (!c->forget || !c->forget_dense || !(c->half_before || c->double_after))
        return true;
    uint32_t items = c->n_dec + (c->half_before > 0) + (c->double_after > 0);
    /* Items done when the last widening is done. */
    uint32_t wide =
        c->double_after ? c->double_after + 2 + (c->half_before > 0) : c->half_before + 1;
    if (items > c->forget + 1 && c->forget < wide)
        return err_set(r->e, ERR_MODEL,
                       "%s: n_layers_forget: %" PRIu32
                       " puts a forgetting layer before the streams are widened",
                       r->where, c->forget);
    return true;
}

static bool check_positions(const struct place *r, const struct terra_config *c)
{
    const struct terra_position_config *p = &c->pos;
    uint32_t d = config_embed_d(c);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < p->n_axes; i++)
        sum += p->widths[i];
    if (p->type == TERRA_POS_AXIAL &&
        (sum != d || (p->n_axes < TERRA_MAX_AXES && p->widths[p->n_axes])))
        return err_set(r->e, ERR_MODEL,
                       "%s: positions.widths: %" PRIu64 " in all for %" PRIu32
                       " axes, wanted the embedding's %" PRIu32,
                       r->where, sum, p->n_axes, d);
    if (p->type == TERRA_POS_FIXED_BASE)
        return divides(r, "positions: fixed-base has 8 digits; it", 8, "an embedding", d);
    if (p->type == TERRA_POS_SIN_COS)
        return divides(r, "positions: sin-cos has halves; it", 2, "an embedding", d);
    return true;
}

static bool check_rest(const struct place *r, const struct terra_config *c)
{
    if (c->loss_modules &&
        !divides(r, "loss_modules", c->loss_modules, "the target vocabulary", c->out_vocab))
        return false;
    bool varies = c->half_before || c->double_after;
    if (c->ff_block && !c->ff_rank && !varies)
        return err_set(r->e, ERR_MODEL, "%s: ff_rank: missing, it is needed by ff_block",
                       r->where);
    if (c->ff_rank && !c->ff_block)
        return err_set(r->e, ERR_MODEL, "%s: ff_rank: has no meaning without ff_block",
                       r->where);
    if (c->ff_experts && c->ff_block)
        return err_set(r->e, ERR_MODEL, "%s: ff_experts: has no meaning with ff_block",
                       r->where);
    if (c->ff_switch && !c->ff_experts)
        return err_set(r->e, ERR_MODEL, "%s: ff_switch: has no meaning without ff_experts",
                       r->where);
    if (c->ff_multiply && !c->ff_block)
        return err_set(r->e, ERR_MODEL, "%s: ff_multiply: has no meaning without ff_block",
                       r->where);
    uint32_t longest = c->max_source > c->max_target ? c->max_source : c->max_target;
    if (c->pos.max && longest > c->pos.max)
        return err_set(r->e, ERR_MODEL, "%s: %s: %" PRIu32 ", there are %" PRIu32 " positions",
                       r->where, c->max_source == longest ? "max_source" : "max_target",
                       longest, c->pos.max);
    for (uint32_t i = 0; i < c->n_control; i++)
        if ((uint32_t)c->control[i].id >= c->vocab)
            return err_set(r->e, ERR_MODEL,
                           "%s: control.%s: %" PRId32 ", the vocabulary has %" PRIu32 " ids",
                           r->where, c->control[i].name, c->control[i].id, c->vocab);
    return true;
}

bool config_check(const struct terra_config *c, const char *where, struct err *e)
{
    const struct place r = {where, e};
    return check_widths(&r, c) && check_forget(&r, c) && check_positions(&r, c) &&
           check_rest(&r, c);
}

/* ---- derived sizes ------------------------------------------------------------------- */

/* Doubles a size (2), keeps it (1) or halves it (0) in this block. */
static uint32_t scaled(const struct terra_config *c, uint32_t layer, uint32_t size)
{
    bool encoder = layer < c->n_enc;
    uint32_t block = encoder ? 0 : layer - c->n_enc;
    if (!encoder && c->double_after && block > c->double_after)
        return size * 2;
    if (c->half_before && (encoder || block < c->half_before))
        return size / 2;
    return size;
}

uint32_t config_block_d(const struct terra_config *c, uint32_t layer)
{
    return scaled(c, layer, c->d_model);
}

uint32_t config_block_f(const struct terra_config *c, uint32_t layer)
{
    return scaled(c, layer, c->d_ff);
}

uint32_t config_embed_d(const struct terra_config *c)
{
    return c->half_before ? c->d_model / 2 : c->d_model;
}

uint32_t config_out_d(const struct terra_config *c)
{
    return c->double_after ? c->d_model * 2 : c->d_model;
}

uint32_t terra_config_blocks(const struct terra_config *c, uint32_t layer)
{
    if (c->ff_experts)
        return 1;
    return c->ff_block ? config_block_f(c, layer) / c->ff_block : 0;
}

uint32_t terra_config_max_blocks(const struct terra_config *c)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < c->n_enc + c->n_dec; i++) {
        uint32_t blocks = terra_config_blocks(c, i);
        most = blocks > most ? blocks : most;
    }
    return most;
}
