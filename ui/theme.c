/* SPDX-License-Identifier: MIT */
#include "ui/theme.h"

#include <langinfo.h>
#include <string.h>
#include <wchar.h>

/* Dark, teal, green, yellow: brightness rises by 15 of 255 per step, and the ends
 * differ along the blue-yellow axis that colour-blind people see too.  The palette of
 * 256 has no even steps; the order is what counts. */
static const uint32_t ramp_rgb[2][THEME_LEVELS] = {
    {0x181820, 0x440f5e, 0x41266f, 0x3f3e80, 0x38598a, 0x2a798d, 0x2b9387, 0x31ab7e, 0x46bc6e,
     0x6bc758, 0x8fd342, 0xb3de2c, 0xdde328, 0xfde937, 0xfef386, 0xfffcd6},
    {0xfdfae6, 0xeaf1bc, 0xd8e892, 0xc3e06f, 0xa2d572, 0x80cb76, 0x5fc17a, 0x43b47f, 0x379e85,
     0x2a898c, 0x2b6e8c, 0x32508a, 0x363876, 0x392063, 0x330e48, 0x160a1e}};
static const uint8_t ramp_256[2][THEME_LEVELS] = {
    {234, 235, 236, 237, 238, 24, 30, 36, 72, 77, 113, 149, 185, 191, 227, 230},
    {230, 192, 186, 150, 114, 78, 72, 36, 31, 30, 25, 24, 55, 54, 53, 234}};
/* Sixteen-colour terminals choose their own shades: glyphs carry the level, colour
 * only helps. Blue is left out, it is unreadable on many black backgrounds. */
static const struct {
    uint8_t fg;
    uint8_t attr;
} ramp_16[2][4] = {{{6, 0}, {7, 0}, {3, ATTR_BOLD}, {7, ATTR_BOLD}},
                   {{6, 0}, {5, 0}, {4, 0}, {0, ATTR_BOLD}}};
static const char ramp_ascii[] = " .:-=+*#%@";

static const uint8_t part_256[2][THEME_PARTS] = {{33, 214, 36, 227, 117, 166, 175, 245},
                                                 {25, 172, 29, 136, 67, 130, 132, 242}};
static const uint8_t part_16[THEME_PARTS] = {4, 3, 2, 3, 6, 1, 5, 7};
static const char part_ascii[] = "#%+=-*o.";

struct look {
    uint8_t fg256[2], bg256[2]; /* dark, light; 0: default */
    uint8_t fg16;               /* 0: default */
    uint8_t attr16, attr_mono;
    uint8_t attr256;
};

static const struct look look[ROLES] = {
    [ROLE_TEXT] = {{0, 0}, {0, 0}, 0, 0, 0, 0},
    [ROLE_DIM] = {{245, 242}, {0, 0}, 0, ATTR_DIM, 0, 0},
    [ROLE_TITLE] = {{252, 236}, {0, 0}, 0, ATTR_BOLD, ATTR_BOLD, ATTR_BOLD},
    [ROLE_FOCUS] = {{221, 25}, {0, 0}, 3, ATTR_BOLD, ATTR_REVERSE, ATTR_BOLD},
    [ROLE_BAR] = {{252, 235}, {237, 253}, 0, ATTR_REVERSE, ATTR_REVERSE, 0},
    [ROLE_KEY] = {{117, 25}, {0, 0}, 6, 0, ATTR_BOLD, ATTR_BOLD},
    [ROLE_USER] = {{117, 25}, {0, 0}, 6, 0, ATTR_BOLD, 0},
    [ROLE_NOTE] = {{245, 242}, {0, 0}, 0, ATTR_DIM, ATTR_DIM, 0},
    [ROLE_WARN] = {{221, 130}, {0, 0}, 3, ATTR_BOLD, ATTR_BOLD, ATTR_BOLD},
    [ROLE_ERROR] = {{210, 160}, {0, 0}, 1, ATTR_BOLD, ATTR_REVERSE, ATTR_BOLD},
    [ROLE_GOOD] = {{114, 28}, {0, 0}, 2, ATTR_BOLD, ATTR_BOLD, ATTR_BOLD},
    [ROLE_SELECT] = {{234, 255}, {221, 25}, 0, ATTR_REVERSE, ATTR_REVERSE, 0},
    [ROLE_FOUND] = {{234, 255}, {180, 94}, 3, ATTR_REVERSE, ATTR_UNDERLINE, 0},
    [ROLE_PINNED] = {{234, 255}, {117, 30}, 6, ATTR_REVERSE, ATTR_BOLD | ATTR_UNDERLINE, 0},
    [ROLE_GAUGE] = {{117, 25}, {0, 0}, 6, 0, 0, 0},
};

static uint32_t indexed(uint8_t i)
{
    return i ? COLOUR_INDEX(i) : COLOUR_DEFAULT;
}

struct style theme_style(const struct theme *t, enum theme_role r)
{
    const struct look *l = &look[r];
    switch (t->depth) {
    case THEME_MONO:
        return (struct style){.attr = l->attr_mono};
    case THEME_16:
        return (struct style){indexed(l->fg16), COLOUR_DEFAULT, l->attr16};
    default:
        return (struct style){indexed(l->fg256[t->light]), indexed(l->bg256[t->light]),
                              l->attr256};
    }
}

