/* test_screen_rules.c - what holds for every screen, whatever it shows.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/buf.h"
#include "tests/unit/ui/screen_draw.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void too_small_says_what_is_needed(void **state)
{
    (void)state;
    struct sample sample;
    struct surface s;
    struct buf out = {0};
    sample_open(&sample);
    surface_open(&s, 31, 8);
    draw_screen(&s, &plain, &sample);
    surface_dump(&s, &out);
    assert_non_null(strstr(buf_str(&out), "need 40x10, have 31x8"));
    buf_free(&out);
    surface_free(&s);
    sample_close(&sample);
}

/* Every view at every size from 0x0 up, inside a larger grid that must stay blank
 * around it. */
static void nothing_is_drawn_outside(void **state)
{
    (void)state;
    struct sample sample;
    struct surface s;
    sample_open(&sample);
    surface_open(&s, 150, 60);
    for (int w = 0; w <= 140; w += w < 45 ? 1 : 13)
        for (int h = 0; h <= 50; h += h < 16 ? 1 : 7)
            for (int v = 0; v < VM_VIEWS + 2; v++) {
                sample.vm.view = v < VM_VIEWS ? (enum vm_view)v : VM_MAIN;
                sample.vm.help = v == VM_VIEWS ? &sample_help : NULL;
                sample.vm.dialog = v == VM_VIEWS + 1 ? &sample_dialog : NULL;
                surface_fill(&s, (struct rect){0, 0, 150, 60}, '~', (struct style){0});
                struct surface in = surface_sub(&s, (struct rect){3, 2, w, h});
                draw_screen(&in, v % 2 ? &plain : &colour, &sample);
                for (int y = 0; y < 60; y++)
                    for (int x = 0; x < 150; x++)
                        if (x < 3 || y < 2 || x >= 3 + w || y >= 2 + h)
                            assert_int_equal(s.cells[y * 150 + x].rune, '~');
            }
    surface_free(&s);
    sample_close(&sample);
}

static void map_says_when_columns_are_binned(void **state)
{
    (void)state;
    struct sample sample;
    struct surface s;
    struct buf out = {0};
    sample_open(&sample);
    surface_open(&s, 40, 8);
    pane_map(&s, &plain, &sample.vm.map, false);
    surface_dump(&s, &out);
    assert_non_null(strstr(buf_str(&out), "1 col=3, max"));
    assert_non_null(strstr(buf_str(&out), "layers 6-11 of 24"));
    buf_free(&out);
    surface_free(&s);
    sample_close(&sample);
}

/* What a column, a row and the ends of the ramp stand for is never cut. */
static void legends_are_whole(void **state)
{
    (void)state;
    static const char *const metric[] = {"differs from token 117", "surprise (text: p)"};
    static uint32_t order[6 * 128];
    struct sample sample;
    struct buf out = {0};
    sample_open(&sample);
    sample.vm.map.layers = 6;
    sample.vm.map.blocks = 128;
    sample.vm.map.units = 32;
    for (int w = 60; w <= 100; w++)
        for (int i = 0; i < 4; i++) {
            struct surface s;
            struct vm_map m = sample.vm.map;
            m.pinned = i % 2 == 0;
            m.stage = i % 2 == 0 ? "decoder" : "encoder";
            m.metric = metric[i % 2];
            m.order = i < 2 ? NULL : order;
            m.lo = "same";
            m.hi = "other";
            surface_open(&s, w, 9);
            pane_map(&s, &plain, &m, false);
            buf_clear(&out);
            surface_dump(&s, &out);
            assert_non_null(strstr(buf_str(&out), "@ other"));
            assert_non_null(strstr(buf_str(&out), ", max "));
            if (m.order)
                assert_true(strstr(buf_str(&out), "co-selection") ||
                            strstr(buf_str(&out), " alike"));
            if (m.order) {
                m.zoom = VM_ZOOM_LAYER;
                surface_clear(&s, (struct style){0});
                pane_map(&s, &plain, &m, false);
                buf_clear(&out);
                surface_dump(&s, &out);
                assert_true(strstr(buf_str(&out), "by co-selection, max ") ||
                            strstr(buf_str(&out), " alike, max "));
            }
            surface_clear(&s, (struct style){0});
            m.order = NULL;
            pane_choices(&s, &plain, &m);
            buf_clear(&out);
            surface_dump(&s, &out);
            assert_non_null(strstr(buf_str(&out), "8 units per row"));
            assert_non_null(
                strstr(buf_str(&out), m.blocks > (uint32_t)w ? " blocks per col" : ""));
            surface_free(&s);
        }
    buf_free(&out);
    sample_close(&sample);
}

