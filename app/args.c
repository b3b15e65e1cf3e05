/* SPDX-License-Identifier: MIT */
#include "app/args_impl.h"

#include "engine/base/edit_distance.h"
#include "engine/base/xalloc.h"
#include "engine/terra.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables -------------------------------------------------------------- */

const struct args_command args_commands[CMD_COUNT] = {
    [CMD_TUI] = {"tui", "[FILE]", "open the terminal application (the default)", 0, 1},
    [CMD_SUMMARIZE] = {"summarize", "FILE|-", "summarize a document", 1, 1},
    [CMD_RUN] = {"run", "[PROMPT]", "generate text once; standard input is added to PROMPT", 0,
                 -1},
    [CMD_CHAT] = {"chat", "", "line mode: prompts and /commands, no screen control", 0, 0},
    [CMD_COMPARE] = {"compare", "[FILE|-]", "run a document two ways, timed alternately", 0, 1},
    [CMD_LOGS] =
        {"logs",
         "list|show|search|like|export|rm|prune|path|status|backup|set-aside|on|off [ARG]",
         "stored sessions", 0, -1},
    [CMD_REPLAY] = {"replay", "RUN", "print a stored run at its recorded speed", 1, 1},
    [CMD_TRACE] = {"trace", "RUN", "the units chosen by every token of a stored run", 1, 1},
    [CMD_STATS] = {"stats", "[RUN]", "use of the feed-forward units, over stored runs", 0, 1},
    [CMD_INSPECT] = {"inspect", "[MODEL]", "a model's settings, tensors and bytes", 0, 1},
    [CMD_PARITY] = {"parity", "MODEL GOLDEN", "compare a model with expected results", 2, 2},
    [CMD_EVAL] = {"eval", "PAIRS", "log-perplexity, ROUGE and controller over a pairs file", 1,
                  1},
    [CMD_ROUGE] = {"rouge", "CANDIDATE REFERENCE", "ROUGE-1, 2, L and Lsum of two files", 2, 2},
    [CMD_BENCH] = {"bench", "", "speed on this machine", 0, 0},
    [CMD_DOCTOR] = {"doctor", "", "check files, settings, machine and terminal", 0, 0},
    [CMD_COMPLETION] = {"completion", "bash|zsh|fish", "print a completion script", 1, 1},
    [CMD_HELP] = {"help", "[COMMAND|numbers]", "show help", 0, 1},
    [CMD_VERSION] = {"version", "", "show versions", 0, 0},
};

#define B(c) (1u << CMD_##c)
#define ALL  ARGS_ALL
#define MODELS                                                                                 \
    (B(TUI) | B(SUMMARIZE) | B(RUN) | B(CHAT) | B(COMPARE) | B(EVAL) | B(BENCH) | B(DOCTOR))
#define WRITES (B(TUI) | B(SUMMARIZE) | B(RUN) | B(CHAT) | B(COMPARE) | B(EVAL))
#define STORES (B(TUI) | B(SUMMARIZE) | B(RUN) | B(CHAT) | B(COMPARE))
#define STORED (B(LOGS) | B(REPLAY) | B(TRACE) | B(STATS))
#define SCREEN (B(TUI))

