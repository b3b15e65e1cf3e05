/* What can happen to a store that is in use: damage, full disks, locks, death.
 * SPDX-License-Identifier: MIT */
#include "tests/unit/data/store_path.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- damage ----------------------------------------------------------------------- */

static void damaged_file_is_found_and_set_aside(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_report rep;
    char moved[512];
    struct store *s = open_at(path);
    int64_t run = begin_run(s, new_session(s, "x"), "a");
    for (uint32_t i = 0; i < 40; i++)
        must(append(s, run, i * 64, 64, &e));
    store_close(s);
    /* Its writer died, and the disk lost pages in the middle. */
    raw(path, "UPDATE run SET pid = 999999999");
    int fd = open(path, O_RDWR);
    char junk[4096];
    memset(junk, 0xA5, sizeof junk);
    struct stat st;
    fstat(fd, &st);
    for (off_t at = st.st_size / 8192 * 4096; at < st.st_size - 4096; at += 4096)
        assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
    refuse(path, STORE_CORRUPT);
    must(store_set_aside(path, moved, &e));
    assert_int_equal(access(moved, F_OK), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_non_null(s);
    assert_true(rep.created);
    store_close(s);
    assert_false(store_set_aside("/nonexistent/db", moved, &e));
}

static void cut_file_is_damaged(void **state)
{
    (void)state;
    struct store *s = open_at(path);
    for (int i = 0; i < 30; i++)
        whole_run(s, new_session(s, "x"), "prompt", "output");
    store_close(s);
    raw(path, "UPDATE run SET status = 'running', pid = 999999999");
    struct stat st;
    stat(path, &st);
    assert_int_equal(truncate(path, st.st_size / 2 + 100), 0);
    refuse(path, STORE_CORRUPT);
}

static void damaged_chunks_are_named_not_believed(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store_trace t;
    struct store_use u;
    struct store *s = open_at(path);
    int64_t run = begin_run(s, new_session(s, "x"), "a");
    must(append(s, run, 0, 200, &e));
    store_close(s);
    raw(path,
        "UPDATE trace SET data = zeroblob(length(data)) WHERE pos = 64 AND plane = 'unit';"
        "UPDATE trace SET crc32 = 0 WHERE pos = 128 AND plane = 'margin';"
        "DELETE FROM trace WHERE pos = 0 AND plane = 'alive'");
    s = open_at(path);
    must(store_trace_get(s, run, STORE_DEC, &p, &t, &e));
    assert_int_equal(t.n, 200);
    assert_int_equal(t.n_damaged, 64);
    for (uint32_t r = 0; r < 200; r++)
        assert_int_equal(t.unit[r * PLACES], r / 64 == 1 ? TRACE_NONE : unit_at(r, 0));
    assert_true(t.margin[130 * PLACES] == 0);
    assert_true(t.margin[10 * PLACES] > 0);
    must(store_use(s, &(struct store_use_opts){.stage = STORE_DEC}, &p, &u, &e));
    assert_int_equal(u.rows, 136);
    assert_int_equal(u.damaged_rows, 64);
    /* Appending behind a damaged chunk goes on. */
    must(append(s, run, 200, 10, &e));
    must(store_trace_get(s, run, STORE_DEC, &p, &t, &e));
    assert_int_equal(t.n, 210);
    assert_int_equal(t.n_damaged, 64);
    pool_free(&p);
    store_close(s);
}

/* Numbers in a row must not decide how much memory is taken. */
static void rows_far_away_are_damaged(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store_trace t;
    struct store *s = open_at(path);
    int64_t run = begin_run(s, new_session(s, "x"), "a");
    must(append(s, run, 0, 200, &e));
    store_close(s);
    raw(path, "UPDATE trace SET pos = 4000000 WHERE pos = 192");
    s = open_at(path);
    must(store_trace_get(s, run, STORE_DEC, &p, &t, &e));
    assert_int_equal(t.n, 192);
    assert_int_equal(t.n_damaged, 8);
    assert_int_equal(t.unit[191 * PLACES], unit_at(191, 0));
    store_close(s);
    /* Rows that were lost before it are no reason to forget a chunk. */
    raw(path, "DELETE FROM trace WHERE pos < 128; UPDATE trace SET pos = 192 WHERE pos > 192");
    s = open_at(path);
    must(store_trace_get(s, run, STORE_DEC, &p, &t, &e));
    assert_int_equal(t.n, 200);
    assert_int_equal(t.n_damaged, 128);
    assert_int_equal(t.unit[199 * PLACES], unit_at(199, 0));
    pool_free(&p);
    store_close(s);
}

/* One row of many places with many units each: what is counted of it would fill a disk. */
static void a_shape_too_large_is_damaged(void **state)
{
    (void)state;
    enum { MANY = 16 * 65535 };
    struct err e = {0};
    struct pool p = {0};
    struct store_use u;
    struct store *s = open_at(path);
    int64_t run = begin_run(s, new_session(s, "x"), "a");
    must(append(s, run, 0, 64, &e));
    int64_t second = begin_run(s, new_session(s, "y"), "b");
    uint16_t *unit = calloc(MANY, sizeof *unit);
    assert_non_null(unit);
    struct store_trace t = {.stage = STORE_DEC,
                            .n = 1,
                            .layers = 16,
                            .blocks = MANY / 16,
                            .units = 65535,
                            .unit = unit};
    must(store_run_append(s, second, 0, NULL, 0, &t, 1, &e));
    free(unit);
    must(store_use(s, &(struct store_use_opts){.stage = STORE_DEC}, &p, &u, &e));
    assert_int_equal(u.damaged_rows, 1);
    assert_int_equal(u.rows, 64);
    pool_free(&p);
    store_close(s);
}

/* ---- disk and locks --------------------------------------------------------------- */

static void full_disk_can_be_retried(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        struct rlimit small = {400000, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
        signal(SIGXFSZ, SIG_IGN);
        struct store *s = open_at(path);
        int64_t run = begin_run(s, new_session(s, "x"), "a");
        setrlimit(RLIMIT_FSIZE, &small);
        uint32_t pos = 0;
        while (append(s, run, pos, 64, &e) && pos < 100000)
            pos += 64;
        if (store_trouble(s) != STORE_FULL || e.kind != ERR_STORE ||
            !strstr(e.msg, "disk full"))
            _exit(10);
        if (append(s, run, pos, 64, &e) || store_trouble(s) != STORE_FULL)
            _exit(11); /* still full */
        setrlimit(RLIMIT_FSIZE, &none);
        if (!append(s, run, pos, 64, &e))
            _exit(12);
        if (!store_run_end(s, run, &(struct store_run_end){.status = STORE_DONE}, &e))
            _exit(13);
        struct store_run r;
        struct pool p = {0};
        if (!store_run_get(s, run, &p, &r, &e) || r.n_out != pos + 64)
            _exit(14);
        pool_free(&p);
        store_close(s);
        _exit(0);
    }
    expect_success(pid);
    assert_true(intact(path));
}

/* In a child whose files cannot grow beyond `bytes`. */
static void expect_readable_with(rlim_t bytes, bool read_only, int64_t session)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        struct pool p = {0};
        struct store_report rep;
        struct store_session got;
        struct rlimit small = {bytes, RLIM_INFINITY};
        int64_t id;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        struct store *s = store_open(&(struct store_opts){.path = path}, &rep, &e);
        if (!s || e.kind != ERR_NONE || rep.read_only != read_only || rep.purged)
            _exit(10);
        if (read_only && !strstr(rep.note, "disk full: nothing will be saved"))
            _exit(11);
        if (!store_session_get(s, session, &p, &got, &e) || got.n_runs != 1)
            _exit(12);
        if (read_only && store_session_new(s, "y", &id, &e))
            _exit(13);
        pool_free(&p);
        store_close(s);
        _exit(0);
    }
    expect_success(pid);
}

