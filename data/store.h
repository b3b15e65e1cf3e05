/* store.h - runs, tokens, traces, documents and summaries in one SQLite file.
 *
 * Purpose: everything that was generated, at once and searchable.  Gives plain
 *          structs; statements and SQL stay inside.  The schema is data/schema.sql
 *          and man terra-db.
 * Owns:    the connection, from store_open to store_close (NULL is fine).  Results
 *          live in the caller's pool.  Text in results is NUL-terminated and may be
 *          malformed UTF-8 (models write what they like): lengths beside it count.
 * Errors:  ERR_STORE with a line for people, or ERR_CHECK where a thing asked for by
 *          id does not exist.  store_trouble() tells the causes apart.  A failed write
 *          leaves the file as it was before the call, and may be repeated as it is.
 * Threads: one; calls are short (64 tokens of a small model: under a millisecond; with 1,536
 *          choices each: some), but wait up to `busy_ms` for another process.  A screen
 *          loop wants a small one, and repeats what was refused.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_DATA_STORE_H
#define TERRA_DATA_STORE_H

#include "data/pool.h"
#include "data/trace_codec.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* ---- opening -------------------------------------------------------------------- */

/* Why the last call failed, for the one who can act on it. */
enum store_trouble {
    STORE_FINE,
    STORE_BUSY,     /* another process holds the lock: retry later */
    STORE_FULL,     /* disk full, quota: retry later */
    STORE_READONLY, /* no right to write, read-only disk, or opened so */
    STORE_CORRUPT,  /* damaged: offer store_set_aside */
    STORE_FOREIGN,  /* an SQLite file of another program, or no SQLite file */
    STORE_NEWER,    /* written by a newer terra: open for reading only */
    STORE_GONE,     /* the file was deleted or replaced: store_reopen, begin the run anew */
    STORE_CANTOPEN, /* path: a directory, missing rights */
    STORE_BROKEN    /* I/O error and anything else */
};

struct store_opts {
    const char *path; /* ":memory:" keeps nothing */
    uint32_t busy_ms; /* wait for locks; 0: 5000 */
    bool read_only;   /* never writes; the file must exist */
};

/* What opening found and did. */
struct store_report {
    enum store_trouble trouble; /* also when opening failed */
    bool created, read_only, wal;
    int schema_found, schema_now; /* found is 0 for a new file */
    char backup[512];             /* copy made before migrating; "" if none */
    uint32_t interrupted;         /* runs that a dead process left unfinished */
    uint32_t purged;              /* deleted sessions whose undo nobody can want any more */
    char note[320];               /* one line worth showing, or "" */
};

/* Creates folders (0700) and the file (0600), migrates, finds interrupted runs, purges.
 * A newer file, or one that cannot be written, is opened read-only and `note` says so.
 * `rep` may be NULL. */
struct store *store_open(const struct store_opts *o, struct store_report *rep, struct err *e);
void store_close(struct store *s);

enum store_trouble store_trouble(const struct store *s);
const char *store_path(const struct store *s);
bool store_is_read_only(const struct store *s);

/* Closes and opens again: after STORE_GONE, or to retry.  On failure the store stays
 * usable for nothing but another store_reopen and store_close. */
bool store_reopen(struct store *s, struct store_report *rep, struct err *e);
/* Changes with every store_reopen: ids of before are another file's. */
uint32_t store_opened(const struct store *s);

/* Renames FILE and its -wal and -shm to FILE.corrupt-DATE...; no store may be open on it.
 * `moved_to` is at least 512 bytes. */
bool store_set_aside(const char *path, char *moved_to, struct err *e);

/* The saving of runs as `terra logs on|off` set it; on in a new file.  Asked by the
 * app before it begins a run. */
bool store_log_on(struct store *s);
bool store_log_set(struct store *s, bool on, struct err *e);

/* ---- models and documents ------------------------------------------------------- */

struct store_model {
    int64_t id; /* filled by the store */
    uint8_t header_sha256[32];
    uint64_t bytes;
    const char *path, *config; /* config: JSON text */
};

/* Finds or adds by hash and size; path and config become the newest ones. */
bool store_model_put(struct store *s, const struct store_model *m, int64_t *id, struct err *e);
/* Finds by hash and size alone; ERR_CHECK if no run of it was ever stored. */
bool store_model_find(struct store *s, const struct store_model *m, int64_t *id, struct err *e);
bool store_model_get(struct store *s, int64_t id, struct pool *p, struct store_model *out,
                     struct err *e);

