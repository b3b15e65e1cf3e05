/* SPDX-License-Identifier: MIT */
#include "app/setup.h"

#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUMMARY_NO_REPEAT 3
#define DEFAULT_TOKENS    256
#define DEFAULT_STYLE     "description" /* one sentence; else the model's first */

/* ---- settings ------------------------------------------------------------------ */

static bool set(struct user_config *c, enum config_key k, const char *value, struct err *e)
{
    return !value || user_config_set(c, k, value, CONFIG_FLAG, config_info[k].flag, e);
}

static bool set_int(struct user_config *c, enum config_key k, int64_t value, struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return value < 0 || set(c, k, text, e);
}

static bool set_num(struct user_config *c, enum config_key k, double value, struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%.9g", value);
    return value < 0 || set(c, k, text, e);
}

static bool set_flags(struct user_config *c, const struct args *a, struct err *e)
{
    return set(c, CONFIG_MODEL, a->model, e) && set(c, CONFIG_DB, a->db, e) &&
           set_int(c, CONFIG_THREADS, a->threads, e) && set(c, CONFIG_MODE, a->mode, e) &&
           set(c, CONFIG_TRACE, a->trace, e) && set_num(c, CONFIG_TEMP, a->temp, e) &&
           set_int(c, CONFIG_TOP_K, a->top_k, e) && set_num(c, CONFIG_TOP_P, a->top_p, e) &&
           set_int(c, CONFIG_SEED, a->seed, e) && set_int(c, CONFIG_BEAMS, a->beams, e) &&
           set_int(c, CONFIG_MAX_TOKENS, a->max_tokens, e) &&
           set(c, CONFIG_LOG, a->no_log ? "false" : NULL, e) &&
           set(c, CONFIG_COLOR, a->color, e) &&
           set(c, CONFIG_ASCII, a->ascii ? "true" : NULL, e) &&
           set(c, CONFIG_MOUSE, a->mouse ? "true" : NULL, e) &&
           set_int(c, CONFIG_FPS, a->fps, e) && set(c, CONFIG_LENGTH, a->length, e) &&
           set(c, CONFIG_METHOD, a->method, e) && set(c, CONFIG_STYLE, a->style, e) &&
           set_int(c, CONFIG_CHUNK, a->chunk, e) && set_int(c, CONFIG_OVERLAP, a->overlap, e) &&
           set(c, CONFIG_MAX_DOCUMENT, a->max_document, e);
}

bool setup_open(struct user_config *c, const struct args *a, struct err *e)
{
    user_config_init(c, getenv);
    bool loaded = user_config_load(c, a->config, e);
    if (!loaded)
        err_prefix(e, "configuration");
    if (loaded && set_flags(c, a, e))
        return true;
    user_config_free(c);
    return false;
}

void setup_close(struct user_config *c)
{
    user_config_free(c);
}

enum terra_mode setup_mode(const struct user_config *c)
{
    const char *mode = config_text(c, CONFIG_MODE);
    return !strcmp(mode, "masked") ? TERRA_MASKED
           : !strcmp(mode, "open") ? TERRA_OPEN
                                   : TERRA_SPARSE;
}

enum recorder_trace setup_trace(const struct user_config *c)
{
    const char *trace = config_text(c, CONFIG_TRACE);
    return !strcmp(trace, "none")  ? RECORDER_NONE
           : !strcmp(trace, "all") ? RECORDER_ALL
                                   : RECORDER_DEC;
}

uint32_t setup_threads(const struct user_config *c)
{
    return (uint32_t)config_int(c, CONFIG_THREADS);
}

struct terra_sampling setup_sampling(const struct user_config *c, const struct args *a)
{
    int64_t seed = config_int(c, CONFIG_SEED);
    return (struct terra_sampling){
        .temperature = (float)config_real(c, CONFIG_TEMP),
        .top_k = (uint32_t)config_int(c, CONFIG_TOP_K),
        .top_p = (float)config_real(c, CONFIG_TOP_P),
        .no_repeat_ngram = a->no_repeat >= 0 ? (uint32_t)a->no_repeat : 0,
        .beams = c->value[CONFIG_BEAMS].origin == CONFIG_DEFAULT
                     ? 1
                     : (uint32_t)config_int(c, CONFIG_BEAMS),
        .seed = seed >= 0 ? (uint64_t)seed : (uint64_t)clock_wall_ms(),
    };
}

