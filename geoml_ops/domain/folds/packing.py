"""Clusters at many levels, and how they are packed into folds (Linnenbrink et al. 2024)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from geoml_ops.domain.folds.samples import Floats, Index

MOST_CENTRES = 5000
"""More places than this are first drawn together to so many centres, which are then clustered."""
LEVELS = 100
STARTS = 10
"""Of k-means; of many clusters one start, where the next level is another start anyway."""
MANY = 200


@dataclass(frozen=True)
class Clustering:
    """How places are clustered.

    Attributes:
        places: ``(n, d)``.
        kind: ``ward`` (Ward 1963, on straight distances) or ``kmeans``.
        n_folds: the least number of clusters.
        seed: of k-means.
    """

    places: Floats
    kind: Literal["ward", "kmeans"]
    n_folds: int
    seed: int

    def levels(self) -> Iterator[Index]:
        """Yields the cluster of each place, ``(n,)`` from 0, for more and more clusters.

        Up to a hundred numbers of clusters, evenly spaced in their logarithm from the number of folds to
        two fewer than there are places to cluster; k-means finds fewer where places coincide.
        """
        member = _centre_of(self.places, self.seed)
        centres = means(self.places, member)
        most = max(len(centres) - 2, self.n_folds)
        counts = np.unique(np.round(np.exp(np.linspace(np.log(self.n_folds), np.log(most), LEVELS))).astype(int))
        clusters = _ward(centres, counts) if self.kind == "ward" else _kmeans(centres, counts, self.seed)
        for cluster in clusters:
            yield cluster[member]


def packed(cluster: Index, score: Floats, n_folds: int) -> Index | None:
    """Returns the fold of each sample, ``(n,)``; None where the clusters leave a fold empty.

    Clusters that hold a fold's share of samples or more are a fold each. The others are dealt in turn to
    the folds that are left, in the order of their mean scores.

    Args:
        cluster: ``(n,)`` of each sample, from 0.
        score: ``(n,)`` of each sample, along the axis that orders clusters.
        n_folds: number of folds.
    """
    sizes = np.bincount(cluster)
    order = np.argsort(np.bincount(cluster, weights=score) / sizes, kind="stable")
    large = sizes[order] * n_folds >= len(cluster)
    n_large, n_small = int(large.sum()), int((~large).sum())
    free = n_folds - n_large
    if n_small < free:
        return None
    fold = np.empty(len(sizes), dtype=np.int64)
    fold[order[large]] = np.arange(n_large)
    if n_small:
        fold[order[~large]] = n_large + np.arange(n_small) % free
    return fold[cluster]


def main_axis(places: Floats) -> Floats:
    """Returns the direction ``(d,)`` along which places vary most, its largest component positive."""
    axis = np.linalg.eigh(np.cov(places, rowvar=False).reshape(places.shape[1], -1))[1][:, -1]
    return np.asarray(axis * np.sign(axis[np.abs(axis).argmax()]), dtype=np.float64)


def random_axis(dimensions: int, rng: np.random.Generator) -> Floats:
    """Returns a direction ``(d,)``, all of them equally likely."""
    axis = rng.normal(size=dimensions)
    return np.asarray(axis / np.linalg.norm(axis), dtype=np.float64)


def means(places: Floats, member: Index) -> Floats:
    """Returns the mean place of each group, ``(groups, d)``, from the group of each place, ``(n,)`` from 0."""
    sizes = np.bincount(member)
    return np.column_stack([np.bincount(member, weights=column) / sizes for column in places.T])


def _centre_of(places: Floats, seed: int) -> Index:
    """Returns the centre that each place is drawn to, ``(n,)`` from 0; its own where there are few."""
    if len(places) <= MOST_CENTRES:
        return np.arange(len(places))
    around = MiniBatchKMeans(MOST_CENTRES, init="random", n_init=1, batch_size=10_000, max_iter=20, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        drawn = around.fit_predict(places - places.mean(axis=0))
    return np.unique(drawn, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _ward(places: Floats, counts: Index) -> Iterator[Index]:
    """Yields the clusters that are left when Ward's tree is cut to each count."""
    n = len(places)
    # A cluster is known by one of its places, so that a merge is a link between two places.
    known_by = np.concatenate([np.arange(n), np.zeros(n - 1, dtype=np.int64)])
    merges = linkage(places, "ward")[:, :2].astype(np.int64)
    links = np.empty_like(merges)
    for number, (one, other) in enumerate(merges):
        links[number] = known_by[one], known_by[other]
        known_by[n + number] = known_by[one]
    for count in counts:
        made = links[: n - count]
        graph = coo_array((np.ones(len(made), dtype=np.int8), (made[:, 0], made[:, 1])), shape=(n, n))
        yield np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _kmeans(places: Floats, counts: Index, seed: int) -> Iterator[Index]:
    """Yields clusters of k-means; fewer where places coincide."""
    centred = places - places.mean(axis=0)
    for count in counts:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            starts = STARTS if count <= MANY else 1
            found = KMeans(int(count), n_init=starts, random_state=seed).fit_predict(centred)
        yield np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int64)
