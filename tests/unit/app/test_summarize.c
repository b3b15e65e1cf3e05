/* SPDX-License-Identifier: MIT */
#include "app/summarize_impl.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MODEL "tests/fixtures/torch_tiny/sparse"

static struct terra_model *model;

static int open_model(void **state)
{
    struct err e = {0};
    (void)state;
    model = terra_model_open(MODEL, &e);
    if (!model)
        fprintf(stderr, "%s\n", e.msg);
    return model ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    terra_model_close(model);
    return 0;
}

static struct summarize_opts defaults(void)
{
    const struct terra_config *c = terra_model_config(model);
    return (struct summarize_opts){.config = c,
                                   .vocab = terra_model_vocab(model),
                                   .style = c->control[0].id,
                                   .max_source = generate_max_source(c),
                                   .max_tokens = generate_max_target(c)};
}

/* ---- sentences ------------------------------------------------------------------ */

static void sentence(const char *text, const char *first)
{
    size_t end = summarize_sentence_end(text, strlen(text), 0);
    if (end != strlen(first) || memcmp(text, first, end) != 0)
        fail_msg("'%.*s', expected '%s'", (int)end, text, first);
}

static void where_sentences_end(void **state)
{
    (void)state;
    sentence("One. Two.", "One.");
    sentence("Really?! Yes.", "Really?!");
    sentence("He said \"no.\" Then left.", "He said \"no.\"");
    sentence("Version 1.5 is out. Get it.", "Version 1.5 is out.");
    sentence("Dr. Smith came. He left.", "Dr. Smith came.");
    sentence("By J. Doe and others. Then.", "By J. Doe and others.");
    sentence("e.g. this one. Next.", "e.g. this one.");
    sentence("wrapped over\ntwo lines. Next.", "wrapped over\ntwo lines.");
    sentence("A heading\n\nText.", "A heading");
    sentence("Items:\n- one\n- two", "Items:");
    sentence("no end at all", "no end at all");
    sentence("  leading. Next", "  leading.");
    sentence("", "");
    sentence(" \n\n ", " \n\n ");
}

static void ends(const char *text, bool expected)
{
    if (summarize_ends_sentence(text, strlen(text)) != expected)
        fail_msg("'%s' %s a sentence", text, expected ? "ends" : "does not end");
}

static void where_a_text_may_stop(void **state)
{
    (void)state;
    const char *yes[] = {"He left.", "He left!\"", "(It isn't.)", "See README.md.",
                         "One line\n"};
    const char *no[] = {"He met Mr.", "In St.", "The U.",    "The U.S.", "(i.", "(i.e.",
                        "\"U.S.\"",   "3.",     "at 5 a.m.", "a word",   ".",   ""};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        ends(yes[i], true);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        ends(no[i], false);
}

static void counts(void **state)
{
    (void)state;
    assert_int_equal(summarize_count_words("  two words\n", 12), 2);
    assert_int_equal(summarize_count_words("", 0), 0);
    assert_int_equal(summarize_count_sentences("One. Two! Three", 15), 3);
    assert_int_equal(summarize_count_sentences(" ", 1), 0);
    const char *text = "Mr. Jones of the U.S. Army left. He lives in the U.S.";
    assert_int_equal(summarize_count_sentences(text, strlen(text)), 2);
}

static void lines_of_a_summary_count_apart(void **state)
{
    (void)state;
    const char *text = "First title\nSecond title\n\nOne. Two.";
    size_t n = strlen(text);
    assert_true(summarize_measure(SUMMARIZE_SENTENCES, text, n, 0) == 4);
    assert_true(summarize_measure(SUMMARIZE_SENTENCES, "\n", 1, 0) == 0);
    assert_true(summarize_measure(SUMMARIZE_WORDS, text, n, 9) == 6);
    assert_true(summarize_measure(SUMMARIZE_TOKENS, text, n, 9) == 9);
    struct err e = {0};
    struct summarize_opts o = defaults();
    struct summarize_plan p;
    const char *wrapped = "One sentence of a document\nthat was broken\ninto three lines.";
    assert_true(summarize_length_parse("1s", &o.length, &e));
    assert_true(summarize_plan(&o, wrapped, strlen(wrapped), &p, &e));
    assert_true(p.as_is);
    summarize_plan_free(&p);
}

