"""The nearest of many segments from every pixel centre, exactly.

Branch and bound over squares of pixels. From a square's centre, whose farthest pixel is ``r`` away, the nearest
segment is ``b`` away: then no pixel of the square is farther than ``b + r`` from it, and a segment farther than
``b + 2 r`` from the centre is nearest to none of them. What is left is handed to the square's quarters, until a few
pixels are compared with a few segments. Nothing is rasterised, nothing rounded to pixels, and what is answered for a
pixel does not depend on the window that it is asked in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.covariates.compiling import compiled
from geoml_ops.domain.covariates.planar.segments import Segments

_ROOT_PX, _LEAF_PX, _FEW = 512, 4, 3
_LEVELS = 10  # from 512 pixels to one


def nearest(segments: Segments, grid: Grid, window: Window) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Returns distances in metres from pixel centres to the nearest segment, and which it is, each ``(y, x)``.

    Of several at the same distance the first is named.

    Args:
        segments: at least one.
        grid: whose corner the segments are beside.
        window: pixels that are asked for.
    """
    squared = np.full((window.height, window.width), np.inf)
    which = np.zeros((window.height, window.width), dtype=np.int32)
    _search(segments.ends, grid.pixel_m, window.row, window.col, squared, which)
    return np.sqrt(squared), which


@compiled
def apart2(x: float, y: float, x1: float, y1: float, x2: float, y2: float) -> float:
    """Returns the squared distance of a point to a segment."""
    across, up = x2 - x1, y2 - y1
    dx, dy = x - x1, y - y1
    along, length2 = dx * across + dy * up, across * across + up * up
    if along <= 0.0:
        return dx * dx + dy * dy
    if along >= length2:
        dx, dy = x - x2, y - y2
        return dx * dx + dy * dy
    cross = dx * up - dy * across
    return cross * cross / length2


@compiled
def _search(
    ends: NDArray[np.float64],
    pixel: float,
    row0: int,
    col0: int,
    squared: NDArray[np.float64],
    which: NDArray[np.int32],
) -> None:
    # Written out element by element: assigning tuples and slices takes the compiler seconds.
    n = len(ends)
    lists = np.empty((_LEVELS + 2, n), dtype=np.int32)
    for i in range(n):
        lists[0, i] = i
    apart = np.empty(n)
    todo = np.empty((4 * _LEVELS + 8, 6), dtype=np.int64)
    height, width = squared.shape
    for top in range(0, height, _ROOT_PX):
        for left in range(0, width, _ROOT_PX):
            _push(todo, 0, 0, (top, min(top + _ROOT_PX, height), left, min(left + _ROOT_PX, width)), n)
            waiting = 1
            while waiting > 0:
                waiting -= 1
                level, count = todo[waiting, 0], todo[waiting, 5]
                r0, r1, c0, c1 = todo[waiting, 1], todo[waiting, 2], todo[waiting, 3], todo[waiting, 4]
                if count <= _FEW or (r1 - r0) * (c1 - c0) <= _LEAF_PX * _LEAF_PX:
                    _compare(ends, lists[level, :count], pixel, (row0, col0), (r0, r1, c0, c1), squared, which)
                    continue
                square = row0 + r0, row0 + r1, col0 + c0, col0 + c1
                kept = _near(ends, lists, apart, level, count, pixel, square)
                half_r, half_c = (r1 - r0 + 1) // 2, (c1 - c0 + 1) // 2
                for r in range(r0, r1, half_r):
                    for c in range(c0, c1, half_c):
                        _push(todo, waiting, level + 1, (r, min(r + half_r, r1), c, min(c + half_c, c1)), kept)
                        waiting += 1


@compiled
def _push(todo: NDArray[np.int64], at: int, level: int, square: tuple[int, int, int, int], count: int) -> None:
    todo[at, 0] = level
    todo[at, 1] = square[0]
    todo[at, 2] = square[1]
    todo[at, 3] = square[2]
    todo[at, 4] = square[3]
    todo[at, 5] = count


@compiled
def _near(
    ends: NDArray[np.float64],
    lists: NDArray[np.int32],
    apart: NDArray[np.float64],
    level: int,
    count: int,
    pixel: float,
    square: tuple[int, int, int, int],
) -> int:
    """Hands on the segments that may be nearest to a pixel of a square; returns how many."""
    r0, r1, c0, c1 = square
    x, y = 0.5 * (c0 + c1) * pixel, -0.5 * (r0 + r1) * pixel
    reach = 0.5 * pixel * np.hypot(r1 - r0 - 1.0, c1 - c0 - 1.0)
    least = np.inf
    for k in range(count):
        i = lists[level, k]
        apart[k] = np.sqrt(apart2(x, y, ends[i, 0], ends[i, 1], ends[i, 2], ends[i, 3]))
        least = min(least, apart[k])
    # A hair more than the bound, because the numbers are rounded.
    most = (least + 2.0 * reach) * (1.0 + 1e-9) + 1e-6
    kept = 0
    for k in range(count):
        if apart[k] <= most:
            lists[level + 1, kept] = lists[level, k]
            kept += 1
    return kept


@compiled
def _compare(
    ends: NDArray[np.float64],
    listed: NDArray[np.int32],
    pixel: float,
    corner: tuple[int, int],
    square: tuple[int, int, int, int],
    squared: NDArray[np.float64],
    which: NDArray[np.int32],
) -> None:
    row0, col0 = corner
    r0, r1, c0, c1 = square
    for i in listed:
        x1, y1, x2, y2 = ends[i, 0], ends[i, 1], ends[i, 2], ends[i, 3]
        for r in range(r0, r1):
            y = -(row0 + r + 0.5) * pixel
            for c in range(c0, c1):
                found = apart2((col0 + c + 0.5) * pixel, y, x1, y1, x2, y2)
                if found < squared[r, c]:
                    squared[r, c] = found
                    which[r, c] = i
