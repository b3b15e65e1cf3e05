/* test_tensor_file.c - safetensors headers, good ones and every kind of bad one.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "engine/base/sha256.h"
#include "engine/tensor_file.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_length(struct buf *b, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        buf_add_byte(b, (char)(n >> 8 * i));
}

/* A file of this header, which spaces fill up to a multiple of 8, and n_data bytes. */
static struct buf file_of(const char *header, size_t n_data)
{
    struct buf b = {0};
    size_t n = (strlen(header) + 7) & ~(size_t)7;
    add_length(&b, n);
    buf_add_str(&b, header);
    while (b.len < 8 + n)
        buf_add_byte(&b, ' ');
    for (size_t i = 0; i < n_data; i++)
        buf_add_byte(&b, (char)i);
    return b;
}

static bool parse(const struct buf *b, struct tensor_file *f, struct err *e)
{
    char *exact = malloc(b->len ? b->len : 1); /* the sanitizers see its end */
    assert_non_null(exact);
    if (b->len)
        memcpy(exact, b->data, b->len);
    bool ok = tensor_file_parse(exact, b->len, b->len, f, e);
    free(exact);
    return ok;
}

#define GOOD                                                                                   \
    "{\"__metadata__\": {\"format\": \"terra-1\"}, "                                           \
    "\"b\": {\"dtype\": \"I8\", \"shape\": [2, 3, 4], \"data_offsets\": [8, 32]}, "            \
    "\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}, "                  \
    "\"none\": {\"dtype\": \"BF16\", \"shape\": [0, 5], \"data_offsets\": [32, 32]}, "         \
    "\"one\": {\"data_offsets\": [32, 34], \"dtype\": \"BF16\", \"shape\": []}}"

