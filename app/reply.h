/* reply.h - one prompt answered on standard output, for `terra run` and `terra chat`.
 *
 * Owns:    a reply's result, until reply_close.  The session and recorder it opens are
 *          the struct cli's.
 * Errors:  ERR_INPUT when the prompt is longer than the model's context.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_REPLY_H
#define TERRA_APP_REPLY_H

#include "app/cli.h"

struct reply {
    const char *command; /* for the JSON start line */
    enum store_kind kind;
    const char *prompt;
    size_t n_prompt;
    const struct terra_ids *ids; /* the source */
    size_t n_text;               /* of its tokens those of the text */
    const char *style;           /* NULL: none */
    struct terra_sampling sampling;
    uint32_t max_tokens;
    const struct terra_ids *forced; /* target tokens to go on behind; NULL: none */
    int64_t parent;                 /* the run that wrote them; 0: not stored */
    struct terra_ids *written;      /* each new token is added; NULL: not wanted */
    struct generate_result result;
};

/* Control word, text, end symbol.  Without --style, a model that knows "continue" gets it. */
bool reply_source(struct cli *c, const char *text, size_t n, struct reply *r,
                  struct terra_ids *ids, struct err *e);
/* Sampling from the settings; session and recorder, if they are not open yet. */
bool reply_open(struct cli *c, struct reply *r, struct err *e);
bool reply_run(struct cli *c, struct reply *r, struct err *e);
void reply_close(struct cli *c, struct reply *r);

/* "31 tokens (end), first after 0.12 s ..." on standard error; not always: with -v. */
void reply_stats(struct cli *c, const struct generate_result *r, uint64_t tokens_in,
                 const struct terra_sampling *sampling, bool always);

enum store_mode reply_store_mode(const struct cli *c);
enum store_status reply_status(enum generate_stop stop);

#endif
