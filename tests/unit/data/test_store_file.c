/* How a store's file comes to be: made, refused, migrated, copied.
 * SPDX-License-Identifier: MIT */
#include "tests/unit/data/store_path.h"

#include <sys/stat.h>

/* ---- opening ---------------------------------------------------------------------- */

static void creates_private_files(void **state)
{
    (void)state;
    char deep[200], dir[170];
    struct stat st;
    struct store_report rep;
    struct err e = {0};
    snprintf(dir, sizeof dir, "%s/a", scratch_dir());
    snprintf(deep, sizeof deep, "%s/b/history.db", dir);
    mode_t old = umask(0);
    struct store *s = store_open(&(struct store_opts){.path = deep}, &rep, &e);
    umask(old);
    assert_non_null(s);
    assert_true(rep.created);
    assert_true(rep.wal);
    assert_int_equal(rep.schema_found, 0);
    assert_int_equal(rep.schema_now, 1);
    assert_int_equal(rep.trouble, STORE_FINE);
    assert_string_equal(rep.note, "");
    new_session(s, "x");
    static const char *const part[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[220];
        snprintf(name, sizeof name, "%s%s", deep, part[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    store_close(s);
    assert_int_equal(raw_int(deep, "PRAGMA application_id"), STORE_APPLICATION_ID);
    assert_int_equal(raw_int(deep, "PRAGMA user_version"), 1);
    assert_int_equal(raw_int(deep, "PRAGMA auto_vacuum"), 2);
    s = store_open(&(struct store_opts){.path = deep}, &rep, &e);
    assert_false(rep.created);
    store_close(s);
}

static void refuses_what_is_not_ours(void **state)
{
    (void)state;
    refuse(scratch_dir(), STORE_CANTOPEN);
    write_file(path,
               "just some notes, longer than a hundred bytes, so that it could be taken for "
               "the first page of a file if nobody looked at it closely enough.",
               140);
    struct stat before, after;
    stat(path, &before);
    refuse(path, STORE_FOREIGN);
    stat(path, &after);
    assert_int_equal(before.st_size, after.st_size);
    unlink(path);
    raw(path, "CREATE TABLE mine(x); INSERT INTO mine VALUES(5)");
    refuse(path, STORE_FOREIGN);
    assert_int_equal(raw_int(path, "SELECT x FROM mine"), 5);
    raw(path, "PRAGMA application_id = 7; PRAGMA user_version = 1");
    refuse(path, STORE_FOREIGN);
    write_file(path, "", 0); /* an empty file is a new one */
    store_close(open_at(path));
    struct err e;
    assert_null(store_open(
        &(struct store_opts){.path = "/nonexistent/x/y.db", .read_only = true}, NULL, &e));
    assert_null(store_open(&(struct store_opts){.path = "/proc/nothing/y.db"}, NULL, &e));
}

static void newer_files_are_only_read(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_report rep;
    struct pool p = {0};
    struct store *s = open_at(path);
    int64_t session = new_session(s, "kept"), id;
    int64_t run = whole_run(s, session, "a", "b");
    store_close(s);
    raw(path, "PRAGMA user_version = 7");
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_non_null(s);
    assert_int_equal(rep.trouble, STORE_NEWER);
    assert_true(rep.read_only);
    assert_non_null(strstr(rep.note, "schema 7, this one knows 1"));
    struct store_run r;
    must(store_run_get(s, run, &p, &r, &e));
    assert_string_equal(r.output, "b");
    assert_false(store_session_new(s, "no", &id, &e));
    assert_int_equal(store_trouble(s), STORE_READONLY);
    store_close(s);
    pool_free(&p);
    assert_int_equal(raw_int(path, "SELECT count(*) FROM session"), 1);
}

static void read_only_places_can_be_read(void **state)
{
    (void)state;
    struct store *s = open_at(path);
    int64_t session = new_session(s, "x");
    whole_run(s, session, "a", "b");
    store_close(s);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(scratch_dir(), 0555), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        struct store_report rep;
        struct store_session got;
        struct pool p = {0};
        int64_t id;
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(10);
        s = store_open(&(struct store_opts){.path = path}, &rep, &e);
        if (!s || !rep.read_only || !strstr(rep.note, "nothing will be saved"))
            _exit(11);
        if (e.kind != ERR_NONE)
            _exit(15); /* what was tried before is no error */
        if (!store_session_get(s, session, &p, &got, &e) || got.n_runs != 1)
            _exit(12);
        if (store_session_new(s, "y", &id, &e) || store_trouble(s) != STORE_READONLY)
            _exit(13);
        store_close(s);
        char other[200];
        snprintf(other, sizeof other, "%s/new.db", scratch_dir());
        s = store_open(&(struct store_opts){.path = other}, &rep, &e);
        _exit(s || rep.trouble != STORE_READONLY ? 14 : 0);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    chmod(scratch_dir(), 0700);
    chmod(path, 0600);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(WIFEXITED(status));
}

/* A file system without shared memory for the -wal index, as network disks are. */
static void without_wal_it_says_so(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_report rep;
    sqlite3_vfs *usual = sqlite3_vfs_find(NULL), *plain = sqlite3_vfs_find("unix-dotfile");
    assert_non_null(plain);
    sqlite3_vfs_register(plain, 1);
    struct store *s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_non_null(s);
    assert_false(rep.wal);
    assert_non_null(strstr(rep.note, "slower journal"));
    int64_t run = begin_run(s, new_session(s, "x"), "a");
    must(append(s, run, 0, 64, &e));
    must(store_run_end(s, run, &(struct store_run_end){.status = STORE_DONE}, &e));
    store_close(s);
    sqlite3_vfs_register(usual, 1);
    assert_true(intact(path));
}

/* ---- migration -------------------------------------------------------------------- */

static const char schema_2[] = "ALTER TABLE session ADD COLUMN colour TEXT;"
                               "CREATE TABLE extra(x INT) STRICT;"
                               "UPDATE session SET colour = 'blue';";

static struct store *open_as_2(struct store_report *rep, struct err *e, const char *second)
{
    struct migration step[] = {store_migrations[0], {2, second}};
    /* Only opening looks at the steps. */
    return store_open_with(&(struct store_opts){.path = path, .busy_ms = 10000}, step, 2, rep,
                           e);
}

static void migrates_and_keeps_a_copy(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_report rep;
    char backup[200];
    struct store *s = open_at(path);
    new_session(s, "old");
    store_close(s);
    s = open_as_2(&rep, &e, schema_2);
    assert_non_null(s);
    assert_int_equal(rep.schema_found, 1);
    assert_int_equal(rep.schema_now, 2);
    snprintf(backup, sizeof backup, "%s.v1.bak", path);
    assert_string_equal(rep.backup, backup);
    store_close(s);
    assert_true(intact(path));
    assert_int_equal(raw_int(path, "SELECT count(*) FROM session WHERE colour = 'blue'"), 1);
    assert_true(intact(backup));
    assert_int_equal(raw_int(backup, "PRAGMA user_version"), 1);
    assert_int_equal(raw_int(backup, "SELECT count(*) FROM session"), 1);
    /* This program, older than the file, reads it. */
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_non_null(s);
    assert_true(rep.read_only);
    store_close(s);
    s = open_as_2(&rep, &e, schema_2); /* nothing left to do */
    assert_int_equal(rep.schema_found, 2);
    assert_string_equal(rep.backup, "");
    store_close(s);
}

static void failed_migration_changes_nothing(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_report rep;
    struct store *s = open_at(path);
    new_session(s, "old");
    store_close(s);
    s = open_as_2(&rep, &e, "CREATE TABLE extra(x INT) STRICT; INSERT INTO nowhere VALUES(1)");
    assert_null(s);
    assert_int_equal(raw_int(path, "PRAGMA user_version"), 1);
    assert_int_equal(raw_int(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'extra'"),
                     0);
    assert_true(intact(path));
    store_close(open_at(path));
}

static void many_processes_migrate_at_once(void **state)
{
    (void)state;
    pid_t pid[6];
    struct store *s = open_at(path);
    new_session(s, "old");
    store_close(s);
    for (int i = 0; i < 6; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            struct err e = {0};
            struct store_report rep;
            struct store *mine = open_as_2(&rep, &e, schema_2);
            bool ok = mine && rep.schema_now == 2;
            if (!ok)
                fprintf(stderr, "%s\n", e.msg);
            store_close(mine);
            _exit(ok ? 0 : 1);
        }
    }
    for (int i = 0; i < 6; i++)
        expect_success(pid[i]);
    assert_true(intact(path));
    assert_int_equal(raw_int(path, "PRAGMA user_version"), 2);
}

static void many_processes_create_at_once(void **state)
{
    (void)state;
    pid_t pid[6];
    for (int i = 0; i < 6; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            struct err e = {0};
            int64_t id;
            struct store *s =
                store_open(&(struct store_opts){.path = path, .busy_ms = 10000}, NULL, &e);
            bool ok = s && store_session_new(s, "me", &id, &e);
            if (!ok)
                fprintf(stderr, "%s\n", e.msg);
            store_close(s);
            _exit(ok ? 0 : 1);
        }
    }
    for (int i = 0; i < 6; i++)
        expect_success(pid[i]);
    assert_true(intact(path));
    assert_int_equal(raw_int(path, "SELECT count(*) FROM session"), 6);
}

/* ---- copies ------------------------------------------------------------------------ */

static void backup_is_a_whole_file(void **state)
{
    (void)state;
    struct err e = {0};
    char copy[160];
    struct stat st;
    snprintf(copy, sizeof copy, "%s.copy", path);
    struct store *s = open_at(path);
    int64_t run = begin_run(s, new_session(s, "x"), "a");
    must(append(s, run, 0, 64, &e)); /* part of it is still in the -wal */
    must(store_backup(s, copy, &e));
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(store_backup(s, copy, &e)); /* never over another file */
    store_close(s);
    assert_true(intact(copy));
    assert_int_equal(raw_int(copy, "SELECT count(*) FROM token"), 64);
    store_close(open_at(copy));
}

/* Without a write-ahead log a writer keeps readers out. */
static void backup_does_not_wait_for_ever(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        char copy[160];
        sqlite3 *other;
        snprintf(copy, sizeof copy, "%s.copy", path);
        sqlite3_vfs_register(sqlite3_vfs_find("unix-dotfile"), 1);
        struct store *s = open_at(path);
        new_session(s, "x");
        if (sqlite3_open(path, &other) != SQLITE_OK ||
            sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK)
            _exit(10);
        alarm(60);
        if (store_backup(s, copy, &e) || store_trouble(s) != STORE_BUSY)
            _exit(11);
        if (!strstr(e.msg, "locked by another process") || access(copy, F_OK) == 0)
            _exit(12);
        sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_close(other);
        if (!store_backup(s, copy, &e))
            _exit(13);
        store_close(s);
        _exit(0);
    }
    expect_success(pid);
    char copy[160];
    snprintf(copy, sizeof copy, "%s.copy", path);
    assert_true(intact(copy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_path(creates_private_files),
        with_path(refuses_what_is_not_ours),
        with_path(newer_files_are_only_read),
        with_path(read_only_places_can_be_read),
        with_path(without_wal_it_says_so),
        with_path(migrates_and_keeps_a_copy),
        with_path(failed_migration_changes_nothing),
        with_path(many_processes_migrate_at_once),
        with_path(many_processes_create_at_once),
        with_path(backup_is_a_whole_file),
        with_path(backup_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
