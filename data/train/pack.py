# SPDX-License-Identifier: MIT
"""Trains the vocabulary (once) and packs text files into token arrays for train.py.

    python pack.py OUT --train pairs.train.*.jsonl.zst text.train.txt.zst \\
                       --valid pairs.valid.jsonl.zst [--vocab 4096]

Writes OUT/tokenizer.json, OUT/train.npz and OUT/valid.npz. An existing tokenizer.json is kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Iterator

from corpus import documents_of, is_pairs, pack, pairs_of
from tokenizer import Tokenizer, train_bpe


def sample(files: list[Path], chars: int) -> Iterator[str]:
    """About `chars` characters: every k-th document of each file, and every k-th summary twice."""
    for path in files:
        room = chars // len(files)
        step = 7 if is_pairs(path) else 11
        items = pairs_of(path) if is_pairs(path) else documents_of(path)
        for n, item in enumerate(items):
            if n % step:
                continue
            if isinstance(item, dict):
                text = item["document"][:700] + "\n\n " + item["summary"] + "\n " + item["summary"]
            else:
                text = item[:700]
            yield text
            room -= len(text)
            if room < 0:
                break


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("out", type=Path)
    p.add_argument("--train", type=Path, nargs="+", required=True)
    p.add_argument("--valid", type=Path, nargs="+", default=[])
    p.add_argument("--vocab", type=int, default=4096)
    p.add_argument("--max-document", type=int, default=256, help="tokens kept of a document")
    p.add_argument("--max-summary", type=int, default=64, help="longer summaries are left out")
    p.add_argument("--text-tokens", type=int, default=8_000_000, help="running text to keep")
    p.add_argument("--keep", type=float, default=1.0, help="share of the pairs to keep")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    start = time.time()
    path = a.out / "tokenizer.json"
    if not path.exists():
        train_bpe(sample(a.train, 24_000_000), a.vocab).save(path)
        print(f"vocabulary: {path} ({time.time() - start:.0f} s)", flush=True)
    tok = Tokenizer.load(path)
    for name, files, keep in (("train", a.train, a.keep), ("valid", a.valid, 1.0)):
        pairs = [f for f in files if is_pairs(f)]
        texts = [f for f in files if not is_pairs(f)]
        if not files:
            continue
        data = pack(tok, pairs, texts, a.max_document, a.max_summary, a.text_tokens, keep)
        data.save(a.out / f"{name}.npz")
        size = (a.out / f"{name}.npz").stat().st_size / 2**20
        print(
            f"{name}: {len(data)} pairs, {len(data.doc)} document, {len(data.tgt)} summary and "
            f"{len(data.text)} text tokens, {size:.1f} MiB ({time.time() - start:.0f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
