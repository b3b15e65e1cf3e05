/* vocab_bpe.c - byte-level BPE as Hugging Face's tokenizer.json describes it.
 *
 * Text is cut into words by GPT-2's rule, each byte of a word becomes a token, and
 * the pair that was learned first is merged until none is left.  Any bytes can be
 * encoded: malformed UTF-8 counts as "other" characters.  Added tokens are control
 * words: they decode to nothing and no text becomes one of them.
 *
 * SPDX-License-Identifier: MIT */
#include "engine/base/utf8.h"
#include "engine/base/xalloc.h"
#include "engine/json_read.h"
#include "engine/unicode.h"
#include "engine/vocab_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 16, MAX_VALUES = 4000000, MAX_SHOW = 40 };

/* ---- bytes as characters --------------------------------------------------------- */

/* In the file a printable byte is its own Latin-1 character; the others are, in
 * order, U+0100 and up. */
static bool is_own_character(unsigned b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

/* Turns such a string into its bytes, appended to out; false if a character is no byte. */
static bool bytes_of(const char *s, struct buf *out)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        uint32_t cp, moved = 0x100;
        i += utf8_decode(s + i, n - i, &cp, NULL);
        unsigned b = 0;
        while (b < 256 && (is_own_character(b) ? b : moved) != cp)
            moved += !is_own_character(b++);
        if (b == 256)
            return false;
        buf_add_byte(out, (char)b);
    }
    return true;
}

/* ---- settings ----------------------------------------------------------------------- */

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool is_absent(const cJSON *item)
{
    return !item || cJSON_IsNull(item);
}

static bool unsupported(const char *key, const cJSON *item, const char *wanted, struct err *e)
{
    char show[48];
    if (cJSON_IsObject(item) && cJSON_IsString(get(item, "type")))
        item = get(item, "type");
    return err_set(e, ERR_MODEL, "%s: %s is not supported, wanted %s", key,
                   json_show(item, show), wanted);
}

static bool is_byte_level(const cJSON *item)
{
    const cJSON *type = get(item, "type");
    return cJSON_IsString(type) && strcmp(type->valuestring, "ByteLevel") == 0;
}

static bool check_settings(struct terra_vocab *v, const cJSON *root, struct err *e)
{
    static const char *const none[] = {"normalizer", "truncation", "padding"};
    static const char *const byte_level[] = {"post_processor", "decoder"};
    static const char *const off[] = {"dropout", "byte_fallback", "ignore_merges",
                                      "continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (!is_absent(get(root, none[i])))
            return unsupported(none[i], get(root, none[i]), "null", e);
    for (size_t i = 0; i < sizeof byte_level / sizeof *byte_level; i++) {
        const cJSON *item = get(root, byte_level[i]);
        if (!is_absent(item) && !is_byte_level(item))
            return unsupported(byte_level[i], item, "ByteLevel", e);
    }
    const cJSON *cutter = get(root, "pre_tokenizer");
    if (!is_byte_level(cutter))
        return unsupported("pre_tokenizer", cutter, "ByteLevel", e);
    if (!cJSON_IsFalse(get(cutter, "add_prefix_space")))
        return unsupported("pre_tokenizer.add_prefix_space", get(cutter, "add_prefix_space"),
                           "false", e);
    v->cut_words = !cJSON_IsFalse(get(cutter, "use_regex"));

    const cJSON *model = get(root, "model"), *type = get(model, "type");
    if (!cJSON_IsString(type) || strcmp(type->valuestring, "BPE") != 0)
        return unsupported("model.type", type, "BPE", e);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const cJSON *item = get(model, off[i]);
        bool empty = cJSON_IsString(item) && item->valuestring[0] == '\0';
        bool zero = cJSON_IsNumber(item) && item->valuedouble == 0;
        if (!is_absent(item) && !cJSON_IsFalse(item) && !empty && !zero) {
            char key[48] = "model.";
            strncat(key, off[i], sizeof key - 7);
            return unsupported(key, item, "none", e);
        }
    }
    return true;
}

/* ---- ids ------------------------------------------------------------------------------ */

