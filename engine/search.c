/* search.c - beam search: the likeliest text instead of the likeliest next token.
 *
 * A hypothesis is a mark of the session's timeline whose last token is pending.  A round
 * goes back to each hypothesis, asks for its logits, and keeps the best extensions of all
 * of them.  Hypotheses share most of their tokens, so going back copies few rows.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/session_impl.h"

#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A finished text scores its log-probability over tokens^LENGTH_POWER: 0 would favour the
 * shortest, 1 the best mean token. */
#define LENGTH_POWER 0.8

struct candidate {
    double score; /* log-probability of the text */
    uint32_t parent;
    int32_t id;
};

struct hypothesis {
    struct session_mark mark;
    double score;
};

struct terra_search {
    struct terra_session *s;
    uint32_t beams;
    size_t rows; /* target rows of a mark */
    struct arena arena;
    struct session_mark start;
    struct hypothesis *now, *next; /* [beams] */
    uint32_t n_now;
    struct candidate *candidate; /* [2 * beams], best first */
    uint32_t n_candidates;
    int32_t *best; /* [rows] tokens of the best finished text, the end symbol among them */
    size_t n_best;
    double best_score;
    uint32_t finished;
};

static void layout(struct terra_search *x, struct arena *a)
{
    x->now = arena_get(a, x->beams, sizeof *x->now);
    x->next = arena_get(a, x->beams, sizeof *x->next);
    session_mark_layout(x->s, &x->start, a, x->rows);
    for (uint32_t i = 0; i < x->beams; i++) {
        struct hypothesis dry[2], *now = x->now ? &x->now[i] : &dry[0];
        session_mark_layout(x->s, &now->mark, a, x->rows);
        now = x->next ? &x->next[i] : &dry[1];
        session_mark_layout(x->s, &now->mark, a, x->rows);
    }
    x->candidate = arena_get(a, (size_t)x->beams * 2, sizeof *x->candidate);
    x->best = arena_get(a, x->rows, sizeof *x->best);
}

struct terra_search *terra_search_open(struct terra_session *s, uint32_t beams,
                                       uint32_t max_tokens, struct err *e)
{
    if (beams < 1 || beams > TERRA_MAX_BEAMS) {
        err_set(e, ERR_USAGE, "%u beams: from 1 to %d", beams, TERRA_MAX_BEAMS);
        return NULL;
    }
    struct terra_search *x = xcalloc(1, sizeof *x);
    struct arena dry = {0};
    size_t room = s->o.max_target - s->n_target;
    x->s = s;
    x->beams = beams;
    x->rows = s->n_target + (max_tokens < room ? max_tokens : room);
    layout(x, &dry);
    if (dry.overflow)
        err_set(e, ERR_RESOURCE, "more memory than there are addresses");
    if (dry.overflow || !arena_open(&x->arena, dry.used, e)) {
        err_prefix(e, "search with %u beams", beams);
        free(x);
        return NULL;
    }
    layout(x, &x->arena);
    return x;
}

void terra_search_close(struct terra_search *x)
{
    if (!x)
        return;
    arena_free(&x->arena);
    free(x);
}

static bool better(const struct candidate *a, const struct candidate *b)
{
    return a->score > b->score;
}

/* Keeps the best 2 * beams: even if half of them end the text, the rest fill all beams.
 * Earlier ones win ties, so the result depends on nothing else. */
static void offer(struct terra_search *x, struct candidate c)
{
    uint32_t most = 2 * x->beams, at = x->n_candidates;
    if (at == most && !better(&c, &x->candidate[most - 1]))
        return;
    if (at == most)
        at--;
    else
        x->n_candidates++;
    for (; at > 0 && better(&c, &x->candidate[at - 1]); at--)
        x->candidate[at] = x->candidate[at - 1];
    x->candidate[at] = c;
}

/* Offers every extension of hypothesis i. */
static bool extend(struct terra_search *x, uint32_t i, const struct terra_sampling *p,
                   struct err *e)
{
    struct terra_session *s = x->s;
    struct hypothesis *h = &x->now[i];
    session_restore(s, &h->mark);
    const float *logits = terra_logits(s, e);
    if (!logits)
        return false;
    if (!sampler_score(&s->sampler, p, logits, s->target, s->n_target, e))
        return s->ready = false;
    session_save(s, &h->mark);
    const float *score = s->sampler.work;
    for (uint32_t id = 0; id < s->sampler.n; id++)
        if (id != TERRA_PAD && score[id] != -INFINITY)
            offer(x, (struct candidate){h->score + (double)score[id], i, (int32_t)id});
    return true;
}

/* The text of `mark` and, if there is one, its last token `id`, if it is the best so far. */
static void finish(struct terra_search *x, const struct session_mark *mark, double sum,
                   int32_t id)
{
    size_t from = x->start.n_target, n = mark->n_target - from + (id >= 0);
    double score = sum / pow((double)n, LENGTH_POWER);
    x->finished++;
    if (x->n_best && score <= x->best_score)
        return;
    x->best_score = score;
    x->n_best = n;
    memcpy(x->best, mark->target + from, (n - (id >= 0)) * sizeof *x->best);
    if (id >= 0)
        x->best[n - 1] = id;
}

