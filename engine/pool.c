/* pool.c - one word says which pieces of the current job are still free.
 *
 * `work` holds the number of pieces and the next free one.  Everybody, the caller too,
 * takes pieces by adding one to it; what a valid claim belongs to cannot change before the
 * piece is done.  So the caller never waits for a thread that has not started: on a busy
 * machine it does the work alone.  Idle threads watch the word, first spinning, then
 * asleep on `wake`; the caller waits for the last piece in the same two steps.  Sleepers
 * announce themselves, then look again, in sequentially consistent order: no wake-up is
 * lost.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/pool.h"

#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* A thread that waits gives its core away only after this long: another program's short turn
 * on the core of the one it waits for must not put both to sleep. */
#define SPIN_NS 4000000u

enum {
    LOOKS = 256, /* between two looks at the clock */
    LINE = 64
};

struct pool {
    /* One line for the job, written by the caller: who sees `work` has the rest as well. */
    _Alignas(LINE) _Atomic uint64_t work; /* pieces << 32 | next free piece */
    pool_fn *fn;
    void *arg;
    size_t n, share;                     /* items in all and per piece */
    uint32_t helped;                     /* what `done` will be after the last job */
    _Alignas(LINE) atomic_uint done;     /* pieces that workers finished, ever */
    _Alignas(LINE) atomic_uint sleepers; /* workers asleep */
    atomic_bool caller_sleeps;
    atomic_bool quit;
    uint32_t threads, started;
    pthread_t *worker;
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

struct spin {
    uint32_t looks;
    uint64_t until;
};

/* Whether to look again. */
static inline bool spin(struct spin *s)
{
    relax();
    if (++s->looks % LOOKS)
        return true;
    uint64_t now = clock_ns();
    if (!s->until)
        s->until = now + SPIN_NS;
    return now < s->until;
}

static bool is_free(uint64_t work)
{
    return (uint32_t)work < work >> 32;
}

static void run_piece(struct pool *p, uint32_t piece)
{
    size_t i0 = piece * p->share, i1 = i0 + p->share;
    p->fn(p->arg, piece, i0, i1 < p->n ? i1 : p->n);
}

/* Takes a piece; false if none was free. */
static bool take_piece(struct pool *p, uint32_t *piece)
{
    if (!is_free(atomic_load_explicit(&p->work, memory_order_relaxed)))
        return false;
    uint64_t work = atomic_fetch_add(&p->work, 1);
    *piece = (uint32_t)work;
    return is_free(work);
}

/* A worker's piece. */
static bool help(struct pool *p)
{
    uint32_t piece;
    if (!take_piece(p, &piece))
        return false;
    run_piece(p, piece);
    atomic_fetch_add(&p->done, 1);
    if (atomic_load(&p->caller_sleeps)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->finished);
        pthread_mutex_unlock(&p->lock);
    }
    return true;
}

static void wait_work(struct pool *p)
{
    struct spin s = {0};
    do {
        if (is_free(atomic_load_explicit(&p->work, memory_order_relaxed)) ||
            atomic_load_explicit(&p->quit, memory_order_relaxed))
            return;
    } while (spin(&s));
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    /* Once: whoever is woken too late for this job spins again, ready for the next one. */
    if (!is_free(atomic_load(&p->work)) && !atomic_load(&p->quit))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
    struct pool *p = arg;
    while (!atomic_load(&p->quit)) {
        wait_work(p);
        while (help(p))
            ;
    }
    return NULL;
}

static void wake_sleepers(struct pool *p)
{
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

/* Until workers have finished all that they took. */
static void wait_done(struct pool *p)
{
    struct spin s = {0};
    do {
        if (atomic_load_explicit(&p->done, memory_order_acquire) == p->helped)
            return;
    } while (spin(&s));
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->done) != p->helped)
        pthread_cond_wait(&p->finished, &p->lock);
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
    pthread_cond_init(&p->finished, NULL);
    for (; p->started < p->threads; p->started++) {
        if (pthread_create(&p->worker[p->started], NULL, work, p) != 0) {
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
    wake_sleepers(p);
    for (uint32_t i = 1; i < p->started; i++)
        pthread_join(p->worker[i], NULL);
    pthread_cond_destroy(&p->finished);
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
    pieces = (n + p->share - 1) / p->share;
    atomic_store(&p->work, (uint64_t)pieces << 32 | 1);
    wake_sleepers(p);
    uint32_t piece = 0, mine = 0; /* the caller's first piece is never on offer */
    do {
        run_piece(p, piece);
        mine++;
    } while (take_piece(p, &piece));
    p->helped += (uint32_t)pieces - mine;
    wait_done(p);
}
