/* SPDX-License-Identifier: MIT */
#include "app/compare.h"

#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const compare_badge_name[] = {"", "BIT", "TOK", "DIFF"};

bool compare_parse(const char *text, enum compare_kind *kind, const char **path, struct err *e)
{
    *path = NULL;
    if (strcmp(text, "masked") == 0)
        *kind = COMPARE_MASKED;
    else if (strcmp(text, "open") == 0)
        *kind = COMPARE_OPEN;
    else if (strncmp(text, "model:", 6) == 0 && text[6]) {
        *kind = COMPARE_MODEL;
        *path = text + 6;
    } else
        return err_set(e, ERR_USAGE, "compare with '%s'? choose masked, open or model:PATH",
                       text);
    return true;
}

const char *compare_relation(enum compare_kind k)
{
    switch (k) {
    case COMPARE_MASKED:
        return "same weights, same function";
    case COMPARE_OPEN:
        return "same weights, mask off: another function";
    default:
        return "another model";
    }
}

bool compare_first_side(enum compare_kind k, enum terra_mode mode, struct err *e)
{
    return k == COMPARE_MODEL || mode != TERRA_OPEN ||
           err_set(
               e, ERR_USAGE,
               "mode open cannot be compared with masked or open: use mode sparse, and open "
               "as the other side");
}

/* ---- speed-up -------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts v. */
static double median(uint64_t *v, uint32_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return n % 2 ? (double)v[n / 2] : ((double)v[n / 2 - 1] + (double)v[n / 2]) / 2;
}

static uint64_t random_next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

#define MIN_PAIRS 2

void compare_speedup(const uint64_t *a, const uint64_t *b, uint32_t n, double *ratio,
                     double *low, double *high)
{
    *ratio = *low = *high = NAN;
    if (n < MIN_PAIRS)
        return;
    /* Resamples of pairs, with a fixed seed: the same times give the same interval.  Long
     * runs need fewer of them. */
    uint32_t draws = 400000 / n;
    draws = draws > 1000 ? 1000 : draws < 100 ? 100 : draws;
    uint64_t *x = xmalloc(n * sizeof *x), *y = xmalloc(n * sizeof *y);
    double *r = xmalloc(draws * sizeof *r);
    uint64_t seed = 88172645463325252u;
    memcpy(x, a, n * sizeof *x);
    memcpy(y, b, n * sizeof *y);
    *ratio = median(y, n) / fmax(median(x, n), 1);
    for (uint32_t d = 0; d < draws; d++) {
        for (uint32_t i = 0; i < n; i++) {
            uint64_t k = random_next(&seed) % n;
            x[i] = a[k];
            y[i] = b[k];
        }
        r[d] = median(y, n) / fmax(median(x, n), 1);
    }
    qsort(r, draws, sizeof *r, by_double);
    *low = r[(uint32_t)(0.025 * (draws - 1))];
    *high = r[(uint32_t)(0.975 * (draws - 1) + 0.5)];
    free(x);
    free(y);
    free(r);
}

/* ---- running ----------------------------------------------------------------------- */

struct side {
    struct terra_session *session;
    struct terra_detok *detok;
    const struct terra_config *config;
    struct terra_token token; /* of the last step */
    bool done;
    double bytes;
};

struct pair { /* one call of compare_run */
    const struct compare_opts *o;
    const struct compare_sink *sink;
    struct compare_result *r;
    struct side side[2];
    bool same; /* all tokens so far */
    bool bits; /* and all logits */
    int prefilling;
};

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    struct pair *p = user;
    if (p->sink && p->sink->progress)
        p->sink->progress(p->sink->user, p->prefilling, done, total);
}

static void emit(struct pair *p, int i, const struct terra_token *t, const char *text, size_t n)
{
    buf_add(&p->r->side[i].text, text, n);
    if (p->sink && p->sink->token)
        p->sink->token(p->sink->user, i, t, text, n);
}

