"""Scalers before a model, rounded where and as numpy rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx.heads.precise import doubles, narrow, wide
from geoml_ops.adapters.onnx.heads.registry import Transform
from geoml_ops.adapters.onnx.writer import Writer


def standard(writer: Writer, rows: str, step: Any) -> str:
    """Adds a fitted ``Standard`` of the platform: double precision from here on."""
    values = wide(writer, rows)
    if step.with_mean and step.mean_ is not None:
        values = writer.op("Sub", values, doubles(writer, step.mean_))
    return values if step.scale_ is None else writer.op("Div", values, doubles(writer, step.scale_))


def standard_scaler(writer: Writer, rows: str, step: Any) -> str:
    """Adds a fitted ``StandardScaler`` on float32 rows: scikit-learn 1.9 rounds mean and scale to float32 first."""
    if step.with_mean:
        rows = writer.op("Sub", rows, writer.constant(np.asarray(step.mean_, dtype=np.float32)))
    return rows if step.scale_ is None else writer.op("Div", rows, writer.constant(step.scale_.astype(np.float32)))


def range_scaler(writer: Writer, rows: str, step: Any) -> str:
    """Adds a fitted ``MinMaxScaler`` on float32 rows."""
    rows = _in_place(writer, "Add", _in_place(writer, "Mul", rows, step.scale_), step.min_)
    if step.clip:
        low, high = (writer.number(limit) for limit in step.feature_range)
        rows = writer.op("Clip", rows, low, high)
    return rows


def robust_scaler(writer: Writer, rows: str, step: Any) -> str:
    """Adds a fitted ``RobustScaler`` on float32 rows."""
    if step.with_centering:
        rows = _in_place(writer, "Sub", rows, step.center_)
    return _in_place(writer, "Div", rows, step.scale_) if step.with_scaling else rows


def _in_place(writer: Writer, kind: str, rows: str, by: NDArray[np.floating[Any]]) -> str:
    """Adds what ``rows op= by`` does in numpy: double numbers act in double precision, then float32 is written back."""
    if by.dtype == np.float32:
        return writer.op(kind, rows, writer.constant(by))
    return narrow(writer, writer.op(kind, wide(writer, rows), doubles(writer, by)))


TRANSFORMS: Mapping[str, Transform] = {
    "MinMaxScaler": range_scaler,
    "RobustScaler": robust_scaler,
    "Standard": standard,
    "StandardScaler": standard_scaler,
}
