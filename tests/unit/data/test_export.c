/* Every format, read back by another parser or compared whole.
 * SPDX-License-Identifier: MIT */
#include "data/export.h"
#include "tests/unit/data/store_fixture.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <locale.h>
#include <math.h>

struct fixture {
    struct store *s;
    int64_t session, run;
};

/* Three tokens; the second and third share a character, and one byte is malformed. */
static int setup(void **state)
{
    static struct fixture f;
    struct err e = {0};
    f.s = open_at(":memory:");
    f.session = new_session(f.s, "a title");
    f.run = begin_run(f.s, f.session, "line one\n\nline \x1b[31m \"two\"");
    struct store_token t[3] = {
        {.id = 5, .logprob = -0.25f, .ns = 500000000, .text = "say, \"hi\"\n", .n_text = 10},
        {.id = 6, .logprob = NAN, .ns = 250000000, .text = "\xFF\xC3", .n_text = 2, .zero = 1},
        {.id = 7,
         .logprob = -1,
         .ns = 250000000,
         .text = "\xA9!",
         .n_text = 2,
         .bytes = 9,
         .n_top = 1,
         .top = {{7, -1}}},
    };
    uint16_t unit[] = {0, 1, TRACE_NONE, 2, 1, TRACE_NONE, 3, 1, TRACE_NONE};
    uint8_t alive[] = {1, 0, 0, 1, 1, 0, 0, 0, 0};
    struct store_trace tr = {.stage = STORE_DEC,
                             .n = 3,
                             .layers = 1,
                             .blocks = 3,
                             .units = 4,
                             .unit = unit,
                             .alive = alive};
    must(store_run_prefilled(f.s, f.run, 40, 30, 0, 1500000000, &e));
    must(store_run_append(f.s, f.run, 0, t, 3, &tr, 1, &e));
    must(store_run_end(f.s, f.run,
                       &(struct store_run_end){.status = STORE_DONE, .decode_ns = 1000000000},
                       &e));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    store_close(((struct fixture *)*state)->s);
    return 0;
}

static char *export(const struct fixture *f, enum export_format format)
{
    struct err e = {0};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    must(export_session(f->s, f->session, format, out, &e));
    fclose(out);
    assert_int_equal(strlen(text), n);
    return text;
}

static void markdown(void **state)
{
    char *text = export(*state, EXPORT_MD);
    assert_memory_equal(text, "# a title\n\n## Run 1\n\n", 21);
    assert_non_null(strstr(text, "chat, sparse, seed 18446744073709551615, done, 3 tokens, "
                                 "3.0 tok/s, read 30 of 40\n"));
    /* Every line quoted; no escape sequence gets out. */
    assert_non_null(strstr(text, "> line one\n>\n> line \xEF\xBF\xBD[31m \"two\"\n"));
    assert_non_null(strstr(text, "\nsay, \"hi\"\n\xEF\xBF\xBD\xC3\xA9!\n"));
    assert_null(strchr(text, 0x1b));
    free(text);
}

static void check_token(const cJSON *t)
{
    assert_int_equal(cJSON_GetObjectItem(t, "i")->valueint, 1);
    assert_int_equal(cJSON_GetObjectItem(t, "id")->valueint, 6);
    assert_string_equal(cJSON_GetObjectItem(t, "bytes_b64")->valuestring, "/8M=");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(t, "logprob")));
    assert_int_equal(cJSON_GetObjectItem(t, "zero")->valueint, 1);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(t, "parts_us")), STORE_PARTS);
}

static void json(void **state)
{
    char *text = export(*state, EXPORT_JSON);
    cJSON *o = cJSON_Parse(text);
    assert_non_null(o);
    assert_int_equal(cJSON_GetObjectItem(o, "v")->valueint, 1);
    assert_string_equal(cJSON_GetObjectItem(o, "title")->valuestring, "a title");
    const cJSON *run = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "runs"), 0);
    assert_string_equal(cJSON_GetObjectItem(run, "seed")->valuestring, "18446744073709551615");
    assert_int_equal(cJSON_GetObjectItem(run, "n_read")->valueint, 30);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(run, "parent")));
    const cJSON *tokens = cJSON_GetObjectItem(run, "tokens");
    assert_int_equal(cJSON_GetArraySize(tokens), 3);
    check_token(cJSON_GetArrayItem(tokens, 1));
    assert_int_equal(
        cJSON_GetArraySize(cJSON_GetObjectItem(cJSON_GetArrayItem(tokens, 2), "top")), 1);
    cJSON_Delete(o);
    free(text);
}

