/* SPDX-License-Identifier: MIT */
#include "app/generate.h"

#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_ROWS  512u
#define SEARCH_TOKENS 128u /* nobody should wait for the end of a long text to see it begin */

const char *const generate_stop_name[] = {"end", "length", "goal", "cancelled", "error"};

static uint32_t rows(const struct terra_config *c, uint32_t configured)
{
    if (configured)
        return configured;
    return c->pos.max && c->pos.max < DEFAULT_ROWS ? c->pos.max : DEFAULT_ROWS;
}

uint32_t generate_max_source(const struct terra_config *c)
{
    return c->n_enc ? rows(c, c->max_source) : rows(c, c->max_target);
}

uint32_t generate_max_target(const struct terra_config *c)
{
    return rows(c, c->max_target);
}

/* White space before the first word is the vocabulary's, not the reply's. */
static void emit(const struct generate_sink *sink, struct generate_result *r,
                 const struct terra_token *t, const char *piece, size_t n)
{
    while (n && r->text.len == 0 && !r->goes_on && strchr(" \n\t", *piece)) {
        piece++;
        n--;
    }
    buf_add(&r->text, piece, n);
    if (sink && sink->token)
        sink->token(sink->user, t, piece, n);
}

struct found { /* by a beam search; id NULL: there was none */
    const int32_t *id;
    size_t n;
};

/* Tokens from a search in `found`, or else sampled one after another. */
static bool decode(struct terra_session *s, struct terra_detok *d,
                   const struct generate_opts *o, const struct found *found,
                   const struct generate_sink *sink, struct generate_result *r, struct err *e)
{
    struct terra_token t;
    while (r->n_tokens < o->max_tokens && !(found->id && r->n_tokens == found->n)) {
        if (!(found->id ? terra_take(s, found->id[r->n_tokens], &t, e)
                        : terra_next(s, &o->sampling, &t, e)))
            return false;
        r->decode_ns += t.ns;
        if (r->n_tokens == 0)
            r->first_ns = r->prefill.ns + r->search_ns + t.ns;
        if (t.id == TERRA_EOS) {
            r->stop = GENERATE_END;
            return true;
        }
        size_t n = 0;
        const char *piece = d ? terra_detok_add(d, t.id, &n) : "";
        r->ns[r->n_tokens++] = t.ns;
        emit(sink, r, &t, piece, n);
        if (o->enough && o->enough(o->user, buf_str(&r->text), r->text.len, r->n_tokens)) {
            r->stop = GENERATE_GOAL;
            return true;
        }
    }
    r->stop = GENERATE_LENGTH;
    return true;
}

static bool prefill(struct terra_session *s, const struct terra_config *c,
                    const struct terra_ids *source, struct err *e)
{
    if (c->n_enc)
        return terra_prefill(s, source->id, source->n, e);
    return terra_prefill(s, NULL, 0, e) &&
           (source->n == 0 || terra_feed(s, source->id, source->n, NULL, e));
}

bool generate_feed(struct terra_session *s, const struct terra_config *c,
                   const struct terra_ids *source, const int32_t *target, size_t n,
                   const struct generate_pin *pin, size_t n_pins, struct err *e)
{
    if (!prefill(s, c, source, e))
        return false;
    size_t fed = 0;
    for (size_t i = 0; i <= n_pins; i++) {
        size_t to = i < n_pins && pin[i].at < n ? pin[i].at : n;
        if (to > fed && !terra_feed(s, target + fed, to - fed, NULL, e))
            return false;
        fed = to > fed ? to : fed;
        if (i < n_pins && pin[i].at <= n &&
            !terra_pin(s, pin[i].layer, pin[i].block, pin[i].unit, e))
            return false;
    }
    return true;
}

uint32_t generate_beams(const struct terra_sampling *p, uint32_t max_tokens)
{
    bool search = p->beams > 1 && p->temperature <= 0 && max_tokens <= SEARCH_TOKENS;
    return search ? p->beams : 1;
}

/* Beam search, where it is wanted. */
static bool find(struct terra_session *s, const struct generate_opts *o,
                 struct terra_search **x, struct found *found, struct err *e)
{
    const struct terra_sampling *p = &o->sampling;
    uint32_t beams = generate_beams(p, o->max_tokens);
    if (beams == 1 || o->max_tokens == 0)
        return true;
    *x = terra_search_open(s, beams, o->max_tokens, e);
    return *x && terra_search_run(*x, p, o->max_tokens, &found->id, &found->n, e);
}

bool generate(struct terra_session *s, const struct terra_config *c,
              const struct terra_vocab *vocab, const struct terra_ids *source,
              const struct generate_opts *o, const struct generate_sink *sink,
              struct generate_result *out, struct err *e)
{
    *out = (struct generate_result){.stop = GENERATE_ERROR, .goes_on = o->n_forced > 0};
    struct err why = {0};
    uint64_t start = clock_ns();
    bool ok = generate_feed(s, c, source, o->forced, o->n_forced, o->pin, o->n_pins, &why);
    if (ok) {
        terra_prefill_stats(s, &out->prefill);
        if (!c->n_enc || o->n_forced) /* the fed part of the target counts as reading */
            out->prefill.ns = clock_ns() - start;
        if (sink && sink->prefilled)
            sink->prefilled(sink->user, &out->prefill);
        struct terra_detok *d = vocab ? terra_detok_open(vocab) : NULL;
        size_t skipped;
        for (size_t i = 0; d && i < o->n_forced; i++)
            terra_detok_add(d, o->forced[i], &skipped);
        out->ns = xcalloc(o->max_tokens ? o->max_tokens : 1, sizeof *out->ns);
        struct terra_search *x = NULL;
        struct found found = {0};
        start = clock_ns();
        ok = find(s, o, &x, &found, &why);
        out->search_ns = x ? clock_ns() - start : 0;
        ok = ok && decode(s, d, o, &found, sink, out, &why);
        terra_search_close(x);
        size_t n = 0;
        const char *rest = d ? terra_detok_flush(d, &n) : "";
        if (n)
            emit(sink, out, NULL, rest, n);
        terra_detok_close(d);
    }
    if (!ok) {
        out->stop = why.kind == ERR_CANCELLED ? GENERATE_CANCELLED : GENERATE_ERROR;
        if (e)
            *e = why;
    }
    return ok;
}

void generate_result_free(struct generate_result *r)
{
    buf_free(&r->text);
    free(r->ns);
    r->ns = NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

double generate_percentile_ms(const struct generate_result *r, double p)
{
    if (r->n_tokens == 0)
        return 0;
    uint64_t *sorted = xmalloc(r->n_tokens * sizeof *sorted);
    memcpy(sorted, r->ns, r->n_tokens * sizeof *sorted);
    qsort(sorted, r->n_tokens, sizeof *sorted, by_value);
    double ms = (double)sorted[(size_t)(p * (r->n_tokens - 1) + 0.5)] / 1e6;
    free(sorted);
    return ms;
}
