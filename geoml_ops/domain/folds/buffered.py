"""Units dealt one by one, with ground left empty around what is tested; and one sample tested at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.deals import DealtFolds
from geoml_ops.domain.folds.neighbours import spread
from geoml_ops.domain.folds.reach import far_from_each
from geoml_ops.domain.folds.samples import Index, units_of, west_to_east
from geoml_ops.domain.folds.splitter import FoldSplitter, Split

MOST_POSITIONS = 100_000_000
"""Train positions that all folds together may hold, 0.8 GB."""
MOST_TESTED = 2_000
"""Models that anybody waits for who did not ask for more."""


@dataclass(eq=False, repr=False)
class BufferedFolds(DealtFolds):
    """Units are dealt one by one at random, classes balanced, and the buffer keeps them apart.

    Test units of a fold lie all over the ground, each in the middle of a disc that the fold does not learn
    from: models are asked at ``buffer_m`` from what they know, not at the size of a block, and no grid has
    a say. The buffer therefore has to reach as far as samples resemble each other. Where units lie closer
    than that, discs cover the ground and little is left to learn from; blocks or clusters cost less there.
    """

    @property
    def noun(self) -> tuple[str, str]:
        """What units are called, and what to do where they are too few."""
        return units_called(self.keep_scenes)

    def groups(self) -> Index:
        """Returns the unit of each sample, ``(n,)`` from 0."""
        return units_of(self.samples, keep_scenes=self.keep_scenes)


def units_called(keep_scenes: bool) -> tuple[str, str]:
    """Returns what units are called, with ``{s}`` for the plural, and what to do where they are too few."""
    if keep_scenes:
        noun = "group{s} of scenes (those that see the same polygon are one)"
        return noun, "use fewer folds, scenes of more ground, or location_time with keep_scenes; or drop keep_scenes"
    return "polygon{s} (those whose pixels overlap are one)", "use fewer folds or labels of more ground"


@dataclass(eq=False, repr=False)
class BufferedLeaveOneOut(FoldSplitter):
    """One sample is tested at a time; its unit and everything within the buffer are on neither side.

    Attributes:
        tested: samples that are tested, spread over the ground within each class
            (:func:`~geoml_ops.domain.folds.neighbours.spread`), each class with its share and one at least.
            None for all, or where those would be too many for 2 GB or for anybody's patience, 2,000
            (1,000 of 100,000).
    """

    tested: int | None = None

    def fold_of(self) -> Index:
        """Returns the fold of each sample, ``(n,)``; -1 for samples that none tests.

        Raises:
            BadInput: fewer samples are to be tested than there are classes, or so many that the folds'
                positions would not fit.
        """
        n = len(self.samples)
        fold, n_tested = np.full(n, -1, dtype=np.int64), self._n_tested(n)
        chosen = np.arange(n) if n_tested == n else self._spread(n_tested)
        fold[chosen] = np.arange(n_tested)
        return fold

    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions per tested sample.

        Raises:
            BadInput: as :meth:`fold_of`, or a fold leaves nothing to learn from.
        """
        self.require_sound()
        fold, unit = self.fold_of(), units_of(self.samples, keep_scenes=self.keep_scenes)
        tested, found = np.flatnonzero(fold >= 0), []
        far = far_from_each(self.samples, tested, self.buffer_m, self.halo_px)
        for number, (one, kept) in enumerate(zip(tested, far, strict=True)):
            others, test = unit != unit[one], np.array([one])
            train = np.flatnonzero(kept & others)
            self.require_train(number, train, int(others.sum()), test)
            found.append((train, test))
        return found

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Returns the number of tested samples."""
        return self._n_tested(len(self.samples))

    def _n_tested(self, n: int) -> int:
        most = max(2, MOST_POSITIONS // max(n, 1))
        wanted = min(n, MOST_TESTED if self.tested is None else self.tested)
        if self.tested is not None and wanted > most:
            raise BadInput(
                f"Testing {wanted} of {n} samples one at a time takes {wanted} models and "
                f"{wanted * n * 8 / 1e9:.1f} GB of train positions.",
                f"set tested to {most} or fewer; they are spread over the ground",
            )
        return min(wanted, most)

    def _spread(self, tested: int) -> Index:
        """Returns the positions of the samples to test, ascending."""
        code = np.unique(self.samples.code, return_inverse=True)[1].reshape(-1)
        sizes, order = np.bincount(code), west_to_east(self.samples)
        if tested < max(2, len(sizes)):
            raise BadInput(
                f"{tested} tested samples cannot stand for {len(sizes)} classes.",
                "set tested to some hundred, or to none",
            )
        found = []
        for number, count in enumerate(shares(sizes, tested)):
            of_class = order[code[order] == number]
            found.append(of_class[spread(self.samples.ground[of_class], int(count), self.rng())])
        return np.sort(np.concatenate(found))


def shares(sizes: Index, total: int) -> Index:
    """Returns how many of ``total`` fall to each size: in proportion, largest remainders first, one at least."""
    quota = sizes * total / sizes.sum()
    got = np.maximum(1, np.floor(quota)).astype(np.int64)
    while got.sum() < total:
        got[np.argmax(quota - got)] += 1
    while got.sum() > total:
        got[np.argmax(np.where(got > 1, got - quota, -np.inf))] -= 1
    return got
