/* state.h - everything the terminal application knows, in one place.
 *
 * Purpose: shared by the files that make up the application: commands and mail change
 *          it, present.c turns it into view models, loop.c draws.  Plain data.
 * Owns:    whatever it points to, unless a comment says otherwise; tui.c builds and
 *          frees it.
 * Threads: the main thread only; the worker sees none of it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_STATE_H
#define TERRA_APP_STATE_H

#include "app/args.h"
#include "app/commands.h"
#include "app/order.h"
#include "app/recorder.h"
#include "app/timeline.h"
#include "app/worker.h"
#include "data/store.h"
#include "data/user_config.h"
#include "ui/keys.h"
#include "ui/line_edit.h"
#include "ui/screen.h"
#include "ui/term.h"
#include "ui/vm.h"

#define APP_TEXT 256

enum app_input { /* what the prompt line is asking for */
                 INPUT_PROMPT,
                 INPUT_COMMAND,
                 INPUT_FIND,
                 INPUT_SEARCH, /* of sessions */
                 INPUT_RENAME
};

enum app_busy {
    BUSY_IDLE,
    BUSY_LOADING,
    BUSY_READING,
    BUSY_PREFILL,
    BUSY_DECODE,
    BUSY_MEASURE
};

enum app_stage { STAGE_DEC, STAGE_ENC };

/* ---- replay ------------------------------------------------------------------------ */

struct play {
    bool on;         /* time runs */
    double speed;    /* times the recorded one */
    uint64_t due_ns; /* when the next token appears */
};

/* ---- compare ------------------------------------------------------------------------- */

struct app_side {
    struct timeline run;
    struct flow flow;
    struct flow_view view;
    size_t shown;    /* tokens visible in a replay; all while it runs */
    uint64_t due_ns; /* replay: when the next one appears */
    char name[48];
};

struct app_compare {
    bool any;     /* something was compared */
    bool running; /* it still is */
    enum compare_kind kind;
    struct app_side side[2];
    struct compare_result result; /* when done; its arrays are freed at once */
    bool done;
    uint32_t total; /* tokens asked for */
    char diff[2][32];
    struct play play;
    int64_t cursor;              /* token shown by both, -1: the newest of each */
    struct terra_model *model_b; /* NULL: side A's */
    struct recorder *recorder;   /* of side B */
    int64_t pair;                /* of both runs */
};

/* ---- sessions --------------------------------------------------------------------------- */

struct app_sessions {
    struct pool pool; /* of everything below */
    struct store_session *row;
    size_t n, total, selected;
    char query[APP_TEXT];
    enum store_sort sort;
    const char *preview; /* of the selected one; "" */
    double *rate;
    size_t n_rate;
    char size[24];
    int64_t deleted[32]; /* to undo, newest last */
    size_t n_deleted;
    int64_t renaming;
};

/* ---- where a run comes from -------------------------------------------------------------
 */

/* Enough to go on from any token of the run on screen. */
struct app_origin {
    char *text; /* what was read; NULL: nothing was run */
    size_t n_text;
    char style[24];          /* control word; "" none */
    bool of_document;        /* and of which */
    uint8_t document[32];    /* its sha256 */
    int64_t n_in, n_read;    /* tokens of it there were, and read */
    int kind;                /* enum store_kind */
    int status;              /* enum store_status */
    bool ids;                /* the text is token ids, which the screen does not read */
    uint8_t model[32];       /* header_sha256 */
    struct terra_ids forced; /* target tokens before the run's own */
    struct generate_pin pin[GENERATE_PINS];
    size_t n_pins;
};

/* A branch that was asked for, until its run begins. */
struct app_branch {
    bool on;
    struct terra_ids forced;
    int64_t parent; /* 0: not stored */
    char style[24];
    struct generate_pin pin[GENERATE_PINS];
    size_t n_pins;
    bool pinned;  /* the last pin is the question; those before were the parent's */
    bool second;  /* it takes the controller's second choice */
    uint16_t was; /* the unit chosen */
};

/* ---- dialog -------------------------------------------------------------------------------
 */

#define DIALOG_CHOICES 6

struct app_dialog {
    bool open;
    char title[64], text[512];
    char key[DIALOG_CHOICES][8], choice[DIALOG_CHOICES][96];
    size_t n, selected;
    unsigned (*chosen)(struct app *a, size_t which); /* not called when cancelled */
};

/* ---- the application ------------------------------------------------------------------------
 */

struct app {
    struct user_config *config; /* the caller's */
    const struct args *args;    /* the caller's */
    bool no_log;                /* write no file */

    /* terminal */
    struct terminal *term; /* NULL in tests */
    struct theme theme;
    int theme_choice; /* 0: what the terminal has */
    struct surface surface;
    struct screen screen;
    struct keys *keys;
    struct command_keys *bindings;
    struct line_edit *edit; /* NULL in tests */
    struct worker *worker;
    bool mouse;
    bool frozen, freeze_shown; /* still once the frame that says so is drawn */
    int test_fd;               /* -1: none */
    uint64_t frames;

    /* model */
    struct terra_model *model; /* NULL: none open */
    const struct terra_config *shape;
    const struct terra_vocab *vocab;
    struct terra_model_info model_info;
    char model_path[APP_TEXT * 2], dtype[8];
    uint64_t load_ns;
    char build[APP_TEXT];  /* what ran last; "" nothing yet */
    double bandwidth_peak; /* bytes per second; 0: not measured, negative: asked for */

