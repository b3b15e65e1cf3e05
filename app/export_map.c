/* SPDX-License-Identifier: MIT */
#include "app/export_map.h"

#include "engine/base/xalloc.h"

#include <math.h>
#include <stdlib.h>

void export_map_csv(struct choice_rows *r, size_t n, FILE *out)
{
    size_t cells = choice_cells(r);
    fputs("token,layer,block,unit,margin,alive,uses,surprise_bits\n", out);
    for (size_t i = 0; i < n && i < r->n; i++) {
        choice_count_to(r, i + 1);
        for (size_t c = 0; c < cells; c++) {
            size_t at = i * cells + c;
            if (r->unit[at] >= r->units)
                continue;
            fprintf(out, "%zu,%zu,%zu,%u,", i, c / r->blocks, c % r->blocks, r->unit[at]);
            if (!isnan(r->margin[at]))
                fprintf(out, "%.6g", (double)r->margin[at]);
            fputc(',', out);
            if (r->alive[at] < 2)
                fprintf(out, "%u", r->alive[at]);
            uint32_t uses = r->count[c * r->units + r->unit[at]];
            fprintf(out, ",%u,%.3f\n", uses, choice_surprise(uses, i, r->units));
        }
    }
}

#define PIXELS 8 /* of a square in the PPM picture, one of them white */

void export_map_ppm(struct choice_rows *r, size_t row, enum metric m, FILE *out)
{
    char lo[24], hi[24];
    uint8_t *level = xmalloc(choice_cells(r) + 1);
    metric_levels(r, row, m, level);
    metric_ends(r, m, lo, hi);
    fprintf(out, "P6\n# token %zu: %s, white %s to black %s\n%u %u\n255\n", row, metric_name[m],
            lo, hi, r->blocks * PIXELS, r->layers * PIXELS);
    for (uint32_t y = 0; y < r->layers * PIXELS; y++)
        for (uint32_t x = 0; x < r->blocks * PIXELS; x++) {
            bool gap = x % PIXELS == PIXELS - 1 || y % PIXELS == PIXELS - 1;
            uint8_t at = level[(size_t)(y / PIXELS) * r->blocks + x / PIXELS];
            int grey = gap || at == 255 ? 255 : 255 - at;
            for (int c = 0; c < 3; c++)
                fputc(grey, out);
        }
    free(level);
}

#define CELL   12
#define MARGIN 48

static void square(FILE *out, uint32_t x, uint32_t y, uint8_t level)
{
    if (level == 255)
        return;
    unsigned grey = 255u - level; /* dark on white paper */
    fprintf(out,
            "<rect x=\"%u\" y=\"%u\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"/>\n", x,
            y, CELL - 1, CELL - 1, grey, grey, grey);
}

void export_map_svg(struct choice_rows *r, size_t row, enum metric m, FILE *out)
{
    char lo[24], hi[24];
    uint8_t *level = xmalloc(choice_cells(r) + 1);
    uint32_t w = MARGIN * 2 + r->blocks * CELL, h = MARGIN * 2 + r->layers * CELL;
    metric_levels(r, row, m, level);
    metric_ends(r, m, lo, hi);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
            "font-family=\"monospace\" font-size=\"11\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
            "<text x=\"%d\" y=\"20\">chosen unit of each layer and block, token %zu: %s, white "
            "%s to black %s</text>\n",
            w < 560 ? 560 : w, h, MARGIN, row, metric_name[m], lo, hi);
    for (uint32_t l = 0; l < r->layers; l++) {
        uint32_t y = MARGIN + l * CELL;
        fprintf(out, "<text x=\"8\" y=\"%u\">L%02u</text>\n", y + CELL - 3, l);
        for (uint32_t b = 0; b < r->blocks; b++)
            square(out, MARGIN + b * CELL, y, level[(size_t)l * r->blocks + b]);
    }
    fprintf(out, "<text x=\"%d\" y=\"%u\">block 0 to %u</text>\n</svg>\n", MARGIN,
            h - MARGIN + 20, r->blocks ? r->blocks - 1 : 0);
    free(level);
}
