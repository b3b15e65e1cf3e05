/* cmd_eval.c - `terra eval`: how good a model is on documents with known summaries.
 *
 * For each pair: log-perplexity of the summary (its tokens and the end symbol, fed by
 * force), then a greedy summary of the model's own, ROUGE of it and of two baselines
 * cut to the same number of words: the document's first sentence, and its first words.
 * A document longer than the context is read from its beginning, as in training; the
 * share of tokens read is reported.  With --method the model's own summary is of the whole
 * document.  Every choice of the decoder's controllers counts.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/signals.h"
#include "app/summarize.h"
#include "app/usage.h"
#include "data/pairs.h"
#include "data/rouge.h"
#include "engine/base/json_out.h"
#include "engine/base/xalloc.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum who { MODEL, LEAD_1, LEAD_N, WHOS };
static const char *const who_name[WHOS] = {"model", "lead1", "leadn"};
static const char *const rouge_name[4] = {"rouge1", "rouge2", "rougeL", "rougeLsum"};

struct tally { /* sums over the pairs of one source, or all */
    char *name;
    uint64_t pairs, generated, tokens, bytes, degenerate, empty, repeating;
    uint64_t doc_tokens, doc_read, words_out, words_ref, targets_cut;
    double nll; /* nats */
    double rouge[WHOS][4];
};

struct eval {
    struct cli *c;
    struct summarize_opts opts;
    const char *style; /* of --style, or NULL: each pair's own */
    bool whole;        /* own summaries of whole documents, by opts.method */
    bool space_first;  /* the vocabulary writes the first word with its space */
    struct terra_ids source, target;
    float *logits; /* [max_target][out_vocab] */
    uint32_t max_target;
    struct tally *tally; /* [0] is all */
    size_t n_tallies;
    /* controller, decoder rows that stand for target tokens */
    uint64_t *count;    /* [layers][blocks][units] */
    uint64_t rows;      /* of each layer */
    uint32_t first_row; /* target rows begin here in the running pair */
    bool counting;
};

/* ---- controller ----------------------------------------------------------------- */

static void on_choices(void *user, const struct terra_choices *c)
{
    struct eval *v = user;
    const struct terra_config *m = v->c->shape;
    if (!v->counting || c->stage != TERRA_DECODER)
        return;
    uint32_t blocks = terra_config_max_blocks(m), units = m->ff_block;
    for (uint32_t i = 0; i < c->n_rows; i++) {
        if (c->first_row + i < v->first_row)
            continue;
        uint64_t *count = v->count + (uint64_t)c->layer * blocks * units;
        for (uint32_t k = 0; k < c->blocks; k++)
            count[(uint64_t)k * units + c->unit[(size_t)i * c->blocks + k]]++;
        v->rows += c->layer == 0;
    }
}

/* ---- one pair ------------------------------------------------------------------------ */

static struct tally *tally_for(struct eval *v, const char *name)
{
    for (size_t i = 1; i < v->n_tallies; i++)
        if (strcmp(v->tally[i].name, name) == 0)
            return &v->tally[i];
    v->tally = xrealloc(v->tally, v->n_tallies + 1, sizeof *v->tally);
    v->tally[v->n_tallies] = (struct tally){.name = xstrdup(name)};
    return &v->tally[v->n_tallies++];
}

static bool make_source(struct eval *v, const struct pair *p, struct tally *t, struct err *e)
{
    const struct terra_config *m = v->c->shape;
    const char *name, *style = v->style ? v->style : *p->style ? p->style : NULL;
    if (!setup_style(m, style, &v->opts.style, &name, e))
        return false;
    struct terra_ids *ids = &v->source;
    ids->n = 0;
    if (v->opts.style >= 0)
        terra_ids_add(ids, v->opts.style);
    size_t head = ids->n;
    if (!terra_encode(v->c->vocab, p->document, p->n_document, ids, e))
        return false;
    size_t all = ids->n - head, room = v->opts.max_source - head - m->source_eos;
    size_t read = all < room ? all : room;
    ids->n = head + read;
    if (m->source_eos)
        terra_ids_add(ids, TERRA_EOS);
    t->doc_tokens += all;
    t->doc_read += read;
    return true;
}

