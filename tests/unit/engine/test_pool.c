/* Tests of engine/pool: every item once, from any number of threads, also after sleeping.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct visit {
    atomic_uint count[1000];
    atomic_bool ragged; /* a range that is no multiple of the grain */
    size_t n, grain;
};

static void visit(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    (void)thread;
    struct visit *v = arg;
    if (i0 % v->grain || (i1 % v->grain && i1 != v->n))
        atomic_store(&v->ragged, true);
    for (size_t i = i0; i < i1; i++)
        atomic_fetch_add(&v->count[i], 1);
}

static void check_cover(struct pool *p, size_t n, size_t grain)
{
    struct visit v = {.n = n, .grain = grain};
    pool_run(p, n, grain, visit, &v);
    assert_false(atomic_load(&v.ragged));
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(atomic_load(&v.count[i]), i < n);
}

static void covers_every_item_once(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 64, 999, 1000}, grains[] = {1, 3, 8, 64, 2000};
    for (uint32_t threads = 1; threads <= 5; threads++) {
        struct pool *p = pool_open(threads, NULL);
        assert_non_null(p);
        assert_int_equal(pool_threads(p), threads);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++)
                check_cover(p, sizes[i], grains[g]);
        pool_close(p);
    }
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void wakes_after_sleeping(void **state)
{
    (void)state;
    struct pool *p = pool_open(4, NULL);
    for (int i = 0; i < 5; i++) {
        pause_ms(20);
        check_cover(p, 1000, 1);
    }
    pool_close(p);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* Five idle threads over half a second: spinning ones would use as much again each. */
static void idle_uses_no_cpu(void **state)
{
    (void)state;
    struct pool *p = pool_open(6, NULL);
    check_cover(p, 1000, 1);
    pause_ms(100);
    double before = cpu_seconds();
    pause_ms(500);
    assert_true(cpu_seconds() - before < 0.05);
    pool_close(p);
}

static void slow_caller_side(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    if (thread != 0)  /* usually not the caller */
        pause_ms(30); /* the caller has to sleep until this is over */
    atomic_fetch_add((atomic_size_t *)arg, i1 - i0);
}

static void caller_sleeps_until_workers_finish(void **state)
{
    (void)state;
    struct pool *p = pool_open(3, NULL);
    for (int i = 0; i < 3; i++) {
        atomic_size_t done = 0;
        pool_run(p, 30, 1, slow_caller_side, &done);
        assert_int_equal(atomic_load(&done), 30);
    }
    pool_close(p);
    pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(covers_every_item_once),
        cmocka_unit_test(wakes_after_sleeping),
        cmocka_unit_test(idle_uses_no_cpu),
        cmocka_unit_test(caller_sleeps_until_workers_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
