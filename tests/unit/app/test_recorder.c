/* SPDX-License-Identifier: MIT */
#include "app/recorder_impl.h"
#include "data/trace_codec.h"

#include "app/generate.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MODEL "tests/fixtures/torch_tiny/sparse"

struct world {
    struct terra_model *model;
    struct store *store;
    struct recorder *recorder;
    char folder[64], path[96];
};

static void open_recorder(struct world *w, enum recorder_trace trace)
{
    struct recorder_opts o = {.store = w->store,
                              .model = w->model,
                              .trace = trace,
                              .build = "test",
                              .host = "here",
                              .retry_ms = 1};
    w->recorder = recorder_open(&o);
}

static int set_up(void **state)
{
    static struct world w;
    struct err e = {0};
    w = (struct world){.folder = "/tmp/terra-recorder-XXXXXX"};
    if (!mkdtemp(w.folder))
        return -1;
    snprintf(w.path, sizeof w.path, "%s/history.db", w.folder);
    struct store_opts o = {.path = w.path, .busy_ms = 20};
    w.model = terra_model_open(MODEL, &e);
    w.store = store_open(&o, NULL, &e);
    *state = &w;
    return w.model && w.store ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[512];
    recorder_close(w->recorder, NULL);
    store_close(w->store);
    terra_model_close(w->model);
    snprintf(command, sizeof command, "rm -rf '%s'", w->folder);
    return system(command);
}

/* A token whose units can be recognised. */
static void feed(struct world *w, uint32_t i, const char *text)
{
    uint16_t unit[12];
    float margin[12];
    uint8_t alive[12];
    for (uint32_t k = 0; k < 12; k++) {
        unit[k] = (uint16_t)((i + k) % 4);
        margin[k] = 1;
        alive[k] = k % 3 != 0;
    }
    struct terra_token t = {.id = (int32_t)(100 + i),
                            .index = i,
                            .ns = 1000,
                            .layers = 2,
                            .blocks = 6,
                            .unit = unit,
                            .margin = margin,
                            .alive = alive};
    recorder_token(w->recorder, &t, text, strlen(text));
}

static void begin(struct world *w, const char *prompt)
{
    struct recorder_run run = {
        .kind = STORE_CHAT, .prompt = prompt, .n_prompt = strlen(prompt), .chunk = -1};
    recorder_begin(w->recorder, &run);
    recorder_prefilled(w->recorder, 1, 2);
}

static void a_run_as_it_was(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_run run;
    struct store_token *t;
    struct store_trace tr;
    struct err e = {0};
    size_t n;
    open_recorder(w, RECORDER_DEC);
    begin(w, "hello");
    for (uint32_t i = 0; i < 150; i++)
        feed(w, i, i % 10 ? "a" : " b");
    recorder_token(w->recorder, NULL, "!", 1); /* the rest of a character */
    recorder_end(w->recorder, STORE_DONE, NULL, 99);
    int64_t id = recorder_run_id(w->recorder);
    assert_true(id > 0);
    assert_null(recorder_trouble(w->recorder));
    assert_true(store_run_get(w->store, id, &pool, &run, &e));
    assert_int_equal(run.status, STORE_DONE);
    assert_int_equal(run.n_out, 150);
    assert_int_equal(run.n_output, 150 + 15 + 1);
    assert_true(store_tokens(w->store, id, &pool, &t, &n, &e));
    assert_int_equal(n, 150);
    assert_int_equal(t[149].id, 249);
    assert_int_equal(t[10].n_text, 2);
    assert_int_equal(t[0].zero, 4);
    assert_true(store_trace_get(w->store, id, STORE_DEC, &pool, &tr, &e));
    assert_int_equal(tr.n, 150);
    for (uint32_t i = 0; i < 150; i++)
        for (uint32_t k = 0; k < 12; k++)
            assert_int_equal(tr.unit[i * 12 + k], (i + k) % 4);
    pool_free(&pool);
}

