/* SPDX-License-Identifier: MIT */
#include "app/timeline.h"

#include "engine/base/xalloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEVEL_MAX  254
#define LEVEL_NONE 255
#define ALIVE_NONE 2
#define COUNT_ROWS 64 /* counted at once: their cells of one place stay in the first cache */

const char *const metric_name[METRICS] = {"surprise", "flip", "unit", "margin",
                                          "zero",     "use",  "p"};
const char *const metric_help[METRICS] = {
    "how unexpected the chosen unit is, from the tokens before: -log2 of its past share",
    "blocks that chose another unit than for the token before",
    "index of the chosen unit",
    "how sure the controller was: its best value minus the second best, on a log scale",
    "blocks whose chosen unit ReLU then made zero: it contributed nothing",
    "share of the tokens so far that chose the same unit",
    "probability of each token, shaded in the text; the map shows surprise"};

bool metric_parse(const char *name, enum metric *out)
{
    for (int i = 0; i < METRICS; i++)
        if (strcmp(name, metric_name[i]) == 0) {
            *out = (enum metric)i;
            return true;
        }
    return false;
}

/* ---- rows ---------------------------------------------------------------------- */

size_t choice_cells(const struct choice_rows *r)
{
    return (size_t)r->layers * r->blocks;
}

const uint16_t *choice_row(const struct choice_rows *r, size_t i)
{
    return r->unit + i * choice_cells(r);
}

void choice_rows_free(struct choice_rows *r)
{
    free(r->unit);
    free(r->margin);
    free(r->alive);
    free(r->count);
    memset(r, 0, sizeof *r);
}

void choice_rows_shape(struct choice_rows *r, uint32_t layers, uint32_t blocks, uint32_t units)
{
    if (blocks == 0 || units == 0 || layers == 0)
        layers = blocks = units = 0;
    if (r->layers != layers || r->blocks != blocks || r->units != units) {
        choice_rows_free(r);
        r->layers = layers;
        r->blocks = blocks;
        r->units = units;
        if (layers)
            r->count = xcalloc(choice_cells(r) * units, sizeof *r->count);
    } else if (layers) {
        memset(r->count, 0, choice_cells(r) * units * sizeof *r->count);
    }
    r->n = r->counted = 0;
}

static void reserve(struct choice_rows *r, size_t n)
{
    if (n <= r->cap)
        return;
    size_t cells = choice_cells(r), cap = r->cap ? r->cap * 2 : 64;
    if (cap < n)
        cap = n;
    r->unit = xrealloc(r->unit, cap * cells, sizeof *r->unit);
    r->margin = xrealloc(r->margin, cap * cells, sizeof *r->margin);
    r->alive = xrealloc(r->alive, cap * cells, sizeof *r->alive);
    r->cap = cap;
}

static void blank_rows(struct choice_rows *r, size_t from, size_t to)
{
    size_t cells = choice_cells(r);
    for (size_t i = from * cells; i < to * cells; i++) {
        r->unit[i] = TERRA_NO_UNIT;
        r->margin[i] = NAN;
        r->alive[i] = ALIVE_NONE;
    }
}

void choice_rows_add(struct choice_rows *r, const uint16_t *unit, const float *margin,
                     const uint8_t *alive)
{
    size_t cells = choice_cells(r), at = r->n * cells;
    if (!cells)
        return;
    reserve(r, r->n + 1);
    if (!unit || !margin || !alive)
        blank_rows(r, r->n, r->n + 1);
    if (unit)
        memcpy(r->unit + at, unit, cells * sizeof *unit);
    if (margin)
        memcpy(r->margin + at, margin, cells * sizeof *margin);
    if (alive)
        memcpy(r->alive + at, alive, cells * sizeof *alive);
    r->n++;
}

void choice_rows_put(struct choice_rows *r, uint32_t layer, size_t first, size_t n,
                     uint32_t blocks, const uint16_t *unit, const float *margin,
                     const uint8_t *alive)
{
    if (layer >= r->layers || blocks > r->blocks)
        return;
    if (r->counted) { /* somebody looked before all layers were there */
        memset(r->count, 0, choice_cells(r) * r->units * sizeof *r->count);
        r->counted = 0;
    }
    if (first + n > r->n) {
        reserve(r, first + n);
        blank_rows(r, r->n, first + n);
        r->n = first + n;
    }
    for (size_t i = 0; i < n; i++) {
        size_t to = (first + i) * choice_cells(r) + (size_t)layer * r->blocks;
        memcpy(r->unit + to, unit + i * blocks, blocks * sizeof *unit);
        if (margin)
            memcpy(r->margin + to, margin + i * blocks, blocks * sizeof *margin);
        if (alive)
            memcpy(r->alive + to, alive + i * blocks, blocks * sizeof *alive);
    }
}

