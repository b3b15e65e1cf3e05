/* pane_heatmap.c - the map of chosen units: layer x block, block x unit, one block.
 *
 * Cells are columns of blocks; when blocks outnumber columns, several share one and
 * the largest value wins (the legend says so).  Layers take a row each, half a row
 * where the terminal can show it and there is no room, or pages; several rows where
 * there is room for all of them and a block would else not have a cell of its own.
 *
 * SPDX-License-Identifier: MIT */
#include "ui/fit.h"
#include "ui/fmt.h"
#include "ui/pane.h"
#include "ui/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CELL_MAX    6  /* columns a single block may take */
#define TALL_MAX    3  /* rows a single layer may take */
#define LABEL       4  /* columns of "L00 " */
#define COLUMN_SIDE 10 /* summary of one layer, beside the rows */

enum summary { SUMMARY_NONE, SUMMARY_ROW, SUMMARY_SHORT, SUMMARY_SIDE };

/* How a grid of rows x blocks is put on the cells of a surface. */
struct grid {
    int label;         /* columns of row labels */
    int cols;          /* columns of cells in use */
    uint32_t bin;      /* blocks per column */
    int cell;          /* columns per block when bin is 1 */
    bool halves;       /* two rows of the grid in one of cells */
    int fold;          /* rows of cells for the blocks of one row of the grid */
    int per;           /* blocks in each of them */
    uint32_t first, n; /* rows of the grid that are visible */
    int tall;          /* rows of cells that one row of the grid takes */
    enum summary summary;
    int summary_w;
};

static void fit_blocks(struct grid *g, uint32_t blocks, int room)
{
    room = room < 1 ? 1 : room;
    g->bin = (blocks + (uint32_t)room - 1) / (uint32_t)room;
    g->bin = g->bin ? g->bin : 1;
    g->cell = 1;
    if (g->bin == 1 && blocks)
        g->cell = room / (int)blocks < CELL_MAX ? room / (int)blocks : CELL_MAX;
    g->cols = (int)((blocks + g->bin - 1) / g->bin) * g->cell;
}

/* Rows of cells that give each block one of its own. */
static int rows_of_blocks(uint32_t blocks, int room)
{
    room = room < 1 ? 1 : room;
    return (int)((blocks + (uint32_t)room - 1) / (uint32_t)room);
}

/* Folds the blocks over several rows if that spares binning them and all layers fit. */
static void fold_blocks(struct grid *g, uint32_t layers, uint32_t blocks, int room, int height)
{
    int fold = rows_of_blocks(blocks, room);
    g->fold = 1;
    g->per = (int)blocks;
    if (g->bin == 1 || height < 1 || (uint64_t)layers * (uint64_t)fold > (uint64_t)height)
        return;
    g->fold = fold;
    g->per = ((int)blocks + fold - 1) / fold;
    g->bin = 1;
    g->cols = g->per;
    g->tall = 1;
}

/* Rows of the grid: all, two per row, or the page that holds `at`. */
static void fit_rows(struct grid *g, const struct theme *t, uint32_t rows, int height,
                     uint32_t at)
{
    uint32_t h = height > 0 ? (uint32_t)height : 0;
    g->halves = rows > h && theme_halves(t);
    uint32_t page = g->halves ? 2 * h : h;
    g->first = page ? at / page * page : 0;
    g->n = rows - g->first < page ? rows - g->first : page;
    g->tall = 1;
    if (rows <= page) {
        g->first = 0;
        g->n = rows;
        if (!g->halves && rows > 0 && rows * 2 <= h)
            g->tall = h / rows < TALL_MAX ? (int)(h / rows) : TALL_MAX;
    }
}

static struct grid layer_grid(const struct theme *t, const struct vm_map *vm, int w, int h)
{
    struct grid g = {0};
    fit_rows(&g, t, vm->layers, h, vm->layer);
    g.label = g.halves ? 6 : LABEL;
    int room = w - g.label;
    if (vm->stat && !g.halves && room >= (int)vm->blocks + 28)
        g.summary = SUMMARY_ROW;
    else if (vm->stat && h >= 5 && room >= 50 &&
             (g.halves || room < (int)vm->blocks + 6 ||
              g.n * (uint32_t)g.tall < (uint32_t)h - 1))
        g.summary = SUMMARY_SIDE;
    else if (vm->stat && !g.halves && room >= 30)
        g.summary = SUMMARY_SHORT;
    static const int width[] = {0, 28, 6, COLUMN_SIDE};
    g.summary_w = width[g.summary];
    fit_blocks(&g, vm->blocks, room - g.summary_w);
    fold_blocks(&g, vm->layers, vm->blocks, room - g.summary_w, h);
    return g;
}

