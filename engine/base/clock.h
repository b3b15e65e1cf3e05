/* clock.h - monotonic and wall time.
 *
 * Owns: nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_CLOCK_H
#define TERRA_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ns(void);     /* monotonic, nanoseconds */
int64_t clock_wall_ms(void); /* since 1970, milliseconds */

#endif
