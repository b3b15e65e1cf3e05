/* SPDX-License-Identifier: MIT */
#include "app/order.h"

#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

/* All pairs of blocks are compared on every sampled row: a quarter of a second at most. */
#define SAMPLE      256
#define SAMPLE_MIN  32
#define COMPARISONS 200000000.0

enum place { PLACE_NONE, PLACE_GIVEN, PLACE_MISSING }; /* a narrower layer has no such block */

/* One layer: its sampled choices by block, and what is being compared. */
struct sample {
    size_t n;
    uint32_t blocks;
    uint8_t *unit;      /* [blocks][n] numbered anew as they appear: SAMPLE of them at most */
    uint16_t *name;     /* [units + 1] the new number of each, plus one; 0: did not appear */
    uint32_t *flips;    /* of each block, between sampled rows */
    uint64_t *pairs;    /* of tokens that share a unit there */
    enum place *place;  /* of each block */
    uint16_t *together; /* [SAMPLE][SAMPLE] tokens with these two units; 0 between uses */
};

static size_t sample_rows(const struct choice_rows *r)
{
    double all = (double)r->layers * r->blocks * r->blocks / 2;
    double n = COMPARISONS / (all > 1 ? all : 1);
    size_t most = n > SAMPLE ? SAMPLE : n < SAMPLE_MIN ? SAMPLE_MIN : (size_t)n;
    return r->n < most ? r->n : most;
}

static void sample_open(struct sample *s, const struct choice_rows *r)
{
    *s = (struct sample){.n = sample_rows(r), .blocks = r->blocks};
    s->unit = xcalloc(s->blocks * s->n + 1, sizeof *s->unit);
    s->flips = xcalloc(s->blocks, sizeof *s->flips);
    s->pairs = xcalloc(s->blocks, sizeof *s->pairs);
    s->place = xcalloc(s->blocks, sizeof *s->place);
    s->together = xcalloc((size_t)SAMPLE * SAMPLE, sizeof *s->together);
    s->name = xcalloc((size_t)r->units + 1, sizeof *s->name);
}

static void sample_close(struct sample *s)
{
    free(s->unit);
    free(s->flips);
    free(s->pairs);
    free(s->place);
    free(s->together);
    free(s->name);
}

/* Pairs of tokens that share a unit in both blocks. */
static uint64_t shared_pairs(struct sample *s, uint32_t a, uint32_t b)
{
    const uint8_t *x = s->unit + a * s->n, *y = s->unit + b * s->n;
    uint64_t pairs = 0;
    for (size_t i = 0; i < s->n; i++) /* each token pairs with those before it */
        pairs += s->together[x[i] * SAMPLE + y[i]]++;
    for (size_t i = 0; i < s->n; i++)
        s->together[x[i] * SAMPLE + y[i]] = 0;
    return pairs;
}

static double alike(struct sample *s, uint32_t a, uint32_t b)
{
    double all = (double)s->n * ((double)s->n - 1) / 2;
    double x = (double)s->pairs[a], y = (double)s->pairs[b];
    double chance = all > 0 ? x * y / all : 0, most = (x + y) / 2;
    if (most - chance < 1e-9) /* both never change, or always */
        return 1;
    return ((double)shared_pairs(s, a, b) - chance) / (most - chance);
}

/* Rows spread over the run. */
static void sample_block(struct sample *s, const struct choice_rows *r, size_t cell, uint32_t b)
{
    uint8_t *unit = s->unit + b * s->n;
    uint16_t names = 0;
    memset(s->name, 0, ((size_t)r->units + 1) * sizeof *s->name);
    s->place[b] = PLACE_MISSING;
    s->flips[b] = 0;
    for (size_t i = 0; i < s->n; i++) {
        uint16_t u = choice_row(r, i * r->n / s->n)[cell];
        uint16_t *name = &s->name[u < r->units ? u : r->units]; /* none is like one more */
        if (u < r->units)
            s->place[b] = PLACE_NONE;
        if (!*name)
            *name = ++names;
        unit[i] = (uint8_t)(*name - 1);
        s->flips[b] += i > 0 && unit[i] != unit[i - 1];
    }
    s->pairs[b] = shared_pairs(s, b, b);
}

/* Of the blocks that are left; `blocks` if none is.  In a tie the first. */
static uint32_t busiest(const struct sample *s)
{
    uint32_t best = s->blocks;
    for (uint32_t b = 0; b < s->blocks; b++)
        if (s->place[b] == PLACE_NONE && (best == s->blocks || s->flips[b] > s->flips[best]))
            best = b;
    return best;
}

static uint32_t most_alike(struct sample *s, uint32_t to)
{
    uint32_t best = s->blocks;
    double most = 0;
    for (uint32_t b = 0; b < s->blocks; b++) {
        double x = s->place[b] == PLACE_NONE ? alike(s, to, b) : 0;
        if (s->place[b] == PLACE_NONE && (best == s->blocks || x > most)) {
            best = b;
            most = x;
        }
    }
    return best;
}

static void order_layer(struct sample *s, const struct choice_rows *r, uint32_t layer,
                        uint32_t *at)
{
    uint32_t n = 0;
    for (uint32_t b = 0; b < s->blocks; b++)
        sample_block(s, r, (size_t)layer * s->blocks + b, b);
    for (uint32_t b = busiest(s); b < s->blocks; b = most_alike(s, b)) {
        s->place[b] = PLACE_GIVEN;
        at[n++] = b;
    }
    for (uint32_t b = 0; b < s->blocks; b++)
        if (s->place[b] == PLACE_MISSING)
            at[n++] = b;
}

void block_order_make(struct block_order *o, const struct choice_rows *r)
{
    struct sample s;
    o->at = xrealloc(o->at, choice_cells(r) + 1, sizeof *o->at);
    o->layers = r->layers;
    o->blocks = r->blocks;
    o->rows = r;
    o->n = r->n;
    sample_open(&s, r);
    for (uint32_t l = 0; l < r->layers; l++)
        order_layer(&s, r, l, o->at + (size_t)l * r->blocks);
    sample_close(&s);
}

void block_order_free(struct block_order *o)
{
    free(o->at);
    memset(o, 0, sizeof *o);
}

uint32_t block_at(const struct block_order *o, uint32_t layer, uint32_t place)
{
    return o && layer < o->layers && place < o->blocks
               ? o->at[(size_t)layer * o->blocks + place]
               : place;
}

uint32_t block_place(const struct block_order *o, uint32_t layer, uint32_t block)
{
    for (uint32_t i = 0; o && layer < o->layers && i < o->blocks; i++)
        if (o->at[(size_t)layer * o->blocks + i] == block)
            return i;
    return block;
}
