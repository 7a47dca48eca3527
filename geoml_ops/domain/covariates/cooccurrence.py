"""Grey-level co-occurrence: which pixels pair up and in which level a number lies, the same in a graph and outside.

A level is frozen with the experiment: ``levels`` classes of equal width between ``low`` and ``high``, so that tiles,
dates and scenes are comparable. A pair is two observed pixels of one window at a distance in one of four
directions; it counts both ways round (Haralick, Shanmugam & Dinstein 1973, doi:10.1109/TSMC.1973.4309314).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput

STATISTICS = ("contrast", "dissimilarity", "homogeneity", "correlation", "energy", "asm", "entropy")
MAX_LEVELS = 256
MAX_WINDOW_PX = 101
WHOLE = 2.0**32
"""Terms that are no whole numbers are rounded to this fraction: then sums are exact, whatever their order."""
LN_2 = math.log(2.0)
_GREATEST = float(np.finfo(np.float32).max)


def check_pairs(*, window_px: int, levels: int, low: float, high: float, distance: int) -> None:
    """Passes a co-occurrence that can be counted.

    Raises:
        BadInput: the window is even or has no pair at this distance, there are too few or too many levels, or
            low and high are no range of numbers.
    """
    if window_px % 2 == 0 or not 3 <= window_px <= MAX_WINDOW_PX:
        raise BadInput(
            f"A texture window of {window_px} pixels cannot be used.",
            f"give its edge as an odd number of pixels from 3 to {MAX_WINDOW_PX}",
        )
    if not 2 <= levels <= MAX_LEVELS:
        raise BadInput(f"Texture cannot be counted in {levels} levels.", f"use 2 to {MAX_LEVELS} levels")
    if not (abs(low) <= _GREATEST and abs(high) <= _GREATEST and low < high):
        raise BadInput(
            f"Levels cannot be laid between {low:g} and {high:g}.", "give low and high as two numbers, low below high"
        )
    if not 1 <= distance < window_px:
        raise BadInput(
            f"No two pixels of a window of {window_px} pixels are {distance} apart in every direction.",
            f"use a distance from 1 to {window_px - 1} pixels",
        )


def offsets(distance: int) -> tuple[tuple[int, int], ...]:
    """Returns ``(rows, columns)`` from one pixel of a pair to the other at 0, 45, 90 and 135 degrees.

    On the diagonals it is the pixel nearest to the distance, as in scikit-image.

    >>> offsets(1)
    ((0, 1), (1, 1), (1, 0), (1, -1))
    """
    slant = round(distance * math.sqrt(0.5))
    return (0, distance), (slant, slant), (distance, 0), (slant, -slant)


def levels_of(values: NDArray[np.float32], low: float, high: float, levels: int) -> NDArray[np.int16]:
    """Returns the level 0 to ``levels - 1`` of each number, -1 where it is not finite.

    Edges belong to the level above, ``high`` to the last; what lies beyond either end lies in the end level.
    """
    seen = np.isfinite(values)
    wide = np.where(seen, values, np.float32(low)).astype(np.float64)
    level = np.clip(np.floor((wide - low) * levels / (high - low)), 0, levels - 1)
    return np.where(seen, level, -1).astype(np.int16)


def homogeneity_terms(levels: int) -> NDArray[np.float64]:
    """Returns ``1 / (1 + d^2)`` for d from 0 to ``levels - 1``, in :data:`WHOLE` parts."""
    return np.asarray(np.rint(WHOLE / (1.0 + np.arange(levels, dtype=np.float64) ** 2)))


def entropy_terms(n_pairs: int) -> NDArray[np.float64]:
    """Returns ``n ln n`` for n from 0 to ``n_pairs``, in :data:`WHOLE` parts."""
    n = np.arange(n_pairs + 1, dtype=np.float64)
    return np.asarray(np.rint(n * np.log(np.maximum(n, 1.0)) * WHOLE))