/* The next hypotheses, in the order of the candidates. */
static bool choose(struct terra_search *x, struct err *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->n_candidates && n < x->beams; i++) {
        const struct candidate *c = &x->candidate[i];
        const struct session_mark *parent = &x->now[c->parent].mark;
        if (c->id == TERRA_EOS) {
            finish(x, parent, c->score, TERRA_EOS);
            continue;
        }
        session_restore(x->s, parent);
        if (!terra_accept(x->s, c->id, e))
            return false;
        session_save(x->s, &x->next[n].mark);
        x->next[n++].score = c->score;
    }
    struct hypothesis *t = x->now;
    x->now = x->next;
    x->next = t;
    x->n_now = n;
    return true;
}

/* Whether no hypothesis is likely to beat the best finished text. */
static bool settled(const struct terra_search *x, size_t written)
{
    return x->n_now == 0 ||
           (x->finished >= x->beams &&
            x->best_score >= x->now[0].score / pow((double)written + 1, LENGTH_POWER));
}

static bool run(struct terra_search *x, const struct terra_sampling *p, size_t most,
                struct err *e)
{
    for (size_t written = 0; written < most && !settled(x, written); written++) {
        x->n_candidates = 0;
        for (uint32_t i = 0; i < x->n_now; i++)
            if (!extend(x, i, p, e))
                return false;
        if (x->n_candidates == 0) /* nothing may be written: what there is stands */
            break;
        if (!choose(x, e))
            return false;
    }
    for (uint32_t i = 0; x->finished == 0 && i < x->n_now; i++) /* no room for an end */
        finish(x, &x->now[i].mark, x->now[i].score, -1);
    return true;
}

/* Ready for a pass from where the session stands, which `start` then remembers. */
static bool begin(struct terra_search *x, struct err *e)
{
    struct terra_session *s = x->s;
    if (!session_has_timeline(s, e))
        return false;
    if (s->have_logits)
        return err_set(e, ERR_USAGE, "the search must begin before terra_logits");
    if (s->n_target > x->rows)
        return err_set(e, ERR_USAGE, "%zu target tokens, the search holds %zu", s->n_target,
                       x->rows);
    /* What another search left in the mark is of another timeline. */
    x->start.rows = x->start.n_target = 0;
    session_save(s, &x->start);
    return true;
}

bool terra_search_run(struct terra_search *x, const struct terra_sampling *p,
                      uint32_t max_tokens, const int32_t **ids, size_t *n, struct err *e)
{
    struct terra_session *s = x->s;
    if (!begin(x, e))
        return false;
    for (uint32_t i = 0; i < x->beams; i++) {
        x->now[i].mark.rows = x->now[i].mark.n_target = 0;
        x->next[i].mark.rows = x->next[i].mark.n_target = 0;
    }
    x->n_best = x->finished = 0;
    x->n_now = 1;
    x->now[0].score = 0;
    session_save(s, &x->now[0].mark);

    void (*observer)(void *, const struct terra_choices *) = s->pass.on_choices;
    s->pass.on_choices = NULL; /* what is only tried is nobody's choice */
    size_t room = x->rows - s->n_target;
    bool ok = run(x, p, max_tokens < room ? max_tokens : room, e);
    s->pass.on_choices = observer;
    if (!ok)
        return false;
    session_restore(s, &x->start);
    *ids = x->best;
    *n = x->n_best;
    return true;
}

bool terra_search_score(struct terra_search *x, const int32_t *ids, size_t n, double *logprob,
                        struct err *e)
{
    struct terra_session *s = x->s;
    size_t V = s->sampler.n;
    *logprob = 0;
    if (!begin(x, e))
        return false;
    if (n > x->rows - s->n_target)
        return err_set(e, ERR_USAGE, "%zu tokens to score, the search holds %zu", n,
                       x->rows - s->n_target);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= V)
            return err_set(e, ERR_INPUT, "token %d is none of the model's %zu", ids[i], V);
    float *logits = xcalloc(n * V, sizeof *logits); /* n fits the target: no overflow */
    void (*observer)(void *, const struct terra_choices *) = s->pass.on_choices;
    s->pass.on_choices = NULL;
    bool ok = terra_feed(s, ids, n, logits, e);
    s->pass.on_choices = observer;
    struct terra_token t;
    for (size_t i = 0; ok && i < n; i++) {
        ok = sampler_take(&s->sampler, ids[i], logits + i * V, &t, e);
        *logprob += ok ? (double)t.logprob : 0;
    }
    s->ready = ok;
    free(logits);
    if (ok)
        session_restore(s, &x->start);
    return ok;
}
