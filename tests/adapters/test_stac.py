"""Items of scenes: valid offline, and their footprint is where the pixels are."""

import re
import socket
from datetime import UTC, datetime

import pyproj
import pystac
import pytest
import shapely

from geoml_ops.adapters.stac import check_item, map_item, scene_item
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import BandSource, Bundle, Prediction, Scene
from geoml_ops.core.grid import Grid
from geoml_ops.core.noun import FileRef
from tests.every_noun import any_noun

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


def prediction(**changes: object) -> Prediction:
    noun = any_noun(Prediction)
    assert isinstance(noun, Prediction)
    return noun.model_copy(update={"grid": SCENE.grid, **changes})


def test_the_item_of_a_map_names_its_model_its_classes_and_its_scenes() -> None:
    bundle = any_noun(Bundle)
    assert isinstance(bundle, Bundle)
    bundle = bundle.model_copy(update={"classes": ("water", "grün"), "colours": ("#0000ff", "#00ff00")})
    made = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    item = map_item(prediction(), bundle, [SCENE], made=made, files={"map": FILE, "outlines": FILE}, version="0.1.0")
    said = item["properties"]
    assert (said["datetime"], said["geoml:time_of"]) == ("2017-02-16T10:21:01Z", "acquisition")
    assert said["geoml:bundle"] == said["processing:expression"]["expression"] == bundle.id
    classes = item["assets"]["map"]["bands"][0]["classification:classes"]
    assert [(c["value"], c["title"]) for c in classes] == [(0, "water"), (1, "grün"), (255, "no answer")]
    assert all(re.fullmatch(r"[0-9A-Za-z-_]+", c["name"]) for c in classes)
    assert item["assets"]["map"]["file:checksum"] == "1220" + "a" * 64
    assert [link["href"] for link in item["links"] if link["rel"] == "derived_from"] == ["one.json"]
    assert pystac.Item.from_dict(item).id == item["id"]
    alone = map_item(prediction(), bundle, [], made=made, files={"map": FILE}, version="0.1.0")["properties"]
    assert (alone["datetime"], alone["geoml:time_of"]) == ("2026-05-04T03:02:01Z", "answer")


def test_a_map_across_the_antimeridian_has_two_parts_and_a_box_that_says_so() -> None:
    grid = Grid(crs="EPSG:32660", left=600_000.0, top=5_800_000.0, pixel_m=100.0, width=2500, height=500)
    bundle = any_noun(Bundle)
    assert isinstance(bundle, Bundle)
    made = datetime(2026, 5, 4, tzinfo=UTC)
    item = map_item(prediction(grid=grid), bundle, [], made=made, files={"map": FILE}, version="0.1.0")
    west, south, east, north = item["bbox"]
    assert west > 178
    assert -178 < east < -177
    assert south < north
    parts = shapely.geometry.shape(item["geometry"])
    assert parts.geom_type == "MultiPolygon"
    assert sum(part.area for part in parts.geoms) < 20