/* ---- metrics -------------------------------------------------------------------- */

/* Margins from 2^-10 to 2^5.5 are told apart, on a log scale. */
#define MARGIN_LOW  (-10.0)
#define MARGIN_HIGH 5.5

double choice_surprise(uint32_t uses, size_t row, uint32_t units)
{
    return -log2((double)(uses ? uses : 1) / (double)(row + units));
}

static uint8_t to_level(double x)
{
    return (uint8_t)(x <= 0 ? 0 : x >= 1 ? LEVEL_MAX : x * LEVEL_MAX + 0.5);
}

static uint8_t cell_level(const struct choice_rows *r, size_t row, size_t c, enum metric m)
{
    size_t cells = choice_cells(r), at = row * cells + c;
    uint16_t unit = r->unit[at];
    if (unit >= r->units)
        return LEVEL_NONE;
    switch (m) {
    case METRIC_FLIP:
        if (row == 0 || r->unit[at - cells] >= r->units)
            return LEVEL_NONE;
        return r->unit[at - cells] != unit ? LEVEL_MAX : 0;
    case METRIC_UNIT:
        return r->units < 2 ? 0 : to_level((double)unit / (r->units - 1));
    case METRIC_MARGIN:
        if (isnan(r->margin[at]))
            return LEVEL_NONE;
        return to_level((log2(fmax(r->margin[at], 1e-9)) - MARGIN_LOW) /
                        (MARGIN_HIGH - MARGIN_LOW));
    case METRIC_ZERO:
        return r->alive[at] == ALIVE_NONE ? LEVEL_NONE : r->alive[at] ? 0 : LEVEL_MAX;
    case METRIC_USE:
        return to_level((double)r->count[c * r->units + unit] / (double)(row + 1));
    default:
        return to_level(choice_surprise(r->count[c * r->units + unit], row, r->units) /
                        log2(r->units < 2 ? 2 : r->units));
    }
}

void metric_levels(struct choice_rows *r, size_t row, enum metric m, uint8_t *out)
{
    if (row < r->n && (m == METRIC_USE || m == METRIC_SURPRISE))
        choice_count_to(r, row + 1);
    for (size_t c = 0; c < choice_cells(r); c++)
        out[c] = row < r->n ? cell_level(r, row, c, m) : LEVEL_NONE;
}

void metric_ends(const struct choice_rows *r, enum metric m, char *lo, char *hi)
{
    const char *low = "0", *high = "";
    char text[24];
    switch (m) {
    case METRIC_FLIP:
        low = "same";
        high = "flipped";
        break;
    case METRIC_UNIT:
        snprintf(text, sizeof text, "unit %u", r->units ? r->units - 1 : 0);
        high = text;
        break;
    case METRIC_MARGIN:
        low = ".001";
        high = "45 (log)";
        break;
    case METRIC_ZERO:
        low = "used";
        high = "zero";
        break;
    case METRIC_USE:
        low = "0";
        high = "100%";
        break;
    default:
        snprintf(text, sizeof text, "%.3g bits", log2(r->units < 2 ? 2 : r->units));
        high = text;
        break;
    }
    snprintf(lo, 24, "%s", low);
    snprintf(hi, 24, "%s", high);
}

void metric_difference(const struct choice_rows *r, size_t row, const struct choice_rows *other,
                       size_t other_row, uint8_t *out)
{
    size_t cells = choice_cells(r);
    bool known = row < r->n && other_row < other->n && choice_cells(other) == cells;
    for (size_t c = 0; c < cells; c++) {
        out[c] = LEVEL_NONE;
        if (known && r->unit[row * cells + c] != TERRA_NO_UNIT)
            out[c] =
                r->unit[row * cells + c] == other->unit[other_row * cells + c] ? 0 : LEVEL_MAX;
    }
}

double choice_agreement(const struct choice_rows *r, size_t i, size_t j)
{
    size_t same = 0, n = 0, cells = choice_cells(r);
    if (i >= r->n || j >= r->n)
        return NAN;
    const uint16_t *a = choice_row(r, i), *b = choice_row(r, j);
    for (size_t c = 0; c < cells; c++) {
        bool known = a[c] != TERRA_NO_UNIT && b[c] != TERRA_NO_UNIT;
        n += known;
        same += known && a[c] == b[c];
    }
    return n ? (double)same / (double)n : NAN;
}

double choice_flips(const struct choice_rows *r, size_t row)
{
    return row == 0 ? NAN : 1 - choice_agreement(r, row, row - 1);
}

/* ---- counts --------------------------------------------------------------------- */

/* Place by place: the counts of all of them are more than a cache holds beside a model, and
 * a frame asks for many tokens at once.  by is 1, or -1 modulo 2^32. */
