/* position.c - see position.h.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/position.h"

#include <math.h>

size_t position_limit(const struct positions *p)
{
    size_t n = 1;
    switch (p->cfg->type) {
    case TERRA_POS_TABLE:
    case TERRA_POS_FACTORED:
        return p->cfg->max;
    case TERRA_POS_AXIAL:
        for (uint32_t i = 0; i < p->cfg->n_axes; i++)
            n *= p->cfg->shape[i];
        return n;
    default:
        return SIZE_MAX;
    }
}

static void add_fixed_base(const struct positions *p, size_t pos, size_t d, float *x)
{
    static const size_t base[4] = {11, 13, 14, 15};
    size_t w = d / 8;
    for (size_t b = 0; b < 4; b++) {
        size_t rest = pos;
        for (size_t digit = 0; digit < 8; digit++, rest /= base[b]) {
            const float *v = p->base + (b * 8 + digit) * w;
            float f = (float)(rest % base[b]);
            for (size_t i = 0; i < w; i++)
                x[digit * w + i] += f * v[i];
        }
    }
    for (size_t i = 0; pos == 0 && i < d; i++)
        x[i] += p->start[i];
}

static void add_sin_cos(size_t pos, size_t d, float *x)
{
    for (size_t i = 0; i < d / 2; i++) {
        double angle = (double)pos * pow(10000.0, -2.0 * (double)i / (double)d);
        x[i] += (float)sin(angle);
        x[d / 2 + i] += (float)cos(angle);
    }
}

static void add_axial(const struct positions *p, size_t pos, float *x)
{
    size_t stride = position_limit(p);
    for (uint32_t a = 0; a < p->cfg->n_axes; a++) {
        stride /= p->cfg->shape[a];
        const float *row = p->axis[a] + (pos / stride % p->cfg->shape[a]) * p->cfg->widths[a];
        for (uint32_t i = 0; i < p->cfg->widths[a]; i++)
            *x++ += row[i];
    }
}

static void add_position(struct compute *c, const struct positions *p, size_t pos, size_t d,
                         float *x)
{
    const struct kernels *k = compute_kernels(c);
    const float one = 1.0f;
    const uint32_t row = (uint32_t)pos;
    switch (p->cfg->type) {
    case TERRA_POS_NONE:
        break;
    case TERRA_POS_TABLE:
        k->axpy_at(&p->table, &row, &one, 1, 0, d, x);
        break;
    case TERRA_POS_FACTORED: {
        float narrow[TERRA_MAX_POS_WIDTH];
        k->expand(&p->table, pos, pos + 1, 0, p->cfg->width, narrow, p->cfg->width);
        for (size_t i = 0; i < d; i++) {
            float y;
            k->rows(&p->ff.w, i, i + 1, narrow, p->cfg->width, 1, &y, 1);
            x[i] += y;
        }
        break;
    }
    case TERRA_POS_FIXED_BASE:
        add_fixed_base(p, pos, d, x);
        break;
    case TERRA_POS_SIN_COS:
        add_sin_cos(pos, d, x);
        break;
    case TERRA_POS_AXIAL:
        add_axial(p, pos, x);
        break;
    }
}

bool embed_rows(struct compute *c, const struct mat *emb, const struct positions *p,
                const int32_t *ids, size_t n, size_t first, float *out, struct err *e)
{
    size_t d = emb->cols, limit = position_limit(p);
    if (first > limit || n > limit - first)
        return err_set(e, ERR_INPUT, "the model has %zu positions, position %zu was asked for",
                       limit, first + n - 1);
    for (size_t t = 0; t < n; t++) {
        int32_t last = (int32_t)emb->rows - 1;
        size_t id = (size_t)(ids[t] < 0 ? 0 : ids[t] > last ? last : ids[t]);
        compute_kernels(c)->expand(emb, id, id + 1, 0, d, out + t * d, d);
        add_position(c, p, first + t, d, out + t * d);
    }
    return true;
}