static bool side_open(struct pair *p, int i, struct err *e)
{
    const struct compare_side *c = &p->o->side[i];
    struct side *s = &p->side[i];
    s->config = terra_model_config(c->model);
    struct terra_session_opts so = {.mode = c->mode,
                                    .threads = p->o->threads,
                                    .max_source = generate_max_source(s->config),
                                    .max_target = generate_max_target(s->config),
                                    .cancel = p->o->cancel,
                                    .on_progress = on_progress,
                                    .user = p};
    s->session = terra_session_open(c->model, &so, e);
    if (!s->session)
        return false;
    if (terra_model_vocab(c->model))
        s->detok = terra_detok_open(terra_model_vocab(c->model));
    p->r->side[i].ns = xcalloc(p->o->max_tokens + 1, sizeof(uint64_t));
    return true;
}

static bool side_prefill(struct pair *p, int i, struct err *e)
{
    struct side *s = &p->side[i];
    const struct terra_ids *source = p->o->side[i].source;
    p->prefilling = i;
    bool ok = s->config->n_enc
                  ? terra_prefill(s->session, source->id, source->n, e)
                  : terra_prefill(s->session, NULL, 0, e) &&
                        (!source->n || terra_feed(s->session, source->id, source->n, NULL, e));
    if (!ok)
        return false;
    terra_prefill_stats(s->session, &p->r->side[i].prefill);
    if (p->sink && p->sink->prefilled)
        p->sink->prefilled(p->sink->user, i, &p->r->side[i].prefill);
    return true;
}

/* How far two rows of logits are apart. */
static void compare_logits(struct pair *p, const float *a, const float *b, uint32_t n)
{
    double sum = 0, sum2 = 0, max = 0;
    for (uint32_t k = 0; k < n; k++) {
        max = fmax(max, fabs((double)a[k] - b[k]));
        sum += a[k];
        sum2 += (double)a[k] * a[k];
    }
    double variance = sum2 / n - sum / n * (sum / n), sd = variance > 0 ? sqrt(variance) : 0;
    p->bits = p->bits && memcmp(a, b, n * sizeof *a) == 0;
    p->r->max_abs = fmax(p->r->max_abs, max);
    if (sd > 0)
        p->r->max_rel = fmax(p->r->max_rel, max / sd);
}

static bool side_step(struct pair *p, int i, struct err *e)
{
    struct side *s = &p->side[i];
    struct compare_times *t = &p->r->side[i];
    if (!terra_next(s->session, &p->o->sampling, &s->token, e))
        return false;
    if (s->token.id == TERRA_EOS) {
        s->done = true;
        t->stop = GENERATE_END;
        return true;
    }
    size_t n = 0;
    const char *text = s->detok ? terra_detok_add(s->detok, s->token.id, &n) : "";
    t->ns[t->n_tokens++] = s->token.ns;
    for (int k = 0; k < TERRA_PARTS; k++)
        t->part_ms[k] += (double)s->token.part_ns[k] / 1e6;
    s->bytes += (double)(s->token.weight_bytes + s->token.cache_bytes);
    emit(p, i, &s->token, text, n);
    if (t->n_tokens == p->o->max_tokens) {
        s->done = true;
        t->stop = GENERATE_LENGTH;
    }
    return true;
}

static void note_difference(struct pair *p, uint32_t at)
{
    struct compare_result *r = p->r;
    const struct terra_token *a = &p->side[0].token;
    p->same = false;
    r->first_diff = (int32_t)at;
    r->diff_id[0] = a->id;
    r->diff_id[1] = p->side[1].token.id;
    for (uint32_t k = 0; k < a->n_top; k++) /* log probabilities differ as logits do */
        if (a->top[k].id == r->diff_id[1])
            r->gap = (double)a->logprob - a->top[k].logprob;
}

