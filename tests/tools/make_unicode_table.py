#!/usr/bin/env python3
"""Writes engine/unicode_table.inc: the letters and numbers of this Python's Unicode version.

Subword vocabularies of tensor2tensor split text where Python's unicodedata sees a change
between letters or numbers (categories L*, N*) and the rest, so the table must come from there.
"""

# SPDX-License-Identifier: MIT

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

OUT = Path(__file__).resolve().parents[2] / "engine/unicode_table.inc"
CLASSES = {"L": "LETTER", "N": "NUMBER"}


def ranges() -> list[tuple[int, int, str]]:
    """(first, last, class), ascending; neighbours of one class are one range."""
    out: list[tuple[int, int, str]] = []
    for c in range(sys.maxunicode + 1):
        kind = CLASSES.get(unicodedata.category(chr(c))[0])
        if kind is None:
            continue
        if out and out[-1][1] == c - 1 and out[-1][2] == kind:
            out[-1] = (out[-1][0], c, kind)
        else:
            out.append((c, c, kind))
    return out


def main() -> None:
    lines = [
        "/* Made by tests/tools/make_unicode_table.py from Unicode "
        f"{unicodedata.unidata_version}.",
        " *",
        " * SPDX-License-Identifier: MIT */",
    ]
    row = ""
    for first, last, kind in ranges():
        cell = f"{kind}(0x{first:X}, 0x{last:X}),"
        if len(row) + 1 + len(cell) > 95:
            lines.append(row)
            row = ""
        row += (" " if row else "") + cell
    lines.append(row)
    OUT.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
