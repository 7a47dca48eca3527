"""LightGBM: double thresholds, ``x <= t`` to the left, three ways to treat NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx.heads.answers import curve, n_classes_of
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.layouts import add_trees
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.heads.trees import LEAF, Tree, Trees, at_most, below, require_untouched
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused

# Bits of ``decision_type``: category, NaN to the left, and two for what counts as missing.
_CATEGORY, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_NOTHING, _ZERO = 0, 1
_TINY = np.float32(1e-35)
"""Rows are read sparsely: a number this close to 0 is 0."""
_Written = Mapping[str, str]


def boosted(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``LGBMClassifier``, up to its best iteration; returns its probability ``[row, class]``.

    Raises:
        Refused: its objective or splits are of a kind that is not read, or a step before it computes.
    """
    require_untouched(writer, rows, model)
    n_classes_of(model)
    text = model.booster_.model_to_string().partition("\nend of trees")[0]
    head, *trees = [_fields(part) for part in text.split("\n\nTree=")]
    _require_readable(head, trees)
    width = int(head["num_tree_per_iteration"])
    # A forest (boosting_type 'rf') answers with the mean of its iterations, boosting with their sum.
    share = width / len(trees) if "average_output" in head else 1.0
    objective, *options = head["objective"].split()
    # The logistic curve of 'binary' may be steeper than one.
    steep = float(dict(option.split(":") for option in options)["sigmoid"]) if objective == "binary" else 1.0
    grown = Trees(
        trees=[_tree(tree, steep * share) for tree in trees],
        columns=[number % width for number in range(len(trees))],
        start=np.zeros(width),
    )
    return curve(writer, add_trees(writer, rows, grown, layout), width)


def _fields(part: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in part.splitlines())
    return {name: value for name, _, value in pairs if name}


def _require_readable(head: _Written, trees: list[dict[str, str]]) -> None:
    objective = head.get("objective", "of its own").split()[0]
    kinds = np.concatenate([_numbers(tree, "decision_type", np.int64) for tree in trees])
    reasons = [f"objective {objective}"] * (objective not in ("binary", "multiclass"))
    reasons += ["splits on categories"] * bool((kinds & _CATEGORY).any())
    reasons += ["zero_as_missing"] * bool((kinds >> _MISSING_SHIFT == _ZERO).any())
    reasons += ["linear trees"] * any(tree.get("is_linear", "0") != "0" for tree in trees)
    if reasons:
        raise Refused(
            f"The LightGBM model cannot become a graph that agrees with it: {', '.join(reasons)}.",
            "use objective binary or multiclass and numbers as features, with NaN for missing",
        )


def _numbers(tree: _Written, name: str, kind: type[Any]) -> NDArray[Any]:
    return np.array(tree.get(name, "").split(), dtype=np.float64).astype(kind)


def _tree(written: _Written, share: float) -> Tree:
    """Returns one tree; in the file inner nodes count from 0 and leaf ``k`` is child ``-1 - k``."""
    leaves = _numbers(written, "leaf_value", np.float64) * share
    feature = _numbers(written, "split_feature", np.int64)
    n_inner, n_leaves = len(feature), len(leaves)
    n_inner = n_inner if n_leaves > 1 else 0
    threshold = _numbers(written, "threshold", np.float64)[:n_inner]
    beside_zero = np.where(threshold < 0, below(-_TINY), _TINY)
    exact = np.where(np.abs(threshold) <= _TINY, beside_zero, at_most(threshold))
    kind = _numbers(written, "decision_type", np.int64)[:n_inner]
    low, high = (_numbers(written, name, np.int64)[:n_inner] for name in ("left_child", "right_child"))
    # Where nothing was missing while it learned, NaN is read as 0.
    missing_low = np.where(kind >> _MISSING_SHIFT == _NOTHING, threshold >= 0, (kind & _DEFAULT_LEFT) > 0)
    of_leaf = np.zeros(n_leaves, dtype=np.int64)
    return Tree(
        feature=np.concatenate([feature[:n_inner], of_leaf + LEAF]),
        threshold=np.concatenate([exact, of_leaf]).astype(np.float32),
        low=np.concatenate([np.where(low < 0, n_inner - 1 - low, low), of_leaf]),
        high=np.concatenate([np.where(high < 0, n_inner - 1 - high, high), of_leaf]),
        missing_low=np.concatenate([missing_low, of_leaf > 0]),
        value=np.concatenate([np.zeros(n_inner), leaves]).astype(np.float32)[:, None],
    )


EXPORTERS: Mapping[str, Exporter] = {"LGBMClassifier": boosted}
