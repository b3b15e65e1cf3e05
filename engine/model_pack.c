/* model_pack.c - copies the small, always-used matrices into packed form.
 *
 * Factored products and convolutions use one small matrix for every module: they are
 * bound by multiplies, not by memory, and run about twice as fast from panels.  The same
 * holds for the controller.  All of a decoder
 * block's copies lie together in the order of their use.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/model.h"

#include "engine/base/arena.h"
#include "engine/base/xalloc.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    HUGE_FROM = 4 << 20,  /* bytes */
    FEWEST_MODULES = 4,   /* below, row products are as fast and need no copy */
    NEIGHBOURS = 1 << 16, /* bytes of scales that may lie between copies */
    MOST_SOON = 10 << 20, /* what comes too early has left the cache again when it is read */
    EASY = 16             /* multiplies a byte that leave time to fetch it slowly */
};

/* One trip over the model measures or fills. */
struct packer {
    struct arena a;
    struct pack *next; /* NULL: measuring */
    size_t n;
    bool quads; /* the kernel set has products by fours */
};

static void pack_mat(struct packer *p, struct mat *w, uint32_t groups)
{
    bool quads = p->quads && w->cols <= QUAD_DEPTH && pack_size(w, groups, true);
    size_t bytes = w->data && w->rows && !w->pack ? pack_size(w, groups, quads) : 0;
    if (!bytes)
        return;
    void *memory = arena_get(&p->a, bytes, 1);
    p->n++;
    if (!p->next || !memory)
        return;
    pack_fill(p->next, w, groups, quads, memory);
    w->pack = p->next++;
}

static void pack_projection(struct packer *p, struct projection *j)
{
    if ((j->kind == PROJ_FACTORED || j->kind == PROJ_MULTMOD) &&
        j->conv.modules >= FEWEST_MODULES)
        pack_mat(p, &j->w, 1);
    else if (j->kind == PROJ_CONV)
        pack_mat(p, &j->w, j->conv.length * j->conv.kernel);
}

/* Only products by fours are so much faster that a copy is worth it. */
static void pack_quads(struct packer *p, struct mat *w)
{
    if (p->quads && w->cols <= QUAD_DEPTH && pack_size(w, 1, true))
        pack_mat(p, w, 1);
}

static void pack_controller(struct packer *p, struct ff_weights *w)
{
    pack_quads(p, &w->ctl1);
    pack_mat(p, &w->ctl2, 1);
}

static void pack_stack(struct packer *p, struct stack *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct stack_item *it = &s->item[i];
        for (uint32_t a = 0; a < it->n_att; a++) {
            struct attention *at = &it->att[a];
            struct projection *all[] = {&at->mult, &at->q,     &at->k,    &at->v,
                                        &at->o,    &at->omult, &at->oconv};
            for (size_t k = 0; k < sizeof all / sizeof *all; k++)
                pack_projection(p, all[k]);
        }
        if (it->kind == ITEM_BLOCK && it->ff.s.ctl2.data && it->ff.s.units % PANEL == 0)
            pack_controller(p, &it->ff.s);
        if (it->kind == ITEM_BLOCK && it->ff.sru.layers) {
            pack_quads(p, &it->ff.sru.in.w);
            pack_quads(p, &it->ff.sru.out.w);
        }
    }
}

static void pack_all(struct packer *p, struct terra_model *m)
{
    pack_stack(p, &m->enc);
    pack_stack(p, &m->dec);
    pack_projection(p, &m->loss);
}

/* ---- what is read next ------------------------------------------------------------- */

/* Neighbours in memory that all threads read become one span. */
static void plan(struct stack_item *it, const void *p, size_t bytes, bool shared)
{
    struct span *last = it->n_soon ? &it->soon[it->n_soon - 1] : NULL;
    uintptr_t at = (uintptr_t)p, end = last ? (uintptr_t)last->p + last->bytes : 0;
    if (last && shared && last->shared && at >= end && at - end < NEIGHBOURS)
        last->bytes += at - end + bytes;
    else if (p && it->n_soon < MODEL_SOON)
        it->soon[it->n_soon++] = (struct span){p, bytes, shared};
}

static size_t planned(const struct stack_item *it)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < it->n_soon; i++)
        bytes += it->soon[i].bytes;
    return bytes;
}

static void plan_mat(struct stack_item *it, const struct mat *w, bool shared)
{
    if (w->rows)
        plan(it, w->pack ? w->pack->data : w->data,
             (size_t)w->rows * w->cols * dtype_size(w->dtype), shared);
}