/* What the file says about one id. */
struct entry {
    const char *text; /* belongs to the JSON tree; NULL: nothing */
    bool special;
};

static bool put_entry(struct entry *entries, size_t cap, const cJSON *id, const char *text,
                      bool special, struct err *e)
{
    uint64_t at;
    char show[48];
    if (!json_whole(id, cap - 1, &at))
        return err_set(e, ERR_MODEL, "token %.*s: id %s, wanted 0..%zu", MAX_SHOW, text,
                       json_show(id, show), cap - 1);
    struct entry *entry = &entries[at];
    if (entry->text && !(special && !entry->special && strcmp(entry->text, text) == 0))
        return err_set(e, ERR_MODEL, "tokens %.*s and %.*s have the same id %" PRIu64, MAX_SHOW,
                       entry->text, MAX_SHOW, text, at);
    *entry = (struct entry){text, special};
    return true;
}

/* Fills entries[cap] from the vocabulary and the added tokens; *n gets the ids in use. */
static bool collect(const cJSON *vocab, const cJSON *added, struct entry *entries, size_t cap,
                    uint32_t *n, struct err *e)
{
    for (const cJSON *item = vocab->child; item; item = item->next)
        if (!put_entry(entries, cap, item, item->string, false, e))
            return false;
    for (const cJSON *item = added ? added->child : NULL; item; item = item->next) {
        const cJSON *content = get(item, "content");
        if (!cJSON_IsString(content))
            return err_set(e, ERR_MODEL, "added_tokens: an entry without content");
        if (!cJSON_IsTrue(get(item, "special")))
            return err_set(e, ERR_MODEL, "added token %.*s: not special; not supported",
                           MAX_SHOW, content->valuestring);
        if (!put_entry(entries, cap, get(item, "id"), content->valuestring, true, e))
            return false;
    }
    *n = 0;
    for (size_t i = 0; i < cap; i++) {
        if (entries[i].text && *n != i)
            return err_set(e, ERR_MODEL, "ids are not contiguous: there is no token %" PRIu32,
                           *n);
        *n += entries[i].text != NULL;
    }
    return true;
}

/* Bytes of every id, and the trie of those that text can become. */
static bool load_ids(struct terra_vocab *v, const struct entry *entries, struct err *e)
{
    struct buf bytes = {0};
    bool ok = true;
    v->at = xcalloc((size_t)v->n + 1, sizeof *v->at);
    for (uint32_t id = 0; id < v->n && ok; id++) {
        uint32_t other;
        size_t start = bytes.len;
        if (!entries[id].special) {
            if (!bytes_of(entries[id].text, &bytes) || bytes.len == start)
                ok = err_set(e, ERR_MODEL,
                             "token %" PRIu32 ", %.*s: a character that is no byte", id,
                             MAX_SHOW, entries[id].text);
            else if (trie_find(&v->trie, bytes.data + start, bytes.len - start, &other))
                ok = err_set(e, ERR_MODEL, "tokens %" PRIu32 " and %" PRIu32 " are both %.*s",
                             other, id, MAX_SHOW, entries[id].text);
            else
                trie_add(&v->trie, bytes.data + start, bytes.len - start, id);
        }
        v->at[id + 1] = (uint32_t)bytes.len;
    }
    v->bytes = buf_take(&bytes);
    for (unsigned b = 0; b < 256 && ok; b++) {
        char c = (char)b;
        if (!trie_find(&v->trie, &c, 1, &v->byte_id[b]))
            ok = err_set(e, ERR_MODEL, "there is no token for the byte 0x%02X", b);
    }
    if (ok && (v->n < 2 || !entries[TERRA_PAD].special || !entries[TERRA_EOS].special))
        ok = err_set(e, ERR_MODEL, "ids 0 and 1 must be added tokens: padding and the end");
    return ok;
}

/* ---- merges ------------------------------------------------------------------------------ */

