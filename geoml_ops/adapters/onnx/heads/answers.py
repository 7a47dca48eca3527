"""From what a model adds up to one probability per class: two classes and many, in one place."""

from __future__ import annotations

from typing import Any

from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused


def n_classes_of(model: Any) -> int:
    """Returns how many classes a fitted classifier tells apart.

    Raises:
        Refused: it answers for several targets at once, or knows a single class.
    """
    n_classes = len(model.classes_)
    if n_classes < 2 or getattr(model, "n_outputs_", 1) != 1:
        raise Refused(f"A {type(model).__name__} of {n_classes} class(es) is no classifier of pixels.")
    return n_classes


def both(writer: Writer, second: str) -> str:
    """Adds the share of the first of two classes before that of the second, ``[row, 1]`` to ``[row, 2]``."""
    return writer.op("Concat", writer.op("Sub", writer.number(1.0), second), second, axis=1)


def shares(writer: Writer, sums: str, n_columns: int) -> str:
    """Adds probabilities to shares that are already summed; a single column is the second class's."""
    return both(writer, sums) if n_columns == 1 else sums


def curve(writer: Writer, margins: str, n_columns: int) -> str:
    """Adds the softmax of margins ``[row, class]``; one margin, of the second of two classes, is made logistic."""
    if n_columns == 1:
        return both(writer, writer.op("Sigmoid", margins))
    return writer.op("Softmax", margins, axis=1)
