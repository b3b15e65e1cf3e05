/* SPDX-License-Identifier: MIT */
#include "ui/keys.h"

#include "engine/base/buf.h"
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQ_MAX   64                 /* longest escape sequence taken seriously */
#define PASTE_MAX ((size_t)64 << 20) /* a paste without an end is cut here */

static const char paste_end[] = "\033[201~";

struct keys {
    struct buf in; /* not decoded yet, from `at` on */
    size_t at;
    uint64_t fed_ns;  /* when the newest byte came */
    size_t settled;   /* bytes that had waited long enough before others came */
    struct buf out;   /* what key.text points to */
    struct buf paste; /* collected so far */
    bool pasting;
};

struct keys *keys_open(void)
{
    return xcalloc(1, sizeof(struct keys));
}

void keys_close(struct keys *k)
{
    if (!k)
        return;
    buf_free(&k->in);
    buf_free(&k->out);
    buf_free(&k->paste);
    free(k);
}

void keys_feed(struct keys *k, const char *bytes, size_t n, uint64_t now_ns)
{
    if (k->at > 0) { /* drop what has been decoded */
        memmove(k->in.data, k->in.data + k->at, k->in.len - k->at);
        k->in.len -= k->at;
        k->at = 0;
    }
    /* what waits since 25 ms is no beginning of what comes now, even if nobody asked
     * for keys in the meantime */
    k->settled = now_ns - k->fed_ns >= KEYS_ESC_NS && !k->pasting ? k->in.len : 0;
    buf_add(&k->in, bytes, n);
    k->fed_ns = now_ns;
}

/* ---- escape sequences ------------------------------------------------------------ */

static enum key_code code_of_tilde(int n)
{
    switch (n) {
    case 1:
    case 7:
        return K_HOME;
    case 2:
        return K_INSERT;
    case 3:
        return K_DELETE;
    case 4:
    case 8:
        return K_END;
    case 5:
        return K_PGUP;
    case 6:
        return K_PGDN;
    default:
        break;
    }
    if (n >= 11 && n <= 15)
        return K_F1 + (n - 11);
    if (n >= 17 && n <= 21)
        return K_F1 + (n - 12);
    if (n >= 23 && n <= 24)
        return K_F1 + (n - 13);
    return K_UNKNOWN;
}

static enum key_code code_of_letter(char c)
{
    switch (c) {
    case 'A':
        return K_UP;
    case 'B':
        return K_DOWN;
    case 'C':
        return K_RIGHT;
    case 'D':
        return K_LEFT;
    case 'F':
        return K_END;
    case 'H':
        return K_HOME;
    case 'M':
        return K_ENTER; /* keypad */
    default:
        return c >= 'P' && c <= 'S' ? K_F1 + (c - 'P') : K_UNKNOWN;
    }
}

/* 1 + bits: shift, alt, ctrl */
static unsigned mods_of(int param)
{
    unsigned m = param > 0 ? (unsigned)param - 1 : 0;
    return (m & 1 ? K_SHIFT : 0) | (m & 2 ? K_ALT : 0) | (m & 4 ? K_CTRL : 0);
}

static void key_from_code_point(struct key *key, int cp)
{
    switch (cp) {
    case 13:
        key->code = K_ENTER;
        break;
    case 9:
        key->code = K_TAB;
        break;
    case 27:
        key->code = K_ESC;
        break;
    case 8:
    case 127:
        key->code = K_BACKSPACE;
        break;
    default:
        key->code = cp >= 32 ? K_RUNE : K_UNKNOWN;
        key->rune = (uint32_t)cp;
    }
}

static void mouse_from(struct key *key, const int *p, bool press)
{
    int b = p[0];
    key->code = K_MOUSE;
    key->x = p[1] - 1;
    key->y = p[2] - 1;
    key->press = press && !(b & 32);
    key->drag = press && (b & 32);
    key->mods = (b & 4 ? K_SHIFT : 0) | (b & 8 ? K_ALT : 0) | (b & 16 ? K_CTRL : 0);
    if (b & 64)
        key->button = b & 1 ? K_WHEEL_DOWN : K_WHEEL_UP;
    else
        key->button = (b & 3) == 3 ? K_BUTTON_NONE : K_LEFT_BUTTON + (b & 3);
}

