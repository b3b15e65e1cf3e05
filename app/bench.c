/* bench.c - see bench.h.
 *
 * SPDX-License-Identifier: MIT */
#include "app/bench.h"

#include "app/bench_rows.h"
#include "app/signals.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST_SUBJECTS = 8, MOST_ROWS = 256, BANDWIDTH_ROUNDS = 5, SWEEP_TOKENS = 16 };

/* One mode of one model, with its own session. */
struct subject {
    char mode[24];
    char name[64]; /* the preset that the row is filed under */
    struct terra_model *model;
    bool owns_model;
    enum terra_mode how;
    bool quiet;   /* without parts and choices: what tracing costs */
    double scale; /* blocks wanted over blocks in memory */
    struct terra_session *session;
    double *sample; /* milliseconds */
    size_t samples;
    double part[TERRA_PARTS], weight_bytes, cache_bytes, faults; /* sums */
};

struct bench {
    const struct bench_options *o;
    enum terra_dtype dtype;
    const char *dtype_name;
    uint32_t threads;
    struct subject subject[MOST_SUBJECTS];
    size_t n;
    struct bench_row row[MOST_ROWS];
    size_t rows;
    double bandwidth, multiplies; /* of this machine, per second */
    uint64_t seed;
};

static void say(const struct bench *b, const char *fmt, ...) ERR_PRINTF(2, 3);

static void say(const struct bench *b, const char *fmt, ...)
{
    if (b->o->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

/* A line that is written over and over: only for terminals. */
static void progress(const struct bench *b, const char *fmt, ...) ERR_PRINTF(2, 3);

static void progress(const struct bench *b, const char *fmt, ...)
{
    if (b->o->quiet || !isatty(STDERR_FILENO))
        return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

static bool cancelled(const struct bench *b)
{
    return b->o->cancel && atomic_load(b->o->cancel);
}

static double rss_mb(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss / 1024 : 0;
}

/* ---- what a token costs by counting (spec 4.2) --------------------------------------- */

/* Weights and multiplies of one decoded token at cache length `depth`, millions. */
static void count_work(const struct terra_config *c, bool gather, double depth, double *weights,
                       double *multiplies)
{
    double d = c->d_model, f = c->d_ff, v = c->out_vocab, s = c->sru_width;
    const struct terra_attention_config *a = &c->dec_att[0];
    double w = 2 * d, m = 4 * d; /* per block: the norm before the feed-forward */
    if (a->type == TERRA_ATT_MULTCONV) {
        double M = a->modules, mw = d / M, l = a->length_kernel;
        w += c->n_dec_att * (M * d + d * mw + d + 7 * l * mw * mw + 3 * mw + 2 * d);
        m += c->n_dec_att * (M * d + d * d + 7 * l * mw * d + 4 * d);
    } else {
        w += c->n_dec_att * (4 * d * d + 6 * d);
        m += c->n_dec_att * (4 * d * d + 4 * d);
    }
    m += c->n_dec_att * 2 * d * depth;
    if (c->ff_block) {
        double r = c->ff_rank, part = gather ? f / c->ff_block : f;
        w += d * r + r * f + f + 2 * d * part + d;
        m += d * r + r * f + 2 * d * part;
    } else {
        w += 2 * d * f + f + d;
        m += 2 * d * f;
    }
    if (c->sru_layers) {
        w += 2 * d + 2 * d * s + s + d + c->sru_layers * (3 * s * s + 3 * s);
        m += 2 * d * s + c->sru_layers * 3 * s * s;
    }
    double S = c->loss_modules;
    w = c->n_dec * w + 4 * d + (S > 0 ? S * d + d * v / S + v : d * v + v);
    m = c->n_dec * m + (S > 0 ? S * d : 0) + d * v;
    *weights = w * 1e-6;
    *multiplies = m * 1e-6;
}

/* ---- subjects ------------------------------------------------------------------------- */

static bool find_dtype(struct bench *b, struct err *e)
{
    static const char *const names[] = {
        [TERRA_F32] = "f32", [TERRA_BF16] = "bf16", [TERRA_I8] = "int8"};
    const char *want = b->o->dtype ? b->o->dtype : "int8";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(want, names[i]) == 0) {
            b->dtype = (enum terra_dtype)i;
            b->dtype_name = names[i];
            return true;
        }
    }
    return err_set(e, ERR_USAGE, "no dtype '%s' (f32, bf16, int8)", want);
}

/* A preset with as many blocks as memory holds. */
static bool open_preset(struct bench *b, struct subject *s, const char *preset, struct err *e)
{
    uint32_t blocks = b->o->blocks > 0 ? (uint32_t)b->o->blocks : 0;
    s->model = terra_model_preset(preset, b->dtype, blocks, e);
    s->owns_model = true;
    for (uint32_t want = 0; !s->model && e->kind == ERR_RESOURCE && !blocks;) {
        if (want == 0)
            want = strcmp(preset, "big") == 0 ? 14 : strcmp(preset, "big-dense") == 0 ? 12 : 24;
        for (uint32_t n = want; --n > 0 && !s->model;) {
            s->model = terra_model_preset(preset, b->dtype, n, e);
            s->scale = (double)want / n;
        }
        break;
    }
    if (!s->model)
        return false;
    if (s->scale != 1)
        say(b, "%s: %u blocks fit into memory; times are scaled by %.3f\n", preset,
            terra_model_config(s->model)->n_dec, s->scale);
    return true;
}

static const struct subject *find_subject(const struct bench *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->subject[i].name, name) == 0 && b->subject[i].owns_model)
            return &b->subject[i];
    return NULL;
}

