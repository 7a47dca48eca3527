"""From lines to a graph: pieces between places where one can turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from geoml_ops.domain.covariates.planar import Segments

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Network:
    """Straight edges between nodes, in metres east and north of a grid's corner.

    Attributes:
        pieces: the edges on the ground; ``owner`` is the line that each is part of.
        start: ``(n_edges,)`` node at the first end.
        end: ``(n_edges,)`` node at the second end.
        n_nodes: number of nodes.
        stops: ``(n_destinations,)`` node of each destination.
        leg_m: ``(n_destinations,)`` from the node to the destination.
    """

    pieces: Segments
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    n_nodes: int
    stops: NDArray[np.int64]
    leg_m: NDArray[np.float64]

    @property
    def length_m(self) -> NDArray[np.float64]:
        """``(n_edges,)``, above 0."""
        ends = self.pieces.ends
        return np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])


def noded(lines: Segments, destinations: Points, *, crossings: bool, merge_m: float) -> Network:
    """Returns the graph of lines, with a node where each destination is nearest to it.

    Lines meet where they share a vertex; with ``crossings`` also where they cross, and where a vertex of one lies
    on another.

    Args:
        lines: pieces of the lines, in their direction.
        destinations: ``(n, 2)`` beside the same corner.
        crossings: see above.
        merge_m: vertices this near are one, and a chain of them, too.
    """
    ends, owner = lines.ends, lines.owner
    if crossings:
        ends, owner = _cut(ends, owner, *_meetings(ends, merge_m))
    foot, edge, leg_m = feet(ends, destinations)
    ends, owner = _cut(ends, owner, edge, foot)
    node, n_nodes = _nodes(np.vstack([ends[:, :2], ends[:, 2:], foot]), merge_m)
    n = len(ends)
    start, end, stops = node[:n], node[n : 2 * n], node[2 * n :]
    kept = start != end
    pieces = Segments(np.ascontiguousarray(ends[kept]), owner[kept], np.ones(kept.sum(), np.int8), lines.n_owners)
    return Network(pieces, start[kept], end[kept], n_nodes, stops, leg_m)


def feet(ends: Points, places: Points) -> tuple[Points, NDArray[np.int64], NDArray[np.float64]]:
    """Returns, for each place, the nearest point on any piece ``(n, 2)``, the piece (the first of several), and metres.

    Args:
        ends: ``(n_pieces, 4)``.
        places: ``(n, 2)``.
    """
    tree = shapely.STRtree(shapely.linestrings(ends.reshape(-1, 2, 2)))
    of, piece = tree.query_nearest(shapely.points(places), all_matches=True)
    order = np.lexsort((piece, of))
    first = order[np.unique(of[order], return_index=True)[1]]
    edge = piece[first]
    a, b = ends[edge, :2], ends[edge, 2:]
    along = np.einsum("ij,ij->i", places - a, b - a) / np.maximum(np.einsum("ij,ij->i", b - a, b - a), 1e-300)
    foot = np.where(along[:, None] <= 0, a, np.where(along[:, None] >= 1, b, a + along[:, None] * (b - a)))
    return foot, edge, np.hypot(*(places - foot).T)


def _meetings(ends: Points, merge_m: float) -> tuple[NDArray[np.int64], Points]:
    """Returns pieces and places at which they have to be cut."""
    drawn = shapely.linestrings(ends.reshape(-1, 2, 2))
    tree = shapely.STRtree(drawn)
    one, other = tree.query(drawn, predicate="intersects")
    one, other = one[one < other], other[one < other]
    met = shapely.intersection(drawn[one], drawn[other])
    # Where pieces lie on each other, the ends of one lie on the other: they are found below.
    cross = shapely.get_type_id(met) == 0
    at = shapely.get_coordinates(met[cross])
    vertices = np.unique(np.vstack([ends[:, :2], ends[:, 2:]]), axis=0)
    vertex, piece = tree.query(shapely.points(vertices), predicate="dwithin", distance=merge_m)
    return np.concatenate([one[cross], other[cross], piece]), np.vstack([at, at, vertices[vertex]])


def _cut(
    ends: Points, owner: NDArray[np.int32], piece: NDArray[np.int64], at: Points
) -> tuple[Points, NDArray[np.int32]]:
    """Returns pieces cut at places on them, in their direction; places at an end cut nothing."""
    n = len(ends)
    of = np.concatenate([np.arange(n), piece, np.arange(n)])
    place = np.vstack([ends[:, :2], at, ends[:, 2:]])
    step = ends[:, 2:] - ends[:, :2]
    along = np.einsum("ij,ij->i", at - ends[piece, :2], step[piece])
    length2 = np.einsum("ij,ij->i", step, step)
    inner = (along > 0) & (along < length2[piece])
    kept = np.concatenate([np.ones(n, bool), inner, np.ones(n, bool)])
    of, place, rank = of[kept], place[kept], np.concatenate([np.full(n, -1.0), along[inner], np.full(n, np.inf)])
    order = np.lexsort((rank, of))
    of, place = of[order], place[order]
    joined = (of[1:] == of[:-1]) & (place[1:] != place[:-1]).any(axis=1)
    first = np.flatnonzero(joined)
    return np.hstack([place[first], place[first + 1]]), owner[of[first]]


def _nodes(places: Points, merge_m: float) -> tuple[NDArray[np.int64], int]:
    unique, node = np.unique(places, axis=0, return_inverse=True)
    node = node.ravel()
    if merge_m <= 0:
        return node.astype(np.int64), len(unique)
    near = cKDTree(unique).query_pairs(merge_m, output_type="ndarray")
    joined = sparse.coo_matrix((np.ones(len(near), bool), (near[:, 0], near[:, 1])), shape=(len(unique),) * 2)
    n_nodes, merged = connected_components(joined, directed=False)
    return merged[node].astype(np.int64), int(n_nodes)