static void test_good_file(void **state)
{
    (void)state;
    struct buf b = file_of(GOOD, 34);
    struct tensor_file f;
    struct err e = {0};
    uint8_t hash[32];
    if (!parse(&b, &f, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(f.n, 4);
    assert_int_equal(f.file_bytes, b.len);
    assert_int_equal(f.header_bytes, b.len - 34);
    sha256(b.data, b.len - 34, hash);
    assert_memory_equal(f.header_sha256, hash, 32);
    const struct tensor *a = tensor_file_find(&f, "a"), *t = tensor_file_find(&f, "b");
    assert_ptr_equal(a, &f.tensor[0]); /* in the order of their data */
    assert_ptr_equal(t, &f.tensor[1]);
    assert_int_equal(a->rank, 1);
    assert_int_equal(a->rows, 1);
    assert_int_equal(a->cols, 2);
    assert_int_equal(t->dtype, TERRA_I8);
    assert_int_equal(t->rows, 6);
    assert_int_equal(t->cols, 4);
    assert_int_equal(t->bytes, 24);
    assert_int_equal(t->offset, f.header_bytes + 8);
    const struct tensor *one = tensor_file_find(&f, "one");
    assert_int_equal(one->rank, 0);
    assert_int_equal(one->bytes, 2);
    assert_int_equal(tensor_file_find(&f, "none")->bytes, 0);
    assert_null(tensor_file_find(&f, "c"));
    assert_null(tensor_file_find(&f, ""));
    assert_null(tensor_file_find(&f, "__metadata__"));
    tensor_file_close(&f);
    tensor_file_close(&f);
    assert_null(tensor_file_find(&f, "a"));
    buf_free(&b);
}

#define ENTRY(name, dtype, shape, range)                                                       \
    "\"" name "\": {\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": " range  \
    "}"

static void test_bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header, *message;
        size_t n_data;
    } cases[] = {
        {"{" ENTRY("a", "F16", "[2]", "[0, 4]") "}",
         "tensor a: dtype \"F16\", wanted F32, BF16 or I8", 4},
        {"{\"a\": 5}", "tensor a: not an object", 0},
        {"{\"a\": {\"shape\": [], \"data_offsets\": [0, 4]}}", "tensor a: dtype is missing", 4},
        {"{\"a\": {\"dtype\": \"F32\", \"data_offsets\": [0, 4]}}",
         "tensor a: shape is missing", 4},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": []}}", "tensor a: data_offsets is missing",
         4},
        {"{\"a\": {\"dtype\": \"F32\", \"dtype\": \"F32\"}}",
         "tensor a: key dtype is given twice", 4},
        {"{\"a\": {\"strides\": []}}", "tensor a: key strides is unknown", 4},
        {"{" ENTRY("a", "F32", "7", "[0, 4]") "}", "tensor a: shape must be a list", 4},
        {"{" ENTRY("a", "F32", "[1.5]", "[0, 4]") "}", "tensor a: axis 0 is 1.5, not a size",
         4},
        {"{" ENTRY("a", "F32", "[-1]", "[0, 4]") "}", "tensor a: axis 0 is -1, not a size", 4},
        {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1]", "[0, 4]") "}", "tensor a: more than 6 axes",
         4},
        {"{" ENTRY("a", "F32", "[281474976710656, 281474976710656]", "[0, 4]") "}",
         "tensor a: its size overflows", 4},
        {"{" ENTRY("a", "F32", "[4294967296, 4294967296, 4294967296]", "[0, 0]") "}",
         "tensor a: its size overflows", 0},
        {"{" ENTRY("a", "F32", "[2, 3]", "[0, 8]") "}",
         "tensor a: F32 (2, 3) takes 24 bytes, data_offsets are 0..8", 8},
        {"{" ENTRY("a", "F32", "[1]", "[8, 4]") "}",
         "tensor a: F32 (1) takes 4 bytes, data_offsets are 8..4", 8},
        {"{" ENTRY("a", "F32", "[1]", "[0, 4, 8]") "}",
         "tensor a: data_offsets must be two sizes", 8},
        {"{" ENTRY("a", "F32", "[1]", "[0, 1e300]") "}",
         "tensor a: data_offsets must be two sizes", 8},
        {"{" ENTRY("a", "F32", "[1]", "[2, 6]") "}", "tensor a: byte 74 is not aligned for F32",
         6},
        {"{" ENTRY("a", "I8", "[5]", "[0, 5]") ", " ENTRY("b", "I8", "[2]", "[4, 6]") "}",
         "tensors a and b overlap: one ends at 133, the other begins at 132", 6},
        {"{" ENTRY("a", "I8", "[5]", "[0, 5]") ", " ENTRY("a", "I8", "[1]", "[5, 6]") "}",
         "tensor a: given twice", 6},
        {"{" ENTRY("a", "I8", "[5]", "[0, 5]") "}",
         "truncated: tensor a wants 77 bytes of file, found 76", 4},
        {"{" ENTRY("a", "I8", "[5]", "[0, 5]") "}",
         "the last tensor ends at byte 77, the file at 78", 6},
        {"{" ENTRY("", "I8", "[5]", "[0, 5]") "}",
         "a tensor's name has 0 bytes, wanted 1 to 200", 5},
        {"{" ENTRY("a\\u001b[31m", "F64", "[5]", "[0, 5]") "}",
         "tensor a?[31m: dtype \"F64\", wanted F32, BF16 or I8", 5},
        {"{\"a\": [[[[[]]]]]}",
         "the header is damaged: JSON nested deeper than 4 levels at byte 9", 0},
        {"{\"a\": }", "the header is damaged: not valid JSON at byte 6 of 8", 0},
        {"{} {}", "the header is damaged: something follows the JSON value at byte 3 of 8", 0},
        {"[]      ", "not safetensors: the header does not begin with '{'", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = file_of(cases[i].header, cases[i].n_data);
        struct tensor_file f;
        struct err e = {0};
        assert_false(parse(&b, &f, &e));
        assert_int_equal(e.kind, ERR_MODEL);
        assert_string_equal(e.msg, cases[i].message);
        assert_int_equal(f.n, 0);
        buf_free(&b);
    }
}

static void test_header_lengths(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        const char *message;
    } cases[] = {
        {0, "not safetensors: it claims a header of 0 bytes"},
        {100000001, "not safetensors: it claims a header of 100000001 bytes"},
        {UINT64_MAX, "not safetensors: it claims a header of 18446744073709551615 bytes"},
        {100000000, "truncated: the header wants 100000008 bytes, found 10"},
        {3, "truncated: the header wants 11 bytes, found 10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        struct tensor_file f;
        struct err e = {0};
        add_length(&b, cases[i].length);
        buf_add_str(&b, "{}");
        assert_false(parse(&b, &f, &e));
        assert_string_equal(e.msg, cases[i].message);
        buf_free(&b);
    }
}

