"""Two models on the same live ground: on which share they differ, in which classes, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.tiling import NODATA_CLASS

SAME, DIFFERENT = 0, 1
NO_ANSWER = "no answer"


@dataclass(frozen=True, eq=False)
class Disagreement:
    """How two maps of the same pixels differ; classes are compared by name.

    Attributes:
        counts: pixels by class of the one, then by class of the other; the last row and column are "no answer".
        where: uint8 ``(y, x)``: 0 where both say the same, 1 where not, 255 where neither answers.
    """

    counts: NDArray[np.int64]
    where: NDArray[np.uint8]

    @property
    def n_pixels(self) -> int:
        """Pixels that at least one of both answers."""
        return int((self.where != NODATA_CLASS).sum())

    @property
    def n_different(self) -> int:
        """Pixels on which they differ; an answer of only one of them is a difference."""
        return int((self.where == DIFFERENT).sum())

    @property
    def share(self) -> float | None:
        """Which share of the pixels that is, 0 to 1; None where nothing was answered."""
        return self.n_different / self.n_pixels if self.n_pixels else None


def disagreement(
    one: NDArray[np.uint8], other: NDArray[np.uint8], ones: Sequence[str], others: Sequence[str]
) -> Disagreement:
    """Returns how two maps differ.

    Args:
        one: codes ``(y, x)`` of the model that answers, 255 for no answer.
        other: the same of the candidate.
        ones: names of the first one's classes, in code order.
        others: names of the other's classes.
    """
    rows, cols = _within(one, len(ones)), _within(other, len(others))
    counts = np.zeros((len(ones) + 1, len(others) + 1), dtype=np.int64)
    np.add.at(counts, (rows.ravel(), cols.ravel()), 1)
    names = {name: code for code, name in enumerate(others)}
    same = np.array([names.get(name, -1) for name in ones] + [len(others)])
    where = np.where(same[rows] == cols, SAME, DIFFERENT).astype(np.uint8)
    where[(rows == len(ones)) & (cols == len(others))] = NODATA_CLASS
    return Disagreement(counts, where)


def blank(ones: Sequence[str], others: Sequence[str]) -> NDArray[np.int64]:
    """Returns a table of counts in which nothing was counted yet."""
    return np.zeros((len(ones) + 1, len(others) + 1), dtype=np.int64)


def summed(found: Iterable[Disagreement], ones: Sequence[str], others: Sequence[str]) -> NDArray[np.int64]:
    """Returns the counts of several maps together."""
    return sum((part.counts for part in found), start=blank(ones, others))


def _within(codes: NDArray[np.uint8], n_classes: int) -> NDArray[np.int64]:
    return np.where(codes < n_classes, codes, n_classes).astype(np.int64)