static void count_rows(struct choice_rows *r, size_t from, size_t to, uint32_t by)
{
    size_t cells = choice_cells(r);
    for (size_t end; from < to; from = end) {
        end = to - from < COUNT_ROWS ? to : from + COUNT_ROWS;
        for (size_t place = 0; place < cells; place++) {
            uint32_t *count = r->count + place * r->units;
            for (size_t at = from * cells + place; at < end * cells; at += cells)
                if (r->unit[at] < r->units)
                    count[r->unit[at]] += by;
        }
    }
}

void choice_count_to(struct choice_rows *r, size_t n)
{
    if (!r->layers)
        return;
    if (n > r->n)
        n = r->n;
    if (n > r->counted)
        count_rows(r, r->counted, n, 1);
    else
        count_rows(r, n, r->counted, UINT32_MAX);
    r->counted = n;
}

/* n log2 n of the counts that nearly all units have. */
struct small_logs {
    double of[256];
};

static void fill_logs(struct small_logs *logs)
{
    logs->of[0] = 0;
    for (uint32_t n = 1; n < sizeof logs->of / sizeof *logs->of; n++)
        logs->of[n] = n * log2(n);
}

static double n_log_n(const struct small_logs *logs, uint32_t n)
{
    return n < sizeof logs->of / sizeof *logs->of ? logs->of[n] : n * log2(n);
}

static double block_entropy(const struct small_logs *logs, const uint32_t *count,
                            uint32_t units, uint32_t *unused)
{
    double total = 0, sum = 0;
    *unused = 0;
    for (uint32_t u = 0; u < units; u++) {
        *unused += count[u] == 0;
        sum += n_log_n(logs, count[u]);
        total += count[u];
    }
    return total > 0 ? log2(total) - sum / total : NAN;
}

/* Margins, zeros and flips are read from the last rows only: a layer's mean over a long
 * run would cost its whole trace for every frame. */
#define STAT_ROWS 64

static void recent(const struct choice_rows *r, uint32_t layer, uint32_t from, uint32_t to,
                   struct choice_stat *out)
{
    size_t zero = 0, alive = 0, flips = 0, pairs = 0, margins = 0, cells = choice_cells(r);
    double margin = 0;
    size_t first = r->counted > STAT_ROWS ? r->counted - STAT_ROWS : 0;
    for (size_t i = first; i < r->counted; i++)
        for (uint32_t b = from; b < to; b++) {
            size_t at = i * cells + (size_t)layer * r->blocks + b;
            if (r->unit[at] >= r->units)
                continue;
            alive += r->alive[at] != ALIVE_NONE;
            zero += r->alive[at] == 0;
            if (!isnan(r->margin[at])) {
                margin += r->margin[at];
                margins++;
            }
            if (i > 0) {
                pairs++;
                flips += r->unit[at] != r->unit[at - cells];
            }
        }
    out->zero = alive ? (double)zero / (double)alive : NAN;
    out->margin = margins ? margin / (double)margins : NAN;
    out->flips = pairs ? (double)flips / (double)pairs : NAN;
}

static void stat(struct choice_rows *r, uint32_t layer, uint32_t from, uint32_t to,
                 struct choice_stat *out)
{
    double entropy = 0, eff = 0, unused = 0;
    uint32_t n = 0;
    struct small_logs logs;
    fill_logs(&logs);
    *out = (struct choice_stat){NAN, NAN, NAN, NAN, NAN, NAN, true};
    for (uint32_t b = from; b < to; b++) {
        uint32_t empty;
        double h = block_entropy(&logs, r->count + ((size_t)layer * r->blocks + b) * r->units,
                                 r->units, &empty);
        if (isnan(h))
            continue; /* a narrower layer */
        entropy += h;
        eff += exp2(h);
        unused += empty;
        n++;
    }
    if (n) {
        out->entropy = entropy / n;
        out->eff = eff / n;
        out->unused = unused / n;
    }
    out->low_n = r->counted < (size_t)5 * r->units;
    recent(r, layer, from, to, out);
}

void choice_layer_stat(struct choice_rows *r, uint32_t layer, struct choice_stat *out)
{
    stat(r, layer, 0, r->blocks, out);
}

void choice_block_stat(struct choice_rows *r, uint32_t layer, uint32_t block,
                       struct choice_stat *out)
{
    stat(r, layer, block, block + 1, out);
}

double choice_unused_by_chance(uint32_t units, size_t n)
{
    return units ? units * pow(1 - 1.0 / units, (double)n) : NAN;
}

bool choice_like(const struct choice_rows *r, size_t row, size_t *like, double *share)
{
    bool found = false;
    *share = -1;
    for (size_t i = 0; i < r->n; i++) {
        double a = i == row ? NAN : choice_agreement(r, row, i);
        if (a > *share) {
            *share = a;
            *like = i;
            found = true;
        }
    }
    return found;
}

