"""Which pixel of a raster lies under the centre of each pixel of a grid, exactly, whatever the raster's CRS.

Coordinates are moved at the nodes of a lattice and interpolated between; how far that may be off is measured at
nodes between them, and every centre that comes that close to an edge of a pixel is moved by itself. So the answer is
that of moving every centre, at a small part of its cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid, Window

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Mover = Callable[[Floats, Floats], tuple[Floats, Floats]]
ON_EDGE_PX = 1e-7
"""A centre this close to the edge before a pixel lies in it: an edge itself is never met exactly in degrees."""
STEP_PX = 32
"""Of the lattice, an even number."""
_WORST_PX = 0.125
_SAFETY = 4.0


@dataclass(frozen=True)
class Placing:
    """How a raster of codes lies on the ground.

    Attributes:
        transform: ``(a, b, c, d, e, f)`` from (column, row) to the raster's coordinates.
        width: its columns.
        height: its rows.
        to: moves eastings and northings of the grid to the raster's CRS; None where both are in one CRS.
    """

    transform: tuple[float, float, float, float, float, float]
    width: int
    height: int
    to: Mover | None = None

    def pixels(self, grid: Grid, window: Window) -> tuple[Index, Index] | None:
        """Returns row and column of the raster's pixel under each centre of a window, each ``(y, x)``.

        A centre on an edge belongs to the pixel of the next column and row. -1 where there is no pixel; None
        where that is so everywhere.
        """
        at = (self._exact if self.to is None else self._between)(grid, window)
        if at is None or self._beside(*at, off=0.0):
            return None
        return self._whole(*at)

    def pixels_under(self, grid: Grid, rows: Index, cols: Index) -> tuple[Index, Index]:
        """Returns row and column of the raster's pixel under the centre of each given pixel; -1 where there is none."""
        return self._whole(*self._positions(*grid.centres(rows, cols)))

    def _beside(self, row: Floats, col: Floats, off: float) -> bool:
        """Says whether all of these positions lie on one side of the raster, farther from it than they may be off."""
        off += ON_EDGE_PX
        sides = (row.max() < -off, row.min() > self.height + off, col.max() < -off, col.min() > self.width + off)
        return any(sides)

    def _whole(self, row: Floats, col: Floats) -> tuple[Index, Index]:
        with np.errstate(invalid="ignore"):
            row, col = np.floor(row + ON_EDGE_PX), np.floor(col + ON_EDGE_PX)
            inside = (row >= 0) & (row < self.height) & (col >= 0) & (col < self.width)
        return np.where(inside, row, -1).astype(np.int64), np.where(inside, col, -1).astype(np.int64)

    def _positions(self, easting: Floats, northing: Floats) -> tuple[Floats, Floats]:
        """Returns row and column of places in the grid's CRS, with fractions; not finite where there is none."""
        if self.to is not None:
            shape = easting.shape
            moved = self.to(easting.ravel(), northing.ravel())
            easting, northing = (np.asarray(part, dtype=np.float64).reshape(shape) for part in moved)
        a, b, c, d, e, f = self.transform
        with np.errstate(invalid="ignore", over="ignore"):
            if b == 0 and d == 0:
                return (northing - f) / e, (easting - c) / a
            area = a * e - b * d
            x, y = easting - c, northing - f
            return (a * y - d * x) / area, (e * x - b * y) / area

    def _exact(self, grid: Grid, window: Window) -> tuple[Floats, Floats]:
        rows = np.arange(window.row, window.row + window.height)[:, None]
        cols = np.arange(window.col, window.col + window.width)[None, :]
        east, north = grid.centres(rows, cols)
        row, col = self._positions(*np.broadcast_arrays(east, north))
        return row, col

    def _between(self, grid: Grid, window: Window) -> tuple[Floats, Floats] | None:
        """Returns positions as :meth:`_exact`, those near an edge moved by themselves; None where all lie beside."""
        nodes = [window.row + _nodes(window.height), window.col + _nodes(window.width)]
        east, north = grid.centres(nodes[0][:, None], nodes[1][None, :])
        at = self._positions(*np.broadcast_arrays(east, north))
        if not all(np.isfinite(part).all() for part in at):
            return self._exact(grid, window)
        off = max(_off(part) for part in at) * _SAFETY + ON_EDGE_PX
        if self._beside(*at, off=off):
            return None
        if off > _WORST_PX:
            return self._exact(grid, window)
        row, col = (_spread(part[::2, ::2], window.height, window.width) for part in at)
        near = (np.abs(row - np.rint(row)) <= off + ON_EDGE_PX) | (np.abs(col - np.rint(col)) <= off + ON_EDGE_PX)
        y, x = np.nonzero(near)
        row[y, x], col[y, x] = self._positions(*grid.centres(window.row + y, window.col + x))
        return row, col


def _nodes(length: int) -> Index:
    """Returns positions every half step that reach beyond the last pixel."""
    return np.arange(0, 2 * (-(-length // STEP_PX)) + 1) * (STEP_PX // 2)


def _off(at: Floats) -> float:
    """Returns by how much interpolation between every other node misses the nodes between them, at most."""
    coarse = at[::2, ::2]
    rows, cols = (coarse[1:] + coarse[:-1]) / 2, (coarse[:, 1:] + coarse[:, :-1]) / 2
    middle = (rows[:, 1:] + rows[:, :-1]) / 2
    missed = [at[1::2, ::2] - rows, at[::2, 1::2] - cols, at[1::2, 1::2] - middle]
    return max(float(np.abs(part).max()) for part in missed)


def _spread(nodes: Floats, height: int, width: int) -> Floats:
    """Returns bilinear values for every pixel from nodes every :data:`STEP_PX`."""
    row, col = np.arange(height), np.arange(width)
    t, u = (row % STEP_PX / STEP_PX)[:, None], (col % STEP_PX / STEP_PX)[None, :]
    i, j = row // STEP_PX, col // STEP_PX
    down = nodes[i] * (1 - t) + nodes[i + 1] * t
    return np.asarray(down[:, j] * (1 - u) + down[:, j + 1] * u)
