#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes models and expectations for the configurations that tests/golden lacks.

    python3 tests/tools/make_ref_fixtures.py OUTDIR [NAME ...]

OUTDIR/golden/NAME is a folder laid out as in tests/golden (checkpoint, config.gin,
expect.json, arrays), OUTDIR/models/NAME the same checkpoint converted:

    terra parity OUTDIR/models/NAME OUTDIR/golden/NAME

Weights come from fixed seeds and expectations from the reference, in float64. Does
nothing if OUTDIR is newer than everything that it is made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import terraformer_ref as ref
from oracle import RefNet
from synthetic import (
    RefConfig,
    full_layout,
    gin_text,
    random_rotations,
    random_weights,
    variants,
    write_checkpoint,
)

from data.convert import trax
from data.convert.errors import ConvertError

GREEDY_STEPS = 24
TOLERANCE = 0.0002
MIN_MARGIN = 5e-5  # below, float32 might choose another unit
MIN_HASH_MARGIN = 1e-5  # below, another bucket
LSH_MIN_LENGTH = 16
MIN_GREEDY_MARGIN = 2e-3  # of the logits' standard deviation
SEEDS = 40


class NearTie(Exception):
    """These weights leave a choice too close for float32: draw others."""


def cases(c: RefConfig, rs: np.random.RandomState) -> list[tuple[str, list[int], list[int]]]:
    def ids(n: int, high: int) -> list[int]:
        return [int(i) for i in rs.randint(2, high, n)]

    out = c.out_vocab or c.vocab
    if c.has_lsh():  # lengths that LSH can cut into chunks
        return [
            ("plain", ids(15, c.vocab) + [1], ids(16, out)),
            ("padded_source", ids(10, c.vocab) + [1] + [0] * 5, ids(6, out) + [0, 1]),
            ("short_source", ids(3, c.vocab) + [0] * 5, ids(5, out)),
        ]
    pads_inside = ids(6, out) + [0] + ids(3, out) + [1, 0]
    return [
        ("plain", ids(15, c.vocab) + [1], ids(16, out)),
        ("padded_source", ids(10, c.vocab) + [1] + [0] * 5, pads_inside),
        ("empty_target", ids(12, c.vocab), []),
        ("one_token_source", [ids(1, c.vocab)[0], 0, 0, 0], ids(6, out)),
    ]


def choices(c: RefConfig, net: RefNet, n_e: int, rows: int) -> np.ndarray | None:
    """(n_E + n_D, n_e + rows, K) as in the golden README, from the net's records."""
    if not net.records:
        return None
    k = max(chosen.shape[-1] for _, chosen, _ in net.records)
    out = np.full((c.n_enc + c.n_dec, n_e + rows, k), -1, np.int32)
    for name, chosen, _ in net.records:
        side, number = name.split(".")[:2]
        layer = int(number) + (c.n_enc if side == "dec" else 0)
        used = n_e if side == "enc" else n_e + rows
        out[layer, :used, : chosen.shape[-1]] = chosen[:used]
    return out


def margin(net: RefNet, n_e: int, rows: int) -> float:
    least = np.inf
    for name, _, gaps in net.records:
        used = n_e if name.startswith("enc") else n_e + rows
        least = min(least, gaps[:used].min())
    return float(least)


def predict_greedy(net: RefNet, source: np.ndarray) -> tuple[list[int], list[float], float]:
    """Cached decoding: tokens, gaps between the two largest logits, and the last std."""
    decoder, token = ref.Decoder(net, source), 0
    tokens: list[int] = []
    gaps: list[float] = []
    for _ in range(GREEDY_STEPS):
        logits = decoder.step(token)
        token = int(logits.argmax())
        tokens.append(token)
        top = np.sort(logits)
        gaps.append(float(top[-1] - top[-2]))
    return tokens, gaps, float(logits.std())


def eval_greedy(net: RefNet, source: np.ndarray) -> tuple[list[int], list[float], float]:
    """As predict_greedy, by running the whole padded sequence for every token."""
    tokens: list[int] = []
    gaps: list[float] = []
    for k in range(GREEDY_STEPS):
        logits = net.forward(source, np.array([padded(tokens, k + 1)]))[0, k]
        tokens.append(int(logits.argmax()))
        top = np.sort(logits)
        gaps.append(float(top[-1] - top[-2]))
    return tokens, gaps, float(logits.std())


def padded(target: list[int], rows: int) -> list[int]:
    """Zeros up to the power of two from 16 that holds so many rows (specification 1.9)."""
    length = LSH_MIN_LENGTH
    while length < rows:
        length *= 2
    return target + [0] * (length - len(target))


