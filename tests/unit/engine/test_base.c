/* test_base.c - engine/base: errors, memory, bytes, UTF-8, JSON out, hashes.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/edit_distance.h"
#include "engine/base/err.h"
#include "engine/base/fd.h"
#include "engine/base/json_out.h"
#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- err -------------------------------------------------------------------------- */

static void test_err_is_one_clean_line(void **state)
{
    (void)state;
    struct err e;
    assert_false(err_set(&e, ERR_MODEL, "tensor %s: %d", "a\n\x1b[31m\x7f", 3));
    assert_int_equal(e.kind, ERR_MODEL);
    assert_string_equal(e.msg, "tensor a??[31m?: 3");
    /* C1 controls, bidirectional overrides, malformed bytes */
    err_set(&e, ERR_INPUT, "%s", "\xC2\x9B|\xE2\x80\xAE|\xFF|\xC3\xA9");
    assert_string_equal(e.msg, "\?\?|\?\?\?|?|\xC3\xA9");
    assert_false(err_set(NULL, ERR_INPUT, "dropped"));
}

static void test_err_cuts_between_characters(void **state)
{
    (void)state;
    struct err e;
    char text[400];
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xC3\xA9", 2);
    text[sizeof text - 2] = '\0';
    err_set(&e, ERR_INPUT, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 2); /* 127 whole characters */
    assert_int_equal(utf8_count_bad(e.msg, strlen(e.msg)), 0);
}

static void test_err_prefix(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_MODEL, "no scale");
    assert_false(err_prefix(&e, "%s: layer %d", "m", 2));
    assert_string_equal(e.msg, "m: layer 2: no scale");
    assert_int_equal(e.kind, ERR_MODEL);
    char longer[300];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    err_prefix(&e, "%.200s", longer);
    assert_int_equal(strlen(e.msg), 222);
    err_prefix(&e, "%s", longer); /* no room for anything else */
    assert_int_equal(strlen(e.msg), 255);
    assert_false(err_prefix(NULL, "dropped"));
}

/* ---- memory ------------------------------------------------------------------------- */

static void test_arena_measures_then_hands_out(void **state)
{
    (void)state;
    struct arena dry = {0}, a;
    assert_null(arena_get(&dry, 3, 1));
    assert_null(arena_get(&dry, 65, 1));
    assert_true(dry.used >= 64 + 128); /* more with AddressSanitizer's gaps */
    assert_false(dry.overflow);
    assert_true(arena_open(&a, dry.used, NULL));
    char *x = arena_get(&a, 3, 1), *y = arena_get(&a, 65, 1);
    assert_int_equal((uintptr_t)x % 64, 0);
    assert_int_equal((uintptr_t)y % 64, 0);
    assert_true(y >= x + 64);
    for (int i = 0; i < 65; i++)
        assert_int_equal(y[i], 0);
    assert_null(arena_get(&a, 1, 1)); /* full */
    assert_true(a.overflow);
    arena_free(&a);
    arena_free(&a);
    assert_null(arena_get(&dry, SIZE_MAX / 2, 4));
    assert_true(dry.overflow);
}

static void test_size_products(void **state)
{
    (void)state;
    size_t n = 7;
    assert_true(size_mul(0, SIZE_MAX, &n));
    assert_int_equal(n, 0);
    assert_true(size_mul(SIZE_MAX, 1, &n));
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &n));
    assert_true(size_add(SIZE_MAX - 1, 1, &n));
    assert_false(size_add(SIZE_MAX, 1, &n));
}

static void test_strings(void **state)
{
    (void)state;
    char *a = xstrdup("abc"), *b = xstrndup("abc", 2), *c = xstrndup("a\0c", 3);
    assert_string_equal(a, "abc");
    assert_string_equal(b, "ab");
    assert_memory_equal(c, "a\0c", 4);
    free(a);
    free(b);
    free(c);
}

static void test_buf(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_string_equal(buf_str(&b), "");
    buf_clear(&b);
    for (int i = 0; i < 100; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 290);
    buf_clear(&b);
    buf_add_str(&b, "ab");
    buf_add_byte(&b, '\0');
    buf_add(&b, "cd", 2);
    buf_add(&b, NULL, 0);
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.data, "ab\0cd", 6);
    char *taken = buf_take(&b);
    assert_memory_equal(taken, "ab\0cd", 6);
    assert_null(b.data);
    free(taken);
    taken = buf_take(&b);
    assert_string_equal(taken, "");
    free(taken);
    buf_free(&b);
}

/* ---- UTF-8 ----------------------------------------------------------------------------- */

