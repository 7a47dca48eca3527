"""Seasons of each pixel: when the curve rises, is highest and falls, how much and how fast.

The curve is the smoothed series, straight from one observation to the next. A season belongs to the season year in
which it is highest. Its feet are the lowest observations on either side of that day, before any that is higher and
within nine months, which holds one valley of a yearly course. It starts where the curve last rises, and ends where it
first falls, through a share of the way from foot to top (Jönsson & Eklundh 2004, doi:10.1016/j.cageo.2004.05.006).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled
from geoml_ops.domain.covariates.season.curves import area, crossing, foot, peaks, vertex
from geoml_ops.domain.covariates.season.harmonics import YEAR_DAYS
from geoml_ops.domain.covariates.season.smoothing import smooth

COLUMNS = (
    "start",
    "peak",
    "end",
    "length",
    "amplitude",
    "base",
    "integral",
    "greenup",
    "senescence",
    "cycles",
    "peak_sin",
    "peak_cos",
)
LEAST_OBSERVATIONS = 3
#: Less than this share of the largest number is rounding of single precision, not a season.
_FAINT = 1e-6


class Rules(NamedTuple):
    """When a rise and fall is a season.

    Attributes:
        smooth_days: waves of this period are smoothed to one half; 0 for none.
        threshold: share of the way from foot to top that is start and end.
        longest_gap_days: what is read off a longer stretch without observations is NaN.
        least_span_days: observations of a season year reach at least this far, or it is not looked at.
        least_return: share of the other side's way that a side must have gone where the record ends on its foot.
        least_amplitude: seasons of less have no dates.
        prominence: how far the curve falls on both sides of a peak that counts as a cycle.
    """

    smooth_days: float
    threshold: float
    longest_gap_days: float
    least_span_days: float
    least_return: float
    least_amplitude: float
    prominence: float


@compiled
def phenology(
    series: NDArray[np.float32], days: NDArray[np.float64], begins: NDArray[np.float64], rules: Rules
) -> NDArray[np.float32]:
    """Returns ``(pixel, column)`` of :data:`COLUMNS` for ``(pixel, time)``; what is not finite was not observed.

    Of several season years the median of each column is taken over those that have a number, and the mean direction
    of the peak. Days count from 1 on the first day of the season year; they may be less than 1 or beyond its end.

    Args:
        series: the numbers.
        days: ``(time,)`` since 1 January 2000, ascending, no two alike.
        begins: ``(year + 1,)`` first days of season years, and the day after the last one.
        rules: when a rise and fall is a season.
    """
    n_pixels, n_times = series.shape
    n_years, n_columns = len(begins) - 1, len(COLUMNS)
    out = np.full((n_pixels, n_columns), np.nan, dtype=np.float32)
    seen, when = np.empty(n_times), np.empty(n_times)
    found, known = np.empty((n_years, n_columns)), np.empty(n_years)
    for pixel in range(n_pixels):
        n = 0
        for time in range(n_times):
            if np.isfinite(series[pixel, time]):
                seen[n], when[n] = series[pixel, time], days[time]
                n += 1
        if n < LEAST_OBSERVATIONS:
            continue
        curve = smooth(when[:n], seen[:n], rules.smooth_days)
        found[:] = np.nan
        for year in range(n_years):
            _season_year(when[:n], curve, begins[year], begins[year + 1], rules, found[year])
        for column in range(n_columns):
            n_known, total = 0, 0.0
            for year in range(n_years):
                if not np.isnan(found[year, column]):
                    known[n_known] = found[year, column]
                    total += known[n_known]
                    n_known += 1
            if n_known:
                out[pixel, column] = total if column >= n_columns - 2 else _median(known, n_known)
        length = math.hypot(out[pixel, n_columns - 2], out[pixel, n_columns - 1])
        for column in range(n_columns - 2, n_columns):
            out[pixel, column] = out[pixel, column] / length if length > _FAINT else np.nan
    return out


@compiled
def _median(known: NDArray[np.float64], n: int) -> float:
    """Returns the median of the first ``n`` numbers, which are put in order where they lie."""
    for place in range(1, n):
        here, number = place, known[place]
        while here > 0 and known[here - 1] > number:
            known[here] = known[here - 1]
            here -= 1
        known[here] = number
    return float((known[(n - 1) // 2] + known[n // 2]) / 2.0)


@compiled
def _season_year(
    when: NDArray[np.float64],
    curve: NDArray[np.float64],
    begin: float,
    after: float,
    rules: Rules,
    out: NDArray[np.float64],
) -> None:
    """Writes the columns of one season year, from ``begin`` to before ``after``; NaN stays where nothing is known."""
    first, last = 0, len(when) - 1
    while first < len(when) and when[first] < begin:
        first += 1
    while last >= 0 and when[last] >= after:
        last -= 1
    if last - first + 1 < LEAST_OBSERVATIONS or when[last] - when[first] < rules.least_span_days:
        return
    low = high = curve[first]
    total, gap = low, 0.0
    for place in range(first + 1, last + 1):
        low, high, total = min(low, curve[place]), max(high, curve[place]), total + curve[place]
        gap = max(gap, when[place] - when[place - 1])
    faint = _FAINT * max(abs(low), abs(high))
    highest, n_cycles = peaks(curve, first, last, max(rules.prominence, faint), faint)
    # Where the record begins or ends higher than any peak, the year's top was not observed.
    edge = max(curve[0] if first == 0 else low, curve[-1] if last == len(curve) - 1 else low)
    if edge - low > faint and (highest < 0 or edge > curve[highest]):
        return
    if gap <= rules.longest_gap_days:
        out[9] = n_cycles
    if highest >= 0:
        _season(when, curve, highest, rules, out)
        for column in range(3):
            out[column] += 1.0 - begin
    elif gap <= rules.longest_gap_days and high - low <= faint:
        out[4], out[5] = 0.0, total / (last - first + 1)


@compiled
def _season(
    when: NDArray[np.float64], curve: NDArray[np.float64], top: int, rules: Rules, out: NDArray[np.float64]
) -> None:
    """Writes the columns of the season whose top begins at an observation; days as they are counted in ``when``."""
    end_of_top = top
    while curve[end_of_top + 1] == curve[top]:
        end_of_top += 1
    for place in range(top, end_of_top + 2):
        if when[place] - when[place - 1] > rules.longest_gap_days:
            return
    before, beyond = foot(when, curve, top, -1), foot(when, curve, end_of_top, 1)
    rise, fall = curve[top] - curve[before], curve[top] - curve[beyond]
    begun = before > 0 or rise >= rules.least_return * fall
    ended = beyond < len(curve) - 1 or fall >= rules.least_return * rise
    base = (curve[before] + curve[beyond]) / 2.0
    if begun and ended:
        out[4], out[5] = curve[top] - base, base
    if (out[4] if begun and ended else max(rise, fall)) < rules.least_amplitude:
        return
    peak = vertex(when, curve, top) if top == end_of_top else (when[top] + when[end_of_top]) / 2.0
    # A steep fall may draw the top of the parabola before the start, and the other way round.
    if begun:
        out[0], out[7] = _side(when, curve, top, before, rules)
        peak = out[0] if out[0] > peak else peak
    if ended:
        out[2], out[8] = _side(when, curve, end_of_top, beyond, rules)
        peak = out[2] if out[2] < peak else peak
    out[1], out[3] = peak, out[2] - out[0]
    angle = 2.0 * math.pi * peak / YEAR_DAYS
    out[10], out[11] = math.sin(angle), math.cos(angle)
    if not np.isnan(out[3]):
        out[6] = area(when, curve, out[0], out[2]) - base * out[3]


@compiled
def _side(
    when: NDArray[np.float64], curve: NDArray[np.float64], top: int, foot: int, rules: Rules
) -> tuple[float, float]:
    """Returns the day on which the season starts or ends on a side, and the rate between 20 and 80 % of the way."""
    low, way, gap = curve[foot], curve[top] - curve[foot], rules.longest_gap_days
    high_day = crossing(when, curve, top, foot, low + 0.8 * way, gap)
    low_day = crossing(when, curve, top, foot, low + 0.2 * way, gap)
    return crossing(when, curve, top, foot, low + rules.threshold * way, gap), 0.6 * way / abs(high_day - low_day)
