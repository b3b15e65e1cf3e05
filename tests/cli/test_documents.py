#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Documents of every kind: what is refused, what is repaired, and that nothing is cut silently."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
import unittest
from pathlib import Path

from common import TEXT, Case


class Documents(Case):
    def refused(self, data: bytes | str, *options: str) -> str:
        return self.fails(4, "summarize", "--no-log", *options, self.write("doc", data))

    def end(self, *args: str, stdin: bytes | None = None) -> dict:
        return self.works("summarize", "--json", *args, stdin=stdin).of("end")[0]

    def test_missing(self) -> None:
        self.assertIn("no such file", self.fails(4, "summarize", "/no/such/file"))

    def test_folder(self) -> None:
        self.assertIn("directory", self.fails(4, "summarize", str(self.tmp)))

    def test_empty_and_white(self) -> None:
        self.assertIn("empty", self.refused(""))
        self.assertIn("white space", self.refused(" \n\t\n"))

    def test_binary_names_the_converter(self) -> None:
        kinds = [
            (b"%PDF-1.7\n%\xe2\xe3", "pdftotext"),
            (b"\x1f\x8b\x08\x00" + bytes(range(64)), "gzip|zcat"),
            (b"PK\x03\x04" + bytes(60), "ZIP|zip|DOCX|docx|pandoc"),
            (b"\x7fELF\x02\x01\x01" + bytes(60), "ELF|not text"),
            (b"\x89PNG\r\n\x1a\n" + bytes(60), "PNG|image|not text"),
        ]
        for data, words in kinds:
            self.assertRegex(self.refused(data), words)

    def test_too_large(self) -> None:
        self.assertIn("2000", self.refused("word " * 1000, "--max-document", "2000"))
        self.end("--max-document", "10k", self.write("doc", TEXT))

    def test_latin_1_is_refused_with_the_command(self) -> None:
        self.assertIn("iconv", self.refused("ÄÖÜäöüß é è à".encode("latin-1") * 20))

    def test_few_bad_bytes_are_counted(self) -> None:
        path = self.write("doc", TEXT.encode() + b"caf\xe9 and more words here to read.\n")
        done = self.works("summarize", path)
        self.assertIn("1 malformed byte", done.err)

    def test_bom_crlf_nul(self) -> None:
        path = self.write("doc", b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode() * 2)
        plain = self.write("plain", TEXT * 2)
        self.assertEqual(self.works("summarize", path).out, self.works("summarize", plain).out)
        done = self.works("summarize", self.write("nul", TEXT.encode() * 2 + b"a\0b\n"))
        self.assertIn("1 malformed byte", done.err)

    def test_stdin(self) -> None:
        path = self.write("doc", TEXT)
        data = TEXT.encode()
        self.assertEqual(
            self.works("summarize", "-", stdin=data).out, self.works("summarize", path).out
        )

    def test_over_context_is_chunked_and_covered(self) -> None:
        end = self.end(self.write("doc", TEXT * 3))
        self.assertEqual(end["method"], "select")
        self.assertGreater(end["chunks"], 1)
        self.assertEqual(end["coverage"]["read"], end["coverage"]["total"])

    def test_single_refuses(self) -> None:
        line = self.refused(TEXT * 3, "--method", "single")
        self.assertRegex(line, r"\d+ tokens .* reads \d+")

    def test_truncation_only_when_allowed_and_said(self) -> None:
        path = self.write("doc", TEXT * 3)
        end = self.end("--allow-truncate", path)
        self.assertLess(end["coverage"]["read"], end["coverage"]["total"])
        done = self.works("summarize", "--allow-truncate", path)
        self.assertRegex(done.err, r"read \d+ of \d+ tokens \(the rest was left out")
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            rows = db.execute("SELECT n_read, n_in FROM run").fetchall()
        coverage = (end["coverage"]["read"], end["coverage"]["total"])
        self.assertEqual(rows, [coverage] * 2)

    def test_truncation_is_no_method_for_the_whole(self) -> None:
        path = self.write("doc", TEXT * 3)
        for method in ("select", "map-reduce", "refine"):
            line = self.fails(2, "summarize", "--allow-truncate", "--method", method, path)
            self.assertRegex(line, f"--allow-truncate .*--method {method}")
        for method in ("auto", "single"):
            end = self.end("--allow-truncate", "--method", method, path)
            self.assertEqual((end["method"], end["chunks"]), ("single", 1))
        folder = Path(self.env["HOME"]) / ".config/terra"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"method":"refine"}')
        end = self.end("--allow-truncate", path)
        self.assertEqual((end["method"], end["chunks"]), ("single", 1))

    def test_refine(self) -> None:
        end = self.end("--method", "refine", "-n", "8", self.write("doc", TEXT * 2))
        self.assertEqual(end["method"], "refine")
        self.assertEqual(end["steps"], end["chunks"])

    def test_every_step_is_shown(self) -> None:
        for method, last in (("select", "chosen"), ("map-reduce", "reduce")):
            path = self.write("doc", TEXT * 3)
            done = self.works("summarize", "--json", "--method", method, path)
            chunks = done.of("chunk")
            self.assertEqual([c["step"] for c in chunks], list(range(len(chunks))))
            self.assertEqual(chunks[-1]["text"].strip(), done.of("end")[0]["text"].strip())
            self.assertEqual({c["kind"] for c in chunks}, {"map", last})

    def test_the_chosen_is_a_chunk_summary(self) -> None:
        path = self.write("doc", TEXT * 3)
        for extra in ((), ("--temp", "1", "--seed", "5")):
            chunks = self.works("summarize", "--json", *extra, path).of("chunk")
            self.assertEqual([c["kind"] for c in chunks[:-1]], ["map"] * (len(chunks) - 1))
            self.assertEqual(chunks[-1]["text"], chunks[chunks[-1]["i"] - 1]["text"])
            self.assertEqual(chunks[-1]["of"], len(chunks) - 1)

    def test_a_length_takes_several_in_order(self) -> None:
        path = self.write("doc", TEXT * 3)
        done = self.works("summarize", "--json", "-n", "6", "--length", "20w", path)
        chosen = [c for c in done.of("chunk") if c["kind"] == "chosen"]
        self.assertGreater(len(chosen), 1)
        self.assertEqual([c["i"] for c in chosen], sorted({c["i"] for c in chosen}))
        text = "\n".join(c["text"].strip() for c in chosen)
        self.assertEqual(done.of("end")[0]["text"], text)
        plain = self.works("summarize", "-n", "6", "--length", "20w", path)
        self.assertEqual(plain.out.strip(), text)

    def test_a_missed_length_is_told(self) -> None:
        path = self.write("doc", TEXT * 3)
        missed = ("--allow-truncate", "-n", "4", "--length", "40w", path)
        end = self.end(*missed)
        self.assertEqual((end["goal"], end["length_met"]), (40, False))
        note = f"terra: the wanted length was 40, the summary's is {end['length']:.0f}\n"
        self.assertLess(end["length"], 30)
        self.assertIn(note, self.works("summarize", *missed).err)
        met = ("--allow-truncate", "-n", "4", "--length", "4t", path)
        self.assertTrue(self.end(*met)["length_met"])
        self.assertNotIn("the wanted length", self.works("summarize", *met).err)

    def test_reducing_ends_at_the_wanted_length(self) -> None:
        """In tokens too: of the summaries as they are now, not of all that was ever written."""
        path = self.write("doc", TEXT * 10)
        args = ("--method", "map-reduce", "-n", "6", "--length", "20t")
        done = self.works("summarize", "--json", *args, path)
        self.assertEqual([c["of"] for c in done.of("chunk") if c["kind"] == "reduce"], [3] * 3)
        self.assertTrue(done.of("end")[0]["length_met"])

    def test_beams(self) -> None:
        path = self.write("doc", TEXT)
        one = ("-n", "24", "--allow-truncate", path)
        greedy = self.end("--beams", "1", *one)
        best = self.end(*one)
        self.assertEqual(greedy["stats"]["search_ms"], 0)
        self.assertGreater(best["stats"]["search_ms"], 0)
        self.assertGreater(best["stats"]["ttft_ms"], best["stats"]["search_ms"])
        drawn = self.end("--temp", "1", "--seed", "3", *one)
        self.assertEqual(drawn["stats"]["search_ms"], 0)
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            params = [json.loads(p) for (p,) in db.execute("SELECT params FROM run ORDER BY id")]
        self.assertEqual([p["beams"] for p in params], [1, 4, 1])
        self.assertRegex(self.fails(2, "summarize", "--beams", "17", path), "beams.*16")

    def test_dry_run(self) -> None:
        path = self.write("doc", TEXT * 3)
        done = self.works("summarize", "--dry-run", "--json", "--overlap", "4", path)
        plan = done.of("plan")[0]
        data = (TEXT * 3).encode()
        self.assertEqual(plan["chunks"][0]["start"], 0)
        for a, b in zip(plan["chunks"], plan["chunks"][1:]):
            self.assertFalse(data[a["end"] : b["start"]].strip())  # no word between chunks
        self.assertFalse(data[plan["chunks"][-1]["end"] :].strip())
        self.assertFalse(self.db.exists())

    def test_chunk_sizes(self) -> None:
        path = self.write("doc", TEXT * 3)
        plan = self.works("summarize", "--dry-run", "--json", "--chunk", "20", path).of("plan")[0]
        self.assertTrue(all(c["tokens"] <= 20 for c in plan["chunks"]))
        self.assertIn("--chunk", self.fails(2, "summarize", "--chunk", "5000", path))
        overlap = ("--chunk", "10", "--overlap", "10")
        self.assertIn("--overlap", self.fails(2, "summarize", *overlap, path))

    def test_length(self) -> None:
        path = self.write("doc", "The cat sat on the mat. A dog came.\n")
        end = self.end("--length", "5t", path)
        self.assertLessEqual(end["stats"]["tokens_out"], 7)
        self.assertEqual(end["goal"], 5)
        for bad in ("5", "w", "0s", "-3w", "5x", "101%", "5ww"):
            self.assertIn("--length", self.fails(2, "summarize", f"--length={bad}", path))

    def test_short_text_is_given_back(self) -> None:
        done = self.works("summarize", self.write("doc", "Hi.\n"))
        self.assertEqual(done.out, "Hi.\n")
        self.assertIn("too short", done.err)
        path = self.write("doc", TEXT)
        done = self.works("summarize", "--length", "500w", path)
        self.assertEqual(done.out, TEXT)
        self.assertIn("already within the wanted length", done.err)

    def test_styles(self) -> None:
        path = self.write("doc", TEXT)
        self.assertNotEqual(
            self.works("summarize", "--style", "title", path).out,
            self.works("summarize", "--style", "tldr", path).out,
        )
        self.assertIn("title", self.fails(2, "summarize", "--style", "limerick", path))

    def test_rouge_reference(self) -> None:
        ref = self.write("ref", "The cat sat on the mat.\n")
        done = self.works("summarize", "--ref", ref, self.write("doc", TEXT))
        self.assertIn("rougeLsum", done.out)
        self.assertIn("no stemming", done.err)
        end = self.end("--ref", ref, self.write("doc", TEXT))
        self.assertEqual(set(end["rouge"]), {"rouge1", "rouge2", "rougeL", "rougeLsum"})

    def test_planning_is_linear(self) -> None:
        """A megabyte without a sentence, and one without even a space."""
        for data in ("aaaaaaa " * 125000, "a" * 1000000):
            path = self.write("doc", data)
            plan = self.works("summarize", "--dry-run", "--json", path).of("plan")[0]
            self.assertEqual(plan["tokens_read"], plan["tokens_total"])
            self.assertEqual(plan["chunks"][-1]["end"], len(data.rstrip()))
            for a, b in zip(plan["chunks"], plan["chunks"][1:]):
                self.assertFalse(data[a["end"] : b["start"]].strip())

    def test_stopped_coverage_is_what_was_read(self) -> None:
        path = self.write("doc", TEXT * 2000)
        process = self.start("summarize", "--json", path)
        lines = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if lines[-1]["type"] == "chunk" and lines[-1]["step"] == 0:
                process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGTERM)
        coverage = [x for x in lines if x["type"] == "end"][0]["coverage"]
        self.assertGreater(coverage["read"], 0)
        self.assertLess(coverage["read"], coverage["total"] // 2)
        with sqlite3.connect(self.db) as db:
            row = db.execute("SELECT tok_read, tok_total FROM summary").fetchone()
        self.assertEqual(row, (coverage["read"], coverage["total"]))

    def test_interrupt_while_reading_a_fifo(self) -> None:
        fifo = self.tmp / "fifo"
        os.mkfifo(fifo)
        writer = os.open(fifo, os.O_RDWR)
        os.write(writer, b"some text, then nothing more ")
        process = self.start("summarize", fifo)
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        os.close(writer)
        self.assertEqual(process.returncode, -signal.SIGINT)

    def test_same_words_in_same_order_give_same_bytes(self) -> None:
        path = self.write("doc", TEXT)
        runs = {self.works("summarize", path).raw for _ in range(3)}
        self.assertEqual(len(runs), 1)
        hot = ("--temp", "1.5", "--seed", "7")
        self.assertEqual(
            self.works("summarize", *hot, path).raw, self.works("summarize", *hot, path).raw
        )


if __name__ == "__main__":
    unittest.main()
