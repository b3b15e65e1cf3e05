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
    return scales * (quads ? 2 : 1) + w->rows * w->cols * dtype_size(w->dtype);
}

static int32_t sum_of(const int8_t *w, size_t n)
{
    int32_t sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += w[k];
    return sum;
}

void pack_fill(struct pack *p, const struct mat *w, uint32_t groups, bool quads, void *memory)
{
    size_t item = dtype_size(w->dtype), panel = w->cols * PANEL * item;
    size_t run = quads ? 4 : 1; /* inputs that stay together */
    uint32_t rows = w->rows / groups, panels = rows / PANEL;
    float *scale = w->dtype == TERRA_I8 ? memory : NULL;
    int32_t *sum = quads ? (int32_t *)memory + w->rows : NULL;
    char *data =
        (char *)memory + w->rows * ((scale ? sizeof *scale : 0) + (sum ? sizeof *sum : 0));
    *p = (struct pack){.dtype = w->dtype,
                       .groups = groups,
                       .panels = panels,
                       .slab = groups > 1 && panels % SLAB == 0 ? SLAB : panels,
                       .depth = w->cols,
                       .data = data,
                       .scale = scale,
                       .sum = sum};
    for (size_t r = 0; r < w->rows; r++) {
        const char *from = (const char *)w->data + r * w->cols * item;
        size_t at = pack_at(p, r / rows, r % rows / PANEL), lane = r % PANEL;
        char *to = data + at * panel + lane * run * item;
        if (scale)
            scale[at * PANEL + lane] = w->scale[r];
        if (sum)
            sum[at * PANEL + lane] = sum_of((const int8_t *)(const void *)from, w->cols);
        for (size_t k = 0; k < w->cols; k += run)
            memcpy(to + k * PANEL * item, from + k * item, run * item);
    }
}
