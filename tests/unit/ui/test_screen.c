/* test_screen.c - golden grids of every view and pane at five sizes.
 *
 * UPDATE_GOLDEN=1 writes the files in tests/golden/ui instead of comparing.
 * SHOW=1 prints every screen in colour; SHOW=main only those whose name has "main".
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

/* ---- comparing with files ------------------------------------------------------------ */

static void show(const char *name, const struct surface *s)
{
    const char *want = getenv("SHOW");
    if (!want || (strcmp(want, "1") != 0 && !strstr(name, want)))
        return;
    struct buf out = {0};
    surface_dump_ansi(s, &out);
    printf("%s %dx%d\n%s", name, s->w, s->h, buf_str(&out));
    buf_free(&out);
}

static void check_golden(const char *name, const struct buf *got)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/ui/%s.txt", name);
    bool update = getenv("UPDATE_GOLDEN") != NULL;
    FILE *f = fopen(path, update ? "w" : "r");
    if (!f)
        fail_msg("%s cannot be opened; UPDATE_GOLDEN=1 makes it", path);
    if (update) {
        fwrite(got->data, 1, got->len, f);
        fclose(f);
        return;
    }
    struct buf want = {0};
    char block[4096];
    size_t n;
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(&want, block, n);
    fclose(f);
    bool same = want.len == got->len && memcmp(buf_str(&want), buf_str(got), got->len) == 0;
    buf_free(&want);
    if (!same) {
        fprintf(stderr, "--- drawn, unlike %s:\n%s", path, buf_str(got));
        fail_msg("%s differs", path);
    }
}

/* ---- what is drawn --------------------------------------------------------------------- */

typedef void draw_fn(struct surface *, const struct theme *, struct sample *);

static void draw_view(struct surface *s, const struct theme *t, struct sample *p,
                      enum vm_view view)
{
    p->vm.view = view;
    p->vm.prompt.active = view == VM_MAIN;
    draw_screen(s, t, p);
}

static void screen_compare(struct surface *s, const struct theme *t, struct sample *p)
{
    draw_view(s, t, p, VM_COMPARE);
}

static void screen_sessions(struct surface *s, const struct theme *t, struct sample *p)
{
    draw_view(s, t, p, VM_SESSIONS);
}

static void screen_inspect(struct surface *s, const struct theme *t, struct sample *p)
{
    draw_view(s, t, p, VM_INSPECT);
}

static void screen_page(struct surface *s, const struct theme *t, struct sample *p)
{
    draw_view(s, t, p, VM_PAGE);
}

static void screen_help(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.help = &sample_help;
    draw_screen(s, t, p);
}

static void screen_dialog(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.dialog = &sample_dialog;
    draw_screen(s, t, p);
}

/* Before anything ran: every pane must say what it is for. */
static void screen_start(struct surface *s, const struct theme *t, struct sample *p)
{
    struct vm *vm = &p->vm;
    flow_clear(&p->out);
    vm->map.level = NULL;
    vm->map.stat = NULL;
    vm->map.uses = NULL;
    vm->map.token = -1;
    vm->map.flips = NAN;
    vm->latency = (struct vm_latency){
        .ms = NAN, .p50 = NAN, .p90 = NAN, .p99 = NAN, .ttft_s = NAN, .observer = NAN};
    vm->strip = (struct vm_strip){.p = NAN};
    vm->agree.n = 0;
    vm->header.session = 0;
    vm->header.title = NULL;
    vm->header.run = 0;
    vm->header.state = "idle";
    vm->header.busy = false;
    vm->header.total = 0;
    vm->header.tok_s = NAN;
    vm->message.text = "";
    draw_screen(s, t, p);
}

static void screen_small_model(struct surface *s, const struct theme *t, struct sample *p)
{
    struct vm_map *m = &p->vm.map;
    m->layers = 6;
    m->blocks = 16;
    m->units = 16;
    m->layer = 3;
    m->block = 9;
    m->cursor = true;
    draw_screen(s, t, p);
}

static void screen_few_layers(struct surface *s, const struct theme *t, struct sample *p)
{
    few_layers(&p->vm.map);
    p->vm.map.cursor = true;
    draw_screen(s, t, p);
}

static void screen_map_layer(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.focus = VM_MAP;
    p->vm.map.zoom = VM_ZOOM_LAYER;
    draw_screen(s, t, p);
}

static void pane_header_row(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.header.saving = "log off";
    pane_header(s, t, &p->vm.header);
}

static void pane_message_row(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.message.banner = "not being saved: disk full";
    p->vm.message.progress = 0.48;
    pane_message(s, t, &p->vm.message);
}

static void pane_hints_row(struct surface *s, const struct theme *t, struct sample *p)
{
    pane_hints(s, t, &p->vm.hints);
}

