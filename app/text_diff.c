/* SPDX-License-Identifier: MIT */
#include "app/text_diff.h"

#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

static bool same(const struct timeline *a, size_t i, const struct timeline *b, size_t j)
{
    const struct timeline_token *x = &a->token[i], *y = &b->token[j];
    return x->len == y->len &&
           memcmp(buf_str(&a->text) + x->at, buf_str(&b->text) + y->at, x->len) == 0;
}

/* Unmarks the pairs of a longest common subsequence of a[from..a_end) and b[from..b_end). */
static void match(const struct timeline *a, size_t a_end, const struct timeline *b,
                  size_t b_end, size_t from, bool *marks_a, bool *marks_b)
{
    size_t n = a_end - from, m = b_end - from, w = m + 1;
    uint16_t *len = xcalloc((n + 1) * w, sizeof *len); /* of the rests [i..) and [j..) */
    for (size_t i = n; i-- > 0;)
        for (size_t j = m; j-- > 0;) {
            uint16_t down = len[(i + 1) * w + j], right = len[i * w + j + 1];
            len[i * w + j] = same(a, from + i, b, from + j)
                                 ? (uint16_t)(len[(i + 1) * w + j + 1] + 1)
                             : down > right ? down
                                            : right;
        }
    for (size_t i = 0, j = 0; i < n && j < m;) {
        if (same(a, from + i, b, from + j)) {
            marks_a[from + i++] = false;
            marks_b[from + j++] = false;
        } else if (len[(i + 1) * w + j] >= len[i * w + j + 1]) {
            i++;
        } else {
            j++;
        }
    }
    free(len);
}

size_t text_diff(const struct timeline *a, const struct timeline *b, bool *marks_a,
                 bool *marks_b)
{
    size_t from = 0, a_end = a->n, b_end = b->n, marked = 0;
    memset(marks_a, 0, a->n * sizeof *marks_a);
    memset(marks_b, 0, b->n * sizeof *marks_b);
    while (from < a_end && from < b_end && same(a, from, b, from))
        from++;
    while (a_end > from && b_end > from && same(a, a_end - 1, b, b_end - 1)) {
        a_end--;
        b_end--;
    }
    memset(marks_a + from, 1, (a_end - from) * sizeof *marks_a);
    memset(marks_b + from, 1, (b_end - from) * sizeof *marks_b);
    if (a_end > from && b_end > from &&
        (a_end - from + 1) * (b_end - from + 1) <= TEXT_DIFF_CELLS)
        match(a, a_end, b, b_end, from, marks_a, marks_b);
    for (size_t i = from; i < a_end; i++)
        marked += marks_a[i];
    for (size_t i = from; i < b_end; i++)
        marked += marks_b[i];
    return marked;
}
