/* fuzz_config.c - any bytes as config.json: refused, or its sizes divide each other.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_file f;
    struct err e = {0};
    if (!config_parse((const char *)data, size, "config.json", &f, &e)) {
        if (e.kind == ERR_NONE || e.msg[0] == '\0')
            abort();
        return 0;
    }
    const struct terra_config *c = &f.config;
    for (uint32_t i = 0; i < c->n_enc + c->n_dec; i++) {
        const struct terra_attention_config *a =
            i < c->n_enc ? &c->enc_att : &c->dec_att[(i - c->n_enc) % c->n_dec_att_types];
        if (a->modules && config_block_d(c, i) % a->modules)
            abort();
        if (c->ff_block && terra_config_blocks(c, i) * c->ff_block != config_block_f(c, i))
            abort();
        if (terra_config_blocks(c, i) > terra_config_max_blocks(c))
            abort();
    }
    return 0;
}
