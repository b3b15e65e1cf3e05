/* Tests of engine/kernels: every set this CPU runs against the scalar oracle, and the
 * promise that a row's result does not depend on how it is called.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/unit/engine/matrices.h"

static const char *const names[] = {"scalar", "avx2", "avx512", "avx512vnni", "neon"};
enum { SETS = 5, MAX_ROWS = 256, MAX_COLS = 300, GUARD = 64 };

/* A matrix whose data starts `skew` bytes after an aligned address and ends where the
 * allocation ends, so that a sanitizer sees every read past it. */
struct sample {
    struct mat w;
    void *memory;
    float scale[MAX_ROWS];
};

static void make(struct sample *s, enum terra_dtype t, uint32_t rows, uint32_t cols)
{
    size_t skew = t == TERRA_I8 ? 3 : dtype_size(t), n = (size_t)rows * cols;
    s->memory = malloc(skew + n * dtype_size(t));
    char *data = (char *)s->memory + skew;
    fill_weights(t, n, data);
    for (uint32_t r = 0; r < rows; r++)
        s->scale[r] = 0.01f + 0.001f * (float)r;
    s->w = (struct mat){.dtype = t,
                        .rows = rows,
                        .cols = cols,
                        .data = data,
                        .scale = t == TERRA_I8 ? s->scale : NULL};
}

static void check_rows(const struct kernels *k, const struct kernels *ref, enum terra_dtype t,
                       uint32_t cols)
{
    enum { N = 11 };
    struct sample s;
    float *x = malloc(N * cols * sizeof *x), want[N * 23], got[N * 23], one[1];
    make(&s, t, 23, cols);
    fill(x, N * cols);
    ref->rows(&s.w, 0, 23, x, cols, N, want, 23);
    k->rows(&s.w, 0, 23, x, cols, N, got, 23);
    /* Activations may be taken in 16 bits, off by half a step. */
    float step = t == TERRA_I8 && k->panels_q8 ? 1.0f / 32767 : 0;
    near(got, want, N * 23, (2e-6f + step / 2 * 127 * s.scale[22]) * (float)cols);
    for (uint32_t r = 0; r < 23; r++) {
        for (uint32_t i = 0; i < N; i++) { /* alone, gathered: the same bits */
            k->rows(&s.w, r, r + 1, x + i * cols, cols, 1, one, 1);
            assert_memory_equal(one, &got[i * 23 + r], sizeof *one);
            k->rows_at(&s.w, &r, 1, 0, x + i * cols, one);
            assert_memory_equal(one, &got[i * 23 + r], sizeof *one);
        }
    }
    const uint32_t at[9] = {22, 0, 7, 7, 21, 3, 1, 19, 5};
    float y[9];
    k->rows_at(&s.w, at, 5, 4, x, y);
    k->rows_at(&s.w, at + 5, 4, 0, x, y + 5);
    for (size_t i = 0; i < 9; i++)
        assert_memory_equal(&y[i], &got[at[i]], sizeof *y);
    x[cols / 2] = NAN;
    k->rows(&s.w, 0, 1, x, cols, 1, one, 1);
    assert_true(isnan(one[0]));
    for (uint32_t i = 0; i < cols; i++)
        x[i] = 1e-40f;
    k->rows(&s.w, 0, 1, x, cols, 1, one, 1);
    assert_true(fabsf(one[0]) < 1e-30f);
    free(s.memory);
    free(x);
}

