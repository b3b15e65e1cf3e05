/* SPDX-License-Identifier: MIT */
#include "engine/vocab.h"

#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"
#include "engine/file.h"
#include "engine/vocab_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (64u << 20)

/* ---- trie ------------------------------------------------------------------- */

static bool step(const struct trie *t, uint32_t *node, char c)
{
    return map64_get(&t->edge, (uint64_t)*node << 8 | (unsigned char)c, node);
}

static uint32_t new_node(struct trie *t)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->id = xrealloc(t->id, t->cap, sizeof *t->id);
    }
    t->id[t->n] = 0;
    return t->n++;
}

void trie_add(struct trie *t, const char *s, size_t n, uint32_t id)
{
    if (t->n == 0)
        new_node(t);
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++)
        if (!step(t, &node, s[i])) {
            uint32_t child = new_node(t);
            map64_set(&t->edge, (uint64_t)node << 8 | (unsigned char)s[i], child);
            node = child;
        }
    t->id[node] = id + 1;
}

bool trie_find(const struct trie *t, const char *s, size_t n, uint32_t *id)
{
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++)
        if (!step(t, &node, s[i]))
            return false;
    if (t->n == 0 || t->id[node] == 0)
        return false;
    *id = t->id[node] - 1;
    return true;
}

size_t trie_longest(const struct trie *t, const char *s, size_t n, uint32_t *id)
{
    uint32_t node = 0;
    size_t longest = 0;
    for (size_t i = 0; i < n && step(t, &node, s[i]); i++)
        if (t->id[node]) {
            longest = i + 1;
            *id = t->id[node] - 1;
        }
    return longest;
}

/* ---- opening ------------------------------------------------------------------ */

struct terra_vocab *vocab_parse(const struct vocab_config *c, const char *bytes, size_t n,
                                struct err *e)
{
    struct terra_vocab *v = xcalloc(1, sizeof *v);
    v->type = c->type;
    v->reserved = c->reserved;
    const char *looks = file_looks_like(bytes, n);
    bool ok;
    if (n > MAX_BYTES)
        ok = err_set(e, ERR_MODEL, "%zu bytes, wanted at most %u", n, MAX_BYTES);
    else if (looks)
        ok = err_set(e, ERR_MODEL, "not a vocabulary: looks like %s", looks);
    else if (c->type == VOCAB_BPE)
        ok = bpe_load(v, bytes, n, e);
    else
        ok = t2t_load(v, bytes, n, e);
    if (ok)
        return v;
    vocab_close(v);
    return NULL;
}

static bool check_hash(const struct vocab_config *c, const struct file_map *map, struct err *e)
{
    uint8_t hash[32];
    char found[65], wanted[65];
    if (!c->has_sha256)
        return true;
    sha256(map->data, map->n, hash);
    if (memcmp(hash, c->sha256, sizeof hash) == 0)
        return true;
    const char *looks = file_looks_like(map->data, map->n);
    if (looks)
        return err_set(e, ERR_MODEL, "not a vocabulary: looks like %s", looks);
    sha256_hex(hash, found);
    sha256_hex(c->sha256, wanted);
    return err_set(e, ERR_MODEL, "sha256 is %.16s..., config.json wants %.16s...", found,
                   wanted);
}

struct terra_vocab *vocab_open(const char *dir, const struct config_file *c, struct err *e)
{
    struct buf path = {0};
    struct file_map map = {0};
    struct terra_vocab *v = NULL;
    buf_printf(&path, "%s/%s", dir, c->vocab.file);
    if (!file_map(buf_str(&path), &map, e))
        goto out;
    if (check_hash(&c->vocab, &map, e))
        v = vocab_parse(&c->vocab, map.data, map.n, e);
    if (v && v->n > c->config.vocab) {
        err_set(e, ERR_MODEL, "%" PRIu32 " ids, config.json has a vocab_size of %" PRIu32, v->n,
                c->config.vocab);
        vocab_close(v);
        v = NULL;
    }
    if (!v)
        err_prefix(e, "%s", buf_str(&path));
out:
    file_unmap(&map);
    buf_free(&path);
    return v;
}

void vocab_close(struct terra_vocab *v)
{
    if (!v)
        return;
    map64_free(&v->trie.edge);
    map64_free(&v->alphabet);
    map64_free(&v->merge);
    free(v->trie.id);
    free(v->merged);
    free(v->bytes);
    free(v->at);
    free(v);
}

uint32_t vocab_size(const struct terra_vocab *v)
{
    return v->n;
}

/* ---- text to ids ---------------------------------------------------------------- */

void terra_ids_free(struct terra_ids *ids)
{
    free(ids->id);
    *ids = (struct terra_ids){0};
}

void terra_ids_add(struct terra_ids *ids, int32_t id)
{
    if (ids->n == ids->cap) {
        ids->cap = ids->cap ? ids->cap * 2 : 64;
        ids->id = xrealloc(ids->id, ids->cap, sizeof *ids->id);
    }
    ids->id[ids->n++] = id;
}

bool terra_encode(const struct terra_vocab *v, const char *text, size_t n,
                  struct terra_ids *out, struct err *e)
{
    if (n > UINT32_MAX / 8) /* positions within a text are 32 bits wide */
        return err_set(e, ERR_INPUT, "a text of %zu bytes is too long to be encoded", n);
    if (v->type == VOCAB_T2T)
        return t2t_encode(v, text, n, out, e);
    bpe_encode(v, text, n, out);
    return true;
}

const char *terra_token_bytes(const struct terra_vocab *v, int32_t id, size_t *n)
{
    *n = 0;
    if (id < 0 || (uint32_t)id >= v->n)
        return "";
    *n = v->at[id + 1] - v->at[id];
    return v->bytes + v->at[id];
}

/* ---- ids to text ---------------------------------------------------------------- */

struct terra_detok *terra_detok_open(const struct terra_vocab *v)
{
    struct terra_detok *d = xcalloc(1, sizeof *d);
    d->v = v;
    return d;
}

void terra_detok_close(struct terra_detok *d)
{
    if (!d)
        return;
    buf_free(&d->out);
    buf_free(&d->escape);
    free(d);
}

void terra_detok_reset(struct terra_detok *d)
{
    buf_clear(&d->out);
    buf_clear(&d->escape);
    d->given = 0;
    d->in_token = d->after_token = d->was_alnum = false;
}

/* Drops what the caller has seen. */
static void forget_given(struct terra_detok *d)
{
    if (d->given == 0)
        return;
    memmove(d->out.data, d->out.data + d->given, d->out.len - d->given);
    d->out.len -= d->given;
    d->out.data[d->out.len] = '\0';
    d->given = 0;
}

const char *terra_detok_add(struct terra_detok *d, int32_t id, size_t *n)
{
    size_t len;
    const char *s = terra_token_bytes(d->v, id, &len);
    forget_given(d);
    if (d->v->type == VOCAB_T2T)
        t2t_decode(d, s, len);
    else
        buf_add(&d->out, s, len);
    *n = d->given = utf8_complete(buf_str(&d->out), d->out.len);
    return buf_str(&d->out);
}

const char *terra_detok_flush(struct terra_detok *d, size_t *n)
{
    forget_given(d);
    if (d->v->type == VOCAB_T2T)
        t2t_decode_end(d);
    *n = d->given = d->out.len;
    d->in_token = d->after_token = false;
    return buf_str(&d->out);
}
