/* cmd_summarize.c - `terra summarize`: a document in, its summary out.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/reply.h"
#include "app/signals.h"
#include "app/summarize.h"
#include "data/rouge.h"
#include "engine/base/json_out.h"

#include <inttypes.h>
#include <string.h>

struct job {
    struct cli *c;
    const struct document *doc, *ref;
    struct summarize_opts opts;
    struct summarize_plan plan;
    struct summarize_result result;
    const char *style;
    struct buf params;
    uint32_t n_written; /* tokens of the running step */
    uint32_t step;
    bool final;    /* the running step's text is the reply */
    bool streamed; /* some of it is on standard output */
};

/* ---- before anything runs ------------------------------------------------------- */

static bool read_file(struct cli *c, const char *path, struct document *out, struct err *e)
{
    struct document_opts o = {.max_bytes =
                                  (uint64_t)config_int(&c->config, CONFIG_MAX_DOCUMENT),
                              .cancel = signals_cancel()};
    if (!document_read(path, &o, out, e))
        return false;
    if (out->fixes)
        cli_note(c, "%s: %" PRIu64 " malformed bytes became U+FFFD", out->name, out->fixes);
    return true;
}

static bool options(struct job *j, struct err *e)
{
    struct cli *c = j->c;
    const struct user_config *u = &c->config;
    struct summarize_opts *o = &j->opts;
    o->config = c->shape;
    o->vocab = c->vocab;
    o->max_source = generate_max_source(c->shape);
    o->cancel = signals_cancel();
    o->chunk = (uint32_t)config_int(u, CONFIG_CHUNK);
    o->overlap = (uint32_t)config_int(u, CONFIG_OVERLAP);
    o->allow_truncate = c->args->allow_truncate;
    o->sampling = setup_sampling_summary(u, c->args);
    o->max_tokens = setup_max_tokens(u, c->shape);
    uint32_t most = generate_max_target(c->shape);
    if (o->max_tokens > most)
        o->max_tokens = most;
    summarize_method_parse(config_text(u, CONFIG_METHOD), &o->method);
    if (o->allow_truncate && c->args->method && o->method > SUMMARIZE_SINGLE)
        return err_set(
            e, ERR_USAGE,
            "--allow-truncate reads only the beginning, --method %s all of it: leave "
            "one of them out",
            c->args->method);
    if (o->allow_truncate) /* a method of the settings gives way */
        o->method = SUMMARIZE_SINGLE;
    return setup_style(c->shape, config_text(u, CONFIG_STYLE), &o->style, &j->style, e) &&
           summarize_length_parse(config_text(u, CONFIG_LENGTH), &o->length, e);
}

/* Seconds that the plan will take: writing is bound by memory, reading by arithmetic.  Only a
 * part of the parameters is multiplied when reading, at a part of the best rate: about even. */
static double estimate(const struct job *j)
{
    struct terra_model_info info;
    struct terra_machine m;
    struct summarize_work work;
    struct err e = {0};
    uint32_t threads = setup_threads(&j->c->config);
    terra_model_info(j->c->model, &info);
    terra_machine_info(&m);
    threads = threads ? threads : m.cores;
    double bandwidth = terra_machine_bandwidth(threads, 3, &e);
    double multiplies = terra_machine_multiplies(threads, TERRA_F32, 3, &e);
    if (bandwidth <= 0 || multiplies <= 0)
        return 0;
    summarize_work(&j->opts, &j->plan, &work);
    double bytes = setup_mode(&j->c->config) == TERRA_SPARSE ? (double)info.bytes_sparse
                                                             : (double)info.bytes_dense;
    return work.written * bytes / bandwidth + work.read * (double)info.parameters / multiplies;
}

