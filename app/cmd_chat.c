/* cmd_chat.c - `terra chat`: prompts and /commands, line by line.
 *
 * The plain twin of the terminal application for screen readers, dumb terminals and
 * pipes: no screen control, no spinner, every number with its unit in words.
 *
 * SPDX-License-Identifier: MIT */
#include "app/chat_impl.h"
#include "app/signals.h"
#include "engine/base/xalloc.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- prompts ------------------------------------------------------------------------ */

/* A stopped reply is kept; anything else wrong is one line, and the chat goes on. */
static void complain(struct chat *h, bool ok, const struct err *e)
{
    if (!ok && e->kind == ERR_CANCELLED)
        cli_note(&h->c, "stopped; the text so far is kept");
    else if (!ok)
        cli_note(&h->c, "%s", e->msg);
    if (signals_got() == SIGINT)
        signals_reset();
}

/* Now, not at the end: what is not saved may still be copied. */
static void say_trouble(struct chat *h)
{
    const struct recorder *r = h->c.recorder;
    const char *now = r ? recorder_trouble(r) : NULL;
    now = now ? now : "";
    if (*now && strcmp(now, h->trouble) != 0)
        cli_note(&h->c, "%s", now);
    else if (r && !*now && *h->trouble)
        cli_note(&h->c, "what waited to be saved is saved now");
    snprintf(h->trouble, sizeof h->trouble, "%s", now);
}

static bool ensure_model(struct chat *h, struct err *e)
{
    return h->c.model || cli_model(&h->c, e);
}

static void new_reply(struct chat *h)
{
    reply_close(&h->c, &h->reply);
    h->reply = (struct reply){.command = "chat",
                              .kind = STORE_CHAT,
                              .prompt = buf_str(&h->last),
                              .n_prompt = h->last.len,
                              .ids = &h->source,
                              .written = &h->target};
}

static int64_t newest_run(const struct recorder *r)
{
    if (!r || !recorder_saves(r))
        return 0;
    int64_t id = recorder_run_id(r);
    return id ? id : RECORDER_LAST;
}

/* Before other runs follow the last reply's. */
static void settle_run(struct chat *h)
{
    if (h->run == RECORDER_LAST)
        h->run = h->c.recorder ? recorder_run_id(h->c.recorder) : 0;
}

static bool write_reply(struct chat *h, struct err *e)
{
    bool ok = reply_open(&h->c, &h->reply, e) && reply_run(&h->c, &h->reply, e);
    h->replied = h->reply.result.n_tokens > 0;
    h->by = h->replied ? h->c.model : NULL;
    h->run = newest_run(h->c.recorder);
    return ok;
}

static bool answer(struct chat *h, struct err *e)
{
    h->source.n = h->target.n = 0;
    h->by = NULL;
    new_reply(h);
    return ensure_model(h, e) &&
           reply_source(&h->c, buf_str(&h->last), h->last.len, &h->reply, &h->source, e) &&
           write_reply(h, e);
}

/* ---- commands ------------------------------------------------------------------------- */

static bool do_again(struct chat *h, const char *arg, struct err *e)
{
    (void)arg;
    if (h->last.len == 0)
        return err_set(e, ERR_USAGE, "nothing was asked yet");
    return answer(h, e);
}

static bool do_continue(struct chat *h, const char *arg, struct err *e)
{
    (void)arg;
    if (!h->by || h->by != h->c.model || h->reply.result.stop != GENERATE_LENGTH)
        return err_set(e, ERR_USAGE,
                       "nothing to continue: no reply here was ended by the token limit");
    const char *style = h->reply.style;
    struct terra_ids forced = {0};
    for (size_t i = 0; i < h->target.n; i++)
        terra_ids_add(&forced, h->target.id[i]);
    new_reply(h);
    h->reply.style = style;
    h->reply.forced = &forced;
    h->reply.parent = h->run;
    bool ok = write_reply(h, e);
    h->reply.forced = NULL;
    terra_ids_free(&forced);
    return ok;
}

static bool do_bye(struct chat *h, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    h->quit = true;
    return true;
}

