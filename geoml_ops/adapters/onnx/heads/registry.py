"""Which fitted estimator becomes which nodes: one dictionary of models, one of what may stand before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import BadInput

Exporter = Callable[[Writer, str, Any, Layout], str]
"""``(writer, rows, model, layout)``: name of ``[row, feature]`` float32 to name of probability ``[row, class]``."""
Transform = Callable[[Writer, str, Any], str]
"""``(writer, rows, step)``: name of ``[row, feature]`` float32 to the same, as the fitted step makes it."""

_Entry = TypeVar("_Entry")

EXPORTERS: dict[str, Exporter] = {}
TRANSFORMS: dict[str, Transform] = {}


def add_model(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted classifier; returns the name of its probability ``[row, class]``, columns as its ``classes_``.

    Args:
        writer: collects the nodes.
        rows: name of ``[row, feature]`` float32.
        model: a fitted estimator that :data:`EXPORTERS` knows, or a ``Pipeline`` that ends in one.
        layout: of whatever trees are in it.

    Raises:
        BadInput: no exporter knows it, or a step before it.
        Refused: its exporter cannot keep what it learned.
    """
    steps = getattr(model, "steps", None)
    if steps is None:
        exporter: Exporter = _known(EXPORTERS, model, "export")
        return exporter(writer, rows, model, layout)
    return add_model(writer, add_steps(writer, rows, model), steps[-1][1], layout)


def add_steps(writer: Writer, rows: str, model: Any) -> str:
    """Adds what stands before the model of a ``Pipeline``; returns the name of its rows, ``rows`` where nothing does.

    Raises:
        BadInput: no exporter knows a step.
    """
    for _, step in getattr(model, "steps", [])[:-1]:
        if step is not None and step != "passthrough":
            rows = _known(TRANSFORMS, step, "export as a step before a model")(writer, rows, step)
    return rows


def model_in(fitted: Any) -> Any:
    """Returns the model behind whatever stands before it in a ``Pipeline``."""
    steps = getattr(fitted, "steps", None)
    return fitted if steps is None else model_in(steps[-1][1])


def _known(registry: Mapping[str, _Entry], estimator: Any, what: str) -> _Entry:
    name = type(estimator).__name__
    if name not in registry:
        raise BadInput(f"There is no {what} for {name[:60]}.", f"use one of {', '.join(sorted(registry))}")
    return registry[name]
