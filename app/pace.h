/* pace.h - how often the screen is drawn.
 *
 * Purpose: the time between frames of text and between those of the map, by the
 *          distance to the terminal and by its size.
 * Owns:    nothing; it sets and reads the clocks of the state.
 * Errors:  none.
 * Threads: the main one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_PACE_H
#define TERRA_APP_PACE_H

#include "app/state.h"

/* far: over ssh. fps: frames of the map that are asked for; 0 leaves them to us. */
void pace_open(struct app *a, bool far, double fps);
uint64_t pace_frame_ns(const struct app *a);
uint64_t pace_map_ns(const struct app *a);

#endif