/* s[0..n) is a whole CSI sequence after ESC [. */
static void decode_csi(const char *s, size_t n, struct key *key)
{
    int p[4] = {0, 0, 0, 0};
    size_t np = 0, i = 0;
    bool mouse = n > 0 && s[0] == '<';
    char final = s[n - 1];

    if (n >= 2 && s[0] == '[') { /* linux console: ESC [ [ A .. E */
        key->code = final >= 'A' && final <= 'E' ? K_F1 + (final - 'A') : K_UNKNOWN;
        return;
    }
    for (i = mouse; i + 1 < n; i++) {
        if (s[i] >= '0' && s[i] <= '9') {
            if (np < 4 && p[np] < 100000)
                p[np] = p[np] * 10 + (s[i] - '0');
        } else if (s[i] == ';' && np < 4) {
            np++;
        } else {
            key->code = K_UNKNOWN;
            return;
        }
    }
    if (mouse) {
        if (final == 'M' || final == 'm')
            mouse_from(key, p, final == 'M');
        return;
    }
    key->mods = mods_of(p[1]);
    switch (final) {
    case '~':
        key->code = code_of_tilde(p[0]);
        break;
    case 'u':
        key_from_code_point(key, p[0]);
        break;
    case 'Z':
        key->code = K_TAB;
        key->mods |= K_SHIFT;
        break;
    default:
        key->code = code_of_letter(final);
    }
}

enum scan { SCAN_WHOLE, SCAN_MORE, SCAN_NONE };

/* Length of the escape sequence at s (s[0] is ESC). SCAN_NONE: ESC and something
 * that is no sequence, so an Alt chord or a lone ESC. */
static enum scan scan_sequence(const char *s, size_t n, size_t *len)
{
    if (n < 2)
        return SCAN_MORE;
    if (s[1] == 'O') {
        if (n < 3)
            return SCAN_MORE;
        *len = 3;
        return s[2] >= 0x20 && s[2] < 0x7F ? SCAN_WHOLE : SCAN_NONE;
    }
    if (s[1] != '[')
        return SCAN_NONE;
    size_t i = 2;
    if (i < n && s[i] == '[') { /* linux function keys have one more letter */
        *len = 4;
        return n < 4 ? SCAN_MORE : SCAN_WHOLE;
    }
    for (; i < n && i < SEQ_MAX; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x40 && c <= 0x7E) {
            *len = i + 1;
            return SCAN_WHOLE;
        }
        if (c < 0x20 || c > 0x7E) { /* broken off: swallow what was there */
            *len = i;
            return SCAN_WHOLE;
        }
    }
    *len = i;
    return i >= SEQ_MAX ? SCAN_WHOLE : SCAN_MORE;
}

static void decode_sequence(const char *s, size_t len, struct key *key)
{
    key->code = K_UNKNOWN;
    unsigned char last = (unsigned char)s[len - 1];
    if (len < 3 || last < 0x40 || last > 0x7E)
        return;
    if (s[1] == 'O')
        key->code = code_of_letter(s[2]);
    else
        decode_csi(s + 2, len - 2, key);
}

/* ---- plain bytes -------------------------------------------------------------------- */

static void decode_control(unsigned char c, struct key *key)
{
    switch (c) {
    case '\r':
        key->code = K_ENTER;
        return;
    case '\t':
        key->code = K_TAB;
        return;
    case 0x1B:
        key->code = K_ESC;
        return;
    case 0x7F:
    case 0x08:
        key->code = K_BACKSPACE;
        return;
    default:
        key->code = K_RUNE;
        key->mods |= K_CTRL;
        key->rune = c == 0 ? '@' : c <= 26 ? (uint32_t)c + 'a' - 1 : (uint32_t)c + 0x40;
    }
}

/* One character at s; false: more bytes are needed. */
static bool decode_plain(const char *s, size_t n, bool wait, struct key *key, size_t *used)
{
    unsigned char c = (unsigned char)s[0];
    *used = 1;
    if (c < 0x20 || c == 0x7F) {
        decode_control(c, key);
        return true;
    }
    size_t look = n < 4 ? n : 4;
    if (wait && utf8_complete(s, look) == 0)
        return false;
    key->code = K_RUNE;
    *used = utf8_decode(s, n, &key->rune, NULL);
    return true;
}

static void take(struct keys *k, size_t used, struct key *key)
{
    buf_clear(&k->out);
    buf_add(&k->out, k->in.data + k->at, used);
    k->at += used;
    key->text = buf_str(&k->out);
    key->n = used;
}

static size_t find(const char *s, size_t n, const char *what, size_t m)
{
    for (size_t i = 0; i + m <= n; i++) {
        const char *p = memchr(s + i, what[0], n - m + 1 - i);
        if (!p)
            break;
        i = (size_t)(p - s);
        if (memcmp(p, what, m) == 0)
            return i;
    }
    return n;
}

/* Moves input into the paste; true when its end was there. */
static bool collect_paste(struct keys *k)
{
    const size_t m = sizeof paste_end - 1;
    const char *s = k->in.data + k->at;
    size_t n = k->in.len - k->at;
    size_t end = find(s, n, paste_end, m);
    bool whole = end < n;
    if (!whole) /* keep what may be the start of the end */
        end = n >= m ? n - (m - 1) : 0;
    buf_add(&k->paste, s, end);
    k->at += whole ? end + m : end;
    return whole || k->paste.len >= PASTE_MAX;
}

