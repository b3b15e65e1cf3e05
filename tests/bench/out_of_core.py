#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Decodes with a model file about twice as large as the memory the process may use.

Writes a model of the medium shape with random int8 weights, then times `terra run` twice: free, and
inside a memory control group of half the file's size (version 1 or 2; needs root). Prints the
median of the later tokens, the pages read from disk per token, and the slowdown.

    sudo tests/bench/out_of_core.py [--blocks 24] [--tokens 48] [--terra build/terra]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

D, F, UNIT, RANK, MODULES, LOSS, SRU, VOCAB, POSITIONS = 1024, 6144, 64, 96, 16, 4, 32, 32000, 512
Shape = tuple[int, ...]


def tensors(blocks: int) -> dict[str, tuple[Shape, bool]]:
    """Name to (shape, whether it is a matrix that may be int8), as in terra-model(5)."""
    t: dict[str, tuple[Shape, bool]] = {"emb": ((VOCAB, D), True), "pos_d": ((POSITIONS, D), True)}

    def norm(name: str) -> None:
        t[f"{name}.scale"] = t[f"{name}.bias"] = ((D,), False)

    def dense(name: str, out: int, inp: int) -> None:
        t[f"{name}.w"], t[f"{name}.b"] = ((out, inp), False), ((out,), False)

    m, k = D // MODULES, F // UNIT
    for i in range(blocks):
        for a in (0, 1):
            p = f"dec.{i}.attn{a}"
            norm(f"{p}.ln")
            t[f"{p}.mult.gate"], t[f"{p}.mult.proj"] = ((MODULES, D), False), ((m, D), True)
            t[f"{p}.mult.b"] = ((D,), False)
            for x, kappa in (("q", 3), ("k", 3), ("v", 1)):
                t[f"{p}.{x}.w"], t[f"{p}.{x}.b"] = ((3, kappa, m, m), True), ((m,), False)
        p = f"dec.{i}.ff"
        norm(f"{p}.ln")
        t[f"{p}.ctl1"], t[f"{p}.ctl2"] = ((RANK, D), True), ((k, UNIT, RANK), True)
        t[f"{p}.ctlb"] = ((k, UNIT), False)
        t[f"{p}.w1"] = t[f"{p}.w2"] = ((k, UNIT, D), True)
        t[f"{p}.b2"] = ((D,), False)
        norm(f"{p}.sru.ln")
        dense(f"{p}.sru.in", SRU, D)
        dense(f"{p}.sru.0", 3 * SRU, SRU)
        dense(f"{p}.sru.out", D, SRU)
    norm("ln_out")
    t["loss.gate"], t["loss.proj"] = ((LOSS, D), False), ((VOCAB // LOSS, D), True)
    t["loss.b"] = ((VOCAB,), False)
    return t


def make_values(name: str, shape: Shape, int8: bool, rng: np.random.Generator) -> np.ndarray:
    if int8:
        return rng.integers(-127, 128, shape, dtype=np.int8)
    if name.endswith(".scale"):
        return np.ones(shape, np.float32)
    if name.endswith((".gate", ".w")):
        sd = 1.0 if name.endswith(".gate") else shape[-1] ** -0.5
        return (sd * rng.standard_normal(shape)).astype(np.float32)
    return np.zeros(shape, np.float32)


def write_model(folder: Path, blocks: int) -> int:
    """Streams the tensors to disk; returns the file's size."""
    config = {
        "format": "terra-1",
        "name": "out-of-core",
        "vocab_size": VOCAB,
        "d_model": D,
        "d_ff": F,
        "n_heads": 16,
        "n_encoder_layers": 0,
        "n_decoder_layers": blocks,
        "ff_block": UNIT,
        "ff_rank": RANK,
        "ff_sru": [1, SRU],
        "loss_modules": LOSS,
        "positions": {"type": "table", "max": POSITIONS},
        "decoder_attention": {"type": "multconv", "modules": MODULES, "length_kernel": 3},
    }
    (folder / "config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(1)
    header: dict[str, dict[str, object]] = {}
    at = 0
    plan: list[tuple[str, Shape, bool, int]] = []
    for name, (shape, int8) in tensors(blocks).items():
        parts = [(name, shape, int8)] + ([(f"{name}.qscale", shape[:-1], False)] if int8 else [])
        for part, s, small in parts:
            size = int(np.prod(s)) * (1 if small else 4)
            header[part] = {
                "dtype": "I8" if small else "F32",
                "shape": list(s),
                "data_offsets": [at, at + size],
            }
            plan.append((part, s, small, -size % 64))
            at += size
            if -size % 64:
                pad = f"_pad{at}"
                hole = -size % 64
                header[pad] = {"dtype": "I8", "shape": [hole], "data_offsets": [at, at + hole]}
                at += -size % 64
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for part, s, small, pad in plan:
            if part.endswith(".qscale"):
                parent = header[part.removesuffix(".qscale")]["shape"]
                sd = 1.0 if part in ("emb.qscale", "pos_d.qscale") else parent[-1] ** -0.5
                f.write(np.full(s, sd / 73, np.float32).tobytes())
            else:
                f.write(make_values(part, s, small, rng).tobytes())
            f.write(b"\0" * pad)
        f.flush()
        os.fsync(f.fileno())
    return (folder / "model.safetensors").stat().st_size


def make_group(limit: int) -> Path:
    """A control group with a memory limit; its cgroup.procs takes process ids."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group = (v1 if v1.is_dir() else v2) / f"terra-bench-{os.getpid()}"
    group.mkdir()
    (group / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")).write_text(str(limit))
    return group


def run(terra: str, folder: Path, tokens: int, group: Path | None) -> tuple[float, float]:
    """Median milliseconds and page reads per token, the first quarter left out."""

    def enter() -> None:
        if group:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    subprocess.run(["sh", "-c", "sync; echo 1 > /proc/sys/vm/drop_caches"], check=False)
    command = [terra, "run", "--ids", "5 6 7", "-m", str(folder), "-n", str(tokens), "--temp", "1"]
    command += ["--top-k", "0", "--top-p", "1", "--seed", "1", "--json", "--no-log"]
    done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"terra run failed with status {done.returncode}: {done.stderr.strip()}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    late = [e for e in events if e["type"] == "token"][tokens // 4 :]
    ms = statistics.median(e["ms"] for e in late)
    return ms, statistics.mean(e.get("faults", 0) for e in late)


def main() -> None:
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--blocks", type=int, default=24)
    p.add_argument("--tokens", type=int, default=48)
    p.add_argument("--terra", default="build/terra")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_model(folder, a.blocks)
        print(f"model file {size / 1e6:.0f} MB")
        free, faults = run(a.terra, folder, a.tokens, None)
        print(f"no limit       {free:8.2f} ms/token  {faults:8.1f} page reads/token")
        group = make_group(size // 2)
        try:
            tight, faults = run(a.terra, folder, a.tokens, group)
        finally:
            group.rmdir()
        print(f"limit {size / 2e6:4.0f} MB   {tight:8.2f} ms/token  {faults:8.1f} page reads/token")
        print(f"slowdown {tight / free:.1f} times")


if __name__ == "__main__":
    main()