/* Blocks may be shown in another order than that of their numbers. */
static uint32_t block_at(const struct vm_map *vm, uint32_t layer, uint32_t place)
{
    return vm->order ? vm->order[(size_t)layer * vm->blocks + place] : place;
}

/* Of the cursor's block. */
static uint32_t cursor_place(const struct vm_map *vm)
{
    for (uint32_t i = 0; vm->order && vm->layer < vm->layers && i < vm->blocks; i++)
        if (block_at(vm, vm->layer, i) == vm->block)
            return i;
    return vm->block;
}

/* Largest value of the blocks in one column; VM_ABSENT if none has one. */
static uint8_t level_at(const struct vm_map *vm, uint32_t layer, uint32_t from, uint32_t n)
{
    int best = -1;
    if (!vm->level || layer >= vm->layers)
        return VM_ABSENT;
    const uint8_t *row = vm->level + (size_t)layer * vm->blocks;
    for (uint32_t i = from; i < from + n && i < vm->blocks; i++) {
        uint8_t level = row[block_at(vm, layer, i)];
        if (level != VM_ABSENT && level > best)
            best = level;
    }
    return best < 0 ? VM_ABSENT : (uint8_t)best;
}

/* A legible mark on top of a cell. */
static void draw_mark(struct surface *s, const struct theme *t, int x, int y, uint8_t level)
{
    struct theme_heat h = theme_heat(t, level);
    if (theme_halves(t) && level != VM_ABSENT) {
        h.rune = '+';
        h.style.fg = COLOUR_INDEX(theme_luma(h.style.bg) > 110 ? 16 : 231);
        h.style.attr = ATTR_BOLD;
    } else {
        h.rune = h.rune == ' ' ? '+' : h.rune;
        h.style.attr |= ATTR_REVERSE;
    }
    surface_rune(s, x, y, h.rune, h.style);
}

static void draw_label(struct surface *s, const struct theme *t, const struct vm_map *vm,
                       const struct grid *g, uint32_t layer, int y)
{
    char label[24];
    bool here = vm->cursor && (vm->layer == layer || (g->halves && vm->layer == layer + 1));
    if (g->halves && layer + 1 < vm->layers)
        snprintf(label, sizeof label, "%02u/%02u ", layer, layer + 1);
    else
        snprintf(label, sizeof label, g->halves ? "%02u    " : "L%02u ", layer);
    surface_text(s, 0, y, label, theme_style(t, here ? ROLE_FOCUS : ROLE_DIM));
}

static void draw_row_stat(struct surface *s, const struct theme *t, const struct vm_map *vm,
                          const struct grid *g, uint32_t layer, int y)
{
    const struct vm_layer_stat *st = &vm->stat[layer];
    struct style style = theme_style(t, st->low_n ? ROLE_DIM : ROLE_TEXT);
    int x = g->label + g->cols + 1;
    const char *doubt = st->low_n ? "?" : "";
    if (g->summary == SUMMARY_SHORT)
        surface_printf(s, x, y, style, "%.1f%s", st->entropy, doubt);
    else
        surface_printf(s, x, y, style, "%.1fb%s eff %s zero %s", st->entropy, doubt,
                       fmt_short(st->eff).s, fmt_percent(st->zero).s);
}

/* The cursor's layer in words, down the right side. */
static void draw_side(struct surface *s, const struct theme *t, const struct vm_map *vm)
{
    const struct vm_layer_stat *st = &vm->stat[vm->layer < vm->layers ? vm->layer : 0];
    struct style text = theme_style(t, ROLE_TEXT), dim = theme_style(t, ROLE_DIM);
    int y = 0;
    surface_printf(s, 0, y++, theme_style(t, ROLE_TITLE), "layer %u", vm->layer);
    surface_printf(s, 0, y++, text, "ent %sb", fmt_short(st->entropy).s);
    surface_printf(s, 0, y++, text, "eff %s", fmt_short(st->eff).s);
    surface_printf(s, 0, y++, text, "zero %s", fmt_percent(st->zero).s);
    surface_printf(s, 0, y++, text, "mgn %s", fmt_short(st->margin).s);
    surface_printf(s, 0, y++, text, "flip %s", fmt_percent(st->flips).s);
    surface_printf(s, 0, y++, dim, "n=%u", st->n);
    if (st->low_n)
        surface_text(s, 0, y++, "(low n)", theme_style(t, ROLE_WARN));
    if (isfinite(st->unused) && isfinite(vm->unused_chance)) {
        surface_printf(s, 0, y++, dim, "unused %.0f", st->unused);
        surface_printf(s, 0, y++, dim, "chance %.0f", vm->unused_chance);
    }
}

