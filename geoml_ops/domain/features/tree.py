"""A formula as a tree, and its one way of being written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from geoml_ops.domain.features.functions import FUNCTIONS


@dataclass(frozen=True)
class Number:
    """A constant.

    Attributes:
        value: finite; float32 in the graph.
    """

    value: float


@dataclass(frozen=True)
class Name:
    """A band, an index or a named formula; in a resolved tree always a band by its sensor name.

    Attributes:
        text: the name.
        at: where it stands in the text, from 1.
    """

    text: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Node:
    """An operator or a function with its operands.

    Attributes:
        kind: ``+ - * / **``, ``neg``, a function, or an index whose constants are given.
        operands: in order.
        options: numbers that the function or index is told, by name.
        at: where it stands in the text, from 1.
    """

    kind: str
    operands: tuple[Tree, ...]
    options: tuple[tuple[str, Tree], ...] = ()
    at: int = field(default=0, compare=False)

    def option(self, name: str) -> float:
        """Returns a number that the function was told; it is there in every resolved tree."""
        found = dict(self.options)[name]
        assert isinstance(found, Number)
        return found.value


@dataclass(frozen=True)
class Choice:
    """A list: each of its items in turn.

    Attributes:
        items: at least one.
        at: where it stands in the text, from 1.
    """

    items: tuple[Tree, ...]
    at: int = field(default=0, compare=False)


Tree = Number | Name | Node | Choice

_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}
_ATOM = 5


def parts(tree: Tree) -> tuple[Tree, ...]:
    """Returns what stands directly below a tree."""
    if isinstance(tree, Node):
        return (*tree.operands, *(value for _, value in tree.options))
    return tree.items if isinstance(tree, Choice) else ()


def walk(tree: Tree) -> Iterator[Tree]:
    """Yields a tree and everything below it, each as often as it stands there."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(parts(one))


def names_in(tree: Tree) -> frozenset[str]:
    """Returns the names that stand anywhere in a tree."""
    return frozenset(one.text for one in walk(tree) if isinstance(one, Name))


def written(tree: Tree) -> str:
    """Returns the canonical text, which reads back as the same tree.

    >>> written(Node("*", (Node("+", (Name("a"), Name("b"))), Number(2.0))))
    '(a + b) * 2'
    """
    if isinstance(tree, Number):
        return number(tree.value)
    if isinstance(tree, Name):
        return tree.text
    if isinstance(tree, Choice):
        return f"[{', '.join(map(written, tree.items))}]"
    if tree.kind == "neg":
        return f"-{_within(tree.operands[0], _STRENGTH['neg'])}"
    if tree.kind in _STRENGTH:
        return _operation(tree.kind, *tree.operands)
    known = FUNCTIONS.get(tree.kind)
    by_place = known.needs if known else ()
    said = [*map(written, tree.operands)]
    said += [written(value) if name in by_place else f"{name}={written(value)}" for name, value in tree.options]
    return f"{tree.kind}({', '.join(said)})"


def number(value: float) -> str:
    """Returns a number as it is written: the shortest text that reads back as the same one."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _operation(kind: str, left: Tree, right: Tree) -> str:
    strength = _STRENGTH[kind]
    if kind == "**":
        return f"{_within(left, strength + 1)} ** {_within(right, _STRENGTH['neg'])}"
    # Additions in floating point do not commute with brackets: those on the right stay.
    return f"{_within(left, strength)} {kind} {_within(right, strength + 1)}"


def _within(tree: Tree, least: int) -> str:
    text = written(tree)
    return text if _strength(tree) >= least else f"({text})"


def _strength(tree: Tree) -> int:
    if isinstance(tree, Number):
        return _STRENGTH["neg"] if tree.value < 0 or str(tree.value).startswith("-") else _ATOM
    return _STRENGTH.get(tree.kind, _ATOM) if isinstance(tree, Node) else _ATOM
