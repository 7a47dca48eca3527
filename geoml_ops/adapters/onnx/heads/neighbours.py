"""Nearest neighbours: distances as matrix products, a slice of the samples at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from geoml_ops.adapters.onnx.heads.answers import n_classes_of
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.precise import doubles, narrow, normalised, wide
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused
from geoml_ops.domain.fitting import SAME_POINT

SAMPLES_PER_PRODUCT = 256
"""With 65,536 pixels a product of this width takes 134 MB."""


def neighbours(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds fitted ``Neighbours``: float32 squared distances, of equal ones the first sample."""
    n_classes_of(model)
    return _shares(writer, rows, model.samples_, model.votes_, model)


def scikit_neighbours(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``KNeighborsClassifier``, which breaks ties in an order of its own.

    Raises:
        Refused: it measures otherwise than by Euclidean distance, or weighs by a function.
    """
    euclidean = model.effective_metric_ == "euclidean"
    if not euclidean or model.weights not in ("uniform", "distance") or model.outputs_2d_:
        raise Refused(
            f"Neighbours by {str(model.effective_metric_)[:40]} and weights {str(model.weights)[:40]} have no export.",
            "use Euclidean distance and weights uniform or distance",
        )
    samples = np.asarray(model._fit_X, dtype=np.float64)
    return _shares(writer, rows, samples, np.eye(n_classes_of(model))[model._y], model)


def _shares(writer: Writer, rows: str, samples: NDArray[np.float64], votes: NDArray[np.float64], model: Any) -> str:
    squared, nearest = _nearest(writer, wide(writer, rows), samples, model.n_neighbors)
    counted = writer.op("Gather", doubles(writer, votes), nearest, axis=0)
    if model.weights == "distance":
        closeness = writer.op("Unsqueeze", _closeness(writer, squared), writer.ints(2))
        counted = writer.op("Mul", counted, closeness)
    return narrow(writer, normalised(writer, writer.op("ReduceSum", counted, writer.ints(1), keepdims=0)))


def _nearest(writer: Writer, rows: str, samples: NDArray[np.float64], k: int) -> tuple[str, str]:
    """Adds squared distances, float32 ``[row, k]``, and positions, int64 ``[row, k]``, of the nearest samples.

    The nearest of every slice, then of these: equal ones stay in the order of the samples.
    """
    lengths = writer.op("ReduceSum", writer.op("Mul", rows, rows), writer.ints(1), keepdims=1)
    distances, places = [], []
    for first in range(0, len(samples), SAMPLES_PER_PRODUCT):
        part = samples[first : first + SAMPLES_PER_PRODUCT]
        squared = _squared(writer, rows, lengths, part)
        near, at = _smallest(writer, squared, min(k, len(part)))
        distances.append(near)
        places.append(writer.op("Add", at, writer.ints(first)))
    if len(distances) == 1:
        return distances[0], places[0]
    near, at = _smallest(writer, writer.op("Concat", *distances, axis=1), k)
    return near, writer.op("GatherElements", writer.op("Concat", *places, axis=1), at, axis=1)


def _squared(writer: Writer, rows: str, lengths: str, part: NDArray[np.float64]) -> str:
    both = writer.op("Add", lengths, doubles(writer, np.square(part).sum(axis=1)))
    product = writer.op("MatMul", rows, doubles(writer, np.ascontiguousarray(2.0 * part.T)))
    found = writer.op("Sub", both, product)
    rounding = writer.op("LessOrEqual", found, writer.op("Mul", both, doubles(writer, SAME_POINT)))
    return narrow(writer, writer.op("Where", rounding, doubles(writer, 0.0), found))


def _smallest(writer: Writer, values: str, k: int) -> tuple[str, str]:
    number = len(writer.nodes)
    names = [f"t{number}_value", f"t{number}_place"]
    writer.nodes.append(helper.make_node("TopK", [values, writer.ints(k)], names, axis=1, largest=0, sorted=1))
    return names[0], names[1]


def _closeness(writer: Writer, squared: str) -> str:
    """Adds one over the distance, double ``[row, k]``; where one is 0, 1 for it and 0 for the others."""
    distance = writer.op("Sqrt", wide(writer, squared))
    here = writer.op("LessOrEqual", distance, doubles(writer, 0.0))
    alone = wide(writer, here)
    inverse = writer.op("Div", doubles(writer, 1.0), writer.op("Where", here, doubles(writer, 1.0), distance))
    nearest = writer.op("ReduceMin", distance, axes=[1], keepdims=1)
    apart = writer.op("Less", doubles(writer, 0.0), nearest)
    return writer.op("Where", apart, inverse, alone)


EXPORTERS: Mapping[str, Exporter] = {"KNeighborsClassifier": scikit_neighbours, "Neighbours": neighbours}
