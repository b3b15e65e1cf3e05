/* SPDX-License-Identifier: MIT */
#include "app/numbers.h"

#include <string.h>
#include <strings.h>

const struct number_info number_info[NUMBERS] = {
#define NUMBER(name, text, more) {name, text, more},
#include "app/numbers.def"
#undef NUMBER
};

bool number_called(const struct number_info *n, const char *word)
{
    size_t len = strlen(word);
    if (strcasecmp(n->name, word) == 0)
        return true;
    for (const char *s = n->name; len && *s; s += strspn(s, " ")) {
        size_t part = strcspn(s, " ");
        if (part == len && strncasecmp(s, word, len) == 0)
            return true;
        s += part;
    }
    return false;
}

void numbers_help(struct buf *out)
{
    for (int i = 0; i < NUMBERS; i++) {
        const struct number_info *n = &number_info[i];
        buf_printf(out, "%s: %s%s\n", n->name, n->text, n->more ? "." : "");
        if (n->more)
            buf_printf(out, "    %s\n", n->more);
    }
}
