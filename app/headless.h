/* headless.h - results on standard output: plain text, or one JSON object per line.
 *
 * Purpose: the only writer of standard output while a model runs.  Plain: the reply
 *          and nothing else; control characters become visible if a terminal reads
 *          it.  JSON: {"v":1,"type":"start|token|chunk|end|error", ...}; within v1
 *          fields are only added (man terra, JSON LINES).
 * Owns:    its line buffer, until headless_close.
 * Errors:  a reader that went away sets `broken` and *cancel; other write errors are
 *          kept in `write_errno`.  Both are for the caller to look at when it is done.
 * Threads: one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_HEADLESS_H
#define TERRA_APP_HEADLESS_H

#include "app/generate.h"
#include "engine/base/buf.h"

#include <stdatomic.h>
#include <stdio.h>

struct headless {
    FILE *out;
    bool json;
    bool tty;    /* escape control characters */
    bool ids;    /* plain text is token ids */
    bool broken; /* EPIPE */
    int write_errno;
    bool at_line_start; /* of plain text */
    atomic_bool *cancel;
    const struct terra_vocab *vocab; /* NULL: token text is unknown */
    struct buf line;
};

void headless_open(struct headless *h, FILE *out, bool json, atomic_bool *cancel);
void headless_close(struct headless *h); /* flushes; not the stream */

struct headless_start {
    const char *command, *model, *path, *mode, *style, *method, *kernels;
    uint32_t threads, chunks; /* chunks 0: not a document */
    uint64_t seed;
    double temperature;
    int64_t tokens_total; /* of the document or prompt */
};
void headless_start(struct headless *h, const struct headless_start *s); /* JSON only */

/* One token of step `step` (from 0).  Plain: prints the piece if `show`. */
void headless_token(struct headless *h, uint32_t step, uint32_t i, const struct terra_token *t,
                    const char *piece, size_t n, bool show);

/* Plain text of the reply, as it is. */
void headless_text(struct headless *h, const char *text, size_t n);
void headless_newline(struct headless *h); /* unless at the start of a line */

struct headless_chunk {
    uint32_t step, no, of; /* no from 1 */
    const char *kind;      /* "single" "map" "reduce" "refine" */
    int64_t tokens_in;
    const struct generate_result *result;
};
void headless_chunk(struct headless *h, const struct headless_chunk *c); /* JSON only */

struct headless_end {
    const char *text;
    size_t n_text;
    const char *stop;                  /* "end" "length" "goal" "cancelled" "error" "as-is" */
    int64_t tokens_read, tokens_total; /* coverage */
    int64_t tokens_in, tokens_out;     /* of all steps */
    uint64_t prefill_ns, search_ns, decode_ns, first_ns;
    double ms_p50, ms_p90, ms_p99;
    int64_t session, run; /* stored as; 0: not stored */
    const char *extra;    /* more members as JSON text that begins with a comma; or NULL */
};
void headless_end(struct headless *h, const struct headless_end *end); /* JSON only */
void headless_error(struct headless *h, const struct err *e);          /* JSON only */

/* Any finished JSON object in `line`, which is emptied. */
void headless_line(struct headless *h, struct buf *line);

/* Begins {"v":1,"type":TYPE in *b; the caller adds members and the closing bracket. */
void headless_object(struct buf *b, const char *type);

/* Text with control characters made visible (ESC as ^[), newline and tab kept. */
void headless_visible(struct buf *out, const char *text, size_t n);

#endif
