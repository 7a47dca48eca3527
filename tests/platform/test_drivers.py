"""GDAL with one format and no way out, in a process of its own: it is read once, when GDAL is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio

from geoml_ops.platform.drivers import CLOSED, KEPT, LEFT_AWAY
from tests.conftest import ROOT

_CODE = """
import json, sys
from geoml_ops.platform.drivers import close_drivers
in_time = close_drivers()
import rasterio
from rasterio.vrt import WarpedVRT
with rasterio.Env() as env:
    drivers = sorted(env.drivers())
opened = []
for path in sys.argv[2:]:
    try:
        rasterio.open(path).close()
        opened.append(path)
    except rasterio.errors.RasterioIOError:
        pass
with rasterio.open(sys.argv[1]) as source, WarpedVRT(source, crs="EPSG:3857") as warped:
    warm = int(warped.read(1).max())
print(json.dumps([in_time, close_drivers(), drivers, warm, opened]))
"""


def test_only_the_kept_drivers_are_there_and_warping_works(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 4e5, 0, -10, 5.8e6)}
    with rasterio.open(path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", **place) as target:
        target.write(np.full((1, 8, 8), 7, np.uint8))
    virtual = tmp_path / "a.vrt"
    virtual.write_text(
        "<VRTDataset rasterXSize='8' rasterYSize='8'><VRTRasterBand dataType='Byte' band='1'><SimpleSource>"
        f"<SourceFilename>{path}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    picture = tmp_path / "a.png"
    with rasterio.open(picture, "w", driver="PNG", width=8, height=8, count=1, dtype="uint8") as target:
        target.write(np.zeros((1, 8, 8), np.uint8))
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            _CODE,
            str(path),
            str(virtual),
            str(picture),
            f"/vsicurl/http://127.0.0.1:1/{path.name}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    in_time, again, drivers, warm, opened = json.loads(said.stdout)
    assert (in_time, again) == (True, False)
    assert set(drivers) <= set(KEPT)
    assert {"GTiff", "COG", "MEM"} <= set(drivers)
    assert (warm, opened) == (7, [])
    assert "Unable to find driver" not in said.stderr


def test_every_driver_of_this_gdal_is_kept_or_left_away() -> None:
    with rasterio.Env() as env:
        assert set(env.drivers()) <= {*KEPT, *LEFT_AWAY}
    assert not {*KEPT} & {*LEFT_AWAY}
    assert CLOSED["GDAL_VRT_ENABLE_PYTHON"] == "NO"
