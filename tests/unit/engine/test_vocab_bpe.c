/* test_vocab_bpe.c - byte-level BPE, against ids of the tokenizers package.
 *
 * tests/fixtures/bpe/README.md says where they come from.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "engine/base/utf8.h"
#include "engine/file.h"
#include "engine/json_read.h"
#include "engine/vocab.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURE "tests/fixtures/bpe/"

static const struct vocab_config bpe = {.type = VOCAB_BPE};

static struct file_map map_of(const char *path)
{
    struct file_map map;
    struct err e = {0};
    if (!file_map(path, &map, &e))
        fail_msg("%s", e.msg);
    return map;
}

static struct terra_vocab *open_fixture(void)
{
    struct file_map map = map_of(FIXTURE "tokenizer.json");
    struct err e = {0};
    struct terra_vocab *v = vocab_parse(&bpe, map.data, map.n, &e);
    if (!v)
        fail_msg("%s", e.msg);
    file_unmap(&map);
    return v;
}

static struct buf from_hex(const char *hex)
{
    struct buf b = {0};
    for (; hex[0] && hex[1]; hex += 2) {
        char pair[3] = {hex[0], hex[1], '\0'};
        buf_add_byte(&b, (char)strtoul(pair, NULL, 16));
    }
    return b;
}

/* The decoding, piece by piece; a piece of valid text must be whole characters. */
static void check_round_trip(struct terra_detok *d, const struct terra_ids *ids,
                             const struct buf *text)
{
    struct buf back = {0};
    bool valid = utf8_count_bad(buf_str(text), text->len) == 0;
    size_t n;
    terra_detok_reset(d);
    for (size_t i = 0; i < ids->n; i++) {
        const char *piece = terra_detok_add(d, ids->id[i], &n);
        if (valid)
            assert_int_equal(utf8_count_bad(piece, n), 0);
        buf_add(&back, piece, n);
    }
    const char *rest = terra_detok_flush(d, &n);
    if (valid)
        assert_int_equal(n, 0);
    buf_add(&back, rest, n);
    assert_int_equal(back.len, text->len);
    assert_memory_equal(buf_str(&back), buf_str(text), text->len);
    buf_free(&back);
}

static void test_ids_and_round_trips(void **state)
{
    (void)state;
    struct terra_vocab *v = open_fixture();
    struct terra_detok *d = terra_detok_open(v);
    struct file_map map = map_of(FIXTURE "cases.json");
    cJSON *cases = json_read(map.data, map.n, 4, 1 << 16, NULL);
    int n = 0;
    assert_int_equal(vocab_size(v), 800);
    assert_non_null(cases);
    for (const cJSON *c = cases->child; c; c = c->next, n++) {
        const char *hex = cJSON_GetObjectItem(c, "hex")->valuestring;
        struct buf text = from_hex(hex);
        struct terra_ids ids = {0};
        assert_true(terra_encode(v, buf_str(&text), text.len, &ids, NULL));
        size_t i = 0;
        const cJSON *wanted = cJSON_GetObjectItem(c, "ids")->child;
        for (; wanted; wanted = wanted->next, i++)
            if (i >= ids.n || ids.id[i] != wanted->valueint)
                fail_msg("%s: id %zu of %zu is %d, wanted %d", hex, i, ids.n,
                         i < ids.n ? ids.id[i] : -1, wanted->valueint);
        assert_int_equal(ids.n, i);
        check_round_trip(d, &ids, &text);
        terra_ids_free(&ids);
        buf_free(&text);
    }
    assert_int_equal(n, 98);
    cJSON_Delete(cases);
    file_unmap(&map);
    terra_detok_close(d);
    vocab_close(v);
}

