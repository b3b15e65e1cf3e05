/* fuzz_keys.c - any bytes from the terminal: every byte comes out in exactly one key.
 *
 * The first byte says where the rest is cut in two, as a slow line would.
 * SPDX-License-Identifier: MIT */
#include "ui/keys.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes of the keys ready at `now`, brackets of a paste included. */
static size_t drain(struct keys *k, uint64_t now)
{
    struct key key, again;
    char name[KEY_NAME_MAX];
    size_t n = 0;
    while (keys_next(k, now, &key)) {
        if (key.code == K_NONE || key.code >= K_CODES || !key.text)
            abort();
        key_name(&key, name);
        if (key.code < K_PASTE && key.mods == 0 && !key_parse(name, &again))
            abort();
        n += key.n + (key.code == K_PASTE ? 12 : 0);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t n = size - 1, cut = n ? data[0] % (n + 1) : 0;
    struct keys *k = keys_open();
    keys_feed(k, bytes, cut, 1);
    size_t out = drain(k, 1);
    keys_feed(k, bytes + cut, n - cut, 2);
    out += drain(k, 2);
    out += drain(k, 2 + KEYS_ESC_NS);
    keys_feed(k, "\033[201~", 6, 3 + KEYS_ESC_NS); /* ends a paste that has none */
    out += drain(k, 3 + 2 * KEYS_ESC_NS);
    if (out != n + 6 || keys_deadline(k) != 0)
        abort();
    keys_close(k);
    return 0;
}
