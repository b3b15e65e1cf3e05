/* SPDX-License-Identifier: MIT */
#include "engine/base/fd.h"

#include <errno.h>
#include <unistd.h>

bool fd_write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, data, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        data += w;
        n -= (size_t)w;
    }
    return true;
}
