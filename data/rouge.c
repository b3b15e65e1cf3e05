/* SPDX-License-Identifier: MIT */
#include "data/rouge.h"

#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- words as numbers ----------------------------------------------------------- */

struct words {
    uint32_t *id;
    size_t n, cap;
};

/* Both texts share one table, so that equal words have equal numbers. */
struct vocabulary {
    char *letters; /* all words, one behind the other */
    size_t n_letters, cap_letters;
    struct entry {
        size_t at, n;
    } * entry; /* by number */
    uint32_t n, cap;
    uint32_t *slot; /* number + 1, open addressing; n_slots is a power of two */
    size_t n_slots;
};

static uint64_t hash_bytes(const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)s[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

static void place(struct vocabulary *v, uint32_t number)
{
    const struct entry *w = &v->entry[number];
    size_t i = hash_bytes(v->letters + w->at, w->n) & (v->n_slots - 1);
    while (v->slot[i])
        i = (i + 1) & (v->n_slots - 1);
    v->slot[i] = number + 1;
}

static void grow(struct vocabulary *v)
{
    v->cap = v->cap ? v->cap * 2 : 256;
    v->entry = xrealloc(v->entry, v->cap, sizeof *v->entry);
    v->n_slots = (size_t)v->cap * 2;
    free(v->slot);
    v->slot = xcalloc(v->n_slots, sizeof *v->slot);
    for (uint32_t i = 0; i < v->n; i++)
        place(v, i);
}

/* The number of the word that was just put behind the other letters. */
static uint32_t number_of(struct vocabulary *v, size_t at)
{
    const char *word = v->letters + at;
    size_t n = v->n_letters - at;
    if (v->n_slots) {
        for (size_t i = hash_bytes(word, n) & (v->n_slots - 1); v->slot[i];
             i = (i + 1) & (v->n_slots - 1)) {
            const struct entry *w = &v->entry[v->slot[i] - 1];
            if (w->n == n && memcmp(v->letters + w->at, word, n) == 0) {
                v->n_letters = at;
                return v->slot[i] - 1;
            }
        }
    }
    if (v->n == v->cap)
        grow(v);
    v->entry[v->n] = (struct entry){at, n};
    place(v, v->n);
    return v->n++;
}

static void add_letter(struct vocabulary *v, char c)
{
    if (v->n_letters == v->cap_letters) {
        v->cap_letters = v->cap_letters ? v->cap_letters * 2 : 4096;
        v->letters = xrealloc(v->letters, v->cap_letters, 1);
    }
    v->letters[v->n_letters++] = c;
}

static void add_word(struct words *w, uint32_t id)
{
    if (w->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        w->id = xrealloc(w->id, w->cap, sizeof *w->id);
    }
    w->id[w->n++] = id;
}

/* The lower-case letter or digit that a character becomes, or 0.  Two characters
 * outside ASCII have an ASCII letter in their lower case: U+0130 (i, and a dot that
 * ends the word) and U+212A, the Kelvin sign. */
static char word_char(uint32_t cp, bool *ends)
{
    *ends = cp == 0x130;
    if (cp >= 'A' && cp <= 'Z')
        return (char)(cp + 32);
    if ((cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9'))
        return (char)cp;
    return cp == 0x130 ? 'i' : cp == 0x212A ? 'k' : 0;
}

static void tokenize(struct vocabulary *v, const char *s, size_t n, struct words *out)
{
    size_t start = v->n_letters;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        bool ends;
        i += utf8_decode(s + i, n - i, &cp, NULL);
        char c = word_char(cp, &ends);
        if (c)
            add_letter(v, c);
        if ((!c || ends) && v->n_letters > start) {
            add_word(out, number_of(v, start));
            start = v->n_letters;
        }
    }
    if (v->n_letters > start)
        add_word(out, number_of(v, start));
}

/* ---- scores --------------------------------------------------------------------- */

static struct rouge_score score(size_t hits, size_t n_reference, size_t n_candidate)
{
    struct rouge_score r = {0};
    r.precision = n_candidate ? (double)hits / (double)n_candidate : 0;
    r.recall = n_reference ? (double)hits / (double)n_reference : 0;
    if (r.precision + r.recall > 0)
        r.f = 2 * r.precision * r.recall / (r.precision + r.recall);
    return r;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Words (width 1) or pairs of words (width 2), sorted. */
static uint64_t *ngrams(const struct words *w, size_t width, size_t *n)
{
    *n = w->n >= width ? w->n - width + 1 : 0;
    uint64_t *g = xmalloc((*n ? *n : 1) * sizeof *g);
    for (size_t i = 0; i < *n; i++)
        g[i] = width == 1 ? w->id[i] : (uint64_t)w->id[i] << 32 | w->id[i + 1];
    qsort(g, *n, sizeof *g, by_value);
    return g;
}

static struct rouge_score score_ngrams(const struct words *ref, const struct words *can,
                                       size_t width)
{
    size_t n_ref, n_can, hits = 0;
    uint64_t *r = ngrams(ref, width, &n_ref), *c = ngrams(can, width, &n_can);
    for (size_t i = 0, j = 0; i < n_ref && j < n_can;) {
        if (r[i] == c[j]) {
            hits++;
            i++;
            j++;
        } else if (r[i] < c[j]) {
            i++;
        } else {
            j++;
        }
    }
    free(r);
    free(c);
    return score(hits, n_ref, n_can);
}

/* ---- longest common subsequence ----------------------------------------------------
 *
 * With t[i][j] the length for the first i reference and j candidate words, a row holds
 * one bit a column: t[i][j] > t[i][j-1].  A row follows from the one before in a few
 * operations on 64 columns at once (Hyyro 2004): with V the complement of the row and M
 * the columns that hold the reference word, V' = (V + (V & M)) | (V & ~M). */

struct matches {    /* for each word, the columns where the candidate has it */
    size_t *first;  /* [vocabulary + 1] */
    size_t *column; /* [candidate] sorted by word */
};

static struct matches matches_of(const struct words *can, uint32_t n_words)
{
    struct matches m = {xcalloc((size_t)n_words + 2, sizeof *m.first),
                        xmalloc((can->n ? can->n : 1) * sizeof *m.column)};
    for (size_t j = 0; j < can->n; j++)
        m.first[can->id[j] + 2]++;
    for (uint32_t w = 2; w < n_words + 2; w++)
        m.first[w] += m.first[w - 1];
    for (size_t j = 0; j < can->n; j++)
        m.column[m.first[can->id[j] + 1]++] = j;
    return m; /* first[w] .. first[w + 1] are word w's places in column[] */
}

static void matches_free(struct matches *m)
{
    free(m->first);
    free(m->column);
}

static void next_row(const struct matches *m, uint32_t word, uint64_t *v, uint64_t *scratch,
                     size_t n_words64)
{
    memset(scratch, 0, n_words64 * sizeof *scratch);
    for (size_t i = m->first[word]; i < m->first[word + 1]; i++)
        scratch[m->column[i] / 64] |= (uint64_t)1 << m->column[i] % 64;
    uint64_t carry = 0;
    for (size_t k = 0; k < n_words64; k++) {
        uint64_t u = v[k] & scratch[k], sum = v[k] + u, full = sum + carry;
        carry = (sum < u) | (full < sum);
        v[k] = full | (v[k] & ~scratch[k]);
    }
}

static unsigned ones(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (unsigned)(x * 0x0101010101010101u >> 56);
}

/* Zeros of v below column j: t[i][j] of a complemented row. */
static size_t length_at(const uint64_t *v, size_t j)
{
    size_t n = 0;
    for (size_t k = 0; k < j / 64; k++)
        n += ones(~v[k]);
    return j % 64 ? n + ones(~v[j / 64] & (((uint64_t)1 << j % 64) - 1)) : n;
}

static size_t lcs_length(const struct words *ref, const struct words *can, uint32_t n_words)
{
    size_t w = can->n / 64 + 1;
    uint64_t *v = xmalloc(w * sizeof *v), *scratch = xmalloc(w * sizeof *scratch);
    memset(v, 0xFF, w * sizeof *v);
    struct matches m = matches_of(can, n_words);
    for (size_t i = 0; i < ref->n; i++)
        next_row(&m, ref->id[i], v, scratch, w);
    size_t n = length_at(v, can->n);
    matches_free(&m);
    free(v);
    free(scratch);
    return n;
}

/* Rows for walking back.  All of them would be a bit for every pair of words, gigabytes for
 * two long texts without line ends: every stride-th row is kept, and the rows between two
 * kept ones are computed once more when the walk comes to them. */
struct rows {
    const struct words *ref;
    const struct matches *m;
    size_t width, stride; /* words of 64 columns; rows of a block */
    uint64_t *kept;       /* rows 0, stride, 2 stride ... */
    uint64_t *block;      /* rows first .. first + stride */
    uint64_t *scratch;
    size_t first;
};

static void load_block(struct rows *t, size_t first)
{
    size_t bytes = t->width * sizeof *t->block;
    t->first = first;
    memcpy(t->block, t->kept + first / t->stride * t->width, bytes);
    for (size_t k = 1; k <= t->stride && first + k <= t->ref->n; k++) {
        uint64_t *row = t->block + k * t->width;
        memcpy(row, row - t->width, bytes);
        next_row(t->m, t->ref->id[first + k - 1], row, t->scratch, t->width);
    }
}

static struct rows rows_open(const struct words *ref, const struct words *can,
                             const struct matches *m)
{
    struct rows t = {.ref = ref, .m = m, .width = can->n / 64 + 1, .stride = 1};
    while (t.stride * t.stride < ref->n)
        t.stride++;
    t.kept = xcalloc((ref->n / t.stride + 1) * t.width, sizeof *t.kept);
    t.block = xcalloc((t.stride + 1) * t.width, sizeof *t.block);
    t.scratch = xcalloc(t.width, sizeof *t.scratch);
    memset(t.kept, 0xFF, t.width * sizeof *t.kept);
    for (size_t first = 0; first < ref->n; first += t.stride) {
        load_block(&t, first);
        if (first + t.stride <= ref->n)
            memcpy(t.kept + (first / t.stride + 1) * t.width, t.block + t.stride * t.width,
                   t.width * sizeof *t.kept);
    }
    return t;
}

static void rows_free(struct rows *t)
{
    free(t->kept);
    free(t->block);
    free(t->scratch);
}

/* Marks the reference words of one longest common subsequence.  Which one matters for
 * the union: from the end, a match is taken, else the step goes to the candidate's word
 * before only if that keeps a longer subsequence than the reference's word before. */
static void mark_lcs(const struct words *ref, const struct words *can, const struct matches *m,
                     bool *marked)
{
    struct rows t = rows_open(ref, can, m);
    for (size_t i = ref->n, j = can->n; i > 0 && j > 0;) {
        if (i - 1 < t.first)
            load_block(&t, (i - 1) / t.stride * t.stride);
        const uint64_t *row = t.block + (i - t.first) * t.width;
        if (ref->id[i - 1] == can->id[j - 1]) {
            marked[--i] = true;
            j--;
        } else if (length_at(row, j - 1) > length_at(row - t.width, j)) {
            j--;
        } else {
            i--;
        }
    }
    rows_free(&t);
}

/* ---- Lsum ----------------------------------------------------------------------- */

struct sentences {
    struct words *list;
    size_t n, cap, n_tokens;
};

static void split(struct vocabulary *v, const char *s, size_t n, struct sentences *out)
{
    for (size_t at = 0; at <= n;) {
        const char *nl = at < n ? memchr(s + at, '\n', n - at) : NULL;
        size_t end = nl ? (size_t)(nl - s) : n;
        if (out->n == out->cap) {
            out->cap = out->cap ? out->cap * 2 : 16;
            out->list = xrealloc(out->list, out->cap, sizeof *out->list);
        }
        struct words *w = &out->list[out->n];
        *w = (struct words){0};
        tokenize(v, s + at, end - at, w);
        if (w->n)
            out->n++; /* a line without words changes nothing */
        out->n_tokens += w->n;
        at = end + 1;
    }
}

static void sentences_free(struct sentences *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->list[i].id);
    free(s->list);
}

static uint32_t *count_words(const struct sentences *s, uint32_t n_words)
{
    uint32_t *count = xcalloc(n_words, sizeof *count);
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->list[i].n; k++)
            count[s->list[i].id[k]]++;
    return count;
}

static struct rouge_score score_lsum(const struct sentences *ref, const struct sentences *can,
                                     uint32_t n_words)
{
    bool *marked = xcalloc(ref->n_tokens, sizeof *marked); /* lines one behind the other */
    for (size_t k = 0; k < can->n; k++) {
        struct matches m = matches_of(&can->list[k], n_words);
        for (size_t i = 0, at = 0; i < ref->n; at += ref->list[i++].n)
            mark_lcs(&ref->list[i], &can->list[k], &m, marked + at);
        matches_free(&m);
    }

    /* A word counts at most as often as both texts have it. */
    uint32_t *left_ref = count_words(ref, n_words), *left_can = count_words(can, n_words);
    size_t hits = 0, at = 0;
    for (size_t i = 0; i < ref->n; i++) {
        for (size_t k = 0; k < ref->list[i].n; k++, at++) {
            uint32_t id = ref->list[i].id[k];
            if (marked[at] && left_ref[id] && left_can[id]) {
                hits++;
                left_ref[id]--;
                left_can[id]--;
            }
        }
    }
    free(marked);
    free(left_ref);
    free(left_can);
    return score(hits, ref->n_tokens, can->n_tokens);
}

void rouge_compute(const char *reference, size_t n_reference, const char *candidate,
                   size_t n_candidate, struct rouge *out)
{
    struct vocabulary v = {0};
    struct words ref = {0}, can = {0};
    struct sentences ref_lines = {0}, can_lines = {0};
    tokenize(&v, reference, n_reference, &ref);
    tokenize(&v, candidate, n_candidate, &can);
    split(&v, reference, n_reference, &ref_lines);
    split(&v, candidate, n_candidate, &can_lines);

    out->r1 = score_ngrams(&ref, &can, 1);
    out->r2 = score_ngrams(&ref, &can, 2);
    out->rl = score(lcs_length(&ref, &can, v.n), ref.n, can.n);
    out->rlsum = score_lsum(&ref_lines, &can_lines, v.n);

    sentences_free(&ref_lines);
    sentences_free(&can_lines);
    free(ref.id);
    free(can.id);
    free(v.letters);
    free(v.entry);
    free(v.slot);
}
