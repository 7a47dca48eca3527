"""Folds whose distances from test to train samples are those from the map's pixels to the samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.core.folding import Matching
from geoml_ops.domain.folds.matching import Domain, clustering_p, domain_of, mismatch, require_unbuffered
from geoml_ops.domain.folds.neighbours import nearest
from geoml_ops.domain.folds.packing import Clustering, main_axis, means, packed, random_axis
from geoml_ops.domain.folds.random import RandomFolds
from geoml_ops.domain.folds.reach import far_from
from geoml_ops.domain.folds.samples import Floats, Index, part, units_of
from geoml_ops.domain.folds.splitter import FoldSplitter

LEVEL = 0.05
PAIRS = 200_000_000
"""Pairs that one candidate may compare in more than three dimensions, where no tree is fast."""


@dataclass(eq=False, repr=False)
class KNNDMFolds(FoldSplitter):
    """Every sample is tested once, as far from its train side as the map's pixels are from the samples.

    k-fold nearest-neighbour distance matching (Linnenbrink et al. 2024). Where samples are no more
    clustered than the map's pixels (:func:`~geoml_ops.domain.folds.matching.clustering_p` at 5 %), random
    folds answer for the map and these folds are random ones. Otherwise units are clustered at up to a
    hundred levels, each level is packed into folds, and the folds win whose distances are nearest to the
    map's in Wasserstein-1.

    What is dealt, at random or by cluster, are units (polygons, overlapping pixels), never samples: distances
    within a unit play no part, since no fold can show them. Where each sample is a unit the clusters, folds
    and distances are those of the published method, and random folds those of :class:`RandomFolds` with the
    same seed. More than 5,000 units are first drawn together to 5,000 centres; in feature space the folds
    of many samples are chosen on some of them (seeded), on all of up to 14,000. The distances reported are
    always those of all samples and of the folds as they are, without train samples whose windows overlap
    tested ones. On the globe distances are great circles and clusters those of the straight lines between
    places.

    Attributes:
        space: where distances are measured: on the ground, or between standardised features.
        clustering: Ward's, or k-means.
        largest_share: of all samples that one fold may test; more than 1 / n_folds.
        moved: whether clusters are dealt along a random direction (seeded) instead of that in which
            samples vary most: other folds of the same kind.
    """

    space: Literal["ground", "features"] = "ground"
    clustering: Literal["ward", "kmeans"] = "ward"
    largest_share: float = 0.5
    moved: bool = False

    def fold_of(self) -> Index:
        """Returns the fold of each sample, ``(n,)``.

        Raises:
            BadInput: no prediction points, features that are not there or not numbers, fewer than
                ``n_folds + 2`` units, or no folds within ``largest_share``.
        """
        return self._found[0]

    @property
    def matching(self) -> Matching:
        """How well the folds match the map; distances in metres, or in standard deviations of features.

        Where windows leave a random fold nothing to learn from, ``distance_random`` takes no regard of windows.
        """
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[Index, Matching]:
        self.require_sound()
        domain, unit = domain_of(self.samples, self.space), units_of(self.samples, keep_scenes=self.keep_scenes)
        self._require_sane(int(unit.max()) + 1)
        to_map, everyone = domain.to_map(), np.arange(len(unit))
        p = clustering_p(*domain.apart(unit), to_map)
        random = self._random(unit)
        shown = self._shown(domain, random, everyone)
        if np.isinf(shown).any():
            shown = self._shown(domain, random, everyone, windows=False)
        by_chance = mismatch(domain, shown, to_map)
        fold, n_clusters, distance = random, 0, by_chance
        if p < LEVEL:
            fold, n_clusters = self._best(domain, unit, to_map)
            distance = mismatch(domain, self._shown(domain, fold, everyone), to_map)
        elif _largest(fold) > self.largest_share:
            raise self._uneven(int(unit.max()) + 1, _largest(fold))
        return fold, Matching(
            ks_p=p,
            switched_to_random=p >= LEVEL,
            distance=distance,
            distance_random=by_chance,
            n_clusters=n_clusters,
        )

    def _require_sane(self, n_units: int) -> None:
        require_unbuffered(self.buffer_m, "knndm")
        if not 1 / self.n_folds < self.largest_share <= 1:
            raise BadInput(
                f"No fold may hold more than {self.largest_share:g} of the samples, and {self.n_folds} folds hold "
                f"{1 / self.n_folds:.3g} each on average.",
                "use more folds (3 or more by default)",
            )
        if n_units < self.n_folds + 2:
            raise BadInput(
                f"{len(self.samples)} samples of {n_units} polygons or places cannot be clustered into {self.n_folds} "
                f"folds; it takes {self.n_folds + 2}.",
                "use fewer folds or labels of more ground" + (" or set keep_scenes: false" if self.keep_scenes else ""),
            )

    def _random(self, unit: Index) -> Index:
        """Returns the folds that :class:`RandomFolds` deals to one sample of each unit, ``(n,)``."""
        number = np.unique(unit, return_index=True)[1]
        first = np.sort(number)
        ones = part(self.samples, first)
        dealt = RandomFolds(ones, n_folds=self.n_folds, seed=self.seed).fold_of()
        return np.asarray(dealt[np.argsort(np.argsort(number))[unit]], dtype=np.int64)

    def _best(self, domain: Domain, unit: Index, to_map: Floats) -> tuple[Index, int]:
        """Returns the folds, ``(n,)``, that match best, the first of equals, and the number of their clusters."""
        best, n_clusters, least, largest = None, 0, np.inf, 1.0
        asked = self._asked(domain)
        for cluster, fold in self._candidates(domain, unit):
            largest = min(largest, _largest(fold))
            if _largest(fold) > self.largest_share:
                continue
            shown = self._shown(domain, fold, asked)
            if np.isfinite(shown).all() and (distance := mismatch(domain, shown, to_map)) < least:
                best, n_clusters, least = fold, int(cluster.max()) + 1, distance
        if best is None:
            raise self._uneven(int(unit.max()) + 1, largest)
        return best, n_clusters

    def _uneven(self, n_units: int, largest: float) -> BadInput:
        return BadInput(
            f"{n_units} polygons or places make no {self.n_folds} folds that hold at most {self.largest_share:g} of "
            f"the samples each and leave something to learn from; the most even ones hold up to {largest:.2f}.",
            "use fewer folds, smaller windows, fewer samples per polygon, or block folds",
        )

    def _candidates(self, domain: Domain, unit: Index) -> Iterator[tuple[Index, Index]]:
        """Yields clusters of units and the folds they are packed into, both ``(n,)``."""
        axis = random_axis(domain.at.shape[1], self.rng(1)) if self.moved else main_axis(domain.at)
        score = (domain.at - domain.at.mean(axis=0)) @ axis
        for cluster in Clustering(means(domain.at, unit), self.clustering, self.n_folds, self.seed).levels():
            fold = packed(cluster[unit], score, self.n_folds)
            if fold is not None:
                yield cluster, fold

    def _asked(self, domain: Domain) -> Index:
        """Returns the samples on which folds are chosen: all, or where comparing all takes long, some."""
        n, most = len(domain.at), max(2000, PAIRS // len(domain.at))
        if domain.at.shape[1] <= 3 or n <= most:
            return np.arange(n)
        return np.sort(self.rng(2).choice(n, most, replace=False))

    def _shown(self, domain: Domain, fold: Index, asked: Index, *, windows: bool = True) -> Floats:
        """Returns the straight distance of each of ``asked`` to its train side; infinite where that is empty."""
        distance = np.full(len(fold), np.inf)
        for number in range(self.n_folds):
            test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            if windows:
                train = train[far_from(self.samples, train, test, 0.0, self.halo_px)]
            mine = asked[fold[asked] == number]
            if len(train):
                distance[mine] = nearest(domain.at[mine], domain.at[train])
        return distance[asked]


def _largest(fold: Index) -> float:
    return float(np.bincount(fold).max() / len(fold))
