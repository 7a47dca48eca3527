"""Seasons whose start, peak and end are known, and fits against numpy and scipy."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.interpolate import make_smoothing_spline
from scipy.signal import find_peaks

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates.recipe import Stage
from geoml_ops.domain.covariates.season import PRODUCTS, RECIPE, Options, make, margin_px
from geoml_ops.domain.covariates.season import making as making_of_season
from geoml_ops.domain.covariates.season.smoothing import smooth

NEW_YEAR = date(2021, 1, 1)
PHENOLOGY = (
    "start", "peak", "end", "length", "amplitude", "base", "integral", "greenup", "senescence", "cycles", "peak_sin",
    "peak_cos",
)  # fmt: skip
STATISTICS = ("count", "mean", "std", "min", "max", "median", "p05", "p10", "p25", "p75", "p90", "p95")
FIT = ("harmonic_mean", "harmonic_rms", "harmonic_amplitude1", "harmonic_sin1", "harmonic_cos1")
EXACT = {"smooth_days": 0.0}
YEAR = 365.2425


def stage_of(days: Sequence[int], layers: np.ndarray, first: date = NEW_YEAR, margin: int = 0) -> Stage:
    """A stack of layers on days after a first one."""
    height, width = (n - 2 * margin for n in layers.shape[1:])
    grid = Grid(crs="EPSG:32632", left=5e5, top=5e6, pixel_m=10.0, width=width, height=height)
    dates = tuple(first + timedelta(int(day)) for day in days)
    return Stage(grid, margin, dates=dates, stacks={"NDVI": layers.astype(np.float32)})


def made(days: Sequence[int], series: Any, *products: str, first: date = NEW_YEAR, **asked: Any) -> dict[str, Any]:
    """Products by name; numbers for a series ``(time,)``, rows for ``(pixel, time)``."""
    series = np.asarray(series, dtype=np.float64)
    layers = np.atleast_2d(series).T[:, None, :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = make(stage_of(days, layers, first), products, Options(**asked))
    assert all(layer.dtype == np.float32 and layer.shape == (1, layers.shape[2]) for layer in found.values())
    return {name: float(layer[0, 0]) if series.ndim == 1 else layer[0] for name, layer in found.items()}


def irregular(seed: int, n: int = 36, length: int = 365) -> np.ndarray:
    """Days that are not equally far apart, both ends among them, no two more than 60 days apart."""
    rng = np.random.default_rng(seed)
    while True:
        days = np.unique([0, length - 1, *rng.choice(length, n - 2, replace=False)])
        if np.diff(days).max() < 40:
            return np.asarray(days)


def hill(day: Any, rise: float, fall: float, width: float = 8.0, base: float = 0.2, height: float = 0.6) -> Any:
    """A double logistic: half way up on the day ``rise``, half way down on the day ``fall``."""
    up, down = ((1 / (1 + np.exp(-(np.asarray(day, float) - at) / width))) for at in (rise, fall))
    return base + height * (up - down)


# --- statistics ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.floats(0.0, 0.9))
def test_statistics_are_those_of_numpy_over_what_was_observed(seed: int, n: int, gone: float) -> None:
    rng = np.random.default_rng(seed)
    series = rng.normal(0.4, 0.2, (12, n)).astype(np.float32)
    series[rng.random(series.shape) < gone] = np.nan
    found = made(range(n), series, *STATISTICS)
    for pixel, numbers in enumerate(series.astype(np.float64)):
        seen = numbers[~np.isnan(numbers)]
        assert found["count"][pixel] == len(seen)
        if not len(seen):
            assert all(np.isnan(found[name][pixel]) for name in STATISTICS[1:])
            continue
        expected = {"mean": seen.mean(), "min": seen.min(), "max": seen.max(), "median": np.median(seen)}
        expected |= {f"p{p:02}": np.percentile(seen, p) for p in (5, 10, 25, 75, 90, 95)}
        expected["std"] = seen.std(ddof=1) if len(seen) > 1 else math.nan
        for name, number in expected.items():
            assert found[name][pixel] == pytest.approx(number, rel=1e-5, abs=1e-7, nan_ok=True), name


def test_statistics_know_no_interpolated_winter() -> None:
    """Eight summer scenes and one in winter: the mean is theirs, not that of a curve through the gap."""
    found = made([0, *range(150, 230, 10)], [0.0, *[0.8] * 8], "mean", "count")
    assert found["mean"] == pytest.approx(0.8 * 8 / 9)
    assert found["count"] == 9


# --- harmonics -----------------------------------------------------------------------------------


def wave(days: Any, first: date, mean: float, waves: Sequence[tuple[float, float]], trend: float = 0.0) -> Any:
    """A mean, waves of amplitude and phase, and a trend per year around the mean date."""
    time = np.asarray(days, float) + (first - date(2000, 1, 1)).days
    angle = 2 * np.pi * time / YEAR
    parts = [a * np.cos(k * angle - phase) for k, (a, phase) in enumerate(waves, 1)]
    return mean + trend * (time - time.mean()) / YEAR + np.sum(parts, axis=0)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 3),
    st.booleans(),
    st.lists(st.tuples(st.floats(0.05, 0.4), st.floats(-3.1, 3.1)), min_size=3, max_size=3),
)
def test_harmonics_of_irregular_dates_are_found_again(
    seed: int, order: int, trend: bool, waves: list[tuple[float, float]]
) -> None:
    days, slope = irregular(seed, 60, 730), 0.07 if trend else 0.0
    series = wave(days, NEW_YEAR, 0.4, waves[:order], slope)
    names = ["harmonic_mean", "harmonic_rms", *(["harmonic_trend"] if trend else [])]
    names += [f"harmonic_{what}{k}" for k in range(1, order + 1) for what in ("amplitude", "sin", "cos")]
    found = made(days, series, *names, order=order, trend=trend)
    assert found["harmonic_mean"] == pytest.approx(0.4, abs=1e-5)
    assert found["harmonic_rms"] == pytest.approx(0.0, abs=1e-6)
    assert found.get("harmonic_trend", 0.0) == pytest.approx(slope, abs=1e-5)
    for k, (amplitude, phase) in enumerate(waves[:order], 1):
        assert found[f"harmonic_amplitude{k}"] == pytest.approx(amplitude, abs=1e-5)
        assert found[f"harmonic_sin{k}"] == pytest.approx(math.sin(phase), abs=1e-4)
        assert found[f"harmonic_cos{k}"] == pytest.approx(math.cos(phase), abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.booleans())
def test_a_fit_of_noise_is_the_least_squares_of_numpy(seed: int, order: int, trend: bool) -> None:
    rng = np.random.default_rng(seed)
    days, series = irregular(seed, 45, 600), rng.normal(0.3, 0.2, 45)[: len(irregular(seed, 45, 600))]
    gone = rng.random(len(days)) < 0.2
    series = np.where(gone, np.nan, series)
    seen, time = series[~gone].astype(np.float32).astype(float), (days + 7671.0)[~gone]
    columns = [np.ones_like(time), *([(time - time.mean()) / YEAR] if trend else [])]
    for k in range(1, order + 1):
        columns += [np.cos(2 * np.pi * k * time / YEAR), np.sin(2 * np.pi * k * time / YEAR)]
    solution = np.linalg.lstsq(np.stack(columns, 1), seen, rcond=None)[0]
    rest = seen - np.stack(columns, 1) @ solution
    found = made(days, series, "harmonic_mean", "harmonic_rms", f"harmonic_amplitude{order}", order=order, trend=trend)
    assert found["harmonic_mean"] == pytest.approx(solution[0], abs=1e-5)
    assert found["harmonic_rms"] == pytest.approx(math.sqrt((rest**2).mean()), abs=1e-5)
    assert found[f"harmonic_amplitude{order}"] == pytest.approx(math.hypot(*solution[-2:]), abs=1e-5)


def test_a_fit_needs_as_many_observations_as_parameters_and_dates_that_tell_them_apart() -> None:
    days = [10, 120, 240, 300, 350]
    exact = wave(days, NEW_YEAR, 0.5, [(0.2, 1.0)])
    for gone, fits in ((0, True), (2, True), (3, False), (5, False)):
        found = made(days, np.where(np.arange(5) < gone, np.nan, exact), *FIT)
        assert np.isfinite(found["harmonic_mean"]) == fits
        assert np.isfinite(found["harmonic_amplitude1"]) == fits
    summer = np.arange(160, 230, 5)
    assert np.isnan(made(summer, wave(summer, NEW_YEAR, 0.5, [(0.2, 1.0)]), *FIT)["harmonic_mean"])
    spring_to_autumn = np.arange(60, 300, 10)
    series = wave(spring_to_autumn, NEW_YEAR, 0.5, [(0.2, 1.0)])
    assert made(spring_to_autumn, series, *FIT)["harmonic_amplitude1"] == pytest.approx(0.2, abs=1e-5)


def test_a_constant_has_no_phase() -> None:
    found = made(irregular(1), np.full(len(irregular(1)), 0.3), *FIT)
    assert found["harmonic_mean"] == pytest.approx(0.3)
    assert found["harmonic_amplitude1"] == pytest.approx(0.0, abs=1e-7)
    assert np.isnan(found["harmonic_sin1"])


def test_the_phase_says_when_the_wave_is_highest() -> None:
    days = irregular(2, 50, 365)
    series = 0.4 + 0.3 * np.cos(2 * np.pi * (days - 196) / YEAR)
    found = made(days, series, *FIT)
    day = math.atan2(found["harmonic_sin1"], found["harmonic_cos1"]) * YEAR / (2 * np.pi) % YEAR
    assert day == pytest.approx(196, abs=1.0), "days of the calendar drift by less than a day in leap years"


# --- the smooth curve ----------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 60), st.floats(1.0, 200.0))
def test_the_curve_is_the_smoothing_spline_of_scipy(seed: int, n: int, period: float) -> None:
    rng = np.random.default_rng(seed)
    days = np.sort(rng.choice(700, n, replace=False)).astype(np.float64)
    values = rng.standard_normal(n)
    penalty = (period / (2 * np.pi)) ** 4 * (n - 1) / np.ptp(days)
    expected = make_smoothing_spline(days, values, lam=penalty)(days)
    np.testing.assert_allclose(smooth(days, values, period), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("wave_days", "left", "step"),
    [(30.0, 0.5, 1.0), (30.0, 0.5, 2.5), (60.0, 16 / 17, 1.0), (60.0, 16 / 17, 5.0), (15.0, 1 / 17, 1.0)],
)
def test_of_a_wave_of_the_period_one_half_is_left(wave_days: float, left: float, step: float) -> None:
    days = np.arange(0.0, 600.0, step)
    found = smooth(days, np.sin(2 * np.pi * days / wave_days), 30.0)
    inner = (days > 150) & (days < 450)
    assert np.ptp(found[inner]) / 2 == pytest.approx(left, rel=0.05)


def test_a_line_stays_and_few_numbers_stay() -> None:
    days = irregular(3).astype(np.float64)
    np.testing.assert_allclose(smooth(days, 0.01 * days + 2, 90.0), 0.01 * days + 2)
    assert smooth(days[:2], np.array([1.0, 5.0]), 90.0).tolist() == [1.0, 5.0]
    assert smooth(days[:3], np.array([1.0, 5.0, 2.0]), 0.0).tolist() == [1.0, 5.0, 2.0]


# --- seasons with known answers ------------------------------------------------------------------


def test_a_triangle_has_numbers_that_can_be_read_off() -> None:
    """0.2 on day 1, 0.8 on day 201, 0.2 on day 301, and level to the end."""
    days = [0, 50, 110, 170, 200, 240, 270, 300, 330, 364]
    found = made(days, np.interp(days, [0, 200, 300, 364], [0.2, 0.8, 0.2, 0.2]), *PHENOLOGY, **EXACT)
    assert found["start"] == pytest.approx(41.0, abs=1e-3), "20 % of the way up: 40 days after day 1"
    assert found["end"] == pytest.approx(281.0, abs=1e-3)
    assert found["length"] == pytest.approx(240.0, abs=1e-3)
    assert found["amplitude"] == pytest.approx(0.6)
    assert found["base"] == pytest.approx(0.2)
    assert found["greenup"] == pytest.approx(0.6 / 200)
    assert found["senescence"] == pytest.approx(0.6 / 100)
    assert found["integral"] == pytest.approx(0.5 * 300 * 0.6 - 0.5 * 0.12 * (40 + 20), rel=1e-5)
    assert found["cycles"] == 1
    assert 185 <= found["peak"] <= 221
    half = made(days, np.interp(days, [0, 200, 300, 364], [0.2, 0.8, 0.2, 0.2]), "start", "end", threshold=0.5, **EXACT)
    assert (half["start"], half["end"]) == pytest.approx((101.0, 251.0), abs=1e-3)


def test_feet_may_lie_at_different_levels() -> None:
    days = [0, 100, 200, 300, 364]
    found = made(days, [0.0, 0.5, 1.0, 0.4, 0.4], "start", "end", "base", "amplitude", longest_gap_days=120.0, **EXACT)
    assert found["start"] == pytest.approx(1 + 40)
    assert found["end"] == pytest.approx(1 + 280)
    assert found["base"] == pytest.approx(0.2)
    assert found["amplitude"] == pytest.approx(0.8)


@pytest.mark.parametrize("smooth_days", [0.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_half_ways_of_a_double_logistic_are_found(seed: int, smooth_days: float) -> None:
    days = irregular(seed, 50)
    found = made(days, hill(days, 120, 270), *PHENOLOGY, threshold=0.5, smooth_days=smooth_days)
    assert found["start"] == pytest.approx(121, abs=3)
    assert found["end"] == pytest.approx(271, abs=3)
    assert found["amplitude"] == pytest.approx(0.6, abs=0.02)
    assert found["base"] == pytest.approx(0.2, abs=0.02)
    assert found["integral"] == pytest.approx(0.6 * 150 - 2 * 0.6 * 8 * math.log(2), rel=0.03)
    assert found["cycles"] == 1
    fifth = made(days, hill(days, 120, 270), "start", "end", smooth_days=smooth_days)
    assert fifth["start"] == pytest.approx(121 - 8 * math.log(4), abs=4)
    assert fifth["end"] == pytest.approx(271 + 8 * math.log(4), abs=4)


@pytest.mark.parametrize("seed", range(3))
def test_a_harmonic_year_has_its_peak_and_length(seed: int) -> None:
    days = irregular(seed, 60)
    series = 0.5 + 0.3 * np.cos(2 * np.pi * (days - 182) / 365)
    found = made(days, series, *PHENOLOGY, threshold=0.5)
    assert found["peak"] == pytest.approx(183, abs=3)
    assert found["start"] == pytest.approx(183 - 91.25, abs=2)
    assert found["length"] == pytest.approx(182.5, abs=3)
    assert found["integral"] == pytest.approx(0.3 * 182.5 + 2 * 0.3 * 365 / (2 * np.pi), rel=0.02)
    assert math.atan2(found["peak_sin"], found["peak_cos"]) % (2 * np.pi) == pytest.approx(np.pi, abs=0.07)
    # From 20 to 80 % of the way of a cosine takes acos(-0.6) - acos(0.6) of the circle.
    assert found["greenup"] == pytest.approx(0.36 / (365 * (math.acos(-0.6) - math.acos(0.6)) / (2 * np.pi)), rel=0.05)
    assert found["senescence"] == pytest.approx(found["greenup"], rel=0.05)


def test_two_cycles_are_two() -> None:
    days = np.arange(0, 365, 8)
    series = hill(days, 60, 130) + 0.8 * (hill(days, 210, 290) - 0.2)
    found = made(days, series, "cycles", "peak", "start", "end", threshold=0.5)
    assert found["cycles"] == 2
    assert found["start"] == pytest.approx(61, abs=2), "the higher one is the season"
    assert found["end"] == pytest.approx(131, abs=2)
    assert found["start"] < found["peak"] < found["end"]
    assert made(days, series, "cycles", prominence=0.7)["cycles"] == 0
    assert made(days, series, "cycles", prominence=0.5)["cycles"] == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 1.5), st.booleans())
def test_cycles_are_the_prominent_peaks_of_scipy(seed: int, prominence: float, steps: bool) -> None:
    rng = np.random.default_rng(seed)
    days = irregular(seed, 45)
    series = rng.standard_normal(len(days)).astype(np.float32)
    series = np.round(series * 2) / 2 if steps else series
    expected: float = len(find_peaks(series.astype(np.float64), prominence=prominence)[0])
    if max(series[0], series[-1]) > series[1:-1].max():
        expected = pytest.approx(math.nan, nan_ok=True)
    assert made(days, series, "cycles", prominence=prominence, **EXACT)["cycles"] == expected


# --- years ---------------------------------------------------------------------------------------


def test_a_season_over_new_year_is_one() -> None:
    """Growth from October to March: in season years from July the same days as in the north."""
    first, days = date(2020, 7, 1), np.arange(0, 365, 7)
    series = hill(days, 100, 260)
    south = made(days, series, *PHENOLOGY, first=first, start_month=7)
    north = made(days, series, *PHENOLOGY, first=NEW_YEAR)
    for name in set(PHENOLOGY) - {"peak_sin", "peak_cos"}:
        assert south[name] == pytest.approx(north[name], rel=1e-5), name
    day = math.atan2(south["peak_sin"], south["peak_cos"]) * YEAR / (2 * np.pi) % YEAR
    assert day == pytest.approx((180 - 184) % YEAR, abs=3), "29 December, a few days before New Year"
    assert made(days, series, "peak", first=first, start_month=7, year=2020) == {"peak": pytest.approx(south["peak"])}


def test_a_season_may_begin_before_its_year() -> None:
    """Highest in February: start and end are where they are, though the record is cut at New Year."""
    days = np.arange(0, 1095, 10)
    series = sum(hill(days, at - 80, at + 80, base=0.0) for at in (40, 405, 770, 1135)) + 0.2
    found = made(days, series, "start", "end", "peak", threshold=0.5, year=2022)
    assert found["start"] == pytest.approx(41 - 80, abs=3)
    assert found["end"] == pytest.approx(41 + 80, abs=3)
    assert found["peak"] == pytest.approx(41, abs=12)


def test_of_several_years_the_median_is_taken_and_one_can_be_named() -> None:
    days = np.arange(0, 3 * 365, 6)
    series = sum(hill(days, 365 * k + rise, 365 * k + 270, base=0.0) for k, rise in enumerate((100, 110, 150))) + 0.2
    found = [made(days, series, "start", threshold=0.5, year=year)["start"] for year in (2021, 2022, 2023)]
    assert found == pytest.approx([101, 111, 151], abs=3)
    assert made(days, series, "start", threshold=0.5)["start"] == pytest.approx(found[1], abs=1e-3)


def test_the_direction_of_the_peak_is_a_mean_of_directions() -> None:
    """Peaks just before and just after New Year: their mean lies at New Year, not in summer."""
    days = np.arange(0, 4 * 365, 6)
    series = sum(hill(days, at - 60, at + 60, base=0.0) for at in (-10, 355, 742, 1085, 1470)) + 0.2
    found = made(days, series, "peak_sin", "peak_cos", start_month=7)
    assert found["peak_cos"] > 0.97
    assert math.hypot(found["peak_sin"], found["peak_cos"]) == pytest.approx(1.0, abs=1e-6)


# --- gaps ----------------------------------------------------------------------------------------


def gapped(begin: int, end: int, **asked: Any) -> dict[str, Any]:
    days = np.array([day for day in range(0, 365, 6) if not begin < day < end])
    return made(days, hill(days, 120, 270), *PHENOLOGY, **{"threshold": 0.5, **EXACT, **asked})


def test_a_gap_takes_what_would_be_read_off_it() -> None:
    whole = gapped(0, 0)
    assert not any(math.isnan(number) for number in whole.values())
    spring, summer, autumn, winter = gapped(80, 160), gapped(150, 240), gapped(230, 310), gapped(0, 90)

    def lost(found: dict[str, Any]) -> set[str]:
        return {name for name, number in found.items() if math.isnan(number)}

    assert lost(spring) == {"start", "length", "integral", "greenup", "cycles"}
    assert lost(autumn) == {"end", "length", "integral", "senescence", "cycles"}
    assert lost(summer) == set(PHENOLOGY)
    assert lost(winter) == {"cycles"}, "days on which nothing grows are not needed"
    for name in ("end", "amplitude", "base", "senescence"):
        assert spring[name] == pytest.approx(whole[name], rel=0.02)
    assert lost(gapped(80, 160, longest_gap_days=90.0)) == set()


@pytest.mark.parametrize(("last_day", "known"), [(364, True), (330, True), (240, False), (262, False)])
def test_a_season_that_is_not_over_has_no_end(last_day: int, known: bool) -> None:
    days = np.arange(0, last_day + 1, 6)
    found = made(days, hill(days, 120, 270), *PHENOLOGY, **EXACT)
    assert {name: math.isfinite(found[name]) for name in ("end", "length", "integral", "amplitude")} == dict.fromkeys(
        ("end", "length", "integral", "amplitude"), known
    )
    assert found["start"] == pytest.approx(121 - 8 * math.log(4), abs=3)


def test_a_season_that_had_begun_has_no_start() -> None:
    days = np.arange(140, 360, 6)
    found = made(days, hill(days, 120, 270), *PHENOLOGY, **EXACT)
    assert math.isnan(found["start"])
    assert found["end"] == pytest.approx(271 + 8 * math.log(4), abs=3)


@pytest.mark.parametrize(("first", "begun"), [(0.5, True), (0.45, False)])
def test_a_low_foot_counts_once_it_was_passed(first: float, begun: bool) -> None:
    """The rise is a third of the fall: a season from its beginning only where a foot was seen before it."""
    days = [0, 50, 100, 150, 200, 250, 300, 350]
    found = made(days, [first, 0.45 if begun else 0.5, 0.5, 0.6, 0.4, 0.2, 0.15, 0.15], *PHENOLOGY, **EXACT)
    assert math.isfinite(found["start"]) == begun
    assert math.isfinite(found["amplitude"]) == begun
    assert math.isfinite(found["end"])


def test_nothing_observed_is_nothing() -> None:
    days = irregular(5)
    rows = np.full((5, len(days)), np.nan)
    rows[1, 3], rows[2, [3, 9]], rows[3], rows[4, ::2] = 0.5, 0.4, np.inf, -np.inf
    found = made(days, rows, *STATISTICS, *FIT, *PHENOLOGY)
    assert found["count"].tolist() == [0, 1, 2, 0, 0]
    assert found["mean"][1] == 0.5
    for name, layer in found.items():
        assert np.isnan(layer[[0, 3, 4]]).all() or name == "count", name
    for name in (*FIT, *PHENOLOGY):
        assert np.isnan(found[name]).all(), name


@pytest.mark.parametrize("level", [0.0, 0.3, -12.0, 5000.0])
@pytest.mark.parametrize("smooth_days", [0.0, 30.0])
def test_what_does_not_change_has_no_season(level: float, smooth_days: float) -> None:
    days = irregular(6)
    found = made(days, np.full(len(days), level), *PHENOLOGY, smooth_days=smooth_days)
    assert found["amplitude"] == 0
    assert found["base"] == pytest.approx(level, rel=1e-6)
    assert found["cycles"] == 0
    assert all(
        math.isnan(found[name]) for name in ("start", "peak", "end", "length", "integral", "greenup", "peak_sin")
    )


def test_what_only_rises_has_no_season() -> None:
    days = irregular(7)
    for series in (days / 365, -days / 365):
        assert all(math.isnan(number) for number in made(days, series, *PHENOLOGY).values())


def test_a_year_whose_top_was_not_observed_is_not_judged_by_a_bump() -> None:
    """Two years and a spring, with a mild week in the last winter: the third year has no season, the others count."""
    days = np.array([*range(0, 730, 6), *range(730, 900, 6)])
    series = sum(hill(days, 365 * k + 120, 365 * k + 270, base=0.0) for k in range(3)) + 0.2
    series[(days > 750) & (days < 775)] += 0.05
    third = made(days, series, *PHENOLOGY, year=2023)
    assert all(math.isnan(number) for number in third.values())
    assert made(days, series, "start", threshold=0.5)["start"] == pytest.approx(121, abs=2)


def test_a_bump_before_a_higher_season_stays_a_bump() -> None:
    """The highest of its year, but not of the slope it stands on: its foot is the dip behind it, not next summer."""
    days = np.arange(0, 730, 6)
    series = hill(days, 330, 480, base=0.3, width=20.0) + 0.25 * np.exp(-(((days - 270) / 12) ** 2))
    found = made(days, series, *PHENOLOGY, year=2021)
    assert found["peak"] == pytest.approx(271, abs=6)
    assert found["end"] < 310
    assert found["amplitude"] < 0.3


def test_small_seasons_can_be_left_without_dates() -> None:
    days = irregular(8, 50)
    found = made(days, hill(days, 120, 270, height=0.1), *PHENOLOGY, least_amplitude=0.15)
    assert found["amplitude"] == pytest.approx(0.1, abs=0.01)
    assert math.isnan(found["start"])
    assert math.isnan(found["peak"])


# --- what must not matter ------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(-400, 900), min_size=1, max_size=12, unique=True))
def test_dates_without_observations_change_nothing(seed: int, more: list[int]) -> None:
    rng = np.random.default_rng(seed)
    days = irregular(seed)
    series = (hill(days, 120, 270) + rng.normal(0, 0.05, len(days))).astype(np.float32)
    names = (*STATISTICS, *FIT, "harmonic_trend", *PHENOLOGY)
    alone = made(days, series, *names, trend=True)
    every = np.union1d(days, more)
    padded = np.full(len(every), np.nan)
    padded[np.searchsorted(every, days)] = series
    found = made(every, padded, *names, trend=True)
    assert {n: v for n, v in found.items() if not math.isnan(v)} == {
        n: v for n, v in alone.items() if not math.isnan(v)
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 30.0]), st.sampled_from([0.25, 8.0]), st.sampled_from([-3.0, 0.0]))
def test_scale_and_level_move_amounts_but_no_dates(seed: int, smooth_days: float, scale: float, level: float) -> None:
    rng = np.random.default_rng(seed)
    days = irregular(seed)
    series = hill(days, 120, 270) + rng.normal(0, 0.03, len(days))
    series = np.round(series * 4096) / 4096
    asked = {"smooth_days": smooth_days}
    before = made(days, series, *PHENOLOGY, **asked)
    after = made(days, series * scale + level, *PHENOLOGY, prominence=0.1 * scale, **asked)
    for name in PHENOLOGY:
        factor = scale if name in ("amplitude", "base", "integral", "greenup", "senescence") else 1.0
        moved = level if name == "base" else 0.0
        assert after[name] == pytest.approx(before[name] * factor + moved, rel=1e-3, abs=1e-4, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 30.0]))
def test_time_turned_round_turns_start_and_end(seed: int, smooth_days: float) -> None:
    rng = np.random.default_rng(seed)
    days = irregular(seed, 40, 364) + 0
    series = hill(days, 110, 250) + rng.normal(0, 0.05, len(days))
    ours = made(days, series, *PHENOLOGY, smooth_days=smooth_days)
    turned = made((363 - days)[::-1], series[::-1], *PHENOLOGY, smooth_days=smooth_days)
    for there, back in (("start", "end"), ("end", "start"), ("peak", "peak")):
        assert turned[back] == pytest.approx(365 - ours[there], abs=0.01, nan_ok=True)
    for there, back in (("greenup", "senescence"), ("senescence", "greenup"), ("integral", "integral")):
        assert turned[back] == pytest.approx(ours[there], rel=1e-3, abs=1e-6, nan_ok=True)
    for name in ("amplitude", "base", "cycles", "length"):
        assert turned[name] == pytest.approx(ours[name], rel=1e-3, abs=1e-4, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 40), st.floats(0.0, 0.6), st.sampled_from([0.0, 30.0, 120.0]))
def test_numbers_stay_in_their_ranges_and_in_order(seed: int, n: int, gone: float, smooth_days: float) -> None:
    rng = np.random.default_rng(seed)
    days = np.unique([0, 90, 170, 700, *rng.choice(700, n, replace=False)])
    rows = rng.normal(0.3, 0.3, (30, len(days)))
    rows[::3] = np.round(rows[::3] * 3) / 3
    rows[rng.random(rows.shape) < gone] = np.nan
    asked = {"smooth_days": smooth_days, "longest_gap_days": 366.0, "least_return": 0.0}
    found = made(days, rows, *STATISTICS, *FIT, *PHENOLOGY, year=2021, **asked)
    for name, layer in found.items():
        low, high = PRODUCTS[name].valid
        known = layer[~np.isnan(layer)]
        assert ((known >= low) & (known <= high)).all(), name
    for earlier, later in (("start", "peak"), ("peak", "end"), ("min", "mean"), ("mean", "max"), ("p05", "p95")):
        both = ~np.isnan(found[earlier]) & ~np.isnan(found[later])
        assert (found[earlier] <= found[later] + 1e-3)[both].all(), (earlier, later)
    np.testing.assert_allclose(found["length"], found["end"] - found["start"], atol=1e-3)


@pytest.mark.parametrize("piece", [1, 700, 2**21])
@pytest.mark.parametrize("margin", [0, 2])
def test_pieces_and_margin_change_nothing(monkeypatch: pytest.MonkeyPatch, piece: int, margin: int) -> None:
    rng, days = np.random.default_rng(1), irregular(9)
    layers = hill(days, 120, 270)[:, None, None] + rng.normal(0, 0.05, (len(days), 11, 7))
    layers[rng.random(layers.shape) < 0.1] = np.nan
    names = (*STATISTICS, *FIT, *PHENOLOGY)
    whole = make(stage_of(days, layers), names, Options())
    monkeypatch.setattr(making_of_season, "PIECE_NUMBERS", piece)
    padded = np.pad(layers, ((0, 0), (margin, margin), (margin, margin)), constant_values=9.0)
    for name, layer in make(stage_of(days, padded, margin=margin), names, Options()).items():
        assert np.array_equal(layer, whole[name], equal_nan=True), name
        assert layer.flags.c_contiguous


# --- hostile input -------------------------------------------------------------------------------


def refused(match: str, days: Sequence[int], *products: str, error: type[Exception] = BadInput, **asked: Any) -> None:
    with pytest.raises(error, match=match):
        made(days, np.linspace(0, 1, len(days)), *products, **asked)


def test_dates_that_cannot_give_what_is_asked_are_refused() -> None:
    refused("order 1 has no harmonic_amplitude2", range(0, 360, 20), "harmonic_amplitude2")
    refused("no harmonic_trend", range(0, 360, 20), "harmonic_trend")
    refused("8 parameters cannot be made of 7 dates", range(0, 350, 50), "harmonic_mean", order=3, trend=True)
    refused("of 2 dates from 2021-01-01 to 2021-11-27 at most 2", [0, 330], "start")
    refused("of 9 dates .* at most 9 fall into one", range(0, 90, 10), "peak")
    refused("at most 0 fall into 2019", range(0, 360, 10), "peak", year=2019)
    refused("dates of a stack ascend", [0, 10, 10], "mean", error=ValueError)


def test_another_number_of_stacks_is_refused() -> None:
    stage = stage_of([0, 10], np.zeros((2, 3, 3)))
    two = Stage(stage.grid, dates=stage.dates, stacks={"a": stage.stacks["NDVI"], "b": stage.stacks["NDVI"]})
    for wrong in (two, Stage(stage.grid, dates=stage.dates)):
        with pytest.raises(BadInput, match="one feature, not of"):
            make(wrong, ("mean",), Options())
    with pytest.raises(BadInput, match="no dates"):
        make(Stage(stage.grid, stacks={"a": np.zeros((0, 3, 3), np.float32)}), ("mean",), Options())
    with pytest.raises(ValueError, match="a stack of"):
        make(Stage(stage.grid, dates=stage.dates, stacks={"a": np.zeros((3, 3, 3), np.float32)}), ("mean",), Options())


@pytest.mark.parametrize(
    "asked",
    [
        {"order": 4}, {"order": 0}, {"order": 1.5}, {"threshold": 0.0}, {"threshold": 1.0}, {"start_month": 13},
        {"start_month": "July"}, {"longest_gap_days": 0.0}, {"smooth_days": -1.0}, {"year": 21}, {"trend": 1},
        {"prominence": 0.0}, {"smoothing": "savgol"}, {"least_amplitude": float("nan")},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate_json(json.dumps(asked))


def test_the_recipe_is_whole() -> None:
    days = irregular(10, 60, 700)
    layers = np.broadcast_to(hill(days % 365, 120, 270)[:, None, None], (len(days), 2, 3))
    options = Options(order=3, trend=True)
    found = make(stage_of(days, layers), tuple(RECIPE.products), options)
    assert list(found) == list(RECIPE.products)
    assert RECIPE.reads == "stack"
    assert margin_px(options, 10.0) == 0
    assert set(RECIPE.products) == {*STATISTICS, *PHENOLOGY} | {n for n in PRODUCTS if n.startswith("harmonic_")}
