/* file.h - a file of a model folder, mapped read-only.
 *
 * Purpose: opens regular files only, and names what a wrong file looks like.
 * Owns:    the mapping, until file_unmap (a zeroed struct is fine).
 * Errors:  ERR_MODEL, with the path.
 * Threads: reentrant.  A file that shrinks while it is mapped raises SIGBUS; the
 *          program handles that.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_FILE_H
#define TERRA_FILE_H

#include "engine/base/err.h"

#include <stddef.h>

struct file_map {
    const char *data;
    size_t n; /* > 0 */
};

bool file_map(const char *path, struct file_map *out, struct err *e);
void file_unmap(struct file_map *m);

/* "an HTML page", "a git-lfs pointer", ...; NULL if it looks like nothing known. */
const char *file_looks_like(const void *bytes, size_t n);

#endif
