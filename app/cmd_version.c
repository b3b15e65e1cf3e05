/* cmd_version.c - `terra version`: the program and what it runs on.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "data/store.h"
#include "engine/base/json_out.h"
#include "ui/versions.h"

#include <stdio.h>

int cmd_version(const struct args *a)
{
    struct terra_machine m;
    struct err e = {0};
    struct store_opts o = {.path = ":memory:"};
    struct store *store = store_open(&o, NULL, &e);
    struct store_stat stat = {.sqlite = "unknown"};
    terra_machine_info(&m);
    if (store && !store_stat(store, &stat, &e))
        stat.sqlite = "unknown";
    if (a->json) {
        struct buf b = {0};
        headless_object(&b, "version");
        json_cstr(&b, "terra", TERRA_VERSION);
        json_cstr(&b, "sqlite", stat.sqlite);
        json_cstr(&b, "curses", versions_curses());
        json_cstr(&b, "readline", versions_readline());
        json_cstr(&b, "blas", m.blas);
        json_cstr(&b, "cpu", m.cpu);
        json_cstr(&b, "kernels", m.kernels);
        json_int(&b, "cores", m.cores);
        json_close(&b, '}');
        printf("%s\n", buf_str(&b));
        buf_free(&b);
    } else {
        printf("terra %s\n", TERRA_VERSION);
        printf("SQLite   %s\ncurses   %s\nreadline %s\n", stat.sqlite, versions_curses(),
               versions_readline());
        printf("BLAS     %s\nCPU      %s, %u cores\nkernels  %s\n", m.blas, m.cpu, m.cores,
               m.kernels);
    }
    store_close(store);
    return fflush(stdout) == 0 ? 0 : ERR_RESOURCE;
}
