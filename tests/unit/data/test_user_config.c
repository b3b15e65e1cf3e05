/* Precedence, problems with their lines, places.
 * SPDX-License-Identifier: MIT */
#include "data/user_config.h"
#include "tests/unit/data/store_fixture.h"

#include <locale.h>
#include <sys/stat.h>

/* ---- a fake environment ------------------------------------------------------------- */

static const char *const *variables; /* name, value, ..., NULL */

static char *get(const char *name)
{
    for (const char *const *v = variables; *v; v += 2)
        if (strcmp(v[0], name) == 0)
            return (char *)v[1];
    return NULL;
}

static struct user_config start(const char *const *environment)
{
    struct user_config c;
    variables = environment;
    user_config_init(&c, get);
    return c;
}

static const char *const home[] = {"HOME", "/home/u", NULL};

static void parse(struct user_config *c, const char *text)
{
    user_config_parse(c, text, strlen(text), "config.json");
}

static void expect_problem(const struct user_config *c, size_t i, const char *text)
{
    assert_true(i < c->n_problems);
    assert_string_equal(c->problem[i], text);
}

/* ---- tests --------------------------------------------------------------------------- */

static void table_is_complete(void **state)
{
    (void)state;
    struct user_config c = start(home);
    for (int k = 0; k < CONFIG_KEYS; k++) {
        enum config_key found;
        assert_non_null(config_info[k].name);
        assert_true(user_config_find(config_info[k].name, &found));
        assert_int_equal(found, k);
        assert_non_null(c.value[k].text); /* its default is a value it may have */
        assert_string_equal(c.value[k].from, "default");
    }
    enum config_key none;
    assert_false(user_config_find("colour", &none));
    assert_int_equal(c.n_problems, 0);
    assert_int_equal(config_int(&c, CONFIG_MAX_DOCUMENT), 50 << 20);
    assert_true(config_bool(&c, CONFIG_LOG));
    assert_int_equal(config_int(&c, CONFIG_SEED), -1);
    user_config_free(&c);
}

static void places(void **state)
{
    (void)state;
    struct user_config c = start(home);
    assert_string_equal(c.paths.config_file, "/home/u/.config/terra/config.json");
    assert_string_equal(c.paths.keys_file, "/home/u/.config/terra/keys.json");
    assert_string_equal(config_text(&c, CONFIG_DB), "/home/u/.local/share/terra/history.db");
    assert_string_equal(c.paths.models_dir, "/home/u/.local/share/terra/models");
    assert_string_equal(c.paths.prompt_history, "/home/u/.local/state/terra/prompt_history");
    assert_string_equal(c.paths.machine_file, "/home/u/.cache/terra/machine.json");
    user_config_free(&c);
    static const char *const xdg[] = {"HOME",
                                      "/home/u",
                                      "XDG_CONFIG_HOME",
                                      "/c",
                                      "XDG_DATA_HOME",
                                      "relative/ignored",
                                      "XDG_STATE_HOME",
                                      "",
                                      "XDG_CACHE_HOME",
                                      "/k",
                                      NULL};
    c = start(xdg);
    assert_string_equal(c.paths.config_dir, "/c/terra");
    assert_string_equal(c.paths.data_dir, "/home/u/.local/share/terra");
    assert_string_equal(c.paths.state_dir, "/home/u/.local/state/terra");
    assert_string_equal(c.paths.cache_dir, "/k/terra");
    user_config_free(&c);
    static const char *const nothing[] = {NULL};
    c = start(nothing);
    assert_string_equal(c.paths.config_file, "");
    assert_string_equal(config_text(&c, CONFIG_DB), "");
    user_config_free(&c);
}

static void precedence(void **state)
{
    (void)state;
    static const char *const environment[] = {"HOME",        "/home/u",    "TERRA_THREADS", "3",
                                              "TERRA_MODEL", "/env/model", "NO_COLOR",      "",
                                              NULL};
    struct err e = {0};
    struct user_config c = start(environment);
    parse(&c, "{\n \"threads\": 2,\n \"temp\": 0.5, \"model\": \"/file/model\"}");
    assert_int_equal(config_int(&c, CONFIG_THREADS), 3);
    assert_string_equal(c.value[CONFIG_THREADS].from, "$TERRA_THREADS");
    assert_int_equal(c.value[CONFIG_THREADS].origin, CONFIG_ENV);
    assert_string_equal(config_text(&c, CONFIG_MODEL), "/env/model");
    assert_true(config_real(&c, CONFIG_TEMP) == 0.5);
    assert_string_equal(c.value[CONFIG_TEMP].from, "config.json:3");
    parse(&c, "{\"db\": \"~/d/h.db\", \"style\": \"~/x\"}");
    assert_string_equal(config_text(&c, CONFIG_DB), "/home/u/d/h.db");
    assert_string_equal(config_text(&c, CONFIG_STYLE), "~/x"); /* not a path */
    must(user_config_set(&c, CONFIG_THREADS, "4", CONFIG_FLAG, "--threads", &e));
    assert_int_equal(config_int(&c, CONFIG_THREADS), 4);
    must(user_config_set(&c, CONFIG_THREADS, "5", CONFIG_ENV, "late", &e)); /* too weak */
    assert_int_equal(config_int(&c, CONFIG_THREADS), 4);
    assert_string_equal(config_text(&c, CONFIG_COLOR), "auto"); /* NO_COLOR is empty */
    user_config_free(&c);
    static const char *const no_color[] = {"NO_COLOR", "1", "TERRA_THREADS", "many", NULL};
    c = start(no_color);
    assert_string_equal(config_text(&c, CONFIG_COLOR), "never");
    assert_string_equal(c.value[CONFIG_COLOR].from, "$NO_COLOR");
    assert_int_equal(config_int(&c, CONFIG_THREADS), 0);
    expect_problem(&c, 0, "$TERRA_THREADS: threads: \"many\" is not a whole number");
    user_config_free(&c);
}

