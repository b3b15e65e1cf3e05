/* SPDX-License-Identifier: MIT */
#include "app/usage.h"

#include <math.h>

struct usage usage_of(const uint64_t *count, uint32_t units)
{
    struct usage u = {0};
    uint64_t n = 0;
    for (uint32_t i = 0; i < units; i++) {
        n += count[i];
        u.unused += count[i] == 0;
    }
    for (uint32_t i = 0; n && i < units; i++) {
        double p = (double)count[i] / (double)n;
        if (p > 0)
            u.entropy -= p * log2(p);
    }
    u.effective = n ? exp2(u.entropy) : 0;
    u.unused = units ? u.unused / units : 0;
    return u;
}

struct usage usage_mean(const uint64_t *count, uint32_t blocks, uint32_t units)
{
    struct usage mean = {0};
    for (uint32_t k = 0; k < blocks; k++) {
        struct usage u = usage_of(count + (uint64_t)k * units, units);
        mean.entropy += u.entropy / blocks;
        mean.effective += u.effective / blocks;
        mean.unused += u.unused / blocks;
    }
    return mean;
}

/* Each unit's count is binomial(n, 1/N); the expected entropy is
 * -N sum_k P(k) k/n log2(k/n), summed where P matters. */
static double expected_entropy(uint64_t n, uint32_t units)
{
    if (units < 2 || n == 0)
        return 0;
    double p = 1.0 / units, mean = (double)n * p, sd = sqrt(mean * (1 - p));
    if (mean > 200) /* Miller and Madow */
        return log2(units) - (units - 1) / (2 * (double)n * log(2));
    double low = mean - 12 * sd - 1, high = mean + 12 * sd + 12;
    double sum = 0;
    for (double k = low > 1 ? floor(low) : 1; k <= high && k <= (double)n; k++) {
        double log_p = lgamma((double)n + 1) - lgamma(k + 1) - lgamma((double)n - k + 1) +
                       k * log(p) + ((double)n - k) * log1p(-p);
        sum -= exp(log_p) * k / (double)n * log2(k / (double)n);
    }
    return sum * units;
}

struct usage usage_chance(uint64_t n, uint32_t units)
{
    struct usage u = {0};
    if (units == 0)
        return u;
    u.entropy = expected_entropy(n, units);
    u.effective = n ? exp2(u.entropy) : 0;
    u.unused = pow(1 - 1.0 / units, (double)n);
    return u;
}

bool usage_is_evidence(uint64_t n, uint64_t documents, uint32_t units)
{
    return n >= 5ull * units && documents >= 3;
}
