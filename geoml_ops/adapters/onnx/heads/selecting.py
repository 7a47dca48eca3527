"""A choice of features becomes one gather of columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geoml_ops.adapters.onnx.heads.registry import Transform
from geoml_ops.adapters.onnx.writer import Writer


def selector(writer: Writer, rows: str, step: Any) -> str:
    """Adds a fitted ``Selector``: the columns that it keeps, in their order."""
    return writer.op("Gather", rows, writer.ints(*(int(position) for position in step.kept_)), axis=1)


TRANSFORMS: Mapping[str, Transform] = {"Selector": selector}
