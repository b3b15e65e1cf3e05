/* pack.c - rearranges a matrix into panels, see struct pack.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/kernels.h"

#include <string.h>

size_t pack_size(const struct mat *w, uint32_t groups)
{
    size_t scales = w->dtype == TERRA_I8 ? w->rows * sizeof(float) : 0;
    return w->rows % (groups * PANEL) ? 0 : scales + w->rows * w->cols * dtype_size(w->dtype);
}

void pack_fill(struct pack *p, const struct mat *w, uint32_t groups, void *memory)
{
    size_t item = dtype_size(w->dtype), panel = w->cols * PANEL * item;
    float *scale = w->dtype == TERRA_I8 ? memory : NULL;
    char *data = (char *)memory + (scale ? w->rows * sizeof *scale : 0);
    for (size_t r = 0; r < w->rows; r++) {
        const char *from = (const char *)w->data + r * w->cols * item;
        char *to = data + r / PANEL * panel + r % PANEL * item;
        for (size_t k = 0; k < w->cols; k++)
            memcpy(to + k * PANEL * item, from + k * item, item);
    }
    if (scale)
        memcpy(scale, w->scale, w->rows * sizeof *scale);
    *p = (struct pack){.dtype = w->dtype,
                       .groups = groups,
                       .panels = w->rows / groups / PANEL,
                       .depth = w->cols,
                       .data = data,
                       .scale = scale};
}