static void jsonl(void **state)
{
    char *text = export(*state, EXPORT_JSONL);
    static const char *const type[] = {"session", "run", "token", "token", "token"};
    int i = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), i++) {
        cJSON *o = cJSON_Parse(line);
        assert_non_null(o);
        assert_true(i < 5);
        assert_string_equal(cJSON_GetObjectItem(o, "type")->valuestring, type[i]);
        if (i == 3)
            check_token(o);
        cJSON_Delete(o);
    }
    assert_int_equal(i, 5);
    free(text);
}

static void csv(void **state)
{
    /* The decimal point stays one, whatever the user's language. */
    assert_non_null(setlocale(LC_ALL, "de_DE.UTF-8"));
    char *text = export(*state, EXPORT_CSV);
    setlocale(LC_ALL, "C");
    assert_string_equal(
        text, "run,i,id,text,logprob,ns,ctl_us,ff_us,qkv_us,att_us,head_us,sample_us,other_us,"
              "bytes,zero\n"
              "1,0,5,\"say, \"\"hi\"\"\n\",-0.25,500000000,0,0,0,0,0,0,0,0,0\n"
              "1,1,6,\"\xEF\xBF\xBD\xEF\xBF\xBD\",,250000000,0,0,0,0,0,0,0,0,1\n"
              "1,2,7,\"\xEF\xBF\xBD!\",-1,250000000,0,0,0,0,0,0,0,9,0\n");
    free(text);
}

static void trace(void **state)
{
    char *text = export(*state, EXPORT_TRACE);
    assert_string_equal(text, "run,stage,pos,layer,block,unit,margin,alive\n"
                              "1,dec,0,0,0,0,,1\n1,dec,0,0,1,1,,0\n"
                              "1,dec,1,0,0,2,,1\n1,dec,1,0,1,1,,1\n"
                              "1,dec,2,0,0,3,,0\n1,dec,2,0,1,1,,0\n");
    free(text);
}

static void cast(void **state)
{
    char *text = export(*state, EXPORT_CAST);
    char *line = strtok(text, "\n");
    cJSON *head = cJSON_Parse(line);
    assert_int_equal(cJSON_GetObjectItem(head, "version")->valueint, 2);
    cJSON_Delete(head);
    struct {
        double at;
        const char *text;
    } want[] = {{0, "> line one\r\n\r\nline \xEF\xBF\xBD[31m \"two\"\r\n"},
                {2.0, "say, \"hi\"\r\n"},
                {2.25, "\xEF\xBF\xBD"},
                {2.5, "\xC3\xA9!"}, /* the character that two tokens make */
                {2.5, "\r\n\r\n"}};
    for (int i = 0; i < 5; i++) {
        line = strtok(NULL, "\n");
        assert_non_null(line);
        cJSON *o = cJSON_Parse(line);
        assert_true(fabs(cJSON_GetArrayItem(o, 0)->valuedouble - want[i].at) < 1e-9);
        assert_string_equal(cJSON_GetArrayItem(o, 1)->valuestring, "o");
        assert_string_equal(cJSON_GetArrayItem(o, 2)->valuestring, want[i].text);
        cJSON_Delete(o);
    }
    assert_null(strtok(NULL, "\n"));
    free(text);
}

static void failures_are_told(void **state)
{
    const struct fixture *f = *state;
    struct err e = {0};
    enum export_format format;
    assert_true(export_format_parse("jsonl", &format, &e));
    assert_int_equal(format, EXPORT_JSONL);
    for (int i = 0; i < EXPORT_FORMATS; i++) {
        assert_true(export_format_parse(export_format_name[i], &format, &e));
        assert_int_equal(format, i);
    }
    assert_true(export_format_parse("cast", &format, &e));
    assert_int_equal(format, EXPORT_CAST);
    assert_false(export_format_parse("xml", &format, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    for (int i = 0; i < EXPORT_FORMATS; i++) {
        e.kind = ERR_NONE;
        assert_false(export_run(f->s, f->run, (enum export_format)i, full, &e));
        assert_int_equal(e.kind, ERR_RESOURCE);
        clearerr(full);
    }
    assert_false(export_run(f->s, 99, EXPORT_MD, full, &e));
    assert_int_equal(e.kind, ERR_CHECK);
    assert_false(export_session(f->s, 99, EXPORT_MD, full, &e));
    fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markdown),
        cmocka_unit_test(json),
        cmocka_unit_test(jsonl),
        cmocka_unit_test(csv),
        cmocka_unit_test(trace),
        cmocka_unit_test(cast),
        cmocka_unit_test(failures_are_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