static bool dry_run(struct job *j)
{
    struct cli *c = j->c;
    const struct summarize_plan *p = &j->plan;
    const char *method = p->as_is ? "as-is" : summarize_method_name[p->method];
    double seconds = p->as_is ? 0 : estimate(j);
    struct buf b = {0};
    if (c->args->json) {
        headless_object(&b, "plan");
        json_cstr(&b, "document", j->doc->name);
        json_cstr(&b, "method", method);
        json_int(&b, "tokens_total", (int64_t)p->tok_total);
        json_int(&b, "tokens_read", (int64_t)p->tok_read);
        json_int(&b, "max_tokens", p->max_tokens);
        json_num(&b, "seconds", seconds, 3);
        json_open(&b, "chunks", '[');
        for (size_t i = 0; i < p->n_chunks; i++) {
            json_open(&b, NULL, '{');
            json_int(&b, "start", (int64_t)p->chunk[i].start);
            json_int(&b, "end", (int64_t)p->chunk[i].end);
            json_int(&b, "tokens", p->chunk[i].n_tok);
            json_close(&b, '}');
        }
        json_close(&b, ']');
        json_close(&b, '}');
        headless_line(&c->out, &b);
    } else {
        buf_printf(&b,
                   "document   %s, %zu bytes\ntokens     %" PRIu64 ", of which %" PRIu64
                   " would be read\nmethod     %s, %zu chunk%s\n",
                   j->doc->name, j->doc->n, p->tok_total, p->tok_read, method, p->n_chunks,
                   p->n_chunks == 1 ? "" : "s");
        for (size_t i = 0; c->args->verbose && i < p->n_chunks; i++)
            buf_printf(&b, "  %4zu     %u tokens, bytes %zu to %zu\n", i + 1, p->chunk[i].n_tok,
                       p->chunk[i].start, p->chunk[i].end);
        buf_printf(&b, "time       about %.1f s (an estimate from %u tokens a step)\n", seconds,
                   p->max_tokens);
        headless_text(&c->out, buf_str(&b), b.len);
    }
    buf_free(&b);
    return true;
}

/* ---- while it runs --------------------------------------------------------------- */

static const enum store_kind kind_stored[] = {STORE_SUMMARY, STORE_MAP, STORE_REDUCE,
                                              STORE_REFINE, STORE_SUMMARY};

static void on_begin(void *user, const struct summarize_step *s)
{
    struct job *j = user;
    j->n_written = 0;
    j->step = s->index;
    j->final = s->final;
    if (s->final && j->streamed) /* another line of it */
        headless_newline(&j->c->out);
    if (s->kind != SUMMARIZE_STEP_SINGLE)
        cli_progress(j->c, "%s %u/%u",
                     s->kind == SUMMARIZE_STEP_MAP ? "chunk" : summarize_kind_name[s->kind],
                     s->no, s->of);
    struct recorder_run run = {.kind = kind_stored[s->kind],
                               .mode = reply_store_mode(j->c),
                               .prompt = s->text,
                               .n_prompt = s->n_text,
                               .params = buf_str(&j->params),
                               .seed = j->opts.sampling.seed,
                               .n_in = (int64_t)s->tok_total,
                               .n_read = (int64_t)s->tok_read,
                               .chunk = s->kind == SUMMARIZE_STEP_SINGLE ? -1 : (int32_t)s->no,
                               .with_document = true};
    recorder_begin(j->c->recorder, &run);
}

static void on_judge(void *user, uint32_t no, uint32_t of)
{
    struct job *j = user;
    cli_progress(j->c, "choosing %u/%u", no, of);
}

static void on_prefilled(void *user, const struct terra_prefill_stats *p)
{
    struct job *j = user;
    recorder_prefilled(j->c->recorder, j->c->load_ns, p->ns);
    if (j->final)
        cli_progress_end(j->c);
}

static void on_token(void *user, const struct terra_token *t, const char *piece, size_t n)
{
    struct job *j = user;
    recorder_token(j->c->recorder, t, piece, n);
    headless_token(&j->c->out, j->step, j->n_written, t, piece, n, j->final);
    j->n_written += t != NULL;
    j->streamed |= j->final && n > 0;
}

