/* avx512.c - the fast kernels for AVX-512 (F, BW, VL, DQ).
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/sets.h"

#ifdef TERRA_X86_SETS

#include <immintrin.h>

#define SIMD_SET     kernels_avx512
#define SIMD_NAME    "avx512"
#define V            __m512
#define LANES        16
#define ROWS         4
#define SIDE         4
#define COLS         16
#define PANEL_ROWS   8
#define PANELS       2
#define PANELS_ALONE 8
#define MOST_SUMS    16

#define v_zero()       _mm512_setzero_ps()
#define v_set(f)       _mm512_set1_ps(f)
#define v_load(p)      _mm512_loadu_ps(p)
#define v_store(p, v)  _mm512_storeu_ps(p, v)
#define v_add(a, b)    _mm512_add_ps(a, b)
#define v_sub(a, b)    _mm512_sub_ps(a, b)
#define v_mul(a, b)    _mm512_mul_ps(a, b)
#define v_max(a, b)    _mm512_max_ps(a, b)
#define v_min(a, b)    _mm512_min_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_round(v)     _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

static inline __mmask16 first(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFFu : (1u << n) - 1);
}

static inline __m512 v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(first(n), p);
}

static inline void v_store_n(float *p, __m512 v, size_t n)
{
    _mm512_mask_storeu_ps(p, first(n), v);
}

static inline __m512 from_i8(__m128i v)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(v));
}

static inline __m512 from_bf16(__m256i v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

static inline __m512 v_i8(const int8_t *p)
{
    return from_i8(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline __m512 v_i8_n(const int8_t *p, size_t n)
{
    return from_i8(_mm_maskz_loadu_epi8(first(n), p));
}

static inline __m512 v_bf16(const uint16_t *p)
{
    return from_bf16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

static inline __m512 v_bf16_n(const uint16_t *p, size_t n)
{
    return from_bf16(_mm256_maskz_loadu_epi16(first(n), p));
}

static inline float v_sum(__m512 v)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

static inline float v_most(__m512 v)
{
    return _mm512_reduce_max_ps(v);
}

static inline __m512 v_exp2i(__m512 n)
{
    __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}

static inline uint32_t v_equal(__m512 a, __m512 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

static inline __m512 v_lane(__m512 a, __m512 b, size_t i)
{
    return _mm512_mask_mov_ps(a, (__mmask16)(1u << i), b);
}

static inline void v_store_i8(int8_t *p, __m512 v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
}

static inline __m512 v_zero_below(__m512 v, __m512 x, float limit)
{
    __mmask16 low = _mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_LT_OQ);
    return _mm512_maskz_mov_ps((__mmask16)~low, v);
}

#include "engine/kernels/simd.h"

static void rows_vnni(const struct mat *w, size_t r0, size_t r1, const float *x, size_t ld_x,
                      size_t n, float *y, size_t ld_y)
{
    (w->dtype == TERRA_I8 ? vnni_rows : rows)(w, r0, r1, x, ld_x, n, y, ld_y);
}

static void rows_at_vnni(const struct mat *w, const uint32_t *row, size_t n, size_t more,
                         const float *x, float *y)
{
    (w->dtype == TERRA_I8 ? vnni_rows_at : rows_at)(w, row, n, more, x, y);
}

const struct kernels kernels_avx512vnni = {
    .name = "avx512vnni",
    .rows = rows_vnni,
    .rows_at = rows_at_vnni,
    .axpy_at = axpy_at,
    .axpy_rows = axpy_rows,
    .panels = panels,
    .quantize = vnni_quantize,
    .round16 = vnni_round16,
    .gate16 = vnni_gate16,
    .panels_q8 = vnni_panels,
    .dots_q8 = vnni_dots,
    .pack_rows = vnni_pack_rows,
    .pack_columns = vnni_pack_columns,
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

#endif
