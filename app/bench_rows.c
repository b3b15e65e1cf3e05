/* bench_rows.c - see bench_rows.h.
 *
 * SPDX-License-Identifier: MIT */
#include "app/bench_rows.h"

#include "engine/base/json_out.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- columns ---------------------------------------------------------------------- */

enum column_type { TEXT, COUNT, REAL };

struct column {
    const char *name;
    enum column_type type;
    size_t at;
    int digits;
    bool in_md; /* the table for people has fewer columns */
};

#define C(name, type, field, digits, in_md)                                                    \
    {                                                                                          \
        name, type, offsetof(struct bench_row, field), digits, in_md                           \
    }

static const struct column columns[] = {
    C("model", TEXT, model, 0, true),
    C("dtype", TEXT, dtype, 0, true),
    C("mode", TEXT, mode, 0, true),
    C("test", TEXT, test, 0, true),
    C("threads", COUNT, threads, 0, true),
    C("kernels", TEXT, kernels, 0, false),
    C("blocks", COUNT, blocks, 0, false),
    C("rounds", COUNT, rounds, 0, false),
    C("tokens", REAL, tokens, 0, false),
    C("depth", REAL, depth, 0, false),
    C("mean_ms", REAL, mean, 3, true),
    C("sd_ms", REAL, sd, 3, true),
    C("p50_ms", REAL, p50, 3, true),
    C("p99_ms", REAL, p99, 3, true),
    C("tokens_per_s", REAL, rate, 1, true),
    C("speedup", REAL, speedup, 2, true),
    C("weights_m", REAL, weights_m, 1, true),
    C("weight_mb", REAL, weight_mb, 1, true),
    C("cache_mb", REAL, cache_mb, 1, true),
    C("multiplies_m", REAL, multiplies_m, 1, true),
    C("gb_per_s", REAL, gbs, 2, true),
    C("bandwidth_gb_per_s", REAL, bandwidth, 2, false),
    C("multiplies_g_per_s", REAL, multiply_rate, 1, false),
    C("bound_bytes_ms", REAL, bound_bytes, 3, true),
    C("bound_multiplies_ms", REAL, bound_multiplies, 3, true),
    C("of_bound_percent", REAL, of_bound, 1, true),
    C("ctl_ms", REAL, part[TERRA_PART_CTL], 3, false),
    C("ff_ms", REAL, part[TERRA_PART_FF], 3, false),
    C("qkv_ms", REAL, part[TERRA_PART_QKV], 3, false),
    C("att_ms", REAL, part[TERRA_PART_ATT], 3, false),
    C("head_ms", REAL, part[TERRA_PART_HEAD], 3, false),
    C("sample_ms", REAL, part[TERRA_PART_SAMPLE], 3, false),
    C("other_ms", REAL, part[TERRA_PART_OTHER], 3, false),
    C("major_faults", REAL, faults, 1, false),
    C("rss_mb", REAL, rss_mb, 0, true),
    C("scale", REAL, scale, 3, false),
};

enum { COLUMNS = sizeof columns / sizeof *columns };

static const char *text_of(const struct bench_row *r, const struct column *c)
{
    return (const char *)r + c->at;
}

static double number_of(const struct bench_row *r, const struct column *c)
{
    if (c->type == COUNT)
        return *(const uint32_t *)(const void *)((const char *)r + c->at);
    return *(const double *)(const void *)((const char *)r + c->at);
}

/* ---- formats ------------------------------------------------------------------------ */

static void write_json(const struct bench_row *r, struct buf *out)
{
    json_open(out, NULL, '{');
    json_int(out, "v", 1);
    json_cstr(out, "type", "bench");
    for (size_t i = 0; i < COLUMNS; i++) {
        const struct column *c = &columns[i];
        if (c->type == TEXT)
            json_cstr(out, c->name, text_of(r, c));
        else if (c->type == COUNT)
            json_int(out, c->name, (int64_t)number_of(r, c));
        else
            json_num(out, c->name, number_of(r, c), 6 + c->digits);
    }
    json_close(out, '}');
}

