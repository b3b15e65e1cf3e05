/* config_impl.h - what the files of config.h share.
 *
 * Owns: nothing.  Errors, threads: see config.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_CONFIG_IMPL_H
#define TERRA_CONFIG_IMPL_H

#include "engine/config.h"

enum { CONFIG_MAX_SIZE = (1 << 24) - 1 }; /* widths, vocabularies, lengths */

/* Values that are fine one by one may still not divide each other as the layers need, or
 * have no meaning together: ERR_MODEL, with the key. */
bool config_check(const struct terra_config *c, const char *where, struct err *e);

#endif
