"""Trees as nodes of a graph, in the layout that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto

from geoml_ops.adapters.onnx.heads.grafting import grafted
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.trees import LEAF, Tree, Trees
from geoml_ops.adapters.onnx.writer import Writer

_Placed = tuple[Tree, int]
"""A tree and the first column that it adds to."""
_IDLE = Tree(
    feature=np.array([0, LEAF, LEAF]),
    threshold=np.zeros(3, dtype=np.float32),
    low=np.array([1, 0, 0]),
    high=np.array([2, 0, 0]),
    missing_low=np.zeros(3, dtype=np.bool_),
    value=np.zeros((3, 1), dtype=np.float32),
)
"""A tree that adds nothing, for a node that would have none."""


def add_trees(writer: Writer, rows: str, trees: Trees, layout: Layout) -> str:
    """Adds trees and the sums of their leaves; returns the name of ``[row, column]`` float32.

    Args:
        writer: collects the nodes.
        rows: name of ``[row, feature]`` float32, numbers as the trees were fitted on.
        trees: what to add.
        layout: how many trees share a node.
    """
    grown, start = _without_bare(grafted(trees, layout.joined_leaves))
    if not (layout.per_class and trees.one_column_each):
        return _summed(writer, rows, grown, start, layout)
    sums = [
        _summed(writer, rows, [(tree, 0) for tree, column in grown if column == k], start[k : k + 1], layout)
        for k in range(trees.n_columns)
    ]
    return writer.op("Concat", *sums, axis=1)


def _without_bare(trees: Trees) -> tuple[list[_Placed], NDArray[np.float64]]:
    """Returns the trees that ask something, and the start with what the others add, which is all they do.

    A root that is a leaf is left out of the sums by onnxruntime 1.31.
    """
    grown: list[_Placed] = []
    start = trees.start.astype(np.float64)
    for tree, column in zip(trees.trees, trees.columns, strict=True):
        if tree.feature[0] == LEAF:
            start[column : column + tree.value.shape[1]] += tree.value[0]
        else:
            grown.append((tree, column))
    return grown, start


def _summed(writer: Writer, rows: str, trees: Sequence[_Placed], start: NDArray[np.float64], layout: Layout) -> str:
    """Adds trees in groups, one group's sums after the other's, so that few of them exist at a time."""
    size = layout.trees_per_node or max(len(trees), 1)
    total = ""
    for first in range(0, max(len(trees), 1), size):
        group = trees[first : first + size] or [(_IDLE, 0)]
        part = _node(writer, rows, group, len(start))
        total = writer.op("Add", total, part) if total else part
    # Not as the node's own base_values: onnxruntime 1.31 leaves them out of columns that no tree of the node adds to.
    return writer.op("Add", total, writer.constant(start.astype(np.float32))) if start.any() else total


def _node(writer: Writer, rows: str, group: Sequence[_Placed], n_columns: int) -> str:
    """Adds one node that holds a group of trees and sums their leaves; returns ``[row, column]``."""
    sizes = [len(tree.feature) for tree, _ in group]
    feature, threshold, low, high, missing = (
        np.concatenate([getattr(tree, name) for tree, _ in group])
        for name in ("feature", "threshold", "low", "high", "missing_low")
    )
    inner = feature != LEAF
    whole = {
        "nodes_treeids": np.repeat(np.arange(len(group)), sizes),
        "nodes_nodeids": np.concatenate([np.arange(size) for size in sizes]),
        "nodes_featureids": feature * inner,
        "nodes_truenodeids": low * inner,
        "nodes_falsenodeids": high * inner,
        **({"nodes_missing_value_tracks_true": missing & inner} if (missing & inner).any() else {}),
    }
    made = writer.op(
        "TreeEnsembleRegressor",
        rows,
        domain="ai.onnx.ml",
        n_targets=n_columns,
        aggregate_function="SUM",
        post_transform="NONE",
    )
    weights = _weights(group)
    real = {"nodes_values": np.where(inner, threshold, np.float32(0)), "target_weights": weights.pop("weights")}
    whole |= {f"target_{name}": numbers for name, numbers in weights.items()}
    modes = np.where(inner, b"BRANCH_LEQ", b"LEAF").tolist()
    # Written directly: onnx's own constructor looks at every one of millions of numbers in turn.
    attributes = [
        AttributeProto(name=k, type=AttributeProto.INTS, ints=v.astype(int).tolist()) for k, v in whole.items()
    ]
    attributes += [AttributeProto(name=k, type=AttributeProto.FLOATS, floats=v.tolist()) for k, v in real.items()]
    attributes += [AttributeProto(name="nodes_modes", type=AttributeProto.STRINGS, strings=modes)]
    writer.nodes[-1].attribute.extend(sorted(attributes, key=lambda attribute: str(attribute.name)))
    return made


def _weights(group: Sequence[_Placed]) -> dict[str, NDArray[Any]]:
    """Returns what the leaves add, entry by entry; zeros are left out but for one entry of each leaf."""
    parts: dict[str, list[NDArray[Any]]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for number, (tree, column) in enumerate(group):
        leaves = np.flatnonzero(tree.feature == LEAF)
        value = tree.value[leaves]
        kept = value != 0
        kept[~kept.any(axis=1), 0] = True
        row, place = np.nonzero(kept)
        parts["treeids"].append(np.full(len(row), number))
        parts["nodeids"].append(leaves[row])
        parts["ids"].append(place + column)
        parts["weights"].append(value[row, place])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}