/* Every prefix and every flipped bit of a good file is refused or harmless. */
static void test_truncated_and_flipped(void **state)
{
    (void)state;
    struct buf b = file_of(GOOD, 34);
    struct tensor_file f;
    struct err e;
    for (size_t n = 0; n < b.len; n++) {
        struct buf cut = {b.data, n, 0};
        e = (struct err){0};
        assert_false(parse(&cut, &f, &e));
        assert_int_equal(e.kind, ERR_MODEL);
        assert_true(e.msg[0]);
    }
    for (size_t bit = 0; bit < (b.len - 34) * 8; bit++) {
        b.data[bit / 8] = (char)(b.data[bit / 8] ^ 1 << bit % 8);
        if (parse(&b, &f, &e))
            for (size_t i = 0; i < f.n; i++)
                assert_true(f.tensor[i].offset + f.tensor[i].bytes <= b.len);
        tensor_file_close(&f);
        b.data[bit / 8] = (char)(b.data[bit / 8] ^ 1 << bit % 8);
    }
    buf_free(&b);
}

static void test_what_it_looks_like(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *message;
    } cases[] = {
        {"<!DOCTYPE html>\n<html>", "not safetensors: looks like an HTML page"},
        {"\n\n <HTML lang=en>", "not safetensors: looks like an HTML page"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
         "not safetensors: looks like a git-lfs pointer; fetch it with `git lfs pull`"},
        {"\x1f\x8b\x08 gzip", "not safetensors: looks like a gzip file"},
        {"PK\x03\x04 zip",
         "not safetensors: looks like a zip archive, perhaps a PyTorch checkpoint"},
        {"\x80\x02}q pickle", "not safetensors: looks like a Python pickle"},
        {"GGUF\x03 ggml", "not safetensors: looks like a GGUF model"},
        {"short", "truncated: 5 bytes, too short for a header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        struct tensor_file f;
        struct err e = {0};
        buf_add_str(&b, cases[i].bytes);
        assert_false(parse(&b, &f, &e));
        assert_string_equal(e.msg, cases[i].message);
        buf_free(&b);
    }
}

/* ---- from a path -------------------------------------------------------------------- */

static void expect_open(const char *path, const char *before, const char *after)
{
    struct tensor_file f;
    struct err e = {0};
    char wanted[256];
    assert_false(tensor_file_open(path, &f, &e));
    assert_int_equal(e.kind, ERR_MODEL);
    snprintf(wanted, sizeof wanted, "%s%s%s", before, path, after);
    assert_string_equal(e.msg, wanted);
}

static void write_file(const char *path, const struct buf *b)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(buf_str(b), 1, b->len, out), b->len);
    assert_int_equal(fclose(out), 0);
}

static void test_open(void **state)
{
    (void)state;
    char dir[] = "/tmp/terra-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/m", dir);
    expect_open(path, "no such file: ", "");
    expect_open(dir, "", ": a directory, wanted a file");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_open(path, "", ": not a regular file");
    unlink(path);

    struct buf b = {0};
    write_file(path, &b);
    expect_open(path, "", ": empty file");
    b = file_of(GOOD, 33);
    write_file(path, &b);
    struct tensor_file f;
    struct err e = {0};
    assert_false(tensor_file_open(path, &f, &e));
    assert_non_null(strstr(e.msg, "/m: truncated: tensor one wants "));
    buf_free(&b);
    b = file_of(GOOD, 34);
    write_file(path, &b);
    if (!tensor_file_open(path, &f, &e))
        fail_msg("%s", e.msg);
    const struct tensor *t = tensor_file_find(&f, "b");
    for (int i = 0; i < 24; i++)
        assert_int_equal(((const int8_t *)t->data)[i], 8 + i);
    tensor_file_close(&f);
    buf_free(&b);
    unlink(path);
    rmdir(dir);
}

static void test_shapes_in_messages(void **state)
{
    (void)state;
    char out[96];
    const uint64_t big[6] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 1};
    assert_string_equal(tensor_show_shape(big, 0, out), "()");
    assert_string_equal(tensor_show_shape((const uint64_t[]){4, 8}, 2, out), "(4, 8)");
    assert_true(strlen(tensor_show_shape(big, 6, out)) < sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_file),          cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_header_lengths),     cmocka_unit_test(test_truncated_and_flipped),
        cmocka_unit_test(test_what_it_looks_like), cmocka_unit_test(test_open),
        cmocka_unit_test(test_shapes_in_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
