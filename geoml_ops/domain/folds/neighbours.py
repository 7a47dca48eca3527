"""Distances to nearest neighbours, on the ground or in feature space, without ever holding all pairs.

Whichever search finds a neighbour, its distance is computed here and always in the same way: equal
distances, which abound on a lattice of pixels, stay equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.metrics import pairwise_distances_argmin
from sklearn.neighbors import NearestNeighbors

from geoml_ops.domain.folds.samples import Floats, Index

TREE_DIMENSIONS = 12
"""With more columns a k-d tree visits most of its leaves, and comparing all pairs in chunks is faster."""
LOOKED_AT = (8, 64, 512)
CHUNK = 4_000_000


def lengths(here: Floats, there: Floats) -> Floats:
    """Returns straight distances between places ``(…, d)`` and ``(…, d)``, whose leading axes broadcast."""
    total = np.square(here[..., 0] - there[..., 0])
    for axis in range(1, here.shape[-1]):
        total += np.square(here[..., axis] - there[..., axis])
    return np.asarray(np.sqrt(total), dtype=np.float64)


def nearest(places: Floats, to: Floats) -> Floats:
    """Returns the straight distance of each of ``places`` ``(m, d)`` to the nearest of ``to`` ``(n, d)``, ``(m,)``."""
    return lengths(places, to[_nearest_of(places, to)]) if len(places) else np.zeros(0)


def nearest_outside(places: Floats, group: Index) -> tuple[Floats, Index]:
    """Returns the straight distance of each place to the nearest one of another group, and which one, ``(n,)`` each.

    Neighbours are looked at in order while few; places deep inside a large group are then asked bit by
    bit: two groups differ in some bit of their numbers, so the nearest stranger is the nearest over all
    bits of those places whose bit is the other one.

    Args:
        places: ``(n, d)``.
        group: ``(n,)`` numbers from 0; at least two groups.
    """
    distance, stranger = np.full(len(places), np.inf), np.full(len(places), -1, dtype=np.int64)
    for count in LOOKED_AT:
        asked = np.flatnonzero(stranger < 0)
        if not len(asked) or count > len(places):
            break
        for rows, neighbours in _neighbours(places, asked, count):
            strange = group[neighbours] != group[rows][:, None]
            first, seen = neighbours[np.arange(len(rows)), strange.argmax(axis=1)], strange.any(axis=1)
            stranger[rows[seen]] = first[seen]
            distance[rows[seen]] = lengths(places[rows[seen]], places[first[seen]])
    asked = np.flatnonzero(stranger < 0)
    for bit in range(int(group.max(initial=0)).bit_length() if len(asked) else 0):
        one = (group >> bit & 1).astype(bool)
        for side in (one, ~one):
            rows, others = asked[side[asked]], np.flatnonzero(~side)
            if len(rows) and len(others):
                found = others[_nearest_of(places[rows], places[others])]
                length = lengths(places[rows], places[found])
                closer = length < distance[rows]
                distance[rows[closer]], stranger[rows[closer]] = length[closer], found[closer]
    return distance, stranger


def _nearest_of(places: Floats, to: Floats) -> Index:
    if places.shape[1] > TREE_DIMENSIONS:
        return np.asarray(pairwise_distances_argmin(places, to), dtype=np.int64)
    # Median splits run into ties where pixels lie on a lattice.
    return np.asarray(cKDTree(to, balanced_tree=False, compact_nodes=False).query(places)[1], dtype=np.int64)


def _neighbours(places: Floats, asked: Index, count: int) -> Iterator[tuple[Index, Index]]:
    """Yields chunks of ``asked`` with the positions ``(rows, count)`` of their nearest places, nearest first."""
    if places.shape[1] <= TREE_DIMENSIONS:
        tree = cKDTree(places, balanced_tree=False, compact_nodes=False)
    else:
        tree = NearestNeighbors(algorithm="brute").fit(places)
    step = max(1, CHUNK // count)
    for start in range(0, len(asked), step):
        rows = asked[start : start + step]
        if isinstance(tree, cKDTree):
            yield rows, np.asarray(tree.query(places[rows], k=count)[1], dtype=np.int64)
        else:
            yield rows, np.asarray(tree.kneighbors(places[rows], count, return_distance=False), dtype=np.int64)


def first_at_least(table: Floats, value: float | Floats) -> Index:
    """Returns, for each ascending row of ``table`` ``(rows, width)``, the first column that is not below ``value``.

    The width where all of a row is below.
    """
    low, high = np.zeros(len(table), dtype=np.int64), np.full(len(table), table.shape[1], dtype=np.int64)
    rows = np.arange(len(table))
    while (low < high).any():
        middle = (low + high) // 2
        below = (low < high) & (table[rows, np.minimum(middle, table.shape[1] - 1)] < value)
        low, high = np.where(below, middle + 1, low), np.where(below, high, middle)
    return low


def spread(places: Floats, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns ``count`` positions spread over the places, ascending; each place has the same chance.

    A systematic sample along a Z-order curve, which visits near places one after the other (after the
    idea of Stevens and Olsen 2004, spatially balanced samples).
    """
    if count >= len(places):
        return np.arange(len(places))
    low, span = places.min(axis=0), np.ptp(places, axis=0).max()
    cell = np.minimum((places - low) / (span or 1.0) * 2**20, 2**20 - 1).astype(np.int64)
    code, axes = np.zeros(len(places), dtype=np.int64), places.shape[1]
    for bit in range(20):
        for axis in range(axes):
            code |= (cell[:, axis] >> bit & 1) << (bit * axes + axis)
    steps = (np.arange(count) + rng.random()) * len(places) / count
    order = np.argsort(code, kind="stable")
    return np.sort(order[np.minimum(steps.astype(np.int64), len(places) - 1)])
