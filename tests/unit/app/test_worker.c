/* SPDX-License-Identifier: MIT */
#include "app/worker.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TOKENS 1000 /* more than the queue holds */
#define CELLS  6

/* A model that writes TOKENS tokens and looks at the flag between them. */
static bool fake_run(struct worker *w, struct job *j, struct err *e)
{
    uint16_t unit[CELLS];
    float margin[CELLS];
    uint8_t alive[CELLS];
    for (uint32_t i = 0; i < TOKENS; i++) {
        if (*worker_cancelled(w))
            return err_set(e, ERR_CANCELLED, "cancelled");
        for (int c = 0; c < CELLS; c++) {
            unit[c] = (uint16_t)(i + (uint32_t)c);
            margin[c] = (float)i;
            alive[c] = i % 2;
        }
        struct mail m = {.kind = MAIL_TOKEN,
                         .token = {.id = (int32_t)i,
                                   .index = i,
                                   .layers = 2,
                                   .blocks = CELLS / 2,
                                   .unit = unit,
                                   .margin = margin,
                                   .alive = alive}};
        char text[32];
        int n = snprintf(text, sizeof text, "t%u ", i);
        if (!worker_post(w, &m, text, (size_t)n))
            return err_set(e, ERR_CANCELLED, "stopped");
    }
    j->ran = true;
    return true;
}

static bool endless_run(struct worker *w, struct job *j, struct err *e)
{
    (void)j;
    while (!*worker_cancelled(w))
        if (!worker_post(w, &(struct mail){.kind = MAIL_PROGRESS}, NULL, 0))
            break;
    return err_set(e, ERR_CANCELLED, "cancelled");
}

static void wait_mail(struct worker *w)
{
    struct pollfd fd = {.fd = mailbox_fd(worker_mailbox(w)), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 20000), 1);
}

static void all_tokens_arrive_in_order(void **state)
{
    (void)state;
    struct err e = {0};
    struct worker *w = worker_open(fake_run, &e);
    assert_non_null(w);
    assert_true(worker_submit(w, job_new(JOB_SUMMARIZE)));
    assert_false(worker_submit(w, NULL)); /* one at a time */
    uint32_t next = 0;
    bool done = false;
    while (!done) {
        size_t n;
        wait_mail(w);
        struct mail *m = mailbox_take(worker_mailbox(w), &n);
        for (size_t i = 0; i < n; i++) {
            if (m[i].kind == MAIL_DONE) {
                struct job *j = worker_finish(w, &m[i]);
                assert_true(j->ran);
                assert_int_equal(m[i].err.kind, ERR_NONE);
                job_free(j);
                done = true;
                continue;
            }
            char text[32];
            snprintf(text, sizeof text, "t%u ", next);
            assert_int_equal(m[i].token.index, next);
            assert_string_equal(buf_str(&m[i].text), text);
            for (int c = 0; c < CELLS; c++)
                assert_int_equal(m[i].token.unit[c], (uint16_t)(next + (uint32_t)c));
            assert_true(m[i].token.margin[CELLS - 1] == (float)next);
            assert_int_equal(m[i].token.alive[0], next % 2);
            next++;
        }
    }
    assert_int_equal(next, TOKENS);
    assert_false(worker_busy(w));
    worker_close(w);
}

static void cancel_ends_a_job(void **state)
{
    (void)state;
    struct err e = {0};
    struct worker *w = worker_open(endless_run, &e);
    for (int round = 0; round < 3; round++) {
        assert_true(worker_submit(w, job_new(JOB_SUMMARIZE)));
        wait_mail(w);
        worker_cancel(w);
        for (bool done = false; !done;) {
            size_t n;
            wait_mail(w);
            struct mail *m = mailbox_take(worker_mailbox(w), &n);
            for (size_t i = 0; i < n; i++)
                if (m[i].kind == MAIL_DONE) {
                    assert_int_equal(m[i].err.kind, ERR_CANCELLED);
                    job_free(worker_finish(w, &m[i]));
                    done = true;
                }
        }
    }
    worker_close(w);
}

/* The queue is full and nobody reads: closing must not hang, nor leak. */
static void close_wakes_a_waiting_worker(void **state)
{
    (void)state;
    struct err e = {0};
    for (int round = 0; round < 20; round++) {
        struct worker *w = worker_open(round % 2 ? fake_run : endless_run, &e);
        struct job *j = job_new(JOB_SUMMARIZE);
        buf_add_str(&j->build, "something to free");
        assert_true(worker_submit(w, j));
        if (round % 3)
            wait_mail(w);
        worker_close(w);
    }
}

static void close_without_work(void **state)
{
    (void)state;
    worker_close(worker_open(fake_run, NULL));
    worker_close(NULL);
}

static void missing_model_is_reported(void **state)
{
    (void)state;
    struct worker *w = worker_open(NULL, NULL);
    struct job *j = job_new(JOB_OPEN);
    j->path = strdup("/nonexistent/model");
    assert_true(worker_submit(w, j));
    wait_mail(w);
    size_t n;
    struct mail *m = mailbox_take(worker_mailbox(w), &n);
    assert_int_equal(n, 1);
    assert_int_equal(m->kind, MAIL_DONE);
    assert_int_equal(m->err.kind, ERR_MODEL);
    assert_non_null(strstr(m->err.msg, "/nonexistent/model"));
    job_free(worker_finish(w, m));
    worker_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_tokens_arrive_in_order),   cmocka_unit_test(cancel_ends_a_job),
        cmocka_unit_test(close_wakes_a_waiting_worker), cmocka_unit_test(close_without_work),
        cmocka_unit_test(missing_model_is_reported),
    };
    return cmocka_run_group_tests_name("app/worker", tests, NULL, NULL);
}
