/* SPDX-License-Identifier: MIT */
#include "data/document.h"

#include "engine/base/buf.h"
#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define POLL_MS     100
#define MAX_BAD_PCT 10

/* ---- what the bytes look like --------------------------------------------------- */

/* The command reads %s, the quoted file name; NULL: nothing makes text of it. */
struct kind {
    const char *magic;
    size_t n_magic;
    const char *what, *command;
};

#define MAGIC(s) s, sizeof s - 1
static const struct kind kinds[] = {
    {MAGIC("%PDF-"), "a PDF file", "pdftotext %s -"},
    {MAGIC("\x1f\x8b"), "gzip data", "zcat %s"},
    {MAGIC("BZh"), "bzip2 data", "bzcat %s"},
    {MAGIC("\xFD"
           "7zXZ"),
     "xz data", "xzcat %s"},
    {MAGIC("\x28\xB5\x2F\xFD"), "zstd data", "zstdcat %s"},
    {MAGIC("{\\rtf"), "an RTF file", "pandoc -f rtf -t plain %s"},
    {MAGIC("%!PS"), "a PostScript file", "ps2ascii %s"},
    {MAGIC("\xD0\xCF\x11\xE0"), "an old Office file", "antiword %s"},
    {MAGIC("\x89PNG"), "a PNG image", "tesseract %s -"},
    {MAGIC("\xFF\xD8\xFF"), "a JPEG image", "tesseract %s -"},
    {MAGIC("GIF8"), "a GIF image", NULL},
    {MAGIC("RIFF"), "an image or sound file", NULL},
    {MAGIC("OggS"), "a sound file", NULL},
    {MAGIC("ID3"), "a sound file", NULL},
    {MAGIC("\x7F"
           "ELF"),
     "an ELF program", NULL},
    {MAGIC("SQLite format 3"), "an SQLite database", NULL},
    {MAGIC("\xFF\xFE"), "UTF-16 text", "iconv -f UTF-16 -t UTF-8 %s"},
    {MAGIC("\xFE\xFF"), "UTF-16 text", "iconv -f UTF-16 -t UTF-8 %s"},
};

static bool contains(const char *p, size_t n, const char *word)
{
    size_t k = strlen(word);
    for (size_t i = 0; i + k <= n; i++)
        if (memcmp(p + i, word, k) == 0)
            return true;
    return false;
}

/* Letters alone may also begin a text; then the bytes after them decide. */
static bool is_word(const char *magic)
{
    static const char letters[] =
        "0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return strspn(magic, letters) == strlen(magic);
}

static bool begins_binary(const char *p, size_t n)
{
    size_t head = n < 64 ? n : 64;
    return memchr(p, '\0', head) || utf8_count_bad(p, utf8_complete(p, head)) > 0;
}

static bool is_kind(const struct kind *k, const char *p, size_t n)
{
    return n >= k->n_magic && memcmp(p, k->magic, k->n_magic) == 0 &&
           (!is_word(k->magic) || begins_binary(p, n));
}

static bool sniff(const char *p, size_t n, struct kind *out)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (is_kind(&kinds[i], p, n)) {
            *out = kinds[i];
            return true;
        }
    }
    if (n < 4 || memcmp(p, "PK\x03\x04", 4) != 0)
        return false;
    /* The names of the first members of a zip tell what it is. */
    size_t head = n < 4096 ? n : 4096;
    if (contains(p, head, "opendocument.text"))
        *out = (struct kind){.what = "an ODT file", .command = "pandoc -f odt -t plain %s"};
    else if (contains(p, head, "epub+zip"))
        *out = (struct kind){.what = "an EPUB book", .command = "pandoc -f epub -t plain %s"};
    else if (contains(p, head, "[Content_Types].xml") || contains(p, head, "word/"))
        *out = (struct kind){.what = "a DOCX file", .command = "pandoc -f docx -t plain %s"};
    else
        *out = (struct kind){.what = "a zip archive", .command = "unzip -p %s"};
    return true;
}