static bool do_load(struct chat *h, const char *arg, struct err *e)
{
    struct document doc = {0};
    struct document_opts o = {.max_bytes =
                                  (uint64_t)config_int(&h->c.config, CONFIG_MAX_DOCUMENT),
                              .convert_pdf = true,
                              .cancel = signals_cancel()};
    if (!*arg)
        return err_set(e, ERR_USAGE, "/load FILE");
    if (!document_read(arg, &o, &doc, e))
        return false;
    document_free(&h->doc);
    h->doc = doc;
    cli_note(&h->c, "%s: %zu bytes; /summarize reads it", doc.name, doc.n);
    return true;
}

static bool do_summarize(struct chat *h, const char *arg, struct err *e)
{
    struct document none = {0};
    settle_run(h);
    if (*arg && !do_load(h, arg, e))
        return false;
    if (!h->doc.text)
        return err_set(e, ERR_USAGE, "no document: /load FILE, or /summarize FILE");
    return cli_summarize(&h->c, &h->doc, &none, e);
}

/* The next run opens a recorder by the settings as they are then, in the same session. */
static void renew_recorder(struct cli *c)
{
    int64_t session = c->recorder ? recorder_session(c->recorder) : 0;
    cli_record_end(c);
    c->want_session = session ? session : c->want_session;
}

static bool do_new(struct chat *h, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    cli_record_end(&h->c);
    h->c.want_session = -1; /* none of the options' */
    buf_clear(&h->last);
    h->by = NULL;
    return true;
}

static bool do_model(struct chat *h, const char *arg, struct err *e)
{
    struct cli *c = &h->c;
    if (!*arg)
        return err_set(e, ERR_USAGE, "/model PATH");
    struct terra_model *m = setup_open_model(&c->config, arg, e);
    if (!m)
        return false;
    renew_recorder(c);
    h->by = NULL;
    terra_session_close(c->session);
    terra_model_close(c->model);
    c->session = NULL;
    c->model = m;
    c->shape = terra_model_config(m);
    c->vocab = terra_model_vocab(m);
    c->out.vocab = c->vocab;
    cli_note(c, "model %s", c->shape->name);
    return user_config_set(&c->config, CONFIG_MODEL, arg, CONFIG_FLAG, "/model", e);
}

static bool do_log(struct chat *h, const char *arg, struct err *e)
{
    struct user_config *u = &h->c.config;
    if (!*arg || !user_config_set(u, CONFIG_LOG, arg, CONFIG_FLAG, "/log", e))
        return err_set(e, ERR_USAGE, "/log on or /log off");
    if (config_bool(u, CONFIG_LOG) && h->c.args->no_log) {
        user_config_set(u, CONFIG_LOG, "false", CONFIG_FLAG, "--no-log", e);
        return err_set(e, ERR_USAGE, "the program was started with --no-log");
    }
    renew_recorder(&h->c);
    return true;
}

/* A setting, and what has to be opened anew for the next run to go by it. */
static bool change(struct chat *h, enum config_key k, const char *value, struct err *e)
{
    struct cli *c = &h->c;
    if (k == CONFIG_LOG)
        return do_log(h, value, e);
    if (k == CONFIG_MODEL)
        return do_model(h, value, e);
    if (k == CONFIG_DB)
        return err_set(e, ERR_USAGE, "db is chosen when terra starts: --db FILE");
    if (!user_config_set(&c->config, k, value, CONFIG_FLAG, "/set", e))
        return false;
    if (k == CONFIG_THREADS || k == CONFIG_MODE) { /* the session is built for them */
        terra_session_close(c->session);
        c->session = NULL;
    }
    if (k == CONFIG_THREADS || k == CONFIG_TRACE) /* the recorder too */
        renew_recorder(c);
    return true;
}