/* -log softmax(row)[id] */
static double surprise(const float *row, uint32_t n, int32_t id)
{
    float best = row[0];
    for (uint32_t i = 1; i < n; i++)
        best = row[i] > best ? row[i] : best;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)(row[i] - best));
    return log(sum) - (double)(row[id] - best);
}

/* The summary as training writes it: one space in front of the first word if that is how
 * the vocabulary marks words, no white space at the ends. */
static bool make_target(struct eval *v, const struct pair *p, struct tally *t, struct err *e)
{
    struct buf text = {0};
    const char *s = p->summary;
    size_t n = p->n_summary;
    while (n && strchr(" \n\t\r", s[n - 1]))
        n--;
    while (n && strchr(" \n\t\r", *s)) {
        s++;
        n--;
    }
    if (v->space_first)
        buf_add_byte(&text, ' ');
    buf_add(&text, s, n);
    v->target.n = 0;
    bool ok = terra_encode(v->c->vocab, buf_str(&text), text.len, &v->target, e);
    buf_free(&text);
    t->bytes += n;
    if (v->target.n < v->max_target) {
        terra_ids_add(&v->target, TERRA_EOS);
        return ok;
    }
    /* Longer than the model writes: its beginning is scored, and its bytes count. */
    t->targets_cut++;
    t->bytes -= n;
    v->target.n = v->max_target;
    for (size_t i = 0; i < v->target.n; i++) {
        size_t n_token;
        terra_token_bytes(v->c->vocab, v->target.id[i], &n_token);
        t->bytes += n_token;
    }
    return ok;
}

static bool score(struct eval *v, const struct pair *p, struct tally *t, struct err *e)
{
    struct terra_session *s = v->c->session;
    uint32_t vocab = v->c->shape->out_vocab;
    if (!make_target(v, p, t, e))
        return false;
    v->counting = false;
    if (!terra_prefill(s, v->source.id, v->source.n, e))
        return false;
    v->first_row = terra_source_rows(s);
    v->counting = v->count != NULL;
    bool ok = terra_feed(s, v->target.id, v->target.n, v->logits, e);
    v->counting = false;
    for (size_t i = 0; ok && i < v->target.n; i++)
        t->nll += surprise(v->logits + i * vocab, vocab, v->target.id[i]);
    t->tokens += v->target.n;
    return ok;
}

/* Half or more of its words are repeats of the same two in a row. */
static bool repeats(const char *text, size_t n)
{
    struct {
        const char *s;
        size_t n;
    } word[512];
    size_t words = 0, again = 0;
    for (size_t i = 0; i < n && words < 512;) {
        while (i < n && strchr(" \n\t", text[i]))
            i++;
        size_t start = i;
        while (i < n && !strchr(" \n\t", text[i]))
            i++;
        if (i > start) {
            word[words].s = text + start;
            word[words++].n = i - start;
        }
    }
    for (size_t i = 2; i + 1 < words; i++) {
        bool seen = false;
        for (size_t k = 0; !seen && k + 1 < i; k++)
            seen = word[k].n == word[i].n && !memcmp(word[k].s, word[i].s, word[i].n) &&
                   word[k + 1].n == word[i + 1].n &&
                   !memcmp(word[k + 1].s, word[i + 1].s, word[i + 1].n);
        again += seen;
    }
    return words >= 4 && again * 2 >= words - 1;
}

/* Length of the first `words` words. */
static size_t cut_words(const char *text, size_t n, uint32_t words)
{
    size_t i = 0;
    for (uint32_t w = 0; i < n && w < words; w++) {
        while (i < n && strchr(" \n\t\r", text[i]))
            i++;
        while (i < n && !strchr(" \n\t\r", text[i]))
            i++;
    }
    return i;
}

static void add_rouge(const struct pair *p, const char *text, size_t n, double sum[4])
{
    struct rouge r;
    rouge_compute(p->summary, p->n_summary, text, n, &r);
    sum[0] += r.r1.f;
    sum[1] += r.r2.f;
    sum[2] += r.rl.f;
    sum[3] += r.rlsum.f;
}

