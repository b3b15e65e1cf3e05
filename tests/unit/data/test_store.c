/* What is written comes back; lists, search, deletion, statistics, pruning.
 * SPDX-License-Identifier: MIT */
#include "tests/unit/data/store_fixture.h"

#include <math.h>
#include <sys/stat.h>

static struct store *mem(void)
{
    return open_at(":memory:");
}

static void run_comes_back(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    int64_t session = new_session(s, NULL);
    int64_t run = begin_run(s, session, "what is\0x");
    struct store_run r;
    must(store_run_get(s, run, &p, &r, &e));
    assert_int_equal(r.status, STORE_RUNNING);
    must(store_run_prefilled(s, run, 40, 30, 5, 6, &e));
    must(append(s, run, 0, 50, &e));
    must(append(s, run, 50, 50, &e));
    must(store_run_end(s, run, &(struct store_run_end){.status = STORE_LENGTH, .decode_ns = 9},
                       &e));
    must(store_run_get(s, run, &p, &r, &e));
    assert_int_equal(r.status, STORE_LENGTH);
    assert_int_equal(r.session, session);
    assert_int_equal(r.parent, 0);
    assert_int_equal(r.chunk, -1);
    assert_string_equal(r.prompt, "what is");
    assert_string_equal(r.params, "{\"temp\":0}");
    assert_true(r.seed == 0xFFFFFFFFFFFFFFFFu);
    assert_int_equal(r.n_in, 40);
    assert_int_equal(r.n_read, 30);
    assert_int_equal(r.load_ns, 5);
    assert_int_equal(r.prefill_ns, 6);
    assert_int_equal(r.decode_ns, 9);
    assert_int_equal(r.n_out, 100);
    assert_true(r.end_ms >= r.start_ms);
    assert_memory_equal(r.output, "w0 w1 w2 ", 9); /* put together from the tokens */

    struct store_token *t;
    size_t n;
    must(store_tokens(s, run, &p, &t, &n, &e));
    assert_int_equal(n, 100);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(t[i].id, (int)i + 10);
        assert_true(t[i].logprob == -0.5f * (float)(i % 7));
        assert_int_equal(t[i].ns, 1000000 + i);
        assert_int_equal(t[i].part_us[STORE_PART_CTL], 1);
        assert_int_equal(t[i].part_us[STORE_PART_OTHER], i);
        assert_int_equal(t[i].bytes, 5000000000u + i);
        assert_int_equal(t[i].zero, i % 4);
        assert_int_equal(t[i].n_top, 2);
        assert_int_equal(t[i].top[1].id, 7);
        assert_true(t[i].top[1].logprob == -2.5f);
        char want[32];
        snprintf(want, sizeof want, "w%zu ", i);
        assert_string_equal(t[i].text, want);
    }
    pool_free(&p);
    store_close(s);
}

static void trace_comes_back(void **state)
{
    (void)state;
    static const uint32_t steps[][6] = {{200, 0}, {64, 64, 64, 8, 0}, {1, 12, 51, 63, 73, 0}};
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    for (size_t k = 0; k < 3; k++) {
        int64_t run = begin_run(s, new_session(s, NULL), "x");
        uint32_t pos = 0;
        for (size_t i = 0; steps[k][i]; i++) {
            must(append(s, run, pos, steps[k][i], &e));
            must(append(s, run, pos, steps[k][i], &e)); /* a retry changes nothing */
            pos += steps[k][i];
        }
        struct store_trace t;
        must(store_trace_get(s, run, STORE_DEC, &p, &t, &e));
        assert_int_equal(t.n, 200);
        assert_int_equal(t.layers, LAYERS);
        assert_int_equal(t.blocks, BLOCKS);
        assert_int_equal(t.units, UNITS);
        assert_int_equal(t.n_damaged, 0);
        for (uint32_t r = 0; r < 200; r++) {
            for (uint32_t i = 0; i < PLACES; i++) {
                size_t at = r * PLACES + i;
                bool none = i == PLACES - 1;
                assert_int_equal(t.unit[at], unit_at(r, i));
                assert_int_equal(t.alive[at], !none && (r + i) % 3 != 0);
                float want = 0.25f * (float)(1 + (r + i) % 4);
                if (!none)
                    assert_true(fabsf(log2f(t.margin[at] / want)) < 0.13f);
            }
        }
        must(store_trace_get(s, run, STORE_ENC, &p, &t, &e));
        assert_int_equal(t.n, 0);
    }
    /* However the tokens came, the chunks are full ones. */
    struct store_stat stat;
    must(store_stat(s, &stat, &e));
    assert_int_equal(stat.trace_rows, 600);
    pool_free(&p);
    store_close(s);
}

