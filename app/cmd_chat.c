/* cmd_chat.c - `terra chat`: prompts and /commands, line by line.
 *
 * The plain twin of the terminal application for screen readers, dumb terminals and
 * pipes: no screen control, no spinner, every number with its unit in words.
 *
 * SPDX-License-Identifier: MIT */
#include "app/chat_impl.h"
#include "app/numbers.h"
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
    int64_t id = h->c.recorder ? recorder_run_id(h->c.recorder) : 0;
    h->run = h->run == RECORDER_LAST ? id : h->run;
    h->seen = h->seen == RECORDER_LAST ? id : h->seen;
}

static bool write_reply(struct chat *h, struct err *e)
{
    bool ok = reply_open(&h->c, &h->reply, e) && reply_run(&h->c, &h->reply, e);
    h->replied = h->reply.result.n_tokens > 0;
    h->by = h->replied ? h->c.model : NULL;
    h->run = h->seen = newest_run(h->c.recorder);
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
    size_t n_text = h->reply.n_text;
    struct terra_ids forced = {0};
    for (size_t i = 0; i < h->target.n; i++)
        terra_ids_add(&forced, h->target.id[i]);
    new_reply(h);
    h->reply.style = style;
    h->reply.n_text = n_text;
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
    if (!cli_summarize(&h->c, &h->doc, &none, e))
        return false;
    h->seen = newest_run(h->c.recorder);
    return true;
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
    h->seen = 0;
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
    if (!config_bool(u, CONFIG_LOG))
        return true;
    /* The file's own switch is not the chat's: others write to it too. */
    return chat_need_store(h, e) &&
           (store_log_on(h->c.store) ||
            err_set(e, ERR_CHECK, "nothing is saved before 'terra logs on'"));
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

static bool do_style(struct chat *h, const char *arg, struct err *e)
{
    struct cli *c = &h->c;
    const char *name;
    int32_t id;
    if (!*arg && c->shape->n_control == 0)
        return err_set(e, ERR_CHECK, "%s has no control words", c->shape->name);
    if (!*arg) {
        for (uint32_t i = 0; i < c->shape->n_control; i++) {
            const char *known = c->shape->control[i].name;
            headless_text(&c->out, known, strlen(known));
            headless_newline(&c->out);
        }
        return true;
    }
    return setup_style(c->shape, arg, &id, &name, e) && change(h, CONFIG_STYLE, arg, e);
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
    {"again", "", "the last prompt once more; also /regenerate", do_again},
    {"bye", "", "leave; so does Ctrl-D", do_bye},
    {"compare", "[masked|open|model:PATH]", "the last text two ways", do_compare},
    {"continue", "", "write on where the token limit ended the reply", do_continue},
    {"delete", "ID", "delete a stored session", chat_delete},
    {"export", "FORMAT [FILE]", "this session as md, json, jsonl or csv", chat_export},
    {"find", "TEXT", "the stored prompts and replies with these words", chat_find},
    {"help", "[numbers]", "this list, or what the numbers on the screens are", do_help},
    {"lens", "[TOKEN]",
     "what the model would write after each decoder layer in place of a token of the last "
     "reply, from 0; alone: of its last one",
     chat_lens},
    {"like", "[TOKEN]", "the stored tokens whose choices agree most with such a token",
     chat_like},
    {"load", "FILE", "read a document", do_load},
    {"log", "on|off", "save runs or not", do_log},
    {"model", "PATH", "use another model", do_model},
    {"new", "", "begin a new session", do_new},
    {"open", "ID", "continue a stored session", chat_open},
    {"regenerate", "", "as /again", do_again},
    {"rename", "TITLE", "name this session; also /save", chat_rename},
    {"replay", "[RUN]", "a stored run, or the last reply, at its own speed", chat_replay},
    {"save", "TITLE", "as /rename", chat_rename},
    {"sessions", "[WORDS]", "the stored sessions, or those with these words", chat_sessions},
    {"set", "KEY VALUE", "change a setting; alone: list them", do_set},
    {"stats", "", "times of the last reply", do_stats},
    {"style", "NAME", "what to write, a control word of the model; alone: list them", do_style},
    {"summarize", "[FILE]", "summarize the document", do_summarize},
    {"undo", "", "bring back the session deleted last", chat_undo},
};

/* Commands of the terminal application that need a screen, and what there is without one. */
static const struct {
    const char *name, *instead;
} on_screen[] = {
    {"back", "/bye leaves"},
    {"block", "`terra trace last` has the choices of every block"},
    {"copy", "`terra logs show -r` prints the last reply"},
    {"goto", "/lens and /like take the number of a token"},
    {"inspect", "`terra trace last` has the choices of every token"},
    {"latency", "/stats has the times"},
    {"layer", "`terra trace last --layer N` has its choices"},
    {"main", "/bye leaves"},
    {"map", "`terra trace last` has the numbers"},
    {"metric", "`terra trace last` and `terra stats last` have the numbers"},
    {"mouse", "there is no mouse here"},
    {"order", "`terra trace last` has the numbers"},
    {"stage", "`terra trace last --stage enc` has the encoder's choices"},
    {"stop", "Ctrl-C ends a reply"},
    {"theme", "there are no colors here"},
    {"users", "`terra trace last` has the numbers"},
    {"whatif", "it needs a token and a block under the cursor"},
    {"zoom", "`terra trace last` has the numbers"},
};

static bool do_help(struct chat *h, const char *arg, struct err *e)
{
    struct buf b = {0};
    (void)e;
    if (strcmp(arg, "numbers") == 0) {
        numbers_help(&b);
    } else {
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            buf_printf(&b, "/%s%s%s: %s\n", commands[i].name, *commands[i].operand ? " " : "",
                       commands[i].operand, commands[i].help);
        buf_add_str(&b, "Anything else is a prompt; // begins one with a slash.\n");
    }
    headless_text(&h->c.out, buf_str(&b), b.len);
    buf_free(&b);
    return true;
}

static bool is_name(const char *name, const char *line)
{
    size_t n = strcspn(line, " \t");
    return strlen(name) == n && memcmp(name, line, n) == 0;
}

/* The command that `line` begins with the name of; NULL: none. */
static const struct command *find_command(const char *line)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (is_name(commands[i].name, line))
            return &commands[i];
    return NULL;
}

/* What there is instead of the command of the screen that `line` begins with; NULL: none. */
static const char *find_on_screen(const char *line)
{
    for (size_t i = 0; i < sizeof on_screen / sizeof *on_screen; i++)
        if (is_name(on_screen[i].name, line))
            return on_screen[i].instead;
    return NULL;
}

/* "/word", whatever the word; ":word", as an editor has it, only for a command's name. */
static bool is_command(const char *line)
{
    return (line[0] == '/' && line[1] != '/') ||
           (line[0] == ':' && (find_command(line + 1) || find_on_screen(line + 1)));
}

static bool command(struct chat *h, char *line, struct err *e)
{
    size_t n = strcspn(line, " \t");
    const struct command *known = find_command(line);
    const char *instead = find_on_screen(line);
    if (known)
        return known->run(h, line + n + strspn(line + n, " \t"), e);
    if (instead)
        return err_set(e, ERR_USAGE, "/%.*s: only on a screen; %s", (int)n, line, instead);
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