static void test_every_pair_of_bytes_round_trips(void **state)
{
    (void)state;
    struct terra_vocab *v = open_fixture();
    struct terra_detok *d = terra_detok_open(v);
    struct buf text = {0};
    struct terra_ids ids = {0};
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            buf_add_byte(&text, (char)a);
            buf_add_byte(&text, (char)b);
        }
    assert_true(terra_encode(v, text.data, text.len, &ids, NULL));
    check_round_trip(d, &ids, &text);
    terra_ids_free(&ids);
    buf_free(&text);
    terra_detok_close(d);
    vocab_close(v);
}

static void test_a_character_waits_for_its_last_byte(void **state)
{
    (void)state;
    struct terra_vocab *v = open_fixture();
    struct terra_detok *d = terra_detok_open(v);
    struct terra_ids ids = {0};
    const char *text = "\xF4\x8F\xBF\xBF"; /* no merge knows U+10FFFF */
    size_t n;
    assert_true(terra_encode(v, text, 4, &ids, NULL));
    assert_true(ids.n > 1);
    for (size_t i = 0; i + 1 < ids.n; i++) {
        terra_detok_add(d, ids.id[i], &n);
        assert_int_equal(n, 0);
    }
    terra_detok_add(d, TERRA_PAD, &n); /* control words are silent */
    assert_int_equal(n, 0);
    assert_memory_equal(terra_detok_add(d, ids.id[ids.n - 1], &n), text, 4);
    assert_int_equal(n, 4);
    /* A character that never ends comes out at the end, as it is. */
    terra_detok_reset(d);
    terra_detok_add(d, ids.id[0], &n);
    assert_int_equal(n, 0);
    assert_memory_equal(terra_detok_flush(d, &n), text, n);
    assert_int_equal(n, 1);
    terra_detok_flush(d, &n);
    assert_int_equal(n, 0);
    terra_ids_free(&ids);
    terra_detok_close(d);
    vocab_close(v);
}

static void test_control_words_are_never_written_by_text(void **state)
{
    (void)state;
    struct terra_vocab *v = open_fixture();
    struct terra_ids ids = {0};
    const char *text = "<pad></s><title> <tldr>";
    size_t n;
    assert_true(terra_encode(v, text, strlen(text), &ids, NULL));
    for (size_t i = 0; i < ids.n; i++)
        assert_true(ids.id[i] >= 4);
    terra_token_bytes(v, 2, &n);
    assert_int_equal(n, 0);
    terra_token_bytes(v, 800, &n);
    assert_int_equal(n, 0);
    terra_token_bytes(v, -1, &n);
    assert_int_equal(n, 0);
    terra_ids_free(&ids);
    vocab_close(v);
}

/* A megabyte without white space is one word: merging must not be quadratic. */
static void test_a_long_word(void **state)
{
    (void)state;
    struct terra_vocab *v = open_fixture();
    struct terra_detok *d = terra_detok_open(v);
    struct terra_ids ids = {0};
    struct buf text = {0};
    for (int i = 0; i < 1 << 20; i++)
        buf_add_byte(&text, "etaoin"[(i * 7 + i / 3) % 6]);
    assert_true(terra_encode(v, text.data, text.len, &ids, NULL));
    assert_true(ids.n < text.len);
    check_round_trip(d, &ids, &text);
    terra_ids_free(&ids);
    buf_free(&text);
    terra_detok_close(d);
    vocab_close(v);
}

/* ---- files made here -------------------------------------------------------------- */

struct sketch {
    const char *top, *cutter, *model; /* more keys, each ending in a comma */
    const char *added, *tokens, *merges;
};

#define CUTTER  "\"type\": \"ByteLevel\", \"add_prefix_space\": false"
#define SPECIAL ", \"special\": true}"
#define TWO                                                                                    \
    "{\"id\": 0, \"content\": \"<p>\"" SPECIAL ", {\"id\": 1, \"content\": \"</s>\"" SPECIAL

