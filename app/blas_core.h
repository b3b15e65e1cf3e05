/* blas_core.h - makes OpenBLAS use the kernels that this CPU has, and no threads.
 *
 * Purpose: OpenBLAS picks its kernels by the CPU's model number while it is loaded.  For a
 *          model that it does not know 0.3.21 was seen to take Prescott's, without AVX: a
 *          dense prefill took three times as long.  The name of the right ones must be in the
 *          environment before that.  It also starts threads while it is loaded, which we do
 *          not use; one that finds no memory looks for some for ever, and no exit waits less.
 * Owns:    nothing.  Errors: none: what cannot be mended stays slow.
 * Threads: before there are any.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_BLAS_CORE_H
#define TERRA_APP_BLAS_CORE_H

/* Starts the program again, once, with OPENBLAS_CORETYPE or OPENBLAS_NUM_THREADS set, if that
 * helps (the latter where the address space is limited); whoever set them has the last word.
 * Returns if not. */
void blas_core_choose(char **argv);

#endif
