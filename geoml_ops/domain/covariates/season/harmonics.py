"""The year as a sum of waves: a harmonic fit to whatever dates each pixel was observed on.

``y = mean + trend (t - t_mean) + sum over k of amplitude_k cos(k a - phase_k)``, with ``a = 2 pi t / 365.2425`` and
``t`` in days since 1 January 2000, by least squares over the observed dates (Jakubauskas, Legates & Kastens 2001,
Photogrammetric Engineering & Remote Sensing 67).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled

YEAR_DAYS = 365.2425
MOST_WAVES = 3
COLUMNS = (
    "mean",
    "trend",
    "rms",
    *(f"{what}{wave}" for wave in range(1, MOST_WAVES + 1) for what in ("amplitude", "sin", "cos")),
)
#: Beside numbers this much smaller than the series, single precision leaves nothing to see.
_FAINT = 1e-6


def n_parameters(order: int, trend: bool) -> int:
    """Returns how many numbers a fit finds, which is how many observations it needs at least."""
    return 1 + 2 * order + trend


def harmonics(
    series: NDArray[np.float32], days: NDArray[np.float64], *, order: int, trend: bool, least_tolerance: float
) -> NDArray[np.float32]:
    """Returns ``(pixel, column)`` of :data:`COLUMNS` for ``(pixel, time)``; what is not finite was not observed.

    ``mean`` is the level on the mean date of the pixel's observations, ``trend`` in units per year (NaN where not
    fitted), ``rms`` the root of the mean squared residual, sine and cosine those of the phase: where in the year the
    wave is highest (NaN where there is none).

    Args:
        series: the numbers.
        days: ``(time,)`` since 1 January 2000.
        order: number of waves, 1 to 3.
        trend: whether a straight line is fitted with them.
        least_tolerance: share of each column of the design that the columns before it must leave unexplained;
            otherwise the dates do not tell the parameters apart and all is NaN.
    """
    angle = 2.0 * math.pi / YEAR_DAYS * days
    waves = [turn(wave * angle) for wave in range(1, order + 1) for turn in (np.cos, np.sin)]
    columns = [np.ones_like(days), *([days / YEAR_DAYS] if trend else []), *waves]
    return _fitted(series, np.stack(columns), trend, least_tolerance)


@compiled
def _fitted(
    series: NDArray[np.float32], columns: NDArray[np.float64], trend: bool, least_tolerance: float
) -> NDArray[np.float32]:
    n_pixels, n_times = series.shape
    n_columns = len(columns)
    out = np.full((n_pixels, len(COLUMNS)), np.nan, dtype=np.float32)
    design, triangle = np.empty((n_columns, n_times)), np.zeros((n_columns, n_columns))
    seen, found = np.empty(n_times), np.empty(n_columns)
    for pixel in range(n_pixels):
        n, largest, mean_year, rest = 0, 0.0, 0.0, 0.0
        for time in range(n_times):
            if np.isfinite(series[pixel, time]):
                seen[n] = series[pixel, time]
                for column in range(n_columns):
                    design[column, n] = columns[column, time]
                largest = max(largest, abs(seen[n]))
                mean_year += columns[1, time]
                n += 1
        if n < n_columns:
            continue
        if trend:
            for time in range(n):
                design[1, time] -= mean_year / n
        if not _solved(design, triangle, seen, n, found, least_tolerance):
            continue
        for time in range(n):
            rest += seen[time] ** 2
        out[pixel, 0], out[pixel, 2] = found[0], math.sqrt(rest / n)
        if trend:
            out[pixel, 1] = found[1]
        for wave in range((n_columns - trend) // 2):
            cosine, sine = found[1 + trend + 2 * wave], found[2 + trend + 2 * wave]
            amplitude = math.hypot(cosine, sine)
            out[pixel, 3 + 3 * wave] = amplitude
            if amplitude > _FAINT * largest:
                out[pixel, 4 + 3 * wave], out[pixel, 5 + 3 * wave] = sine / amplitude, cosine / amplitude
    return out


@compiled
def _times(one: NDArray[np.float64], other: NDArray[np.float64], n: int) -> float:
    total = 0.0
    for place in range(n):
        total += one[place] * other[place]
    return total


@compiled
def _less(one: NDArray[np.float64], share: float, other: NDArray[np.float64], n: int) -> None:
    """Takes a share of one row off another where it lies."""
    for place in range(n):
        one[place] -= share * other[place]


@compiled
def _solved(
    design: NDArray[np.float64],
    triangle: NDArray[np.float64],
    values: NDArray[np.float64],
    n: int,
    found: NDArray[np.float64],
    least_tolerance: float,
) -> bool:
    """Writes the least squares solution and leaves residuals in ``values``; False where columns say the same.

    Gram-Schmidt in the modified order (Björck 1967, doi:10.1007/BF01934122); a row of ``design`` is one column.
    """
    for column in range(len(design)):
        here = design[column]
        whole = _times(here, here, n)
        for before in range(column):
            triangle[before, column] = _times(design[before], here, n)
            _less(here, triangle[before, column], design[before], n)
        rest = _times(here, here, n)
        if not rest > least_tolerance * whole or rest == 0.0:
            return False
        length = triangle[column, column] = math.sqrt(rest)
        for place in range(n):
            here[place] /= length
        found[column] = _times(here, values, n)
        _less(values, found[column], here, n)
    for column in range(len(design) - 1, -1, -1):
        for after in range(column + 1, len(design)):
            found[column] -= triangle[column, after] * found[after]
        found[column] /= triangle[column, column]
    return True