static bool mode_of(const char *mode, struct subject *s, struct err *e)
{
    static const struct {
        const char *name;
        enum terra_mode how;
        bool quiet;
    } modes[] = {{"sparse", TERRA_SPARSE, false},    {"masked", TERRA_MASKED, false},
                 {"open", TERRA_OPEN, false},        {"dense", TERRA_SPARSE, false},
                 {"dense6144", TERRA_SPARSE, false}, {"untraced", TERRA_SPARSE, true}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(mode, modes[i].name) == 0) {
            s->how = modes[i].how;
            s->quiet = modes[i].quiet;
            return true;
        }
    }
    return err_set(e, ERR_USAGE,
                   "--modes: no mode '%s' (sparse, masked, open, dense, dense6144, untraced)",
                   mode);
}

static bool add_subject(struct bench *b, const char *preset, const char *mode, struct err *e)
{
    struct subject *s = &b->subject[b->n];
    char from[64];
    if (b->n == MOST_SUBJECTS)
        return err_set(e, ERR_USAGE, "more than %d modes", MOST_SUBJECTS);
    *s = (struct subject){.scale = 1};
    snprintf(s->mode, sizeof s->mode, "%s", mode);
    if (!mode_of(mode, s, e))
        return false;
    bool dense = strncmp(mode, "dense", 5) == 0;
    if (dense && b->o->model) /* only a preset knows its dense twin */
        return err_set(e, ERR_USAGE, "--modes: no %s with -m; give the dense model with -m",
                       mode);
    snprintf(from, sizeof from, "%s%s%s", preset, dense ? "-" : "", dense ? mode : "");
    const struct subject *same = find_subject(b, b->o->model ? preset : from);
    snprintf(s->name, sizeof s->name, "%s", b->o->model ? preset : from);
    if (same) {
        s->model = same->model;
        s->scale = same->scale;
    } else if (b->o->model) {
        s->model = terra_model_open(b->o->model, e);
        s->owns_model = true;
    } else if (!open_preset(b, s, from, e)) {
        return false;
    }
    if (!s->model)
        return false;
    b->n++;
    return true;
}

static bool add_subjects(struct bench *b, const char *preset, struct err *e)
{
    const char *list = b->o->modes ? b->o->modes : "sparse,dense";
    const char *slash = b->o->model ? strrchr(b->o->model, '/') : NULL;
    if (b->o->model) {
        preset = slash && slash[1] ? slash + 1 : b->o->model;
        list = b->o->modes ? list : "sparse,masked";
    }
    while (*list) {
        char mode[24];
        size_t n = strcspn(list, ",");
        snprintf(mode, sizeof mode, "%.*s", (int)n, list);
        if (!add_subject(b, preset, mode, e))
            return false;
        list += n + (list[n] == ',');
    }
    return true;
}