/* Glyphs of wide cells run together: one column stays blank. */
static bool is_gap(const struct theme *t, const struct grid *g, int col)
{
    return !theme_halves(t) && g->cell >= 3 && col % g->cell == g->cell - 1;
}

/* One row of cells: the blocks of a layer from `from` on. */
static void draw_blocks(struct surface *s, const struct theme *t, const struct vm_map *vm,
                        const struct grid *g, uint32_t layer, uint32_t from, int y)
{
    for (int c = 0; c < g->cols; c++) {
        uint32_t b = from + (uint32_t)(c / g->cell) * g->bin;
        if (b >= vm->blocks)
            return;
        uint8_t upper = level_at(vm, layer, b, g->bin);
        struct theme_heat h = g->halves
                                  ? theme_heat2(t, upper, level_at(vm, layer + 1, b, g->bin))
                                  : theme_heat(t, upper);
        for (int k = 0; k < g->tall && !is_gap(t, g, c); k++)
            surface_rune(s, g->label + c, y + k, h.rune, h.style);
    }
}

static void draw_layers(struct surface *s, const struct theme *t, const struct vm_map *vm,
                        const struct grid *g)
{
    uint32_t step = g->halves ? 2 : 1;
    for (uint32_t l = g->first; l < g->first + g->n; l += step) {
        int y = (int)((l - g->first) / step) * g->tall * g->fold;
        draw_label(s, t, vm, g, l, y);
        for (int k = 0; k < g->fold; k++) {
            if (k > 0 && !vm->order) /* the number of the first block */
                surface_printf(s, 0, y + k, theme_style(t, ROLE_DIM), "%3d", k * g->per);
            draw_blocks(s, t, vm, g, l, (uint32_t)(k * g->per), y + k);
        }
        if (g->summary == SUMMARY_ROW || g->summary == SUMMARY_SHORT)
            draw_row_stat(s, t, vm, g, l, y);
    }
    if (g->summary == SUMMARY_SIDE) {
        struct rect r = {g->label + g->cols + 1, 0, s->w - g->label - g->cols - 1, s->h};
        struct surface side = surface_sub(s, r);
        draw_side(&side, t, vm);
    }
    if (vm->cursor && vm->layer >= g->first && vm->layer < g->first + g->n) {
        uint32_t place = cursor_place(vm), b = place / g->bin * g->bin;
        int x = (int)(place % (uint32_t)g->per / g->bin) * g->cell + (g->cell - 1) / 2;
        int y = (int)((vm->layer - g->first) / step) * g->tall * g->fold + (g->tall - 1) / 2;
        draw_mark(s, t, g->label + x, y + (int)place / g->per,
                  level_at(vm, vm->layer, b, g->bin));
    }
}

/* ---- legend ---------------------------------------------------------------------------- */

/* On a narrow screen the legend takes a second row: what a column and a page stand
 * for must never be left out, and "differs from token 117" is long. */
int pane_map_legend(const struct vm_map *vm, int cols)
{
    return cols < (vm->order ? 80 : 72) ? 2 : 1;
}

static void draw_pieces(struct surface *s, const struct theme *t, struct fit *f, int y)
{
    struct style dim = theme_style(t, ROLE_DIM);
    surface_fill(s, (struct rect){0, y, s->w, 1}, '-', dim);
    if (f->n == 0)
        return;
    int x = fit_draw(f, s, t, 3, y, s->w - 6, " -- ", dim);
    surface_text(s, 2, y, " ", dim);
    surface_text(s, x, y, " ", dim);
}

