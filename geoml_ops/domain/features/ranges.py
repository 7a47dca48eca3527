"""Between which numbers a formula can lie, by interval arithmetic.

Sums of bands over sums of bands are exact: such a ratio is monotone along every line on which its denominator
keeps its sign, so that its extremes over a box lie at corners (Boyd and Vandenberghe 2004, section 3.4).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from geoml_ops.core.bands import Contract
from geoml_ops.domain.features.degrees import least_denominator
from geoml_ops.domain.features.functions import FUNCTIONS, TEXTURE
from geoml_ops.domain.features.tree import Name, Node, Number, Tree

Interval = tuple[float, float]
EVERYTHING: Interval = (-math.inf, math.inf)
GREATEST_BAND = 1e7
"""No band of any contract is larger in magnitude, in its own unit; used to know what cannot overflow."""
_GREATEST = 3.0e38
_MOST_CORNERS = 10


def range_of(tree: Tree, contract: Contract) -> Interval:
    """Returns lowest and highest value of a resolved tree, reflectances lying between 0 and 1.

    Other bands lie where the contract says they can. Infinite where no limit is found.
    """

    def box(name: str) -> Interval:
        band = contract.band(name)
        low, high = band.valid
        return (max(low, 0.0), min(high, 1.0)) if band.unit == "reflectance" else (low, high)

    return _Bounds(box).of(tree)


def may_overflow(tree: Tree) -> bool:
    """Returns whether finite bands can make a resolved tree infinite; denominators that vanish count as nothing."""
    low, high = _Bounds(lambda _: (-GREATEST_BAND, GREATEST_BAND), least_denominator).of(tree)
    return not (low >= -_GREATEST and high <= _GREATEST)


@dataclass(frozen=True)
class _Bounds:
    """Interval arithmetic over a box of bands.

    Attributes:
        box: where a band lies.
        least: smallest magnitude of a denominator, where such bounds are asked; None where it may vanish.
    """

    box: Callable[[str], Interval]
    least: Callable[[Tree], float] | None = None

    def of(self, tree: Tree) -> Interval:
        if isinstance(tree, Number):
            return tree.value, tree.value
        if isinstance(tree, Name):
            return self.box(tree.text)
        assert isinstance(tree, Node)
        if tree.kind == "/":
            return self._ratio(*tree.operands)
        below = [self.of(operand) for operand in tree.operands]
        found = _of_kind(tree, below)
        return EVERYTHING if any(map(math.isnan, found)) else found

    def _ratio(self, top: Tree, bottom: Tree) -> Interval:
        above, below = self.of(top), self.of(bottom)
        if self.least and not isinstance(bottom, Number):
            most = max(abs(above[0]), abs(above[1])) / self.least(bottom)
            return -most, most
        corners = _corners(linear(top), linear(bottom), self.box)
        if corners:
            return corners
        if below[0] <= 0.0 <= below[1]:
            return EVERYTHING
        return _spanned([a / b for a in above for b in below])


def linear(tree: Tree) -> dict[str, float] | None:
    """Returns weights by band, the constant under the empty name; None where a tree is no sum of bands."""
    if isinstance(tree, Number):
        return {"": tree.value}
    if isinstance(tree, Name):
        return {tree.text: 1.0}
    assert isinstance(tree, Node)
    below = [linear(operand) for operand in tree.operands]
    first, second = below[0], below[-1]
    if first is None or second is None:
        return None
    if tree.kind == "neg":
        return _scaled(first, -1.0)
    if tree.kind in ("+", "-"):
        sign = 1.0 if tree.kind == "+" else -1.0
        return {name: first.get(name, 0.0) + sign * second.get(name, 0.0) for name in {**first, **second}}
    if tree.kind == "*" and set(first) == {""}:
        return _scaled(second, first[""])
    if tree.kind == "*" and set(second) == {""}:
        return _scaled(first, second[""])
    return _scaled(first, 1.0 / second[""]) if tree.kind == "/" and set(second) == {""} else None


def _scaled(weights: dict[str, float], factor: float) -> dict[str, float]:
    return {name: weight * factor for name, weight in weights.items()}


def _corners(
    top: dict[str, float] | None, bottom: dict[str, float] | None, box: Callable[[str], Interval]
) -> Interval | None:
    if top is None or bottom is None:
        return None
    names = sorted({*top, *bottom} - {""})
    if len(names) > _MOST_CORNERS:
        return None
    found, signs = [], set()
    for corner in product(*(box(name) for name in names)):
        at = dict(zip(names, corner, strict=True)) | {"": 1.0}
        below = math.fsum(weight * at[name] for name, weight in bottom.items())
        above = math.fsum(weight * at[name] for name, weight in top.items())
        if abs(below) > 1e-12:
            found.append(above / below)
            signs.add(below > 0)
        elif abs(above) > 1e-12:
            return None
    return _spanned(found) if len(signs) == 1 else None


def _spanned(values: list[float]) -> Interval:
    return EVERYTHING if any(map(math.isnan, values)) else (min(values), max(values))


def _times(a: Interval, b: Interval) -> Interval:
    # 0 times infinity is 0 here: an infinite end stands for numbers as large as one likes, not for infinity.
    return _spanned([0.0 if 0.0 in (p, q) else p * q for p in a for q in b])


def _power(base: Interval, exponent: float) -> Interval:
    low, high = base
    even = exponent % 2 == 0
    if not exponent.is_integer() or (even and low >= 0):
        low, high = max(low, 0.0), max(high, 0.0)
    elif even:
        low, high = (0.0 if high >= 0 else -high), max(-low, high)
    return _raised(low, exponent), _raised(high, exponent)


def _raised(value: float, exponent: float) -> float:
    try:
        return float(value**exponent)
    except OverflowError:
        return math.copysign(math.inf, value)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _of_kind(tree: Node, below: list[Interval]) -> Interval:
    (low, high), other = below[0], below[-1]
    monotone: dict[str, Callable[[float], float]] = {
        "sqrt": lambda value: math.sqrt(max(value, 0.0)),
        "exp": _exp,
        "log": _log,
        "tanh": math.tanh,
    }
    if tree.kind in monotone:
        return monotone[tree.kind](low), monotone[tree.kind](high)
    if tree.kind == "**":
        return _power(below[0], other[0])
    plain: dict[str, Callable[[], Interval]] = {
        "+": lambda: (low + other[0], high + other[1]),
        "-": lambda: (low - other[1], high - other[0]),
        "*": lambda: _times(below[0], other),
        "neg": lambda: (-high, -low),
        "abs": lambda: (max(low, -high, 0.0), max(-low, high)),
        "minimum": lambda: (min(low, other[0]), min(high, other[1])),
        "maximum": lambda: (max(low, other[0]), max(high, other[1])),
        "clip": lambda: (
            min(max(low, tree.option("low")), tree.option("high")),
            max(min(high, tree.option("high")), tree.option("low")),
        ),
    }
    return plain[tree.kind]() if tree.kind in plain else _of_window(tree, (low, high))


def _of_window(tree: Node, operand: Interval) -> Interval:
    spread = operand[1] - operand[0]
    if FUNCTIONS[tree.kind].kind == "focal":
        return {"std": (0.0, spread / 2), "range": (0.0, spread)}.get(tree.kind, operand)
    levels = tree.option("levels")
    limits = {
        "contrast": (0.0, (levels - 1) ** 2),
        "dissimilarity": (0.0, levels - 1),
        "correlation": (-1.0, 1.0),
        "entropy": (0.0, 2.0 * math.log(levels)),
    }
    return limits.get(tree.kind.removeprefix(TEXTURE), (0.0, 1.0))
