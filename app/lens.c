/* SPDX-License-Identifier: MIT */
#include "app/lens.h"

#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One layer's logits [n]; `written` is the token that was chosen in the end. */
static struct lens_row look(const float *y, uint32_t n, int32_t written)
{
    struct lens_row r = {.rank = 1};
    double sum = 0;
    uint32_t found = 0;
    bool known = n > 0 && !isnan(y[0]);
    for (uint32_t i = 0; known && i < n; i++) {
        uint32_t k = found < LENS_TOP ? found++ : LENS_TOP;
        for (; k > 0 && y[i] > y[r.id[k - 1]]; k--) /* sorted in, the first of equals first */
            if (k < LENS_TOP)
                r.id[k] = r.id[k - 1];
        if (k < LENS_TOP)
            r.id[k] = (int32_t)i;
        r.rank += y[i] > y[written];
    }
    for (uint32_t i = 0; known && i < n; i++)
        sum += exp((double)y[i] - (double)y[r.id[0]]);
    for (uint32_t k = 0; k < found; k++)
        r.p[k] = exp((double)y[r.id[k]] - (double)y[r.id[0]]) / sum;
    for (uint32_t k = found; k < LENS_TOP; k++)
        r.id[k] = -1;
    return r;
}

bool lens_run(struct terra_session *s, const struct terra_config *c,
              const struct terra_ids *source, const int32_t *target, size_t at,
              const struct generate_pin *pin, size_t n_pins, struct lens *out, struct err *e)
{
    *out = (struct lens){.layers = c->n_dec};
    int32_t written = target[at];
    if (written < 0 || (uint32_t)written >= c->out_vocab)
        return err_set(e, ERR_CHECK, "token id %d is not of this model", written);
    size_t n = (size_t)c->n_dec * c->out_vocab;
    float *y = xcalloc(n ? n : 1, sizeof *y);
    struct terra_sampling greedy = {0};
    struct terra_token t;
    bool ok = generate_feed(s, c, source, target, at, pin, n_pins, e) && terra_lens(s, y, e) &&
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
