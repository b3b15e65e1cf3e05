#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/fixtures/rouge/cases.json with the `rouge_score` package (pip install rouge_score).

The file is kept in the repository, so that the tests need neither the package nor a network.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from rouge_score import rouge_scorer

TYPES = {"r1": "rouge1", "r2": "rouge2", "rl": "rougeL", "rlsum": "rougeLsum"}
OUT = Path(__file__).resolve().parent.parent / "fixtures/rouge/cases.json"

BY_HAND = [
    ("", ""),
    ("", "a word"),
    ("a word", ""),
    ("\n\n", "\n"),
    ("...!?", "..."),
    ("the", "the"),
    ("the cat", "the"),
    ("The Cat SAT.", "the cat sat"),
    ("police killed the gunman", "police kill the gunman"),
    ("police killed the gunman", "the gunman kill police"),
    ("a a a a", "a a"),
    ("a b a b a b", "b a b a"),
    ("w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5"),
    ("w1 w2 w3 w4 w5\nw6 w7", "w6 w1\nw7 w2 w5"),
    ("one two\n\nthree four\n", "\nthree two\none four"),
    ("x-ray of 3.14 km", "x ray 3 14km"),
    ("don't can't won't", "dont can t wont"),
    ("caf\u00e9 na\u00efve \u00fcber", "cafe naive uber"),
    ("\u0130stanbul and 5 \u212a", "istanbul and 5 k"),
    ("\u0130", "i"),
    ("\u65e5\u672c\u8a9e \u306e text", "\u65e5\u672c\u8a9e text"),
    ("\u041f\u0440\u0438\u0432\u0435\u0442 world", "world \u041f\u0440\u0438\u0432\u0435\u0442"),
    ("emoji \U0001f600 end", "emoji end"),
    ("tab\tand\u00a0nbsp\u2003em", "tab and nbsp em"),
    ("snake_case and camelCase", "snake case and camel case"),
    ("a\r\nb\r\nc", "a\nb\nc"),
    ("form\ffeed \u2028 line", "form feed line"),
    ("repeat " * 200, "repeat " * 150),
    ("alpha beta gamma delta " * 40, "gamma alpha delta beta " * 40),
    ("short", "a long candidate that has the short word once " * 30),
]


def random_text(rng: random.Random, words: int, vocabulary: int, lines: int) -> str:
    chosen = [f"w{rng.randrange(vocabulary)}" for _ in range(words)]
    for _ in range(lines):
        chosen.insert(rng.randrange(len(chosen) + 1), "\n")
    return " ".join(chosen)


def main() -> None:
    rng = random.Random(20211124)
    pairs = list(BY_HAND)
    for words, vocabulary, lines in [
        (5, 3, 0),
        (12, 4, 2),
        (20, 6, 3),
        (30, 40, 0),
        (63, 9, 1),
        (64, 9, 1),
        (65, 9, 1),
        (100, 10, 8),
        (128, 30, 0),
        (129, 12, 20),
        (200, 5, 40),
        (200, 100, 5),
        (333, 60, 0),
        (500, 20, 10),
        (700, 300, 30),
        (1200, 400, 2),
    ]:
        for _ in range(2):
            reference = random_text(rng, words, vocabulary, lines)
            candidate = random_text(
                rng, max(1, words * rng.randrange(3, 14) // 10), vocabulary, lines
            )
            pairs.append((reference, candidate))
    scorer = rouge_scorer.RougeScorer(list(TYPES.values()))
    cases = []
    for reference, candidate in pairs:
        scores = scorer.score(reference, candidate)
        case: dict[str, object] = {"reference": reference, "candidate": candidate}
        for ours, theirs in TYPES.items():
            s = scores[theirs]
            case[ours] = [round(s.precision, 12), round(s.recall, 12), round(s.fmeasure, 12)]
        cases.append(case)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    lines_out = ",\n".join(json.dumps(c) for c in cases)
    OUT.write_text('{"cases": [\n' + lines_out + "\n]}\n", encoding="utf-8")
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
