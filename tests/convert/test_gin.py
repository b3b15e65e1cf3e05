# SPDX-License-Identifier: MIT
"""The gin reader: everything an authored or an operative config may hold."""

from __future__ import annotations

import unittest

from common import FolderTest

from data.convert.errors import ConvertError
from data.convert.gin import Reference, parse_gin, read_gin


class Values(unittest.TestCase):
    def value(self, text: str) -> object:
        return parse_gin(f"A.x = {text}\n").get("A", "x", "missing")

    def test_literals(self) -> None:
        for text, expected in {
            "3": 3,
            "-3": -3,
            "1e-5": 1e-5,
            "1_000": 1000,
            "True": True,
            "None": None,
            "'one'": "one",
            "\"a\" 'b'": "ab",
            "[]": [],
            "()": (),
            "(1, 8)": (1, 8),
            "(1,)": (1,),
            "(1)": 1,
            "[1, [2, 'x'],]": [1, [2, "x"]],
            "{'a': 1, 'b': (2, 3)}": {"a": 1, "b": (2, 3)},
        }.items():
            self.assertEqual(self.value(text), expected, text)

    def test_references(self) -> None:
        self.assertEqual(self.value("@Attention"), Reference("Attention"))
        self.assertEqual(self.value("@trax.layers.Attention()"), Reference("Attention"))
        self.assertEqual(self.value("@a/b/tl.X"), Reference("X", ("a", "b")))
        self.assertEqual(self.value("[@A, @s/B]"), [Reference("A"), Reference("B", ("s",))])

    def test_bad_values_are_refused_with_their_line(self) -> None:
        for text in (
            "",
            "[1, 2",
            "1 2",
            "foo",
            "@",
            "[1 2]",
            "{1}",
            "--1",
            "-'a'",
            "0x",
            "{[]: 1}",
        ):
            with self.assertRaisesRegex(ConvertError, r"config.gin:\d", msg=text):
                self.value(text)

    def test_deep_nesting_is_refused(self) -> None:
        with self.assertRaises(ConvertError):
            self.value("[" * 5000 + "]" * 5000)


class Bindings(unittest.TestCase):
    def test_authored_style(self) -> None:
        gin = parse_gin(
            "import trax.layers  # comment\n"
            "from trax import models as m\n"
            "n = 1\n"
            "size = %n\n"
            "trax.models.Model.size = %size  # later macros count\n"
            "Model.stream = [\n  @train/data.TFDS(),  # first\n\n  @data.Batch(),\n]\n"
            "Model.kind = \\\n    @encoder/Wrapper\n"
            "Model.depth = 1\n"
            "Model.depth = 2\n"
            "n = 7\n"
        )
        self.assertEqual(gin.get("Model", "size", None), 7)
        self.assertEqual(gin.get("Model", "depth", None), 2)
        self.assertEqual(gin.get("Model", "kind", None), Reference("Wrapper", ("encoder",)))
        self.assertEqual(
            gin.get("Model", "stream", None), [Reference("TFDS", ("train",)), Reference("Batch")]
        )

    def test_macros_inside_values_and_in_long_form(self) -> None:
        gin = parse_gin("w/macro.value = 4\na/b = 5\nX.p = [(%w, 1), {'k': %a/b}]\n")
        self.assertEqual(gin.get("X", "p", None), [(4, 1), {"k": 5}])

    def test_scopes(self) -> None:
        gin = parse_gin("X.p = 1\na/X.p = 2\na/b/X.p = 3\nc/X.q = 4\n")
        for scopes, expected in (((), 1), (("a",), 2), (("a", "b"), 3), (("b",), 1), (("c",), 1)):
            self.assertEqual(gin.get("X", "p", None, scopes), expected, scopes)
        self.assertEqual(gin.get("X", "q", "default"), "default")

    def test_blocks(self) -> None:
        gin = parse_gin("s/m.X:\n  p = 1\n  q = [1,\n2]\n\nY.p = 3\n")
        self.assertEqual(gin.get("X", "q", None, ("s",)), [1, 2])
        self.assertEqual(gin.get("Y", "p", None), 3)

    def test_none_is_not_silence(self) -> None:
        gin = parse_gin("X.p = None\n")
        self.assertIsNotNone(gin.find("X", "p"))
        self.assertIsNone(gin.find("X", "q"))

    def test_undefined_and_circular_macros(self) -> None:
        with self.assertRaisesRegex(ConvertError, "config.gin:1: macro %nothing"):
            parse_gin("X.p = %nothing\n").get("X", "p", None)
        with self.assertRaisesRegex(ConvertError, "circle"):
            parse_gin("a = %b\nb = [%a]\nX.p = %a\n").get("X", "p", None)

    def test_broken_lines(self) -> None:
        for text in ("X.p 3", "X.p == 3", "= 3", "X. = 1", "<html>", "X.p = 'open", "a:\nb = 1"):
            with self.assertRaisesRegex(ConvertError, r"config.gin:\d", msg=text):
                parse_gin("ok = 1\n" + text + "\n")


class Files(FolderTest):
    def test_includes(self) -> None:
        (self.folder / "sub").mkdir()
        (self.folder / "base.gin").write_text("X.p = 1\nX.q = 1\n")
        (self.folder / "a.gin").write_text("include 'base.gin'\nX.q = 2\n")
        gin = read_gin(self.folder / "a.gin")
        self.assertEqual((gin.get("X", "p", None), gin.get("X", "q", None)), (1, 2))

    def test_missing_and_circular_includes(self) -> None:
        (self.folder / "a.gin").write_text("include 'b.gin'\n")
        with self.assertRaisesRegex(ConvertError, "b.gin: No such file"):
            read_gin(self.folder / "a.gin")
        (self.folder / "b.gin").write_text("include 'a.gin'\n")
        with self.assertRaisesRegex(ConvertError, "circle"):
            read_gin(self.folder / "a.gin")

    def test_binary_file(self) -> None:
        (self.folder / "a.gin").write_bytes(b"\x1f\x8b\xff\x00")
        with self.assertRaisesRegex(ConvertError, "not UTF-8"):
            read_gin(self.folder / "a.gin")
        (self.folder / "a.gin").write_bytes(b"a = 1\0\n")
        with self.assertRaises(ConvertError):
            read_gin(self.folder / "a.gin")


if __name__ == "__main__":
    unittest.main()
