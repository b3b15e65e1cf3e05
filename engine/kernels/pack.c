/* pack.c - rearranges a matrix into panels, see struct pack.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/kernels.h"

#include <string.h>

size_t pack_size(const struct mat *w, uint32_t groups, bool quads)
{
    size_t scales = w->dtype == TERRA_I8 ? w->rows * sizeof(float) : 0;
    if (w->rows % (groups * PANEL) || (quads && (w->dtype != TERRA_I8 || w->cols % 4)))
        return 0;
    return scales + (size_t)w->rows * w->cols * dtype_size(w->dtype);
}

void pack_fill(struct pack *p, const struct mat *w, uint32_t groups, bool quads, void *memory)
{
    size_t item = dtype_size(w->dtype), panel = PANEL * item * w->cols;
    size_t run = quads ? 4 : 1; /* inputs that stay together */
    uint32_t rows = w->rows / groups, panels = rows / PANEL;
    float *scale = w->dtype == TERRA_I8 ? memory : NULL;
    char *data = (char *)memory + (scale ? w->rows * sizeof *scale : 0);
    *p = (struct pack){.dtype = w->dtype,
                       .groups = groups,
                       .panels = panels,
                       .slab = groups > 1 && panels % SLAB == 0 ? SLAB : panels,
                       .depth = w->cols,
                       .data = data,
                       .scale = scale,
                       .quads = quads};
    for (size_t r = 0; r < w->rows; r++) {
        const char *from = (const char *)w->data + r * w->cols * item;
        size_t at = pack_at(p, r / rows, r % rows / PANEL), lane = r % PANEL;
        char *to = data + at * panel + lane * run * item;
        if (scale)
            scale[at * PANEL + lane] = w->scale[r];
        for (size_t k = 0; k < w->cols; k += run)
            memcpy(to + k * PANEL * item, from + k * item, run * item);
        for (size_t k = 0; quads && k < w->cols; k++) /* -127 .. 127 to 1 .. 255 */
            to[k / 4 * 4 * PANEL + k % 4] ^= (char)0x80;
    }
}
