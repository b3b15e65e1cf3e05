# SPDX-License-Identifier: MIT
"""Reading checkpoints: harmless with hostile pickles, clear with damaged files."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import shutil
import struct
import unittest
from pathlib import Path

import numpy as np
from common import GOLDEN, FolderTest

from data.convert.checkpoint import load_pickle, load_weights, read_records
from data.convert.errors import ConvertError


class Evil:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def npy(descr: str, shape: str, data: bytes, fortran: bool = False, major: int = 1) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    text += b"\n"
    return (
        b"\x93NUMPY"
        + bytes([major, 0])
        + struct.pack("<H" if major == 1 else "<I", len(text))
        + text
        + data
    )


class Pickles(FolderTest):
    def write(self, content: object, protocol: int = 4) -> Path:
        path = self.folder / "model_1.pkl.gz"
        path.write_bytes(gzip.compress(pickle.dumps(content, protocol)))
        return path

    def test_calls_are_not_made(self) -> None:
        mark = self.folder / "mark"
        for function, argument in (
            (os.system, f"touch {mark}"),
            (eval, f"open({str(mark)!r}, 'w')"),
            (exec, f"open({str(mark)!r}, 'w')"),
            (os.mkdir, str(mark)),
            (np.save, str(mark)),
        ):
            for protocol in range(6):
                content = {"flat_weights": Evil(function, argument)}
                path = self.write(content, protocol)
                with self.assertRaises(ConvertError):
                    load_weights(path)
                self.assertFalse(mark.exists(), f"{function} ran")

    def test_raw_opcodes_reach_nothing(self) -> None:
        mark = self.folder / "mark"
        command = f"touch {mark}".encode()
        for program in (
            b"cos\nsystem\n(S'" + command + b"'\ntR.",
            b"(S'" + command + b"'\nios\nsystem\n.",
            b"c__builtin__\ngetattr\n(cos\nsystem\nS'x'\ntR.",
            b"cnumpy\nload\n(S'" + command + b"'\ntR.",
            b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(S'" + command + b"'\ntS'b'\ntR.",
            b"cos\nsystem\n(S'" + command + b"'\nt\x81.",
            b"(cos\nsystem\nS'" + command + b"'\no.",
        ):
            path = self.folder / "model_1.pkl.gz"
            path.write_bytes(gzip.compress(program))
            with self.assertRaises(ConvertError):
                load_weights(path)
            self.assertFalse(mark.exists(), program)

    def test_classes_cannot_be_changed(self) -> None:
        program = b"\x80\x02cnumpy\nndarray\n}X\x08\x00\x00\x00__call__cos\nsystem\nsb."
        path = self.folder / "model_1.pkl.gz"
        path.write_bytes(gzip.compress(program))
        with self.assertRaises(ConvertError):
            load_weights(path)
        self.assertEqual(len(load_weights(GOLDEN / "old_pickle" / "model_1.pkl.gz")), 136)

    def test_unknown_classes_become_stubs(self) -> None:
        golden = load_pickle(GOLDEN / "old_pickle" / "model_1.pkl.gz")
        self.assertIsInstance(golden["flat_weights"], list)

    def test_arrays_of_every_protocol_and_order(self) -> None:
        x = np.arange(12, dtype=np.float32).reshape(3, 4)
        for protocol in range(2, 6):
            for y in (x, np.asfortranarray(x), x.astype("<f8"), x.astype("<f2")):
                path = self.write({"flat_weights": [y]}, protocol)
                np.testing.assert_array_equal(load_weights(path)[0], x)
        bits = (x.view(np.uint32) >> 16).astype(np.uint16)
        path = self.write({"flat_weights": (bits,)})
        np.testing.assert_array_equal(load_weights(path)[0], x)

    def test_odd_contents(self) -> None:
        for content, pattern in (
            ({"flat_weights": "x"}, "neither a list nor a number"),
            ({"flat_weights": [1.0]}, "tensor 0: not a NumPy array"),
            ({"flat_weights": [np.zeros(2), np.array([None])]}, "tensor 1: not an array of num"),
            ({"flat_weights": [np.zeros(2, np.int32)]}, "tensor 0: dtype int32"),
            ({"flat_weights": [np.zeros(2, ">f4")]}, "tensor 0: dtype '>f4'"),
            ({"flat_weights": [np.zeros(2, "c8")]}, "tensor 0: dtype"),
            ({"weights": []}, "no flat_weights"),
            ([1, 2], "no flat_weights"),
            ({"flat_weights": 2}, "are not beside it"),
        ):
            with self.assertRaisesRegex(ConvertError, pattern):
                load_weights(self.write(content))

    def test_damaged_files(self) -> None:
        whole = (GOLDEN / "old_pickle" / "model_1.pkl.gz").read_bytes()
        path = self.folder / "model_1.pkl.gz"
        for data in (
            b"",
            b"\x1f\x8b",
            whole[:1000],
            whole[:-4],
            whole[:5000] + bytes(64) + whole[5064:],
            b"<!DOCTYPE html><html>not found</html>",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
            gzip.compress(b"no pickle"),
            gzip.compress(b"\x80\x04."),
        ):
            path.write_bytes(data)
            with self.assertRaisesRegex(ConvertError, "model_1.pkl.gz") as caught:
                load_weights(path)
            self.assertNotIn("\n", str(caught.exception))


class Records(FolderTest):
    def read(self, data: bytes, packed: bool = True) -> list[np.ndarray]:
        path = self.folder / "w.npy.gz"
        path.write_bytes(gzip.compress(data) if packed else data)
        return read_records(path)

    def test_numpy_writes_what_we_read(self) -> None:
        stream = io.BytesIO()
        arrays = [
            np.arange(6, dtype="<f4").reshape(2, 3),
            np.asfortranarray(np.arange(24, dtype="<f4").reshape(2, 3, 4)),
            np.array(2.5, "<f8"),
            np.zeros((0, 3), "<f4"),
            np.linspace(-1, 1, 5).astype("<f2"),
        ]
        for x in arrays:
            np.save(stream, x)
        for packed in (True, False):
            got = self.read(stream.getvalue(), packed)
            self.assertEqual(len(got), len(arrays))
            for x, y in zip(arrays, got):
                self.assertEqual(y.dtype, np.float32)
                np.testing.assert_array_equal(x, y)

    def test_versions_and_bfloat16(self) -> None:
        bits = np.array([0x3F80, 0xC000], "<u2").tobytes()
        for major in (1, 2, 3):
            (x,) = self.read(npy("<u2", "(2,)", bits, major=major))
            np.testing.assert_array_equal(x, [1.0, -2.0])

    def test_bad_records(self) -> None:
        four = bytes(16)
        for data, pattern in (
            (npy("<f4", "(4,)", four)[:-1], "tensor 0: the file ends after 15 of 16 bytes"),
            (npy("<f4", "(4,)", four) + b"\x93NUM", "tensor 1: the file ends"),
            (npy("<f4", "(4,)", four) + b"garbage!", "tensor 1: no npy record"),
            (npy("<f4", "(5,)", four), "the file ends after 16 of 20"),
            (npy("<f4", "(-4,)", four), "bad shape"),
            (npy("<f4", "(2, True)", four), "bad shape"),
            (npy("<f4", "4", four), "bad shape"),
            (npy("<f4", "(99999999999, 99999999999)", four), "bad shape"),
            (npy("<f4", "(1000000000000,)", four), "the file ends after 16 of 4000000000000"),
            (npy(">f4", "(4,)", four), "dtype '>f4' is not supported"),
            (npy("|O", "(2,)", four), "dtype '|O' is not supported"),
            (npy("<i4", "(4,)", four), "dtype int32, expected floating"),
            (npy("<f4", "__import__('os').getcwd()", four), "unreadable npy header"),
            (npy("<f4", "(4,)", four, major=9), "npy version 9"),
            (b"\x93NUMPY\x01\x00\x04\x00[1]\n", "npy header without"),
        ):
            with self.assertRaisesRegex(ConvertError, pattern):
                self.read(data)

    def test_cut_stream(self) -> None:
        path = self.folder / "w.npy.gz"
        whole = (GOLDEN / "one_swap" / "model_1.weights.npy.gz").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with self.assertRaisesRegex(ConvertError, r"cut short or damaged in tensor \d+"):
            read_records(path)

    def test_both_names_of_the_weights_file(self) -> None:
        shutil.copy(GOLDEN / "one_swap" / "model_1.pkl.gz", self.folder)
        weights = GOLDEN / "one_swap" / "model_1.weights.npy.gz"
        for name in ("model_1.weights.npy.gz", "model_1.pkl.gz.npy"):
            shutil.copy(weights, self.folder / name)
            self.assertEqual(len(load_weights(self.folder / "model_1.pkl.gz")), 124)
            (self.folder / name).unlink()


if __name__ == "__main__":
    unittest.main()
