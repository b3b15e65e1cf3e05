/* scalar.c - the oracle: plain loops, sums in index order, nothing clever.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/sets.h"

#include <float.h>
#include <math.h>
#include <string.h>

static float bf16_to_float(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static const void *row_of(const struct mat *w, size_t r)
{
    return (const char *)w->data + r * w->cols * dtype_size(w->dtype);
}

static float dot(const struct mat *w, size_t r, const float *x)
{
    const void *row = row_of(w, r);
    float sum = 0;
    switch (w->dtype) {
    case TERRA_F32:
        for (size_t c = 0; c < w->cols; c++)
            sum += x[c] * ((const float *)row)[c];
        return sum;
    case TERRA_BF16:
        for (size_t c = 0; c < w->cols; c++)
            sum += x[c] * bf16_to_float(((const uint16_t *)row)[c]);
        return sum;
    case TERRA_I8:
        for (size_t c = 0; c < w->cols; c++)
            sum += x[c] * (float)((const int8_t *)row)[c];
        return sum * w->scale[r];
    }
    return 0;
}

static void rows(const struct mat *w, size_t r0, size_t r1, const float *x, size_t ld_x,
                 size_t n, float *y, size_t ld_y)
{
    for (size_t r = r0; r < r1; r++)
        for (size_t t = 0; t < n; t++)
            y[t * ld_y + r - r0] = dot(w, r, x + t * ld_x);
}

static void rows_at(const struct mat *w, const uint32_t *row, size_t n, size_t more,
                    const float *x, float *y)
{
    (void)more;
    for (size_t i = 0; i < n; i++)
        y[i] = dot(w, row[i], x);
}

static void axpy_at(const struct mat *w, const uint32_t *row, const float *a, size_t n,
                    size_t c0, size_t c1, float *y)
{
    for (size_t i = 0; i < n; i++) {
        size_t r = row ? row[i] : i;
        const void *p = row_of(w, r);
        float k = w->dtype == TERRA_I8 ? a[i] * w->scale[r] : a[i];
        switch (w->dtype) {
        case TERRA_F32:
            for (size_t c = c0; c < c1; c++)
                y[c] += k * ((const float *)p)[c];
            break;
        case TERRA_BF16:
            for (size_t c = c0; c < c1; c++)
                y[c] += k * bf16_to_float(((const uint16_t *)p)[c]);
            break;
        case TERRA_I8:
            for (size_t c = c0; c < c1; c++)
                y[c] += k * (float)((const int8_t *)p)[c];
            break;
        }
    }
}

static void axpy_rows(const struct mat *w, const float *a, size_t ld_a, size_t n, size_t c0,
                      size_t c1, float *y, size_t ld_y)
{
    for (size_t t = 0; t < n; t++)
        axpy_at(w, NULL, a + t * ld_a, w->rows, c0, c1, y + t * ld_y - c0);
}

static void expand(const struct mat *w, size_t r0, size_t r1, size_t c0, size_t c1, float *out,
                   size_t ld)
{
    for (size_t r = r0; r < r1; r++, out += ld) {
        const void *p = row_of(w, r);
        switch (w->dtype) {
        case TERRA_F32:
            memcpy(out, (const float *)p + c0, (c1 - c0) * sizeof *out);
            break;
        case TERRA_BF16:
            for (size_t c = c0; c < c1; c++)
                out[c - c0] = bf16_to_float(((const uint16_t *)p)[c]);
            break;
        case TERRA_I8:
            for (size_t c = c0; c < c1; c++)
                out[c - c0] = w->scale[r] * (float)((const int8_t *)p)[c];
            break;
        }
    }
}

static void norm(const float *x, size_t d, const float *scale, const float *bias, bool center,
                 float *y)
{
    float mean = 0, var = 0;
    if (center) {
        for (size_t i = 0; i < d; i++)
            mean += x[i];
        mean /= (float)d;
    }
    for (size_t i = 0; i < d; i++)
        var += (x[i] - mean) * (x[i] - mean);
    float k = 1 / sqrtf(var / (float)d + 1e-6f);
    for (size_t i = 0; i < d; i++)
        y[i] = (x[i] - mean) * k * scale[i] + (center ? bias[i] : 0);
}

static float exps(float *s, size_t n, float max)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += s[i] = expf(s[i] - max);
    return sum;
}

static void softmax(float *s, size_t n)
{
    float max = s[0];
    for (size_t i = 1; i < n; i++)
        max = s[i] > max ? s[i] : max;
    float sum = exps(s, n, max);
    for (size_t i = 0; i < n; i++)
        s[i] /= sum;
}

static float sum_exp(const float *x, size_t n, float max)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += expf(x[i] - max);
    return (float)sum;
}

static void add(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static float max_of(const float *x, size_t n)
{
    float max = x[0];
    for (size_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static bool all_finite(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i == n;
}

static uint32_t best(const float *x, size_t n, float *top, float *second)
{
    uint32_t at = 0;
    *top = x[0];
    *second = -FLT_MAX;
    for (size_t i = 1; i < n; i++) {
        if (x[i] > *top) {
            *second = *top;
            *top = x[i];
            at = (uint32_t)i;
        } else if (x[i] > *second) {
            *second = x[i];
        }
    }
    if (!all_finite(x, n))
        *top = NAN;
    return at;
}

static float narrow(const float *x, size_t n, int8_t *out)
{
    float most = 0;
    if (!all_finite(x, n)) {
        memset(out, 0, n);
        return NAN;
    }
    for (size_t i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    for (size_t i = 0; i < n; i++)
        out[i] = (int8_t)(most > 0 ? lrintf(x[i] * (127 / most)) : 0);
    return most / 127;
}

const struct kernels kernels_scalar = {
    .name = "scalar",
    .rows = rows,
    .rows_at = rows_at,
    .axpy_at = axpy_at,
    .axpy_rows = axpy_rows,
    .expand = expand,
    .norm = norm,
    .exps = exps,
    .softmax = softmax,
    .add = add,
    .max = max_of,
    .finite = all_finite,
    .best = best,
    .narrow = narrow,
    .sum_exp = sum_exp,
};
