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

#endif
