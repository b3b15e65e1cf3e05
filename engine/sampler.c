/* SPDX-License-Identifier: MIT */
#include "engine/sampler.h"

#include "engine/kernels/kernels.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { RUN = 256 }; /* logits looked over at once */

void sampler_layout(struct sampler *s, struct arena *a, uint32_t n)
{
    s->n = n;
    s->work = arena_get(a, n, sizeof *s->work);
    s->marked = arena_get(a, n, sizeof *s->marked);
    s->heap = arena_get(a, n, sizeof *s->heap);
    s->mass = arena_get(a, (n + RUN - 1) / RUN, sizeof *s->mass);
}

size_t sampler_first_bad(const float *x, size_t n)
{
    size_t i = kernels_get(NULL)->finite(x, n) ? n : 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}

/* ---- log-probabilities ---------------------------------------------------------- */

/* The best TERRA_TOP logits, best first, lower ids first among equals. */
static void find_top(const float *logits, uint32_t n, struct terra_token *out)
{
    const struct kernels *k = kernels_get(NULL);
    out->n_top = 0;
    for (uint32_t from = 0; from < n; from += RUN) {
        uint32_t to = n - from < RUN ? n : from + RUN;
        if (out->n_top == TERRA_TOP &&
            !(k->max(logits + from, to - from) > out->top[TERRA_TOP - 1].logprob))
            continue; /* nearly all runs hold nothing better */
        for (uint32_t i = from; i < to; i++) {
            if (out->n_top == TERRA_TOP && !(logits[i] > out->top[TERRA_TOP - 1].logprob))
                continue;
            uint32_t at = out->n_top < TERRA_TOP ? out->n_top++ : TERRA_TOP - 1;
            for (; at > 0 && logits[i] > out->top[at - 1].logprob; at--)
                out->top[at] = out->top[at - 1];
            out->top[at].id = (int32_t)i;
            out->top[at].logprob = logits[i];
        }
    }
}

/* ---- penalties and bans ------------------------------------------------------------ */

static void penalise(struct sampler *s, float penalty, const int32_t *history, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)history[i];
        if (id >= s->n || s->marked[id])
            continue;
        s->marked[id] = 1; /* once, however often it was written */
        s->work[id] = s->work[id] > 0 ? s->work[id] / penalty : s->work[id] * penalty;
    }
    for (size_t i = 0; i < n; i++)
        if ((uint32_t)history[i] < s->n)
            s->marked[history[i]] = 0;
}

/* Forbids every id that would repeat an n-gram of the history. */
static void ban_ngrams(struct sampler *s, size_t gram, const int32_t *history, size_t n)
{
    if (n < gram)
        return;
    const int32_t *suffix = history + n - (gram - 1);
    for (size_t i = 0; i + gram <= n; i++) {
        uint32_t id = (uint32_t)history[i + gram - 1];
        if (id < s->n && memcmp(history + i, suffix, (gram - 1) * sizeof *history) == 0)
            s->work[id] = -INFINITY;
    }
}

static uint32_t first_max(const float *x, uint32_t n)
{
    float top, second;
    return kernels_get(NULL)->best(x, n, &top, &second);
}

/* ---- drawing --------------------------------------------------------------------------- */

/* One step of SplitMix64's output function: a good hash of 64 bits. */
static uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* In [0, 1), from the seed and the step alone. */
static double uniform(uint64_t seed, uint64_t step)
{
    return (double)(mix(mix(seed) ^ step) >> 11) * 0x1p-53;
}

