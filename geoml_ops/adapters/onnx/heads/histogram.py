"""Histogram gradient boosting of scikit-learn: float64 rows and thresholds, NaN with a side of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx.heads.answers import curve, n_classes_of
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.layouts import add_trees
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.heads.trees import LEAF, Tree, Trees, at_most, require_untouched
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused


def histogram_boosting(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``HistGradientBoostingClassifier``; returns its probability ``[row, class]``.

    Raises:
        Refused: it splits on categories, or a step before it computes.
    """
    require_untouched(writer, rows, model)
    n_classes_of(model)
    stages = model._predictors
    nodes = [predictor.nodes for stage in stages for predictor in stage]
    if any(part["is_categorical"].any() for part in nodes) or model.is_categorical_ is not None:
        raise Refused("Histogram gradient boosting on categories has no export.", "leave categorical_features out")
    trees = Trees(
        trees=[_tree(part) for part in nodes],
        columns=list(np.tile(np.arange(len(stages[0])), len(stages))),
        start=np.ravel(model._baseline_prediction).astype(np.float64),
    )
    return curve(writer, add_trees(writer, rows, trees, layout), trees.n_columns)


def _tree(nodes: NDArray[Any]) -> Tree:
    leaf = nodes["is_leaf"].astype(np.bool_)
    return Tree(
        feature=np.where(leaf, LEAF, nodes["feature_idx"]).astype(np.int64),
        threshold=at_most(nodes["num_threshold"]),
        low=nodes["left"].astype(np.int64),
        high=nodes["right"].astype(np.int64),
        missing_low=nodes["missing_go_to_left"].astype(np.bool_),
        value=nodes["value"].astype(np.float32)[:, None],
    )


EXPORTERS: Mapping[str, Exporter] = {"HistGradientBoostingClassifier": histogram_boosting}
