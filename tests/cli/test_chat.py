#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`terra chat`: what its settings and commands do to the runs that follow."""

from __future__ import annotations

import contextlib
import json
import os
import re
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

    def test_log_on_tells_of_the_file_that_is_off(self) -> None:
        self.works("logs", "off")
        self.assertIn("before 'terra logs on'", self.chat("/log on", "one").err)
        self.assertEqual(self.stored("run"), 0)
        self.works("logs", "on")
        self.assertNotIn("logs on", self.chat("/log on", "one").err)

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
        of_replies = ("tok/s", "blank lines")
        lines = [x for x in done.err.splitlines() if not any(w in x for w in of_replies)]
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

    def test_every_command_of_the_screen_is_known(self) -> None:
        """Done, or answered by what there is instead."""
        table = (ROOT / "app/commands.def").read_text(encoding="utf-8")
        names = re.findall(r'(?m)^CMD\(\w+, "(\w+)"', table)
        self.assertIn("zoom", names)
        self.assertIn("sessions", names)
        listed = re.findall(r"(?m)^/(\w+)", self.chat("/help").out)
        on_screen = set()
        for name in names:
            done = self.chat(f"/{name}", f":{name}")  # a prompt would be stored
            self.assertNotIn("no command", done.err)
            if f"/{name}: only on a screen; " in done.err:
                on_screen.add(name)
        self.assertEqual(set(names) - on_screen - set(listed), set())
        self.assertEqual(on_screen & set(listed), set())
        self.assertLessEqual({"zoom", "metric", "theme", "mouse"}, on_screen)
        self.assertEqual(self.stored(), 0)

    def test_lists_are_those_of_logs(self) -> None:
        self.chat("a cat", "/new", "a dog", "/rename Pets")
        self.assertEqual(self.chat("/sessions").out, self.works("logs", "list").out)
        self.assertEqual(self.chat("/find cat").out, self.works("logs", "search", "cat").out)
        hits = self.chat("/find dog", options=("--json",)).of("hit")
        self.assertEqual([(h["session"], h["run"]) for h in hits], [(2, 2)])
        found = self.chat("/sessions cat", options=("--json",)).of("session")
        self.assertEqual([s["id"] for s in found], [1])
        done = self.chat("/sessions mouse", "/find mouse", "/find")
        self.assertEqual(done.out, "")
        self.assertEqual(done.err.count("nothing matches 'mouse'"), 2)
        self.assertIn("/find TEXT", done.err)
        fresh = self.chat("one more", "/sessions one", options=("--json",)).of("session")
        self.assertEqual([s["runs"] for s in fresh], [1])

    def test_delete_and_undo(self) -> None:
        self.chat("one", "/new", "two", "/new", "three")
        lines = ("/undo", "/delete 2", "/delete 1", "/undo", "/delete 9", "/delete", "/open 2")
        done = self.chat(*lines)
        self.assertIn("nothing was deleted here", done.err)
        self.assertIn("session 1 is back", done.err)
        self.assertIn("no such session", done.err)
        self.assertIn("/delete ID", done.err)
        self.assertIn("session 2 was deleted", done.err)
        left = "SELECT id FROM session WHERE deleted_ms IS NULL ORDER BY id"
        self.assertEqual(self.rows(left), [(1,), (3,)])

    def test_undo_passes_over_what_was_purged(self) -> None:
        self.chat("one", "/new", "two")
        process = subprocess.Popen(
            [TERRA, "chat"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env
        )
        assert process.stdin is not None
        process.stdin.write(b"/delete 2\n/delete 1\n")
        process.stdin.flush()
        self.wait(lambda: self.stored("session WHERE deleted_ms > 0") == 2, "both are deleted")
        with contextlib.closing(sqlite3.connect(self.db, isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("DELETE FROM session WHERE id = 1")
        _, err = process.communicate(b"/undo\n/undo\n", timeout=60)
        self.assertIn(b"session 2 is back", err)
        self.assertIn(b"nothing was deleted here", err)

    def test_delete_of_its_own_session(self) -> None:
        done = self.chat("one", "/delete 1", "/rename gone", "two", "/undo", "three")
        self.assertIn("nothing stored yet", done.err)
        runs = "SELECT session_id, prompt FROM run ORDER BY id"
        self.assertEqual(self.rows(runs), [(1, b"one"), (2, b"two"), (2, b"three")])
        self.assertEqual(self.rows("SELECT count(*) FROM session WHERE deleted_ms > 0"), [(0,)])
        self.chat("/delete 2", "/undo", "four", options=("-s", "2"))
        self.assertEqual(self.rows(runs)[-1], (2, b"four"))

    def test_lens_and_like_look_at_the_last_reply(self) -> None:
        done = self.chat("one", "two", "/lens", "/like", "/lens 0", "/like 0", options=("--json",))
        for kind in ("lens", "like"):
            told = done.of(kind)
            for token in ("2", "0"):
                lens = ("trace", "2", "--lens", token)
                args = lens if kind == "lens" else ("logs", "like", "2", token)
                rows = self.works(*args, "--json").of(kind)
                self.assertGreater(len(rows), 1)
                self.assertEqual(told[: len(rows)], rows)
                del told[: len(rows)]
            self.assertEqual(told, [])
        words = self.chat("/open 1", "/lens 1", "/lens 3", "/lens x", "/like 3").out
        self.assertRegex(words, r"Layer 0 would write '.*' with [0-9.]+ percent; the token written")

    def test_lens_leaves_the_settings_alone(self) -> None:
        """Its mode is the run's, whatever the chat's is by then."""
        lines = ("one", "/set mode masked", "/lens 0", "two", "/continue")
        done = self.chat(*lines, options=("--json", "--mode", "open"))
        rows = self.works("trace", "1", "--lens", "0", "--json").of("lens")
        self.assertEqual(done.of("lens"), rows)
        modes = self.rows("SELECT mode FROM run ORDER BY id")
        self.assertEqual(modes, [("open",), ("masked",), ("masked",)])

    def test_what_needs_a_stored_reply(self) -> None:
        text = self.write("doc.txt", TEXT)
        for lines in (("/lens",), ("/log off", "one", "/lens"), ("one", "/new", "/lens")):
            done = self.chat(*lines, "/like", "/replay")
            self.assertEqual(done.err.count("no reply to look at is stored"), 3, lines)
        done = self.chat("one", "/lens 3", "/lens x", "/like -1", f"/set model {DENSE}", "/lens")
        self.assertIn("has 3 tokens, from 0", done.err)
        self.assertIn("'x' is not the number of a token", done.err)
        self.assertIn("'-1' is not the number of a token", done.err)
        self.assertIn(f"written by another model: /model {SPARSE}", done.err)
        done = self.chat("one", f"/summarize {text}", "/replay")
        newest = self.rows("SELECT max(id) FROM run")[0][0]
        self.assertIn(f"run {newest}: ", done.err)

    def test_replay(self) -> None:
        reply = self.chat("one").out
        self.assertEqual(self.chat("/replay 1", "/replay last").out, 2 * reply)
        self.assertEqual(self.chat("/replay 1", "one", "/replay").out, 3 * reply)
        done = self.chat("/replay 9", "/replay nine")
        self.assertIn("no run 9", done.err)
        self.assertIn("'nine' is not the number of a run", done.err)

    def test_interrupt_stops_a_replay_alone(self) -> None:
        self.chat("one")
        with sqlite3.connect(self.db) as db:
            db.execute("UPDATE token SET ns = 600000000000 WHERE pos = 2")
            db.execute("UPDATE token SET text = CAST('x' AS BLOB)")
        process = subprocess.Popen(
            [TERRA, "chat", "-n", "3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"/replay 1\n")
        process.stdin.flush()
        self.assertEqual(os.read(process.stdout.fileno(), 1), b"x")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(b"two\n/bye\n", timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"terra: stopped\n", err)
        self.assertEqual(self.stored(), 2)

    def test_style(self) -> None:
        done = self.chat("/style", "/style title", "one", "/style nonsense", "two", "/regenerate")
        self.assertEqual(done.out.split()[:2], ["title", "description"])
        self.assertIn("no style 'nonsense'", done.err)
        styles = [json.loads(p)["style"] for (p,) in self.rows("SELECT params FROM run")]
        self.assertEqual(styles, ["title"] * 3)
        prompts = self.rows("SELECT prompt FROM run ORDER BY id")
        self.assertEqual(prompts, [(b"one",), (b"two",), (b"two",)])


if __name__ == "__main__":
    unittest.main()
