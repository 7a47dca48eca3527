"""From text to tree: a small language of numbers, names, operators, functions and lists, and nothing else.

Python's own parser reads the text; only the kinds of node listed here get through, and nothing is ever
evaluated. Length, depth and size are limited before anything is walked.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.features.functions import FUNCTIONS, Function
from geoml_ops.domain.features.tree import Choice, Name, Node, Number, Tree

MAX_TEXT = 500
MAX_DEPTH = 40
LEAST_NUMBER, GREATEST_NUMBER = 1e-30, 1e30
_DEFINITION = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=(?!=)")
_FOREIGN = re.compile(r"[^A-Za-z0-9_+\-*/().,=\[\] \t\r\n]")
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}
_WAY_OUT = "write numbers, names, + - * / **, brackets, lists and the functions " + ", ".join(FUNCTIONS)


@dataclass(frozen=True)
class Definition:
    """One line of text, read.

    Attributes:
        name: what stands before ``=``; empty without.
        tree: what stands after it.
    """

    name: str
    tree: Tree


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns up to four known names that look like one, joined by commas; empty where none does."""
    by_case = {each.lower(): each for each in known}
    return ", ".join(by_case[close] for close in get_close_matches(name.lower()[:60], by_case, n=4, cutoff=0.6))


@lru_cache(maxsize=4096)
def parse(text: str) -> Definition:
    """Returns what a text says.

    >>> parse("MYI = (nir - red)/2").name
    'MYI'

    Raises:
        BadInput: the text is empty, too long, or not in the language.
    """
    if not text.strip():
        raise BadInput("A feature is empty.", "name a band or an index, or write a formula")
    if len(text) > MAX_TEXT:
        raise BadInput(f"The feature {text[:60]!r}… has {len(text)} characters, the limit is {MAX_TEXT}.", "cut it up")
    foreign = _FOREIGN.search(text)
    if foreign:
        raise BadInput(f"Character {foreign.start() + 1} of {text[:60]!r} is {foreign.group()!r}.", _WAY_OUT)
    head = _DEFINITION.match(text)
    start = head.end() if head else 0
    body = re.sub(r"\s", " ", text[start:])
    before = start + len(body) - len(body.lstrip())
    return Definition(head.group(1) if head else "", _Reader(text, before).read(_parsed(text, body.strip(), before)))


def _parsed(text: str, body: str, before: int) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(body, mode="eval").body
    except SyntaxError as error:
        # Where the text ends too early the parser names no place.
        at = before + (error.offset or len(body))
        raise BadInput(f"{text[:60]!r} cannot be read at character {at}.", _WAY_OUT) from None
    except (ValueError, MemoryError, RecursionError):
        raise BadInput(f"{text[:60]!r} cannot be read: it nests too deep.", "cut it up") from None


@dataclass(frozen=True)
class _Reader:
    """Turns the parser's nodes into ours.

    Attributes:
        text: all of it, for sentences.
        before: characters of it before the expression.
    """

    text: str
    before: int

    def read(self, node: ast.expr, depth: int = 1) -> Tree:
        if depth > MAX_DEPTH:
            raise BadInput(f"{self.text[:60]!r} nests more than {MAX_DEPTH} deep.", "cut it up")
        at, deeper = self.before + node.col_offset + 1, depth + 1
        if isinstance(node, ast.Constant):
            return self._number(node, at)
        if isinstance(node, ast.Name):
            return Name(node.id, at)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return self._signed(node.op, self.read(node.operand, deeper), at)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            operands = (self.read(node.left, deeper), self.read(node.right, deeper))
            return Node(_OPERATORS[type(node.op)], operands, at=at)
        if isinstance(node, ast.List):
            return self._list(node, at, deeper)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._call(node.func.id, node, at, deeper)
        raise self._not_allowed(node, at)

    def _number(self, node: ast.Constant, at: int) -> Number:
        if type(node.value) not in (int, float):
            raise self._not_allowed(node, at)
        try:
            value = float(node.value)  # type: ignore[arg-type]
        except OverflowError:
            value = math.inf
        return checked(value, f"of {self.text[:60]!r} at character {at}")

    def _signed(self, sign: ast.unaryop, operand: Tree, at: int) -> Tree:
        if isinstance(sign, ast.UAdd):
            return operand
        return Number(-operand.value) if isinstance(operand, Number) else Node("neg", (operand,), at=at)

    def _list(self, node: ast.List, at: int, depth: int) -> Choice:
        if not node.elts:
            raise BadInput(f"The list at character {at} of {self.text[:60]!r} is empty.", "name what it stands for")
        return Choice(tuple(self.read(item, depth) for item in node.elts), at)

    def _call(self, name: str, node: ast.Call, at: int, depth: int) -> Node:
        for word in node.keywords:
            if word.arg is None:
                raise self._not_allowed(node, at)
        given = tuple(self.read(one, depth) for one in node.args)
        words = tuple((str(word.arg), self.read(word.value, depth)) for word in node.keywords)
        double = {word for word, _ in words if [w for w, _ in words].count(word) > 1}
        if double:
            raise BadInput(f"{name} at character {at} is told {', '.join(sorted(double))} twice.", "say it once")
        if name in FUNCTIONS:
            return self._function(name, given, words, at)
        if given or not words:
            close = nearest(name, FUNCTIONS)
            raise BadInput(
                f"There is no function {name[:60]!r} (character {at} of {self.text[:60]!r}).",
                f"use {close}" if close else f"use one of {', '.join(FUNCTIONS)}",
            )
        return Node(name, (), tuple(sorted(words, key=lambda word: word[0])), at)

    def _function(self, name: str, given: tuple[Tree, ...], words: tuple[tuple[str, Tree], ...], at: int) -> Node:
        known = FUNCTIONS[name]
        told = dict(zip(known.numbers, given[known.operands :], strict=False))
        fits = known.operands <= len(given) <= known.operands + len(known.numbers)
        if not fits or set(told) & {word for word, _ in words} or not {word for word, _ in words} <= set(known.numbers):
            raise self._signature(name, known, at)
        told.update(words)
        if any(word not in told for word in known.needs):
            raise self._signature(name, known, at)
        options = tuple((word, told[word]) for word in known.numbers if word in told)
        return Node(name, given[: known.operands], options, at)

    def _signature(self, name: str, known: Function, at: int) -> BadInput:
        words = [*["operand", "other"][: known.operands], *known.needs]
        words += [f"{word}={value:g}" if value is not None else f"{word}=…" for word, value in known.may.items()]
        return BadInput(
            f"{name} at character {at} of {self.text[:60]!r} is not told what it needs.",
            f"write {name}({', '.join(words)})",
        )

    def _not_allowed(self, node: ast.expr, at: int) -> BadInput:
        kind = type(node.op if isinstance(node, ast.BinOp | ast.UnaryOp) else node).__name__
        return BadInput(f"{self.text[:60]!r} has a {kind} at character {at}, which features do not have.", _WAY_OUT)


def checked(value: float, where: str) -> Number:
    """Returns a number that float32 can hold.

    Raises:
        BadInput: it is not finite, or too large or too small.
    """
    if not math.isfinite(value) or (value and not LEAST_NUMBER <= abs(value) <= GREATEST_NUMBER):
        raise BadInput(
            f"The number {value:g} {where} cannot be used.",
            f"use 0, or magnitudes from {LEAST_NUMBER:g} to {GREATEST_NUMBER:g}",
        )
    return Number(value)
