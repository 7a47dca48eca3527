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

    Of many random deals the one with the fewest empty (class, fold) cells is taken, then the lowest
    Pearson chi-square against equal shares (as block designs in ecology are commonly balanced); then
    groups change folds, with another group or alone, as long as that improves the same two.

    Args:
        counts: ``(groups, classes)`` samples, as :func:`counted` gives them; at least as many groups as folds.
        n_folds: number of folds.
        rng: of the deals.
    """
    return _Exchange(counts, _best_deal(counts, n_folds, rng), n_folds).improved(rng)


def badness(cells: Floats, total: Floats, n_folds: int) -> Floats:
    """Returns what a deal should be low in, of each fold: ``(…)`` from its samples per class ``(…, classes)``.

    Pearson chi-square against equal shares of ``total`` ``(classes,)``, plus more than any chi-square for
    each class that the fold lacks.
    """
    expected, worst = total / n_folds, total.sum() * n_folds
    return np.asarray((np.square(cells - expected) / expected + worst * (cells == 0)).sum(axis=-1), dtype=np.float64)


def _best_deal(counts: Floats, n_folds: int, rng: np.random.Generator) -> Index:
    """Returns the best of many deals in turn, half of them of shuffled groups, half with rare classes dealt first."""
    n_groups, n_classes = counts.shape
    padded = np.concatenate([counts, np.zeros((-n_groups % n_folds, n_classes))])
    frequency = (counts > 0).sum(axis=0).argsort().argsort()
    rarest = np.where(counts > 0, frequency, n_classes).min(axis=1)
    best, least = np.zeros(n_groups, dtype=np.int64), np.inf
    for deal in range(int(np.clip(CELLS // padded.size, 10, MOST_DEALS))):
        noise = rng.random(n_groups)
        order = np.argsort(noise if deal % 2 else rarest + noise)
        dealt = padded[np.concatenate([order, np.arange(n_groups, len(padded))])].reshape(-1, n_folds, n_classes)
        found = float(badness(dealt.sum(axis=0), counts.sum(axis=0), n_folds).sum())
        if found < least:
            best[order], least = np.arange(n_groups) % n_folds, found
    return best


class _Exchange:
    """A deal that is improved group by group.

    Each look compares one group with many partners in other folds. An empty partner that stays in its
    fold stands for a move.
    """

    def __init__(self, counts: Floats, fold: Index, n_folds: int) -> None:
        self.n_groups, self.n_folds, self.total = len(counts), n_folds, counts.sum(axis=0)
        self.groups = np.concatenate([counts, np.zeros((n_folds, counts.shape[1]))])
        self.fold = np.concatenate([fold, np.arange(n_folds)])
        self.cells = np.zeros((n_folds, counts.shape[1]))
        np.add.at(self.cells, fold, counts)

    def improved(self, rng: np.random.Generator) -> Index:
        """Returns a deal that the last look at every group, or the last that was affordable, left as it was."""
        idle = 0
        for look in range(LOOKS):
            if look % self.n_groups == 0:
                order = rng.permutation(self.n_groups)
            idle = 0 if self._look(int(order[look % self.n_groups]), rng) else idle + 1
            if idle > self.n_groups:
                break
        return self.fold[: self.n_groups]

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
        alone = np.count_nonzero(self.fold == self.fold[one]) == 2
        n_all = self.n_groups + (0 if alone else self.n_folds)
        found = np.arange(n_all)
        if self.n_groups > PARTNERS:
            drawn = rng.integers(self.n_groups, size=PARTNERS)
            found = np.concatenate([drawn, np.arange(self.n_groups, n_all)])
        return np.asarray(found[self.fold[found] != self.fold[one]], dtype=np.int64)
