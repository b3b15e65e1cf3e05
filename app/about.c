/* SPDX-License-Identifier: MIT */
#include "app/about.h"

#include <inttypes.h>
#include <stdio.h>

const char *about_tokens(int64_t n_read, int64_t n_in, char out[80])
{
    if (n_in < 0)
        snprintf(out, 80, "tokens were not counted");
    else if (n_read < n_in)
        snprintf(out, 80, "only the first %" PRId64 " of %" PRId64 " tokens", n_read, n_in);
    else
        snprintf(out, 80, "all %" PRId64 " tokens", n_in);
    return out;
}

void about_document(const char *name, int64_t n_read, int64_t n_in, const char *style,
                    char out[ABOUT_TEXT])
{
    char how[80];
    snprintf(out, ABOUT_TEXT, "%.120s: %s%s%s", name, about_tokens(n_read, n_in, how),
             style ? ", style " : "", style ? style : "");
}

void about_part(enum store_kind kind, uint32_t no, uint32_t of, int64_t n_in,
                char out[ABOUT_TEXT])
{
    const char *what = kind == STORE_MAP      ? "chunk"
                       : kind == STORE_REDUCE ? "summary of summaries"
                       : kind == STORE_REFINE ? "refined with part"
                                              : "chosen of all: chunk";
    char all[16] = "";
    if (of)
        snprintf(all, sizeof all, "/%u", of);
    snprintf(out, ABOUT_TEXT, "%s %u%s, %" PRId64 " tokens", what, no, all, n_in);
}

void about_branch(const struct about_branch *b, char out[ABOUT_TEXT])
{
    char kept[48] = "";
    if (b->kept)
        snprintf(kept, sizeof kept, "; %zu earlier pin%s hold%s", b->kept,
                 b->kept > 1 ? "s" : "", b->kept > 1 ? "" : "s");
    if (b->pin)
        snprintf(out, ABOUT_TEXT,
                 "what if layer %u block %u took unit %u%s, not %u, from token %zu on%s",
                 b->pin->layer, b->pin->block, b->pin->unit,
                 b->second ? ", its second choice" : "", b->was, b->after, kept);
    else
        snprintf(out, ABOUT_TEXT, "going on after token %zu%s", b->after, kept);
}
