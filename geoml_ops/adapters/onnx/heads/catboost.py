"""CatBoost: trees that ask one question per level, ``x > border``, or ordinary ones; leaves of all classes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geoml_ops.adapters.onnx.heads.answers import curve, n_classes_of
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.layouts import add_trees
from geoml_ops.adapters.onnx.heads.registry import Exporter
from geoml_ops.adapters.onnx.heads.trees import LEAF, Tree, Trees, require_untouched
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused

_LOSSES = ("Logloss", "MultiClass")
_ABOVE = "AsTrue"
"""What a feature says of NaN where it counts as larger than every border."""


def boosted(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``CatBoostClassifier``; returns its probability ``[row, class]``.

    Raises:
        Refused: its loss or splits are of a kind that is not read, or a step before it computes.
    """
    require_untouched(writer, rows, model)
    n_classes_of(model)
    written = _written(model)
    _require_readable(written, model)
    features = {f["feature_index"]: f for f in written["features_info"]["float_features"]}
    scale, start = written["scale_and_bias"]
    width = len(start)
    if "oblivious_trees" in written:
        trees = [_level_tree(tree, features, scale, width) for tree in written["oblivious_trees"]]
    else:
        trees = [_node_tree(tree, features, scale) for tree in written["trees"]]
    sums = add_trees(writer, rows, Trees(trees, [0] * len(trees), np.array(start, dtype=np.float64)), layout)
    return curve(writer, sums, width)


def _written(model: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        return dict(json.loads(path.read_text()))


def _require_readable(written: Mapping[str, Any], model: Any) -> None:
    loss = str(model.get_all_params().get("loss_function", "unknown"))
    others = [name for name in written["features_info"] if name != "float_features"]
    reasons = [f"loss {loss}"] * (loss.partition(":")[0] not in _LOSSES)
    reasons += [name.replace("_", " ") for name in others if written["features_info"][name]]
    if reasons:
        raise Refused(
            f"The CatBoost model cannot become a graph that agrees with it: {', '.join(reasons)}.",
            "use loss_function Logloss or MultiClass and numbers as features",
        )


def _question(split: Mapping[str, Any], features: Mapping[int, Any]) -> tuple[int, np.float32, bool]:
    """Returns the column, the border, and whether NaN stays at or below it."""
    if split["split_type"] != "FloatFeature":
        raise Refused(f"A CatBoost split of type {str(split['split_type'])[:40]} has no export.", "use numbers only")
    feature = features[split["float_feature_index"]]
    above = feature["nan_value_treatment"] == _ABOVE
    return int(feature["flat_feature_index"]), np.float32(split["border"]), not above


def _level_tree(tree: Mapping[str, Any], features: Mapping[int, Any], scale: float, width: int) -> Tree:
    """Returns a tree of one question per level; bit ``k`` of a leaf's number answers question ``k``.

    The last question is asked at the root, so that leaves stand in the order of their numbers.
    """
    asked = [_question(split, features) for split in reversed(tree["splits"] or [])]
    depth = len(asked)
    n_inner = 2**depth - 1
    level = np.concatenate([np.full(2**k, k) for k in range(depth)] or [np.zeros(0, dtype=np.int64)])
    column, border, low = (np.array([question[part] for question in asked]) for part in range(3))
    node, leaves = np.arange(n_inner), np.zeros(n_inner + 1, dtype=np.int64)
    value = np.zeros((2 * n_inner + 1, width))
    value[n_inner:] = scale * np.array(tree["leaf_values"], dtype=np.float64).reshape(-1, width)
    return Tree(
        feature=np.concatenate([column[level] if depth else node, leaves + LEAF]).astype(np.int64),
        threshold=np.concatenate([border[level] if depth else node, leaves]).astype(np.float32),
        low=np.concatenate([2 * node + 1, leaves]),
        high=np.concatenate([2 * node + 2, leaves]),
        missing_low=np.concatenate([low[level] if depth else node, leaves]).astype(np.bool_),
        value=value.astype(np.float32),
    )


def _node_tree(tree: Mapping[str, Any], features: Mapping[int, Any], scale: float) -> Tree:
    """Returns a tree whose nodes ask a question each."""
    nodes = list(_walk(tree))
    place = {id(node): number for number, node in enumerate(nodes)}
    asked = [_question(node["split"], features) if "split" in node else (LEAF, np.float32(0), False) for node in nodes]
    width = max(np.size(node["value"]) for node in nodes if "split" not in node)
    zeros = [0.0] * width
    return Tree(
        feature=np.array([column for column, _, _ in asked], dtype=np.int64),
        threshold=np.array([border for _, border, _ in asked], dtype=np.float32),
        low=np.array([place[id(node["left"])] if "split" in node else 0 for node in nodes], dtype=np.int64),
        high=np.array([place[id(node["right"])] if "split" in node else 0 for node in nodes], dtype=np.int64),
        missing_low=np.array([low for _, _, low in asked], dtype=np.bool_),
        value=scale * np.array([np.ravel(n["value"]) if "split" not in n else zeros for n in nodes], dtype=np.float32),
    )


def _walk(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    ahead = [tree]
    while ahead:
        node = ahead.pop()
        yield node
        if "split" in node:
            ahead += [node["right"], node["left"]]


EXPORTERS: Mapping[str, Exporter] = {"CatBoostClassifier": boosted}
