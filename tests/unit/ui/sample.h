/* sample.h - view models full of plausible, fixed content for the drawing tests.
 *
 * Owns: sample_open fills a struct sample in place; sample_close frees its flows.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_TESTS_UI_SAMPLE_H
#define TERRA_TESTS_UI_SAMPLE_H

#include "ui/vm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_LAYERS 24
#define SAMPLE_BLOCKS 64
#define SAMPLE_UNITS  64
#define SAMPLE_TOKENS 118

struct sample {
    struct vm vm;
    struct flow out, a, b;
    struct flow_view follow;
    uint8_t level[SAMPLE_LAYERS * SAMPLE_BLOCKS], other[SAMPLE_LAYERS * SAMPLE_BLOCKS];
    uint8_t difference[SAMPLE_LAYERS * SAMPLE_BLOCKS];
    uint16_t unit[SAMPLE_LAYERS * SAMPLE_BLOCKS];
    uint32_t uses[SAMPLE_BLOCKS * SAMPLE_UNITS];
    uint8_t age[SAMPLE_BLOCKS * SAMPLE_UNITS];
    uint8_t flips[SAMPLE_LAYERS * SAMPLE_TOKENS];
    struct vm_layer_stat stat[SAMPLE_LAYERS];
    struct vm_timing timing[SAMPLE_TOKENS];
};

/* The same numbers on every machine. */
static uint32_t sample_seed;

static uint32_t sample_random(void)
{
    sample_seed = sample_seed * 1664525u + 1013904223u;
    return sample_seed >> 8;
}

static const char *const sample_words[] = {
    "The",      " paper",  " trains", " a",          " trans",   "former",      " whose",
    " feed",    "-",       "forward", " layers",     " keep",    " one",        " unit",
    " per",     " block",  ".",       " A",          " small",   " controller", " picks",
    " the",     " unit",   ",",       " so",         " a",       " decoder",    " step",
    " reads",   " 1/64",   " of",     " those",      " weights", ".",           " The",
    " authors", " report", " equal",  " perplexity", " at",      " equal",      " size",
    " and",     " a",      " faster", " single",     "-",        "token",       " decode",
    ".",        " They",   " add",    " sparse",     " query",   ",",           " key",
    " and",     " value",  " layers", " and",        " rev",     "ersible"};
#define SAMPLE_WORDS (sizeof sample_words / sizeof *sample_words)

static void sample_numbers(struct sample *s)
{
    for (size_t i = 0; i < sizeof s->level; i++) {
        uint32_t r = sample_random() % 255, q = sample_random() % 255;
        s->level[i] = (uint8_t)(r * q / 255); /* mostly low */
        s->other[i] = sample_random() % 8 ? s->level[i] : (uint8_t)(q);
        s->difference[i] = s->other[i] == s->level[i] ? 0 : 254;
        s->unit[i] = (uint16_t)(sample_random() % SAMPLE_UNITS);
    }
    for (size_t i = 0; i < SAMPLE_BLOCKS * SAMPLE_UNITS; i++) {
        uint32_t r = sample_random() % 100;
        s->uses[i] = r < 16 ? 0 : r < 80 ? 1 + r % 3 : r % 9;
        s->age[i] = r > 92 ? (uint8_t)(1 + r % 20) : 255;
    }
    for (size_t b = 0; b < SAMPLE_BLOCKS; b++)
        s->age[b * SAMPLE_UNITS + s->unit[11 * SAMPLE_BLOCKS + b]] = 0;
    for (size_t i = 0; i < sizeof s->flips; i++)
        s->flips[i] = (uint8_t)(sample_random() % 200);
    for (int l = 0; l < SAMPLE_LAYERS; l++)
        s->stat[l] = (struct vm_layer_stat){.entropy = 4.2 + sample_random() % 15 / 10.0,
                                            .eff = 20 + sample_random() % 200 / 10.0,
                                            .zero = sample_random() % 20 / 100.0,
                                            .margin = 0.41,
                                            .flips = sample_random() % 60 / 100.0,
                                            .unused = 11,
                                            .n = SAMPLE_TOKENS,
                                            .low_n = true};
    for (int i = 0; i < SAMPLE_TOKENS; i++) {
        static const uint64_t part[7] = {3100, 4800, 9000, 12300, 8000, 200, 700};
        struct vm_timing *tm = &s->timing[i];
        for (int k = 0; k < 7; k++) {
            tm->part_ns[k] = part[k] * (900 + sample_random() % 200);
            tm->ns += tm->part_ns[k];
        }
        if (i % 37 == 17) {
            tm->ns += 13000000;
            tm->part_ns[6] += 13000000;
        }
    }
}

