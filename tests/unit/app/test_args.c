/* SPDX-License-Identifier: MIT */
#include "app/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAX_WORDS 16

/* Parses "terra" and the given words, the last of which is NULL. */
static bool parse(struct args *a, struct err *e, char **words)
{
    char *argv[MAX_WORDS] = {(char *)"terra"};
    int argc = 1;
    while (words[argc - 1]) {
        argv[argc] = words[argc - 1];
        argc++;
    }
    *e = (struct err){0};
    return args_parse(argc, argv, a, e);
}

#define PARSE(a, e, ...) parse(a, e, (char *[]){__VA_ARGS__, NULL})

static void fails_with(struct args *a, struct err *e, bool ok, const char *word)
{
    assert_false(ok);
    assert_int_equal(e->kind, ERR_USAGE);
    if (!strstr(e->msg, word))
        fail_msg("'%s' does not mention '%s'", e->msg, word);
    args_free(a);
}

static void nothing_given_is_nothing_set(void **state)
{
    (void)state;
    struct args a;
    struct err e = {0};
    char *argv[] = {(char *)"terra", NULL};
    assert_true(args_parse(1, argv, &a, &e));
    assert_int_equal(a.cmd, CMD_TUI);
    assert_false(a.named);
    assert_null(a.model);
    assert_int_equal(a.threads, -1);
    assert_true(a.temp < 0);
    assert_int_equal(a.n_pos, 0);
    args_free(&a);
}

static void every_way_to_write_a_value(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    char *ways[][4] = {{(char *)"run", (char *)"--max-tokens", (char *)"7", NULL},
                       {(char *)"run", (char *)"--max-tokens=7", NULL, NULL},
                       {(char *)"run", (char *)"-n7", NULL, NULL},
                       {(char *)"run", (char *)"-n", (char *)"7", NULL},
                       {(char *)"-n", (char *)"7", (char *)"run", NULL},
                       {(char *)"run", (char *)"-qvn7", NULL, NULL}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        assert_true(parse(&a, &e, ways[i]));
        assert_int_equal(a.cmd, CMD_RUN);
        assert_int_equal(a.max_tokens, 7);
        assert_int_equal(a.n_pos, 0);
        args_free(&a);
    }
}

static void one_letter_two_meanings(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    assert_true(PARSE(&a, &e, "bench", "-n", "3", "-o", "csv"));
    assert_int_equal(a.bench_tokens, 3);
    assert_int_equal(a.max_tokens, -1);
    assert_string_equal(a.format, "csv");
    args_free(&a);
    assert_true(PARSE(&a, &e, "logs", "show", "-r", "3", "-o", "file"));
    assert_true(a.reply_only);
    assert_int_equal(a.n_pos, 2);
    assert_string_equal(a.pos[1], "3");
    assert_string_equal(a.output, "file");
    args_free(&a);
}

static void text_behind_dashes(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    assert_true(PARSE(&a, &e, "run", "-q", "--", "--temp", "-", "x"));
    assert_int_equal(a.n_pos, 3);
    assert_string_equal(a.pos[0], "--temp");
    assert_true(a.temp < 0);
    args_free(&a);
}

static void a_file_without_a_command(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    assert_true(PARSE(&a, &e, "notes.txt"));
    assert_int_equal(a.cmd, CMD_TUI);
    assert_string_equal(a.pos[0], "notes.txt");
    args_free(&a);
    fails_with(&a, &e, PARSE(&a, &e, "notes"), "notes");
}

static void nearest_names(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    fails_with(&a, &e, PARSE(&a, &e, "run", "--tmep", "1"), "--temp");
    fails_with(&a, &e, PARSE(&a, &e, "run", "--max", "1"), "--max-tokens");
    fails_with(&a, &e, PARSE(&a, &e, "summarise", "x"), "'summarize'");
    fails_with(&a, &e, PARSE(&a, &e, "run", "--ref", "x"), "terra summarize");
    fails_with(&a, &e, PARSE(&a, &e, "run", "--qwertyuiop", "1"), "--help");
}

static void values_out_of_range(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    fails_with(&a, &e, PARSE(&a, &e, "run", "-t", "0"), "outside");
    fails_with(&a, &e, PARSE(&a, &e, "run", "-t", "3x"), "whole number");
    fails_with(&a, &e, PARSE(&a, &e, "run", "--temp", "inf"), "number");
    fails_with(&a, &e, PARSE(&a, &e, "run", "--mode", "spars"), "sparse|masked|open");
    fails_with(&a, &e, PARSE(&a, &e, "run", "--mode", ""), "is not one of");
    fails_with(&a, &e, PARSE(&a, &e, "run", "--model"), "needs a value");
    fails_with(&a, &e, PARSE(&a, &e, "run", "--ids=yes"), "takes no value");
    fails_with(&a, &e, PARSE(&a, &e, "parity", "x"), "usage");
}

static void help_needs_no_operands(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    assert_true(PARSE(&a, &e, "parity", "--help"));
    assert_true(a.help);
    args_free(&a);
}

static void help_lists_what_a_command_takes(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int c = 0; c < CMD_COUNT; c++) {
        buf_clear(&b);
        args_help((enum cmd)c, &b);
        assert_non_null(strstr(buf_str(&b), args_cmd_name((enum cmd)c)));
        assert_non_null(strstr(buf_str(&b), "-h, --help"));
    }
    buf_clear(&b);
    args_help(CMD_SUMMARIZE, &b);
    assert_non_null(strstr(buf_str(&b), "--allow-truncate"));
    assert_null(strstr(buf_str(&b), "--units-min"));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_is_nothing_set),
        cmocka_unit_test(every_way_to_write_a_value),
        cmocka_unit_test(one_letter_two_meanings),
        cmocka_unit_test(text_behind_dashes),
        cmocka_unit_test(a_file_without_a_command),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(help_needs_no_operands),
        cmocka_unit_test(help_lists_what_a_command_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