static void on_end(void *user, const struct summarize_step *s, const struct generate_result *r,
                   const struct err *e)
{
    struct job *j = user;
    recorder_end(j->c->recorder, reply_status(r->stop), e ? e->msg : NULL, r->decode_ns);
    struct headless_chunk chunk = {.step = s->index,
                                   .no = s->no,
                                   .of = s->of,
                                   .kind = summarize_kind_name[s->kind],
                                   .tokens_in = s->n_in,
                                   .result = r};
    headless_chunk(&j->c->out, &chunk);
    reply_stats(j->c, r, s->n_in, &j->opts.sampling, false);
}

/* ---- afterwards ---------------------------------------------------------------------- */

static void add_rouge(struct buf *json, struct buf *text, const char *name,
                      const struct rouge_score *s)
{
    json_open(json, name, '{');
    json_num(json, "precision", s->precision, 6);
    json_num(json, "recall", s->recall, 6);
    json_num(json, "f", s->f, 6);
    json_close(json, '}');
    buf_printf(text, "  %-10s precision %.4f  recall %.4f  f %.4f\n", name, s->precision,
               s->recall, s->f);
}

static void rouge_texts(struct job *j, struct buf *json, struct buf *text)
{
    struct rouge score;
    rouge_compute(j->ref->text, j->ref->n, buf_str(&j->result.text), j->result.text.len,
                  &score);
    json_open(json, NULL, '{');
    add_rouge(json, text, "rouge1", &score.r1);
    add_rouge(json, text, "rouge2", &score.r2);
    add_rouge(json, text, "rougeL", &score.rl);
    add_rouge(json, text, "rougeLsum", &score.rlsum);
    json_close(json, '}');
}

static void report(struct job *j, bool ok)
{
    struct cli *c = j->c;
    const struct summarize_result *r = &j->result;
    const struct summarize_plan *p = &j->plan;
    uint64_t read = r->tok_read;
    struct buf rouge = {0}, lines = {0}, extra = {0};
    if (j->ref->text)
        rouge_texts(j, &rouge, &lines);
    if (r->n_steps) {
        struct recorder_summary s = {
            .method = summarize_method_name[p->method],
            .target = j->opts.length.unit ? config_text(&c->config, CONFIG_LENGTH) : NULL,
            .body = buf_str(&r->text),
            .rouge = rouge.len ? buf_str(&rouge) : NULL,
            .tok_read = (int64_t)read,
            .tok_total = (int64_t)p->tok_total};
        recorder_summary(c->recorder, &s);
    }
    buf_printf(&extra, ",\"method\":\"%s\",\"chunks\":%zu,\"steps\":%u",
               summarize_method_name[p->method], p->n_chunks, r->n_steps);
    if (r->goal > 0)
        buf_printf(&extra, ",\"goal\":%.10g,\"length\":%.10g,\"length_met\":%s", r->goal,
                   r->length, r->length_met ? "true" : "false");
    if (rouge.len)
        buf_printf(&extra, ",\"rouge\":%s", buf_str(&rouge));
    struct headless_end end = {
        .text = buf_str(&r->text),
        .n_text = r->text.len,
        .stop = p->as_is ? "as-is" : generate_stop_name[r->stop],
        .tokens_read = (int64_t)read,
        .tokens_total = (int64_t)p->tok_total,
        .tokens_in = (int64_t)r->tokens_in,
        .tokens_out = (int64_t)r->tokens_out,
        .prefill_ns = r->prefill_ns,
        .search_ns = r->search_ns,
        .decode_ns = r->decode_ns,
        .first_ns = r->first_ns,
        .ms_p50 = r->ms_p50,
        .ms_p90 = r->ms_p90,
        .ms_p99 = r->ms_p99,
        .session = c->recorder ? recorder_session(c->recorder) : 0,
        .run = c->recorder ? recorder_run_id(c->recorder) : 0,
        .extra = buf_str(&extra),
    };
    headless_end(&c->out, &end);
    if (!ok && r->stop == GENERATE_ERROR)
        goto out; /* the error's own line is enough */
    if (p->as_is)
        cli_note(c, "%" PRIu64 " tokens: %s, given back as it is", p->tok_total,
                 p->tok_total < SUMMARIZE_SHORT ? "too short to summarize"
                                                : "already within the wanted length");
    else
        cli_note(c, "read %" PRIu64 " of %" PRIu64 " tokens%s, wrote %" PRIu64 " in %.2f s",
                 read, p->tok_total,
                 !ok                   ? " (stopped before the end)"
                 : read < p->tok_total ? " (the rest was left out: --allow-truncate)"
                 : p->n_chunks > 1     ? " in chunks"
                                       : "",
                 r->tokens_out, (double)(r->prefill_ns + r->search_ns + r->decode_ns) / 1e9);
    if (ok && r->goal > 0 && !r->length_met && !p->as_is)
        cli_note(c, "the wanted length was %.0f, the summary's is %.0f", r->goal, r->length);
    if (ok && r->stop == GENERATE_LENGTH)
        cli_note(c, "stopped at the limit of %u tokens", p->max_tokens);
    if (lines.len && !c->args->json) {
        cli_note(c, "ROUGE against %s (%s)", j->ref->name, ROUGE_RULES);
        headless_text(&c->out, buf_str(&lines), lines.len);
    }
out:
    buf_free(&rouge);
    buf_free(&lines);
    buf_free(&extra);
}

