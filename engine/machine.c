/* machine.c - what this computer is and how fast it reads memory.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"
#include "engine/kernels/kernels.h"
#include "engine/pool.h"
#include "engine/terra.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef TERRA_NO_BLAS
#include <cblas.h>
#endif

enum { LINE = 256, MAX_CORES = 1024 };

/* "key : value" lines of /proc: the value if `line` has this key, else NULL. */
static const char *value_of(const char *line, const char *key)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0)
        return NULL;
    line += n + strspn(line + n, " \t");
    return *line == ':' ? line + 1 + strspn(line + 1, " \t") : NULL;
}

/* Name, and pairs (socket, core) counted once: hardware threads share a core. */
static void read_cpu(struct terra_machine *m)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    m->cores = online > 0 ? (uint32_t)online : 1;
    snprintf(m->cpu, sizeof m->cpu, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f)
        return;
    char line[LINE];
    long socket = 0, seen[MAX_CORES];
    uint32_t n = 0;
    while (fgets(line, sizeof line, f)) {
        const char *v;
        if ((v = value_of(line, "model name")) || (v = value_of(line, "Model"))) {
            snprintf(m->cpu, sizeof m->cpu, "%.*s", (int)strcspn(v, "\n"), v);
        } else if ((v = value_of(line, "physical id"))) {
            socket = strtol(v, NULL, 10);
        } else if ((v = value_of(line, "core id"))) {
            long id = socket * 65536 + strtol(v, NULL, 10);
            uint32_t i = 0;
            while (i < n && seen[i] != id)
                i++;
            if (i == n && n < MAX_CORES)
                seen[n++] = id;
        }
    }
    fclose(f);
    if (n && n < m->cores)
        m->cores = n;
}

static bool read_number(const char *path, uint64_t *out)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    unsigned long long v;
    bool ok = fscanf(f, "%llu", &v) == 1;
    fclose(f);
    if (ok)
        *out = v;
    return ok;
}

/* Limit of the control group that the line of /proc/self/cgroup with `mark` names. */
static bool read_limit(const char *mark, const char *under, const char *name, uint64_t *out)
{
    char line[LINE], path[2 * LINE];
    FILE *f = fopen("/proc/self/cgroup", "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = strstr(line, mark) != NULL;
    if (f)
        fclose(f);
    if (!found)
        return false;
    const char *group = strstr(line, mark) + strlen(mark);
    snprintf(path, sizeof path, "/sys/fs/cgroup%s%.*s/%s", under, (int)strcspn(group, "\n"),
             group, name);
    return read_number(path, out);
}

static void read_memory(struct terra_machine *m)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[LINE];
    while (f && fgets(line, sizeof line, f)) {
        const char *v;
        if ((v = value_of(line, "MemTotal")))
            m->memory_bytes = strtoull(v, NULL, 10) * 1024;
        else if ((v = value_of(line, "MemAvailable")))
            m->available_bytes = strtoull(v, NULL, 10) * 1024;
    }
    if (f)
        fclose(f);
    uint64_t limit; /* of this process's group; what its page cache holds can be given back */
    if (read_limit("0::", "", "memory.max", &limit) ||
        read_limit(":memory:", "/memory", "memory.limit_in_bytes", &limit)) {
        m->memory_bytes = limit < m->memory_bytes ? limit : m->memory_bytes;
        m->available_bytes = limit < m->available_bytes ? limit : m->available_bytes;
    }
}

void terra_machine_info(struct terra_machine *out)
{
    static const char *const names[] = {"avx512vnni", "avx512", "avx2", "neon", "scalar"};
    *out = (struct terra_machine){0};
    read_cpu(out);
    read_memory(out);
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (kernels_get(names[i]))
            n += (size_t)snprintf(out->kernels + n, sizeof out->kernels - n, "%s%s",
                                  n ? " " : "", names[i]);
#ifdef TERRA_NO_BLAS
    snprintf(out->blas, sizeof out->blas, "none");
#else
    snprintf(out->blas, sizeof out->blas, "%s (%s)", openblas_get_config(),
             openblas_get_corename());
#endif
}

/* ---- bandwidth ------------------------------------------------------------------ */

enum {
    SUMS = 64, /* results kept so that no read can be left out */
    PREFETCH = 12288
};

struct read_job {
    const uint64_t *data;
    uint64_t sum[SUMS];
};