static void sessions_list(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    int64_t a = new_session(s, "zebra"), b = new_session(s, NULL);
    whole_run(s, a, "first prompt", "one reply");
    struct store_document d = {.sha256 = {9}, .name = "paper.txt", .bytes = 3, .n_tok = -1};
    int64_t doc;
    must(store_document_put(s, &d, &doc, &e));
    whole_run(s, b, "  two\n lines  here ", "older");
    usleep(2000);
    struct store_run r = {.session = b,
                          .model = new_model(s),
                          .document = doc,
                          .chunk = 3,
                          .kind = STORE_MAP,
                          .prompt = "p",
                          .n_prompt = 1,
                          .n_in = -1,
                          .n_read = -1};
    int64_t run;
    must(store_run_begin(s, &r, &run, &e));
    must(append(s, run, 0, 20, &e));
    must(store_run_end(
        s, run, &(struct store_run_end){STORE_DONE, "new\n\treply", 10, NULL, 2000000000}, &e));

    struct store_session *list;
    size_t n, all;
    must(store_session_list(s, &(struct store_list_opts){0}, &p, &list, &n, &all, &e));
    assert_int_equal(n, 2);
    assert_int_equal(all, 2);
    assert_int_equal(list[0].id, b);
    assert_string_equal(list[0].title, "two lines here");
    assert_false(list[0].titled);
    assert_int_equal(list[0].n_runs, 2);
    assert_int_equal(list[0].n_tok, 20);
    assert_true(fabs(list[0].tok_per_s - 10) < 1e-9);
    assert_string_equal(list[0].document, "paper.txt");
    assert_string_equal(list[0].snippet, "new reply");
    assert_int_equal(strlen(list[0].uid), 16);
    assert_string_equal(list[1].title, "zebra");
    assert_null(list[1].document);
    must(store_session_list(s, &(struct store_list_opts){.sort = STORE_BY_TITLE}, &p, &list, &n,
                            NULL, &e));
    assert_int_equal(list[0].id, a); /* titled ones first */
    must(store_session_list(s, &(struct store_list_opts){.sort = STORE_BY_TOKENS, .limit = 1},
                            &p, &list, &n, &all, &e));
    assert_int_equal(n, 1);
    assert_int_equal(all, 2);
    assert_int_equal(list[0].id, b);
    must(store_session_list(s, &(struct store_list_opts){.limit = 5, .offset = 1}, &p, &list,
                            &n, NULL, &e));
    assert_int_equal(n, 1);
    must(store_session_rename(s, b, "named", &e));
    struct store_session one;
    must(store_session_get(s, b, &p, &one, &e));
    assert_string_equal(one.title, "named");
    int64_t last;
    must(store_session_last(s, &last, &e));
    assert_int_equal(last, b);
    assert_false(store_session_rename(s, 999, "x", &e));
    assert_int_equal(e.kind, ERR_CHECK);
    assert_false(store_session_get(s, 999, &p, &one, &e));
    assert_int_equal(e.kind, ERR_CHECK);
    pool_free(&p);
    store_close(s);
}

static size_t hits(struct store *s, const char *words)
{
    struct err e = {0};
    struct pool p = {0};
    struct store_hit *h;
    size_t n;
    must(store_search(s, words, 50, &p, &h, &n, &e));
    pool_free(&p);
    return n;
}