static void the_rest_of_a_character_is_the_last_tokens(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_token *t;
    struct store_trace tr;
    struct err e = {0};
    size_t n;
    open_recorder(w, RECORDER_DEC);
    begin(w, "hello");
    for (uint32_t i = 0; i < 128; i++) /* two full batches: all of them are stored */
        feed(w, i, "a");
    recorder_token(w->recorder, NULL, "!", 1);
    recorder_end(w->recorder, STORE_DONE, NULL, 99);
    int64_t id = recorder_run_id(w->recorder);
    assert_true(store_tokens(w->store, id, &pool, &t, &n, &e));
    assert_int_equal(n, 128);
    assert_int_equal(t[127].n_text, 2);
    assert_memory_equal(t[127].text, "a!", 2);
    assert_true(store_trace_get(w->store, id, STORE_DEC, &pool, &tr, &e));
    assert_int_equal(tr.n, 128);
    assert_int_equal(tr.unit[127 * 12], 127 % 4);
    pool_free(&pool);
}

static void batches_are_visible_before_the_end(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_token *t;
    struct err e = {0};
    size_t n;
    open_recorder(w, RECORDER_NONE);
    begin(w, "hello");
    for (uint32_t i = 0; i < 70; i++)
        feed(w, i, "x");
    assert_true(store_tokens(w->store, recorder_run_id(w->recorder), &pool, &t, &n, &e));
    assert_true(n >= 64);
    pool_free(&pool);
}

static void runs_share_a_session(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_run *run;
    struct err e = {0};
    size_t n;
    open_recorder(w, RECORDER_DEC);
    for (int k = 0; k < 3; k++) {
        begin(w, "again");
        feed(w, 0, "x");
        recorder_end(w->recorder, STORE_LENGTH, NULL, 1);
    }
    assert_true(store_run_list(w->store, recorder_session(w->recorder), &pool, &run, &n, &e));
    assert_int_equal(n, 3);
    pool_free(&pool);
}

