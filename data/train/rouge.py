# SPDX-License-Identifier: MIT
"""ROUGE-L of two texts, for watching a run. The final numbers come from `terra eval`."""

from __future__ import annotations

import re


def rouge_l(reference: str, output: str) -> float:
    """F1 of the longest common subsequence of lower-case words."""
    a, b = (re.findall(r"[a-z0-9]+", t.lower()) for t in (reference, output))
    row = [0] * (len(b) + 1)
    for x in a:
        left = 0
        for j, y in enumerate(b):
            up = row[j + 1]
            row[j + 1] = left + 1 if x == y else max(up, row[j])
            left = up
    lcs = row[-1]
    return 2 * lcs / (len(a) + len(b)) if lcs else 0.0