/* The largest parts of a token are in the row, however long the numbers are. */
static void latency_row_keeps_its_parts(void **state)
{
    (void)state;
    static const double ms[] = {0.0312, 0.0324, 0.0296, 0.0417, 0.0321, 0.0002, 0.0099};
    struct sample sample;
    struct buf out = {0};
    sample_open(&sample);
    struct vm_latency *v = &sample.vm.latency;
    v->ms = v->p50 = 0.1771;
    v->p99 = 0.2102;
    memcpy(v->part_ms, ms, sizeof ms);
    for (int w = 60; w <= 120; w++) {
        struct surface s;
        surface_open(&s, w, 1);
        pane_latency(&s, &plain, v, false);
        buf_clear(&out);
        surface_dump(&s, &out);
        assert_non_null(strstr(buf_str(&out), " p99 0.21 | "));
        assert_non_null(strstr(buf_str(&out), " att 0.042"));
        surface_free(&s);
    }
    buf_free(&out);
    sample_close(&sample);
}

static int count_rune(const struct surface *s, struct rect r, uint32_t rune)
{
    int n = 0;
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            n += s->cells[y * s->stride + x].rune == rune;
    return n;
}

/* One token a hundred times as slow as the others is marked, and they stay visible. */
static void latency_of_an_outlier(void **state)
{
    (void)state;
    enum { N = 18 };
    struct sample sample;
    sample_open(&sample);
    struct vm_latency *v = &sample.vm.latency;
    v->n = N;
    v->mark = 3;
    v->p50 = 0.21;
    v->p99 = 21;
    for (int i = 0; i < N; i++) {
        struct vm_timing tm = {.ns = 200000 + (uint64_t)i * 1000, .part_ns = {100000, 100000}};
        sample.timing[i] = tm;
    }
    sample.timing[7].ns = 21000000;
    for (int h = 1; h <= 9; h++) {
        struct surface s;
        surface_open(&s, 100, h);
        pane_latency(&s, &plain, v, false);
        struct rect bars = h < 4 ? (struct rect){7, 0, N, 1} : (struct rect){6, 1, N, h - 1};
        assert_int_equal(count_rune(&s, bars, '!'), 1);
        if (h >= 4)
            assert_int_equal(count_rune(&s, (struct rect){0, 0, 100, 1}, '!'), 1);
        bars.y = h < 4 ? 0 : h - 1;
        bars.h = 1;
        assert_int_equal(count_rune(&s, bars, ' '), 0);
        surface_free(&s);
    }
    sample_close(&sample);
}

static void map_cell_under_the_mouse(void **state)
{
    (void)state;
    struct sample sample;
    struct surface s;
    struct screen sc;
    sample_open(&sample);
    surface_open(&s, 80, 24);
    screen_draw(&s, &colour, &sample.vm, &sc);
    struct rect r = sc.layout.map;
    struct screen_hit hit = screen_at(&sc, &colour, &sample.vm, r.x + 6 + 37, r.y + 1 + 5);
    assert_int_equal(hit.pane, VM_MAP);
    assert_true(hit.has_cell);
    assert_int_equal(hit.layer, 10);
    assert_int_equal(hit.block, 37);
    hit = screen_at(&sc, &colour, &sample.vm, 1, sc.layout.output.y + 1);
    assert_int_equal(hit.pane, VM_OUTPUT);
    assert_int_equal(hit.token, 118 - (int)SAMPLE_WORDS + 1);
    surface_free(&s);
    sample_close(&sample);
}

/* Draws one message row and returns it without the newline. */
static char *message_row(const struct theme *t, const char *banner, const char *text,
                         struct buf *out)
{
    struct surface s;
    struct vm_message m = {.banner = banner, .text = text, .progress = -1};
    surface_open(&s, 30, 1);
    pane_message(&s, t, &m);
    buf_clear(out);
    surface_dump(&s, out);
    out->data[out->len - 1] = 0;
    surface_free(&s);
    return out->data;
}

