/* SPDX-License-Identifier: MIT */
#include "app/summarize.h"

#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIN_BUDGET   8u  /* tokens of text in one source */
#define SHORT_TOKENS 12u /* a text this short is its own summary */
#define MAX_ROUNDS   24u
#define WINDOW       8u   /* bytes a token that are tried first when a piece is cut off */
#define LENGTH_SLACK 0.25 /* a goal counts as met within this */
#define MIN_GOAL     0.85 /* of the goal: from here a sentence end ends the text */

const char *const summarize_method_name[] = {"auto", "single", "map-reduce", "refine"};
const char *const summarize_kind_name[] = {"single", "map", "reduce", "refine"};

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

/* ---- lengths ------------------------------------------------------------------ */

bool summarize_length_parse(const char *text, struct summarize_length *out, struct err *e)
{
    *out = (struct summarize_length){0};
    if (!text || !*text)
        return true;
    char *end;
    double v = strtod(text, &end);
    if (end == text || !(v > 0) || v > 1e6 || !*end || end[1])
        return err_set(e, ERR_USAGE, "--length: '%s' is not like 80w, 5s, 300t or 10%%", text);
    out->amount = v;
    switch (*end) {
    case 'w':
        out->unit = SUMMARIZE_WORDS;
        return true;
    case 's':
        out->unit = SUMMARIZE_SENTENCES;
        return true;
    case 't':
        out->unit = SUMMARIZE_TOKENS;
        return true;
    case '%':
        out->unit = SUMMARIZE_TOKENS;
        out->percent = true;
        if (v <= 100)
            return true;
    }
    return err_set(e, ERR_USAGE, "--length: '%s' is not like 80w, 5s, 300t or 10%%", text);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

uint32_t summarize_count_words(const char *text, size_t n)
{
    uint32_t words = 0;
    for (size_t i = 0; i < n; i++)
        words += !is_space(text[i]) && (i == 0 || is_space(text[i - 1]));
    return words;
}

/* Does text[0..n) end where a sentence ends?  A point behind a digit may be a number. */
static bool ends_sentence(const char *text, size_t n)
{
    while (n && (text[n - 1] == '"' || text[n - 1] == '\'' || text[n - 1] == ')'))
        n--;
    if (n == 0)
        return false;
    char c = text[n - 1];
    return c == '!' || c == '?' || c == '\n' ||
           (c == '.' && n > 1 && !(text[n - 2] >= '0' && text[n - 2] <= '9'));
}

static size_t skip_space(const char *text, size_t n, size_t i)
{
    while (i < n && is_space(text[i]))
        i++;
    return i;
}

/* Titles and the like whose point ends no sentence, and single initials. */
static bool is_abbreviation(const char *text, size_t dot)
{
    static const char *const known[] = {"mr",  "mrs", "ms",  "dr", "prof", "st", "vs",  "e.g",
                                        "i.e", "etc", "fig", "no", "cf",   "al", "vol", "pp"};
    size_t start = dot;
    while (start > 0 && !is_space(text[start - 1]) && text[start - 1] != '(')
        start--;
    size_t len = dot - start;
    if (len == 1 && text[start] >= 'A' && text[start] <= 'Z')
        return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t k = 0;
        while (k < len && known[i][k] && (text[start + k] | 0x20) == (known[i][k] | 0x20))
            k++;
        if (k == len && !known[i][k])
            return len > 0;
    }
    return false;
}

/* A new block of text begins at this line: list item, heading, fence, table. */
static bool begins_block(const char *text, size_t n, size_t i)
{
    if (i + 1 >= n)
        return false;
    char c = text[i];
    if (c == '#' || c == '>' || c == '|' || c == '`')
        return true;
    return (c == '-' || c == '*' || c == '+') && text[i + 1] == ' ';
}

