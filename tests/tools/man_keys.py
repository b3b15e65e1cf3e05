#!/usr/bin/env python3
"""Writes the key table of man/terra.1 from `terra help --keys`; --check only compares.

    python3 tests/tools/man_keys.py build/terra [--check]
"""
# SPDX-License-Identifier: MIT

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "man/terra.1"
BEGIN, END = '.\\" KEYS BEGIN', '.\\" KEYS END'


def roff(text: str) -> str:
    """Text as one roff argument or line: no escapes, no control line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    text = text.replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    return "\\&" + text if text[:1] in ".'" else text


TITLES = {
    "everywhere": "Everywhere",
    "any pane": "In any pane",
    "main": "In the main view",
    "compare": "In the compare view",
    "sessions": "In the session browser",
    "command": "Commands without a key",
}


def table(terra: str) -> list[str]:
    """mdoc lines: keys by where they work, each with its command."""
    done = subprocess.run([terra, "help", "--keys"], capture_output=True, text=True, check=True)
    groups: dict[str, list[str]] = {}
    for row in done.stdout.splitlines():
        key, where, command, what = row.split("\t")
        lines = groups.setdefault(where, [])
        command = f"\\&:{roff(command)}" if command else ""
        head = f"\\&{roff(key)}" if key else command
        lines += [f'.It "{head}"', roff(what)]
        if key and command:
            lines.append(f"({command})")
    out: list[str] = []
    for where, lines in groups.items():
        out.append(f'.Ss "{TITLES.get(where, where)}"')
        out += ['.Bl -tag -width "S-Tab" -compact', *lines, ".El"]
    return out


def main() -> int:
    terra, check = sys.argv[1], "--check" in sys.argv[2:]
    old = PAGE.read_text(encoding="utf-8")
    head, rest = old.split(BEGIN, 1)
    marker, rest = rest.split("\n", 1)
    tail = rest.split(END, 1)[1]
    new = head + BEGIN + marker + "\n" + "\n".join(table(terra)) + "\n" + END + tail
    if check:
        return 0 if new == old else 1
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
