/* cmd_rouge.c - `terra rouge`: two files compared.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "app/signals.h"
#include "data/rouge.h"
#include "engine/base/json_out.h"

static void score(struct buf *b, bool json, const char *name, const struct rouge_score *s)
{
    if (json) {
        json_open(b, name, '{');
        json_num(b, "precision", s->precision, 8);
        json_num(b, "recall", s->recall, 8);
        json_num(b, "f", s->f, 8);
        json_close(b, '}');
    } else {
        buf_printf(b, "%-10s precision %.6f  recall %.6f  f %.6f\n", name, s->precision,
                   s->recall, s->f);
    }
}

static bool compare(struct cli *c, struct document *candidate, struct document *reference,
                    struct err *e)
{
    struct document_opts o = {.cancel = signals_cancel()};
    if (!document_read(c->args->pos[0], &o, candidate, e) ||
        !document_read(c->args->pos[1], &o, reference, e))
        return false;
    struct rouge r;
    struct buf b = {0};
    bool json = c->args->json;
    rouge_compute(reference->text, reference->n, candidate->text, candidate->n, &r);
    if (json)
        headless_object(&b, "rouge");
    score(&b, json, "rouge1", &r.r1);
    score(&b, json, "rouge2", &r.r2);
    score(&b, json, "rougeL", &r.rl);
    score(&b, json, "rougeLsum", &r.rlsum);
    if (json) {
        json_close(&b, '}');
        headless_line(&c->out, &b);
    } else {
        headless_text(&c->out, buf_str(&b), b.len);
        cli_note(c, "%s", ROUGE_RULES);
    }
    buf_free(&b);
    return true;
}

int cmd_rouge(const struct args *a)
{
    struct cli c;
    struct document candidate = {0}, reference = {0};
    struct err e = {0};
    bool ok = cli_open(&c, a, &e) && compare(&c, &candidate, &reference, &e);
    document_free(&candidate);
    document_free(&reference);
    return cli_close(&c, ok, &e);
}
