/* cmd_parity.c - `terra parity`: a model against expected results, one line per case.
 *
 * Compares the logits of forced targets, the units that the controllers chose on the
 * way, and the tokens of greedy decoding.  Units may differ where the controller's
 * margin is below 1e-5: there the order of a sum decides.  With --units-min (quantised
 * models) their share over all cases decides, and greedy tokens are only shown.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "data/golden.h"
#include "engine/base/json_out.h"
#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEAR_TIE 1e-5f

struct chosen { /* what the engine reported, laid out like golden_case.choice */
    uint32_t layers, rows, blocks, n_enc;
    uint16_t *unit;
    float *margin;
};

struct outcome {
    double max_abs, std;
    size_t units, units_equal, near_ties;
    size_t greedy, greedy_equal;
    char first[96]; /* the first unit that differs, or "" */
};

static void on_choices(void *user, const struct terra_choices *c)
{
    struct chosen *ch = user;
    uint32_t layer = c->stage == TERRA_ENCODER ? c->layer : ch->n_enc + c->layer;
    if (!ch->unit || layer >= ch->layers || c->blocks > ch->blocks)
        return;
    for (uint32_t i = 0; i < c->n_rows; i++) {
        if (c->first_row + i >= ch->rows)
            break;
        size_t to = ((size_t)layer * ch->rows + c->first_row + i) * ch->blocks;
        for (uint32_t k = 0; k < c->blocks; k++) {
            ch->unit[to + k] = c->unit[(size_t)i * c->blocks + k];
            ch->margin[to + k] = c->margin[(size_t)i * c->blocks + k];
        }
    }
}

static void chosen_open(struct chosen *ch, const struct golden_case *g, uint32_t n_enc)
{
    size_t n = (size_t)g->choice_layers * g->choice_rows * g->choice_blocks;
    *ch =
        (struct chosen){g->choice_layers, g->choice_rows, g->choice_blocks, n_enc, NULL, NULL};
    if (!g->choice)
        return;
    ch->unit = xcalloc(n, sizeof *ch->unit);
    ch->margin = xcalloc(n, sizeof *ch->margin);
    memset(ch->unit, 0xFF, n * sizeof *ch->unit);
}

static void compare_units(const struct chosen *ch, const struct golden_case *g,
                          struct outcome *out)
{
    size_t i = 0;
    for (uint32_t l = 0; g->choice && l < ch->layers; l++)
        for (uint32_t row = 0; row < ch->rows; row++)
            for (uint32_t k = 0; k < ch->blocks; k++, i++) {
                if (g->choice[i] < 0)
                    continue;
                bool equal = ch->unit[i] == g->choice[i];
                bool near_tie =
                    !equal && ch->unit[i] != TERRA_NO_UNIT && ch->margin[i] < NEAR_TIE;
                out->units++;
                out->units_equal += equal || near_tie;
                out->near_ties += near_tie;
                if (!equal && !near_tie && !*out->first)
                    snprintf(out->first, sizeof out->first,
                             "%s.%u row %u block %u: unit %d, expected %d, margin %.2g",
                             l < ch->n_enc ? "enc" : "dec", l < ch->n_enc ? l : l - ch->n_enc,
                             row, k, ch->unit[i] == TERRA_NO_UNIT ? -1 : (int)ch->unit[i],
                             (int)g->choice[i], (double)ch->margin[i]);
            }
}

static void compare_logits(const float *got, const struct golden_case *g, uint32_t vocab,
                           struct outcome *out)
{
    size_t n = g->n_rows * vocab;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)g->logits[i]);
        if (!(d <= out->max_abs)) /* a NaN stays */
            out->max_abs = d;
        sum += (double)g->logits[i];
    }
    for (size_t i = 0; i < n; i++)
        squares +=
            ((double)g->logits[i] - sum / (double)n) * ((double)g->logits[i] - sum / (double)n);
    out->std = n ? sqrt(squares / (double)n) : 0;
}

static bool score_target(struct terra_session *s, const struct golden_case *g, uint32_t vocab,
                         struct outcome *out, struct err *e)
{
    float *logits = xmalloc(g->n_rows * vocab * sizeof *logits);
    bool ok = terra_prefill(s, g->source, g->n_source, e);
    if (ok && g->n_target) {
        ok = terra_feed(s, g->target, g->n_target, logits, e);
    } else if (ok) {
        const float *first = terra_logits(s, e);
        ok = first != NULL;
        if (ok)
            memcpy(logits, first, vocab * sizeof *logits);
    }
    if (ok)
        compare_logits(logits, g, vocab, out);
    free(logits);
    return ok;
}

static bool decode_greedy(struct terra_session *s, const struct golden_case *g,
                          struct outcome *out, struct err *e)
{
    struct terra_sampling greedy = {0};
    out->greedy = g->n_greedy;
    if (!terra_prefill(s, g->source, g->n_source, e))
        return false;
    for (size_t i = 0; i < g->n_greedy; i++) {
        struct terra_token t;
        if (!terra_next(s, &greedy, &t, e))
            return false;
        if (t.id != g->greedy[i])
            break; /* what follows has another past */
        out->greedy_equal++;
    }
    return true;
}

