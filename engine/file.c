/* SPDX-License-Identifier: MIT */
#include "engine/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool map_fd(int fd, const char *path, struct file_map *out, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set(e, ERR_MODEL, "cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(e, ERR_MODEL, "%s: a directory, wanted a file", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_MODEL, "%s: not a regular file", path);
    if (st.st_size == 0)
        return err_set(e, ERR_MODEL, "%s: empty file", path);
    if ((uint64_t)st.st_size > SIZE_MAX)
        return err_set(e, ERR_MODEL, "%s: too large to map", path);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_set(e, ERR_RESOURCE, "cannot map %s (%lld bytes): %s", path,
                       (long long)st.st_size, strerror(errno));
    *out = (struct file_map){p, (size_t)st.st_size};
    return true;
}

bool file_map(const char *path, struct file_map *out, struct err *e)
{
    *out = (struct file_map){0};
    /* Without O_NONBLOCK a FIFO in the place of a file would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, ERR_MODEL, "no such file: %s", path);
    if (fd < 0)
        return err_set(e, ERR_MODEL, "cannot open %s: %s", path, strerror(errno));
    bool ok = map_fd(fd, path, out, e);
    close(fd);
    return ok;
}

void file_unmap(struct file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->n);
    *m = (struct file_map){0};
}

const char *file_looks_like(const void *bytes, size_t n)
{
    static const struct {
        const char *magic, *what;
        size_t n;
    } known[] = {
#define MAGIC(text, what) {text, what, sizeof(text) - 1}
        MAGIC("version https://git-lfs", "a git-lfs pointer; fetch it with `git lfs pull`"),
        MAGIC("\x1f\x8b", "a gzip file"),
        MAGIC("PK\x03\x04", "a zip archive, perhaps a PyTorch checkpoint"),
        MAGIC("\x80\x02", "a Python pickle"),
        MAGIC("\x80\x03", "a Python pickle"),
        MAGIC("\x80\x04", "a Python pickle"),
        MAGIC("\x80\x05", "a Python pickle"),
        MAGIC("GGUF", "a GGUF model"),
        MAGIC("\x28\xb5\x2f\xfd", "a zstd file"),
        MAGIC("\x89HDF", "an HDF5 file"),
        MAGIC("\x93NUMPY", "a NumPy array"),
        MAGIC("\x7f"
              "ELF",
              "a program"),
#undef MAGIC
    };
    const char *s = bytes;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n >= known[i].n && memcmp(s, known[i].magic, known[i].n) == 0)
            return known[i].what;
    while (n > 0 && (*s == ' ' || (*s >= '\t' && *s <= '\r')))
        s++, n--;
    if ((n >= 9 && strncasecmp(s, "<!doctype", 9) == 0) ||
        (n >= 5 && strncasecmp(s, "<html", 5) == 0))
        return "an HTML page";
    if (n >= 5 && strncasecmp(s, "<?xml", 5) == 0)
        return "an XML file";
    return NULL;
}
