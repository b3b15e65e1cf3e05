/* Readers of .npy arrays, expected results and pairs.
 * SPDX-License-Identifier: MIT */
#include "data/golden.h"
#include "data/pairs.h"
#include "tests/unit/data/store_fixture.h"

#include <math.h>

/* ---- .npy ------------------------------------------------------------------------- */

/* A version 1 or 2 file with this header text and n bytes of data. */
static bool parse(const char *header, int version, const void *data, size_t n, struct npy *out,
                  struct err *e)
{
    struct buf b = {0};
    size_t len = strlen(header);
    buf_add(&b, "\x93NUMPY", 6);
    buf_add_byte(&b, (char)version);
    buf_add_byte(&b, 0);
    for (int i = 0; i < (version == 1 ? 2 : 4); i++)
        buf_add_byte(&b, (char)(len >> 8 * i));
    buf_add(&b, header, len);
    buf_add(&b, data, n);
    bool ok = npy_parse(b.data, b.len, "a.npy", out, e);
    for (size_t cut = 0; ok && cut < b.len; cut++) { /* no prefix is an array */
        struct npy part;
        char *exact = malloc(cut ? cut : 1);
        memcpy(exact, b.data, cut);
        assert_false(npy_parse(exact, cut, "a.npy", &part, NULL));
        free(exact);
    }
    buf_free(&b);
    return ok;
}

static void npy_types(void **state)
{
    (void)state;
    struct npy a;
    struct err e = {0};
    const float f[] = {1.5f, -2, 3, 4, 5, 6};
    const int64_t l[] = {-7, 8};
    const int32_t i[] = {-1};
    must(parse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 1, f, sizeof f,
               &a, &e));
    assert_int_equal(a.type, NPY_F32);
    assert_int_equal(a.n_axes, 2);
    assert_int_equal(a.shape[1], 3);
    assert_true(a.f32[1] == -2);
    npy_free(&a);
    must(parse("{'shape': (2,), 'descr': '<i8', 'fortran_order': False}", 2, l, sizeof l, &a,
               &e));
    assert_int_equal(a.n, 2);
    assert_true(a.i64[0] == -7);
    npy_free(&a);
    must(
        parse("{'shape': (), 'descr': '<i4', 'fortran_order': False}", 1, i, sizeof i, &a, &e));
    assert_int_equal(a.n_axes, 0);
    assert_int_equal(a.n, 1);
    npy_free(&a);
    must(parse("{'shape': (0, 5), 'descr': '<i4', 'fortran_order': False}", 1, "", 0, &a, &e));
    assert_int_equal(a.n, 0);
    npy_free(&a);
}

static void npy_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '>i4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<i4', 'fortran_order': True, 'shape': (1,)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (4611686018427387905, 4)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': 1}",
        "{'descr': '<i4', 'fortran_order': False}",
        "",
    };
    struct npy a;
    struct err e = {0};
    int32_t one = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(parse(bad[i], 1, &one, 4, &a, &e));
        assert_int_equal(e.kind, ERR_INPUT);
        assert_non_null(strstr(e.msg, "a.npy"));
    }
    assert_false(
        parse("{'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", 3, &one, 4, &a, &e));
    assert_false(npy_read("/nonexistent.npy", &a, &e));
}

/* ---- expected results ------------------------------------------------------------- */

static void golden_folders(void **state)
{
    (void)state;
    static const char *const folder[] = {
        "bfloat16", "c4_medium_tiny", "concat_multconv", "dense_twin", "factored_positions",
        "lsh",      "merged_encoder", "old_pickle",      "one_swap",   "shared_qk"};
    for (size_t i = 0; i < sizeof folder / sizeof *folder; i++) {
        char path[100];
        struct golden g;
        struct err e = {0};
        snprintf(path, sizeof path, "tests/golden/%s", folder[i]);
        must(golden_read(path, &g, &e));
        assert_true(g.tolerance == 0.0002);
        assert_int_equal(g.n_cases, 5);
        assert_string_equal(g.cases[0].name, "plain");
        bool dense = strcmp(folder[i], "dense_twin") == 0, lsh = strcmp(folder[i], "lsh") == 0;
        assert_int_equal(lsh, g.rotations_file != NULL);
        for (size_t k = 0; k < g.n_cases; k++) {
            const struct golden_case *c = &g.cases[k];
            assert_int_equal(c->n_greedy, 24);
            assert_int_equal(c->n_rows, c->n_target ? c->n_target : 1);
            assert_int_equal(c->target_padded_to, lsh ? 16 : 0);
            assert_int_equal(c->greedy_predict,
                             !lsh && strcmp(folder[i], "factored_positions"));
            assert_true(isfinite(c->logits[c->n_rows * g.vocab - 1]));
            assert_int_equal(dense, c->choice == NULL);
            if (!dense) /* the last decoder row of every case is a real choice */
                assert_true(
                    c->choice[(size_t)c->choice_layers * c->choice_rows * c->choice_blocks -
                              1] >= 0);
        }
        golden_free(&g);
    }
}

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void golden_refusals(void **state)
{
    (void)state;
    struct golden g;
    struct err e = {0};
    assert_false(golden_read("/nonexistent", &g, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"tolerance\": 0.1}",
        "{\"tolerance\": 0.1, \"cases\": []}",
        "{\"tolerance\": -1, \"cases\": [{}]}",
        "{\"tolerance\": 1, \"cases\": [{\"name\": \"x\"}]}",
        "{\"tolerance\": 1, \"cases\": [{\"name\": \"x\", \"source\": [1.5], \"target\": [], "
        "\"greedy\": [], \"logits_file\": \"l.npy\"}]}",
        "{\"tolerance\": 1, \"cases\": [{\"name\": \"x\", \"source\": [-1], \"target\": [], "
        "\"greedy\": [], \"logits_file\": \"l.npy\"}]}",
        "{\"tolerance\": 1, \"cases\": [{\"name\": \"x\", \"source\": [1], \"target\": [], "
        "\"greedy\": [], \"logits_file\": \"../l.npy\"}]}",
        "{\"tolerance\": 1, \"cases\": [{\"name\": \"x\", \"source\": [1], \"target\": [2, 3], "
        "\"greedy\": [], \"target_padded_to\": 1, \"logits_file\": \"l.npy\"}]}",
        "{\"tolerance\": 1, \"rotations_file\": \"/etc/passwd\", \"cases\": [{}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(scratch_dir(), "expect.json", bad[i]);
        assert_false(golden_read(scratch_dir(), &g, &e));
        assert_int_equal(e.kind, ERR_INPUT);
        assert_null(g.cases);
    }
}

/* ---- pairs ------------------------------------------------------------------------- */

static FILE *stream_of(const char *text, size_t n)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    rewind(f);
    return f;
}

