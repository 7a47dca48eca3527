"""Multilayer perceptrons, layer by layer in double precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.precise import doubles, likelihoods, logistic, wide
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused


def _relu(writer: Writer, values: str) -> str:
    return writer.op("Max", values, doubles(writer, 0.0))


_BENDS: Mapping[str, Callable[[Writer, str], str]] = {
    "identity": lambda _, values: values,
    "logistic": logistic,
    "relu": _relu,
    "tanh": lambda writer, values: writer.op("Tanh", values),
}

_ONE = ("binary", "multiclass")


def perceptron(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``MLPClassifier``; returns its probability ``[row, class]``.

    Raises:
        Refused: an activation is not known, or it answers for several targets.
    """
    if model.activation not in _BENDS or model.out_activation_ not in ("softmax", "logistic"):
        raise Refused(f"A network that bends by {model.activation[:40]} has no export.", f"use {', '.join(_BENDS)}")
    # Its outputs are columns of one answer, unless each is a label of its own.
    if (
        len(model.classes_) < 2
        or model.n_outputs_ not in (1, len(model.classes_))
        or model._label_binarizer.y_type_ not in _ONE
    ):
        raise Refused(f"A network of {len(model.classes_)} class(es) is no classifier of pixels.")
    values = wide(writer, rows)
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    for number, (weights, shift) in enumerate(layers):
        values = writer.op("Add", writer.op("MatMul", values, doubles(writer, weights)), doubles(writer, shift))
        if number < len(layers) - 1:
            values = _BENDS[model.activation](writer, values)
    return likelihoods(writer, values, layers[-1][0].shape[1])


EXPORTERS: Mapping[str, Exporter] = {"MLPClassifier": perceptron}