const struct args_option args_options[] = {
#define F(x) offsetof(struct args, x)
    {'m', "model", PATH, F(model), ALL, MODELS | B(STATS), "PATH", 0, 0,
     "model folder, or the name of an installed one"},
    {0, "mode", WORD, F(mode), ALL, MODELS | B(PARITY), "sparse|masked|open", 0, 0,
     "how a sparse feed-forward is computed"},
    {'t', "threads", INT, F(threads), ALL, MODELS | B(PARITY), "N", 1, 1024,
     "compute threads; default: physical cores"},
    {'n', "max-tokens", INT, F(max_tokens), ALL & ~B(BENCH), WRITES, "N", 1, 1 << 20,
     "stop after N tokens"},
    {0, "temp", NUM, F(temp), ALL, WRITES, "X", 0, 100, "temperature; 0: greedy"},
    {0, "top-k", INT, F(top_k), ALL, WRITES, "N", 0, 1 << 30,
     "sample among the N best; 0: all"},
    {0, "top-p", NUM, F(top_p), ALL, WRITES, "X", 0, 1,
     "sample among the best X of probability"},
    {0, "seed", INT, F(seed), ALL, WRITES, "N", 0, 9007199254740992,
     "seed of the sampler; default: the clock"},
    {0, "beams", INT, F(beams), ALL, WRITES, "N", 1, TERRA_MAX_BEAMS,
     "texts tried side by side at temperature 0; default 4 for summaries, else 1"},
    {0, "no-repeat-ngram", INT, F(no_repeat), ALL, WRITES, "N", 0, 64,
     "never write the same N tokens twice; 0: off"},
    {0, "style", TEXT, F(style), ALL, WRITES, "WORD", 0, 0,
     "control word of the model: title, description, tldr ..."},
    {0, "length", TEXT, F(length), B(SUMMARIZE) | B(TUI), B(SUMMARIZE), "L", 0, 0,
     "wanted length: 80w words, 5s sentences, 300t tokens, 10%"},
    {0, "method", WORD, F(method), B(SUMMARIZE) | B(TUI) | B(EVAL), B(SUMMARIZE) | B(EVAL),
     "auto|single|select|map-reduce|refine", 0, 0, "what to do with a long document"},
    {0, "chunk", INT, F(chunk), B(SUMMARIZE) | B(TUI), B(SUMMARIZE), "N", 8, 1 << 20,
     "tokens in a chunk; default: what the model takes"},
    {0, "overlap", INT, F(overlap), B(SUMMARIZE) | B(TUI), B(SUMMARIZE), "N", 0, 1 << 20,
     "tokens repeated between chunks; default 0"},
    {0, "allow-truncate", FLAG, F(allow_truncate), B(SUMMARIZE), B(SUMMARIZE), NULL, 0, 0,
     "read only what fits, and say so"},
    {0, "max-document", TEXT, F(max_document), B(SUMMARIZE) | B(COMPARE), B(SUMMARIZE),
     "N[kMG]", 0, 0, "largest document read; default 50M"},
    {0, "ref", PATH, F(ref), B(SUMMARIZE), B(SUMMARIZE), "FILE", 0, 0,
     "print ROUGE against this reference summary"},
    {0, "dry-run", FLAG, F(dry_run), B(SUMMARIZE), B(SUMMARIZE), NULL, 0, 0,
     "count tokens and chunks, run nothing"},
    {0, "prompt", TEXT, F(prompt), B(COMPARE), B(COMPARE), "TEXT", 0, 0,
     "compare on this text instead of a file"},
    {0, "ids", FLAG, F(ids), B(RUN) | B(COMPARE), B(RUN) | B(COMPARE), NULL, 0, 0,
     "the prompt is token ids, and ids are printed"},
    {0, "against", TEXT, F(against), B(COMPARE), B(COMPARE), "masked|open|model:PATH", 0, 0,
     "the other side; default masked"},
    {0, "check", FLAG, F(check), B(COMPARE), B(COMPARE), NULL, 0, 0,
     "exit 1 if the tokens differ"},
    {0, "tol", NUM, F(tol), B(PARITY) | B(COMPARE), B(PARITY) | B(COMPARE), "X", 0, 1e9,
     "largest difference of logits, in their standard deviation"},
    {0, "units-min", NUM, F(units_min), B(PARITY), B(PARITY), "X", 0, 1,
     "share of chosen units that must agree; default 1"},
    {'s', "session", TEXT, F(session), ALL, STORES, "ID", 0, 0, "continue this stored session"},
    {'c', "continue", FLAG, F(cont), ALL, STORES, NULL, 0, 0, "continue the latest session"},
    {0, "trace", WORD, F(trace), ALL, STORES, "none|dec|all", 0, 0, "chosen units to store"},
    {0, "no-log", FLAG, F(no_log), ALL, STORES, NULL, 0, 0, "write no file at all"},
    {0, "db", PATH, F(db), ALL, STORES | STORED, "FILE", 0, 0, "history database"},
    {'l', "limit", INT, F(limit), STORED | B(EVAL), B(LOGS) | B(EVAL), "N", 1, 1 << 30,
     "at most N sessions, or N pairs"},
    {'r', "response", FLAG, F(reply_only), B(LOGS), B(LOGS), NULL, 0, 0, "only the last reply"},
    {'f', "format", WORD, F(format), B(LOGS) | B(TRACE) | B(STATS) | B(REPLAY),
     B(LOGS) | B(TRACE) | B(STATS) | B(REPLAY), "md|json|jsonl|csv|asciicast", 0, 0,
     "output format"},
    {'o', "output", PATH, F(output), B(LOGS) | B(TRACE) | B(STATS),
     B(LOGS) | B(TRACE) | B(STATS), "FILE", 0, 0, "write there instead of standard output"},
    {0, "traces", FLAG, F(traces), B(LOGS), B(LOGS), NULL, 0, 0,
     "prune: traces only, keep texts"},
    {0, "older-than", TEXT, F(older_than), B(LOGS), B(LOGS), "30d", 0, 0,
     "prune: only what is older (h, d, w)"},
    {0, "stage", WORD, F(stage), B(TRACE) | B(STATS), B(TRACE) | B(STATS), "enc|dec", 0, 0,
     "encoder or decoder; default dec"},
    {0, "lens", INT, F(lens), B(TRACE), B(TRACE), "TOKEN", 0, 1 << 24,
     "the top token after each decoder layer, for this token"},
    {0, "layer", INT, F(layer), B(TRACE) | B(STATS), B(TRACE) | B(STATS), "N", 0, 1 << 16,
     "only this layer"},
    {0, "speed", NUM, F(speed), B(REPLAY), B(REPLAY), "X", 0, 1e6,
     "times the recorded speed; 0: at once"},
    {0, "step", FLAG, F(step), B(REPLAY), B(REPLAY), NULL, 0, 0, "one token for every Enter"},
    {0, "no-generate", FLAG, F(no_generate), B(EVAL), B(EVAL), NULL, 0, 0,
     "perplexity and controller only"},
    {0, "preset", WORD, F(preset), B(BENCH) | B(INSPECT), B(BENCH) | B(INSPECT),
     "medium|medium-dense|medium-dense6144|big|big-dense|tiny|tiny-dense", 0, 0,
     "made-up weights of this shape"},
    {0, "dtype", WORD, F(dtype), B(BENCH) | B(INSPECT), B(BENCH) | B(INSPECT), "f32|bf16|int8",
     0, 0, "their number type"},
    {0, "blocks", INT, F(blocks), B(BENCH) | B(INSPECT), B(BENCH) | B(INSPECT), "N", 1, 256,
     "their decoder blocks"},
    {'p', "n-prompt", INT, F(bench_prompt), B(BENCH), B(BENCH), "N", 0, 1 << 20,
     "source tokens of a prefill"},
    {'n', "n-gen", INT, F(bench_tokens), B(BENCH), B(BENCH), "N", 0, 1 << 20, "tokens decoded"},
    {'r', "rounds", INT, F(bench_rounds), B(BENCH), B(BENCH), "N", 1, 10000, "repetitions"},
    {'d', "depth", INT, F(bench_depth), B(BENCH), B(BENCH), "N", 0, 1 << 20,
     "tokens already in the cache"},
    {'o', "format", WORD, F(format), B(BENCH), B(BENCH), "md|csv|json|jsonl|sql", 0, 0,
     "output format"},
    {0, "output", PATH, F(output), B(BENCH), B(BENCH), "FILE", 0, 0,
     "write there instead of standard output"},
    {0, "modes", TEXT, F(modes), B(BENCH), B(BENCH), "LIST", 0, 0,
     "of sparse,masked,open,untraced,dense; default sparse,dense (-m: sparse,masked)"},
    {0, "paper", FLAG, F(paper), B(BENCH), B(BENCH), NULL, 0, 0,
     "the paper's table beside ours"},
    {0, "sweep", FLAG, F(sweep), B(BENCH), B(BENCH), NULL, 0, 0,
     "also over threads and tokens in the cache"},
    {0, "layer", FLAG, F(one_layer), B(BENCH), B(BENCH), NULL, 0, 0,
     "one feed-forward layer, dense against 1 of N"},
    {0, "svg", PATH, F(svg), B(BENCH), B(BENCH), "FILE", 0, 0, "also write the plot there"},
    {0, "reset-tty", FLAG, F(reset_tty), B(DOCTOR), B(DOCTOR), NULL, 0, 0,
     "put a terminal in order that a killed program left behind"},
    {0, "keys", FLAG, F(keys), B(HELP), B(HELP), NULL, 0, 0, "keys and commands of the TUI"},
    {0, "json", FLAG, F(json), ALL, ALL & ~(B(TUI) | B(CHAT) | B(COMPLETION) | B(HELP)), NULL,
     0, 0, "one JSON object per line"},
    {0, "config", PATH, F(config), ALL, MODELS | STORED, "FILE", 0, 0, "configuration file"},
    {0, "color", WORD, F(color), ALL, SCREEN, "auto|always|never", 0, 0, "use of colour"},
    {0, "ascii", FLAG, F(ascii), ALL, SCREEN, NULL, 0, 0, "draw with ASCII only"},
    {0, "mouse", FLAG, F(mouse), ALL, SCREEN, NULL, 0, 0, "react to the mouse"},
    {0, "fps", INT, F(fps), ALL, SCREEN, "N", 1, 60, "heatmap frames per second"},
    {'q', "quiet", FLAG, F(quiet), ALL, ALL & ~B(TUI), NULL, 0, 0,
     "no messages; never the reply"},
    {'v', "verbose", FLAG, F(verbose), ALL, ALL & ~B(TUI), NULL, 0, 0, "more messages"},
    {'h', "help", FLAG, F(help), ALL, ALL, NULL, 0, 0, "show help"},
    {0, "version", FLAG, F(version), ALL, B(HELP), NULL, 0, 0, "show versions"},
#undef F
};

