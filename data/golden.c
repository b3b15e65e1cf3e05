/* SPDX-License-Identifier: MIT */
#include "data/golden.h"

#include "engine/base/buf.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_BYTES (16u << 20)
#define MAX_IDS   (1u << 20)

struct reader {
    const char *folder;
    struct golden *out;
    struct err *e;
};

static bool bad(struct reader *r, const char *case_name, const char *what)
{
    return err_set(r->e, ERR_INPUT, "%s/expect.json: case %s: %s", r->folder, case_name, what);
}

static const cJSON *key(const cJSON *o, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

/* A list of ids that fit 32 bits; negative ones do not exist. */
static bool read_ids(struct reader *r, const cJSON *c, const char *case_name, const char *name,
                     const int32_t **id, size_t *n)
{
    const cJSON *list = key(c, name), *item;
    int count = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || (unsigned)count > MAX_IDS)
        return err_set(r->e, ERR_INPUT, "%s/expect.json: case %s: %s is not a list of ids",
                       r->folder, case_name, name);
    int32_t *out = pool_get(&r->out->pool, (size_t)count, sizeof *out);
    *n = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item) || item->valuedouble != item->valueint || item->valueint < 0)
            return err_set(r->e, ERR_INPUT, "%s/expect.json: case %s: %s[%zu] is not an id",
                           r->folder, case_name, name, *n);
        out[(*n)++] = item->valueint;
    }
    *id = out;
    return true;
}

/* A name inside the folder: no way out of it. */
static bool plain_name(const char *name)
{
    return name && *name && !strchr(name, '/') && strcmp(name, "..") != 0;
}

/* The array's data moves to the pool. */
static bool read_array(struct reader *r, const char *case_name, const char *name,
                       struct npy *out)
{
    if (!plain_name(name))
        return bad(r, case_name, "an array's file name is missing");
    struct buf path = {0};
    buf_printf(&path, "%s/%s", r->folder, name);
    struct npy a;
    bool ok = npy_read(buf_str(&path), &a, r->e);
    if (ok) {
        *out = a;
        out->data = pool_copy(&r->out->pool, a.data, a.n * (a.type == NPY_I64 ? 8 : 4));
        npy_free(&a);
    }
    buf_free(&path);
    return ok;
}

static bool read_logits(struct reader *r, const cJSON *c, struct golden_case *g)
{
    struct npy a = {0};
    if (!read_array(r, g->name, cJSON_GetStringValue(key(c, "logits_file")), &a))
        return false;
    g->n_rows = g->n_target ? g->n_target : 1;
    if (a.type != NPY_F32 || a.n_axes != 2 || a.shape[0] != g->n_rows || a.shape[1] == 0 ||
        a.shape[1] > MAX_IDS)
        return bad(r, g->name, "logits are not float32 (rows of the target, vocabulary)");
    if (r->out->vocab && a.shape[1] != r->out->vocab)
        return bad(r, g->name, "logits have another vocabulary than the case before");
    r->out->vocab = (uint32_t)a.shape[1];
    g->logits = a.f32;
    return true;
}

static bool read_choice(struct reader *r, const cJSON *c, struct golden_case *g)
{
    const cJSON *file = key(c, "ff_choice_file");
    if (!file || cJSON_IsNull(file))
        return true; /* a dense feed-forward */
    struct npy a = {0};
    if (!read_array(r, g->name, cJSON_GetStringValue(file), &a))
        return false;
    size_t rows = g->n_rows;
    for (size_t i = 0; i < g->n_source; i++)
        rows += g->source[i] != 0;
    if (a.type != NPY_I32 || a.n_axes != 3 || a.shape[1] != rows || a.shape[0] > 4096 ||
        a.shape[2] > 65535)
        return bad(r, g->name,
                   "choices are not int32 (layers, source and target rows, blocks)");
    g->choice = a.i32;
    g->choice_layers = (uint32_t)a.shape[0];
    g->choice_rows = (uint32_t)rows;
    g->choice_blocks = (uint32_t)a.shape[2];
    return true;
}

