/* SPDX-License-Identifier: MIT */
#include "ui/fmt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct fmt unknown = {"-"};

struct fmt fmt_count(uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    struct fmt f = {""};
    size_t k = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            f.s[k++] = ',';
        f.s[k++] = digits[i];
    }
    return f;
}

struct fmt fmt_short(double v)
{
    struct fmt f;
    double a = fabs(v);
    if (!isfinite(v))
        return unknown;
    if (a >= 99999.5)
        snprintf(f.s, sizeof f.s, "%.3gM", v / 1e6);
    else if (a >= 9999.5)
        snprintf(f.s, sizeof f.s, "%.1fk", v / 1e3);
    else if (a >= 0.995 || a < 0.00005)
        snprintf(f.s, sizeof f.s, "%.*f", a >= 99.95 || a < 0.00005 ? 0 : 1, v);
    else /* two figures that count */
        snprintf(f.s, sizeof f.s, "%.*f", a >= 0.0995 ? 2 : a >= 0.00995 ? 3 : 4, v);
    return f;
}

struct fmt fmt_seconds(double s)
{
    struct fmt f;
    if (!isfinite(s))
        return unknown;
    if (s < 0.9995)
        snprintf(f.s, sizeof f.s, "%.*f ms", s < 0.00995 ? 1 : 0, s * 1e3);
    else
        snprintf(f.s, sizeof f.s, "%.*f s", s < 9.995 ? 2 : s < 99.95 ? 1 : 0, s);
    return f;
}

struct fmt fmt_share(double share)
{
    struct fmt f;
    if (!isfinite(share))
        return unknown;
    snprintf(f.s, sizeof f.s, "%.2f", share);
    if (f.s[0] == '0')
        memmove(f.s, f.s + 1, strlen(f.s));
    return f;
}

struct fmt fmt_percent(double share)
{
    struct fmt f;
    if (!isfinite(share))
        return unknown;
    double p = share * 100;
    snprintf(f.s, sizeof f.s, "%.*f%%", p > 0 && p < 9.95 ? 1 : 0, p);
    return f;
}

struct fmt fmt_bytes(double n)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    struct fmt f;
    int u = 0;
    if (!isfinite(n))
        return unknown;
    for (; n >= 999.5 && u < 4; u++)
        n /= 1000;
    snprintf(f.s, sizeof f.s, "%.*f %s",
             u == 0 || n >= 99.95 ? 0
             : n >= 9.995         ? 1
                                  : 2,
             n, unit[u]);
    return f;
}

struct fmt fmt_speed(double times)
{
    struct fmt f;
    if (times > 0 && times < 1)
        snprintf(f.s, sizeof f.s, "1/%.4gx", 1 / times);
    else
        snprintf(f.s, sizeof f.s, "%.3gx", times);
    return f;
}
