/* sha256.h - SHA-256 (FIPS 180-4), to recognise a model header or vocabulary.
 *
 * Owns: nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_SHA256_H
#define TERRA_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

void sha256(const void *data, size_t n, uint8_t out[32]);

/* 64 lower-case hexadecimal digits and a NUL. */
void sha256_hex(const uint8_t hash[32], char out[65]);

#endif