static void full_disk_can_be_read(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_report rep;
    struct store *s = open_at(path);
    int64_t left = new_session(s, "left"), kept = new_session(s, "kept");
    int64_t run = begin_run(s, left, "a");
    for (uint32_t at = 0; at < 2048; at += 256)
        must(append(s, run, at, 256, &e));
    whole_run(s, kept, "b", "c");
    store_close(s);
    /* A dead process deleted one session and left its run unfinished: opening would write. */
    raw(path,
        "UPDATE run SET pid = 999999999 WHERE status = 'running';"
        "UPDATE session SET deleted_ms = 1, deleted_pid = 999999999 WHERE title = 'left'");
    expect_readable_with(40000, false, kept); /* enough for the index of a -wal */
    expect_readable_with(0, true, kept);      /* for nothing */
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_non_null(s);
    assert_int_equal(rep.interrupted, 1);
    assert_int_equal(rep.purged, 1);
    store_close(s);
    assert_true(intact(path));
}

static void another_process_holds_the_lock(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store_run r;
    sqlite3 *other;
    struct store *s = open_at(path);
    int64_t run = begin_run(s, new_session(s, "x"), "a");
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_false(append(s, run, 0, 64, &e));
    assert_int_equal(store_trouble(s), STORE_BUSY);
    assert_non_null(strstr(e.msg, "locked by another process"));
    must(store_run_get(s, run, &p, &r, &e)); /* reading goes on */
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    must(append(s, run, 0, 64, &e));
    assert_int_equal(store_trouble(s), STORE_FINE);
    sqlite3_close(other);
    pool_free(&p);
    store_close(s);
}

