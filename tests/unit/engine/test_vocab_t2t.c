/* test_vocab_t2t.c - subword vocabularies, against the authors' encoder.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
#include "engine/file.h"
#include "engine/json_read.h"
#include "engine/vocab.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define GOLDEN "tests/golden/vocab/"

static struct terra_vocab *open_golden(uint32_t reserved)
{
    struct file_map map;
    struct err e = {0};
    struct vocab_config c = {.type = VOCAB_T2T, .reserved = reserved};
    if (!file_map(GOLDEN "en_1k.subword", &map, &e))
        fail_msg("%s", e.msg);
    struct terra_vocab *v = vocab_parse(&c, map.data, map.n, &e);
    if (!v)
        fail_msg("%s", e.msg);
    file_unmap(&map);
    assert_int_equal(vocab_size(v), 1034 + reserved);
    return v;
}

/* cJSON's strings end at a NUL, so the file's two are read as U+E000 and put back. */
#define STAND_IN "\xEE\x80\x80"

static cJSON *read_cases(void)
{
    struct file_map map;
    struct err e = {0};
    struct buf b = {0};
    if (!file_map(GOLDEN "cases.json", &map, &e))
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < map.n; i++)
        if (map.n - i >= 6 && memcmp(map.data + i, "\\u0000", 6) == 0) {
            buf_add_str(&b, STAND_IN);
            i += 5;
        } else {
            buf_add_byte(&b, map.data[i]);
            if (map.data[i] == '\\' && i + 1 < map.n)
                buf_add_byte(&b, map.data[++i]);
        }
    cJSON *root = json_read(b.data, b.len, 8, 1 << 20, &e);
    if (!root)
        fail_msg("%s", e.msg);
    buf_free(&b);
    file_unmap(&map);
    return root;
}

static struct buf text_of(const cJSON *string)
{
    struct buf b = {0};
    for (const char *s = string->valuestring; *s;)
        if (strncmp(s, STAND_IN, 3) == 0) {
            buf_add_byte(&b, '\0');
            s += 3;
        } else {
            buf_add_byte(&b, *s++);
        }
    return b;
}

static void check_ids(const struct terra_vocab *v, const cJSON *string, const cJSON *wanted)
{
    struct buf text = text_of(string);
    struct terra_ids ids = {0};
    struct err e = {0};
    if (!terra_encode(v, buf_str(&text), text.len, &ids, &e))
        fail_msg("%s: %s", buf_str(&text), e.msg);
    size_t i = 0;
    for (const cJSON *id = wanted->child; id; id = id->next, i++)
        if (i >= ids.n || ids.id[i] != id->valueint)
            fail_msg("\"%s\": id %zu of %zu is %d, wanted %d", buf_str(&text), i, ids.n,
                     i < ids.n ? ids.id[i] : -1, id->valueint);
    assert_int_equal(ids.n, i);
    terra_ids_free(&ids);
    buf_free(&text);
}

/* Decodes id by id; every piece must be whole characters. */
static void check_text(struct terra_detok *d, const cJSON *ids, const cJSON *string)
{
    struct buf text = {0}, wanted = text_of(string);
    size_t n;
    terra_detok_reset(d);
    for (const cJSON *id = ids->child; id; id = id->next) {
        const char *piece = terra_detok_add(d, id->valueint, &n);
        assert_int_equal(utf8_count_bad(piece, n), 0);
        buf_add(&text, piece, n);
    }
    const char *rest = terra_detok_flush(d, &n);
    buf_add(&text, rest, n);
    assert_string_equal(buf_str(&text), buf_str(&wanted));
    assert_int_equal(text.len, wanted.len);
    buf_free(&text);
    buf_free(&wanted);
}

static void test_golden_cases(void **state)
{
    (void)state;
    struct terra_vocab *plain = open_golden(0), *released = open_golden(100);
    struct terra_detok *d0 = terra_detok_open(plain), *d100 = terra_detok_open(released);
    cJSON *root = read_cases();
    int n = 0, n_decode = 0;
    const cJSON *cases = cJSON_GetObjectItem(root, "cases");
    for (const cJSON *c = cases->child; c; c = c->next, n++) {
        const cJSON *text = cJSON_GetObjectItem(c, "text");
        const cJSON *decoded = cJSON_GetObjectItem(c, "decoded");
        const cJSON *ids = cJSON_GetObjectItem(c, "ids");
        const cJSON *plus = cJSON_GetObjectItem(c, "ids_plus_100");
        check_ids(plain, text, ids);
        check_ids(released, text, plus);
        check_text(d0, ids, decoded);
        check_text(d100, plus, decoded);
    }
    const cJSON *only = cJSON_GetObjectItem(root, "decode_only");
    for (const cJSON *c = only->child; c; c = c->next, n_decode++)
        check_text(d100, cJSON_GetObjectItem(c, "ids_plus_100"),
                   cJSON_GetObjectItem(c, "decoded"));
    assert_int_equal(n, 221);
    assert_int_equal(n_decode, 40);
    cJSON_Delete(root);
    terra_detok_close(d0);
    terra_detok_close(d100);
    vocab_close(plain);
    vocab_close(released);
}

static struct terra_vocab *parse(const char *text, uint32_t reserved, struct err *e)
{
    struct vocab_config c = {.type = VOCAB_T2T, .reserved = reserved};
    return vocab_parse(&c, text, strlen(text), e);
}