static void message_shows_that_it_is_cut(void **state)
{
    (void)state;
    struct buf out = {0};
    const char *fits = "saved as run 3; length 8 of 40", *full = "not being saved: disk full";
    assert_string_equal(message_row(&plain, NULL, fits, &out), fits);
    assert_string_equal(
        message_row(&plain, NULL, "saved as run 3; length 8 of 40 wanted", &out),
        "saved as run 3; length 8 of ..");
    assert_string_equal(
        message_row(&colour, NULL, "saved as run 3; length 8 of 40 wanted", &out),
        "saved as run 3; length 8 of 4\u2026");
    /* a banner leaves at least half of the row */
    assert_string_equal(message_row(&plain, full, "", &out), "! not being saved: disk full");
    assert_string_equal(message_row(&plain, full, "theme: light", &out),
                        "! not being sa..  theme: light");
    assert_string_equal(message_row(&plain, full, "metric 'many'? choose one", &out),
                        "! not being s..  metric 'man..");
    buf_free(&out);
}

/* Where there is room every block has a cell, and the mouse finds it. */
static void folded_map_shows_every_block(void **state)
{
    (void)state;
    static const int wide[][2] = {{80, 24}, {100, 30}, {160, 48}};
    struct sample sample;
    sample_open(&sample);
    few_layers(&sample.vm.map);
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        struct surface s;
        struct screen sc;
        bool seen[2][96] = {{false}};
        int n = 0;
        surface_open(&s, wide[i][0], wide[i][1]);
        screen_draw(&s, &plain, &sample.vm, &sc);
        for (int y = 0; y < s.h; y++)
            for (int x = 0; x < s.w; x++) {
                struct screen_hit hit = screen_at(&sc, &plain, &sample.vm, x, y);
                if (!hit.has_cell)
                    continue;
                uint8_t level = sample.level[hit.layer * 96 + hit.block];
                assert_int_equal(s.cells[y * s.stride + x].rune,
                                 theme_heat(&plain, level).rune);
                n += !seen[hit.layer][hit.block];
                seen[hit.layer][hit.block] = true;
            }
        assert_int_equal(n, 2 * 96);
        surface_free(&s);
    }
    sample_close(&sample);
}

/* A legend of two rows leaves the layers the height they have below one. */
static void long_legend_takes_no_rows_of_the_map(void **state)
{
    (void)state;
    static const int width[] = {160, 140, 120};
    uint32_t order[6 * 16];
    struct sample sample;
    sample_open(&sample);
    struct vm_map *m = &sample.vm.map;
    few_layers(m);
    m->layers = 6;
    m->blocks = 16;
    m->layer = 0;
    for (uint32_t i = 0; i < 6 * 16; i++)
        order[i] = i % 16;
    for (size_t i = 0; i < sizeof width / sizeof *width; i++)
        for (int ordered = 0; ordered < 2; ordered++) {
            struct surface s;
            struct screen sc;
            int n = 0;
            m->order = ordered ? order : NULL;
            surface_open(&s, width[i], 48);
            screen_draw(&s, &plain, &sample.vm, &sc);
            for (int y = 0; y < s.h; y++) {
                struct screen_hit hit = screen_at(&sc, &plain, &sample.vm, s.w - 60, y);
                n += hit.has_cell && hit.layer == 0;
            }
            assert_int_equal(n, 3);
            surface_free(&s);
        }
    sample_close(&sample);
}

/* Whatever the size, the selected row is there in full. */
static void help_shows_the_selected_row(void **state)
{
    (void)state;
    enum { N = 9 };
    static const char *const key = ":summarize [STYLE] [LENGTH]";
    struct sample sample;
    struct buf out = {0};
    struct vm_help_row row[N];
    char text[N][100];
    sample_open(&sample);
    for (int i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i],
                 "summarize the loaded document in some style and length; the end of row-%d",
                 i);
        row[i] = (struct vm_help_row){key, text[i], i < 4 ? "works here" : "elsewhere", "more"};
    }
    struct vm_help help = {.row = row, .n = N, .total = N};
    sample.vm.help = &help;
    for (size_t i = 0; i < N_SIZES; i++)
        for (help.selected = 0; help.selected < N; help.selected++) {
            struct surface s;
            char end[16];
            surface_open(&s, sizes[i].w, sizes[i].h);
            draw_screen(&s, &plain, &sample);
            buf_clear(&out);
            surface_dump(&s, &out);
            snprintf(end, sizeof end, "row-%zu", help.selected);
            assert_non_null(strstr(buf_str(&out), end));
            assert_non_null(strstr(buf_str(&out), key));
            assert_non_null(strstr(buf_str(&out), "more"));
            surface_free(&s);
        }
    buf_free(&out);
    sample_close(&sample);
}

