"""Calibrated models: shares of classes through curves, then brought to sum 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geoml_ops.adapters.onnx.heads.curves import bent, column
from geoml_ops.adapters.onnx.heads.kernels import SCORES
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.precise import doubles, narrow, normalised, wide
from geoml_ops.adapters.onnx.heads.registry import Exporter, add_model, add_steps, model_in
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused
from geoml_ops.domain.fitting import LIKELY, Curve, Sigmoid, Stairs


def calibrated(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``Calibrated``; returns its probability ``[row, class]``."""
    shares = wide(writer, add_model(writer, rows, model.model_.estimator, layout))
    if len(model.curves_) == 1:
        second = bent(writer, column(writer, shares, 1), model.curves_)
        return narrow(writer, writer.op("Concat", writer.op("Sub", doubles(writer, 1.0), second), second, axis=1))
    found = writer.op("Max", bent(writer, shares, model.curves_), doubles(writer, LIKELY))
    return narrow(writer, normalised(writer, found))


def scikit_calibrated(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``CalibratedClassifierCV``: the mean of its calibrated classifiers.

    Raises:
        Refused: one of them was calibrated by a method that is neither sigmoid nor isotonic.
    """
    parts = [_scikit_part(writer, rows, part, layout) for part in model.calibrated_classifiers_]
    summed = parts[0] if len(parts) == 1 else writer.op("Sum", *parts)
    return narrow(writer, writer.op("Div", summed, doubles(writer, float(len(parts)))))


def _scikit_part(writer: Writer, rows: str, part: Any, layout: Layout) -> str:
    if part.method not in ("sigmoid", "isotonic"):
        raise Refused(f"Calibration by {str(part.method)[:40]} has no export.", "use sigmoid or isotonic")
    scores, curves = _scores(writer, rows, part.estimator, layout), [_ours(curve) for curve in part.calibrators]
    one = doubles(writer, 1.0)
    if len(curves) == 1:
        second = bent(writer, column(writer, scores, 1), curves)
        return writer.op("Concat", writer.op("Sub", one, second), second, axis=1)
    both = bent(writer, scores, curves)
    total = writer.op("ReduceSum", both, writer.ints(1), keepdims=1)
    nothing = writer.op("LessOrEqual", total, doubles(writer, 0.0))
    shares = writer.op("Div", both, writer.op("Where", nothing, one, total))
    return writer.op("Where", nothing, doubles(writer, 1.0 / len(curves)), shares)


def _scores(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds what scikit-learn's calibrator reads, double ``[row, class]``: scores where a model has any.

    Raises:
        Refused: the model has scores whose export is not known.
    """
    last = model_in(model)
    name = type(last).__name__
    if name in SCORES:
        return SCORES[name](writer, add_steps(writer, rows, model), last)
    if hasattr(last, "decision_function"):
        raise Refused(
            f"The scores of a {name[:60]} under scikit-learn's calibration have no export.",
            "write calibrate: sigmoid or isotonic with the family",
        )
    return wide(writer, add_model(writer, rows, model, layout))


def _ours(curve: Any) -> Curve:
    """Returns one of scikit-learn's calibrators as a curve of the platform."""
    if type(curve).__name__ == "IsotonicRegression":
        return Stairs(np.asarray(curve.X_thresholds_, dtype=float), np.asarray(curve.y_thresholds_, dtype=float))
    return Sigmoid(-float(curve.a_), -float(curve.b_), odds=False)


EXPORTERS: Mapping[str, Exporter] = {"Calibrated": calibrated, "CalibratedClassifierCV": scikit_calibrated}