static bool do_set(struct chat *h, const char *arg, struct err *e)
{
    struct user_config *u = &h->c.config;
    enum config_key k;
    char name[32] = "";
    int at = 0;
    if (sscanf(arg, "%31s %n", name, &at) < 1) {
        for (int i = 0; i < CONFIG_KEYS; i++) {
            char line[160];
            int n = snprintf(line, sizeof line, "%-14s %-12s %s\n", config_info[i].name,
                             config_text(u, (enum config_key)i), config_info[i].help);
            headless_text(&h->c.out, line,
                          (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
        }
        return true;
    }
    if (strcmp(name, "max") == 0)
        snprintf(name, sizeof name, "max_tokens");
    if (!user_config_find(name, &k))
        return err_set(e, ERR_USAGE, "no setting '%s'; /set lists them", name);
    if (!arg[at])
        return err_set(e, ERR_USAGE, "/set %s VALUE (now %s)", name, config_text(u, k));
    return change(h, k, arg + at, e);
}

static bool do_stats(struct chat *h, const char *arg, struct err *e)
{
    const struct generate_result *r = &h->reply.result;
    struct buf b = {0};
    (void)arg;
    if (!h->replied)
        return err_set(e, ERR_USAGE, "nothing was written yet");
    buf_printf(&b, "The last reply has %u tokens and ended by: %s.\n", r->n_tokens,
               generate_stop_name[r->stop]);
    buf_printf(&b,
               "Reading the prompt took %.0f milliseconds, the first token came after %.0f.\n",
               (double)r->prefill.ns / 1e6, (double)r->first_ns / 1e6);
    buf_printf(&b,
               "Half of the tokens took at most %.2f milliseconds, 99 of 100 at most %.2f: "
               "%.1f tokens per second.\n",
               generate_percentile_ms(r, 0.5), generate_percentile_ms(r, 0.99),
               r->decode_ns ? r->n_tokens * 1e9 / (double)r->decode_ns : 0.0);
    headless_text(&h->c.out, buf_str(&b), b.len);
    buf_free(&b);
    return true;
}

/* Of the document, or else of the last prompt. */
static bool do_compare(struct chat *h, const char *arg, struct err *e)
{
    struct document last = {.name = "prompt", .text = h->last.data, .n = h->last.len};
    const struct document *doc = h->doc.text ? &h->doc : &last;
    if (doc->n == 0)
        return err_set(e, ERR_USAGE, "nothing to compare on: ask something or /load a file");
    settle_run(h);
    return cli_compare(&h->c, doc, *arg ? arg : NULL, e);
}

static bool do_help(struct chat *h, const char *arg, struct err *e);

static const struct command {
    const char *name, *operand, *help;
    bool (*run)(struct chat *h, const char *arg, struct err *e);
} commands[] = {
    {"again", "", "the last prompt once more", do_again},
    {"bye", "", "leave; so does Ctrl-D", do_bye},
    {"compare", "[masked|open|model:PATH]", "the last text two ways", do_compare},
    {"continue", "", "write on where the token limit ended the reply", do_continue},
    {"export", "FORMAT [FILE]", "this session as md, json, jsonl or csv", chat_export},
    {"help", "", "this list", do_help},
    {"load", "FILE", "read a document", do_load},
    {"log", "on|off", "save runs or not", do_log},
    {"model", "PATH", "use another model", do_model},
    {"new", "", "begin a new session", do_new},
    {"open", "ID", "continue a stored session", chat_open},
    {"rename", "TITLE", "name this session; also /save", chat_rename},
    {"save", "TITLE", "as /rename", chat_rename},
    {"set", "KEY VALUE", "change a setting; alone: list them", do_set},
    {"stats", "", "times of the last reply", do_stats},
    {"summarize", "[FILE]", "summarize the document", do_summarize},
};

static bool do_help(struct chat *h, const char *arg, struct err *e)
{
    struct buf b = {0};
    (void)arg;
    (void)e;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        buf_printf(&b, "/%s%s%s: ", commands[i].name, *commands[i].operand ? " " : "",
                   commands[i].operand);
        buf_printf(&b, "%s\n", commands[i].help);
    }
    buf_add_str(&b, "Anything else is a prompt; // begins one with a slash.\n");
    headless_text(&h->c.out, buf_str(&b), b.len);
    buf_free(&b);
    return true;
}

/* The command that `line` begins with the name of; NULL: none. */
static const struct command *find_command(const char *line)
{
    size_t n = strcspn(line, " \t");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strlen(commands[i].name) == n && memcmp(commands[i].name, line, n) == 0)
            return &commands[i];
    return NULL;
}

