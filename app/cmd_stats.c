/* cmd_stats.c - `terra stats`: use of the feed-forward units, over stored runs.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/usage.h"
#include "engine/base/json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static bool choose(struct cli *c, struct store_use_opts *o, struct err *e)
{
    const struct args *a = c->args;
    o->stage = a->stage && strcmp(a->stage, "enc") == 0 ? STORE_ENC : STORE_DEC;
    if (a->n_pos && !cli_run_id(c, a->pos[0], &o->run, e))
        return false;
    if (!a->model)
        return true;
    /* A stored model is known by its file's header. */
    if (!cli_model(c, e))
        return false;
    struct terra_model_info info;
    terra_model_info(c->model, &info);
    struct store_model m = {.bytes = info.file_bytes};
    memcpy(m.header_sha256, info.header_sha256, sizeof m.header_sha256);
    return store_model_find(c->store, &m, &o->model, e);
}

static double share(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static uint64_t sum(const uint64_t *v, uint32_t n)
{
    uint64_t s = 0;
    for (uint32_t i = 0; i < n; i++)
        s += v[i];
    return s;
}

/* Blocks of a layer: narrow layers have fewer than the widest, and every token chooses in
 * each that there is. */
static uint32_t blocks_of(const struct store_use *u, uint32_t l)
{
    const uint64_t *count = u->count + (uint64_t)l * u->blocks * u->units;
    uint32_t n = 0;
    while (n < u->blocks && sum(count + (uint64_t)n * u->units, u->units) > 0)
        n++;
    return n;
}

static void layer_line(struct cli *c, const struct store_use *u, uint32_t l, struct buf *b)
{
    const uint64_t *count = u->count + (uint64_t)l * u->blocks * u->units;
    uint32_t blocks = blocks_of(u, l);
    struct usage got = usage_mean(count, blocks, u->units);
    uint64_t pairs = u->rows > u->runs ? u->rows - u->runs : 0;
    double flips = share(sum(u->flips + l * u->blocks, blocks), pairs * blocks);
    double zero = share(sum(u->zero + l * u->blocks, blocks), u->alive_rows * blocks);
    if (c->args->json) {
        headless_object(b, "layer");
        json_int(b, "layer", l);
        json_num(b, "entropy_bits", got.entropy, 5);
        json_num(b, "effective_units", got.effective, 5);
        json_num(b, "unused", got.unused, 5);
        json_num(b, "flips", flips, 5);
        json_num(b, "zero", zero, 5);
        json_close(b, '}');
        buf_add_byte(b, '\n');
    } else {
        buf_printf(b, "%5u  %8.2f  %9.1f  %7.1f%%  %5.1f%%  %5.1f%%\n", l, got.entropy,
                   got.effective, 100 * got.unused, 100 * flips, 100 * zero);
    }
}

static void summary(struct cli *c, const struct store_use *u, struct buf *b)
{
    struct usage chance = usage_chance(u->rows, u->units);
    bool evidence = usage_is_evidence(u->rows, u->runs, u->units);
    if (c->args->json) {
        headless_object(b, "stats");
        json_int(b, "rows", (int64_t)u->rows);
        json_int(b, "runs", (int64_t)u->runs);
        json_int(b, "other_rows", (int64_t)u->other_rows);
        json_int(b, "damaged_rows", (int64_t)u->damaged_rows);
        json_int(b, "layers", u->layers);
        json_int(b, "blocks", u->blocks);
        json_int(b, "units", u->units);
        json_open(b, "chance", '{');
        json_num(b, "entropy_bits", chance.entropy, 5);
        json_num(b, "effective_units", chance.effective, 5);
        json_num(b, "unused", chance.unused, 5);
        json_close(b, '}');
        json_bool(b, "evidence", evidence);
        json_close(b, '}');
        buf_add_byte(b, '\n');
        return;
    }
    buf_printf(b,
               "%" PRIu64 " tokens of %" PRIu64 " runs; %u layers of %u blocks of %u units\n",
               u->rows, u->runs, u->layers, u->blocks, u->units);
    if (u->other_rows)
        buf_printf(b, "%" PRIu64 " tokens of models of another shape are not counted\n",
                   u->other_rows);
    buf_add_str(b,
                "layer   entropy  effective    unused   flips    zero   (means over blocks)\n");
    buf_printf(
        b, "chance  %7.2f  %9.1f  %7.1f%%  %5.1f%%         (uniform choices, as many tokens)\n",
        chance.entropy, chance.effective, 100 * chance.unused,
        100 * (1 - 1.0 / (u->units ? u->units : 1)));
}

static void csv(const struct cli *c, const struct store_use *u, struct buf *b)
{
    buf_add_str(b, "layer,block,unit,count\n");
    for (uint32_t l = 0; l < u->layers; l++) {
        if (!cli_wants_layer(c, l))
            continue;
        const uint64_t *count = u->count + (uint64_t)l * u->blocks * u->units;
        uint32_t blocks = blocks_of(u, l);
        for (uint32_t k = 0; k < blocks; k++)
            for (uint32_t i = 0; i < u->units; i++)
                buf_printf(b, "%u,%u,%u,%" PRIu64 "\n", l, k, i, *count++);
    }
}

static bool print(struct cli *c, const struct store_use *u, struct err *e)
{
    const char *format = c->args->format ? c->args->format : "";
    struct buf b = {0};
    if (strcmp(format, "csv") == 0) {
        csv(c, u, &b);
    } else {
        summary(c, u, &b);
        for (uint32_t l = 0; l < u->layers; l++)
            if (cli_wants_layer(c, l))
                layer_line(c, u, l, &b);
        if (!c->args->json && !usage_is_evidence(u->rows, u->runs, u->units))
            buf_printf(
                &b, "too few tokens to call a unit dead: that takes %u tokens of 3 documents\n",
                5 * u->units);
    }
    bool ok = cli_output(c, buf_str(&b), b.len, e);
    buf_free(&b);
    return ok;
}

static bool stats(struct cli *c, struct err *e)
{
    struct pool pool = {0};
    struct store_use_opts o = {0};
    struct store_use u;
    if (!cli_store(c, true, e) || !choose(c, &o, e))
        return false;
    bool ok = store_use(c->store, &o, &pool, &u, e);
    if (ok && u.rows == 0)
        ok = err_set(e, ERR_CHECK, "no choices are stored for that");
    ok = ok && cli_layer(c, u.layers, e) && print(c, &u, e);
    pool_free(&pool);
    return ok;
}

int cmd_stats(const struct args *a)
{
    struct cli c;
    struct err e = {0};
    struct args own = *a;
    if (!cli_format(&own, "csv|json|jsonl", &e))
        return cli_fail(a, &e);
    bool ok = cli_open(&c, &own, &e) && stats(&c, &e);
    return cli_close(&c, ok, &e);
}