/* Control characters, brackets and words beside the hit do not hide which side it is on. */
static void search_tells_the_side(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    struct store_hit *h;
    size_t n;
    int64_t session = new_session(s, NULL);
    whole_run(s, session, "a \1 b \1 [c] *", "an \1 owl");
    whole_run(s, session, "\1", "nothing");
    whole_run(s, session, "an eagle \1", "a \1 b");
    must(store_search(s, "owl", 10, &p, &h, &n, &e));
    assert_int_equal(n, 1);
    assert_false(h[0].in_prompt);
    assert_non_null(strstr(h[0].snippet, "[owl]"));
    must(store_search(s, "eagle", 10, &p, &h, &n, &e));
    assert_int_equal(n, 1);
    assert_true(h[0].in_prompt);
    assert_non_null(strstr(h[0].snippet, "[eagle]"));
    pool_free(&p);
    store_close(s);
}

static void search_finds(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    int64_t a = new_session(s, "A"), b = new_session(s, "B");
    whole_run(s, a, "tell me of cats", "The bandwidth of a laptop is small.");
    int64_t in_prompt =
        whole_run(s, b, "Bandwidth bound?", "It is the caf\xC3\xA9 \xFF\xFE bound.");
    struct store_hit *h;
    size_t n;
    must(store_search(s, "bandwidth", 10, &p, &h, &n, &e));
    assert_int_equal(n, 2);
    assert_int_equal(h[0].run, in_prompt); /* prompts rank higher */
    assert_true(h[0].in_prompt);
    assert_string_equal(h[0].snippet, "[Bandwidth] bound?");
    assert_false(h[1].in_prompt);
    assert_string_equal(h[1].snippet, "The [bandwidth] of a laptop is small.");
    assert_int_equal(hits(s, "bandw"), 2);       /* still typing */
    assert_int_equal(hits(s, "bandw "), 0);      /* a finished word */
    assert_int_equal(hits(s, "laptop cats"), 1); /* all words, either column */
    assert_int_equal(hits(s, "laptop dogs"), 0);
    assert_int_equal(hits(s, "cafe"), 1); /* diacritics and malformed bytes do not matter */
    static const char *const odd[] = {
        "",  "  ", "\"", "a\"b",      "NOT",   "AND OR", "prompt:x",  "(",
        "*", "-",  "^a", "NEAR(a b)", "'; --", "{a b}:", "\xFF\xFF ", "a + b"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        hits(s, odd[i]); /* words, never syntax */
    assert_int_equal(hits(s, "-"), 0);
    struct store_session *list;
    size_t all;
    must(store_session_list(s, &(struct store_list_opts){.search = "bound"}, &p, &list, &n,
                            &all, &e));
    assert_int_equal(n, 1);
    assert_int_equal(all, 1);
    assert_int_equal(list[0].id, b);
    assert_string_equal(list[0].snippet, "Bandwidth [bound]?");
    must(store_session_list(s, &(struct store_list_opts){.search = "\"!"}, &p, &list, &n, &all,
                            &e));
    assert_int_equal(n, 0);
    must(store_session_delete(s, b, &e));
    assert_int_equal(hits(s, "bandwidth"), 1);
    pool_free(&p);
    store_close(s);
}

static void deletion_is_undoable_while_its_process_lives(void **state)
{
    (void)state;
    char path[128];
    struct err e = {0};
    struct pool p = {0};
    struct store_stat stat;
    snprintf(path, sizeof path, "%s/del.db", scratch_dir());
    struct store *s = open_at(path);
    int64_t a = new_session(s, "keep"), b = new_session(s, "drop"), doc;
    whole_run(s, a, "alpha", "r");
    struct store_document d = {.sha256 = {4}, .bytes = 6, .body = "secret", .n_body = 6};
    must(store_document_put(s, &d, &doc, &e));
    struct store_run r = {.session = b,
                          .model = new_model(s),
                          .document = doc,
                          .prompt = "beta",
                          .n_prompt = 4,
                          .chunk = -1};
    int64_t run;
    must(store_run_begin(s, &r, &run, &e));
    must(append(s, run, 0, 70, &e));
    must(store_run_end(s, run, &(struct store_run_end){.status = STORE_DONE}, &e));
    must(store_session_delete(s, b, &e));
    must(store_session_undelete(s, b, &e));
    must(store_session_delete(s, b, &e));
    struct store_session *list;
    size_t n;
    must(store_session_list(s, &(struct store_list_opts){0}, &p, &list, &n, NULL, &e));
    assert_int_equal(n, 1);
    must(store_session_list(s, &(struct store_list_opts){.deleted = true}, &p, &list, &n, NULL,
                            &e));
    assert_int_equal(n, 2);
    store_close(s);

    struct store_report rep; /* we live, and might want it back */
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_int_equal(rep.purged, 0);
    must(store_session_undelete(s, b, &e));
    must(store_session_delete(s, b, &e));
    store_close(s);
    raw(path, "UPDATE session SET deleted_boot = 'another' WHERE deleted_ms IS NOT NULL");
    s = store_open(&(struct store_opts){.path = path}, &rep, &e);
    assert_int_equal(rep.purged, 1);
    must(store_stat(s, &stat, &e));
    assert_int_equal(stat.n_sessions, 1);
    assert_int_equal(stat.n_deleted, 0);
    assert_int_equal(stat.n_runs, 1);
    assert_int_equal(stat.trace_rows, 0);
    assert_int_equal(stat.n_documents, 0); /* nobody refers to it any more */
    assert_int_equal(hits(s, "beta"), 0);
    must(store_check(s, &e));
    store_close(s);
    pool_free(&p);
}

static void models_and_documents_are_found_again(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    struct store_model m = {.header_sha256 = {5}, .bytes = 10, .path = "/a", .config = "{}"},
                       got;
    int64_t id, again;
    must(store_model_put(s, &m, &id, &e));
    m.path = "/b";
    must(store_model_put(s, &m, &again, &e));
    assert_int_equal(id, again);
    must(store_model_get(s, id, &p, &got, &e));
    assert_string_equal(got.path, "/b");
    assert_int_equal(got.header_sha256[0], 5);
    must(store_model_find(s, &m, &again, &e));
    assert_int_equal(id, again);
    m.bytes = 11;
    assert_false(store_model_find(s, &m, &again, &e)); /* and it is not added */
    assert_int_equal(e.kind, ERR_CHECK);
    assert_false(store_model_find(s, &m, &again, &e));
    must(store_model_put(s, &m, &again, &e));
    assert_int_not_equal(id, again);

    struct store_document d = {.sha256 = {1}, .name = "n", .bytes = 4, .n_tok = -1}, back;
    must(store_document_put(s, &d, &id, &e));
    d = (struct store_document){
        .sha256 = {1}, .bytes = 4, .n_tok = 2, .fixes = 1, .body = "a\0b", .n_body = 3};
    must(store_document_put(s, &d, &again, &e));
    assert_int_equal(id, again);
    must(store_document_get(s, id, true, &p, &back, &e));
    assert_string_equal(back.name, "n");
    assert_int_equal(back.n_tok, 2);
    assert_int_equal(back.n_body, 3);
    assert_memory_equal(back.body, "a\0b", 3);
    must(store_document_get(s, id, false, &p, &back, &e));
    assert_null(back.body);
    pool_free(&p);
    store_close(s);
}

static void documents_keep_their_first_name(void **state)
{
    (void)state;
    static const struct {
        const char *given, *kept;
    } step[] = {{NULL, NULL},   {"-", "-"},      {NULL, "-"},       {"a.txt", "a.txt"},
                {"-", "a.txt"}, {NULL, "a.txt"}, {"b.txt", "a.txt"}};
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
        int64_t id;
        struct store_document d = {.sha256 = {3}, .name = step[i].given, .n_tok = -1}, back;
        must(store_document_put(s, &d, &id, &e));
        must(store_document_get(s, id, false, &p, &back, &e));
        if (step[i].kept)
            assert_string_equal(back.name, step[i].kept);
        else
            assert_null(back.name);
    }
    pool_free(&p);
    store_close(s);
}

