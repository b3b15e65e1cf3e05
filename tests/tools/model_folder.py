# SPDX-License-Identifier: MIT
"""A second reader of model folders, and the way back to trax's shapes, for tests.

Shares no code with the writer: it follows terra-model(5) and the reference's layout.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

BASES = ("11", "13", "14", "15")


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and raw arrays (BF16 as uint16), checking what the format demands."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length :]
    kinds = {"F32": "<f4", "BF16": "<u2", "I8": "i1"}
    raw, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        assert first == end, f"{name}: hole or overlap at {end}"
        raw[name] = np.frombuffer(body[first:last], kinds[entry["dtype"]]).reshape(entry["shape"])
        end = last
    assert end == len(body), f"{len(body) - end} bytes left"
    return header, raw


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors as float32, int8 ones multiplied by their scales."""
    header, raw = read_safetensors(path)
    out: dict[str, np.ndarray] = {}
    for name, x in raw.items():
        kind = header[name]["dtype"]
        if name.endswith(".qscale"):
            continue
        if kind == "BF16":
            out[name] = (x.astype(np.uint32) << 16).view(np.float32)
        elif kind == "I8":
            out[name] = x.astype(np.float32) * raw[name + ".qscale"][..., None]
        else:
            out[name] = x
    return out


def to_trax(name: str, shape: tuple[int, ...], tensors: dict[str, np.ndarray]) -> np.ndarray:
    """The checkpoint's tensor `name` of the reference's layout, from a model's tensors."""
    parts = name.split(".")
    if parts[0] in ("pos_e", "pos_d") and parts[1:2] and parts[1] in BASES:
        return tensors[parts[0] + ".base"][BASES.index(parts[1]), int(parts[2])].reshape(shape)
    x = tensors[name + ".w" if parts[0] == "loss" and name + ".w" in tensors else name]
    last = parts[-1]
    if parts[0] in ("pos_e", "pos_d"):
        return x.T if last == "ff" else x.reshape(shape)
    if last == "ctl2":
        return np.moveaxis(x, -1, 0)
    if last == "w1":
        return np.moveaxis(x, -1, 0)
    if last == "w2":
        return np.moveaxis(x, 0, 1)
    if last in ("ctl1", "proj") or last == "w" and x.ndim == 2 == len(shape):
        return x.T
    if last == "w" and len(shape) == 3 and parts[-2] == "o":  # (h, dv, d) from (d, h dv)
        return x.T.reshape(shape)
    if last == "w" and x.ndim == 2:  # (h, d, dk) from (h dk, d)
        h, d, d_head = shape
        return x.reshape(h, d_head, d).transpose(0, 2, 1)
    if last in ("w", "mod"):
        return np.swapaxes(x, -1, -2)
    return x