/* The name as a shell reads it. */
static void quote(struct buf *b, const char *name)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+,:@%";
    if (*name && strspn(name, plain) == strlen(name)) {
        buf_add_str(b, name);
        return;
    }
    buf_add_byte(b, '\'');
    for (; *name; name++) {
        if (*name == '\'')
            buf_add_str(b, "'\\''");
        else
            buf_add_byte(b, *name);
    }
    buf_add_byte(b, '\'');
}

static bool refuse(const char *path, const char *what, const char *command, struct err *e)
{
    if (!command)
        return err_set(e, ERR_INPUT, "%s: %s, not text", path, what);
    struct buf b = {0}, name = {0};
    quote(&name, path);
    const char *hole = strstr(command, "%s");
    buf_add(&b, command, (size_t)(hole - command));
    buf_add_str(&b, buf_str(&name));
    buf_add_str(&b, hole + 2);
    err_set(e, ERR_INPUT, "%s: %s, not text; try: %s | terra summarize -", path, what,
            buf_str(&b));
    buf_free(&b);
    buf_free(&name);
    return false;
}

/* ---- repair --------------------------------------------------------------------- */

struct repair {
    uint64_t fixes, bad_bytes, line_ends;
    bool blank;
};

static void repair(const char *p, size_t n, struct buf *out, struct repair *r)
{
    *r = (struct repair){.blank = true};
    buf_reserve(out, n);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        bool ok;
        size_t len = utf8_decode(p + i, n - i, &cp, &ok);
        if (!ok || cp == 0) {
            buf_add_str(out, "\xEF\xBF\xBD");
            r->fixes++;
            r->bad_bytes += len;
        } else if (cp == '\r') {
            buf_add_byte(out, '\n');
            len += i + 1 < n && p[i + 1] == '\n';
            r->line_ends++;
        } else {
            buf_add(out, p + i, len);
            if (cp > ' ' && cp != 0xA0 && cp != 0x3000 && !(cp >= 0x2000 && cp <= 0x200B))
                r->blank = false;
        }
        i += len;
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* `path` is for messages and the name; bytes are as read. */
static bool finish(const char *p, size_t n, const char *path, struct document *out,
                   struct err *e)
{
    struct kind kind;
    if (n == 0)
        return err_set(e, ERR_INPUT, "%s: the document is empty", path);
    if (sniff(p, n, &kind))
        return refuse(path, kind.what, kind.command, e);
    bool bom = n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0;
    struct buf text = {0};
    struct repair r;
    repair(p + (bom ? 3 : 0), n - (bom ? 3 : 0), &text, &r);
    if (r.bad_bytes * 100 > (uint64_t)n * MAX_BAD_PCT) {
        char what[80];
        snprintf(what, sizeof what, "%.0f%% of the bytes are not UTF-8",
                 100.0 * (double)r.bad_bytes / (double)n);
        buf_free(&text);
        bool binary = memchr(p, 0, n) != NULL;
        return refuse(path, binary ? "binary data" : what,
                      binary ? NULL : "iconv -f ISO-8859-1 -t UTF-8 %s", e);
    }
    if (r.blank) {
        buf_free(&text);
        return err_set(e, ERR_INPUT, "%s: nothing but white space", path);
    }
    *out = (struct document){.n = text.len,
                             .name = xstrdup(base_name(path)),
                             .bytes = n,
                             .fixes = r.fixes,
                             .line_ends = r.line_ends,
                             .bom = bom};
    out->text = buf_take(&text);
    sha256(p, n, out->sha256);
    return true;
}

bool document_from_bytes(const void *bytes, size_t n, const char *name, struct document *out,
                         struct err *e)
{
    *out = (struct document){0};
    return finish(bytes, n, name, out, e);
}

void document_free(struct document *d)
{
    free(d->text);
    free(d->name);
    *d = (struct document){0};
}

/* ---- reading -------------------------------------------------------------------- */

static bool too_large(const char *name, uint64_t max, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s: larger than %llu bytes; --max-document raises the limit",
                   name, (unsigned long long)max);
}

