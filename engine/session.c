/* session.c - one timeline: source, fed target tokens, caches.
 *
 * The decoder's input rows are numbered like its caches: n_e source rows, then one row
 * per target input: the start symbol, token 0, token 1 ...  Row n_e + t scores target
 * token t.  Most models are decoded incrementally: rows [0, fed) have passed.  A model
 * whose decoder depends on the whole sequence (LSH) runs all rows again for every
 * token, padded as trax's eval mode does (spec 1.9).
 *
 * SPDX-License-Identifier: MIT */
#include "engine/session_impl.h"

#include "engine/attention.h"
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"
#include "engine/position.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define DEFAULT_LENGTH   512
#define DEFAULT_EVAL_MIN 16
#define MAX_LENGTH       (1u << 24)
#define FORCED_ROWS      512 /* most of one pass, when forced tokens come in numbers */

const char *const terra_part_name[TERRA_PARTS] = {"ctl",  "ff",     "qkv",  "att",
                                                  "head", "sample", "other"};

/* ---- opening ------------------------------------------------------------------- */

static size_t pow2_from(size_t n)
{
    size_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

/* Rows that n target tokens take in a whole run. */
static size_t padded_target(const struct terra_session_opts *o, size_t n)
{
    return pow2_from(n > o->eval_min_length ? n : o->eval_min_length);
}

static bool has_lsh(const struct stack *s, size_t rows)
{
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t j = 0; j < s->item[i].n_att; j++)
            if (attention_is_lsh(&s->item[i].att[j], rows))
                return true;
    return false;
}

static bool has_self(const struct stack *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t j = 0; j < s->item[i].n_att; j++)
            if (s->item[i].att[j].cfg->type == TERRA_ATT_SELF)
                return true;
    return false;
}

/* Hands out (or, on a dry arena, measures) everything the session will ever need. */
static void layout(struct terra_session *s, struct arena *a)
{
    const struct terra_model *m = s->m;
    size_t d = m->d_out; /* streams only ever widen */
    size_t layers = m->cfg.n_dec, blocks = terra_config_max_blocks(&m->cfg);
    bool efficient = s->whole || s->keep_padding || has_self(&m->dec);
    size_t cap = s->enc_cap > s->dec_cap ? s->enc_cap : s->dec_cap;
    s->x.a = arena_get(a, s->rows * d, sizeof(float));
    s->x.b = arena_get(a, s->rows * d, sizeof(float));
    stack_state_layout(&s->enc, a, &m->enc, s->enc_cap, TERRA_F32, true);
    stack_state_layout(&s->dec, a, &m->dec, s->dec_cap, s->cache, s->whole);
    scratch_layout(&s->pass.s, a, m, compute_threads(s->cx), s->rows, cap, efficient);
    if (s->whole) {
        s->enc_a = arena_get(a, s->enc_cap * d, sizeof(float));
        s->enc_b = arena_get(a, s->enc_cap * d, sizeof(float));
    }
    s->valid = arena_get(a, s->enc_cap, 1);
    s->ids = arena_get(a, s->rows, sizeof *s->ids);
    s->source = arena_get(a, s->o.max_source, sizeof *s->source);
    s->target = arena_get(a, s->o.max_target, sizeof *s->target);
    s->logits = arena_get(a, m->cfg.out_vocab, sizeof(float));
    s->pass.step_unit = arena_get(a, layers * blocks, sizeof(uint16_t));
    s->pass.step_margin = arena_get(a, layers * blocks, sizeof(float));
    s->pass.step_alive = arena_get(a, layers * blocks, 1);
    s->pass.step_blocks = (uint32_t)blocks;
    sampler_layout(&s->sampler, a, m->cfg.out_vocab);
}

/* Keys and values are kept as exactly as the weights; efficient types compute on floats. */
static enum terra_dtype choose_cache(const struct terra_session *s)
{
    static const enum terra_dtype named[] = {[TERRA_CACHE_F32] = TERRA_F32,
                                             [TERRA_CACHE_BF16] = TERRA_BF16,
                                             [TERRA_CACHE_I8] = TERRA_I8};
    if (s->whole || has_self(&s->m->dec))
        return TERRA_F32;
    return s->o.cache == TERRA_CACHE_AUTO ? s->m->emb.dtype : named[s->o.cache];
}

