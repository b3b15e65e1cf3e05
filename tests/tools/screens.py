#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Captures the screens of README.md from the running program, in place.

Usage: screens.py MODEL [DOCUMENT].  Without a document it reads the README's own section
"What it is".  Everything between the two markers is replaced.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from tui import Home, Tui  # noqa: E402

BEGIN, END = "<!-- screens: tests/tools/screens.py -->\n", "<!-- end of screens -->\n"


def about() -> str:
    """The README's own words, which fit into a small model's context."""
    text = (ROOT / "README.md").read_text()
    section = re.search(r"## What it is\n\n(.*?)\n\n", text, re.S)
    return section.group(1) if section else ""


def capture(t: Tui) -> str:
    return "\n".join(line.rstrip() for line in t.screen().rstrip("\n").split("\n"))


def screens(home: Home, model: Path, document: Path) -> list[tuple[str, str]]:
    """(what it shows, screen) for each view."""
    shots: list[tuple[str, str]] = []
    t = Tui(home, "--ascii", "--color", "never", document, model=model)
    try:
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("h", "h", "h")
        t.wait(lambda s: s["token"] == s["tokens"] - 4)
        shots.append(
            (
                "The main view: text, and below it the unit that each block of each decoder "
                "layer chose for the token under the cursor, here by how unexpected it was. "
                "Then time and memory per token, and the prompt, which names the style.",
                capture(t),
            )
        )
        t.keys("4")
        t.wait(view="inspect")
        shots.append(("`4` looks inside one token, layer by layer and block by block.", capture(t)))
        t.keys("q")
        t.wait(view="main")
        t.keys(":")
        t.wait(input="command")
        t.type("compare masked")
        t.keys("Enter")
        t.wait(view="compare", compared=True, busy=False)
        shots.append(
            (
                "`c` runs the same text two ways, timed alternately: sparse, and with all units "
                "computed. The badge says what was proven.",
                capture(t),
            )
        )
        t.keys("3")
        t.wait(view="sessions")
        shots.append(("`3` lists what is stored: open, replay, search, export.", capture(t)))
        t.keys("?")
        t.wait(help=True)
        t.type("token")
        t.wait_screen("filter: token")
        shots.append(("`?` lists the keys; type to search, Enter runs a line.", capture(t)))
    finally:
        t.close()
    return shots


def main() -> None:
    home = Home()
    try:
        document = home.dir / "about.txt"
        given = sys.argv[2:]
        document.write_text(Path(given[0]).read_text() if given else about() + "\n")
        shots = screens(home, Path(sys.argv[1]).resolve(), document)
    finally:
        home.close()
    parts = [f"{textwrap.fill(text, 90)}\n\n```text\n{screen}\n```\n" for text, screen in shots]
    note = "Captured with `--ascii --color never`; in colour the shades of the map are colours.\n"
    body = BEGIN + note + "\n" + "\n".join(parts) + END
    path = ROOT / "README.md"
    readme = path.read_text()
    if BEGIN in readme:
        before, rest = readme.split(BEGIN)
        readme = before + body + rest.split(END)[1]
    else:
        readme = readme.replace("## Build\n", f"## Screens\n\n{body}\n## Build\n")
    path.write_text(readme)


if __name__ == "__main__":
    main()