static void lengths(void **state)
{
    (void)state;
    struct summarize_length l;
    struct err e = {0};
    assert_true(summarize_length_parse(NULL, &l, &e));
    assert_int_equal(l.unit, SUMMARIZE_FREE);
    assert_true(summarize_length_parse("80w", &l, &e));
    assert_int_equal(l.unit, SUMMARIZE_WORDS);
    assert_true(l.amount == 80);
    assert_true(summarize_length_parse("10%", &l, &e));
    assert_true(l.percent);
    const char *bad[] = {"80", "w", "-1w", "0s", "1e9t", "5 w", "101%", "nan w"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(summarize_length_parse(bad[i], &l, &e));
}

/* ---- plans ------------------------------------------------------------------------- */

/* Chunks hold every word, in order, and each fits. */
static void check_chunks(const char *text, const struct summarize_plan *p, uint32_t most)
{
    size_t at = 0;
    for (size_t i = 0; i < p->n_chunks; i++) {
        const struct summarize_chunk *c = &p->chunk[i];
        assert_true(c->n_tok <= most);
        assert_true(c->start < c->end);
        for (; at < c->start; at++)
            assert_non_null(strchr(" \n\t", text[at]));
        at = c->end > at ? c->end : at;
    }
    assert_int_equal(strspn(text + at, " \n\t"), strlen(text + at));
}

static void long_texts_are_covered(void **state)
{
    (void)state;
    const char *texts[] = {
        "The cat sat. A dog came in. They looked at each other for a while! Then it was over. "
        "Nothing else happened that day, nor on the next one, which was a Tuesday.",
        "# Title\n\nSome text here.\n\n- item one\n- item two, which is longer than item "
        "one\n\n"
        "```\ncode(x, y, z);\n```\n\nThe end of it all is near.\n",
        "onewordthatneverendsandgoesonandonandonwithoutanyspaceatalluntilthelineisfullofit"
        "andthensomemorejusttobesurethatitislongerthanthecontextofthemodel",
        "\xC3\xA4\xC3\xB6\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80 "
        "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E"
        "\xE3\x81\xAE\xE6\x96\x87\xE7\xAB\xA0\xE3\x80\x82\xE7\xA9\xBA\xE7\x99\xBD\xE3\x81\xAA"
        "\xE3\x81\x97\xE3\x81\xA7\xE9\x95\xB7\xE3\x81\x84"};
    struct err e = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (uint32_t chunk = 8; chunk <= 32; chunk += 8) {
            struct summarize_opts o = defaults();
            struct summarize_plan p;
            o.method = SUMMARIZE_MAP_REDUCE;
            o.chunk = chunk;
            assert_true(summarize_plan(&o, texts[i], strlen(texts[i]), &p, &e));
            assert_true(p.n_chunks > 1);
            assert_int_equal(p.tok_read, p.tok_total);
            check_chunks(texts[i], &p, chunk);
            summarize_plan_free(&p);
        }
    }
}

static bool encode(const char *text, struct terra_ids *ids)
{
    struct summarize_opts o = defaults();
    struct err e = {0};
    return summarize_source(&o, text, strlen(text), ids, &e);
}

static void layout_is_not_read(void **state)
{
    (void)state;
    struct terra_ids a = {0}, b = {0};
    assert_true(encode("  One\t two   three. \n\n\n\n    Four\n", &a));
    assert_true(encode("One two three.\n\nFour", &b));
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.id, b.id, a.n * sizeof *a.id);
    terra_ids_free(&a);
    terra_ids_free(&b);
}

