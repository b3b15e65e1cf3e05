/* compute_multconv.c - one decoded position of multiplicative convolutional attention.
 *
 * Heads and modules cut the same d values.  Where both cuts meet a thread's share may begin:
 * its heads' queries, keys and values are its own modules' convolutions, which read those
 * modules of the mult layer's output and a few on either side, now and in the last rows.  So
 * a thread works through all four layers alone, on a copy of the rows it reads.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/clock.h"
#include "engine/compute_internal.h"

#include <string.h>

struct job {
    struct compute *c;
    struct multconv_step *s;
    size_t groups, half; /* the widest call looks at `half` modules on either side */
};

static size_t common_divisor(size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Modules [m0, m1) of the rows before this one; `rows` is [length][d]. */
static void recall_modules(const struct multconv_step *s, size_t m0, size_t m1, float *rows)
{
    const struct conv_shape *c = s->qkv->s;
    size_t d = (size_t)c->modules * c->c_in, past = c->length - 1;
    for (size_t i = 0; i < past; i++) {
        size_t slot = (s->attend.first + 1 + i) % c->length; /* of row first - past + i */
        memcpy(rows + i * d + m0 * c->c_in, s->ring + slot * d + m0 * c->c_in,
               (m1 - m0) * c->c_in * sizeof *rows);
    }
}

static void part(void *arg, uint32_t thread, size_t g0, size_t g1)
{
    const struct job *j = arg;
    struct multconv_step *s = j->s;
    const struct conv_shape *c = s->qkv->s;
    size_t d = (size_t)c->modules * c->c_in, per = c->modules / j->groups;
    size_t m0 = g0 * per, m1 = g1 * per;
    size_t n0 = m0 < j->half ? 0 : m0 - j->half, n1 = min_size(m1 + j->half, c->modules);
    float *rows = s->scratch + thread * c->length * d, *now = rows + (c->length - 1) * d;
    const float *x = own_norm(j->c->k, s->res.ln, s->res.x, d, s->res.own, thread);

    recall_modules(s, n0, n1, rows);
    factored_modules(j->c, thread, &s->mult, x, n0, n1, now);
    memcpy(s->ring + s->attend.first % c->length * d + m0 * c->c_in, now + m0 * c->c_in,
           (m1 - m0) * c->c_in * sizeof *now);
    size_t heads = s->attend.heads / j->groups;
    fetch_head(&s->attend, g0 * heads, s->attend.rows);
    conv_modules(j->c, thread, s->qkv, 3, rows, m0, m1);

    uint64_t since = s->timed && thread == 0 ? clock_ns() : 0; /* the caller's share */
    const float *const qkv[3] = {s->qkv[0].y, s->qkv[1].y, s->qkv[2].y};
    attend_own(j->c, thread, &s->attend, qkv, s->scores, g0 * heads, g1 * heads, s->out);
    if (since)
        s->attend_ns = clock_ns() - since;
    own_add(j->c->k, s->out, m0 * c->c_in, m1 * c->c_in, s->res.acc, &s->res.bad);
}

bool compute_multconv(struct compute *c, struct multconv_step *s)
{
    struct job j = {.c = c, .s = s};
    j.groups = common_divisor(s->mult.modules, s->attend.heads);
    if (!mat_has_quads(c->k, s->mult.proj) || j.groups < SHARE * (size_t)compute_threads(c))
        return false;
    for (int i = 0; i < 3; i++) {
        size_t half = (s->qkv[i].s->kernel - 1) / 2;
        j.half = half > j.half ? half : j.half;
    }
    pool_run(c->pool, j.groups, 1, part, &j);
    return true;
}