static void close_subjects(struct bench *b)
{
    for (size_t i = 0; i < b->n; i++) {
        terra_session_close(b->subject[i].session);
        free(b->subject[i].sample);
        if (b->subject[i].owns_model)
            terra_model_close(b->subject[i].model);
    }
    b->n = 0;
}

/* ---- measuring --------------------------------------------------------------------------- */

static bool measure_machine(struct bench *b, uint32_t threads, struct err *e)
{
    double bytes = terra_machine_bandwidth(threads, BANDWIDTH_ROUNDS, e);
    b->bandwidth = bytes > b->bandwidth ? bytes : b->bandwidth;
    double rate = terra_machine_multiplies(threads, b->dtype, BANDWIDTH_ROUNDS, e);
    b->multiplies = rate > b->multiplies ? rate : b->multiplies;
    return bytes > 0 && rate > 0;
}

static bool open_session(struct subject *s, uint32_t threads, size_t length,
                         const atomic_bool *cancel, struct err *e)
{
    struct terra_session_opts o = {.mode = s->how,
                                   .threads = threads,
                                   .max_target = (uint32_t)length,
                                   .quiet = s->quiet,
                                   .cancel = cancel};
    terra_session_close(s->session);
    s->session = terra_session_open(s->model, &o, e);
    return s->session != NULL;
}

/* Starts over and feeds `n` made-up tokens, the same for every subject; their time. */
static bool feed(struct bench *b, struct subject *s, size_t n, double *ms, struct err *e)
{
    uint32_t vocab = terra_model_config(s->model)->out_vocab;
    int32_t *ids = xcalloc(n, sizeof *ids);
    uint64_t state = b->seed * 2 + 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (int32_t)((state >> 33) % (vocab - 2)) + 2;
    }
    uint64_t t0 = clock_ns();
    bool ok = terra_prefill(s->session, NULL, 0, e) && terra_feed(s->session, ids, n, NULL, e);
    *ms = (double)(clock_ns() - t0) * 1e-6;
    free(ids);
    return ok;
}