static void sample_map(struct sample *s, struct vm_map *m)
{
    *m = (struct vm_map){.zoom = VM_ZOOM_ALL,
                         .stage = "decoder",
                         .metric = "surprise",
                         .lo = "0",
                         .hi = "6 bits",
                         .layers = SAMPLE_LAYERS,
                         .blocks = SAMPLE_BLOCKS,
                         .units = SAMPLE_UNITS,
                         .level = s->level,
                         .unit = s->unit,
                         .stat = s->stat,
                         .layer = 11,
                         .block = 37,
                         .token = 118,
                         .text = "ersible",
                         .live = true,
                         .flips = 0.41,
                         .chance = 1.0 / SAMPLE_UNITS,
                         .uses = s->uses,
                         .uses_n = SAMPLE_TOKENS,
                         .age = s->age,
                         .unused_chance = 10.0};
}

static void sample_strip(struct vm_strip *st)
{
    *st = (struct vm_strip){
        .text = sample_words,
        .n = SAMPLE_WORDS,
        .at = SAMPLE_WORDS - 1,
        .first = 118 - (int32_t)SAMPLE_WORDS + 1,
        .n_top = 5,
        .p = 0.82,
        .top = {{"ersible", .82}, {"olution", .06}, {"ise", .03}, {"iew", .02}, {"eal", .01}}};
}

static void sample_flow(struct flow *f, size_t words)
{
    int32_t first = 118 - (int32_t)SAMPLE_WORDS + 1;
    for (size_t i = 0; i < words; i++)
        flow_add(f, sample_words[i], strlen(sample_words[i]), first + (int32_t)i, 255);
}

static void sample_latency(struct sample *s)
{
    s->vm.latency =
        (struct vm_latency){.token = s->timing,
                            .n = SAMPLE_TOKENS,
                            .mark = SAMPLE_TOKENS - 1,
                            .parts = 7,
                            .part = {"ctl", "ff", "qkv", "att", "head", "sample", "other"},
                            .part_ms = {3.1, 4.8, 9.0, 12.3, 8.0, 0.2, 0.7},
                            .ms = 38.1,
                            .p50 = 37.4,
                            .p90 = 41.0,
                            .p99 = 52.0,
                            .ttft_s = 1.82,
                            .prefill_tok_s = 2148,
                            .decode_tok_s = 26.2,
                            .observer = 0.004,
                            .bytes_token = 1.19e9,
                            .bytes_dense = 3.71e9,
                            .bandwidth = 31.2e9,
                            .bandwidth_peak = 46.0e9,
                            .byte_parts = 5,
                            .byte_part = {"ff", "ctl", "qkv", "att", "head"},
                            .byte_part_n = {.04e9, .01e9, .21e9, .55e9, .38e9}};
}

