/* document.h - a text document from a file, a pipe or standard input.
 *
 * Purpose: plain text and Markdown as valid UTF-8: byte order mark dropped, CRLF and CR
 *          made LF, malformed bytes and NULs made U+FFFD and counted.  What is not text
 *          is refused with the command that would convert it.  PDF goes through
 *          pdftotext if it is installed, without a shell.
 * Owns:    the text, until document_free.
 * Errors:  ERR_INPUT with the reason; ERR_CANCELLED if *cancel became true while reading.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_DOCUMENT_H
#define TERRA_DATA_DOCUMENT_H

#include "engine/base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define DOCUMENT_MAX_BYTES (50u << 20)

struct document_opts {
    uint64_t max_bytes; /* 0: DOCUMENT_MAX_BYTES */
    bool convert_pdf;   /* run pdftotext instead of refusing a PDF file */
    /* Looked at 10 times a second while waiting for bytes; NULL: never. */
    const atomic_bool *cancel;
};

struct document {
    char *text; /* valid UTF-8, NUL-terminated */
    size_t n;
    char *name;         /* last part of the path; "-" for standard input */
    uint64_t bytes;     /* as read */
    uint64_t fixes;     /* U+FFFD written for malformed bytes and NULs */
    uint64_t line_ends; /* CRLF and CR that became LF */
    bool bom;           /* a byte order mark was dropped */
    uint8_t sha256[32]; /* of the bytes as read */
};

/* path "-" is standard input. */
bool document_read(const char *path, const struct document_opts *o, struct document *out,
                   struct err *e);
/* Reads fd to its end; does not close it. */
bool document_read_fd(int fd, const char *name, const struct document_opts *o,
                      struct document *out, struct err *e);
/* A prompt or paste: the same repair, the same refusals. */
bool document_from_bytes(const void *bytes, size_t n, const char *name, struct document *out,
                         struct err *e);
void document_free(struct document *d); /* d may be zeroed */

#endif
