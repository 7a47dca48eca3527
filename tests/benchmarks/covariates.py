"""Terrain and season of whole scenes, each against the plain way of doing it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, generic_filter
from scipy.signal import find_peaks

from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates import season, terrain
from geoml_ops.domain.covariates.recipe import Stage
from tests.benchmarks.pairs import Figure, in_turns

N_DATES = 30
_NEIGHBOURS = [(0, 1), (-1, 0), (0, -1), (1, 0), (-1, 1), (-1, -1), (1, -1), (1, 1)]


def _hills(edge_px: int) -> Stage:
    rng = np.random.default_rng(0)
    ground = (gaussian_filter(rng.standard_normal((edge_px, edge_px)), 12) * 1500 + 600).astype(np.float32)
    grid = Grid(crs="EPSG:32632", left=5e5, top=5e6, pixel_m=10.0, width=edge_px, height=edge_px)
    return Stage(grid, rasters={"dem": ground})


def _years(edge_px: int) -> Stage:
    """Thirty irregular dates of a year, one in ten numbers missing."""
    rng = np.random.default_rng(0)
    days = np.sort(rng.choice(365, N_DATES, replace=False))
    middle = rng.uniform(150, 220, (edge_px, edge_px))
    layers = 0.5 + 0.3 * np.cos(2 * np.pi * (days[:, None, None] - middle) / 365)
    layers = (layers + rng.normal(0, 0.02, layers.shape)).astype(np.float32)
    layers[rng.random(layers.shape) < 0.1] = np.nan
    grid = Grid(crs="EPSG:32632", left=5e5, top=5e6, pixel_m=10.0, width=edge_px, height=edge_px)
    dates = tuple(date(2021, 1, 1) + timedelta(int(day)) for day in days)
    return Stage(grid, dates=dates, stacks={"NDVI": layers})


def _same(what: str, ours: NDArray[np.float32], plain: NDArray[np.float64]) -> None:
    if not np.allclose(ours, plain, rtol=1e-4, atol=1e-4, equal_nan=True):
        raise SystemExit(f"{what}: the two parts differ; their speeds say nothing")


def windows(name: str) -> Figure:
    """Ruggedness of 3 by 3 cells against a Python function per window."""
    stage = _hills(250)
    ground = stage.rasters["dem"].astype(np.float64)

    def ours() -> NDArray[np.float32]:
        return terrain.make(stage, ("tri_riley",), terrain.Options())["tri_riley"]

    def plain() -> NDArray[np.float64]:
        return np.asarray(
            generic_filter(ground, lambda w: math.sqrt(((w - w[4]) ** 2).sum()), 3, mode="constant", cval=np.nan)
        )

    _same(name, ours(), plain())
    text = "ruggedness (Riley) of an elevation model against scipy.ndimage.generic_filter with a Python function"
    return in_turns(name, text, ours, plain, size=ground.size, unit="pixels/s")


def wetness(name: str) -> Figure:
    """Filling, D8 flow and wetness against the same algorithm on Python's heapq."""
    stage = _hills(250)
    ground = stage.rasters["dem"].astype(np.float64)

    def ours() -> NDArray[np.float32]:
        return terrain.make(stage, ("catchment",), terrain.Options(flow="d8"))["catchment"]

    _same(name, ours(), _plain_catchment(ground))
    text = "priority flood and D8 catchments of an elevation model against the same on Python's heapq"
    return in_turns(name, text, ours, lambda: _plain_catchment(ground), size=ground.size, unit="pixels/s")


def _plain_catchment(ground: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = ground.shape
    level = {
        (row, col): ground[row, col]
        for row in range(height)
        for col in range(width)
        if row in (0, height - 1) or col in (0, width - 1)
    }
    heap = [(z, *cell) for cell, z in level.items()]
    heapq.heapify(heap)
    order = []
    while heap:
        z, row, col = heapq.heappop(heap)
        order.append((row, col))
        for south, east in _NEIGHBOURS:
            near = row + south, col + east
            if 0 <= near[0] < height and 0 <= near[1] < width and near not in level:
                level[near] = max(ground[near], z + 2.0**-33)
                heapq.heappush(heap, (level[near], *near))
    area = np.ones(ground.shape)
    for row, col in reversed(order):
        near = [(row + s, col + e) for s, e in _NEIGHBOURS]
        falls = [
            (level[row, col] - level[n]) * (1.0 if i < 4 else math.sqrt(0.5)) if n in level else -1.0
            for i, n in enumerate(near)
        ]
        steepest = int(np.argmax(falls))
        if falls[steepest] > 0:
            area[near[steepest]] += area[row, col]
    area *= 10.0
    area[[0, -1], :] = area[:, [0, -1]] = np.nan
    return area


def harmonics(name: str) -> Figure:
    """A harmonic fit with gaps against numpy's least squares in a loop over pixels."""
    stage = _years(64)
    layers = stage.stacks["NDVI"]
    angle = np.array([(day - date(2000, 1, 1)).days for day in stage.dates]) * 2 * np.pi / 365.2425
    design = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1)

    def ours() -> NDArray[np.float32]:
        return season.make(stage, ("harmonic_amplitude1",), season.Options())["harmonic_amplitude1"]

    def plain() -> NDArray[np.float64]:
        out = np.full(stage.grid.shape, np.nan)
        for row, col in np.ndindex(*out.shape):
            series = layers[:, row, col]
            seen = ~np.isnan(series)
            found = np.linalg.lstsq(design[seen], series[seen], rcond=None)[0]
            out[row, col] = math.hypot(found[1], found[2])
        return out

    _same(name, ours(), plain())
    text = f"harmonic fit of {N_DATES} dates with gaps against numpy.linalg.lstsq per pixel"
    return in_turns(name, text, ours, plain, size=layers[0].size, unit="pixels/s")


def seasons(name: str) -> Figure:
    """All of phenology against a loop over pixels that only counts peaks."""
    stage = _years(64)
    layers = stage.stacks["NDVI"]
    options = season.Options(smooth_days=0.0, longest_gap_days=366.0)
    products = ("start", "peak", "end", "length", "amplitude", "integral", "greenup", "senescence", "cycles")

    def ours() -> NDArray[np.float32]:
        return season.make(stage, products, options)["cycles"]

    def plain() -> NDArray[np.float64]:
        out = np.full(stage.grid.shape, np.nan)
        for row, col in np.ndindex(*out.shape):
            series = layers[:, row, col].astype(np.float64)
            out[row, col] = len(find_peaks(series[~np.isnan(series)], prominence=0.1)[0])
        return out

    _same(name, ours(), plain())
    text = f"start, peak, end, amounts, rates and cycles of {N_DATES} dates against scipy's find_peaks per pixel alone"
    return in_turns(name, text, ours, plain, size=layers[0].size, unit="pixels/s")


def scene(name: str) -> Figure:
    """Phenology of a megapixel, against numpy's median and percentiles of the same stack, which know no dates."""
    stage = _years(1000)
    layers = stage.stacks["NDVI"]
    products = ("start", "peak", "end", "length", "amplitude", "integral", "greenup", "senescence", "cycles")
    text = f"phenology of a megapixel of {N_DATES} dates against numpy.nanmedian over time alone"
    return in_turns(
        name,
        text,
        lambda: season.make(stage, products, season.Options()),
        lambda: np.nanmedian(layers, axis=0),
        size=layers[0].size,
        unit="pixels/s",
    )


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    "terrain": windows,
    "wetness": wetness,
    "harmonics": harmonics,
    "season": seasons,
    "season_scene": scene,
}