struct terra_sampling setup_sampling_summary(const struct user_config *c, const struct args *a)
{
    struct terra_sampling s = setup_sampling(c, a);
    if (c->value[CONFIG_TEMP].origin == CONFIG_DEFAULT)
        s.temperature = 0;
    if (s.temperature == 0 && c->value[CONFIG_SEED].origin == CONFIG_DEFAULT)
        s.seed = 0;
    if (a->no_repeat < 0)
        s.no_repeat_ngram = SUMMARY_NO_REPEAT;
    s.min_tokens = 1;
    s.beams = (uint32_t)config_int(c, CONFIG_BEAMS);
    return s;
}

uint32_t setup_max_tokens(const struct user_config *c, const struct terra_config *m)
{
    int64_t wanted = config_int(c, CONFIG_MAX_TOKENS);
    if (wanted > 0)
        return (uint32_t)wanted;
    return m->max_target ? m->max_target : DEFAULT_TOKENS;
}

bool setup_style(const struct terra_config *m, const char *style, int32_t *id,
                 const char **name, struct err *e)
{
    *id = -1;
    *name = NULL;
    if (!style || !*style) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < m->n_control; i++)
            if (strcmp(m->control[i].name, DEFAULT_STYLE) == 0)
                best = i;
        if (m->n_control) {
            *id = m->control[best].id;
            *name = m->control[best].name;
        }
        return true;
    }
    struct buf known = {0};
    for (uint32_t i = 0; i < m->n_control; i++) {
        if (strcmp(m->control[i].name, style) == 0) {
            *id = m->control[i].id;
            *name = m->control[i].name;
            buf_free(&known);
            return true;
        }
        buf_printf(&known, "%s%s", i ? ", " : "", m->control[i].name);
    }
    if (m->n_control)
        err_set(e, ERR_USAGE, "the model has no style '%s'; it has %s", style, buf_str(&known));
    else
        err_set(e, ERR_USAGE, "the model has no styles, and no '%s'", style);
    buf_free(&known);
    return false;
}

/* ---- where models are ------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_model(const char *folder)
{
    struct buf path = {0};
    buf_printf(&path, "%s/config.json", folder);
    bool yes = access(path.data, F_OK) == 0;
    buf_free(&path);
    return yes;
}

/* Calls visit with every folder that may hold models until it returns true. */
static bool each_folder(const struct user_config *c, bool (*visit)(void *, const char *),
                        void *user)
{
    char exe[4096];
    struct buf path = {0};
    bool found = false;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    /* A build tree: the program is in build/ or build/NAME/. */
    for (const char *up = "/.."; *exe && !found && strlen(up) <= 6;
         up = up[3] ? "/../../.." : "/../..") {
        buf_clear(&path);
        buf_printf(&path, "%s%s/engine/terra.h", exe, up);
        if (access(path.data, F_OK) == 0) {
            char *real;
            buf_clear(&path);
            buf_printf(&path, "%s%s/data/model", exe, up);
            real = realpath(path.data, NULL);
            found = real && visit(user, real);
            free(real);
            break;
        }
    }
    if (!found && *c->paths.models_dir)
        found = visit(user, c->paths.models_dir);
    if (!found && *exe) {
        buf_clear(&path);
        buf_printf(&path, "%s/../share/terra/models", exe);
        char *real = realpath(path.data, NULL);
        found = real && strcmp(real, TERRA_PREFIX "/share/terra/models") && visit(user, real);
        free(real);
    }
    if (!found)
        found = visit(user, TERRA_PREFIX "/share/terra/models");
    buf_free(&path);
    return found;
}

struct search {
    const char *name; /* NULL: any terra-* */
    struct buf *out;
};

static bool visit_name(void *user, const char *folder)
{
    struct search *s = user;
    buf_clear(s->out);
    buf_printf(s->out, "%s/%s", folder, s->name);
    return is_folder(s->out->data);
}

static int better(const char *a, const char *b) /* should a go before b? */
{
    bool dense_a = strstr(a, "dense"), dense_b = strstr(b, "dense");
    return dense_a != dense_b ? dense_b : strcmp(a, b) < 0;
}

