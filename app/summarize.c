/* SPDX-License-Identifier: MIT */
#include "app/summarize_impl.h"

#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS 24u
#define MIN_GOAL   0.85 /* of the goal: from here a sentence end ends the text */

const char *const summarize_method_name[] = {"auto", "single", "select", "map-reduce",
                                             "refine"};
const char *const summarize_kind_name[] = {"single", "map", "reduce", "refine", "chosen"};

bool summarize_method_parse(const char *name, enum summarize_method *out)
{
    for (int i = 0; i <= SUMMARIZE_REFINE; i++) {
        if (strcmp(name, summarize_method_name[i]) == 0) {
            *out = (enum summarize_method)i;
            return true;
        }
    }
    return false;
}

/* ---- running ------------------------------------------------------------------------------
 */

struct run {
    const struct summarize_opts *o;
    const struct summarize_plan *plan;
    struct terra_session *session;
    const struct summarize_sink *sink;
    struct summarize_result *out;
    double goal;
    struct terra_ids ids;
    struct summarize_candidate *writes; /* what is written is kept here too; may be NULL */
    bool prefilled;                     /* the last step came that far */
};

/* Part i of the document was read.  What it shares with the one before counts once. */
static void count_read(struct run *r, size_t i)
{
    const struct summarize_plan *p = r->plan;
    if (!r->prefilled || i >= p->n_chunks)
        return;
    const struct summarize_chunk *c = &p->chunk[i];
    size_t from = i && p->chunk[i - 1].end > c->start ? p->chunk[i - 1].end : c->start;
    double share = (double)(c->end - from) / (double)(c->end - c->start);
    uint64_t sum = r->out->tok_read + (uint64_t)((double)c->n_tok * share);
    r->out->tok_read = i + 1 == p->n_chunks || sum > p->tok_read ? p->tok_read : sum;
}

static bool enough(void *user, const char *text, size_t n, uint32_t n_tokens)
{
    struct run *r = user;
    enum summarize_unit unit = r->o->length.unit;
    double length = summarize_measure(unit, text, n, n_tokens);
    if (unit == SUMMARIZE_SENTENCES)
        return length >= r->goal && summarize_ends_sentence(text, n);
    return length >= r->goal * (1 + SUMMARIZE_SLACK) ||
           (length >= r->goal * MIN_GOAL && summarize_ends_sentence(text, n));
}

static void on_prefilled(void *user, const struct terra_prefill_stats *p)
{
    const struct run *r = user;
    if (r->sink && r->sink->prefilled)
        r->sink->prefilled(r->sink->user, p);
}

static void on_token(void *user, const struct terra_token *t, const char *piece, size_t n)
{
    struct run *r = user;
    if (r->writes && t) {
        terra_ids_add(&r->writes->ids, t->id);
        r->writes->own += (double)t->logprob;
    }
    if (r->sink && r->sink->token)
        r->sink->token(r->sink->user, t, piece, n);
}

