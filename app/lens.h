/* lens.h - what the model would write after each decoder layer ("logit lens").
 *
 * Purpose: runs a stored run's source and earlier tokens by force, then asks the head after
 *          every layer of one token's row.
 * Owns:    the rows, until lens_free.
 * Errors:  ERR_CHECK for a token that is not there or a model that did not write the run;
 *          the engine's.
 * Threads: the session's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_LENS_H
#define TERRA_APP_LENS_H

#include "app/generate.h"
#include "engine/terra.h"

#define LENS_TOP 5

struct lens_row {         /* of a decoder layer */
    int32_t id[LENS_TOP]; /* top tokens, best first; -1: the layer is narrower than the head,
                             or there are fewer */
    double p[LENS_TOP];   /* their probabilities */
    uint32_t rank;        /* of the token that was written, from 1 */
};

struct lens {
    struct lens_row *row; /* [layers] */
    uint32_t layers, blocks;
    uint16_t *unit; /* [layers][blocks] chosen for this token; TERRA_NO_UNIT: none */
};

/* `source` and pins as generate() takes them; target[0..at) come before target[at], the token
 * looked at. */
bool lens_run(struct terra_session *s, const struct terra_config *c,
              const struct terra_ids *source, const int32_t *target, size_t at,
              const struct generate_pin *pin, size_t n_pins, struct lens *out, struct err *e);
void lens_free(struct lens *l);

#endif