static void check_axpy(const struct kernels *k, const struct kernels *ref, enum terra_dtype t,
                       uint32_t cols)
{
    struct sample s;
    const uint32_t at[6] = {4, 0, 9, 33, 12, 12};
    float a[40], want[MAX_COLS], got[MAX_COLS], part[MAX_COLS];
    make(&s, t, 40, cols);
    fill(a, 40);
    fill(want, cols);
    memcpy(got, want, cols * sizeof *got);
    memcpy(part, want, cols * sizeof *part);
    ref->axpy_at(&s.w, at, a, 6, 0, cols, want);
    k->axpy_at(&s.w, at, a, 6, 0, cols, got);
    near(got, want, cols, 1e-5f);
    for (size_t c = 0; c < cols; c += 7) /* any cut of the columns: the same bits */
        k->axpy_at(&s.w, at, a, 6, c, c + 7 < cols ? c + 7 : cols, part);
    assert_memory_equal(part, got, cols * sizeof *part);

    /* gathered rows = all rows with the other weights zero */
    const uint32_t some[3] = {2, 17, 39};
    float all[40] = {0}, few[3];
    for (size_t i = 0; i < 3; i++)
        all[some[i]] = few[i] = a[i] + 2;
    fill(got, cols);
    memcpy(part, got, cols * sizeof *part);
    k->axpy_at(&s.w, some, few, 3, 0, cols, got);
    k->axpy_at(&s.w, NULL, all, 40, 0, cols, part);
    assert_memory_equal(part, got, cols * sizeof *part);
    k->axpy_at(&s.w, some, few, 0, 0, cols, got);
    assert_memory_equal(part, got, cols * sizeof *part);

    /* several sums at once, columns cut anywhere: the same bits */
    enum { N = 6 };
    float many[N * 40], sums[N * MAX_COLS] = {0}, cut[N * MAX_COLS];
    size_t c0 = cols / 5, width = cols - c0;
    fill(many, N * 40);
    k->axpy_rows(&s.w, many, 40, N, c0, cols, sums, width);
    for (size_t i = 0; i < N; i++) {
        memset(cut, 0, cols * sizeof *cut);
        k->axpy_at(&s.w, NULL, many + i * 40, 40, 0, cols, cut);
        assert_memory_equal(sums + i * width, cut + c0, width * sizeof *cut);
    }
    free(s.memory);
}

static void check_expand(const struct kernels *k, const struct kernels *ref, enum terra_dtype t,
                         uint32_t cols)
{
    struct sample s;
    float want[5 * MAX_COLS], got[5 * MAX_COLS + 1];
    size_t c0 = cols / 3, n = cols - c0;
    make(&s, t, 9, cols);
    ref->expand(&s.w, 2, 7, c0, cols, want, n);
    got[5 * n] = 1234;
    k->expand(&s.w, 2, 7, c0, cols, got, n);
    assert_memory_equal(got, want, 5 * n * sizeof *got);
    assert_true(got[5 * n] == 1234);
    free(s.memory);
}