static bool run_case(struct cli *c, const struct golden_case *g, uint32_t vocab,
                     struct outcome *out, struct err *e)
{
    struct chosen ch;
    chosen_open(&ch, g, c->shape->n_enc);
    size_t rows = g->n_target > g->n_greedy ? g->n_target : g->n_greedy;
    if (rows < g->target_padded_to)
        rows = g->target_padded_to;
    struct terra_session_opts o = {.mode = setup_mode(&c->config),
                                   .threads = setup_threads(&c->config),
                                   .max_source = g->n_source ? (uint32_t)g->n_source : 1,
                                   .max_target = (uint32_t)rows + 1,
                                   .on_choices = on_choices,
                                   .user = &ch};
    *out = (struct outcome){0};
    struct terra_session *s = terra_session_open(c->model, &o, e);
    bool ok = s && score_target(s, g, vocab, out, e);
    if (ok)
        compare_units(&ch, g, out);
    free(ch.unit);
    free(ch.margin);
    ch = (struct chosen){0};
    ok = ok && decode_greedy(s, g, out, e);
    terra_session_close(s);
    return ok;
}

static bool check_shapes(struct cli *c, const struct golden *g, const char *folder,
                         struct err *e)
{
    const struct terra_config *m = c->shape;
    if (g->vocab != m->out_vocab)
        return err_set(e, ERR_CHECK, "%s: logits have %u columns, the model's vocabulary %u",
                       folder, g->vocab, m->out_vocab);
    for (size_t i = 0; i < g->n_cases; i++) {
        const struct golden_case *k = &g->cases[i];
        if (k->choice && (k->choice_layers != m->n_enc + m->n_dec ||
                          k->choice_blocks != terra_config_max_blocks(m)))
            return err_set(e, ERR_CHECK,
                           "%s: %s: choices of %u layers and %u blocks, the model has "
                           "%u and %u",
                           folder, k->name, k->choice_layers, k->choice_blocks,
                           m->n_enc + m->n_dec, terra_config_max_blocks(m));
    }
    return true;
}

static bool report(struct cli *c, const struct golden_case *g, const struct outcome *o,
                   double tol, double units_min)
{
    double relative = o->std > 0 ? o->max_abs / o->std : o->max_abs;
    double share = o->units ? (double)o->units_equal / (double)o->units : 1;
    bool exact = units_min >= 1; /* a quantised model may write another token at a near-tie */
    bool good = relative <= tol && (!exact || (share >= 1 && o->greedy_equal == o->greedy));
    struct buf b = {0};
    if (c->args->json) {
        headless_object(&b, "case");
        json_cstr(&b, "name", g->name);
        json_bool(&b, "ok", good);
        json_num(&b, "max_abs", o->max_abs, 6);
        json_num(&b, "std", o->std, 6);
        json_num(&b, "relative", relative, 6);
        json_num(&b, "tolerance", tol, 6);
        json_int(&b, "units", (int64_t)o->units);
        json_int(&b, "units_equal", (int64_t)o->units_equal);
        json_int(&b, "near_ties", (int64_t)o->near_ties);
        json_int(&b, "greedy", (int64_t)o->greedy);
        json_int(&b, "greedy_equal", (int64_t)o->greedy_equal);
        json_close(&b, '}');
        headless_line(&c->out, &b);
    } else {
        buf_printf(&b, "%-4s %-18s max|d| %.2e = %.2e sd (tol %.0e)", good ? "ok" : "FAIL",
                   g->name, o->max_abs, relative, tol);
        if (g->choice)
            buf_printf(&b, "  units %zu/%zu", o->units_equal, o->units);
        else
            buf_add_str(&b, "  units -");
        buf_printf(&b, "  greedy %zu/%zu", o->greedy_equal, o->greedy);
        if (*o->first && share < 1)
            buf_printf(&b, "  (%s)", o->first);
        buf_add_byte(&b, '\n');
        headless_text(&c->out, buf_str(&b), b.len);
    }
    buf_free(&b);
    return good;
}

static bool parity(struct cli *c, struct golden *g, struct err *e)
{
    const char *folder = c->args->pos[1];
    c->model = setup_open_model(&c->config, c->args->pos[0], e);
    if (!c->model)
        return false;
    c->shape = terra_model_config(c->model);
    if (!golden_read(folder, g, e) || !check_shapes(c, g, folder, e))
        return false;
    double tol = c->args->tol >= 0 ? c->args->tol : g->tolerance;
    double units_min = c->args->units_min >= 0 ? c->args->units_min : 1;
    size_t bad = 0, units = 0, equal = 0;
    for (size_t i = 0; i < g->n_cases; i++) {
        struct outcome o;
        if (!run_case(c, &g->cases[i], g->vocab, &o, e))
            return err_prefix(e, "%s", g->cases[i].name);
        bad += !report(c, &g->cases[i], &o, tol, units_min);
        units += o.units;
        equal += o.units_equal;
    }
    if (units_min < 1 && (double)equal < units_min * (double)units)
        return err_set(e, ERR_CHECK, "%s: %zu of %zu units agree, less than %g", folder, equal,
                       units, units_min);
    if (bad)
        return err_set(e, ERR_CHECK, "%s: %zu of %zu cases differ", folder, bad, g->n_cases);
    if (g->n_cases == 0)
        return err_set(e, ERR_INPUT, "%s: no cases", folder);
    return true;
}

int cmd_parity(const struct args *a)
{
    struct cli c;
    struct golden g = {0};
    struct err e = {0};
    bool ok = cli_open(&c, a, &e) && parity(&c, &g, &e);
    golden_free(&g);
    return cli_close(&c, ok, &e);
}
