/* test_line_edit.c - readline without a terminal: typing, paste, undo, history.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "ui/line_edit.h"

#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *text_of(struct line_edit *l)
{
    return line_edit_text(l, NULL);
}

/* Feeds keys, which must not end the line. */
static void type(struct line_edit *l, const char *bytes)
{
    size_t used, n = strlen(bytes);
    assert_int_equal(line_edit_feed(l, bytes, n, &used), LINE_NONE);
    assert_int_equal(used, n);
}

static bool complete(void *user, const char *line, size_t start, const char *word,
                     void (*add)(void *, const char *), void *list)
{
    (void)user;
    (void)word;
    if (start > 0 && strncmp(line, ":load", 5) == 0)
        return true; /* file names */
    add(list, ":metric");
    add(list, ":model");
    add(list, ":mode");
    add(list, "other");
    return false;
}

static int open_editor(void **state)
{
    const struct line_edit_opts o = {.complete = complete};
    *state = line_edit_open(&o);
    return 0;
}

static int close_editor(void **state)
{
    line_edit_close(*state);
    return 0;
}

static void submit_takes_the_line(void **state)
{
    struct line_edit *l = *state;
    size_t used;
    assert_true(line_edit_empty(l));
    assert_int_equal(line_edit_feed(l, "hello\rrest", 10, &used), LINE_SUBMIT);
    assert_int_equal(used, 6);
    char *line = line_edit_take(l);
    assert_string_equal(line, "hello");
    free(line);
    assert_null(line_edit_take(l));
    assert_true(line_edit_empty(l));
}

static void utf8_is_edited_by_character(void **state)
{
    struct line_edit *l = *state;
    type(l, "a\xc3\xa9\xe4\xb8\xad");
    assert_string_equal(text_of(l), "a\xc3\xa9\xe4\xb8\xad");
    type(l, "\x7f");
    assert_string_equal(text_of(l), "a\xc3\xa9");
    type(l, "\033[D\xf0\x9f\x98\x80"); /* left, then an emoji */
    assert_string_equal(text_of(l), "a\xf0\x9f\x98\x80\xc3\xa9");
    struct vm_prompt vm = {0};
    line_edit_view(l, &vm);
    assert_int_equal(vm.cursor, 5);
    assert_int_equal(vm.n, 7);
    assert_string_equal(vm.prompt, "prompt> ");
}

static void ctrl_d_ends_only_an_empty_line(void **state)
{
    struct line_edit *l = *state;
    type(l, "ab\x01\x04"); /* home, delete */
    assert_string_equal(text_of(l), "b");
    type(l, "\x7f\x0b");
    assert_true(line_edit_empty(l));
    assert_int_equal(line_edit_feed(l, "\x04", 1, NULL), LINE_EOF);
}

static void new_lines_are_typed_not_sent(void **state)
{
    struct line_edit *l = *state;
    type(l, "one\n");     /* Ctrl-J */
    type(l, "two\033\r"); /* Alt-Enter */
    type(l, "three");
    assert_string_equal(text_of(l), "one\ntwo\nthree");
    type(l, "\033[A"); /* up: the line above, same column as far as it goes */
    type(l, "X");
    assert_string_equal(text_of(l), "one\ntwoX\nthree");
    type(l, "\033[A\033[A"); /* up to the first, and history has nothing above */
    type(l, "\033[B\033[BY");
    assert_string_equal(text_of(l), "one\ntwoX\nthrYee");
}

static void paste_is_one_undo_step(void **state)
{
    struct line_edit *l = *state;
    type(l, "ab");
    line_edit_paste(l, "x\ry\r\nz", 6);
    assert_string_equal(text_of(l), "abx\ny\nz");
    type(l, "\x1f"); /* undo */
    assert_string_equal(text_of(l), "ab");
}

static void a_megabyte_is_one_undo_step(void **state)
{
    struct line_edit *l = *state;
    enum { N = 1 << 20 };
    char *text = malloc(N);
    for (int i = 0; i < N; i++)
        text[i] = i % 80 == 79 ? '\n' : "word "[i % 5];
    type(l, "<>\x02"); /* between the two */
    line_edit_paste(l, text, N);
    size_t n;
    const char *now = line_edit_text(l, &n);
    assert_int_equal(n, N + 2);
    assert_memory_equal(now + 1, text, N);
    type(l, "!");
    struct vm_prompt vm = {0};
    line_edit_view(l, &vm);
    assert_int_equal(vm.cursor, N + 2);
    type(l, "\x1f");
    type(l, "\x1f");
    assert_string_equal(text_of(l), "<>");
    free(text);
}

static void search_shows_in_the_prompt(void **state)
{
    struct line_edit *l = *state;
    struct vm_prompt vm = {0};
    line_edit_remember(l, "summarise the paper");
    line_edit_remember(l, "compare masked");
    type(l, "\x12"
            "pap"); /* Ctrl-R */
    assert_true(line_edit_busy(l));
    line_edit_view(l, &vm);
    assert_non_null(strstr(vm.prompt, "pap"));
    assert_string_equal(text_of(l), "summarise the paper");
    line_edit_reset(l);
    assert_false(line_edit_busy(l));
    assert_true(line_edit_empty(l));
    line_edit_view(l, &vm);
    assert_string_equal(vm.prompt, "prompt> ");
}