/* A piece that begins with a space can have fewer tokens than the same piece without it. */
static void every_chunk_fits(void **state)
{
    (void)state;
    char text[2048] = "";
    size_t steps = 0, n = 0;
    for (int words = 2; words < 24; words++) { /* paragraphs of all lengths around the budget */
        n += (size_t)snprintf(text + n, sizeof text - n, "\n\n");
        for (int i = 0; i < words; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, " that");
    }
    assert_true(n < sizeof text);
    struct terra_ids ids = {0};
    struct err e = {0};
    struct terra_model *shipped = terra_model_open("data/model/terra-small", &e);
    if (!shipped) /* the fixture's vocabulary has no words that tell */
        fail_msg("%s", e.msg);
    for (uint32_t most = 12; most < 48; most++) {
        struct summarize_opts o = defaults();
        struct summarize_plan p;
        o.vocab = terra_model_vocab(shipped);
        o.max_source = most;
        o.max_tokens = 4;
        o.method = SUMMARIZE_MAP_REDUCE;
        if (!summarize_plan(&o, text, strlen(text), &p, &e))
            fail_msg("%s", e.msg);
        for (size_t i = 0; i < p.n_chunks; i++, steps++) {
            size_t from = p.chunk[i].start;
            assert_true(summarize_source(&o, text + from, p.chunk[i].end - from, &ids, &e));
            assert_true(ids.n <= most);
        }
        summarize_plan_free(&p);
    }
    assert_true(steps > 36);
    terra_ids_free(&ids);
    terra_model_close(shipped);
}