const size_t args_n_options = sizeof args_options / sizeof *args_options;

/* ---- nearest name ----------------------------------------------------------- */

struct nearest {
    const char *name; /* NULL: nothing is near */
    unsigned distance;
};

static void nearest_try(struct nearest *best, const char *given, const char *name)
{
    size_t n = strlen(given);
    unsigned d = n >= 3 && strncmp(given, name, n) == 0
                     ? 1
                     : edit_distance(given, n, name, strlen(name));
    if (d <= 1 + n / 4 && (!best->name || d < best->distance))
        *best = (struct nearest){name, d};
}

static bool unknown_option(const char *given, enum cmd c, struct err *e)
{
    struct nearest best = {0};
    const char *where = NULL;
    for (size_t i = 0; i < args_n_options; i++) {
        if (args_options[i].cmds & (1u << c))
            nearest_try(&best, given, args_options[i].name);
        else if (strcmp(args_options[i].name, given) == 0)
            for (int k = CMD_COUNT - 1; k >= 0; k--)
                if (args_options[i].cmds & (1u << k))
                    where = args_commands[k].name;
    }
    if (where)
        return err_set(e, ERR_USAGE, "option --%s is for 'terra %s', not for 'terra %s'", given,
                       where, args_commands[c].name);
    if (best.name)
        return err_set(e, ERR_USAGE, "unknown option --%s; did you mean --%s?", given,
                       best.name);
    return err_set(e, ERR_USAGE, "unknown option --%s; see 'terra %s --help'", given,
                   args_commands[c].name);
}

