"""Pixels that labelled points lie in; each point is a unit of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid
from geoml_ops.domain.sampling.polygons import Chosen

Places = NDArray[np.float64]


def pixels_at(grid: Grid, easting: Places, northing: Places) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the row and column of the pixel that holds each point; -1 for points outside the grid.

    As :meth:`geoml_ops.core.grid.Grid.pixel_at`: a point on an edge belongs to the pixel south-east of it. A
    coordinate that is no number lies outside.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        col = np.floor((np.asarray(easting, dtype=np.float64) - grid.left) / grid.pixel_m)
        row = np.floor((grid.top - np.asarray(northing, dtype=np.float64)) / grid.pixel_m)
        inside = (col >= 0) & (col < grid.width) & (row >= 0) & (row < grid.height)
    rows, cols = np.full(len(row), -1, dtype=np.int64), np.full(len(col), -1, dtype=np.int64)
    rows[inside], cols[inside] = row[inside].astype(np.int64), col[inside].astype(np.int64)
    return rows, cols


def choose_points(easting: Places, northing: Places, codes: Sequence[int], grid: Grid, *, ids: Sequence[str]) -> Chosen:
    """Returns the pixels that hold points.

    A pixel that holds points of two classes is dropped; one that holds several points of a class is counted
    once, for the point with the lowest id.

    Args:
        easting: of the points, in the grid's CRS.
        northing: of the points, in the grid's CRS.
        codes: class code of each point.
        grid: where the pixels are.
        ids: name of each point, from its content.
    """
    rows, cols = pixels_at(grid, easting, northing)
    code = np.asarray(codes, dtype=np.int64)
    order = np.lexsort((np.arange(len(rows)), code, np.asarray(ids, dtype=str)))
    order = order[rows[order] >= 0]
    pixels = np.column_stack([rows[order], cols[order]])
    _, first, pixel = np.unique(pixels, axis=0, return_index=True, return_inverse=True)
    pixel = pixel.reshape(-1)
    many = np.zeros(len(first), dtype=bool)
    many[pixel[code[order] != code[order][first][pixel]]] = True
    kept = order[first[~many]]
    left_out = {
        "points_outside": int((rows < 0).sum()),
        "pixels_of_two_classes": int(many.sum()),
        "pixels_twice": int((~many[pixel]).sum()) - len(kept),
    }
    zeros = np.zeros(len(kept), dtype=np.int64)
    return Chosen(rows=rows[kept], cols=cols[kept], polygon=kept, rank=zeros, left_out=left_out)


def claimed_by_point(
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    own: NDArray[np.int64],
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
    codes: NDArray[np.int64],
    width: int,
) -> NDArray[np.bool_]:
    """Returns True for each pixel that holds a point of another class than its own.

    Args:
        rows: of the pixels.
        cols: of the pixels.
        own: class code of each pixel.
        at: rows and columns of the points, from :func:`pixels_at`.
        codes: class code of each point.
        width: columns of the grid.
    """
    inside = at[0] >= 0
    where, code = (at[0] * width + at[1])[inside], codes[inside]
    order = np.lexsort((code, where))
    where, code = where[order], code[order]
    wanted = rows * width + cols
    first, last = np.searchsorted(where, wanted, "left"), np.searchsorted(where, wanted, "right")
    there = first < last
    found = np.zeros(len(rows), dtype=bool)
    # Sorted by class within a pixel: where any is another one, the first or the last of them is.
    found[there] = (code[first[there]] != own[there]) | (code[last[there] - 1] != own[there])
    return found
