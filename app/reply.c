/* SPDX-License-Identifier: MIT */
#include "app/reply.h"

#include "app/summarize.h"

#include <inttypes.h>
#include <string.h>

bool reply_source(struct cli *c, const char *text, size_t n, struct reply *r,
                  struct terra_ids *ids, struct err *e)
{
    if (!c->vocab)
        return err_set(e, ERR_MODEL, "%s: the model has no vocabulary; use --ids",
                       terra_model_path(c->model));
    const char *style = config_text(&c->config, CONFIG_STYLE);
    struct summarize_opts o = {.config = c->shape, .vocab = c->vocab, .style = -1};
    for (uint32_t i = 0; !*style && i < c->shape->n_control; i++)
        if (strcmp(c->shape->control[i].name, "continue") == 0)
            style = "continue";
    if (*style && !setup_style(c->shape, style, &o.style, &r->style, e))
        return false;
    if (!summarize_source(&o, text, n, ids, e)) /* as the screen and the lens read it */
        return false;
    r->n_text = summarize_text_tokens(&o, ids->n);
    return true;
}

bool reply_open(struct cli *c, struct reply *r, struct err *e)
{
    r->sampling = setup_sampling(&c->config, c->args);
    r->max_tokens = setup_max_tokens(&c->config, c->shape);
    uint32_t max_source = generate_max_source(c->shape);
    uint32_t max_target = generate_max_target(c->shape);
    bool decoder_only = c->shape->n_enc == 0;
    if (!c->shape->max_target && r->max_tokens > max_target)
        max_target = r->max_tokens;
    uint32_t room =
        decoder_only && r->max_tokens < max_source ? max_source - r->max_tokens : max_source;
    if (r->ids->n > room)
        return err_set(e, ERR_INPUT,
                       "the prompt has %zu tokens and the model reads %u at once; 'terra "
                       "summarize' takes long documents in chunks",
                       r->ids->n, room);
    if (r->max_tokens > max_target)
        r->max_tokens = max_target;
    size_t used = (decoder_only ? r->ids->n : 0) + (r->forced ? r->forced->n : 0);
    if (r->forced && used >= max_target)
        return err_set(e, ERR_INPUT, "the model writes at most %u tokens: all are written",
                       max_target);
    if (used + r->max_tokens > max_target)
        r->max_tokens = max_target - (uint32_t)used;
    c->out.ids = c->args->ids;
    if (!c->session && !cli_session(c, max_source, max_target, e))
        return false;
    if (!c->recorder)
        cli_record(c);
    return true;
}

enum store_mode reply_store_mode(const struct cli *c)
{
    switch (setup_mode(&c->config)) {
    case TERRA_MASKED:
        return STORE_MASKED;
    case TERRA_OPEN:
        return STORE_OPEN;
    case TERRA_SPARSE:
        break;
    }
    return STORE_SPARSE;
}

enum store_status reply_status(enum generate_stop stop)
{
    switch (stop) {
    case GENERATE_END:
    case GENERATE_GOAL:
        return STORE_DONE;
    case GENERATE_LENGTH:
        return STORE_LENGTH;
    case GENERATE_CANCELLED:
        return STORE_CANCELLED;
    case GENERATE_ERROR:
        break;
    }
    return STORE_ERROR;
}

struct writing { /* the sink's view */
    struct cli *c;
    struct terra_ids *ids; /* NULL: not wanted */
    uint32_t n;
};

static void on_prefilled(void *user, const struct terra_prefill_stats *p)
{
    struct writing *w = user;
    cli_progress_end(w->c);
    recorder_prefilled(w->c->recorder, w->c->load_ns, p->ns);
}

static void on_token(void *user, const struct terra_token *t, const char *piece, size_t n)
{
    struct writing *w = user;
    recorder_token(w->c->recorder, t, piece, n);
    headless_token(&w->c->out, 0, w->n, t, piece, n, true);
    w->n += t != NULL;
    if (t && w->ids)
        terra_ids_add(w->ids, t->id);
}