static void read_part(void *arg, uint32_t thread, size_t i0, size_t i1)
{
    struct read_job *j = arg;
    uint64_t s[8] = {0};
    for (size_t i = i0; i < i1; i++) {
        __builtin_prefetch((const char *)(j->data + i * 8) + PREFETCH, 0,
                           2); /* as kernels do */
        for (size_t k = 0; k < 8; k++)
            s[k] ^= j->data[i * 8 + k];
    }
    j->sum[thread % SUMS] = s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6] ^ s[7];
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double terra_machine_bandwidth(uint32_t threads, uint32_t rounds, struct err *e)
{
    enum { MAX_ROUNDS = 64 };
    const size_t bytes = (size_t)256 << 20;
    double rate[MAX_ROUNDS];
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    char *data = aligned_alloc((size_t)2 << 20, bytes);
    if (!data) {
        err_set(e, ERR_RESOURCE, "no %zu MiB to measure memory bandwidth with", bytes >> 20);
        return 0;
    }
    struct pool *p = pool_open(threads, e);
    if (p) {
#ifdef MADV_HUGEPAGE
        madvise(data, bytes, MADV_HUGEPAGE); /* as for made-up weights */
#endif
        memset(data, 1, bytes);
        struct read_job j = {.data = (const uint64_t *)(const void *)data};
        for (uint32_t i = 0; i < rounds; i++) {
            uint64_t t0 = clock_ns();
            pool_run(p, bytes / 64, 1024, read_part, &j);
            rate[i] = (double)bytes * 1e9 / (double)(clock_ns() - t0);
        }
        qsort(rate, rounds, sizeof *rate, by_value);
    }
    pool_close(p);
    free(data);
    return p ? rate[rounds / 2] : 0;
}

/* ---- multiplies ------------------------------------------------------------------- */

enum { MUL_ROWS = 12, MUL_DEPTH = 256, MUL_OUTS = 2 * PANEL, MUL_REPEAT = 4096 };

struct mul_job {
    const struct kernels *k;
    struct mat w;
    float x[MUL_ROWS * MUL_DEPTH]; /* all 0, as the same in 8 bits */
    float y[SUMS][MUL_ROWS * MUL_OUTS];
};

static void mul_part(void *arg, uint32_t piece, size_t i0, size_t i1)
{
    struct mul_job *j = arg;
    const struct kernels *k = j->k;
    float *y = j->y[piece % SUMS];
    for (size_t i = i0; i < i1; i++) {
        if (mat_has_quads(k, &j->w))
            k->panels_q8(j->w.pack, NULL, 0, MUL_OUTS / PANEL, (const int8_t *)j->x,
                         q8_bytes(MUL_DEPTH), MUL_ROWS, y, MUL_OUTS, NULL);
        else if (mat_has_panels(k, &j->w))
            k->panels(j->w.pack, 0, 0, MUL_OUTS / PANEL, j->x, MUL_DEPTH, MUL_ROWS, y, MUL_OUTS,
                      NULL);
        else
            k->rows(&j->w, 0, MUL_OUTS, j->x, MUL_DEPTH, MUL_ROWS, y, MUL_OUTS);
    }
}

double terra_machine_multiplies(uint32_t threads, enum terra_dtype dtype, uint32_t rounds,
                                struct err *e)
{
    struct mul_job *j = xcalloc(1, sizeof *j);
    struct pool *p = pool_open(threads, e);
    struct pack pack;
    double best = 0;
    float *w = xcalloc(MUL_OUTS * MUL_DEPTH, sizeof *w), *scale = xcalloc(MUL_OUTS, sizeof *w);
    j->k = kernels_get(NULL);
    j->w = (struct mat){
        .dtype = dtype, .rows = MUL_OUTS, .cols = MUL_DEPTH, .data = w, .scale = scale};
    bool quads = dtype == TERRA_I8 && j->k->panels_q8;
    void *memory = aligned_alloc(64, pack_size(&j->w, 1, quads));
    if (p && memory) {
        pack_fill(&pack, &j->w, 1, quads, memory);
        j->w.pack = &pack;
        const double work = (double)MUL_ROWS * MUL_DEPTH * MUL_OUTS * MUL_REPEAT;
        for (uint32_t i = 0; i < rounds; i++) {
            uint64_t t0 = clock_ns();
            pool_run(p, MUL_REPEAT, 1, mul_part, j);
            double rate = work * 1e9 / (double)(clock_ns() - t0);
            best = rate > best ? rate : best;
        }
    }
    pool_close(p);
    free(memory);
    free(w);
    free(scale);
    free(j);
    return best;
}
