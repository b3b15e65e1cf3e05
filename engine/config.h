/* config.h - config.json of a model folder, checked.
 *
 * Purpose: turns the file of terra-model(5) into struct terra_config.  Afterwards all
 *          sizes are in range and divide each other as the layers need; only the
 *          tensors may still disagree.
 * Owns:    nothing; plain data.
 * Errors:  ERR_MODEL: "WHERE: key: value, what was wanted".
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_CONFIG_H
#define TERRA_CONFIG_H

#include "engine/base/err.h"
#include "engine/terra.h"

#include <stddef.h>

enum vocab_type { VOCAB_NONE, VOCAB_BPE, VOCAB_T2T };

struct vocab_config {
    enum vocab_type type;
    char file[128];    /* a name within the folder, never a path */
    uint32_t reserved; /* t2t: added to every id */
    bool has_sha256;
    uint8_t sha256[32];
};

struct config_file {
    struct terra_config config; /* name "" if the file gives none; pos.max of an axial
                                   table is the product of its shape */
    struct vocab_config vocab;
};

/* `where` names the file in messages. */
bool config_parse(const char *json, size_t n, const char *where, struct config_file *out,
                  struct err *e);

/* Widths of encoder or decoder block `layer` (encoder blocks first), as spec 1.7. */
uint32_t config_block_d(const struct terra_config *c, uint32_t layer);
uint32_t config_block_f(const struct terra_config *c, uint32_t layer);
uint32_t config_embed_d(const struct terra_config *c); /* embeddings, positions, encoder */
uint32_t config_out_d(const struct terra_config *c);   /* final norm and loss */

#endif
