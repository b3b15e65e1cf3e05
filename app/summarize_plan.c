/* SPDX-License-Identifier: MIT */
#include "app/summarize_impl.h"

#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIN_BUDGET 8u /* tokens of text in one source */
#define WINDOW     8u /* bytes a token that are tried first when a piece is cut off */

/* ---- tokens ------------------------------------------------------------------------ */

/* Columns and indentation say nothing about the content and cost tokens: the model reads one
 * space for a run of them, none at the ends of a line, and at most one empty line. */
static void squeeze(const char *text, size_t n, struct buf *out)
{
    buf_reserve(out, n);
    for (size_t i = 0; i < n; i++) {
        char c = text[i] == '\t' ? ' ' : text[i];
        size_t len = out->len;
        if (c == ' ' && (len == 0 || out->data[len - 1] == ' ' || out->data[len - 1] == '\n'))
            continue;
        if (c == '\n' && len && out->data[len - 1] == ' ')
            out->data[--out->len] = '\0';
        if (c == '\n' && out->len > 1 && memcmp(out->data + out->len - 2, "\n\n", 2) == 0)
            continue;
        buf_add_byte(out, c);
    }
}

static bool encode(const struct summarize_opts *o, const char *text, size_t n,
                   struct terra_ids *out, struct err *e)
{
    struct buf plain = {0};
    squeeze(text, n, &plain);
    bool ok = plain.len == 0 || terra_encode(o->vocab, plain.data, plain.len, out, e);
    buf_free(&plain);
    return ok;
}

bool summarize_count_tokens(const struct summarize_opts *o, const char *text, size_t n,
                            struct terra_ids *scratch, uint64_t *out, struct err *e)
{
    scratch->n = 0;
    if (o->cancel && atomic_load(o->cancel))
        return err_set(e, ERR_CANCELLED, "stopped");
    if (!encode(o, text, n, scratch, e))
        return false;
    *out = scratch->n;
    return true;
}

/* Of a piece as it would stand alone: without white space at its ends, which can change how
 * the first word is cut into tokens. */
static bool count_trimmed(const struct summarize_opts *o, const char *text, size_t start,
                          size_t end, struct terra_ids *scratch, uint64_t *out, struct err *e)
{
    summarize_trim(text, &start, &end);
    return summarize_count_tokens(o, text + start, end - start, scratch, out, e);
}

bool summarize_source(const struct summarize_opts *o, const char *text, size_t n,
                      struct terra_ids *out, struct err *e)
{
    size_t start = 0, end = n;
    summarize_trim(text, &start, &end);
    out->n = 0;
    if (o->style >= 0)
        terra_ids_add(out, o->style);
    if (!encode(o, text + start, end - start, out, e))
        return false;
    if (o->config->source_eos)
        terra_ids_add(out, TERRA_EOS);
    return true;
}

static uint32_t around(const struct summarize_opts *o)
{
    return (o->style >= 0) + o->config->source_eos;
}

size_t summarize_text_tokens(const struct summarize_opts *o, size_t n)
{
    return n - around(o);
}

uint32_t summarize_budget(const struct summarize_opts *o, uint32_t max_tokens)
{
    uint32_t extra = around(o);
    if (o->config->n_enc == 0)
        extra += max_tokens; /* source and reply share the target */
    return o->max_source > extra ? o->max_source - extra : 0;
}

/* ---- cutting ------------------------------------------------------------------------- */

struct piece { /* a sentence, or a part of one that is too long */
    size_t start, end;
    uint32_t n_tok;
};

struct pieces {
    struct piece *p;
    size_t n, cap;
};

static void pieces_add(struct pieces *l, size_t start, size_t end, uint64_t n_tok)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->p = xrealloc(l->p, l->cap, sizeof *l->p);
    }
    l->p[l->n++] = (struct piece){start, end, (uint32_t)n_tok};
}

/* The largest cut in (start, end) near `want` that is no inside of a character, behind a
 * space if there is one. */
static size_t cut_near(const char *text, size_t start, size_t end, size_t want)
{
    for (size_t i = want; i > start + (want - start) / 2; i--)
        if (summarize_is_space(text[i]))
            return i;
    size_t i = want;
    while (i > start + 1 && ((unsigned char)text[i] & 0xC0) == 0x80)
        i--;
    if (i == start + 1) /* a single character longer than that: take it whole */
        for (i = want; i < end && ((unsigned char)text[i] & 0xC0) == 0x80; i++)
            continue;
    return i;
}

