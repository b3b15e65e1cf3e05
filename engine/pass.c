/* pass.c - see pass.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/pass.h"

#include "engine/attention.h"
#include "engine/base/clock.h"
#include "engine/projection.h"

#include <string.h>

#define TILE_MOST    256
#define TILE_FLOATS  (4u << 20) /* of the widest per-row scratch */
#define SCORE_FLOATS (1u << 20)

void pass_clock(struct pass *p, enum terra_part part, uint64_t *since)
{
    if (!p->timed)
        return;
    uint64_t now = clock_ns();
    if (*since)
        p->part_ns[part] += now - *since;
    *since = now;
}

void pass_bad(struct pass *p, const char *part)
{
    if (!p->bad.found)
        p->bad = (struct bad_value){true, p->stage, p->layer, part};
}

void pass_check(struct pass *p, const char *part, const float *x, size_t n)
{
    if (!p->bad.found && !compute_kernels(p->cx)->finite(x, n))
        pass_bad(p, part);
}

/* Index of the largest value but one; of equal ones the first. */
static uint32_t second_best(const float *z, uint32_t n)
{
    uint32_t best = 0, second = n > 1;
    for (uint32_t i = 1; i < n; i++)
        if (z[i] > z[best]) {
            second = best;
            best = i;
        } else if (z[i] > z[second]) {
            second = i;
        }
    return second;
}

uint16_t pass_pinned(struct pin *pin, const float *z, uint32_t units)
{
    if (pin->unit == TERRA_RUNNER_UP)
        pin->unit = (uint16_t)second_best(z, units);
    return pin->unit;
}

void pass_pin(struct pass *p, const struct ff_weights *w, size_t first_row, size_t n)
{
    if (p->stage != TERRA_DECODER)
        return;
    const float *z = p->s.wide + n * w->ctl1.rows; /* as compute_choose lays it out */
    for (size_t i = 0; i < p->n_pins; i++) {
        struct pin *pin = &p->pin[i];
        if (pin->layer != p->layer)
            continue;
        for (size_t t = 0; t < n; t++) {
            size_t row = first_row + t, at = t * w->blocks + pin->block;
            if (row >= pin->from && row < pin->to)
                p->s.unit[at] = pass_pinned(pin, z + at * w->units, w->units);
        }
    }
}

/* The widest of everything a tile's row needs. */
struct widths {
    size_t d, heads, wq, wo, wide, hidden, small, blocks, ring;
    size_t dv, hashes, chunk, near; /* efficient attention; near: chunks that a query sees */
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void measure_attention(struct widths *w, const struct attention *a)
{
    const struct projection *p[] = {&a->mult, &a->q, &a->k, &a->v, &a->o, &a->omult, &a->oconv};
    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        w->wide = larger(w->wide, projection_scratch(p[i]));
    w->d = larger(w->d, a->d);
    w->heads = larger(w->heads, a->heads);
    w->wq = larger(w->wq, (size_t)a->heads * a->dk);
    w->wo = larger(w->wo, (size_t)a->heads * a->dv);
    w->ring = larger(w->ring, attention_ring(a));
    w->dv = larger(w->dv, a->dv);
    w->hashes = larger(w->hashes, a->cfg->hashes);
    w->chunk = larger(w->chunk, a->cfg->chunk);
    w->near = larger(w->near, (size_t)a->cfg->before + 1 + a->cfg->after);
}

static void measure_ff(struct widths *w, const struct ff *ff)
{
    w->d = larger(w->d, ff->d);
    w->hidden = larger(w->hidden, ff->f); /* masked and open modes use all of it */
    if (ff->kind != FF_DENSE) {
        w->blocks = larger(w->blocks, ff->s.blocks);
        w->wide = larger(w->wide, ff->f + ff->s.ctl1.rows + ff->router.rows);
    }
    w->small = larger(w->small, 4 * (size_t)ff->sru.width);
}

static struct widths measure(const struct terra_model *m)
{
    struct widths w = {.d = m->d_out, .hashes = 1, .wide = projection_scratch(&m->loss)};
    const struct stack *stacks[] = {&m->enc, &m->dec};
    for (int s = 0; s < 2; s++)
        for (uint32_t i = 0; i < stacks[s]->n; i++) {
            const struct stack_item *it = &stacks[s]->item[i];
            if (it->kind != ITEM_BLOCK)
                continue;
            for (uint32_t j = 0; j < it->n_att; j++)
                measure_attention(&w, &it->att[j]);
            measure_ff(&w, &it->ff);
        }
    return w;
}

size_t pass_tile(const struct terra_model *m)
{
    struct widths w = measure(m);
    size_t tile = TILE_FLOATS / larger(w.wide, larger(w.hidden, w.d));
    return tile < 1 ? 1 : tile > TILE_MOST ? TILE_MOST : tile;
}

void scratch_layout(struct scratch *s, struct arena *a, const struct terra_model *m,
                    uint32_t threads, size_t rows, size_t cap, bool efficient)
{
    struct widths w = measure(m);
    size_t tile = pass_tile(m);
    tile = tile < rows ? tile : rows;
    s->q = arena_get(a, rows * w.wq, sizeof(float));
    s->o = arena_get(a, rows * w.wo, sizeof(float));
    s->x = arena_get(a, tile * w.d, sizeof(float));
    s->y = arena_get(a, tile * w.d, sizeof(float));
    s->k = arena_get(a, tile * w.wq, sizeof(float));
    s->v = arena_get(a, tile * w.wo, sizeof(float));
    s->u = arena_get(a, (w.ring + tile) * w.d, sizeof(float));
    s->uv = arena_get(a, (w.ring + tile) * 2 * w.d, sizeof(float));
    s->wide = arena_get(a, tile * w.wide, sizeof(float));
    s->hidden = arena_get(a, tile * w.hidden, sizeof(float));
    s->small = arena_get(a, tile * w.small, sizeof(float));
    s->own = arena_get(a, 2 * (size_t)threads * w.d, sizeof(float));
    s->score_floats = larger(compute_attend_floats(threads, w.heads, cap), SCORE_FLOATS);
    s->scores = arena_get(a, s->score_floats, sizeof(float));
    s->unit = arena_get(a, tile * w.blocks, sizeof *s->unit);
    s->margin = arena_get(a, tile * w.blocks, sizeof *s->margin);
    s->alive = arena_get(a, tile * w.blocks, 1);
    size_t chunk = w.chunk < cap ? w.chunk : cap;
    if (efficient)
        efficient_layout(&s->efficient, a, cap, w.hashes, w.dv, larger(cap, w.near * chunk));
}
