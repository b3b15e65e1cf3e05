/* SPDX-License-Identifier: MIT */
#include "engine/tensor_file.h"

#include "engine/base/sha256.h"
#include "engine/base/xalloc.h"
#include "engine/json_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_HEADER = 100 * 1000 * 1000, /* the format's own limit */
    MAX_TENSORS = 65536,
    MAX_NAME = 200,
    MAX_DEPTH = 4,
    MAX_VALUES = MAX_TENSORS * 16,
};

static const struct {
    const char *name;
    size_t width;
} dtypes[] = {[TERRA_F32] = {"F32", 4}, [TERRA_BF16] = {"BF16", 2}, [TERRA_I8] = {"I8", 1}};

size_t tensor_width(enum terra_dtype dtype)
{
    return dtypes[dtype].width;
}

const char *tensor_dtype_name(enum terra_dtype dtype)
{
    return dtypes[dtype].name;
}

const char *tensor_show_shape(const uint64_t *shape, uint32_t rank, char out[96])
{
    size_t at = 0;
    at += (size_t)snprintf(out, 96, "(");
    for (uint32_t i = 0; i < rank && at < 90; i++)
        at += (size_t)snprintf(out + at, 96 - at, "%s%" PRIu64, i ? ", " : "", shape[i]);
    if (at < 95)
        snprintf(out + at, 96 - at, ")");
    return out;
}

/* ---- one entry of the header ---------------------------------------------- */

static bool mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > UINT64_MAX / b)
        return false;
    *out = a * b;
    return true;
}

static bool parse_dtype(const cJSON *item, const char *name, enum terra_dtype *out,
                        struct err *e)
{
    char show[48];
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (cJSON_IsString(item) && strcmp(item->valuestring, dtypes[i].name) == 0) {
            *out = (enum terra_dtype)i;
            return true;
        }
    return err_set(e, ERR_MODEL, "tensor %s: dtype %s, wanted F32, BF16 or I8", name,
                   json_show(item, show));
}

static bool parse_shape(const cJSON *item, struct tensor *t, struct err *e)
{
    if (!cJSON_IsArray(item))
        return err_set(e, ERR_MODEL, "tensor %s: shape must be a list", t->name);
    t->rows = t->cols = 1;
    for (const cJSON *axis = item->child; axis; axis = axis->next) {
        char show[48];
        if (t->rank == TENSOR_MAX_RANK)
            return err_set(e, ERR_MODEL, "tensor %s: more than %d axes", t->name,
                           TENSOR_MAX_RANK);
        if (!json_whole(axis, (uint64_t)1 << 48, &t->shape[t->rank]))
            return err_set(e, ERR_MODEL, "tensor %s: axis %" PRIu32 " is %s, not a size",
                           t->name, t->rank, json_show(axis, show));
        if (t->rank > 0 && !mul_u64(t->rows, t->shape[t->rank - 1], &t->rows))
            return err_set(e, ERR_MODEL, "tensor %s: its size overflows", t->name);
        t->cols = t->shape[t->rank++];
    }
    if (!mul_u64(t->rows, t->cols, &t->bytes) ||
        !mul_u64(t->bytes, tensor_width(t->dtype), &t->bytes))
        return err_set(e, ERR_MODEL, "tensor %s: its size overflows", t->name);
    return true;
}

static bool parse_range(const cJSON *item, uint64_t data_at, uint64_t file_size,
                        struct tensor *t, struct err *e)
{
    const uint64_t exact = (uint64_t)1 << 53;
    uint64_t begin, end;
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 2 ||
        !json_whole(item->child, exact, &begin) || !json_whole(item->child->next, exact, &end))
        return err_set(e, ERR_MODEL, "tensor %s: data_offsets must be two sizes", t->name);
    if (begin > end || end - begin != t->bytes) {
        char shape[96];
        return err_set(e, ERR_MODEL,
                       "tensor %s: %s %s takes %" PRIu64 " bytes, data_offsets are %" PRIu64
                       "..%" PRIu64,
                       t->name, tensor_dtype_name(t->dtype),
                       tensor_show_shape(t->shape, t->rank, shape), t->bytes, begin, end);
    }
    t->offset = data_at + begin;
    if (data_at + end > file_size)
        return err_set(e, ERR_MODEL,
                       "truncated: tensor %s wants %" PRIu64 " bytes of file, found %" PRIu64,
                       t->name, data_at + end, file_size);
    if (t->offset % tensor_width(t->dtype) != 0)
        return err_set(e, ERR_MODEL, "tensor %s: byte %" PRIu64 " is not aligned for %s",
                       t->name, t->offset, tensor_dtype_name(t->dtype));
    return true;
}

static bool parse_tensor(const cJSON *entry, uint64_t data_at, uint64_t file_size,
                         struct tensor *t, struct err *e)
{
    const cJSON *dtype = NULL, *shape = NULL, *range = NULL;
    if (!cJSON_IsObject(entry))
        return err_set(e, ERR_MODEL, "tensor %s: not an object", t->name);
    for (const cJSON *item = entry->child; item; item = item->next) {
        const cJSON **slot = strcmp(item->string, "dtype") == 0          ? &dtype
                             : strcmp(item->string, "shape") == 0        ? &shape
                             : strcmp(item->string, "data_offsets") == 0 ? &range
                                                                         : NULL;
        if (!slot || *slot)
            return err_set(e, ERR_MODEL, "tensor %s: key %s is %s", t->name, item->string,
                           slot ? "given twice" : "unknown");
        *slot = item;
    }
    if (!dtype || !shape || !range)
        return err_set(e, ERR_MODEL, "tensor %s: %s is missing", t->name,
                       !dtype   ? "dtype"
                       : !shape ? "shape"
                                : "data_offsets");
    return parse_dtype(dtype, t->name, &t->dtype, e) && parse_shape(shape, t, e) &&
           parse_range(range, data_at, file_size, t, e);
}

