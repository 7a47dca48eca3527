"""What may stand before a model inside its head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geoml_ops.adapters.onnx.heads.precise import doubles, wide
from geoml_ops.adapters.onnx.heads.registry import Transform
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused


def imputer(writer: Writer, rows: str, step: Any) -> str:
    """Adds a fitted ``SimpleImputer``: NaN becomes what it learned for that feature.

    Numbers that no float32 is were learned from double rows, such as those a stack hands on; then so are these.

    Raises:
        Refused: it adds or drops columns, or takes another number than NaN for missing.
    """
    learned = np.asarray(step.statistics_, dtype=np.float64)
    reasons = ["adds columns that say what was missing"] * (step.indicator_ is not None)
    reasons += ["drops features that no sample has"] * bool(np.isnan(learned).any() and not step.keep_empty_features)
    reasons += [f"fills in for {step.missing_values}"] * bool(step.missing_values == step.missing_values)
    if reasons:
        raise Refused(
            f"A SimpleImputer that {' and '.join(reasons)} has no export.",
            "use SimpleImputer(keep_empty_features=True) without indicator, for missing_values NaN",
        )
    # A feature that was missing in every sample is filled with 0 (keep_empty_features).
    filling = np.nan_to_num(learned)
    if (filling != filling.astype(np.float32)).any():
        return writer.op("Where", writer.op("IsNaN", rows), doubles(writer, filling), wide(writer, rows))
    return writer.op("Where", writer.op("IsNaN", rows), writer.constant(filling.astype(np.float32)), rows)


TRANSFORMS: Mapping[str, Transform] = {"SimpleImputer": imputer}
