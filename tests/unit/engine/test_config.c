/* test_config.c - config.json: what is accepted, and every refusal by its message.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/config.h"

#include "engine/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* A small valid file; `edit` is text put behind the opening brace. */
#define REST                                                                                   \
    "\"vocab_size\": 40, \"d_model\": 32, \"d_ff\": 64, \"n_heads\": 4, "                      \
    "\"n_encoder_layers\": 2, \"n_decoder_layers\": 3, "
#define POSITIONS   "\"positions\": {\"type\": \"table\", \"max\": 64}, "
#define MULTCONV    "\"decoder_attention\": {\"type\": \"multconv\", \"modules\": 4}"
#define FORMAT      "{\"format\": \"terra-1\", "
#define SMALL(edit) FORMAT edit REST POSITIONS MULTCONV "}"

static bool parse(const char *json, struct config_file *out, struct err *e)
{
    /* An exact copy: reading past the end is caught by the sanitizers. */
    size_t n = strlen(json);
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, json, n);
    bool ok = config_parse(copy, n, "config.json", out, e);
    free(copy);
    return ok;
}

static struct terra_config accepted(const char *json)
{
    struct config_file f;
    struct err e = {0};
    if (!parse(json, &f, &e))
        fail_msg("%s", e.msg);
    return f.config;
}

static void test_defaults(void **state)
{
    (void)state;
    struct terra_config c = accepted(SMALL(""));
    assert_string_equal(c.name, "");
    assert_int_equal(c.vocab, 40);
    assert_int_equal(c.out_vocab, 40);
    assert_false(c.separate_vocab);
    assert_int_equal(c.n_dec_att, 2);
    assert_false(c.reversible_encoder);
    assert_true(c.two_swaps && c.center_norm && c.forget_dense);
    assert_int_equal(c.forget + c.half_before + c.double_after, 0);
    assert_int_equal(c.ff_block + c.ff_rank + c.sru_layers + c.loss_modules, 0);
    assert_int_equal(c.sru_width, 32);
    assert_int_equal(c.enc_att.type, TERRA_ATT_DENSE);
    assert_int_equal(c.pos.type, TERRA_POS_TABLE);
    assert_int_equal(c.pos.max, 64);
    assert_int_equal(c.n_dec_att_types, 1);
    assert_int_equal(c.dec_att[0].type, TERRA_ATT_MULTCONV);
    assert_int_equal(c.dec_att[0].length_kernel, 3);
    assert_int_equal(c.dec_att[0].after, 0);
    assert_int_equal(c.enc_att.after, 1);
    assert_int_equal(c.max_source + c.max_target + c.n_control, 0);
    assert_false(c.source_eos);
    assert_int_equal(terra_config_blocks(&c, 0), 0);
    assert_int_equal(terra_config_max_blocks(&c), 0);
}

