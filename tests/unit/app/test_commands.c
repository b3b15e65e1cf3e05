/* SPDX-License-Identifier: MIT */
#include "app/commands.h"
#include "app/numbers.h"
#include "app/timeline.h"
#include "app/tui.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static enum command press(const struct command_keys *k, const char *name, unsigned scope)
{
    struct key key;
    assert_true(key_parse(name, &key));
    return command_for_key(k, &key, scope);
}

/* Every key of the table is a key, and means one thing in each scope. */
static void keys_do_not_clash(void **state)
{
    (void)state;
    for (int c = 0; c < COMMANDS; c++) {
        char names[64], *rest = names, *name;
        strcpy(names, command_info[c].keys);
        while ((name = strtok_r(rest, " ", &rest))) {
            struct key key;
            if (!key_parse(name, &key))
                fail_msg("%s: '%s' is no key", command_info[c].id, name);
            for (int d = 0; d < COMMANDS; d++) {
                char others[64], *more = others, *other;
                strcpy(others, command_info[d].keys);
                while (d != c && (command_info[d].scope & command_info[c].scope) &&
                       (other = strtok_r(more, " ", &more)))
                    if (strcmp(other, name) == 0)
                        fail_msg("'%s' is a key of %s and of %s", name, command_info[c].id,
                                 command_info[d].id);
            }
        }
    }
}

static void every_command_says_what_it_does(void **state)
{
    (void)state;
    for (int c = 0; c < COMMANDS; c++) {
        const struct command_info *i = &command_info[c];
        assert_true(*i->help != 0);
        if (!*i->keys && !*i->name)
            fail_msg("%s can neither be typed nor pressed", i->id);
        if (*i->keys && !i->scope && c != COMMAND_bye) /* C-d comes from the prompt */
            fail_msg("%s has keys that work nowhere", i->id);
        if (*i->argument && !*i->name)
            fail_msg("%s takes an argument and has no name", i->id);
        for (int d = 0; d < c; d++)
            if (*i->name && strcmp(i->name, command_info[d].name) == 0)
                fail_msg("two commands are called %s", i->name);
    }
}

/* experience.md, section 4 */
static void commands_people_expect(void **state)
{
    (void)state;
    const char *const names[] = {"help",    "new",   "load",   "summarize", "model",
                                 "set",     "save",  "rename", "open",      "export",
                                 "compare", "goto",  "layer",  "block",     "metric",
                                 "map",     "stats", "log",    "bye",       NULL};
    for (int i = 0; names[i]; i++)
        if (command_find(names[i], strlen(names[i])) == COMMANDS)
            fail_msg("no command %s", names[i]);
}

static void names_may_be_short(void **state)
{
    (void)state;
    assert_int_equal(command_find("summ", 4), COMMAND_summarize);
    assert_int_equal(command_find("load x", 4), COMMAND_load);
    assert_int_equal(command_find("s", 1), COMMANDS); /* several */
    assert_int_equal(command_find("", 0), COMMANDS);
    assert_string_equal(command_nearest("sumarize", 8), "summarize");
    assert_string_equal(command_nearest("laod", 4), "load");
    assert_null(command_nearest("qwertyuiop", 10));
}

static void scopes_decide(void **state)
{
    (void)state;
    struct command_keys *k = command_keys_open(NULL);
    assert_int_equal(press(k, "m", IN_MAIN), COMMAND_metric);
    assert_int_equal(press(k, "m", IN_SESSIONS), COMMANDS);
    assert_int_equal(press(k, "m", IN_PROMPT), COMMANDS);
    assert_int_equal(press(k, "F1", IN_PROMPT), COMMAND_help);
    assert_int_equal(press(k, "B", IN_COMPARE), COMMAND_against);
    assert_int_equal(press(k, "c", IN_MAIN), COMMAND_compare);
    assert_int_equal(press(k, "Left", IN_INSPECT), COMMAND_token_prev);
    command_keys_close(k);
}

