/* SPDX-License-Identifier: MIT */
#include "app/worker.h"

#include "app/setup.h"
#include "engine/base/clock.h"
#include "engine/base/xalloc.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_NS 50000000u /* at most 20 reports of progress a second */

struct worker {
    struct mailbox *mail;
    worker_fn *run;
    pthread_t thread;
    pthread_mutex_t lock; /* guards job and quit */
    pthread_cond_t work;
    struct job *job; /* waiting; taken by the thread */
    bool quit;
    bool busy;          /* main thread only */
    uint32_t numbers;   /* main thread only */
    atomic_bool cancel; /* set by the main thread, polled by the worker's */

    /* below: the worker's thread only */
    struct terra_session *session; /* kept between jobs with the same key */
    const struct terra_model *model;
    enum terra_mode mode;
    uint32_t threads;
    struct job *current;
    uint64_t progress_ns; /* when progress was last mailed */
};

struct job *job_new(enum job_kind k)
{
    struct job *j = xcalloc(1, sizeof *j);
    j->kind = k;
    return j;
}

void job_free(struct job *j)
{
    if (!j)
        return;
    free(j->path);
    free(j->text);
    free(j->model_b);
    terra_ids_free(&j->forced);
    buf_free(&j->build);
    terra_model_close(j->opened);
    document_free(&j->document);
    summarize_plan_free(&j->plan);
    summarize_result_free(&j->summary);
    compare_result_free(&j->compare);
    lens_free(&j->lens);
    free(j);
}

/* ---- mail ------------------------------------------------------------------------ */

bool worker_post(struct worker *w, struct mail *m, const char *text, size_t n)
{
    m->job = w->current->number;
    return mailbox_post(w->mail, m, text, n);
}

const atomic_bool *worker_cancelled(const struct worker *w)
{
    return &w->cancel;
}

static void post_progress(struct worker *w, int side, uint64_t done, uint64_t total)
{
    uint64_t now = clock_ns();
    if (done < total && now - w->progress_ns < PROGRESS_NS)
        return;
    w->progress_ns = now;
    worker_post(
        w, &(struct mail){.kind = MAIL_PROGRESS, .side = side, .done = done, .total = total},
        NULL, 0);
}

static void post_prefilled(struct worker *w, int side, const struct terra_prefill_stats *p)
{
    worker_post(w, &(struct mail){.kind = MAIL_PREFILLED, .side = side, .prefill = *p}, NULL,
                0);
}

static void post_token(struct worker *w, int side, const struct terra_token *t,
                       const char *text, size_t n)
{
    struct mail m = {.kind = t ? MAIL_TOKEN : MAIL_TEXT, .side = side};
    if (t)
        m.token = *t;
    worker_post(w, &m, text, n);
}

/* ---- callbacks of session and summarize ------------------------------------------- */

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    post_progress(user, 0, done, total);
}

static void on_choices(void *user, const struct terra_choices *c)
{
    struct worker *w = user;
    /* Decoder choices of new tokens come with the tokens. */
    if (c->stage == TERRA_ENCODER && w->current->encoder_too && c->blocks)
        worker_post(w, &(struct mail){.kind = MAIL_CHOICES, .choices = *c}, NULL, 0);
}

static const int kind_stored[] = {STORE_SUMMARY, STORE_MAP, STORE_REDUCE, STORE_REFINE,
                                  STORE_SUMMARY};

static void on_begin(void *user, const struct summarize_step *s)
{
    struct worker *w = user;
    struct mail m = {.kind = MAIL_STEP,
                     .step = {.kind = kind_stored[s->kind],
                              .build = buf_str(&w->current->build),
                              .no = s->no,
                              .of = s->of,
                              .n_in = (int64_t)s->tok_total,
                              .n_read = (int64_t)s->tok_read}};
    worker_post(w, &m, s->text, s->n_text);
}

static void on_prefilled(void *user, const struct terra_prefill_stats *p)
{
    post_prefilled(user, 0, p);
}

static void on_token(void *user, const struct terra_token *t, const char *piece, size_t n)
{
    post_token(user, 0, t, piece, n);
}

static void on_end(void *user, const struct summarize_step *s, const struct generate_result *r,
                   const struct err *e)
{
    (void)s;
    struct mail m = {.kind = MAIL_STEP_END,
                     .end = {.stop = (int)r->stop, .decode_ns = r->decode_ns}};
    if (e)
        m.err = *e;
    worker_post(user, &m, NULL, 0);
}

static void on_side_progress(void *user, int side, uint64_t done, uint64_t total)
{
    post_progress(user, side, done, total);
}

