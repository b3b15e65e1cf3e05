# SPDX-License-Identifier: MIT
"""Reads trax checkpoints: a restricted unpickler and concatenated npy records.

A pickle is a program. Here every name that it can mention is answered with one of the
inert classes below, so that it can build lists, dicts, numbers and arrays, and nothing
else: no code outside this module runs, NumPy's own reconstruction included.
"""

from __future__ import annotations

import ast
import gzip
import math
import pickle
import re
import zlib
from pathlib import Path
from typing import IO, TypeGuard

import numpy as np

from data.convert.errors import ConvertError

MAX_NPY_HEADER = 1 << 16
READ_CHUNK = 1 << 26
MAX_BYTES = 1 << 44
_DESCR = re.compile(r"[<|=]?([a-z])(\d+)")  # not big-endian
_READ_ERRORS = (OSError, EOFError, zlib.error)


# ---------------------------------------------------------------- arrays


def _to_float32(x: np.ndarray, what: str) -> np.ndarray:
    """Weights are floats; trax stores bfloat16 ones as their bits, in uint16."""
    if x.dtype == np.uint16:
        return (x.astype(np.uint32) << 16).view(np.float32)
    if x.dtype.kind == "f":
        return x.astype(np.float32, copy=False)
    raise ConvertError(f"{what}: dtype {x.dtype}, expected floating point")


def _simple_dtype(descr: object, what: str) -> np.dtype:
    """A little-endian number type; anything else in a file is refused."""
    match = _DESCR.fullmatch(descr) if isinstance(descr, str) else None
    if match and match[1] in "fiub" and match[2] in ("1", "2", "4", "8"):
        try:
            return np.dtype(f"<{match[1]}{match[2]}")
        except TypeError:
            pass
    raise ConvertError(f"{what}: dtype {descr!r} is not supported")


def _is_shape(shape: object) -> TypeGuard[tuple[int, ...]]:
    return (
        isinstance(shape, tuple)
        and len(shape) <= 32
        and all(type(n) is int and 0 <= n < MAX_BYTES for n in shape)
        and math.prod(shape) < MAX_BYTES
    )


