"""Pixels that keep a distance from each other: taken in a given order, each unless it is too near to one before it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled

Index = NDArray[np.int64]
Ground = tuple[Index, Index, int, float]
"""First taken pixel of each cell; row, column and next one of each taken pixel; edge of a cell; distance squared."""
_LEAST_CELL_PX = 8


class Apart:
    """The pixels that were taken so far, found by the square cell of ground they lie in.

    A cell is at least as wide as the distance, so whatever is too near lies in one of nine.
    """

    def __init__(self, distance_px: float, shape: tuple[int, int]) -> None:
        self.cell = max(_LEAST_CELL_PX, math.ceil(min(distance_px, sum(shape))))
        # Rounded down by less than any two distances between pixels differ: centres exactly that far apart are kept.
        self.square = distance_px**2 * (1 - 1e-12)
        self.first = np.full((shape[0] // self.cell + 3, shape[1] // self.cell + 3), -1, dtype=np.int64)
        self.taken = np.empty((0, 3), dtype=np.int64)

    def free(self, rows: Index, cols: Index) -> NDArray[np.bool_]:
        """Returns True for pixels that are far enough from all that were taken."""
        found = np.ones(len(rows), dtype=np.bool_)
        if len(self.taken):
            _free(rows, cols, (self.first, self.taken, self.cell, self.square), found)
        return found

    def take(self, rows: Index, cols: Index, codes: Index, counts: Index, per_class: int) -> Index:
        """Takes pixels in the given order; returns the positions of those that were taken.

        Args:
            rows: of the pixels.
            cols: of the pixels.
            codes: class code of each.
            counts: ``(class,)`` how many of each class were taken so far; brought up to date.
            per_class: as many of a class are taken at most.
        """
        old, room = len(self.taken), min(int(np.maximum(per_class - counts, 0).sum()), len(rows))
        taken = np.concatenate([self.taken, np.zeros((room, 3), dtype=np.int64)])
        chosen, pixels = np.zeros(room, dtype=np.int64), np.column_stack([rows, cols, codes])
        n = _take(pixels, counts, per_class, (self.first, taken, self.cell, self.square), old, chosen)
        self.taken = taken[: old + n]
        return chosen[:n]


@compiled
def _is_free(row: int, col: int, ground: Ground) -> bool:
    first, taken, cell, square = ground
    y, x = row // cell + 1, col // cell + 1
    for i in range(y - 1, y + 2):
        for j in range(x - 1, x + 2):
            one = first[i, j]
            while one >= 0:
                down, right = float(taken[one, 0] - row), float(taken[one, 1] - col)
                if down * down + right * right < square:
                    return False
                one = taken[one, 2]
    return True


@compiled
def _free(rows: Index, cols: Index, ground: Ground, found: NDArray[np.bool_]) -> None:
    for n in range(len(rows)):
        found[n] = _is_free(rows[n], cols[n], ground)


@compiled
def _take(pixels: Index, counts: Index, per_class: int, ground: Ground, old: int, chosen: Index) -> int:
    first, taken, cell, _ = ground
    n = 0
    for k in range(len(pixels)):
        row, col, code = pixels[k]
        if counts[code] >= per_class:
            continue
        if _is_free(row, col, ground):
            i, j = row // cell + 1, col // cell + 1
            taken[old + n, 0], taken[old + n, 1], taken[old + n, 2] = row, col, first[i, j]
            first[i, j] = old + n
            counts[code] += 1
            chosen[n] = k
            n += 1
    return n
