/* Any text as config.json and keys.json: problems are noted, values stay in range.
 * SPDX-License-Identifier: MIT */
#include "data/user_config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct user_config c;
    user_config_init(&c, no_environment);
    user_config_parse(&c, (const char *)data, size, "config.json");
    user_config_parse_keys(&c, (const char *)data, size, "keys.json");
    for (int k = 0; k < CONFIG_KEYS; k++) {
        const struct config_info *info = &config_info[k];
        bool number =
            info->type == CONFIG_INT || info->type == CONFIG_REAL || info->type == CONFIG_SIZE;
        if (number && !(c.value[k].number >= info->min && c.value[k].number <= info->max))
            abort();
        if (!c.value[k].text || !c.value[k].from)
            abort();
    }
    user_config_free(&c);
    return 0;
}