static void summaries_keep_their_steps(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    int64_t session = new_session(s, NULL), doc, id, run[3];
    must(
        store_document_put(s, &(struct store_document){.sha256 = {2}, .n_tok = 900}, &doc, &e));
    for (int i = 0; i < 3; i++)
        run[i] = whole_run(s, session, "chunk", "text");
    struct store_summary m = {.document = doc,
                              .run = run[2],
                              .method = "map-reduce",
                              .target = "80w",
                              .body = "short \xFF",
                              .tok_read = 800,
                              .tok_total = 900,
                              .rouge = "{\"rl\":0.5}",
                              .step = run,
                              .n_steps = 3};
    must(store_summary_put(s, &m, &id, &e));
    struct store_summary got, *list;
    size_t n;
    must(store_summary_of(s, run[2], &p, &got, &e));
    assert_string_equal(got.method, "map-reduce");
    assert_string_equal(got.body, "short \xEF\xBF\xBD");
    assert_int_equal(got.tok_read, 800);
    assert_int_equal(got.n_steps, 3);
    assert_memory_equal(got.step, run, sizeof run);
    must(store_summary_list(s, doc, &p, &list, &n, &e));
    assert_int_equal(n, 1);
    must(store_summary_list(s, 0, &p, &list, &n, &e));
    assert_int_equal(n, 1);
    must(store_summary_list(s, doc + 1, &p, &list, &n, &e));
    assert_int_equal(n, 0);
    assert_false(store_summary_of(s, run[0], &p, &got, &e));
    assert_int_equal(e.kind, ERR_CHECK);
    /* An unknown run: nothing of it stays. */
    int64_t bad[] = {run[0], 999};
    m = (struct store_summary){
        .document = doc, .run = run[1], .body = "", .step = bad, .n_steps = 2};
    assert_false(store_summary_put(s, &m, &id, &e));
    must(store_summary_list(s, 0, &p, &list, &n, &e));
    assert_int_equal(n, 1);
    pool_free(&p);
    store_close(s);
}