static void options_are_checked(void **state)
{
    (void)state;
    static const struct {
        enum config_key key;
        const char *text, *why; /* NULL: fine */
    } t[] = {
        {CONFIG_TOP_P, "0.9", NULL},
        {CONFIG_TOP_P, "1.5", "top_p: 1.5 is not between 0 and 1"},
        {CONFIG_TOP_P, "0,9", "top_p: \"0,9\" is not a number"},
        {CONFIG_TOP_P, "nan", "top_p: \"nan\" is not a number"},
        {CONFIG_TOP_P, "", "top_p: \"\" is not a number"},
        {CONFIG_TEMP, "1e999", "temp: 1e999 is not between 0 and 100"},
        {CONFIG_TOP_K, "2.5", "top_k: \"2.5\" is not a whole number"},
        {CONFIG_TOP_K, "-1", "top_k: -1 is not between 0 and 1000000"},
        {CONFIG_TOP_K, "1x", "top_k: \"1x\" is not a whole number"},
        {CONFIG_MODE, "masked", NULL},
        {CONFIG_MODE, "mask", "mode: \"mask\" is none of sparse|masked|open"},
        {CONFIG_MODE, "", "mode: \"\" is none of sparse|masked|open"},
        {CONFIG_LOG, "off", NULL},
        {CONFIG_LOG, "maybe", "log: \"maybe\" is not true or false"},
        {CONFIG_MAX_DOCUMENT, "2G", NULL},
        {CONFIG_MAX_DOCUMENT, "1.5k", NULL},
        {CONFIG_MAX_DOCUMENT, "M", "max_document: \"M\" is not a number"},
        {CONFIG_MAX_DOCUMENT, "0", "max_document: 0 is not between 1 and 9007199254740992"},
    };
    assert_non_null(setlocale(LC_ALL, "de_DE.UTF-8")); /* a decimal comma changes nothing */
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err e = {0};
        struct user_config c = start(home);
        bool ok = user_config_set(&c, t[i].key, t[i].text, CONFIG_FLAG, "--x", &e);
        assert_int_equal(ok, t[i].why == NULL);
        if (t[i].why) {
            assert_string_equal(e.msg, t[i].why);
            assert_int_equal(e.kind, ERR_USAGE);
            assert_string_equal(c.value[t[i].key].from, "default");
        }
        user_config_free(&c);
    }
    setlocale(LC_ALL, "C");
    struct user_config c = start(home);
    user_config_set(&c, CONFIG_MAX_DOCUMENT, "1.5k", CONFIG_FLAG, "--x", NULL);
    assert_int_equal(config_int(&c, CONFIG_MAX_DOCUMENT), 1536);
    user_config_free(&c);
}

static void file_problems_have_lines(void **state)
{
    (void)state;
    struct user_config c = start(home);
    parse(&c, "{\n"
              "  \"tmep\": 1,\n"
              "  \"temp\": \"hot\",\n"
              "  \"nested\": {\"temp\": 3},\n"
              "  \"top_k\": 10,\n"
              "  \"mode\": \"sparsely\", \"with \\\"quote\": 1,\n"
              "  \"log\": 1,\n"
              "  \"threads\": -3,\n"
              "  \"top_k\": 20\n"
              "}\n");
    expect_problem(&c, 0, "config.json:2: unknown key \"tmep\"; did you mean \"temp\"?");
    expect_problem(&c, 1, "config.json:3: temp: wrong type of value");
    expect_problem(&c, 2, "config.json:4: unknown key \"nested\"");
    expect_problem(&c, 3, "config.json:6: mode: \"sparsely\" is none of sparse|masked|open");
    expect_problem(&c, 4, "config.json:6: unknown key \"with \"quote\"");
    expect_problem(&c, 5, "config.json:7: log: wrong type of value");
    expect_problem(&c, 6, "config.json:8: threads: -3 is not between 0 and 1024");
    assert_int_equal(c.n_problems, 7);
    assert_int_equal(config_int(&c, CONFIG_TOP_K), 20); /* the last one counts */
    assert_string_equal(c.value[CONFIG_TOP_K].from, "config.json:9");
    assert_true(config_real(&c, CONFIG_TEMP) == 0);
    user_config_free(&c);
}

