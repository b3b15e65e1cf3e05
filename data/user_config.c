/* SPDX-License-Identifier: MIT */
#include "data/user_config.h"

#include "engine/base/buf.h"
#include "engine/base/edit_distance.h"
#include "engine/base/xalloc.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define MAX_FILE     (1u << 20)
#define MAX_DEPTH    8
#define MAX_PROBLEMS 32

#define INT_MAX_REAL 9007199254740992.0 /* 2^53: what a double counts exactly */

const struct config_info config_info[CONFIG_KEYS] = {
    [CONFIG_MODEL] = {"model", CONFIG_PATH, 0, 0, NULL, "", "TERRA_MODEL", "--model",
                      "model folder; empty: the installed one"},
    [CONFIG_DB] = {"db", CONFIG_PATH, 0, 0, NULL, "", "TERRA_DB", "--db",
                   "history file; empty: history.db in the data directory"},
    [CONFIG_THREADS] = {"threads", CONFIG_INT, 0, 1024, NULL, "0", "TERRA_THREADS", "--threads",
                        "compute threads; 0: physical cores"},
    [CONFIG_MODE] = {"mode", CONFIG_CHOICE, 0, 0, "sparse|masked|open", "sparse", NULL,
                     "--mode", "how the feed-forward layers run"},
    [CONFIG_TRACE] = {"trace", CONFIG_CHOICE, 0, 0, "none|dec|all", "dec", NULL, "--trace",
                      "which controller choices are stored"},
    [CONFIG_TEMP] = {"temp", CONFIG_REAL, 0, 100, NULL, "0", NULL, "--temp",
                     "sampling temperature; 0: the likeliest token"},
    [CONFIG_TOP_K] = {"top_k", CONFIG_INT, 0, 1000000, NULL, "0", NULL, "--top-k",
                      "sample from the k likeliest; 0: all"},
    [CONFIG_TOP_P] = {"top_p", CONFIG_REAL, 0, 1, NULL, "1", NULL, "--top-p",
                      "sample from the likeliest with this total probability"},
    [CONFIG_SEED] = {"seed", CONFIG_INT, -1, INT_MAX_REAL, NULL, "-1", NULL, "--seed",
                     "of sampling; -1: from the clock"},
    [CONFIG_BEAMS] = {"beams", CONFIG_INT, 1, 16, NULL, "4", NULL, "--beams",
                      "summaries: texts tried side by side; 1: token by token"},
    [CONFIG_MAX_TOKENS] = {"max_tokens", CONFIG_INT, 0, 1000000, NULL, "0", NULL,
                           "--max-tokens", "longest reply; 0: what the model allows"},
    [CONFIG_LOG] = {"log", CONFIG_BOOL, 0, 0, NULL, "true", NULL, "--no-log",
                    "save runs in the history file"},
    [CONFIG_COLOR] = {"color", CONFIG_CHOICE, 0, 0, "auto|always|never", "auto", "NO_COLOR",
                      "--color", "colours"},
    [CONFIG_THEME] = {"theme", CONFIG_CHOICE, 0, 0, "auto|dark|light|mono", "auto", NULL, NULL,
                      "colours for dark or light terminals"},
    [CONFIG_ASCII] = {"ascii", CONFIG_BOOL, 0, 0, NULL, "false", NULL, "--ascii",
                      "draw with ASCII characters only"},
    [CONFIG_MOUSE] = {"mouse", CONFIG_BOOL, 0, 0, NULL, "false", NULL, "--mouse",
                      "take mouse clicks (Shift+drag then selects)"},
    [CONFIG_FPS] = {"fps", CONFIG_REAL, 0, 60, NULL, "0", NULL, "--fps",
                    "map frames a second; 0: 8, or 2 over ssh"},
    [CONFIG_METRIC] = {"metric", CONFIG_CHOICE, 0, 0, "unit|flip|surprise|margin|zero|use|p",
                       "surprise", NULL, NULL, "what the map shows first"},
    [CONFIG_LENGTH] = {"length", CONFIG_TEXT, 0, 0, NULL, "", NULL, "--length",
                       "of summaries: 80w, 5s, 300t or 10%"},
    [CONFIG_METHOD] = {"method", CONFIG_CHOICE, 0, 0, "auto|single|select|map-reduce|refine",
                       "auto", NULL, "--method", "how long documents are summarized"},
    [CONFIG_STYLE] = {"style", CONFIG_TEXT, 0, 0, NULL, "", NULL, "--style",
                      "control word of summaries; empty: the model's first"},
    [CONFIG_CHUNK] = {"chunk", CONFIG_INT, 0, 1000000, NULL, "0", NULL, "--chunk",
                      "tokens of a chunk; 0: what fits"},
    [CONFIG_OVERLAP] = {"overlap", CONFIG_INT, 0, 1000000, NULL, "0", NULL, "--overlap",
                        "tokens that neighbouring chunks share"},
    [CONFIG_MAX_DOCUMENT] = {"max_document", CONFIG_SIZE, 1, INT_MAX_REAL, NULL, "50M", NULL,
                             "--max-document", "largest document in bytes (k, M, G)"},
};