static bool next_paste(struct keys *k, struct key *out)
{
    if (!collect_paste(k))
        return false;
    k->pasting = false;
    struct buf swap = k->out;
    k->out = k->paste;
    k->paste = swap;
    buf_clear(&k->paste);
    out->code = K_PASTE;
    out->text = buf_str(&k->out);
    out->n = k->out.len;
    return true;
}

bool keys_next(struct keys *k, uint64_t now_ns, struct key *out)
{
    for (;;) {
        memset(out, 0, sizeof *out);
        if (k->pasting)
            return next_paste(k, out);
        if (k->in.len == k->at)
            return false;
        bool settled = k->at < k->settled;
        bool late = settled || now_ns - k->fed_ns >= KEYS_ESC_NS;
        const char *s = k->in.data + k->at;
        size_t n = (settled ? k->settled : k->in.len) - k->at, used;
        if (s[0] != 0x1B) {
            if (!decode_plain(s, n, !late, out, &used))
                return false;
            take(k, used, out);
            return true;
        }

        switch (scan_sequence(s, n, &used)) {
        case SCAN_WHOLE:
            if (used == 6 && memcmp(s, "\033[200~", 6) == 0) {
                k->at += used;
                k->pasting = true;
                continue;
            }
            decode_sequence(s, used, out);
            take(k, used, out);
            return true;
        case SCAN_MORE:
            if (!late)
                return false;
            break; /* nothing followed: ESC, or Alt with what is there */
        case SCAN_NONE:
            break;
        }
        if (n == 1 || s[1] == 0x1B) {
            out->code = K_ESC;
            take(k, 1, out);
            return true;
        }
        if (!decode_plain(s + 1, n - 1, !late, out, &used))
            return false;
        out->mods |= K_ALT;
        take(k, used + 1, out);
        return true;
    }
}

uint64_t keys_deadline(const struct keys *k)
{
    return !k->pasting && k->in.len > k->at ? k->fed_ns + KEYS_ESC_NS : 0;
}

/* ---- names ----------------------------------------------------------------------------- */

static const char *const code_name[K_CODES] = {
    [K_ENTER] = "Enter", [K_TAB] = "Tab",    [K_ESC] = "Esc",     [K_BACKSPACE] = "BS",
    [K_UP] = "Up",       [K_DOWN] = "Down",  [K_LEFT] = "Left",   [K_RIGHT] = "Right",
    [K_HOME] = "Home",   [K_END] = "End",    [K_PGUP] = "PgUp",   [K_PGDN] = "PgDn",
    [K_INSERT] = "Ins",  [K_DELETE] = "Del", [K_PASTE] = "paste", [K_MOUSE] = "mouse",
    [K_UNKNOWN] = "?key"};

void key_name(const struct key *k, char out[KEY_NAME_MAX])
{
    const char *c = k->mods & K_CTRL ? "C-" : "", *m = k->mods & K_ALT ? "M-" : "";
    bool shift = k->mods & K_SHIFT && k->code != K_RUNE;
    char rune[5] = "";
    const char *name = rune;

    if (k->code == K_RUNE && k->rune == ' ')
        name = "Space";
    else if (k->code == K_RUNE)
        rune[utf8_encode(k->rune, rune)] = 0;
    else if (k->code >= K_F1 && k->code <= K_F12)
        snprintf(rune, sizeof rune, "F%d", k->code - K_F1 + 1);
    else if (k->code < K_CODES && code_name[k->code])
        name = code_name[k->code];
    snprintf(out, KEY_NAME_MAX, "%s%s%s%s", c, m, shift ? "S-" : "", name);
}

bool key_parse(const char *name, struct key *out)
{
    memset(out, 0, sizeof *out);
    for (; name[0] && name[1] == '-' && name[2]; name += 2) {
        if (name[0] == 'C')
            out->mods |= K_CTRL;
        else if (name[0] == 'M')
            out->mods |= K_ALT;
        else if (name[0] == 'S')
            out->mods |= K_SHIFT;
        else
            return false;
    }
    size_t n = strlen(name);
    if (n == 0)
        return false;
    if (strcmp(name, "Space") == 0) {
        out->code = K_RUNE;
        out->rune = ' ';
        return true;
    }
    if (name[0] == 'F' && n > 1 && n <= 3) {
        int f = atoi(name + 1);
        out->code = K_F1 + f - 1;
        return f >= 1 && f <= 12;
    }
    for (int c = 0; c < K_PASTE; c++)
        if (code_name[c] && strcmp(code_name[c], name) == 0) {
            out->code = (enum key_code)c;
            return true;
        }
    bool ok;
    out->code = K_RUNE;
    return utf8_decode(name, n, &out->rune, &ok) == n && ok && out->rune >= 0x20;
}

bool key_equal(const struct key *a, const struct key *b)
{
    if (a->code != b->code)
        return false;
    unsigned ignore = a->code == K_RUNE ? K_SHIFT : 0;
    return (a->mods & ~ignore) == (b->mods & ~ignore) &&
           (a->code != K_RUNE || a->rune == b->rune);
}
