"""Numbers in double precision inside a graph, where seven digits would be too few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from geoml_ops.adapters.onnx.writer import Writer


def doubles(writer: Writer, value: float | NDArray[np.generic]) -> str:
    """Returns the name of a constant in double precision."""
    return writer.constant(np.asarray(value, dtype=np.float64))


def wide(writer: Writer, rows: str) -> str:
    """Adds a cast to double precision; nothing changes where they are so already."""
    return writer.op("Cast", rows, to=TensorProto.DOUBLE)


def narrow(writer: Writer, rows: str) -> str:
    """Adds a cast to float32."""
    return writer.op("Cast", rows, to=TensorProto.FLOAT)


def logistic(writer: Writer, margins: str) -> str:
    """Adds ``1 / (1 + exp(-m))`` in double precision."""
    # Written out: onnxruntime 1.31 approximates Sigmoid.
    falling = writer.op("Exp", writer.op("Neg", margins))
    return writer.op("Div", doubles(writer, 1.0), writer.op("Add", falling, doubles(writer, 1.0)))


def normalised(writer: Writer, shares: str) -> str:
    """Adds shares ``[row, class]`` over their sum."""
    return writer.op("Div", shares, writer.op("ReduceSum", shares, writer.ints(1), keepdims=1))


def likelihoods(writer: Writer, margins: str, n_columns: int) -> str:
    """Adds float32 probabilities ``[row, class]`` of double margins: a softmax, or of one column the logistic curve.

    The column alone is the margin of the second of two classes.
    """
    if n_columns > 1:
        return narrow(writer, writer.op("Softmax", margins, axis=1))
    second = logistic(writer, margins)
    both = writer.op("Concat", writer.op("Sub", doubles(writer, 1.0), second), second, axis=1)
    return narrow(writer, both)
