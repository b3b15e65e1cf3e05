/* err.h - one caller-owned error value.
 *
 * Purpose: every function that can fail takes a `struct err *` as its last
 *          parameter and returns false (or NULL) after filling it.  The message
 *          names the thing and the reason in one line, without a newline; the
 *          caller decides where it is shown.  `kind` decides the exit status.
 * Owns:    nothing; the text lives inside the struct.
 * Errors:  a NULL `e` is allowed: the message is dropped.
 * Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_BASE_ERR_H
#define TERRA_BASE_ERR_H

#include <stdbool.h>

/* The values are the program's exit statuses (man terra, EXIT STATUS), except
 * ERR_CANCELLED, which each command maps itself. */
enum err_kind {
    ERR_NONE = 0,
    ERR_CHECK = 1,    /* a check failed, or nothing was found */
    ERR_USAGE = 2,    /* command line, configuration, terminal */
    ERR_MODEL = 3,    /* model folder: missing, damaged, inconsistent */
    ERR_INPUT = 4,    /* input document */
    ERR_STORE = 5,    /* database */
    ERR_RESOURCE = 6, /* memory or disk */
    ERR_NUMERIC = 7,  /* NaN or Inf */
    ERR_CANCELLED = 130
};

struct err {
    enum err_kind kind;
    char msg[256]; /* one line, control characters escaped */
};

#if defined(__GNUC__)
#define ERR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ERR_PRINTF(fmt, args)
#endif

/* Fills *e and returns false, so that callers write `return err_set(...)`.
 * Control characters in the formatted text become '?'. */
bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...) ERR_PRINTF(3, 4);

/* Puts "prefix: " in front of the message; returns false. */
bool err_prefix(struct err *e, const char *fmt, ...) ERR_PRINTF(2, 3);

#endif
