"""A tile whose numbers are whole and all there, in order: one sort says what percentiles, bins and moments need.

Sums of whole numbers are exact, so nothing depends on the order in which they are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_PX = 1 << 20
"""Sums of so many squares of 16-bit numbers stay below 2^53."""


@dataclass(frozen=True)
class Ordered:
    """The numbers of a tile, band by band.

    Attributes:
        numbers: uint16 ``(band, px)``, from the smallest to the largest.
        totals: sum of each band.
        squares: sum of the squares of each band.
    """

    numbers: NDArray[np.uint16]
    totals: tuple[int, ...]
    squares: tuple[int, ...]


def ordered(dn: NDArray[Any]) -> Ordered | None:
    """Returns the numbers of a tile ``(band, y, x)`` in order; None where one is no whole number from 0 to 65,535.

    Args:
        dn: numbers of any kind; those that are known to be whole may come as uint16, which saves comparing them.
    """
    n_px = dn.shape[1] * dn.shape[2]
    if not 0 < n_px <= _MOST_PX:
        return None
    numbers = np.empty((len(dn), n_px), dtype=np.uint16)
    if dn.dtype == np.uint16:
        np.copyto(numbers.reshape(dn.shape), dn)
    elif not _taken(dn, numbers):
        return None
    apart, squares = np.empty(n_px, dtype=np.float64), []
    # Band by band: each stays in the processor's cache from one line to the next.
    for one in numbers:
        np.copyto(apart, one)
        squares.append(int(apart @ apart))
        # Sorting 16 bits is half the work of sorting float32 (numpy 2.4).
        one.sort()
    # Sums in 32 bits are half the work; 2^16 numbers of 16 bits fit.
    totals = numbers.sum(axis=1, dtype=np.uint32 if n_px <= 1 << 16 else np.uint64)
    return Ordered(numbers, tuple(totals.tolist()), tuple(squares))


def _taken(dn: NDArray[Any], numbers: NDArray[np.uint16]) -> bool:
    """Says whether numbers are whole ones of 16 bits, and writes them where they are."""
    with np.errstate(invalid="ignore"):
        for layer, into in zip(dn, numbers, strict=True):
            flat = layer.reshape(-1)
            np.copyto(into, flat, casting="unsafe")
            if not (into.astype(flat.dtype) == flat).all():
                return False
    return True
