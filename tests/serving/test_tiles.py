"""Live tiles of real maps: each layer against its band, what is refused, what caches are told, and what is not read."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.raster import WebTile
from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import Prediction
from geoml_ops.domain.tiling import outside
from geoml_ops.settings import Settings
from geoml_ops.steps import classify
from serving.pictures import BANDS, IMAGE
from serving.schemas import message_of, status_of
from serving.tiles import TILED, Tiles
from tests.answering import APPLICABILITY, CONFORMAL, write_bundle, write_raster
from tests.serving.inside import answering


@dataclass
class World:
    """One map that knows everything and one that does not, and a client of their tiles."""

    client: httpx.Client
    folder: Path
    knowing: Prediction
    plain: Prediction

    def tile(self, tile: WebTile, layer: str, prediction: str = "", **headers: str) -> httpx.Response:
        twice = "@2x" if tile.edge_px == 512 else ""
        address = f"/tiles/{tile.zoom}/{tile.col}/{tile.row}{twice}.png"
        said = {"prediction": prediction or self.knowing.id, "layer": layer}
        return self.client.get(address, params=said, headers=headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("tiles")
    settings = Settings(workspace=home / "workspace")
    places = settings.places()
    write_raster(home / "scene.tif")
    made = {}
    for number, (name, knows) in enumerate(
        {"plain": {}, "knowing": {"applicability": APPLICABILITY, "conformal": CONFORMAL}}.items(), start=1
    ):
        bundle = write_bundle(home / name, 0.001, **knows)  # type: ignore[arg-type]
        shutil.copytree(home / name, places.bundles / bundle.file.sha256)
        Shelf(places.nouns).put(bundle)
        opened = open_bundle(places.bundles, bundle.file.sha256, bundle.id)
        model = classify.load(opened, Release("landcover", number, bundle.id, bundle.file.sha256))
        made[name] = classify.classify(places, home / "scene.tif", model, name=name)
    app = Starlette(routes=Tiles(settings).routes(), exception_handlers={GeomlError: _refused})
    with answering(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield World(client, places.predictions, made["knowing"], made["plain"])


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, GeomlError)
    return JSONResponse({"message": message_of(error)}, int(status_of(error)))


def drawn(answer: httpx.Response) -> tuple[NDArray[np.uint8], dict[int, Any]]:
    """Returns the codes of a tile and its colours."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    with MemoryFile(answer.content) as memory, memory.open(driver="PNG") as source:
        return source.read(1), source.colormap(1)


def middle(prediction: Prediction, zoom: int, edge_px: int = 256) -> WebTile:
    """Returns the tile in the middle of a map."""
    west, south, east, north = raster.lon_lat_bounds(prediction.grid) or pytest.fail("nowhere")
    lon, lat, n = (west + east) / 2, (south + north) / 2, 2**zoom
    row = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * n
    return WebTile(zoom, int((lon + 180) / 360 * n), int(row), edge_px)


def values_of(world: World, tile: WebTile, band: str) -> NDArray[np.uint8]:
    path = world.folder / world.knowing.id / "map.tif"
    known = raster.levels(path)
    return raster.read_tile(path, tile, [known.names.index(band)], raster.level_for(known, tile))[0]


@pytest.mark.parametrize("zoom", [10, 13, 16])
@pytest.mark.parametrize("layer", BANDS)
def test_every_layer_is_drawn_from_its_band(world: World, layer: str, zoom: int) -> None:
    tile = middle(world.knowing, zoom)
    values = values_of(world, tile, BANDS[layer])
    codes, colours = drawn(world.tile(tile, layer))
    if layer == "outside":
        np.testing.assert_array_equal(codes, outside(values))
        assert (colours[0][3], colours[1][3]) == (0, 255)
        return
    np.testing.assert_array_equal(codes, values)
    assert all((colours[int(code)][3] == 255) == (code != 255) for code in np.unique(codes))
    assert (codes != 255).any()
    if layer == "classes":
        assert [colours[0][:3], colours[1][:3]] == [(160, 82, 45), (34, 139, 34)]


def test_twice_the_pixels(world: World) -> None:
    tile = middle(world.knowing, 14, 512)
    codes, _ = drawn(world.tile(tile, "classes"))
    assert codes.shape == (512, 512)
    np.testing.assert_array_equal(codes, values_of(world, tile, "class"))


