/* cmd_trace.c - `terra trace`: the units that every token of a stored run chose.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cmd_stored.h"
#include "engine/base/json_out.h"

#include <inttypes.h>
#include <string.h>

static void csv_row(const struct cli *c, int64_t run, const struct store_trace *t, uint32_t i,
                    struct buf *b)
{
    const char *stage = t->stage == STORE_ENC ? "enc" : "dec";
    size_t at = (size_t)i * t->layers * t->blocks;
    for (uint32_t l = 0; l < t->layers; l++)
        for (uint32_t k = 0; k < t->blocks; k++, at++) {
            if (t->unit[at] == TRACE_NONE || !cli_wants_layer(c, l))
                continue;
            buf_printf(b, "%" PRId64 ",%s,%u,%u,%u,%u", run, stage, t->pos + i, l, k,
                       t->unit[at]);
            if (t->margin)
                buf_printf(b, ",%.4g", (double)t->margin[at]);
            else
                buf_add_byte(b, ',');
            buf_printf(b, ",%s\n", !t->alive ? "" : t->alive[at] ? "1" : "0");
        }
}

static void json_row(const struct cli *c, const struct store_trace *t, uint32_t i,
                     const struct store_token *token, struct buf *b)
{
    headless_object(b, "trace");
    json_cstr(b, "stage", t->stage == STORE_ENC ? "enc" : "dec");
    json_int(b, "pos", t->pos + i);
    if (token) {
        json_int(b, "id", token->id);
        json_str(b, "text", token->text, token->n_text);
    }
    json_open(b, "units", '[');
    for (uint32_t l = 0; l < t->layers; l++) {
        if (!cli_wants_layer(c, l))
            continue;
        json_open(b, NULL, '[');
        for (uint32_t k = 0; k < t->blocks; k++) {
            uint16_t unit = t->unit[((size_t)i * t->layers + l) * t->blocks + k];
            if (unit != TRACE_NONE)
                json_int(b, NULL, unit);
        }
        json_close(b, ']');
    }
    json_close(b, ']');
    json_close(b, '}');
    buf_add_byte(b, '\n');
}

static bool print(struct cli *c, int64_t run, const struct store_trace *t,
                  const struct store_token *token, size_t n_tokens, struct err *e)
{
    bool json = c->args->json;
    struct buf b = {0};
    if (!json)
        buf_add_str(&b, "run,stage,pos,layer,block,unit,margin,alive\n");
    for (uint32_t i = 0; i < t->n; i++) {
        bool dec = t->stage == STORE_DEC && t->pos + i < n_tokens;
        if (json)
            json_row(c, t, i, dec ? &token[t->pos + i] : NULL, &b);
        else
            csv_row(c, run, t, i, &b);
    }
    if (t->n_damaged)
        cli_note(c, "%u rows are damaged and left out", t->n_damaged);
    bool ok = cli_output(c, buf_str(&b), b.len, e);
    buf_free(&b);
    return ok;
}

static bool trace(struct cli *c, struct err *e)
{
    struct pool pool = {0};
    struct store_trace t;
    struct store_token *token;
    size_t n;
    int64_t run;
    bool enc = c->args->stage && strcmp(c->args->stage, "enc") == 0;
    if (c->args->lens >= 0 && (c->args->layer >= 0 || c->args->stage))
        return err_set(e, ERR_USAGE, "--lens shows every decoder layer: not together with --%s",
                       c->args->stage ? "stage" : "layer");
    if (!cli_store(c, true, e) || !cli_run_id(c, c->args->pos[0], &run, e))
        return false;
    if (c->args->lens >= 0)
        return cmd_lens(c, run, (uint32_t)c->args->lens, c->args->mode != NULL, e);
    bool ok = store_tokens(c->store, run, &pool, &token, &n, e) &&
              store_trace_get(c->store, run, enc ? STORE_ENC : STORE_DEC, &pool, &t, e);
    if (ok && t.n == 0)
        ok = err_set(e, ERR_CHECK, "run %" PRId64 " has no stored choices%s", run,
                     enc ? ": the encoder's need --trace all" : "");
    ok = ok && cli_layer(c, t.layers, e) && print(c, run, &t, token, n, e);
    pool_free(&pool);
    return ok;
}

int cmd_trace(const struct args *a)
{
    struct cli c;
    struct err e = {0};
    struct args own = *a;
    if (!cli_format(&own, "csv|json|jsonl", &e))
        return cli_fail(a, &e);
    bool ok = cli_open(&c, &own, &e) && trace(&c, &e);
    return cli_close(&c, ok, &e);
}