size_t summarize_sentence_end(const char *text, size_t n, size_t from)
{
    for (size_t i = skip_space(text, n, from); i < n; i++) {
        char c = text[i];
        if (c == '\n') {
            size_t next = i + 1;
            while (next < n && (text[next] == ' ' || text[next] == '\t'))
                next++;
            if (next >= n || text[next] == '\n' || begins_block(text, n, next))
                return i;
            continue;
        }
        if (c != '.' && c != '!' && c != '?')
            continue;
        size_t end = i + 1;
        while (end < n && strchr(".!?\"')]", text[end]) && text[end])
            end++;
        if (end < n && !is_space(text[end]))
            continue;
        if (c == '.' && end == i + 1 && is_abbreviation(text, i))
            continue;
        size_t next = skip_space(text, n, end);
        if (next < n && text[next] >= 'a' && text[next] <= 'z') /* goes on in lower case */
            continue;
        return end;
    }
    return n;
}

uint32_t summarize_count_sentences(const char *text, size_t n)
{
    uint32_t count = 0;
    for (size_t at = skip_space(text, n, 0); at < n; at = skip_space(text, n, at)) {
        at = summarize_sentence_end(text, n, at);
        count++;
    }
    return count;
}

/* ---- tokens ------------------------------------------------------------------------ */

static void trim(const char *text, size_t *start, size_t *end)
{
    *start = skip_space(text, *end, *start);
    while (*end > *start && is_space(text[*end - 1]))
        --*end;
}

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

static bool count_tokens(const struct summarize_opts *o, const char *text, size_t n,
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
    trim(text, &start, &end);
    return count_tokens(o, text + start, end - start, scratch, out, e);
}

bool summarize_source(const struct summarize_opts *o, const char *text, size_t n,
                      struct terra_ids *out, struct err *e)
{
    size_t start = 0, end = n;
    trim(text, &start, &end);
    out->n = 0;
    if (o->style >= 0)
        terra_ids_add(out, o->style);
    if (!encode(o, text + start, end - start, out, e))
        return false;
    if (o->config->source_eos)
        terra_ids_add(out, TERRA_EOS);
    return true;
}