static uint64_t pair_key(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

/* One merge, "left right" or ["left", "right"]. */
static bool load_merge(struct terra_vocab *v, const cJSON *item, uint32_t rank, struct buf *b,
                       struct err *e)
{
    const char *left = NULL, *right = NULL;
    char *copy = NULL;
    if (cJSON_IsString(item)) {
        left = copy = xstrdup(item->valuestring);
        char *space = strchr(copy, ' ');
        if (space) {
            *space = '\0';
            right = space + 1;
        }
    } else if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2 &&
               cJSON_IsString(item->child) && cJSON_IsString(item->child->next)) {
        left = item->child->valuestring;
        right = item->child->next->valuestring;
    }
    uint32_t l, r, found;
    bool ok = true;
    buf_clear(b);
    if (!right || !bytes_of(left, b)) {
        ok = err_set(e, ERR_MODEL, "merge %" PRIu32 ": not a pair of tokens", rank);
    } else {
        size_t cut = b->len;
        if (!bytes_of(right, b) || !trie_find(&v->trie, buf_str(b), cut, &l) ||
            !trie_find(&v->trie, buf_str(b) + cut, b->len - cut, &r) ||
            !trie_find(&v->trie, buf_str(b), b->len, &v->merged[rank]))
            ok = err_set(e, ERR_MODEL,
                         "merge %" PRIu32 ": %.*s + %.*s has a part that is not in the "
                         "vocabulary",
                         rank, MAX_SHOW, left, MAX_SHOW, right);
        else if (map64_get(&v->merge, pair_key(l, r), &found))
            ok = err_set(e, ERR_MODEL, "merges %" PRIu32 " and %" PRIu32 " are the same", found,
                         rank);
        else
            map64_set(&v->merge, pair_key(l, r), rank);
    }
    free(copy);
    return ok;
}

static bool load_merges(struct terra_vocab *v, const cJSON *merges, struct err *e)
{
    struct buf work = {0};
    bool ok = true;
    uint32_t rank = 0;
    if (!cJSON_IsArray(merges))
        return err_set(e, ERR_MODEL, "model.merges: missing, or not a list");
    v->merged = xcalloc((size_t)cJSON_GetArraySize(merges), sizeof *v->merged);
    for (const cJSON *item = merges->child; item && ok; item = item->next)
        ok = load_merge(v, item, rank++, &work, e);
    buf_free(&work);
    return ok;
}

bool bpe_load(struct terra_vocab *v, const char *json, size_t n, struct err *e)
{
    cJSON *root = json_read(json, n, MAX_DEPTH, MAX_VALUES, e);
    struct entry *entries = NULL;
    bool ok = false;
    if (!root || !check_settings(v, root, e))
        goto out;
    const cJSON *model = get(root, "model"), *vocab = get(model, "vocab");
    const cJSON *added = get(root, "added_tokens");
    if (!cJSON_IsObject(vocab) || !(is_absent(added) || cJSON_IsArray(added))) {
        err_set(e, ERR_MODEL, "model.vocab or added_tokens: missing, or of the wrong type");
        goto out;
    }
    size_t cap = (size_t)cJSON_GetArraySize(vocab) + (size_t)cJSON_GetArraySize(added);
    if (cap == 0 || cap >= 1 << 24) {
        err_set(e, ERR_MODEL, "a vocabulary of %zu tokens", cap);
        goto out;
    }
    entries = xcalloc(cap, sizeof *entries);
    ok = collect(vocab, added, entries, cap, &v->n, e) && load_ids(v, entries, e) &&
         load_merges(v, get(model, "merges"), e);
out:
    free(entries);
    cJSON_Delete(root);
    return ok;
}

/* ---- words ---------------------------------------------------------------------------------
 */

/* Bytes at s of one character, and its class. */
static size_t character(const char *s, size_t n, enum unicode_class *c)
{
    uint32_t cp;
    size_t len = utf8_decode(s, n, &cp, NULL);
    *c = unicode_class(cp);
    return len;
}

/* Bytes of the run of class c at s; *last gets the length of its last character. */
static size_t run(const char *s, size_t n, enum unicode_class c, size_t *last)
{
    size_t i = 0;
    while (i < n) {
        enum unicode_class found;
        size_t len = character(s + i, n - i, &found);
        if (found != c)
            break;
        *last = len;
        i += len;
    }
    return i;
}

