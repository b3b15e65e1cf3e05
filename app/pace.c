/* SPDX-License-Identifier: MIT */
#include "app/pace.h"

#include <math.h>

void pace_open(struct app *a, bool far, double fps)
{
    a->far = far;
    a->map_paced = fps > 0;
    a->map_fps = fps > 0 ? fps : far ? 2 : 8;
    a->frame_ns = far ? 100000000 : 50000000; /* a scrolling page is many bytes */
}

/* What a frame costs, in bytes and in drawing, grows with the screen: more cells, fewer frames,
 * but at least 15 a second here, and four of the map.  Keys do not wait for this. */
static double screens(const struct app *a)
{
    double n = (double)a->surface.w * a->surface.h / (80 * 24);
    return n < 1 ? 1 : n > 4 ? 4 : n;
}

uint64_t pace_frame_ns(const struct app *a)
{
    double longer = sqrt(screens(a));
    return (uint64_t)((double)a->frame_ns * (a->far || longer < 1.3 ? longer : 1.3));
}

uint64_t pace_map_ns(const struct app *a)
{
    return (uint64_t)(1e9 / a->map_fps * (a->map_paced ? 1 : sqrt(screens(a))));
}
