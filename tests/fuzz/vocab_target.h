/* vocab_target.h - what the two vocabulary fuzz targets do with a vocabulary.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_TESTS_FUZZ_VOCAB_TARGET_H
#define TERRA_TESTS_FUZZ_VOCAB_TARGET_H

#include "engine/base/utf8.h"
#include "engine/vocab.h"

#include <stdlib.h>
#include <string.h>

/* The input is a vocabulary file, and after its last NUL a text to encode. */
static inline void fuzz_vocab(const struct vocab_config *c, const char *data, size_t size)
{
    size_t n = size;
    while (n > 0 && data[n - 1] != '\0')
        n--;
    const char *text = data + n;
    size_t n_text = size - n;
    if (n == 0) { /* no NUL: a vocabulary alone encodes itself */
        text = data;
        n_text = n = size;
    } else {
        n--;
    }
    struct err e = {0};
    struct terra_ids ids = {0};
    struct terra_vocab *v = vocab_parse(c, data, n, &e);
    if (!v) {
        if (e.kind == ERR_NONE || e.msg[0] == '\0')
            abort();
        return;
    }
    bool ok = terra_encode(v, text, n_text, &ids, &e);
    if (!ok && c->type == VOCAB_BPE)
        abort();
    struct terra_detok *d = terra_detok_open(v);
    size_t at = 0, len;
    bool same = ok, valid = utf8_count_bad(text, n_text) == 0;
    for (size_t i = 0; i <= ids.n; i++) {
        const char *piece =
            i < ids.n ? terra_detok_add(d, ids.id[i], &len) : terra_detok_flush(d, &len);
        if (i < ids.n && (ids.id[i] < 0 || (uint32_t)ids.id[i] >= vocab_size(v)))
            abort();
        if (valid && utf8_count_bad(piece, len) > 0) /* half a character */
            abort();
        same = same && at + len <= n_text && memcmp(text + at, piece, len) == 0;
        at += len;
    }
    if (c->type == VOCAB_BPE && (!same || at != n_text))
        abort();
    terra_detok_reset(d);
    for (int32_t id = -2; id < 400; id++) /* ids that no text gives, too */
        terra_detok_add(d, id, &len);
    terra_detok_flush(d, &len);
    terra_detok_close(d);
    terra_ids_free(&ids);
    vocab_close(v);
}

#endif
