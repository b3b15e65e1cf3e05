#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`terra chat`: what its settings and commands do to the runs that follow."""

from __future__ import annotations

import sqlite3
import unittest

from common import DENSE, SPARSE, Case, Done


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


if __name__ == "__main__":
    unittest.main()
