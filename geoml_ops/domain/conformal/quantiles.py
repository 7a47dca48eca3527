"""Quantiles of scores in which every block weighs the same."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.conformal.answers import Codes, Floats, Tested

_CLOSE = 1e-9
_STEPS = 1e6


def least_blocks(coverage: float) -> int:
    """Returns how many blocks a class needs before it can be left out of any set.

    >>> least_blocks(0.9), least_blocks(0.95)
    (9, 19)
    """
    return math.ceil(coverage / (1 - coverage) - _CLOSE)


class Pool:
    """Scores of some samples, each class by itself and in ascending order.

    Attributes:
        n_blocks: ``(classes,)`` blocks that hold samples of each class.
    """

    def __init__(self, tested: Tested, rows: Codes) -> None:
        """Takes the samples ``rows`` of those that were tested."""
        self._block, self._n_all = tested.block, len(tested.number)
        self._columns: list[tuple[Floats, Codes]] = []
        for code in range(tested.probability.shape[1]):
            here = rows[tested.code[rows] == code]
            here = here[np.argsort(tested.score[here], kind="stable")]
            self._columns.append((tested.score[here], here))
        self.n_blocks: Codes = np.array([len(np.unique(tested.block[here])) for _, here in self._columns])

    def quantiles(self, coverage: float, kept: NDArray[np.bool_] | None = None) -> Floats:
        """Returns the quantile of each class, ``(classes,)``, rounded up to six decimals; 1 where no score suffices.

        With ``B`` blocks that hold the class, each score of a block with ``m`` of them weighs ``1 / m``; the
        quantile is the smallest score up to which ``coverage * (B + 1)`` is reached.

        Args:
            coverage: promised share.
            kept: of all tested samples, those that count; None for all of the pool.
        """
        found = np.ones(len(self._columns))
        for code, (score, here) in enumerate(self._columns):
            counts = np.ones(len(here), dtype=np.bool_) if kept is None else kept[here]
            block = self._block[here]
            size = np.bincount(block[counts], minlength=self._n_all)
            mass = np.cumsum(counts / np.maximum(size[block], 1))
            at = int(np.searchsorted(mass, coverage * (np.count_nonzero(size) + 1) - _CLOSE))
            if at < len(score):
                found[code] = np.clip(np.ceil(score[at] * _STEPS) / _STEPS, 0.0, 1.0)
        return found


def quantiles_apart(tested: Tested, pool: Pool, rows: Codes, part: Codes, coverage: float) -> Floats:
    """Returns the quantiles ``(rows, classes)`` that knew nothing of each sample's part, nor of its block.

    Args:
        tested: everything that was tested.
        pool: what quantiles come from.
        rows: the samples that are asked about.
        part: ``(rows,)`` what is left out together.
        coverage: promised share.
    """
    found = np.empty((len(rows), len(pool.n_blocks)))
    block = tested.block[rows]
    pairs = np.unique(np.column_stack([block, part]), axis=0)
    torn = np.bincount(pairs[:, 0], minlength=len(tested.number))[block] > 1
    for one in np.unique(part):
        here = part == one
        kept = np.ones(len(tested.code), dtype=np.bool_)
        kept[rows[here]] = False
        found[here] = pool.quantiles(coverage, kept)
        # A block that reaches into another part would still calibrate its own sets.
        for number in np.unique(block[here & torn]):
            found[here & (block == number)] = pool.quantiles(coverage, kept & (tested.block != number))
    return found
