/* SPDX-License-Identifier: MIT */
#include "app/lens.h"

#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One layer's logits [n]; `written` is the token that was chosen in the end. */
static struct lens_row look(const float *y, uint32_t n, int32_t written)
{
    struct lens_row r = {.id = -1, .rank = 1};
    double sum = 0;
    if (n == 0 || isnan(y[0]))
        return r;
    r.id = 0;
    for (uint32_t i = 1; i < n; i++)
        if (y[i] > y[r.id])
            r.id = (int32_t)i;
    for (uint32_t i = 0; i < n; i++) {
        sum += exp((double)y[i] - (double)y[r.id]);
        r.rank += y[i] > y[written];
    }
    r.p = 1 / sum;
    return r;
}

static bool feed(struct terra_session *s, const struct terra_config *c,
                 const struct terra_ids *source, const int32_t *target, size_t n, struct err *e)
{
    bool ok = c->n_enc ? terra_prefill(s, source->id, source->n, e)
                       : terra_prefill(s, NULL, 0, e) &&
                             terra_feed(s, source->id, source->n, NULL, e);
    return ok && terra_feed(s, target, n, NULL, e);
}

bool lens_run(struct terra_session *s, const struct terra_config *c,
              const struct terra_ids *source, const int32_t *target, size_t at,
              struct lens *out, struct err *e)
{
    *out = (struct lens){.layers = c->n_dec};
    int32_t written = target[at];
    if (written < 0 || (uint32_t)written >= c->out_vocab)
        return err_set(e, ERR_CHECK, "token id %d is not of this model", written);
    size_t n = (size_t)c->n_dec * c->out_vocab;
    float *y = xcalloc(n ? n : 1, sizeof *y);
    struct terra_sampling greedy = {0};
    struct terra_token t;
    bool ok = feed(s, c, source, target, at, e) && terra_lens(s, y, e) &&
              terra_next(s, &greedy, &t, e); /* for the choices of the row */
    if (ok) {
        out->blocks = t.blocks;
        out->row = xcalloc(c->n_dec + 1, sizeof *out->row);
        out->unit = xcalloc((size_t)t.layers * t.blocks + 1, sizeof *out->unit);
        memcpy(out->unit, t.unit, (size_t)t.layers * t.blocks * sizeof *out->unit);
        for (uint32_t l = 0; l < c->n_dec; l++)
            out->row[l] = look(y + (size_t)l * c->out_vocab, c->out_vocab, written);
    }
    free(y);
    return ok;
}

void lens_free(struct lens *l)
{
    free(l->row);
    free(l->unit);
    *l = (struct lens){0};
}
