/* SPDX-License-Identifier: MIT */
#include "app/blas_core.h"

#include "engine/terra.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void blas_core_choose(char **argv)
{
    static const char setting[] = "OPENBLAS_CORETYPE";
    char self[4096];
    struct terra_machine m;
    if (getenv(setting))
        return;
    terra_machine_info(&m);
    if (!strstr(m.blas, "(Prescott)") || !strstr(m.kernels, "avx2"))
        return;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0 || setenv(setting, strstr(m.kernels, "avx512") ? "SkylakeX" : "Haswell", 1) != 0)
        return;
    self[n] = '\0';
    execv(self, argv);
}