def run_case(
    c: RefConfig, net: RefNet, out: Path, name: str, source: list[int], target: list[int]
) -> dict[str, object]:
    n_e, rows = sum(t != 0 for t in source), max(1, len(target))
    tok_e = np.array([source])
    fed = padded(target, rows) if c.has_lsh() else target or [0]
    net.records = []
    net.hash_margins.clear()
    logits = net.forward(tok_e, np.array([fed]))[0, :rows]
    chosen = choices(c, net, n_e, rows)
    ff_margin = margin(net, n_e, rows)
    net.records = []
    tokens, gaps, spread = (eval_greedy if c.has_lsh() else predict_greedy)(net, tok_e)
    if c.has_lsh():
        ff_margin = min(ff_margin, margin(net, n_e, GREEDY_STEPS))
    else:
        ff_margin = min(ff_margin, margin(net, n_e, n_e + rows))
    hash_margin = min(net.hash_margins, default=np.inf)
    near = ff_margin < MIN_MARGIN or hash_margin < MIN_HASH_MARGIN
    if near or min(gaps) < MIN_GREEDY_MARGIN * spread:
        raise NearTie
    np.save(out / f"{name}.logits.npy", logits.astype(np.float32))
    case: dict[str, object] = {
        "name": name,
        "source": source,
        "target": target,
        "logits_file": f"{name}.logits.npy",
        "ff_choice_file": None,
        "greedy": tokens,
        "greedy_margin": [round(g, 5) for g in gaps],
        "greedy_mode": "eval" if c.has_lsh() else "predict",
    }
    if c.has_lsh():
        case["target_padded_to"] = len(fed)
        case["hash_margin_min"] = round(hash_margin, 6)
    if chosen is not None:
        np.save(out / f"{name}.ff_choice.npy", chosen)
        case["ff_choice_file"] = f"{name}.ff_choice.npy"
        case["ff_margin_min"] = round(ff_margin, 6)
    return case


def make(name: str, c: RefConfig, out: Path) -> None:
    golden = out / "golden" / name
    golden.mkdir(parents=True, exist_ok=True)
    for seed in range(SEEDS):
        weights = random_weights(c, seed)
        rotations = random_rotations(c, 2000 + seed)
        net = RefNet(c, weights, rotations)
        rs = np.random.RandomState(1000 + seed)
        try:
            results = [run_case(c, net, golden, *case) for case in cases(c, rs)]
            break
        except NearTie:
            continue
    else:
        raise ConvertError(f"{name}: {SEEDS} seeds, all with near ties")
    flat = [weights[n] for n, _ in full_layout(c)]
    checkpoint = write_checkpoint(golden, flat)
    (golden / "config.gin").write_text(gin_text(c), encoding="utf-8")
    expect = {
        "format": 1,
        "tolerance": TOLERANCE,
        "greedy_mode": "eval" if c.has_lsh() else "predict",
        "config": asdict(c),
        "tensors": len(flat),
        "cases": results,
    }
    if rotations:
        expect["rotations_file"] = "rotations.npz"
    (golden / "expect.json").write_text(json.dumps(expect, indent=1) + "\n", encoding="utf-8")
    arguments = [str(checkpoint), "--config", str(golden / "config.gin")]
    if rotations:
        np.savez(golden / "rotations.npz", **rotations)
        arguments += ["--rotations", str(golden / "rotations.npz")]
    trax.convert(trax.parse_arguments([*arguments, "-o", str(out / "models" / name)]))


def stamp(names: list[str]) -> str:
    digest = hashlib.sha256(" ".join(names).encode())
    for folder in (Path(__file__).parent, ROOT / "data/convert"):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description="Make reference fixtures.")
    parser.add_argument("outdir", type=Path)
    parser.add_argument("names", nargs="*", help="only these variants")
    args = parser.parse_args()
    known = variants()
    for name in args.names:
        if name not in known:
            parser.error(f"no variant {name}; there are {', '.join(known)}")
    mark, now = args.outdir / ".stamp", stamp(args.names)
    if mark.exists() and mark.read_text() == now:
        return 0
    mark.unlink(missing_ok=True)
    try:
        for name in args.names or known:
            make(name, known[name], args.outdir)
    except ConvertError as e:
        print(f"make_ref_fixtures: {e}", file=sys.stderr)
        return e.status
    mark.write_text(now)
    return 0


if __name__ == "__main__":
    sys.exit(main())
