/* cmd_compare.c - `terra compare`: a document two ways, timed alternately.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/compare.h"
#include "app/reply.h"
#include "app/signals.h"
#include "app/summarize.h"
#include "engine/base/clock.h"
#include "engine/base/json_out.h"
#include "engine/base/xalloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
    struct cli *c;
    const struct document *doc; /* NULL: what the command line names */
    const char *against;        /* NULL: masked */
    struct document own;        /* when doc was NULL */
    struct terra_model *other;  /* NULL: the same weights */
    struct terra_ids source[2], written[2];
    struct part { /* of the document, that a side reads */
        size_t start, end;
        uint64_t tok_total, tok_read; /* of the text */
    } part[2];
    const char *style[2]; /* NULL: none */
    struct compare_opts opts;
    struct compare_result result;
    struct recorder *recorder[2];
    uint32_t n[2];
};

static const char *const mode_name[] = {"sparse", "masked", "open"};

/* ---- what is compared --------------------------------------------------------------- */

static bool read_text(struct job *j, struct err *e)
{
    struct cli *c = j->c;
    const struct args *a = c->args;
    if (j->doc)
        return true;
    j->doc = &j->own;
    if (a->prompt && a->n_pos)
        return err_set(e, ERR_USAGE, "give either a file or --prompt");
    if (a->prompt)
        return document_from_bytes(a->prompt, strlen(a->prompt), "prompt", &j->own, e);
    if (!a->n_pos && isatty(STDIN_FILENO))
        return err_set(e, ERR_USAGE, "usage: terra compare FILE|- or --prompt TEXT");
    struct document_opts o = {.max_bytes =
                                  (uint64_t)config_int(&c->config, CONFIG_MAX_DOCUMENT),
                              .cancel = signals_cancel()};
    return document_read(a->n_pos ? a->pos[0] : "-", &o, &j->own, e);
}

/* The source for one side: each model has its own vocabulary and context. */
static bool make_source(struct job *j, const struct terra_model *m, int side, struct err *e)
{
    struct cli *c = j->c;
    struct summarize_opts o = {.config = terra_model_config(m),
                               .vocab = terra_model_vocab(m),
                               .method = SUMMARIZE_SINGLE,
                               .max_source = generate_max_source(terra_model_config(m)),
                               .allow_truncate = true, /* and said */
                               .max_tokens = j->opts.max_tokens,
                               .cancel = signals_cancel()};
    struct summarize_plan plan;
    j->part[side] = (struct part){.end = j->doc->n};
    if (c->args->ids) {
        bool parsed = cli_parse_ids(j->doc->text, o.config->vocab, &j->source[side], e);
        j->part[side].tok_total = j->part[side].tok_read = j->source[side].n;
        return parsed;
    }
    if (!setup_style(o.config, config_text(&c->config, CONFIG_STYLE), &o.style, &j->style[side],
                     e) ||
        !summarize_plan(&o, j->doc->text, j->doc->n, &plan, e))
        return false;
    const struct summarize_chunk *chunk = plan.chunk;
    bool ok = plan.n_chunks > 0
                  ? summarize_source(&o, j->doc->text + chunk->start, chunk->end - chunk->start,
                                     &j->source[side], e)
                  : err_set(e, ERR_INPUT, "%s: only white space", j->doc->name);
    if (ok)
        j->part[side] = (struct part){chunk->start, chunk->end, plan.tok_total, plan.tok_read};
    summarize_plan_free(&plan);
    return ok;
}

