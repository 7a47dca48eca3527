"""XGBoost: float32 rows and thresholds, ``x < t`` to the left, NaN to the side that each node learned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx.heads.answers import curve, n_classes_of
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.layouts import add_trees
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.heads.trees import LEAF, Tree, Trees, below, require_untouched
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused

_OBJECTIVES = ("multi:softprob", "binary:logistic")


def boosted(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``XGBClassifier``, up to its best iteration; returns its probability ``[row, class]``.

    Raises:
        Refused: its booster, objective or splits are of a kind that is not read, or a step before it computes.
    """
    require_untouched(writer, rows, model)
    n_classes_of(model)
    learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    _require_readable(learner, model)
    inside = learner["gradient_booster"]["model"]
    best = getattr(model, "best_iteration", None)
    n_trees = len(inside["trees"]) if best is None else inside["iteration_indptr"][best + 1]
    trees = Trees(
        trees=[_tree(tree) for tree in inside["trees"][:n_trees]],
        columns=inside["tree_info"][:n_trees],
        start=_start(learner),
    )
    return curve(writer, add_trees(writer, rows, trees, layout), trees.n_columns)


def _require_readable(learner: Mapping[str, Any], model: Any) -> None:
    booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    reasons = [f"booster {booster['name']}"] * (booster["name"] != "gbtree")
    reasons += [f"objective {objective}"] * (objective not in _OBJECTIVES)
    trees = booster.get("model", {}).get("trees", [])
    reasons += ["multi_strategy multi_output_tree"] * any(t["tree_param"]["size_leaf_vector"] != "1" for t in trees)
    reasons += ["splits on categories"] * any(any(t["split_type"]) for t in trees)
    reasons += [f"missing={model.missing}"] * (not math.isnan(model.missing))
    if reasons:
        raise Refused(
            f"The boosted model cannot become a graph that agrees with it: {', '.join(reasons)[:200]}.",
            "use booster gbtree, objective multi:softprob and numbers as features, with NaN for missing",
        )


def _start(learner: Mapping[str, Any]) -> NDArray[np.float64]:
    """Returns the margins before the first tree, one per column; the file keeps the logistic one as a share."""
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float64).ravel()
    if learner["objective"]["name"] == "binary:logistic":
        return np.log(base) - np.log1p(-base)
    return np.broadcast_to(base, (int(learner["learner_model_param"]["num_class"]),)).copy()


def _tree(written: Mapping[str, Any]) -> Tree:
    low = np.array(written["left_children"], dtype=np.int64)
    leaf = low < 0
    # Written with as many digits as float32 needs: reading them gives the same number back.
    condition = np.array(written["split_conditions"], dtype=np.float64).astype(np.float32)
    return Tree(
        feature=np.where(leaf, LEAF, np.array(written["split_indices"], dtype=np.int64)),
        threshold=below(condition),
        low=low,
        high=np.array(written["right_children"], dtype=np.int64),
        missing_low=np.array(written["default_left"], dtype=np.bool_),
        value=np.where(leaf, condition, np.float32(0))[:, None],
    )


EXPORTERS: Mapping[str, Exporter] = {"XGBClassifier": boosted, "XGBRFClassifier": boosted}