static void choose_sizes(struct terra_session *s)
{
    struct terra_session_opts *o = &s->o;
    const struct terra_config *c = &s->m->cfg;
    if (o->max_source == 0)
        o->max_source = c->max_source ? c->max_source : DEFAULT_LENGTH;
    if (o->max_target == 0)
        o->max_target = c->max_target ? c->max_target : DEFAULT_LENGTH;
    if (o->eval_min_length == 0)
        o->eval_min_length = DEFAULT_EVAL_MIN;
    if (c->n_enc == 0)
        o->max_source = 0;
    size_t longest = padded_target(o, o->max_target);
    s->whole = has_lsh(&s->m->dec, o->max_source + longest);
    s->keep_padding = s->whole || has_self(&s->m->enc) || has_lsh(&s->m->enc, o->max_source);
    s->enc_cap = o->max_source;
    s->dec_cap = (size_t)o->max_source + (s->whole ? longest : o->max_target);
    s->rows = s->whole ? s->dec_cap : o->max_source;
    size_t forced = o->max_target < FORCED_ROWS ? o->max_target : FORCED_ROWS;
    s->rows = s->rows < forced ? forced : s->rows;
    s->cache = choose_cache(s);
}

/* ---- pins ------------------------------------------------------------------------ */

/* From row `from` on the block is its controller's again.  Rows before it keep what they had
 * where all rows pass again and again; elsewhere they never do, and the pin is forgotten. */
static void end_pin(struct terra_session *s, uint32_t layer, uint32_t block, size_t from)
{
    struct pass *p = &s->pass;
    for (size_t i = 0; i < p->n_pins; i++) {
        struct pin *pin = &p->pin[i];
        if (pin->layer != layer || pin->block != block || pin->to != SIZE_MAX)
            continue;
        pin->to = from;
        if (!s->whole || pin->from >= from)
            *pin = p->pin[--p->n_pins];
        return;
    }
}

static void add_pin(struct terra_session *s, struct pin pin)
{
    struct pass *p = &s->pass;
    if (p->n_pins == s->pin_room) {
        s->pin_room = s->pin_room ? 2 * s->pin_room : 8;
        p->pin = xrealloc(p->pin, s->pin_room, sizeof *p->pin);
    }
    p->pin[p->n_pins++] = pin;
}

static const struct ff *decoder_ff(const struct terra_model *m, uint32_t layer)
{
    for (uint32_t i = 0; i < m->dec.n; i++)
        if (m->dec.item[i].kind == ITEM_BLOCK && layer-- == 0)
            return &m->dec.item[i].ff;
    return NULL;
}

bool terra_pin(struct terra_session *s, uint32_t layer, uint32_t block, uint16_t unit,
               struct err *e)
{
    const struct ff *ff = decoder_ff(s->m, layer);
    if (!ff)
        return err_set(e, ERR_USAGE, "decoder layer %u: there are %u, from 0", layer,
                       s->m->cfg.n_dec);
    if (ff->kind == FF_DENSE)
        return err_set(e, ERR_USAGE, "decoder layer %u is dense: it chooses no units", layer);
    if (s->o.mode == TERRA_OPEN)
        return err_set(e, ERR_USAGE, "in open mode all units are used: none can be pinned");
    if (block >= ff->s.blocks)
        return err_set(e, ERR_USAGE, "block %u: layer %u has %u, from 0", block, layer,
                       ff->s.blocks);
    if (unit < TERRA_RUNNER_UP && unit >= ff->s.units)
        return err_set(e, ERR_USAGE, "unit %u: a block has %u, from 0", unit, ff->s.units);
    size_t from = s->whole ? s->n_e + s->n_target + s->have_logits : s->fed;
    end_pin(s, layer, block, from);
    if (unit != TERRA_NO_UNIT)
        add_pin(s, (struct pin){layer, block, unit, from, SIZE_MAX});
    return true;
}