static size_t window_end(const char *text, size_t start, size_t end, size_t window)
{
    size_t i = start + window;
    if (end - start <= window)
        return end;
    while (i < end && ((unsigned char)text[i] & 0xC0) == 0x80)
        i++;
    return i;
}

/* Pieces from a window of the text at a time: encoding all that is left for every piece
 * would take the square of its length. */
static bool split_long(const struct summarize_opts *o, const char *text, size_t start,
                       size_t end, uint32_t budget, struct terra_ids *scratch,
                       struct pieces *out, struct err *e)
{
    size_t window = (size_t)budget * WINDOW;
    while (start < end) {
        size_t stop = window_end(text, start, end, window);
        uint64_t n_tok = 0;
        bool ok = count_trimmed(o, text, start, stop, scratch, &n_tok, e);
        while (ok && n_tok <= budget && stop < end) {
            window *= 2;
            stop = window_end(text, start, end, window);
            ok = count_trimmed(o, text, start, stop, scratch, &n_tok, e);
        }
        while (ok && n_tok > budget) {
            size_t want = start + (size_t)((double)(stop - start) * budget / (double)n_tok);
            want = want > start + 1 ? want : start + 1;
            size_t cut = cut_near(text, start, stop, want < stop ? want : stop - 1);
            if (cut <= start || cut >= stop)
                return err_set(e, ERR_INPUT,
                               "one character takes %llu tokens: more than fit (%u)",
                               (unsigned long long)n_tok, budget);
            stop = cut;
            ok = count_trimmed(o, text, start, stop, scratch, &n_tok, e);
        }
        if (!ok)
            return false;
        pieces_add(out, start, stop, n_tok);
        start = stop;
    }
    return true;
}

/* As many as hold `enough` tokens, or all. */
static bool cut_sentences(const struct summarize_opts *o, const char *text, size_t n,
                          uint32_t budget, uint64_t enough, struct pieces *out, struct err *e)
{
    struct terra_ids scratch = {0};
    uint64_t sum = 0;
    bool ok = true;
    for (size_t at = 0; ok && at < n && sum <= enough;) {
        size_t end = summarize_sentence_end(text, n, at);
        uint64_t n_tok = 0;
        ok = count_trimmed(o, text, at, end, &scratch, &n_tok, e);
        if (ok && n_tok <= budget)
            pieces_add(out, at, end, n_tok);
        else if (ok)
            ok = split_long(o, text, at, end, budget, &scratch, out, e);
        sum += n_tok;
        at = end > at ? end : n;
    }
    terra_ids_free(&scratch);
    return ok;
}

/* Pieces first .. last-1 as one chunk; fewer of them while they do not fit after all
 * (tokens at the seams may differ).  *last becomes what was used. */
static bool chunk_add(const struct summarize_opts *o, const char *text, const struct pieces *l,
                      size_t first, size_t *last, uint32_t budget, struct summarize_chunks *out,
                      struct err *e)
{
    struct terra_ids scratch = {0};
    bool ok;
    size_t start, end;
    uint64_t n_tok = 0;
    for (;; --*last) {
        start = l->p[first].start;
        end = l->p[*last - 1].end;
        summarize_trim(text, &start, &end);
        ok = summarize_count_tokens(o, text + start, end - start, &scratch, &n_tok, e);
        if (!ok || n_tok <= budget || *last == first + 1)
            break;
    }
    terra_ids_free(&scratch);
    if (!ok || start == end) /* only white space */
        return ok;
    if (out->n == out->cap) {
        out->cap = out->cap ? out->cap * 2 : 8;
        out->c = xrealloc(out->c, out->cap, sizeof *out->c);
    }
    out->c[out->n++] = (struct summarize_chunk){start, end, (uint32_t)n_tok};
    return true;
}

