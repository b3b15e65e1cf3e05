/* neon.c - the fast kernels for 64-bit ARM.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/sets.h"

#ifdef TERRA_NEON_SET

#include <arm_neon.h>

#include <string.h>

#define SIMD_SET     kernels_neon
#define SIMD_NAME    "neon"
#define V            float32x4_t
#define LANES        4
#define ROWS         4
#define SIDE         4
#define COLS         16
#define PANEL_ROWS   6
#define PANELS       1
#define PANELS_ALONE 4
#define MOST_SUMS    24

#define v_zero()       vdupq_n_f32(0)
#define v_set(f)       vdupq_n_f32(f)
#define v_load(p)      vld1q_f32(p)
#define v_store(p, v)  vst1q_f32(p, v)
#define v_add(a, b)    vaddq_f32(a, b)
#define v_sub(a, b)    vsubq_f32(a, b)
#define v_mul(a, b)    vmulq_f32(a, b)
#define v_max(a, b)    vmaxq_f32(a, b)
#define v_min(a, b)    vminq_f32(a, b)
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#define v_round(v)     vrndnq_f32(v)
#define v_most(v)      vmaxvq_f32(v)

static inline float32x4_t v_load_n(const float *p, size_t n)
{
    float t[4] = {0};
    if (n >= 4)
        return vld1q_f32(p);
    memcpy(t, p, n * sizeof *t);
    return vld1q_f32(t);
}

static inline void v_store_n(float *p, float32x4_t v, size_t n)
{
    float t[4];
    vst1q_f32(t, v);
    memcpy(p, t, (n < 4 ? n : 4) * sizeof *t);
}

static inline float32x4_t v_i8_n(const int8_t *p, size_t n)
{
    int8_t t[8] = {0};
    memcpy(t, p, n < 4 ? n : 4);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(t)))));
}

static inline float32x4_t v_i8(const int8_t *p)
{
    return v_i8_n(p, 4);
}

static inline float32x4_t v_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

static inline float32x4_t v_bf16_n(const uint16_t *p, size_t n)
{
    uint16_t t[4] = {0};
    memcpy(t, p, (n < 4 ? n : 4) * sizeof *t);
    return v_bf16(t);
}

static inline float v_sum(float32x4_t v)
{
    float32x2_t h = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(vpadd_f32(h, h), 0);
}

static inline float32x4_t v_exp2i(float32x4_t n)
{
    int32x4_t e = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(e, 23));
}

static inline float32x4_t v_zero_below(float32x4_t v, float32x4_t x, float limit)
{
    uint32x4_t low = vcltq_f32(x, vdupq_n_f32(limit));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v), low));
}

static inline uint32_t v_equal(float32x4_t a, float32x4_t b)
{
    static const uint32_t bit[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vceqq_f32(a, b), vld1q_u32(bit)));
}

static inline float32x4_t v_lane(float32x4_t a, float32x4_t b, size_t i)
{
    static const uint32_t lane[] = {0, 1, 2, 3};
    return vbslq_f32(vceqq_u32(vld1q_u32(lane), vdupq_n_u32((uint32_t)i)), b, a);
}

static inline void v_store_i8(int8_t *p, float32x4_t v)
{
    int16x4_t h = vqmovn_s32(vcvtnq_s32_f32(v));
    int8_t t[8];
    vst1_s8(t, vqmovn_s16(vcombine_s16(h, h)));
    memcpy(p, t, 4);
}

#include "engine/kernels/simd.h"

#endif
