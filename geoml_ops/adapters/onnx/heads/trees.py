"""Trees as arrays, whatever library grew them, and what has to hold before they compare numbers.

A tree library compares a float32 feature with a threshold that it may keep in double precision, and some ask
``<`` where others ask ``<=``. Here every node asks the one question ``x <= threshold`` in float32, with the
threshold moved to the float32 number at which each float32 row goes the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused

LEAF = -1
_CARRIES = {"Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators that hand numbers on bit by bit; ``Where`` is one, too, but for its condition."""


@dataclass(frozen=True)
class Tree:
    """One binary tree; node 0 is the root.

    Attributes:
        feature: int64 ``(node,)``, column it asks about; :data:`LEAF` for a leaf.
        threshold: float32 ``(node,)``; a row goes to ``low`` where ``x <= threshold``.
        low: int64 ``(node,)`` child of rows up to the threshold.
        high: int64 ``(node,)`` child of rows above it.
        missing_low: bool ``(node,)`` whether NaN goes to ``low``.
        value: float32 ``(node, width)`` what a leaf adds to the sums.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    missing_low: NDArray[np.bool_]
    value: NDArray[np.float32]


@dataclass(frozen=True)
class Trees:
    """Trees that are added up.

    Attributes:
        trees: in the order in which their library adds them.
        columns: first column of the sums that each tree adds its values to, ``(tree,)``.
        start: float64 ``(column,)`` what the sums begin with.
    """

    trees: Sequence[Tree]
    columns: Sequence[int]
    start: NDArray[np.float64]

    @property
    def n_columns(self) -> int:
        """Columns of the sums."""
        return len(self.start)

    @property
    def one_column_each(self) -> bool:
        """Whether every tree adds to a single column of several."""
        return self.n_columns > 1 and all(tree.value.shape[1] == 1 for tree in self.trees)


def at_most(threshold: Any) -> NDArray[np.float32]:
    """Returns the largest float32 numbers that are not above double ones: ``x <= t`` stays so for every float32 x.

    >>> at_most([0.1, 0.5]).astype(float) <= [0.1, 0.5]
    array([ True,  True])
    """
    exact = np.asarray(threshold, dtype=np.float64)
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
        down = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > exact, down, near).astype(np.float32)


def below(threshold: Any) -> NDArray[np.float32]:
    """Returns the float32 numbers just under given finite ones, so that ``x < t`` and ``x <=`` that say the same."""
    # Of +0 the step goes to the smallest negative number, of -0 as well: both zeros are equal.
    return np.nextafter(np.asarray(threshold, dtype=np.float32), np.float32(-np.inf))


def require_untouched(writer: Writer, rows: str, model: Any) -> None:
    """Lets pass rows that are the graph's own input numbers, moved or filled in but not computed anew.

    A graph computes in float32 and the libraries mostly in float64. What differs in the last digit falls on
    the other side of a threshold, and a whole branch answers otherwise.

    Raises:
        Refused: something before the trees computes.
    """
    made_by = {name: node for node in writer.nodes for name in node.output}
    ahead, seen = [rows], set[str]()
    while ahead:
        node = made_by.get(ahead.pop())
        if node is None or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        if node.op_type not in _CARRIES and node.op_type != "Where":
            raise Refused(
                f"A {type(model).__name__} compares features with thresholds, and a step before it computes them anew "
                f"({node.op_type}): in a graph rows near a threshold would change sides.",
                "put nothing but an imputer or a selection of features before trees; they need no scaling",
            )
        carried = node.input[1:3] if node.op_type == "Where" else node.input[: None if node.op_type == "Concat" else 1]
        ahead += carried
