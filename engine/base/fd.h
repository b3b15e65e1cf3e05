/* fd.h - write(2) until nothing is left.
 *
 * Owns: nothing.  Errors: errno.  Threads: reentrant; signal handlers may call it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_FD_H
#define TERRA_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>

bool fd_write_all(int fd, const char *data, size_t n);

#endif
