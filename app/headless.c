/* SPDX-License-Identifier: MIT */
#include "app/headless.h"

#include "engine/base/json_out.h"
#include "engine/base/utf8.h"

#include <errno.h>
#include <math.h>
#include <string.h>

void headless_open(struct headless *h, FILE *out, bool json, atomic_bool *cancel)
{
    *h = (struct headless){.out = out, .json = json, .cancel = cancel, .at_line_start = true};
}

void headless_close(struct headless *h)
{
    if (!h->out)
        return;
    buf_free(&h->line);
    h->out = NULL;
}

static void put(struct headless *h, const char *data, size_t n)
{
    if (n == 0 || h->broken || h->write_errno)
        return;
    errno = 0;
    if (fwrite(data, 1, n, h->out) == n && fflush(h->out) == 0)
        return;
    if (errno == EPIPE)
        h->broken = true;
    else
        h->write_errno = errno ? errno : EIO;
    if (h->cancel)
        atomic_store(h->cancel, true);
}

void headless_visible(struct buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = utf8_decode(text + i, n - i, &cp, NULL);
        if (cp == '\n' || cp == '\t')
            buf_add_byte(out, (char)cp);
        else if (cp < 0x20 || cp == 0x7F)
            buf_printf(out, "^%c", (char)(cp ^ 0x40));
        else if ((cp >= 0x80 && cp < 0xA0) || (cp >= 0x202A && cp <= 0x202E) ||
                 (cp >= 0x2066 && cp <= 0x2069))
            buf_printf(out, "<%02X>", (unsigned)cp);
        else
            buf_add(out, text + i, len);
        i += len;
    }
}

void headless_text(struct headless *h, const char *text, size_t n)
{
    if (h->json || n == 0)
        return;
    h->at_line_start = text[n - 1] == '\n';
    if (!h->tty) {
        put(h, text, n);
        return;
    }
    buf_clear(&h->line);
    headless_visible(&h->line, text, n);
    put(h, h->line.data, h->line.len);
}

void headless_newline(struct headless *h)
{
    if (!h->json && !h->at_line_start)
        put(h, "\n", 1);
    h->at_line_start = true;
}

void headless_line(struct headless *h, struct buf *line)
{
    buf_add_byte(line, '\n');
    put(h, line->data, line->len);
    buf_clear(line);
}

void headless_object(struct buf *b, const char *type)
{
    json_open(b, NULL, '{');
    json_int(b, "v", 1);
    json_cstr(b, "type", type);
}

static void finish(struct headless *h, struct buf *b)
{
    json_close(b, '}');
    headless_line(h, b);
}

void headless_start(struct headless *h, const struct headless_start *s)
{
    if (!h->json)
        return;
    struct buf *b = &h->line;
    buf_clear(b);
    headless_object(b, "start");
    json_cstr(b, "command", s->command);
    json_cstr(b, "model", s->model);
    json_cstr(b, "path", s->path);
    json_cstr(b, "mode", s->mode);
    json_cstr(b, "style", s->style);
    if (s->method)
        json_cstr(b, "method", s->method);
    if (s->chunks)
        json_int(b, "chunks", s->chunks);
    json_cstr(b, "kernels", s->kernels);
    json_int(b, "threads", s->threads);
    json_int(b, "seed", (int64_t)s->seed);
    json_num(b, "temp", s->temperature, 4);
    json_int(b, "tokens_total", s->tokens_total);
    finish(h, b);
}

static void token_line(struct headless *h, uint32_t step, uint32_t i,
                       const struct terra_token *t, const char *piece, size_t n)
{
    struct buf *b = &h->line;
    buf_clear(b);
    headless_object(b, "token");
    json_int(b, "step", step);
    json_int(b, "i", i);
    if (t)
        json_int(b, "id", t->id);
    else
        json_null(b, "id"); /* the rest of a character behind the last token */
    json_str(b, "text", piece, n);
    if (t) {
        size_t n_raw = 0;
        const char *raw = h->vocab ? terra_token_bytes(h->vocab, t->id, &n_raw) : "";
        if (utf8_count_bad(raw, n_raw) > 0)
            json_base64(b, "bytes_b64", raw, n_raw);
        json_num(b, "p", exp((double)t->logprob), 6);
        json_num(b, "ms", (double)t->ns / 1e6, 4);
        json_open(b, "parts", '{');
        for (int k = 0; k < TERRA_PARTS; k++)
            json_num(b, terra_part_name[k], (double)t->part_ns[k] / 1e6, 4);
        json_close(b, '}');
        json_int(b, "bytes", (int64_t)(t->weight_bytes + t->cache_bytes));
        if (t->major_faults)
            json_int(b, "faults", (int64_t)t->major_faults);
    }
    finish(h, b);
}

