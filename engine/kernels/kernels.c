/* kernels.c - which kernel sets this CPU can run.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/kernels/kernels.h"

#include "engine/kernels/sets.h"

#include <string.h>

/* Best first. */
static const struct kernels *const sets[] = {
#ifdef TERRA_X86_SETS
    &kernels_avx512vnni, &kernels_avx512, &kernels_avx2,
#endif
#ifdef TERRA_NEON_SET
    &kernels_neon,
#endif
    &kernels_scalar,
};

static bool can_run(const struct kernels *k)
{
#ifdef TERRA_X86_SETS
    if (k == &kernels_avx512vnni)
        return can_run(&kernels_avx512) && __builtin_cpu_supports("avx512vnni");
    if (k == &kernels_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("fma");
    if (k == &kernels_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    (void)k;
    return true;
}

const struct kernels *kernels_get(const char *name)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if ((!name || strcmp(name, sets[i]->name) == 0) && can_run(sets[i]))
            return sets[i];
    return NULL;
}