/* The selected line of a list is on the screen, the first lines while they can be. */
static void page_shows_the_selected_line(void **state)
{
    (void)state;
    static const char *const line[] = {"# head", "line-1", "line-2", "line-3", "line-4",
                                       "line-5", "line-6", "line-7", "line-8"};
    struct vm_page page = {.title = "list", .line = line, .n = 9, .list = true};
    struct buf out = {0};
    struct surface s;
    surface_open(&s, 40, 5);
    for (page.selected = 1; page.selected < page.n; page.selected++) {
        surface_clear(&s, (struct style){0});
        pane_page(&s, &plain, &page);
        buf_clear(&out);
        surface_dump(&s, &out);
        assert_non_null(strstr(buf_str(&out), line[page.selected]));
        assert_int_equal(strstr(buf_str(&out), "head") != NULL, page.selected < 4);
        int y = page.selected < 4 ? 1 + (int)page.selected : 4;
        assert_true(s.cells[y * s.w + s.w - 1].style.attr & ATTR_REVERSE);
    }
    surface_free(&s);
    buf_free(&out);
}

/* An order of blocks moves cells, the cursor and clicks, whatever the shape of the map. */
static void map_in_another_order(void **state)
{
    (void)state;
    static const struct {
        int w, h;
        uint32_t layers, blocks;
    } shape[] = {{80, 10, 6, 60},  {160, 14, 6, 60}, {90, 20, 3, 64},
                 {60, 20, 3, 128}, {100, 8, 12, 64}, {120, 20, 4, 30}};
    static uint32_t order[SAMPLE_LAYERS * 128];
    static uint8_t level[SAMPLE_LAYERS * 128], shown[SAMPLE_LAYERS * 128];
    struct sample sample;
    sample_open(&sample);
    for (size_t k = 0; k < sizeof shape / sizeof *shape; k++)
        for (int coloured = 0; coloured < 2; coloured++) {
            const struct theme *t = coloured ? &colour : &plain;
            struct vm_map m = sample.vm.map, plain_map;
            uint32_t n = m.blocks = shape[k].blocks, layer, block, at;
            m.layers = shape[k].layers;
            m.uses = NULL;
            m.age = NULL;
            m.unit = NULL;
            m.layer = 2;
            m.block = 5;
            for (uint32_t i = 0; i < m.layers * n; i++) {
                order[i] = i / n * n + (i % n * 7 + i / n) % n; /* another one in each layer */
                level[i] = (uint8_t)(sample_random() % 255);
            }
            for (uint32_t i = 0; i < m.layers * n; i++) {
                shown[i] = level[order[i]];
                order[i] %= n;
            }
            plain_map = m;
            m.order = order;
            m.level = level;
            plain_map.level = shown;
            m.cursor = plain_map.cursor = true;
            for (uint32_t i = 0; i < n; i++)
                if (order[2 * n + i] == 5)
                    plain_map.block = i;
            struct surface a, b;
            surface_open(&a, shape[k].w, shape[k].h);
            surface_open(&b, shape[k].w, shape[k].h);
            pane_map(&a, t, &m, true);
            pane_map(&b, t, &plain_map, true);
            for (int y = shape[k].w < 72 ? 2 : 1; y < a.h; y++) /* below the legend */
                for (int x = 6; x < a.w; x++) {                 /* beside the labels */
                    assert_int_equal(a.cells[y * a.w + x].rune, b.cells[y * a.w + x].rune);
                    if (!pane_map_at(a.w, a.h, t, &plain_map, x, y, &layer, &at)) {
                        assert_false(pane_map_at(a.w, a.h, t, &m, x, y, &layer, &block));
                        continue;
                    }
                    assert_true(pane_map_at(a.w, a.h, t, &m, x, y, &layer, &block));
                    assert_int_equal(block, order[layer * n + at]);
                }
            struct buf out = {0};
            surface_dump(&a, &out);
            assert_true(strstr(buf_str(&out), "co-sel") || strstr(buf_str(&out), " alike"));
            buf_free(&out);
            surface_free(&a);
            surface_free(&b);
        }
    sample_close(&sample);
}

