/* projection.h - applies one projection (dense, factored, modular, ...) to rows.
 *
 * Owns: nothing.  Errors: none.  Threads: one caller per compute.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_PROJECTION_H
#define TERRA_PROJECTION_H

#include "engine/model.h"

/* y[n][out] from x[n][in]; x is preceded in memory by projection_history(p) older rows.
 * scratch: projection_scratch(p) floats per row.  PROJ_NONE does nothing. */
void project(struct compute *c, const struct projection *p, const float *x, size_t n,
             float *scratch, float *y);

uint32_t projection_history(const struct projection *p); /* length kernel - 1, or 0 */
size_t projection_scratch(const struct projection *p);

#endif
