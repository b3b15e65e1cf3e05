/* test_keys.c - the key decoder, fed at every possible split.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "ui/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000u

/* Names of all keys ready now, each followed by a blank. */
static void drain(struct keys *k, uint64_t now, struct buf *out)
{
    struct key key;
    char name[KEY_NAME_MAX];
    while (keys_next(k, now, &key)) {
        key_name(&key, name);
        buf_add_str(out, name);
        if (key.code == K_PASTE) {
            buf_add_byte(out, '<');
            buf_add(out, key.text, key.n);
            buf_add_byte(out, '>');
        }
        if (key.code == K_MOUSE)
            buf_printf(out, "%d,%d:%d%s", key.x, key.y, (int)key.button,
                       key.press  ? "!"
                       : key.drag ? "~"
                                  : "");
        buf_add_byte(out, ' ');
    }
}

/* The same keys come out wherever the bytes were cut; a pause of 5 ms is no ESC. */
static void check(const char *bytes, size_t n, const char *want)
{
    for (size_t cut = 0; cut <= n; cut++) {
        struct keys *k = keys_open();
        struct buf out = {0};
        keys_feed(k, bytes, cut, 100 * MS);
        drain(k, 100 * MS, &out);
        keys_feed(k, bytes + cut, n - cut, 105 * MS);
        drain(k, 105 * MS, &out);
        drain(k, 200 * MS, &out);
        assert_string_equal(buf_str(&out), want);
        assert_int_equal(keys_deadline(k), 0);
        buf_free(&out);
        keys_close(k);
    }
}

#define CHECK(bytes, want) check(bytes, sizeof bytes - 1, want)

static void plain_keys(void **state)
{
    (void)state;
    CHECK("a Z{?", "a Space Z { ? ");
    CHECK("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", "\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80 ");
    CHECK("\r\t\x7f\x08", "Enter Tab BS BS ");
    CHECK("\x01\x03\n\x1a\x1f", "C-a C-c C-j C-z C-_ ");
    check("\0", 1, "C-@ ");
    CHECK("x\xff"
          "y",
          "x \xef\xbf\xbd y ");
}

static void sequences(void **state)
{
    (void)state;
    CHECK("\033[A\033[B\033OC\033OD", "Up Down Right Left ");
    CHECK("\033[H\033[F\033[1~\033[4~\033[7~\033[8~\033OH", "Home End Home End Home End Home ");
    CHECK("\033[5~\033[6~\033[2~\033[3~", "PgUp PgDn Ins Del ");
    CHECK("\033OP\033[11~\033[[A\033[15~\033[17~\033[24~", "F1 F1 F1 F5 F6 F12 ");
    CHECK("\033[1;5C\033[1;2A\033[3;3~\033[Z", "C-Right S-Up M-Del S-Tab ");
    CHECK("\033[13;3u\033[97;5u\033[27u", "M-Enter C-a Esc ");
    CHECK("\033[99x\033[200A", "?key Up ");
    CHECK("\033[?1;2cq", "?key q ");
}

static void alt_and_escape(void **state)
{
    (void)state;
    CHECK("\033f\033\r\033\xc3\xa9", "M-f M-Enter M-\xc3\xa9 ");
    CHECK("\033", "Esc ");
    CHECK("\033\033", "Esc Esc ");
    CHECK("\033\033[A", "Esc Up ");
}

