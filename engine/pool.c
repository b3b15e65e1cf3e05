/* pool.c - workers that wait for a ticket number to change.
 *
 * A run publishes the job, then raises `ticket`.  Workers watch it: first spinning, then
 * asleep on `wake`.  The last worker to finish brings `left` to 0, which the caller
 * watches in the same two steps.  The sleeping sides use sequentially consistent
 * "announce, then look again" on both ends, so no wake-up is lost.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/pool.h"

#include "engine/base/xalloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    SPINS = 20000, /* some 100 us of waiting before a thread gives its core away */
    LINE = 64
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    uint32_t number;
};

struct pool {
    _Alignas(LINE) atomic_uint ticket;
    _Alignas(LINE) atomic_uint left;
    _Alignas(LINE) atomic_uint sleepers; /* workers asleep */
    atomic_bool caller_sleeps;
    atomic_bool quit;
    pool_fn *fn;
    void *arg;
    size_t n, share; /* of a job: items in all and per thread */
    uint32_t threads, started;
    struct worker *worker;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_share(struct pool *p, uint32_t thread)
{
    size_t i0 = thread * p->share, i1 = i0 + p->share;
    if (i0 < p->n)
        p->fn(p->arg, thread, i0, i1 < p->n ? i1 : p->n);
}

static unsigned wait_ticket(struct pool *p, unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        unsigned t = atomic_load_explicit(&p->ticket, memory_order_acquire);
        if (t != seen)
            return t;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    unsigned t;
    while ((t = atomic_load(&p->ticket)) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return t;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_ticket(p, seen);
        if (atomic_load(&p->quit))
            return NULL;
        run_share(p, w->number);
        if (atomic_fetch_sub(&p->left, 1) == 1 && atomic_load(&p->caller_sleeps)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void publish(struct pool *p)
{
    atomic_fetch_add(&p->ticket, 1);
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

static void wait_done(struct pool *p)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&p->left, memory_order_acquire) == 0)
            return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->left) != 0)
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

struct pool *pool_open(uint32_t threads, struct err *e)
{
    struct pool *p = aligned_alloc(LINE, (sizeof *p + LINE - 1) / LINE * LINE);
    if (!p) {
        err_set(e, ERR_RESOURCE, "out of memory for a thread pool");
        return NULL;
    }
    *p = (struct pool){.threads = threads ? threads : 1, .started = 1};
    p->worker = xcalloc(p->threads, sizeof *p->worker);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    for (; p->started < p->threads; p->started++) {
        struct worker *w = &p->worker[p->started];
        *w = (struct worker){.pool = p, .number = p->started};
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            err_set(e, ERR_RESOURCE, "cannot start compute thread %u of %u", p->started + 1,
                    p->threads);
            pool_close(p);
            return NULL;
        }
    }
    return p;
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    publish(p);
    for (uint32_t i = 1; i < p->started; i++)
        pthread_join(p->worker[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->worker);
    free(p);
}

uint32_t pool_threads(const struct pool *p)
{
    return p->threads;
}

void pool_run(struct pool *p, size_t n, size_t grain, pool_fn *fn, void *arg)
{
    size_t pieces = (n + grain - 1) / grain;
    if (pieces == 0)
        return;
    if (p->threads == 1 || pieces == 1) {
        fn(arg, 0, 0, n);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    p->share = (pieces + p->threads - 1) / p->threads * grain;
    atomic_store_explicit(&p->left, p->threads - 1, memory_order_relaxed);
    publish(p);
    run_share(p, 0);
    wait_done(p);
}
