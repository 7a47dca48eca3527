"""The inputs of golden tiles: real ground, and the same ground with what scenes are full of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SATURATED = 65535.0
Dn = NDArray[np.float32]


def inputs(grounds: Sequence[Dn]) -> dict[str, Dn]:
    """Returns inputs by kind: each ground as it is, with nodata stripes, with holes in single bands, and extremes.

    Args:
        grounds: DN ``(band, y, x)`` of one shape in the graph's radiometry, NaN where not observed.

    Raises:
        ValueError: there is no ground.
    """
    if not grounds:
        raise ValueError("golden tiles are made of ground, and there is none")
    made = {f"ground {number}": ground.astype(np.float32) for number, ground in enumerate(grounds, start=1)}
    made["nodata stripes"] = _striped(grounds[0])
    made["holes in single bands"] = _holed(grounds[-1])
    made["saturated, zero and below"] = _extreme(grounds[0])
    return made


def _striped(dn: Dn) -> Dn:
    """Returns ground whose swath ends along a slope and is crossed by lost lines."""
    rows, cols = np.indices(dn.shape[1:])
    lost = (rows + 2 * cols < dn.shape[1] // 2) | (rows % 7 == 3)
    return np.where(lost, np.float32(np.nan), dn).astype(np.float32)


def _holed(dn: Dn) -> Dn:
    """Returns ground in which one pixel in three lacks one band, each band somewhere."""
    rows, cols = np.indices(dn.shape[1:])
    number = rows * dn.shape[2] + cols
    lacks = np.where(number % 3 == 0, (number // 3) % len(dn), -1)
    return np.where(lacks == np.arange(len(dn))[:, None, None], np.float32(np.nan), dn).astype(np.float32)


def _extreme(dn: Dn) -> Dn:
    """Returns ground in stripes: saturated or zero in all bands, in one, and lower than any DN as after an offset."""
    made = dn.astype(np.float32).copy()
    middle = np.nan_to_num(np.nanmedian(np.where(np.isfinite(dn), dn, 0.0), axis=(1, 2)))[:, None]
    for row in range(dn.shape[1]):
        band, kind = (row // 6) % len(dn), row % 6
        if kind == 0:
            made[:, row] = SATURATED
        elif kind == 1:
            made[:, row] = 0.0
        elif kind == 2:
            made[band, row] = SATURATED
        elif kind == 3:
            made[band, row] = 0.0
        elif kind == 4:
            made[:, row] -= middle
    return made
