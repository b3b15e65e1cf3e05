/* fuzz_subword.c - any bytes as a tensor2tensor subword file.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fuzz/vocab_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vocab_config c = {.type = VOCAB_T2T, .reserved = size % 3 ? 0 : 7};
    fuzz_vocab(&c, (const char *)data, size);
    return 0;
}
