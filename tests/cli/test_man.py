"""The key table of terra(1) is the program's."""

# SPDX-License-Identifier: MIT

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class KeyTable(unittest.TestCase):
    def test_manual_is_up_to_date(self) -> None:
        terra = os.environ.get("TERRA_BIN", str(ROOT / "build/terra"))
        tool = ROOT / "tests/tools/man_keys.py"
        done = subprocess.run([sys.executable, str(tool), terra, "--check"])
        self.assertEqual(done.returncode, 0, "run `make man`")


if __name__ == "__main__":
    unittest.main()