static void add_place(struct fit *f, const struct theme *t, const struct vm_map *vm)
{
    struct style text = theme_style(t, ROLE_TEXT);
    if (vm->pinned)
        fit_add(f, 2, theme_style(t, ROLE_WARN), "against the pinned token");
    if (vm->token >= 0 && vm->text) {
        int cut = (int)text_fit(vm->text, strlen(vm->text), 16);
        fit_brief(fit_add(f, 3, text, "tok %d '%.*s'%s", vm->token, cut, vm->text,
                          vm->live ? "" : " (scrubbed)"),
                  "tok %d", vm->token);
    } else if (vm->token >= 0) {
        fit_add(f, 3, text, "tok %d", vm->token);
    }
    if (isfinite(vm->flips))
        fit_add(f, 4, text, "flips %s", fmt_percent(vm->flips).s);
    if (vm->cursor && vm->unit && vm->layer < vm->layers && vm->block < vm->blocks) {
        unsigned unit = vm->unit[(size_t)vm->layer * vm->blocks + vm->block];
        fit_brief(fit_add(f, 5, text, "layer %u block %u unit %u", vm->layer, vm->block, unit),
                  "L%u B%u u%u", vm->layer, vm->block, unit);
    }
}

/* What a column is; the order of blocks is never left out. */
static void add_binning(struct fit *f, const struct theme *t, const struct grid *g,
                        bool ordered)
{
    struct style warn = theme_style(t, ROLE_WARN), dim = theme_style(t, ROLE_DIM);
    if (ordered && g->bin <= 1)
        fit_brief(fit_add(f, 0, warn, "ordered by co-selection"), "co-sel. order");
    if (ordered && g->bin > 1)
        fit_brief(fit_add(f, 0, warn, "1 col = %u blocks by co-selection, max", g->bin),
                  "1 col=%u alike, max", g->bin);
    else if (g->bin > 1)
        fit_brief(fit_add(f, 0, warn, "1 col = %u blocks, max", g->bin), "1 col=%u, max",
                  g->bin);
    else if (g->fold > 1)
        fit_add(f, 0, dim, "%d rows/layer", g->fold);
    else if (g->cell > 1)
        fit_add(f, 9, dim, "1 block = %d cols", g->cell);
    else
        fit_add(f, 9, dim, "1 block/col");
}

static void add_pages(struct fit *f, const struct theme *t, const struct vm_map *vm,
                      const struct grid *g)
{
    if (g->n < vm->layers)
        fit_brief(fit_add(f, 0, theme_style(t, ROLE_WARN), "layers %u-%u of %u", g->first,
                          g->first + g->n - 1, vm->layers),
                  "L%u-%u of %u", g->first, g->first + g->n - 1, vm->layers);
}

static void draw_legend(struct surface *s, const struct theme *t, const struct vm_map *vm,
                        const struct grid *g, bool focus)
{
    struct fit first = {.n = 0}, second = {.n = 0};
    struct fit *f = &first, *rest = pane_map_legend(vm, s->w) > 1 ? &second : &first;
    struct style title = theme_style(t, focus ? ROLE_FOCUS : ROLE_TITLE);
    bool encoder = vm->stage && strcmp(vm->stage, "decoder") != 0;
    struct fit_piece *p = fit_add(f, 0, title, "FF choice%s%s: %s %s", encoder ? ", " : "",
                                  encoder ? vm->stage : "", vm->metric ? vm->metric : "-",
                                  vm->lo ? vm->lo : "low");
    fit_brief(p, "%s%s%s %s", encoder ? vm->stage : "", encoder ? " " : "",
              vm->metric ? vm->metric : "-", vm->lo ? vm->lo : "low");
    p->ramp = true;
    snprintf(p->after, sizeof p->after, "%s", vm->hi ? vm->hi : "high");
    add_pages(rest, t, vm, g);
    if (g->bin > 1)
        add_binning(rest, t, g, vm->order);
    add_place(rest, t, vm);
    if (g->summary == SUMMARY_ROW || g->summary == SUMMARY_SHORT)
        fit_brief(fit_add(rest, 7, theme_style(t, ROLE_DIM),
                          "right: entropy in bits, ?: too few tokens"),
                  "right: entropy, ?: low n");
    if (g->bin == 1)
        add_binning(rest, t, g, vm->order);
    draw_pieces(s, t, f, 0);
    if (rest != f)
        draw_pieces(s, t, rest, 1);
}

/* ---- block x unit ------------------------------------------------------------------------ */

/* The unit axis of the two closer views: several units share a row or a column, a
 * power of two of them, so that labels are easy to count. */