static bool prepare(struct job *j, struct err *e)
{
    struct cli *c = j->c;
    const char *against = j->against ? j->against : "masked", *path = NULL;
    struct compare_opts *o = &j->opts;
    if (!compare_parse(against, &o->kind, &path, e) ||
        !compare_first_side(o->kind, setup_mode(&c->config), e) || !read_text(j, e) ||
        (!c->model && !cli_model(c, e)))
        return false;
    if (o->kind == COMPARE_MODEL) {
        j->other = setup_open_model(&c->config, path, e);
        if (!j->other)
            return false;
    } else if (c->shape->ff_block == 0) {
        return err_set(e, ERR_USAGE, "%s has a dense feed-forward: compare it with model:PATH",
                       c->shape->name);
    }
    uint32_t most = generate_max_target(c->shape);
    o->max_tokens = setup_max_tokens(&c->config, c->shape);
    if (j->other && generate_max_target(terra_model_config(j->other)) < most)
        most = generate_max_target(terra_model_config(j->other));
    if (o->max_tokens > most)
        o->max_tokens = most;
    o->threads = setup_threads(&c->config);
    o->sampling = setup_sampling_summary(&c->config, c->args);
    o->sampling.beams = 1; /* both sides go token by token */
    o->cancel = signals_cancel();
    o->side[0] = (struct compare_side){c->model, setup_mode(&c->config), &j->source[0]};
    o->side[1] = (struct compare_side){j->other ? j->other : c->model,
                                       o->kind == COMPARE_MASKED ? TERRA_MASKED
                                       : o->kind == COMPARE_OPEN ? TERRA_OPEN
                                                                 : TERRA_SPARSE,
                                       &j->source[1]};
    return make_source(j, o->side[0].model, 0, e) && make_source(j, o->side[1].model, 1, e);
}

/* ---- while it runs ------------------------------------------------------------------------
 */

static void on_progress(void *user, int side, uint64_t done, uint64_t total)
{
    struct job *j = user;
    if (total)
        cli_progress(j->c, "%c reads %.0f%%", 'A' + side, 100.0 * (double)done / (double)total);
}

static void on_prefilled(void *user, int side, const struct terra_prefill_stats *p)
{
    struct job *j = user;
    cli_progress_end(j->c);
    recorder_prefilled(j->recorder[side], j->c->load_ns, p->ns);
}

static void on_token(void *user, int side, const struct terra_token *t, const char *piece,
                     size_t n)
{
    struct job *j = user;
    recorder_token(j->recorder[side], t, piece, n);
    headless_token(&j->c->out, (uint32_t)side, j->n[side], t, piece, n, false);
    j->n[side] += t != NULL;
    if (t)
        terra_ids_add(&j->written[side], t->id);
    cli_progress(j->c, "A %u tokens, B %u", j->n[0], j->n[1]);
}

/* Both runs in one session, joined by a number of their own. */
static void begin_runs(struct job *j)
{
    struct cli *c = j->c;
    int64_t pair = clock_wall_ms() * 1000 + getpid() % 1000;
    for (int side = 0; side < 2; side++) {
        struct buf params = {0};
        cli_params(&j->opts.sampling, j->opts.max_tokens, j->style[side], c->args->ids,
                   &params);
        struct recorder_run run = {.kind = STORE_COMPARE,
                                   .mode = (enum store_mode)j->opts.side[side].mode,
                                   .prompt = j->doc->text + j->part[side].start,
                                   .n_prompt = j->part[side].end - j->part[side].start,
                                   .params = buf_str(&params),
                                   .seed = j->opts.sampling.seed,
                                   .n_in = (int64_t)j->part[side].tok_total,
                                   .n_read = (int64_t)j->part[side].tok_read,
                                   .pair = pair,
                                   .chunk = -1};
        if (side == 1) {
            bool wanted = config_bool(&c->config, CONFIG_LOG); /* a chat's store stays open */
            struct recorder_opts o = {.store = wanted ? c->store : NULL,
                                      .model = j->opts.side[1].model,
                                      .trace = setup_trace(&c->config),
                                      .build = "terra " TERRA_VERSION,
                                      .beside = c->recorder};
            j->recorder[1] = recorder_open(&o);
        }
        recorder_begin(j->recorder[side], &run);
        buf_free(&params);
    }
}

static void end_runs(struct job *j, const struct err *e)
{
    struct err why = {0};
    for (int side = 0; side < 2; side++) {
        const struct compare_times *t = &j->result.side[side];
        uint64_t ns = 0;
        for (uint32_t i = 0; i < t->n_tokens; i++)
            ns += t->ns[i];
        recorder_end(j->recorder[side], reply_status(t->stop), e->kind ? e->msg : NULL, ns);
    }
    if (!recorder_close(j->recorder[1], &why))
        j->c->store_error = why;
}

/* ---- the report
 * ------------------------------------------------------------------------------ */