static bool visit_any(void *user, const char *folder)
{
    struct search *s = user;
    DIR *d = opendir(folder);
    if (!d)
        return false;
    char best[256] = "";
    struct dirent *entry;
    while ((entry = readdir(d))) {
        struct buf path = {0};
        buf_printf(&path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && is_model(path.data) &&
            (!*best || better(entry->d_name, best)))
            snprintf(best, sizeof best, "%s", entry->d_name);
        buf_free(&path);
    }
    closedir(d);
    if (!*best)
        return false;
    buf_clear(s->out);
    buf_printf(s->out, "%s/%s", folder, best);
    return true;
}

static bool visit_list(void *user, const char *folder)
{
    buf_printf(user, "%s\n", folder);
    return false;
}

void setup_model_folders(const struct user_config *c, struct buf *out)
{
    each_folder(c, visit_list, out);
}

static bool not_found(const struct user_config *c, const char *name, struct err *e)
{
    struct buf list = {0};
    setup_model_folders(c, &list);
    for (size_t i = 0; i + 1 < list.len; i++)
        if (list.data[i] == '\n')
            list.data[i] = ' ';
    if (list.len)
        list.data[--list.len] = '\0';
    if (name)
        err_set(e, ERR_MODEL, "no such file: %s, and no model of that name in %s", name,
                buf_str(&list));
    else
        err_set(e, ERR_MODEL, "no model: give one with --model or TERRA_MODEL; searched %s",
                buf_str(&list));
    buf_free(&list);
    return false;
}

bool setup_find_model(const struct user_config *c, const char *name, struct buf *out,
                      struct err *e)
{
    struct search s = {.name = name && *name ? name : NULL, .out = out};
    if (!s.name)
        return each_folder(c, visit_any, &s) || not_found(c, NULL, e);
    struct stat st;
    if (strchr(name, '/') || lstat(name, &st) == 0) {
        buf_clear(out);
        buf_add_str(out, name);
        return true; /* opening it says what is wrong */
    }
    return each_folder(c, visit_name, &s) || not_found(c, name, e);
}

struct terra_model *setup_open_model(const struct user_config *c, const char *name,
                                     struct err *e)
{
    struct buf path = {0};
    struct terra_model *m = NULL;
    struct stat st;
    if (setup_find_model(c, name, &path, e)) {
        if (stat(path.data, &st) != 0 && errno == ENOENT)
            err_set(e, ERR_MODEL, "no such file: %s", path.data);
        else if (stat(path.data, &st) != 0)
            err_set(e, ERR_MODEL, "model cannot be read: %s: %s", path.data, strerror(errno));
        else if (!S_ISDIR(st.st_mode))
            err_set(e, ERR_MODEL, "%s: a file; a model is a folder, see terra-model(5)",
                    path.data);
        else
            m = terra_model_open(path.data, e);
    }
    buf_free(&path);
    return m;
}

/* ---- stored with runs ------------------------------------------------------------- */

bool setup_pins(const char *params, struct generate_pin pin[GENERATE_PINS], size_t *n,
                struct err *e)
{
    struct pool pool = {0};
    struct store_pin *p = store_param_pins(params, &pool, n);
    bool ok = *n <= GENERATE_PINS ||
              err_set(e, ERR_CHECK, "the run pins %zu blocks, more than %d", *n, GENERATE_PINS);
    *n = ok ? *n : 0;
    for (size_t i = 0; i < *n; i++)
        pin[i] = (struct generate_pin){p[i].layer, p[i].block,
                                       (uint16_t)(p[i].unit < TERRA_RUNNER_UP ? p[i].unit : 0),
                                       p[i].at};
    pool_free(&pool);
    return ok;
}

bool setup_ids(const char *params)
{
    struct pool pool = {0};
    const char *prompt = store_param_text(params, "prompt", &pool);
    bool ids = prompt && strcmp(prompt, SETUP_IDS) == 0;
    pool_free(&pool);
    return ids;
}

void setup_build(const struct terra_session *s, struct buf *out)
{
#if defined(__clang__)
    const char *compiler = "clang " __clang_version__;
#elif defined(__GNUC__)
    const char *compiler = "gcc " __VERSION__;
#else
    const char *compiler = "cc";
#endif
    buf_printf(out, "terra %s, %s, %s kernels, %u threads", TERRA_VERSION, compiler,
               terra_session_kernels(s), terra_session_threads(s));
}

void setup_host(struct buf *out)
{
    struct terra_machine m;
    terra_machine_info(&m);
    buf_add_str(out, m.cpu);
}