void headless_token(struct headless *h, uint32_t step, uint32_t i, const struct terra_token *t,
                    const char *piece, size_t n, bool show)
{
    if (h->json) {
        token_line(h, step, i, t, piece, n);
        return;
    }
    if (!show)
        return;
    if (h->ids && t) {
        char id[16];
        int len = snprintf(id, sizeof id, "%s%d", i ? " " : "", (int)t->id);
        headless_text(h, id, (size_t)len);
    } else if (!h->ids) {
        headless_text(h, piece, n);
    }
}

void headless_chunk(struct headless *h, const struct headless_chunk *c)
{
    if (!h->json)
        return;
    struct buf *b = &h->line;
    const struct generate_result *r = c->result;
    buf_clear(b);
    headless_object(b, "chunk");
    json_int(b, "step", c->step);
    json_cstr(b, "kind", c->kind);
    json_int(b, "i", c->no);
    json_int(b, "of", c->of);
    json_int(b, "tokens_in", c->tokens_in);
    json_int(b, "tokens_out", r->n_tokens);
    json_cstr(b, "stop", generate_stop_name[r->stop]);
    json_str(b, "text", buf_str(&r->text), r->text.len);
    json_num(b, "prefill_ms", (double)r->prefill.ns / 1e6, 4);
    json_num(b, "search_ms", (double)r->search_ns / 1e6, 4);
    json_num(b, "decode_ms", (double)r->decode_ns / 1e6, 4);
    finish(h, b);
}

static double per_second(int64_t n, uint64_t ns)
{
    return ns ? (double)n * 1e9 / (double)ns : 0;
}

void headless_end(struct headless *h, const struct headless_end *end)
{
    if (!h->json)
        return;
    struct buf *b = &h->line;
    buf_clear(b);
    headless_object(b, "end");
    json_str(b, "text", end->text, end->n_text);
    json_cstr(b, "stop", end->stop);
    json_open(b, "coverage", '{');
    json_int(b, "read", end->tokens_read);
    json_int(b, "total", end->tokens_total);
    json_close(b, '}');
    json_open(b, "stats", '{');
    json_int(b, "tokens_in", end->tokens_in);
    json_int(b, "tokens_out", end->tokens_out);
    json_num(b, "ttft_ms", (double)end->first_ns / 1e6, 4);
    json_num(b, "prefill_ms", (double)end->prefill_ns / 1e6, 4);
    json_num(b, "prefill_tok_s", per_second(end->tokens_in, end->prefill_ns), 5);
    json_num(b, "search_ms", (double)end->search_ns / 1e6, 4);
    json_num(b, "decode_ms", (double)end->decode_ns / 1e6, 4);
    json_num(b, "tok_s", per_second(end->tokens_out, end->decode_ns), 5);
    json_num(b, "ms_p50", end->ms_p50, 4);
    json_num(b, "ms_p90", end->ms_p90, 4);
    json_num(b, "ms_p99", end->ms_p99, 4);
    json_close(b, '}');
    if (end->run) {
        json_int(b, "session", end->session);
        json_int(b, "run", end->run);
    }
    if (end->extra)
        buf_add_str(b, end->extra);
    finish(h, b);
}

void headless_error(struct headless *h, const struct err *e)
{
    if (!h->json)
        return;
    struct buf *b = &h->line;
    buf_clear(b);
    headless_object(b, "error");
    json_int(b, "exit", (int)e->kind);
    json_cstr(b, "message", e->msg);
    finish(h, b);
}