static bool read_bytes(int fd, const char *name, const struct document_opts *o, struct buf *out,
                       struct err *e)
{
    uint64_t max = o->max_bytes ? o->max_bytes : DOCUMENT_MAX_BYTES;
    char chunk[65536];
    for (;;) {
        if (o->cancel && atomic_load(o->cancel))
            return err_set(e, ERR_CANCELLED, "%s: reading was cancelled", name);
        /* poll, because a FIFO without a writer would look like an empty file. */
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, POLL_MS);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            return true;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return err_set(e, ERR_INPUT, "%s: %s", name, strerror(errno));
        buf_add(out, chunk, (size_t)n);
        if (out->len > max)
            return too_large(name, max, e);
    }
}

bool document_read_fd(int fd, const char *name, const struct document_opts *o,
                      struct document *out, struct err *e)
{
    struct document_opts defaults = {0};
    struct buf b = {0};
    *out = (struct document){0};
    bool ok = read_bytes(fd, name, o ? o : &defaults, &b, e) &&
              finish(buf_str(&b), b.len, name, out, e);
    buf_free(&b);
    return ok;
}

static pid_t spawn_reader(char *const argv[], int *out_fd)
{
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t pid;
    int failed = posix_spawnp(&pid, argv[0], &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        errno = failed;
        return -1;
    }
    *out_fd = ends[0];
    return pid;
}

static bool read_pdf(const char *path, const struct document_opts *o, struct document *out,
                     struct err *e)
{
    /* A name that begins with '-' must not be taken for an option. */
    struct buf name = {0};
    buf_printf(&name, "%s%s", *path == '-' ? "./" : "", path);
    char program[] = "pdftotext", enc[] = "-enc", utf8[] = "UTF-8", quiet[] = "-q",
         dash[] = "-";
    char *argv[] = {program, quiet, enc, utf8, name.data, dash, NULL};
    int fd = -1, status = 0;
    pid_t pid = spawn_reader(argv, &fd);
    if (pid < 0) {
        buf_free(&name);
        return err_set(e, ERR_INPUT, "%s: a PDF file, and pdftotext (poppler-utils) is %s",
                       path, errno == ENOENT ? "not installed" : strerror(errno));
    }
    struct buf text = {0};
    bool ok = read_bytes(fd, path, o, &text, e);
    close(fd);
    if (!ok)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (ok && status != 0)
        ok = err_set(e, ERR_INPUT, "%s: pdftotext could not read it", path);
    ok = ok && finish(buf_str(&text), text.len, path, out, e);
    buf_free(&text);
    buf_free(&name);
    return ok;
}

bool document_read(const char *path, const struct document_opts *o, struct document *out,
                   struct err *e)
{
    struct document_opts opts = o ? *o : (struct document_opts){0};
    *out = (struct document){0};
    if (strcmp(path, "-") == 0)
        return document_read_fd(STDIN_FILENO, "-", &opts, out, e);
    /* Without O_NONBLOCK, opening a FIFO nobody writes to would never return. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (errno == ENOENT)
            err_set(e, ERR_INPUT, "no such file: %s", path);
        else
            err_set(e, ERR_INPUT, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    uint64_t max = opts.max_bytes ? opts.max_bytes : DOCUMENT_MAX_BYTES;
    bool ok = false, pdf = false;
    if (S_ISDIR(st.st_mode)) {
        err_set(e, ERR_INPUT, "%s: is a directory", path);
    } else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max) {
        too_large(path, max, e);
    } else {
        char magic[5];
        pdf = opts.convert_pdf && S_ISREG(st.st_mode) &&
              pread(fd, magic, sizeof magic, 0) == sizeof magic &&
              memcmp(magic, "%PDF-", sizeof magic) == 0;
        ok = pdf ? read_pdf(path, &opts, out, e) : document_read_fd(fd, path, &opts, out, e);
    }
    close(fd);
    return ok;
}
