/* tensor_file.h - the safetensors file of a model.
 *
 * Purpose: maps the file and answers "where is tensor X, and what is it".  Every
 *          offset, product and range is checked here, once; after a successful parse
 *          each tensor's bytes lie inside the file and overlap no other tensor's.
 * Owns:    names and tables, and the mapping if it was opened from a path, until
 *          tensor_file_close (a zeroed struct is fine).
 * Errors:  ERR_MODEL: the tensor and both values, or what the file looks like.
 * Threads: immutable after it is opened.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_TENSOR_FILE_H
#define TERRA_TENSOR_FILE_H

#include "engine/base/err.h"
#include "engine/file.h"
#include "engine/terra.h"

#include <stddef.h>
#include <stdint.h>

#define TENSOR_MAX_RANK 6

struct tensor {
    const char *name; /* belongs to the tensor_file */
    enum terra_dtype dtype;
    uint32_t rank;
    uint64_t shape[TENSOR_MAX_RANK];
    uint64_t rows, cols;    /* the row-matrix view: last axis, and all before it */
    uint64_t offset, bytes; /* within the file */
    const void *data;       /* NULL after a bare parse; aligned to the element's size */
};

struct tensor_file {
    struct tensor *tensor; /* in the order of their data */
    size_t n;
    const struct tensor **by_name; /* sorted */
    uint64_t header_bytes;         /* with the 8 bytes of length */
    uint64_t file_bytes;
    uint8_t header_sha256[32]; /* of those header_bytes */
    struct file_map map;       /* empty after a bare parse */
};

/* Parses the first n bytes of a file of file_size bytes. */
bool tensor_file_parse(const void *bytes, size_t n, uint64_t file_size, struct tensor_file *out,
                       struct err *e);
bool tensor_file_open(const char *path, struct tensor_file *out, struct err *e);
void tensor_file_close(struct tensor_file *f);

/* NULL if there is none. */
const struct tensor *tensor_file_find(const struct tensor_file *f, const char *name);

size_t tensor_width(enum terra_dtype dtype); /* bytes per element */
const char *tensor_dtype_name(enum terra_dtype dtype);

/* "(4, 8, 16)" for messages. */
const char *tensor_show_shape(const uint64_t *shape, uint32_t rank, char out[96]);

#endif