static void on_side_prefilled(void *user, int side, const struct terra_prefill_stats *p)
{
    post_prefilled(user, side, p);
}

static void on_side_token(void *user, int side, const struct terra_token *t, const char *piece,
                          size_t n)
{
    post_token(user, side, t, piece, n);
}

/* ---- jobs ------------------------------------------------------------------------- */

static void drop_session(struct worker *w)
{
    terra_session_close(w->session);
    w->session = NULL;
    w->model = NULL;
}

static bool need_session(struct worker *w, const struct job *j, struct err *e)
{
    if (w->session && w->model == j->model && w->mode == j->mode && w->threads == j->threads)
        return true;
    drop_session(w);
    const struct terra_config *c = terra_model_config(j->model);
    struct terra_session_opts o = {.mode = j->mode,
                                   .threads = j->threads,
                                   .max_source = generate_max_source(c),
                                   .max_target = generate_max_target(c),
                                   .cancel = &w->cancel,
                                   .on_choices = on_choices,
                                   .on_progress = on_progress,
                                   .user = w};
    w->session = terra_session_open(j->model, &o, e);
    if (!w->session)
        return false;
    w->model = j->model;
    w->mode = j->mode;
    w->threads = j->threads;
    return true;
}

static bool job_read(struct worker *w, struct job *j, struct err *e)
{
    if (j->path) {
        struct document_opts o = {
            .max_bytes = j->max_bytes, .convert_pdf = true, .cancel = &w->cancel};
        if (!document_read(j->path, &o, &j->document, e))
            return false;
    } else if (!document_from_bytes(j->text, j->n_text, "prompt", &j->document, e)) {
        return false;
    }
    j->has_document = true;
    if (!j->model)
        return true;
    j->summarize.cancel = &w->cancel;
    struct err why = {0};
    j->planned = summarize_plan(&j->summarize, j->document.text, j->document.n, &j->plan, &why);
    /* Who only reads may do so with settings that no summary could be made with. */
    if (j->planned || (j->kind == JOB_READ && (why.kind == ERR_USAGE || why.kind == ERR_INPUT)))
        return true;
    if (e)
        *e = why;
    return false;
}

static void on_judge(void *user, uint32_t no, uint32_t of)
{
    worker_post(user, &(struct mail){.kind = MAIL_JUDGE, .done = no - 1, .total = of}, NULL, 0);
}

static bool job_summarize(struct worker *w, struct job *j, struct err *e)
{
    if (!job_read(w, j, e))
        return false;
    bool fits = j->plan.n_chunks <= 1 && j->plan.tok_read == j->plan.tok_total;
    if (j->ask && !fits)
        return true;
    if (!need_session(w, j, e))
        return false;
    struct summarize_sink sink = {.begin = on_begin,
                                  .prefilled = on_prefilled,
                                  .token = on_token,
                                  .judge = on_judge,
                                  .end = on_end,
                                  .user = w};
    j->ran = true;
    setup_build(w->session, &j->build);
    return summarize_run(&j->summarize, &j->plan, j->document.text, j->document.n, w->session,
                         &sink, &j->summary, e);
}

/* Target tokens left for the model to write. */
static uint32_t room_left(const struct job *j, size_t n_source)
{
    const struct terra_config *c = terra_model_config(j->model);
    size_t most = generate_max_target(c), used = j->forced.n + (c->n_enc ? 0 : n_source);
    size_t left = used < most ? most - used : 0;
    return left < j->summarize.max_tokens ? (uint32_t)left : j->summarize.max_tokens;
}

/* A last pin to the controller's second choice: which one that is shows in the row itself,
 * and the stored parameters need its number. */
static bool second_choice(struct worker *w, struct job *j, const struct terra_ids *source,
                          struct err *e)
{
    struct terra_sampling greedy = {0};
    struct terra_token t;
    struct generate_pin *last = j->n_pins ? &j->pin[j->n_pins - 1] : NULL;
    if (!last || last->unit != TERRA_RUNNER_UP)
        return true;
    bool encoder_too = j->encoder_too;
    j->encoder_too = false; /* no run has begun whose choices these were */
    bool ok = generate_feed(w->session, j->summarize.config, source, j->forced.id, j->forced.n,
                            j->pin, j->n_pins, e) &&
              terra_next(w->session, &greedy, &t, e);
    j->encoder_too = encoder_too;
    if (!ok)
        return false;
    last->unit = t.unit[(size_t)last->layer * t.blocks + last->block];
    return true;
}