/* Counted here with two loops, there from chunks. */
static void use_of_units(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    int64_t session = new_session(s, NULL), a = begin_run(s, session, "a");
    must(append(s, a, 0, 100, &e));
    must(append(s, begin_run(s, session, "b"), 0, 30, &e));
    uint64_t count[PLACES][UNITS] = {0}, flips[PLACES] = {0}, zero[PLACES] = {0};
    static const uint32_t rows[] = {30, 100};
    for (int k = 0; k < 2; k++) {
        for (uint32_t r = 0; r < rows[k]; r++) {
            for (uint32_t i = 0; i < PLACES; i++) {
                if (unit_at(r, i) != TRACE_NONE) {
                    count[i][unit_at(r, i)]++;
                    zero[i] += (r + i) % 3 == 0;
                }
                flips[i] += r && unit_at(r, i) != unit_at(r - 1, i);
            }
        }
    }
    struct store_use u;
    must(store_use(s, &(struct store_use_opts){.session = session, .stage = STORE_DEC}, &p, &u,
                   &e));
    assert_int_equal(u.rows, 130);
    assert_int_equal(u.runs, 2);
    assert_int_equal(u.alive_rows, 130);
    assert_int_equal(u.other_rows + u.damaged_rows, 0);
    assert_memory_equal(u.count, count, sizeof count);
    assert_memory_equal(u.flips, flips, sizeof flips);
    assert_memory_equal(u.zero, zero, sizeof zero);
    must(store_use(s, &(struct store_use_opts){.run = a, .stage = STORE_DEC}, &p, &u, &e));
    assert_int_equal(u.rows, 100);
    must(store_use(s, &(struct store_use_opts){.stage = STORE_ENC}, &p, &u, &e));
    assert_int_equal(u.rows, 0);
    must(store_use(s, &(struct store_use_opts){.model = 99, .stage = STORE_DEC}, &p, &u, &e));
    assert_int_equal(u.rows, 0);
    pool_free(&p);
    store_close(s);
}