static bool read_case(struct reader *r, const cJSON *c, const char *mode, struct golden_case *g)
{
    const char *name = cJSON_GetStringValue(key(c, "name"));
    if (!name)
        return bad(r, "?", "no name");
    g->name = pool_str(&r->out->pool, name);
    if (!read_ids(r, c, name, "source", &g->source, &g->n_source) ||
        !read_ids(r, c, name, "target", &g->target, &g->n_target) ||
        !read_ids(r, c, name, "greedy", &g->greedy, &g->n_greedy))
        return false;
    const char *own_mode = cJSON_GetStringValue(key(c, "greedy_mode"));
    g->greedy_predict = strcmp(own_mode ? own_mode : mode, "predict") == 0;
    const cJSON *padded = key(c, "target_padded_to");
    if (padded && !cJSON_IsNull(padded)) {
        if (!cJSON_IsNumber(padded) || padded->valuedouble != padded->valueint ||
            padded->valueint < (int)g->n_target || padded->valueint > (int)MAX_IDS)
            return bad(r, name, "target_padded_to is shorter than the target");
        g->target_padded_to = (size_t)padded->valueint;
    }
    return read_logits(r, c, g) && read_choice(r, c, g);
}

static bool read_all(struct reader *r, const cJSON *root)
{
    const cJSON *tolerance = key(root, "tolerance"), *cases = key(root, "cases"), *c;
    const char *mode = cJSON_GetStringValue(key(root, "greedy_mode"));
    const cJSON *rotations = key(root, "rotations_file");
    int n = cJSON_GetArraySize(cases);
    if (!cJSON_IsNumber(tolerance) || !(tolerance->valuedouble > 0) || !cJSON_IsArray(cases) ||
        n == 0)
        return err_set(r->e, ERR_INPUT, "%s/expect.json: tolerance or cases are missing",
                       r->folder);
    r->out->tolerance = tolerance->valuedouble;
    if (rotations && !cJSON_IsNull(rotations)) {
        if (!plain_name(cJSON_GetStringValue(rotations)))
            return err_set(r->e, ERR_INPUT, "%s/expect.json: rotations_file is not a file name",
                           r->folder);
        r->out->rotations_file = pool_str(&r->out->pool, rotations->valuestring);
    }
    r->out->cases = pool_get(&r->out->pool, (size_t)n, sizeof *r->out->cases);
    cJSON_ArrayForEach(c, cases)
    {
        if (!read_case(r, c, mode ? mode : "eval", &r->out->cases[r->out->n_cases]))
            return false;
        r->out->n_cases++;
    }
    return true;
}

bool golden_read(const char *folder, struct golden *out, struct err *e)
{
    *out = (struct golden){0};
    struct reader r = {folder, out, e};
    struct buf path = {0}, text = {0};
    cJSON *root = NULL;
    bool ok = false;
    buf_printf(&path, "%s/expect.json", folder);
    FILE *f = fopen(buf_str(&path), "rb");
    if (!f) {
        err_set(e, ERR_INPUT, "%s: %s", buf_str(&path), strerror(errno));
        goto done;
    }
    char chunk[65536];
    for (size_t n; text.len <= MAX_BYTES && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_add(&text, chunk, n);
    bool readable = !ferror(f);
    fclose(f);
    root = readable && text.len <= MAX_BYTES ? cJSON_ParseWithLength(buf_str(&text), text.len)
                                             : NULL;
    if (cJSON_IsObject(root))
        ok = read_all(&r, root);
    else
        err_set(e, ERR_INPUT, "%s: not a JSON object", buf_str(&path));
done:
    cJSON_Delete(root);
    buf_free(&path);
    buf_free(&text);
    if (!ok)
        golden_free(out);
    return ok;
}

void golden_free(struct golden *g)
{
    pool_free(&g->pool);
    *g = (struct golden){0};
}
