/* vocab_internal.h - what vocab.c and the two kinds of vocabulary share.
 *
 * Owns: struct terra_vocab owns its tables.  Errors: as vocab.h.  Threads: as vocab.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_VOCAB_INTERNAL_H
#define TERRA_VOCAB_INTERNAL_H

#include "engine/base/buf.h"
#include "engine/map64.h"
#include "engine/vocab.h"

/* Byte strings to ids, one byte per edge. */
struct trie {
    struct map64 edge; /* node << 8 | byte -> node; node 0 is the root */
    uint32_t *id;      /* [nodes] id + 1 of the string that ends here, or 0 */
    uint32_t n, cap;
};

void trie_add(struct trie *t, const char *s, size_t n, uint32_t id); /* replaces */
bool trie_find(const struct trie *t, const char *s, size_t n, uint32_t *id);
/* The longest non-empty prefix of s that is in the trie; 0 if there is none. */
size_t trie_longest(const struct trie *t, const char *s, size_t n, uint32_t *id);

struct terra_vocab {
    enum vocab_type type;
    uint32_t n;   /* ids are 0 .. n-1 */
    char *bytes;  /* every id's bytes, one after the other */
    uint32_t *at; /* [n+1] id's bytes are bytes[at[id]] .. bytes[at[id+1]] */
    struct trie trie;

    uint32_t reserved;     /* t2t: ids below are not in the file */
    struct map64 alphabet; /* t2t: code points that need no escape */

    uint32_t byte_id[256]; /* bpe */
    struct map64 merge;    /* bpe: left id << 32 | right id -> rank */
    uint32_t *merged;      /* bpe: [ranks] id of the pair */
    bool cut_words;        /* bpe: merges stay within the words of the GPT-2 rule */
};

struct terra_detok {
    const struct terra_vocab *v;
    struct buf out;
    size_t given; /* bpe: bytes of `out` that the caller has; the rest is half a character */
    struct buf escape; /* t2t: a backslash and digits that may become an escape */
    bool in_token;     /* t2t: the current token has a first character */
    bool after_token;  /* t2t: there was one before, and ... */
    bool was_alnum;    /* ... its first character was alphanumeric */
};

bool t2t_load(struct terra_vocab *v, const char *text, size_t n, struct err *e);
bool t2t_encode(const struct terra_vocab *v, const char *text, size_t n, struct terra_ids *out,
                struct err *e);
void t2t_decode(struct terra_detok *d, const char *subtoken, size_t n);
void t2t_decode_end(struct terra_detok *d);

bool bpe_load(struct terra_vocab *v, const char *json, size_t n, struct err *e);
void bpe_encode(const struct terra_vocab *v, const char *text, size_t n, struct terra_ids *out);

#endif