struct terra_session *terra_session_open(const struct terra_model *m,
                                         const struct terra_session_opts *o, struct err *e)
{
    struct terra_session *s = xcalloc(1, sizeof *s);
    struct arena dry = {0};
    s->m = m;
    s->o = *o;
    choose_sizes(s);
    if (s->o.max_source > MAX_LENGTH || s->o.max_target > MAX_LENGTH) {
        err_set(e, ERR_USAGE, "a session of %u + %u tokens is longer than %u", s->o.max_source,
                s->o.max_target, MAX_LENGTH);
        goto fail;
    }
    s->cx = compute_open(o->threads, NULL, e);
    if (!s->cx)
        goto fail;
    layout(s, &dry);
    if (dry.overflow)
        err_set(e, ERR_RESOURCE, "more memory than there are addresses");
    if (dry.overflow || !arena_open(&s->arena, dry.used, e)) {
        err_prefix(e, "session of %u + %u tokens", s->o.max_source, s->o.max_target);
        goto fail;
    }
    layout(s, &s->arena);
    memset(s->pass.step_unit, 0xff, sizeof(uint16_t) * m->cfg.n_dec * s->pass.step_blocks);
    size_t tile = pass_tile(m);
    s->pass.m = m;
    s->pass.cx = s->cx;
    s->pass.tile = tile < s->rows ? tile : s->rows;
    s->pass.mode = o->mode;
    s->pass.timed = !o->quiet;
    s->pass.cancel = o->cancel;
    s->pass.on_choices = o->quiet ? NULL : o->on_choices;
    s->pass.user = o->user;
    return s;
fail:
    terra_session_close(s);
    return NULL;
}

void terra_session_close(struct terra_session *s)
{
    if (!s)
        return;
    compute_close(s->cx);
    arena_free(&s->arena);
    free(s->pass.pin);
    free(s);
}

uint64_t terra_session_bytes(const struct terra_session *s)
{
    return s->arena.cap;
}

uint32_t terra_session_threads(const struct terra_session *s)
{
    return compute_threads(s->cx);
}

const char *terra_session_kernels(const struct terra_session *s)
{
    return compute_kernels(s->cx)->name;
}

/* ---- source -------------------------------------------------------------------- */

static void progress(void *user, uint64_t done)
{
    struct terra_session *s = user;
    s->progress_done += done;
    if (s->o.on_progress)
        s->o.on_progress(s->o.user, s->progress_done, s->progress_total);
}

/* `length`: rows of the whole sequence, 0 where rows pass one after another. */
static void begin_pass(struct terra_session *s, size_t cap, size_t length, size_t step_row)
{
    s->pass.cap = cap;
    s->pass.length = length;
    s->pass.step_row = step_row;
    s->pass.valid = s->valid;
    memset(s->pass.part_ns, 0, sizeof s->pass.part_ns);
}

/* The parts of a pass that reads, for the prefill's account. */
static void count_parts(struct terra_session *s)
{
    for (int i = 0; i < TERRA_PARTS; i++)
        s->prefill.part_ns[i] += s->pass.part_ns[i];
}

/* Trailing padding never reaches a real row, unless attention counts rows. */
static size_t encoder_rows(const struct terra_session *s)
{
    size_t n = s->n_source;
    while (!s->keep_padding && n > 0 && s->source[n - 1] == TERRA_PAD)
        n--;
    return n;
}

static bool encode_source(struct terra_session *s, size_t rows, struct err *e)
{
    const struct terra_model *m = s->m;
    for (size_t t = 0; t < rows; t++)
        s->valid[t] = s->source[t] != TERRA_PAD;
    if (!stack_check(&m->enc, rows, false, e))
        return false;
    if (!embed_rows(s->cx, &m->emb, &m->pos_enc, s->source, rows, 0, s->x.a, e))
        return false;
    memcpy(s->x.b, s->x.a, rows * m->d_enc * sizeof(float));
    begin_pass(s, s->enc_cap, rows, SIZE_MAX);
    if (!encoder_run(&s->pass, &s->enc, &s->x, rows, progress, s, e))
        return false;
    count_parts(s);
    if (s->whole) {
        memcpy(s->enc_a, s->x.a, rows * m->d_enc * sizeof(float));
        memcpy(s->enc_b, s->x.b, rows * m->d_enc * sizeof(float));
    }
    return true;
}

bool terra_prefill(struct terra_session *s, const int32_t *source, size_t n_source,
                   struct err *e)
{
    const struct terra_config *c = &s->m->cfg;
    uint64_t start = clock_ns();
    s->ready = s->have_logits = false;
    s->n_source = s->n_e = s->n_target = s->fed = 0;
    s->pass.n_pins = 0;
    if (n_source > 0 && c->n_enc == 0)
        return err_set(e, ERR_INPUT,
                       "the model has no encoder: feed the text as target tokens");
    if (n_source > s->o.max_source)
        return err_set(e, ERR_INPUT, "the source has %zu tokens, the session holds %u",
                       n_source, s->o.max_source);
    if (n_source)
        memcpy(s->source, source, n_source * sizeof *source);
    s->n_source = n_source;
    for (size_t t = 0; t < n_source; t++)
        s->n_e += source[t] != TERRA_PAD;
    stack_state_reset(&s->dec, &s->m->dec);
    s->prefill = (struct terra_prefill_stats){0};

