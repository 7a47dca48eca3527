"""Whole scenes: time and memory of distances and segments, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full"),
]

NUMBERS = CHECKOUT / "workspace" / "full" / "places.json"

BEGIN = """
import json, resource, time
import numpy as np, shapely
from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates import Stage, Vectors
edge = {edge}
grid = Grid(crs="EPSG:32633", left=500_000.0, top=5_900_000.0, pixel_m=10.0, width=edge, height=edge)
rng = np.random.default_rng(0)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""

DISTANCE = """
from geoml_ops.domain.covariates.distance import DistanceOptions, make
starts = rng.uniform(0, 10 * edge, (2_000, 1, 2)) * (1, -1) + (500_000, 5_900_000)
lines = Vectors(shapely.linestrings(starts + np.cumsum(rng.normal(0, 30, (2_000, 50, 2)), axis=1)))
make(Stage(grid.model_copy(update={"width": 9, "height": 9}), vectors={"a": lines}), ("distance",), DistanceOptions())
before, began = peak(), time.perf_counter()
found = make(Stage(grid, vectors={"a": lines}), ("distance",), DistanceOptions())["distance"]
seconds = time.perf_counter() - began
some = rng.integers(0, edge, (300, 2))
east, north = grid.centres(some[:, 0], some[:, 1])
expected = [shapely.distance(lines.geometries, shapely.Point(e, n)).min() for e, n in zip(east, north)]
worst = float(np.abs(found[some[:, 0], some[:, 1]] - expected).max())
print(json.dumps({"seconds": seconds, "bytes_per_pixel": (peak() - before) / edge**2, "worst_m": worst}))
"""

OBJECTS = """
from geoml_ops.domain.covariates.objects import ObjectOptions, segments, working_bytes
options = ObjectOptions(ranges={"a": (-1.5, 1.5), "b": (-1.5, 1.5)})
layers = {}
for name in ("a", "b"):
    layers[name] = np.empty((edge, edge), dtype=np.float32)
    for row in range(0, edge, 500):
        part = rng.normal(0, 0.1, size=(min(500, edge - row), edge)).astype(np.float32)
        layers[name][row:row + 500] = part + np.sin(np.arange(edge) / 60.0)
layers["a"][:, edge // 3 : edge // 3 + 40] = np.nan
segments({k: v[:50, :50] for k, v in layers.items()}, options)
before, began = peak(), time.perf_counter()
labels, n = segments(layers, options)
print(json.dumps({
    "seconds": time.perf_counter() - began, "bytes_per_pixel": (peak() - before) / edge**2, "segments": n,
    "promised_bytes_per_pixel": working_bytes((edge, edge), 2, options, edge**2 // 8) / edge**2,
    "missing_kept": bool((labels[:, edge // 3 : edge // 3 + 40] == -1).all() and (labels == -1).sum() == 40 * edge),
}))
"""


def measured(name: str, script: str, edge: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN.replace("{edge}", str(edge)) + script],
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    numbers: dict[str, float] = json.loads(done.stdout)
    numbers["megapixels_per_s"] = edge**2 / 1e6 / numbers["seconds"]
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {f"{name}_{edge}": numbers})
    return numbers


@pytest.mark.parametrize("edge", [5_490, 10_980])
def test_distances_of_a_whole_scene(edge: int) -> None:
    numbers = measured("distance", DISTANCE, edge)
    assert numbers["worst_m"] < 2e-3  # written in single precision
    assert numbers["bytes_per_pixel"] < 16
    assert numbers["megapixels_per_s"] > 1


@pytest.mark.parametrize("edge", [5_490, 10_980])
def test_segments_of_a_whole_scene(edge: int) -> None:
    numbers = measured("objects", OBJECTS, edge)
    assert numbers["missing_kept"]
    assert numbers["bytes_per_pixel"] < numbers["promised_bytes_per_pixel"]
