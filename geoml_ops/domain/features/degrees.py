"""How a formula answers when every band is multiplied by the same number.

A formula is homogeneous of degree d when ``f(k b) = k^d f(b)`` for all k > 0: d = 0 for NDVI, which is the same
on digital numbers and on reflectance; no degree for EVI and SAVI, which are not (Euler's homogeneous functions).
"""

from __future__ import annotations

from collections.abc import Callable

from geoml_ops.domain.features.functions import FUNCTIONS
from geoml_ops.domain.features.tree import Name, Node, Number, Tree

LEAST_DENOMINATOR = 1e-6
"""Below this magnitude a denominator is zero for reflectances that come in steps of 1e-4: the index does not exist."""
_ANY = float("inf")
"""The degree of 0, which may be added to anything."""


def degree(tree: Tree, of_band: Callable[[str], float] = lambda _: 1.0) -> float | None:
    """Returns the degree of a resolved tree; None where it has none, or none is found.

    Args:
        tree: names are bands.
        of_band: the degree of a band; 0 where scaling does not touch it.
    """
    if isinstance(tree, Number):
        return 0.0 if tree.value else _ANY
    if isinstance(tree, Name):
        return of_band(tree.text)
    assert isinstance(tree, Node)
    below = [degree(operand, of_band) for operand in tree.operands]
    if any(one is None for one in below):
        return None
    return _of_node(tree, [one for one in below if one is not None])


def _of_node(tree: Node, below: list[float]) -> float | None:
    if tree.kind in ("+", "-", "minimum", "maximum"):
        known = {one for one in below if one != _ANY}
        return _ANY if not known else known.pop() if len(known) == 1 else None
    if tree.kind == "*":
        return sum(below)
    if tree.kind == "/":
        return below[0] - below[1] if below[1] != _ANY else None
    if tree.kind == "**":
        exponent = tree.operands[1]
        assert isinstance(exponent, Number)
        return below[0] * exponent.value
    if tree.kind == "sqrt":
        return below[0] / 2
    known_function = FUNCTIONS.get(tree.kind)
    if tree.kind in ("neg", "abs") or (known_function and known_function.kind == "focal"):
        return below[0]
    # exp, log, tanh, clip and the levels of texture compare with fixed numbers.
    return 0.0 if below[0] == 0.0 else None


def least_denominator(bottom: Tree) -> float:
    """Returns below which magnitude a denominator is zero, in the power of reflectance that it is made of.

    ``|nir + red| < 1e-6`` makes an index vanish, and so ``|(nir + red)^2| < 1e-12`` must; without a degree,
    or below one of the bands themselves, :data:`LEAST_DENOMINATOR` stands as it is.
    """
    found = degree(bottom)
    if found is None or not 0.0 < found < _ANY:
        return LEAST_DENOMINATOR
    return float(max(LEAST_DENOMINATOR**found, 1e-30))