bool choice_find(const struct choice_rows *r, uint32_t layer, uint32_t block, uint16_t unit,
                 size_t from, int dir, size_t *row)
{
    if (!r->n || layer >= r->layers || block >= r->blocks)
        return false;
    size_t cell = (size_t)layer * r->blocks + block, step = dir > 0 ? 1 : r->n - 1;
    for (size_t k = 0, i = from % r->n; k < r->n; k++) {
        i = (i + step) % r->n;
        if (r->unit[i * choice_cells(r) + cell] == unit) {
            *row = i;
            return true;
        }
    }
    return false;
}

/* ---- tokens ---------------------------------------------------------------------- */

void timeline_free(struct timeline *t)
{
    free(t->token);
    buf_free(&t->text);
    choice_rows_free(&t->dec);
    choice_rows_free(&t->enc);
    memset(t, 0, sizeof *t);
}

void timeline_start(struct timeline *t, const uint32_t dec[3], const uint32_t enc[3])
{
    t->n = 0;
    buf_clear(&t->text);
    t->prefill_ns = t->prefill_rows = 0;
    choice_rows_shape(&t->dec, dec[0], dec[1], dec[2]);
    choice_rows_shape(&t->enc, enc[0], enc[1], enc[2]);
}

void timeline_add_bare(struct timeline *t, const struct timeline_token *tok, const char *piece,
                       size_t n)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->token = xrealloc(t->token, t->cap, sizeof *t->token);
    }
    t->token[t->n] = *tok;
    t->token[t->n].at = t->text.len;
    t->token[t->n].len = n;
    t->n++;
    buf_add(&t->text, piece, n);
}

void timeline_add(struct timeline *t, const struct terra_token *tok, const char *piece,
                  size_t n)
{
    struct timeline_token k = {.id = tok->id,
                               .logprob = tok->logprob,
                               .ns = tok->ns,
                               .weight_bytes = tok->weight_bytes,
                               .cache_bytes = tok->cache_bytes,
                               .n_top = tok->n_top};
    memcpy(k.part_ns, tok->part_ns, sizeof k.part_ns);
    for (uint32_t i = 0; i < tok->n_top; i++) {
        k.top[i].id = tok->top[i].id;
        k.top[i].logprob = tok->top[i].logprob;
    }
    timeline_add_bare(t, &k, piece, n);
    bool fits = tok->layers == t->dec.layers && tok->blocks == t->dec.blocks;
    choice_rows_add(&t->dec, fits ? tok->unit : NULL, fits ? tok->margin : NULL,
                    fits ? tok->alive : NULL);
}

/* ---- times ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

double timeline_percentile(const uint64_t *sorted, size_t n, double p)
{
    if (n == 0)
        return NAN;
    size_t rank = (size_t)ceil(p * (double)n);
    return (double)sorted[rank ? rank - 1 : 0];
}

void timeline_times(const struct timeline *t, struct timeline_times *out)
{
    *out = (struct timeline_times){.p50 = NAN,
                                   .p90 = NAN,
                                   .p99 = NAN,
                                   .mean = NAN,
                                   .tok_s = NAN,
                                   .ttft_s = NAN,
                                   .prefill_tok_s = NAN};
    if (t->prefill_ns)
        out->prefill_tok_s = (double)t->prefill_rows * 1e9 / (double)t->prefill_ns;
    if (!t->n)
        return;
    uint64_t *ns = xmalloc(t->n * sizeof *ns), sum = 0;
    for (size_t i = 0; i < t->n; i++) {
        ns[i] = t->token[i].ns;
        sum += ns[i];
        out->bytes += (double)(t->token[i].weight_bytes + t->token[i].cache_bytes);
        for (int p = 0; p < TERRA_PARTS; p++)
            out->part_ms[p] += (double)t->token[i].part_ns[p] / 1e6;
    }
    for (int p = 0; p < TERRA_PARTS; p++)
        out->part_ms[p] /= (double)t->n;
    out->bytes /= (double)t->n;
    out->ttft_s = (double)(t->prefill_ns + ns[0]) / 1e9;
    qsort(ns, t->n, sizeof *ns, by_value);
    out->p50 = timeline_percentile(ns, t->n, 0.50) / 1e6;
    out->p90 = timeline_percentile(ns, t->n, 0.90) / 1e6;
    out->p99 = timeline_percentile(ns, t->n, 0.99) / 1e6;
    out->mean = (double)sum / 1e6 / (double)t->n;
    if (sum)
        out->tok_s = (double)t->n * 1e9 / (double)sum;
    free(ns);
}