static void sample_compare(struct sample *s)
{
    s->vm.compare = (struct vm_compare){.a = {.name = "sparse",
                                              .flow = &s->a,
                                              .view = &s->follow,
                                              .done = 118,
                                              .total = 128,
                                              .ms = 38.1,
                                              .tok_s = 26.2,
                                              .part_ms = {3.1, 4.8, 9.0, 12.3, 8.0, 0.9},
                                              .level = s->level},
                                        .b = {.name = "masked-dense",
                                              .flow = &s->b,
                                              .view = &s->follow,
                                              .done = 41,
                                              .total = 128,
                                              .ms = 109.6,
                                              .tok_s = 9.1,
                                              .part_ms = {3.1, 76.3, 9.1, 12.2, 8.0, 0.9},
                                              .level = s->other},
                                        .relation = "same weights, same function",
                                        .has_seed = true,
                                        .seed = 42,
                                        .playing = true,
                                        .speed = 1,
                                        .token = 97,
                                        .badge = VM_BADGE_BIT,
                                        .same = 41,
                                        .compared = 41,
                                        .first_diff = -1,
                                        .gap = NAN,
                                        .max_abs = 0,
                                        .speedup = 2.88,
                                        .low = 2.81,
                                        .high = 2.94,
                                        .pairs = 41,
                                        .expected = 3.12,
                                        .parts = 6,
                                        .part = {"ctl", "ff", "qkv", "att", "head", "other"},
                                        .layers = SAMPLE_LAYERS,
                                        .blocks = SAMPLE_BLOCKS,
                                        .difference = s->difference,
                                        .metric = "surprise",
                                        .lo = "0",
                                        .hi = "6 bits",
                                        .order = "A,B,A,B then replayed"};
}

static void sample_sessions(struct vm_sessions *v)
{
    static const struct vm_session row[] = {
        {12, '*', "today 18:20", 5, 611, 26.2, "paper.txt", "Sparse is enough, summary"},
        {11, ' ', "today 09:02", 2, 256, 25.9, NULL, "bandwidth of a laptop"},
        {9, '!', "Nov 20 22:41", 1, 97, 24.8, "thesis.txt", "(interrupted, kept 97 tok)"},
        {4, ' ', "Nov 12 11:15", 8, 2048, 8.8, "paper.txt", "compare sparse / masked"}};
    static const double rate[] = {20, 22, 26.2, 25, 26.1};
    *v = (struct vm_sessions){
        .row = row,
        .n = 4,
        .total = 57,
        .query = "bandwidth",
        .editing = true,
        .cursor = 9,
        .sort = "updated",
        .size = "38 MB",
        .log = "on",
        .preview =
            "...reads 1/64 of those weights. The [bandwidth] bound falls with the bytes "
            "that one token touches, so the sparse layers help most where memory is slow.",
        .rate = rate,
        .n_rate = 5};
}

static void sample_inspect(struct sample *s)
{
    struct vm_inspect *v = &s->vm.inspect;
    *v = (struct vm_inspect){.run = 3,
                             .token = 118,
                             .n = 256,
                             .text = "ersible",
                             .id = 31822,
                             .p = .82,
                             .unit = 22,
                             .margin = .41,
                             .relu = .73,
                             .block_flips = 48,
                             .block_entropy = 4.6,
                             .max_entropy = 6,
                             .flips = s->flips,
                             .n_flips = SAMPLE_TOKENS,
                             .flips_first = 1};
    sample_strip(&v->strip);
    sample_map(s, &v->map);
    v->map.cursor = true;
    v->agree = s->vm.agree;
}

static void sample_frame(struct sample *s)
{
    static const struct vm_hint hint[] = {{"Esc", "stop"},  {"Tab", "pane"},  {"m", "metric"},
                                          {"h/l", "token"}, {"c", "compare"}, {"s", "sessions"},
                                          {":", "command"}, {"j/k", "layer"}, {"Space", "play"},
                                          {"e", "export"},  {"y", "copy"}};
    s->vm.header = (struct vm_header){.session = 12,
                                      .title = "paper.txt",
                                      .model = "wiki-800m",
                                      .layers = SAMPLE_LAYERS,
                                      .blocks = SAMPLE_BLOCKS,
                                      .units = SAMPLE_UNITS,
                                      .dtype = "f32",
                                      .mode = "sparse",
                                      .threads = 4,
                                      .has_seed = true,
                                      .seed = 42,
                                      .run = 3,
                                      .runs = 5,
                                      .state = "GEN",
                                      .busy = true,
                                      .done = 118,
                                      .total = 256,
                                      .tok_s = 26.2};
    s->vm.message = (struct vm_message){
        .text = "document 3,912 tokens, context 4,096: fits, nothing dropped", .progress = -1};
    s->vm.hints = (struct vm_hints){hint, sizeof hint / sizeof *hint};
    s->vm.prompt = (struct vm_prompt){.prompt = "prompt> ",
                                      .text = "",
                                      .active = true,
                                      .placeholder = "ask, or :load FILE, or :help"};
}