void reply_stats(struct cli *c, const struct generate_result *r, uint64_t tokens_in,
                 const struct terra_sampling *sampling, bool always)
{
    double read_s = (double)r->prefill.ns / 1e9, write_s = (double)r->decode_ns / 1e9;
    struct buf b = {0};
    buf_printf(&b, "%u tokens (%s), first after %.2f s", r->n_tokens,
               generate_stop_name[r->stop], (double)r->first_ns / 1e9);
    if (read_s > 0)
        buf_printf(&b, ", read %.0f tok/s", (double)tokens_in / read_s);
    if (r->search_ns > 0 && sampling->beams > 1)
        buf_printf(&b, ", searched with %u beams for %.2f s", sampling->beams,
                   (double)r->search_ns / 1e9);
    if (write_s > 0 && r->n_tokens)
        buf_printf(&b, ", wrote %.1f tok/s (ms p50 %.2f p90 %.2f p99 %.2f)",
                   r->n_tokens / write_s, generate_percentile_ms(r, 0.5),
                   generate_percentile_ms(r, 0.9), generate_percentile_ms(r, 0.99));
    if (sampling->temperature > 0)
        buf_printf(&b, ", seed %" PRIu64, sampling->seed);
    if (always)
        cli_note(c, "%s", buf_str(&b));
    else
        cli_verbose(c, "%s", buf_str(&b));
    buf_free(&b);
}

bool reply_run(struct cli *c, struct reply *r, struct err *e)
{
    struct headless_start start = {.command = r->command,
                                   .model = c->shape->name,
                                   .path = terra_model_path(c->model),
                                   .mode = store_mode_name[reply_store_mode(c)],
                                   .style = r->style,
                                   .kernels = terra_session_kernels(c->session),
                                   .threads = terra_session_threads(c->session),
                                   .seed = r->sampling.seed,
                                   .temperature = (double)r->sampling.temperature,
                                   .tokens_total = (int64_t)r->n_text};
    headless_start(&c->out, &start);
    struct buf params = {0};
    cli_params(&r->sampling, r->max_tokens, r->style, c->args->ids, &params);
    if (r->forced) { /* behind the last member */
        params.data[--params.len] = '\0';
        buf_printf(&params, ",\"after\":%zu}", r->forced->n);
    }
    struct recorder_run run = {.kind = r->kind,
                               .mode = reply_store_mode(c),
                               .prompt = r->prompt,
                               .n_prompt = r->n_prompt,
                               .params = buf_str(&params),
                               .seed = r->sampling.seed,
                               .n_in = (int64_t)r->n_text,
                               .n_read = (int64_t)r->n_text,
                               .parent = r->parent,
                               .chunk = -1};
    recorder_begin(c->recorder, &run);
    buf_free(&params);
    struct writing w = {c, r->written, 0};
    struct generate_sink sink = {on_prefilled, on_token, &w};
    struct generate_opts o = {.sampling = r->sampling, .max_tokens = r->max_tokens};
    if (r->forced) {
        o.forced = r->forced->id;
        o.n_forced = r->forced->n;
    }
    struct err why = {0};
    bool ok = generate(c->session, c->shape, c->vocab, r->ids, &o, &sink, &r->result, &why);
    struct generate_result *g = &r->result;
    recorder_end(c->recorder, reply_status(g->stop), ok ? NULL : why.msg, g->decode_ns);
    headless_newline(&c->out);
    struct headless_end end = {.text = buf_str(&g->text),
                               .n_text = g->text.len,
                               .stop = generate_stop_name[g->stop],
                               .tokens_read = (int64_t)r->n_text,
                               .tokens_total = (int64_t)r->n_text,
                               .tokens_in = (int64_t)r->ids->n,
                               .tokens_out = g->n_tokens,
                               .prefill_ns = g->prefill.ns,
                               .search_ns = g->search_ns,
                               .decode_ns = g->decode_ns,
                               .first_ns = g->first_ns,
                               .ms_p50 = generate_percentile_ms(g, 0.5),
                               .ms_p90 = generate_percentile_ms(g, 0.9),
                               .ms_p99 = generate_percentile_ms(g, 0.99),
                               .session = recorder_session(c->recorder),
                               .run = recorder_run_id(c->recorder)};
    headless_end(&c->out, &end);
    if ((g->stop == GENERATE_END || g->stop == GENERATE_LENGTH) && !g->text.len &&
        !c->args->ids)
        cli_note(c, g->n_tokens ? "the model wrote nothing but blank lines"
                                : "the model ended the text at once");
    if (g->stop != GENERATE_ERROR)
        reply_stats(c, g, r->ids->n, &r->sampling, true);
    if (!ok && e)
        *e = why;
    return ok;
}

void reply_close(struct cli *c, struct reply *r)
{
    (void)c;
    generate_result_free(&r->result);
}
