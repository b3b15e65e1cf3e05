/* fmt.h - numbers as people read them in a narrow column.
 *
 * Purpose: one way to write each kind of number; NaN is "-" everywhere.
 * Owns:    nothing: texts are returned by value.  Errors: none.
 * Threads: reentrant.  LC_NUMERIC must be "C".
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_FMT_H
#define TERRA_UI_FMT_H

#include <stdint.h>

struct fmt {
    char s[32];
};

struct fmt fmt_count(uint64_t n);     /* 2,148 */
struct fmt fmt_short(double v);       /* few figures: 0.042 0.42 4.2 42.0 420 42.0k */
struct fmt fmt_seconds(double s);     /* 8.2 ms, 420 ms, 1.82 s */
struct fmt fmt_share(double share);   /* .41 */
struct fmt fmt_percent(double share); /* 41% */
struct fmt fmt_bytes(double n);       /* 1.19 GB */
struct fmt fmt_speed(double times);   /* 2x, 1/512x */

#endif
