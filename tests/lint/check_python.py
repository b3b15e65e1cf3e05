#!/usr/bin/env python3
"""Checks Python sources: syntax, SPDX line, width, and that every function is typed.

Usage: check_python.py FILE...  Prints one line per finding; exits with 1 if there is any.
"""
# SPDX-License-Identifier: MIT

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

WIDTH = 100


def untyped(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """What lacks an annotation; self and cls need none."""
    a = function.args
    for i, arg in enumerate([*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]):
        if arg and not arg.annotation and not (i == 0 and arg.arg in ("self", "cls")):
            yield arg.arg
    if function.returns is None and function.name != "__init__":
        yield "the result"


def findings(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text("utf-8")
    try:
        tree = ast.parse(text, str(path))
    except SyntaxError as e:
        yield e.lineno or 0, f"syntax: {e.msg}"
        return
    if "SPDX-License-Identifier: MIT" not in text:
        yield 1, "no SPDX line"
    for i, line in enumerate(text.splitlines(), 1):
        if len(line) > WIDTH:
            yield i, f"{len(line)} columns, wanted at most {WIDTH}"
        if line != line.rstrip() or "\t" in line:
            yield i, "a tab, or white space at the end"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for name in untyped(node):
                yield node.lineno, f"{node.name}: {name} has no type"


def main() -> int:
    n = 0
    for name in sys.argv[1:]:
        for line, what in findings(Path(name)):
            print(f"{name}:{line}: {what}")
            n += 1
    return 1 if n else 0


if __name__ == "__main__":
    sys.exit(main())