/* "/word", whatever the word; ":word", as an editor has it, only for a command's name. */
static bool is_command(const char *line)
{
    return (line[0] == '/' && line[1] != '/') || (line[0] == ':' && find_command(line + 1));
}

static bool command(struct chat *h, char *line, struct err *e)
{
    size_t n = strcspn(line, " \t");
    const struct command *known = find_command(line);
    if (known)
        return known->run(h, line + n + strspn(line + n, " \t"), e);
    return err_set(e, ERR_USAGE,
                   "no command /%.*s; /help lists them (// begins a prompt with /)",
                   n < 40 ? (int)n : 40, line);
}

/* ---- the loop ---------------------------------------------------------------------------- */

static void handle(struct chat *h, char *line, size_t n)
{
    struct err e = {0};
    size_t skip = strspn(line, " \t");
    bool ok;
    line += skip;
    n -= skip;
    if (n == 0)
        return;
    if (is_command(line)) {
        ok = strlen(line) == n ? command(h, line + 1, &e)
                               : err_set(&e, ERR_INPUT, "a command with a NUL byte is not run");
    } else {
        struct document d = {0};
        skip = line[0] == '/';
        ok = document_from_bytes(line + skip, n - skip, "prompt", &d, &e);
        if (ok) {
            if (d.fixes)
                cli_note(&h->c, "the prompt: %" PRIu64 " malformed bytes became U+FFFD",
                         d.fixes);
            buf_clear(&h->last);
            buf_add(&h->last, d.text, d.n);
            ok = answer(h, &e);
        }
        document_free(&d);
    }
    complain(h, ok, &e);
    say_trouble(h);
}

static bool loop(struct chat *h, struct err *e)
{
    char *line = NULL;
    size_t cap = 0;
    bool ok = true;
    while (!h->quit && !h->c.out.broken) {
        if (h->tty && !h->c.args->quiet) {
            fputs("> ", stderr);
            fflush(stderr);
        }
        errno = 0;
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0 && signals_got() == SIGINT) {
            clearerr(stdin);
            signals_reset();
            fputs("\n", stderr);
            cli_note(&h->c, "Ctrl-D or /bye quits");
            continue;
        }
        if (n < 0 && ferror(stdin) && !signals_got())
            ok = err_set(e, ERR_INPUT, "standard input: %s", strerror(errno));
        if (n < 0 || signals_got())
            break;
        if (n > 0 && line[n - 1] == '\n')
            line[--n] = '\0';
        if (n > 0 && line[n - 1] == '\r')
            line[--n] = '\0';
        handle(h, line, (size_t)n);
        if (signals_got())
            break;
    }
    if (h->tty)
        fputs("\n", stderr);
    free(line);
    return ok;
}

/* --session and --continue: the earlier turns are shown first. */
static void resume(struct chat *h)
{
    const struct args *a = h->c.args;
    struct err e = {0};
    char id[24];
    int64_t last;
    bool ok = true;
    if (a->session) {
        ok = chat_open(h, a->session, &e);
    } else if (a->cont) {
        ok = chat_need_store(h, &e) && store_session_last(h->c.store, &last, &e);
        snprintf(id, sizeof id, "%" PRId64, ok ? last : 0);
        ok = ok && chat_open(h, id, &e);
    }
    complain(h, ok, &e);
}

int cmd_chat(const struct args *a)
{
    struct chat h = {.tty = isatty(STDIN_FILENO)};
    struct err e = {0};
    signals_install();
    bool ok = cli_open(&h.c, a, &e) && cli_model(&h.c, &e);
    if (ok) {
        if (h.tty)
            cli_note(&h.c, "model %s; /help lists commands", h.c.shape->name);
        resume(&h);
        ok = loop(&h, &e);
    }
    reply_close(&h.c, &h.reply);
    document_free(&h.doc);
    buf_free(&h.last);
    terra_ids_free(&h.source);
    terra_ids_free(&h.target);
    return cli_close(&h.c, ok, &e);
}
