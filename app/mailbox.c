/* SPDX-License-Identifier: MIT */
#include "app/mailbox.h"

#include "engine/base/xalloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct half {
    struct mail slot[MAILBOX_SLOTS];
    size_t n;
};

struct mailbox {
    pthread_mutex_t lock; /* guards all below but the half the reader took */
    pthread_cond_t room;
    struct half half[2];
    int writing; /* index of the half the writer fills */
    bool wake_pending, stopped;
    int fd;
};

struct mailbox *mailbox_open(struct err *e)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        err_set(e, ERR_RESOURCE, "cannot make an event counter: %s", strerror(errno));
        return NULL;
    }
    struct mailbox *m = xcalloc(1, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->room, NULL);
    m->fd = fd;
    return m;
}

void mailbox_close(struct mailbox *m)
{
    if (!m)
        return;
    for (int h = 0; h < 2; h++)
        for (size_t i = 0; i < MAILBOX_SLOTS; i++) {
            struct mail *s = &m->half[h].slot[i];
            buf_free(&s->text);
            free(s->unit);
            free(s->margin);
            free(s->alive);
        }
    close(m->fd);
    pthread_cond_destroy(&m->room);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

int mailbox_fd(const struct mailbox *m)
{
    return m->fd;
}

static void slot_grow(struct mail *s, size_t cells)
{
    if (cells <= s->cells)
        return;
    s->unit = xrealloc(s->unit, cells, sizeof *s->unit);
    s->margin = xrealloc(s->margin, cells, sizeof *s->margin);
    s->alive = xrealloc(s->alive, cells, sizeof *s->alive);
    s->cells = cells;
}

static void slot_choices(struct mail *s, size_t cells, const uint16_t *unit,
                         const float *margin, const uint8_t *alive)
{
    if (!cells)
        return;
    slot_grow(s, cells);
    if (unit)
        memcpy(s->unit, unit, cells * sizeof *unit);
    if (margin)
        memcpy(s->margin, margin, cells * sizeof *margin);
    if (alive)
        memcpy(s->alive, alive, cells * sizeof *alive);
}

static void slot_fill(struct mail *s, const struct mail *in, const char *text, size_t n)
{
    struct mail kept = *s;
    *s = *in;
    s->text = kept.text;
    s->unit = kept.unit;
    s->margin = kept.margin;
    s->alive = kept.alive;
    s->cells = kept.cells;
    buf_clear(&s->text);
    if (n)
        buf_add(&s->text, text, n);
    if (in->kind == MAIL_TOKEN) {
        const struct terra_token *t = &in->token;
        slot_choices(s, (size_t)t->layers * t->blocks, t->unit, t->margin, t->alive);
        s->token.unit = t->unit ? s->unit : NULL;
        s->token.margin = t->margin ? s->margin : NULL;
        s->token.alive = t->alive ? s->alive : NULL;
    } else if (in->kind == MAIL_CHOICES) {
        const struct terra_choices *c = &in->choices;
        slot_choices(s, (size_t)c->n_rows * c->blocks, c->unit, c->margin, c->alive);
        s->choices.unit = s->unit;
        s->choices.margin = c->margin ? s->margin : NULL;
        s->choices.alive = c->alive ? s->alive : NULL;
    }
}

static void wake(struct mailbox *m)
{
    if (m->wake_pending)
        return;
    m->wake_pending = true;
    uint64_t one = 1;
    while (write(m->fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

bool mailbox_post(struct mailbox *m, const struct mail *in, const char *text, size_t n)
{
    pthread_mutex_lock(&m->lock);
    while (!m->stopped && m->half[m->writing].n == MAILBOX_SLOTS)
        pthread_cond_wait(&m->room, &m->lock);
    bool ok = !m->stopped;
    if (ok) {
        struct half *h = &m->half[m->writing];
        slot_fill(&h->slot[h->n++], in, text, n);
        wake(m);
    }
    pthread_mutex_unlock(&m->lock);
    return ok;
}

struct mail *mailbox_take(struct mailbox *m, size_t *n)
{
    pthread_mutex_lock(&m->lock);
    struct half *full = &m->half[m->writing];
    m->writing = !m->writing;
    m->half[m->writing].n = 0;
    if (m->wake_pending) {
        uint64_t count;
        while (read(m->fd, &count, sizeof count) < 0 && errno == EINTR)
            ;
        m->wake_pending = false;
    }
    pthread_cond_signal(&m->room);
    pthread_mutex_unlock(&m->lock);
    *n = full->n;
    return full->slot;
}

void mailbox_stop(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    m->stopped = true;
    pthread_cond_broadcast(&m->room);
    pthread_mutex_unlock(&m->lock);
}
