/* unicode.h - letters, numbers and white space.
 *
 * Purpose: the three classes that cut text into words for the vocabularies.
 * Owns: nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UNICODE_H
#define TERRA_UNICODE_H

#include <stdint.h>

enum unicode_class {
    UNICODE_OTHER,
    UNICODE_LETTER, /* categories L* */
    UNICODE_NUMBER, /* categories N* */
    UNICODE_SPACE   /* White_Space */
};

enum unicode_class unicode_class(uint32_t cp);

#endif