/* Tokens of text that one source takes beside control word and end symbol. */
static uint32_t text_budget(const struct summarize_opts *o, uint32_t max_tokens)
{
    uint32_t extra = (o->style >= 0) + o->config->source_eos;
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
        if (is_space(text[i]))
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
        uint64_t n_tok;
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

static bool cut_sentences(const struct summarize_opts *o, const char *text, size_t n,
                          uint32_t budget, struct pieces *out, struct err *e)
{
    struct terra_ids scratch = {0};
    bool ok = true;
    for (size_t at = 0; ok && at < n;) {
        size_t end = summarize_sentence_end(text, n, at);
        uint64_t n_tok;
        ok = count_trimmed(o, text, at, end, &scratch, &n_tok, e);
        if (ok && n_tok <= budget)
            pieces_add(out, at, end, n_tok);
        else if (ok)
            ok = split_long(o, text, at, end, budget, &scratch, out, e);
        at = end > at ? end : n;
    }
    terra_ids_free(&scratch);
    return ok;
}

struct chunks {
    struct summarize_chunk *c;
    size_t n, cap;
};

/* Pieces first .. last-1 as one chunk; fewer of them while they do not fit after all
 * (tokens at the seams may differ).  *last becomes what was used. */
static bool chunk_add(const struct summarize_opts *o, const char *text, const struct pieces *l,
                      size_t first, size_t *last, uint32_t budget, struct chunks *out,
                      struct err *e)
{
    struct terra_ids scratch = {0};
    bool ok;
    size_t start, end;
    uint64_t n_tok;
    for (;; --*last) {
        start = l->p[first].start;
        end = l->p[*last - 1].end;
        trim(text, &start, &end);
        ok = count_tokens(o, text + start, end - start, &scratch, &n_tok, e);
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

/* Chunks of at most `budget` tokens that together hold the whole text. */
static bool cut_chunks(const struct summarize_opts *o, const char *text, size_t n,
                       uint32_t budget, uint32_t overlap, struct chunks *out, struct err *e)
{
    struct pieces l = {0};
    bool ok = cut_sentences(o, text, n, budget, &l, e);
    uint64_t total = 0;
    for (size_t i = 0; i < l.n; i++)
        total += l.p[i].n_tok;
    /* Even chunks, not full ones and a small rest. */
    uint64_t step = budget > overlap ? budget - overlap : 1;
    uint64_t count = (total + step - 1) / step;
    uint64_t want = count ? total / count + overlap + budget / 16 : budget;
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
        cap = goal;
    else if (o->length.unit == SUMMARIZE_WORDS)
        cap = goal * 3 + 16; /* more tokens than any language needs for these words */
    return cap < 1 ? 1 : cap < o->max_tokens ? (uint32_t)cap : o->max_tokens;
}

static double goal_of(const struct summarize_opts *o, uint64_t tok_total)
{
    const struct summarize_length *l = &o->length;
    return l->percent ? ceil((double)tok_total * l->amount / 100) : l->amount;
}

static double measure(enum summarize_unit unit, const char *text, size_t n, uint64_t tokens)
{
    switch (unit) {
    case SUMMARIZE_WORDS:
        return summarize_count_words(text, n);
    case SUMMARIZE_SENTENCES:
        return summarize_count_sentences(text, n);
    case SUMMARIZE_TOKENS:
        return (double)tokens;
    case SUMMARIZE_FREE:
        break;
    }
    return 0;
}

static bool plan_single(const struct summarize_opts *o, uint32_t budget,
                        struct summarize_plan *out, const char *text, size_t n, struct err *e)
{
    struct chunks list = {0};
    if (!cut_chunks(o, text, n, budget, 0, &list, e)) {
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
    struct chunks list = {0};
    bool ok = cut_chunks(o, text, n, chunk, o->overlap, &list, e);
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
    bool ok = count_tokens(o, text, n, &ids, &out->tok_total, e);
    terra_ids_free(&ids);
    if (!ok)
        return false;
    double goal = goal_of(o, out->tok_total);
    out->max_tokens = step_tokens(o, goal);
    uint32_t budget = text_budget(o, out->max_tokens);
    if (budget < MIN_BUDGET)
        return err_set(e, ERR_USAGE, "%u tokens of context leave no room for a text",
                       o->max_source);
    double length = measure(o->length.unit, text, n, out->tok_total);
    out->as_is = o->length.unit == SUMMARIZE_FREE ? out->tok_total < SHORT_TOKENS
                                                  : !o->length.percent && length <= goal;
    bool fits = out->tok_total <= budget;
    bool cut = o->chunk && o->chunk < out->tok_total;
    out->method = o->method;
    if (o->method == SUMMARIZE_AUTO)
        out->method = fits && !cut ? SUMMARIZE_SINGLE : SUMMARIZE_MAP_REDUCE;
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
        if (out->max_tokens > most)
            out->max_tokens = most;
        ok = plan_chunks(o, budget, out, text, n, e);
    }
    if (!ok)
        summarize_plan_free(out);
    return ok;
}

void summarize_plan_free(struct summarize_plan *p)
{
    free(p->chunk);
    *p = (struct summarize_plan){0};
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
    bool prefilled; /* the last step came that far */
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
    if (unit == SUMMARIZE_SENTENCES)
        return ends_sentence(text, n) && summarize_count_sentences(text, n) >= r->goal;
    double length = measure(unit, text, n, n_tokens);
    return length >= r->goal * (1 + LENGTH_SLACK) ||
           (length >= r->goal * MIN_GOAL && ends_sentence(text, n));
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
    step->source = &r->ids;
    if (r->sink && r->sink->begin)
        r->sink->begin(r->sink->user, step);
    bool goal = r->o->length.unit != SUMMARIZE_FREE && step->kind != SUMMARIZE_STEP_MAP;
    struct generate_opts g = {.sampling = r->o->sampling,
                              .max_tokens = r->plan->max_tokens,
                              .enough = goal ? enough : NULL,
                              .user = r};
    struct generate_sink sink = {0};
    if (r->sink)
        sink = (struct generate_sink){r->sink->prefilled, r->sink->token, r->sink->user};
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

static void add_line(struct buf *b, const struct buf *text)
{
    size_t start = 0, end = text->len;
    trim(buf_str(text), &start, &end);
    if (b->len && end > start)
        buf_add_byte(b, '\n');
    buf_add(b, buf_str(text) + start, end - start);
}

/* A summary of each chunk of `text`, one a line; with one chunk it is the summary. */
static bool map_round(struct run *r, const char *text, const struct summarize_chunk *chunk,
                      size_t n_chunks, uint32_t round, struct buf *joined, struct err *e)
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
        ok = run_step(r, &step, &written, e);
        if (round == 0)
            count_read(r, i);
        add_line(joined, &written);
    }
    buf_free(&written);
    return ok;
}

static bool run_map_reduce(struct run *r, const char *text, struct err *e)
{
    struct buf *joined = &r->out->text;
    size_t n = r->plan->n_chunks;
    bool ok = map_round(r, text, r->plan->chunk, n, 0, joined, e);
    for (uint32_t round = 1; ok && n > 1; round++) {
        if (r->o->length.unit != SUMMARIZE_FREE &&
            measure(r->o->length.unit, buf_str(joined), joined->len, r->out->tokens_out) <=
                r->goal * (1 + LENGTH_SLACK))
            break; /* already as short as wanted: reducing would only lose */
        struct buf text_now = *joined;
        struct chunks list = {0};
        *joined = (struct buf){0};
        ok = cut_chunks(r->o, buf_str(&text_now), text_now.len,
                        text_budget(r->o, r->plan->max_tokens), 0, &list, e);
        if (ok && (list.n >= n || round > MAX_ROUNDS))
            ok = err_set(e, ERR_INPUT,
                         "%zu chunk summaries do not get shorter: use --max-tokens %u", n,
                         r->plan->max_tokens / 2);
        if (ok)
            ok = map_round(r, buf_str(&text_now), list.c, list.n, round, joined, e);
        if (!ok && joined->len == 0) { /* keep what there is */
            buf_free(joined);
            *joined = text_now;
            text_now = (struct buf){0};
        }
        n = list.n;
        buf_free(&text_now);
        free(list.c);
    }
    return ok;
}

static bool run_refine(struct run *r, const char *text, struct err *e)
{
    struct buf source = {0}, *summary = &r->out->text;
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
        ok = run_step(r, &step, summary, e);
        count_read(r, i);
    }
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
    struct run r = {o, p, s, sink, out, goal_of(o, p->tok_total), {0}, false};
    if (p->as_is) {
        size_t start = 0, end = n;
        trim(text, &start, &end);
        buf_add(&out->text, text + start, end - start);
        out->tok_read = p->tok_read;
        return true;
    }
    struct err why = {0};
    bool ok = p->method == SUMMARIZE_MAP_REDUCE ? run_map_reduce(&r, text, &why)
              : p->method == SUMMARIZE_REFINE   ? run_refine(&r, text, &why)
                                                : run_single(&r, text, &why);
    terra_ids_free(&r.ids);
    if (!ok && e)
        *e = why;
    if (why.kind == ERR_CANCELLED)
        out->stop = GENERATE_CANCELLED; /* also between two steps */
    if (o->length.unit != SUMMARIZE_FREE) {
        struct summarize_opts all = *o;
        struct terra_ids ids = {0};
        uint64_t tokens = 0;
        all.cancel = NULL; /* what a stopped run wrote is measured too */
        count_tokens(&all, buf_str(&out->text), out->text.len, &ids, &tokens, NULL);
        terra_ids_free(&ids);
        out->goal = r.goal;
        out->length = measure(o->length.unit, buf_str(&out->text), out->text.len, tokens);
        out->length_met = fabs(out->length - r.goal) <= r.goal * LENGTH_SLACK;
    }
    return ok;
}

void summarize_result_free(struct summarize_result *r)
{
    buf_free(&r->text);
}
