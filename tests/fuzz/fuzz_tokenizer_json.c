/* fuzz_tokenizer_json.c - any bytes as tokenizer.json; what it accepts must round-trip.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fuzz/vocab_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_vocab(&(struct vocab_config){.type = VOCAB_BPE}, (const char *)data, size);
    return 0;
}