static void side_json(struct job *j, int side, struct buf *b)
{
    const struct compare_times *t = &j->result.side[side];
    json_open(b, side ? "b" : "a", '{');
    json_cstr(b, "model", terra_model_config(j->opts.side[side].model)->name);
    json_cstr(b, "mode", mode_name[j->opts.side[side].mode]);
    json_str(b, "text", buf_str(&t->text), t->text.len);
    json_open(b, "ids", '[');
    for (size_t i = 0; i < j->written[side].n; i++)
        json_int(b, NULL, j->written[side].id[i]);
    json_close(b, ']');
    json_int(b, "tokens", t->n_tokens);
    json_cstr(b, "stop", generate_stop_name[t->stop]);
    json_num(b, "ms_p50", t->p50_ms, 5);
    json_num(b, "tok_s", t->tok_s, 5);
    json_num(b, "prefill_ms", (double)t->prefill.ns / 1e6, 5);
    json_num(b, "bytes_per_token", t->bytes, 8);
    json_open(b, "parts", '{');
    for (int p = 0; p < TERRA_PARTS; p++)
        json_num(b, terra_part_name[p], t->part_ms[p], 5);
    json_close(b, '}');
    json_close(b, '}');
}

/* The side's that left out more. */
static const struct part *coverage(const struct job *j)
{
    const struct part *a = &j->part[0], *b = &j->part[1];
    return b->tok_total - b->tok_read > a->tok_total - a->tok_read ? b : a;
}

static void report_json(struct job *j, struct buf *b)
{
    const struct compare_result *r = &j->result;
    headless_object(b, "compare");
    json_cstr(b, "relation", compare_relation(j->opts.kind));
    json_cstr(b, "badge", compare_badge_name[r->badge]);
    json_int(b, "same", r->same);
    json_int(b, "compared", r->compared);
    json_int(b, "first_diff", r->first_diff);
    json_num(b, "gap", r->gap, 6);
    json_num(b, "max_abs", r->max_abs, 6);
    json_num(b, "max_rel", r->max_rel, 6);
    json_num(b, "speedup", r->speedup, 5);
    json_num(b, "speedup_low", r->low, 5);
    json_num(b, "speedup_high", r->high, 5);
    json_num(b, "expected", r->expected, 5);
    json_int(b, "pairs", r->pairs);
    json_int(b, "tokens_read", (int64_t)coverage(j)->tok_read);
    json_int(b, "tokens_total", (int64_t)coverage(j)->tok_total);
    side_json(j, 0, b);
    side_json(j, 1, b);
    json_close(b, '}');
}

static void add_id(struct job *j, int side, struct buf *b)
{
    const struct terra_vocab *v = terra_model_vocab(j->opts.side[side].model);
    int32_t id = j->result.diff_id[side];
    size_t n = 0;
    const char *text = v ? terra_token_bytes(v, id, &n) : "";
    if (id == TERRA_EOS)
        buf_add_str(b, "end");
    else if (n)
        buf_printf(b, "'%.*s'", (int)n, text);
    else
        buf_printf(b, "%d", (int)id);
}

static void verdict(struct job *j, struct buf *b)
{
    const struct compare_result *r = &j->result;
    buf_printf(b, "same tokens %u/%u  ", r->same, r->compared);
    switch (r->badge) {
    case COMPARE_BIT:
        buf_add_str(b, "[BIT: logits identical]");
        break;
    case COMPARE_TOKEN:
        buf_printf(b, "[TOK: max|d| %.2g, %.2g sd]", r->max_abs, r->max_rel);
        break;
    case COMPARE_DIFF:
    case COMPARE_NONE:
        if (r->first_diff < 0)
            break;
        buf_printf(b, "[%s@%d: A ", j->opts.kind == COMPARE_MASKED ? "DIFF" : "differ",
                   r->first_diff);
        add_id(j, 0, b);
        buf_add_str(b, ", B ");
        add_id(j, 1, b);
        if (isfinite(r->gap))
            buf_printf(b, ", gap %.3g", r->gap);
        buf_add_byte(b, ']');
    }
    buf_add_byte(b, '\n');
}

static void add_ids(const struct terra_ids *ids, struct buf *b)
{
    for (size_t i = 0; i < ids->n; i++)
        buf_printf(b, "%s%d", i ? " " : "", (int)ids->id[i]);
}

