# SPDX-License-Identifier: MIT
"""Writes the model folder of terra-model(5): config.json, model.safetensors, vocabulary.

Tensors arrive under their terra-model names, floating point, input axis last. Each is
converted while it is written, so the peak memory is one tensor and not one more model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.convert.errors import ConvertError

FORMAT = "terra-1"
ALIGN = 64
SIZES = {"F32": 4, "BF16": 2, "I8": 1}
MODEL_DTYPES = {"f32": "F32", "bf16": "BF16", "int8": "I8"}

REQUIRED_KEYS = ("vocab_size", "d_model", "d_ff", "n_heads", "n_encoder_layers", "n_decoder_layers")
OPTIONAL_KEYS = (
    "format",
    "name",
    "output_vocab_size",
    "n_decoder_attention_layers",
    "reversible_encoder",
    "two_swaps",
    "center_layernorm",
    "n_layers_forget",
    "forget_dense",
    "half_before_layer",
    "double_after_layer",
    "ff_block",
    "ff_rank",
    "ff_multiply",
    "ff_experts",
    "ff_switch",
    "ff_sru",
    "loss_modules",
    "positions",
    "encoder_attention",
    "decoder_attention",
    "max_source",
    "max_target",
    "vocabulary",
    "control",
    "source_eos",
)

# Last components of names that are matrices by shape but small or delicate: they stay F32.
_F32_PARTS = ("b", "bias", "scale", "ctlb", "b2", "base", "start", "rotations")


@dataclass(frozen=True)
class Storage:
    """How a model is stored. The last two matter for int8 models only.

    A decoded token reads the feed-forward units, the decoder's attention and the loss:
    they are int8. The choice of units is sensitive, so that by default its controllers
    and all that is read once or one row at a time (embeddings, positions, the encoder's
    attention) stay exact, and so do gates and SRU branches, which are small; on the golden
    models 99.2% of the choices are then those of float32, against 94.3% with int8 everywhere.
    """

    dtype: str = "f32"
    controller: str = "f32"
    rest: str = "f32"

    def of(self, name: str, shape: tuple[int, ...]) -> str:
        """The safetensors dtype of one tensor."""
        parts = name.split(".")
        last = parts[-1]
        small = last in _F32_PARTS or last.startswith("axis")
        if len(shape) < 2 or small:
            return "F32"
        if last == "gate" or "sru" in parts:
            feeds_back = last != "gate" and parts[-2] not in ("in", "out")  # always exact
            keep = self.dtype != "int8" or feeds_back
            return "F32" if keep else MODEL_DTYPES[self.rest]
        if self.dtype != "int8":
            return MODEL_DTYPES[self.dtype]
        if last in ("ctl1", "ctl2", "router"):
            return MODEL_DTYPES[self.controller]
        decoder = parts[0] == "dec" and len(parts) > 3  # not the forgetting layers
        bulk = parts[0] == "loss" or decoder or "ff" in parts[1:] and parts[0] == "enc"
        return "I8" if bulk else MODEL_DTYPES[self.rest]


def bf16_bits(x: np.ndarray) -> np.ndarray:
    """float32 to bfloat16 bits (uint16), rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16
    quiet = (bits >> 16) | 0x40  # a NaN must not be rounded to infinity
    return np.where(np.isnan(x), quiet, rounded).astype("<u2")


def row_scales(x: np.ndarray) -> np.ndarray:
    """int8 scale of every row (last axis): max |row| / 127, or 1 for a zero row."""
    scale = np.abs(np.asarray(x, np.float32)).max(-1) / np.float32(127)
    return np.where(scale == 0, np.float32(1), scale).astype("<f4")


