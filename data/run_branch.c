/* SPDX-License-Identifier: MIT */
#include "data/run_branch.h"

#include "data/store.h"

#include <cjson/cJSON.h>
#include <string.h>

/* A count; 0 if it is none. */
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

const char *store_param_text(const char *params, const char *key, struct pool *p)
{
    cJSON *o = cJSON_Parse(params);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    const char *out = text ? pool_copy(p, text, strlen(text) + 1) : NULL;
    cJSON_Delete(o);
    return out;
}

static struct store_pin read_pin(const cJSON *o, uint32_t at)
{
    return (struct store_pin){whole(o, "layer"), whole(o, "block"), whole(o, "unit"), at};
}

struct store_pin *store_param_pins(const char *params, struct pool *p, size_t *n)
{
    cJSON *o = cJSON_Parse(params);
    const cJSON *kept = cJSON_GetObjectItemCaseSensitive(o, "kept"), *one;
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(o, "pin");
    struct store_pin *pin = pool_get(p, (size_t)cJSON_GetArraySize(kept) + 1, sizeof *pin);
    *n = 0;
    cJSON_ArrayForEach(one, kept) pin[(*n)++] = read_pin(one, whole(one, "at"));
    if (cJSON_IsObject(own))
        pin[(*n)++] = read_pin(own, whole(o, "after"));
    cJSON_Delete(o);
    return pin;
}
