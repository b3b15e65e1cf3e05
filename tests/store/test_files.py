#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""History files as another SQLite and another decoder see them, and as the world treats them."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TERRA_BUILD", ROOT / "build"))
PROGRAM = str(BUILD / "tests/unit/data/test_store_program")
PLACES, UNITS, NONE = 12, 8, 0xFFFF  # as tests/unit/data/store_fixture.h makes them
BUSY, FULL = 1, 2  # enum store_trouble
PATIENT_MS = "20000"  # wait for locks longer than any test lasts


def unit_at(row: int, place: int) -> int:
    """The made-up choice of store_fixture.h."""
    if place == PLACES - 1:
        return NONE
    return (row * 5 + place) % UNITS if place % 3 == 0 else place % UNITS


def decode(codec: int, blob: bytes) -> list[list[int]]:
    """Rows of a trace chunk, written from terra-db(5) alone."""
    rows, layers, blocks, levels = (
        int.from_bytes(blob[i : i + 2], "little") for i in range(0, 8, 2)
    )
    symbols = levels + blob[8]
    width = (symbols - 1).bit_length()
    bits = "".join(f"{byte:08b}" for byte in blob[9:])
    at = 0

    def value() -> int:
        nonlocal at
        at += width
        v = int(bits[at - width : at] or "0", 2)
        return NONE if v == levels else v

    places = layers * blocks
    out = [[value() for _ in range(places)]]
    for _ in range(rows - 1):
        if codec == 1:
            out.append([value() for _ in range(places)])
            continue
        changed = bits[at : at + places]
        at += places
        out.append([value() if changed[i] == "1" else out[-1][i] for i in range(places)])
    assert "1" not in bits[at:] and len(bits) - at < 8
    return out


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as db:
        yield db