static bool execute(struct job *j, struct err *e)
{
    struct cli *c = j->c;
    const struct summarize_plan *p = &j->plan;
    if (!c->session &&
        !cli_session(c, generate_max_source(c->shape), generate_max_target(c->shape), e))
        return false;
    if (!c->recorder)
        cli_record(c);
    struct recorder_document doc = {.name = j->doc->name,
                                    .body = j->doc->text,
                                    .n_body = j->doc->n,
                                    .bytes = j->doc->bytes,
                                    .fixes = j->doc->fixes,
                                    .n_tok = (int64_t)p->tok_total};
    memcpy(doc.sha256, j->doc->sha256, sizeof doc.sha256);
    recorder_document(c->recorder, &doc);
    cli_params(&j->opts.sampling, p->max_tokens, j->style, false, &j->params);
    struct headless_start start = {.command = "summarize",
                                   .model = c->shape->name,
                                   .path = terra_model_path(c->model),
                                   .mode = store_mode_name[reply_store_mode(c)],
                                   .style = j->style,
                                   .method = summarize_method_name[p->method],
                                   .kernels = terra_session_kernels(c->session),
                                   .threads = terra_session_threads(c->session),
                                   .chunks = (uint32_t)p->n_chunks,
                                   .seed = j->opts.sampling.seed,
                                   .temperature = (double)j->opts.sampling.temperature,
                                   .tokens_total = (int64_t)p->tok_total};
    headless_start(&c->out, &start);
    struct summarize_sink sink = {.begin = on_begin,
                                  .prefilled = on_prefilled,
                                  .token = on_token,
                                  .judge = on_judge,
                                  .end = on_end,
                                  .user = j};
    bool ok =
        summarize_run(&j->opts, p, j->doc->text, j->doc->n, c->session, &sink, &j->result, e);
    cli_progress_end(c);
    if (!j->streamed)
        headless_text(&c->out, buf_str(&j->result.text), j->result.text.len);
    headless_newline(&c->out);
    report(j, ok);
    return ok;
}

bool cli_summarize(struct cli *c, const struct document *doc, const struct document *ref,
                   struct err *e)
{
    struct job j = {.c = c, .doc = doc, .ref = ref};
    bool ok = (c->model || cli_model(c, e)) && options(&j, e) &&
              summarize_plan(&j.opts, doc->text, doc->n, &j.plan, e) &&
              (c->args->dry_run ? dry_run(&j) : execute(&j, e));
    summarize_result_free(&j.result);
    summarize_plan_free(&j.plan);
    buf_free(&j.params);
    return ok;
}

int cmd_summarize(const struct args *a)
{
    struct cli c;
    struct document doc = {0}, ref = {0};
    struct err e = {0};
    bool ok = cli_open(&c, a, &e) && (!a->ref || read_file(&c, a->ref, &ref, &e)) &&
              read_file(&c, a->pos[0], &doc, &e) && cli_summarize(&c, &doc, &ref, &e);
    document_free(&doc);
    document_free(&ref);
    return cli_close(&c, ok, &e);
}
