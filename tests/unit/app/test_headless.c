/* SPDX-License-Identifier: MIT */
#include "app/headless.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void visible(const char *text, size_t n, const char *want)
{
    struct buf b = {0};
    headless_visible(&b, text, n);
    assert_string_equal(buf_str(&b), want);
    buf_free(&b);
}

static void control_characters_become_visible(void **state)
{
    (void)state;
    visible("a\tb\nc", 5, "a\tb\nc");
    visible("\x1b[31m\a\x7f", 7, "^[[31m^G^?");
    visible("\r\0x", 3, "^M^@x");
    visible("\xC2\x9B"
            "2J",
            4, "<9B>2J");                 /* C1: a terminal may take it as ESC [ */
    visible("\xE2\x80\xAE", 3, "<202E>"); /* text direction */
    visible("gr\xC3\xBC\xC3\x9F", 6, "gr\xC3\xBC\xC3\x9F");
}

/* What a function wrote to a stream. */
static void start(struct headless *h, char **text, size_t *n, bool json)
{
    FILE *f = open_memstream(text, n);
    assert_non_null(f);
    headless_open(h, f, json, NULL);
}

static void stop(struct headless *h)
{
    FILE *f = h->out;
    headless_close(h);
    fclose(f);
}

static const struct terra_token token = {.id = 7,
                                         .logprob = 0,
                                         .ns = 1500000,
                                         .part_ns = {500000, 0, 0, 0, 0, 0, 1000000},
                                         .weight_bytes = 100,
                                         .cache_bytes = 20};

static void a_token_as_json(void **state)
{
    (void)state;
    struct headless h;
    char *text;
    size_t n;
    start(&h, &text, &n, true);
    headless_token(&h, 0, 3, &token, "h\"i\n", 4, true);
    headless_text(&h, "nothing of this", 15);
    headless_newline(&h);
    stop(&h);
    assert_string_equal(
        text, "{\"v\":1,\"type\":\"token\",\"step\":0,\"i\":3,\"id\":7,\"text\":\"h\\\"i\\n\","
              "\"p\":1,"
              "\"ms\":1.5,\"parts\":{\"ctl\":0.5,\"ff\":0,\"qkv\":0,\"att\":0,\"head\":0,"
              "\"sample\":0,\"other\":1},\"bytes\":120}\n");
    free(text);
}

static void plain_text_is_only_the_reply(void **state)
{
    (void)state;
    struct headless h;
    char *text;
    size_t n;
    start(&h, &text, &n, false);
    struct headless_start s = {.command = "run"};
    struct headless_end e = {.text = "", .stop = "end"};
    headless_start(&h, &s);
    headless_token(&h, 0, 0, &token, "one", 3, true);
    headless_token(&h, 0, 1, &token, "hidden", 6, false);
    headless_token(&h, 0, 1, &token, " two", 4, true);
    headless_newline(&h);
    headless_newline(&h);
    headless_end(&h, &e);
    stop(&h);
    assert_string_equal(text, "one two\n");
    free(text);
}

static void ids_instead_of_text(void **state)
{
    (void)state;
    struct headless h;
    char *text;
    size_t n;
    start(&h, &text, &n, false);
    h.ids = true;
    headless_token(&h, 0, 0, &token, "one", 3, true);
    headless_token(&h, 0, 1, &token, "two", 3, true);
    stop(&h);
    assert_string_equal(text, "7 7");
    free(text);
}

static void a_closed_pipe_cancels(void **state)
{
    (void)state;
    int fd[2];
    atomic_bool cancel = false;
    struct headless h;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(fd), 0);
    close(fd[0]);
    FILE *f = fdopen(fd[1], "w");
    headless_open(&h, f, false, &cancel);
    headless_text(&h, "text", 4);
    assert_true(h.broken);
    assert_true(cancel);
    assert_int_equal(h.write_errno, 0);
    headless_close(&h);
    fclose(f);
}

static void a_full_disk_is_kept(void **state)
{
    (void)state;
    atomic_bool cancel = false;
    struct headless h;
    FILE *f = fopen("/dev/full", "w");
    assert_non_null(f);
    headless_open(&h, f, false, &cancel);
    headless_text(&h, "text", 4);
    assert_false(h.broken);
    assert_int_equal(h.write_errno, ENOSPC);
    assert_true(cancel);
    headless_close(&h);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_become_visible),
        cmocka_unit_test(a_token_as_json),
        cmocka_unit_test(plain_text_is_only_the_reply),
        cmocka_unit_test(ids_instead_of_text),
        cmocka_unit_test(a_closed_pipe_cancels),
        cmocka_unit_test(a_full_disk_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
