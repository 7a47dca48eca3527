"""The one resampler: a coarser band on a grid whose pixels divide its own.

Integer arithmetic only, so that adding a constant before or after gives the same numbers: one scene
under two processing baselines has to give one map.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Resampling
from geoml_ops.core.errors import BadInput


def refine(
    dn: NDArray[np.unsignedinteger], factor: int, how: Resampling, nodata: float = 0.0
) -> NDArray[np.unsignedinteger]:
    """Returns a band cut into pixels ``factor`` times smaller.

    ``nearest`` repeats each pixel. ``bilinear`` blends the four nearest pixel centres and rounds half
    up; a new pixel whose four neighbours are not all observed takes the value of the pixel it lies in,
    so nodata neither spreads nor shrinks.

    Args:
        dn: ``(y, x)`` unsigned integers of at most 32 bits.
        factor: edge of an old pixel in new pixels, >= 1.
        how: the band's resampling in the contract; ``none`` allows a factor of 1 only.
        nodata: the number that stands for "not observed".

    Returns:
        ``(y * factor, x * factor)``, of the same type.

    Raises:
        BadInput: the numbers are not unsigned integers, or a ``none`` band would have to be refined.
    """
    if dn.dtype.kind != "u" or dn.dtype.itemsize > 4:
        raise BadInput(f"Bands of type {dn.dtype} cannot be resampled exactly.", "deliver unsigned integers")
    if factor == 1:
        return dn
    if how == "none":
        raise BadInput(f"A band that is used as delivered has pixels {factor} times too large.", "deliver it finer")
    repeated = np.repeat(np.repeat(dn, factor, axis=0), factor, axis=1)
    if how == "nearest":
        return repeated
    rows, cols = _neighbours(dn.shape[0], factor), _neighbours(dn.shape[1], factor)
    total = np.zeros(repeated.shape, dtype=np.int64)
    observed = np.ones(repeated.shape, dtype=bool)
    for row, row_weight in rows:
        for col, col_weight in cols:
            corner = dn[np.ix_(row, col)]
            total += corner * (row_weight[:, None] * col_weight[None, :])
            observed &= corner != nodata
    parts = 4 * factor * factor
    blended = ((2 * total + parts) // (2 * parts)).astype(dn.dtype)
    return np.where(observed, blended, repeated)


def _neighbours(n: int, factor: int) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    """Index and weight (in parts of ``2 * factor``) of the two old centres around each new one; edges repeat."""
    place = 2 * np.arange(n * factor, dtype=np.int64) + 1 - factor
    first, rest = np.divmod(place, 2 * factor)
    return (
        (np.clip(first, 0, n - 1), 2 * factor - rest),
        (np.clip(first + 1, 0, n - 1), rest),
    )