static void pane_prompt_lines(struct surface *s, const struct theme *t, struct sample *p)
{
    int x, y;
    p->vm.prompt.text = "first line\nsecond \xe4\xb8\xad";
    p->vm.prompt.n = p->vm.prompt.cursor = strlen(p->vm.prompt.text);
    pane_prompt(s, t, &p->vm.prompt, &x, &y);
    assert_int_equal(y, 1);
    assert_int_equal(x, 8 + 9); /* the ideograph takes two columns */
}

static void pane_completion(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.prompt.popup = sample_words;
    p->vm.prompt.n_popup = 24;
    pane_popup(s, t, &p->vm.prompt);
}

static void pane_output_found(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.output.find = "unit";
    p->vm.output.pinned = 100;
    for (int32_t i = 57; i < 90; i++)
        flow_set_level(&p->out, i, (uint8_t)((i - 57) * 7));
    pane_output(s, t, &p->vm.output, true, true);
}

static void pane_latency_chart(struct surface *s, const struct theme *t, struct sample *p)
{
    pane_latency(s, t, &p->vm.latency, true);
}

static void pane_bandwidth_row(struct surface *s, const struct theme *t, struct sample *p)
{
    pane_bandwidth(s, t, &p->vm.latency);
}

static void pane_map_all(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.map.cursor = true;
    pane_map(s, t, &p->vm.map, true);
}

static void pane_map_layer(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.map.zoom = VM_ZOOM_LAYER;
    pane_map(s, t, &p->vm.map, true);
}

static void pane_map_block(struct surface *s, const struct theme *t, struct sample *p)
{
    p->vm.map.zoom = VM_ZOOM_BLOCK;
    pane_map(s, t, &p->vm.map, true);
}

static void pane_choices_grid(struct surface *s, const struct theme *t, struct sample *p)
{
    pane_choices(s, t, &p->vm.map);
}

static void pane_agreement(struct surface *s, const struct theme *t, struct sample *p)
{
    pane_agree(s, t, &p->vm.agree, 118);
}

static void pane_token_strip(struct surface *s, const struct theme *t, struct sample *p)
{
    pane_strip(s, t, &p->vm.strip, true);
}

static void compare_that_differs(struct surface *s, const struct theme *t, struct sample *p)
{
    struct vm_compare *c = &p->vm.compare;
    c->badge = VM_BADGE_DIFF;
    c->first_diff = 81;
    c->diff_a = " step";
    c->diff_b = " pass";
    c->gap = 2e-5;
    c->max_abs = 3e-4;
    c->same = 40;
    pane_compare(s, t, c);
}

static const struct drawing {
    const char *name;
    draw_fn *draw;
} drawings[] = {
#define DRAWING(name)                                                                          \
    {                                                                                          \
#name, name                                                                            \
    }
    {"screen_main", draw_screen}, DRAWING(screen_compare),       DRAWING(screen_sessions),
    DRAWING(screen_inspect),      DRAWING(screen_page),          DRAWING(screen_help),
    DRAWING(screen_dialog),       DRAWING(screen_start),         DRAWING(screen_small_model),
    DRAWING(screen_few_layers),   DRAWING(screen_map_layer),     DRAWING(pane_header_row),
    DRAWING(pane_message_row),    DRAWING(pane_hints_row),       DRAWING(pane_prompt_lines),
    DRAWING(pane_completion),     DRAWING(pane_output_found),    DRAWING(pane_latency_chart),
    DRAWING(pane_bandwidth_row),  DRAWING(pane_map_all),         DRAWING(pane_map_layer),
    DRAWING(pane_map_block),      DRAWING(pane_choices_grid),    DRAWING(pane_agreement),
    DRAWING(pane_token_strip),    DRAWING(compare_that_differs),
};
#define N_DRAWINGS (sizeof drawings / sizeof *drawings)

/* Every size in one file; in colour only the size that most people have. */
static void golden(void **state)
{
    const struct drawing *d = *state;
    struct sample sample;
    struct buf out = {0};
    for (size_t i = 0; i < N_SIZES; i++)
        for (int coloured = 0; coloured < 2; coloured++) {
            struct surface s;
            surface_open(&s, sizes[i].w, sizes[i].h);
            sample_open(&sample);
            d->draw(&s, coloured ? &colour : &plain, &sample);
            if (coloured)
                show(d->name, &s);
            if (!coloured || s.w == 80) {
                buf_printf(&out, "==== %dx%d%s\n", s.w, s.h, coloured ? " in colour" : "");
                if (coloured)
                    surface_dump_styles(&s, &out);
                else
                    surface_dump(&s, &out);
            }
            surface_free(&s);
            sample_close(&sample);
        }
    check_golden(d->name, &out);
    buf_free(&out);
}

int main(void)
{
    struct CMUnitTest tests[N_DRAWINGS];
    setlocale(LC_CTYPE, "C.UTF-8");
    for (size_t i = 0; i < N_DRAWINGS; i++)
        tests[i] = (struct CMUnitTest){.name = drawings[i].name,
                                       .test_func = golden,
                                       .initial_state = (void *)&drawings[i]};
    return cmocka_run_group_tests_name("screen", tests, NULL, NULL);
}
