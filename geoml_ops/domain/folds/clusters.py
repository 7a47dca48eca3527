"""Clusters of places, or of what the sensor sees there: groups that no grid draws.

Cluster counts and fold counts are two things: many small clusters are dealt to a few folds, so that
every fold holds every class and clusters of one fold lie apart.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.buffered import units_called
from geoml_ops.domain.folds.closeness import Floats, Index
from geoml_ops.domain.folds.deals import DealtFolds, require_enough
from geoml_ops.domain.folds.samples import anchors_of_units, units_of, west_to_east

PER_FOLD = 10
PLACES_PER_CLUSTER = 4
LEARNED_FROM = 10_000
"""Places that k-means looks for centres among; the others join the nearest."""
CHUNK = 4_000_000


@dataclass(eq=False, repr=False)
class ClusteredFolds(DealtFolds):
    """Units that k-means puts together are tested together, classes balanced over the folds.

    Attributes:
        clusters: number of clusters; None for ten per fold, or as many as leave four units to each.
    """

    clusters: int | None = None

    @abstractmethod
    def places(self, unit: Index) -> Floats:
        """Returns where each unit is, ``(units, d)``, in a space where straight lines are distances."""

    @property
    def noun(self) -> tuple[str, str]:
        """What clusters are called, and what to do where they are too few."""
        return "cluster{s} of places that differ", "use fewer folds, more clusters or labels of more ground"

    def groups(self) -> Index:
        """Returns the cluster of each sample, ``(n,)`` from 0.

        Raises:
            BadInput: fewer units or clusters than folds, or more clusters than units.
        """
        unit = units_of(self.samples, keep_scenes=self.keep_scenes)
        n_units, called = int(unit.max()) + 1, units_called(self.keep_scenes)
        require_enough(n_units, self.n_folds, *called)
        wanted = max(self.n_folds, min(PER_FOLD * self.n_folds, n_units // PLACES_PER_CLUSTER))
        if self.clusters is not None:
            wanted = self.clusters
            require_enough(wanted, self.n_folds, "cluster{s}", "ask for more clusters or fewer folds")
            if wanted > n_units:
                raise BadInput(
                    f"{n_units} {called[0].format(s='s')} cannot make {wanted} clusters.",
                    "ask for fewer clusters, or leave clusters out",
                )
        return kmeans(self.places(unit), wanted, self.rng(stream=1))[unit]


@dataclass(eq=False, repr=False)
class SpatialClusterFolds(ClusteredFolds):
    """Clusters of near units (spatial k-means, Ruß and Brenning 2010); the buffer parts neighbouring clusters.

    Distances are those on the ground, great circles where the CRS is geographic (by chords, which order
    places alike).
    """

    def places(self, unit: Index) -> Floats:
        """Returns the anchor of each unit, in metres."""
        return anchors_of_units(self.samples, unit)


@dataclass(eq=False, repr=False)
class EnvironmentFolds(ClusteredFolds):
    """Clusters of units with alike features: every fold asks for conditions that it did not learn from.

    A unit is the mean of its samples' features, each in standard deviations of all samples. Features play
    the part of covariates here: no label is looked at. Whatever is alike stays together wherever it lies,
    so the score is one of extrapolation, and the buffer still parts train and test on the ground.
    """

    def places(self, unit: Index) -> Floats:
        """Returns the mean features of each unit.

        Raises:
            BadInput: there are no features, some are not numbers, or none of them varies.
        """
        features = self.samples.features
        if features is None or not features.size:
            raise BadInput("Environmental folds need features, and these samples have none.", "use kmeans or block")
        order = west_to_east(self.samples)
        found, unit = np.asarray(features, dtype=np.float64)[order], unit[order]
        bad = ~np.isfinite(found)
        if bad.any():
            raise BadInput(
                f"{int(bad.any(axis=1).sum())} of {len(found)} samples have features that are not numbers (NaN or "
                f"infinite), in {int(bad.any(axis=0).sum())} of {found.shape[1]} features: they have no place among "
                "conditions.",
                "leave these samples or features out, fill them beforehand, or use kmeans or block",
            )
        spread, middle = found.std(axis=0), found.mean(axis=0)
        varies = spread > 1e-9 * np.abs(middle)
        if not varies.any():
            raise BadInput(
                f"None of {found.shape[1]} features varies over {len(found)} samples.", "use kmeans or block instead"
            )
        scores = ((found - middle) / np.where(varies, spread, 1.0))[:, varies]
        sizes, columns = np.bincount(unit), scores.T
        return np.column_stack([np.bincount(unit, weights=column) / sizes for column in columns])


def kmeans(places: Floats, k: int, rng: np.random.Generator, *, n_init: int = 10) -> Index:
    """Returns the cluster of each place, ``(n,)`` from 0, numbered without gaps; the best of several beginnings.

    Lloyd's iterations from k-means++ beginnings (Arthur and Vassilvitskii 2007). Sums run in one order,
    whatever the number of threads: on a lattice of places, ties would otherwise fall differently from
    machine to machine, and the same plan would give other folds. Of more than 10,000 places, centres come
    from a random 10,000. Places that are equal are never parted; there may be fewer clusters than ``k``.
    """
    centred = places - places.mean(axis=0)
    learned = centred
    if len(places) > LEARNED_FROM:
        learned = centred[np.sort(rng.choice(len(places), LEARNED_FROM, replace=False))]
    best, least = learned[:1], np.inf
    for _ in range(n_init):
        centres, inertia = _lloyd(learned, _begun(learned, k, rng))
        if inertia < least * (1 - 1e-12):
            best, least = centres, inertia
    label = _nearest(centred, best)[0]
    return np.unique(label, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _begun(places: Floats, k: int, rng: np.random.Generator) -> Floats:
    """Returns up to ``k`` distinct places, each drawn with the chance of its squared distance from those before."""
    centres = [places[rng.integers(len(places))]]
    gap = np.square(places - centres[0]).sum(axis=1)
    while len(centres) < k and gap.max() > 0:
        heap = np.cumsum(gap)
        centres.append(places[min(int(np.searchsorted(heap, rng.random() * heap[-1], side="right")), len(places) - 1)])
        np.minimum(gap, np.square(places - centres[-1]).sum(axis=1), out=gap)
    return np.array(centres)


def _lloyd(places: Floats, centres: Floats, most: int = 100) -> tuple[Floats, float]:
    label = np.full(len(places), -1, dtype=np.int64)
    for _ in range(most):
        again = _nearest(places, centres)[0]
        if (again == label).all():
            break
        label, sizes = again, np.bincount(again, minlength=len(centres))
        sums = np.column_stack([np.bincount(label, weights=column, minlength=len(centres)) for column in places.T])
        centres = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres)
    return centres, float(_nearest(places, centres)[1].sum())


def _nearest(places: Floats, centres: Floats) -> tuple[Index, Floats]:
    """Returns the nearest centre of each place, the first on ties, and the squared distance to it."""
    label, gap = np.empty(len(places), dtype=np.int64), np.empty(len(places))
    step = max(1, CHUNK // len(centres))
    for start in range(0, len(places), step):
        squared = cdist(places[start : start + step], centres, "sqeuclidean")
        label[start : start + step] = squared.argmin(axis=1)
        gap[start : start + step] = squared.min(axis=1)
    return label, gap
