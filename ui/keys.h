/* keys.h - bytes from the terminal become keys.
 *
 * Purpose: a decoder that needs no terminal: feed bytes however they were split,
 *          take keys.  Knows UTF-8, CSI and SS3 sequences of xterm, rxvt, linux and
 *          the "CSI u" form, bracketed paste and SGR mouse reports.  A lone ESC is a
 *          key when nothing follows it for 25 ms.
 * Owns:    keys_open allocates, keys_close frees.  key.text lives until the next
 *          call of keys_next or keys_feed.
 * Errors:  unknown sequences become K_UNKNOWN, malformed UTF-8 U+FFFD.
 * Threads: one owner at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_KEYS_H
#define TERRA_UI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_ESC_NS 25000000u

enum key_code {
    K_NONE,
    K_RUNE, /* a character; with K_CTRL the lower-case letter or @[\]^_ */
    K_ENTER,
    K_TAB,
    K_ESC,
    K_BACKSPACE,
    K_UP,
    K_DOWN,
    K_LEFT,
    K_RIGHT,
    K_HOME,
    K_END,
    K_PGUP,
    K_PGDN,
    K_INSERT,
    K_DELETE,
    K_F1, /* K_F1 + n - 1 */
    K_F12 = K_F1 + 11,
    K_PASTE,   /* text, n */
    K_MOUSE,   /* x, y, button, press */
    K_UNKNOWN, /* an escape sequence nobody knows: ignore it */
    K_CODES
};

enum { K_SHIFT = 1, K_ALT = 2, K_CTRL = 4 };

enum key_button {
    K_BUTTON_NONE,
    K_LEFT_BUTTON,
    K_MIDDLE_BUTTON,
    K_RIGHT_BUTTON,
    K_WHEEL_UP,
    K_WHEEL_DOWN
};

struct key {
    enum key_code code;
    unsigned mods;    /* K_SHIFT... */
    uint32_t rune;    /* K_RUNE */
    const char *text; /* the raw bytes (to pass on to line editing); K_PASTE: the content */
    size_t n;
    int x, y; /* K_MOUSE: cell, from 0 */
    enum key_button button;
    bool press, drag; /* K_MOUSE; both false: released */
};

struct keys;

struct keys *keys_open(void);
void keys_close(struct keys *k);
void keys_feed(struct keys *k, const char *bytes, size_t n, uint64_t now_ns);
/* The next key, or false.  Call until false, and again at keys_deadline. */
bool keys_next(struct keys *k, uint64_t now_ns, struct key *out);
/* When a pending lone ESC becomes a key; 0: nothing is pending. */
uint64_t keys_deadline(const struct keys *k);

/* "C-c", "M-Enter", "S-Tab", "F1", "PgUp", "Esc", "Space", "x", "{". */
#define KEY_NAME_MAX 24
void key_name(const struct key *k, char out[KEY_NAME_MAX]);
/* Reads such a name; false if it is none. */
bool key_parse(const char *name, struct key *out);
/* Same code, modifiers and rune; Shift is ignored for characters. */
bool key_equal(const struct key *a, const struct key *b);

#endif
