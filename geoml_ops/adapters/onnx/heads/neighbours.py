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
from geoml_ops.domain.fitting import FARTHEST, LIFT, SAME_POINT

SAMPLES_PER_PRODUCT = 512
"""With tiles of 128 pixels a product of this width takes 67 MB; narrower and wider ones are slower."""


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
    values = wide(writer, rows)
    length = writer.op("ReduceSum", writer.op("Mul", values, values), writer.ints(1), keepdims=1)
    lifted, nearest = _nearest(writer, values, length, samples, model.n_neighbors)
    counted = writer.op("Gather", doubles(writer, votes), nearest, axis=0)
    if model.weights == "distance":
        closeness = writer.op("Unsqueeze", _closeness(writer, lifted, length), writer.ints(2))
        counted = writer.op("Mul", counted, closeness)
    return narrow(writer, normalised(writer, writer.op("ReduceSum", counted, writer.ints(1), keepdims=0)))


def _nearest(writer: Writer, rows: str, length: str, samples: NDArray[np.float64], k: int) -> tuple[str, str]:
    """Adds lifted squared distances, float32 ``[row, k]``, and positions, int64 ``[row, k]``, of the nearest samples.

    Distances are one product of ``(x, |x|^2, 1)`` and ``(-2 s, 1 + lift, |s|^2)``. The nearest of every slice, then
    of these: equal ones stay in the order of the samples.
    """
    one = writer.op("Add", writer.op("Mul", length, doubles(writer, 0.0)), doubles(writer, 1.0))
    placed = writer.op("Concat", rows, length, one, axis=1)
    distances, places = [], []
    for first in range(0, len(samples), SAMPLES_PER_PRODUCT):
        part = samples[first : first + SAMPLES_PER_PRODUCT]
        against = np.vstack([-2.0 * part.T, np.full(len(part), 1.0 + LIFT), np.square(part).sum(axis=1)])
        product = narrow(writer, writer.op("MatMul", placed, doubles(writer, against)))
        near, at = _smallest(writer, product, min(k, len(part)))
        distances.append(near)
        places.append(writer.op("Add", at, writer.ints(first)))
    if len(distances) == 1:
        return distances[0], places[0]
    near, at = _smallest(writer, writer.op("Concat", *distances, axis=1), k)
    return near, writer.op("GatherElements", writer.op("Concat", *places, axis=1), at, axis=1)


def _smallest(writer: Writer, values: str, k: int) -> tuple[str, str]:
    number = len(writer.nodes)
    names = [f"t{number}_value", f"t{number}_place"]
    writer.nodes.append(helper.make_node("TopK", [values, writer.ints(k)], names, axis=1, largest=0, sorted=1))
    return names[0], names[1]


def _closeness(writer: Writer, lifted: str, length: str) -> str:
    """Adds one over the distance, double ``[row, k]``; where one is 0, 1 for it and 0 for the others."""
    squared = writer.op("Sub", wide(writer, lifted), writer.op("Mul", length, doubles(writer, LIFT)))
    here = writer.op("LessOrEqual", squared, writer.op("Mul", length, doubles(writer, SAME_POINT)))
    one = doubles(writer, 1.0)
    near = writer.op("Min", writer.op("Where", here, one, squared), doubles(writer, FARTHEST))
    inverse = writer.op("Div", one, writer.op("Sqrt", near))
    alone = wide(writer, here)
    any_here = writer.op("Less", doubles(writer, 0.0), writer.op("ReduceMax", alone, axes=[1], keepdims=1))
    return writer.op("Where", any_here, alone, inverse)


EXPORTERS: Mapping[str, Exporter] = {"KNeighborsClassifier": scikit_neighbours, "Neighbours": neighbours}
