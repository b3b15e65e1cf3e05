/* replay_main.c - runs a fuzz target over the files of a corpus folder.
 *
 * Purpose: every build replays what fuzzing found, without libFuzzer.  Prints TAP:
 *          an input passes if the target comes back.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    struct buf b = {0};
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(&b, chunk, n);
    fclose(f);
    /* An exact copy, so that reading past the end is caught. */
    uint8_t *copy = malloc(b.len ? b.len : 1);
    if (!copy)
        return false;
    if (b.len)
        memcpy(copy, b.data, b.len);
    LLVMFuzzerTestOneInput(copy, b.len);
    free(copy);
    buf_free(&b);
    return true;
}

int main(int argc, char **argv)
{
    int n = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            printf("not ok %d - no corpus %s\n", ++n, argv[i]);
            failed++;
            continue;
        }
        for (struct dirent *d; (d = readdir(dir));) {
            if (d->d_name[0] == '.')
                continue;
            struct buf path = {0};
            buf_printf(&path, "%s/%s", argv[i], d->d_name);
            bool ok = replay(buf_str(&path));
            failed += !ok;
            printf("%sok %d - %s\n", ok ? "" : "not ", ++n, d->d_name);
            buf_free(&path);
        }
        closedir(dir);
    }
    printf("1..%d\n", n);
    return failed ? 1 : 0;
}
