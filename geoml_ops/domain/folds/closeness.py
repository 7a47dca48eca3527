"""Which places belong together because they are close, without ever listing all pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Index = NDArray[np.int64]
Floats = NDArray[np.float64]
CROWD = 16
"""Where a place shares its cell with more than this, on average, nobody lists who is whose neighbour."""


def numbered(*columns: NDArray[np.generic]) -> Index:
    """Returns a number for each distinct row of the columns, from 0 in their order, ``(n,)``."""
    _, number = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    return np.asarray(number, dtype=np.int64).reshape(-1)


def tied(*labels: NDArray[np.integer]) -> Index:
    """Returns the component of each entry: entries that agree in any of the labels are one, ``(n,)`` from 0."""
    numbers = [np.unique(label, return_inverse=True)[1].reshape(-1) for label in labels]
    if not len(numbers[0]):
        return np.zeros(0, dtype=np.int64)
    sizes = [int(number.max()) + 1 for number in numbers]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    nodes = [number + start for number, start in zip(numbers, starts[:-1], strict=True)]
    links = [np.column_stack([nodes[0], other]) for other in nodes[1:]]
    component = _components(int(starts[-1]), np.concatenate(links) if links else np.zeros((0, 2), dtype=np.int64))
    return np.unique(component[nodes[0]], return_inverse=True)[1].reshape(-1).astype(np.int64)


def linked(
    places: Floats,
    reach: float,
    *,
    p: float = 2.0,
    really: Callable[[Index, Index], NDArray[np.bool_]] | None = None,
) -> Index:
    """Returns the component of each place: places within reach of each other, in steps, are one.

    Args:
        places: ``(n, d)``.
        reach: greatest length of a step.
        p: 2 for straight steps, infinity for the longer of a step's legs.
        really: of pairs within reach (two columns of positions), which ones count; None for all. Places
            that crowd by the dozen within reach are one without being asked.
    """
    distinct, place = np.unique(places, axis=0, return_inverse=True)
    place = place.reshape(-1)
    cell = _cells(distinct, reach, p)
    if np.square(np.bincount(cell)).sum() > CROWD * len(distinct):
        return _joined(distinct, cell, reach, p)[place]
    pairs = cKDTree(distinct, balanced_tree=False).query_pairs(reach, p=p, output_type="ndarray").astype(np.int64)
    if really is not None and len(pairs):
        first = np.unique(place, return_index=True)[1]
        pairs = pairs[really(first[pairs[:, 0]], first[pairs[:, 1]])]
    return _components(len(distinct), pairs)[place]


def _cells(places: Floats, reach: float, p: float) -> Index:
    """Returns the cell of each place; places of one cell are in reach of each other."""
    edge = reach / (1.0 if p == np.inf else float(np.sqrt(places.shape[1])))
    return numbered(np.floor((places - places.min(axis=0)) / (edge * (1 - 1e-9))))


def _joined(places: Floats, label: Index, reach: float, p: float) -> Index:
    """Returns components of crowded places: of those that begin as one, each is joined with one in reach until none is.

    Rounds of Borůvka: two components differ in some bit of their numbers, so for every bit the places
    with 0 are asked for the nearest with 1 and the other way round.
    """
    while True:
        links = [np.zeros((0, 2), dtype=np.int64)]
        for bit in range(int(label.max()).bit_length()):
            one = (label >> bit & 1).astype(bool)
            links += [_nearest_links(places, label, side, reach, p) for side in (one, ~one)]
        found = np.concatenate(links)
        if not len(found):
            return label
        label = _components(int(label.max()) + 1, found)[label]


def _nearest_links(places: Floats, label: Index, asked: NDArray[np.bool_], reach: float, p: float) -> Index:
    others = np.flatnonzero(~asked)
    tree = cKDTree(places[others], balanced_tree=False)
    distance, nearest = tree.query(places[asked], p=p, distance_upper_bound=reach)
    hit = np.isfinite(distance)
    links = np.column_stack([label[asked][hit], label[others[nearest[hit]]]])
    return np.unique(links, axis=0)


def _components(n: int, pairs: Index) -> Index:
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
