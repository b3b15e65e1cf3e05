/* flow.h - a growing text, cut into lines for the width at hand.
 *
 * Purpose: what an output pane shows: blocks (the person's turn, the reply, notes)
 *          made of text that arrives in pieces.  A piece may be a token, so that a
 *          place in the text and a token can be found from each other.  Adding text
 *          re-wraps only the last line.
 * Owns:    a copy of the text; flow_free releases it.  Zero-initialise before use.
 * Errors:  none.
 * Threads: one owner at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_FLOW_H
#define TERRA_UI_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flow_kind {
    FLOW_REPLY,
    FLOW_USER, /* drawn after "> " */
    FLOW_NOTE, /* of the program */
    FLOW_ERROR,
    FLOW_DOCUMENT
};

#define FLOW_NO_TOKEN (-1)

struct flow_block {
    size_t at; /* first byte */
    enum flow_kind kind;
};

struct flow_token {
    size_t at;     /* first byte; it ends where the next one starts or the block ends */
    int32_t token; /* the caller's number, or FLOW_NO_TOKEN */
    uint8_t level; /* shade 0..254, 255: none */
};

struct flow_line {
    size_t at, len; /* without the newline */
    uint32_t block;
};

struct flow {
    char *text;
    size_t len, cap;
    struct flow_block *block;
    size_t n_blocks, cap_blocks;
    struct flow_token *token;
    size_t n_tokens, cap_tokens;
    struct flow_line *line; /* valid for `cols` columns */
    size_t n_lines, cap_lines;
    int cols;
};

void flow_free(struct flow *f);
void flow_clear(struct flow *f);
/* A new block, on a new line. */
void flow_begin(struct flow *f, enum flow_kind kind);
/* More text of the last block, whole characters at a time.  `token` as above; level 255
 * for none. */
void flow_add(struct flow *f, const char *text, size_t n, int32_t token, uint8_t level);
/* flow_begin, flow_add without a token. */
void flow_put(struct flow *f, enum flow_kind kind, const char *text);
/* Changes the shade of a token already there. */
void flow_set_level(struct flow *f, int32_t token, uint8_t level);

/* Makes line[] right for a pane `cols` wide. Panes call it before they draw. */
void flow_wrap(struct flow *f, int cols);
/* The line that holds byte `at`. */
size_t flow_line_of(const struct flow *f, size_t at);
/* Range of a token's text; false if there is none. The last one of that number wins. */
bool flow_token_range(const struct flow *f, int32_t token, size_t *at, size_t *len);
/* The token at a byte, or FLOW_NO_TOKEN. */
int32_t flow_token_at(const struct flow *f, size_t at);
/* Next (dir > 0) or previous hit of `what`, from byte `from` (exclusive) on, wrapping
 * around.  Ignores ASCII case unless `what` has an upper-case letter. */
bool flow_find(const struct flow *f, const char *what, size_t from, int dir, size_t *at);
/* Length of a hit that starts at `at`, 0 for none. */
size_t flow_match(const struct flow *f, const char *what, size_t at);

/* Where a pane looks at a flow.  Zero-initialise, then set follow. */
struct flow_view {
    bool follow; /* stay at the end */
    size_t top;  /* byte the first visible line starts with, when not following */
    size_t seen; /* bytes that existed when following stopped */
};

/* Lines that arrived since following stopped. */
size_t flow_view_unseen(const struct flow_view *v, const struct flow *f);
/* First visible line for a pane of `rows` lines. */
size_t flow_view_top(const struct flow_view *v, const struct flow *f, int rows);
void flow_view_scroll(struct flow_view *v, const struct flow *f, int rows, long by);
void flow_view_end(struct flow_view *v);
/* Scrolls just enough to show byte `at`. */
void flow_view_show(struct flow_view *v, const struct flow *f, int rows, size_t at);

#endif