    size_t rows = encoder_rows(s);
    s->progress_done = 0;
    s->progress_total =
        (uint64_t)rows * c->n_enc + (s->whole ? 0 : (uint64_t)s->n_e * c->n_dec);
    if (rows > 0 && !encode_source(s, rows, e))
        return false;
    if (!s->whole && s->n_e > 0) {
        /* Rows past n_e are overwritten by the target (spec 1.5): they never enter. */
        begin_pass(s, s->dec_cap, 0, SIZE_MAX);
        if (!decoder_run(&s->pass, &s->dec, &s->x, s->n_e, 0, progress, s, e))
            return false;
        count_parts(s);
        s->fed = s->n_e;
    }
    s->ready = true;
    s->prefill.ns = clock_ns() - start;
    s->prefill.rows = rows + s->fed;
    return true;
}

void terra_prefill_stats(const struct terra_session *s, struct terra_prefill_stats *out)
{
    *out = s->prefill;
}

/* ---- target rows ------------------------------------------------------------------ */

/* Input of target row t: the start symbol, then each known token. */
static int32_t target_input(const struct terra_session *s, size_t t)
{
    return t == 0 ? TERRA_PAD : t - 1 < s->n_target ? s->target[t - 1] : TERRA_PAD;
}

static bool embed_target(struct terra_session *s, size_t t, size_t n, float *out, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        s->ids[i] = target_input(s, t + i);
    return embed_rows(s->cx, &s->m->out_emb, &s->m->pos_dec, s->ids, n, t, out, e);
}

/* Passes target rows [fed - n_e, upto) a few at a time; logits of rows >= from go to `out`. */
static bool advance(struct terra_session *s, size_t upto, size_t from, float *out,
                    struct err *e)
{
    size_t V = s->m->cfg.out_vocab, d = s->m->d_enc;
    while (s->fed - s->n_e < upto) {
        size_t t = s->fed - s->n_e, n = upto - t < s->rows ? upto - t : s->rows;
        if (!embed_target(s, t, n, s->x.a, e))
            return false;
        memcpy(s->x.b, s->x.a, n * d * sizeof(float));
        begin_pass(s, s->dec_cap, 0, s->n_e + upto - 1);
        if (!decoder_run(&s->pass, &s->dec, &s->x, n, s->fed, NULL, NULL, e))
            return false;
        s->fed += n;
        size_t skip = from > t ? from - t : 0;
        uint64_t clock = 0;
        pass_clock(&s->pass, TERRA_PART_OTHER, &clock);
        if (out && skip < n &&
            !head_run(&s->pass, &s->x, skip, n - skip, out + (t + skip - from) * V, e))
            return false;
        pass_clock(&s->pass, TERRA_PART_HEAD, &clock);
        if (out != s->logits)
            count_parts(s);
    }
    return true;
}

/* The whole joined sequence again (spec 1.5, 1.9); logits of target rows [from, upto). */
static bool run_whole(struct terra_session *s, size_t upto, size_t from, float *out,
                      struct err *e)
{
    const struct terra_model *m = s->m;
    size_t L1 = s->n_source, L2 = padded_target(&s->o, upto), d = m->d_enc;
    if (!stack_check(&m->dec, L1 + L2, true, e))
        return false;
    memcpy(s->x.a, s->enc_a, L1 * d * sizeof(float));
    memcpy(s->x.b, s->enc_b, L1 * d * sizeof(float));
    memset(s->x.a + L1 * d, 0, L2 * d * sizeof(float));
    memset(s->x.b + L1 * d, 0, L2 * d * sizeof(float));
    float *joined = s->x.a + s->n_e * d;
    if (!embed_target(s, 0, L2, joined, e))
        return false;
    memcpy(s->x.b + s->n_e * d, joined, L2 * d * sizeof(float));
    begin_pass(s, s->dec_cap, L1 + L2, s->n_e + upto - 1);
    return decoder_run(&s->pass, &s->dec, &s->x, L1 + L2, 0, NULL, NULL, e) &&
           (!out || head_run(&s->pass, &s->x, s->n_e + from, upto - from, out, e));
}