/* A dense run has tokens and no choices. */
static void inspector_without_choices_says_so(void **state)
{
    (void)state;
    struct sample sample;
    struct buf out = {0};
    sample_open(&sample);
    sample.vm.view = VM_INSPECT;
    sample.vm.inspect.map = (struct vm_map){.token = -1, .flips = NAN};
    for (size_t i = 0; i < N_SIZES; i++) {
        struct surface s;
        surface_open(&s, sizes[i].w, sizes[i].h);
        draw_screen(&s, &plain, &sample);
        buf_clear(&out);
        surface_dump(&s, &out);
        assert_non_null(strstr(buf_str(&out), "no choices are kept for this run"));
        assert_non_null(strstr(buf_str(&out), "token 118"));
        assert_null(strstr(buf_str(&out), "block 0"));
        assert_null(strstr(buf_str(&out), "entropy"));
        surface_free(&s);
    }
    buf_free(&out);
    sample_close(&sample);
}

/* In the header and in the list; the header gives it what room there is. */
static void titles_show_that_they_are_cut(void **state)
{
    (void)state;
    static const char *const want[N_SIZES][2] = {
        {"terra  model", " the town council.."},
        {"s12 'the town council voted on T..'  model",
         "a-long-name.. the town council voted.."},
        {"session 12 'the town council voted on Tu..'  model", "a-long-name.. the town"},
        {"session 12 'the town council voted on T..'  model", ""},
        {"session 12 'the town council voted on Tuesday to close the old bridge'  m", ""}};
    struct sample sample;
    struct buf out = {0};
    struct vm_session row = {.id = 1,
                             .mark = ' ',
                             .doc = "a-long-name-of-a-paper.txt",
                             .title =
                                 "the town council voted on Tuesday to close the old bridge"};
    sample_open(&sample);
    sample.vm.header.title = row.title;
    sample.vm.sessions.row = &row;
    sample.vm.sessions.n = 1;
    sample.vm.view = VM_SESSIONS;
    for (size_t i = 0; i < N_SIZES; i++) {
        struct surface s;
        surface_open(&s, sizes[i].w, sizes[i].h);
        draw_screen(&s, &plain, &sample);
        buf_clear(&out);
        surface_dump(&s, &out);
        for (int k = 0; k < 2; k++)
            assert_non_null(strstr(buf_str(&out), want[i][k]));
        surface_free(&s);
    }
    buf_free(&out);
    sample_close(&sample);
}

/* A click on a row means that row, also where the list is scrolled. */
static void session_under_the_mouse(void **state)
{
    (void)state;
    enum { N = 60 };
    struct sample sample;
    struct vm_session row[N];
    char title[N][24];
    sample_open(&sample);
    for (int i = 0; i < N; i++) {
        snprintf(title[i], sizeof title[i], "title-%02d", i);
        row[i] = (struct vm_session){.id = i + 1, .mark = ' ', .title = title[i]};
    }
    sample.vm.view = VM_SESSIONS;
    sample.vm.sessions.row = row;
    sample.vm.sessions.n = N;
    for (size_t i = 0; i < N_SIZES; i++)
        for (sample.vm.sessions.selected = 0; sample.vm.sessions.selected < N;
             sample.vm.sessions.selected += 13) {
            struct surface s;
            struct screen sc;
            struct buf out = {0};
            int hits = 0;
            surface_open(&s, sizes[i].w, sizes[i].h);
            screen_draw(&s, &plain, &sample.vm, &sc);
            for (int y = 0; y < s.h; y++) {
                struct surface line = surface_sub(&s, (struct rect){0, y, s.w, 1});
                struct screen_hit hit = screen_at(&sc, &plain, &sample.vm, 20, y);
                buf_clear(&out);
                surface_dump(&line, &out);
                assert_int_equal(hit.has_row, strstr(buf_str(&out), "title-") != NULL);
                if (hit.has_row)
                    assert_non_null(strstr(buf_str(&out), title[hit.row]));
                hits += hit.has_row;
            }
            assert_true(hits > 2);
            assert_false(screen_at(&sc, &plain, &sample.vm, s.w - 1, s.h - 1).has_row);
            buf_free(&out);
            surface_free(&s);
        }
    sample_close(&sample);
}