def test_the_image_lies_where_the_map_lies(world: World) -> None:
    """What was not observed is transparent in both, pixel by pixel."""
    tile = middle(world.knowing, 14)
    answer = world.tile(tile, IMAGE)
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as memory, memory.open(driver="PNG") as source:
        pixels = source.read()
    assert pixels.shape == (4, 256, 256)
    seen = values_of(world, tile, "class") != 255
    assert (seen & (pixels[3] == 255)).sum() > 1000
    np.testing.assert_array_equal(pixels[3] == 255, seen)
    assert (world.folder / world.knowing.id / TILED).exists()


def test_beside_the_map_nothing_is_read_and_nothing_is_seen(world: World) -> None:
    """Also when the file is gone: an outside tile is known from the noun alone."""
    path = world.folder / world.plain.id / "map.tif"
    aside = path.rename(path.with_suffix(".aside"))
    try:
        for tile in (WebTile(14, 0, 0), WebTile(3, 0, 7), WebTile(24, 2**24 - 1, 2**24 - 1)):
            codes, colours = drawn(world.tile(tile, "classes", world.plain.id))
            assert (codes == 0).all()
            assert colours[0][3] == 0
        gone = world.tile(middle(world.plain, 14), "classes", world.plain.id)
        assert (gone.status_code, "not kept any more" in gone.text) == (404, True)
    finally:
        aside.rename(path)
    assert len(world.tile(WebTile(14, 0, 0), "classes").content) < 400


def test_caches_may_keep_a_tile_and_learn_that_it_is_the_same(world: World) -> None:
    tile = middle(world.knowing, 13)
    first = world.tile(tile, "classes")
    assert "immutable" in first.headers["cache-control"]
    assert "private" in first.headers["cache-control"]
    again = world.tile(tile, "classes", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert world.tile(tile, "classes", **{"If-None-Match": '"other"'}).content == first.content
    others = [
        world.tile(tile, "confidence"),
        world.tile(tile, "classes", world.plain.id),
        world.tile(middle(world.knowing, 14), "classes"),
        world.tile(middle(world.knowing, 13, 512), "classes"),
    ]
    tags = {answer.headers["etag"] for answer in [first, *others]}
    assert len(tags) == 5


@pytest.mark.parametrize("address", ["25/0/0", "3/8/0", "3/0/8", "0/1/0", "24/16777216/0", "9999/0/0"])
def test_tiles_that_are_not_there_are_refused(world: World, address: str) -> None:
    answer = world.client.get(f"/tiles/{address}.png", params={"prediction": world.knowing.id})
    assert (answer.status_code, "There is no" in answer.text) == (422, True)


@pytest.mark.parametrize(
    "address", ["-1/0/0.png", "1.5/0/0.png", "a/0/0.png", "0/0.png", "0/0/0/0.png", "0/0/0.jpg", "0/0/0@3x.png"]
)
def test_addresses_that_are_no_tiles_are_not_found(world: World, address: str) -> None:
    assert world.client.get(f"/tiles/{address}").status_code == 404


@pytest.mark.parametrize(
    "prediction", ["", "prediction-0000000000000000", "bundle-0000000000000000", "../../x", "\0", "p" * 999]
)
def test_predictions_that_are_not_there_are_not_found(world: World, prediction: str) -> None:
    answer = world.client.get("/tiles/0/0/0.png", params={"prediction": prediction})
    assert answer.status_code in (404, 422)
    assert str(world.folder) not in answer.text


def test_layers_that_a_map_lacks_are_refused(world: World) -> None:
    tile = middle(world.plain, 14)
    for layer in ("set_size", "dissimilarity", "outside"):
        answer = world.tile(tile, layer, world.plain.id)
        assert (answer.status_code, answer.json()["message"].endswith("Try: one of classes, confidence, image")) == (
            422,
            True,
        )
    for layer in ("secret", "set_1", "x" * 999, ""):
        answer = world.tile(WebTile(0, 0, 0), layer, world.plain.id)
        assert answer.status_code == 422
        assert len(answer.text) < 300


def test_many_at_once_are_the_same_as_one_by_one(world: World) -> None:
    """A picture is brought into tiles by the first that asks, whoever else asks meanwhile."""
    (world.folder / world.knowing.id / TILED).unlink(missing_ok=True)
    tiles = [(middle(world.knowing, zoom), layer) for zoom in range(8, 18) for layer in ("classes", IMAGE, "outside")]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda each: world.tile(*each).content, tiles))
    assert together == [world.tile(*each).content for each in tiles]
    assert not list((world.folder / world.knowing.id).glob(".*"))
