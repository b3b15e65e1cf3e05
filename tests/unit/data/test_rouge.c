/* Scores equal those of the rouge_score package (tests/tools/make_rouge_cases.py).
 * SPDX-License-Identifier: MIT */
#include "data/rouge.h"

#include "engine/base/buf.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CASES "tests/fixtures/rouge/cases.json"

static cJSON *load(void)
{
    struct buf b = {0};
    char chunk[65536];
    size_t n;
    FILE *f = fopen(CASES, "rb");
    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(&b, chunk, n);
    fclose(f);
    cJSON *root = cJSON_ParseWithLength(buf_str(&b), b.len);
    buf_free(&b);
    assert_non_null(root);
    return root;
}

static void expect(const cJSON *c, const char *name, const struct rouge_score *got, int i)
{
    const cJSON *want = cJSON_GetObjectItem(c, name);
    const double have[3] = {got->precision, got->recall, got->f};
    for (int k = 0; k < 3; k++) {
        double w = cJSON_GetArrayItem(want, k)->valuedouble;
        if (!(fabs(w - have[k]) <= 1e-9))
            fail_msg("case %d %s[%d]: %.12f, rouge_score says %.12f", i, name, k, have[k], w);
    }
}

static void equals_rouge_score(void **state)
{
    (void)state;
    cJSON *root = load();
    const cJSON *c;
    int i = 0;
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(root, "cases"))
    {
        const char *ref = cJSON_GetObjectItem(c, "reference")->valuestring;
        const char *can = cJSON_GetObjectItem(c, "candidate")->valuestring;
        struct rouge r;
        rouge_compute(ref, strlen(ref), can, strlen(can), &r);
        expect(c, "r1", &r.r1, i);
        expect(c, "r2", &r.r2, i);
        expect(c, "rl", &r.rl, i);
        expect(c, "rlsum", &r.rlsum, i);
        i++;
    }
    assert_true(i >= 60);
    cJSON_Delete(root);
}

static void malformed_bytes_separate_words(void **state)
{
    (void)state;
    struct rouge r;
    rouge_compute("one\xFFtwo", 7, "two\xC3one", 7, &r);
    assert_true(r.r1.f == 1);
    assert_true(r.r2.f == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_rouge_score),
        cmocka_unit_test(malformed_bytes_separate_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