bool session_has_timeline(const struct terra_session *s, struct err *e)
{
    return s->ready || err_set(e, ERR_USAGE, "the session has no timeline: prefill first");
}

/* Rows up to `upto`, logits of rows [from, upto) to `out` (NULL: none). */
static bool run_rows(struct terra_session *s, size_t upto, size_t from, float *out,
                     struct err *e)
{
    if (!session_has_timeline(s, e))
        return false;
    if (upto > s->o.max_target)
        return err_set(e, ERR_INPUT, "the session holds %u target tokens", s->o.max_target);
    s->ready = s->whole ? run_whole(s, upto, from, out, e) : advance(s, upto, from, out, e);
    return s->ready;
}

bool terra_feed(struct terra_session *s, const int32_t *ids, size_t n, float *logits,
                struct err *e)
{
    if (!session_has_timeline(s, e))
        return false;
    if (n == 0)
        return true;
    if (n > s->o.max_target - s->n_target)
        return err_set(e, ERR_INPUT, "%zu + %zu target tokens, the session holds %u",
                       s->n_target, n, s->o.max_target);
    size_t from = s->n_target, V = s->m->cfg.out_vocab;
    memcpy(s->target + from, ids, n * sizeof *ids);
    s->n_target += n;
    if (s->have_logits) { /* the first row has already passed: terra_logits was asked for it */
        s->have_logits = false;
        from++;
        if (logits) {
            memcpy(logits, s->logits, V * sizeof *logits);
            logits += V;
        }
        if (n == 1)
            return true;
    }
    return run_rows(s, s->n_target, from, logits, e);
}

const float *terra_logits(struct terra_session *s, struct err *e)
{
    if (s->ready && s->have_logits)
        return s->logits;
    uint64_t start = clock_ns();
    if (!run_rows(s, s->n_target + 1, s->n_target, s->logits, e))
        return NULL;
    s->logits_ns = clock_ns() - start;
    memcpy(s->part_ns, s->pass.part_ns, sizeof s->part_ns);
    s->have_logits = true;
    return s->logits;
}

bool terra_lens(struct terra_session *s, float *logits, struct err *e)
{
    if (!session_has_timeline(s, e))
        return false;
    if (s->have_logits)
        return err_set(e, ERR_USAGE, "the lens must look before terra_logits");
    s->pass.lens = logits;
    bool ok = terra_logits(s, e) != NULL;
    s->pass.lens = NULL;
    return ok;
}

/* ---- marks ------------------------------------------------------------------------ */

void session_mark_layout(const struct terra_session *s, struct session_mark *mk,
                         struct arena *a, size_t rows)
{
    mk->cap = rows;
    stack_state_layout(&mk->dec, a, &s->m->dec, s->whole ? 0 : rows, s->cache, false);
    mk->target = arena_get(a, s->o.max_target, sizeof *mk->target);
}

/* A whole run keeps none: its rows pass again for every token. */
static size_t target_rows(const struct terra_session *s)
{
    return s->whole ? 0 : s->fed - s->n_e;
}

/* Target rows that the session and the mark have in common: row 0 reads the start symbol,
 * row t + 1 token t, and a row is a function of the tokens before it. */
static size_t rows_in_common(const struct terra_session *s, const struct session_mark *mk)
{
    size_t n = s->n_target < mk->n_target ? s->n_target : mk->n_target, same = 0;
    while (same < n && s->target[same] == mk->target[same])
        same++;
    size_t rows = target_rows(s) < mk->rows ? target_rows(s) : mk->rows;
    return same + 1 < rows ? same + 1 : rows;
}

void session_save(const struct terra_session *s, struct session_mark *mk)
{
    size_t same = rows_in_common(s, mk), rows = target_rows(s);
    struct state_rows from = {&s->dec, s->dec_cap, s->n_e}, to = {&mk->dec, mk->cap, 0};
    if (!s->whole)
        stack_state_copy(&s->m->dec, &to, &from, same, rows);
    memcpy(mk->target, s->target, s->n_target * sizeof *s->target);
    mk->n_target = s->n_target;
    mk->rows = rows;
}

void session_restore(struct terra_session *s, const struct session_mark *mk)
{
    size_t same = rows_in_common(s, mk);
    struct state_rows from = {&mk->dec, mk->cap, 0}, to = {&s->dec, s->dec_cap, s->n_e};
    if (!s->whole)
        stack_state_copy(&s->m->dec, &to, &from, same, mk->rows);
    memcpy(s->target, mk->target, mk->n_target * sizeof *s->target);
    s->n_target = mk->n_target;
    if (!s->whole)
        s->fed = s->n_e + mk->rows;
    s->have_logits = false;
}

