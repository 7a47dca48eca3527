"""A raster of labels as large as a Sentinel-2 tile: what drawing from it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geoml_ops.core.grid import Grid
from geoml_ops.platform.files import read_json, write_json

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes a minute; make full"),
]
CHECKOUT = Path(__file__).resolve().parents[2]
NUMBERS = CHECKOUT / "workspace" / "full" / "labels.json"
GRID = Grid(crs="EPSG:32633", left=399_960.0, top=5_800_020.0, pixel_m=10.0, width=10_980, height=10_980)
N_CLASSES, PER_CLASS = 8, 2000
DRAW = """
import json, resource, sys
from pathlib import Path
import numpy as np
from geoml_ops.adapters import raster
from geoml_ops.core.grid import Grid
from geoml_ops.domain.sampling import Lookup, blocks_of, draw_stratified
from geoml_ops.steps.candidates import placed
path, grid, apart = Path(sys.argv[1]), Grid.model_validate_json(sys.argv[2]), float(sys.argv[3])
counts, placing = raster.counted(path), placed(raster.describe_codes(path), grid)
lookup = Lookup({code: code - 1 for code in range(1, 9)})
with raster.open_codes(path) as source:
    picked = draw_stratified(
        lambda: blocks_of(grid, placing, source.at, lookup), 8, per_class=2000, least_apart_px=apart,
        seed=np.uint64(1), shape=grid.shape,
    )
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
drawn = np.bincount(picked.codes, minlength=8).tolist()
print(json.dumps({"peak_mb": peak_mb, "drawn": drawn, "rows": picked.rows.tolist(), "cols": picked.cols.tolist()}))
"""


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scale") / "codes.tif"
    coarse = np.random.default_rng(0).integers(0, N_CLASSES + 1, (220, 220)).astype(np.uint8)
    profile = {
        "driver": "GTiff", "count": 1, "dtype": "uint8", "width": GRID.width, "height": GRID.height, "nodata": 0,
        "transform": rasterio.Affine(10, 0, GRID.left + 5, 0, -10, GRID.top - 5), "crs": GRID.crs,
        "compress": "deflate",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        for row in range(220):
            rows = min(50, GRID.height - 50 * row)
            strip = np.repeat(np.repeat(coarse[row : row + 1], 50, 1), rows, 0)[:, : GRID.width]
            target.write(strip, 1, window=rasterio.windows.Window(0, 50 * row, GRID.width, rows))
    return path


@pytest.mark.parametrize(
    ("name", "grid", "apart_px"),
    [
        ("the same zone", GRID, 0.0),
        ("500 m apart", GRID, 50.0),
        ("the next zone", GRID.model_copy(update={"crs": "EPSG:32632", "left": GRID.left + 405_000}), 0.0),
    ],
)
def test_a_whole_tile_is_drawn_from_in_less_than_a_gigabyte(
    codes: Path, name: str, grid: Grid, apart_px: float
) -> None:
    began = time.monotonic()
    command = [sys.executable, "-c", DRAW, str(codes), grid.model_dump_json(), repr(apart_px)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=CHECKOUT)
    found = json.loads(done.stdout)
    numbers = {"wall_s": round(time.monotonic() - began, 1), "peak_mb": round(found["peak_mb"])}
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})
    assert found["peak_mb"] < 1000
    assert found["drawn"] == [PER_CLASS] * N_CLASSES
    at = np.column_stack([found["rows"], found["cols"]]).astype(np.float64)
    if apart_px:
        from scipy.spatial import cKDTree

        assert not len(cKDTree(at).query_pairs(apart_px * (1 - 1e-9)))
