# SPDX-License-Identifier: MIT
"""What the converter's tests share: paths, and a way to run the program."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tools")]

from data.convert import trax  # noqa: E402


class FolderTest(unittest.TestCase):
    """A test with a temporary folder."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def convert(self, *arguments: object) -> tuple[int, str]:
        """Exit status and the text on stderr of one run."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            status = trax.main([str(a) for a in arguments])
        return status, errors.getvalue()

    def refused(self, pattern: str, *arguments: object, status: int = 3) -> None:
        """Runs the converter; it must end with one line that matches, and no model."""
        output = self.folder / "refused"
        got, text = self.convert(*arguments, "-o", output)
        self.assertEqual((got, text.count("\n")), (status, 1), text)
        self.assertRegex(text, pattern)
        self.assertFalse((output / "config.json").exists())


def read_config(model: Path) -> dict[str, Any]:
    return json.loads((model / "config.json").read_text(encoding="utf-8"))


def checkpoint_arrays(folder: Path) -> list[np.ndarray]:
    """The flat list of a golden folder, by NumPy's own readers, as float32."""
    import gzip
    import pickle

    beside = folder / "model_1.weights.npy.gz"
    flat: list[np.ndarray] = []
    if beside.exists():
        stream = io.BytesIO(gzip.decompress(beside.read_bytes()))
        while stream.tell() < len(stream.getbuffer()):
            flat.append(np.load(stream))
    else:  # our own committed fixture

        class Ignored(dict):
            def __init__(self, *_: object) -> None:
                super().__init__()

            def __setstate__(self, state: object) -> None:
                pass

        class Loose(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                numpy = module.startswith("numpy")
                return super().find_class(module, name) if numpy else Ignored

        with gzip.open(folder / "model_1.pkl.gz") as file:
            flat = Loose(file).load()["flat_weights"]
    bits = np.dtype(np.uint16)
    return [(x.astype(np.uint32) << 16).view(np.float32) if x.dtype == bits else x for x in flat]