static void report_text(struct job *j, struct buf *b)
{
    const struct compare_result *r = &j->result;
    for (int side = 0; side < 2; side++) {
        const struct compare_side *s = &j->opts.side[side];
        const struct compare_times *t = &r->side[side];
        buf_printf(b, "%c  %s %s: %u tokens, %.2f ms (p50), %.1f tok/s, prefill %.0f ms\n   ",
                   'A' + side, terra_model_config(s->model)->name, mode_name[s->mode],
                   t->n_tokens, t->p50_ms, t->tok_s, (double)t->prefill.ns / 1e6);
        if (j->c->args->ids)
            add_ids(&j->written[side], b);
        else
            buf_add(b, buf_str(&t->text), t->text.len);
        buf_add_byte(b, '\n');
    }
    buf_printf(b, "B is: %s\n", compare_relation(j->opts.kind));
    verdict(j, b);
    if (isfinite(r->speedup))
        buf_printf(b, "speed-up %.2fx (p50/p50, %u pairs, 95%% %.2f-%.2f)", r->speedup,
                   r->pairs, r->low, r->high);
    if (isfinite(r->expected))
        buf_printf(b, "  expected from bytes %.2fx", r->expected);
    buf_add_str(b, "\npart ms");
    for (int p = 0; p < TERRA_PARTS; p++)
        buf_printf(b, " %7s", terra_part_name[p]);
    for (int side = 0; side < 2; side++) {
        buf_printf(b, "\n  %c    ", 'A' + side);
        for (int p = 0; p < TERRA_PARTS; p++)
            buf_printf(b, " %7.3f", r->side[side].part_ms[p]);
    }
    buf_add_byte(b, '\n');
}

static void report(struct job *j)
{
    struct cli *c = j->c;
    const struct part *read = coverage(j);
    struct buf b = {0};
    if (c->args->json) {
        report_json(j, &b);
        headless_line(&c->out, &b);
    } else {
        report_text(j, &b);
        headless_text(&c->out, buf_str(&b), b.len);
    }
    buf_free(&b);
    if (!c->args->ids)
        cli_note(c, "read %" PRIu64 " of %" PRIu64 " tokens%s", read->tok_read, read->tok_total,
                 read->tok_read < read->tok_total ? ": the first part that fits" : "");
}

static bool judge(struct job *j, struct err *e)
{
    const struct compare_result *r = &j->result;
    if (j->c->args->check && r->first_diff >= 0)
        return err_set(e, ERR_CHECK, "tokens differ from %d on", r->first_diff);
    if (j->c->args->tol >= 0 && !(r->max_rel <= j->c->args->tol))
        return err_set(e, ERR_CHECK, "logits differ by %.3g of their standard deviation",
                       r->max_rel);
    return true;
}

static bool compare(struct job *j, struct err *e)
{
    struct cli *c = j->c;
    if (!prepare(j, e))
        return false;
    /* The recorder asks a session for its kernels; compare_run opens its own two. */
    if (!c->session && !cli_session(c, 1, 1, e))
        return false;
    if (!c->recorder)
        cli_record(c);
    terra_session_close(c->session);
    c->session = NULL;
    j->recorder[0] = c->recorder;
    begin_runs(j);
    struct compare_sink sink = {on_progress, on_prefilled, on_token, j};
    struct err why = {0};
    bool ok = compare_run(&j->opts, &sink, &j->result, &why);
    end_runs(j, &why);
    if (ok || j->n[0] || j->n[1]) /* an error before the first token is the whole story */
        report(j);
    if (!ok) {
        *e = why;
        return false;
    }
    return judge(j, e);
}

bool cli_compare(struct cli *c, const struct document *doc, const char *against, struct err *e)
{
    struct job j = {.c = c, .doc = doc, .against = against};
    bool ok = compare(&j, e);
    compare_result_free(&j.result);
    for (int side = 0; side < 2; side++) {
        terra_ids_free(&j.source[side]);
        terra_ids_free(&j.written[side]);
    }
    document_free(&j.own);
    terra_model_close(j.other);
    return ok;
}

int cmd_compare(const struct args *a)
{
    struct cli c;
    struct err e = {0};
    bool ok = cli_open(&c, a, &e) && cli_compare(&c, NULL, a->against, &e);
    return cli_close(&c, ok, &e);
}