static uint32_t unit_bin(uint32_t units, int room)
{
    uint32_t bin = 1;
    while (bin < units && bin * (uint32_t)(room > 0 ? room : 1) < units)
        bin *= 2;
    return bin;
}

static uint32_t max_uses(const struct vm_map *vm)
{
    uint32_t most = 1;
    size_t n = (size_t)vm->blocks * vm->units;
    for (size_t i = 0; vm->uses && i < n; i++)
        most = vm->uses[i] > most ? vm->uses[i] : most;
    return most;
}

static uint32_t bin_uses(const struct vm_map *vm, uint32_t b, uint32_t nb, uint32_t u,
                         uint32_t nu)
{
    uint32_t most = 0;
    for (uint32_t i = b; i < b + nb && i < vm->blocks; i++)
        for (uint32_t k = u; k < u + nu && k < vm->units; k++) {
            uint32_t v = vm->uses[(size_t)block_at(vm, vm->layer, i) * vm->units + k];
            most = v > most ? v : most;
        }
    return most;
}

/* Fewest tokens ago that a unit of the bin was chosen, 255: long ago or never. */
static uint8_t bin_age(const struct vm_map *vm, uint32_t b, uint32_t nb, uint32_t u,
                       uint32_t nu)
{
    uint8_t least = 255;
    for (uint32_t i = b; vm->age && i < b + nb && i < vm->blocks; i++)
        for (uint32_t k = u; k < u + nu && k < vm->units; k++) {
            uint8_t v = vm->age[(size_t)block_at(vm, vm->layer, i) * vm->units + k];
            least = v < least ? v : least;
        }
    return least;
}

static void draw_unit_label(struct surface *s, const struct theme *t, uint32_t unit, int y)
{
    surface_printf(s, 0, y, theme_style(t, ROLE_DIM), "u%02u", unit);
}

static void draw_usage(struct surface *s, const struct theme *t, const struct vm_map *vm,
                       bool focus)
{
    struct grid g = {.label = 5};
    int legend = pane_map_legend(vm, s->w);
    uint32_t bin = unit_bin(vm->units, s->h - legend), most = max_uses(vm);
    fit_blocks(&g, vm->blocks, s->w - g.label);

    struct fit f = {.n = 0}, second = {.n = 0}, *rest = legend > 1 ? &second : &f;
    struct fit_piece *p = fit_add(&f, 0, theme_style(t, focus ? ROLE_FOCUS : ROLE_TITLE),
                                  "layer %u: uses per unit 0", vm->layer);
    fit_brief(p, "layer %u uses 0", vm->layer);
    p->ramp = true;
    snprintf(p->after, sizeof p->after, "%u", most);
    if (bin > 1)
        fit_brief(fit_add(rest, 0, theme_style(t, ROLE_WARN), "1 row = %u units, max", bin),
                  "1 row=%u, max", bin);
    if (g.bin > 1 || vm->order)
        add_binning(rest, t, &g, vm->order);
    fit_add(rest, 3, theme_style(t, ROLE_TEXT), "%u tokens", vm->uses_n);
    fit_add(rest, 4, theme_style(t, ROLE_DIM), "o chosen now");
    draw_pieces(s, t, &f, 0);
    if (rest != &f)
        draw_pieces(s, t, rest, 1);

    for (uint32_t u = 0; u < vm->units && (int)(u / bin) + legend < s->h; u += bin) {
        int y = legend + (int)(u / bin);
        draw_unit_label(s, t, u, y);
        for (int c = 0; c < g.cols; c++) {
            uint32_t b = (uint32_t)(c / g.cell) * g.bin;
            uint32_t uses = bin_uses(vm, b, g.bin, u, bin);
            struct theme_heat h = theme_heat(t, (uint8_t)((uint64_t)uses * 254 / most));
            if (!is_gap(t, &g, c))
                surface_rune(s, g.label + c, y, h.rune, h.style);
            if (c % g.cell == (g.cell - 1) / 2 && bin_age(vm, b, g.bin, u, bin) == 0) {
                h.rune = 'o';
                if (theme_halves(t))
                    h.style.fg = COLOUR_INDEX(theme_luma(h.style.bg) > 110 ? 16 : 231);
                h.style.attr |= ATTR_BOLD;
                surface_rune(s, g.label + c, y, h.rune, h.style);
            }
        }
    }
}

