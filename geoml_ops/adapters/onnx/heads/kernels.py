"""Support vector machines: kernels in double precision, a slice of the support vectors at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx.heads.curves import bent
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.precise import doubles, narrow, normalised, wide
from geoml_ops.adapters.onnx.heads.registry import Exporter, add_steps
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused
from geoml_ops.domain.fitting import LEAST, pairs_of, sides

VECTORS_PER_PRODUCT = 256
"""With 65,536 pixels a product of this width takes 134 MB."""
Score = Callable[[Writer, str, Any], str]
"""``(writer, rows, model)``: name of ``[row, feature]`` to name of scores, double ``[row, class]``."""


def coupled(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``Coupled``: margins of pairs, a curve each, and the probabilities that agree with all of them."""
    inside, k = model.model_.estimator, len(model.classes_)
    margins = pairs(writer, add_steps(writer, rows, inside), inside[-1])
    if k == 2:
        margins = writer.op("Neg", margins)
    first = bent(writer, margins, model.curves_)
    one = doubles(writer, 1.0)
    kept = writer.op("Max", writer.op("Min", first, doubles(writer, 1.0 - LEAST)), doubles(writer, LEAST))
    both = writer.op("Concat", kept, writer.op("Sub", one, kept), axis=1)
    summed = writer.op("MatMul", writer.op("Div", one, both), doubles(writer, sides(k)))
    inverse = writer.op("Div", one, writer.op("Sub", summed, doubles(writer, float(k - 2))))
    return narrow(writer, normalised(writer, inverse))


def votes(writer: Writer, rows: str, model: Any) -> str:
    """Adds a fitted ``SVC`` or ``NuSVC``: votes, and within them the sum of margins, as scikit-learn counts.

    Of two classes the scores are the margin's opposite and the margin.

    Raises:
        Refused: it answers per pair of classes, which is no score of a class.
    """
    found, k = pairs(writer, rows, model), len(model.classes_)
    if k == 2:
        return writer.op("Concat", writer.op("Neg", found), found, axis=1)
    if model.decision_function_shape != "ovr":
        raise Refused("A machine that answers per pair of classes has no export.", "use decision_function_shape ovr")
    first, other = (np.zeros((k * (k - 1) // 2, k)) for _ in range(2))
    for number, (one, two) in enumerate(pairs_of(range(k))):
        first[number, one], other[number, two] = 1.0, 1.0
    # A margin of 0 is the first class's vote.
    losses = wide(writer, writer.op("Less", found, doubles(writer, 0.0)))
    wins = writer.op("Sub", doubles(writer, 1.0), losses)
    ballots = writer.op(
        "Add",
        writer.op("MatMul", wins, doubles(writer, first)),
        writer.op("MatMul", losses, doubles(writer, other)),
    )
    summed = writer.op("MatMul", found, doubles(writer, first - other))
    bound = writer.op("Mul", writer.op("Add", writer.op("Abs", summed), doubles(writer, 1.0)), doubles(writer, 3.0))
    return writer.op("Add", ballots, writer.op("Div", summed, bound))


def pairs(writer: Writer, rows: str, model: Any) -> str:
    """Adds margins, double ``[row, pair]``, above 0 for the first class of a pair; of two classes for the second."""
    values = wide(writer, rows)
    vectors = np.asarray(model.support_vectors_, dtype=np.float64)
    weights = _weights(model)
    total = ""
    for first in range(0, len(vectors), VECTORS_PER_PRODUCT):
        part = slice(first, first + VECTORS_PER_PRODUCT)
        near = _kernel(writer, values, vectors[part], model)
        summed = writer.op("MatMul", near, doubles(writer, weights[part]))
        total = writer.op("Add", total, summed) if total else summed
    return writer.op("Add", total, doubles(writer, np.asarray(model.intercept_, dtype=np.float64)))


def _weights(model: Any) -> NDArray[np.float64]:
    """Returns what each support vector adds to each pair's margin, ``(vector, pair)``.

    libsvm keeps ``(class - 1, vector)``: of a vector of class i the row of class j counts for the pair of both.
    """
    kept, sizes = np.asarray(model.dual_coef_, dtype=np.float64), np.asarray(model.n_support_)
    of_class = np.repeat(np.arange(len(sizes)), sizes)
    of_pair = pairs_of(range(len(sizes)))
    found = np.zeros((kept.shape[1], len(of_pair)))
    for number, (one, other) in enumerate(of_pair):
        found[of_class == one, number] = kept[other - 1, of_class == one]
        found[of_class == other, number] = kept[one, of_class == other]
    return found


def _kernel(writer: Writer, rows: str, vectors: NDArray[np.float64], model: Any) -> str:
    """Adds the kernel of rows and vectors, ``[row, vector]``.

    Raises:
        Refused: the kernel is a function.
    """
    gamma, start = float(model._gamma), float(model.coef0)
    if model.kernel == "rbf":
        return _bell(writer, rows, vectors, gamma)
    # The factor goes with the vectors: onnxruntime 1.31 melts a product and a scalar after it into one node whose
    # scalar has seven digits.
    scale = 1.0 if model.kernel == "linear" else gamma
    product = writer.op("MatMul", rows, doubles(writer, np.ascontiguousarray(scale * vectors.T)))
    if model.kernel == "linear":
        return product
    line = writer.op("Add", product, doubles(writer, start))
    if model.kernel == "poly":
        return writer.op("Pow", line, doubles(writer, float(model.degree)))
    if model.kernel == "sigmoid":
        return writer.op("Tanh", line)
    raise Refused(f"The kernel {str(model.kernel)[:40]} has no export.", "use rbf, linear, poly or sigmoid")


def _bell(writer: Writer, rows: str, vectors: NDArray[np.float64], gamma: float) -> str:
    """Adds ``exp(-gamma |x - s|^2)``."""
    lengths = writer.op("ReduceSum", writer.op("Mul", rows, rows), writer.ints(1), keepdims=1)
    product = writer.op("MatMul", rows, doubles(writer, np.ascontiguousarray(2.0 * vectors.T)))
    squared = writer.op("Sub", writer.op("Add", lengths, doubles(writer, np.square(vectors).sum(axis=1))), product)
    apart = writer.op("Max", squared, doubles(writer, 0.0))
    return writer.op("Exp", writer.op("Mul", apart, doubles(writer, -gamma)))


EXPORTERS: Mapping[str, Exporter] = {"Coupled": coupled}
SCORES: Mapping[str, Score] = {"NuSVC": votes, "SVC": votes}