bool summarize_cut(const struct summarize_opts *o, const char *text, size_t n, uint32_t budget,
                   uint32_t overlap, bool even, struct summarize_chunks *out, struct err *e)
{
    struct pieces l = {0};
    /* Who wants the first chunk full does not want the others. */
    bool ok = cut_sentences(o, text, n, budget, even ? UINT64_MAX : budget, &l, e);
    uint64_t total = 0;
    for (size_t i = 0; i < l.n; i++)
        total += l.p[i].n_tok;
    /* Even chunks, not full ones and a small rest; a cut document is read as far as it goes. */
    uint64_t step = budget > overlap ? budget - overlap : 1;
    uint64_t count = (total + step - 1) / step;
    uint64_t want = even && count ? total / count + overlap + budget / 16 : budget;
    if (want > budget)
        want = budget;
    for (size_t first = 0; ok && first < l.n;) {
        size_t last = first;
        uint64_t sum = 0;
        while (last < l.n && (last == first || sum + l.p[last].n_tok <= want))
            sum += l.p[last++].n_tok;
        ok = chunk_add(o, text, &l, first, &last, budget, out, e);
        if (last >= l.n)
            break;
        size_t next = last;
        for (uint64_t back = 0; next > first + 1; next--) {
            back += l.p[next - 1].n_tok;
            if (back > overlap)
                break;
        }
        first = next;
    }
    free(l.p);
    return ok;
}

/* ---- the plan --------------------------------------------------------------------------- */

static uint32_t step_tokens(const struct summarize_opts *o, double goal)
{
    double cap = o->max_tokens;
    if (o->length.unit == SUMMARIZE_TOKENS)
        /* Room for the sentence's end.  One less: read again, the first word can take a token
         * more, for the space before it is gone. */
        cap = fmax(goal, floor(goal * (1 + SUMMARIZE_SLACK)) - 1);
    else if (o->length.unit == SUMMARIZE_WORDS)
        cap = goal * 3 + 16; /* more tokens than any language needs for these words */
    return cap < 1 ? 1 : cap < o->max_tokens ? (uint32_t)cap : o->max_tokens;
}

static bool plan_single(const struct summarize_opts *o, uint32_t budget,
                        struct summarize_plan *out, const char *text, size_t n, struct err *e)
{
    struct summarize_chunks list = {0};
    if (!summarize_cut(o, text, n, budget, 0, false, &list, e)) {
        free(list.c);
        return false;
    }
    out->chunk = list.c;
    out->n_chunks = list.n ? 1 : 0;
    out->tok_read = list.n ? list.c[0].n_tok : 0;
    if (list.n == 1)
        out->tok_read = out->tok_total;
    return true;
}

/* What plan_single would read of a text that does not fit, for who is asked. */
static bool count_first(const struct summarize_opts *o, uint32_t budget,
                        struct summarize_plan *out, const char *text, size_t n, struct err *e)
{
    struct summarize_chunks list = {0};
    bool ok = summarize_cut(o, text, n, budget, 0, false, &list, e);
    out->tok_first = ok && list.n ? list.c[0].n_tok : 0;
    free(list.c);
    return ok;
}

static bool plan_chunks(const struct summarize_opts *o, uint32_t budget,
                        struct summarize_plan *out, const char *text, size_t n, struct err *e)
{
    if (out->method == SUMMARIZE_REFINE) {
        uint32_t front = out->max_tokens + 8;
        if (budget < front + MIN_BUDGET)
            return err_set(e, ERR_USAGE,
                           "refine needs room for the summary so far: %u tokens beside %u; use "
                           "--max-tokens %u or map-reduce",
                           front, budget, budget / 3);
        budget -= front;
    }
    uint32_t chunk = o->chunk ? o->chunk : budget;
    if (chunk > budget)
        return err_set(e, ERR_USAGE, "--chunk %u: the model takes %u tokens of text at once",
                       chunk, budget);
    if (o->overlap >= chunk)
        return err_set(e, ERR_USAGE, "--overlap %u must be less than the chunk of %u tokens",
                       o->overlap, chunk);
    struct summarize_chunks list = {0};
    bool ok = summarize_cut(o, text, n, chunk, o->overlap, true, &list, e);
    out->chunk = list.c;
    out->n_chunks = list.n;
    out->tok_read = out->tok_total;
    return ok;
}

