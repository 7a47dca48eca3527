"""Shallow trees joined into one, whose leaves hold the sums: fewer walks, and questions asked only once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from geoml_ops.adapters.onnx.heads.trees import LEAF, Tree, Trees

MOST_NODES = 400_000
"""Trees are left alone where joining them could make more nodes than this."""
_Range = tuple[float, float, bool]
_ANYTHING: _Range = (math.nan, math.inf, True)
"""What is known of a feature on the way down: above the first number, at most the second, maybe NaN."""


def grafted(trees: Trees, most_leaves: int) -> Trees:
    """Returns trees that answer the same, neighbours of one column joined as long as they stay small.

    Args:
        trees: what to join.
        most_leaves: a joined tree has no more leaves than this; 0 returns the trees as they are.
    """
    if not most_leaves:
        return trees
    groups = [
        (group, column)
        for column in sorted(set(trees.columns))
        for group in _groups([t for t, c in zip(trees.trees, trees.columns, strict=True) if c == column], most_leaves)
    ]
    if sum(2 * math.prod(_n_leaves(tree) for tree in group) for group, _ in groups if len(group) > 1) > MOST_NODES:
        return trees
    return replace(trees, trees=[joined(group) for group, _ in groups], columns=[column for _, column in groups])


def joined(group: Sequence[Tree]) -> Tree:
    """Returns one tree whose leaves hold the sums of the leaves that a row reaches in each of a group.

    Each leaf of the first tree goes on with the second one, and so on; a question whose answer the way down
    has already settled is not asked again.
    """
    if len(group) == 1:
        return group[0]
    nodes = _Nodes()
    parts = [_Part(*(getattr(t, name).tolist() for name in _FIELDS)) for t in group]
    _grow(nodes, parts, 0, {}, [0.0] * group[0].value.shape[1])
    return nodes.tree()


_FIELDS = ("feature", "threshold", "low", "high", "missing_low", "value")


@dataclass(frozen=True)
class _Part:
    """A tree as lists, which single numbers are read from much faster."""

    feature: list[int]
    threshold: list[float]
    low: list[int]
    high: list[int]
    missing_low: list[bool]
    value: list[list[float]]


@dataclass
class _Nodes:
    """The tree that grows."""

    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    low: list[int] = field(default_factory=list)
    high: list[int] = field(default_factory=list)
    missing_low: list[bool] = field(default_factory=list)
    value: list[list[float]] = field(default_factory=list)

    def add(self, feature: int, threshold: float, missing_low: bool, value: list[float]) -> int:
        for numbers, number in zip(
            (self.feature, self.threshold, self.low, self.high, self.missing_low, self.value),
            (feature, threshold, 0, 0, missing_low, value),
            strict=True,
        ):
            numbers.append(number)  # type: ignore[attr-defined]
        return len(self.feature) - 1

    def tree(self) -> Tree:
        return Tree(
            feature=np.array(self.feature, dtype=np.int64),
            threshold=np.array(self.threshold, dtype=np.float32),
            low=np.array(self.low, dtype=np.int64),
            high=np.array(self.high, dtype=np.int64),
            missing_low=np.array(self.missing_low, dtype=np.bool_),
            value=np.array(self.value, dtype=np.float32),
        )


def _groups(trees: Sequence[Tree], most_leaves: int) -> Iterator[list[Tree]]:
    group: list[Tree] = []
    leaves = 1
    for tree in trees:
        if group and leaves * _n_leaves(tree) > most_leaves:
            yield group
            group, leaves = [], 1
        group.append(tree)
        leaves *= _n_leaves(tree)
    if group:
        yield group


def _n_leaves(tree: Tree) -> int:
    return int((tree.feature == LEAF).sum())


def _grow(nodes: _Nodes, parts: Sequence[_Part], at: int, known: dict[int, _Range], total: list[float]) -> int:
    """Adds what is below node ``at`` of the first part, and the other parts below its leaves; returns its place."""
    part = parts[0]
    at = _settled(part, at, known)
    feature = part.feature[at]
    if feature == LEAF:
        total = [a + b for a, b in zip(total, part.value[at], strict=True)]
        return _grow(nodes, parts[1:], 0, known, total) if len(parts) > 1 else nodes.add(LEAF, 0.0, False, total)
    threshold, missing_low = part.threshold[at], part.missing_low[at]
    above, most, maybe_nan = known.get(feature, _ANYTHING)
    place = nodes.add(feature, threshold, missing_low, [0.0] * len(total))
    low = (above, min(most, threshold), maybe_nan and missing_low)
    high = (above if above >= threshold else threshold, most, maybe_nan and not missing_low)
    nodes.low[place] = _grow(nodes, parts, part.low[at], {**known, feature: low}, total)
    nodes.high[place] = _grow(nodes, parts, part.high[at], {**known, feature: high}, total)
    return place


def _settled(part: _Part, at: int, known: dict[int, _Range]) -> int:
    """Returns the first node from ``at`` on that still divides the rows that come here."""
    while part.feature[at] != LEAF:
        above, most, maybe_nan = known.get(part.feature[at], _ANYTHING)
        threshold, missing_low = part.threshold[at], part.missing_low[at]
        if most <= threshold and (missing_low or not maybe_nan):
            at = part.low[at]
        elif above >= threshold and not (missing_low and maybe_nan):
            at = part.high[at]
        else:
            break
    return at