static void lone_escape_waits_25_ms(void **state)
{
    (void)state;
    struct keys *k = keys_open();
    struct key key;
    keys_feed(k, "\033", 1, 100 * MS);
    assert_false(keys_next(k, 100 * MS, &key));
    assert_int_equal(keys_deadline(k), 125 * MS);
    assert_false(keys_next(k, 124 * MS, &key));
    assert_true(keys_next(k, 125 * MS, &key));
    assert_int_equal(key.code, K_ESC);
    assert_int_equal(keys_deadline(k), 0);
    /* the same when nobody looked before more came */
    struct buf out = {0};
    keys_feed(k, "\033", 1, 130 * MS);
    keys_feed(k, "[A", 2, 160 * MS);
    drain(k, 160 * MS, &out);
    assert_string_equal(buf_str(&out), "Esc [ A ");
    buf_free(&out);
    /* half a character that never ends is one bad character */
    keys_feed(k, "\xe4\xb8", 2, 200 * MS);
    assert_false(keys_next(k, 200 * MS, &key));
    assert_true(keys_next(k, 230 * MS, &key));
    assert_int_equal(key.rune, 0xFFFD);
    assert_int_equal(key.n, 2);
    keys_close(k);
}

static void paste_is_one_key(void **state)
{
    (void)state;
    CHECK("a\033[200~two\rlines \033[A \033[201\x7e"
          "b",
          "a paste<two\rlines \033[A > b ");
    CHECK("\033[200~\033[201~", "paste<> ");
    CHECK("\033[200~\033[20\033[201~x", "paste<\033[20> x ");
}

static void a_large_paste_arrives_whole(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    char *text = malloc(N);
    struct keys *k = keys_open();
    struct key key;
    for (int i = 0; i < N; i++)
        text[i] = (char)('a' + i % 23);
    keys_feed(k, "\033[200~", 6, 0);
    for (int i = 0; i < N; i += 4096) {
        keys_feed(k, text + i, 4096, 0);
        assert_false(keys_next(k, 0, &key));
    }
    keys_feed(k, "\033[201~", 6, 0);
    assert_true(keys_next(k, 0, &key));
    assert_int_equal(key.code, K_PASTE);
    assert_int_equal(key.n, N);
    assert_memory_equal(key.text, text, N);
    keys_close(k);
    free(text);
}

static void mouse_reports(void **state)
{
    (void)state;
    CHECK("\033[<0;5;7M\033[<0;5;7m", "mouse4,6:1! mouse4,6:1 ");
    CHECK("\033[<32;6;7M\033[<64;1;1M\033[<65;1;1M", "mouse5,6:1~ mouse0,0:4! mouse0,0:5! ");
}

/* Readline gets exactly the bytes that were typed. */
static void keys_carry_their_bytes(void **state)
{
    (void)state;
    const char in[] = "a\033[1;5C\xc3\xa9\033f\r";
    struct keys *k = keys_open();
    struct key key;
    struct buf out = {0};
    keys_feed(k, in, sizeof in - 1, 0);
    while (keys_next(k, 0, &key))
        buf_add(&out, key.text, key.n);
    assert_string_equal(buf_str(&out), in);
    buf_free(&out);
    keys_close(k);
}

static void names_are_read_back(void **state)
{
    (void)state;
    static const char *const names[] = {"a",    "Z",   "{",    "C-c",   "M-Enter",  "S-Tab",
                                        "F1",   "F12", "PgUp", "Space", "Esc",      "C-M-x",
                                        "Home", "BS",  "-",    "C-_",   "\xc3\xa9", "C-Space"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct key key, again;
        char name[KEY_NAME_MAX];
        assert_true(key_parse(names[i], &key));
        key_name(&key, name);
        assert_string_equal(name, names[i]);
        assert_true(key_parse(name, &again));
        assert_true(key_equal(&key, &again));
    }
    struct key key;
    assert_false(key_parse("", &key));
    assert_false(key_parse("F13", &key));
    assert_false(key_parse("X-a", &key));
    assert_false(key_parse("ab", &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_keys),          cmocka_unit_test(sequences),
        cmocka_unit_test(alt_and_escape),      cmocka_unit_test(lone_escape_waits_25_ms),
        cmocka_unit_test(paste_is_one_key),    cmocka_unit_test(a_large_paste_arrives_whole),
        cmocka_unit_test(mouse_reports),       cmocka_unit_test(keys_carry_their_bytes),
        cmocka_unit_test(names_are_read_back),
    };
    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
