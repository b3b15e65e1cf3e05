#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds each pair's control word, as training chooses it, for `terra eval`.

python3 data/train/styled.py pairs.test.jsonl.zst > test.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from corpus import pairs_of, style_of


def main() -> None:
    for name in sys.argv[1:]:
        for pair in pairs_of(Path(name)):
            pair.setdefault("style", style_of(pair.get("source", "")))
            print(json.dumps(pair, ensure_ascii=False))


if __name__ == "__main__":
    main()
