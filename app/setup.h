/* setup.h - what a command runs with: settings, model folder, limits.
 *
 * Purpose: joins command line, environment, configuration file and defaults (the
 *          values and their origins are user_config's), and finds the model.
 * Owns:    the settings, until setup_close.
 * Errors:  ERR_USAGE for a bad value, ERR_MODEL with the folders searched.
 * Threads: one owner.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_SETUP_H
#define TERRA_APP_SETUP_H

#include "app/args.h"
#include "app/generate.h"
#include "app/recorder.h"
#include "data/user_config.h"
#include "engine/base/buf.h"
#include "engine/terra.h"

bool setup_open(struct user_config *c, const struct args *a, struct err *e);
void setup_close(struct user_config *c);

/* The model's folder as an absolute or given path.  `name`: a path, the name of a
 * folder in one of the model folders, or NULL or "" for the first model found; a
 * sparse one goes before its dense twin. */
bool setup_find_model(const struct user_config *c, const char *name, struct buf *out,
                      struct err *e);
/* Finds and opens; NULL with ERR_MODEL. */
struct terra_model *setup_open_model(const struct user_config *c, const char *name,
                                     struct err *e);
/* The folders searched, one per line. */
void setup_model_folders(const struct user_config *c, struct buf *out);

enum terra_mode setup_mode(const struct user_config *c);
enum recorder_trace setup_trace(const struct user_config *c);
uint32_t setup_threads(const struct user_config *c);

/* Sampling of free text.  Seed -1 becomes one from the clock, here, once. */
struct terra_sampling setup_sampling(const struct user_config *c, const struct args *a);
/* Summaries, compare and eval: greedy unless the person said otherwise, and no three
 * tokens twice. */
struct terra_sampling setup_sampling_summary(const struct user_config *c, const struct args *a);
uint32_t setup_max_tokens(const struct user_config *c, const struct terra_config *m);

/* The id of the control word in front of the source.  `style` NULL: none if the model
 * has none, else "description" or its first.  *id is -1 for none. */
bool setup_style(const struct terra_config *m, const char *style, int32_t *id,
                 const char **name, struct err *e);

/* The pins of a stored run, by its parameters; ERR_CHECK if there are too many. */
bool setup_pins(const char *params, struct generate_pin pin[GENERATE_PINS], size_t *n,
                struct err *e);

/* Is a stored run's prompt token ids, by its parameters: "prompt": "ids"? */
#define SETUP_IDS "ids"
bool setup_ids(const char *params);

/* "terra 0.1.0 gcc 12 avx512" and the machine, for stored runs. */
void setup_build(const struct terra_session *s, struct buf *out);
void setup_host(struct buf *out);

#endif
