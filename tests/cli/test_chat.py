#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`terra chat`: what its settings and commands do to the runs that follow."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import unittest

from common import DENSE, ROOT, SPARSE, TERRA, TEXT, Case, Done

sys.path.insert(0, str(ROOT / "tests/e2e"))
import model as slow_model  # noqa: E402


class Chat(Case):
    def chat(self, *lines: str, options: tuple[str, ...] = ()) -> Done:
        script = "".join(line + "\n" for line in lines)
        return self.works("chat", "-n", "3", *options, stdin=script.encode())

    def rows(self, query: str) -> list[tuple]:
        with sqlite3.connect(self.db) as db:
            return db.execute(query).fetchall()

    def test_set_log_is_log(self) -> None:
        done = self.chat("/set log true", "hello", options=("--no-log",))
        self.assertIn("--no-log", done.err)
        self.assertFalse(self.db.exists())
        self.chat("one", "/set log false", "two", "/set log yes", "three", "/log off", "four")
        self.assertEqual(self.rows("SELECT prompt FROM run"), [(b"one",), (b"three",)])
        self.assertEqual(self.stored("session"), 1)
        self.assertIn("/log on or /log off", self.chat("/log perhaps").err)

    def test_set_takes_effect_at_once(self) -> None:
        self.chat("one", "/set trace none", "two", f"/set model {DENSE}", "three")
        traced = self.rows("SELECT DISTINCT run_id FROM trace ORDER BY run_id")
        self.assertEqual(traced, [(1,)])
        models = self.rows("SELECT path FROM run JOIN model ON model.id = model_id ORDER BY run.id")
        self.assertEqual([m for (m,) in models], [str(SPARSE)] * 2 + [str(DENSE)])
        self.assertEqual(self.stored("session"), 1)

    def test_set_says_what_it_cannot(self) -> None:
        done = self.chat("/set model /no/such", "/set db other.db", "/set trace some", "hello")
        self.assertIn("no such file: /no/such", done.err)
        self.assertIn("--db", done.err)
        self.assertIn("trace", done.err)
        self.assertEqual(self.stored(), 1)

    def test_what_is_not_saved_is_said_at_once(self) -> None:
        said = self.tmp / "stderr"
        with open(said, "wb") as err:
            process = subprocess.Popen(
                [TERRA, "chat", "-n", "3"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=err,
                env=self.env,
            )
        assert process.stdin is not None

        def ask(line: bytes, replies: int) -> str:
            process.stdin.write(line)
            process.stdin.flush()
            self.wait(lambda: said.read_text().count("first after") == replies, "a reply")
            return said.read_text()

        ask(b"one\n", 1)  # the run is stored before its times are said
        db = sqlite3.connect(self.db, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        ask(b"two\n", 2)
        text = ask(b"three\n", 3)  # what is said of a reply is said before the next
        self.assertEqual(text.count("terra: not being saved: database locked\n"), 1)
        db.execute("ROLLBACK")
        db.close()
        process.communicate(b"/bye\n", timeout=60)
        self.assertEqual(process.returncode, 0, said.read_text())
        self.assertEqual(self.stored(), 3)

    def test_input_that_cannot_be_read(self) -> None:
        folder = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, folder)
        done = subprocess.run([TERRA, "chat"], stdin=folder, capture_output=True, env=self.env)
        self.assertEqual((done.returncode, done.stdout), (4, b""))
        self.assertEqual(done.stderr, b"terra: standard input: Is a directory\n")

    def test_no_part_of_a_line_is_dropped(self) -> None:
        script = b"hello\0world\n\0hello\n/set temp 0\0.5\nhello\n"
        done = self.works("chat", "-n", "3", stdin=script)
        lines = [line for line in done.err.splitlines() if "tok/s" not in line]
        self.assertEqual(len(lines), 3)
        self.assertIn("1 malformed bytes became U+FFFD", lines[0])
        self.assertIn("binary data", lines[1])
        self.assertIn("NUL", lines[2])
        prompts = [p.decode() for (p,) in self.rows("SELECT prompt FROM run ORDER BY id")]
        self.assertEqual(prompts, ["hello\ufffdworld", "hello"])

    def test_compare_goes_by_the_settings(self) -> None:
        self.env["TERRA_MODEL"] = "/no/such/model"
        lines = ("hello", "/set max_tokens 5", "/set mode masked", "/set style title", "/compare")
        done = self.chat(*lines, options=("-m", str(SPARSE)))
        self.assertIn("A  torch-tiny masked: 5 tokens", done.out)
        runs = self.rows("SELECT session_id, kind, mode, params FROM run ORDER BY id")
        self.assertEqual([r[:2] for r in runs], [(1, "chat"), (1, "compare"), (1, "compare")])
        self.assertEqual([r[2] for r in runs], ["sparse", "masked", "masked"])
        self.assertEqual([json.loads(r[3])["style"] for r in runs], ["continue", "title", "title"])

    def test_compare_is_private_after_log_off(self) -> None:
        done = self.chat("one", "/log off", "two", "/compare")
        self.assertIn("same tokens", done.out)
        self.assertEqual(self.rows("SELECT prompt FROM run"), [(b"one",)])

    def test_compare_stays_in_its_session(self) -> None:
        self.chat("one")
        self.chat("two", "/compare", "/new", "three", "/compare", options=("-s", "1"))
        sessions = [s for (s,) in self.rows("SELECT session_id FROM run ORDER BY id")]
        self.assertEqual(sessions, [1] + [1] * 3 + [2] * 3)

    def test_continue_names_the_reply(self) -> None:
        """Not the run that was stored last, nor nothing after a change of settings."""
        text = self.write("doc.txt", TEXT)
        self.chat("one", f"/summarize {text}", "/compare", "/set trace all", "/continue")
        parents = self.rows("SELECT parent_id FROM run WHERE kind = 'chat' ORDER BY id")
        self.assertEqual(parents, [(None,), (1,)])

    def test_interrupt_stops_a_compare_alone(self) -> None:
        slow = slow_model.write(self.tmp, "slow")  # both sides write for seconds
        process = subprocess.Popen(
            [TERRA, "chat", "-m", str(slow)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
        )
        assert process.stdin is not None
        process.stdin.write(b"/set max 3\nhello\n/set max 4096\n/compare\n")
        process.stdin.flush()
        self.wait(lambda: self.stored() == 3, "both sides")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(b"/set max 3\nhello\n/stats\n/bye\n", timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"stopped; the text so far is kept", err)
        self.assertIn(b"The last reply has", out)
        ended = self.rows("SELECT kind, status FROM run ORDER BY id")
        cut = ("compare", "cancelled")
        self.assertEqual(ended, [("chat", "length"), cut, cut, ("chat", "length")])


if __name__ == "__main__":
    unittest.main()
