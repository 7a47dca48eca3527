"""Points, lines and polygons as straight pieces beside a grid's corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid

_MULTI = (4, 5, 6, 7)
_POINT, _POLYGON = 0, 3


@dataclass(frozen=True, eq=False)
class Segments:
    """Straight pieces of geometries; a point is a piece without length.

    Attributes:
        ends: ``(n, 4)`` x and y of both ends, in metres east and north of the grid's north-west corner.
        owner: ``(n,)`` position of the geometry that each piece belongs to, ascending.
        dimension: ``(n,)`` 0 for a point, 1 for a line, 2 for the outline or a hole of a polygon.
        n_owners: number of geometries.
    """

    ends: NDArray[np.float64]
    owner: NDArray[np.int32]
    dimension: NDArray[np.int8]
    n_owners: int

    def __len__(self) -> int:
        """Returns the number of pieces."""
        return len(self.ends)

    def starts(self) -> NDArray[np.int64]:
        """Returns ``(n_owners + 1,)``: the pieces of geometry ``i`` are those from ``[i]`` to ``[i + 1]``."""
        return np.searchsorted(self.owner, np.arange(self.n_owners + 1)).astype(np.int64)

    def of_dimension(self, dimension: int) -> Segments:
        """Returns the pieces of one dimension."""
        kept = self.dimension == dimension
        return Segments(self.ends[kept], self.owner[kept], self.dimension[kept], self.n_owners)


def segments_of(geometries: NDArray[np.object_], grid: Grid) -> Segments:
    """Returns the pieces of geometries, of collections those of all their members.

    Args:
        geometries: ``(n,)`` shapely geometries, none missing or empty.
        grid: whose north-west corner is the origin.
    """
    parts, owner = _simple(geometries)
    kind = shapely.get_type_id(parts)
    pieces = [_points(parts[kind == _POINT], owner[kind == _POINT])]
    line = (kind != _POINT) & (kind != _POLYGON)
    pieces.append(_lines(parts[line], owner[line], 1))
    rings, ring_of = shapely.get_rings(parts[kind == _POLYGON], return_index=True)
    pieces.append(_lines(rings, owner[kind == _POLYGON][ring_of], 2))
    ends, whose, dimension = (np.concatenate(column) for column in zip(*pieces, strict=True))
    order = np.argsort(whose, kind="stable")
    corner = np.array([grid.left, grid.top, grid.left, grid.top])
    return Segments(
        np.ascontiguousarray(ends[order] - corner),
        whose[order].astype(np.int32),
        dimension[order].astype(np.int8),
        len(geometries),
    )


def _simple(geometries: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    parts, owner = np.asarray(geometries, dtype=object), np.arange(len(geometries))
    while np.isin(shapely.get_type_id(parts), _MULTI).any():
        parts, index = shapely.get_parts(parts, return_index=True)
        owner = owner[index]
    kept = ~shapely.is_empty(parts)
    return parts[kept], owner[kept]


_Pieces = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


def _points(points: NDArray[np.object_], owner: NDArray[np.int64]) -> _Pieces:
    places = shapely.get_coordinates(points)
    return np.hstack([places, places]), owner, np.zeros(len(owner), dtype=np.int64)


def _lines(lines: NDArray[np.object_], owner: NDArray[np.int64], dimension: int) -> _Pieces:
    places, line = shapely.get_coordinates(lines, return_index=True)
    on = np.flatnonzero(line[1:] == line[:-1])
    whose = owner[line[on]]
    return np.hstack([places[on], places[on + 1]]), whose, np.full(len(on), dimension, dtype=np.int64)