static size_t contraction(const char *s, size_t n)
{
    static const char *const known[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i]);
        if (n >= len && memcmp(s, known[i], len) == 0)
            return len;
    }
    return 0;
}

/* Length of the first word of s (n >= 1), GPT-2's expression written out:
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t word_length(const char *s, size_t n)
{
    enum unicode_class c;
    size_t last = 0, len = contraction(s, n);
    if (len)
        return len;
    size_t space = s[0] == ' ' && n > 1; /* may lead a word of any class */
    character(s + space, n - space, &c);
    if (c != UNICODE_SPACE)
        return space + run(s + space, n - space, c, &last);
    len = run(s, n, UNICODE_SPACE, &last);
    return len == n || len == last ? len : len - last; /* the last one leads the next word */
}

/* ---- merging -------------------------------------------------------------------------------
 */

#define NO_RANK UINT32_MAX
#define NOWHERE UINT32_MAX

/* The tokens of a word, a list linked by position; a heap of its pairs by (rank, position). */
struct part {
    uint32_t id, prev, next;
    uint32_t rank; /* of the pair with next; NO_RANK: none, or this part is gone */
};

struct merger {
    const struct terra_vocab *v;
    struct part *part;
    uint64_t *heap; /* rank << 32 | position */
    size_t n_heap, cap;
};

static void heap_push(struct merger *m, uint64_t key)
{
    size_t i = m->n_heap++;
    for (; i > 0 && m->heap[(i - 1) / 2] > key; i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = key;
}

static uint64_t heap_pop(struct merger *m)
{
    uint64_t top = m->heap[0], moving = m->heap[--m->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < m->n_heap; i = child) {
        if (child + 1 < m->n_heap && m->heap[child + 1] < m->heap[child])
            child++;
        if (m->heap[child] >= moving)
            break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = moving;
    return top;
}

static void rank_pair(struct merger *m, uint32_t at)
{
    struct part *p = &m->part[at];
    p->rank = NO_RANK;
    if (p->next != NOWHERE &&
        map64_get(&m->v->merge, pair_key(p->id, m->part[p->next].id), &p->rank))
        heap_push(m, (uint64_t)p->rank << 32 | at);
}

/* Every merge removes one part and ranks at most two pairs: 3 n pairs in all. */
static void reserve(struct merger *m, size_t n)
{
    if (n <= m->cap)
        return;
    m->cap = n < 256 ? 256 : n;
    m->part = xrealloc(m->part, m->cap, sizeof *m->part);
    m->heap = xrealloc(m->heap, m->cap, 3 * sizeof *m->heap);
}

static void merge_word(struct merger *m, const char *s, size_t n, struct terra_ids *out)
{
    assert(n > 0);
    reserve(m, n);
    m->n_heap = 0;
    for (uint32_t i = 0; i < n; i++)
        m->part[i] = (struct part){m->v->byte_id[(unsigned char)s[i]], i - 1,
                                   i + 1 < n ? i + 1 : NOWHERE, NO_RANK};
    for (uint32_t i = 0; i < n; i++)
        rank_pair(m, i);
    while (m->n_heap > 0) {
        uint64_t best = heap_pop(m);
        uint32_t at = (uint32_t)best, rank = (uint32_t)(best >> 32);
        struct part *p = &m->part[at];
        if (p->rank != rank) /* one of the two was merged meanwhile */
            continue;
        struct part *gone = &m->part[p->next];
        p->id = m->v->merged[rank];
        p->next = gone->next;
        gone->rank = NO_RANK;
        if (p->next != NOWHERE)
            m->part[p->next].prev = at;
        rank_pair(m, at);
        if (at > 0)
            rank_pair(m, p->prev);
    }
    for (uint32_t i = 0; i != NOWHERE; i = m->part[i].next)
        terra_ids_add(out, (int32_t)m->part[i].id);
}

void bpe_encode(const struct terra_vocab *v, const char *text, size_t n, struct terra_ids *out)
{
    struct merger m = {.v = v};
    for (size_t i = 0; i < n;) {
        size_t len = v->cut_words ? word_length(text + i, n - i) : n - i;
        merge_word(&m, text + i, len, out);
        i += len;
    }
    free(m.part);
    free(m.heap);
}
