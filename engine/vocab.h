/* vocab.h - vocabularies: tensor2tensor subwords and byte-level BPE.
 *
 * Purpose: opens the vocabulary of a model folder; text to ids and back is in terra.h
 *          (terra_encode, terra_detok_*, terra_token_bytes).
 * Owns:    the vocabulary, until vocab_close (NULL is fine).
 * Errors:  ERR_MODEL: what is wrong in the file, or which feature is not supported.
 * Threads: immutable after it is opened.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_VOCAB_H
#define TERRA_VOCAB_H

#include "engine/config.h"
#include "engine/terra.h"

/* The vocabulary that config.json names, which must have one: checks its sha256 and that
 * its ids fit in vocab_size. */
struct terra_vocab *vocab_open(const char *dir, const struct config_file *c, struct err *e);

/* The same from memory, without those two checks. */
struct terra_vocab *vocab_parse(const struct vocab_config *c, const char *bytes, size_t n,
                                struct err *e);
void vocab_close(struct terra_vocab *v);

uint32_t vocab_size(const struct terra_vocab *v); /* ids are 0 .. size-1 */

#endif
