"""Terrain and season at scale: millions of pixels against gdaldem, and what noise and clouds do to known days."""

from __future__ import annotations

import math
import os
import resource
import shutil
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from scipy.ndimage import gaussian_filter

from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates import season, terrain
from geoml_ops.domain.covariates.recipe import Stage
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full"),
]

NUMBERS = CHECKOUT / "workspace" / "full" / "terrain_season.json"
EDGE_PX = 3000


def keep(name: str, numbers: object) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})


def grid_of(height: int, width: int) -> Grid:
    return Grid(crs="EPSG:32632", left=5e5, top=5e6, pixel_m=10.0, width=width, height=height)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture(scope="module")
def hills() -> Stage:
    rng = np.random.default_rng(0)
    ground = sum(gaussian_filter(rng.standard_normal((EDGE_PX, EDGE_PX)), s) * 40 * s for s in (2, 8, 30)) + 900
    ground = ground.astype(np.float32)
    ground[rng.random(ground.shape) < 1e-4] = np.nan
    return Stage(grid_of(EDGE_PX, EDGE_PX), rasters={"dem": ground})


@pytest.mark.skipif(shutil.which("gdaldem") is None, reason="gdaldem (GDAL's programs) is not installed")
def test_nine_million_cells_are_those_of_gdaldem(tmp_path: Path, hills: Stage) -> None:
    source, ground = tmp_path / "dem.tif", hills.rasters["dem"]
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "nodata": -9999.0, "crs": "EPSG:32632"}
    profile |= {"height": EDGE_PX, "width": EDGE_PX, "transform": Affine(10, 0, 5e5, 0, -10, 5e6)}
    with rasterio.open(source, "w", **profile) as out:
        out.write(np.where(np.isnan(ground), np.float32(-9999), ground), 1)
    asked = {
        "slope": ["slope"], "tri_riley": ["TRI", "-alg", "Riley"], "tri_wilson": ["TRI", "-alg", "Wilson"],
        "tpi": ["TPI"], "roughness": ["roughness"],
    }  # fmt: skip
    apart = {}
    for product, words in asked.items():
        goal = tmp_path / f"{product}.tif"
        command = ["gdaldem", words[0], str(source), str(goal), "-q", *words[1:]]
        subprocess.run(command, check=True, capture_output=True)
        with rasterio.open(goal) as found:
            theirs = found.read(1)
        ours = terrain.make(hills, (product,), terrain.Options())[product]
        assert np.array_equal(np.isnan(ours), theirs == -9999)
        apart[product] = float(np.nanmax(np.abs(ours - theirs)))
    keep("greatest difference to gdaldem", apart)
    assert max(apart.values()) < 2e-3


@pytest.mark.parametrize("flow", ["d8", "dinf"])
def test_water_of_nine_million_cells(hills: Stage, flow: str) -> None:
    options = terrain.Options(flow=flow)
    small = Stage(grid_of(9, 9), rasters={"dem": np.ones((9, 9))})
    terrain.make(small, ("twi",), options)  # compiles
    before, began = peak_bytes(), time.process_time()
    found = terrain.make(hills, ("twi", "catchment"), options)
    seconds = time.process_time() - began
    numbers = {
        "seconds": seconds,
        "pixels per second": EDGE_PX**2 / seconds,
        "bytes per cell": max(0, peak_bytes() - before) / EDGE_PX**2,
    }
    keep(f"twi {flow}", numbers)
    assert np.isfinite(found["twi"]).mean() > 0.99
    assert numbers["pixels per second"] > 2e5


def hill(day: np.ndarray, rise: np.ndarray, fall: np.ndarray) -> np.ndarray:
    return 0.2 + 0.6 * (1 / (1 + np.exp((rise - day) / 8.0)) - 1 / (1 + np.exp((fall - day) / 8.0)))


@pytest.mark.parametrize("smooth_days", [0.0, 30.0])
@pytest.mark.parametrize(("step", "cloudy", "noise"), [(5, 0.0, 0.0), (5, 0.5, 0.03), (10, 0.3, 0.03), (16, 0.2, 0.05)])
def test_days_of_noisy_and_cloudy_years(smooth_days: float, step: int, cloudy: float, noise: float) -> None:
    rng = np.random.default_rng(1)
    days = np.arange(0, 365, step)
    rise, fall = rng.uniform(90, 150, (100, 200)), rng.uniform(240, 300, (100, 200))
    layers = np.stack([hill(day, rise, fall) for day in days]) + rng.normal(0, noise, (len(days), 100, 200))
    layers = np.where(rng.random(layers.shape) < cloudy, np.nan, layers).astype(np.float32)
    dates = tuple(date(2021, 1, 1) + timedelta(int(day)) for day in days)
    stage = Stage(grid_of(100, 200), dates=dates, stacks={"NDVI": layers})
    options = season.Options(threshold=0.5, smooth_days=smooth_days)
    found = season.make(stage, ("start", "end", "amplitude", "cycles"), options)
    errors = {"start": found["start"] - 1 - rise, "end": found["end"] - 1 - fall, "amplitude": found["amplitude"] - 0.6}
    numbers = {
        name: {
            "bias": float(np.nanmean(error)),
            "root mean square": math.sqrt(float(np.nanmean(error**2))),
            "known share": float(np.isfinite(error).mean()),
        }
        for name, error in errors.items()
    }
    keep(f"every {step} days, {cloudy:.0%} cloudy, noise {noise:g}, smoothed {smooth_days:g} days", numbers)
    for name in ("start", "end"):
        assert abs(numbers[name]["bias"]) < 1.5
        assert numbers[name]["root mean square"] < 8.0
        assert numbers[name]["known share"] > 0.9
    assert abs(numbers["amplitude"]["bias"]) < 0.15


def test_a_megapixel_of_thirty_dates_takes_seconds() -> None:
    rng = np.random.default_rng(2)
    days = np.sort(rng.choice(365, 30, replace=False))
    layers = hill(days[:, None, None], rng.uniform(90, 150, (1000, 1000)), np.full((1000, 1000), 270.0))
    layers = (layers + rng.normal(0, 0.03, layers.shape)).astype(np.float32)
    dates = tuple(date(2021, 1, 1) + timedelta(int(day)) for day in days)
    small = Stage(grid_of(2, 2), dates=dates, stacks={"NDVI": layers[:, :2, :2]})
    whole = Stage(grid_of(1000, 1000), dates=dates, stacks={"NDVI": layers})
    products = {
        "statistics": ("mean", "std", "median", "p10", "p90", "count"),
        "harmonics": ("harmonic_amplitude3", "harmonic_rms"),
        "phenology": ("start", "peak", "end", "integral", "greenup", "cycles"),
    }
    numbers = {}
    for kind, names in products.items():
        season.make(small, names, season.Options(order=3))  # compiles
        began = time.process_time()
        season.make(whole, names, season.Options(order=3))
        numbers[kind] = time.process_time() - began
    keep("seconds for a megapixel of 30 dates", numbers)
    assert sum(numbers.values()) < 20.0
