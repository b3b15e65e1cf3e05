/* user_config.h - the person's settings, and which source each one came from.
 *
 * Purpose: config.json and keys.json, the environment and command line options meet
 *          here: option > environment > file > default.  The winner is remembered for
 *          `terra doctor`.  Also where the program's files are (XDG base directories).
 * Owns:    its texts, until user_config_free.
 * Errors:  a bad value on the command line is ERR_USAGE.  What is wrong in a file never
 *          stops the program: the default stays and a problem "FILE:LINE: KEY: reason" is
 *          kept.  Depth and length of files are checked before they are parsed.
 * Threads: one owner.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_USER_CONFIG_H
#define TERRA_DATA_USER_CONFIG_H

#include "data/pool.h"
#include "engine/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum config_key {
    CONFIG_MODEL,   /* path; "" : the installed one */
    CONFIG_DB,      /* path */
    CONFIG_THREADS, /* 0: physical cores */
    CONFIG_MODE,    /* "sparse" "masked" "open" */
    CONFIG_TRACE,   /* "none" "dec" "all" */
    CONFIG_TEMP,
    CONFIG_TOP_K,
    CONFIG_TOP_P,
    CONFIG_SEED,       /* -1: from the clock */
    CONFIG_BEAMS,      /* of summaries; 1: the likeliest next token, always */
    CONFIG_MAX_TOKENS, /* 0: the model's */
    CONFIG_LOG,        /* bool: save runs */
    CONFIG_COLOR,      /* "auto" "always" "never" */
    CONFIG_THEME,      /* "auto" "dark" "light" "mono" */
    CONFIG_ASCII,      /* bool */
    CONFIG_MOUSE,      /* bool */
    CONFIG_FPS,        /* map frames a second; 0: by connection */
    CONFIG_METRIC,     /* of the heatmap: "unit" "flip" "surprise" "margin" "zero" "use" "p" */
    CONFIG_LENGTH,     /* of summaries: "80w" "5s" "300t" "10%"; "" : the model decides */
    CONFIG_METHOD,     /* "auto" "single" "select" ... */
    CONFIG_STYLE,      /* control word of summaries; "": the model's first */
    CONFIG_CHUNK,      /* tokens; 0: what fits */
    CONFIG_OVERLAP,    /* tokens */
    CONFIG_MAX_DOCUMENT, /* bytes; takes k, M, G */
    CONFIG_KEYS
};

enum config_type {
    CONFIG_TEXT,
    CONFIG_PATH,
    CONFIG_INT,
    CONFIG_REAL,
    CONFIG_BOOL,
    CONFIG_CHOICE,
    CONFIG_SIZE
};

/* Weakest first. */
enum config_origin { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENV, CONFIG_FLAG };

/* What each key is; the order of enum config_key. */
struct config_info {
    const char *name; /* in config.json and for `:set` */
    enum config_type type;
    double min, max;        /* numbers */
    const char *choices;    /* words between '|'; NULL otherwise */
    const char *fallback;   /* default, as text */
    const char *env, *flag; /* NULL: none */
    const char *help;       /* one line */
};
extern const struct config_info config_info[CONFIG_KEYS];

struct config_value {
    const char *text; /* as given */
    double number;    /* numbers, sizes; 0 or 1 for a bool; index of a choice */
    enum config_origin origin;
    const char *from; /* "default", "FILE:LINE", "$TERRA_MODEL", "--model" */
};

/* keys.json: {"command": "key" or ["key", ...] or null, ...} */
struct config_binding {
    const char *command;
    const char *key; /* NULL: the command loses its keys */
    uint32_t line;
};

struct config_paths { /* absolute; "" if $HOME is unknown */
    const char *config_dir, *data_dir, *state_dir, *cache_dir; /* .../terra */
    const char *config_file, *keys_file, *db_file, *models_dir;
    const char *prompt_history, *machine_file;
};

struct user_config {
    struct config_value value[CONFIG_KEYS];
    struct config_paths paths;
    const struct config_binding *binding;
    size_t n_bindings;
    const char **problem; /* lines for a banner and for doctor */
    size_t n_problems;
    const char *named_file; /* $TERRA_CONFIG, or NULL */
    const char *home;       /* $HOME, or "": what "~/" in a file's path means */
    struct pool pool;
};

/* Reads environment variables through `get` (getenv itself, or a test's); defaults only,
 * paths, and what the environment says. */
void user_config_init(struct user_config *c, char *(*get)(const char *));
void user_config_free(struct user_config *c);

/* Reads config.json and keys.json.  `file` is --config; NULL: $TERRA_CONFIG, then the XDG
 * place (there it may be missing).  A missing named file is ERR_USAGE. */
bool user_config_load(struct user_config *c, const char *file, struct err *e);
/* The parsers behind it, on text in memory; name is for messages. */
void user_config_parse(struct user_config *c, const char *text, size_t n, const char *name);
void user_config_parse_keys(struct user_config *c, const char *text, size_t n,
                            const char *name);

/* One setting from a text; a weaker origin than the present one changes nothing. */
bool user_config_set(struct user_config *c, enum config_key k, const char *text,
                     enum config_origin origin, const char *from, struct err *e);
bool user_config_find(const char *name, enum config_key *out); /* by config_info.name */
void user_config_problem(struct user_config *c, const char *fmt, ...) ERR_PRINTF(2, 3);

const char *config_text(const struct user_config *c, enum config_key k);
double config_real(const struct user_config *c, enum config_key k);
int64_t config_int(const struct user_config *c, enum config_key k);
bool config_bool(const struct user_config *c, enum config_key k);

/* Creates the folder and its parents with 0700; existing ones stay as they are. */
bool user_config_make_dir(const char *dir, struct err *e);

#endif
