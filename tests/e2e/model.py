# SPDX-License-Identifier: MIT
"""Model folders for end-to-end tests: made-up weights that write for a few seconds.

The vocabulary is the one of tests/fixtures/torch_tiny.  Repeats are forbidden by the
program and the end symbol by its bias, so that a reply always runs to its token limit.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from data.convert.folder import write_model_folder  # noqa: E402

VOCAB = ROOT / "tests/fixtures/torch_tiny/sparse/tokenizer.json"
STYLES = {"title": 2, "description": 3, "tldr": 5}


def unreadable() -> list[int]:
    """Ids that would end the text or write anything but ASCII letters and spaces."""
    words: dict[str, int] = json.loads(VOCAB.read_text(encoding="utf-8"))["model"]["vocab"]
    bad = set(range(304))
    for word, i in words.items():
        if re.fullmatch("\u0120?[a-zA-Z.,]+|\u0120", word):
            bad.discard(i)
    return sorted(bad | set(range(8)))


class Weights:
    def __init__(self, seed: int, d: int) -> None:
        self.random = np.random.default_rng(seed)
        self.d = d
        self.tensors: dict[str, np.ndarray] = {}

    def matrix(self, name: str, *shape: int, scale: float = 1.0) -> None:
        x = self.random.standard_normal(shape, dtype=np.float32)
        self.tensors[name] = x * np.float32(scale / np.sqrt(shape[-1]))

    def vector(self, name: str, *shape: int, value: float = 0.0) -> None:
        self.tensors[name] = np.full(shape, value, np.float32)

    def norm(self, name: str) -> None:
        self.vector(f"{name}.scale", self.d, value=1.0)
        self.vector(f"{name}.bias", self.d)

    def attention(self, name: str) -> None:
        self.norm(f"{name}.ln")
        for part in "qkvo":
            self.matrix(f"{name}.{part}.w", self.d, self.d)
            self.vector(f"{name}.{part}.b", self.d)

    def feed_forward(self, name: str, d_ff: int, units: int, rank: int) -> None:
        self.norm(f"{name}.ln")
        if units:
            blocks = d_ff // units
            self.matrix(f"{name}.ctl1", rank, self.d, scale=4)
            self.matrix(f"{name}.ctl2", blocks, units, rank)
            self.vector(f"{name}.ctlb", blocks, units)
            self.matrix(f"{name}.w1", blocks, units, self.d)
            self.matrix(f"{name}.w2", blocks, units, self.d)
            self.vector(f"{name}.b2", self.d)
            return
        self.matrix(f"{name}.in.w", d_ff, self.d)
        self.vector(f"{name}.in.b", d_ff)
        self.matrix(f"{name}.out.w", self.d, d_ff)
        self.vector(f"{name}.out.b", self.d)


def write(
    folder: Path,
    name: str,
    d: int = 128,
    d_ff: int = 1024,
    layers: int = 6,
    units: int = 16,
    max_source: int = 256,
    max_target: int = 4096,
    seed: int = 7,
) -> Path:
    """Writes folder/name and returns its path; units 0 makes a dense feed-forward."""
    w, rank, vocab = Weights(seed, d), 16, 304
    w.matrix("emb", vocab, d, scale=8)
    # wide enough for source and target one behind the other
    for table in ("pos_e", "pos_d"):
        w.matrix(table, max_source + max_target + 4, d, scale=8)
    for i in range(2):
        w.attention(f"enc.{i}.attn")
        w.feed_forward(f"enc.{i}.ff", d_ff, units, rank)
    for i in range(layers):
        w.attention(f"dec.{i}.attn0")
        w.attention(f"dec.{i}.attn1")
        w.feed_forward(f"dec.{i}.ff", d_ff, units, rank)
    w.norm("ln_out")
    w.matrix("loss.w", vocab, d, scale=4)
    w.vector("loss.b", vocab)
    w.tensors["loss.b"][unreadable()] = -100
    config: dict[str, object] = {
        "name": name,
        "vocab_size": vocab,
        "d_model": d,
        "d_ff": d_ff,
        "n_heads": 4,
        "n_encoder_layers": 2,
        "n_decoder_layers": layers,
        "n_decoder_attention_layers": 2,
        "reversible_encoder": True,
        "loss_modules": 0,
        "decoder_attention": {"type": "dense"},
        "positions": {"type": "table", "max": max_source + max_target + 4},
        "max_source": max_source,
        "max_target": max_target,
        "vocabulary": {"type": "bpe"},
        "control": STYLES,
    }
    if units:
        config |= {"ff_block": units, "ff_rank": rank}
    write_model_folder(folder / name, config, w.tensors, vocab_file=VOCAB)
    return folder / name


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(write(target, "e2e"))
    print(write(target, "e2e-dense", units=0))
