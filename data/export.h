/* export.h - stored sessions and runs as files for other programs.
 *
 * Purpose: Markdown to read, JSON and JSON lines for programs, CSV for tables, and an
 *          asciicast (version 2) that plays a run at the speed it had.
 * Owns:    nothing; writes to the caller's stream, which need not be seekable.
 * Errors:  ERR_STORE and ERR_CHECK from the store; ERR_RESOURCE if writing fails.
 * Threads: the store's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_EXPORT_H
#define TERRA_DATA_EXPORT_H

#include "data/store.h"

#include <stdio.h>

enum export_format {
    EXPORT_MD,    /* prompts, replies and summaries to read */
    EXPORT_JSON,  /* one object: the session, its runs, their tokens, its summaries */
    EXPORT_JSONL, /* one object a line: session, run, token, summary */
    EXPORT_CSV,   /* one line a token */
    EXPORT_TRACE, /* one line a choice: run,stage,pos,layer,block,unit,margin,alive */
    EXPORT_CAST,  /* asciicast v2 of the replies */
    EXPORT_FORMATS
};
extern const char *const export_format_name[EXPORT_FORMATS]; /* "md" "json" ... */

bool export_format_parse(const char *name, enum export_format *out, struct err *e);
bool export_session(struct store *s, int64_t session, enum export_format f, FILE *out,
                    struct err *e);
bool export_run(struct store *s, int64_t run, enum export_format f, FILE *out, struct err *e);

#endif
