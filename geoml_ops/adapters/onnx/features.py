"""From trees to nodes: the stateless part of every graph, the same for training and serving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast, get_args

import numpy as np
from onnx import helper

from geoml_ops.adapters.onnx import focal as windowed
from geoml_ops.adapters.onnx import texture
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.bands import Contract, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.features import (
    Name,
    Node,
    Number,
    Tree,
    bands_needed,
    least_denominator,
    may_overflow,
    read,
)

_PLAIN = {"+": "Add", "-": "Sub", "*": "Mul", "neg": "Neg", "abs": "Abs", "sqrt": "Sqrt", "exp": "Exp", "tanh": "Tanh",
          "minimum": "Min", "maximum": "Max"}  # fmt: skip
_MOST_MULTIPLIED = 8


def add_features(writer: Writer, dn: str, features: Sequence[str], contract: Contract) -> list[str]:
    """Adds the feature part: ``dn [batch, band, y, x]`` to a float32 layer ``[batch, 1, y, x]`` per feature, NaN kept.

    Equal parts of several features are computed once. A pixel has NaN where a denominator vanishes, where a
    logarithm, a root or a power has no value, and where a result would be infinite.

    Args:
        writer: the graph's.
        dn: name of the input; bands as :func:`~geoml_ops.domain.features.bands_needed` orders them.
        features: lines of text.
        contract: bands and radiometry of the sensor.

    Returns:
        The names of the layers, in the order of the features.

    Raises:
        BadInput: a feature is unknown, named twice, or cannot be made of these bands.
    """
    found = read(features, contract)
    bands = bands_needed(features, contract)
    names = [f"dn_{band}" for band in bands]
    writer.nodes.append(helper.make_node("Split", [dn], names, axis=1))
    compiler = _Compiler(
        writer, {b: _measured(writer, n, contract.radiometry_of(b)) for b, n in zip(bands, names, strict=True)}
    )
    return [compiler.add(feature.tree) for feature in found]


def _measured(writer: Writer, dn: str, rule: Radiometry) -> str:
    """Adds ``(dn + offset) * scale`` of one band."""
    shifted = writer.op("Add", dn, writer.number(rule.offset_dn)) if rule.offset_dn else dn
    return writer.op("Mul", shifted, writer.number(rule.scale)) if rule.scale != 1.0 else shifted


class _Compiler:
    """Adds trees to a graph.

    Attributes:
        writer: the graph's; it shares what is computed twice.
        layers: sensor name of a band to the name of its layer ``[batch, 1, y, x]``.
    """

    def __init__(self, writer: Writer, layers: dict[str, str]) -> None:
        self.writer = writer
        self.layers = layers
        self._known: dict[Tree, str] = {}

    def add(self, tree: Tree) -> str:
        if isinstance(tree, Name):
            return self.layers[tree.text]
        if isinstance(tree, Number):
            return self.writer.number(tree.value)
        if tree not in self._known:
            assert isinstance(tree, Node)
            found = self._node(tree)
            self._known[tree] = self._finite(found) if self._guarded(tree) else found
        return self._known[tree]

    def _guarded(self, node: Node) -> bool:
        # A window takes infinity for not observed by itself.
        windowed_kind = node.kind in get_args(windowed.Statistic) or node.kind.startswith("glcm_")
        return not windowed_kind and may_overflow(node)

    def _finite(self, layer: str) -> str:
        greatest = self.writer.number(float(np.finfo(np.float32).max))
        finite = self.writer.op("LessOrEqual", self.writer.op("Abs", layer), greatest)
        return self.writer.op("Where", finite, layer, self.writer.number(np.nan))

    def _node(self, node: Node) -> str:
        special: dict[str, Callable[[Node], str]] = {
            "/": self._quotient,
            "**": self._power,
            "log": self._logarithm,
            "clip": self._clipped,
        }
        if node.kind in special:
            return special[node.kind](node)
        operands = [self.add(operand) for operand in node.operands]
        if node.kind in _PLAIN:
            return self.writer.op(_PLAIN[node.kind], *operands)
        return self._window(node, operands[0])

    def _quotient(self, node: Node) -> str:
        above, below = (self.add(operand) for operand in node.operands)
        divided = self.writer.op("Div", above, below)
        if isinstance(node.operands[1], Number):
            return divided
        least = self.writer.number(least_denominator(node.operands[1]))
        missing = self.writer.op("Less", self.writer.op("Abs", below), least)
        return self.writer.op("Where", missing, self.writer.number(np.nan), divided)

    def _power(self, node: Node) -> str:
        base, exponent = self.add(node.operands[0]), node.operands[1]
        assert isinstance(exponent, Number)
        if exponent.value == 0.5:
            return self.writer.op("Sqrt", base)
        if not exponent.value.is_integer() or exponent.value > _MOST_MULTIPLIED:
            return self.writer.op("Pow", base, self.writer.number(exponent.value))
        return self._multiplied(base, int(exponent.value))

    def _multiplied(self, base: str, n: int) -> str:
        """Adds a whole power by squaring: ``x^5 = x * (x^2)^2``."""
        if n == 1:
            return base
        half = self._multiplied(base, n // 2)
        square = self.writer.op("Mul", half, half)
        return self.writer.op("Mul", base, square) if n % 2 else square

    def _logarithm(self, node: Node) -> str:
        # The runtime's Log takes several pixels at once and the rest of a row otherwise, with other last digits
        # (onnxruntime 1.31); the logarithm of a sum over one band is taken pixel by pixel.
        return self.writer.op("ReduceLogSum", self.add(node.operands[0]), axes=[1], keepdims=1)

    def _clipped(self, node: Node) -> str:
        ends = (self.writer.number(node.option(end)) for end in ("low", "high"))
        return self.writer.op("Clip", self.add(node.operands[0]), *ends)

    def _window(self, node: Node, layer: str) -> str:
        window_px = int(node.option("window"))
        if node.kind in get_args(windowed.Statistic):
            return windowed.focal(self.writer, layer, cast(windowed.Statistic, node.kind), window_px)
        statistic = node.kind.removeprefix("glcm_")
        if statistic not in get_args(texture.Statistic):
            raise BadInput(f"There is no graph for {node.kind[:60]!r}.", "use another function")
        return texture.glcm(
            self.writer,
            layer,
            cast(texture.Statistic, statistic),
            window_px,
            int(node.option("levels")),
            node.option("low"),
            node.option("high"),
            int(node.option("distance")),
        )
