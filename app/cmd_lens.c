/* cmd_lens.c - `terra trace RUN --lens TOKEN`: the top token after each decoder layer.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cmd_stored.h"

#include "app/lens.h"
#include "app/summarize.h"
#include "engine/base/json_out.h"

#include <inttypes.h>
#include <string.h>

static void add_units(struct buf *b, const struct lens *v, uint32_t layer, bool json)
{
    for (uint32_t k = 0; k < v->blocks; k++) {
        uint16_t unit = v->unit[(size_t)layer * v->blocks + k];
        if (unit == TERRA_NO_UNIT)
            continue;
        if (json)
            json_int(b, NULL, unit);
        else
            buf_printf(b, "%s%u", k ? " " : "", unit);
    }
}

/* For the chat, which has every number in words. */
static void add_words(struct cli *c, const struct lens *v, uint32_t layer, struct buf *b)
{
    const struct lens_row *r = &v->row[layer];
    size_t n = 0;
    const char *text =
        c->vocab && r->id[0] >= 0 ? terra_token_bytes(c->vocab, r->id[0], &n) : "";
    if (r->id[0] < 0) {
        buf_printf(b, "Layer %u cannot be read by the head; units ", layer);
    } else {
        buf_printf(b, "Layer %u would write '", layer);
        buf_add(b, text, n);
        buf_printf(b, "' with %.1f percent; the token written has rank %u; units ",
                   100 * r->p[0], r->rank);
    }
    add_units(b, v, layer, false);
    buf_add_str(b, ".\n");
}

static void add_row(struct cli *c, const struct lens *v, uint32_t layer, struct buf *b)
{
    const struct lens_row *r = &v->row[layer];
    size_t n = 0;
    const char *text =
        c->vocab && r->id[0] >= 0 ? terra_token_bytes(c->vocab, r->id[0], &n) : "";
    if (c->args->json) {
        headless_object(b, "lens");
        json_int(b, "layer", layer);
        json_int(b, "id", r->id[0]);
        json_str(b, "text", text, n);
        json_num(b, "p", r->p[0], 6);
        json_int(b, "rank", r->rank);
        json_open(b, "units", '[');
        add_units(b, v, layer, true);
        json_close(b, ']');
        json_close(b, '}');
    } else {
        buf_printf(b, "%u,%d,%.6g,%u,\"", layer, r->id[0], r->p[0], r->rank);
        add_units(b, v, layer, false);
        buf_add_byte(b, '"');
    }
    buf_add_byte(b, '\n');
}

static bool print(struct cli *c, const struct lens *v, struct err *e)
{
    struct buf b = {0};
    bool words = c->args->cmd == CMD_CHAT && !c->args->json;
    if (!c->args->json && !words)
        buf_add_str(&b, "layer,id,p,rank,units\n");
    for (uint32_t l = 0; l < v->layers; l++)
        (words ? add_words : add_row)(c, v, l, &b);
    bool ok = cli_output(c, buf_str(&b), b.len, e);
    buf_free(&b);
    return ok;
}

/* The model that is open must be the one that wrote the run. */
static bool same_model(struct cli *c, const struct store_run *r, struct pool *p, struct err *e)
{
    struct store_model m;
    struct terra_model_info info;
    if (!store_model_get(c->store, r->model, p, &m, e))
        return false;
    terra_model_info(c->model, &info);
    return memcmp(m.header_sha256, info.header_sha256, sizeof m.header_sha256) == 0 ||
           err_set(e, ERR_CHECK, "run %" PRId64 " was written by another model: %s %s", r->id,
                   c->args->cmd == CMD_CHAT ? "/model" : "-m", m.path);
}

/* What the run read, from its prompt; n_text: without control word and end symbol. */
static bool encode(struct cli *c, const struct store_run *r, struct pool *p,
                   struct terra_ids *out, size_t *n_text, struct err *e)
{
    if (setup_ids(r->params)) {
        bool ok = cli_parse_ids(r->prompt, c->shape->vocab, out, e);
        *n_text = out->n;
        return ok;
    }
    const char *name, *style = store_param_text(r->params, "style", p);
    struct summarize_opts o = {.config = c->shape, .vocab = c->vocab, .style = -1};
    if (!c->vocab)
        return err_set(e, ERR_MODEL, "%s has no vocabulary", c->shape->name);
    if (style && !setup_style(c->shape, style, &o.style, &name, e))
        return false;
    if (!summarize_source(&o, r->prompt, r->n_prompt, out, e))
        return false;
    *n_text = summarize_text_tokens(&o, out->n);
    return true;
}

/* An older program stored other prompts than it read: of another source the lens would show
 * something that never was.  It also counted the whole source, not the text alone. */
static bool source(struct cli *c, const struct store_run *r, struct pool *p,
                   struct terra_ids *out, struct err *e)
{
    size_t n = 0;
    return encode(c, r, p, out, &n, e) &&
           (r->n_read < 0 || (uint64_t)r->n_read == n || (uint64_t)r->n_read == out->n ||
            err_set(e, ERR_CHECK,
                    "run %" PRId64 " read %" PRId64 " tokens and its prompt has %zu: run it "
                    "again to look into it",
                    r->id, r->n_read, n));
}

/* Open is another function than the two others. */
static enum terra_mode run_mode(const struct store_run *r)
{
    return r->mode == STORE_OPEN     ? TERRA_OPEN
           : r->mode == STORE_MASKED ? TERRA_MASKED
                                     : TERRA_SPARSE;
}

/* In place of the one that is open: two would need twice the memory. */
static bool open_session(struct cli *c, enum terra_mode mode, struct err *e)
{
    terra_session_close(c->session);
    return cli_session_in(c, mode, generate_max_source(c->shape), generate_max_target(c->shape),
                          e);
}

bool cmd_lens(struct cli *c, int64_t run, uint32_t token, bool set_mode, struct err *e)
{
    struct pool pool = {0};
    struct store_run r;
    struct terra_ids ids = {0};
    struct lens v = {0};
    struct generate_pin pin[GENERATE_PINS];
    size_t n_pins = 0;
    int32_t *target;
    size_t n, forced;
    bool ok = (c->model || cli_model(c, e)) && store_run_get(c->store, run, &pool, &r, e) &&
              store_run_target(c->store, run, &pool, &target, &n, &forced, e) &&
              same_model(c, &r, &pool, e) && setup_pins(r.params, pin, &n_pins, e);
    uint64_t at = ok ? forced + (uint64_t)token : 0;
    if (ok && at >= n)
        ok = err_set(e, ERR_CHECK, "run %" PRId64 " has %zu tokens, from 0", run, n - forced);
    ok = ok && source(c, &r, &pool, &ids, e) &&
         open_session(c, set_mode ? setup_mode(&c->config) : run_mode(&r), e) &&
         lens_run(c->session, c->shape, &ids, target, at, pin, n_pins, &v, e) &&
         print(c, &v, e);
    terra_session_close(c->session);
    c->session = NULL;
    lens_free(&v);
    terra_ids_free(&ids);
    pool_free(&pool);
    return ok;
}
