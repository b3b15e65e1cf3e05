/* SPDX-License-Identifier: MIT */
#include "data/run_branch.h"

#include <cjson/cJSON.h>

static uint32_t whole(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    double n = cJSON_IsNumber(v) ? v->valuedouble : 0;
    return n > 0 && n < 1e9 ? (uint32_t)n : 0;
}

bool run_branch(const char *params, struct run_branch *out)
{
    cJSON *o = cJSON_Parse(params);
    const cJSON *pin = cJSON_GetObjectItemCaseSensitive(o, "pin");
    bool branch = cJSON_HasObjectItem(o, "after");
    *out = (struct run_branch){
        .after = whole(o, "after"),
        .pinned = cJSON_IsObject(pin),
        .layer = whole(pin, "layer"),
        .block = whole(pin, "block"),
        .unit = whole(pin, "unit"),
        .was = whole(pin, "was"),
        .kept = (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "kept"))};
    cJSON_Delete(o);
    return branch;
}
