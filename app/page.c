/* SPDX-License-Identifier: MIT */
#include "app/page.h"

#include "app/cli.h"
#include "app/present.h"
#include "app/setup.h"
#include "engine/base/xalloc.h"
#include "ui/fmt.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void begin(struct app *a, const char *title)
{
    buf_clear(&a->page.text);
    a->page.n = a->page.top = a->page.n_tokens = a->page.selected = 0;
    if (a->view != VM_PAGE)
        a->page.from = a->view;
    snprintf(a->page.title, sizeof a->page.title, "%s", title);
    *a->message = 0;
    a->view = VM_PAGE;
    a->focus = VM_OTHER;
}

static void line(struct app *a, const char *fmt, ...) ERR_PRINTF(2, 3);
static void line(struct app *a, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_add(&a->page.text, text, strlen(text) + 1);
    a->page.n++;
}

/* Pointers only once the text has stopped growing. */
static void end(struct app *a)
{
    a->page.line = xrealloc(a->page.line, a->page.n + 1, sizeof *a->page.line);
    const char *s = buf_str(&a->page.text);
    for (size_t i = 0; i < a->page.n; i++, s += strlen(s) + 1)
        a->page.line[i] = s;
}

/* "-" for what is not known. */
static const char *num(double v, const char *fmt, char out[32])
{
    if (isnan(v))
        return "-";
    snprintf(out, 32, fmt, v); /* fmt is one of ours */
    return out;
}

static void times(struct app *a)
{
    struct timeline_times t;
    char x[6][32];
    timeline_times(&a->run, &t);
    line(a, "# time");
    line(a, "first token after   %s s (reading the text included)",
         num(t.ttft_s, "%.3f", x[0]));
    line(a, "reading             %s tokens a second", num(t.prefill_tok_s, "%.0f", x[0]));
    line(a, "writing             %s tokens a second, %s ms a token", num(t.tok_s, "%.1f", x[0]),
         num(t.mean, "%.2f", x[1]));
    line(a, "a token took        %s ms or less for half of them, %s for 90%%, %s for 99%%",
         num(t.p50, "%.2f", x[0]), num(t.p90, "%.2f", x[1]), num(t.p99, "%.2f", x[2]));
    for (int i = 0; i < TERRA_PARTS; i++)
        line(a, "  %-10s        %.3f ms a token", terra_part_name[i], t.part_ms[i]);
    char size[24];
    if (t.bytes > 0)
        line(a, "memory read         %s a token", cli_bytes((uint64_t)t.bytes, size));
    if (a->bandwidth_peak > 0)
        line(a, "this machine reads  %.1f GB/s at most (measured)", a->bandwidth_peak / 1e9);
    if (a->observed_ns && !a->stored)
        line(a, "drawing             %.2f%% of the time of writing",
             100.0 * (double)(a->draw_ns + a->trace_ns) / (double)a->observed_ns);
}

static void choices(struct app *a, struct choice_rows *r, const char *stage)
{
    char x[6][32];
    if (!r->n)
        return;
    choice_count_to(r, r->n);
    line(a, "%s", "");
    line(a, "# units chosen by the %s, %zu tokens, %u layers x %u blocks x %u units", stage,
         r->n, r->layers, r->blocks, r->units);
    double chance = choice_unused_by_chance(r->units, r->n);
    line(a, "unused by chance alone after %zu tokens: %.1f of %u units in a block", r->n,
         chance, r->units);
    if (r->n < (size_t)5 * r->units)
        line(a, "few tokens: no unit can be called dead before %u tokens of three documents",
             5 * r->units);
    line(a, "layer  entropy bits  effective units  unused  flips  zero after ReLU  margin");
    for (uint32_t l = 0; l < r->layers; l++) {
        struct choice_stat s;
        choice_layer_stat(r, l, &s);
        line(a, "%5u  %12s  %15s  %6s  %4s%%  %14s%%  %6s", l, num(s.entropy, "%.2f", x[0]),
             num(s.eff, "%.1f", x[1]), num(s.unused, "%.1f", x[2]),
             num(s.flips * 100, "%.0f", x[3]), num(s.zero * 100, "%.0f", x[4]),
             num(s.margin, "%.3f", x[5]));
    }
    line(a, "flips, zero and margin: over the last 64 tokens");
}