static void expect_bytes(const struct terra_vocab *v, int32_t id, const char *wanted)
{
    size_t n;
    const char *s = terra_token_bytes(v, id, &n);
    assert_int_equal(n, strlen(wanted));
    assert_memory_equal(s, wanted, n);
}

static void test_lines(void **state)
{
    (void)state;
    /* quotes come off in pairs, white space only behind, the last of equal lines counts */
    struct terra_vocab *v = parse("'a_'  \n\"b\"\n'\n c'\nd_\r\n'a_'\n''\ne", 2, NULL);
    assert_non_null(v);
    assert_int_equal(vocab_size(v), 10);
    const char *const wanted[] = {"", "", "a_", "b", "", " c'", "d_", "a_", "", "e", ""};
    for (int32_t id = -1; id < 10; id++)
        expect_bytes(v, id, id < 0 ? "" : wanted[id]);
    struct terra_ids ids = {0};
    assert_true(terra_encode(v, "a", 1, &ids, NULL));
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.id[0], 7);
    terra_ids_free(&ids);
    vocab_close(v);
}

static void test_a_missing_character_is_named(void **state)
{
    (void)state;
    struct err e = {0};
    struct terra_ids ids = {0};
    struct terra_vocab *v = parse("a\n_\n", 0, NULL); /* digits are missing */
    assert_false(terra_encode(v, "ab", 2, &ids, &e));
    assert_int_equal(e.kind, ERR_MODEL);
    assert_string_equal(e.msg, "the vocabulary has no subtoken for U+005C");
    terra_ids_free(&ids);
    vocab_close(v);
}

static void test_bad_files(void **state)
{
    (void)state;
    struct err e = {0};
    assert_null(parse("'a_'\n'\xff'\n", 0, &e));
    assert_string_equal(e.msg, "line 2 is not UTF-8");
    assert_null(parse("", 0, &e));
    assert_string_equal(e.msg, "0 lines and 0 reserved ids, wanted 1 to 16777215 in all");
    assert_null(parse("<html>\n", 0, &e));
    assert_string_equal(e.msg, "not a vocabulary: looks like an HTML page");
}

/* Malformed bytes and NUL become escapes like any character outside the alphabet. */
static void test_any_bytes_encode(void **state)
{
    (void)state;
    struct terra_vocab *v = open_golden(0);
    struct terra_detok *d = terra_detok_open(v);
    struct terra_ids ids = {0};
    struct buf text = {0};
    size_t n;
    assert_true(terra_encode(v, "a\xff\0z", 4, &ids, NULL));
    for (size_t i = 0; i < ids.n; i++) {
        const char *piece = terra_detok_add(d, ids.id[i], &n);
        buf_add(&text, piece, n);
    }
    assert_int_equal(text.len, 6);
    assert_memory_equal(text.data, "a\xEF\xBF\xBD\0z", 6);
    buf_free(&text);
    terra_ids_free(&ids);
    terra_detok_close(d);
    vocab_close(v);
}

static void test_impossible_code_points(void **state)
{
    (void)state;
    /* the last is too large for 32 bits, and small again in what they keep of it */
    struct terra_vocab *v =
        parse("\\1114110;_\n\\1114112;_\n\\9731;_\n\\4294967361;_\n", 0, NULL);
    struct terra_detok *d = terra_detok_open(v);
    struct buf text = {0};
    for (int32_t id = 0; id < 4; id++) {
        size_t n;
        const char *piece = terra_detok_add(d, id, &n);
        buf_add(&text, piece, n);
    }
    assert_string_equal(buf_str(&text), "\xF4\x8F\xBF\xBE\xE3\x80\x93\xE2\x98\x83\xE3\x80\x93");
    buf_free(&text);
    terra_detok_close(d);
    vocab_close(v);
}

static void test_open_checks_hash_and_size(void **state)
{
    (void)state;
    struct config_file c = {.config.vocab = 1134,
                            .vocab = {.type = VOCAB_T2T, .reserved = 100, .has_sha256 = true}};
    struct file_map map;
    struct err e = {0};
    snprintf(c.vocab.file, sizeof c.vocab.file, "en_1k.subword");
    assert_true(file_map(GOLDEN "en_1k.subword", &map, NULL));
    sha256(map.data, map.n, c.vocab.sha256);
    file_unmap(&map);
    struct terra_vocab *v = vocab_open(GOLDEN, &c, &e);
    assert_non_null(v);
    vocab_close(v);

    c.config.vocab = 1133;
    assert_null(vocab_open(GOLDEN, &c, &e));
    assert_string_equal(e.msg, GOLDEN
                        "/en_1k.subword: 1134 ids, config.json has a vocab_size of 1133");
    c.config.vocab = 1134;
    memset(c.vocab.sha256, 0, 32);
    assert_null(vocab_open(GOLDEN, &c, &e));
    assert_non_null(strstr(e.msg, "..., config.json wants 0000000000000000..."));
    snprintf(c.vocab.file, sizeof c.vocab.file, "none");
    assert_null(vocab_open(GOLDEN, &c, &e));
    assert_string_equal(e.msg, "no such file: " GOLDEN "/none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_cases),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_missing_character_is_named),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_any_bytes_encode),
        cmocka_unit_test(test_impossible_code_points),
        cmocka_unit_test(test_open_checks_hash_and_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