bool args_cmd_find(const char *name, enum cmd *c, struct err *e)
{
    struct nearest best = {0};
    for (int i = 0; i < CMD_COUNT; i++) {
        if (strcmp(args_commands[i].name, name) == 0) {
            *c = (enum cmd)i;
            return true;
        }
        nearest_try(&best, name, args_commands[i].name);
    }
    if (best.name)
        return err_set(e, ERR_USAGE, "unknown command '%s'; did you mean '%s'?", name,
                       best.name);
    return err_set(e, ERR_USAGE, "unknown command '%s'; see 'terra help'", name);
}

/* ---- values ------------------------------------------------------------------ */

static bool is_one_of(const char *words, const char *value)
{
    size_t n = strlen(value);
    for (const char *w = words; n > 0; w++) {
        size_t len = strcspn(w, "|");
        if (len == n && memcmp(w, value, n) == 0)
            return true;
        w += len;
        if (!*w)
            break;
    }
    return false;
}

static bool set_option(struct args *a, const struct args_option *o, const char *value,
                       struct err *e)
{
    void *field = (char *)a + o->field;
    char *end;
    errno = 0;
    switch (o->kind) {
    case FLAG:
        *(bool *)field = true;
        return true;
    case WORD:
        if (!is_one_of(o->value, value))
            return err_set(e, ERR_USAGE, "--%s: '%s' is not one of %s", o->name, value,
                           o->value);
        *(const char **)field = value;
        return true;
    case TEXT:
    case PATH:
        if (!*value)
            return err_set(e, ERR_USAGE, "--%s: the value is empty", o->name);
        *(const char **)field = value;
        return true;
    case INT: {
        long long v = strtoll(value, &end, 10);
        if (end == value || *end)
            return err_set(e, ERR_USAGE, "--%s: '%s' is not a whole number", o->name, value);
        if (errno)
            return err_set(e, ERR_USAGE, "--%s: '%s' is too %s", o->name, value,
                           v < 0 ? "small" : "large");
        if (v < (long long)o->min || v > (long long)o->max)
            return err_set(e, ERR_USAGE, "--%s: %lld is outside %.0f to %.0f", o->name, v,
                           o->min, o->max);
        *(int64_t *)field = v;
        return true;
    }
    case NUM: {
        double v = strtod(value, &end);
        if (end == value || *end || !isfinite(v))
            return err_set(e, ERR_USAGE, "--%s: '%s' is not a number", o->name, value);
        if (v < o->min || v > o->max)
            return err_set(e, ERR_USAGE, "--%s: %g is outside %g to %g", o->name, v, o->min,
                           o->max);
        *(double *)field = v;
        return true;
    }
    }
    return false;
}