static void pruning_gives_space_back(void **state)
{
    (void)state;
    char path[128];
    struct err e = {0};
    struct store_stat before, after;
    struct store_pruned gone;
    struct stat file;
    snprintf(path, sizeof path, "%s/prune.db", scratch_dir());
    struct store *s = open_at(path);
    int64_t run = begin_run(s, new_session(s, "old"), "prune me");
    for (uint32_t i = 0; i < 40; i++)
        must(append(s, run, i * 256, 256, &e));
    must(store_run_end(s, run, &(struct store_run_end){.status = STORE_DONE}, &e));
    must(store_stat(s, &before, &e));
    struct store_prune_opts o = {.before_ms = INT64_MAX, .traces = true, .dry_run = true};
    must(store_prune(s, &o, &gone, &e));
    assert_int_equal(gone.traces, 40 * 256); /* rows, not chunks or planes of them */
    assert_int_equal(gone.bytes, before.trace_bytes);
    o.traces = false;
    must(store_prune(s, &o, &gone, &e));
    assert_int_equal(gone.traces, 40 * 256);
    o.traces = true;
    o.dry_run = false;
    must(store_prune(s, &o, &gone, &e));
    must(store_stat(s, &after, &e));
    assert_int_equal(after.trace_bytes, 0);
    assert_int_equal(after.n_tokens, 40 * 256);
    assert_int_equal(after.free_bytes, 0);
    assert_true(after.bytes < before.bytes);
    o.before_ms = 1; /* nothing is that old */
    o.traces = false;
    must(store_prune(s, &o, &gone, &e));
    assert_int_equal(gone.sessions, 0);
    o.before_ms = INT64_MAX;
    must(store_prune(s, &o, &gone, &e));
    assert_int_equal(gone.sessions, 1);
    assert_int_equal(gone.runs, 1);
    assert_int_equal(gone.tokens, 40 * 256);
    must(store_stat(s, &after, &e));
    assert_int_equal(after.n_runs, 0);
    assert_int_equal(hits(s, "prune"), 0);
    must(store_check(s, &e));
    store_close(s);
    assert_int_equal(stat(path, &file), 0);
    assert_true((uint64_t)file.st_size < before.bytes / 10);
}

static void settings_and_parents(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool p = {0};
    struct store *s = mem();
    assert_true(store_log_on(s));
    must(store_log_set(s, false, &e));
    assert_false(store_log_on(s));
    must(store_log_set(s, true, &e));
    assert_true(store_log_on(s));

    int64_t session = new_session(s, NULL), a = whole_run(s, session, "a", ""), b;
    struct store_run r = {.session = session,
                          .model = new_model(s),
                          .parent = a,
                          .pair = a,
                          .kind = STORE_COMPARE,
                          .mode = STORE_MASKED,
                          .prompt = "",
                          .chunk = -1};
    must(store_run_begin(s, &r, &b, &e));
    struct store_run *list;
    size_t n;
    must(store_run_pair(s, a, &p, &list, &n, &e));
    assert_int_equal(n, 2);
    assert_int_equal(list[1].parent, a);
    assert_int_equal(list[1].mode, STORE_MASKED);
    assert_int_equal(list[1].kind, STORE_COMPARE);
    must(store_run_list(s, session, &p, &list, &n, &e));
    assert_int_equal(n, 2);
    int64_t last;
    must(store_run_last(s, &last, &e));
    assert_int_equal(last, b);
    r.params = "[1]";
    assert_false(store_run_begin(s, &r, &b, &e));
    r.params = NULL;
    r.session = 12345; /* no such session */
    assert_false(store_run_begin(s, &r, &b, &e));
    assert_int_equal(e.kind, ERR_CHECK);
    r.session = session;
    r.parent = 999; /* no such run: forgotten */
    must(store_run_begin(s, &r, &b, &e));
    must(store_run_list(s, session, &p, &list, &n, &e));
    assert_int_equal(list[2].parent, 0);
    r.model = 999; /* no such model: refused by the foreign key */
    assert_false(store_run_begin(s, &r, &b, &e));
    assert_int_equal(e.kind, ERR_STORE);
    assert_false(append(s, 999, 0, 3, &e));
    pool_free(&p);
    store_close(s);
}

