"""Distances between many rows and many others, a block at a time: never all pairs in memory.

Squared distances are ``|a|^2 + |b|^2 - 2 a.b``, one matrix product per block in double precision. Its
rounding, some 1e-15 of ``|a|^2``, shows only where rows coincide; :func:`nearest` therefore measures the
neighbour that it found once more, directly.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
BLOCK = 512
"""Rows of a block; 512 by 2,048 products stay in the cache."""


def squared_lengths(rows: Floats) -> Floats:
    """Returns the squared length of each row, ``(n,)``."""
    return np.asarray(np.square(rows).sum(axis=1), dtype=np.float64)


def blocks(rows: Floats, among: Floats, wide: int = 4 * BLOCK) -> Iterator[tuple[slice, slice, Floats]]:
    """Yields which rows, which of the others, and the squared distances between them, block by block.

    Rounding may leave values slightly below 0.

    Args:
        rows: ``(n, d)``.
        among: ``(m, d)``.
        wide: most of the others in one block.
    """
    here, there = squared_lengths(rows), squared_lengths(among)
    for first in range(0, len(rows), BLOCK):
        part = slice(first, first + BLOCK)
        for start in range(0, len(among), wide):
            other = slice(start, start + wide)
            product = rows[part] @ (-2.0 * among[other].T)
            product += there[other]
            product += here[part, np.newaxis]
            yield part, other, product


def nearest(rows: Floats, among: Floats) -> tuple[Floats, Index]:
    """Returns the distance ``(n,)`` from each row to the nearest of the others, and which one that is ``(n,)``.

    NaN and 0 for rows with a value that is no finite number.

    Args:
        rows: ``(n, d)``.
        among: ``(m, d)`` finite, m at least 1.
    """
    least, which = np.full(len(rows), np.inf), np.zeros(len(rows), dtype=np.int64)
    for part, other, found in blocks(rows, among):
        best = found.argmin(axis=1)
        value = found[np.arange(len(best)), best]
        closer = value < least[part]
        least[part] = np.where(closer, value, least[part])
        which[part] = np.where(closer, best + other.start, which[part])
    distance = np.sqrt(squared_lengths(rows - among[which]))
    return np.where(np.isfinite(rows).all(axis=1), distance, np.nan), which


def closer_than(rows: Floats, among: Floats, reach: float, counts: Floats | None = None) -> Floats:
    """Returns how many of the others are closer than ``reach`` to each row, ``(n,)``.

    Args:
        rows: ``(n, d)``.
        among: ``(m, d)``.
        reach: a distance; what lies exactly there is not closer.
        counts: ``(m,)`` how many each of the others stands for; one if None.
    """
    total = np.zeros(len(rows))
    for part, other, found in blocks(rows, among):
        close = found < reach * reach
        total[part] += np.count_nonzero(close, axis=1) if counts is None else close @ counts[other]
    return total


def mean_distance(rows: Floats) -> float:
    """Returns the mean distance over all pairs of different rows.

    Args:
        rows: ``(n, d)``, n at least 2.
    """
    total, n = 0.0, len(rows)
    for first in range(0, n, BLOCK):
        here = rows[first : first + BLOCK]
        # Each pair once: the block against itself, then against everything after it.
        within = np.concatenate([found for _, _, found in blocks(here, here)], axis=1)
        np.fill_diagonal(within, 0.0)
        total += float(np.sqrt(np.maximum(within, 0.0)).sum()) / 2
        for _, _, found in blocks(here, rows[first + BLOCK :]):
            total += float(np.sqrt(np.maximum(found, 0.0, out=found), out=found).sum())
    return total / (n * (n - 1) / 2)