static void deleted_file_is_noticed_and_made_anew(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_report rep;
    char wal[160];
    struct store *s = open_at(path);
    int64_t run = begin_run(s, new_session(s, "x"), "a");
    must(append(s, run, 0, 64, &e));
    unlink(path);
    assert_false(append(s, run, 64, 64, &e));
    assert_int_equal(store_trouble(s), STORE_GONE);
    must(store_reopen(s, &rep, &e));
    assert_true(rep.created);
    run = begin_run(s, new_session(s, "x"), "a");
    must(append(s, run, 0, 128, &e));
    must(store_run_end(s, run, &(struct store_run_end){.status = STORE_DONE}, &e));

    /* All three names are gone, and somebody else has made the file again. */
    snprintf(wal, sizeof wal, "%s-wal", path);
    unlink(path);
    unlink(wal);
    snprintf(wal, sizeof wal, "%s-shm", path);
    unlink(wal);
    struct store *second = open_at(path);
    int64_t other = new_session(second, "second");
    assert_false(append(s, run, 128, 64, &e));
    assert_int_equal(store_trouble(s), STORE_GONE);
    must(store_reopen(s, &rep, &e));
    whole_run(s, other, "both", "write here");
    whole_run(second, other, "and", "here");
    store_close(s);
    store_close(second);
    assert_true(intact(path));
    assert_int_equal(raw_int(path, "SELECT count(*) FROM run"), 2);
}

static void two_processes_write_at_once(void **state)
{
    (void)state;
    pid_t pid[2];
    struct store *s = open_at(path);
    int64_t session = new_session(s, "shared");
    new_model(s);
    store_close(s);
    for (int k = 0; k < 2; k++) {
        pid[k] = fork();
        if (pid[k] == 0) {
            struct err e = {0};
            s = store_open(&(struct store_opts){.path = path, .busy_ms = 20000}, NULL, &e);
            if (!s)
                _exit(1);
            for (int i = 0; i < 15; i++) {
                int64_t run = begin_run(s, session, "p");
                for (uint32_t at = 0; at < 256; at += 64)
                    if (!append(s, run, at, 64, &e))
                        _exit(2);
                if (!store_run_end(s, run, &(struct store_run_end){.status = STORE_DONE}, &e))
                    _exit(3);
            }
            store_close(s);
            _exit(0);
        }
    }
    expect_success(pid[0]);
    expect_success(pid[1]);
    assert_true(intact(path));
    assert_int_equal(raw_int(path, "SELECT count(*) FROM token"), 2 * 15 * 256);
    assert_int_equal(raw_int(path, "SELECT count(*) FROM run WHERE status = 'done'"), 30);
}

