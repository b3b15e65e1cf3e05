/* store_path.h - a file of its own for every test of the store, and what is asked of such
 * files.
 *
 * Owns: nothing; the scratch folder goes when the group's cleanup runs.  Errors: fails the
 * test. Threads: one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_TESTS_STORE_PATH_H
#define TERRA_TESTS_STORE_PATH_H

#include "data/store_impl.h"
#include "tests/unit/data/store_fixture.h"

#include <sys/wait.h>

static char path[128]; /* a name of its own for every test */

static inline int fresh_path(void **state)
{
    static int n;
    (void)state;
    snprintf(path, sizeof path, "%s/%d.db", scratch_dir(), n++);
    return 0;
}

static inline int raw_int(const char *file, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int v = sqlite3_column_int(st, 0);
    if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0)
        v = 1; /* integrity_check */
    sqlite3_finalize(st);
    sqlite3_close(db);
    return v;
}

static inline bool intact(const char *file)
{
    return raw_int(file, "PRAGMA integrity_check") == 1;
}

static inline void write_file(const char *file, const char *text, size_t n)
{
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static inline void refuse(const char *file, enum store_trouble why)
{
    struct err e = {0};
    struct store_report rep;
    struct store *s = store_open(&(struct store_opts){.path = file}, &rep, &e);
    assert_null(s);
    assert_int_equal(rep.trouble, why);
    assert_int_equal(e.kind, ERR_STORE);
    assert_non_null(strstr(e.msg, file));
}

/* Waits for a child and fails with it. */
static inline void expect_success(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static inline int cleanup(void **state)
{
    (void)state;
    remove_scratch();
    return 0;
}

#define with_path(f) cmocka_unit_test_setup(f, fresh_path)

#endif
