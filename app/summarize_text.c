/* SPDX-License-Identifier: MIT */
#include "app/summarize_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

bool summarize_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

uint32_t summarize_count_words(const char *text, size_t n)
{
    uint32_t words = 0;
    for (size_t i = 0; i < n; i++)
        words += !summarize_is_space(text[i]) && (i == 0 || summarize_is_space(text[i - 1]));
    return words;
}

static size_t skip_space(const char *text, size_t n, size_t i)
{
    while (i < n && summarize_is_space(text[i]))
        i++;
    return i;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Titles and the like whose point ends no sentence, and single initials. */
static bool is_abbreviation(const char *text, size_t dot)
{
    static const char *const known[] = {"mr",  "mrs", "ms",  "dr", "prof", "st", "vs",  "e.g",
                                        "i.e", "etc", "fig", "no", "cf",   "al", "vol", "pp"};
    size_t start = dot;
    while (start > 0 && !summarize_is_space(text[start - 1]) && text[start - 1] != '(')
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

/* Letters with points behind them, as in U.S. and i.e., or in the first half of such a word. */
static bool is_initials(const char *text, size_t dot)
{
    for (size_t i = dot; i > 0 && is_letter(text[i - 1]); i -= 2) {
        if (i == 1 || summarize_is_space(text[i - 2]) || text[i - 2] == '(' ||
            text[i - 2] == '"')
            return true;
        if (text[i - 2] != '.')
            return false;
    }
    return false;
}

bool summarize_ends_sentence(const char *text, size_t n)
{
    while (n && (text[n - 1] == '"' || text[n - 1] == '\'' || text[n - 1] == ')'))
        n--;
    if (n == 0)
        return false;
    char c = text[n - 1];
    if (c != '.')
        return c == '!' || c == '?' || c == '\n';
    return n > 1 && !(text[n - 2] >= '0' && text[n - 2] <= '9') &&
           !is_abbreviation(text, n - 1) && !is_initials(text, n - 1);
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

/* `initials`: behind them a sentence goes on, even with a capital letter. */
static size_t sentence_end(const char *text, size_t n, size_t from, bool initials)
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
        if (end < n && !summarize_is_space(text[end]))
            continue;
        if (c == '.' && end == i + 1 &&
            (is_abbreviation(text, i) || (initials && is_initials(text, i))))
            continue;
        size_t next = skip_space(text, n, end);
        if (next < n && text[next] >= 'a' && text[next] <= 'z') /* goes on in lower case */
            continue;
        return end;
    }
    return n;
}

size_t summarize_sentence_end(const char *text, size_t n, size_t from)
{
    return sentence_end(text, n, from, false); /* chunks may as well end behind "U.S." */
}

uint32_t summarize_count_sentences(const char *text, size_t n)
{
    uint32_t count = 0;
    for (size_t at = skip_space(text, n, 0); at < n; at = skip_space(text, n, at)) {
        at = sentence_end(text, n, at, true);
        count++;
    }
    return count;
}

void summarize_trim(const char *text, size_t *start, size_t *end)
{
    *start = skip_space(text, *end, *start);
    while (*end > *start && summarize_is_space(text[*end - 1]))
        --*end;
}

double summarize_goal(const struct summarize_length *l, uint64_t tok_total)
{
    return l->percent ? ceil((double)tok_total * l->amount / 100) : l->amount;
}

/* Every line by itself: each is the summary of a chunk, and a title has no point at its end. */
static uint32_t count_by_line(const char *text, size_t n)
{
    uint32_t count = 0;
    for (size_t at = 0, end; at < n; at = end + 1) {
        for (end = at; end < n && text[end] != '\n'; end++)
            continue;
        count += summarize_count_sentences(text + at, end - at);
    }
    return count;
}

double summarize_measure(enum summarize_unit unit, const char *text, size_t n, uint64_t tokens)
{
    switch (unit) {
    case SUMMARIZE_WORDS:
        return summarize_count_words(text, n);
    case SUMMARIZE_SENTENCES:
        return count_by_line(text, n);
    case SUMMARIZE_TOKENS:
        return (double)tokens;
    case SUMMARIZE_FREE:
        break;
    }
    return 0;
}