static void bindings_of_the_person(void **state)
{
    (void)state;
    struct user_config c;
    user_config_init(&c, no_environment);
    const char *text = "{\"metric\": [\"w\", \"v\"],\n \"pin\": \"m\",\n \"zoom\": \"h\",\n"
                       " \"zap\": \"k\",\n \"copy\": \"no such key\",\n \"freeze\": null}";
    user_config_parse_keys(&c, text, strlen(text), "keys.json");
    assert_int_equal(c.n_problems, 0);
    struct command_keys *k = command_keys_open(&c);
    assert_int_equal(press(k, "w", IN_MAIN), COMMAND_metric);
    assert_int_equal(press(k, "v", IN_MAIN), COMMAND_metric);
    assert_int_equal(press(k, "m", IN_MAIN), COMMAND_pin); /* free by then */
    assert_int_equal(press(k, "h", IN_MAIN), COMMAND_token_prev);
    assert_int_equal(press(k, "p", IN_MAIN), COMMANDS);
    assert_int_equal(c.n_problems, 3);
    assert_non_null(strstr(c.problem[0], "already the key of token_prev"));
    assert_non_null(strstr(c.problem[1], "no such command"));
    assert_non_null(strstr(c.problem[2], "is not a key"));
    struct buf names = {0};
    command_key_names(k, COMMAND_metric, &names);
    assert_string_equal(buf_str(&names), "w v");
    buf_free(&names);
    command_keys_close(k);
    user_config_free(&c);
}

static void list_for_the_manual(void **state)
{
    (void)state;
    struct buf out = {0};
    tui_keys(&out);
    size_t lines = 0;
    for (size_t i = 0; i < out.len; i++)
        lines += out.data[i] == '\n';
    assert_int_equal(lines, COMMANDS);
    assert_non_null(strstr(buf_str(&out), "m\tmain\tmetric [NAME]\t"));
    buf_free(&out);
}

static bool explained(const char *word)
{
    for (int i = 0; i < NUMBERS; i++)
        if (number_called(&number_info[i], word))
            return true;
    return false;
}

/* experience.md: `?` on any number explains it. */
static void every_number_is_explained(void **state)
{
    (void)state;
    static const char *const shown[] = {
        "p99",   "TTFT",   "tok/s", "bw",    "peak",     "ent",      "eff",    "mgn",
        "flips", "zero",   "BIT",   "tok",   "coverage", "entropy",  "margin", "unused",
        "id",    "chance", "db",    "DIFF@", "max|d|",   "speed-up", "GB/s",   "prefill"};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (!explained(shown[i]))
            fail_msg("'%s' is not explained", shown[i]);
    for (int i = 0; i < METRICS; i++)
        if (!explained(metric_name[i]))
            fail_msg("metric %s is not explained", metric_name[i]);
    for (int i = 0; i < TERRA_PARTS; i++)
        if (!explained(terra_part_name[i]))
            fail_msg("part %s is not explained", terra_part_name[i]);
    assert_false(explained("eve")); /* of "every" */
    assert_false(explained(""));
    assert_true(explained("ttft"));
}

/* The list of the help view at 160x48 has 15 columns for names and 53 for texts. */
static void numbers_fit_the_help_view(void **state)
{
    (void)state;
    for (int i = 0; i < NUMBERS; i++) {
        const struct number_info *n = &number_info[i];
        if (strlen(n->name) > 15 || strlen(n->text) > 53)
            fail_msg("%s: %s", n->name, n->text);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(n->name, number_info[k].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_do_not_clash),
        cmocka_unit_test(every_command_says_what_it_does),
        cmocka_unit_test(commands_people_expect),
        cmocka_unit_test(names_may_be_short),
        cmocka_unit_test(scopes_decide),
        cmocka_unit_test(bindings_of_the_person),
        cmocka_unit_test(list_for_the_manual),
        cmocka_unit_test(every_number_is_explained),
        cmocka_unit_test(numbers_fit_the_help_view),
    };
    return cmocka_run_group_tests_name("app/commands", tests, NULL, NULL);
}