/* ---- accepting --------------------------------------------------------------------- */

bool terra_accept(struct terra_session *s, int32_t id, struct err *e)
{
    if (!session_has_timeline(s, e))
        return false;
    if (s->n_target >= s->o.max_target)
        return err_set(e, ERR_INPUT, "the session holds %u target tokens", s->o.max_target);
    s->target[s->n_target++] = id;
    s->have_logits = false;
    return true;
}

const int32_t *terra_target(const struct terra_session *s, size_t *n)
{
    *n = s->n_target;
    return s->target;
}

uint32_t terra_source_rows(const struct terra_session *s)
{
    return (uint32_t)s->n_e;
}

/* ---- decoding ----------------------------------------------------------------------- */

static uint64_t major_faults(void)
{
    struct rusage r;
    return getrusage(RUSAGE_SELF, &r) == 0 ? (uint64_t)r.ru_majflt : 0;
}

/* Gated layers are gathered in every mode. */
static uint64_t weight_bytes(const struct terra_session *s)
{
    const struct terra_model *m = s->m;
    bool gathered = s->o.mode == TERRA_SPARSE || m->cfg.ff_multiply || m->cfg.ff_experts;
    return gathered ? m->info.bytes_sparse : m->info.bytes_dense;
}

/* Keys and values of every cached row, and the row just written. */
static uint64_t cache_bytes(const struct terra_session *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->m->dec.n; i++)
        for (uint32_t j = 0; j < s->m->dec.item[i].n_att; j++) {
            const struct attention *a = &s->m->dec.item[i].att[j];
            n += a->heads * ((a->dk + a->dv) * dtype_size(s->cache) +
                             (s->cache == TERRA_I8 ? 2 * sizeof(float) : 0));
        }
    return n * s->fed;
}

/* One step: a token sampled by `p`, or the given `id` where p is NULL. */
static bool step(struct terra_session *s, const struct terra_sampling *p, int32_t id,
                 struct terra_token *out, struct err *e)
{
    uint64_t faults = s->o.quiet ? 0 : major_faults();
    bool cached = s->have_logits;
    uint64_t start = clock_ns();
    const float *logits = terra_logits(s, e);
    if (!logits)
        return false;
    uint64_t computed = clock_ns();
    memset(out, 0, sizeof *out);
    out->index = (uint32_t)s->n_target;
    bool ok = p ? sampler_pick(&s->sampler, p, logits, s->target, s->n_target, out, e)
                : sampler_take(&s->sampler, id, logits, out, e);
    if (!ok)
        return s->ready = false;
    if (!terra_accept(s, out->id, e))
        return false;
    uint64_t end = clock_ns();
    out->ns = cached ? s->logits_ns + (end - computed) : end - start;
    if (!s->o.quiet) {
        memcpy(out->part_ns, s->part_ns, sizeof out->part_ns);
        out->part_ns[TERRA_PART_SAMPLE] = end - computed;
        uint64_t known = 0;
        for (int i = 0; i < TERRA_PARTS; i++)
            known += i == TERRA_PART_OTHER ? 0 : out->part_ns[i];
        out->part_ns[TERRA_PART_OTHER] = out->ns > known ? out->ns - known : 0;
        out->major_faults = major_faults() - faults;
    }
    out->weight_bytes = weight_bytes(s);
    out->cache_bytes = cache_bytes(s);
    out->layers = s->m->cfg.n_dec;
    out->blocks = s->pass.step_blocks;
    out->unit = s->pass.step_unit;
    out->margin = s->pass.step_margin;
    out->alive = s->pass.step_alive;
    return true;
}

bool terra_next(struct terra_session *s, const struct terra_sampling *p,
                struct terra_token *out, struct err *e)
{
    return step(s, p, 0, out, e);
}

bool terra_take(struct terra_session *s, int32_t id, struct terra_token *out, struct err *e)
{
    if (id < 0 || (uint32_t)id >= s->m->cfg.out_vocab)
        return err_set(e, ERR_INPUT, "token %" PRId32 ": the model has %u, from 0", id,
                       s->m->cfg.out_vocab);
    return step(s, NULL, id, out, e);
}
