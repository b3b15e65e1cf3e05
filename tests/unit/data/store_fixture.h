/* store_fixture.h - what the store's tests share: a scratch folder, a model, a session,
 * runs with made-up tokens and choices.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_TEST_STORE_FIXTURE_H
#define TERRA_TEST_STORE_FIXTURE_H

#include "data/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#define LAYERS 2
#define BLOCKS 6
#define UNITS  8
#define PLACES (LAYERS * BLOCKS)

/* Fails with the store's own message. */
#define must(call)                                                                             \
    do {                                                                                       \
        if (!(call))                                                                           \
            fail_msg("%s: %s", #call, e.msg);                                                  \
    } while (0)

static inline const char *scratch_dir(void)
{
    static char dir[64];
    if (!*dir) {
        snprintf(dir, sizeof dir, "/tmp/terra-store-XXXXXX");
        assert_non_null(mkdtemp(dir));
    }
    return dir;
}

/* SQL behind the store's back. */
static inline void raw(const char *file, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static inline void remove_scratch(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", scratch_dir());
    assert_int_equal(system(command), 0);
}

static inline struct store *open_at(const char *path)
{
    struct err e = {0};
    struct store *s = store_open(&(struct store_opts){.path = path, .busy_ms = 200}, NULL, &e);
    if (!s)
        fail_msg("%s", e.msg);
    return s;
}

/* The choices of row r: some follow the row, the rest stay. */
static inline uint16_t unit_at(uint32_t row, uint32_t place)
{
    if (place == PLACES - 1)
        return TRACE_NONE; /* the last layer is narrower */
    return (uint16_t)(place % 3 ? place % UNITS : (row * 5 + place) % UNITS);
}

struct made {
    struct store_token token[256];
    char text[256][16];
    uint16_t unit[256 * PLACES];
    uint8_t alive[256 * PLACES];
    float margin[256 * PLACES];
};

/* Tokens pos .. pos+n-1 into the first n places. */
static inline void make_tokens(struct made *m, uint32_t pos, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = pos + i;
        int len = snprintf(m->text[i], sizeof m->text[i], "w%u ", at);
        m->token[i] = (struct store_token){.id = (int32_t)at + 10,
                                           .logprob = -0.5f * (float)(at % 7),
                                           .ns = 1000000 + at,
                                           .part_us = {1, 2, 3, 4, 5, 6, at},
                                           .bytes = 5000000000u + at,
                                           .zero = at % 4,
                                           .n_top = 2,
                                           .top = {{(int32_t)at + 10, -0.1f}, {7, -2.5f}},
                                           .text = m->text[i],
                                           .n_text = (size_t)len};
        for (uint32_t k = 0; k < PLACES; k++) {
            m->unit[i * PLACES + k] = unit_at(at, k);
            m->alive[i * PLACES + k] = (at + k) % 3 != 0;
            m->margin[i * PLACES + k] = 0.25f * (float)(1 + (at + k) % 4);
        }
    }
}

static inline bool append(struct store *s, int64_t run, uint32_t pos, uint32_t n, struct err *e)
{
    struct made *m = calloc(1, sizeof *m);
    assert_non_null(m);
    assert_true(n <= 256);
    make_tokens(m, pos, n);
    struct store_trace t = {.stage = STORE_DEC,
                            .pos = pos,
                            .n = n,
                            .layers = LAYERS,
                            .blocks = BLOCKS,
                            .units = UNITS,
                            .unit = m->unit,
                            .alive = m->alive,
                            .margin = m->margin};
    bool ok = store_run_append(s, run, pos, m->token, n, &t, 1, e);
    free(m);
    return ok;
}

static inline int64_t new_model(struct store *s)
{
    struct err e;
    int64_t id = 0;
    struct store_model m = {
        .header_sha256 = {1, 2, 3}, .bytes = 77, .path = "/m", .config = "{}"};
    must(store_model_put(s, &m, &id, &e));
    return id;
}

static inline int64_t new_session(struct store *s, const char *title)
{
    struct err e;
    int64_t id = 0;
    must(store_session_new(s, title, &id, &e));
    return id;
}

static inline int64_t begin_run(struct store *s, int64_t session, const char *prompt)
{
    struct err e;
    int64_t id = 0;
    struct store_run r = {.session = session,
                          .model = new_model(s),
                          .chunk = -1,
                          .prompt = prompt,
                          .n_prompt = strlen(prompt),
                          .params = "{\"temp\":0}",
                          .seed = 0xFFFFFFFFFFFFFFFFu,
                          .build = "0.1 test",
                          .host = "here",
                          .n_in = 12,
                          .n_read = 12};
    must(store_run_begin(s, &r, &id, &e));
    return id;
}

static inline int64_t whole_run(struct store *s, int64_t session, const char *prompt,
                                const char *output)
{
    struct err e;
    int64_t run = begin_run(s, session, prompt);
    must(store_run_end(s, run,
                       &(struct store_run_end){
                           .status = STORE_DONE, .output = output, .n_output = strlen(output)},
                       &e));
    return run;
}

#endif