static void test_utf8_every_code_point(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char out[4];
        uint32_t back;
        bool ok, surrogate = cp >= 0xD800 && cp <= 0xDFFF;
        size_t n = utf8_encode(cp, out);
        assert_int_equal(utf8_decode(out, n, &back, &ok), n);
        assert_true(ok);
        assert_int_equal(back, surrogate ? UTF8_BAD : cp);
        assert_int_equal(utf8_complete(out, n), n);
        if (n > 1)
            assert_int_equal(utf8_complete(out, n - 1), 0);
    }
    char out[4];
    assert_int_equal(utf8_encode(0x110000, out), 3);
    assert_memory_equal(out, "\xEF\xBF\xBD", 3);
}

static void test_utf8_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t n, first, bad, complete;
    } cases[] = {
        {"\x80", 1, 1, 1, 1},     /* a continuation alone */
        {"\xC0\xAF", 2, 1, 2, 2}, /* overlong */
        {"\xC1\xBF", 2, 1, 2, 2},
        {"\xE0\x80\xAF", 3, 1, 3, 3},
        {"\xE0\xA0", 2, 2, 2, 0},     /* may still become U+0800 */
        {"\xED\xA0\x80", 3, 1, 3, 3}, /* surrogate */
        {"\xF0\x80\x80\xAF", 4, 1, 4, 4},
        {"\xF4\x90\x80\x80", 4, 1, 4, 4}, /* above U+10FFFF */
        {"\xF5\x80", 2, 1, 2, 2},
        {"\xFE\xFF", 2, 1, 2, 2},
        {"\xE2\x82"
         "a",
         3, 2, 2, 3}, /* cut short by a letter */
        {"\xF0\x9F\x98", 3, 3, 3, 0},
        {"a\xF0\x9F", 3, 1, 2, 1},
        {"\xC3\xC3\xA9", 3, 1, 1, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t cp;
        assert_int_equal(utf8_decode(cases[i].s, cases[i].n, &cp, NULL), cases[i].first);
        assert_int_equal(utf8_count_bad(cases[i].s, cases[i].n), cases[i].bad);
        assert_int_equal(utf8_complete(cases[i].s, cases[i].n), cases[i].complete);
    }
    uint32_t cp;
    bool ok;
    utf8_decode("\xEF\xBF\xBD", 3, &cp, &ok); /* U+FFFD itself is no error */
    assert_true(ok && cp == UTF8_BAD);
    utf8_decode("\xFF", 1, &cp, &ok);
    assert_true(!ok && cp == UTF8_BAD);
}

/* ---- JSON ----------------------------------------------------------------------------------
 */

static void test_json_line(void **state)
{
    (void)state;
    struct buf b = {0};
    json_open(&b, NULL, '{');
    json_int(&b, "n", -7);
    json_num(&b, "x", 0.25, 3);
    json_num(&b, "nan", NAN, 3);
    json_bool(&b, "ok", true);
    json_null(&b, "none");
    json_cstr(&b, "text", NULL);
    json_open(&b, "list", '[');
    json_int(&b, NULL, 1);
    json_open(&b, NULL, '{');
    json_close(&b, '}');
    json_open(&b, NULL, '[');
    json_close(&b, ']');
    json_cstr(&b, NULL, "[");
    json_cstr(&b, NULL, "z");
    json_close(&b, ']');
    json_close(&b, '}');
    buf_add_byte(&b, '\n');
    json_int(&b, NULL, INT64_MIN); /* the next line */
    assert_string_equal(buf_str(&b),
                        "{\"n\":-7,\"x\":0.25,\"nan\":null,\"ok\":true,\"none\":null,"
                        "\"text\":null,\"list\":[1,{},[],\"[\",\"z\"]}\n-9223372036854775808");
    buf_free(&b);
}

static void test_json_strings_are_safe(void **state)
{
    (void)state;
    struct buf b = {0};
    json_str(&b, NULL, "q\"b\\n\n\t\r\0\x1f\x7f\xC2\x9B\xC3\xA9\xFF", 16);
    assert_string_equal(buf_str(&b), "\"q\\\"b\\\\n\\n\\t\\r\\u0000\\u001f\\u007f\\u009b"
                                     "\xC3\xA9\xEF\xBF\xBD\"");
    buf_free(&b);
}

static void test_json_numbers_ignore_the_locale(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_non_null(setlocale(LC_NUMERIC, "de_DE.UTF-8")); /* made by tests/run.py */
    json_num(&b, NULL, 1.5, 6);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(buf_str(&b), "1.5");
    buf_free(&b);
}

/* ---- the rest
 * -------------------------------------------------------------------------------- */

static void expect_sha256(const char *data, size_t n, const char *wanted)
{
    uint8_t hash[32];
    char hex[65];
    sha256(data, n, hash);
    sha256_hex(hash, hex);
    assert_string_equal(hex, wanted);
}