struct store_document {
    int64_t id;
    uint8_t sha256[32];
    const char *name; /* NULL if it had none */
    uint64_t bytes;   /* as read */
    int64_t n_tok;    /* -1 unknown */
    uint64_t fixes;   /* malformed bytes replaced */
    const char *body; /* NULL: only the hash is kept */
    size_t n_body;
};

bool store_document_put(struct store *s, const struct store_document *d, int64_t *id,
                        struct err *e);
bool store_document_get(struct store *s, int64_t id, bool with_body, struct pool *p,
                        struct store_document *out, struct err *e);

/* ---- sessions ------------------------------------------------------------------- */

struct store_session {
    int64_t id;
    const char *uid;   /* 16 hexadecimal digits */
    const char *title; /* as given, else the first words of the first prompt, else "" */
    bool titled;       /* a title was given */
    int64_t created_ms, updated_ms;
    int64_t deleted_ms;   /* 0: not deleted */
    uint32_t n_runs;      /* live and finished ones */
    uint64_t n_tok;       /* written tokens of all runs */
    double tok_per_s;     /* of all decoding; 0 if none */
    const char *document; /* name of the newest run's document, or NULL */
    bool interrupted;     /* one of its runs was */
    const char *snippet;  /* search: matching words between [ and ]; else start of the
                             newest reply */
};

enum store_sort { STORE_BY_UPDATED, STORE_BY_CREATED, STORE_BY_TITLE, STORE_BY_TOKENS };

struct store_list_opts {
    const char *search; /* words, all must occur; NULL or "": no search.  Best first */
    enum store_sort sort;
    bool deleted;           /* also the deleted ones */
    uint32_t limit, offset; /* limit 0: all */
};

bool store_session_new(struct store *s, const char *title /* or NULL */, int64_t *id,
                       struct err *e);
bool store_session_get(struct store *s, int64_t id, struct pool *p, struct store_session *out,
                       struct err *e);
/* The session that changed last; ERR_CHECK if there is none. */
bool store_session_last(struct store *s, int64_t *id, struct err *e);
bool store_session_rename(struct store *s, int64_t id, const char *title, struct err *e);
/* Deleting hides.  It can be undone while the process that did it lives; the first start
 * after that purges.  ERR_CHECK while a run is written to it.  Ids are never used again. */
bool store_session_delete(struct store *s, int64_t id, struct err *e);
bool store_session_undelete(struct store *s, int64_t id, struct err *e);
/* Whether there is such a session, not deleted. */
bool store_session_alive(struct store *s, int64_t id, bool *alive, struct err *e);
/* n_all (may be NULL): how many match without the limit. */
bool store_session_list(struct store *s, const struct store_list_opts *o, struct pool *p,
                        struct store_session **out, size_t *n, size_t *n_all, struct err *e);

struct store_hit {
    int64_t session, run;
    const char *title;   /* of the session */
    const char *snippet; /* matching words between [ and ] */
    int64_t start_ms;
    bool in_prompt; /* the snippet is from the prompt, else from the reply */
};

/* Runs whose prompt or reply has all the words; a prompt hit counts five times. */
bool store_search(struct store *s, const char *words, uint32_t limit, struct pool *p,
                  struct store_hit **out, size_t *n, struct err *e);

/* ---- runs ----------------------------------------------------------------------- */

enum store_kind {
    STORE_CHAT,
    STORE_SUMMARY, /* a document in one piece */
    STORE_MAP,     /* one chunk of a long one */
    STORE_REDUCE,
    STORE_REFINE,
    STORE_COMPARE,
    STORE_BENCH,
    STORE_KINDS
};
enum store_mode { STORE_SPARSE, STORE_MASKED, STORE_OPEN, STORE_MODES };
enum store_status {
    STORE_RUNNING,
    STORE_DONE,
    STORE_LENGTH, /* stopped at the token limit */
    STORE_CANCELLED,
    STORE_ERROR,
    STORE_INTERRUPTED,
    STORE_STATUSES
};
extern const char *const store_kind_name[STORE_KINDS];      /* "chat" ... */
extern const char *const store_mode_name[STORE_MODES];      /* "sparse" ... */
extern const char *const store_status_name[STORE_STATUSES]; /* "running" ... */

enum store_part { /* where a token's time goes */
                  STORE_PART_CTL,
                  STORE_PART_FF,
                  STORE_PART_QKV,
                  STORE_PART_ATT,
                  STORE_PART_HEAD,
                  STORE_PART_SAMPLE,
                  STORE_PART_OTHER,
                  STORE_PARTS
};
extern const char *const store_part_name[STORE_PARTS];