/* ---- one value ------------------------------------------------------------------ */

static bool parse_number(const char *text, double *out)
{
    /* strtod would follow the locale; cJSON's parser does not, nor does it take "0x". */
    cJSON *v = cJSON_ParseWithOpts(text, NULL, 1);
    bool ok = cJSON_IsNumber(v);
    if (ok)
        *out = v->valuedouble;
    cJSON_Delete(v);
    return ok;
}

static bool parse_size(const char *text, double *out)
{
    size_t n = strlen(text);
    double unit = 1;
    if (n) {
        static const char suffix[] = "kKmMgG";
        const char *s = strchr(suffix, text[n - 1]);
        if (s)
            unit = (double)(1u << 10 * (1 + (s - suffix) / 2));
        n -= s != NULL;
    }
    char *number = xstrndup(text, n);
    bool ok = parse_number(number, out);
    free(number);
    *out *= unit;
    return ok;
}

static bool parse_bool(const char *text, double *out)
{
    static const char *const yes[] = {"true", "on", "yes", "1"};
    static const char *const no[] = {"false", "off", "no", "0"};
    for (int i = 0; i < 4; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *out = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool parse_choice(const char *text, const char *choices, double *out)
{
    size_t n = strlen(text);
    int index = 0;
    for (const char *c = choices; n; index++) {
        size_t len = strcspn(c, "|");
        if (len == n && memcmp(c, text, n) == 0) {
            *out = index;
            return true;
        }
        if (!c[len])
            break;
        c += len + 1;
    }
    return false;
}

/* The text's value if the key can have it; `why` completes "KEY: ". */
static bool parse_value(const struct config_info *k, const char *text, double *number,
                        struct err *e)
{
    *number = 0;
    switch (k->type) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
        return true;
    case CONFIG_BOOL:
        return parse_bool(text, number) ||
               err_set(e, ERR_USAGE, "%s: \"%s\" is not true or false", k->name, text);
    case CONFIG_CHOICE:
        return parse_choice(text, k->choices, number) ||
               err_set(e, ERR_USAGE, "%s: \"%s\" is none of %s", k->name, text, k->choices);
    case CONFIG_INT:
    case CONFIG_REAL:
    case CONFIG_SIZE:
        break;
    }
    bool ok = k->type == CONFIG_SIZE ? parse_size(text, number) : parse_number(text, number);
    if (!ok || (k->type == CONFIG_INT && *number != floor(*number)))
        return err_set(e, ERR_USAGE, "%s: \"%s\" is not a %snumber", k->name, text,
                       k->type == CONFIG_INT ? "whole " : "");
    if (*number < k->min || *number > k->max)
        return err_set(e, ERR_USAGE, "%s: %s is not between %.16g and %.16g", k->name, text,
                       k->min, k->max);
    return true;
}

bool user_config_set(struct user_config *c, enum config_key k, const char *text,
                     enum config_origin origin, const char *from, struct err *e)
{
    double number;
    if (!parse_value(&config_info[k], text, &number, e))
        return false;
    if (origin < c->value[k].origin)
        return true;
    c->value[k] = (struct config_value){pool_str(&c->pool, text), number, origin,
                                        pool_str(&c->pool, from)};
    return true;
}

bool user_config_find(const char *name, enum config_key *out)
{
    for (int k = 0; k < CONFIG_KEYS; k++) {
        if (strcmp(config_info[k].name, name) == 0) {
            *out = (enum config_key)k;
            return true;
        }
    }
    return false;
}

const char *config_text(const struct user_config *c, enum config_key k)
{
    return c->value[k].text;
}

double config_real(const struct user_config *c, enum config_key k)
{
    return c->value[k].number;
}

int64_t config_int(const struct user_config *c, enum config_key k)
{
    return (int64_t)c->value[k].number;
}

bool config_bool(const struct user_config *c, enum config_key k)
{
    return c->value[k].number != 0;
}

void user_config_problem(struct user_config *c, const char *fmt, ...)
{
    if (c->n_problems == MAX_PROBLEMS)
        return; /* the first ones are the ones to mend */
    if (!c->problem)
        c->problem = pool_get(&c->pool, MAX_PROBLEMS, sizeof *c->problem);
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    struct err clean; /* escapes control characters that the file may hold */
    err_set(&clean, ERR_USAGE, "%s", line);
    c->problem[c->n_problems++] = pool_str(&c->pool, clean.msg);
}

/* ---- JSON with line numbers ---------------------------------------------------------
 *
 * cJSON forgets where a value stood, and reads as deep as it is told to.  One pass over
 * the text finds the depth and the lines of the keys of the outermost object. */

struct key_lines {
    struct {
        size_t at, n; /* the key as written, without quotes */
        uint32_t line;
    } * key;
    size_t n, cap;
};

/* Index behind the string that begins at i; counts no lines: JSON strings have none. */
static size_t skip_string(const char *s, size_t n, size_t i)
{
    for (i++; i < n && s[i] != '"'; i++)
        i += s[i] == '\\';
    return i < n ? i + 1 : n;
}

static bool scan(const char *s, size_t n, struct key_lines *out, uint32_t *line)
{
    int depth = 0;
    *line = 1;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n')
            (*line)++;
        if (s[i] == '{' || s[i] == '[')
            depth++;
        if (s[i] == '}' || s[i] == ']')
            depth--;
        if (depth > MAX_DEPTH)
            return false;
        if (s[i] != '"')
            continue;
        size_t end = skip_string(s, n, i), colon = end;
        while (colon < n && memchr(" \t\r\n", s[colon], 4))
            colon++;
        if (depth == 1 && colon < n && s[colon] == ':') {
            if (out->n == out->cap) {
                out->cap = out->cap ? out->cap * 2 : 32;
                out->key = xrealloc(out->key, out->cap, sizeof *out->key);
            }
            out->key[out->n].at = i + 1;
            out->key[out->n].n = end - i - 2;
            out->key[out->n++].line = *line;
        }
        i = end - 1;
    }
    return true;
}

