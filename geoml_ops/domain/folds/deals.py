"""Groups of samples dealt to folds so that every class is in every fold, as evenly as the groups allow."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.closeness import Floats, Index
from geoml_ops.domain.folds.splitter import FoldSplitter

CELLS = 6_000_000
"""Entries of the table that candidate deals are counted in, all of them together."""
MOST_DEALS = 500
PARTNERS = 1500
LOOKS = 3000
BEGINNINGS = 1000
"""Deals that are improved, times their groups."""
MOST_BEGINNINGS = 12


@dataclass(eq=False, repr=False)
class DealtFolds(FoldSplitter):
    """Groups of samples are dealt whole, the classes balanced over the folds."""

    @abstractmethod
    def groups(self) -> Index:
        """Returns the group of each sample, ``(n,)`` from 0: what one fold tests together.

        Raises:
            BadInput: the samples cannot be grouped so.
        """

    @property
    @abstractmethod
    def noun(self) -> tuple[str, str]:
        """What the groups are called, with ``{s}`` for the plural, and what to do where they are too few."""

    def fold_of(self) -> Index:
        """Returns the fold of each sample.

        Raises:
            BadInput: fewer groups than folds, or whatever :meth:`groups` refuses.
        """
        group = self.groups()
        require_enough(int(group.max()) + 1, self.n_folds, *self.noun)
        return balanced(counted(group, self.samples.code), self.n_folds, self.rng())[group]


def require_enough(n_groups: int, n_folds: int, noun: str, remedy: str) -> None:
    """Lets at least as many groups as folds through.

    Raises:
        BadInput: there are fewer.
    """
    if n_groups < n_folds:
        said = noun.format(s="" if n_groups == 1 else "s")
        raise BadInput(f"{n_groups} {said} cannot make {n_folds} folds.", remedy)


def counted(group: Index, code: Index) -> Floats:
    """Returns how many samples of each class that occurs are in each group, ``(groups, classes)``."""
    codes = np.unique(code, return_inverse=True)[1].reshape(-1)
    n_groups, n_classes = int(group.max()) + 1, int(codes.max()) + 1
    cells = np.bincount(group * n_classes + codes, minlength=n_groups * n_classes)
    return np.asarray(cells.reshape(n_groups, n_classes), dtype=np.float64)


def balanced(counts: Floats, n_folds: int, rng: np.random.Generator) -> Index:
    """Returns the fold of each group, ``(groups,)``, every fold with a group at least.

    Good is a deal with few empty (class, fold) cells, then with a low Pearson chi-square against equal shares
    (as block designs in ecology are commonly balanced). From the best of many random deals, groups change
    folds, with another group or alone, as long as that improves it; few groups begin from several deals.

    Args:
        counts: ``(groups, classes)`` samples, as :func:`counted` gives them; at least as many groups as folds.
        n_folds: number of folds.
        rng: of the deals.
    """
    deals = [_Exchange(counts, deal, n_folds) for deal in _best_deals(counts, n_folds, rng)]
    best = min(range(len(deals)), key=lambda number: deals[number].improve(rng))
    return deals[best].fold[: len(counts)]


def badness(cells: Floats, total: Floats, n_folds: int) -> Floats:
    """Returns what a deal should be low in, of each fold: ``(…)`` from its samples per class ``(…, classes)``.

    Pearson chi-square against equal shares of ``total`` ``(classes,)``, plus more than any chi-square for
    each class that the fold lacks.
    """
    expected, worst = total / n_folds, total.sum() * n_folds
    return np.asarray((np.square(cells - expected) / expected + worst * (cells == 0)).sum(axis=-1), dtype=np.float64)


def _best_deals(counts: Floats, n_folds: int, rng: np.random.Generator) -> list[Index]:
    """Returns the best of many deals in turn of shuffled groups."""
    n_groups, n_classes = counts.shape
    padded = np.concatenate([counts, np.zeros((-n_groups % n_folds, n_classes))])
    found: list[tuple[float, int, Index]] = []
    for deal in range(int(np.clip(CELLS // padded.size, 10, MOST_DEALS))):
        order = rng.permutation(n_groups)
        dealt = padded[np.concatenate([order, np.arange(n_groups, len(padded))])].reshape(-1, n_folds, n_classes)
        found.append((float(badness(dealt.sum(axis=0), counts.sum(axis=0), n_folds).sum()), deal, order))
        found = sorted(found)[: int(np.clip(BEGINNINGS // n_groups, 1, MOST_BEGINNINGS))]
    deals = np.empty((len(found), n_groups), dtype=np.int64)
    for row, (_, _, order) in zip(deals, found, strict=True):
        row[order] = np.arange(n_groups) % n_folds
    return list(deals)


class _Exchange:
    """A deal that is improved group by group.

    Each look compares one group with many partners in other folds. An empty partner that stays in its
    fold stands for a move; the last group of a fold never moves, since that improves nothing.
    """

    def __init__(self, counts: Floats, fold: Index, n_folds: int) -> None:
        self.n_groups, self.n_folds, self.total = len(counts), n_folds, counts.sum(axis=0)
        self.groups = np.concatenate([counts, np.zeros((n_folds, counts.shape[1]))])
        self.fold = np.concatenate([fold, np.arange(n_folds)])
        self.cells = np.zeros((n_folds, counts.shape[1]))
        np.add.at(self.cells, fold, counts)

    def improve(self, rng: np.random.Generator) -> float:
        """Looks at every group until no look helps, or no more are affordable; returns how bad the deal is then."""
        idle = 0
        for look in range(LOOKS):
            if look % self.n_groups == 0:
                order = rng.permutation(self.n_groups)
            idle = 0 if self._look(int(order[look % self.n_groups]), rng) else idle + 1
            if idle > self.n_groups:
                break
        return float(badness(self.cells, self.total, self.n_folds).sum())

    def _look(self, one: int, rng: np.random.Generator) -> bool:
        here, partners = self.fold[one], self._partners(one, rng)
        if not len(partners):
            return False
        there, change = self.fold[partners], self.groups[partners] - self.groups[one]
        now = badness(self.cells, self.total, self.n_folds)
        later = badness(self.cells[here] + change, self.total, self.n_folds)
        later += badness(self.cells[there] - change, self.total, self.n_folds)
        gain = later - now[there] - now[here]
        best = int(gain.argmin())
        if gain[best] > -1e-6:
            return False
        self.cells[here] += change[best]
        self.cells[there[best]] -= change[best]
        self.fold[one] = there[best]
        if partners[best] < self.n_groups:
            self.fold[partners[best]] = here
        return True

    def _partners(self, one: int, rng: np.random.Generator) -> Index:
        empty = np.arange(self.n_groups, len(self.fold))
        found = np.arange(len(self.fold))
        if self.n_groups > PARTNERS:
            found = np.concatenate([rng.integers(self.n_groups, size=PARTNERS), empty])
        return np.asarray(found[self.fold[found] != self.fold[one]], dtype=np.int64)
