/* npy.h - one NumPy array from a .npy file.
 *
 * Purpose: reads what fixtures hold: versions 1 and 2, C order, little-endian float32,
 *          int32 and int64, at most four axes.
 * Owns:    the data, until npy_free.
 * Errors:  ERR_INPUT naming the file and what is wrong; sizes are checked against the
 *          file before memory is taken.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_NPY_H
#define TERRA_DATA_NPY_H

#include "engine/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define NPY_MAX_AXES 4

enum npy_type { NPY_F32, NPY_I32, NPY_I64 };

struct npy {
    enum npy_type type;
    uint32_t n_axes;
    size_t shape[NPY_MAX_AXES];
    size_t n; /* product of shape; 1 for a scalar */
    union {
        void *data;
        float *f32;
        int32_t *i32;
        int64_t *i64;
    };
};

bool npy_read(const char *path, struct npy *out, struct err *e);
/* From bytes in memory; `name` is for messages. */
bool npy_parse(const void *bytes, size_t n, const char *name, struct npy *out, struct err *e);
void npy_free(struct npy *a); /* a may be zeroed */

#endif
