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

static void sum_rows(const struct mat *w, int32_t *sum)
{
    const int8_t *p = w->data;
    for (size_t r = 0; r < w->rows; r++) {
        sum[r] = 0;
        for (size_t k = 0; k < w->cols; k++)
            sum[r] += *p++;
    }
}

void pack_fill(struct pack *p, const struct mat *w, uint32_t groups, bool quads, void *memory)
{
    size_t item = dtype_size(w->dtype), panel = w->cols * PANEL * item;
    size_t run = quads ? 4 : 1; /* inputs that stay together */
    char *at = memory;
    *p = (struct pack){.dtype = w->dtype,
                       .groups = groups,
                       .panels = w->rows / groups / PANEL,
                       .depth = w->cols};
    if (w->dtype == TERRA_I8) {
        memcpy(at, w->scale, w->rows * sizeof *w->scale);
        p->scale = (const float *)(const void *)at;
        at += w->rows * sizeof *w->scale;
    }
    if (quads) {
        sum_rows(w, (int32_t *)(void *)at);
        p->sum = (const int32_t *)(const void *)at;
        at += w->rows * sizeof *p->sum;
    }
    p->data = at;
    for (size_t r = 0; r < w->rows; r++) {
        const char *from = (const char *)w->data + r * w->cols * item;
        char *to = at + r / PANEL * panel + r % PANEL * run * item;
        for (size_t k = 0; k < w->cols; k += run)
            memcpy(to + k * PANEL * item, from + k * item, run * item);
    }
}