/* ---- death ------------------------------------------------------------------------- */

static void killed_writer_leaves_an_interrupted_run(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    for (int round = 0; round < 5; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct store *s = open_at(path);
            int64_t run = begin_run(s, new_session(s, "x"), "find me");
            for (uint32_t pos = 0;; pos += 17) {
                if (!append(s, run, pos, 17, &e))
                    _exit(1);
                uint32_t done = pos + 17;
                if (write(ends[1], &done, sizeof done) != sizeof done)
                    _exit(2);
            }
        }
        close(ends[1]);
        uint32_t done = 0, next;
        while (done < 400u * (unsigned)(round + 1) &&
               read(ends[0], &next, sizeof next) == sizeof next)
            done = next;
        assert_true(done >= 400);
        /* While it lives, its run is running for everybody. */
        struct store_report rep;
        struct store *s = store_open(&(struct store_opts){.path = path}, &rep, &e);
        assert_non_null(s);
        assert_int_equal(rep.interrupted, 0);
        store_close(s);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(ends[0], &next, sizeof next) == sizeof next)
            done = next;
        close(ends[0]);

        s = store_open(&(struct store_opts){.path = path}, &rep, &e);
        if (!s)
            fail_msg("%s", e.msg);
        assert_int_equal(rep.interrupted, 1);
        int64_t run;
        struct store_run r;
        must(store_run_last(s, &run, &e));
        must(store_run_get(s, run, &p, &r, &e));
        assert_int_equal(r.status, STORE_INTERRUPTED);
        assert_true(r.n_out >= done && r.n_out <= done + 17);
        assert_true(r.decode_ns >= 1000000u * (uint64_t)r.n_out);
        assert_true(r.end_ms >= r.start_ms);
        struct store_token *t;
        size_t n, at = 0;
        must(store_tokens(s, run, &p, &t, &n, &e));
        assert_int_equal(n, r.n_out);
        for (size_t i = 0; i < n; i++) {
            assert_memory_equal(r.output + at, t[i].text, t[i].n_text);
            at += t[i].n_text;
        }
        assert_int_equal(at, r.n_output);
        struct store_session session;
        must(store_session_get(s, r.session, &p, &session, &e));
        assert_true(session.interrupted);
        struct store_hit *h;
        must(store_search(s, "w399 ", 10, &p, &h, &n, &e)); /* rebuilt text is searchable */
        assert_int_equal(n, round + 1);
        must(store_check(s, &e));
        store_close(s);
        assert_true(intact(path));
    }
    pool_free(&p);
}

static void a_reused_process_number_is_noticed(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_report rep;
    char sql[160];
    struct store *s = open_at(path);
    begin_run(s, new_session(s, "x"), "a");
    store_close(s);
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_int_equal(rep.interrupted, 0); /* we live */
    store_close(s);
    snprintf(sql, sizeof sql, "UPDATE run SET pid_start = pid_start + 1");
    raw(path, sql);
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_int_equal(rep.interrupted, 1);
    begin_run(s, new_session(s, "x"), "a");
    store_close(s);
    raw(path, "UPDATE run SET boot_id = 'another' WHERE status = 'running'");
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_int_equal(rep.interrupted, 1);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_path(damaged_file_is_found_and_set_aside),
        with_path(cut_file_is_damaged),
        with_path(damaged_chunks_are_named_not_believed),
        with_path(rows_far_away_are_damaged),
        with_path(a_shape_too_large_is_damaged),
        with_path(full_disk_can_be_retried),
        with_path(full_disk_can_be_read),
        with_path(another_process_holds_the_lock),
        with_path(deleted_file_is_noticed_and_made_anew),
        with_path(two_processes_write_at_once),
        with_path(killed_writer_leaves_an_interrupted_run),
        with_path(a_reused_process_number_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
