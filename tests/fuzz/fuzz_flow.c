/* fuzz_flow.c - any bytes as output text: wrapped alike however they arrive, and no
 * control character reaches a cell.
 *
 * The first byte is the width, the second the size of the pieces.
 * SPDX-License-Identifier: MIT */
#include "engine/base/utf8.h"
#include "ui/pane.h"

#include <locale.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cells(const struct surface *s)
{
    for (int i = 0; i < s->w * s->h; i++) {
        uint32_t rune = s->cells[i].rune;
        if ((rune > 0 && rune < 0x20) || (rune >= 0x7F && rune < 0xA0))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        ready = setlocale(LC_CTYPE, "C.UTF-8") || true;
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 2;
    size_t n = size - 2, piece = 1 + data[1] % 7;
    int cols = 1 + data[0] % 90;

    struct flow whole = {0}, grown = {0};
    const struct flow_view view = {.follow = true};
    flow_add(&whole, text, n, 0, 255);
    for (size_t i = 0, len; i < n; i += len) {
        len = n - i < piece ? n - i : piece;
        while (i + len < n && utf8_complete(text + i, len) < len)
            len++; /* pieces hold whole characters */
        flow_add(&grown, text + i, len, (int32_t)i, (uint8_t)i);
        flow_wrap(&grown, cols);
    }
    struct surface s;
    surface_open(&s, cols, 12);
    const struct theme t = {THEME_256, false, true};
    const struct vm_output vm = {.flow = &grown, .view = &view, .find = "a", .token = 3};
    pane_output(&s, &t, &vm, false, false);
    check_cells(&s);
    flow_wrap(&whole, cols);
    if (n && whole.n_lines != grown.n_lines)
        abort();
    for (size_t i = 0; i < grown.n_lines; i++)
        if (whole.line[i].at != grown.line[i].at || whole.line[i].len != grown.line[i].len)
            abort();
    surface_free(&s);
    flow_free(&whole);
    flow_free(&grown);
    return 0;
}
