/* Repair, refusals, streams that never end.
 * SPDX-License-Identifier: MIT */
#include "data/document.h"
#include "tests/unit/data/store_fixture.h"

#include "engine/base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static struct document from(const char *bytes, size_t n)
{
    struct document d;
    struct err e = {0};
    must(document_from_bytes(bytes, n, "a.txt", &d, &e));
    return d;
}

static void repairs(void **state)
{
    (void)state;
    static const char bytes[] =
        "\xEF\xBB\xBFone\r\ntwo\rthree\n caf\xC3\xA9 \xE9t\xE9 \0 and a long "
        "tail of plain text";
    struct document d = from(bytes, sizeof bytes - 1);
    assert_string_equal(d.text, "one\ntwo\nthree\n caf\xC3\xA9 \xEF\xBF\xBDt\xEF\xBF\xBD "
                                "\xEF\xBF\xBD and a long tail of plain text");
    assert_int_equal(d.n, strlen(d.text));
    assert_int_equal(d.fixes, 3);
    assert_int_equal(d.line_ends, 2);
    assert_true(d.bom);
    assert_int_equal(d.bytes, sizeof bytes - 1);
    assert_string_equal(d.name, "a.txt");
    document_free(&d);
    d = from("abc", 3);
    /* FIPS 180 test vector */
    assert_memory_equal(d.sha256,
                        "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23", 16);
    assert_int_equal(d.fixes + d.line_ends, 0);
    document_free(&d);
}