/* Another connection holds the lock: events wait, and are all there afterwards. */
static void a_lock_delays_and_loses_nothing(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_run run;
    struct err e = {0};
    char command[512];
    open_recorder(w, RECORDER_DEC);
    begin(w, "hello");
    feed(w, 0, "a");
    snprintf(command, sizeof command,
             "/usr/bin/env python3 -c 'import sqlite3,sys,time; "
             "d=sqlite3.connect(\"%s\",isolation_level=None);"
             "d.execute(\"BEGIN EXCLUSIVE\"); print(1,flush=True); sys.stdin.read()' <%s/go",
             w->path, w->folder);
    char fifo[96];
    snprintf(fifo, sizeof fifo, "%s/go", w->folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    FILE *holder = popen(command, "r");
    FILE *go = fopen(fifo, "w");
    assert_int_equal(fgetc(holder), '1');
    for (uint32_t i = 1; i < 100; i++)
        feed(w, i, "b");
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    assert_non_null(recorder_trouble(w->recorder));
    assert_non_null(strstr(recorder_trouble(w->recorder), "locked"));
    fclose(go);
    pclose(holder);
    usleep(5000);
    recorder_tick(w->recorder);
    assert_null(recorder_trouble(w->recorder));
    assert_true(store_run_get(w->store, recorder_run_id(w->recorder), &pool, &run, &e));
    assert_int_equal(run.n_out, 100);
    assert_int_equal(run.status, STORE_DONE);
    assert_true(recorder_close(w->recorder, &e));
    w->recorder = NULL;
    pool_free(&pool);
}

static void a_deleted_file_is_made_anew(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_run run;
    struct store_trace tr;
    struct err e = {0};
    char command[512];
    open_recorder(w, RECORDER_DEC);
    begin(w, "hello");
    for (uint32_t i = 0; i < 80; i++)
        feed(w, i, "a");
    snprintf(command, sizeof command, "rm -f '%s' '%s-wal' '%s-shm'", w->path, w->path,
             w->path);
    assert_int_equal(system(command), 0);
    for (uint32_t i = 80; i < 160; i++)
        feed(w, i, "b");
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    assert_null(recorder_trouble(w->recorder));
    assert_true(store_run_get(w->store, recorder_run_id(w->recorder), &pool, &run, &e));
    assert_int_equal(run.n_out, 160);
    /* What the lost file had is in the new one too. */
    assert_true(store_trace_get(w->store, run.id, STORE_DEC, &pool, &tr, &e));
    assert_int_equal(tr.n, 160);
    assert_int_equal(tr.n_damaged, 0);
    for (uint32_t i = 0; i < 160; i++)
        for (uint32_t k = 0; k < 12; k++) {
            assert_int_equal(tr.unit[i * 12 + k], (i + k) % 4);
            assert_int_equal(tr.alive[i * 12 + k], k % 3 != 0);
            assert_int_equal(trace_margin_level(tr.margin[i * 12 + k]), trace_margin_level(1));
        }
    pool_free(&pool);
}

/* Another connection that writes: ours is refused. */
static sqlite3 *lock(struct world *w)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void unlock(struct world *w, sqlite3 *db)
{
    sqlite3_close(db);
    usleep(5000);
    recorder_tick(w->recorder);
    assert_null(recorder_trouble(w->recorder));
}

static void a_refused_write_waits_a_minute(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    w->recorder = recorder_open(&(struct recorder_opts){.store = w->store, .model = w->model});
    assert_int_equal(w->recorder->retry_ns, 60000000000ll);
    sqlite3 *db = lock(w);
    begin(w, "hello");
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    assert_non_null(recorder_trouble(w->recorder));
    sqlite3_close(db);
    recorder_tick(w->recorder);
    assert_non_null(recorder_trouble(w->recorder));
    assert_true(recorder_close(w->recorder, &e)); /* the last chance */
    w->recorder = NULL;
}

static int64_t one_run(struct world *w, const char *prompt)
{
    begin(w, prompt);
    feed(w, 0, "x");
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    return recorder_run_id(w->recorder);
}

static void a_deleted_session_is_left_alone(void **state)
{
    struct world *w = *state;
    struct store_pruned gone;
    struct pool pool = {0};
    struct store_run run;
    struct err e = {0};
    open_recorder(w, RECORDER_DEC);
    int64_t first = one_run(w, "a"), session = recorder_session(w->recorder);
    assert_true(store_session_delete(w->store, session, &e));
    int64_t second = one_run(w, "b"), other = recorder_session(w->recorder);
    assert_int_not_equal(other, session);
    assert_true(store_session_undelete(w->store, session, &e)); /* nothing was added to it */
    assert_true(store_run_get(w->store, first, &pool, &run, &e));
    assert_int_equal(run.session, session);
    /* The same when another process has purged it, with the document that was read. */
    struct recorder_document d = {.name = "d.txt", .body = "d", .n_body = 1, .n_tok = 1};
    recorder_document(w->recorder, &d);
    struct recorder_run r = {.kind = STORE_SUMMARY,
                             .prompt = "d",
                             .n_prompt = 1,
                             .chunk = -1,
                             .with_document = true};
    for (int i = 0; i < 2; i++) {
        recorder_begin(w->recorder, &r);
        recorder_end(w->recorder, STORE_DONE, NULL, 1);
        assert_null(recorder_trouble(w->recorder));
        assert_true(recorder_run_id(w->recorder) > second);
        assert_true(store_prune(w->store, &(struct store_prune_opts){.before_ms = INT64_MAX},
                                &gone, &e));
    }
    pool_free(&pool);
}

static void summarize(struct world *w, uint8_t number, int runs)
{
    char name[2] = {(char)('a' + number), 0};
    struct recorder_document d = {
        .name = name, .body = name, .n_body = 1, .sha256 = {number}, .n_tok = 1};
    struct recorder_run r = {
        .kind = STORE_MAP, .prompt = name, .n_prompt = 1, .chunk = -1, .with_document = true};
    recorder_document(w->recorder, &d);
    for (int i = 0; i < runs; i++) {
        recorder_begin(w->recorder, &r);
        feed(w, 0, "x");
        recorder_end(w->recorder, STORE_DONE, NULL, 1);
    }
    recorder_summary(w->recorder,
                     &(struct recorder_summary){.method = "map-reduce", .body = name});
}

/* What waits keeps its own document and summary, and a chat between is part of neither. */
static void summaries_wait_with_their_runs(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_summary *s;
    struct store_document d;
    struct store_run run;
    struct err e = {0};
    size_t n;
    open_recorder(w, RECORDER_NONE);
    one_run(w, "hello");
    sqlite3 *db = lock(w);
    for (uint8_t i = 0; i < 3; i++) {
        summarize(w, i, i + 1);
        one_run(w, "hello");
        assert_int_equal(recorder_run_id(w->recorder), 0); /* not the one before */
    }
    assert_true(recorder_waits(w->recorder));
    unlock(w, db);
    assert_false(recorder_waits(w->recorder));
    assert_true(store_summary_list(w->store, 0, &pool, &s, &n, &e));
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(s[i].n_steps, i + 1);
        assert_int_equal(s[i].body[0], 'a' + (int)i);
        assert_true(store_document_get(w->store, s[i].document, false, &pool, &d, &e));
        assert_int_equal(d.name[0], 'a' + (int)i);
        assert_true(store_run_get(w->store, s[i].run, &pool, &run, &e));
        assert_int_equal(run.document, s[i].document);
        assert_int_equal(run.prompt[0], 'a' + (int)i);
    }
    pool_free(&pool);
}