def _shaped(
    data: bytes | bytearray, dtype: np.dtype, shape: object, fortran: bool, what: str
) -> np.ndarray:
    if not _is_shape(shape):
        raise ConvertError(f"{what}: bad shape {str(shape)[:60]}")
    need = math.prod(shape) * dtype.itemsize
    if len(data) != need:
        raise ConvertError(f"{what}: {len(data)} bytes of data, shape {shape} needs {need}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


# ---------------------------------------------------------------- pickle


class _Stub(dict):
    """Stands for any class or function of the pickle. Takes everything, does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> _Stub:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass

    def add(self, item: object) -> None:
        pass


class _Dtype:
    """numpy.dtype as pickles build it: dtype('f4', 0, 1), then a state with the order."""

    def __init__(self, descr: object = None, *_: object) -> None:
        self.descr, self.order = descr, "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and isinstance(state[1], str):
            self.order = state[1]


class _Array:
    """numpy.ndarray as pickles build it: empty, then a state with shape, type and data.

    Checked only when asked for: most arrays of a checkpoint are not weights.
    """

    def __init__(self, *_: object) -> None:
        self.parts: tuple[object, object, object, object] | None = None

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            self.parts = (data, dtype, shape, fortran)

    def weight(self, what: str) -> np.ndarray:
        if self.parts is None:
            raise ConvertError(f"{what}: not a NumPy array")
        data, dtype, shape, fortran = self.parts
        if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, _Dtype):
            raise ConvertError(f"{what}: not an array of numbers")
        kind = _simple_dtype(f"{dtype.order}{dtype.descr}", what)
        return _to_float32(_shaped(data, kind, shape, bool(fortran), what), what)


def _from_buffer(data: object, dtype: object, shape: object, order: object = "C") -> _Array:
    """An array as pickle protocol 5 builds it."""
    array = _Array()
    array.parts = (data, dtype, shape, order == "F")
    return array


def _latin1(text: object = "", *_: object) -> object:
    """_codecs.encode: how the first three protocols spell bytes."""
    return text.encode("latin-1") if isinstance(text, str) else b""


_NUMPY = {
    "dtype": _Dtype,
    "ndarray": _Array,
    "_reconstruct": _Array,
    "_frombuffer": _from_buffer,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if module.split(".")[0] == "numpy":
            return _NUMPY.get(name, _Stub)
        return _latin1 if (module, name) == ("_codecs", "encode") else _Stub

    def persistent_load(self, pid: object) -> object:
        raise pickle.UnpicklingError("persistent ids are not used by checkpoints")


def load_pickle(path: Path) -> object:
    """The content of a gzip'd pickle, unknown classes as stubs."""
    try:
        with open(path, "rb") as raw:
            if raw.read(2) != b"\x1f\x8b":
                raise ConvertError(f"{path}: not a gzip'd checkpoint")
        with gzip.open(path, "rb") as stream:
            content = _Unpickler(stream).load()
            while stream.read(READ_CHUNK):
                pass  # to the end, where gzip compares its checksum
            return content
    except ConvertError as e:
        raise ConvertError(str(e) if str(path) in str(e) else f"{path}: {e}") from e
    except FileNotFoundError as e:
        raise ConvertError(f"{path}: {e.strerror}") from e
    except _READ_ERRORS as e:
        raise ConvertError(f"{path}: cut short or damaged ({e})") from e
    except Exception as e:  # a pickle can make its reader raise anything at all
        raise ConvertError(f"{path}: not a usable pickle ({type(e).__name__})") from e


# ---------------------------------------------------------------- npy records


def _read_exactly(stream: IO[bytes], n: int, what: str) -> bytearray:
    """n bytes, in pieces: a lying header cannot make us allocate what is not there."""
    data = bytearray()
    while len(data) < n:
        piece = stream.read(min(n - len(data), READ_CHUNK))
        if not piece:
            raise ConvertError(f"{what}: the file ends after {len(data)} of {n} bytes")
        data += piece
    return data


def _read_record(stream: IO[bytes], magic: bytes, what: str) -> np.ndarray:
    if magic[:6] != b"\x93NUMPY":
        raise ConvertError(f"{what}: no npy record (starts with {magic[:6]!r})")
    wide = magic[6] != 1
    if magic[6] not in (1, 2, 3):
        raise ConvertError(f"{what}: npy version {magic[6]}, expected 1, 2 or 3")
    length = int.from_bytes(_read_exactly(stream, 4 if wide else 2, what), "little")
    if length > MAX_NPY_HEADER:
        raise ConvertError(f"{what}: npy header of {length} bytes, at most {MAX_NPY_HEADER}")
    text = _read_exactly(stream, length, what).decode("latin-1").strip()
    try:
        header = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as e:
        raise ConvertError(f"{what}: unreadable npy header") from e
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise ConvertError(f"{what}: npy header without descr, fortran_order and shape")
    dtype, shape = _simple_dtype(header["descr"], what), header["shape"]
    if not _is_shape(shape):
        raise ConvertError(f"{what}: bad shape {str(shape)[:60]}")
    data = _read_exactly(stream, math.prod(shape) * dtype.itemsize, what)
    return _to_float32(_shaped(data, dtype, shape, bool(header["fortran_order"]), what), what)


def read_records(path: Path) -> list[np.ndarray]:
    """All npy records of a file, gzip'd or plain, as float32."""
    arrays: list[np.ndarray] = []
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        stream: IO[bytes]
        with gzip.open(path, "rb") if packed else open(path, "rb") as stream:  # type: ignore
            while magic := stream.read(8):
                what = f"{path}: tensor {len(arrays)}"
                magic += _read_exactly(stream, 8 - len(magic), what)
                arrays.append(_read_record(stream, magic, what))
    except _READ_ERRORS as e:
        text = f"cut short or damaged in tensor {len(arrays)} ({e})"
        raise ConvertError(f"{path}: {text}") from e
    return arrays


# ---------------------------------------------------------------- checkpoint


def load_weights(path: Path) -> list[np.ndarray]:
    """The flat weight list of a checkpoint, float32, whichever format it has."""
    content = load_pickle(path)
    if not isinstance(content, dict) or "flat_weights" not in content:
        raise ConvertError(f"{path}: no flat_weights in the pickle: not a trax checkpoint")
    flat = content["flat_weights"]
    if isinstance(flat, int):
        return read_records(_weights_file(path))
    if not isinstance(flat, (list, tuple)):
        raise ConvertError(f"{path}: flat_weights is neither a list nor a number")
    arrays = []
    for i, item in enumerate(flat):
        what = f"{path}: tensor {i}"
        if not isinstance(item, _Array):
            raise ConvertError(f"{what}: not a NumPy array")
        arrays.append(item.weight(what))
    return arrays


def _weights_file(path: Path) -> Path:
    base = path.name.removesuffix(".pkl.gz")
    names = (base + ".weights.npy.gz", base + ".pkl.gz.npy")
    for name in names:
        if path.with_name(name).exists():
            return path.with_name(name)
    raise ConvertError(f"{path}: its weights, {names[0]} or {names[1]}, are not beside it")