#define STORE_TOP 5

struct store_run {
    int64_t id; /* filled by the store, as everything below the line is */
    int64_t session, parent, pair, model, document; /* 0: none; session and model required */
    int32_t chunk;                                  /* -1: none */
    enum store_kind kind;
    enum store_mode mode;
    const char *prompt;
    size_t n_prompt;
    const char *params; /* JSON object: sampling and the like; NULL: {} */
    uint64_t seed;
    const char *build, *host; /* version and kernels; machine */
    int64_t n_in, n_read;     /* tokens of the text there were, and read; -1 unknown */
    /* --- */
    enum store_status status;
    const char *output; /* "" while running */
    size_t n_output;
    const char *error; /* NULL: none */
    int64_t n_out;     /* tokens written */
    uint64_t load_ns, prefill_ns, decode_ns;
    int64_t start_ms, end_ms; /* end 0: not ended */
};

struct store_token {
    int32_t id;
    float logprob; /* natural; NaN: unknown */
    uint64_t ns;   /* the whole step */
    uint32_t part_us[STORE_PARTS];
    uint64_t bytes; /* weights and caches read */
    uint32_t zero;  /* blocks whose chosen unit was zero after ReLU */
    uint32_t n_top;
    struct {
        int32_t id;
        float logprob;
    } top[STORE_TOP];
    const char *text; /* what this token added to the reply: raw bytes, maybe none */
    size_t n_text;
};

enum store_stage { STORE_ENC, STORE_DEC };

/* Choices of n consecutive rows.  Encoder rows are source positions, decoder rows are
 * target tokens; both from 0. */
struct store_trace {
    enum store_stage stage;
    uint32_t pos, n;
    uint32_t layers, blocks, units;
    const uint16_t *unit; /* [n][layers][blocks], TRACE_NONE past a narrow layer */
    const uint8_t *alive; /* the same shape, 1 if ReLU let the unit through; NULL: not kept */
    const float *margin;  /* the same shape; NULL: not kept */
    uint32_t n_damaged;   /* reading: rows whose chunk is damaged; they are TRACE_NONE */
};

/* Begins a run with status `running`; it can be found at once.  id becomes the run's.
 * ERR_CHECK if the session was deleted; a parent that is gone is forgotten. */
bool store_run_begin(struct store *s, const struct store_run *r, int64_t *id, struct err *e);

/* After prefill, before the first token. */
bool store_run_prefilled(struct store *s, int64_t run, int64_t n_in, int64_t n_read,
                         uint64_t load_ns, uint64_t prefill_ns, struct err *e);

/* One transaction: tokens pos .. pos+n-1 and any number of traces.  Give a few at a time
 * (64 tokens, or what came in half a second).  Short trace chunks are filled up by the
 * next call.  Giving the same tokens again replaces them. */
bool store_run_append(struct store *s, int64_t run, uint32_t pos, const struct store_token *t,
                      size_t n, const struct store_trace *tr, size_t n_tr, struct err *e);

struct store_run_end {
    enum store_status status; /* not running */
    const char *output;       /* NULL: put together from the tokens */
    size_t n_output;
    const char *error; /* NULL: none */
    uint64_t decode_ns;
};

bool store_run_end(struct store *s, int64_t run, const struct store_run_end *end,
                   struct err *e);

bool store_run_get(struct store *s, int64_t run, struct pool *p, struct store_run *out,
                   struct err *e);
/* The newest run of any session that is not deleted; ERR_CHECK if there is none. */
bool store_run_last(struct store *s, int64_t *run, struct err *e);
/* A session's runs, oldest first. */
bool store_run_list(struct store *s, int64_t session, struct pool *p, struct store_run **out,
                    size_t *n, struct err *e);
/* The runs of one compare, by id. */
bool store_run_pair(struct store *s, int64_t pair, struct pool *p, struct store_run **out,
                    size_t *n, struct err *e);
bool store_tokens(struct store *s, int64_t run, struct pool *p, struct store_token **out,
                  size_t *n, struct err *e);
/* Every target token of a run: the `n_forced` that it was given by force (its parent's, as
 * many as its parameter "after" says), then its own. */
bool store_run_target(struct store *s, int64_t run, struct pool *p, int32_t **ids, size_t *n,
                      size_t *n_forced, struct err *e);
/* A text among a run's parameters; NULL if there is none. */
const char *store_param_text(const char *params, const char *key, struct pool *p);
/* Blocks pinned while a run was written: those that its parameter "kept" names, from an
 * earlier branch, then "pin", which holds from token "after" on. */
