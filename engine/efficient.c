/* efficient.c - see efficient.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/efficient.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void efficient_layout(struct efficient_work *w, struct arena *a, size_t rows, size_t hashes,
                      size_t dv, size_t seen)
{
    size_t n = rows * hashes;
    w->key = arena_get(a, n, sizeof *w->key);
    w->order = arena_get(a, n, sizeof *w->order);
    w->slot = arena_get(a, n, sizeof *w->slot);
    w->list = arena_get(a, seen, sizeof *w->list);
    w->score = arena_get(a, seen, sizeof *w->score);
    w->out = arena_get(a, n * dv, sizeof *w->out);
    w->lse = arena_get(a, n, sizeof *w->lse);
}

/* One query against a list of key positions; returns log(sum(exp(score))). */
static double attend_query(const struct efficient *f, size_t head, const float *q, size_t tq,
                           const uint32_t *list, size_t n, double *score, float *out)
{
    const float *keys = f->k + head * f->cap * f->dk, *values = f->v + head * f->cap * f->dv;
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = list[i];
        const float *k = keys + j * f->dk;
        double s = 0;
        for (size_t c = 0; c < f->dk; c++)
            s += (double)q[c] * k[c];
        /* An invalid key at position 0 or 1 escapes the mask: trax's quirk, kept. */
        long long info = (long long)tq + 1;
        long long kinfo = (f->valid && !f->valid[j] ? -(long long)j : (long long)j) + 1;
        if (f->causal && info < kinfo)
            s -= 1e9;
        if (f->self_last && info == kinfo)
            s -= 1e5;
        if (f->valid && kinfo < 0)
            s -= 1e9;
        score[i] = s;
        top = s > top ? s : top;
    }
    for (size_t i = 0; i < n; i++)
        sum += score[i] = exp(score[i] - top);
    memset(out, 0, f->dv * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        float p = (float)(score[i] / sum);
        const float *v = values + (size_t)list[i] * f->dv;
        for (size_t c = 0; c < f->dv; c++)
            out[c] += p * v[c];
    }
    return top + log(sum);
}

/* Chunks c - before .. c + after of n_chunks, wrapping around, in that order.  A causal
 * run that is still growing has nothing to wrap to: what it would see is masked anyway. */
static size_t near_chunks(const struct efficient *f, size_t c, size_t n_chunks, bool wrap,
                          const uint32_t *order, size_t n, uint32_t *list)
{
    size_t m = 0;
    for (long long i = (long long)c - f->before; i <= (long long)c + f->after; i++) {
        if (!wrap && (i < 0 || i >= (long long)n_chunks))
            continue;
        size_t from =
            (size_t)((i % (long long)n_chunks + (long long)n_chunks) % (long long)n_chunks);
        for (size_t j = from * f->chunk; j < (from + 1) * f->chunk && j < n; j++)
            list[m++] = order ? order[j] : (uint32_t)j;
    }
    return m;
}

static void run_unsorted(const struct efficient *f, struct efficient_work *w, float *out)
{
    size_t n_chunks = f->chunk ? (f->rows + f->chunk - 1) / f->chunk : 1;
    for (size_t h = 0; h < f->heads; h++) {
        for (size_t t = 0; t < f->n; t++) {
            size_t m = 0, at = f->first + t;
            if (f->chunk)
                m = near_chunks(f, at / f->chunk, n_chunks, !f->causal, NULL, f->rows, w->list);
            else
                while (m < f->rows) {
                    w->list[m] = (uint32_t)m;
                    m++;
                }
            attend_query(f, h, f->q + (t * f->heads + h) * f->dk, at, w->list, m, w->score,
                         out + (t * f->heads + h) * f->dv);
        }
    }
}

/* Index of the largest entry of [z, -z], the first of equals; z = q times `half` columns of
 * the rotations, `stride` apart from one row to the next. */