static uint32_t ramp_colour(const struct theme *t, uint8_t level)
{
    int step = level * THEME_LEVELS / 255;
    if (t->depth == THEME_RGB) {
        uint32_t c = ramp_rgb[t->light][step];
        return COLOUR_RGB(c >> 16, c >> 8 & 0xFF, c & 0xFF);
    }
    return COLOUR_INDEX(ramp_256[t->light][step]);
}

bool theme_halves(const struct theme *t)
{
    return t->blocks && t->depth >= THEME_256;
}

static struct theme_heat heat_glyph(const struct theme *t, uint8_t level)
{
    int n = (int)sizeof ramp_ascii - 1;
    int step = level * n / 255;
    struct theme_heat h = {.rune = (unsigned char)ramp_ascii[step]};
    if (t->depth >= THEME_256) { /* ASCII only: keep dark shades legible */
        h.style.fg = ramp_colour(t, level < 80 ? 80 : level);
    } else if (t->depth == THEME_16) {
        h.style.fg = COLOUR_INDEX(ramp_16[t->light][step * 4 / n].fg);
        h.style.attr = ramp_16[t->light][step * 4 / n].attr;
    }
    return h;
}

struct theme_heat theme_heat(const struct theme *t, uint8_t level)
{
    if (level == 255)
        return (struct theme_heat){.rune = ' '};
    if (!theme_halves(t))
        return heat_glyph(t, level);
    return (struct theme_heat){' ', {COLOUR_DEFAULT, ramp_colour(t, level), 0}};
}

struct theme_heat theme_heat2(const struct theme *t, uint8_t upper, uint8_t lower)
{
    if (upper == 255 && lower == 255)
        return (struct theme_heat){.rune = ' '};
    if (upper == 255)
        return (struct theme_heat){0x2584, {ramp_colour(t, lower), COLOUR_DEFAULT, 0}};
    if (lower == 255)
        return (struct theme_heat){0x2580, {ramp_colour(t, upper), COLOUR_DEFAULT, 0}};
    uint32_t u = ramp_colour(t, upper), l = ramp_colour(t, lower);
    if (u == l) /* one pair less, and nothing to tell apart */
        return (struct theme_heat){' ', {COLOUR_DEFAULT, u, 0}};
    return (struct theme_heat){0x2580, {u, l, 0}};
}

struct style theme_shade(const struct theme *t, struct style st, uint8_t level)
{
    if (level == 255)
        return st;
    if (t->depth < THEME_256) {
        if (level >= 128)
            st.attr |= ATTR_UNDERLINE;
        return st;
    }
    if (level < 32) /* as good as certain: leave the text alone */
        return st;
    st.bg = ramp_colour(t, level);
    st.fg = COLOUR_INDEX(theme_luma(st.bg) > 110 ? 16 : 255);
    return st;
}

struct theme_heat theme_part(const struct theme *t, int i)
{
    i = i < 0 ? 0 : i % THEME_PARTS;
    struct theme_heat h = {.rune = (unsigned char)part_ascii[i]};
    if (t->depth >= THEME_256) {
        uint32_t c = COLOUR_INDEX(part_256[t->light][i]);
        if (t->blocks)
            h = (struct theme_heat){' ', {COLOUR_DEFAULT, c, 0}};
        else
            h.style.fg = c;
    } else if (t->depth == THEME_16) {
        h.style.fg = COLOUR_INDEX(part_16[i]);
        h.style.attr = i == 3 ? ATTR_BOLD : 0;
    }
    return h;
}

uint32_t theme_bar(const struct theme *t, int eighths)
{
    static const char ascii[] = " __..--^^";
    eighths = eighths < 0 ? 0 : eighths > 8 ? 8 : eighths;
    if (!t->blocks)
        return (unsigned char)ascii[eighths];
    return eighths ? 0x2580u + (uint32_t)eighths : ' ';
}

/* xterm's palette; the first sixteen as most terminals have them. */
static uint32_t palette_rgb(uint32_t i)
{
    static const uint32_t base[16] = {
        0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5,
        0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff};
    static const uint8_t cube[6] = {0, 95, 135, 175, 215, 255};
    if (i < 16)
        return base[i];
    if (i >= 232) {
        uint32_t g = 8 + 10 * (i - 232);
        return g << 16 | g << 8 | g;
    }
    i -= 16;
    return (uint32_t)cube[i / 36] << 16 | (uint32_t)cube[i / 6 % 6] << 8 | cube[i % 6];
}

int theme_luma(uint32_t colour)
{
    uint32_t c = colour & 0x02000000u ? colour : palette_rgb(colour & 0xFF);
    return (int)((299 * (c >> 16 & 0xFF) + 587 * (c >> 8 & 0xFF) + 114 * (c & 0xFF)) / 1000);
}

bool theme_blocks_usable(void)
{
    const char *codeset = nl_langinfo(CODESET);
    return codeset && strcmp(codeset, "UTF-8") == 0 && wcwidth(0x2580) == 1 &&
           wcwidth(0x2584) == 1;
}
