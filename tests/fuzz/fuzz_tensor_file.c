/* fuzz_tensor_file.c - any bytes as a safetensors file: refused, or every tensor inside.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/tensor_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor_file f;
    struct err e = {0};
    if (!tensor_file_parse(data, size, size, &f, &e)) {
        if (e.kind == ERR_NONE || e.msg[0] == '\0')
            abort();
        return 0;
    }
    uint64_t end = f.header_bytes;
    for (size_t i = 0; i < f.n; i++) {
        const struct tensor *t = &f.tensor[i];
        if (t->offset < end || t->offset + t->bytes > size ||
            t->rows * t->cols * tensor_width(t->dtype) != t->bytes ||
            tensor_file_find(&f, t->name) != t)
            abort();
        end = t->offset + t->bytes;
    }
    tensor_file_close(&f);
    return 0;
}