/* One step: reads `text`, and leaves what it wrote in *written. */
static bool run_step(struct run *r, struct summarize_step *step, struct buf *written,
                     struct err *e)
{
    r->prefilled = false;
    if (!summarize_source(r->o, step->text, step->n_text, &r->ids, e))
        return false;
    if (r->ids.n > r->o->max_source)
        return err_set(e, ERR_INPUT, "a %s step needs %zu tokens, the model reads %u",
                       summarize_kind_name[step->kind], r->ids.n, r->o->max_source);
    step->index = r->out->n_steps;
    step->n_in = (uint32_t)r->ids.n;
    step->tok_read = summarize_text_tokens(r->o, r->ids.n);
    step->tok_total = step->tok_read;
    if (step->kind == SUMMARIZE_STEP_SINGLE) { /* the document itself, as the plan counts it */
        step->tok_read = r->plan->tok_read;
        step->tok_total = r->plan->tok_total;
    }
    step->source = &r->ids;
    if (r->sink && r->sink->begin)
        r->sink->begin(r->sink->user, step);
    bool goal = r->o->length.unit != SUMMARIZE_FREE && step->kind != SUMMARIZE_STEP_MAP &&
                step->kind != SUMMARIZE_STEP_CHOSEN;
    struct generate_opts g = {.sampling = r->o->sampling,
                              .max_tokens = r->plan->max_tokens,
                              .enough = goal ? enough : NULL,
                              .user = r};
    struct generate_sink sink = {on_prefilled, on_token, r};
    struct generate_result result;
    struct err why = {0};
    bool ok =
        generate(r->session, r->o->config, r->o->vocab, &r->ids, &g, &sink, &result, &why);
    struct summarize_result *out = r->out;
    r->prefilled = result.prefill.ns > 0;
    out->stop = result.stop;
    out->n_steps++;
    out->tokens_in += step->n_in;
    out->tokens_out += result.n_tokens;
    out->prefill_ns += result.prefill.ns;
    out->search_ns += result.search_ns;
    out->decode_ns += result.decode_ns;
    if (step->index == 0)
        out->first_ns = result.first_ns;
    out->ms_p50 = generate_percentile_ms(&result, 0.5);
    out->ms_p90 = generate_percentile_ms(&result, 0.9);
    out->ms_p99 = generate_percentile_ms(&result, 0.99);
    if (r->sink && r->sink->end)
        r->sink->end(r->sink->user, step, &result, ok ? NULL : &why);
    buf_clear(written);
    buf_add(written, buf_str(&result.text), result.text.len);
    generate_result_free(&result);
    if (!ok && e)
        *e = why;
    return ok;
}

static void swap_text(struct buf *a, struct buf *b)
{
    struct buf t = *a;
    *a = *b;
    *b = t;
}

static void add_line(struct buf *b, const struct buf *text)
{
    size_t start = 0, end = text->len;
    summarize_trim(buf_str(text), &start, &end);
    if (b->len && end > start)
        buf_add_byte(b, '\n');
    buf_add(b, buf_str(text) + start, end - start);
}

/* A summary of each chunk of `text`, one a line; with one chunk it is the summary.  Each also
 * becomes a candidate if there is room for them. */
static bool map_round(struct run *r, const char *text, const struct summarize_chunk *chunk,
                      size_t n_chunks, uint32_t round, struct buf *joined,
                      struct summarize_candidate *candidate, struct err *e)
{
    struct buf written = {0};
    bool ok = true;
    buf_clear(joined);
    for (size_t i = 0; ok && i < n_chunks; i++) {
        struct summarize_step step = {.kind =
                                          round ? SUMMARIZE_STEP_REDUCE : SUMMARIZE_STEP_MAP,
                                      .no = (uint32_t)i + 1,
                                      .of = (uint32_t)n_chunks,
                                      .round = round,
                                      .final = n_chunks == 1,
                                      .text = text + chunk[i].start,
                                      .n_text = chunk[i].end - chunk[i].start};
        r->writes = candidate ? &candidate[i] : NULL;
        ok = run_step(r, &step, &written, e);
        r->writes = NULL;
        if (candidate) {
            if (r->out->stop == GENERATE_END)
                terra_ids_add(&candidate[i].ids, TERRA_EOS);
            add_line(&candidate[i].text, &written);
        }
        if (round == 0)
            count_read(r, i);
        add_line(joined, &written);
    }
    buf_free(&written);
    return ok;
}

/* How long the document's summary would be with another line. */
static double length_with(const struct run *r, const struct buf *text, const struct buf *line,
                          uint64_t tokens)
{
    struct buf both = {0};
    buf_add(&both, buf_str(text), text->len);
    add_line(&both, line);
    double length = summarize_measure(r->o->length.unit, buf_str(&both), both.len, tokens);
    buf_free(&both);
    return length;
}

/* Of the kept candidates the best, or the best that together come near the wanted length;
 * the others are kept no more. */