bool summarize_plan(const struct summarize_opts *o, const char *text, size_t n,
                    struct summarize_plan *out, struct err *e)
{
    *out = (struct summarize_plan){0};
    if (!o->vocab)
        return err_set(e, ERR_MODEL,
                       "the model has no vocabulary; only 'terra run --ids' works");
    struct terra_ids ids = {0};
    bool ok = count_trimmed(o, text, 0, n, &ids, &out->tok_total, e); /* as it is read */
    terra_ids_free(&ids);
    if (!ok)
        return false;
    double goal = summarize_goal(&o->length, out->tok_total);
    out->max_tokens = step_tokens(o, goal);
    uint32_t budget = summarize_budget(o, out->max_tokens);
    if (budget < MIN_BUDGET)
        return err_set(e, ERR_USAGE, "%u tokens of context leave no room for a text",
                       o->max_source);
    double length = o->length.unit == SUMMARIZE_SENTENCES /* its lines may be broken anywhere */
                        ? summarize_count_sentences(text, n)
                        : summarize_measure(o->length.unit, text, n, out->tok_total);
    bool within = o->length.unit != SUMMARIZE_FREE && !o->length.percent && length <= goal;
    out->as_is = within || out->tok_total < SUMMARIZE_SHORT;
    bool fits = out->tok_total <= budget;
    bool cut = o->chunk && o->chunk < out->tok_total;
    out->method = o->method;
    if (o->method == SUMMARIZE_AUTO)
        out->method = fits && !cut       ? SUMMARIZE_SINGLE
                      : o->config->n_enc ? SUMMARIZE_SELECT
                                         : SUMMARIZE_MAP_REDUCE;
    out->tok_first = out->tok_total;
    if (o->method == SUMMARIZE_AUTO && !fits && !count_first(o, budget, out, text, n, e))
        return false;
    if (out->method == SUMMARIZE_SELECT && o->config->n_enc == 0)
        return err_set(e, ERR_USAGE,
                       "select needs a model with an encoder; use --method map-reduce");
    if (out->method == SUMMARIZE_AUTO || out->method == SUMMARIZE_SINGLE) {
        if (!fits && !o->allow_truncate)
            return err_set(
                e, ERR_INPUT,
                "the document has %llu tokens and the model reads %u at once; use "
                "--method map-reduce, or --allow-truncate to read only the beginning",
                (unsigned long long)out->tok_total, budget);
        ok = plan_single(o, budget, out, text, n, e);
    } else {
        /* Two summaries must fit into one source, or reducing would not end. */
        uint32_t most = budget / 2 > 4 ? budget / 2 - 2 : 2;
        if (out->method != SUMMARIZE_SELECT && out->max_tokens > most)
            out->max_tokens = most;
        ok = plan_chunks(o, budget, out, text, n, e);
    }
    if (!ok)
        summarize_plan_free(out);
    return ok;
}

/* Summaries of `mean` tokens that make one of the wanted length. */
static double summaries_wanted(const struct summarize_opts *o, const struct summarize_plan *p,
                               double mean)
{
    const double tokens_a_word = 1.5;
    double goal = summarize_goal(&o->length, p->tok_total);
    double n = o->length.unit == SUMMARIZE_WORDS       ? goal * tokens_a_word / mean
               : o->length.unit == SUMMARIZE_TOKENS    ? goal / mean
               : o->length.unit == SUMMARIZE_SENTENCES ? goal
                                                       : 1;
    return fmin(fmax(n, 1), (double)p->n_chunks);
}

void summarize_work(const struct summarize_opts *o, const struct summarize_plan *p,
                    struct summarize_work *out)
{
    double n = (double)p->n_chunks, mean = p->max_tokens / 2.0, steps = n;
    double beams = generate_beams(&o->sampling, p->max_tokens);
    *out = (struct summarize_work){.read = (double)p->tok_read};
    if (p->n_chunks == 0 || p->as_is)
        return;
    double chunk = out->read / n;
    if (p->method == SUMMARIZE_REFINE) {
        out->read += (n - 1) * mean;
    } else if (p->method == SUMMARIZE_MAP_REDUCE) {
        double left = n > 1 ? fmin(mean / chunk, 0.5) : 0; /* by each round */
        steps /= 1 - left;
        out->read /= 1 - left;
    } else if (p->method == SUMMARIZE_SELECT && n > 1) {
        double chosen = summaries_wanted(o, p, mean);
        double judged = fmin(n, fmax(SUMMARIZE_MOST, chosen * SUMMARIZE_CHOICE));
        steps += chosen;
        out->read += chosen * chunk + fmin(n, SUMMARIZE_JUDGES) * (chunk + judged * mean);
    }
    out->written = steps * mean * (beams > 1 ? beams + 1 : 1); /* the best is written again */
}

void summarize_plan_free(struct summarize_plan *p)
{
    free(p->chunk);
    *p = (struct summarize_plan){0};
}
