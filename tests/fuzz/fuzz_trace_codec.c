/* Any bytes as a trace chunk: refused, or decoded to values that encode to the same bytes.
 * The first byte chooses the codec.
 * SPDX-License-Identifier: MIT */
#include "data/trace_codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_shape s;
    if (size == 0 || !trace_peek(data + 1, size - 1, &s, NULL))
        return 0;
    uint16_t *value = malloc((size_t)s.rows * s.layers * s.blocks * sizeof *value);
    if (value && trace_decode((enum trace_codec)data[0], data + 1, size - 1, value, NULL)) {
        struct buf b = {0};
        enum trace_codec used;
        if (!trace_encode(&s, value, data[0], &b, &used, NULL))
            abort();
        /* Equal, unless the blob has the flag for "none" and no such value. */
        bool has_none = false;
        for (size_t i = 0; i < (size_t)s.rows * s.layers * s.blocks; i++)
            has_none |= value[i] == TRACE_NONE;
        if (has_none == (data[9] != 0) &&
            (b.len != size - 1 || memcmp(b.data, data + 1, b.len) != 0))
            abort();
        buf_free(&b);
    }
    free(value);
    return 0;
}