void page_stats(struct app *a)
{
    begin(a, "numbers of this run");
    line(a, "# run");
    if (a->run.n == 0)
        line(a, "%s", a->run_id ? "no token was written" : "nothing was run yet");
    else
        line(a, "tokens written      %zu", a->run.n);
    if (a->tok_total >= 0 && a->tok_read >= 0)
        line(a, "coverage            %" PRId64 " of %" PRId64 " tokens of the text were read",
             a->tok_read, a->tok_total);
    if (a->run_id)
        line(a, "stored as           run %" PRId64 " of session %" PRId64, a->run_id,
             a->session);
    line(a, "%s", "");
    times(a);
    choices(a, &a->run.dec, "decoder");
    choices(a, &a->run.enc, "encoder");
    end(a);
}

void page_model(struct app *a)
{
    begin(a, "model");
    if (!a->model) {
        line(a, "no model is open; :model PATH opens one");
        end(a);
        return;
    }
    const struct terra_config *c = a->shape;
    const struct terra_model_info *i = &a->model_info;
    char s1[24], s2[24];
    line(a, "# %s", c->name);
    line(a, "folder              %s", a->model_path);
    line(a, "weights             %" PRIu64 " parameters, %s in %" PRIu64 " tensors, mostly %s",
         i->parameters, cli_bytes(i->file_bytes, s1), i->n_tensors, a->dtype);
    line(a, "encoder, decoder    %u and %u layers, width %u, %u heads", c->n_enc, c->n_dec,
         c->d_model, c->n_heads);
    if (c->ff_block)
        line(a, "feed-forward        %u wide: %u blocks, one of %u units chosen in each",
             c->d_ff, terra_config_max_blocks(c), c->ff_block);
    else
        line(a, "feed-forward        %u wide, dense", c->d_ff);
    line(a, "vocabulary          %u", c->vocab);
    line(a, "reads, writes       up to %u and %u tokens", generate_max_source(c),
         generate_max_target(c));
    line(a, "bytes per token     %s sparse, %s masked", cli_bytes(i->bytes_sparse, s1),
         cli_bytes(i->bytes_dense, s2));
    for (uint32_t k = 0; k < c->n_control; k++)
        line(a, "style               %s (id %d)", c->control[k].name, c->control[k].id);
    line(a, "opened in           %.1f ms", (double)a->load_ns / 1e6);
    end(a);
}

static void add_token(struct app *a, struct buf *b, int32_t id, double p)
{
    size_t n = 0;
    const char *text = a->vocab ? terra_token_bytes(a->vocab, id, &n) : "";
    if (id == TERRA_EOS)
        buf_add_str(b, "  <end>");
    else if (n)
        buf_printf(b, "  '%.*s'", (int)n, text);
    else
        buf_printf(b, "  #%d", id);
    buf_printf(b, p < .005 ? " <1%%" : " %.0f%%", 100 * p);
}

void page_lens(struct app *a, const struct lens *l, int64_t token)
{
    const struct timeline_token *t = &a->run.token[token];
    begin(a, "the token layer by layer");
    line(a, "# token %" PRId64 " '%.*s' after each decoder layer", token,
         (int)(t->len < 60 ? t->len : 60), buf_str(&a->run.text) + t->at);
    line(a, "what the model would write if it ended there, and where '%.*s' (id %d) stands",
         (int)(t->len < 60 ? t->len : 60), buf_str(&a->run.text) + t->at, t->id);
    line(a, "layer  its rank  top tokens");
    struct buf row = {0};
    for (uint32_t i = 0; i < l->layers; i++) {
        const struct lens_row *r = &l->row[i];
        buf_clear(&row);
        for (int k = 0; k < LENS_TOP && r->id[k] >= 0; k++)
            add_token(a, &row, r->id[k], r->p[k]);
        if (r->id[0] >= 0)
            line(a, "%5u  %8u%s", i, r->rank, buf_str(&row));
        else
            line(a, "%5u         -  narrower than the last layer: it cannot be asked", i);
    }
    buf_free(&row);
    line(a, "the last layer is the answer that the token was taken from");
    end(a);
}

