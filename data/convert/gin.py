# SPDX-License-Identifier: MIT
"""Reads gin files: bindings, macros, references, scopes, includes.

Nothing is imported or called: a file is only a table of `scope/Name.param = value`.
Module prefixes are dropped (trax.models.X.p is X.p), the last binding wins, and macros
are looked up when a value is asked for, so that they may be defined later.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.convert.errors import ConvertError

MAX_DEPTH = 32  # of nested values, macros and includes


@dataclass(frozen=True)
class Reference:
    """@scope/module.Name: a layer or function, named but never loaded."""

    name: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Macro:
    """%name inside a value."""

    name: str


@dataclass(frozen=True)
class Binding:
    value: object
    where: str  # file:line


def short_name(selector: str) -> str:
    """The last component of module.module.Name."""
    return selector.rsplit(".", 1)[-1]


@dataclass
class Gin:
    """All bindings of a file and its includes."""

    source: str = "config.gin"
    bindings: dict[tuple[str, str, str], Binding] = field(default_factory=dict)
    macros: dict[str, Binding] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """True if any parameter of `name` is bound, in any scope."""
        return any(key[1] == name for key in self.bindings)

    def find(self, name: str, param: str, scopes: Sequence[str] = ()) -> Binding | None:
        """The binding that a call inside `scopes` sees, its macros resolved, or None."""
        for n in range(len(scopes), -1, -1):
            binding = self.bindings.get(("/".join(scopes[:n]), name, param))
            if binding is not None:
                return Binding(self._resolve(binding.value, binding.where), binding.where)
        return None

    def get(self, name: str, param: str, default: object, scopes: Sequence[str] = ()) -> object:
        binding = self.find(name, param, scopes)
        return default if binding is None else binding.value

    def _resolve(self, value: object, where: str, depth: int = 0) -> object:
        if depth > MAX_DEPTH:
            raise ConvertError(f"{where}: macros refer to each other in a circle")
        if isinstance(value, Macro):
            macro = self.macros.get(value.name)
            if macro is None:
                raise ConvertError(f"{where}: macro %{value.name} is not defined")
            return self._resolve(macro.value, macro.where, depth + 1)
        if isinstance(value, (list, tuple)):
            return type(value)(self._resolve(v, where, depth + 1) for v in value)
        if isinstance(value, dict):
            return {k: self._resolve(v, where, depth + 1) for k, v in value.items()}
        return value


def read_gin(path: Path | str) -> Gin:
    """Parses a gin file. Raises ConvertError with file and line on anything else."""
    gin = Gin(source=str(path))
    _read_file(gin, Path(path), 0)
    return gin


def parse_gin(text: str, source: str = "config.gin") -> Gin:
    """As read_gin, from a string; include lines are looked up in the current directory."""
    gin = Gin(source=source)
    _Parser(gin, text, source, Path("."), 0).run()
    return gin


def _read_file(gin: Gin, path: Path, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ConvertError(f"{path}: files include each other in a circle")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise ConvertError(f"{path}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise ConvertError(f"{path}: not UTF-8 text") from e
    _Parser(gin, text, str(path), path.parent, depth).run()


_IGNORED = (tokenize.COMMENT, tokenize.NL)
_ENDS = (tokenize.NEWLINE, tokenize.ENDMARKER)


class _Parser:
    """Recursive descent over Python's own tokens, which match gin's."""

    def __init__(self, gin: Gin, text: str, source: str, folder: Path, depth: int) -> None:
        self.gin, self.source, self.folder, self.depth = gin, source, folder, depth
        try:
            tokens = tokenize.generate_tokens(io.StringIO(text).readline)
            self.tokens = [t for t in tokens if t.type not in _IGNORED]
        except tokenize.TokenError as e:
            raise ConvertError(f"{source}:{e.args[1][0]}: {e.args[0]}") from e
        except SyntaxError as e:
            raise ConvertError(f"{source}:{e.lineno}: {e.msg}") from e
        self.at = 0

    # -- tokens

    @property
    def token(self) -> tokenize.TokenInfo:
        return self.tokens[self.at]

    def where(self) -> str:
        return f"{self.source}:{self.token.start[0]}"

    def fail(self, expected: str) -> ConvertError:
        return ConvertError(f"{self.where()}: expected {expected}, not {self.token.string!r}")

    def accept(self, string: str) -> bool:
        if self.token.type in (tokenize.OP, tokenize.NAME) and self.token.string == string:
            self.at += 1
            return True
        return False

    def need(self, string: str) -> None:
        if not self.accept(string):
            raise self.fail(repr(string))

    def name(self) -> str:
        if self.token.type != tokenize.NAME:
            raise self.fail("a name")
        self.at += 1
        return self.tokens[self.at - 1].string

    def selector(self) -> tuple[tuple[str, ...], str]:
        """scope/scope/module.Name as (scopes, module.Name)."""
        parts = [self.dotted()]
        while self.accept("/"):
            parts.append(self.dotted())
        return tuple(parts[:-1]), parts[-1]

    def dotted(self) -> str:
        text = self.name()
        while self.accept("."):
            text += "." + self.name()
        return text

    def end_of_line(self) -> None:
        if self.token.type not in _ENDS:
            raise self.fail("the end of the line")
        if self.token.type == tokenize.NEWLINE:
            self.at += 1

    # -- statements

    def run(self) -> None:
        while self.token.type != tokenize.ENDMARKER:
            if self.token.type == tokenize.NEWLINE:
                self.at += 1
            elif self.accept("import"):
                self.dotted()
                if self.accept("as"):
                    self.name()
                self.end_of_line()
            elif self.accept("from"):
                self.dotted()
                self.need("import")
                self.dotted()
                if self.accept("as"):
                    self.name()
                self.end_of_line()
            elif self.accept("include"):
                self.include()
            else:
                self.statement()

    def include(self) -> None:
        where = self.where()
        name = self.value(0)
        if not isinstance(name, str):
            raise ConvertError(f"{where}: include needs a file name")
        self.end_of_line()
        _read_file(self.gin, self.folder / name, self.depth + 1)

    def statement(self) -> None:
        where = self.where()
        scopes, selector = self.selector()
        if self.accept(":"):
            self.block(scopes, selector)
            return
        self.need("=")
        value = self.value(0)
        self.end_of_line()
        self.bind(scopes, selector, value, where)

    def block(self, scopes: tuple[str, ...], selector: str) -> None:
        """Name: followed by indented `param = value` lines."""
        self.end_of_line()
        if self.token.type != tokenize.INDENT:
            raise self.fail("an indented parameter")
        self.at += 1
        while self.token.type != tokenize.DEDENT:
            where = self.where()
            param = self.name()
            self.need("=")
            value = self.value(0)
            self.end_of_line()
            self.bind(scopes, f"{selector}.{param}", value, where)
        self.at += 1

    def bind(self, scopes: tuple[str, ...], selector: str, value: object, where: str) -> None:
        binding = Binding(value, where)
        head, _, param = selector.rpartition(".")
        if not head:
            self.gin.macros["/".join((*scopes, selector))] = binding
        elif short_name(head) == "macro" and scopes:
            self.gin.macros["/".join(scopes)] = binding
        else:
            self.gin.bindings["/".join(scopes), short_name(head), param] = binding

    # -- values

    def value(self, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise ConvertError(f"{self.where()}: values are nested too deeply")
        if self.accept("@"):
            return self.reference()
        if self.accept("%"):
            scopes, selector = self.selector()
            return Macro("/".join((*scopes, selector)))
        if self.accept("["):
            return self.items("]", depth)[0]
        if self.accept("("):
            items, comma = self.items(")", depth)
            return tuple(items) if comma or not items else items[0]
        if self.accept("{"):
            return self.mapping(depth)
        return self.literal()

    def reference(self) -> Reference:
        scopes, selector = self.selector()
        if self.accept("("):
            self.need(")")
        return Reference(short_name(selector), scopes)

    def items(self, close: str, depth: int) -> tuple[list[object], bool]:
        values: list[object] = []
        comma = False
        while not self.accept(close):
            if values and not comma:
                raise self.fail(f"',' or {close!r}")
            values.append(self.value(depth + 1))
            comma = self.accept(",")
        return values, comma or len(values) > 1

    def mapping(self, depth: int) -> dict[object, object]:
        result: dict[object, object] = {}
        comma = True
        while not self.accept("}"):
            if not comma:
                raise self.fail("',' or '}'")
            where = self.where()
            key = self.value(depth + 1)
            self.need(":")
            try:
                result[key] = self.value(depth + 1)
            except TypeError as e:
                raise ConvertError(f"{where}: this cannot be a key") from e
            comma = self.accept(",")
        return result

    def literal(self) -> object:
        where, text = self.where(), ""
        if self.token.string in ("-", "+"):
            text = self.token.string
            self.at += 1
        kind = self.token.type
        if kind == tokenize.STRING and not text:
            while self.token.type == tokenize.STRING:
                text += self.token.string + " "
                self.at += 1
        elif kind == tokenize.NUMBER or (
            self.token.string in ("True", "False", "None") and not text
        ):
            text += self.token.string
            self.at += 1
        else:
            raise self.fail("a value")
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError) as e:
            raise ConvertError(f"{where}: cannot read {text.strip()[:40]!r}") from e
