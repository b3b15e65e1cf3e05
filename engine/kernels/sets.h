/* sets.h - the kernel sets of this build, for the dispatcher and their own files.
 *
 * Owns: nothing.  Threads: constants.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_KERNELS_SETS_H
#define TERRA_KERNELS_SETS_H

#include "engine/kernels/kernels.h"

#if !defined(TERRA_SCALAR_ONLY) && defined(__x86_64__)
#define TERRA_X86_SETS 1
#endif
#if !defined(TERRA_SCALAR_ONLY) && defined(__aarch64__)
#define TERRA_NEON_SET 1
#endif

#define INLINE static inline __attribute__((always_inline))
#if defined(TERRA_NO_UNROLL) /* sanitizers: tiles as loops, or compiling takes minutes */
#define UNROLL
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

extern const struct kernels kernels_scalar;
#ifdef TERRA_X86_SETS
extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512vnni;
void vnni_quantize(const float *x, const void *gate, enum terra_dtype t, float gain, size_t n,
                   int8_t *out);
void vnni_round16(const float *x, size_t n, int16_t *out);
void vnni_gate16(const int16_t *x, const int8_t *gate, float gain, size_t n, int8_t *out);
void vnni_panels(const struct pack *p, const size_t *tap, size_t p0, size_t p1, const int8_t *x,
                 size_t ld_x, size_t n, float *y, size_t ld_y, struct fetch *f);
void vnni_rows(const struct mat *w, size_t r0, size_t r1, const float *x, size_t ld_x, size_t n,
               float *y, size_t ld_y);
void vnni_rows_at(const struct mat *w, const uint32_t *row, size_t n, size_t more,
                  const float *x, float *y);
void vnni_dots(const int8_t *w, const float *scale, size_t n, size_t cols, const int8_t *x,
               float *y);
void vnni_pack_rows(const int8_t *w, size_t n, size_t depth, uint8_t *out);
void vnni_pack_columns(const int8_t *w, size_t n, size_t width, uint8_t *out);
#endif
#ifdef TERRA_NEON_SET
extern const struct kernels kernels_neon;
#endif

#endif
