/* summarize_select.c - which chunk's summary speaks for the whole document.
 *
 * A sentence that fits a document makes its chunks likelier to have it as their summary than
 * no document at all does.  A small model often copies a detail that only its own chunk knows,
 * or writes a sentence that fits everything: neither gains anywhere else.
 *
 * SPDX-License-Identifier: MIT */
#include "app/summarize_impl.h"

#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

#define GAIN      1.0 /* nats a token that one judge can give or take: none decides alone */
#define LEAD      1.0 /* nats for the first chunk, half for the second ...: documents begin */
#define MIN_WORDS 3u  /* fewer are a title at best */

static double clamp(double x)
{
    return x > GAIN ? GAIN : x < -GAIN ? -GAIN : x;
}

static bool is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

/* Words, not numbers, rulers and broken characters. */
static bool is_text(const struct buf *b)
{
    size_t letters = 0;
    for (size_t i = 0; i < b->len; i++)
        letters += is_letter((unsigned char)b->data[i]);
    return letters * 2 >= b->len && !strstr(buf_str(b), "\xEF\xBF\xBD") &&
           summarize_count_words(buf_str(b), b->len) >= MIN_WORDS;
}

static bool same_text(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(buf_str(a), buf_str(b), a->len) == 0;
}

/* log p of every kept candidate behind `source`, into out. */
static bool judge(struct terra_session *s, struct terra_search *x,
                  const struct terra_ids *source, const struct summarize_candidate *c, size_t n,
                  double *out, struct err *e)
{
    bool ok = terra_prefill(s, source->id, source->n, e);
    for (size_t i = 0; ok && i < n; i++)
        if (c[i].keep)
            ok = terra_search_score(x, c[i].ids.id, c[i].ids.n, &out[i], e);
    return ok;
}

static double lead(size_t chunk)
{
    return LEAD / (double)(chunk + 1);
}

static int by_score(const void *a, const void *b)
{
    const struct summarize_candidate *const *x = a, *const *y = b;
    if ((*x)->score != (*y)->score)
        return (*x)->score > (*y)->score ? -1 : 1;
    return *x < *y ? -1 : *x > *y; /* the earlier chunk */
}

/* Keeps the SUMMARIZE_MOST that gain most from their own chunk, one of equal ones; more if a
 * long summary is wanted. */
static void shortlist(const struct summarize_opts *o, double goal,
                      struct summarize_candidate *c, size_t n, const double *without)
{
    struct summarize_candidate **order = xcalloc(n, sizeof *order);
    const struct summarize_candidate **kept = xcalloc(n, sizeof *kept);
    size_t n_kept = 0;
    double length = 0;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        order[i] = &c[i];
        any |= c[i].keep && is_text(&c[i].text);
    }
    for (size_t i = 0; i < n; i++) {
        c[i].keep = c[i].keep && (!any || is_text(&c[i].text));
        c[i].score = c[i].keep ? (c[i].own - without[i]) / (double)c[i].ids.n + lead(i) : 0;
    }
    qsort(order, n, sizeof *order, by_score);
    for (size_t i = 0; i < n; i++) {
        const struct buf *text = &order[i]->text;
        bool good =
            order[i]->keep && (n_kept < SUMMARIZE_MOST || length < goal * SUMMARIZE_CHOICE);
        for (size_t k = 0; good && k < n_kept; k++)
            good = !same_text(text, &kept[k]->text);
        order[i]->keep = good;
        if (!good)
            continue;
        kept[n_kept++] = order[i];
        length += summarize_measure(o->length.unit, buf_str(text), text->len, order[i]->ids.n);
    }
    free(kept);
    free(order);
}

/* Every judge adds what its chunk gains a candidate. */
static bool ask_judges(const struct summarize_opts *o, struct terra_session *s,
                       const struct summarize_sink *sink, struct terra_search *x,
                       const char *text, const struct summarize_chunk *chunk,
                       struct summarize_candidate *c, size_t n, const double *without,
                       struct err *e)
{
    struct terra_ids source = {0};
    double *with = xcalloc(n, sizeof *with);
    size_t judges = n < SUMMARIZE_JUDGES ? n : SUMMARIZE_JUDGES;
    bool ok = true;
    for (size_t i = 0; i < n; i++)
        c[i].score = lead(i);
    for (size_t j = 0; ok && j < judges; j++) {
        const struct summarize_chunk *at = &chunk[j * n / judges];
        if (sink && sink->judge)
            sink->judge(sink->user, (uint32_t)j + 1, (uint32_t)judges);
        ok = summarize_source(o, text + at->start, at->end - at->start, &source, e) &&
             judge(s, x, &source, c, n, with, e);
        for (size_t i = 0; ok && i < n; i++)
            if (c[i].keep)
                c[i].score +=
                    clamp((with[i] - without[i]) / (double)c[i].ids.n) / (double)judges;
    }
    free(with);
    terra_ids_free(&source);
    return ok;
}

bool summarize_select(const struct summarize_opts *o, struct terra_session *s,
                      const struct summarize_sink *sink, const char *text,
                      const struct summarize_chunk *chunk, struct summarize_candidate *c,
                      size_t n, uint32_t max_tokens, double goal, struct err *e)
{
    struct terra_ids nothing = {0};
    double *without = xcalloc(n, sizeof *without);
    struct terra_search *x = terra_search_open(s, 1, max_tokens, e);
    bool ok = x && summarize_source(o, "", 0, &nothing, e);
    if (ok && nothing.n == 0) /* an encoder reads at least one token */
        terra_ids_add(&nothing, TERRA_EOS);
    for (size_t i = 0; i < n; i++)
        c[i].keep = c[i].ids.n > 0;
    ok = ok && judge(s, x, &nothing, c, n, without, e);
    if (ok) {
        shortlist(o, goal, c, n, without);
        ok = ask_judges(o, s, sink, x, text, chunk, c, n, without, e);
    }
    terra_search_close(x);
    terra_ids_free(&nothing);
    free(without);
    return ok;
}
