"""What lies within a radius of every pixel centre: how many geometries, how many metres of line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.covariates.compiling import compiled
from geoml_ops.domain.covariates.planar.covering import forget, toggle
from geoml_ops.domain.covariates.planar.nearest import apart2
from geoml_ops.domain.covariates.planar.segments import Segments


def counts_within(segments: Segments, grid: Grid, window: Window, radius_m: float) -> NDArray[np.int32]:
    """Returns how many geometries come as near as a radius to each pixel centre, ``(y, x)``; inside a polygon is 0 m.

    Args:
        segments: pieces of the geometries.
        grid: whose corner they are beside.
        window: pixels that are asked for.
        radius_m: greatest distance that counts.
    """
    steps = np.zeros((window.height, window.width + 1), dtype=np.int32)
    area = segments.dimension == 2
    _count(segments.ends, area, segments.starts(), radius_m, grid.pixel_m, window.row, window.col, steps)
    return np.asarray(np.cumsum(steps, axis=1, dtype=np.int32)[:, :-1])


def lengths_within(segments: Segments, grid: Grid, window: Window, radius_m: float) -> NDArray[np.float64]:
    """Returns metres of line within a radius of each pixel centre, ``(y, x)``; points and outlines do not count.

    Args:
        segments: pieces of the geometries.
        grid: whose corner they are beside.
        window: pixels that are asked for.
        radius_m: of the circle that lines are cut to.
    """
    found = np.zeros((window.height, window.width))
    _measure(segments.of_dimension(1).ends, radius_m, grid.pixel_m, window.row, window.col, found)
    return found


@compiled
def _span(ends: NDArray[np.float64], i: int, y: float, radius: float) -> tuple[float, float]:
    """Returns from where to where a line of constant y runs through the ground within a radius of a piece.

    That ground is convex, so its part of the line is one: from the least to the greatest of the crossings with the
    circles around both ends and with the rectangle between them. Empty where the first is above the second.
    """
    x1, y1, x2, y2 = ends[i, 0], ends[i, 1], ends[i, 2], ends[i, 3]
    low, high = np.inf, -np.inf
    slack = 1e-9 * (radius + abs(y))
    for k in range(2):
        cx, cy = (x1, y1) if k == 0 else (x2, y2)
        if abs(y - cy) <= radius + slack:
            half = np.sqrt(max(radius * radius - (y - cy) * (y - cy), 0.0))
            low, high = min(low, cx - half), max(high, cx + half)
    length = np.hypot(x2 - x1, y2 - y1)
    if length > 0.0:
        east, north = -(y2 - y1) / length * radius, (x2 - x1) / length * radius
        for side in (-1.0, 1.0):
            ya, yb = y1 + side * north, y2 + side * north
            if min(ya, yb) <= y <= max(ya, yb) and ya != yb:
                x = x1 + side * east + (y - ya) / (yb - ya) * (x2 - x1)
                low, high = min(low, x), max(high, x)
    return low, high


@compiled
def _columns(
    ends: NDArray[np.float64], i: int, row: int, radius: float, pixel: float, col0: int, width: int
) -> tuple[int, int]:
    """Returns the first column and the one after the last whose centres are within a radius of a piece."""
    y = -(row + 0.5) * pixel
    low, high = _span(ends, i, y, radius)
    if low > high:
        return 0, 0
    c0 = int(min(max(np.ceil(low / pixel - 0.5) - col0, 0.0), float(width)))
    c1 = int(min(max(np.floor(high / pixel - 0.5) + 1.0 - col0, 0.0), float(width)))
    x1, y1, x2, y2 = ends[i, 0], ends[i, 1], ends[i, 2], ends[i, 3]
    most = radius * radius
    # The crossings are rounded; whether a centre counts is decided by its distance alone.
    while c0 > 0 and apart2((col0 + c0 - 0.5) * pixel, y, x1, y1, x2, y2) <= most:
        c0 -= 1
    while c0 < c1 and apart2((col0 + c0 + 0.5) * pixel, y, x1, y1, x2, y2) > most:
        c0 += 1
    c1 = max(c0, c1)
    while c1 < width and apart2((col0 + c1 + 0.5) * pixel, y, x1, y1, x2, y2) <= most:
        c1 += 1
    while c1 > c0 and apart2((col0 + c1 - 0.5) * pixel, y, x1, y1, x2, y2) > most:
        c1 -= 1
    return c0, c1


@compiled
def _rows(ends: NDArray[np.float64], i: int, radius: float, pixel: float, row0: int, height: int) -> tuple[int, int]:
    """Returns the first row and the one after the last that a piece can be near to."""
    north, south = max(ends[i, 1], ends[i, 3]) + radius, min(ends[i, 1], ends[i, 3]) - radius
    first = np.floor(-north / pixel - 0.5) - row0
    last = np.ceil(-south / pixel - 0.5) + 1.0 - row0
    return int(min(max(first, 0.0), float(height))), int(min(max(last, 0.0), float(height)))


@compiled
def _count(
    ends: NDArray[np.float64],
    area: NDArray[np.bool_],
    starts: NDArray[np.int64],
    radius: float,
    pixel: float,
    row0: int,
    col0: int,
    steps: NDArray[np.int32],
) -> None:
    height, width = steps.shape[0], steps.shape[1] - 1
    near = np.zeros((height, width + 1), dtype=np.int32)
    odd = np.zeros((height, width + 1), dtype=np.uint8)
    touched = np.empty(3, dtype=np.int64)
    for owner in range(len(starts) - 1):
        alone = starts[owner + 1] - starts[owner] == 1
        forget(touched, height, width)
        for i in range(starts[owner], starts[owner + 1]):
            first, last = _rows(ends, i, radius, pixel, row0, height)
            for r in range(first, last):
                c0, c1 = _columns(ends, i, row0 + r, radius, pixel, col0, width)
                if c0 < c1 and alone:
                    steps[r, c0] += 1
                    steps[r, c1] -= 1
                elif c0 < c1:
                    near[r, c0] += 1
                    near[r, c1] -= 1
                    touched[0] = min(touched[0], r)
                    touched[1] = max(touched[1], r)
                    touched[2] = min(touched[2], c0)
            if area[i]:
                toggle(ends, i, pixel, row0, col0, odd, touched)
        _settle(near, odd, touched, steps)


@compiled
def _settle(
    near: NDArray[np.int32], odd: NDArray[np.uint8], touched: NDArray[np.int64], steps: NDArray[np.int32]
) -> None:
    """Adds one where a geometry is near or covers, and clears what was noted of it."""
    for r in range(touched[0], touched[1] + 1):
        depth, inside, was = 0, 0, 0
        for c in range(touched[2], near.shape[1]):
            depth += near[r, c]
            inside ^= odd[r, c]
            near[r, c] = 0
            odd[r, c] = 0
            now = 1 if depth > 0 or inside else 0
            steps[r, c] += now - was
            was = now


@compiled
def _measure(
    ends: NDArray[np.float64], radius: float, pixel: float, row0: int, col0: int, found: NDArray[np.float64]
) -> None:
    height, width = found.shape
    for i in range(len(ends)):
        x1, y1 = ends[i, 0], ends[i, 1]
        across, up = ends[i, 2] - x1, ends[i, 3] - y1
        length = np.hypot(across, up)
        if length == 0.0:
            continue
        first, last = _rows(ends, i, radius, pixel, row0, height)
        for r in range(first, last):
            c0, c1 = _columns(ends, i, row0 + r, radius, pixel, col0, width)
            dy = -(row0 + r + 0.5) * pixel - y1
            for c in range(c0, c1):
                dx = (col0 + c + 0.5) * pixel - x1
                along = (dx * across + dy * up) / length
                aside = (dx * up - dy * across) / length
                half = np.sqrt(max(radius * radius - aside * aside, 0.0))
                found[r, c] += max(min(along + half, length) - max(along - half, 0.0), 0.0)