static bool job_branch(struct worker *w, struct job *j, struct err *e)
{
    struct terra_ids ids = {0};
    struct generate_result r = {0};
    struct err why = {0};
    bool ok = summarize_source(&j->summarize, j->text, j->n_text, &ids, &why) &&
              need_session(w, j, &why) && second_choice(w, j, &ids, &why);
    struct generate_opts o = {.sampling = j->summarize.sampling,
                              .max_tokens = room_left(j, ids.n),
                              .forced = j->forced.id,
                              .n_forced = j->forced.n,
                              .pin = j->pin,
                              .n_pins = j->n_pins};
    if (ok && o.max_tokens == 0)
        ok = err_set(&why, ERR_INPUT, "the model writes at most %u tokens: all are written",
                     generate_max_target(terra_model_config(j->model)));
    if (ok) {
        j->ran = true;
        setup_build(w->session, &j->build);
        struct mail m = {
            .kind = MAIL_STEP,
            .step = {.kind = j->store_kind,
                     .build = buf_str(&j->build),
                     .no = 1,
                     .of = 1,
                     .unit = j->n_pins ? j->pin[j->n_pins - 1].unit : TERRA_NO_UNIT}};
        worker_post(w, &m, j->text, j->n_text);
        struct generate_sink sink = {on_prefilled, on_token, w};
        ok = generate(w->session, j->summarize.config, j->summarize.vocab, &ids, &o, &sink, &r,
                      &why);
        on_end(w, NULL, &r, ok ? NULL : &why);
    }
    generate_result_free(&r);
    terra_ids_free(&ids);
    if (!ok && e)
        *e = why;
    return ok;
}

static bool job_lens(struct worker *w, struct job *j, struct err *e)
{
    struct terra_ids ids = {0};
    bool ok = summarize_source(&j->summarize, j->text, j->n_text, &ids, e) &&
              need_session(w, j, e) &&
              lens_run(w->session, j->summarize.config, &ids, j->forced.id, j->forced.n - 1,
                       j->pin, j->n_pins, &j->lens, e);
    terra_ids_free(&ids);
    return ok;
}

/* What both sides read: all of it, or the first chunk. */
static size_t compare_bytes(const struct job *j)
{
    return j->plan.n_chunks ? j->plan.chunk[0].end : j->document.n;
}

/* n_text: of their tokens those of the text. */
static bool compare_sources(struct job *j, struct terra_ids source[2], size_t n_text[2],
                            struct err *e)
{
    if (!summarize_source(&j->summarize, j->document.text, compare_bytes(j), &source[0], e))
        return false;
    n_text[0] = n_text[1] = summarize_text_tokens(&j->summarize, source[0].n);
    if (!j->opened)
        return true;
    struct summarize_opts b = j->summarize;
    b.config = terra_model_config(j->opened);
    b.vocab = terra_model_vocab(j->opened);
    /* the control word of the same name, if the other model has it */
    const struct terra_config *a = j->summarize.config;
    b.style = -1;
    for (uint32_t i = 0; i < a->n_control; i++)
        for (uint32_t k = 0; a->control[i].id == j->summarize.style && k < b.config->n_control;
             k++)
            if (strcmp(a->control[i].name, b.config->control[k].name) == 0)
                b.style = b.config->control[k].id;
    if (!summarize_source(&b, j->document.text, compare_bytes(j), &source[1], e))
        return false;
    n_text[1] = summarize_text_tokens(&b, source[1].n);
    return true;
}

static bool job_compare(struct worker *w, struct job *j, struct err *e)
{
    drop_session(w); /* memory for two others */
    if (!job_read(w, j, e))
        return false;
    if (j->against == COMPARE_MODEL && !(j->opened = terra_model_open(j->model_b, e)))
        return false;
    struct terra_ids source[2] = {{0}};
    size_t n_text[2];
    bool ok = compare_sources(j, source, n_text, e);
    const struct terra_model *b = j->opened ? j->opened : j->model;
    struct compare_opts o = {
        .kind = j->against,
        .side = {{j->model, j->mode, &source[0]},
                 {b,
                  j->against == COMPARE_MASKED ? TERRA_MASKED
                  : j->against == COMPARE_OPEN ? TERRA_OPEN
                                               : TERRA_SPARSE,
                  j->opened ? &source[1] : &source[0]}},
        .threads = j->threads,
        .sampling = j->summarize.sampling,
        .max_tokens = j->plan.max_tokens,
        .cancel = &w->cancel,
    };
    struct compare_sink sink = {.progress = on_side_progress,
                                .prefilled = on_side_prefilled,
                                .token = on_side_token,
                                .user = w};
    for (int i = 0; ok && i < 2; i++) {
        uint64_t part = j->plan.n_chunks > 1 ? j->plan.chunk[0].n_tok : j->plan.tok_total;
        struct mail m = {.kind = MAIL_STEP,
                         .side = i,
                         .step = {.n_in = (int64_t)(n_text[i] + j->plan.tok_total - part),
                                  .n_read = (int64_t)n_text[i],
                                  .model = o.side[i].model,
                                  .mode = o.side[i].mode}};
        worker_post(w, &m, j->document.text, compare_bytes(j));
    }
    j->ran = ok;
    ok = ok && compare_run(&o, &sink, &j->compare, e);
    for (int i = 0; j->ran && i < 2; i++) {
        const struct compare_times *t = &j->compare.side[i];
        struct mail m = {.kind = MAIL_STEP_END, .side = i, .end = {.stop = (int)t->stop}};
        for (uint32_t k = 0; k < t->n_tokens; k++)
            m.end.decode_ns += t->ns[k];
        if (!ok && e)
            m.err = *e;
        worker_post(w, &m, NULL, 0);
    }
    terra_ids_free(&source[0]);
    terra_ids_free(&source[1]);
    return ok;
}