static void what_is_written_to_is_not_deleted(void **state)
{
    (void)state;
    struct err e = {0};
    struct store *s = mem();
    struct store_pruned gone;
    struct store_prune_opts all = {.before_ms = INT64_MAX};
    int64_t session = new_session(s, NULL), quiet = new_session(s, NULL);
    whole_run(s, quiet, "b", "");
    int64_t run = begin_run(s, session, "a");
    assert_false(store_session_delete(s, session, &e));
    assert_int_equal(e.kind, ERR_CHECK);
    must(store_prune(s, &all, &gone, &e));
    assert_int_equal(gone.sessions, 1);
    assert_int_equal(gone.runs, 1);
    bool alive;
    must(store_session_alive(s, session, &alive, &e));
    assert_true(alive);
    must(store_session_alive(s, quiet, &alive, &e));
    assert_false(alive);
    must(append(s, run, 0, 3, &e));
    must(store_run_end(s, run, &(struct store_run_end){.status = STORE_DONE}, &e));
    must(store_session_delete(s, session, &e));
    must(store_session_alive(s, session, &alive, &e));
    assert_false(alive);
    store_close(s);
}

/* Another process may still hold the id of a row that was purged. */
static void ids_are_never_used_again(void **state)
{
    (void)state;
    struct err e = {0};
    struct store *s = mem();
    struct store_pruned gone;
    struct store_prune_opts all = {.before_ms = INT64_MAX};
    int64_t session = 0, run = 0;
    for (int i = 0; i < 3; i++) {
        int64_t next = new_session(s, NULL), next_run = whole_run(s, next, "a", "");
        assert_true(next > session);
        assert_true(next_run > run);
        session = next;
        run = next_run;
        must(store_prune(s, &all, &gone, &e));
        must(store_prune(s, &all, &gone, &e)); /* of an empty file */
    }
    store_close(s);
}

static void pins_of_a_run(void **state)
{
    (void)state;
    struct pool p = {0};
    size_t n;
    struct store_pin *pin =
        store_param_pins("{\"after\":11,\"pin\":{\"layer\":1,\"block\":3,\"unit\":9,\"was\":0},"
                         "\"kept\":[{\"at\":7,\"layer\":2,\"block\":5,\"unit\":4}]}",
                         &p, &n);
    const struct store_pin want[] = {{2, 5, 4, 7}, {1, 3, 9, 11}};
    assert_int_equal(n, 2);
    assert_memory_equal(pin, want, sizeof want);
    static const char *const none[] = {"{}", "", "{\"after\":3}", "{\"pin\":2,\"kept\":\"x\"}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        store_param_pins(none[i], &p, &n);
        assert_int_equal(n, 0);
    }
    pool_free(&p);
}

static int cleanup(void **state)
{
    (void)state;
    remove_scratch();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_comes_back),
        cmocka_unit_test(trace_comes_back),
        cmocka_unit_test(sessions_list),
        cmocka_unit_test(search_tells_the_side),
        cmocka_unit_test(search_finds),
        cmocka_unit_test(deletion_is_undoable_while_its_process_lives),
        cmocka_unit_test(models_and_documents_are_found_again),
        cmocka_unit_test(documents_keep_their_first_name),
        cmocka_unit_test(summaries_keep_their_steps),
        cmocka_unit_test(use_of_units),
        cmocka_unit_test(pruning_gives_space_back),
        cmocka_unit_test(settings_and_parents),
        cmocka_unit_test(what_is_written_to_is_not_deleted),
        cmocka_unit_test(ids_are_never_used_again),
        cmocka_unit_test(pins_of_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