/* ---- parsing -------------------------------------------------------------------- */

static const struct args_option *find_long(const char *name, size_t n, enum cmd c)
{
    for (size_t i = 0; i < args_n_options; i++)
        if ((args_options[i].cmds & (1u << c)) && strncmp(args_options[i].name, name, n) == 0 &&
            args_options[i].name[n] == '\0')
            return &args_options[i];
    return NULL;
}

static const struct args_option *find_short(char letter, enum cmd c)
{
    for (size_t i = 0; i < args_n_options; i++)
        if ((args_options[i].cmds & (1u << c)) && args_options[i].letter == letter)
            return &args_options[i];
    return NULL;
}

/* One argument that begins with '-'; *i is moved past a separate value.  `a` may be
 * NULL, to skip over it. */
static bool parse_option(int argc, char **argv, int *i, enum cmd c, struct args *a,
                         struct err *e)
{
    char *arg = argv[*i];
    if (arg[1] == '-') {
        size_t n = strcspn(arg + 2, "=");
        const struct args_option *o = find_long(arg + 2, n, c);
        if (!o) {
            char name[64];
            size_t len = n < sizeof name - 1 ? n : sizeof name - 1;
            memcpy(name, arg + 2, len);
            name[len] = '\0';
            return unknown_option(name, c, e);
        }
        const char *value = arg[2 + n] ? arg + 3 + n : NULL;
        if (o->kind == FLAG && value)
            return err_set(e, ERR_USAGE, "--%s takes no value", o->name);
        if (o->kind != FLAG && !value) {
            if (*i + 1 >= argc)
                return err_set(e, ERR_USAGE, "--%s needs a value (%s)", o->name, o->value);
            value = argv[++*i];
        }
        return !a || set_option(a, o, value, e);
    }
    for (const char *p = arg + 1; *p; p++) {
        const struct args_option *o = find_short(*p, c);
        if (!o)
            return err_set(e, ERR_USAGE, "unknown option -%c; see 'terra %s --help'", *p,
                           args_commands[c].name);
        if (o->kind == FLAG) {
            if (a && !set_option(a, o, NULL, e))
                return false;
            continue;
        }
        const char *value = p + 1;
        if (!*value) {
            if (*i + 1 >= argc)
                return err_set(e, ERR_USAGE, "-%c needs a value (%s)", *p, o->value);
            value = argv[++*i];
        }
        return !a || set_option(a, o, value, e);
    }
    return true;
}

