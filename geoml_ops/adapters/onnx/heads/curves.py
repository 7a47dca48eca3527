"""Curves of calibration: a sigmoid, or a rising line through points, one per column of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from geoml_ops.adapters.onnx.heads.precise import doubles, logistic, narrow
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.domain.fitting import SUREST, Curve, Sigmoid, Stairs


def bent(writer: Writer, scores: str, curves: Sequence[Curve]) -> str:
    """Adds a curve to each column of scores, double ``[row, curve]`` to the same."""
    alone = len(curves) == 1
    columns = [scores] if alone else [column(writer, scores, number) for number in range(len(curves))]
    found = [
        _stairs(writer, one, curve.at, curve.value) if isinstance(curve, Stairs) else _sigmoid(writer, one, curve)
        for one, curve in zip(columns, curves, strict=True)
    ]
    return found[0] if alone else writer.op("Concat", *found, axis=1)


def column(writer: Writer, scores: str, code: int) -> str:
    """Adds one column of scores, ``[row, 1]``."""
    return writer.op("Slice", scores, writer.ints(code), writer.ints(code + 1), writer.ints(1))


def _sigmoid(writer: Writer, scores: str, curve: Sigmoid) -> str:
    if curve.odds:
        kept = writer.op("Max", writer.op("Min", scores, doubles(writer, 1.0 - SUREST)), doubles(writer, SUREST))
        scores = writer.op("Log", writer.op("Div", kept, writer.op("Sub", doubles(writer, 1.0), kept)))
    line = writer.op("Mul", scores, doubles(writer, curve.slope))
    return logistic(writer, writer.op("Add", line, doubles(writer, curve.shift)))


def _stairs(writer: Writer, scores: str, at: NDArray[np.float64], value: NDArray[np.float64]) -> str:
    """Adds a line through points, level beyond the first and the last, ``[row, 1]``."""
    if len(at) == 1:
        return writer.op("Add", writer.op("Mul", scores, doubles(writer, 0.0)), doubles(writer, value[0]))
    kept = writer.op("Max", writer.op("Min", scores, doubles(writer, at[-1])), doubles(writer, at[0]))
    # Which piece a score is on: how many inner points lie below it.
    passed = narrow(writer, writer.op("Less", doubles(writer, at[1:-1]), kept))
    if len(at) == 2:
        below = writer.op("Sub", kept, doubles(writer, at[0]))
        slope = (value[1] - value[0]) / (at[1] - at[0])
        return writer.op("Add", writer.op("Mul", below, doubles(writer, slope)), doubles(writer, value[0]))
    piece = writer.op("Cast", writer.op("ReduceSum", passed, writer.ints(1), keepdims=0), to=TensorProto.INT64)
    slopes = np.diff(value) / np.diff(at)
    facts = writer.op("Gather", doubles(writer, np.column_stack([at[:-1], value[:-1], slopes])), piece, axis=0)
    start, base, slope = (column(writer, facts, number) for number in range(3))
    return writer.op("Add", writer.op("Mul", writer.op("Sub", kept, start), slope), base)
