"""Streams of scenes whose truth is known: what varies, what drifts and when."""

from __future__ import annotations

from functools import cache

import numpy as np

from geoml_ops.domain.alarms import History, Key

FIRST_YEAR = 2018


def key(month: int, *, baseline: str = "05.00", region: str = "north") -> Key:
    return Key("sentinel-2", baseline, f"m{month:02d}", region)


def stream(
    seed: int,
    *,
    years: int = 3,
    per_month: int = 6,
    n_statistics: int = 1,
    season: float = 3.0,
    year_sd: float = 0.0,
    month_sd: float = 0.0,
) -> History:
    """Scenes of whole years in time order: seasonal mean, effects of years and of months in years, noise of 1 sd."""
    rng = np.random.default_rng(seed)
    months = np.tile(np.repeat(np.arange(12), per_month), years)
    which = np.repeat(np.arange(years), 12 * per_month)
    days = np.tile(np.arange(per_month) * 28 // per_month, 12 * years)
    times = (np.datetime64(f"{FIRST_YEAR}-01") + (which * 12 + months)).astype("datetime64[D]") + days
    of_years = rng.normal(0, year_sd, (years, n_statistics))[which]
    of_months = rng.normal(0, month_sd, (years, 12, n_statistics))[which, months]
    curve = 10 + season * np.sin(2 * np.pi * (months - 2) / 12)[:, None]
    values = curve + of_years + of_months + rng.normal(0, 1, (len(months), n_statistics))
    return History([key(m + 1) for m in months.tolist()], times, values)


def only(history: History, chosen: np.ndarray) -> History:
    places = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
    names = [history.scenes[i] for i in places] if history.scenes else ()
    return History([history.keys[i] for i in places], history.times[places], history.values[places], names)


def parted(history: History) -> tuple[History, History]:
    """The history without its last year, and that year."""
    last = history.years == history.years.max()
    return only(history, ~last), only(history, last)


def moved(history: History, by: float, first: int = 0) -> History:
    values = history.values.copy()
    values[first:] += by
    return History(history.keys, history.times, values, history.scenes)


@cache
def _amplitude(size: int, length_px: float) -> np.ndarray:
    """Root of the spectrum of a torus with covariance ``exp(-d / length)``; tiny negative powers are cut."""
    along = np.minimum(np.arange(size), size - np.arange(size))
    covariance = np.exp(-np.hypot(along[:, None], along[None, :]) / length_px)
    return np.sqrt(np.maximum(np.fft.fft2(covariance).real, 0.0))


def field(rng: np.random.Generator, size: int = 128, length_px: float = 8.0) -> np.ndarray:
    """One scene: a stationary Gaussian field of unit variance, by circulant embedding, cut to the inner half."""
    noise = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    whole = (np.fft.fft2(_amplitude(size, length_px) * noise) / size).real
    return whole[: size // 2, : size // 2]