static uint32_t hash_factor(const float *q, size_t dk, const float *rot, size_t stride,
                            uint32_t half)
{
    uint32_t high = 0, low = 0;
    double top = -INFINITY, bottom = INFINITY;
    for (uint32_t i = 0; i < half; i++) {
        double z = 0;
        for (size_t c = 0; c < dk; c++)
            z += (double)q[c] * rot[c * stride + i];
        if (z > top) {
            top = z;
            high = i;
        }
        if (z < bottom) {
            bottom = z;
            low = i;
        }
    }
    return -bottom > top ? half + low : high;
}

static uint32_t bucket_of(const struct efficient *f, size_t head, const float *q,
                          uint32_t round)
{
    size_t stride = (size_t)f->hashes * f->n_rot;
    const float *rot = f->rotations + head * f->dk * stride + (size_t)round * f->n_rot;
    uint32_t bucket = 0, scale = 1;
    for (uint32_t i = 0; i < f->n_buckets; i++) {
        bucket += scale * hash_factor(q, f->dk, rot, stride, f->buckets[i] / 2);
        scale *= f->buckets[i];
        rot += f->buckets[i] / 2;
    }
    return bucket;
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts all (round, position) entries of one head by bucket, then position. */
static void sort_entries(const struct efficient *f, struct efficient_work *w, size_t head)
{
    uint64_t R = 1, L = f->rows, n = L * f->hashes;
    for (uint32_t i = 0; i < f->n_buckets; i++)
        R *= f->buckets[i];
    uint64_t per_round = f->valid ? R + 1 : R; /* padding has a bucket of its own */
    for (uint32_t r = 0; r < f->hashes; r++) {
        for (uint64_t t = 0; t < L; t++) {
            uint64_t bucket = f->valid && !f->valid[t]
                                  ? R
                                  : bucket_of(f, head, f->q + (t * f->heads + head) * f->dk, r);
            w->key[r * L + t] = L * (bucket + r * per_round) + t;
        }
    }
    qsort(w->key, n, sizeof *w->key, by_key);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t t = w->key[i] % L, round = w->key[i] / L / per_round;
        w->order[i] = (uint32_t)t;
        w->slot[round * L + t] = (uint32_t)i;
    }
}

static void run_sorted(const struct efficient *f, struct efficient_work *w, float *out)
{
    size_t L = f->rows, n = L * f->hashes, n_chunks = n / f->chunk;
    for (size_t h = 0; h < f->heads; h++) {
        sort_entries(f, w, h);
        for (size_t i = 0; i < n; i++) {
            size_t m = near_chunks(f, i / f->chunk, n_chunks, true, w->order, n, w->list);
            size_t t = w->order[i];
            w->lse[i] = attend_query(f, h, f->q + (t * f->heads + h) * f->dk, t, w->list, m,
                                     w->score, w->out + i * f->dv);
        }
        for (size_t t = 0; t < L; t++) { /* rounds weighted by softmax of their lse */
            double top = -INFINITY, sum = 0;
            for (uint32_t r = 0; r < f->hashes; r++)
                top = fmax(top, w->lse[w->slot[r * L + t]]);
            for (uint32_t r = 0; r < f->hashes; r++)
                sum += exp(w->lse[w->slot[r * L + t]] - top);
            float *y = out + (t * f->heads + h) * f->dv;
            memset(y, 0, f->dv * sizeof *y);
            for (uint32_t r = 0; r < f->hashes; r++) {
                size_t s = w->slot[r * L + t];
                float p = (float)(exp(w->lse[s] - top) / sum);
                for (size_t c = 0; c < f->dv; c++)
                    y[c] += p * w->out[s * f->dv + c];
            }
        }
    }
}

void efficient_run(const struct efficient *f, struct efficient_work *w, float *out)
{
    if (f->sorted)
        run_sorted(f, w, out);
    else
        run_unsorted(f, w, out);
}