static bool before(struct sampler_candidate a, struct sampler_candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sift_down(struct sampler_candidate *heap, uint32_t n, uint32_t i)
{
    struct sampler_candidate moving = heap[i];
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(heap[child + 1], heap[child]))
            child++;
        if (!before(heap[child], moving))
            break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

/* A draw from all candidates: no order needed.  First the run of ids that it falls into, then
 * the id.  `work` may be changed. */
static int32_t draw_any(struct sampler *s, float t, float max, double u)
{
    const struct kernels *k = kernels_get(NULL);
    double mass = 0, at = 0;
    float sharper = fminf(1 / t, FLT_MAX); /* finite: the best ones' 0 stays 0 */
    for (uint32_t i = 0; t != 1 && i < s->n; i++)
        s->work[i] = max + (s->work[i] - max) * sharper;
    for (uint32_t from = 0, run = 0; from < s->n; from += RUN, run++) {
        s->mass[run] = k->sum_exp(s->work + from, s->n - from < RUN ? s->n - from : RUN, max);
        mass += s->mass[run];
    }
    int32_t last = 0;
    for (uint32_t from = 0, run = 0; from < s->n; from += RUN, run++) {
        if (at + s->mass[run] < u * mass) {
            at += s->mass[run];
            continue;
        }
        for (uint32_t i = from; i < s->n && at <= u * mass; i++) {
            double p = exp(s->work[i] - max);
            at += p;
            last = p > 0 ? (int32_t)i : last;
        }
        break;
    }
    return last;
}

/* A draw from the best `keep` candidates, of which the smallest set that holds the share
 * top_p of their mass is used.  Candidates leave the heap best first and collect at its end. */
static int32_t draw_best(struct sampler *s, float t, uint32_t keep, double top_p, double u)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->work[i] != -INFINITY)
            s->heap[n++] = (struct sampler_candidate){s->work[i], (int32_t)i};
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(s->heap, n, i);
    const double max = s->heap[0].logit;
    double mass = 0, used = 0;
    if (keep >= n) { /* the whole mass is known without sorting */
        keep = n;
        for (uint32_t i = 0; i < n; i++)
            mass += exp((s->heap[i].logit - max) / t);
    }
    const bool whole = mass > 0;
    const uint32_t all = n;
    uint32_t taken = 0;
    while (taken < keep && !(whole && used >= top_p * mass)) {
        struct sampler_candidate best = s->heap[0];
        s->heap[0] = s->heap[--n];
        sift_down(s->heap, n, 0);
        s->heap[n] = best; /* the k-th best lies at heap[all - k] */
        used += exp((best.logit - max) / t);
        taken++;
    }
    if (!whole) { /* top-k first: top-p cuts what is left of it */
        mass = used;
        used = 0;
        uint32_t cut = 0;
        while (cut < taken && used < top_p * mass)
            used += exp((s->heap[all - ++cut].logit - max) / t);
        taken = cut;
    }
    double at = 0;
    for (uint32_t k = 1; k < taken; k++) {
        at += exp((s->heap[all - k].logit - max) / t);
        if (at > u * used)
            return s->heap[all - k].id;
    }
    return s->heap[all - taken].id;
}

/* What a token reports about all logits: the best of them, as log-probabilities.  *lse is
 * what turns the others into such. */
static bool look(const struct sampler *s, const float *logits, struct terra_token *out,
                 float *lse, struct err *e)
{
    size_t bad = sampler_first_bad(logits, s->n);
    if (bad < s->n)
        return err_set(e, ERR_NUMERIC, "the logit of id %zu is %s", bad,
                       isnan(logits[bad]) ? "NaN" : "infinite");
    find_top(logits, s->n, out);
    float max = out->top[0].logprob;
    *lse = max + logf(kernels_get(NULL)->sum_exp(logits, s->n, max));
    for (uint32_t i = 0; i < out->n_top; i++)
        out->top[i].logprob -= *lse;
    return true;
}

/* Penalties and bans, into s->work; returns the best id that is left. */
static uint32_t adjust(struct sampler *s, const struct terra_sampling *p, const float *logits,
                       const int32_t *history, size_t n_history)
{
    memcpy(s->work, logits, s->n * sizeof *logits);
    if (p->repeat_penalty > 0 && p->repeat_penalty != 1)
        penalise(s, p->repeat_penalty, history, n_history);
    if (p->no_repeat_ngram > 0)
        ban_ngrams(s, p->no_repeat_ngram, history, n_history);
    if (n_history < p->min_tokens && s->n > TERRA_EOS)
        s->work[TERRA_EOS] = -INFINITY;
    uint32_t best = first_max(s->work, s->n);
    if (!isfinite(s->work[best])) { /* nothing may be written: the bans do not hold */
        memcpy(s->work, logits, s->n * sizeof *logits);
        best = first_max(s->work, s->n);
    }
    return best;
}

bool sampler_pick(struct sampler *s, const struct terra_sampling *p, const float *logits,
                  const int32_t *history, size_t n_history, struct terra_token *out,
                  struct err *e)
{
    float lse;
    if (!look(s, logits, out, &lse, e))
        return false;
    uint32_t best = adjust(s, p, logits, history, n_history);

    out->id = (int32_t)best;
    if (p->temperature > 0) {
        double u = uniform(p->seed, n_history);
        bool cut_p = p->top_p > 0 && p->top_p < 1;
        if (p->top_k == 0 && !cut_p)
            out->id = draw_any(s, p->temperature, s->work[best], u);
        else
            out->id = draw_best(s, p->temperature, p->top_k ? p->top_k : s->n,
                                cut_p ? p->top_p : 1, u);
    }
    out->logprob = logits[out->id] - lse;
    return true;
}

bool sampler_take(struct sampler *s, int32_t id, const float *logits, struct terra_token *out,
                  struct err *e)
{
    float lse;
    if (!look(s, logits, out, &lse, e))
        return false;
    out->id = id;
    out->logprob = logits[id] - lse;
    return true;
}

bool sampler_score(struct sampler *s, const struct terra_sampling *p, const float *logits,
                   const int32_t *history, size_t n_history, struct err *e)
{
    struct terra_token t;
    float lse;
    if (!look(s, logits, &t, &lse, e))
        return false;
    adjust(s, p, logits, history, n_history);
    for (uint32_t i = 0; i < s->n; i++)
        s->work[i] -= lse;
    return true;
}
