#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`terra parity` over every fixture: the authors' results, our reference's, PyTorch's."""

from __future__ import annotations

import json
import os
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TERRA = os.environ["TERRA_BIN"]
FIXTURES = Path(os.environ["TERRA_FIXTURES"])
GOLDEN = sorted(p.parent for p in (ROOT / "tests/golden").glob("*/expect.json"))
REFERENCE = sorted((FIXTURES / "ref/golden").iterdir())
TORCH = sorted(p.parent for p in (ROOT / "tests/fixtures/torch_tiny").glob("*/expect.json"))


def parity(model: Path, golden: Path, *options: str) -> tuple[int, list[dict], str]:
    """Exit status, the JSON lines of the cases, and the messages."""
    done = subprocess.run(
        [TERRA, "parity", "--json", "--threads", "1", *options, str(model), str(golden)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, [x for x in lines if x["type"] == "case"], done.stderr


class Parity(unittest.TestCase):
    def exact(self, model: Path, golden: Path, *options: str) -> None:
        status, cases, messages = parity(model, golden, *options)
        self.assertEqual(status, 0, f"{cases}\n{messages}")
        expected = json.loads((golden / "expect.json").read_text())["cases"]
        self.assertEqual([c["name"] for c in cases], [c["name"] for c in expected])
        for case in cases:
            self.assertLessEqual(case["relative"], case["tolerance"])
            self.assertEqual(case["units"], case["units_equal"])
            self.assertEqual(case["greedy"], case["greedy_equal"])

    def test_all_fixtures_are_there(self) -> None:
        self.assertEqual(len(GOLDEN), 10)
        self.assertEqual(len(TORCH), 2)
        self.assertGreaterEqual(len(REFERENCE), 40)

    def test_another_model_fails(self) -> None:
        status, _, messages = parity(FIXTURES / "one_swap", ROOT / "tests/golden/merged_encoder")
        self.assertEqual(status, 1, messages)

    def test_open_is_another_function(self) -> None:
        golden = ROOT / "tests/golden/c4_medium_tiny"
        status, cases, _ = parity(FIXTURES / "c4_medium_tiny", golden, "--mode", "open")
        self.assertEqual(status, 1)
        self.assertFalse(any(c["ok"] for c in cases))

    def test_one_thread_and_four(self) -> None:
        for threads in ("1", "4"):
            golden = ROOT / "tests/golden/c4_medium_tiny"
            self.exact(FIXTURES / "c4_medium_tiny", golden, "--threads", threads)

    def test_int8_keeps_its_units(self) -> None:
        self.keeps_units(".int8", 0.99)
        self.keeps_units(".all8", 0.94)  # controllers, gates and what feeds them as well

    def keeps_units(self, kind: str, share: float) -> None:
        units = equal = 0
        for golden in GOLDEN:
            model = FIXTURES / (golden.name + kind)
            status, cases, messages = parity(model, golden, "--tol", "1e9", "--units-min", "0")
            self.assertEqual(status, 0, messages)
            if golden.name != "lsh":  # one hash bucket that flips changes all rows behind it
                units += sum(c["units"] for c in cases)
                equal += sum(c["units_equal"] for c in cases)
        self.assertGreater(units, 0)
        self.assertGreaterEqual(equal / units, share)


def add(name: str, model: Path, golden: Path, *options: str) -> None:
    def test(self: Parity) -> None:
        self.exact(model, golden, *options)

    setattr(Parity, "test_" + name, test)


for folder in GOLDEN:
    add(f"golden_{folder.name}", FIXTURES / folder.name, folder)
    add(f"masked_{folder.name}", FIXTURES / folder.name, folder, "--mode", "masked")
for folder in REFERENCE:
    add(f"reference_{folder.name}", FIXTURES / "ref/models" / folder.name, folder)
for folder in TORCH:
    add(f"torch_{folder.name}", folder, folder)

if __name__ == "__main__":
    unittest.main()
