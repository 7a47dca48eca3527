"""Which polygon covers a pixel centre, by the even-odd rule along rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.covariates.compiling import compiled
from geoml_ops.domain.covariates.planar.segments import Segments


def covering(segments: Segments, grid: Grid, window: Window) -> NDArray[np.int32]:
    """Returns the first geometry that covers each pixel centre, ``(y, x)``, -1 where none does.

    Only polygons cover. A centre on an outline may count either way; it is at a distance of 0 in any case. Two
    polygons that share an edge leave no centre between them uncovered, and cover none twice.

    Args:
        segments: pieces of the geometries.
        grid: whose corner they are beside.
        window: pixels that are asked for.
    """
    rings = segments.of_dimension(2)
    found = np.full((window.height, window.width), -1, dtype=np.int32)
    if len(rings):
        _cover(rings.ends, rings.starts(), grid.pixel_m, window.row, window.col, found)
    return found


@compiled
def toggle(
    ends: NDArray[np.float64],
    i: int,
    pixel: float,
    row0: int,
    col0: int,
    odd: NDArray[np.uint8],
    touched: NDArray[np.int64],
) -> None:
    """Turns over, in every row that a piece crosses, the first pixel whose centre is east of it.

    ``touched`` holds the first row, last row and first column of ``odd`` that were turned so far.
    """
    height, width = odd.shape[0], odd.shape[1] - 1
    # From south to north, whichever way the ring runs: neighbours share an edge to the last bit.
    x1, y1, x2, y2 = ends[i, 0], ends[i, 1], ends[i, 2], ends[i, 3]
    if y1 > y2:
        x1, y1, x2, y2 = x2, y2, x1, y1
    first = int(min(max(np.floor(-y2 / pixel - 0.5) - row0, 0.0), float(height)))
    last = int(min(max(np.ceil(-y1 / pixel - 0.5) - row0, -1.0), height - 1.0))
    for r in range(first, last + 1):
        y = -(row0 + r + 0.5) * pixel
        if y1 <= y < y2:
            x = x1 + (y - y1) * ((x2 - x1) / (y2 - y1))
            c = int(min(max(np.floor(x / pixel - 0.5) + 1.0 - col0, 0.0), float(width)))
            odd[r, c] ^= 1
            touched[0] = min(touched[0], r)
            touched[1] = max(touched[1], r)
            touched[2] = min(touched[2], c)


@compiled
def forget(touched: NDArray[np.int64], height: int, width: int) -> None:
    """Notes that nothing was turned."""
    touched[0] = height
    touched[1] = -1
    touched[2] = width


@compiled
def _cover(
    ends: NDArray[np.float64],
    starts: NDArray[np.int64],
    pixel: float,
    row0: int,
    col0: int,
    found: NDArray[np.int32],
) -> None:
    height, width = found.shape
    odd = np.zeros((height, width + 1), dtype=np.uint8)
    touched = np.empty(3, dtype=np.int64)
    for owner in range(len(starts) - 1):
        forget(touched, height, width)
        for i in range(starts[owner], starts[owner + 1]):
            toggle(ends, i, pixel, row0, col0, odd, touched)
        for r in range(touched[0], touched[1] + 1):
            inside = 0
            for c in range(touched[2], width + 1):
                inside ^= odd[r, c]
                odd[r, c] = 0
                if inside and c < width and found[r, c] < 0:
                    found[r, c] = owner
