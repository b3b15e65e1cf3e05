/* SPDX-License-Identifier: MIT */
#include "data/npy.h"

#include "engine/base/buf.h"
#include "engine/base/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC      "\x93NUMPY"
#define MAX_HEADER 65536

/* The header is a Python dict literal; these find one key's value in it. */
static const char *value_of(const char *header, const char *key)
{
    const char *p = strstr(header, key);
    if (!p)
        return NULL;
    p += strlen(key);
    while (*p == ' ' || *p == ':')
        p++;
    return p;
}

static bool parse_type(const char *v, enum npy_type *out)
{
    static const char *const name[] = {"'<f4'", "'<i4'", "'<i8'"};
    for (int i = 0; i < 3; i++) {
        if (strncmp(v, name[i], strlen(name[i])) == 0) {
            *out = (enum npy_type)i;
            return true;
        }
    }
    return false;
}

static bool parse_shape(const char *v, struct npy *out)
{
    if (*v++ != '(')
        return false;
    out->n = 1;
    for (;;) {
        while (*v == ' ' || *v == ',')
            v++;
        if (*v == ')')
            return true;
        if (*v < '0' || *v > '9' || out->n_axes == NPY_MAX_AXES)
            return false;
        char *end;
        errno = 0;
        unsigned long long axis = strtoull(v, &end, 10);
        if (errno || axis > (size_t)-1 || !size_mul(out->n, (size_t)axis, &out->n))
            return false;
        out->shape[out->n_axes++] = (size_t)axis;
        v = end;
    }
}

static bool parse_header(const char *header, const char *name, struct npy *out, struct err *e)
{
    const char *descr = value_of(header, "'descr'"),
               *order = value_of(header, "'fortran_order'");
    const char *shape = value_of(header, "'shape'");
    if (!descr || !order || !shape)
        return err_set(e, ERR_INPUT, "%s: the array's header lacks a key", name);
    if (!parse_type(descr, &out->type))
        return err_set(e, ERR_INPUT, "%s: element type %.12s; wanted '<f4', '<i4' or '<i8'",
                       name, descr);
    if (strncmp(order, "False", 5) != 0)
        return err_set(e, ERR_INPUT, "%s: the array is in Fortran order", name);
    if (!parse_shape(shape, out))
        return err_set(e, ERR_INPUT, "%s: bad shape %.40s (at most %d axes)", name, shape,
                       NPY_MAX_AXES);
    return true;
}

bool npy_parse(const void *bytes, size_t n, const char *name, struct npy *out, struct err *e)
{
    *out = (struct npy){0};
    const unsigned char *p = bytes;
    if (n < 10 || memcmp(p, MAGIC, 6) != 0)
        return err_set(e, ERR_INPUT, "%s: not a .npy file", name);
    if (p[6] != 1 && p[6] != 2)
        return err_set(e, ERR_INPUT, "%s: .npy version %d; wanted 1 or 2", name, p[6]);
    size_t start = p[6] == 1 ? 10 : 12, length = p[8] | (size_t)p[9] << 8;
    if (p[6] == 2 && n >= 12)
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (n < start || length > MAX_HEADER || length > n - start)
        return err_set(e, ERR_INPUT, "%s: the array's header is cut off", name);

    char *header = xstrndup((const char *)p + start, length);
    bool ok = parse_header(header, name, out, e);
    free(header);
    if (!ok)
        return false;
    size_t have = n - start - length, want;
    if (!size_mul(out->n, out->type == NPY_I64 ? 8 : 4, &want) || want != have)
        return err_set(e, ERR_INPUT, "%s: %zu elements do not fit %zu bytes of data", name,
                       out->n, have);
    out->data = xmalloc(want); /* no larger than the file itself */
    memcpy(out->data, p + start + length, want);
    return true;
}

static bool read_file(const char *path, struct buf *out, struct err *e)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return err_set(e, ERR_INPUT, "%s: %s", path, strerror(errno));
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(out, chunk, n);
    bool ok = !ferror(f);
    if (!ok)
        err_set(e, ERR_INPUT, "%s: %s", path, strerror(errno));
    fclose(f);
    return ok;
}

bool npy_read(const char *path, struct npy *out, struct err *e)
{
    struct buf b = {0};
    *out = (struct npy){0};
    bool ok = read_file(path, &b, e) && npy_parse(buf_str(&b), b.len, path, out, e);
    buf_free(&b);
    return ok;
}

void npy_free(struct npy *a)
{
    free(a->data);
    *a = (struct npy){0};
}