/* The end of a search too long for its place is what is being typed. */
static void search_shows_its_cursor(void **state)
{
    (void)state;
    struct sample sample;
    struct surface s;
    struct buf out = {0};
    int cx, cy;
    sample_open(&sample);
    sample.vm.sessions.query = "the first of many words, and the last one";
    sample.vm.sessions.cursor = strlen(sample.vm.sessions.query);
    surface_open(&s, 80, 20);
    pane_sessions(&s, &plain, &sample.vm.sessions, &cx, &cy);
    surface_dump(&s, &out);
    assert_non_null(strstr(buf_str(&out), "and the last one"));
    assert_null(strstr(buf_str(&out), "the first"));
    assert_int_equal(cx, 11 + 80 / 3);
    assert_int_equal(cy, 0);
    buf_free(&out);
    surface_free(&s);
    sample_close(&sample);
}

static struct style preview_style(const char *query)
{
    struct sample sample;
    struct surface s;
    int cx, cy;
    sample_open(&sample);
    sample.vm.sessions.query = query;
    sample.vm.sessions.preview = "[the docs]";
    surface_open(&s, 80, 20);
    pane_sessions(&s, &plain, &sample.vm.sessions, &cx, &cy);
    struct style st = s.cells[17 * 80 + 1].style;
    surface_free(&s);
    sample_close(&sample);
    return st;
}

static void brackets_are_hits_only_of_a_search(void **state)
{
    (void)state;
    assert_int_equal(preview_style("docs").attr, theme_style(&plain, ROLE_FOUND).attr);
    assert_int_equal(preview_style("").attr, theme_style(&plain, ROLE_TEXT).attr);
    assert_int_not_equal(preview_style("").attr, preview_style("docs").attr);
}

static void hostile_text_stays_text(void **state)
{
    (void)state;
    struct sample sample;
    struct surface s;
    struct buf out = {0};
    sample_open(&sample);
    flow_put(&sample.out, FLOW_REPLY,
             "\033[2Jgone \x9b"
             "31m \xff\xfe tab\there");
    sample.vm.header.title = "\033]0;x\a";
    surface_open(&s, 80, 24);
    draw_screen(&s, &plain, &sample);
    surface_dump(&s, &out);
    for (size_t i = 0; i < out.len; i++)
        assert_true((unsigned char)out.data[i] >= 0x20 || out.data[i] == '\n');
    assert_non_null(strstr(buf_str(&out), "^[[2Jgone"));
    buf_free(&out);
    surface_free(&s);
    sample_close(&sample);
}

int main(void)
{
    static const struct CMUnitTest properties[] = {
        cmocka_unit_test(too_small_says_what_is_needed),
        cmocka_unit_test(nothing_is_drawn_outside),
        cmocka_unit_test(map_says_when_columns_are_binned),
        cmocka_unit_test(legends_are_whole),
        cmocka_unit_test(latency_row_keeps_its_parts),
        cmocka_unit_test(latency_of_an_outlier),
        cmocka_unit_test(map_cell_under_the_mouse),
        cmocka_unit_test(message_shows_that_it_is_cut),
        cmocka_unit_test(folded_map_shows_every_block),
        cmocka_unit_test(long_legend_takes_no_rows_of_the_map),
        cmocka_unit_test(help_shows_the_selected_row),
        cmocka_unit_test(map_in_another_order),
        cmocka_unit_test(page_shows_the_selected_line),
        cmocka_unit_test(inspector_without_choices_says_so),
        cmocka_unit_test(titles_show_that_they_are_cut),
        cmocka_unit_test(session_under_the_mouse),
        cmocka_unit_test(search_shows_its_cursor),
        cmocka_unit_test(brackets_are_hits_only_of_a_search),
        cmocka_unit_test(hostile_text_stays_text),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests_name("screen rules", properties, NULL, NULL);
}
