"""What the observed numbers of each pixel are like, without a thought of when they were observed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled

PERCENTILES = (5, 10, 25, 75, 90, 95)
COLUMNS = ("count", "mean", "std", "min", "max", "median", *(f"p{share:02}" for share in PERCENTILES))
_QUANTILES = np.array([0.5, *(share / 100 for share in PERCENTILES)])


@compiled
def statistics(series: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns ``(pixel, column)`` of :data:`COLUMNS` for ``(pixel, time)``; what is not finite was not observed.

    ``std`` divides by one less than the count. Percentiles lie between ranks on a straight line (Hyndman & Fan 1996,
    type 7, doi:10.2307/2684934). Without observations the count is 0 and the rest NaN, as is ``std`` of one.
    """
    n_pixels, n_times = series.shape
    out = np.full((n_pixels, 5 + len(_QUANTILES)), np.nan, dtype=np.float32)
    seen = np.empty(n_times)
    for pixel in range(n_pixels):
        n, total = 0, 0.0
        for time in range(n_times):
            value = series[pixel, time]
            if np.isfinite(value):
                seen[n] = value
                total += value
                n += 1
        out[pixel, 0] = n
        if n == 0:
            continue
        ordered = np.sort(seen[:n])
        mean, squares = total / n, 0.0
        for value in ordered:
            squares += (value - mean) ** 2
        # Rounding must not carry a mean past what was observed.
        out[pixel, 1] = min(max(mean, ordered[0]), ordered[n - 1])
        if n > 1:
            out[pixel, 2] = math.sqrt(squares / (n - 1))
        out[pixel, 3], out[pixel, 4] = ordered[0], ordered[n - 1]
        for place in range(len(_QUANTILES)):
            rank = _QUANTILES[place] * (n - 1)
            below = int(rank)
            above = min(below + 1, n - 1)
            out[pixel, 5 + place] = ordered[below] + (rank - below) * (ordered[above] - ordered[below])
    return out
