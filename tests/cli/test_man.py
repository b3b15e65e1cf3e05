"""The key table of terra(1) is the program's, and every option is in it."""

# SPDX-License-Identifier: MIT

from __future__ import annotations

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TERRA = os.environ.get("TERRA_BIN", str(ROOT / "build/terra"))


def help_of(*command: str) -> str:
    done = subprocess.run([TERRA, "help", *command], capture_output=True, text=True, check=True)
    return done.stdout


class Options(unittest.TestCase):
    def test_every_option_is_explained(self) -> None:
        """By its long name, beside its letter if it has one."""
        page = (ROOT / "man/terra.1").read_text(encoding="utf-8")
        missing = set()
        commands = re.findall(r"(?m)^  ([a-z]+) ", help_of())
        self.assertIn("bench", commands)
        for command in commands:
            for letter, name in re.findall(r"(?m)^  (?:-(\w),|   ) --([a-z-]+)", help_of(command)):
                before = f"Fl {letter} , " if letter else ""
                if not re.search(rf"{before}Fl Fl {name}\b", page):
                    missing.add(f"{command} {'-' + letter if letter else ''} --{name}")
        self.assertEqual(missing, set())


class KeyTable(unittest.TestCase):
    def test_manual_is_up_to_date(self) -> None:
        tool = ROOT / "tests/tools/man_keys.py"
        done = subprocess.run([sys.executable, str(tool), TERRA, "--check"])
        self.assertEqual(done.returncode, 0, "run `make man`")


if __name__ == "__main__":
    unittest.main()
