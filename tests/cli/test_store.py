#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The history from the command line: what is kept, and what happens when it cannot be."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest
from pathlib import Path

from common import DENSE, FIXTURES, SPARSE, TERRA, TEXT, Case, Done

REF = FIXTURES / "ref/models"  # every kind of layer; token ids only


class Store(Case):
    def sessions(self) -> list[dict]:
        return self.works("logs", "list", "--json").of("session")

    def run_once(self, text: str = "hello", n: int = 5) -> str:
        return self.works("run", "-q", "-n", str(n), text).out

    def test_every_run_is_kept(self) -> None:
        reply = self.run_once("a walk in the park")
        self.assertEqual(self.works("logs", "show", "-r").out, reply)
        self.assertEqual(self.works("logs", "-r").out, reply)
        self.assertEqual(self.db.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.db.parent.stat().st_mode & 0o777, 0o700)
        self.assertEqual(self.works("logs", "path").out.strip(), str(self.db))
        self.assertIn("a walk", self.works("logs", "list").out)

    def test_nothing_stored_yet(self) -> None:
        for command in (["list"], ["show"], ["search", "x"], ["status"]):
            self.assertIn(f"nothing is stored in {self.db}", self.fails(1, "logs", *command))
        self.assertIn("in none.db", self.fails(1, "logs", "list", "--db", "none.db"))
        self.assertIn("none.db", self.fails(5, "logs", "set-aside", "--db", "none.db"))
        self.fails(2, "logs", "frobnicate")

    def test_sessions_continue(self) -> None:
        self.run_once("one")
        self.run_once("two")
        self.works("run", "-n", "3", "-c", "three")
        self.works("run", "-n", "3", "-s", "1", "four")
        runs = {s["id"]: s["runs"] for s in self.sessions()}
        self.assertEqual(runs, {1: 2, 2: 2})
        self.works("run", "-n", "3", "five")
        done = self.works("chat", "-c", "-n", "3", stdin=b"six\n")
        self.assertIn("> five", done.out)
        self.assertEqual({s["id"]: s["runs"] for s in self.sessions()}, {1: 2, 2: 2, 3: 2})

    def test_a_session_that_is_not_there(self) -> None:
        """No other one is begun in its place, and nothing is written."""
        self.assertIn("no session 1", self.fails(1, "run", "-s", "1", "-n", "2", "hi"))
        for name in "one", "two":
            self.run_once(name)
        for command in (["run", "hi"], ["summarize", self.write("d", TEXT)], ["chat"],
                        ["compare", "--prompt", "hi"]):  # fmt: skip
            self.assertIn("no session 99", self.fails(1, *command, "-s", "99"))
            self.assertIn("terra logs list", self.fails(2, *command, "-s", "1a"))
        with sqlite3.connect(self.db) as db:  # as a session browser that still runs does
            db.execute(
                "UPDATE session SET deleted_ms = 1, deleted_pid = ?, deleted_start = ?, "
                "deleted_boot = ? WHERE id = 1", self.me()
            )  # fmt: skip
        self.assertIn("1 was deleted", self.fails(1, "run", "-s", "1", "-n", "2", "hi"))
        self.assertEqual(self.stored("session"), 2)
        self.assertEqual(self.stored(), 2)
        self.assertIn("no session", self.works("run", "-c", "-n", "2", "--db", "new.db", "hi").err)

    @staticmethod
    def me() -> tuple[int, int, str]:
        """This process as the history names it: number, start, and the machine's boot."""
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return os.getpid(), int(fields[19]), boot

    def test_search(self) -> None:
        self.run_once("the quick brown fox")
        self.run_once("a slow green turtle")
        hit = self.works("logs", "search", "turtle", "--json").of("hit")
        self.assertEqual([h["session"] for h in hit], [2])
        self.assertIn("[turtle]", hit[0]["snippet"])
        self.fails(1, "logs", "search", "elephant")

    def test_a_hit_is_one_line(self) -> None:
        self.works("summarize", self.write("doc", "A cat sat.\nIt saw a\nturtle\nin the pond.\n"))
        rows = self.works("logs", "search", "turtle").out.splitlines()
        self.assertEqual(len(rows), 1, rows)
        self.assertTrue(rows[0].endswith("It saw a [turtle] in the pond."), rows[0])

    def test_a_foreign_file_calls_nothing(self) -> None:
        """What a schema may name is little: somebody else may have made the file."""
        self.run_once("first")
        with sqlite3.connect(self.db) as db:
            update = "UPDATE session SET title = (SELECT user_version FROM pragma_user_version)"
            db.execute(f"CREATE TRIGGER t AFTER INSERT ON run BEGIN {update}; END")
        done = self.terra("run", "-n", "2", "second")
        self.assertEqual(done.status, 5, done.err)
        self.assertIn("unsafe use of virtual table", done.err)
        with sqlite3.connect(self.db) as db:
            self.assertEqual(db.execute("SELECT prompt FROM run").fetchall(), [(b"first",)])

    def test_exports(self) -> None:
        reply = self.run_once("hello", 6)
        one = self.works("logs", "export", "1", "-f", "json").lines[0]
        self.assertEqual(len(one["runs"][0]["tokens"]), 6)
        self.assertIn("hello", self.works("logs", "export", "1").out)
        rows = list(csv.DictReader(io.StringIO(self.works("logs", "export", "1", "-f", "csv").out)))
        self.assertEqual(len(rows), 6)
        self.assertTrue(self.works("logs", "export", "1", "-f", "jsonl").lines)
        target = self.tmp / "out.md"
        self.works("logs", "export", "1", "-o", target)
        self.assertIn(reply.strip()[:3], target.read_text(errors="replace"))
        self.fails(6, "logs", "export", "1", "-o", str(target))  # never over a file
        self.fails(1, "logs", "export", "99")

    def test_rm_and_prune(self) -> None:
        self.run_once("one")
        self.run_once("two")
        self.works("logs", "rm", "1")
        self.assertEqual([s["id"] for s in self.sessions()], [2])
        self.fails(1, "logs", "rm", "77")
        self.works("logs", "prune", "--older-than", "1h")
        self.assertEqual(len(self.sessions()), 1)
        said = self.works("logs", "prune", "--traces", "--older-than", "0d").err
        self.assertIn("traces of 5 tokens", said)
        self.fails(1, "trace", "last")
        self.works("logs", "prune", "--older-than", "0d")
        self.fails(1, "logs", "list")
        self.fails(2, "logs", "prune")
        self.fails(2, "logs", "prune", "--older-than", "soon")

    def test_on_and_off(self) -> None:
        self.works("logs", "off")
        self.run_once()
        self.fails(1, "logs", "list")
        self.assertFalse(self.works("logs", "status", "--json").of("status")[0]["log"])
        self.works("logs", "on")
        self.run_once()
        self.assertEqual(len(self.sessions()), 1)

    def test_backup(self) -> None:
        self.run_once()
        copy = self.tmp / "copy.db"
        self.works("logs", "backup", copy)
        self.assertIn("hello", self.works("logs", "list", "--db", copy).out)
        done = self.terra("logs", "backup", copy)
        self.assertEqual(done.status, 5)

    def test_names_that_sqlite_reads_otherwise(self) -> None:
        """Every name is a file's: neither a URI nor a database in memory."""
        self.run_once("first")
        other = self.tmp / "other.db"
        self.works("run", "-q", "-n", "3", "--db", other, "second")
        for name in ("file:other.db", ":memory:"):
            self.works("logs", "backup", name)
            self.assertGreater((self.tmp / name).stat().st_size, 0)
            with sqlite3.connect(self.tmp / name) as db:
                self.assertEqual(db.execute("SELECT prompt FROM run").fetchone()[0], b"first")
        self.assertIn("second", self.works("logs", "list", "--db", other).out)
        self.works("run", "-q", "-n", "3", "--db", "file:new.db?mode=memory", "third")
        self.assertTrue((self.tmp / "file:new.db?mode=memory").exists())
        self.assertFalse((self.tmp / "new.db").exists())
        listed = self.works("logs", "list", "--db", "file:new.db?mode=memory").out
        self.assertIn("third", listed)

    def test_replay_needs_no_model(self) -> None:
        reply = self.run_once("hello", 12)
        self.env["TERRA_MODEL"] = "/no/such/model"
        self.assertEqual(self.works("replay", "last", "--speed", "0").out, reply)
        lines = self.works("replay", "1", "--speed", "0", "--json")
        self.assertEqual(len(lines.of("token")), 12)
        cast = self.works("replay", "1", "-f", "asciicast").out.splitlines()
        self.assertEqual(json.loads(cast[0])["version"], 2)
        self.fails(1, "replay", "55")
        self.fails(2, "replay", "first")

    def test_replay_keeps_time(self) -> None:
        self.run_once("hello", 8)
        with sqlite3.connect(self.db) as db:
            db.execute("UPDATE token SET ns = 100000000")
        start = time.monotonic()
        self.works("replay", "last")
        self.assertGreater(time.monotonic() - start, 0.75)

    def test_trace_and_stats(self) -> None:
        self.run_once("hello", 7)
        rows = list(csv.DictReader(io.StringIO(self.works("trace", "last").out)))
        self.assertEqual(len(rows), 7 * 2 * 6)  # tokens, layers, blocks
        self.assertTrue(all(0 <= int(r["unit"]) < 4 for r in rows))
        lines = self.works("trace", "last", "--json", "--layer", "1").of("trace")
        self.assertEqual([len(x["units"]) for x in lines], [1] * 7)
        stats = self.works("stats", "--json").of("stats")[0]
        self.assertEqual((stats["rows"], stats["blocks"], stats["units"]), (7, 6, 4))
        self.assertFalse(stats["evidence"])
        counted = csv.DictReader(io.StringIO(self.works("stats", "-f", "csv").out))
        self.assertEqual(sum(int(r["count"]) for r in counted), 7 * 2 * 6)
        self.assertIn("chance", self.works("stats", "-m", SPARSE).out)
        self.fails(1, "trace", "last", "--stage", "enc")
        self.works("run", "-n", "3", "--trace", "all", "hello")
        enc = list(csv.DictReader(io.StringIO(self.works("trace", "last", "--stage", "enc").out)))
        self.assertGreater(len(enc), 0)
        self.works("run", "-n", "3", "--trace", "none", "hello")
        self.fails(1, "trace", "last")

    def test_stats_of_a_model_write_nothing(self) -> None:
        self.assertIn("history.db", self.fails(5, "stats", "-m", SPARSE))
        self.assertFalse(self.db.exists())
        self.run_once()
        with sqlite3.connect(self.db) as db:
            before = db.execute("SELECT id, path, config FROM model").fetchall()
        other = self.tmp / "other"
        other.symlink_to(SPARSE)
        self.assertEqual(self.works("stats", "-m", other).out, self.works("stats").out)
        self.assertIn("no run of that model", self.fails(1, "stats", "-m", DENSE))
        with sqlite3.connect(self.db) as db:
            self.assertEqual(db.execute("SELECT id, path, config FROM model").fetchall(), before)

    def test_stats_of_layers_of_several_widths(self) -> None:
        """A block that a layer lacks is not one without use."""
        self.works("run", "--ids", "-m", REF / "growing", "-n", "20", "3 4 5")
        rows = list(csv.DictReader(io.StringIO(self.works("trace", "last").out)))
        layers = self.works("stats", "--json").of("layer")
        self.assertEqual(len(layers), 5)
        widths = []
        for n, layer in enumerate(layers):
            here = [row for row in rows if row["layer"] == str(n)]
            blocks = [[r for r in here if r["block"] == b] for b in {r["block"] for r in here}]
            widths.append(len(blocks))
            units = [[row["unit"] for row in block] for block in blocks]
            flips = sum(a != b for block in units for a, b in zip(block, block[1:]))
            unused = sum(8 - len(set(block)) for block in units) / (8 * len(blocks))
            self.assertAlmostEqual(layer["unused"], unused, places=4)
            self.assertAlmostEqual(layer["flips"], flips / (19 * len(blocks)), places=4)
            zero = sum(row["alive"] == "0" for row in here) / len(here)
            self.assertAlmostEqual(layer["zero"], zero, places=4)
            self.assertGreaterEqual(layer["effective_units"], 1)
        self.assertEqual(widths, [4, 4, 8, 16, 16])
        counted = csv.DictReader(io.StringIO(self.works("stats", "-f", "csv").out))
        self.assertEqual(len(list(counted)), sum(widths) * 8)

    def test_one_layer(self) -> None:
        self.run_once()
        for command in (["stats"], ["trace", "last"]):
            self.assertIn("has 2 layers", self.fails(1, *command, "--layer", "2"))
            for more in ([], ["--format", "csv"], ["--json"]):
                self.assertTrue(self.works(*command, *more, "--layer", "1").out)
            text = self.works(*command, "--layer", "1", "-f", "csv").out
            rows = csv.DictReader(io.StringIO(text))
            self.assertEqual({row["layer"] for row in rows}, {"1"})
        for option in (["--layer", "1"], ["--stage", "dec"]):
            self.assertIn(option[0], self.fails(2, "trace", "last", "--lens", "2", *option))

    def test_trace_is_what_the_engine_chose(self) -> None:
        masked = self.works("run", "-n", "7", "--mode", "masked", "hello")
        rows_a = self.works("trace", "last", "--json").of("trace")
        sparse = self.works("run", "-n", "7", "hello")
        rows_b = self.works("trace", "last", "--json").of("trace")
        self.assertEqual(masked.out, sparse.out)
        self.assertEqual(rows_a, rows_b)

    def test_summary_with_its_steps(self) -> None:
        path = self.write("doc.txt", TEXT * 3)
        end = self.works("summarize", "--json", path).of("end")[0]
        with sqlite3.connect(self.db) as db:
            row = db.execute("SELECT method, tok_read, tok_total, body FROM summary").fetchone()
            steps = db.execute("SELECT count(*) FROM summary_step").fetchone()[0]
            kinds = {k for (k,) in db.execute("SELECT DISTINCT kind FROM run")}
            document = db.execute("SELECT name, bytes, body FROM document").fetchone()
        self.assertEqual(row[0], "select")
        self.assertEqual(row[1:3], (end["coverage"]["read"], end["coverage"]["total"]))
        self.assertEqual(row[3], end["text"])
        self.assertEqual(steps, end["steps"])
        self.assertEqual(kinds, {"map", "summary"})
        self.assertEqual(document[:2], ("doc.txt", len(TEXT) * 3))

    def test_summary_of_many_steps_is_shown_whole(self) -> None:
        """The last step wrote only a part of it."""
        path = self.write("doc.txt", TEXT * 6)
        for method in ("select", "map-reduce"):
            whole = self.works("summarize", "-q", "--method", method, "--length", "60w", path).out
            self.assertEqual(self.works("logs", "-r").out, whole)
            reply = self.works("logs", "show", "-r", "--json").of("reply")[0]
            self.assertEqual(reply["text"] + "\n", whole)
            exported = self.works("logs", "export", "last", "-f", "json").lines[0]
            last = exported["runs"][-1]
            self.assertNotEqual(last["output"], reply["text"])
            (summary,) = exported["summaries"]
            self.assertEqual((summary["method"], summary["target"]), (method, "60w"))
            self.assertEqual((summary["run"], summary["body"]), (last["id"], reply["text"]))
            self.assertEqual(summary["tok_read"], summary["tok_total"])
            self.assertEqual(summary["steps"], [run["id"] for run in exported["runs"]])
            lines = self.works("logs", "export", "last", "-f", "jsonl").of("summary")
            self.assertEqual({**summary, "v": 1, "type": "summary"}, lines[0])
            text = self.works("logs", "export", "last").out
            self.assertIn(f"## Summary\n\n{method} of {len(summary['steps'])} runs", text)
            self.assertIn(re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", "\ufffd", whole), text)
        self.run_once("and now a prompt")
        self.assertNotEqual(self.works("logs", "-r").out, whole)

    def test_two_at_once(self) -> None:
        processes = [self.start("run", "-n", "20", f"number {i}") for i in range(6)]
        for process in processes:
            _, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, err)
        self.assertEqual(len(self.sessions()), 6)

    def unsaved(self, *args: str) -> None:
        """The reply is printed, the trouble named, and the exit status is 5."""
        expected = self.works("run", "--no-log", "-n", "5", "hello").out
        done = self.terra("run", "-n", "5", *args, "hello")
        self.assertEqual(done.status, 5, done.err)
        self.assertEqual(done.out, expected)
        self.assertIn("saved", done.err)

    def without_rights(self, *args: str | Path) -> Done:
        """As somebody who owns nothing, if we may be him; else as ourselves."""
        self.tmp.chmod(0o755)
        program = self.tmp / "terra"  # where it was built may be closed to others
        shutil.copy(TERRA, program)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
        done = subprocess.run(
            [program, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self.env, cwd=self.tmp, timeout=120, **nobody,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def test_locked(self) -> None:
        self.run_once()
        db = sqlite3.connect(self.db, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        self.unsaved()
        db.execute("ROLLBACK")
        db.close()
        self.run_once()

    def test_not_a_database(self) -> None:
        path = self.write("notes.txt", "these are not the rows you look for\n" * 100)
        self.unsaved("--db", path)
        self.assertIn("these are", Path(path).read_text())
        other = str(self.tmp / "other.db")
        with sqlite3.connect(other) as db:
            db.execute("CREATE TABLE bookmarks(url TEXT)")
        self.unsaved("--db", other)
        self.assertEqual(self.terra("logs", "list", "--db", other).status, 5)

    def test_newer(self) -> None:
        self.run_once()
        with sqlite3.connect(self.db) as db:
            db.execute("PRAGMA user_version = 99")
        self.unsaved()
        done = self.terra("run", "-n", "3", "hello")
        self.assertIn("written by a newer terra", done.err)
        self.assertIn("not being saved: ", done.err)
        self.assertEqual(len(self.sessions()), 1)

    def test_full_at_the_first_row(self) -> None:
        """The cause is named, not what fails after it."""
        self.run_once()
        size = self.db.stat().st_size // 1024
        full = 0
        for blocks in range(size * 3 // 4, size * 3 // 2, 4):
            for path in self.db.parent.glob("history.db*"):
                path.unlink()
            script = f"ulimit -f {blocks}; exec \"$0\" run -n 30 hello"
            done = subprocess.run(
                ["bash", "-c", script, TERRA], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=self.env,
            )  # fmt: skip
            self.assertIn(done.returncode, (0, 5), done.stderr)
            self.assertEqual(done.returncode == 5, b"disk full" in done.stderr, done.stderr)
            full += done.returncode == 5
        self.assertGreater(full, 0)

    def test_history_that_may_not_be_written(self) -> None:
        """Another person's history can be read; the usual one has a write-ahead log."""
        self.run_once("hello")
        self.env["TERRA_MODEL"] = str(self.model())
        shared = self.tmp / "shared"
        shared.mkdir()
        db = shared / "h.db"
        shutil.copy(self.db, db)
        db.chmod(0o444)
        shared.chmod(0o555)
        self.addCleanup(shared.chmod, 0o755)
        for args in (["list"], ["show", "1"], ["search", "hello"], ["export", "1"], ["status"]):
            done = self.without_rights("logs", *args, "--db", db)
            self.assertEqual(done.status, 0, done.err)
            self.assertIn("nothing will be saved", done.err)
            self.assertTrue(done.out)
        done = self.without_rights("logs", "rm", "1", "--db", db)
        self.assertEqual(done.status, 5)
        self.assertIn("opened for reading only", done.err)
        done = self.without_rights("run", "-n", "3", "--db", db, "more")
        self.assertEqual(done.status, 5)
        self.assertIn("not being saved: ", done.err)
        self.assertTrue(done.out)
        self.assertEqual([p.name for p in shared.iterdir()], ["h.db"])

    def test_damaged(self) -> None:
        for _ in range(3):
            self.run_once()
        data = bytearray(self.db.read_bytes())
        rng = random.Random(3)
        for at in range(0, len(data), 16):
            data[at] ^= rng.randrange(256)
        self.db.write_bytes(data)
        self.unsaved()
        self.assertEqual(self.terra("logs", "list").status, 5)

    def test_set_aside(self) -> None:
        """A damaged file names the command that makes room."""
        for _ in range(3):
            self.run_once()
        with sqlite3.connect(self.db) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        data = bytearray(self.db.read_bytes())
        data[100:] = bytes(b ^ 0x5A for b in data[100:])
        self.db.write_bytes(data)
        done = self.terra("run", "-n", "3", "hello")
        self.assertEqual(done.status, 5)
        self.assertIn("terra logs set-aside", done.err)
        self.assertIn(".corrupt-", self.works("logs", "set-aside").err)
        self.assertEqual(len(list(self.db.parent.glob("history.db.corrupt-*"))), 1)
        self.run_once()
        self.assertEqual(len(self.sessions()), 1)
        self.fails(2, "logs", "set-aside", "all")

    def test_path(self) -> None:
        line = self.works("logs", "path", "--json").of("path")[0]
        self.assertEqual(line["path"], str(self.db))
        other = str(self.tmp / "other.db")
        self.assertIn(f"history: {other}", self.terra("doctor", "--db", other).out)
        del self.env["HOME"]
        for action in "path", "list", "set-aside", "on":
            self.assertIn("HOME", self.fails(5, "logs", action))

    def test_formats(self) -> None:
        reply = self.run_once("hello", 6)
        self.assertEqual(self.works("logs", "-r", "--json").of("reply")[0]["text"] + "\n", reply)
        for command in (["logs", "list"], ["logs", "search", "hello"], ["logs", "status"],
                        ["stats"], ["trace", "last"]):  # fmt: skip
            as_json = self.works(*command, "--json").out
            self.assertEqual(self.works(*command, "--format", "jsonl").out, as_json)
            self.assertEqual(self.works(*command, "--format", "json").out, as_json)
            self.assertIn("--format", self.fails(2, *command, "--format", "md"))
        self.fails(2, "logs", "list", "--format", "csv")

    def test_reply_to_a_file(self) -> None:
        reply = self.run_once("hello", 6)
        line = self.works("logs", "-r", "--json").raw
        for n, (command, expected) in enumerate((
            (["logs", "-r"], reply.encode("utf-8", "replace")),
            (["logs", "show", "-r"], reply.encode("utf-8", "replace")),
            (["logs", "-r", "--json"], line),
            (["logs", "show", "last", "-r", "-f", "json"], line),
        )):  # fmt: skip
            target = self.tmp / f"reply{n}"
            self.assertEqual(self.works(*command, "-o", target).out, "")
            self.assertEqual(target.read_bytes().decode("utf-8", "replace").encode(), expected)
            self.assertIn("File exists", self.fails(6, *command, "-o", target))
        self.assertEqual(self.works("logs", "-r", "--format", "json").raw, line)
        self.assertIn("--format", self.fails(2, "logs", "-r", "--format", "csv"))
        target = self.tmp / "not made"
        for action in (["list"], ["search", "hello"], ["status"], ["path"], ["off"]):
            self.assertIn("--output", self.fails(2, "logs", *action, "-o", target))
        self.assertIn("--response", self.fails(2, "logs", "list", "-r"))
        self.assertFalse(target.exists())
        self.assertTrue(self.works("logs", "status", "--json").of("status")[0]["log"])

    def test_place_that_cannot_be_written(self) -> None:
        self.unsaved("--db", "/proc/terra/history.db")
        self.unsaved("--db", str(self.tmp))

    def test_disk_full(self) -> None:
        """A limit on file sizes fails writes as a full disk does."""
        self.run_once()
        blocks = self.db.stat().st_size // 1024 + 8
        document = self.write("long.txt", TEXT * 60)
        script = f"ulimit -f {blocks}; exec \"$0\" summarize {document}"
        done = subprocess.run(
            ["bash", "-c", script, TERRA], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.env,
        )  # fmt: skip
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn(b"saved", done.stderr)
        expected = self.works("summarize", "--no-log", document).raw
        self.assertEqual(done.stdout, expected)
        self.works("doctor")

    def test_limit_on_file_sizes(self) -> None:
        """The signal that comes with the limit does not end the program: one line says it."""
        self.run_once("hello", 60)
        script = 'ulimit -f 1; exec "$0" logs export 1 -q -f json -o out.json'
        done = subprocess.run(
            ["bash", "-c", script, TERRA], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.env, cwd=self.tmp,
        )  # fmt: skip
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertRegex(done.stderr, rb"^terra: [^\n]*: File too large\n$")

    def test_deleted_while_open(self) -> None:
        document = self.write("long.txt", TEXT * 600)
        process = self.start("summarize", "-q", document)
        self.wait(lambda: self.stored() > 20, "some runs")
        for path in self.db.parent.glob("history.db*"):
            path.unlink()
        _, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(len(self.sessions()), 1)

    def test_killed_at_random_moments(self) -> None:
        document = self.write("long.txt", TEXT * 2000)
        rng = random.Random(4)
        for _ in range(10):
            before = self.stored()
            process = self.start("summarize", "-q", document)
            self.wait(lambda: self.stored() > before, "a run")
            time.sleep(rng.random())
            process.send_signal(signal.SIGKILL)
            process.communicate()
        self.works("doctor")  # integrity_check
        self.assertTrue(any(s["interrupted"] for s in self.sessions()))
        with sqlite3.connect(self.db) as db:
            running = db.execute("SELECT count(*) FROM run WHERE status = 'running'").fetchone()
            ended = db.execute("SELECT count(*) FROM run WHERE status = 'interrupted'").fetchone()
        self.assertEqual(running[0], 0)
        self.assertGreater(ended[0], 0)
        self.works("replay", "last", "--speed", "0")


if __name__ == "__main__":
    unittest.main()
