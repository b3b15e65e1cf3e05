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

extern const struct kernels kernels_scalar;
#ifdef TERRA_X86_SETS
extern const struct kernels kernels_avx2, kernels_avx512;
#endif
#ifdef TERRA_NEON_SET
extern const struct kernels kernels_neon;
#endif

#endif
