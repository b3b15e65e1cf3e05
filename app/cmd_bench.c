/* cmd_bench.c - `terra bench`: hands its options to bench.h.
 *
 * SPDX-License-Identifier: MIT */
#include "app/bench.h"
#include "app/cli.h"
#include "app/signals.h"

int cmd_bench(const struct args *a)
{
    struct user_config config;
    struct err e = {0};
    struct buf model = {0};
    if (!setup_open(&config, a, &e))
        return cli_fail(a, &e);
    bool ok = !a->model || setup_find_model(&config, a->model, &model, &e);
    int status = e.kind;
    if (ok) {
        struct bench_options o = {.model = a->model ? buf_str(&model) : NULL,
                                  .preset = a->preset,
                                  .modes = a->modes ? a->modes : a->mode,
                                  .dtype = a->dtype,
                                  .format = a->format,
                                  .output = a->output,
                                  .svg = a->svg,
                                  .threads = setup_threads(&config),
                                  .blocks = a->blocks,
                                  .prompt = a->bench_prompt,
                                  .tokens = a->bench_tokens,
                                  .rounds = a->bench_rounds,
                                  .depth = a->bench_depth,
                                  .paper = a->paper,
                                  .sweep = a->sweep,
                                  .layer = a->one_layer,
                                  .json = a->json,
                                  .quiet = a->quiet,
                                  .cancel = signals_cancel()};
        status = bench_run(&o, &e);
    }
    if (e.kind && e.kind != ERR_CANCELLED)
        status = cli_fail(a, &e);
    buf_free(&model);
    setup_close(&config);
    if (signals_got())
        signals_die(signals_got());
    return status;
}