/* Ids 0 and 1 are special, bytes follow from 2, then `tokens`, "ab": 258 and so on. */
static struct buf write_sketch(const struct sketch *s)
{
    struct buf b = {0};
    buf_printf(&b,
               "{%s \"added_tokens\": [%s], \"pre_tokenizer\": {%s}, \"model\": {%s "
               "\"type\": \"BPE\", \"vocab\": {",
               s->top ? s->top : "", s->added ? s->added : TWO, s->cutter ? s->cutter : CUTTER,
               s->model ? s->model : "");
    uint32_t moved = 0x100;
    for (uint32_t i = 0; i < 256; i++) {
        bool own = (i > 32 && i < 127) || (i > 160 && i != 173);
        char utf8[4];
        size_t n = utf8_encode(own ? i : moved++, utf8);
        buf_printf(&b, "%s\"%s%.*s\": %u", i ? ", " : "", i == '"' || i == '\\' ? "\\" : "",
                   (int)n, utf8, i + 2);
    }
    buf_printf(&b, "%s}, \"merges\": %s}}", s->tokens ? s->tokens : "",
               s->merges ? s->merges : "[]");
    return b;
}

static struct terra_vocab *parse_sketch(const struct sketch *s, struct err *e)
{
    struct buf b = write_sketch(s);
    struct terra_vocab *v = vocab_parse(&bpe, b.data, b.len, e);
    buf_free(&b);
    return v;
}

static void check_sketch(const struct sketch *s, const char *text, const int32_t *wanted,
                         size_t n)
{
    struct err e = {0};
    struct terra_ids ids = {0};
    struct terra_vocab *v = parse_sketch(s, &e);
    if (!v)
        fail_msg("%s", e.msg);
    assert_true(terra_encode(v, text, strlen(text), &ids, NULL));
    assert_int_equal(ids.n, n);
    assert_memory_equal(ids.id, wanted, n * sizeof *wanted);
    terra_ids_free(&ids);
    vocab_close(v);
}

static void test_merges_as_strings_and_pairs(void **state)
{
    (void)state;
    const char *tokens = ", \"ab\": 258, \"bc\": 259, \"abc\": 260, \"\\u0120a\": 261";
    const char *as_strings = "[\"b c\", \"a b\", \"a bc\", \"\\u0120 a\"]";
    const char *as_pairs =
        "[[\"b\",\"c\"], [\"a\",\"b\"], [\"a\",\"bc\"], [\"\\u0120\",\"a\"]]";
    /* b c was learned first, so abc is a + bc; a b before the space and a */
    const int32_t wanted[] = {260, ' ' + 2, 258, 'b' + 2};
    check_sketch(&(struct sketch){.tokens = tokens, .merges = as_strings}, "abc abb", wanted,
                 4);
    check_sketch(&(struct sketch){.tokens = tokens, .merges = as_pairs}, "abc abb", wanted, 4);
}