static FILE *text_stream(const char *text)
{
    return stream_of(text, strlen(text));
}

static void pairs_are_read(void **state)
{
    (void)state;
    FILE *f = text_stream("{\"document\": \"d1\", \"summary\": \"s\\n1\", \"source\": \"x\", "
                          "\"id\": 5}\n\n  \r\n{\"summary\": \"s2\", \"document\": \"\"}");
    struct pairs p;
    struct pair one;
    struct err e = {0};
    pairs_open(&p, f, "in.jsonl");
    must(pairs_next(&p, &one, &e));
    assert_string_equal(one.document, "d1");
    assert_string_equal(one.summary, "s\n1");
    assert_string_equal(one.source, "x");
    assert_int_equal(one.line, 1);
    must(pairs_next(&p, &one, &e));
    assert_int_equal(one.line, 4);
    assert_int_equal(one.n_document, 0);
    assert_string_equal(one.source, "");
    assert_false(pairs_next(&p, &one, &e));
    assert_int_equal(e.kind, ERR_NONE);
    pairs_close(&p);
    fclose(f);
}

static void bad_pairs_name_their_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"\n{\"document\": \"d\"}\n", "\nnot json\n",
                                      "\n{\"document\": 1, \"summary\": \"s\"}",
                                      "\n[\"document\", \"summary\"]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = text_stream(bad[i]);
        struct pairs p;
        struct pair one;
        struct err e = {0};
        pairs_open(&p, f, "in.jsonl");
        assert_false(pairs_next(&p, &one, &e));
        assert_int_equal(e.kind, ERR_INPUT);
        assert_memory_equal(e.msg, "in.jsonl:2: ", 12);
        pairs_close(&p);
        fclose(f);
    }
}

static void only_one_object_a_line(void **state)
{
    (void)state;
#define ONE     "{\"document\": \"d\", \"summary\": \"s\"}"
#define LINE(s) "\n" s, sizeof s /* behind an empty one */
    static const struct {
        const char *text;
        size_t n;
    } bad[] = {{LINE("\0\n")},        {LINE("\0")},         {LINE(ONE "\0\n" ONE "\n")},
               {LINE("\0" ONE "\n")}, {LINE(ONE ONE "\n")}, {LINE(ONE " garbage\n")}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = stream_of(bad[i].text, bad[i].n);
        struct pairs p;
        struct pair one;
        struct err e = {0};
        pairs_open(&p, f, "in.jsonl");
        assert_false(pairs_next(&p, &one, &e));
        assert_int_equal(e.kind, ERR_INPUT);
        assert_memory_equal(e.msg, "in.jsonl:2: ", 12);
        pairs_close(&p);
        fclose(f);
    }
    FILE *f = text_stream("  " ONE " \t\r\n");
    struct pairs p;
    struct pair one;
    struct err e = {0};
    pairs_open(&p, f, "in.jsonl");
    must(pairs_next(&p, &one, &e));
    pairs_close(&p);
    fclose(f);
}

/* A line longer than the reading buffer. */
static void long_lines_are_whole(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_str(&b, "{\"summary\": \"s\", \"document\": \"");
    for (int i = 0; i < 300000; i++)
        buf_add_byte(&b, (char)('a' + i % 26));
    buf_add_str(&b, "\"}\n");
    FILE *f = text_stream(buf_str(&b));
    struct pairs p;
    struct pair one;
    struct err e = {0};
    pairs_open(&p, f, "in.jsonl");
    must(pairs_next(&p, &one, &e));
    assert_int_equal(one.n_document, 300000);
    pairs_close(&p);
    fclose(f);
    buf_free(&b);
}

static int cleanup(void **state)
{
    (void)state;
    remove_scratch();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_types),
        cmocka_unit_test(npy_refusals),
        cmocka_unit_test(golden_folders),
        cmocka_unit_test(golden_refusals),
        cmocka_unit_test(pairs_are_read),
        cmocka_unit_test(bad_pairs_name_their_line),
        cmocka_unit_test(only_one_object_a_line),
        cmocka_unit_test(long_lines_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
