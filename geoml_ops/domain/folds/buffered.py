"""Ground left empty around what is tested: discs of units, or one sample at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.deals import DealtFolds
from geoml_ops.domain.folds.neighbours import spread
from geoml_ops.domain.folds.reach import far_from_each
from geoml_ops.domain.folds.samples import Floats, Index, anchors_of_units, chord, units_of, west_to_east
from geoml_ops.domain.folds.splitter import FoldSplitter, Split

MOST_POSITIONS = 100_000_000
"""Train positions that all folds together may hold, 0.8 GB."""
MOST_TESTED = 2_000
"""Models that anybody waits for who did not ask for more."""


@dataclass(eq=False, repr=False)
class BufferedFolds(DealtFolds):
    """Discs of units are tested together, and the buffer keeps them apart from what is learned from.

    A disc is a unit drawn at random and all units within ``buffer_m`` of it that are in no disc yet; discs
    are dealt at random, classes balanced. No grid has a say, every CRS will do, and tested units are asked
    at one to two buffers from what a model knows, whatever a block would be. The buffer therefore has to
    reach as far as samples resemble each other. Where units lie farther apart than that, a disc is a unit.
    """

    @property
    def noun(self) -> tuple[str, str]:
        """What discs are called, and what to do where they are too few."""
        called, remedy = units_called(self.keep_scenes)
        if self.buffer_m <= 0:
            return called, remedy
        return f"disc{{s}} of {self.buffer_m:g} m around {called.format(s='s')}", f"{remedy}, or a narrower buffer_m"

    def groups(self) -> Index:
        """Returns the disc of each sample, ``(n,)`` from 0.

        Raises:
            BadInput: a coordinate is not a number.
        """
        unit = units_of(self.samples, keep_scenes=self.keep_scenes)
        radius = chord(self.buffer_m, projected=self.samples.projected)
        return discs(anchors_of_units(self.samples, unit), radius, self.rng(stream=1))[unit]


def discs(places: Floats, radius: float, rng: np.random.Generator) -> Index:
    """Returns the disc of each place, ``(n,)`` from 0: one after the other around places that are in none yet.

    Middles lie more than a radius apart, so few discs reach any place, and all of them together ask for
    a few times ``n`` neighbours.
    """
    disc = np.full(len(places), -1, dtype=np.int64)
    tree = cKDTree(places, balanced_tree=False)
    alone = ~np.isfinite(tree.query(places, k=2, distance_upper_bound=radius * (1 + 1e-9) + 1e-9)[0][:, -1])
    disc[alone] = np.arange(alone.sum())
    free = int(alone.sum())
    for middle in rng.permutation(np.flatnonzero(~alone)):
        if disc[middle] < 0:
            near = np.asarray(tree.query_ball_point(places[middle], radius), dtype=np.int64)
            disc[near[disc[near] < 0]] = free
            disc[middle] = free
            free += 1
    return disc


def units_called(keep_scenes: bool) -> tuple[str, str]:
    """Returns what units are called, with ``{s}`` for the plural, and what to do where they are too few."""
    if keep_scenes:
        noun = "group{s} of scenes (those that see the same polygon are one)"
        return noun, "use fewer folds, scenes of more ground, location_time with keep_scenes, no keep_scenes"
    return "polygon{s} (those whose pixels overlap are one)", "use fewer folds, labels of more ground"


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
    return np.asarray(got, dtype=np.int64)