void pane_choices(struct surface *s, const struct theme *t, const struct vm_map *vm)
{
    struct grid g = {.label = 5};
    struct style dim = theme_style(t, ROLE_DIM), now = theme_style(t, ROLE_FOCUS);
    if (!vm->age || s->h < 3 || vm->units == 0)
        return;
    uint32_t bin = unit_bin(vm->units, s->h - 2);
    fit_blocks(&g, vm->blocks, s->w - g.label);
    /* ruler: first, last and chosen block */
    surface_text(s, 0, 0, "blk", dim);
    for (uint32_t b = 0; b < vm->blocks; b += 16 * g.bin)
        surface_printf(s, g.label + (int)(b / g.bin) * g.cell, 0, dim, "%u", b);
    int x = g.label + (int)(vm->block / g.bin) * g.cell;
    surface_printf(s, x - 1, 0, now, "v%u", vm->block);

    for (uint32_t u = 0; u < vm->units && (int)(u / bin) + 2 < s->h; u += bin) {
        int y = 1 + (int)(u / bin);
        draw_unit_label(s, t, u, y);
        for (int c = 0; c < g.cols; c += g.cell) {
            uint32_t b = (uint32_t)(c / g.cell) * g.bin;
            uint8_t age = bin_age(vm, b, g.bin, u, bin);
            bool here = b <= vm->block && vm->block < b + g.bin;
            uint32_t rune = age == 0 ? 'o' : age < 16 ? '.' : ' ';
            if (rune != ' ' || here)
                surface_rune(s, g.label + c, y, rune == ' ' ? ':' : rune, age == 0 ? now : dim);
        }
    }
    struct fit note = {.n = 0};
    fit_brief(fit_add(&note, 1, dim, "o chosen at %d", vm->token), "o at %d", vm->token);
    fit_brief(fit_add(&note, 2, dim, ". chosen by any of the last 16"), ". last 16");
    if (bin > 1)
        fit_brief(fit_add(&note, 0, dim, "%u units per row", bin), "%u units/row", bin);
    if (g.bin > 1)
        fit_brief(fit_add(&note, 0, dim, "%u blocks per col", g.bin), "%u blocks/col", g.bin);
    fit_draw(&note, s, t, g.label, s->h - 1, s->w - g.label, "   ", dim);
}

/* ---- one block ------------------------------------------------------------------------------
 */

static void draw_bars(struct surface *s, const struct theme *t, const struct vm_map *vm,
                      uint32_t bin, int cell)
{
    const uint32_t *uses = vm->uses + (size_t)vm->block * vm->units;
    uint32_t most = 1;
    for (uint32_t u = 0; u < vm->units; u++)
        most = uses[u] > most ? uses[u] : most;
    struct style bar = theme_style(t, ROLE_GAUGE), chosen = theme_style(t, ROLE_FOCUS);
    for (uint32_t u = 0; u < vm->units; u += bin) {
        uint32_t top = bin_uses(vm, vm->block, 1, u, bin);
        bool now = bin_age(vm, vm->block, 1, u, bin) == 0;
        int eighths = (int)((uint64_t)top * 8 * (uint64_t)s->h / most);
        if (top && !eighths)
            eighths = 1;
        for (int y = 0; y < s->h; y++) {
            int fill = eighths - 8 * (s->h - 1 - y);
            uint32_t rune = t->blocks ? theme_bar(t, fill) : fill >= 8 ? '|' : '.';
            for (int k = 0; k < cell && fill > 0; k++)
                surface_rune(s, (int)(u / bin) * cell + k, y, rune, now ? chosen : bar);
        }
    }
}