    /* work */
    enum app_busy busy;
    enum job_kind job;
    struct job *waiting; /* until the memory is measured; NULL */
    enum app_busy waiting_busy;
    uint64_t busy_since, done, total; /* of a prefill */
    uint64_t judged, judges; /* parts asked and to be asked; judges 0: nobody is asked */
    struct app_step {
        uint32_t no, of;
        enum store_kind kind;
    } step;
    bool cancelled;
    bool run_after_load; /* a document on the command line runs when the model is there */
    char after_open[APP_TEXT * 2]; /* document to read when the model is there */
    char *source; /* last prompt run or document read, for regenerate and compare */
    size_t n_source;
    bool source_is_document;

    struct app_origin origin;
    struct app_branch branch;
    int64_t lens_token; /* that the lens was asked for */

    /* document */
    bool has_document;
    struct document document;
    struct summarize_plan plan;
    bool planned;
    int64_t tok_read, tok_total; /* coverage of the last run; -1 */

    /* store */
    struct store *store; /* NULL: not saving */
    struct recorder *recorder;
    int64_t session, run_id; /* 0: not stored */
    char title[APP_TEXT];    /* of the session or document */
    bool titled;
    int64_t *runs;             /* ids of the session's runs, oldest first */
    size_t n_runs, run_at;     /* run_at: the one on screen; n_runs: none of them */
    char store_note[APP_TEXT]; /* why nothing is saved; "" */
    uint64_t trouble_since;    /* the recorder cannot write; 0: it can */

    /* what is shown */
    enum vm_view view;
    enum vm_pane focus;
    enum app_input input;
    char *kept_prompt; /* text of the prompt while the line asks for something else */
    struct flow flow;
    struct flow_view flow_view;
    struct timeline run;
    uint32_t run_layers, run_blocks, run_units; /* shape shown in the header */
    size_t shown;                               /* tokens visible: all but in a replay */
    bool stored;                                /* the run came from the store */
    struct play play;
    int64_t cursor;  /* scrubbed token, -1: follow the newest */
    int64_t pinned;  /* -1: none */
    bool difference; /* the map shows differences from the pinned token */
    enum metric metric;
    enum vm_zoom zoom;
    enum app_stage stage;
    uint32_t layer, block;
    bool ordered;             /* the map shows blocks that choose alike together */
    struct block_order order; /* made anew for other rows, or when a run ends */
    bool map_cursor;          /* drawn once it was moved */
    int64_t map_token;        /* row the map shows; follows on its own clock */
    bool latency_token;       /* parts of this token instead of the mean */
    char find[APP_TEXT];      /* "" none */
    enum { FIND_TEXT, FIND_UNITS } find_kind;
    size_t found; /* byte of the last hit */
    uint32_t found_layer, found_block;
    uint16_t found_unit;

    char message[APP_TEXT];
    enum vm_severity severity;

    struct app_compare compare;
    struct app_sessions sessions;
    struct app_dialog dialog;
    struct {
        bool open;
        char filter[64];
        size_t selected;
        unsigned scope; /* commands of this scope come first */
    } help;
    struct {
        struct buf text; /* lines, NUL after each */
        const char **line;
        size_t n, top;
        char title[64];
        /* its last lines, if they are a list of tokens of the run */
        int64_t *token;
        size_t n_tokens, selected; /* index into token */
        enum vm_view from;         /* where Enter goes */
    } page;

    /* of the frame being drawn */
    struct vm vm;
    struct pool frame; /* memory of vm, freed before the next one */
    struct {           /* numbers that change slowly; every new run sets rows to NULL */
        const struct choice_rows *rows;
        int64_t token;
        size_t n;
        struct vm_layer_stat *layer;
        size_t like;
        double like_share;
        bool has_like;
        uint64_t due;
    } stat;

    struct {
        struct timeline_times t;
        size_t n; /* tokens and reading time of the run they are of */
        uint64_t prefill_ns, due;
    } times;

    struct {
        bool on; /* the store's log, as it was asked last */
        uint64_t due;
    } log;

    /* clocks */
    double map_fps;
    bool map_paced;    /* map_fps is what was asked for, whatever the screen's size */
    bool far;          /* over ssh */
    uint64_t frame_ns; /* between frames of text at 80x24 */
    uint64_t map_due, draw_due, tick_due, stop_due, drawn;
    uint64_t mail_due;                       /* the mailbox is not looked into before */
    uint64_t draw_ns, trace_ns, observed_ns; /* processor time; decoding meanwhile */
    bool dirty, quit;
    int signal; /* that ended us; 0 */
    uint64_t now;
};

/* One line in the message row. */
void app_say(struct app *a, enum vm_severity s, const char *fmt, ...) ERR_PRINTF(3, 4);
unsigned app_fail(struct app *a, const struct err *e); /* EFFECT_DRAW */

/* A row of choices for the map: the run's, of the stage shown. */
struct choice_rows *app_rows(struct app *a);
/* The token all panes show; -1 while there is none. */
int64_t app_token(const struct app *a);
bool app_running(const struct app *a); /* a reply is being made */

/* Asks for a line in place of the prompt. */
void app_ask(struct app *a, enum app_input what, const char *prompt, const char *text);
void app_ask_done(struct app *a); /* the prompt as it was */

#endif
