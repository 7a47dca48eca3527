"""The engine against its limits: the graph alone on arrays in memory, a small raster's memory, and the usual loop.

``GEOML_BENCH_SHARE`` (0 to 1) makes rasters smaller, for trying; the figures are those of whole rasters.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from geoml_ops.adapters.raster import read
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import tiles
from geoml_ops.platform.files import whole_file
from geoml_ops.settings import CHECKOUT, Settings
from geoml_ops.steps.classify import BATCH_LIMITS, TILE_PX, classify
from tests.benchmarks.pairs import Figure, in_turns
from tests.benchmarks.reference import BANDS, fitted, ground, reference
from tests.versions import places_in

THREADS, MEMORY_MB = 2, 1024.0
_PATTERN_PX = 1020
_LAYOUTS: Mapping[str, dict[str, Any]] = {
    "tiled": {"tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "band"},
    "strips": {"tiled": False, "interleave": "band"},
}
_COMPRESSIONS: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "deflate": {"compress": "deflate", "zlevel": 1, "predictor": 2},
}


def _side(pixels: float) -> int:
    return max(512, round(math.sqrt(pixels * float(os.environ.get("GEOML_BENCH_SHARE", "1")))))


def _raster(side: int, layout: str, compression: str) -> Path:
    """Returns a raster of ten bands of Sentinel-2, generated once."""
    path = Settings().workspace.resolve() / "bench" / "rasters" / f"{side}-{layout}-{compression}.tif"
    if path.exists():
        return path
    grid = Grid(crs="EPSG:32633", left=400_000.0, top=5_800_020.0, pixel_m=10.0, width=side, height=side)
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": len(BANDS), "dtype": "uint16", "nodata": 0,
        "crs": grid.crs, "transform": rasterio.Affine(*grid.transform), "bigtiff": "IF_SAFER",
    }  # fmt: skip
    with whole_file(path) as part, rasterio.open(
        part, "w", **profile, **_LAYOUTS[layout], **_COMPRESSIONS[compression]
    ) as target:  # fmt: skip
        target.descriptions = BANDS
        target.scales, target.offsets = [1e-4] * len(BANDS), [0.0] * len(BANDS)
        for row, rows in _strips(side):
            target.write(rows, window=RasterioWindow(0, row, side, rows.shape[1]))
    return path


def _strips(side: int) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Yields rows of a landscape that repeats, with noise of its own in every pixel."""
    rng, pattern = np.random.default_rng(0), ground(_PATTERN_PX, _PATTERN_PX)
    for row in range(0, side, 512):
        height = min(512, side - row)
        rows = pattern[:, np.arange(row, row + height) % _PATTERN_PX]
        rows = np.tile(rows, (1, 1, side // _PATTERN_PX + 1))[:, :, :side]
        yield row, rows + rng.integers(0, 8, rows.shape, dtype=np.uint16)


def over_memory(bundle: str, pixels: float, compression: str, bottleneck: str, name: str) -> Figure:
    """A raster through the engine to a COG on disk, against its graph alone on the same tiles in memory."""
    side = _side(pixels)
    source, model = _raster(side, "tiled", compression), reference(bundle).model()
    dn = read(source, limits=BATCH_LIMITS).astype(np.float32)
    windows = list(tiles(side, side, TILE_PX))

    def plain(window: Any) -> NDArray[np.uint8]:
        tile = np.ascontiguousarray(dn[:, *window.slices()])[np.newaxis]
        return _first_of_the_most_probable(model.run(tile).probability[0])

    with tempfile.TemporaryDirectory(dir=source.parent) as folder, ThreadPoolExecutor(THREADS) as pool:
        ours = _requests(Path(folder), source, model)
        codes = read(ours(), bands=[0], limits=BATCH_LIMITS)[0]
        wrong = sum(
            int((codes[w.slices()] != said).sum()) for w, said in zip(windows, pool.map(plain, windows), strict=True)
        )
        _same(name, wrong, codes.size)
        return in_turns(
            name,
            f"steps.classify of `{bundle}` from a GeoTIFF of 10 bands (512 px tiles, {compression}) to map, sketches "
            f"and picture on disk, against the graph alone on tiles of {TILE_PX} px in memory; {THREADS} threads each"
            f"{bottleneck}",
            ours,
            lambda: list(pool.map(plain, windows)),
            size=side * side,
            unit="pixels/s",
            limit_s=60.0,
            most_rounds=5,
        )


def _first_of_the_most_probable(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What argmax along the first axis says, in a tenth of its time: the limit is to be as fast as it can be."""
    top = probability.max(axis=0)
    codes, beaten = np.zeros(top.shape, dtype=np.uint8), np.ones(top.shape, dtype=np.bool_)
    for layer in probability[:-1]:
        beaten &= layer != top
        codes += beaten
    return codes


def _requests(folder: Path, source: Path, model: Any) -> Callable[[], Path]:
    number = count()

    def request() -> Path:
        # A second request in the same place would find the first one's answer.
        places = places_in(folder / f"request-{next(number)}")
        done = classify(places, source, model, limits=BATCH_LIMITS, memory_mb=MEMORY_MB, threads=THREADS)
        return places.predictions / done.id / "map.tif"

    return request


def _same(name: str, wrong: int, size: int) -> None:
    if wrong > 1e-4 * size:
        raise SystemExit(f"{name}: the two parts differ in {wrong} of {size} pixels; their speeds say nothing")


# --- the usual loop --------------------------------------------------------------------------


def against_loop(layout: str, name: str) -> Figure:
    """The engine against windows of rasterio, features in numpy and scikit-learn's predict of the same forest."""
    side = _side(4e6)
    source, model = _raster(side, layout, "deflate"), reference("forest").model()
    forest = fitted("forest")[0].estimator
    forest = forest.set_params(**{f"{forest.steps[-1][0]}__n_jobs": THREADS}) if hasattr(forest, "steps") else forest
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        ours = _requests(Path(folder), source, model)
        goal = Path(folder) / "loop.tif"
        wrong = int((read(ours(), bands=[0])[0] != read(_loop(source, goal, forest))[0]).sum())
        _same(name, wrong, side * side)
        return in_turns(
            name,
            f"steps.classify of `forest` from a GeoTIFF of 10 bands ({layout}, deflate), against windows of rasterio, "
            f"features in numpy and predict of the same forest in scikit-learn, written as a GeoTIFF; {THREADS} "
            "threads each",
            ours,
            lambda: _loop(source, goal, forest),
            size=side * side,
            unit="pixels/s",
            limit_s=60.0,
            most_rounds=5,
        )


def _loop(source: Path, goal: Path, forest: Any) -> Path:
    """What people write: 512 px windows, or the file's own strips gathered to as many rows."""
    with rasterio.open(source) as opened:
        profile = {**opened.profile, "count": 1, "dtype": "uint8", "nodata": 255, "compress": "deflate"}
        profile.pop("predictor", None)
        with rasterio.open(goal, "w", **profile) as target:
            for window in tiles(opened.height, opened.width, 512):
                area = RasterioWindow(window.col, window.row, window.width, window.height)
                dn = opened.read(window=area).astype(np.float32)
                valid = (dn != 0).all(axis=0)
                codes = forest.predict(_features(dn).reshape(len(_FEATURE_COLUMNS), -1).T)
                said = np.where(valid, codes.reshape(valid.shape), 255).astype(np.uint8)
                target.write(said, 1, window=area)
    return goal


_FEATURE_COLUMNS = ("B02", "B03", "B04", "B8A", "B11", "B12", "NDVI", "NDWI", "NDMI", "own")


def _features(dn: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the features of the reference bundles ``(feature, y, x)``, as one writes them in numpy."""
    band = dict(zip(BANDS, dn * np.float32(1e-4), strict=True))
    return np.stack(
        [
            *(band[name] for name in ("B02", "B03", "B04", "B8A", "B11", "B12")),
            _normalised(band["B08"], band["B04"]),
            _normalised(band["B03"], band["B08"]),
            _normalised(band["B08"], band["B11"]),
            (band["B07"] - band["B05"]) / (band["B06"] + band["B05"]),
        ]
    )


def _normalised(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return (a - b) / (a + b)


# --- memory ----------------------------------------------------------------------------------

_PEAK = """
import json, re, sys
from pathlib import Path
from geoml_ops.settings import Settings, be_quiet
be_quiet()
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import GRAPH, NOUN, Release
from geoml_ops.core.flow import Bundle
from geoml_ops.steps.answering import Model
from geoml_ops.steps.classify import BATCH_LIMITS, classify
source, folder = Path(sys.argv[1]), Path(sys.argv[2])
bundle = Bundle.from_json(json.loads((folder / NOUN).read_bytes()))
model = Model(bundle, Release("light", 1, bundle.id, bundle.file.sha256), Graph((folder / GRAPH).read_bytes()).run)
classify(Settings(workspace=folder / "w").places(), source, model, limits=BATCH_LIMITS,
         memory_mb=float(sys.argv[3]), threads=int(sys.argv[4]))
# Not ru_maxrss: a child begins with that of whoever started it.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
"""


def memory(name: str) -> Figure:
    """Peak memory of a process that maps 400 Mpx, against that of one that maps 10 Mpx."""
    large, small = _side(400e6), _side(10e6)
    ours, against = _peak_mb(_raster(large, "tiled", "deflate")), _peak_mb(_raster(small, "tiled", "deflate"))
    return Figure(
        name=name,
        compared=f"peak memory (VmHWM) of a process that maps {large**2 / 1e6:.0f} Mpx with `light`, against "
        f"{small**2 / 1e6:.0f} Mpx; budget {MEMORY_MB:.0f} MB, {THREADS} threads; here 1 is best",
        ours=ours,
        against=against,
        ratio=round(ours / against, 3),
        ratio_low=round(ours / against, 3),
        ratio_high=round(ours / against, 3),
        unit="MB",
        size=large * large,
        rounds=1,
    )


def _peak_mb(source: Path) -> float:
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        reference("light").write(Path(folder))
        command = [sys.executable, "-c", _PEAK, str(source), folder, str(MEMORY_MB), str(THREADS)]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return round(int(done.stdout.splitlines()[-1]) / 1024, 1)


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    "engine_forest": partial(over_memory, "forest", 16e6, "deflate", ""),
    "engine_light": partial(
        over_memory, "light", 100e6, "deflate", "; the bottleneck is decoding, then what is said of tiles"
    ),
    "engine_light_plain": partial(
        over_memory, "light", 100e6, "plain", "; nothing to decode: what is said of tiles, and packing the map"
    ),
    "engine_memory": memory,
    "engine_guide_tiled": partial(against_loop, "tiled"),
    "engine_guide_strips": partial(against_loop, "strips"),
}