static void a_branch_is_no_step_of_a_summary(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_summary *s;
    struct store_run run;
    struct err e = {0};
    size_t n;
    open_recorder(w, RECORDER_NONE);
    summarize(w, 0, 2);
    struct recorder_run r = {.kind = STORE_SUMMARY,
                             .prompt = "a",
                             .n_prompt = 1,
                             .chunk = -1,
                             .parent = recorder_run_id(w->recorder),
                             .with_document = true,
                             .apart = true};
    recorder_begin(w->recorder, &r);
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    int64_t branch = recorder_run_id(w->recorder);
    summarize(w, 0, 2);
    assert_true(store_summary_list(w->store, 0, &pool, &s, &n, &e));
    assert_int_equal(n, 2);
    assert_int_equal(s[0].n_steps, 2);
    assert_int_equal(s[1].n_steps, 2);
    assert_true(store_run_get(w->store, branch, &pool, &run, &e));
    assert_int_equal(run.document, s[0].document);
    pool_free(&pool);
}

static void a_reply_that_goes_on_finds_its_parent(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_run run;
    struct err e = {0};
    open_recorder(w, RECORDER_NONE);
    one_run(w, "a");
    sqlite3 *db = lock(w);
    one_run(w, "b");
    struct recorder_run r = {
        .kind = STORE_CHAT, .prompt = "b", .n_prompt = 1, .chunk = -1, .parent = RECORDER_LAST};
    recorder_begin(w->recorder, &r);
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    unlock(w, db);
    int64_t id = recorder_run_id(w->recorder);
    assert_true(store_run_get(w->store, id, &pool, &run, &e));
    assert_int_equal(run.parent, id - 1);
    pool_free(&pool);
}

static void both_sides_wait_and_share_a_session(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_run *run;
    struct err e = {0};
    size_t n;
    open_recorder(w, RECORDER_NONE);
    sqlite3 *db = lock(w);
    struct recorder_opts o = {
        .store = w->store, .model = w->model, .beside = w->recorder, .retry_ms = 1};
    struct recorder *other = recorder_open(&o);
    struct recorder_run r = {
        .kind = STORE_COMPARE, .prompt = "a", .n_prompt = 1, .chunk = -1, .pair = 77};
    recorder_begin(w->recorder, &r);
    recorder_begin(other, &r);
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    recorder_end(other, STORE_DONE, NULL, 1);
    assert_true(recorder_waits(other));
    unlock(w, db);
    usleep(5000);
    recorder_tick(other);
    assert_false(recorder_waits(other));
    assert_int_equal(recorder_session(other), recorder_session(w->recorder));
    assert_true(store_run_pair(w->store, 77, &pool, &run, &n, &e));
    assert_int_equal(n, 2);
    assert_int_equal(run[0].session, run[1].session);
    assert_true(recorder_close(other, &e));
    pool_free(&pool);
}

/* The name was taken by something else for a while. */
static void a_reopening_that_failed_is_tried_again(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_run run;
    struct err e = {0};
    char command[512];
    open_recorder(w, RECORDER_DEC);
    one_run(w, "a");
    snprintf(command, sizeof command, "rm -f '%s'* && mkdir '%s'", w->path, w->path);
    assert_int_equal(system(command), 0);
    one_run(w, "b");
    assert_non_null(recorder_trouble(w->recorder));
    usleep(5000);
    recorder_tick(w->recorder);
    assert_non_null(recorder_trouble(w->recorder));
    assert_int_equal(rmdir(w->path), 0);
    usleep(5000);
    recorder_tick(w->recorder);
    assert_null(recorder_trouble(w->recorder));
    assert_true(store_run_get(w->store, recorder_run_id(w->recorder), &pool, &run, &e));
    assert_int_equal(run.prompt[0], 'b');
    pool_free(&pool);
}