static bool decode(struct bench *b, struct subject *s, size_t n, struct err *e)
{
    struct terra_sampling p = {.temperature = 1, .seed = b->seed};
    struct terra_token t;
    /* The first token pays for cold caches of whoever ran before: it is not counted. */
    if (!terra_next(s->session, &p, &t, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!terra_next(s->session, &p, &t, e))
            return false;
        s->sample[s->samples++] = (double)t.ns * 1e-6;
        for (int k = 0; k < TERRA_PARTS; k++)
            s->part[k] += (double)t.part_ns[k] * 1e-6;
        s->weight_bytes += (double)t.weight_bytes;
        s->cache_bytes += (double)t.cache_bytes;
        s->faults += (double)t.major_faults;
    }
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* mean, sd, p50, p99 of a subject's samples. */
static void summarize(struct subject *s, struct bench_row *r)
{
    size_t n = s->samples;
    double sum = 0, square = 0;
    qsort(s->sample, n, sizeof *s->sample, by_value);
    for (size_t i = 0; i < n; i++)
        sum += s->sample[i];
    r->mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (s->sample[i] - r->mean) * (s->sample[i] - r->mean);
    r->sd = n > 1 ? sqrt(square / (double)(n - 1)) : 0;
    r->p50 = s->sample[n / 2];
    r->p99 = s->sample[n * 99 / 100];
    for (int k = 0; k < TERRA_PARTS; k++)
        r->part[k] = s->part[k] / (double)n;
    r->weight_mb = s->weight_bytes / (double)n * 1e-6;
    r->cache_mb = s->cache_bytes / (double)n * 1e-6;
    r->faults = s->faults / (double)n;
}

/* A model with fewer blocks stands for the whole one: blocks times `scale`, plus the head. */
static void scale_row(struct bench_row *r, const struct subject *s, const struct bench *b)
{
    if (s->scale == 1)
        return;
    const struct terra_config *c = terra_model_config(s->model);
    double head = r->part[TERRA_PART_HEAD] + r->part[TERRA_PART_SAMPLE];
    double item = b->dtype == TERRA_I8 ? 1 : b->dtype == TERRA_BF16 ? 2 : 4;
    double loss = (double)c->out_vocab *
                  ((double)c->d_model * item / (c->loss_modules ? c->loss_modules : 1) + 8) *
                  1e-6;
    double *times[] = {&r->mean, &r->p50, &r->p99};
    for (size_t i = 0; i < 3; i++)
        *times[i] = (*times[i] - head) * s->scale + head;
    r->sd *= s->scale;
    for (int k = 0; k < TERRA_PARTS; k++)
        if (k != TERRA_PART_HEAD && k != TERRA_PART_SAMPLE)
            r->part[k] *= s->scale;
    r->weight_mb = (r->weight_mb - loss) * s->scale + loss;
    r->cache_mb *= s->scale;
}

static struct bench_row *add_row(struct bench *b, const struct subject *s, enum bench_kind kind,
                                 uint32_t threads, size_t tokens, size_t depth)
{
    if (b->rows == MOST_ROWS)
        return NULL;
    struct bench_row *r = &b->row[b->rows++];
    *r = (struct bench_row){.kind = kind,
                            .threads = threads,
                            .blocks = terra_model_config(s->model)->n_dec,
                            .rounds = (uint32_t)b->o->rounds,
                            .tokens = (double)tokens,
                            .depth = (double)depth,
                            .bandwidth = b->bandwidth * 1e-9,
                            .multiply_rate = b->multiplies * 1e-9,
                            .scale = s->scale,
                            .rss_mb = rss_mb()};
    snprintf(r->model, sizeof r->model, "%s", terra_model_config(s->model)->name);
    size_t n = strcspn(r->model, "-");
    if (!b->o->model)
        r->model[n] = '\0'; /* "medium-dense" is mode dense of medium */
    snprintf(r->mode, sizeof r->mode, "%s", s->mode);
    snprintf(r->dtype, sizeof r->dtype, "%s", b->o->model ? "file" : b->dtype_name);
    snprintf(r->kernels, sizeof r->kernels, "%s", terra_session_kernels(s->session));
    return r;
}

static void bound_row(struct bench_row *r, const struct subject *s)
{
    struct terra_config c = *terra_model_config(s->model);
    c.n_dec = (uint32_t)(c.n_dec * s->scale + 0.5);
    bool gather = s->how == TERRA_SPARSE;
    count_work(&c, gather, r->depth + r->tokens / 2, &r->weights_m, &r->multiplies_m);
    r->rate = 1000 / r->p50;
    r->gbs = (r->weight_mb + r->cache_mb) / r->p50;
    r->bound_bytes = (r->weight_mb + r->cache_mb) / r->bandwidth;
    r->bound_multiplies = r->multiplies_m / r->multiply_rate;
    double bound = r->bound_bytes > r->bound_multiplies ? r->bound_bytes : r->bound_multiplies;
    r->of_bound = 100 * bound / r->p50;
}

/* Speed-ups of the rows from `first` on over their dense one. */
static void compare_rows(struct bench *b, size_t first)
{
    const struct bench_row *dense = NULL;
    for (size_t i = first; i < b->rows; i++)
        if (strcmp(b->row[i].mode, "dense") == 0)
            dense = &b->row[i];
    for (size_t i = first; dense && i < b->rows; i++)
        b->row[i].speedup = dense->p50 / b->row[i].p50;
}

static bool prepare(struct bench *b, uint32_t threads, size_t length, size_t samples,
                    struct err *e)
{
    for (size_t i = 0; i < b->n; i++) {
        struct subject *s = &b->subject[i];
        if (!open_session(s, threads, length, b->o->cancel, e))
            return false;
        free(s->sample);
        s->sample = xcalloc(samples, sizeof *s->sample);
        s->samples = 0;
        s->weight_bytes = s->cache_bytes = s->faults = 0;
        memset(s->part, 0, sizeof s->part);
    }
    b->bandwidth = b->multiplies = 0;
    return true;
}

/* Rounds of all subjects in turns: `tokens` decoded after `depth` cached rows. */
static bool bench_decode(struct bench *b, uint32_t threads, size_t tokens, size_t depth,
                         struct err *e)
{
    size_t rounds = (size_t)b->o->rounds, first = b->rows;
    if (!prepare(b, threads, depth + tokens + 2, rounds * tokens, e))
        return false;
    for (size_t round = 0; round < rounds; round++) {
        b->seed = round + 1;
        if (!measure_machine(b, threads, e))
            return false;
        for (size_t i = 0; i < b->n; i++) {
            double ms;
            if (!feed(b, &b->subject[i], depth, &ms, e) ||
                !decode(b, &b->subject[i], tokens, e))
                return false;
        }
        progress(b, "\rdecode, %u threads, depth %zu: round %zu of %zu ", threads, depth,
                 round + 1, rounds);
    }
    progress(b, "\n");
    for (size_t i = 0; i < b->n; i++) {
        struct bench_row *r = add_row(b, &b->subject[i], BENCH_DECODE, threads, tokens, depth);
        if (!r)
            break;
        snprintf(r->test, sizeof r->test, "tg%zu@d%zu", tokens, depth);
        summarize(&b->subject[i], r);
        scale_row(r, &b->subject[i], b);
        bound_row(r, &b->subject[i]);
    }
    compare_rows(b, first);
    return true;
}

static bool bench_prefill(struct bench *b, uint32_t threads, size_t tokens, struct err *e)
{
    size_t rounds = (size_t)b->o->rounds, first = b->rows;
    if (!prepare(b, threads, tokens + 1, rounds, e) || !measure_machine(b, threads, e))
        return false;
    for (size_t round = 0; round < rounds; round++) {
        b->seed = round + 1;
        for (size_t i = 0; i < b->n; i++) {
            struct subject *s = &b->subject[i];
            struct terra_prefill_stats parts;
            if (!feed(b, s, tokens, &s->sample[s->samples++], e))
                return false;
            terra_prefill_stats(s->session, &parts);
            for (int k = 0; k < TERRA_PARTS; k++)
                s->part[k] += (double)parts.part_ns[k] * 1e-6;
        }
        progress(b, "\rprefill of %zu: round %zu of %zu ", tokens, round + 1, rounds);
    }
    progress(b, "\n");
    for (size_t i = 0; i < b->n; i++) {
        struct bench_row *r = add_row(b, &b->subject[i], BENCH_PREFILL, threads, tokens, 0);
        if (!r)
            break;
        snprintf(r->test, sizeof r->test, "pp%zu", tokens);
        summarize(&b->subject[i], r);
        r->mean *= r->scale;
        r->p50 *= r->scale;
        r->p99 *= r->scale;
        r->rate = (double)tokens * 1000 / r->p50;
    }
    compare_rows(b, first);
    return true;
}

static const size_t depths[] = {128, 512, 1024}; /* of --sweep */

/* Have all models that many positions?  If not, `option` is the one to lower. */
static bool fits(const struct bench *b, const char *option, size_t positions, struct err *e)
{
    for (size_t i = 0; i < b->n; i++) {
        uint32_t most = terra_model_config(b->subject[i].model)->pos.max; /* 0: no end */
        if (most && positions > most)
            return err_set(e, ERR_USAGE,
                           "%s: that takes %zu positions, and the model's positions end at %u",
                           option, positions, most);
    }
    return true;
}

/* Before minutes of measuring, and in the words of the options. */
static bool check_lengths(const struct bench *b, struct err *e)
{
    size_t tokens = (size_t)b->o->tokens, depth = (size_t)b->o->depth, last = depths[2];
    return fits(b, "-p", b->o->prompt > 0 ? (size_t)b->o->prompt : 0, e) &&
           (!tokens || fits(b, "-n", tokens + 1, e)) &&
           (!tokens || fits(b, "-d", depth + tokens + 1, e)) &&
           (!b->o->sweep || fits(b, "--sweep", last + (tokens ? tokens : SWEEP_TOKENS) + 1, e));
}

/* Cost as the threads and the cache grow. */
static bool bench_sweep(struct bench *b, size_t tokens, struct err *e)
{
    for (uint32_t t = 1; t < b->threads; t++)
        if (!bench_decode(b, t, tokens, 0, e))
            return false;
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
        if (!bench_decode(b, b->threads, tokens, depths[i], e))
            return false;
    return true;
}

static bool layer_rows(struct bench *b, const struct terra_layer_shape *s, struct err *e)
{
    double ns[2];
    if (!terra_layer_time(s, b->threads, (uint32_t)b->o->rounds, &ns[0], &ns[1], e))
        return false;
    for (int i = 0; i < 2 && b->rows < MOST_ROWS; i++) {
        struct bench_row *r = &b->row[b->rows++];
        *r = (struct bench_row){.kind = BENCH_LAYER,
                                .threads = b->threads,
                                .rounds = (uint32_t)b->o->rounds,
                                .blocks = 1,
                                .tokens = s->batch,
                                .mean = ns[i] * 1e-6,
                                .p50 = ns[i] * 1e-6,
                                .p99 = ns[i] * 1e-6,
                                .rate = s->batch * 1e9 / ns[i],
                                .speedup = ns[0] / ns[i],
                                .rss_mb = rss_mb(),
                                .scale = 1};
        snprintf(r->model, sizeof r->model, "layer d%u F%u", s->d, s->f);
        if (i)
            snprintf(r->mode, sizeof r->mode, "1 of %u", s->unit);
        else
            snprintf(r->mode, sizeof r->mode, "dense");
        snprintf(r->dtype, sizeof r->dtype, "%s", b->dtype_name);
        snprintf(r->test, sizeof r->test, "batch %u", s->batch);
    }
    progress(b, ".");
    return true;
}

/* The seed experiment: one layer over widths, block sizes and batches. */
static bool bench_layer(struct bench *b, struct err *e)
{
    static const uint32_t widths[] = {512, 1024, 2048}, units[] = {16, 64, 256},
                          batches[] = {1, 4, 16, 64};
    progress(b, "one layer ");
    for (size_t w = 0; w < 3; w++)
        for (size_t u = 0; u < 3; u++)
            for (size_t k = 0; k < 4; k++) {
                if (u != 1 && k != 0 && w != 1)
                    continue; /* all batches for the middle width or block size only */
                struct terra_layer_shape s = {.d = widths[w],
                                              .f = 4 * widths[w],
                                              .unit = units[u],
                                              .rank = 4 * widths[w] / 64,
                                              .batch = batches[k],
                                              .dtype = b->dtype};
                if (cancelled(b))
                    return err_set(e, ERR_CANCELLED, "cancelled");
                if (!layer_rows(b, &s, e))
                    return false;
            }
    progress(b, "\n");
    return true;
}

/* ---- the command ---------------------------------------------------------------------------
 */

static FILE *open_file(const char *path, const char *how, struct err *e)
{
    FILE *f = fopen(path, how);
    if (!f)
        err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
    return f;
}

/* Closes what is not standard output. */
static bool write_file(FILE *f, const char *path, const struct buf *text, struct err *e)
{
    errno = 0;
    bool ok = fwrite(text->data, 1, text->len, f) == text->len && fflush(f) == 0;
    int why = errno;
    if (f == stdout && why == EPIPE)
        signals_die(SIGPIPE); /* the reader has gone, and asks for no message */
    if (f != stdout && fclose(f) != 0 && ok) {
        ok = false;
        why = errno;
    }
    return ok || err_set(e, ERR_RESOURCE, "%s: %s", f == stdout ? "standard output" : path,
                         strerror(why ? why : EIO));
}

static void print_notes(const struct bench *b, struct buf *out)
{
    struct terra_machine m;
    terra_machine_info(&m);
    buf_printf(out,
               "\n%s, %u cores, %.0f GB; BLAS: %s\n"
               "measured in this run: %.2f GB/s read, %.0f billion multiplies/s\n"
               "bound_bytes: weights and cache touched / read bandwidth; bound_multiplies: "
               "multiplies / their rate;\nof_bound: the larger of the two / p50.\n",
               m.cpu, m.cores, (double)m.memory_bytes * 1e-9, m.blas, b->bandwidth * 1e-9,
               b->multiplies * 1e-9);
    const struct bench_row *on = NULL, *off = NULL;
    for (size_t i = 0; i < b->rows; i++) {
        if (b->row[i].kind == BENCH_DECODE && !on && strcmp(b->row[i].mode, "sparse") == 0)
            on = &b->row[i];
        if (b->row[i].kind == BENCH_DECODE && !off && strcmp(b->row[i].mode, "untraced") == 0)
            off = &b->row[i];
    }
    if (on && off)
        buf_printf(out, "tracing costs %.2f%% of a token (p50 %.3f ms with, %.3f ms without)\n",
                   100 * (on->p50 / off->p50 - 1), on->p50, off->p50);
}

static bool report(const struct bench *b, const char *format, FILE *out, struct err *e)
{
    struct buf text = {0};
    FILE *picture;
    bool ok = bench_write(format, b->row, b->rows, &text);
    if (ok && strcmp(format, "md") == 0 && b->rows) {
        buf_add_str(&text, "\n");
        bench_plot(b->row, b->rows, 100, &text);
        print_notes(b, &text);
        if (b->o->paper) {
            buf_add_str(&text, "\n");
            bench_paper(b->row, b->rows, &text);
        }
    }
    ok = ok && write_file(out, b->o->output, &text, e);
    if (ok && b->o->svg) { /* a picture is drawn again and again, over the older one */
        buf_clear(&text);
        bench_svg(b->row, b->rows, &text);
        picture = open_file(b->o->svg, "w", e);
        ok = picture && write_file(picture, b->o->svg, &text, e);
    }
    buf_free(&text);
    return ok;
}

static bool run_preset(struct bench *b, const char *preset, struct err *e)
{
    size_t tokens = (size_t)b->o->tokens;
    bool ok = add_subjects(b, preset, e) && check_lengths(b, e);
    if (ok && b->o->prompt > 0)
        ok = bench_prefill(b, b->threads, (size_t)b->o->prompt, e);
    if (ok && tokens)
        ok = bench_decode(b, b->threads, tokens, (size_t)b->o->depth, e);
    if (ok && b->o->sweep)
        ok = bench_sweep(b, tokens ? tokens : SWEEP_TOKENS, e);
    close_subjects(b);
    return ok;
}

static bool run_all(struct bench *b, struct err *e)
{
    const char *preset = b->o->preset ? b->o->preset : "medium";
    if (b->o->layer)
        return measure_machine(b, b->threads, e) && bench_layer(b, e);
    if (!b->o->paper || b->o->preset || b->o->model)
        return run_preset(b, preset, e);
    return run_preset(b, "medium", e) && run_preset(b, "big", e);
}

/* Options that a model folder leaves without a meaning. */
static bool check_model(const struct bench_options *o, struct err *e)
{
    const char *useless = !o->model       ? NULL
                          : o->preset     ? "preset"
                          : o->dtype      ? "dtype"
                          : o->blocks > 0 ? "blocks"
                          : o->layer      ? "layer"
                                          : NULL;
    return !useless ||
           err_set(e, ERR_USAGE, "--%s is for made-up weights: not together with -m", useless);
}

int bench_run(const struct bench_options *given, struct err *e)
{
    struct bench_options o = *given;
    struct terra_machine machine;
    const char *format = o.json ? "jsonl" : o.format ? o.format : "md";
    struct buf none = {0};
    bool known = bench_write(format, NULL, 0, &none);
    buf_free(&none);
    if (!known) {
        err_set(e, ERR_USAGE, "no format '%s' (md, csv, json, jsonl, sql)", format);
        return ERR_USAGE;
    }
    if (!check_model(&o, e))
        return ERR_USAGE;
    if (o.tokens == 0 && o.prompt <= 0 && !o.sweep && !o.layer) {
        err_set(e, ERR_USAGE, "-n 0 leaves nothing to measure; -p N measures reading");
        return ERR_USAGE;
    }
    o.tokens = o.tokens < 0 ? 32 : o.tokens;
    o.rounds = o.rounds < 1 ? 5 : o.rounds;
    o.depth = o.depth < 0 ? 0 : o.depth;
    terra_machine_info(&machine);
    struct bench *b = xcalloc(1, sizeof *b);
    b->o = &o;
    b->threads = o.threads > 0 ? (uint32_t)o.threads : machine.cores;
    /* Opened before the minutes of measuring, and never over another file. */
    FILE *out = stdout;
    bool ok = find_dtype(b, e) && (!o.output || (out = open_file(o.output, "wx", e))) &&
              run_all(b, e);
    /* What was measured before something went wrong is still worth showing. */
    if (b->rows) {
        struct err late = {0};
        if (!report(b, format, out, &late) && ok) {
            *e = late;
            ok = false;
        }
    } else if (out && out != stdout) {
        fclose(out);
        unlink(o.output);
    }
    free(b);
    return ok ? 0 : (int)e->kind;
}