static uint32_t line_at(const char *s, const char *where)
{
    uint32_t line = 1;
    for (; s < where; s++)
        line += *s == '\n';
    return line;
}

/* The parsed object, or NULL with a problem noted.  The k-th child of the object has the
 * k-th key line. */
static cJSON *parse_object(struct user_config *c, const char *text, size_t n, const char *name,
                           struct key_lines *lines)
{
    uint32_t line;
    if (n > MAX_FILE) {
        user_config_problem(c, "%s: larger than %u bytes; not read", name, MAX_FILE);
        return NULL;
    }
    const char *nul = n ? memchr(text, '\0', n) : NULL;
    if (nul) {
        user_config_problem(c, "%s:%u: holds a NUL byte; not read", name, line_at(text, nul));
        return NULL;
    }
    if (!scan(text, n, lines, &line)) {
        user_config_problem(c, "%s:%u: nested deeper than %d; not read", name, line, MAX_DEPTH);
        return NULL;
    }
    const char *end = text;
    cJSON *o = cJSON_ParseWithLengthOpts(text, n, &end, 0);
    if (!o) {
        user_config_problem(c, "%s:%u: not valid JSON; not read", name, line_at(text, end));
        return NULL;
    }
    while (end < text + n && memchr(" \t\r\n", *end, 4))
        end++;
    if (!cJSON_IsObject(o) || end < text + n || lines->n != (size_t)cJSON_GetArraySize(o)) {
        user_config_problem(c, "%s:1: not one JSON object; not read", name);
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

/* ---- nearest name --------------------------------------------------------------- */

static const char *nearest_key(const char *name)
{
    const char *best = NULL;
    unsigned least = 3;
    for (int k = 0; k < CONFIG_KEYS; k++) {
        const char *other = config_info[k].name;
        unsigned d = edit_distance(name, strlen(name), other, strlen(other));
        if (d < least) {
            least = d;
            best = other;
        }
    }
    return best;
}

static const char *join(struct user_config *c, const char *dir, const char *name)
{
    struct buf b = {0};
    if (*dir)
        buf_printf(&b, "%s/%s", dir, name);
    const char *s = pool_str(&c->pool, buf_str(&b));
    buf_free(&b);
    return s;
}

/* ---- the two files -------------------------------------------------------------- */

static const char *json_as_text(const cJSON *v, char *space, size_t n)
{
    if (cJSON_IsString(v))
        return v->valuestring;
    if (cJSON_IsBool(v))
        return cJSON_IsTrue(v) ? "true" : "false";
    if (cJSON_IsNumber(v) && cJSON_PrintPreallocated((cJSON *)v, space, (int)n, 0))
        return space;
    return NULL;
}

static bool type_fits(enum config_type t, const cJSON *v)
{
    switch (t) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_CHOICE:
        return cJSON_IsString(v);
    case CONFIG_BOOL:
        return cJSON_IsBool(v);
    case CONFIG_SIZE:
        return cJSON_IsNumber(v) || cJSON_IsString(v);
    case CONFIG_INT:
    case CONFIG_REAL:
        break;
    }
    return cJSON_IsNumber(v);
}

static void set_from_file(struct user_config *c, const cJSON *v, const char *name,
                          uint32_t line)
{
    enum config_key k;
    char number[64], from[300];
    if (!user_config_find(v->string, &k)) {
        const char *near = nearest_key(v->string);
        user_config_problem(c, "%s:%u: unknown key \"%.60s\"%s%s%s", name, line, v->string,
                            near ? "; did you mean \"" : "", near ? near : "",
                            near ? "\"?" : "");
        return;
    }
    const char *text = json_as_text(v, number, sizeof number);
    if (!text || !type_fits(config_info[k].type, v)) {
        user_config_problem(c, "%s:%u: %s: wrong type of value", name, line, v->string);
        return;
    }
    struct err e;
    snprintf(from, sizeof from, "%s:%u", name, line);
    if (config_info[k].type == CONFIG_PATH && strncmp(text, "~/", 2) == 0 && *c->home)
        text = join(c, c->home, text + 2); /* no shell has seen it */
    if (!user_config_set(c, k, text, CONFIG_FILE, from, &e))
        user_config_problem(c, "%s:%u: %s", name, line, e.msg);
}

void user_config_parse(struct user_config *c, const char *text, size_t n, const char *name)
{
    struct key_lines lines = {0};
    cJSON *o = parse_object(c, text, n, name, &lines);
    size_t i = 0;
    for (cJSON *v = o ? o->child : NULL; v; v = v->next)
        set_from_file(c, v, name, lines.key[i++].line);
    cJSON_Delete(o);
    free(lines.key);
}

static void add_binding(struct user_config *c, struct config_binding *list, const char *command,
                        const char *key, uint32_t line)
{
    list[c->n_bindings++] =
        (struct config_binding){pool_str(&c->pool, command), pool_str(&c->pool, key), line};
}

static void bind(struct user_config *c, struct config_binding *list, const cJSON *v,
                 const char *name, uint32_t line)
{
    if (cJSON_IsNull(v)) {
        add_binding(c, list, v->string, NULL, line);
    } else if (cJSON_IsString(v)) {
        add_binding(c, list, v->string, v->valuestring, line);
    } else if (cJSON_IsArray(v)) {
        for (const cJSON *k = v->child; k; k = k->next) {
            if (cJSON_IsString(k))
                add_binding(c, list, v->string, k->valuestring, line);
            else
                user_config_problem(c, "%s:%u: %.60s: a key must be a string", name, line,
                                    v->string);
        }
    } else {
        user_config_problem(c, "%s:%u: %.60s: wanted a key, a list of keys or null", name, line,
                            v->string);
    }
}

void user_config_parse_keys(struct user_config *c, const char *text, size_t n, const char *name)
{
    struct key_lines lines = {0};
    cJSON *o = parse_object(c, text, n, name, &lines);
    size_t most = 0, i = 0;
    for (cJSON *v = o ? o->child : NULL; v; v = v->next)
        most += cJSON_IsArray(v) ? (size_t)cJSON_GetArraySize(v) : 1;
    struct config_binding *list = pool_get(&c->pool, most, sizeof *list);
    c->binding = list; /* a second file replaces the first */
    c->n_bindings = 0;
    for (cJSON *v = o ? o->child : NULL; v; v = v->next)
        bind(c, list, v, name, lines.key[i++].line);
    cJSON_Delete(o);
    free(lines.key);
}

/* False if the file is missing; other failures are problems. */
static bool read_file(struct user_config *c, const char *path,
                      void (*parse)(struct user_config *, const char *, size_t, const char *))
{
    FILE *f = *path ? fopen(path, "rb") : NULL;
    if (!f) {
        if (*path && errno != ENOENT && errno != ENOTDIR)
            user_config_problem(c, "%s: %s", path, strerror(errno));
        return *path && errno != ENOENT && errno != ENOTDIR;
    }
    struct buf b = {0};
    char chunk[65536];
    for (size_t n; b.len <= MAX_FILE && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_add(&b, chunk, n);
    if (ferror(f))
        user_config_problem(c, "%s: %s", path, strerror(errno));
    else
        parse(c, buf_str(&b), b.len, path);
    fclose(f);
    buf_free(&b);
    return true;
}

bool user_config_load(struct user_config *c, const char *file, struct err *e)
{
    const char *named = file ? file : c->named_file;
    if (named)
        c->paths.config_file = pool_str(&c->pool, named);
    if (!read_file(c, c->paths.config_file, user_config_parse) && named)
        return err_set(e, ERR_USAGE, "no such file: %s", named);
    read_file(c, c->paths.keys_file, user_config_parse_keys);
    return true;
}

/* ---- places --------------------------------------------------------------------- */

/* $VARIABLE/terra, or $HOME/fallback/terra.  The base directory specification says that
 * a relative value is to be ignored. */
static const char *base_dir(struct user_config *c, char *(*get)(const char *),
                            const char *variable, const char *fallback)
{
    const char *base = get(variable), *home = get("HOME");
    if (base && *base == '/')
        return join(c, base, "terra");
    if (!home || *home != '/')
        return "";
    return join(c, join(c, home, fallback), "terra");
}

static void find_paths(struct user_config *c, char *(*get)(const char *))
{
    struct config_paths *p = &c->paths;
    p->config_dir = base_dir(c, get, "XDG_CONFIG_HOME", ".config");
    p->data_dir = base_dir(c, get, "XDG_DATA_HOME", ".local/share");
    p->state_dir = base_dir(c, get, "XDG_STATE_HOME", ".local/state");
    p->cache_dir = base_dir(c, get, "XDG_CACHE_HOME", ".cache");
    p->config_file = join(c, p->config_dir, "config.json");
    p->keys_file = join(c, p->config_dir, "keys.json");
    p->db_file = join(c, p->data_dir, "history.db");
    p->models_dir = join(c, p->data_dir, "models");
    p->prompt_history = join(c, p->state_dir, "prompt_history");
    p->machine_file = join(c, p->cache_dir, "machine.json");
}

void user_config_init(struct user_config *c, char *(*get)(const char *))
{
    *c = (struct user_config){0};
    find_paths(c, get);
    const char *named = get("TERRA_CONFIG"), *home = get("HOME");
    c->home = pool_str(&c->pool, home && *home == '/' ? home : "");
    c->named_file = named && *named ? pool_str(&c->pool, named) : NULL;
    for (int k = 0; k < CONFIG_KEYS; k++) {
        const struct config_info *info = &config_info[k];
        struct err e;
        user_config_set(c, (enum config_key)k, info->fallback, CONFIG_DEFAULT, "default", NULL);
        const char *text = info->env ? get(info->env) : NULL;
        if (!text || !*text)
            continue;
        if (k == CONFIG_COLOR)
            text = "never"; /* NO_COLOR: any value but the empty one */
        char from[64];
        snprintf(from, sizeof from, "$%s", info->env);
        if (!user_config_set(c, (enum config_key)k, text, CONFIG_ENV, from, &e))
            user_config_problem(c, "$%s: %s", info->env, e.msg);
    }
    if (!*c->value[CONFIG_DB].text)
        c->value[CONFIG_DB].text = c->paths.db_file;
}

void user_config_free(struct user_config *c)
{
    pool_free(&c->pool);
    *c = (struct user_config){0};
}

bool user_config_make_dir(const char *dir, struct err *e)
{
    if (!*dir)
        return err_set(e, ERR_RESOURCE, "no directory: HOME is not set");
    char *path = xstrdup(dir);
    bool ok = true;
    for (char *p = path + 1; ok && *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        ok = mkdir(path, 0700) == 0 || errno == EEXIST;
        *p = '/';
    }
    ok = ok && (mkdir(path, 0700) == 0 || errno == EEXIST);
    if (!ok)
        err_set(e, ERR_RESOURCE, "%s: %s", path, strerror(errno));
    free(path);
    return ok;
}
