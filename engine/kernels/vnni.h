/* vnni.h - what the files of the AVX-512 VNNI set share.
 *
 * Owns, errors: nothing.  Threads: pure functions.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_KERNELS_VNNI_H
#define TERRA_KERNELS_VNNI_H

#include <immintrin.h>
#include <math.h>
#include <string.h>

/* Lanes [0, n) of 16. */
static inline __mmask16 first(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFFu : (1u << n) - 1);
}

/* |v| as bits, which are ordered like the values; infinities and NaNs are above all others. */
static inline __m512i magnitude(__m512 v)
{
    return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

static inline float largest(__m512i most)
{
    int32_t bits = _mm512_reduce_max_epi32(most);
    float max;
    memcpy(&max, &bits, sizeof max);
    return max;
}

/* n values in 16 bits, and `pad` zeros behind them; returns their scale, NaN if a value is not
 * finite. */
static inline float narrow16(const float *x, size_t n, size_t pad, int16_t *out)
{
    __m512i most = _mm512_setzero_si512();
    for (size_t k = 0; k < n; k += 16)
        most = _mm512_max_epi32(most, magnitude(_mm512_maskz_loadu_ps(first(n - k), x + k)));
    float max = largest(most);
    bool ok = isfinite(max), some = ok && max > Q8_LEAST;
    __m512 factor = _mm512_set1_ps(some ? 32767 / max : 0);
    for (size_t k = 0; k < n; k += 16) {
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(first(n - k), x + k), factor);
        _mm256_mask_storeu_epi16(out + k, first(n - k),
                                 _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
    }
    memset(out + n, 0, pad * sizeof *out);
    return some ? max / 32767 : ok ? 0 : NAN;
}

#endif
