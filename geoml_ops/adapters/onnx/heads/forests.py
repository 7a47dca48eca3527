"""Forests of scikit-learn: every tree's leaf holds shares of the classes, and the answer is their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx.heads.answers import n_classes_of, shares
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.layouts import add_trees
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.heads.trees import LEAF, Tree, Trees, at_most, require_untouched
from geoml_ops.adapters.onnx.writer import Writer


def forest(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted forest, or a single tree; returns its probability ``[row, class]``.

    Raises:
        Refused: a step before it computes.
    """
    require_untouched(writer, rows, model)
    n_classes = n_classes_of(model)
    grown = [tree.tree_ for tree in getattr(model, "estimators_", [model])]
    # Of two classes the second one's share says all.
    told = np.arange(n_classes) if n_classes > 2 else np.array([1])
    trees = [tree_of(tree, tree.value[:, 0, told] / len(grown)) for tree in grown]
    sums = add_trees(writer, rows, Trees(trees, [0] * len(trees), np.zeros(len(told))), layout)
    return shares(writer, sums, len(told))


def tree_of(grown: Any, value: NDArray[np.float64]) -> Tree:
    """Returns a tree of scikit-learn as arrays.

    Args:
        grown: the ``tree_`` of a fitted decision tree; it sends float32 x to the left where x <= its double threshold.
        value: ``(node, width)`` what its leaves add.
    """
    leaf = grown.children_left < 0
    return Tree(
        feature=np.where(leaf, LEAF, grown.feature).astype(np.int64),
        threshold=at_most(grown.threshold),
        low=grown.children_left.astype(np.int64),
        high=grown.children_right.astype(np.int64),
        missing_low=np.asarray(grown.missing_go_to_left, dtype=np.bool_),
        value=value.astype(np.float32),
    )


EXPORTERS: Mapping[str, Exporter] = {
    "DecisionTreeClassifier": forest,
    "ExtraTreeClassifier": forest,
    "ExtraTreesClassifier": forest,
    "RandomForestClassifier": forest,
}