static void sample_open(struct sample *s)
{
    static const int32_t token[] = {111, 112, 113, 114, 115, 116, 117, 118};
    static const double share[] = {.09, .12, .31, .11, .14, .10, .59, 1.0};
    memset(s, 0, sizeof *s);
    sample_seed = 1;
    sample_numbers(s);
    s->follow.follow = true;
    flow_put(&s->out, FLOW_USER, "Summarise the attached paper in about 80 words.");
    flow_begin(&s->out, FLOW_REPLY);
    sample_flow(&s->out, SAMPLE_WORDS);
    flow_begin(&s->a, FLOW_REPLY);
    sample_flow(&s->a, SAMPLE_WORDS);
    flow_begin(&s->b, FLOW_REPLY);
    sample_flow(&s->b, 24);
    s->vm.focus = VM_PROMPT;
    s->vm.output = (struct vm_output){.flow = &s->out,
                                      .view = &s->follow,
                                      .empty = "Type a question below and press Enter.",
                                      .token = 118,
                                      .pinned = FLOW_NO_TOKEN,
                                      .live = true};
    s->vm.agree = (struct vm_agree){.n = 8,
                                    .token = token,
                                    .share = share,
                                    .chance = 1.0 / SAMPLE_UNITS,
                                    .like = 113,
                                    .like_text = " revers",
                                    .like_share = .31};
    sample_frame(s);
    sample_map(s, &s->vm.map);
    sample_strip(&s->vm.strip);
    sample_latency(s);
    sample_compare(s);
    sample_sessions(&s->vm.sessions);
    sample_inspect(s);
    static const char *const lines[] = {"# decode, tokens per second",
                                        "sparse  26.2 +- 0.4",
                                        "masked   9.1 +- 0.1",
                                        "",
                                        "# memory",
                                        "weights touched per token  1.19 GB"};
    s->vm.page = (struct vm_page){.title = "bench", .line = lines, .n = 6};
}

static void sample_close(struct sample *s)
{
    flow_free(&s->out);
    flow_free(&s->a);
    flow_free(&s->b);
}

static const struct vm_help_row sample_help_row[] = {
    {"m", "cycle metric: unit, flip, surprise, margin, zero, p", "works here", NULL},
    {"L", "latency pane: ms, parts, bytes", "works here", NULL},
#define NUMBER(name, text, more) {name, text, "numbers on the screen", more},
#include "app/numbers.def" /* the real ones: they must fit */
#undef NUMBER
};
#define SAMPLE_HELP_ROWS (sizeof sample_help_row / sizeof *sample_help_row)
static const struct vm_help sample_help = {.title = "main, focus = prompt",
                                           .filter = "",
                                           .row = sample_help_row,
                                           .n = SAMPLE_HELP_ROWS,
                                           .total = SAMPLE_HELP_ROWS,
                                           .selected = 13};
static const struct vm_choice sample_choice[] = {{"c", "chunk it: 3 parts, then one summary"},
                                                 {"t", "cut it: read the first 4,096 tokens"},
                                                 {"Esc", "cancel"}};
static const struct vm_dialog sample_dialog = {
    .title = "the document is too long",
    .text = "thesis.txt has 11,204 tokens, but the model reads at most 4,096 at once. "
            "Nothing has been read yet.",
    .choice = sample_choice,
    .n = 3};

#endif