def quantise(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """row / scale rounded to nearest, ties to even, within -127..127."""
    return np.clip(np.rint(np.asarray(x, np.float32) / scale[..., None]), -127, 127).astype("i1")


def _encode(x: np.ndarray, dtype: str) -> np.ndarray:
    x = np.ascontiguousarray(x, "<f4")
    if dtype == "F32":
        return x
    return bf16_bits(x) if dtype == "BF16" else quantise(x, row_scales(x))


def write_safetensors(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    storage: Storage = Storage(),
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes one safetensors file; an I8 matrix X brings its row scales as X.qscale.

    Data starts on a 64-byte boundary and has no holes. Tensors of a multiple of 64 bytes
    come first and are therefore all aligned to 64; the others follow by element size.
    """
    plan: list[tuple[str, str, tuple[int, ...], str]] = []  # name, dtype, shape, source
    for name, x in tensors.items():
        kind = storage.of(name, x.shape)
        plan.append((name, kind, x.shape, name))
        if kind == "I8":
            plan.append((name + ".qscale", "F32", x.shape[:-1], name))

    def size(item: tuple[str, str, tuple[int, ...], str]) -> int:
        return SIZES[item[1]] * int(np.prod(item[2], dtype=np.int64))

    plan.sort(key=lambda item: (size(item) % ALIGN != 0, -SIZES[item[1]]))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for item in plan:
        name, kind, shape, _ = item
        end = offset + size(item)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGN)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little"))
        out.write(text)
        for name, kind, _, source in plan:
            x = tensors[source]
            data = row_scales(x) if name != source else _encode(x, kind)
            out.write(np.ascontiguousarray(data).data)


def check_config(config: Mapping[str, object]) -> None:
    """Refuses unknown and missing keys, as a reader would."""
    for key in REQUIRED_KEYS:
        if key not in config:
            raise ConvertError(f"config.json: {key} is missing")
    for key in config:
        if key not in REQUIRED_KEYS and key not in OPTIONAL_KEYS:
            raise ConvertError(f"config.json: unknown key {key}")


def write_model_folder(
    path: Path | str,
    config: Mapping[str, object],
    tensors: Mapping[str, np.ndarray],
    dtype: str = "f32",
    vocab_file: Path | str | None = None,
    controller: str = "f32",
    rest: str = "f32",
) -> None:
    """Writes the folder `path`; files of the same names in it are replaced.

    `config` holds the keys of config.json; format is added. If `vocab_file` is given,
    config["vocabulary"]["type"] must say what it is; file and sha256 are filled in here.
    `dtype`, `controller` and `rest` are f32, bf16 or int8: see Storage. config.json is
    written last: a folder that was cut short has none and is refused by every reader.
    """
    folder = Path(path)
    for wanted in (dtype, controller, rest):
        if wanted not in MODEL_DTYPES:
            raise ConvertError(f"dtype {wanted!r}: expected f32, bf16 or int8", 2)
    check_config(config)
    for name, x in tensors.items():
        if not np.isfinite(x).all():
            raise ConvertError(f"{name}: NaN or infinity among the weights")
    result: dict[str, object] = {**config, "format": FORMAT}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").unlink(missing_ok=True)
        if vocab_file is not None:
            result["vocabulary"] = _copy_vocabulary(folder, Path(vocab_file), config)
        _replace(folder / "model.safetensors", tensors, Storage(dtype, controller, rest))
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
    except OSError as e:
        raise ConvertError(f"{e.filename or folder}: {e.strerror}") from e


def _replace(path: Path, tensors: Mapping[str, np.ndarray], storage: Storage) -> None:
    """A process that has the old file mapped keeps it: never write in place."""
    part = path.with_name(path.name + ".part")
    write_safetensors(part, tensors, storage, {"format": FORMAT})
    os.replace(part, path)


def _copy_vocabulary(folder: Path, source: Path, config: Mapping[str, object]) -> dict[str, object]:
    vocabulary = config.get("vocabulary")
    if not isinstance(vocabulary, dict) or "type" not in vocabulary:
        raise ConvertError("config.json: a vocabulary file needs vocabulary.type")
    data = source.read_bytes()
    name = "tokenizer.json" if vocabulary["type"] == "bpe" else source.name
    target = folder / name
    if not (target.exists() and target.samefile(source)):
        target.write_bytes(data)
    return {**vocabulary, "file": name, "sha256": hashlib.sha256(data).hexdigest()}