static void completion_fills_the_popup(void **state)
{
    struct line_edit *l = *state;
    struct vm_prompt vm = {0};
    type(l, ":m\t");
    line_edit_view(l, &vm);
    assert_int_equal(vm.n_popup, 3);
    assert_string_equal(vm.popup[0], ":metric");
    type(l, "e\t");
    assert_string_equal(text_of(l), ":metric ");
    line_edit_view(l, &vm);
    assert_int_equal(vm.n_popup, 0);
    type(l, "\x15:load ui/line_edit.\t");
    line_edit_view(l, &vm);
    assert_int_equal(vm.n_popup, 2);
    assert_string_equal(vm.popup[0], "line_edit.c");
    type(l, "c\t");
    assert_string_equal(text_of(l), ":load ui/line_edit.c ");
}

static void editor_is_asked_for(void **state)
{
    struct line_edit *l = *state;
    type(l, "draft");
    assert_int_equal(line_edit_feed(l, "\x18\x05", 2, NULL), LINE_EDITOR);
    line_edit_set(l, "final\ntext");
    assert_string_equal(text_of(l), "final\ntext");
    type(l, "\x1f");
    assert_string_equal(text_of(l), "draft");
}

static void half_a_sequence_does_no_harm(void **state)
{
    struct line_edit *l = *state;
    type(l, "a\033");
    assert_true(line_edit_busy(l));
    line_edit_reset(l);
    type(l, "b\xe4\xb8"); /* half a character */
    type(l, "c");
    assert_memory_equal(text_of(l), "ab", 2);
    for (int c = 1; c < 256; c++) { /* anything at all */
        char byte = (char)c;
        char *line = NULL;
        if (line_edit_feed(l, &byte, 1, NULL) == LINE_SUBMIT)
            line = line_edit_take(l);
        free(line);
    }
}

static void another_prompt(void **state)
{
    struct line_edit *l = *state;
    struct vm_prompt vm = {0};
    line_edit_prompt(l, ":");
    line_edit_view(l, &vm);
    assert_string_equal(vm.prompt, ":");
    line_edit_prompt(l, NULL);
    line_edit_view(l, &vm);
    assert_string_equal(vm.prompt, "prompt> ");
}

/* ---- history --------------------------------------------------------------------------- */

static void history_survives_with_lines_and_mode(void **state)
{
    (void)state;
    char path[] = "/tmp/terra-history-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    struct line_edit_opts o = {.history_file = path, .history_max = 3};
    struct line_edit *l = line_edit_open(&o);
    line_edit_remember(l, "dropped");
    line_edit_remember(l, "first");
    line_edit_remember(l, "two\nlines");
    line_edit_remember(l, "two\nlines"); /* not twice */
    line_edit_remember(l, " not with a blank in front");
    line_edit_remember(l, "last");
    line_edit_close(l);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    l = line_edit_open(&o);
    type(l, "\x10");
    assert_string_equal(text_of(l), "last");
    type(l, "\x10");
    assert_string_equal(text_of(l), "two\nlines");
    type(l, "\x10");
    assert_string_equal(text_of(l), "first");
    type(l, "\x10");
    assert_string_equal(text_of(l), "first");
    line_edit_close(l);
    unlink(path);
}

static void no_file_means_no_file(void **state)
{
    (void)state;
    struct line_edit_opts o = {.history_file = "/nonexistent/dir/history"};
    struct line_edit *l = line_edit_open(&o);
    line_edit_remember(l, "kept in memory");
    type(l, "\x10");
    assert_string_equal(text_of(l), "kept in memory");
    line_edit_close(l);
}

/* Readline reads it once, before the first test. */
static void write_inputrc(const char *path)
{
    FILE *f = fopen(path, "w");
    fputs("$if terra\n\"\\C-xt\": \"ours\"\n$else\n\"\\C-xt\": \"another's\"\n$endif\n", f);
    fclose(f);
    setenv("INPUTRC", path, 1);
}

static void inputrc_knows_our_name(void **state)
{
    type(*state, "\x18t");
    assert_string_equal(text_of(*state), "ours");
}

int main(void)
{
    char inputrc[] = "/tmp/terra-inputrc-XXXXXX";
    close(mkstemp(inputrc));
    write_inputrc(inputrc);
    setenv("LC_ALL", "C.UTF-8", 1);
    setlocale(LC_ALL, "");
#define EDIT_TEST(f) cmocka_unit_test_setup_teardown(f, open_editor, close_editor)
    const struct CMUnitTest tests[] = {
        EDIT_TEST(submit_takes_the_line),
        EDIT_TEST(utf8_is_edited_by_character),
        EDIT_TEST(ctrl_d_ends_only_an_empty_line),
        EDIT_TEST(new_lines_are_typed_not_sent),
        EDIT_TEST(paste_is_one_undo_step),
        EDIT_TEST(a_megabyte_is_one_undo_step),
        EDIT_TEST(search_shows_in_the_prompt),
        EDIT_TEST(completion_fills_the_popup),
        EDIT_TEST(editor_is_asked_for),
        EDIT_TEST(half_a_sequence_does_no_harm),
        EDIT_TEST(another_prompt),
        EDIT_TEST(inputrc_knows_our_name),
        cmocka_unit_test(history_survives_with_lines_and_mode),
        cmocka_unit_test(no_file_means_no_file),
    };
    int failed = cmocka_run_group_tests_name("line_edit", tests, NULL, NULL);
    unlink(inputrc);
    return failed;
}
