/* blas_core.h - makes OpenBLAS use the kernels that this CPU has.
 *
 * Purpose: OpenBLAS picks its kernels by the CPU's model number while it is loaded.  For a
 *          model that it does not know 0.3.21 was seen to take Prescott's, without AVX: a
 *          dense prefill took three times as long.  The name of the right ones must be in the
 *          environment before that.
 * Owns:    nothing.  Errors: none: what cannot be mended stays slow.
 * Threads: before there are any.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_BLAS_CORE_H
#define TERRA_APP_BLAS_CORE_H

/* Starts the program again, once, with OPENBLAS_CORETYPE set, if that helps; whoever set it
 * has the last word.  Returns if not. */
void blas_core_choose(char **argv);

#endif