void pane_units(struct surface *s, const struct theme *t, const struct vm_map *map)
{
    struct vm_map by_index = *map, *vm = &by_index; /* one block, by its number */
    if (s->h < 2)
        return;
    vm->order = NULL;
    char line[160];
    snprintf(line, sizeof line, "layer %u, block %u: uses per unit, %u tokens, mean %.1f",
             vm->layer, vm->block, vm->uses_n,
             vm->units ? (double)vm->uses_n / vm->units : 0.0);
    pane_rule(s, t, 0, line, NULL, false);
    if (!vm->uses || vm->block >= vm->blocks || vm->units == 0) {
        surface_text(s, 1, 1, "nothing counted yet", theme_style(t, ROLE_DIM));
        return;
    }
    uint32_t bin = unit_bin(vm->units, s->w - 2), unused = 0;
    int cell = bin == 1 ? (s->w - 2) / (int)vm->units : 1;
    cell = cell > 4 ? 4 : cell;
    bool note = s->h >= 3, axis = s->h >= 5;
    struct surface bars = surface_sub(s, (struct rect){1, 1, s->w - 2, s->h - 1 - note - axis});
    draw_bars(&bars, t, vm, bin, cell);

    struct style dim = theme_style(t, ROLE_DIM);
    for (uint32_t u = 0; u < vm->units; u++) {
        unused += vm->uses[(size_t)vm->block * vm->units + u] == 0;
        if (axis && vm->age && vm->age[(size_t)vm->block * vm->units + u] == 0)
            surface_printf(s, 1 + (int)(u / bin) * cell, s->h - 2, theme_style(t, ROLE_FOCUS),
                           "^ unit %u now", u);
    }
    if (!note)
        return;
    int n = snprintf(line, sizeof line, "unused %u of %u", unused, vm->units);
    if (isfinite(vm->unused_chance) && n > 0)
        n +=
            snprintf(line + n, sizeof line - (size_t)n,
                     "; chance alone leaves %.1f after %u tokens%s", vm->unused_chance,
                     vm->uses_n, unused <= vm->unused_chance * 1.5 + 2 ? ": not evidence" : "");
    if (bin > 1 && n > 0)
        snprintf(line + n, sizeof line - (size_t)n, "; 1 col = %u units, max", bin);
    surface_text(s, 1, s->h - 1, line, dim);
}

/* ---- the pane
 * -------------------------------------------------------------------------------- */

int pane_map_rows(const struct theme *t, const struct vm_map *vm, int cols, bool packed)
{
    if (vm->layers == 0 || vm->blocks == 0)
        return 0;
    if (vm->zoom != VM_ZOOM_ALL)
        return pane_map_legend(vm, cols) + (int)(vm->units < 64 ? vm->units : 64);
    return pane_map_legend(vm, cols) +
           (int)(packed && theme_halves(t) ? (vm->layers + 1) / 2 : vm->layers);
}

int pane_map_rows_folded(const struct theme *t, const struct vm_map *vm, int cols)
{
    if (vm->zoom != VM_ZOOM_ALL || vm->layers == 0 || vm->blocks == 0)
        return pane_map_rows(t, vm, cols, false);
    int fold = rows_of_blocks(vm->blocks, cols - LABEL - (vm->stat ? COLUMN_SIDE : 0));
    return pane_map_legend(vm, cols) + (int)vm->layers * fold;
}

void pane_map(struct surface *s, const struct theme *t, const struct vm_map *vm, bool focus)
{
    if (s->h < 1 || vm->blocks == 0)
        return;
    if (vm->zoom == VM_ZOOM_LAYER && vm->uses) {
        draw_usage(s, t, vm, focus);
        return;
    }
    if (vm->zoom == VM_ZOOM_BLOCK && vm->uses) {
        pane_units(s, t, vm);
        return;
    }
    int legend = pane_map_legend(vm, s->w);
    struct grid g = layer_grid(t, vm, s->w, s->h - legend);
    draw_legend(s, t, vm, &g, focus);
    struct surface body = surface_sub(s, (struct rect){0, legend, s->w, s->h - legend});
    if (vm->level)
        draw_layers(&body, t, vm, &g);
    else
        surface_text(&body, 0, 0,
                     "one cell = one block of one layer; fills with the first token",
                     theme_style(t, ROLE_DIM));
}

bool pane_map_at(int w, int h, const struct theme *t, const struct vm_map *vm, int x, int y,
                 uint32_t *layer, uint32_t *block)
{
    int legend = pane_map_legend(vm, w);
    if (vm->zoom != VM_ZOOM_ALL || y < legend || vm->blocks == 0)
        return false;
    struct grid g = layer_grid(t, vm, w, h - legend);
    int cells = (y - legend) / g.tall;
    uint32_t row = (uint32_t)(cells / g.fold) * (g.halves ? 2 : 1);
    if (x < g.label || x >= g.label + g.cols || row >= g.n)
        return false;
    *layer = g.first + row;
    uint32_t place =
        (uint32_t)(cells % g.fold * g.per) + (uint32_t)((x - g.label) / g.cell) * g.bin;
    if (place >= vm->blocks)
        return false;
    *block = block_at(vm, *layer, place);
    return true;
}
