/* compute_attend.c - standard attention over a cache, one (row, head) pair at a time.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/compute_internal.h"

#include <math.h>
#include <string.h>

struct attend_job {
    struct compute *c;
    const struct attend *a;
    const float *q;
    size_t n;
    float *scores, *out;
};

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
        struct mat k = {
            .rows = (uint32_t)a->cap, .cols = a->dh, .data = a->k + head * a->cap * a->dh};
        struct mat v = k;
        v.data = a->v + head * a->cap * a->dh;
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