/* The source's choices can only be written when all of it was read. */
static void a_long_source_may_take_more_than_what_waits(void **state)
{
    enum { ROWS = 3000 };
    struct world *w = *state;
    struct pool pool = {0};
    struct store_trace tr;
    struct err e = {0};
    const struct terra_config *c = terra_model_config(w->model);
    uint32_t blocks = terra_config_max_blocks(c);
    uint16_t *unit = calloc((size_t)ROWS * blocks, sizeof *unit);
    uint8_t *alive = calloc((size_t)ROWS * blocks, 1);
    float *margin = calloc((size_t)ROWS * blocks, sizeof *margin);
    struct recorder_opts o = {
        .store = w->store, .model = w->model, .trace = RECORDER_ALL, .memory = 100000};
    w->recorder = recorder_open(&o);
    recorder_begin(w->recorder,
                   &(struct recorder_run){.prompt = "a", .n_prompt = 1, .chunk = -1});
    for (uint32_t l = 0; l < c->n_enc; l++)
        recorder_choices(w->recorder, &(struct terra_choices){.stage = TERRA_ENCODER,
                                                              .layer = l,
                                                              .n_rows = ROWS,
                                                              .blocks = blocks,
                                                              .unit = unit,
                                                              .alive = alive,
                                                              .margin = margin});
    recorder_prefilled(w->recorder, 1, 1);
    for (uint32_t i = 0; i < 70; i++)
        feed(w, i, "x");
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    assert_null(recorder_trouble(w->recorder));
    int64_t id = recorder_run_id(w->recorder);
    assert_true(store_trace_get(w->store, id, STORE_ENC, &pool, &tr, &e));
    assert_int_equal(tr.n, ROWS);
    assert_true(store_trace_get(w->store, id, STORE_DEC, &pool, &tr, &e));
    assert_int_equal(tr.n, 70);
    free(unit);
    free(alive);
    free(margin);
    pool_free(&pool);
}

static void nul_bytes_are_bytes(void **state)
{
    struct world *w = *state;
    struct pool pool = {0};
    struct store_run run;
    struct err e = {0};
    open_recorder(w, RECORDER_DEC);
    struct recorder_run r = {.kind = STORE_CHAT, .prompt = "a\0b", .n_prompt = 3, .chunk = -1};
    recorder_begin(w->recorder, &r);
    feed(w, 0, "x");
    recorder_token(w->recorder, NULL, "\0y", 2);
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    assert_true(store_run_get(w->store, recorder_run_id(w->recorder), &pool, &run, &e));
    assert_int_equal(run.n_prompt, 3);
    assert_memory_equal(run.prompt, "a\0b", 3);
    assert_int_equal(run.n_output, 3);
    assert_memory_equal(run.output, "x\0y", 3);
    pool_free(&pool);
}

static void without_a_store_nothing_happens(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    struct recorder_opts o = {.model = w->model, .trace = RECORDER_ALL};
    w->recorder = recorder_open(&o);
    begin(w, "hello");
    feed(w, 0, "a");
    recorder_end(w->recorder, STORE_DONE, NULL, 1);
    assert_int_equal(recorder_session(w->recorder), 0);
    assert_true(recorder_close(w->recorder, &e));
    w->recorder = NULL;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_run_as_it_was),
        TEST(the_rest_of_a_character_is_the_last_tokens),
        TEST(batches_are_visible_before_the_end),
        TEST(runs_share_a_session),
        TEST(a_lock_delays_and_loses_nothing),
        TEST(a_refused_write_waits_a_minute),
        TEST(a_deleted_file_is_made_anew),
        TEST(a_deleted_session_is_left_alone),
        TEST(summaries_wait_with_their_runs),
        TEST(a_branch_is_no_step_of_a_summary),
        TEST(a_reply_that_goes_on_finds_its_parent),
        TEST(both_sides_wait_and_share_a_session),
        TEST(a_reopening_that_failed_is_tried_again),
        TEST(a_long_source_may_take_more_than_what_waits),
        TEST(nul_bytes_are_bytes),
        TEST(without_a_store_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