static void write_cells(const struct bench_row *r, const char *between, const char *quote,
                        bool md, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < COLUMNS; i++) {
        const struct column *c = &columns[i];
        if (md && !c->in_md)
            continue;
        buf_add_str(out, any ? between : "");
        any = true;
        if (c->type == TEXT)
            buf_printf(out, "%s%s%s", quote, text_of(r, c), quote);
        else if (md && c->type == REAL && number_of(r, c) == 0)
            buf_add_str(out, "-");
        else
            buf_printf(out, "%.*f", c->digits, number_of(r, c));
    }
}

static void write_names(const char *between, bool md, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < COLUMNS; i++) {
        if (md && !columns[i].in_md)
            continue;
        buf_printf(out, "%s%s", any ? between : "", columns[i].name);
        any = true;
    }
}

static void write_md(const struct bench_row *row, size_t n, struct buf *out)
{
    buf_add_str(out, "| ");
    write_names(" | ", true, out);
    buf_add_str(out, " |\n|");
    for (size_t i = 0; i < COLUMNS; i++)
        if (columns[i].in_md)
            buf_add_str(out, columns[i].type == TEXT ? " --- |" : " ---: |");
    buf_add_str(out, "\n");
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, "| ");
        write_cells(&row[i], " | ", "", true, out);
        buf_add_str(out, " |\n");
    }
}

static void write_sql(const struct bench_row *row, size_t n, struct buf *out)
{
    buf_add_str(out, "CREATE TABLE IF NOT EXISTS bench(");
    for (size_t i = 0; i < COLUMNS; i++)
        buf_printf(out, "%s%s %s", i ? ", " : "", columns[i].name,
                   columns[i].type == TEXT    ? "TEXT"
                   : columns[i].type == COUNT ? "INTEGER"
                                              : "REAL");
    buf_add_str(out, ");\n");
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, "INSERT INTO bench VALUES(");
        write_cells(&row[i], ", ", "'", false, out);
        buf_add_str(out, ");\n");
    }
}

bool bench_write(const char *format, const struct bench_row *row, size_t n, struct buf *out)
{
    if (strcmp(format, "md") == 0) {
        write_md(row, n, out);
    } else if (strcmp(format, "csv") == 0) {
        write_names(",", false, out);
        buf_add_str(out, "\n");
        for (size_t i = 0; i < n; i++) {
            write_cells(&row[i], ",", "\"", false, out);
            buf_add_str(out, "\n");
        }
    } else if (strcmp(format, "jsonl") == 0) {
        for (size_t i = 0; i < n; i++) {
            write_json(&row[i], out);
            buf_add_str(out, "\n");
        }
    } else if (strcmp(format, "json") == 0) {
        for (size_t i = 0; i < n; i++) {
            buf_add_str(out, i ? ",\n" : "[\n");
            write_json(&row[i], out);
        }
        buf_add_str(out, n ? "\n]\n" : "[]\n");
    } else if (strcmp(format, "sql") == 0) {
        write_sql(row, n, out);
    } else {
        return false;
    }
    return true;
}

/* ---- pictures ------------------------------------------------------------------------- */

static const char letters[TERRA_PARTS] = {'c', 'f', 'q', 'a', 'h', 's', 'o'};
static const char *const colours[TERRA_PARTS] = {"#4269d0", "#efb118", "#ff725c", "#6cc5b0",
                                                 "#3ca951", "#9c6b4e", "#97a0a8"};

/* The longest bar among the rows of the same test: prefills and tokens share no scale. */
static double longest(const struct bench_row *row, size_t n, const struct bench_row *of)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        if (row[i].kind == of->kind && strcmp(row[i].model, of->model) == 0 &&
            (of->kind != BENCH_LAYER || strcmp(row[i].test, of->test) == 0))
            most = row[i].p50 > most ? row[i].p50 : most;
    return most > 0 ? most : 1;
}

/* Shares of a row's bar, adding up to 1; a row without parts is one piece. */
static void shares(const struct bench_row *r, double out[TERRA_PARTS])
{
    double sum = 0;
    for (int i = 0; i < TERRA_PARTS; i++)
        sum += r->part[i];
    for (int i = 0; i < TERRA_PARTS; i++)
        out[i] = sum > 0 ? r->part[i] / sum : i == TERRA_PART_OTHER;
}

