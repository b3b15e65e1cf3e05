#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Converts tests/golden into what the C tests load: model folders and layer tensors.

    python3 tests/tools/prepare_fixtures.py OUTDIR

OUTDIR/NAME, NAME.bf16, NAME.int8 and NAME.all8 (all that can be is int8) are the models;
OUTDIR/layers/NAME.safetensors holds one layer each (w0.., x, mask, y, choice, all F32), described
by OUTDIR/layers/layers.json.
Does nothing if OUTDIR is newer than everything that it is made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from data.convert import trax
from data.convert.errors import ConvertError
from data.convert.folder import write_safetensors

GOLDEN = ROOT / "tests" / "golden"
ALL8 = ("int8", "--controller", "int8", "--rest", "int8")
DTYPES = {"": ("f32",), ".bf16": ("bf16",), ".int8": ("int8",), ".all8": ALL8}


def stamp() -> str:
    """Names, sizes and times of all inputs, this program and the converter included."""
    digest = hashlib.sha256()
    for folder, pattern in ((GOLDEN, "**/*"), (ROOT / "data/convert", "*.py")):
        for path in [*sorted(folder.glob(pattern)), Path(__file__)]:
            if path.is_file():
                info = path.stat()
                digest.update(f"{path} {info.st_size} {info.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def prepare_model(folder: Path, out: Path) -> None:
    command = [str(folder / "model_1.pkl.gz"), "--config", str(folder / "config.gin")]
    if (folder / "rotations.npz").exists():
        command += ["--rotations", str(folder / "rotations.npz")]
    for suffix, dtype in DTYPES.items():
        target = out / (folder.name + suffix)
        trax.convert(trax.parse_arguments([*command, "--dtype", *dtype, "-o", str(target)]))


def prepare_layers(folder: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    layers = json.loads((folder / "layers.json").read_text(encoding="utf-8"))
    for layer in layers:
        with np.load(folder / layer["file"], allow_pickle=False) as archive:
            tensors = {name: archive[name].astype(np.float32) for name in archive.files}
        layer["file"] = Path(layer["file"]).stem + ".safetensors"
        write_safetensors(out / layer["file"], tensors)
    (out / "layers.json").write_text(json.dumps(layers, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Prepare the golden fixtures for C tests.")
    parser.add_argument("outdir", type=Path)
    out: Path = parser.parse_args().outdir
    mark, now = out / ".stamp", stamp()
    if mark.exists() and mark.read_text() == now:
        return 0
    mark.unlink(missing_ok=True)
    try:
        for config in sorted(GOLDEN.glob("*/config.gin")):
            prepare_model(config.parent, out)
    except ConvertError as e:
        print(f"prepare_fixtures: {e}", file=sys.stderr)
        return e.status
    prepare_layers(GOLDEN / "layers", out / "layers")
    mark.write_text(now)
    return 0


if __name__ == "__main__":
    sys.exit(main())
