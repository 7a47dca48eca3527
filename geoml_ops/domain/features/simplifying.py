"""Nodes of which all names are bands: constants computed, powers, quotients and windows checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.covariates.cooccurrence import MAX_WINDOW_PX, check_pairs
from geoml_ops.domain.features.functions import FUNCTIONS, MAX_COUNTED_LEVELS
from geoml_ops.domain.features.grammar import checked
from geoml_ops.domain.features.tree import Name, Node, Number, Tree, walk, written

MAX_EXPONENT = 10.0
_COUNTED = ("glcm_energy", "glcm_asm", "glcm_entropy")


def simplified(node: Node, asked: Node) -> Tree:
    """Returns an operator or a function of one pixel with what is constant in it computed.

    Args:
        node: of bands and numbers.
        asked: the same as it was written, for sentences.

    Raises:
        BadInput: a division by 0, an exponent that cannot be used, or a constant that has no value.
    """
    numbers = [operand.value for operand in node.operands if isinstance(operand, Number)]
    where = f"in {written(asked)[:60]!r}"
    if node.kind == "/" and isinstance(node.operands[1], Number) and not node.operands[1].value:
        raise BadInput(f"A division by 0 {where}.", "divide by something")
    if node.kind == "**":
        return _power(node, asked, where)
    if node.kind == "clip" and not node.option("low") < node.option("high"):
        low, high = node.option("low"), node.option("high")
        raise BadInput(f"Nothing can be clipped between {low:g} and {high:g}.", "write clip(operand, low, high)")
    return checked(_computed(node, numbers, where), where) if len(numbers) == len(node.operands) else node


def _power(node: Node, asked: Node, where: str) -> Tree:
    base, exponent = node.operands
    if not isinstance(exponent, Number) or not 0.0 < abs(exponent.value) <= MAX_EXPONENT:
        raise BadInput(
            f"The exponent {written(asked.operands[1])[:60]} cannot be used {where}.",
            f"use a number from -{MAX_EXPONENT:g} to {MAX_EXPONENT:g} that is not 0, or exp(exponent * log(base))",
        )
    if isinstance(base, Number):
        return checked(_computed(node, [base.value, exponent.value], where), where)
    if exponent.value < 0:
        below = Node("**", (base, Number(-exponent.value)), at=node.at)
        return Node("/", (Number(1.0), base if exponent.value == -1.0 else below), at=node.at)
    return base if exponent.value == 1.0 else node


def _computed(node: Node, numbers: list[float], where: str) -> float:
    work: dict[str, Callable[..., float]] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "**": math.pow,
        "neg": lambda a: -a,
        "minimum": min,
        "maximum": max,
        "clip": lambda a: min(max(a, node.option("low")), node.option("high")),
    }
    try:
        return float(work.get(node.kind, getattr(math, node.kind, abs))(*numbers))
    except (ValueError, OverflowError):
        raise BadInput(f"{written(node)[:60]} has no value, {where}.", "change its numbers") from None


def windowed(node: Node, operand: Tree, told: Mapping[str, Number]) -> Tree:
    """Returns a windowed function that is told every number.

    Raises:
        BadInput: its window, its levels or their edges cannot be used, or it is of no band.
    """
    defaults = {name: Number(value) for name, value in FUNCTIONS[node.kind].may.items() if value is not None}
    numbers = {name: one.value for name, one in {**defaults, **told}.items()}
    window = numbers["window"]
    if not any(isinstance(one, Name) for one in walk(operand)):
        raise BadInput(f"{node.kind} (character {node.at}) is of no band.", "name a band or an index")
    if not window.is_integer() or window % 2 == 0 or not 3 <= window <= MAX_WINDOW_PX:
        raise BadInput(
            f"A window of {window:g} pixels cannot be used by {node.kind} (character {node.at}).",
            f"give its edge as an odd number of pixels from 3 to {MAX_WINDOW_PX}",
        )
    if FUNCTIONS[node.kind].kind == "texture":
        _check_texture(node, numbers)
    options = tuple((name, Number(numbers[name])) for name in FUNCTIONS[node.kind].numbers)
    return Node(node.kind, (operand,), options, node.at)


def _check_texture(node: Node, numbers: Mapping[str, float]) -> None:
    counts = ("window", "levels", "distance")
    odd = [name for name in counts if not numbers[name].is_integer()]
    if odd or "low" not in numbers or "high" not in numbers:
        raise BadInput(
            f"{node.kind} (character {node.at}) needs whole {', '.join(odd or counts)}, and low and high.",
            f"write {node.kind}(operand, 7, levels=16, low=0, high=1)",
        )
    window_px, levels, distance = (int(numbers[name]) for name in counts)
    try:
        check_pairs(window_px=window_px, levels=levels, low=numbers["low"], high=numbers["high"], distance=distance)
    except BadInput as error:
        raise BadInput(f"{node.kind} (character {node.at}): {error.fact}", error.remedy) from None
    if node.kind in _COUNTED and levels > MAX_COUNTED_LEVELS:
        raise BadInput(
            f"{node.kind} at {levels} levels counts {levels * (levels + 1) // 2} kinds of pairs, too many for a graph.",
            f"use up to {MAX_COUNTED_LEVELS} levels, or a covariate of kind texture",
        )