static void chunks_overlap_by_whole_sentences(void **state)
{
    (void)state;
    const char *text =
        "One cat. Two dogs. Red fox. Old owl. New bee. Big ant. Shy elk. Wet eel.";
    struct err e = {0};
    struct summarize_opts o = defaults();
    struct summarize_plan p;
    o.method = SUMMARIZE_MAP_REDUCE;
    o.chunk = 24;
    o.overlap = 10;
    assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_true(p.n_chunks > 2);
    for (size_t i = 1; i < p.n_chunks; i++) {
        assert_true(p.chunk[i].start > p.chunk[i - 1].start);
        assert_true(p.chunk[i].start < p.chunk[i - 1].end);
        assert_int_equal(text[p.chunk[i].start - 1], ' ');
        assert_int_equal(text[p.chunk[i].start - 2], '.');
    }
    summarize_plan_free(&p);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    char text[2048] = "";
    for (int i = 0; i < 30; i++)
        strcat(text, "The cat sat on the mat. ");
    struct err e = {0};
    struct summarize_opts o = defaults();
    struct summarize_plan p;
    o.method = SUMMARIZE_SINGLE;
    assert_false(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    o.allow_truncate = true;
    assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_int_equal(p.n_chunks, 1);
    assert_true(p.tok_read < p.tok_total);
    summarize_plan_free(&p);
    o.method = SUMMARIZE_AUTO;
    o.allow_truncate = false;
    assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_int_equal(p.method, SUMMARIZE_SELECT);
    summarize_plan_free(&p);
    struct terra_config decoder_only = *o.config;
    decoder_only.n_enc = 0;
    o.config = &decoder_only;
    assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_int_equal(p.method, SUMMARIZE_MAP_REDUCE);
    summarize_plan_free(&p);
    o.method = SUMMARIZE_SELECT;
    assert_false(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    o = defaults();
    o.chunk = 1000;
    assert_false(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    o.chunk = o.overlap = 16;
    assert_false(summarize_plan(&o, text, strlen(text), &p, &e));
    o = defaults();
    o.vocab = NULL;
    assert_false(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_int_equal(e.kind, ERR_MODEL);
}

/* As much as fits, not an even share of the document. */
static void a_cut_document_is_read_as_far_as_it_goes(void **state)
{
    (void)state;
    char text[2048] = "";
    size_t cut = 0;
    for (size_t n = 0; n + 7 < sizeof text; n += 7) {
        memcpy(text + n, "A b c. ", 8);
        struct summarize_opts o = defaults();
        struct summarize_plan p;
        struct err e = {0};
        o.method = SUMMARIZE_SINGLE;
        o.allow_truncate = true;
        if (!summarize_plan(&o, text, strlen(text), &p, &e))
            fail_msg("%s", e.msg);
        if (p.tok_read < p.tok_total) {
            assert_true(p.tok_read <= o.max_source && p.tok_read + 12 > o.max_source);
            cut++;
        }
        uint64_t read = p.tok_read;
        summarize_plan_free(&p);
        o.method = SUMMARIZE_AUTO; /* who is asked first hears the same number */
        o.allow_truncate = false;
        assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
        assert_int_equal(p.tok_first, read);
        summarize_plan_free(&p);
    }
    assert_true(cut > 100);
}

static void short_texts_are_their_own_summary(void **state)
{
    (void)state;
    struct err e = {0};
    struct summarize_opts o = defaults();
    struct summarize_plan p;
    assert_true(summarize_plan(&o, "Hello.", 6, &p, &e));
    assert_true(p.as_is);
    summarize_plan_free(&p);
    assert_true(summarize_length_parse("1w", &o.length, &e));
    assert_true(summarize_plan(&o, "Hi all.", 7, &p, &e));
    assert_true(p.tok_total < SUMMARIZE_SHORT && p.as_is);
    summarize_plan_free(&p);
    assert_true(summarize_length_parse("9w", &o.length, &e));
    const char *text = "Eight words are less than the wanted nine.";
    assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_true(p.as_is);
    summarize_plan_free(&p);
}

static void a_sentence_may_end_behind_the_wanted_length(void **state)
{
    (void)state;
    const char *text = "The cat sat on the mat. A dog came in and the cat ran away.";
    struct err e = {0};
    struct summarize_opts o = defaults();
    struct summarize_plan p;
    const struct {
        const char *length;
        uint32_t most, expected;
    } cases[] = {{"12t", 30, 14}, {"12t", 13, 13}, {"2t", 30, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        o.max_tokens = cases[i].most;
        assert_true(summarize_length_parse(cases[i].length, &o.length, &e));
        assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
        assert_int_equal(p.max_tokens, cases[i].expected);
        summarize_plan_free(&p);
    }
}

static struct summarize_work work(enum summarize_method method, uint32_t beams,
                                  const char *length)
{
    struct summarize_opts o = defaults();
    const struct summarize_plan p = {.method = method,
                                     .tok_total = 5000,
                                     .tok_read = 5000,
                                     .n_chunks = method == SUMMARIZE_SINGLE ? 1 : 50,
                                     .max_tokens = 20};
    struct summarize_work w;
    struct err e = {0};
    o.sampling.beams = beams;
    assert_true(summarize_length_parse(length, &o.length, &e));
    summarize_work(&o, &p, &w);
    return w;
}

static void check_work(struct summarize_work w, double read, double written)
{
    if (fabs(w.read - read) > 1 || fabs(w.written - written) > 1)
        fail_msg("%g read, %g written; expected %g, %g", w.read, w.written, read, written);
}

static void the_work_of_a_plan(void **state)
{
    (void)state;
    check_work(work(SUMMARIZE_SINGLE, 1, NULL), 5000, 10);
    check_work(work(SUMMARIZE_SINGLE, 4, NULL), 5000, 50); /* four texts, then the best */
    check_work(work(SUMMARIZE_REFINE, 1, NULL), 5000 + 49 * 10, 500);
    check_work(work(SUMMARIZE_MAP_REDUCE, 1, NULL), 5000 / .9, 500 / .9);
    /* 16 judges read a chunk and 24 summaries, and one is written again */
    check_work(work(SUMMARIZE_SELECT, 1, NULL), 5100 + 16 * (100 + 24 * 10), 510);
    check_work(work(SUMMARIZE_SELECT, 4, NULL), 5100 + 16 * (100 + 24 * 10), 5 * 510);
    check_work(work(SUMMARIZE_SELECT, 1, "20s"), 7000 + 16 * (100 + 40 * 10), 700);
    check_work(work(SUMMARIZE_SELECT, 1, "9000t"), 10000 + 16 * (100 + 50 * 10), 1000);
}

/* ---- runs ---------------------------------------------------------------------------- */

struct log {
    uint32_t steps, finals, tokens;
    enum summarize_kind last;
    size_t final_bytes;
    bool final;
};

static void on_begin(void *user, const struct summarize_step *s)
{
    struct log *l = user;
    assert_int_equal(s->index, l->steps);
    assert_int_equal(s->n_in, s->source->n);
    l->steps++;
    l->finals += s->final;
    l->final = s->final;
    l->last = s->kind;
}

static void on_token(void *user, const struct terra_token *t, const char *piece, size_t n)
{
    struct log *l = user;
    (void)piece;
    l->tokens += t != NULL;
    l->final_bytes += l->final ? n : 0;
}

static void run_method(enum summarize_method method, enum summarize_kind last)
{
    const char *text =
        "The cat sat on the mat. A dog came in and the cat ran away. It was a long "
        "day. In the evening both of them slept by the fire, and it rained.";
    struct err e = {0};
    struct summarize_opts o = defaults();
    o.method = method;
    o.max_tokens = 10;
    struct summarize_plan p;
    struct terra_session_opts so = {
        .threads = 1, .max_source = o.max_source, .max_target = generate_max_target(o.config)};
    struct terra_session *s = terra_session_open(model, &so, &e);
    assert_non_null(s);
    assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
    struct log log = {0};
    struct summarize_sink sink = {.begin = on_begin, .token = on_token, .user = &log};
    struct summarize_result r;
    assert_true(summarize_run(&o, &p, text, strlen(text), s, &sink, &r, &e));
    assert_int_equal(log.finals, 1);
    assert_int_equal(log.last, last);
    assert_int_equal(log.steps, r.n_steps);
    assert_int_equal(log.tokens, r.tokens_out);
    assert_true(log.steps >= p.n_chunks);
    assert_true(r.text.len <= log.final_bytes);
    summarize_result_free(&r);
    summarize_plan_free(&p);
    terra_session_close(s);
}

static void methods_end_in_one_text(void **state)
{
    (void)state;
    run_method(SUMMARIZE_SELECT, SUMMARIZE_STEP_CHOSEN);
    run_method(SUMMARIZE_MAP_REDUCE, SUMMARIZE_STEP_REDUCE);
    run_method(SUMMARIZE_REFINE, SUMMARIZE_STEP_REFINE);
}

#define PARTS 40

/* How many of as many summaries, of five words each, are judged for a length in words. */
static size_t judged(double goal)
{
    const char *text = "The cat sat on the mat.";
    struct summarize_candidate c[PARTS] = {0};
    struct summarize_chunk chunk[PARTS];
    struct summarize_opts o = defaults();
    struct terra_session_opts so = {.threads = 1};
    struct err e = {0};
    struct terra_session *s = terra_session_open(model, &so, &e);
    size_t kept = 0;
    assert_non_null(s);
    o.length.unit = goal > 0 ? SUMMARIZE_WORDS : SUMMARIZE_FREE;
    for (size_t i = 0; i < PARTS; i++) {
        chunk[i] = (struct summarize_chunk){0, strlen(text), 8};
        buf_printf(&c[i].text, "what part %c%c says here", (char)('a' + i / 26),
                   (char)('a' + i % 26));
        terra_ids_add(&c[i].ids, TERRA_EOS);
    }
    assert_true(summarize_select(&o, s, NULL, text, chunk, c, PARTS, 4, goal, &e));
    for (size_t i = 0; i < PARTS; i++) {
        kept += c[i].keep;
        terra_ids_free(&c[i].ids);
        buf_free(&c[i].text);
    }
    terra_session_close(s);
    return kept;
}

static void a_long_summary_has_more_to_choose_from(void **state)
{
    (void)state;
    assert_int_equal(judged(0), 24);
    assert_int_equal(judged(20), 24);
    assert_int_equal(judged(75), 30); /* twice as many words as wanted */
    assert_int_equal(judged(5000), PARTS);
}

struct stopper { /* stops a run in step `at`, the last one or the second of round `round` */
    atomic_bool cancel;
    uint32_t at, round;
    bool last;
    bool wrote; /* not when the step begins but when it has written something */
    bool running;
    struct buf whole; /* text of the steps that came to their end */
};

static void stop_begin(void *user, const struct summarize_step *s)
{
    struct stopper *x = user;
    x->running = x->last    ? s->final
                 : x->round ? s->round == x->round && s->no == 2
                            : s->index == x->at;
    if (x->running && !x->wrote)
        atomic_store(&x->cancel, true);
}

static void stop_token(void *user, const struct terra_token *t, const char *piece, size_t n)
{
    struct stopper *x = user;
    (void)t;
    if (x->running && x->wrote && strspn(piece, " \n\t") < n)
        atomic_store(&x->cancel, true);
}

static void stop_end(void *user, const struct summarize_step *s,
                     const struct generate_result *r, const struct err *e)
{
    struct stopper *x = user;
    size_t start = 0, end = r->text.len;
    if (e || s->round)
        return;
    summarize_trim(buf_str(&r->text), &start, &end);
    if (s->kind == SUMMARIZE_STEP_REFINE)
        buf_clear(&x->whole);
    else if (x->whole.len)
        buf_add_byte(&x->whole, '\n');
    buf_add(&x->whole, buf_str(&r->text) + start, end - start);
}

/* The same text, whatever white space is at its end. */
static bool same_words(const struct buf *a, const struct buf *b)
{
    size_t start = 0, n = a->len;
    summarize_trim(buf_str(a), &start, &n);
    return n - start == b->len && memcmp(buf_str(a) + start, buf_str(b), b->len) == 0;
}

/* What a run leaves that is stopped as `x` says. */
static void stop_run(enum summarize_method method, struct stopper *x, struct buf *left)
{
    char text[2048] = "";
    for (int i = 0; i < 8; i++)
        strcat(text, "The cat sat on the mat. A dog came in and the cat ran away. ");
    struct err e = {0};
    struct summarize_opts o = defaults();
    struct summarize_plan p;
    struct terra_session_opts so = {.threads = 1, .cancel = &x->cancel};
    struct terra_session *s = terra_session_open(model, &so, &e);
    struct summarize_sink sink = {
        .begin = stop_begin, .token = stop_token, .end = stop_end, .user = x};
    struct summarize_result r;
    assert_non_null(s);
    o.method = method;
    o.max_tokens = 8;
    assert_true(summarize_plan(&o, text, strlen(text), &p, &e));
    assert_true(p.n_chunks > 3);
    assert_false(summarize_run(&o, &p, text, strlen(text), s, &sink, &r, &e));
    assert_int_equal(e.kind, ERR_CANCELLED);
    assert_int_equal(r.stop, GENERATE_CANCELLED);
    *left = r.text;
    summarize_plan_free(&p);
    terra_session_close(s);
}

static void cancelled_runs_keep_their_text(void **state)
{
    (void)state;
    const struct {
        enum summarize_method method;
        struct stopper x;
        bool whole; /* what the finished steps wrote is left */
    } cases[] = {
        {SUMMARIZE_REFINE, {.at = 2}, true},
        {SUMMARIZE_REFINE, {.at = 2, .wrote = true}, true},
        {SUMMARIZE_REFINE, {.last = true}, true},
        {SUMMARIZE_REFINE, {.last = true, .wrote = true}, false},
        {SUMMARIZE_SELECT, {.at = 2}, true},
        {SUMMARIZE_SELECT, {.last = true}, true},
        {SUMMARIZE_SELECT, {.last = true, .wrote = true}, false},
        {SUMMARIZE_MAP_REDUCE, {.at = 2}, true},
        {SUMMARIZE_MAP_REDUCE, {.round = 1}, true},
        {SUMMARIZE_MAP_REDUCE, {.round = 1, .wrote = true}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stopper x = cases[i].x;
        struct buf left = {0};
        stop_run(cases[i].method, &x, &left);
        assert_true(left.len > 0);
        if (same_words(&left, &x.whole) != cases[i].whole)
            fail_msg("case %zu left '%s' of '%s'", i, buf_str(&left), buf_str(&x.whole));
        buf_free(&left);
        buf_free(&x.whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_sentences_end),
        cmocka_unit_test(where_a_text_may_stop),
        cmocka_unit_test(counts),
        cmocka_unit_test(lines_of_a_summary_count_apart),
        cmocka_unit_test(lengths),
        cmocka_unit_test(long_texts_are_covered),
        cmocka_unit_test(layout_is_not_read),
        cmocka_unit_test(every_chunk_fits),
        cmocka_unit_test(chunks_overlap_by_whole_sentences),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_cut_document_is_read_as_far_as_it_goes),
        cmocka_unit_test(short_texts_are_their_own_summary),
        cmocka_unit_test(a_sentence_may_end_behind_the_wanted_length),
        cmocka_unit_test(the_work_of_a_plan),
        cmocka_unit_test(methods_end_in_one_text),
        cmocka_unit_test(a_long_summary_has_more_to_choose_from),
        cmocka_unit_test(cancelled_runs_keep_their_text),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