static void check_panels(const struct kernels *k, const struct kernels *ref, enum terra_dtype t,
                         uint32_t cols)
{
    enum { N = 21, GROUPS = 2, PANELS = 2 * SLAB, OUTS = PANELS * PANEL };
    struct sample s;
    struct pack p;
    float x[N * MAX_COLS], want[N * OUTS], got[N * OUTS], one[OUTS];
    make(&s, t, GROUPS * OUTS, cols);
    size_t size = (pack_size(&s.w, GROUPS, false) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    pack_fill(&p, &s.w, GROUPS, false, memory);
    fill(x, N * cols);
    for (size_t g = 0; g < GROUPS; g++) {
        ref->rows(&s.w, g * OUTS, (g + 1) * OUTS, x, cols, N, want, OUTS);
        for (size_t i = 0; i < N * OUTS; i++)
            got[i] = 0;
        struct fetch f = {.p = (const char *)x, .lines = g, .pace = 1}; /* 0 lines, or one */
        for (size_t o = 0; o < PANELS; o += SLAB)
            k->panels(&p, g, o, o + SLAB, x, cols, N, got + o * PANEL, OUTS, &f);
        assert_true(f.lines == 0);
        near(got, want, N * OUTS, 2e-6f * (float)cols);
        for (size_t i = 0; i < N; i++) { /* row by row, panel by panel: the same bits */
            memset(one, 0, sizeof one);
            for (size_t o = 0; o < PANELS; o++)
                k->panels(&p, g, o, o + 1, x + i * cols, cols, 1, one + o * PANEL, OUTS, NULL);
            assert_memory_equal(one, got + i * OUTS, sizeof one);
        }
    }
    free(memory);
    free(s.memory);
}

/* What a row in 8 bits stands for, against the values it was made from: off by half a step of
 * its block, and the sums that products start with are those of its numbers. */
static void check_q8(const float *x, size_t n, const int8_t *q8, float *value)
{
    for (size_t b = 0; b < q8_blocks(n); b++) {
        size_t k0 = b * Q8_BLOCK, k1 = b + 1 < q8_blocks(n) ? k0 + Q8_BLOCK : n;
        struct q8_block z;
        memcpy(&z, q8 + n + b * sizeof z, sizeof z);
        float max = 0;
        int32_t sum = 0;
        for (size_t k = k0; k < k1; k++) {
            max = fmaxf(max, fabsf(x[k]));
            sum += q8[k];
            value[k] = z.scale * (float)q8[k];
            assert_true(fabsf(value[k] - x[k]) <= 0.5001f * fabsf(z.scale));
        }
        assert_true(fabsf(fabsf(z.scale) - max / 127) <= 1e-6f * max);
        assert_int_equal(z.start, -128 * sum);
    }
}

/* Values that are not finite, and those too small to tell from 0. */
static void check_q8_limits(const struct kernels *k, const struct pack *p, float *x)
{
    size_t cols = p->depth;
    int8_t q8[MAX_COLS + 2 * sizeof(struct q8_block)];
    float y[PANEL] = {0};
    x[cols / 2] = INFINITY;
    k->quantize(x, NULL, TERRA_F32, 1, cols, q8);
    k->panels_q8(p, NULL, 0, 1, q8, q8_bytes(cols), 1, y, 1, NULL);
    assert_true(isnan(y[0]) && isnan(y[PANEL - 1]));
    for (int small = 0; small < 2; small++) {
        for (size_t i = 0; i < cols; i++)
            x[i] = small ? 1e-40f : 0;
        k->quantize(x, NULL, TERRA_F32, 1, cols, q8);
        memset(y, 0, sizeof y);
        k->panels_q8(p, NULL, 0, 1, q8, q8_bytes(cols), 1, y, 1, NULL);
        for (size_t o = 0; o < PANEL; o++)
            assert_true(y[o] == 0);
    }
}

/* An int8 gate on values in 16 bits: they are rounded twice more, to 1/256 of what the widest
 * gate would make of the largest value, and to half a step. */
static void check_gate16(const struct kernels *k, const struct kernels *ref, enum terra_dtype t,
                         uint32_t cols)
{
    struct sample s;
    float x[MAX_COLS], gain = 0.25f;
    int8_t q8[MAX_COLS + 2 * sizeof(struct q8_block)];
    int16_t q16[MAX_COLS + 2 * sizeof(float)];
    (void)ref;
    if (t != TERRA_I8 || !k->gate16)
        return;
    make(&s, t, 1, cols);
    fill(x, cols);
    k->round16(x, cols, q16);
    k->gate16(q16, s.w.data, gain, cols, q8);
    for (size_t b = 0; b < q8_blocks(cols); b++) {
        size_t k0 = b * Q8_BLOCK, k1 = b + 1 < q8_blocks(cols) ? k0 + Q8_BLOCK : cols;
        struct q8_block z;
        memcpy(&z, q8 + cols + b * sizeof z, sizeof z);
        int32_t sum = 0;
        float most = 0;
        for (size_t c = k0; c < k1; c++)
            most = fmaxf(most, fabsf(x[c]));
        for (size_t c = k0; c < k1; c++) {
            float gate = gain * (float)((const int8_t *)s.w.data)[c];
            sum += q8[c];
            assert_true(fabsf(z.scale * (float)q8[c] - x[c] * gate) <=
                        0.501f * z.scale + most * gain * 128 / 32767);
        }
        assert_int_equal(z.start, -128 * sum);
    }
    for (int bad = 0; bad < 2; bad++) {
        struct q8_block z;
        for (size_t c = 0; c < cols; c++)
            x[c] = bad && c == cols - 1 ? -INFINITY : 1e-40f;
        k->round16(x, cols, q16);
        k->gate16(q16, s.w.data, gain, cols, q8);
        memcpy(&z, q8 + cols + (q8_blocks(cols) - 1) * sizeof z, sizeof z);
        assert_true(bad ? isnan(z.scale) : z.scale * (float)q8[0] == 0);
    }
    free(s.memory);
}

/* Products of rows in 8 bits against plain products of the values they stand for. */
static void check_quads(const struct kernels *k, const struct kernels *ref, enum terra_dtype t,
                        uint32_t cols)
{
    enum { N = 23, OUTS = 11 * PANEL };
    struct sample s, gates[3];
    struct pack p;
    float x[N * MAX_COLS], value[N * MAX_COLS], gate[MAX_COLS], want[N * OUTS], got[N * OUTS];
    float one[OUTS];
    int8_t q8[N * (MAX_COLS + 2 * sizeof(struct q8_block))];
    make(&s, t, OUTS, cols);
    size_t ld = q8_bytes(cols), size = pack_size(&s.w, 1, true);
    assert_int_equal(size == 0, t != TERRA_I8 || cols % 4 != 0);
    if (size == 0 || !k->panels_q8) {
        free(s.memory);
        return;
    }
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    pack_fill(&p, &s.w, 1, true, memory);
    fill(x, N * cols);
    for (size_t i = 0; i < 3; i++)
        make(&gates[i], (enum terra_dtype)i, 1, cols);
    for (size_t i = 0; i < N; i++) { /* gates of every type, and none */
        const struct mat *g = &gates[i % 4 % 3].w;
        bool gated = i % 4 < 3;
        float gain = gated && g->dtype == TERRA_I8 ? *g->scale : -0.25f;
        k->quantize(x + i * cols, gated ? g->data : NULL, g->dtype, gain, cols, q8 + i * ld);
        ref->expand(g, 0, 1, 0, cols, gate, cols);
        for (size_t c = 0; c < cols; c++)
            x[i * cols + c] *= (gated ? gate[c] : 1) * (gain < 0 ? gain : 1);
        check_q8(x + i * cols, cols, q8 + i * ld, value + i * cols);
    }
    for (size_t i = 0; i < 3; i++)
        free(gates[i].memory);
    ref->rows(&s.w, 0, OUTS, value, cols, N, want, OUTS);
    for (size_t n = 1; n <= N; n += n < 7 ? 1 : 8) {
        memset(got, 0, sizeof got);
        k->panels_q8(&p, NULL, 0, OUTS / PANEL, q8, ld, n, got, OUTS, NULL);
        near(got, want, n * OUTS, 1e-6f * (float)cols * 0.06f * 127);
    }
    for (size_t i = 0; i < N; i++) { /* however they are shared out: the same bits */
        memset(one, 0, sizeof one);
        for (size_t o = 0, m = 1; o < OUTS / PANEL; o += m, m = 1 + i % 4)
            k->panels_q8(&p, NULL, o, o + m < 11 ? o + m : 11, q8 + i * ld, ld, 1,
                         one + o * PANEL, OUTS, NULL);
        assert_memory_equal(one, got + i * OUTS, sizeof one);
    }
    check_q8_limits(k, &p, x);
    free(memory);
    free(s.memory);
}

/* Two groups: what the second multiplies lies a row further on. */
static void check_taps(const struct kernels *k, const struct kernels *ref, enum terra_dtype t,
                       uint32_t cols)
{
    enum { N = 7, GROUPS = 2, PANELS = 2 * SLAB, OUTS = PANELS * PANEL };
    float x[(N + 1) * MAX_COLS], value[(N + 1) * MAX_COLS], want[N * OUTS], more[N * OUTS];
    float got[N * OUTS] = {0}, one[N * OUTS] = {0};
    int8_t q8[(N + 1) * (MAX_COLS + 2 * sizeof(struct q8_block))];
    size_t ld = q8_bytes(cols), tap[GROUPS] = {0, ld};
    struct sample s;
    struct pack p;
    make(&s, t, GROUPS * OUTS, cols);
    size_t size = pack_size(&s.w, GROUPS, true);
    if (size && k->panels_q8) {
        void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
        pack_fill(&p, &s.w, GROUPS, true, memory);
        fill(x, (N + 1) * cols);
        for (size_t i = 0; i <= N; i++) {
            k->quantize(x + i * cols, NULL, TERRA_F32, 1, cols, q8 + i * ld);
            check_q8(x + i * cols, cols, q8 + i * ld, value + i * cols);
        }
        ref->rows(&s.w, 0, OUTS, value, cols, N, want, OUTS);
        ref->rows(&s.w, OUTS, 2 * OUTS, value + cols, cols, N, more, OUTS);
        for (size_t i = 0; i < N * OUTS; i++)
            want[i] += more[i];
        struct span rest[] = {{x, 200, true}, {x, 0, false}, {x, 64, false}};
        struct fetch f = {(const char *)x, 3, rest, 3, 1, 2, 2};
        for (size_t o = 0; o < PANELS; o += SLAB)
            k->panels_q8(&p, tap, o, o + SLAB, q8, ld, N, got + o * PANEL, OUTS, &f);
        assert_int_equal(f.lines + f.left, 0);
        near(got, want, N * OUTS, 2e-6f * (float)cols * 0.14f * 127);
        for (size_t i = 0; i < N; i++)
            for (size_t o = 0; o < PANELS; o++)
                k->panels_q8(&p, tap, o, o + 1, q8 + i * ld, ld, 1, one + i * OUTS + o * PANEL,
                             OUTS, NULL);
        assert_memory_equal(one, got, sizeof got);
        free(memory);
    }
    free(s.memory);
}

/* One row in 8 bits against rows as they are stored: the bits of the packed product. */
static void check_dots(const struct kernels *k, const struct kernels *ref, enum terra_dtype t,
                       uint32_t cols)
{
    enum { OUTS = 3 * PANEL };
    (void)ref;
    struct sample s;
    struct pack p;
    float x[MAX_COLS], want[OUTS] = {0}, got[OUTS + 1];
    int8_t q8[MAX_COLS + 2 * sizeof(struct q8_block)];
    make(&s, t, OUTS, cols);
    size_t size = pack_size(&s.w, 1, true);
    if (size && k->dots_q8 && cols < 2 * Q8_BLOCK) {
        void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
        pack_fill(&p, &s.w, 1, true, memory);
        fill(x, cols);
        k->quantize(x, NULL, TERRA_F32, 0.125f, cols, q8);
        k->panels_q8(&p, NULL, 0, 3, q8, q8_bytes(cols), 1, want, OUTS, NULL);
        for (size_t n = 1; n <= OUTS; n++) {
            got[n] = 1234;
            k->dots_q8(s.w.data, s.w.scale, n, cols, q8, got);
            assert_memory_equal(got, want, n * sizeof *got);
            assert_true(got[n] == 1234);
        }
        free(memory);
    }
    free(s.memory);
}

static void every_set(void (*check)(const struct kernels *, const struct kernels *,
                                    enum terra_dtype, uint32_t),
                      bool with_scalar)
{
    const uint32_t cols[] = {1,  2,  7,  8,   15,  16,  17,  31,  48, 63,
                             64, 65, 96, 127, 128, 200, 257, 260, 300};
    const struct kernels *ref = kernels_get("scalar");
    for (size_t i = with_scalar ? 0 : 1; i < SETS; i++) {
        const struct kernels *k = kernels_get(names[i]);
        for (size_t c = 0; k && c < sizeof cols / sizeof *cols; c++)
            for (int t = TERRA_F32; t <= TERRA_I8; t++)
                check(k, ref, (enum terra_dtype)t, cols[c]);
    }
}

static void rows_agree(void **state)
{
    (void)state;
    every_set(check_rows, true);
    for (size_t i = 1; i < SETS; i++) /* more than is rounded with one scale */
        if (kernels_get(names[i]))
            check_rows(kernels_get(names[i]), kernels_get("scalar"), TERRA_I8, 8200);
}

static void axpy_agrees(void **state)
{
    (void)state;
    every_set(check_axpy, true);
}

static void expand_agrees(void **state)
{
    (void)state;
    every_set(check_expand, true);
}

static void panels_agree(void **state)
{
    (void)state;
    every_set(check_panels, false);
}

static void quads_agree(void **state)
{
    (void)state;
    every_set(check_quads, false);
    every_set(check_gate16, false);
    every_set(check_taps, false);
    every_set(check_dots, false);
}

static void norm_and_softmax_agree(void **state)
{
    (void)state;
    const struct kernels *ref = kernels_get("scalar");
    float x[MAX_COLS], scale[MAX_COLS], bias[MAX_COLS], want[MAX_COLS];
    float got[MAX_COLS + 1];
    for (size_t i = 1; i < SETS; i++) {
        const struct kernels *k = kernels_get(names[i]);
        for (size_t d = 1; k && d < MAX_COLS; d += d < 40 ? 1 : 37) {
            fill(x, d);
            fill(scale, d);
            fill(bias, d);
            memcpy(want, bias, d * sizeof *want);
            memcpy(got, bias, d * sizeof *got);
            got[d] = 1234;
            ref->add(x, d, want);
            k->add(x, d, got);
            assert_memory_equal(got, want, d * sizeof *got);
            assert_true(got[d] == 1234);
            for (int center = 0; center < 2; center++) {
                ref->norm(x, d, scale, bias, center, want);
                k->norm(x, d, scale, bias, center, got);
                near(got, want, d, 2e-4f); /* d = 2 or so divides by a tiny deviation */
            }
            for (size_t j = 0; j < d; j++)
                want[j] = got[j] = j % 5 == 4 ? -1e9f : 30 * x[j];
            float sum = ref->sum_exp(want, d, 30);
            assert_true(fabsf(k->sum_exp(got, d, 30) - sum) <= 1e-6f * (sum + 1e-6f));
            memcpy(x, want, d * sizeof *x);
            memcpy(bias, want, d * sizeof *bias);
            sum = ref->exps(x, d, 30);
            assert_true(fabsf(k->exps(bias, d, 30) - sum) <= 1e-6f * (sum + 1e-6f));
            near(bias, x, d, 1e-6f);
            ref->softmax(want, d);
            k->softmax(got, d);
            near(got, want, d, 1e-6f);
            for (size_t j = 4; d > 4 && j < d; j += 5)
                assert_true(got[j] == 0);
        }
    }
}

static void extremes_agree(void **state)
{
    (void)state;
    const struct kernels *ref = kernels_get("scalar");
    float x[MAX_COLS], a, b, c, d;
    int8_t want[MAX_COLS], got[MAX_COLS];
    for (size_t i = 0; i < SETS; i++) {
        const struct kernels *k = kernels_get(names[i]);
        for (size_t n = 1; k && n < MAX_COLS; n += n < 40 ? 1 : 37) {
            fill(x, n);
            if (n > 3) /* equal maxima: the first wins, the second is as large */
                x[n - 1] = x[n / 3] = 1.5f;
            assert_true(k->max(x, n) == ref->max(x, n));
            assert_int_equal(k->best(x, n, &a, &b), ref->best(x, n, &c, &d));
            assert_true(a == c && b == d);
            if (n > 3)
                assert_true(k->best(x, n, &a, &b) == n / 3 && a == 1.5f && b == 1.5f);
            assert_true(k->narrow(x, n, got) == ref->narrow(x, n, want));
            assert_memory_equal(got, want, n);
            assert_true(k->finite(x, n));
            x[n - 1] = i % 2 ? INFINITY : NAN;
            assert_false(k->finite(x, n));
            assert_true(isnan(k->narrow(x, n, got)));
        }
    }
}

/* One value that is not finite, wherever it is, shows in the largest. */
static void not_finite_is_noticed(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float x[150], top, second;
    fill(x, 150);
    for (size_t i = 0; i < SETS; i++) {
        const struct kernels *k = kernels_get(names[i]);
        for (size_t n = 1; k && n < 150; n += n < 40 ? 1 : 37)
            for (size_t at = 0; at < n; at++)
                for (size_t j = 0; j < 3; j++) {
                    float kept = x[at];
                    x[at] = bad[j];
                    assert_true(k->best(x, n, &top, &second) < n);
                    assert_true(isnan(top));
                    x[at] = kept;
                }
    }
}

static void softmax_keeps_nan_and_uniform(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETS; i++) {
        const struct kernels *k = kernels_get(names[i]);
        if (!k)
            continue;
        float s[40];
        for (size_t j = 0; j < 40; j++)
            s[j] = -1e9f;
        k->softmax(s, 40);
        for (size_t j = 0; j < 40; j++)
            assert_true(fabsf(s[j] - 0.025f) < 1e-6f);
        s[7] = NAN;
        k->softmax(s, 40);
        assert_true(isnan(s[7]) && isnan(s[39]));
    }
}

/* Rows times columns may pass 2^32, though each is of 32 bits. */
static void large_packs_have_their_size(void **state)
{
    (void)state;
    const struct mat w = {.dtype = TERRA_I8, .rows = 1 << 20, .cols = 1 << 12};
    const size_t size = ((size_t)1 << 32) + ((size_t)1 << 20) * sizeof(float);
    assert_true(pack_size(&w, 1, false) == size);
    assert_true(pack_size(&w, 1, true) == size);
}

static void names_choose(void **state)
{
    (void)state;
    assert_non_null(kernels_get(NULL));
    assert_string_equal(kernels_get("scalar")->name, "scalar");
    assert_null(kernels_get("sse9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_agree),
        cmocka_unit_test(axpy_agrees),
        cmocka_unit_test(expand_agrees),
        cmocka_unit_test(panels_agree),
        cmocka_unit_test(quads_agree),
        cmocka_unit_test(norm_and_softmax_agree),
        cmocka_unit_test(extremes_agree),
        cmocka_unit_test(not_finite_is_noticed),
        cmocka_unit_test(softmax_keeps_nan_and_uniform),
        cmocka_unit_test(large_packs_have_their_size),
        cmocka_unit_test(names_choose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