static void expect_base64(const char *data, size_t n, const char *wanted)
{
    struct buf b = {0};
    buf_add_base64(&b, data, n);
    assert_string_equal(buf_str(&b), wanted);
    buf_free(&b);
}

static void test_base64(void **state)
{
    (void)state;
    expect_base64("", 0, "");
    expect_base64("f", 1, "Zg==");
    expect_base64("fo", 2, "Zm8=");
    expect_base64("foobar", 6, "Zm9vYmFy");
    expect_base64("\xFB\xEF\xFF\0", 4, "++//AA==");
    struct buf b = {0};
    json_open(&b, NULL, '{');
    json_int(&b, "n", 1);
    json_base64(&b, "raw", "\xFF", 1);
    json_close(&b, '}');
    assert_string_equal(buf_str(&b), "{\"n\":1,\"raw\":\"/w==\"}");
    buf_free(&b);
}

static unsigned distance(const char *a, const char *b)
{
    unsigned there = edit_distance(a, strlen(a), b, strlen(b));
    assert_int_equal(edit_distance(b, strlen(b), a, strlen(a)), there);
    return there;
}

static void test_edit_distance(void **state)
{
    (void)state;
    char longest[64], longer[65];
    memset(longest, 'a', 63);
    memset(longer, 'a', 64);
    longest[63] = longer[64] = '\0';
    assert_int_equal(distance("", ""), 0);
    assert_int_equal(distance("", "abc"), 3);
    assert_int_equal(distance("thread", "threads"), 1);
    assert_int_equal(distance("temp", "tamp"), 1);
    assert_int_equal(distance("lenght", "length"), 1); /* two neighbours swapped */
    assert_int_equal(distance("kitten", "sitting"), 3);
    assert_int_equal(distance("ab", "xy"), 2);
    assert_int_equal(distance(longest, "a"), 62);
    assert_int_equal(distance(longer, "a"), EDIT_DISTANCE_FAR);
    assert_int_equal(edit_distance("abc", 2, "ab", 2), 0); /* not its end tells */
}

static int start_reading; /* a descriptor */

static void on_alarm(int sig)
{
    static int rings;
    (void)sig;
    if (++rings == 20)
        (void)!write(start_reading, "", 1);
}

/* The reader of a pipe: 0 if everything came, with a Z at the end. */
static int read_all(int from, int start, size_t size)
{
    char block[4096], last = 0;
    size_t got = 0;
    (void)!read(start, block, 1);
    for (ssize_t n; (n = read(from, block, sizeof block)) > 0; got += (size_t)n)
        last = block[n - 1];
    return got == size && last == 'Z' ? 0 : 1;
}

/* A full pipe and a timer make short writes, and writes that take nothing. */
static void test_write_all(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    int data[2], start[2], status;
    assert_int_equal(pipe(data), 0);
    assert_int_equal(pipe(start), 0);
    pid_t child = fork();
    if (child == 0) {
        close(data[1]);
        close(start[1]);
        _exit(read_all(data[0], start[0], SIZE));
    }
    close(data[0]);
    start_reading = start[1];
    struct sigaction ring = {.sa_handler = on_alarm}; /* without SA_RESTART */
    sigaction(SIGALRM, &ring, NULL);
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {0};
    char *text = calloc(SIZE, 1);
    text[SIZE - 1] = 'Z';
    setitimer(ITIMER_REAL, &often, NULL);
    bool ok = fd_write_all(data[1], text, SIZE);
    setitimer(ITIMER_REAL, &never, NULL);
    close(data[1]);
    close(start[0]);
    close(start[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(ok);
    assert_int_equal(status, 0);
    free(text);
    assert_false(fd_write_all(-1, "x", 1));
    assert_true(fd_write_all(-1, "", 0));
}

static void test_sha256(void **state)
{
    (void)state;
    expect_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    struct buf b = {0};
    for (int i = 0; i < 1000000; i++)
        buf_add_byte(&b, 'a');
    expect_sha256(b.data, b.len,
                  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    buf_free(&b);
}

static void test_clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before = clock_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_ns();
        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_wall_ms() > 1600000000000); /* September 2020 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_is_one_clean_line),
        cmocka_unit_test(test_err_cuts_between_characters),
        cmocka_unit_test(test_err_prefix),
        cmocka_unit_test(test_arena_measures_then_hands_out),
        cmocka_unit_test(test_size_products),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_utf8_every_code_point),
        cmocka_unit_test(test_utf8_malformed),
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_json_strings_are_safe),
        cmocka_unit_test(test_json_numbers_ignore_the_locale),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_edit_distance),
        cmocka_unit_test(test_write_all),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
