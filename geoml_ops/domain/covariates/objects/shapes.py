"""Shapes of segments, of their outline along pixel edges and of their pixels as squares: exact, not estimated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled


@dataclass(frozen=True, eq=False)
class Shapes:
    """What the shape of each segment is like, in pixels; each ``(n,)``.

    Attributes:
        count: pixels.
        perimeter: length of the outline along pixel edges, holes included.
        major: greater of the two second central moments along principal axes, per pixel.
        minor: the smaller one.
        length: longer side of the smallest rectangle, turned any way, that holds the segment.
        breadth: its shorter side.
    """

    count: NDArray[np.float64]
    perimeter: NDArray[np.float64]
    major: NDArray[np.float64]
    minor: NDArray[np.float64]
    length: NDArray[np.float64]
    breadth: NDArray[np.float64]

    def compactness(self) -> NDArray[np.float64]:
        """Returns ``4 pi A / P^2`` (Polsby & Popper 1991): pi / 4 for a square, the most that pixels can reach."""
        return np.asarray(4.0 * np.pi * self.count / self.perimeter**2)

    def eccentricity(self) -> NDArray[np.float64]:
        """Returns that of the ellipse with the same second moments: 0 for a circle or square, below 1."""
        return np.asarray(np.sqrt(np.maximum(1.0 - self.minor / self.major, 0.0)))

    def elongation(self) -> NDArray[np.float64]:
        """Returns 1 less breadth over length of the smallest rectangle: 0 for a square, below 1."""
        return 1.0 - self.breadth / self.length

    def rectangularity(self) -> NDArray[np.float64]:
        """Returns the share of the smallest rectangle that the segment fills (Rosin 1999): 1 for a rectangle."""
        return np.minimum(self.count / (self.length * self.breadth), 1.0)


def shapes_of(labels: NDArray[np.int32], n: int) -> Shapes:
    """Returns the shapes of connected segments.

    Args:
        labels: ``(y, x)``, each number from 0 to ``n - 1`` one connected part, -1 for nothing.
        n: number of segments.
    """
    count, perimeter, moments, top, height = _moments(labels, n)
    major, minor = _axes(moments, count)
    starts = np.concatenate([[0], np.cumsum(height)])
    left, right = _extents(labels, top, starts)
    sides = _rectangles(left, right, starts)
    return Shapes(
        count.astype(np.float64), perimeter.astype(np.float64), major, minor, sides.max(axis=1), sides.min(axis=1)
    )


def _axes(moments: NDArray[np.float64], count: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # A pixel is a square, whose own second moment is a twelfth.
    rr, cc, rc = moments[:, 0] / count + 1 / 12, moments[:, 1] / count + 1 / 12, moments[:, 2] / count
    middle, spread = (rr + cc) / 2, np.hypot((rr - cc) / 2, rc)
    return middle + spread, np.maximum(middle - spread, 0.0)


@compiled
def _moments(
    labels: NDArray[np.int32], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    height, width = labels.shape
    count, perimeter = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    centre, moments = np.zeros((n, 2)), np.zeros((n, 3))
    top, tall = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for r in range(height):
        for c in range(width):
            k = labels[r, c]
            if k < 0:
                continue
            if top[k] < 0:
                top[k] = r
            tall[k] = r - top[k] + 1
            count[k] += 1
            centre[k, 0] += r
            centre[k, 1] += c
            perimeter[k] += r == 0 or labels[r - 1, c] != k
            perimeter[k] += r == height - 1 or labels[r + 1, c] != k
            perimeter[k] += c == 0 or labels[r, c - 1] != k
            perimeter[k] += c == width - 1 or labels[r, c + 1] != k
    for k in range(n):
        centre[k, 0] /= max(count[k], 1)
        centre[k, 1] /= max(count[k], 1)
    for r in range(height):
        for c in range(width):
            k = labels[r, c]
            if k >= 0:
                dr, dc = r - centre[k, 0], c - centre[k, 1]
                moments[k, 0] += dr * dr
                moments[k, 1] += dc * dc
                moments[k, 2] += dr * dc
    return count, perimeter, moments, top, tall


@compiled
def _extents(
    labels: NDArray[np.int32], top: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Returns the first column and the one after the last of each row of each segment."""
    left = np.full(starts[-1], np.iinfo(np.int32).max, dtype=np.int32)
    right = np.full(starts[-1], -1, dtype=np.int32)
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            k = labels[r, c]
            if k >= 0:
                at = starts[k] + r - top[k]
                left[at] = min(left[at], c)
                right[at] = max(right[at], c + 1)
    return left, right


@compiled
def _chain(left: NDArray[np.int32], right: NDArray[np.int32], side: float, hull: NDArray[np.float64], n: int) -> int:
    """Adds one side of the convex hull of a segment's rows to ``n`` corners, from top to bottom; returns the number."""
    tall = len(left)
    first = n
    for y in range(tall + 1):
        above, here = max(y - 1, 0), min(y, tall - 1)
        x = max(right[above], right[here]) if side > 0 else min(left[above], left[here])
        while n - first >= 2:
            ax, ay = hull[n - 1, 0] - hull[n - 2, 0], hull[n - 1, 1] - hull[n - 2, 1]
            turn = ax * (y - hull[n - 1, 1]) - ay * (x - hull[n - 1, 0])
            if turn * side > 0:
                break
            n -= 1
        hull[n, 0] = x
        hull[n, 1] = y
        n += 1
    return n


@compiled
def _rectangles(left: NDArray[np.int32], right: NDArray[np.int32], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns both sides of the smallest rectangle around each segment: one side lies on the convex hull.

    Freeman & Shapira 1975, doi:10.1145/360881.360919.
    """
    n = len(starts) - 1
    sides = np.ones((n, 2))
    tallest = 0
    for k in range(n):
        tallest = max(tallest, starts[k + 1] - starts[k])
    hull = np.empty((2 * tallest + 4, 2))
    for k in range(n):
        part = slice(starts[k], starts[k + 1])
        n_right = _chain(left[part], right[part], 1.0, hull, 0)
        corners = _chain(left[part], right[part], -1.0, hull, n_right)
        least = np.inf
        for e in range(corners):
            if e == n_right - 1 or e == corners - 1:
                # From one side to the other: the bottom and the top, which are level.
                ux, uy = 1.0, 0.0
            else:
                ux, uy = hull[e + 1, 0] - hull[e, 0], hull[e + 1, 1] - hull[e, 1]
            size = np.hypot(ux, uy)
            low_u, high_u, low_v, high_v = np.inf, -np.inf, np.inf, -np.inf
            for i in range(corners):
                u, v = hull[i, 0] * ux + hull[i, 1] * uy, hull[i, 1] * ux - hull[i, 0] * uy
                low_u, high_u = min(low_u, u), max(high_u, u)
                low_v, high_v = min(low_v, v), max(high_v, v)
            a, b = (high_u - low_u) / size, (high_v - low_v) / size
            if a * b < least:
                least = a * b
                sides[k, 0] = a
                sides[k, 1] = b
    return sides