/* The first operand names the command, unless it is none: then it is a file for the
 * terminal application.  *at is its index, 0 if there is none. */
static bool find_operand(int argc, char **argv, int *at, struct err *e)
{
    *at = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            return true;
        if (argv[i][0] != '-' || !argv[i][1]) {
            *at = i;
            return true;
        }
        if (!parse_option(argc, argv, &i, CMD_TUI, NULL, e))
            return false;
    }
    return true;
}

static bool looks_like_file(const char *s)
{
    return strchr(s, '/') || strchr(s, '.') || strcmp(s, "-") == 0;
}

bool args_parse(int argc, char **argv, struct args *out, struct err *e)
{
    *out = (struct args){.cmd = CMD_TUI,
                         .threads = -1,
                         .max_tokens = -1,
                         .top_k = -1,
                         .seed = -1,
                         .fps = -1,
                         .lens = -1,
                         .no_repeat = -1,
                         .beams = -1,
                         .temp = -1,
                         .top_p = -1,
                         .chunk = -1,
                         .overlap = -1,
                         .tol = -1,
                         .units_min = -1,
                         .limit = -1,
                         .layer = -1,
                         .speed = -1,
                         .bench_prompt = -1,
                         .bench_tokens = -1,
                         .bench_rounds = -1,
                         .bench_depth = -1,
                         .blocks = -1};
    int at;
    if (!find_operand(argc, argv, &at, e))
        return false;
    bool named = at && !looks_like_file(argv[at]);
    out->named = named;
    if (named && !args_cmd_find(argv[at], &out->cmd, e))
        return false;
    out->pos = xcalloc((size_t)argc + 1, sizeof *out->pos);
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        if (named && i == at)
            continue;
        if (!options_end && strcmp(argv[i], "--") == 0)
            options_end = true;
        else if (options_end || argv[i][0] != '-' || !argv[i][1])
            out->pos[out->n_pos++] = argv[i];
        else if (!parse_option(argc, argv, &i, out->cmd, out, e))
            return false;
    }
    if (out->help || out->version)
        return true;
    if (out->session && out->session[strspn(out->session, "0123456789")])
        return err_set(e, ERR_USAGE, "--session: '%s' is not a number of 'terra logs list'",
                       out->session);
    const char *name = args_commands[out->cmd].name,
               *operands = args_commands[out->cmd].operands;
    if (out->n_pos < args_commands[out->cmd].min_pos)
        return err_set(e, ERR_USAGE, "usage: terra %s %s", name, operands);
    if (args_commands[out->cmd].max_pos >= 0 && out->n_pos > args_commands[out->cmd].max_pos)
        return err_set(e, ERR_USAGE, "'%s' is too much; usage: terra %s%s%s",
                       out->pos[args_commands[out->cmd].max_pos], name, *operands ? " " : "",
                       operands);
    return true;
}

void args_free(struct args *a)
{
    free(a->pos);
    a->pos = NULL;
}

bool args_cmd_stores(enum cmd c)
{
    return STORES & (1u << c);
}

const char *args_cmd_name(enum cmd c)
{
    return args_commands[c].name;
}
