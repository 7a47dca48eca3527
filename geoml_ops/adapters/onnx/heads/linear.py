"""Lines through the features: logistic regression and discriminants, in double precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geoml_ops.adapters.onnx.heads.answers import n_classes_of
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.precise import doubles, likelihoods, wide
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.writer import Writer


def linear(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted linear classifier whose probability is the softmax of its margins; one margin for two classes."""
    n_classes_of(model)
    weights = np.asarray(model.coef_, dtype=np.float64).T
    product = writer.op("MatMul", wide(writer, rows), doubles(writer, weights))
    margins = writer.op("Add", product, doubles(writer, np.asarray(model.intercept_, dtype=np.float64)))
    return likelihoods(writer, margins, weights.shape[1])


EXPORTERS: Mapping[str, Exporter] = {"LogisticRegression": linear, "LinearDiscriminantAnalysis": linear}