static void broken_files_leave_defaults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *problem;
    } t[] = {
        {"{\n\"temp\": 1,\n oops }", "config.json:3: not valid JSON; not read"},
        {"", "config.json:1: not valid JSON; not read"},
        {"[1]", "config.json:1: not one JSON object; not read"},
        {"{\"temp\": 1} x", "config.json:1: not one JSON object; not read"},
        {"{\"temp\": 1", "config.json:1: not valid JSON; not read"},
        {"{\"a\":\n[[[[[[[[[[[[", "config.json:2: nested deeper than 8; not read"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct user_config c = start(home);
        parse(&c, t[i].text);
        expect_problem(&c, 0, t[i].problem);
        assert_int_equal(c.n_problems, 1);
        assert_true(config_real(&c, CONFIG_TEMP) == 0);
        user_config_free(&c);
    }
    struct user_config c = start(home);
    struct buf b = {0};
    for (int i = 0; i < 1 << 21; i++)
        buf_add_byte(&b, '[');
    user_config_parse(&c, b.data, b.len, "config.json");
    expect_problem(&c, 0, "config.json: larger than 1048576 bytes; not read");
    buf_free(&b);
    parse(&c, "{\"model\": \"\x1b[31m\"}"); /* cJSON takes it; nobody prints it raw */
    for (int i = 0; i < 100; i++)
        parse(&c, "{\"\\u001b[31m\": 1}");
    assert_int_equal(c.n_problems, 32);
    for (size_t i = 0; i < c.n_problems; i++)
        assert_null(strchr(c.problem[i], 0x1b));
    user_config_free(&c);
}

static void key_bindings(void **state)
{
    (void)state;
    struct user_config c = start(home);
    const char *text =
        "{\"stop\": \"C-c\",\n \"quit\": [\"q\", \"C-q\", 5],\n \"help\": null,\n"
        " \"zoom\": 7}";
    user_config_parse_keys(&c, text, strlen(text), "keys.json");
    assert_int_equal(c.n_bindings, 4);
    assert_string_equal(c.binding[0].command, "stop");
    assert_string_equal(c.binding[0].key, "C-c");
    assert_int_equal(c.binding[0].line, 1);
    assert_string_equal(c.binding[2].key, "C-q");
    assert_int_equal(c.binding[2].line, 2);
    assert_string_equal(c.binding[3].command, "help");
    assert_null(c.binding[3].key);
    expect_problem(&c, 0, "keys.json:2: quit: a key must be a string");
    expect_problem(&c, 1, "keys.json:4: zoom: wanted a key, a list of keys or null");
    user_config_free(&c);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void files_are_found(void **state)
{
    (void)state;
    char base[100], dir[120], file[160], named[160];
    struct err e = {0};
    struct stat st;
    snprintf(base, sizeof base, "%s/xdg", scratch_dir());
    snprintf(dir, sizeof dir, "%s/terra", base);
    must(user_config_make_dir(dir, &e));
    must(user_config_make_dir(dir, &e));
    assert_int_equal(stat(base, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_false(user_config_make_dir("/proc/no/such", &e));
    assert_false(user_config_make_dir("", &e));
    snprintf(file, sizeof file, "%s/config.json", dir);
    snprintf(named, sizeof named, "%s/other.json", dir);

    const char *environment[] = {"XDG_CONFIG_HOME", base, NULL, NULL, NULL};
    struct user_config c = start(environment);
    must(user_config_load(&c, NULL, &e)); /* nothing there, nothing wrong */
    assert_int_equal(c.n_problems, 0);
    put(file, "{\"temp\": 1}");
    put(named, "{\"temp\": 2}");
    must(user_config_load(&c, NULL, &e));
    assert_true(config_real(&c, CONFIG_TEMP) == 1);
    user_config_free(&c);

    environment[2] = "TERRA_CONFIG";
    environment[3] = named;
    c = start(environment);
    must(user_config_load(&c, NULL, &e));
    assert_true(config_real(&c, CONFIG_TEMP) == 2);
    must(user_config_load(&c, file, &e)); /* --config is stronger */
    assert_true(config_real(&c, CONFIG_TEMP) == 1);
    assert_false(user_config_load(&c, "/nonexistent.json", &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_string_equal(e.msg, "no such file: /nonexistent.json");
    must(user_config_load(&c, dir, &e)); /* a folder: a problem, not the end */
    assert_int_equal(c.n_problems, 1);
    user_config_free(&c);
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
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(places),
        cmocka_unit_test(precedence),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(file_problems_have_lines),
        cmocka_unit_test(broken_files_leave_defaults),
        cmocka_unit_test(key_bindings),
        cmocka_unit_test(files_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
