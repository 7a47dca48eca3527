"""Lags of rasters: sums over the same steps from every pixel, added in the same order everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled
from geoml_ops.domain.covariates.lag.offsets import Offsets


def lag_in_window(values: NDArray[np.floating[Any]], offsets: Offsets) -> NDArray[np.float64]:
    """Returns the mean of each pixel's observed neighbours by their weights, ``(y, x)``; NaN where there is none.

    Whether the pixel itself is observed does not matter: a lag is about its neighbours.

    Args:
        values: ``(y + 2 reach, x + 2 reach)``, NaN (or not finite) for nothing.
        offsets: the neighbours.
    """
    seen = np.isfinite(values)
    numbers = np.where(seen, values, 0.0).astype(np.float64)
    reach = offsets.reach_px
    found = np.empty((values.shape[0] - 2 * reach, values.shape[1] - 2 * reach))
    _sum(numbers, seen.astype(np.float64), offsets.rows + reach, offsets.cols + reach, offsets.weights, found)
    return found


@compiled
def _sum(
    numbers: NDArray[np.float64],
    seen: NDArray[np.float64],
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    weights: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    height, width = found.shape
    total, weight = np.empty(width), np.empty(width)
    for r in range(height):
        total[:] = 0.0
        weight[:] = 0.0
        for k in range(len(weights)):
            row, left, w = r + rows[k], cols[k], weights[k]
            number, there = numbers[row, left : left + width], seen[row, left : left + width]
            for c in range(width):
                total[c] += w * number[c]
                weight[c] += w * there[c]
        for c in range(width):
            found[r, c] = total[c] / weight[c] if weight[c] > 0.0 else np.nan
