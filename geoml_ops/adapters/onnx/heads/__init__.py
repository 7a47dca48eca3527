"""Fitted heads as graphs: every family by its class, trees in a layout that runs fast."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

from geoml_ops.adapters.onnx.heads import (
    boosting,
    calibrated,
    catboost,
    ensembles,
    forests,
    histogram,
    kernels,
    lightgbm,
    linear,
    neighbours,
    networks,
    preparation,
    scaling,
    selecting,
    xgboost,
)
from geoml_ops.adapters.onnx.heads.layout import ANY, BOOSTED, FOREST, Layout
from geoml_ops.adapters.onnx.heads.registry import EXPORTERS, TRANSFORMS, Exporter, Transform, add_model, model_in
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused

__all__ = ["EXPORTERS", "TRANSFORMS", "Exporter", "Layout", "Transform", "add_model", "head_graph", "layouts_for"]

for _models in (
    boosting,
    calibrated,
    catboost,
    ensembles,
    forests,
    histogram,
    kernels,
    lightgbm,
    linear,
    neighbours,
    networks,
    xgboost,
):
    EXPORTERS.update(_models.EXPORTERS)
for _steps in (preparation, scaling, selecting):
    TRANSFORMS.update(_steps.TRANSFORMS)

_DEFAULT = Layout()


def head_graph(fitted: Any, family: str, n_features: int, layout: Layout = _DEFAULT) -> bytes:
    """Returns a fitted model as a graph: ``features [batch, feature, y, x]`` to ``probability [batch, class, y, x]``.

    Args:
        fitted: a fitted classifier whose classes are 0, 1, 2 …, of a class that :data:`EXPORTERS` knows,
            or a ``Pipeline`` of steps that :data:`TRANSFORMS` knows and one of these.
        family: its name in the experiment, written into the graph.
        n_features: number of features it was fitted on.
        layout: of the trees in it.

    Raises:
        Refused: the model learned something that its graph could not keep.
        BadInput: there is no exporter for it or for a step before it.
    """
    n_classes = len(fitted.classes_)
    if list(fitted.classes_) != list(range(n_classes)):
        raise Refused(
            f"The model's classes are {list(fitted.classes_)[:20]}, a bundle's are 0 to n - 1.",
            "fit on samples of every class of the experiment",
        )
    writer = Writer()
    rows = writer.op("Transpose", "features", perm=[0, 2, 3, 1])
    shape = writer.op("Slice", writer.op("Shape", rows), writer.ints(0), writer.ints(3))
    flat = writer.op("Reshape", rows, writer.ints(-1, n_features))
    probability = add_model(writer, flat, fitted, layout)
    square = writer.op("Reshape", probability, writer.op("Concat", shape, writer.ints(n_classes), axis=0))
    writer.op("Transpose", square, out="probability", perm=[0, 3, 1, 2])
    outputs = {"probability": (TensorProto.FLOAT, n_classes)}
    return writer.model("head", ("features", n_features), outputs, {"family": family})


def layouts_for(fitted: Any) -> tuple[Layout, ...]:
    """Returns layouts worth trying for a fitted model, the most promising first.

    Several of them may give the same graph: where a model has few trees, or none.
    """
    name = type(model_in(fitted)).__name__
    if name in forests.EXPORTERS:
        return FOREST
    boosted = (boosting, catboost, histogram, lightgbm, xgboost)
    return BOOSTED if any(name in module.EXPORTERS for module in boosted) else ANY
