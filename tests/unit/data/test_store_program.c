/* A store that could not be reopened; and, called with arguments, the program that
 * the scripts in tests/store start, kills and starves:
 *   write PATH       appends to one run without end; prints "made N" and "kept N"
 *   once PATH N MS   one run of N tokens, waiting MS for locks; prints its trouble, exit
 *                    status 5 if it has one
 *   open PATH        opens; prints what was found as JSON
 *   read PATH        reads everything there is
 * SPDX-License-Identifier: MIT */
#include "engine/base/json_out.h"
#include "tests/unit/data/store_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>

#define PATIENT_MS 20000

/* ---- the program ------------------------------------------------------------------- */

static int failed(const struct err *e)
{
    printf("%s\n", e->msg);
    return e->kind ? (int)e->kind : 1;
}

static struct store *start(const char *path, uint32_t busy_ms, struct store_report *rep,
                           struct err *e)
{
    return store_open(&(struct store_opts){.path = path, .busy_ms = busy_ms}, rep, e);
}

static int write_forever(const char *path)
{
    struct err e = {0};
    struct store *s = start(path, PATIENT_MS, NULL, &e);
    if (!s)
        return failed(&e);
    int64_t run = begin_run(s, new_session(s, NULL), "endless");
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (uint32_t pos = 0;; pos += 64) {
        for (uint32_t made = pos + 8; made <= pos + 64; made += 8) {
            printf("made %u\n", made);
            usleep(200);
        }
        if (!append(s, run, pos, 64, &e))
            return failed(&e);
        printf("kept %u\n", pos + 64);
    }
}

static int write_once(const char *path, uint32_t n, uint32_t busy_ms)
{
    struct err e = {0};
    struct store *s = start(path, busy_ms, NULL, &e);
    if (!s)
        return failed(&e);
    int64_t session, run;
    bool ok = store_session_new(s, "once", &session, &e);
    struct store_model m = {.header_sha256 = {1}, .bytes = 1};
    struct store_run r = {.session = session, .prompt = "once", .n_prompt = 4, .chunk = -1};
    ok = ok && store_model_put(s, &m, &r.model, &e) && store_run_begin(s, &r, &run, &e);
    for (uint32_t pos = 0; ok && pos < n; pos += 50)
        ok = append(s, run, pos, n - pos < 50 ? n - pos : 50, &e);
    ok = ok && store_run_end(s, run, &(struct store_run_end){.status = STORE_DONE}, &e);
    int trouble = store_trouble(s);
    store_close(s);
    if (ok)
        return 0;
    printf("trouble %d\n", trouble);
    return failed(&e);
}

static int open_and_report(const char *path)
{
    struct err e = {0};
    struct store_report rep;
    struct store *s = start(path, PATIENT_MS, &rep, &e);
    struct buf b = {0};
    json_open(&b, NULL, '{');
    json_bool(&b, "open", s != NULL);
    json_int(&b, "trouble", rep.trouble);
    json_int(&b, "interrupted", rep.interrupted);
    json_cstr(&b, "error", s ? NULL : e.msg);
    json_close(&b, '}');
    puts(buf_str(&b));
    buf_free(&b);
    store_close(s);
    return 0;
}

static bool read_run(struct store *s, int64_t run, struct pool *p, struct err *e)
{
    struct store_token *t;
    struct store_trace tr;
    struct store_run r;
    size_t n;
    return store_run_get(s, run, p, &r, e) && store_tokens(s, run, p, &t, &n, e) &&
           store_trace_get(s, run, STORE_DEC, p, &tr, e);
}

static int read_all(const char *path)
{
    struct err e = {0};
    struct pool p = {0};
    struct store *s = start(path, PATIENT_MS, NULL, &e);
    if (!s)
        return failed(&e);
    struct store_session *list = NULL;
    struct store_hit *hit;
    struct store_stat stat;
    struct store_use use;
    size_t n = 0, n_hits;
    bool ok = store_session_list(s, &(struct store_list_opts){0}, &p, &list, &n, NULL, &e);
    for (size_t i = 0; ok && i < n; i++) {
        struct store_run *run;
        size_t n_runs;
        ok = store_run_list(s, list[i].id, &p, &run, &n_runs, &e);
        for (size_t k = 0; ok && k < n_runs; k++)
            ok = read_run(s, run[k].id, &p, &e);
    }
    ok = ok && store_search(s, "once w1", 10, &p, &hit, &n_hits, &e) &&
         store_stat(s, &stat, &e) &&
         store_use(s, &(struct store_use_opts){.stage = STORE_DEC}, &p, &use, &e);
    pool_free(&p);
    store_close(s);
    return ok ? 0 : failed(&e);
}

/* ---- the test ------------------------------------------------------------------------ */

static void a_store_that_is_not_open_only_fails(void **state)
{
    (void)state;
    char path[128];
    struct err e = {0};
    struct pool p = {0};
    struct store_stat stat;
    struct store_run run;
    struct store_report rep;
    int64_t id;
    size_t n;
    snprintf(path, sizeof path, "%s/shut.db", scratch_dir());
    struct store *s = open_at(path);
    begin_run(s, new_session(s, "x"), "a");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0); /* a folder in its place */
    assert_false(append(s, 1, 0, 4, &e));
    assert_int_equal(store_trouble(s), STORE_GONE);
    assert_false(store_reopen(s, &rep, &e));
    assert_int_equal(rep.trouble, STORE_CANTOPEN);
    assert_false(append(s, 1, 0, 4, &e));
    assert_int_equal(store_trouble(s), STORE_GONE); /* so that reopening is tried again */
    assert_false(store_session_new(s, "x", &id, &e));
    assert_false(store_run_get(s, 1, &p, &run, &e));
    assert_false(store_stat(s, &stat, &e));
    assert_false(store_check(s, &e));
    assert_false(store_backup(s, "/tmp/never", &e));
    struct store_session *list;
    assert_false(store_session_list(s, &(struct store_list_opts){0}, &p, &list, &n, &n, &e));
    assert_true(store_log_on(s));
    assert_int_equal(rmdir(path), 0);
    must(store_reopen(s, &rep, &e));
    new_session(s, "again");
    store_close(s);
    pool_free(&p);
    remove_scratch();
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        return write_forever(argv[2]);
    if (argc == 5 && strcmp(argv[1], "once") == 0)
        return write_once(argv[2], (uint32_t)strtoul(argv[3], NULL, 10),
                          (uint32_t)strtoul(argv[4], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "open") == 0)
        return open_and_report(argv[2]);
    if (argc == 3 && strcmp(argv[1], "read") == 0)
        return read_all(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_that_is_not_open_only_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