static void test_every_key(void **state)
{
    (void)state;
    struct config_file f;
    struct err e = {0};
    const char *json = FORMAT REST
        "\"name\": \"small\", \"output_vocab_size\": 24, \"n_decoder_attention_layers\": 1, "
        "\"reversible_encoder\": true, \"two_swaps\": false, \"center_layernorm\": false, "
        "\"n_layers_forget\": 2, \"forget_dense\": false, \"ff_block\": 8, \"ff_rank\": 5, "
        "\"ff_sru\": [1, 16], \"loss_modules\": 4, "
        "\"positions\": {\"type\": \"axial\", \"shape\": [4, 8], \"widths\": [8, 24]}, "
        "\"encoder_attention\": {\"type\": \"dense\", \"core\": \"lsh\", \"chunk\": 4, "
        "\"hashes\": 2, \"buckets\": [2, 4], \"share_qk\": true}, "
        "\"decoder_attention\": [{\"type\": \"self\", \"core\": \"lsh\", \"d_key\": 8, "
        "\"d_value\": 6, \"chunk\": 4, \"hashes\": 1, \"before\": 2, \"after\": 1}, "
        "{\"type\": \"multconv\", \"modules\": 4, \"length_kernel\": 5, "
        "\"v_concat\": \"original\", \"output\": \"multconv\", \"core\": \"mixed\", "
        "\"chunk\": 4, \"hashes\": 1, \"buckets\": 6, \"std_length\": 9}], "
        "\"max_source\": 20, \"max_target\": 30, \"source_eos\": true, "
        "\"vocabulary\": {\"type\": \"t2t\", \"file\": \"en.subword\", \"reserved\": 100, "
        "\"sha256\": "
        "\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}, "
        "\"control\": {\"title\": 4, \"tldr\": 6}}";
    if (!parse(json, &f, &e))
        fail_msg("%s", e.msg);
    const struct terra_config *c = &f.config;
    assert_string_equal(c->name, "small");
    assert_int_equal(c->out_vocab, 24);
    assert_true(c->separate_vocab && c->reversible_encoder && c->source_eos);
    assert_false(c->two_swaps || c->center_norm || c->forget_dense);
    assert_int_equal(c->n_dec_att, 1);
    assert_int_equal(c->forget, 2);
    assert_int_equal(c->ff_block, 8);
    assert_int_equal(c->ff_rank, 5);
    assert_int_equal(c->sru_layers, 1);
    assert_int_equal(c->sru_width, 16);
    assert_int_equal(c->loss_modules, 4);
    assert_int_equal(c->pos.n_axes, 2);
    assert_int_equal(c->pos.shape[1], 8);
    assert_int_equal(c->pos.widths[1], 24);
    assert_int_equal(c->pos.max, 32);
    assert_int_equal(c->enc_att.core, TERRA_CORE_LSH);
    assert_int_equal(c->enc_att.n_buckets, 2);
    assert_int_equal(c->enc_att.buckets[1], 4);
    assert_true(c->enc_att.share_qk);
    assert_int_equal(c->n_dec_att_types, 2);
    assert_int_equal(c->dec_att[0].d_value, 6);
    assert_true(c->dec_att[0].share_qk);
    assert_int_equal(c->dec_att[0].before, 2);
    assert_int_equal(c->dec_att[0].n_buckets, 0);
    assert_int_equal(c->dec_att[1].v_concat, TERRA_V_ORIGINAL);
    assert_true(c->dec_att[1].out_mult && c->dec_att[1].out_conv);
    assert_int_equal(c->dec_att[1].core, TERRA_CORE_MIXED);
    assert_int_equal(c->dec_att[1].std_length, 9);
    assert_int_equal(c->dec_att[1].n_buckets, 1);
    assert_int_equal(f.vocab.type, VOCAB_T2T);
    assert_string_equal(f.vocab.file, "en.subword");
    assert_int_equal(f.vocab.reserved, 100);
    assert_true(f.vocab.has_sha256);
    assert_int_equal(f.vocab.sha256[31], 0xFF);
    assert_int_equal(c->n_control, 2);
    assert_string_equal(c->control[1].name, "tldr");
    assert_int_equal(c->control[1].id, 6);
}

static void test_changing_widths(void **state)
{
    (void)state;
    struct terra_config c = accepted(
        SMALL("\"half_before_layer\": 1, \"double_after_layer\": 1, \"ff_block\": 8, "));
    assert_int_equal(config_embed_d(&c), 16);
    assert_int_equal(config_out_d(&c), 64);
    const uint32_t d[] = {16, 16, 16, 32, 64}, blocks[] = {4, 4, 4, 8, 16};
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(config_block_d(&c, i), d[i]);
        assert_int_equal(terra_config_blocks(&c, i), blocks[i]);
    }
    assert_int_equal(terra_config_max_blocks(&c), 16);
}