void bench_plot(const struct bench_row *row, size_t n, int width, struct buf *out)
{
    const int label = 34;
    int room = width - label - 14;
    room = room < 10 ? 10 : room;
    for (size_t i = 0; i < n; i++) {
        char name[96];
        double share[TERRA_PARTS], at = 0;
        snprintf(name, sizeof name, "%s %s %s t%u", row[i].model, row[i].mode, row[i].test,
                 row[i].threads);
        buf_printf(out, "%-*.*s ", label, label, name);
        double most = longest(row, n, &row[i]);
        shares(&row[i], share);
        int cells = 0;
        for (int k = 0; k < TERRA_PARTS; k++) {
            at += share[k] * row[i].p50 / most * room;
            for (; cells < (int)(at + 0.5); cells++)
                buf_add_byte(out, letters[k]);
        }
        buf_printf(out, " %.3f ms\n", row[i].p50);
    }
    buf_add_str(
        out, "c controller  f feed-forward  q qkv  a attention  h head  s sampling  o other\n");
}

static void svg_text(struct buf *out, double x, double y, const char *anchor, const char *text)
{
    buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *text; text++) {
        if (*text == '<' || *text == '&')
            buf_printf(out, "&#%d;", *text);
        else
            buf_add_byte(out, *text);
    }
    buf_add_str(out, "</text>\n");
}

void bench_svg(const struct bench_row *row, size_t n, struct buf *out)
{
    const double label = 270, room = 520, step = 26, top = 40;
    double height = top + (double)n * step + 10;
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"%.0f\" "
               "font-family=\"sans-serif\" font-size=\"12\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
               height);
    double x = label;
    for (int k = 0; k < TERRA_PARTS; k++, x += 74) {
        buf_printf(out, "<rect x=\"%.1f\" y=\"12\" width=\"10\" height=\"10\" fill=\"%s\"/>\n",
                   x, colours[k]);
        svg_text(out, x + 14, 21, "start", terra_part_name[k]);
    }
    for (size_t i = 0; i < n; i++) {
        char text[128];
        double y = top + (double)i * step, at = label, share[TERRA_PARTS];
        snprintf(text, sizeof text, "%s %s %s, %u threads", row[i].model, row[i].mode,
                 row[i].test, row[i].threads);
        svg_text(out, label - 8, y + 14, "end", text);
        double most = longest(row, n, &row[i]);
        shares(&row[i], share);
        for (int k = 0; k < TERRA_PARTS; k++) {
            double w = share[k] * row[i].p50 / most * room;
            if (w > 0)
                buf_printf(out,
                           "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"18\" "
                           "fill=\"%s\"/>\n",
                           at, y, w, colours[k]);
            at += w;
        }
        snprintf(text, sizeof text, "%.3f ms", row[i].p50);
        svg_text(out, at + 6, y + 14, "start", text);
    }
    buf_add_str(out, "</svg>\n");
}

/* ---- the paper's table ------------------------------------------------------------------ */

struct published {
    const char *name, *preset; /* the preset whose sparse form is nearest */
    double dense, sparse;      /* seconds per decoded token */
};

static const struct published published[] = {
    {"800M", "medium", 0.160, 0.061},
    {"17B", "big", 3.690, 0.183},
};

static const struct bench_row *find_row(const struct bench_row *row, size_t n,
                                        const char *model, const char *mode)
{
    for (size_t i = 0; i < n; i++)
        if (row[i].kind == BENCH_DECODE && strcmp(row[i].mode, mode) == 0 &&
            strcmp(row[i].model, model) == 0)
            return &row[i];
    return NULL;
}

void bench_paper(const struct bench_row *row, size_t n, struct buf *out)
{
    buf_add_str(out, "| model | who | dense, ms/token | sparse, ms/token | times as fast |\n"
                     "| --- | --- | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct published *p = &published[i];
        buf_printf(out, "| %s | paper | %.0f | %.0f | %.2f |\n", p->name, p->dense * 1e3,
                   p->sparse * 1e3, p->dense / p->sparse);
        const struct bench_row *d = find_row(row, n, p->preset, "dense");
        const struct bench_row *s = find_row(row, n, p->preset, "sparse");
        if (d && s)
            buf_printf(out, "| %s | terra, %u threads, %s%s | %.2f | %.2f | %.2f |\n",
                       p->preset, s->threads, s->dtype, d->scale != 1 ? ", dense scaled" : "",
                       d->p50, s->p50, d->p50 / s->p50);
    }
}