/* ---- the whole header ------------------------------------------------------ */

static int by_offset(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static bool check_tables(struct tensor_file *f, struct err *e)
{
    qsort(f->tensor, f->n, sizeof *f->tensor, by_offset);
    uint64_t end = f->header_bytes;
    const char *before = "(header)";
    for (size_t i = 0; i < f->n; i++) {
        const struct tensor *t = &f->tensor[i];
        f->by_name[i] = t;
        if (t->bytes && t->offset < end)
            return err_set(e, ERR_MODEL,
                           "tensors %s and %s overlap: one ends at %" PRIu64
                           ", the other begins at %" PRIu64,
                           before, t->name, end, t->offset);
        if (t->bytes) {
            end = t->offset + t->bytes;
            before = t->name;
        }
    }
    if (end != f->file_bytes)
        return err_set(e, ERR_MODEL,
                       "the last tensor ends at byte %" PRIu64 ", the file at %" PRIu64, end,
                       f->file_bytes);
    qsort(f->by_name, f->n, sizeof *f->by_name, by_name);
    for (size_t i = 1; i < f->n; i++)
        if (strcmp(f->by_name[i - 1]->name, f->by_name[i]->name) == 0)
            return err_set(e, ERR_MODEL, "tensor %s: given twice", f->by_name[i]->name);
    return true;
}

static bool parse_entries(const cJSON *root, struct tensor_file *f, struct err *e)
{
    if (!cJSON_IsObject(root))
        return err_set(e, ERR_MODEL, "the header is not a JSON object");
    size_t n = (size_t)cJSON_GetArraySize(root);
    if (n > MAX_TENSORS)
        return err_set(e, ERR_MODEL, "%zu tensors, more than %d", n, MAX_TENSORS);
    f->tensor = xcalloc(n, sizeof *f->tensor);
    f->by_name = xcalloc(n, sizeof *f->by_name);
    for (const cJSON *entry = root->child; entry; entry = entry->next) {
        if (strcmp(entry->string, "__metadata__") == 0)
            continue;
        if (!entry->string[0] || strlen(entry->string) > MAX_NAME)
            return err_set(e, ERR_MODEL, "a tensor's name has %zu bytes, wanted 1 to %d",
                           strlen(entry->string), MAX_NAME);
        struct tensor *t = &f->tensor[f->n++];
        t->name = xstrdup(entry->string);
        if (!parse_tensor(entry, f->header_bytes, f->file_bytes, t, e))
            return false;
    }
    return check_tables(f, e);
}

bool tensor_file_parse(const void *bytes, size_t n, uint64_t file_size, struct tensor_file *out,
                       struct err *e)
{
    *out = (struct tensor_file){.file_bytes = file_size};
    const uint8_t *p = bytes;
    const char *looks = file_looks_like(bytes, n);
    if (looks)
        return err_set(e, ERR_MODEL, "not safetensors: looks like %s", looks);
    if (n < 8)
        return err_set(e, ERR_MODEL, "truncated: %" PRIu64 " bytes, too short for a header",
                       file_size);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | p[i];
    if (length > MAX_HEADER || length < 2)
        return err_set(e, ERR_MODEL, "not safetensors: it claims a header of %" PRIu64 " bytes",
                       length);
    out->header_bytes = 8 + length;
    if (out->header_bytes > n)
        return err_set(e, ERR_MODEL, "truncated: the header wants %" PRIu64 " bytes, found %zu",
                       out->header_bytes, n);
    if (p[8] != '{')
        return err_set(e, ERR_MODEL, "not safetensors: the header does not begin with '{'");
    sha256(bytes, (size_t)out->header_bytes, out->header_sha256);
    cJSON *root = json_read((const char *)p + 8, (size_t)length, MAX_DEPTH, MAX_VALUES, e);
    bool ok = root ? parse_entries(root, out, e) : err_prefix(e, "the header is damaged");
    cJSON_Delete(root);
    if (!ok)
        tensor_file_close(out);
    return ok;
}

bool tensor_file_open(const char *path, struct tensor_file *out, struct err *e)
{
    *out = (struct tensor_file){0};
    struct file_map map;
    if (!file_map(path, &map, e))
        return false;
    if (!tensor_file_parse(map.data, map.n, map.n, out, e)) {
        file_unmap(&map);
        return err_prefix(e, "%s", path);
    }
    out->map = map;
    for (size_t i = 0; i < out->n; i++)
        out->tensor[i].data = map.data + out->tensor[i].offset;
    return true;
}

void tensor_file_close(struct tensor_file *f)
{
    for (size_t i = 0; i < f->n; i++)
        free((void *)(uintptr_t)f->tensor[i].name);
    free(f->tensor);
    free(f->by_name);
    file_unmap(&f->map);
    *f = (struct tensor_file){0};
}

const struct tensor *tensor_file_find(const struct tensor_file *f, const char *name)
{
    const struct tensor key = {.name = name}, *p = &key;
    const struct tensor **found =
        f->n ? bsearch(&p, f->by_name, f->n, sizeof *f->by_name, by_name) : NULL;
    return found ? *found : NULL;
}