class Files(unittest.TestCase):
    def setUp(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="terra-files-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.db = self.dir / "history.db"

    def run_program(
        self, *args: str, before: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, args[0], str(self.db), *args[1:]],
            text=True,
            capture_output=True,
            timeout=60,
            preexec_fn=before,
        )

    def must_run(self, *args: str) -> str:
        done = self.run_program(*args)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def must_be_sound(self) -> None:
        with database(self.db) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertEqual(db.execute("PRAGMA foreign_key_check").fetchall(), [])
            db.execute("INSERT INTO run_fts(run_fts) VALUES('integrity-check')")

    def test_schema_is_the_one_that_is_documented(self) -> None:
        self.must_run("once", "10", PATIENT_MS)
        query = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"
        with closing(sqlite3.connect(":memory:")) as want, database(self.db) as have:
            want.executescript((ROOT / "data/schema.sql").read_text(encoding="utf-8"))
            self.assertEqual(have.execute(query).fetchall(), want.execute(query).fetchall())
            self.assertEqual(have.execute("PRAGMA application_id").fetchone(), (0x54465231,))
            self.assertEqual(have.execute("PRAGMA user_version").fetchone(), (1,))
            self.assertEqual(have.execute("PRAGMA journal_mode").fetchone(), ("wal",))

    def test_traces_decode_from_the_manual(self) -> None:
        self.must_run("once", "150", PATIENT_MS)
        units: dict[int, list[int]] = {}
        alive: dict[int, list[int]] = {}
        with database(self.db) as db:
            rows = db.execute("SELECT plane, pos, n, codec, crc32, data FROM trace").fetchall()
        self.assertEqual(len(rows), 9)  # three planes of 64 + 64 + 22 rows
        for plane, pos, n, codec, crc, data in rows:
            self.assertEqual(zlib.crc32(data), crc)
            decoded = decode(codec, data)
            self.assertEqual(len(decoded), n)
            for i, row in enumerate(decoded):
                if plane == "unit":
                    units[pos + i] = row
                elif plane == "alive":
                    alive[pos + i] = row
        for r in range(150):
            self.assertEqual(units[r], [unit_at(r, p) for p in range(PLACES)])
            want = [NONE if p == PLACES - 1 else int((r + p) % 3 != 0) for p in range(PLACES)]
            self.assertEqual(alive[r], want)

    def test_kill_at_random_moments(self) -> None:
        rng = random.Random(4)
        for _ in range(20):
            self.db = self.dir / f"{rng.random()}.db"
            writer = subprocess.Popen(
                [PROGRAM, "write", str(self.db)], stdout=subprocess.PIPE, text=True
            )
            assert writer.stdout
            lines = [writer.stdout.readline()]
            time.sleep(rng.random() * 0.15)
            writer.kill()
            lines += writer.stdout.read().splitlines()
            writer.wait()
            writer.stdout.close()
            numbers = [line.split() for line in lines if len(line.split()) == 2]
            made = max(int(n) for what, n in numbers if what == "made")
            kept = max((int(n) for what, n in numbers if what == "kept"), default=0)
            with database(self.db) as db:
                self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
                (n,) = db.execute("SELECT count(*) FROM token").fetchone()
            self.assertGreaterEqual(n, kept)
            self.assertLessEqual(made - n, 64)
            found = json.loads(self.must_run("open"))
            self.assertEqual(found["interrupted"], 1)
            self.must_be_sound()
            with database(self.db) as db:
                status, output, n_out = db.execute(
                    "SELECT status, output, n_out FROM run"
                ).fetchone()
            self.assertEqual((status, n_out), ("interrupted", n))
            self.assertEqual(output, "".join(f"w{i} " for i in range(n)).encode())
            self.must_run("read")

    def test_writers_at_once(self) -> None:
        self.must_run("once", "1", PATIENT_MS)
        command = [PROGRAM, "once", str(self.db), "400", PATIENT_MS]
        jobs = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
        while any(job.poll() is None for job in jobs):
            with database(self.db) as db:  # readers see whole transactions only
                (bad,) = db.execute(
                    "SELECT count(*) FROM run r WHERE n_out <> "
                    "(SELECT count(*) FROM token WHERE run_id = r.id)"
                ).fetchone()
                self.assertEqual(bad, 0)
        for job in jobs:
            output = job.communicate()[0]
            self.assertEqual(job.returncode, 0, output)
        self.must_be_sound()
        with database(self.db) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM token").fetchone(), (1601,))

    def test_exclusive_holder(self) -> None:
        self.must_run("once", "1", PATIENT_MS)
        with database(self.db) as db:
            db.execute("BEGIN EXCLUSIVE")
            done = self.run_program("once", "5", "300")
            self.assertEqual(done.returncode, 5)
            self.assertIn(f"trouble {BUSY}\n", done.stdout)
            self.assertIn("locked by another process", done.stdout)
            db.execute("ROLLBACK")
        self.must_run("once", "5", PATIENT_MS)

    def test_full_disk(self) -> None:
        """A small disk, or a limit of the file size where one may not be mounted."""
        disk = self.dir / "disk"
        disk.mkdir()
        mounted = (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=1m", "terra-test", str(disk)],
                stderr=subprocess.DEVNULL,
            ).returncode
            == 0
        )
        if mounted:
            self.addCleanup(subprocess.run, ["umount", str(disk)])
        self.db = disk / "history.db"
        self.must_run("once", "100", PATIENT_MS)

        def limit() -> None:
            if not mounted:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        done = self.run_program("once", "60000", PATIENT_MS, before=limit)
        self.assertEqual(done.returncode, 5, done.stdout + done.stderr)
        self.assertIn(f"trouble {FULL}\n", done.stdout)
        self.assertIn("disk full", done.stdout)
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        self.must_be_sound()
        with database(self.db) as db:
            n, tokens = db.execute(
                "SELECT n_out, (SELECT count(*) FROM token WHERE run_id = r.id) "
                "FROM run r ORDER BY id DESC"
            ).fetchone()
            self.assertEqual(n, tokens)
            self.assertGreater(n, 500)
        self.must_run("once", "500", PATIENT_MS)

    def test_damaged_bytes_never_crash(self) -> None:
        self.must_run("once", "700", PATIENT_MS)
        with database(self.db) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        good = self.db.read_bytes()
        rng = random.Random(7)
        statuses = set()
        for _ in range(60):
            bad = bytearray(good)
            for _ in range(rng.choice([1, 4, 64])):
                bad[rng.randrange(100, len(bad))] = rng.randrange(256)
            if rng.random() < 0.2:
                del bad[rng.randrange(1000, len(bad)) :]
            for tail in ("", "-wal", "-shm"):
                Path(f"{self.db}{tail}").unlink(missing_ok=True)
            self.db.write_bytes(bad)
            done = self.run_program("read")
            self.assertIn(done.returncode, (0, 1, 5), done.stdout + done.stderr)
            self.assertEqual(done.stderr, "")  # where a sanitizer would write
            statuses.add(done.returncode)
        self.assertIn(5, statuses)

    def test_other_files_are_left_alone(self) -> None:
        self.db.write_bytes(b"my own notes\n" * 100)
        found = json.loads(self.must_run("open"))
        self.assertFalse(found["open"])
        self.assertIn("not a history file", found["error"])
        self.assertEqual(self.db.read_bytes(), b"my own notes\n" * 100)
        self.assertEqual(os.listdir(self.dir), ["history.db"])


if __name__ == "__main__":
    unittest.main()
