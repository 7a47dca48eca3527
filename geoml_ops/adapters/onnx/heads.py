"""Fitted trees as graphs: what can be converted faithfully, in a layout that runs fast."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost  # type: ignore[import-untyped]
from skl2onnx import to_onnx, update_registered_converter  # type: ignore[import-untyped]
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes  # type: ignore[import-untyped]

from geoml_ops.adapters.onnx.writer import OPSET, OPSET_TREES, Writer
from geoml_ops.core.errors import BadInput, Refused

TREES_PER_NODE = 20


def head_graph(fitted: Any, family: str, n_features: int) -> bytes:
    """Returns a fitted model as a graph: ``features [batch, feature, y, x]`` to ``probability [batch, class, y, x]``.

    Args:
        fitted: a fitted ``RandomForestClassifier`` or ``XGBClassifier`` whose classes are 0, 1, 2 …, or
            a ``Pipeline`` of a ``SimpleImputer`` and one of these.
        family: ``random_forest`` or ``xgboost``.
        n_features: number of features it was fitted on.

    Raises:
        Refused: the model is of a kind whose conversion is known to be wrong.
        BadInput: the family is unknown.
    """
    if family not in _FAMILIES:
        raise BadInput(f"There is no export for the family {family[:60]!r}.", f"use one of {', '.join(_FAMILIES)}")
    n_classes = len(fitted.classes_)
    if list(fitted.classes_) != list(range(n_classes)):
        raise Refused(
            f"The model's classes are {list(fitted.classes_)[:20]}, a bundle's are 0 to n - 1.",
            "fit on samples of every class of the experiment",
        )
    refuse, layout = _FAMILIES[family]
    filling, model = _peel(fitted)
    refuse(model)
    writer = Writer()
    rows = writer.op("Transpose", "features", perm=[0, 2, 3, 1])
    shape = writer.op("Slice", writer.op("Shape", rows), writer.ints(0), writer.ints(3))
    flat = writer.op("Reshape", rows, writer.ints(-1, n_features))
    if filling is not None:
        flat = writer.op("Where", writer.op("IsNaN", flat), writer.constant(filling), flat)
    probability = layout(writer, flat, _trees(model, n_features), n_classes)
    square = writer.op("Reshape", probability, writer.op("Concat", shape, writer.ints(n_classes), axis=0))
    writer.op("Transpose", square, out="probability", perm=[0, 3, 1, 2])
    outputs = {"probability": (TensorProto.FLOAT, n_classes)}
    return writer.model("head", ("features", n_features), outputs, {"family": family})


def _peel(fitted: Any) -> tuple[NDArray[np.float32] | None, Any]:
    """Returns what an imputer in front fills in, ``(feature,)``, or None without one; and the model itself."""
    steps = [step for _, step in getattr(fitted, "steps", [("model", fitted)])]
    if len(steps) == 1:
        return None, steps[0]
    if len(steps) != 2 or not hasattr(steps[0], "statistics_") or steps[0].indicator_ is not None:
        raise Refused(
            f"A head of {' and '.join(type(step).__name__ for step in steps)} has no export.",
            "put nothing but a SimpleImputer without indicator before the model",
        )
    # A feature that was missing in every sample is filled with 0 (keep_empty_features).
    return np.nan_to_num(np.asarray(steps[0].statistics_, dtype=np.float32)), steps[1]


def _trees(fitted: Any, n_features: int) -> dict[str, Any]:
    """Returns the attributes of the converter's one tree node, lists as numpy arrays."""
    if "XGB" in type(fitted).__name__:
        update_registered_converter(
            type(fitted),
            "XgboostXGBClassifier",
            calculate_linear_classifier_output_shapes,
            convert_xgboost,
            options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
            overwrite=True,
        )
    model = to_onnx(
        fitted,
        np.zeros((1, n_features), dtype=np.float32),
        options={id(fitted): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": OPSET_TREES},
    )
    nodes = [node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier"]
    if len(nodes) != 1:
        raise Refused(f"The converter made {len(nodes)} tree nodes of one model.")
    found = {a.name: helper.get_attribute_value(a) for a in nodes[0].attribute}
    return {name: np.asarray(value) if isinstance(value, list) else value for name, value in found.items()}


def _regressor(
    writer: Writer,
    rows: str,
    trees: dict[str, Any],
    chosen: NDArray[np.int64],
    targets: NDArray[np.int64],
    base: float = 0.0,
) -> str:
    """Adds the chosen trees as one node that sums their leaves; returns ``[row, target]``.

    Both selections are sorted; ``targets`` are the classes that become columns 0, 1, …
    """
    of_node = np.isin(trees["nodes_treeids"], chosen)
    of_leaf = np.isin(trees["class_treeids"], chosen) & np.isin(trees["class_ids"], targets)
    if len(targets) > 1:
        of_leaf &= trees["class_weights"] != 0
    parts: dict[str, Any] = {}
    for name, values in trees.items():
        if name.startswith("nodes_") and len(values):
            parts[name] = values[of_node]
    for name in ("treeids", "nodeids", "ids", "weights"):
        parts[f"target_{name}"] = trees[f"class_{name}"][of_leaf]
    for name in ("nodes_treeids", "target_treeids"):
        parts[name] = np.searchsorted(chosen, parts[name])
    parts["target_ids"] = np.searchsorted(targets, parts["target_ids"])
    attributes = {name: values.tolist() for name, values in parts.items()}
    if base:
        attributes["base_values"] = [base] * len(targets)
    return writer.op(
        "TreeEnsembleRegressor",
        rows,
        domain="ai.onnx.ml",
        n_targets=len(targets),
        aggregate_function="SUM",
        post_transform="NONE",
        **attributes,
    )


def _forest(writer: Writer, rows: str, trees: dict[str, Any], n_classes: int) -> str:
    """Adds a forest as groups of trees: one large node of onnxruntime 1.31 takes 2 to 4 times as long."""
    # Of two classes the converter writes only the second one's share.
    ids, targets = np.unique(trees["nodes_treeids"]), np.arange(n_classes if n_classes > 2 else 1)
    groups = [ids[first : first + TREES_PER_NODE] for first in range(0, len(ids), TREES_PER_NODE)]
    sums = [_regressor(writer, rows, trees, group, targets) for group in groups]
    total = writer.op("Sum", *sums)
    return total if n_classes > 2 else _both(writer, total)


def _both(writer: Writer, second: str) -> str:
    """Adds the share of the first of two classes before that of the second."""
    return writer.op("Concat", writer.op("Sub", writer.number(1.0), second), second, axis=1)


def _boosting(writer: Writer, rows: str, trees: dict[str, Any], n_classes: int) -> str:
    """Adds boosted trees as one node per class, then softmax; with one margin for two classes, the logistic curve."""
    base = np.asarray(trees.get("base_values", np.zeros(0)), dtype=np.float64)
    margins = []
    for code in np.unique(trees["class_ids"]):
        of_class = np.unique(trees["class_treeids"][trees["class_ids"] == code])
        start = float(base[code if len(base) > 1 else 0]) if len(base) else 0.0
        margins.append(_regressor(writer, rows, trees, of_class, np.array([code]), start))
    if len(margins) == 1 and n_classes == 2:
        return _both(writer, writer.op("Sigmoid", margins[0]))
    return writer.op("Softmax", writer.op("Concat", *margins, axis=1), axis=1)


def _refuse_forest(fitted: Any) -> None:
    """Raises where a forest saw NaN while it was fitted: its routes for NaN are lost in the graph.

    scikit-learn 1.9 sends NaN to the larger child at every split that saw none while fitting, so any
    other route was learned from NaN.
    """
    learned = 0
    for tree in (estimator.tree_ for estimator in fitted.estimators_):
        split = tree.children_left >= 0
        size = tree.n_node_samples
        larger = size[tree.children_left[split]] > size[tree.children_right[split]]
        learned += int((tree.missing_go_to_left[split].astype(bool) != larger).sum())
    if learned:
        raise Refused(
            f"The forest saw missing values while fitting ({learned} splits route them), which its graph cannot keep.",
            "leave out samples with missing features, or use xgboost",
        )


def _refuse_boosting(fitted: Any) -> None:
    learner = json.loads(fitted.get_booster().save_config())["learner"]
    booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    parallel = booster.get("gbtree_model_param", {}).get("num_parallel_tree", "1")
    strategy = learner.get("learner_train_param", {}).get("multi_strategy", "one_output_per_tree")
    reasons = [f"booster {booster['name']}"] * (booster["name"] != "gbtree")
    reasons += [f"num_parallel_tree {parallel}"] * (parallel != "1")
    reasons += [f"objective {objective}"] * (objective not in ("multi:softprob", "binary:logistic"))
    reasons += [f"multi_strategy {strategy}"] * (strategy != "one_output_per_tree")
    if reasons:
        raise Refused(
            f"The boosted model cannot become a graph that agrees with it: {', '.join(reasons)}.",
            "use booster gbtree, num_parallel_tree 1 and objective multi:softprob",
        )


_Layout = Callable[["Writer", str, dict[str, Any], int], str]
_FAMILIES: dict[str, tuple[Callable[[Any], None], _Layout]] = {
    "random_forest": (_refuse_forest, _forest),
    "xgboost": (_refuse_boosting, _boosting),
}
