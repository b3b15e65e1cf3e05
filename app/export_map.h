/* export_map.h - the map as data and as a picture.
 *
 * Owns:    nothing.  Errors: the stream's, for the caller to look at.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_EXPORT_MAP_H
#define TERRA_APP_EXPORT_MAP_H

#include "app/timeline.h"

#include <stdio.h>

/* token,layer,block,unit,margin,alive,uses,surprise for the first `n` rows. */
void export_map_csv(struct choice_rows *r, size_t n, FILE *out);
/* One square for each layer and block of a row, darker for higher levels; the legend is
 * text in the SVG and a comment in the PPM (P6). */
void export_map_svg(struct choice_rows *r, size_t row, enum metric m, FILE *out);
void export_map_ppm(struct choice_rows *r, size_t row, enum metric m, FILE *out);

#endif