bool worker_run(struct worker *w, struct job *j, struct err *e)
{
    switch (j->kind) {
    case JOB_OPEN:
        j->opened = terra_model_open(j->path, e);
        if (!j->opened)
            return false;
        drop_session(w); /* the old model may go now */
        return true;
    case JOB_READ:
        return job_read(w, j, e);
    case JOB_SUMMARIZE:
        return job_summarize(w, j, e);
    case JOB_COMPARE:
        return job_compare(w, j, e);
    case JOB_BRANCH:
        return job_branch(w, j, e);
    case JOB_LENS:
        return job_lens(w, j, e);
    case JOB_BANDWIDTH:
        j->bandwidth = terra_machine_bandwidth(j->threads, 3, e);
        return j->bandwidth > 0;
    }
    return true;
}

/* ---- thread ------------------------------------------------------------------------ */

static struct job *next_job(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->job && !w->quit)
        pthread_cond_wait(&w->work, &w->lock);
    struct job *j = w->quit ? NULL : w->job;
    if (j)
        w->job = NULL;
    pthread_mutex_unlock(&w->lock);
    return j;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct job *j;
    while ((j = next_job(w))) {
        struct mail done = {.kind = MAIL_DONE};
        w->current = j;
        w->progress_ns = 0;
        if (!w->run(w, j, &done.err) && done.err.kind == ERR_NONE)
            err_set(&done.err, ERR_CHECK, "the job failed");
        done.result = j;
        if (!worker_post(w, &done, NULL, 0))
            job_free(j);
    }
    drop_session(w);
    return NULL;
}

struct worker *worker_open(worker_fn *run, struct err *e)
{
    struct mailbox *mail = mailbox_open(e);
    if (!mail)
        return NULL;
    struct worker *w = xcalloc(1, sizeof *w);
    w->mail = mail;
    w->run = run ? run : worker_run;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    /* Signals belong to the main thread: this one is made with them blocked. */
    sigset_t all, old;
    sigfillset(&all);
    const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigdelset(&all, crashes[i]); /* they come from the thread itself */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        err_set(e, ERR_RESOURCE, "cannot start a thread: %s", strerror(rc));
        mailbox_close(mail);
        free(w);
        return NULL;
    }
    return w;
}

void worker_close(struct worker *w)
{
    if (!w)
        return;
    atomic_store(&w->cancel, true);
    mailbox_stop(w->mail);
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    size_t n;
    for (int half = 0; half < 2; half++) { /* results nobody took */
        struct mail *m = mailbox_take(w->mail, &n);
        for (size_t i = 0; i < n; i++)
            if (m[i].kind == MAIL_DONE && w->busy)
                job_free(m[i].result);
    }
    job_free(w->job);
    mailbox_close(w->mail);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

struct mailbox *worker_mailbox(struct worker *w)
{
    return w->mail;
}

bool worker_submit(struct worker *w, struct job *j)
{
    if (w->busy)
        return false;
    w->busy = true;
    j->number = ++w->numbers;
    atomic_store(&w->cancel, false);
    pthread_mutex_lock(&w->lock);
    w->job = j;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    return true;
}

void worker_cancel(struct worker *w)
{
    atomic_store(&w->cancel, true);
}

bool worker_busy(const struct worker *w)
{
    return w->busy;
}

struct job *worker_finish(struct worker *w, const struct mail *done)
{
    w->busy = false;
    return done->result;
}
