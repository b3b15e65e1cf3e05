# SPDX-License-Identifier: MIT
"""Splits a file into pieces small enough to carry, and joins them again.

python pieces.py split FILE FOLDER [--size 15]
python pieces.py join FOLDER FILE
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path


def split(path: Path, folder: Path, size: int) -> None:
    """Writes FOLDER/piece.000 ... and pieces.json, which holds their checksums in order."""
    folder.mkdir(parents=True, exist_ok=True)
    sums = []
    with open(path, "rb") as f:
        while data := f.read(size):
            (folder / f"piece.{len(sums):03d}").write_bytes(data)
            sums.append(hashlib.sha256(data).hexdigest())
    (folder / "pieces.json").write_text(json.dumps(sums) + "\n")


def join(folder: Path, path: Path) -> None:
    """Replaces FILE only when every piece is there and whole."""
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(part, "wb") as out:
        for n, want in enumerate(json.loads((folder / "pieces.json").read_text())):
            data = (folder / f"piece.{n:03d}").read_bytes()
            if hashlib.sha256(data).hexdigest() != want:
                raise SystemExit(f"{folder}/piece.{n:03d}: not the piece that was split off")
            out.write(data)
    os.replace(part, path)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("action", choices=("split", "join"))
    p.add_argument("source", type=Path)
    p.add_argument("target", type=Path)
    p.add_argument("--size", type=int, default=15, help="MiB per piece")
    a = p.parse_args()
    if a.action == "split":
        split(a.source, a.target, a.size << 20)
    else:
        join(a.source, a.target)


if __name__ == "__main__":
    main()