/* Their scales and biases are an eighth as much as the weights themselves, or more. */
static void plan_logits(struct stack_item *it, const struct ff_weights *w)
{
    size_t bytes = (size_t)w->blocks * w->units * sizeof(float);
    if (w->ctl2.pack)
        plan(it, w->ctl2.pack->scale, bytes, false);
    plan_mat(it, &w->ctl2, false);
    plan(it, w->ctlb, bytes, false);
}

static size_t products(const struct projection *p)
{
    return (size_t)p->conv.modules * p->w.rows * p->w.cols;
}

/* What a step multiplies in packed layers, whose threads fetch. */
static size_t multiplies(const struct stack_item *it)
{
    size_t n = 0;
    for (uint32_t a = 0; a < it->n_att; a++)
        n += products(&it->att[a].mult) + products(&it->att[a].q) + products(&it->att[a].k) +
             products(&it->att[a].v);
    return n;
}

static void plan_factored(struct stack_item *it, const struct projection *p)
{
    plan_mat(it, &p->gate, false);
    plan_mat(it, &p->w, true);
}

/* Only a block of factored products and convolutions has multiplies to hide behind. */
static void plan_stack(struct stack *s, const struct projection *loss)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct stack_item *it = &s->item[i], *next = i + 1 < s->n ? it + 1 : NULL;
        if (it->n_att == 0 || it->att[0].mult.kind != PROJ_FACTORED)
            continue;
        for (uint32_t a = 0; a < it->n_att; a++) {
            if (a > 0)
                plan_factored(it, &it->att[a].mult);
            plan_mat(it, &it->att[a].q.w, true);
            plan_mat(it, &it->att[a].k.w, true);
            plan_mat(it, &it->att[a].v.w, true);
        }
        plan_mat(it, &it->ff.s.ctl1, false);
        plan_mat(it, &it->ff.sru.in.w, false);
        plan_logits(it, &it->ff.s);
        plan_mat(it, &it->ff.sru.out.w, false);
        if (next && next->n_att)
            plan_factored(it, &next->att[0].mult);
        it->soon_pace = planned(it) * EASY < multiplies(it) ? 1 : 2;
        if (planned(it) > MOST_SOON)
            it->n_soon = 0;
        else if (!next)
            plan_mat(it, &loss->w, false);
    }
}

/* ---- models larger than memory ----------------------------------------------------------- */

/* The pages that hold any of these bytes.  A hint: it may fail. */
static void advise(const void *p, size_t bytes, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p / page * page;
    if (bytes)
        (void)posix_madvise((void *)from, (uintptr_t)p + bytes - from, advice);
}

/* What every token reads from the file itself, not from a packed copy. */
static void advise_mat(const struct mat *w)
{
    if (!w->pack)
        advise(w->data, (size_t)w->rows * w->cols * dtype_size(w->dtype), POSIX_MADV_WILLNEED);
}

void model_advise(const struct terra_model *m, uint64_t available)
{
    if (m->file.map.n <= available)
        return;
    /* Reading ahead would throw out more than it brings: of w1 and w2 a token needs a row
     * here and a row there.  A miss elsewhere must not read its neighbours in, either. */
    advise(m->file.map.data, m->file.map.n, POSIX_MADV_RANDOM);
    for (uint32_t i = 0; i < m->dec.n; i++) {
        const struct stack_item *it = &m->dec.item[i];
        advise_mat(&it->ff.s.ctl1);
        advise_mat(&it->ff.s.ctl2);
        advise_mat(&it->ff.sru.in.w);
        advise_mat(&it->ff.sru.out.w);
    }
    advise_mat(&m->loss.w);
}

/* Every token reads all of the copies: fewer page walks.  A hint: it may fail. */
static void want_huge_pages(const struct arena *a)
{
#ifdef MADV_HUGEPAGE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)a->base;
    from += (page - from % page) % page;
    (void)madvise((void *)from, a->cap - page, MADV_HUGEPAGE);
#else
    (void)a;
#endif
}

bool model_pack(struct terra_model *m, struct err *e)
{
    const struct kernels *k = kernels_get(NULL);
    struct packer p = {.quads = k->panels_q8 != NULL};
    if (!k->panels)
        return true;
    pack_all(&p, m);
    if (p.n == 0)
        return true;
    size_t n = p.n;
    if (p.a.overflow || !arena_open(&m->packed, p.a.used, e))
        return err_prefix(e, "packing %zu matrices", n);
    if (p.a.used > HUGE_FROM)
        want_huge_pages(&m->packed);
    m->packs = p.next = xcalloc(n, sizeof *p.next);
    p.a = m->packed;
    pack_all(&p, m);
    plan_stack(&m->dec, &m->loss);
    return true;
}