/* The model's own summary: of the source that was scored, or of the whole document. */
static bool own_text(struct eval *v, const struct pair *p, struct tally *t, struct buf *text,
                     struct err *e)
{
    if (!v->whole) {
        struct generate_opts o = {.sampling = v->opts.sampling,
                                  .max_tokens = v->opts.max_tokens};
        struct generate_result r;
        bool ok =
            generate(v->c->session, v->c->shape, v->c->vocab, &v->source, &o, NULL, &r, e);
        buf_add(text, buf_str(&r.text), r.text.len);
        generate_result_free(&r);
        return ok;
    }
    struct summarize_plan plan;
    struct summarize_result r;
    if (!summarize_plan(&v->opts, p->document, p->n_document, &plan, e))
        return false;
    bool ok =
        summarize_run(&v->opts, &plan, p->document, p->n_document, v->c->session, NULL, &r, e);
    t->doc_read = r.tok_read;
    t->doc_tokens = plan.tok_total;
    buf_add(text, buf_str(&r.text), r.text.len);
    summarize_result_free(&r);
    summarize_plan_free(&plan);
    return ok;
}

static bool write_own(struct eval *v, const struct pair *p, struct tally *t, struct err *e)
{
    struct buf own = {0};
    bool ok = own_text(v, p, t, &own, e);
    const char *text = buf_str(&own);
    uint32_t words = summarize_count_words(text, own.len);
    if (ok) {
        bool repeating = repeats(text, own.len);
        size_t lead = cut_words(p->document, p->n_document, words);
        size_t first = summarize_sentence_end(p->document, p->n_document, 0);
        t->generated++;
        t->empty += words == 0;
        t->repeating += repeating;
        t->degenerate += repeating || words == 0;
        t->words_out += words;
        t->words_ref += summarize_count_words(p->summary, p->n_summary);
        add_rouge(p, text, own.len, t->rouge[MODEL]);
        add_rouge(p, p->document, lead < first ? lead : first, t->rouge[LEAD_1]);
        add_rouge(p, p->document, lead, t->rouge[LEAD_N]);
    }
    if (ok && v->c->args->verbose) {
        struct buf b = {0};
        headless_object(&b, "output");
        json_int(&b, "line", (int64_t)p->line);
        json_cstr(&b, "source", p->source);
        json_str(&b, "text", text, own.len);
        json_str(&b, "reference", p->summary, p->n_summary);
        json_close(&b, '}');
        headless_line(&v->c->out, &b);
        buf_free(&b);
    }
    buf_free(&own);
    return ok;
}

static void add_tally(struct tally *to, const struct tally *t)
{
    to->pairs += t->pairs;
    to->generated += t->generated;
    to->tokens += t->tokens;
    to->bytes += t->bytes;
    to->targets_cut += t->targets_cut;
    to->degenerate += t->degenerate;
    to->empty += t->empty;
    to->repeating += t->repeating;
    to->doc_tokens += t->doc_tokens;
    to->doc_read += t->doc_read;
    to->words_out += t->words_out;
    to->words_ref += t->words_ref;
    to->nll += t->nll;
    for (int w = 0; w < WHOS; w++)
        for (int k = 0; k < 4; k++)
            to->rouge[w][k] += t->rouge[w][k];
}

static bool one_pair(struct eval *v, const struct pair *p, struct err *e)
{
    struct tally t = {.pairs = 1};
    bool ok = make_source(v, p, &t, e) && score(v, p, &t, e) &&
              (v->c->args->no_generate || write_own(v, p, &t, e));
    if (ok) {
        add_tally(tally_for(v, p->source), &t);
        add_tally(&v->tally[0], &t);
    }
    return ok;
}

/* The option's style is known to be one: what is wrong is in the file. */
static void blame_pair(const struct pairs *from, const struct pair *p, struct err *e)
{
    if (e->kind == ERR_USAGE)
        e->kind = ERR_INPUT;
    err_prefix(e, "%s:%" PRIu64, from->name, p->line);
}

/* ---- the report ------------------------------------------------------------------------- */

static double ratio(double a, uint64_t b)
{
    return b ? a / (double)b : NAN;
}