static void choose(const struct run *r, struct summarize_candidate *c, size_t n)
{
    bool *taken = xcalloc(n, sizeof *taken);
    struct buf all = {0};
    uint64_t tokens = 0;
    for (;;) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (c[i].keep && (best == n || c[i].score > c[best].score))
                best = i;
        if (best == n)
            break;
        c[best].keep = false;
        uint64_t sum = tokens + c[best].ids.n;
        double length = length_with(r, &all, &c[best].text, sum);
        if (all.len &&
            (r->o->length.unit == SUMMARIZE_FREE || length > r->goal * (1 + SUMMARIZE_SLACK)))
            continue;
        taken[best] = true;
        tokens = sum;
        add_line(&all, &c[best].text);
        if (r->o->length.unit == SUMMARIZE_FREE || length >= r->goal * MIN_GOAL)
            break;
    }
    for (size_t i = 0; i < n; i++)
        c[i].keep = taken[i];
    buf_free(&all);
    free(taken);
}

/* The chosen candidates once more, as the document's summary. */
static bool write_chosen(struct run *r, const char *text, const struct summarize_candidate *c,
                         struct err *e)
{
    struct buf written = {0}, all = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < r->plan->n_chunks; i++) {
        if (!c[i].keep)
            continue;
        const struct summarize_chunk *at = &r->plan->chunk[i];
        struct summarize_step step = {.kind = SUMMARIZE_STEP_CHOSEN,
                                      .no = (uint32_t)i + 1,
                                      .of = (uint32_t)r->plan->n_chunks,
                                      .final = true,
                                      .text = text + at->start,
                                      .n_text = at->end - at->start};
        ok = run_step(r, &step, &written, e);
        add_line(&all, &written);
    }
    if (ok || all.len) /* stopped before it wrote anything: the summaries of all chunks stay */
        swap_text(&r->out->text, &all);
    buf_free(&written);
    buf_free(&all);
    return ok;
}

static bool run_select(struct run *r, const char *text, struct err *e)
{
    size_t n = r->plan->n_chunks;
    struct summarize_candidate *c = xcalloc(n ? n : 1, sizeof *c);
    bool ok = map_round(r, text, r->plan->chunk, n, 0, &r->out->text, c, e);
    if (ok && n > 1) {
        uint64_t start = clock_ns();
        ok = summarize_select(r->o, r->session, r->sink, text, r->plan->chunk, c, n,
                              r->plan->max_tokens, r->goal, e);
        r->out->search_ns += clock_ns() - start;
        if (ok) {
            choose(r, c, n);
            ok = write_chosen(r, text, c, e);
        }
    }
    for (size_t i = 0; i < n; i++) {
        terra_ids_free(&c[i].ids);
        buf_free(&c[i].text);
    }
    free(c);
    return ok;
}

/* Of the text there is now, also that of a stopped run. */
static double summary_length(const struct run *r)
{
    struct summarize_opts all = *r->o;
    const struct buf *text = &r->out->text;
    struct terra_ids ids = {0};
    uint64_t tokens = 0;
    all.cancel = NULL;
    summarize_count_tokens(&all, buf_str(text), text->len, &ids, &tokens, NULL);
    terra_ids_free(&ids);
    return summarize_measure(r->o->length.unit, buf_str(text), text->len, tokens);
}

static bool run_map_reduce(struct run *r, const char *text, struct err *e)
{
    struct buf *joined = &r->out->text;
    size_t n = r->plan->n_chunks;
    bool ok = map_round(r, text, r->plan->chunk, n, 0, joined, NULL, e);
    for (uint32_t round = 1; ok && n > 1; round++) {
        if (r->o->length.unit != SUMMARIZE_FREE &&
            summary_length(r) <= r->goal * (1 + SUMMARIZE_SLACK))
            break; /* already as short as wanted: reducing would only lose */
        struct buf text_now = *joined;
        struct summarize_chunks list = {0};
        *joined = (struct buf){0};
        ok = summarize_cut(r->o, buf_str(&text_now), text_now.len,
                           summarize_budget(r->o, r->plan->max_tokens), 0, true, &list, e);
        if (ok && (list.n >= n || round > MAX_ROUNDS))
            ok = err_set(e, ERR_INPUT,
                         "%zu chunk summaries do not get shorter: use --max-tokens %u", n,
                         r->plan->max_tokens / 2);
        if (ok)
            ok = map_round(r, buf_str(&text_now), list.c, list.n, round, joined, NULL, e);
        /* A stopped round is less than the one before, unless its text is shown already. */
        if (!ok && (list.n != 1 || joined->len == 0))
            swap_text(joined, &text_now);
        n = list.n;
        buf_free(&text_now);
        free(list.c);
    }
    return ok;
}

