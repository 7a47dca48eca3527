"""How fast maps are written: through the journal to the finished file, against GDAL's own driver for such files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.shutil import copy
from scipy.ndimage import gaussian_filter

from geoml_ops.adapters.cog import MapJournal, MapLayout
from geoml_ops.core.grid import Grid
from tests.benchmarks.pairs import Figure, in_turns

EDGE_PX, N_CLASSES = 4096, 8


def written(name: str) -> Figure:
    """Class and confidence of 16 Mpx in patches: encoded, committed, assembled and read back; GDAL writes a COG."""
    layers = _patches()
    grid = Grid(crs="EPSG:32633", left=399960.0, top=5900040.0, pixel_m=10.0, width=EDGE_PX, height=EDGE_PX)
    layout = MapLayout(grid, ("class", "confidence"), tuple("abcdefgh"), ("#2a6fbb",) * N_CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)

        def ours() -> None:
            with MapJournal(home / "journal", "key", layout) as journal:
                for index, window in enumerate(layout.blocks):
                    journal.commit(journal.encode(index, layers[:, *window.slices()]))
                journal.finish(home / "ours.tif", {})
                journal.discard()

        def driver() -> None:
            _by_gdal(home / "gdal.tif", layers, grid)

        ours()
        driver()
        with rasterio.open(home / "ours.tif") as one, rasterio.open(home / "gdal.tif") as two:
            if not np.array_equal(one.read(), two.read()):
                raise ValueError("the two files differ")
        compared = "journal, assembly and reading back against GDAL's COG driver (deflate 6, one thread)"
        figure = in_turns(name, compared, ours, driver, size=EDGE_PX**2, unit="px/s", most_rounds=7)
        shutil.rmtree(home / "journal", ignore_errors=True)
    return figure


def _by_gdal(path: Path, layers: NDArray[np.uint8], grid: Grid) -> None:
    profile = {"driver": "MEM", "width": grid.width, "height": grid.height, "count": len(layers), "dtype": "uint8"}
    where = {"crs": rasterio.CRS.from_epsg(grid.epsg), "transform": rasterio.Affine(*grid.transform), "nodata": 255}
    options = {"driver": "COG", "compress": "DEFLATE", "level": 6, "blocksize": 512, "overview_resampling": "nearest"}
    with rasterio.Env(GDAL_NUM_THREADS="1"), rasterio.open("", "w", **profile, **where) as memory:
        memory.write(layers)
        copy(memory, str(path), **options)


def _patches() -> NDArray[np.uint8]:
    """Class codes and confidence in percent, as a model sees land: patches with noise at their edges."""
    rng, edge = np.random.default_rng(0), 1024
    fields = np.stack([gaussian_filter(rng.standard_normal((edge, edge)), 12) for _ in range(N_CLASSES)]) * 42
    shares = np.exp(fields + 0.35 * rng.standard_normal(fields.shape))
    shares /= shares.sum(axis=0)
    small = np.stack([shares.argmax(axis=0), np.rint(shares.max(axis=0) * 100)]).astype(np.uint8)
    return np.tile(small, (1, EDGE_PX // edge, EDGE_PX // edge))


FIGURES: Mapping[str, Callable[[str], Figure]] = {"map_files": written}