/* How many of n tokens choose a unit by chance, and how far from that is nothing unusual. */
static void users_head(struct app *a, size_t uses, size_t n, uint32_t units)
{
    double p = 1.0 / units, mean = (double)n * p, spread = 2 * sqrt(mean * (1 - p));
    line(a, "%zu of %zu tokens (%s)%s; chance alone gives %.1f, give or take %.1f (%s)", uses,
         n, fmt_percent((double)uses / (double)n).s, app_running(a) ? " so far" : "", mean,
         spread, fmt_percent(p).s);
}

static void users_row(struct app *a, const struct choice_rows *r, size_t i, size_t cell)
{
    char p[32], margin[32];
    double m = (double)r->margin[i * choice_cells(r) + cell];
    line(a, "%5zu  %5s  %8s  '%s'", i, num(exp((double)a->run.token[i].logprob), "%.3f", p),
         num(m, "%.3f", margin), present_token(a, &a->run, i));
    a->page.token[a->page.n_tokens++] = (int64_t)i;
}

void page_users(struct app *a, uint32_t layer, uint32_t block, uint16_t unit)
{
    const struct choice_rows *r = &a->run.dec;
    size_t n = a->shown < r->n ? a->shown : r->n, cell = (size_t)layer * r->blocks + block;
    size_t uses = 0;
    for (size_t i = 0; i < n; i++)
        uses += choice_row(r, i)[cell] == unit;
    begin(a, "tokens that used a unit");
    line(a, "# layer %u block %u unit %u", layer, block, unit);
    users_head(a, uses, n, r->units);
    line(a, "Enter goes to a token; n and N then step through them");
    line(a, "token      p    margin  text");
    a->page.token = xrealloc(a->page.token, uses + 1, sizeof *a->page.token);
    for (size_t i = 0; i < n; i++) {
        if (choice_row(r, i)[cell] != unit)
            continue;
        if ((int64_t)i <= app_token(a))
            a->page.selected = a->page.n_tokens;
        users_row(a, r, i, cell);
    }
    end(a);
}

#define LIKE_HITS 40
#define LIKE_ROWS 200000 /* of the newest runs: a screen waits for them */

bool page_like(struct app *a, int64_t pos, struct err *e)
{
    struct pool pool = {0};
    struct store_like l;
    struct store_like_opts o = {
        .run = a->run_id, .pos = (uint32_t)pos, .limit = LIKE_HITS, .max_rows = LIKE_ROWS};
    bool ok = store_like(a->store, &o, &pool, &l, e);
    if (ok) {
        begin(a, "tokens alike");
        line(a, "# like token %" PRId64 " of run %" PRId64, pos, a->run_id);
        line(a, "%" PRIu64 " tokens compared%s; chance alone makes %.1f%% of the blocks agree",
             l.rows, l.more ? " (the newest; `terra logs like` looks at all)" : "",
             100.0 / (l.units ? l.units : 1));
        if (l.other_rows)
            line(a, "%" PRIu64 " tokens of models of another shape are left out", l.other_rows);
        line(a, "agreement  session    run  token  text");
        for (size_t i = 0; i < l.n; i++)
            line(a, "%8.1f%%  %7" PRId64 "  %5" PRId64 "  %5u  '%.*s'",
                 l.places ? 100.0 * l.hit[i].same / l.places : 0.0, l.hit[i].session,
                 l.hit[i].run, l.hit[i].pos, (int)(l.hit[i].n_text < 60 ? l.hit[i].n_text : 60),
                 l.hit[i].text);
        end(a);
    }
    pool_free(&pool);
    return ok;
}
