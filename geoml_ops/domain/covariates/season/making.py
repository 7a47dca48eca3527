"""The products of a season, what they can be told, and making them in pieces that stay in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Value
from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage
from geoml_ops.domain.covariates.season import harmonics, phenology, statistics

PIECE_NUMBERS = 2**21
"""Observations that are worked on together."""
_EPOCH = date(2000, 1, 1)
_GREATEST = float(np.finfo(np.float32).max)
_ANY, _POSITIVE, _CIRCLE = (-_GREATEST, _GREATEST), (0.0, _GREATEST), (-1.0, 1.0)
_OBSERVED = "over what was observed"
_HARMONIC = "Jakubauskas, Legates & Kastens 2001"
_TIMESAT = "Jönsson & Eklundh 2004, doi:10.1016/j.cageo.2004.05.006"
# A season reaches beyond its season year, by a year where no shorter gap is asked for.
_DAYS = (-365.0, 732.0)


class Options(Value):
    """What a season can be told.

    Attributes:
        order: waves of the harmonic fit: 1 a year, 2 a year, 3 a year.
        trend: whether the harmonic fit has a straight line in it.
        least_tolerance: share of each column of the harmonic design that the others before it must leave
            unexplained; with less the dates do not tell the waves apart and the fit is NaN.
        smooth_days: a wave of this period is smoothed to one half before seasons are looked for; 0 for no smoothing.
        threshold: share of the way from foot to top that is start and end of a season.
        start_month: first month of the season year: 1 where growth is highest in the middle of the calendar year,
            7 where that is around New Year.
        year: the season year, by the calendar year it begins in; None for the median over all.
        longest_gap_days: what is read off a longer stretch without observations is NaN.
        least_span_days: days that the observations of a season year must reach over.
        least_return: where the record ends before a foot is passed, the share of the other side's way that must be
            gone for the season to count as over (or as seen from its beginning).
        least_amplitude: seasons of less, in the unit of the series, have no dates.
        prominence: how far the curve must fall on both sides of a peak that counts as a cycle, in the unit of the
            series; the default is meant for a vegetation index.
    """

    order: int = Field(1, ge=1, le=harmonics.MOST_WAVES)
    trend: bool = False
    least_tolerance: float = Field(0.05, gt=0.0, lt=1.0)
    smooth_days: float = Field(30.0, ge=0.0, le=366.0)
    threshold: float = Field(0.2, gt=0.0, lt=1.0)
    start_month: int = Field(1, ge=1, le=12)
    year: int | None = Field(None, ge=1900, le=2200)
    longest_gap_days: float = Field(60.0, gt=0.0, le=366.0)
    least_span_days: float = Field(150.0, ge=0.0, le=366.0)
    least_return: float = Field(0.5, ge=0.0, le=1.0)
    least_amplitude: float = Field(0.0, ge=0.0)
    prominence: float = Field(0.1, gt=0.0)


def _statistics() -> dict[str, Product]:
    named = {
        "count": Product("1", (0.0, 1e6), _OBSERVED, "number of observations; 0 where there are none"),
        "mean": Product("as read", _ANY, _OBSERVED, "mean"),
        "std": Product("as read", _POSITIVE, _OBSERVED, "standard deviation, n - 1"),
        "min": Product("as read", _ANY, _OBSERVED, "least"),
        "max": Product("as read", _ANY, _OBSERVED, "greatest"),
        "median": Product("as read", _ANY, _OBSERVED, "median"),
    }
    for share in statistics.PERCENTILES:
        named[f"p{share:02}"] = Product("as read", _ANY, "Hyndman & Fan 1996, type 7", f"percentile {share}")
    return named


def _harmonics() -> dict[str, Product]:
    named = {
        "harmonic_mean": Product("as read", _ANY, _HARMONIC, "level of the fit on the mean date"),
        "harmonic_trend": Product("as read per year", _ANY, _HARMONIC, "straight line of the fit"),
        "harmonic_rms": Product("as read", _POSITIVE, _HARMONIC, "root mean square of what the fit leaves"),
    }
    for wave in range(1, harmonics.MOST_WAVES + 1):
        named[f"harmonic_amplitude{wave}"] = Product("as read", _POSITIVE, _HARMONIC, f"amplitude of wave {wave}")
        named[f"harmonic_sin{wave}"] = Product("1", _CIRCLE, _HARMONIC, f"sine of the phase of wave {wave}")
        named[f"harmonic_cos{wave}"] = Product("1", _CIRCLE, _HARMONIC, f"cosine of the phase of wave {wave}")
    return named


_PHENOLOGY = {
    "start": Product("day", _DAYS, _TIMESAT, "day of the season year on which the season starts"),
    "peak": Product("day", _DAYS, _TIMESAT, "day on which it is highest"),
    "end": Product("day", _DAYS, _TIMESAT, "day on which it ends"),
    "length": Product("day", (0.0, 732.0), _TIMESAT, "days from start to end"),
    "amplitude": Product("as read", _POSITIVE, _TIMESAT, "highest less base"),
    "base": Product("as read", _ANY, _TIMESAT, "mean of the lowest before and after"),
    "integral": Product("as read x day", _ANY, _TIMESAT, "area above base from start to end"),
    "greenup": Product("as read per day", _POSITIVE, _TIMESAT, "rate of rise from 20 to 80 % of the way"),
    "senescence": Product("as read per day", _POSITIVE, _TIMESAT, "rate of fall from 80 to 20 % of the way"),
    "cycles": Product("1", (0.0, 1e3), "prominent peaks", "peaks of the season year"),
    "peak_sin": Product("1", _CIRCLE, _TIMESAT, "sine of the peak's place in the calendar year"),
    "peak_cos": Product("1", _CIRCLE, _TIMESAT, "cosine of it"),
}
PRODUCTS: Mapping[str, Product] = {**_statistics(), **_harmonics(), **_PHENOLOGY}

Compute = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def make(stage: Stage, products: tuple[str, ...], options: Options) -> Made:
    """Returns the products of one feature's stack of dates.

    Raises:
        BadInput: there is not exactly one stack, or its dates cannot give what is asked for.
    """
    stack = _stack(stage)
    days = np.array([(day - _EPOCH).days for day in stage.dates], dtype=np.float64)
    made: Made = {}
    for columns, prefix, compute in _kinds(stage.dates, days, options, products):
        wanted = [column for column in columns if prefix + column in products]
        if wanted:
            layers = _in_pieces(stage, stack, compute(), [columns.index(column) for column in wanted])
            made.update({prefix + column: layer for column, layer in zip(wanted, layers, strict=True)})
    return {name: made[name] for name in products}


def _kinds(
    dates: Sequence[date], days: NDArray[np.float64], options: Options, products: Sequence[str]
) -> tuple[tuple[tuple[str, ...], str, Callable[[], Compute]], ...]:
    """Returns columns, what stands before their names, and how a function is got that computes them."""
    return (
        (statistics.COLUMNS, "", lambda: statistics.statistics),
        (harmonics.COLUMNS, "harmonic_", lambda: _fit(dates, days, options, products)),
        (phenology.COLUMNS, "", lambda: _seasons(dates, days, options)),
    )


def _fit(dates: Sequence[date], days: NDArray[np.float64], options: Options, products: Sequence[str]) -> Compute:
    beyond = [n for n in products if n.startswith("harmonic_") and n[-1].isdigit() and int(n[-1]) > options.order]
    if beyond:
        raise BadInput(f"A fit of order {options.order} has no {', '.join(beyond)}.", "raise the option `order`")
    if "harmonic_trend" in products and not options.trend:
        raise BadInput("A fit without a straight line has no harmonic_trend.", "set the option `trend`")
    least = harmonics.n_parameters(options.order, options.trend)
    if len(dates) < least:
        raise BadInput(
            f"A harmonic fit of {least} parameters cannot be made of {len(dates)} dates.",
            "track more scenes of this ground, or lower the option `order`",
        )
    order, trend, tolerance = options.order, options.trend, options.least_tolerance
    return lambda series: harmonics.harmonics(series, days, order=order, trend=trend, least_tolerance=tolerance)


def _seasons(dates: Sequence[date], days: NDArray[np.float64], options: Options) -> Compute:
    years = _season_years(dates, options)
    begins = np.array([(date(year, options.start_month, 1) - _EPOCH).days for year in years], dtype=np.float64)
    inside = [days[(days >= begin) & (days < after)] for begin, after in pairwise(begins)]
    if not any(len(d) >= phenology.LEAST_OBSERVATIONS and np.ptp(d) >= options.least_span_days for d in inside):
        most = max((len(d) for d in inside), default=0)
        raise BadInput(
            f"No season year that begins in month {options.start_month} has {phenology.LEAST_OBSERVATIONS} dates over "
            f"{options.least_span_days:g} days: of {len(dates)} dates from {dates[0]} to {dates[-1]} at most {most} "
            f"fall into {'one' if options.year is None else options.year}.",
            "track more scenes, change `start_month` or `year`, or lower `least_span_days`",
        )
    rules = phenology.Rules(
        smooth_days=options.smooth_days,
        threshold=options.threshold,
        longest_gap_days=options.longest_gap_days,
        least_span_days=options.least_span_days,
        least_return=options.least_return,
        least_amplitude=options.least_amplitude,
        prominence=options.prominence,
    )
    return lambda series: phenology.phenology(series, days, begins, rules)


def _season_years(dates: Sequence[date], options: Options) -> list[int]:
    """Returns the years that season years begin in, and the one after the last."""
    if options.year is not None:
        return [options.year, options.year + 1]
    first = dates[0].year - (dates[0].month < options.start_month)
    last = dates[-1].year - (dates[-1].month < options.start_month)
    return list(range(first, last + 2))


def _stack(stage: Stage) -> NDArray[Any]:
    if len(stage.stacks) != 1:
        raise BadInput(
            f"A season is made of one feature, not of {len(stage.stacks)}.", "name one feature in `of`; make one each"
        )
    stack = next(iter(stage.stacks.values()))
    around = 2 * stage.margin_px
    if stack.shape != (len(stage.dates), stage.grid.height + around, stage.grid.width + around):
        raise ValueError(f"a stack of {stack.shape} on {len(stage.dates)} dates and a grid of {stage.grid.shape}")
    if not stage.dates:
        raise BadInput("A season cannot be made of no dates.", "track scenes of this ground")
    if any(later <= earlier for earlier, later in pairwise(stage.dates)):
        raise ValueError("the dates of a stack ascend")
    return stack


def _in_pieces(stage: Stage, stack: NDArray[Any], compute: Compute, columns: list[int]) -> NDArray[np.float32]:
    """Returns ``(column, y, x)`` on the grid, computed from the series of a few rows at a time."""
    grid, margin = stage.grid, stage.margin_px
    out = np.empty((len(columns), *grid.shape), dtype=np.float32)
    rows = max(1, PIECE_NUMBERS // (len(stack) * grid.width))
    for row in range(0, grid.height, rows):
        top, bottom = margin + row, margin + min(row + rows, grid.height)
        piece = stack[:, top:bottom, margin : margin + grid.width]
        series = np.ascontiguousarray(piece.reshape(len(stack), -1).T, dtype=np.float32)
        found = compute(series)[:, columns]
        out[:, row : row + rows] = found.T.reshape(len(columns), -1, grid.width)
    return out


def margin_px(options: Options, pixel_m: float) -> int:
    """Returns 0: every pixel's season is its own."""
    return 0


RECIPE = Recipe("stack", PRODUCTS, Options, margin_px, make)