static bool run_refine(struct run *r, const char *text, struct err *e)
{
    struct buf source = {0}, written = {0}, *summary = &r->out->text;
    bool ok = true;
    for (size_t i = 0; ok && i < r->plan->n_chunks; i++) {
        const struct summarize_chunk *c = &r->plan->chunk[i];
        buf_clear(&source);
        if (summary->len) {
            buf_add(&source, summary->data, summary->len);
            buf_add_str(&source, "\n\n");
        }
        buf_add(&source, text + c->start, c->end - c->start);
        struct summarize_step step = {.kind = SUMMARIZE_STEP_REFINE,
                                      .no = (uint32_t)i + 1,
                                      .of = (uint32_t)r->plan->n_chunks,
                                      .final = i + 1 == r->plan->n_chunks,
                                      .text = buf_str(&source),
                                      .n_text = source.len};
        ok = run_step(r, &step, &written, e);
        /* A stopped step has only begun to say the summary again, unless it is shown. */
        if (ok || (written.len && (step.final || summary->len == 0)))
            swap_text(summary, &written);
        count_read(r, i);
    }
    buf_free(&written);
    buf_free(&source);
    return ok;
}

static bool run_single(struct run *r, const char *text, struct err *e)
{
    struct summarize_step step = {
        .kind = SUMMARIZE_STEP_SINGLE, .no = 1, .of = 1, .final = true, .text = text};
    if (r->plan->n_chunks) {
        step.text = text + r->plan->chunk[0].start;
        step.n_text = r->plan->chunk[0].end - r->plan->chunk[0].start;
    }
    bool ok = run_step(r, &step, &r->out->text, e);
    count_read(r, 0);
    return ok;
}

bool summarize_run(const struct summarize_opts *o, const struct summarize_plan *p,
                   const char *text, size_t n, struct terra_session *s,
                   const struct summarize_sink *sink, struct summarize_result *out,
                   struct err *e)
{
    *out = (struct summarize_result){.stop = GENERATE_END, .length_met = true};
    struct run r = {.o = o,
                    .plan = p,
                    .session = s,
                    .sink = sink,
                    .out = out,
                    .goal = summarize_goal(&o->length, p->tok_total)};
    if (p->as_is) {
        size_t start = 0, end = n;
        summarize_trim(text, &start, &end);
        buf_add(&out->text, text + start, end - start);
        out->tok_read = p->tok_read;
        return true;
    }
    struct err why = {0};
    bool ok = p->method == SUMMARIZE_SELECT       ? run_select(&r, text, &why)
              : p->method == SUMMARIZE_MAP_REDUCE ? run_map_reduce(&r, text, &why)
              : p->method == SUMMARIZE_REFINE     ? run_refine(&r, text, &why)
                                                  : run_single(&r, text, &why);
    terra_ids_free(&r.ids);
    if (!ok && e)
        *e = why;
    if (why.kind == ERR_CANCELLED)
        out->stop = GENERATE_CANCELLED; /* also between two steps */
    if (o->length.unit != SUMMARIZE_FREE) {
        out->goal = r.goal;
        out->length = summary_length(&r);
        out->length_met = fabs(out->length - r.goal) <= r.goal * SUMMARIZE_SLACK;
    }
    return ok;
}

void summarize_result_free(struct summarize_result *r)
{
    buf_free(&r->text);
}