/* One step of each side that still runs. */
static bool step(struct pair *p, struct err *e)
{
    bool both = !p->side[0].done && !p->side[1].done;
    uint32_t at = p->r->side[0].n_tokens;
    if (both && p->same && p->o->kind != COMPARE_MODEL) {
        const float *a = terra_logits(p->side[0].session, e);
        const float *b = a ? terra_logits(p->side[1].session, e) : NULL;
        if (!b)
            return false;
        compare_logits(p, a, b, p->side[0].config->out_vocab);
    }
    for (int i = 0; i < 2; i++)
        if (!p->side[i].done && !side_step(p, i, e))
            return false;
    if (both && p->same) {
        if (p->side[0].token.id != p->side[1].token.id)
            note_difference(p, at);
        else if (p->side[0].token.id != TERRA_EOS)
            p->r->same++;
    }
    return true;
}

static void finish(struct pair *p)
{
    struct compare_result *r = p->r;
    for (int i = 0; i < 2; i++) {
        struct side *s = &p->side[i];
        struct compare_times *t = &r->side[i];
        size_t n = 0;
        const char *rest = s->detok ? terra_detok_flush(s->detok, &n) : "";
        if (n)
            emit(p, i, NULL, rest, n);
        terra_detok_close(s->detok);
        terra_session_close(s->session);
        if (!t->n_tokens)
            continue;
        for (int k = 0; k < TERRA_PARTS; k++)
            t->part_ms[k] /= t->n_tokens;
        t->bytes = s->bytes / t->n_tokens;
        uint64_t *ns = xmalloc(t->n_tokens * sizeof *ns), sum = 0;
        memcpy(ns, t->ns, t->n_tokens * sizeof *ns);
        for (uint32_t k = 0; k < t->n_tokens; k++)
            sum += ns[k];
        t->p50_ms = median(ns, t->n_tokens) / 1e6;
        t->tok_s = sum ? t->n_tokens * 1e9 / (double)sum : 0;
        free(ns);
    }
    uint32_t both =
        r->side[0].n_tokens < r->side[1].n_tokens ? r->side[0].n_tokens : r->side[1].n_tokens;
    r->compared = both;
    r->pairs = both ? both - 1 : 0; /* the first step touches pages for the first time */
    if (r->pairs)
        compare_speedup(r->side[0].ns + 1, r->side[1].ns + 1, r->pairs, &r->speedup, &r->low,
                        &r->high);
    if (r->side[0].bytes > 0 && r->side[1].bytes > 0)
        r->expected = r->side[1].bytes / r->side[0].bytes;
    if (p->o->kind != COMPARE_MASKED || both == 0)
        r->badge = COMPARE_NONE;
    else
        r->badge = !p->same ? COMPARE_DIFF : p->bits ? COMPARE_BIT : COMPARE_TOKEN;
}

bool compare_run(const struct compare_opts *o, const struct compare_sink *sink,
                 struct compare_result *out, struct err *e)
{
    *out = (struct compare_result){
        .first_diff = -1, .gap = NAN, .speedup = NAN, .low = NAN, .high = NAN, .expected = NAN};
    struct pair p = {.o = o, .sink = sink, .r = out, .same = true, .bits = true};
    struct err why = {0};
    bool ok = side_open(&p, 0, &why) && side_open(&p, 1, &why) && side_prefill(&p, 0, &why) &&
              side_prefill(&p, 1, &why);
    while (ok && !(p.side[0].done && p.side[1].done))
        ok = step(&p, &why);
    for (int i = 0; i < 2 && !ok; i++)
        if (!p.side[i].done)
            out->side[i].stop = why.kind == ERR_CANCELLED ? GENERATE_CANCELLED : GENERATE_ERROR;
    finish(&p);
    if (!ok && e)
        *e = why;
    return ok;
}

void compare_result_free(struct compare_result *r)
{
    for (int i = 0; i < 2; i++) {
        buf_free(&r->side[i].text);
        free(r->side[i].ns);
        r->side[i].ns = NULL;
    }
}