/* Every refusal is one line that names the key and what was found. */
static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "config.json: not valid JSON at byte 0 of 0"},
        {"[]", "config.json: not a JSON object"},
        {"{\"format\": \"terra-1\"} x",
         "config.json: something follows the JSON value at byte 22 of 23"},
        {"<!DOCTYPE html><p>", "config.json: not JSON: looks like an HTML page"},
        {"[[[[[[[[", "config.json: JSON nested deeper than 6 levels at byte 6"},
        {"{\"format\": \"terra-2\"}", "config.json: format: \"terra-2\", wanted \"terra-1\""},
        {"{\"format\": \"terra-1\"}", "config.json: vocab_size: missing"},
        {SMALL("\"colour\": 1, "), "config.json: colour: unknown key"},
        {SMALL("\"d_ff\": 64, "), "config.json: d_ff: given twice"},
        {SMALL("\"two_swaps\": 1, "), "config.json: two_swaps: 1, wanted true or false"},
        {SMALL("\"ff_rank\": 1.5, "),
         "config.json: ff_rank: 1.5, wanted a whole number 0..16777215"},
        {SMALL("\"max_source\": -1, "),
         "config.json: max_source: -1, wanted a whole number 0..16777215"},
        {SMALL("\"max_source\": 1e9, "),
         "config.json: max_source: 1000000000, wanted a whole number 0..16777215"},
        {SMALL("\"max_target\": 65, "), "config.json: max_target: 65, there are 64 positions"},
        {SMALL("\"ff_block\": 7, \"ff_rank\": 2, "),
         "config.json: ff_block: 7 does not divide a d_ff of 64"},
        {SMALL("\"ff_block\": 65535, "), /* the last two units' numbers say something else */
         "config.json: ff_block: 65535, wanted a whole number 0..65534"},
        {SMALL("\"ff_experts\": 65535, "),
         "config.json: ff_experts: 65535, wanted a whole number 0..65534"},
        {SMALL("\"ff_block\": 8, "), "config.json: ff_rank: missing, it is needed by ff_block"},
        {SMALL("\"ff_rank\": 8, "), "config.json: ff_rank: has no meaning without ff_block"},
        {SMALL("\"loss_modules\": 3, "),
         "config.json: loss_modules: 3 does not divide the target vocabulary of 40"},
        {SMALL("\"ff_sru\": [9, 8], "),
         "config.json: ff_sru: a list, wanted [0..4 layers, a width]"},
        {SMALL("\"half_before_layer\": 4, "), "config.json: half_before_layer: 4 of 3 blocks"},
        {SMALL("\"double_after_layer\": 3, "),
         "config.json: double_after_layer: 3 of blocks 0..2"},
        {SMALL("\"double_after_layer\": 1, \"half_before_layer\": 3, "),
         "config.json: double_after_layer: 1 comes before half_before_layer 3"},
        {SMALL("\"double_after_layer\": 2, \"n_layers_forget\": 1, "),
         "config.json: n_layers_forget: 1 puts a forgetting layer before the streams are "
         "widened"},
        {SMALL("\"name\": \"\", "),
         "config.json: name: \"\", wanted a string of 1 to 63 bytes"},
        {SMALL("\"control\": {\"a\": 40}, "),
         "config.json: control.a: 40, the vocabulary has 40 ids"},
        {SMALL("\"control\": {\"a\": 1}, "),
         "config.json: control.a: 1, wanted a whole number 2..16777215"},
        {SMALL("\"control\": {\"a\": 3, \"a\": 4}, "), "config.json: control.a: given twice"},
        {SMALL("\"vocabulary\": {\"type\": \"bpe\"}, "),
         "config.json: vocabulary.file: missing, it is needed by bpe"},
        {SMALL("\"vocabulary\": {\"type\": \"bpe\", \"file\": \"../x\"}, "),
         "config.json: vocabulary.file: \"../x\", wanted a file name in the model's folder"},
        {SMALL("\"vocabulary\": {\"type\": \"bpe\", \"file\": \"x\", \"reserved\": 1}, "),
         "config.json: vocabulary.reserved: has no meaning with bpe"},
        {SMALL("\"vocabulary\": {\"type\": \"t2t\", \"file\": \"x\", \"sha256\": \"12\"}, "),
         "config.json: vocabulary.sha256: \"12\", wanted 64 lower-case hexadecimal digits"},
        {FORMAT REST POSITIONS "\"decoder_attention\": {\"type\": \"multconv\"}}",
         "config.json: decoder_attention.modules: missing, it is needed by type multconv, core "
         "standard"},
        {FORMAT REST POSITIONS "\"decoder_attention\": {\"type\": \"mult\", \"modules\": 5}}",
         "config.json: decoder_attention.modules: 5 does not divide a width of 32"},
        {FORMAT REST POSITIONS "\"decoder_attention\": [{\"type\": \"dense\"}, "
                               "{\"type\": \"dense\", \"chunk\": 4}]}",
         "config.json: decoder_attention[1].chunk: has no meaning with type dense, core "
         "standard"},
        {FORMAT REST POSITIONS
         "\"decoder_attention\": {\"type\": \"conv\", \"modules\": 4, \"module_kernel\": 2}}",
         "config.json: decoder_attention.module_kernel: 2 is not odd"},
        {FORMAT REST POSITIONS
         "\"decoder_attention\": {\"type\": \"conv\", \"modules\": 2, \"module_kernel\": 5}}",
         "config.json: decoder_attention.module_kernel: 5 looks past all 2 modules"},
        {FORMAT "\"vocab_size\": 40, \"d_model\": 32, \"d_ff\": 64, \"n_heads\": 65536, "
                "\"n_encoder_layers\": 0, \"n_decoder_layers\": 1, " POSITIONS
                "\"decoder_attention\": {\"type\": \"self\", \"d_key\": 65536, "
                "\"d_value\": 1}}",
         "config.json: decoder_attention: 65536 heads of 65536, wanted less than 2^24 in all"},
        {FORMAT REST POSITIONS
         "\"decoder_attention\": {\"type\": \"mult\", \"modules\": 4, \"core\": \"lsh\"}}",
         "config.json: decoder_attention.core: lsh does not go with type mult"},
        {FORMAT REST POSITIONS
         "\"decoder_attention\": {\"type\": \"dense\", \"core\": \"lsh\", \"chunk\": 0, "
         "\"hashes\": 1}}",
         "config.json: decoder_attention.chunk: 0, LSH needs chunks"},
        {FORMAT REST POSITIONS
         "\"decoder_attention\": {\"type\": \"dense\", \"core\": \"lsh\", \"chunk\": 4, "
         "\"hashes\": 1, \"buckets\": 3}}",
         "config.json: decoder_attention.buckets: 3, wanted even numbers with a product below "
         "2^24"},
        {FORMAT REST POSITIONS
         "\"decoder_attention\": {\"type\": \"multconv\", \"modules\": 1, "
         "\"v_concat\": \"original\"}}",
         "config.json: decoder_attention.modules: 1 is odd, v_concat original halves it"},
        {FORMAT REST MULTCONV ", \"positions\": {\"type\": \"spiral\"}}",
         "config.json: positions.type: \"spiral\", wanted one of none, table, factored, "
         "fixed-base, sin-cos, axial"},
        {FORMAT REST MULTCONV ", \"positions\": {\"type\": \"table\"}}",
         "config.json: positions.max: missing, it is needed by type table"},
        {FORMAT REST MULTCONV ", \"positions\": {\"type\": \"axial\", \"shape\": [4, 4], "
                              "\"widths\": [16, 8]}}",
         "config.json: positions.widths: 24 in all for 2 axes, wanted the embedding's 32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_file f;
        struct err e = {0};
        assert_false(parse(cases[i].json, &f, &e));
        assert_int_equal(e.kind, ERR_MODEL);
        assert_string_equal(e.msg, cases[i].message);
    }
}

static void test_heads_must_divide(void **state)
{
    (void)state;
    struct config_file f;
    struct err e = {0};
    assert_false(parse("{\"format\": \"terra-1\", \"vocab_size\": 40, \"d_model\": 30, "
                       "\"d_ff\": 64, \"n_heads\": 4, \"n_encoder_layers\": 0, "
                       "\"n_decoder_layers\": 1, " POSITIONS
                       "\"decoder_attention\": {\"type\": \"dense\"}}",
                       &f, &e));
    assert_string_equal(e.msg, "config.json: n_heads: 4 does not divide a width of 30");
}

static void test_a_bomb_is_refused_before_parsing(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_byte(&b, '[');
    for (int i = 0; i < 100000; i++)
        buf_add_str(&b, "0,");
    buf_add_str(&b, "0]");
    struct config_file f;
    struct err e = {0};
    assert_false(parse(buf_str(&b), &f, &e));
    assert_string_equal(e.msg, "config.json: JSON of more than 4096 values");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_changing_widths),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_heads_must_divide),
        cmocka_unit_test(test_a_bomb_is_refused_before_parsing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