static void tally_json(const struct tally *t, struct buf *b)
{
    json_int(b, "pairs", (int64_t)t->pairs);
    json_num(b, "nats_per_token", ratio(t->nll, t->tokens), 6);
    json_num(b, "perplexity", exp(ratio(t->nll, t->tokens)), 6);
    json_num(b, "nats_per_byte", ratio(t->nll, t->bytes), 6);
    json_num(b, "bits_per_byte", ratio(t->nll, t->bytes) / log(2), 6);
    json_int(b, "target_tokens", (int64_t)t->tokens);
    json_int(b, "target_bytes", (int64_t)t->bytes);
    json_int(b, "targets_cut", (int64_t)t->targets_cut);
    json_num(b, "document_read", ratio((double)t->doc_read, t->doc_tokens), 5);
    if (!t->generated)
        return;
    json_open(b, "degenerate", '{');
    json_num(b, "share", ratio((double)t->degenerate, t->generated), 5);
    json_int(b, "empty", (int64_t)t->empty);
    json_int(b, "repeating", (int64_t)t->repeating);
    json_close(b, '}');
    json_num(b, "words_mean", ratio((double)t->words_out, t->generated), 5);
    json_num(b, "words_reference", ratio((double)t->words_ref, t->generated), 5);
    for (int w = 0; w < WHOS; w++) {
        json_open(b, who_name[w], '{');
        for (int k = 0; k < 4; k++)
            json_num(b, rouge_name[k], ratio(t->rouge[w][k], t->generated), 6);
        json_close(b, '}');
    }
}

static void usage_json(struct buf *b, const char *key, const struct usage *u)
{
    json_open(b, key, '{');
    json_num(b, "unused", u->unused, 6);
    json_num(b, "entropy_bits", u->entropy, 6);
    json_num(b, "effective_units", u->effective, 6);
    json_close(b, '}');
}

static void controller_json(struct eval *v, struct buf *b)
{
    const struct terra_config *m = v->c->shape;
    uint32_t blocks = terra_config_max_blocks(m);
    struct usage all = {0}, chance = usage_chance(v->rows, m->ff_block), layer;
    json_open(b, "controller", '{');
    json_int(b, "rows", (int64_t)v->rows);
    json_int(b, "layers", m->n_dec);
    json_int(b, "blocks", blocks);
    json_int(b, "units", m->ff_block);
    json_bool(b, "evidence", usage_is_evidence(v->rows, v->tally[0].pairs, m->ff_block));
    usage_json(b, "chance", &chance);
    json_open(b, "layer", '[');
    for (uint32_t l = 0; l < m->n_dec; l++) {
        uint32_t here = terra_config_blocks(m, m->n_enc + l);
        layer = usage_mean(v->count + (uint64_t)l * blocks * m->ff_block, here, m->ff_block);
        usage_json(b, NULL, &layer);
        all.unused += layer.unused / m->n_dec;
        all.entropy += layer.entropy / m->n_dec;
        all.effective += layer.effective / m->n_dec;
    }
    json_close(b, ']');
    usage_json(b, "mean", &all);
    json_close(b, '}');
}

static void report(struct eval *v)
{
    struct buf b = {0};
    for (size_t i = 1; i < v->n_tallies; i++) {
        headless_object(&b, "source");
        json_cstr(&b, "source", v->tally[i].name);
        tally_json(&v->tally[i], &b);
        json_close(&b, '}');
        headless_line(&v->c->out, &b);
    }
    headless_object(&b, "eval");
    json_cstr(&b, "name", v->c->shape->name);
    json_cstr(&b, "path", terra_model_path(v->c->model));
    json_cstr(&b, "mode", config_text(&v->c->config, CONFIG_MODE));
    if (v->whole)
        json_cstr(&b, "method", summarize_method_name[v->opts.method]);
    json_cstr(&b, "rouge_rules", ROUGE_RULES);
    tally_json(&v->tally[0], &b);
    if (v->count && v->rows)
        controller_json(v, &b);
    json_close(&b, '}');
    headless_line(&v->c->out, &b);
    buf_free(&b);
}

/* ---- the run --------------------------------------------------------------------------------
 */

static bool spaces_mark_words(const struct terra_vocab *vocab)
{
    struct terra_ids ids = {0};
    bool yes = terra_encode(vocab, " a", 2, &ids, NULL) && ids.n == 1;
    terra_ids_free(&ids);
    return yes;
}