struct store_pin {
    uint32_t layer, block, unit, at; /* at: first target token, forced ones counted */
};
struct store_pin *store_param_pins(const char *params, struct pool *p, size_t *n);
/* All rows of a stage from pos 0; n 0 if none are stored.  Missing rows are TRACE_NONE. */
bool store_trace_get(struct store *s, int64_t run, enum store_stage stage, struct pool *p,
                     struct store_trace *out, struct err *e);

/* ---- summaries ------------------------------------------------------------------ */

struct store_summary {
    int64_t id, document, run; /* run: the one that wrote the final text */
    const char *method;        /* "single", "map-reduce", "refine" */
    const char *target;        /* "80w" ..., or NULL */
    const char *body;
    int64_t tok_read, tok_total; /* coverage */
    const char *rouge;           /* JSON, or NULL */
    int64_t created_ms;
    const int64_t *step; /* run ids in order, the final one included */
    size_t n_steps;
};

bool store_summary_put(struct store *s, const struct store_summary *m, int64_t *id,
                       struct err *e);
/* The summary whose final run is `run`; ERR_CHECK if there is none. */
bool store_summary_of(struct store *s, int64_t run, struct pool *p, struct store_summary *out,
                      struct err *e);
bool store_summary_list(struct store *s, int64_t document /* 0: all */, struct pool *p,
                        struct store_summary **out, size_t *n, struct err *e);

/* ---- use of units --------------------------------------------------------------- */

struct store_use_opts {
    int64_t model, session, run; /* 0: any */
    enum store_stage stage;
};

struct store_use {
    uint32_t layers, blocks, units;
    uint64_t rows, runs; /* that were counted */
    uint64_t other_rows; /* of another shape (another model): not counted */
    uint64_t damaged_rows;
    uint64_t *count; /* [layers][blocks][units] */
    uint64_t *zero;  /* [layers][blocks]: chosen but zero after ReLU, of alive_rows */
    uint64_t *flips; /* [layers][blocks]: differed from the row before */
    uint64_t alive_rows;
};

/* The newest matching run decides the shape.  rows 0: nothing is stored. */
bool store_use(struct store *s, const struct store_use_opts *o, struct pool *p,
               struct store_use *out, struct err *e);

/* ---- tokens alike --------------------------------------------------------------- */

struct store_like_opts {
    int64_t run; /* decoder token `pos` of it is what the others are compared with */
    uint32_t pos;
    uint32_t limit;    /* hits wanted; memory grows with it and not with the store */
    uint64_t max_rows; /* tokens looked at, newest runs first; 0: all */
};

struct store_like_hit {
    int64_t session, run;
    uint32_t pos;
    uint32_t same;    /* places with the same unit, of store_like.places */
    const char *text; /* of the token: raw bytes, maybe none */
    size_t n_text;
};

struct store_like {
    uint32_t layers, blocks, units, places; /* places: that have a unit in this token */
    uint64_t rows;                          /* compared */
    uint64_t other_rows;                    /* of another shape or damaged: not compared */
    bool more;                              /* max_rows ended it */
    struct store_like_hit *hit;             /* most alike first; of equals the newest run's */
    size_t n;
};

/* Tokens of all sessions that are not deleted whose choices agree most.  ERR_CHECK if that
 * token has no stored choices. */
bool store_like(struct store *s, const struct store_like_opts *o, struct pool *p,
                struct store_like *out, struct err *e);

/* ---- space ---------------------------------------------------------------------- */

struct store_stat {
    int schema;
    bool wal, log_on;
    uint64_t bytes; /* file and -wal */
    uint64_t free_bytes;
    uint64_t n_sessions, n_deleted, n_runs, n_tokens, n_documents, n_summaries, n_models;
    uint64_t trace_rows, trace_bytes;
    const char *sqlite; /* version */
};

bool store_stat(struct store *s, struct store_stat *out, struct err *e);

struct store_prune_opts {
    int64_t before_ms; /* runs that started earlier */
    bool traces;       /* only their traces; else traces, tokens and whole sessions whose
                          last change is earlier */
    bool dry_run;
};

struct store_pruned {
    uint64_t sessions, runs, tokens, traces, bytes;
};

bool store_prune(struct store *s, const struct store_prune_opts *o, struct store_pruned *out,
                 struct err *e);

/* A consistent copy while others write; the target must not exist. */
bool store_backup(struct store *s, const char *to, struct err *e);

/* integrity_check; the first complaint is in e. */
bool store_check(struct store *s, struct err *e);

#endif
