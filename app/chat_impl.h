/* chat_impl.h - what the files of `terra chat` share; nobody else includes it.
 *
 * Purpose: cmd_chat.c reads lines and runs prompts, chat_store.c has the commands about
 *          what is stored.
 * Owns:    struct chat, until cmd_chat ends.
 * Errors:  one line each; the chat goes on.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_CHAT_IMPL_H
#define TERRA_APP_CHAT_IMPL_H

#include "app/reply.h"

struct chat {
    struct cli c;
    struct document doc;             /* of /load; text NULL: none */
    struct buf last;                 /* last prompt, for /again and /compare */
    struct reply reply;              /* its result, for /stats */
    struct terra_ids source, target; /* of the last reply, for /continue */
    const struct terra_model *by;    /* what wrote it; NULL: nothing */
    int64_t run;                     /* as it is stored, RECORDER_LAST if it waits; 0: not */
    int64_t seen;                    /* of /lens, /like and /replay: as `run`, or a summary's
                                        last, or what /open showed last */
    int64_t deleted[32];             /* sessions, to undo, newest last */
    size_t n_deleted;
    char trouble[320]; /* of saving, as it was said last; "": none */
    bool replied, tty, quit;
};

bool chat_need_store(struct chat *h, struct err *e);

/* Commands: what follows the name is `arg`. */
bool chat_rename(struct chat *h, const char *arg, struct err *e);
bool chat_open(struct chat *h, const char *arg, struct err *e);
bool chat_export(struct chat *h, const char *arg, struct err *e);
bool chat_sessions(struct chat *h, const char *arg, struct err *e);
bool chat_find(struct chat *h, const char *arg, struct err *e);
bool chat_delete(struct chat *h, const char *arg, struct err *e);
bool chat_undo(struct chat *h, const char *arg, struct err *e);
bool chat_lens(struct chat *h, const char *arg, struct err *e);
bool chat_like(struct chat *h, const char *arg, struct err *e);
bool chat_replay(struct chat *h, const char *arg, struct err *e);

#endif