static void test_without_the_word_rule(void **state)
{
    (void)state;
    struct sketch s = {.cutter = CUTTER ", \"use_regex\": false",
                       .tokens = ", \"a\\u0120\": 258",
                       .merges = "[\"a \\u0120\"]"};
    const int32_t joined[] = {258, 'b' + 2}, cut[] = {'a' + 2, ' ' + 2, 'b' + 2};
    check_sketch(&s, "a b", joined, 2);
    s.cutter = NULL;
    check_sketch(&s, "a b", cut, 3);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        struct sketch s;
        const char *message;
    } cases[] = {
        {{.top = "\"normalizer\": {\"type\": \"NFC\"},"},
         "normalizer: \"NFC\" is not supported, wanted null"},
        {{.top = "\"truncation\": {\"max_length\": 9},"},
         "truncation: an object is not supported, wanted null"},
        {{.top = "\"post_processor\": {\"type\": \"TemplateProcessing\"},"},
         "post_processor: \"TemplateProcessing\" is not supported, wanted ByteLevel"},
        {{.top = "\"decoder\": {\"type\": \"WordPiece\"},"},
         "decoder: \"WordPiece\" is not supported, wanted ByteLevel"},
        {{.cutter = "\"type\": \"Whitespace\""},
         "pre_tokenizer: \"Whitespace\" is not supported, wanted ByteLevel"},
        {{.cutter = "\"type\": \"ByteLevel\", \"add_prefix_space\": true"},
         "pre_tokenizer.add_prefix_space: true is not supported, wanted false"},
        {{.model = "\"type\": \"WordPiece\","},
         "model.type: \"WordPiece\" is not supported, wanted BPE"},
        {{.model = "\"dropout\": 0.1,"}, "model.dropout: 0.1 is not supported, wanted none"},
        {{.model = "\"end_of_word_suffix\": \"</w>\","},
         "model.end_of_word_suffix: \"</w>\" is not supported, wanted none"},
        {{.added = TWO ", {\"id\": 258, \"content\": \"x y\", \"special\": false}"},
         "added token x y: not special; not supported"},
        {{.added = TWO ", {\"id\": 2, \"content\": \"x\"" SPECIAL},
         "tokens \xC4\x80 and x have the same id 2"},
        {{.added = "{\"id\": 0, \"content\": \"<p>\"" SPECIAL, .tokens = ", \"ab\": 1"},
         "ids 0 and 1 must be added tokens: padding and the end"},
        {{.tokens = ", \"ab\": 258.5"}, "token ab: id 258.5, wanted 0..258"},
        {{.tokens = ", \"ab\": 300"}, "token ab: id 300, wanted 0..258"},
        {{.added = TWO ", {\"id\": 0, \"content\": \"<p>\"" SPECIAL},
         "tokens <p> and <p> have the same id 0"},
        {{.tokens = ", \"a b\": 258"}, "token 258, a b: a character that is no byte"},
        {{.tokens = ", \"a\": 258"}, "tokens 99 and 258 are both a"},
        {{.merges = "[\"a b\"]"}, "merge 0: a + b has a part that is not in the vocabulary"},
        {{.merges = "[\"ab\"]"}, "merge 0: not a pair of tokens"},
        {{.merges = "[7]"}, "merge 0: not a pair of tokens"},
        {{.merges = "null"}, "model.merges: missing, or not a list"},
        {{.tokens = ", \"ab\": 258", .merges = "[\"a b\", [\"a\", \"b\"]]"},
         "merges 0 and 1 are the same"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        assert_null(parse_sketch(&cases[i].s, &e));
        assert_int_equal(e.kind, ERR_MODEL);
        assert_string_equal(e.msg, cases[i].message);
    }
    struct err e = {0};
    assert_null(vocab_parse(&bpe, "{}", 2, &e));
    assert_string_equal(e.msg, "pre_tokenizer: nothing is not supported, wanted ByteLevel");
    assert_null(vocab_parse(&bpe, "version https://git-lfs.github.com/spec/v1\n", 43, &e));
    assert_string_equal(e.msg, "not a vocabulary: looks like a git-lfs pointer; fetch it with "
                               "`git lfs pull`");
}

static void test_a_missing_byte_is_named(void **state)
{
    (void)state;
    struct err e = {0};
    struct sketch s = {0};
    struct buf b = write_sketch(&s);
    char *z = strstr(b.data, "\"z\"");
    assert_non_null(z);
    memcpy(z, "\"zz\"", 3); /* {"zz": ...}: the quote moves onto the colon's place */
    z[3] = '"';
    z[4] = ':';
    assert_null(vocab_parse(&bpe, b.data, b.len, &e));
    assert_string_equal(e.msg, "there is no token for the byte 0x7A");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_and_round_trips),
        cmocka_unit_test(test_every_pair_of_bytes_round_trips),
        cmocka_unit_test(test_a_character_waits_for_its_last_byte),
        cmocka_unit_test(test_control_words_are_never_written_by_text),
        cmocka_unit_test(test_a_long_word),
        cmocka_unit_test(test_merges_as_strings_and_pairs),
        cmocka_unit_test(test_without_the_word_rule),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_missing_byte_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
