/* avx2.c - the fast kernels for AVX2 with FMA.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/sets.h"

#ifdef TERRA_X86_SETS

#include <immintrin.h>

#include <string.h>

#define SIMD_SET     kernels_avx2
#define SIMD_NAME    "avx2"
#define V            __m256
#define LANES        8
#define ROWS         4
#define SIDE         2
#define COLS         8
#define PANEL_ROWS   6
#define PANELS       1
#define PANELS_ALONE 4
#define MOST_SUMS    12

#define v_zero()       _mm256_setzero_ps()
#define v_set(f)       _mm256_set1_ps(f)
#define v_load(p)      _mm256_loadu_ps(p)
#define v_store(p, v)  _mm256_storeu_ps(p, v)
#define v_add(a, b)    _mm256_add_ps(a, b)
#define v_sub(a, b)    _mm256_sub_ps(a, b)
#define v_mul(a, b)    _mm256_mul_ps(a, b)
#define v_max(a, b)    _mm256_max_ps(a, b)
#define v_min(a, b)    _mm256_min_ps(a, b)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_round(v)     _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/* All ones in the first n lanes. */
static inline __m256i first(size_t n)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - (n < 8 ? n : 8)));
}

static inline __m256 v_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, first(n));
}

static inline void v_store_n(float *p, __m256 v, size_t n)
{
    _mm256_maskstore_ps(p, first(n), v);
}

static inline __m256 v_i8(const int8_t *p)
{
    __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(v));
}

static inline __m256 v_i8_n(const int8_t *p, size_t n)
{
    int8_t t[8] = {0};
    memcpy(t, p, n < 8 ? n : 8);
    return v_i8(t);
}

static inline __m256 v_bf16(const uint16_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}

static inline __m256 v_bf16_n(const uint16_t *p, size_t n)
{
    uint16_t t[8] = {0};
    memcpy(t, p, (n < 8 ? n : 8) * sizeof *t);
    return v_bf16(t);
}

static inline float v_sum(__m256 v)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

static inline float v_most(__m256 v)
{
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

static inline __m256 v_exp2i(__m256 n)
{
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}

static inline uint32_t v_equal(__m256 a, __m256 b)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}

static inline __m256 v_lane(__m256 a, __m256 b, size_t i)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i here = _mm256_cmpeq_epi32(lane, _mm256_set1_epi32((int)i));
    return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(here));
}

static inline void v_store_i8(int8_t *p, __m256 v)
{
    __m256i i = _mm256_cvtps_epi32(v);
    __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(h, h));
}

static inline __m256 v_zero_below(__m256 v, __m256 x, float limit)
{
    return _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(limit), _CMP_LT_OQ), v);
}

#include "engine/kernels/simd.h"

#endif
