/* cmd_version.c - `terra version`: the program and what it runs on.
 *
 * SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "data/store.h"
#include "engine/base/json_out.h"
#include "ui/versions.h"

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
    struct buf b = {0};
    if (a->json) {
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
        buf_add_byte(&b, '\n');
    } else {
        buf_printf(&b, "terra %s\n", TERRA_VERSION);
        buf_printf(&b, "SQLite   %s\ncurses   %s\nreadline %s\n", stat.sqlite,
                   versions_curses(), versions_readline());
        buf_printf(&b, "BLAS     %s\nCPU      %s, %u cores\nkernels  %s\n", m.blas, m.cpu,
                   m.cores, m.kernels);
    }
    store_close(store);
    int status = cli_print(a, buf_str(&b), b.len);
    buf_free(&b);
    return status;
}
