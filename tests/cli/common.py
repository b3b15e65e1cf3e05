# SPDX-License-Identifier: MIT
"""What the command-line tests share: a home of their own, models, and the program."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TERRA = os.environ["TERRA_BIN"]
FIXTURES = Path(os.environ["TERRA_FIXTURES"])
SPARSE = ROOT / "tests/fixtures/torch_tiny/sparse"  # with a vocabulary
DENSE = ROOT / "tests/fixtures/torch_tiny/dense"
PLAIN = FIXTURES / "c4_medium_tiny"  # token ids only
TEXT = "The cat sat on the mat. A dog came in and the cat ran away. It was a long day.\n"


def without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, refused if a key stands in it twice."""
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"a key given twice: {keys}"
    return dict(pairs)


class Done:
    """A finished command."""

    def __init__(self, status: int, out: bytes, err: bytes) -> None:
        self.status, self.raw, self.raw_err = status, out, err
        self.out, self.err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    @property
    def lines(self) -> list[dict]:
        lines = self.raw.decode("utf-8").splitlines()
        return [json.loads(line, object_pairs_hook=without_twins) for line in lines]

    def of(self, kind: str) -> list[dict]:
        return [x for x in self.lines if x["type"] == kind]

    @property
    def tokens(self) -> list[dict]:
        """Without the line for text behind the last token."""
        return [x for x in self.of("token") if x["id"] is not None]


class Case(unittest.TestCase):
    """Every test has an empty home; nothing of the person's own is read or written."""

    program: str | Path = TERRA

    def setUp(self) -> None:
        self.tmp = Path(tempfile.mkdtemp(prefix="terra-test-"))
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)
        home = self.tmp / "home"
        home.mkdir()
        keep = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH")
        self.env = {k: os.environ[k] for k in keep if k in os.environ}
        self.env |= {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "TERRA_THREADS": "1",
            "TERRA_MODEL": str(SPARSE),
        }

    @property
    def db(self) -> Path:
        return Path(self.env["HOME"]) / ".local/share/terra/history.db"

    def write(self, name: str, data: bytes | str) -> str:
        path = self.tmp / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    def model(self, source: Path = SPARSE) -> Path:
        """A copy that may be spoilt."""
        target = self.tmp / "model"
        shutil.copytree(source, target)
        return target

    def spoil_config(self, **changes: object) -> Path:
        folder = self.model()
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        return folder

    def terra(
        self, *args: str | Path, stdin: bytes | None = None, timeout: float = 120, **env: str
    ) -> Done:
        done = subprocess.run(
            [self.program, *map(str, args)],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.env, **env},
            cwd=self.tmp,
            timeout=timeout,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str | Path, **more: object) -> subprocess.Popen:
        return subprocess.Popen(
            [self.program, *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
            cwd=self.tmp,
            **more,
        )

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 60
        while not ready():
            self.assertLess(time.monotonic(), end, f"waited for {what} in vain")
            time.sleep(0.02)

    def stored(self, table: str = "run") -> int:
        """Rows of a table of the history; 0 while it is being made."""
        try:
            with sqlite3.connect(f"file:{self.db}?mode=ro", uri=True) as db:
                return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        except sqlite3.Error:
            return 0

    def fails(self, status: int, *args: str | Path, stdin: bytes | None = None) -> str:
        """The single line on standard error of a command that must fail so."""
        done = self.terra(*args, stdin=stdin)
        self.assertEqual(done.status, status, done.out + done.err)
        lines = done.err.splitlines()
        self.assertEqual(len(lines), 1, done.err)
        self.assertTrue(lines[0].startswith("terra: "), done.err)
        self.assertNotRegex(done.err[:-1], r"[\x00-\x1f\x7f-\x9f]")
        return lines[0]

    def works(self, *args: str | Path, stdin: bytes | None = None, **env: str) -> Done:
        done = self.terra(*args, stdin=stdin, **env)
        self.assertEqual(done.status, 0, done.out + done.err)
        return done
