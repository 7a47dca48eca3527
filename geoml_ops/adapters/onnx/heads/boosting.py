"""Gradient boosting of scikit-learn: regression trees on top of what the classes' shares alone say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geoml_ops.adapters.onnx.heads.answers import curve, n_classes_of
from geoml_ops.adapters.onnx.heads.forests import tree_of
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.layouts import add_trees
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.heads.trees import Trees, require_untouched
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused


def gradient_boosting(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``GradientBoostingClassifier``; returns its probability ``[row, class]``.

    Raises:
        Refused: it starts from another model's answers, or a step before it computes.
    """
    require_untouched(writer, rows, model)
    n_classes_of(model)
    if not isinstance(model.init_, str) and type(model.init_).__name__ != "DummyClassifier":
        raise Refused(
            f"Gradient boosting that starts from a {type(model.init_).__name__} has no export.",
            "leave init out, or use init='zero'",
        )
    grown = model.estimators_
    one = np.zeros((1, model.n_features_in_), dtype=np.float32)
    learned = sum(model.learning_rate * np.array([tree.predict(one)[0] for tree in stage]) for stage in grown)
    # The loss 'exponential' reads its sum as half the log-odds (Friedman, Hastie and Tibshirani 2000).
    times = 2.0 if model.loss == "exponential" else 1.0
    trees = Trees(
        trees=[tree_of(t.tree_, times * model.learning_rate * t.tree_.value[:, :, 0]) for t in grown.ravel()],
        columns=list(np.tile(np.arange(grown.shape[1]), len(grown))),
        # What is left of one answer without the trees: the start is the same for all rows.
        start=times * (np.ravel(model.decision_function(one)) - learned),
    )
    return curve(writer, add_trees(writer, rows, trees, layout), trees.n_columns)


EXPORTERS: Mapping[str, Exporter] = {"GradientBoostingClassifier": gradient_boosting}
