/* mailbox.h - what the worker tells the main thread.
 *
 * Purpose: a bounded queue of events by value.  The writer copies an event into a slot
 *          whose memory is kept and reused, so that nothing is allocated per token once
 *          the slots have grown to the model's size.  A full queue makes the writer
 *          wait; nothing is ever dropped.  The reader takes everything at once and
 *          works on its half while the writer fills the other.
 * Owns:    both halves and an eventfd, from mailbox_open to mailbox_close.
 * Errors:  mailbox_open: ERR_RESOURCE.
 * Threads: one writer, one reader.  mailbox_stop may come from anywhere.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_MAILBOX_H
#define TERRA_APP_MAILBOX_H

#include "engine/base/buf.h"
#include "engine/terra.h"

#define MAILBOX_SLOTS 128

enum mail_kind {
    MAIL_PROGRESS,  /* done, total: of a prefill */
    MAIL_STEP,      /* a model run begins: step */
    MAIL_PREFILLED, /* prefill */
    MAIL_CHOICES,   /* encoder choices: choices, unit, margin, alive */
    MAIL_TOKEN,     /* token with unit, margin, alive; text */
    MAIL_TEXT,      /* text behind the last token */
    MAIL_JUDGE,     /* done, total: of the parts that are asked which summary they support */
    MAIL_STEP_END,  /* end */
    MAIL_DONE       /* the job is over: err, result */
};

struct mail_step {
    int kind;                        /* enum store_kind */
    const char *build;               /* what runs it; the job's */
    uint32_t no, of;                 /* chunk, from 1 */
    int64_t n_in, n_read;            /* tokens of the text there were, and read */
    uint16_t unit;                   /* branch: of the last pin; TERRA_NO_UNIT: none */
    const struct terra_model *model; /* compare: the side's; else NULL */
    enum terra_mode mode;            /* compare */
};

struct mail_end {
    int stop; /* enum generate_stop */
    uint64_t decode_ns;
};

struct mail {
    enum mail_kind kind;
    uint32_t job; /* number of the job it belongs to */
    int side;     /* compare: 0 or 1 */
    uint64_t done, total;
    struct mail_step step;
    struct terra_prefill_stats prefill;
    struct terra_choices choices; /* pointers into this slot */
    struct terra_token token;     /* likewise */
    struct mail_end end;
    struct err err;
    void *result;    /* MAIL_DONE: the job's own; the reader owns it */
    struct buf text; /* memory of the slot */
    /* memory of the slot */
    uint16_t *unit;
    float *margin;
    uint8_t *alive;
    size_t cells;
};

struct mailbox;

struct mailbox *mailbox_open(struct err *e);
void mailbox_close(struct mailbox *m);
int mailbox_fd(const struct mailbox *m); /* readable while something waits */

/* Copies *in (text apart) and what its pointers name.  Waits while the queue is full; after
 * mailbox_stop it returns false at once and keeps nothing. */
bool mailbox_post(struct mailbox *m, const struct mail *in, const char *text, size_t n);

/* Everything posted so far; valid until the next call. */
struct mail *mailbox_take(struct mailbox *m, size_t *n);

/* Nobody will read any more: wakes a waiting writer. */
void mailbox_stop(struct mailbox *m);

#endif