static bool open_eval(struct eval *v, struct err *e)
{
    struct cli *c = v->c;
    if (!cli_model(c, e))
        return false;
    if (!c->vocab)
        return err_set(e, ERR_MODEL, "%s: the model has no vocabulary",
                       terra_model_path(c->model));
    const struct terra_config *m = c->shape;
    uint32_t most = generate_max_target(m);
    v->style =
        *config_text(&c->config, CONFIG_STYLE) ? config_text(&c->config, CONFIG_STYLE) : NULL;
    const char *name;
    if (!setup_style(m, v->style, &v->opts.style, &name, e))
        return false;
    v->space_first = spaces_mark_words(c->vocab);
    v->opts = (struct summarize_opts){.config = m,
                                      .vocab = c->vocab,
                                      .max_source = generate_max_source(m),
                                      .sampling = setup_sampling_summary(&c->config, c->args),
                                      .max_tokens = setup_max_tokens(&c->config, m)};
    if (v->opts.max_tokens > most)
        v->opts.max_tokens = most;
    v->opts.allow_truncate = true;
    v->whole = c->args->method != NULL;
    if (v->whole)
        summarize_method_parse(config_text(&c->config, CONFIG_METHOD), &v->opts.method);
    v->max_target = most;
    v->logits = malloc((size_t)most * m->out_vocab * sizeof *v->logits);
    if (!v->logits)
        return err_set(e, ERR_RESOURCE, "no memory for the logits of %u tokens", most);
    if (m->ff_block)
        v->count = xcalloc((size_t)m->n_dec * terra_config_max_blocks(m),
                           m->ff_block * sizeof *v->count);
    struct terra_session_opts o = {.mode = setup_mode(&c->config),
                                   .threads = setup_threads(&c->config),
                                   .max_source = v->opts.max_source,
                                   .max_target = most,
                                   .cancel = signals_cancel(),
                                   .on_choices = on_choices,
                                   .user = v};
    c->session = terra_session_open(c->model, &o, e);
    return c->session != NULL;
}

static bool eval_file(struct eval *v, FILE *in, const char *name, struct err *e)
{
    struct cli *c = v->c;
    struct pairs reader;
    struct pair p;
    int64_t limit = c->args->limit > 0 ? c->args->limit : INT64_MAX;
    bool ok = true;
    pairs_open(&reader, in, name);
    for (int64_t n = 0; ok && n < limit && (ok = pairs_next(&reader, &p, e)); n++) {
        ok = one_pair(v, &p, e);
        if (!ok)
            blame_pair(&reader, &p, e);
        cli_progress(c, "pair %" PRId64 "  %.3f nats per token", n + 1,
                     ratio(v->tally[0].nll, v->tally[0].tokens));
    }
    pairs_close(&reader);
    cli_progress_end(c);
    if (!ok && e->kind == ERR_NONE) /* the end of the file */
        ok = true;
    if (ok && v->tally[0].pairs == 0)
        ok = err_set(e, ERR_INPUT, "%s: no pairs", name);
    if (v->tally[0].pairs)
        report(v);
    return ok;
}

static bool eval(struct eval *v, struct err *e)
{
    const char *path = v->c->args->pos[0];
    bool std = strcmp(path, "-") == 0;
    FILE *in = std ? stdin : fopen(path, "r");
    if (!in)
        return err_set(e, ERR_INPUT, "%s: %s", path, strerror(errno));
    v->tally = xcalloc(1, sizeof *v->tally);
    v->n_tallies = 1;
    bool ok = open_eval(v, e) && eval_file(v, in, std ? "standard input" : path, e);
    if (!std)
        fclose(in);
    return ok;
}

int cmd_eval(const struct args *a)
{
    struct cli c;
    struct eval v = {.c = &c};
    struct err e = {0};
    bool ok = cli_open(&c, a, &e) && eval(&v, &e);
    terra_ids_free(&v.source);
    terra_ids_free(&v.target);
    for (size_t i = 0; i < v.n_tallies; i++)
        free(v.tally[i].name);
    free(v.tally);
    free(v.logits);
    free(v.count);
    return cli_close(&c, ok, &e);
}