static void expect_refusal(const char *bytes, size_t n, const char *words)
{
    struct document d;
    struct err e = {0};
    assert_false(document_from_bytes(bytes, n, "my file", &d, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_null(d.text);
    if (!strstr(e.msg, words))
        fail_msg("\"%s\" is not in \"%s\"", words, e.msg);
}

/* All bytes of a literal, NULs included. */
#define refuse(literal, words) expect_refusal(literal, sizeof literal - 1, words)

static void refuses_what_is_not_text(void **state)
{
    (void)state;
    refuse("", "empty");
    refuse(" \n\t\xC2\xA0\r\n ", "white space");
    refuse("\xEF\xBB\xBF", "white space");
    refuse("%PDF-1.7 x", "pdftotext 'my file' - | terra summarize -");
    refuse("\x1f\x8b\x08xx", "zcat 'my file' | terra summarize -");
    refuse("BZh91AY&SY\xB8\xC8", "bzcat");
    expect_refusal("\xFD"
                   "7zXZ\0",
                   6, "xzcat");
    refuse("\x28\xB5\x2F\xFDxx", "zstdcat");
    refuse("PK\x03\x04....[Content_Types].xml", "a DOCX file, not text; try: pandoc -f docx");
    refuse("PK\x03\x04..mimetypeapplication/epub+zip", "EPUB");
    refuse("PK\x03\x04..mimetypeapplication/vnd.oasis.opendocument.text", "odt");
    refuse("PK\x03\x04 anything", "unzip -p");
    expect_refusal("\x7F"
                   "ELF\2\1\1",
                   7, "an ELF program, not text");
    refuse("\x89PNG\r\n", "PNG");
    refuse("\xFF\xFEh\0i\0", "iconv -f UTF-16");
    refuse("SQLite format 3\0", "SQLite");
    refuse("GIF89a\1\0\1\0", "a GIF image, not text");
    refuse("RIFF\x24\0\0\0WAVEfmt ", "an image or sound file");
    refuse("OggS\0\2", "a sound file");
    refuse("ID3\3\0\0\0", "a sound file");
    /* Latin-1 with many umlauts; random bytes with NULs */
    refuse("\xE4\xF6\xFC\xE4\xF6 ab cd", "iconv -f ISO-8859-1 -t UTF-8 'my file'");
    refuse("\0\1\2\3\0\0\0\0abc", "binary data");
}

/* What begins with the letters of a format is still text. */
static void words_like_a_format(void **state)
{
    (void)state;
    static const char *const text[] = {
        "ID3 is a tree algorithm by Ross Quinlan, na\u00EFve at first",
        "RIFF raff was his name",
        "GIF89a is a format",
        "OggS",
        "BZhou wrote it",
        "SQLite format 3 is SQLite's \u00E9"};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        struct document d = from(text[i], strlen(text[i]));
        assert_string_equal(d.text, text[i]);
        document_free(&d);
    }
    /* A character over the end of what is looked at is none that is damaged. */
    struct document d = from("ID3 "
                             "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvw"
                             "\u00E9",
                             65);
    document_free(&d);
}

/* Ten bad bytes of a hundred are repaired, eleven are not. */
static void ten_per_cent(void **state)
{
    (void)state;
    char text[100];
    memset(text, 'a', sizeof text);
    memset(text, 0xFF, 10);
    struct document d = from(text, sizeof text);
    assert_int_equal(d.fixes, 10);
    document_free(&d);
    text[50] = (char)0xFE;
    expect_refusal(text, sizeof text, "11% of the bytes are not UTF-8");
}

static void write_file(const char *name, char *path, const void *bytes, size_t n)
{
    snprintf(path, 160, "%s/%s", scratch_dir(), name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void files(void **state)
{
    (void)state;
    char path[160];
    struct document d;
    struct err e = {0};
    write_file("notes.md", path, "# Notes\n", 8);
    must(document_read(path, NULL, &d, &e));
    assert_string_equal(d.text, "# Notes\n");
    assert_string_equal(d.name, "notes.md");
    document_free(&d);
    assert_false(document_read(path, &(struct document_opts){.max_bytes = 7}, &d, &e));
    assert_non_null(strstr(e.msg, "larger than 7 bytes"));
    must(document_read(path, &(struct document_opts){.max_bytes = 8}, &d, &e));
    document_free(&d);
    assert_false(document_read("/nonexistent/x", NULL, &d, &e));
    assert_string_equal(e.msg, "no such file: /nonexistent/x");
    assert_false(document_read(scratch_dir(), NULL, &d, &e));
    assert_non_null(strstr(e.msg, "is a directory"));
    assert_false(
        document_read("/dev/zero", &(struct document_opts){.max_bytes = 100000}, &d, &e));
    assert_non_null(strstr(e.msg, "larger than 100000 bytes"));
}

static void *cancel_soon(void *flag)
{
    usleep(150000);
    atomic_store((atomic_bool *)flag, true);
    return NULL;
}

/* Nobody ever writes: reading must end when it is told to, and not before. */
static void silent_fifo_is_cancelled(void **state)
{
    (void)state;
    char path[160];
    struct document d;
    struct err e = {0};
    atomic_bool cancel = false;
    pthread_t thread;
    snprintf(path, sizeof path, "%s/fifo", scratch_dir());
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
    assert_false(document_read(path, &(struct document_opts){.cancel = &cancel}, &d, &e));
    assert_int_equal(e.kind, ERR_CANCELLED);
    assert_true(atomic_load(&cancel));
    pthread_join(thread, NULL);
}

static void *write_slowly(void *path)
{
    int fd = open(path, O_WRONLY);
    for (int i = 0; i < 5; i++) {
        if (write(fd, "part ", 5) != 5)
            break;
        usleep(20000);
    }
    close(fd);
    return NULL;
}

static void fifo_is_read_to_its_end(void **state)
{
    (void)state;
    char path[160];
    struct document d;
    struct err e = {0};
    pthread_t thread;
    snprintf(path, sizeof path, "%s/fifo2", scratch_dir());
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_slowly, path), 0);
    must(document_read(path, NULL, &d, &e));
    assert_string_equal(d.text, "part part part part part ");
    pthread_join(thread, NULL);
    document_free(&d);
}

/* A stand-in for pdftotext tells what it was called with. */
static void pdf_goes_through_the_converter(void **state)
{
    (void)state;
    char path[160], program[160], all[4096];
    struct document d;
    struct err e = {0};
    struct document_opts o = {.convert_pdf = true};
    char *old = strdup(getenv("PATH"));
    write_file("-a b;c.pdf", path, "%PDF-1.4 ...", 12);
    snprintf(program, sizeof program, "%s/bin", scratch_dir());
    assert_int_equal(mkdir(program, 0700), 0);
    setenv("PATH", program, 1);
    assert_false(document_read(path, &o, &d, &e));
    assert_non_null(strstr(e.msg, "pdftotext (poppler-utils) is not installed"));

    write_file("bin/pdftotext", program, "#!/bin/sh\nfor a; do echo \"[$a]\"; done\n", 38);
    chmod(program, 0700);
    snprintf(all, sizeof all, "%s/bin:%s", scratch_dir(), old);
    setenv("PATH", all, 1);
    char *cwd = getcwd(NULL, 0);
    assert_int_equal(chdir(scratch_dir()), 0);
    must(document_read("-a b;c.pdf", &o, &d, &e));
    assert_string_equal(d.text, "[-q]\n[-enc]\n[UTF-8]\n[./-a b;c.pdf]\n[-]\n");
    assert_string_equal(d.name, "-a b;c.pdf");
    document_free(&d);
    assert_int_equal(chdir(cwd), 0);

    write_file("bin/pdftotext", program, "#!/bin/sh\nexit 3\n", 17);
    assert_false(document_read(path, &o, &d, &e));
    assert_non_null(strstr(e.msg, "could not read it"));
    setenv("PATH", old, 1);
    free(old);
    free(cwd);
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
        cmocka_unit_test(repairs),
        cmocka_unit_test(refuses_what_is_not_text),
        cmocka_unit_test(words_like_a_format),
        cmocka_unit_test(ten_per_cent),
        cmocka_unit_test(files),
        cmocka_unit_test(silent_fifo_is_cancelled),
        cmocka_unit_test(fifo_is_read_to_its_end),
        cmocka_unit_test(pdf_goes_through_the_converter),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
