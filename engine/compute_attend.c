/* compute_attend.c - standard attention over a cache, one (row, head) pair at a time.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/compute_internal.h"

#include <math.h>
#include <string.h>

/* ---- storing ------------------------------------------------------------------------ */

static uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (f != f)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void store_row(const struct kernels *k, const struct cache *c, size_t row, size_t width,
                      const float *x)
{
    if (c->dtype == TERRA_F32) {
        memcpy((float *)c->data + row * width, x, width * sizeof *x);
    } else if (c->dtype == TERRA_BF16) {
        uint16_t *to = (uint16_t *)c->data + row * width;
        for (size_t i = 0; i < width; i++)
            to[i] = to_bf16(x[i]);
    } else {
        c->scale[row] = k->narrow(x, width, (int8_t *)c->data + row * width);
    }
}

void compute_store(struct compute *cx, const struct cache *c, size_t heads, size_t width,
                   size_t cap, size_t at, const float *x, size_t n)
{
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < heads; h++)
            store_row(cx->k, c, h * cap + at + t, width, x + (t * heads + h) * width);
}

/* ---- attention -------------------------------------------------------------------------- */

struct attend_job {
    struct compute *c;
    const struct attend *a;
    const float *q;
    size_t n;
    float *scores, *out;
};

static struct mat head_rows(const struct cache *c, size_t head, const struct attend *a)
{
    size_t first = head * a->cap;
    return (struct mat){.dtype = c->dtype,
                        .rows = (uint32_t)a->cap,
                        .cols = a->dh,
                        .data = (const char *)c->data + first * a->dh * dtype_size(c->dtype),
                        .scale = c->scale ? c->scale + first : NULL};
}

/* Item i is head i / n, row i % n: a thread stays with a head's keys. */
static void attend_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    (void)thread;
    struct attend_job *j = arg;
    const struct attend *a = j->a;
    const struct kernels *kern = j->c->k;
    size_t width = (size_t)a->heads * a->dh;
    float scale = 1 / sqrtf((float)a->dh);
    for (size_t i = i0; i < i1; i++) {
        size_t head = i / j->n, t = i % j->n;
        size_t seen = a->causal ? a->first + t + 1 : a->rows;
        const float *q = j->q + t * width + head * a->dh;
        struct mat k = head_rows(&a->k, head, a), v = head_rows(&a->v, head, a);
        float *s = j->scores + i * a->rows;
        kern->rows(&k, 0, seen, q, a->dh, 1, s, seen);
        for (size_t r = 0; r < seen; r++)
            s[r] = a->valid && !a->valid[r] ? -1e9f : s[r] * scale;
        kern->softmax(s, seen);
        float *out = j->out + t * width + head * a->dh;
        memset(out, 0, a->dh * sizeof *out);
        kern->axpy_at(&v, NULL, s, seen, 0, a->dh, out);
    }
}

void compute_attend(struct compute *c, const struct attend *a, const float *q, size_t n,
                    float *scores, float *out)
{
    struct attend_job j = {c, a, q, n, scores, out};
    pool_run(c->pool, a->heads * n, 1, attend_part, &j);
}
