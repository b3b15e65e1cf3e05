/* SPDX-License-Identifier: MIT */
#include "engine/json_read.h"

#include <math.h>
#include <stdio.h>

/* Counts brackets and commas outside strings. */
static bool within_limits(const char *text, size_t n, unsigned max_depth, size_t max_values,
                          struct err *e)
{
    size_t depth = 0, values = 1;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == '[' || c == '{')
            depth++, values++;
        else if (c == ',')
            values++;
        else if ((c == ']' || c == '}') && depth > 0)
            depth--;
        if (depth > max_depth)
            return err_set(e, ERR_MODEL, "JSON nested deeper than %u levels at byte %zu",
                           max_depth, i);
        if (values > max_values)
            return err_set(e, ERR_MODEL, "JSON of more than %zu values", max_values);
    }
    return true;
}

cJSON *json_read(const char *text, size_t n, unsigned max_depth, size_t max_values,
                 struct err *e)
{
    if (!within_limits(text, n, max_depth, max_values, e))
        return NULL;
    const char *end = text;
    cJSON *root = cJSON_ParseWithLengthOpts(text, n, &end, 0);
    size_t at = end ? (size_t)(end - text) : 0;
    if (!root) {
        err_set(e, ERR_MODEL, "not valid JSON at byte %zu of %zu", at, n);
        return NULL;
    }
    while (at < n &&
           (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
        at++;
    if (at < n) {
        cJSON_Delete(root);
        err_set(e, ERR_MODEL, "something follows the JSON value at byte %zu of %zu", at, n);
        return NULL;
    }
    return root;
}

bool json_whole(const cJSON *item, uint64_t max, uint64_t *out)
{
    if (!cJSON_IsNumber(item))
        return false;
    double v = item->valuedouble;
    if (!(v >= 0 && v <= (double)max) || v != floor(v))
        return false;
    *out = (uint64_t)v;
    return true;
}

const char *json_show(const cJSON *item, char out[48])
{
    if (cJSON_IsString(item))
        snprintf(out, 48, "\"%s\"", item->valuestring);
    else if (cJSON_IsNumber(item))
        snprintf(out, 48, "%.12g", item->valuedouble);
    else
        snprintf(out, 48, "%s",
                 cJSON_IsBool(item)     ? cJSON_IsTrue(item) ? "true" : "false"
                 : cJSON_IsNull(item)   ? "null"
                 : cJSON_IsArray(item)  ? "a list"
                 : cJSON_IsObject(item) ? "an object"
                                        : "nothing");
    return out;
}
