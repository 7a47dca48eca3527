"""Items of scenes: valid offline, and their footprint is where the pixels are."""

import socket
from datetime import UTC, datetime

import pyproj
import pytest
import shapely

from geoml_ops.adapters.stac import check_item, scene_item
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import BandSource, Scene
from geoml_ops.core.grid import Grid
from geoml_ops.core.noun import FileRef

FILE = FileRef(path="data/scenes/one/scene.tif", sha256="a" * 64, size=7)
SCENE = Scene(
    name="one",
    sensor="sentinel-2-l1c",
    acquired=datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC),
    baseline="04.00",
    declared=Radiometry(scale=1e-4, offset_dn=-1000.0),
    grid=Grid(crs="EPSG:32633", left=330_000.0, top=5_822_040.0, pixel_m=10.0, width=1536, height=768),
    bands=tuple(
        BandSource(name=b.name, file=FILE, gsd_m=b.gsd_m, resampling=b.resampling) for b in SENTINEL_2_L1C.bands
    ),
    file=FILE,
)


def test_an_item_says_bands_grid_radiometry_and_checksum(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was attempted"))
    item = scene_item(SCENE, SENTINEL_2_L1C)
    asset = item["assets"]["data"]
    assert [b["name"] for b in asset["bands"]] == list(SENTINEL_2_L1C.names)
    assert asset["bands"][7]["eo:common_name"] == "nir"
    assert (asset["bands"][0]["raster:scale"], asset["bands"][0]["raster:offset"]) == (1e-4, pytest.approx(-0.1))
    assert (asset["file:checksum"], asset["file:size"], asset["href"]) == ("1220" + "a" * 64, 7, "scene.tif")
    assert item["properties"]["proj:code"] == "EPSG:32633"
    assert item["properties"]["proj:shape"] == [768, 1536]
    assert item["properties"]["datetime"] == "2017-02-16T10:21:01Z"
    assert scene_item(SCENE, SENTINEL_2_L1C) == item


def test_the_footprint_is_where_the_pixels_are():
    item = scene_item(SCENE, SENTINEL_2_L1C)
    back = pyproj.Transformer.from_crs(4326, 32633, always_xy=True)
    outline = shapely.geometry.shape(item["geometry"])
    ground = shapely.Polygon([back.transform(*point) for point in outline.exterior.coords])
    box = shapely.box(*SCENE.grid.bounds.as_tuple())
    assert ground.symmetric_difference(box).area / box.area < 1e-6
    assert item["bbox"] == pytest.approx(outline.bounds)


def test_a_broken_item_is_refused():
    item = scene_item(SCENE, SENTINEL_2_L1C)
    del item["properties"]["datetime"]
    with pytest.raises(Refused, match=r"not valid: \$.properties"):
        check_item(item)
