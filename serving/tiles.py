"""Live tiles: squares of any map that was made, in any of its layers, for a map library to lay side by side."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

import numpy as np
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from geoml_ops.adapters import png, raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PICTURE, PredictionLog
from geoml_ops.adapters.raster import WebTile
from geoml_ops.core.errors import NotFound
from geoml_ops.core.flow import Bundle, Prediction
from geoml_ops.core.grid import Grid
from geoml_ops.settings import Settings
from serving.pictures import IMAGE, band_of, check_drawable, drawn, layer_of

TILED = "picture.tif"
AT_ONCE = 4
KEEP = "private, max-age=604800, immutable"
#: Raised when the same pixels are drawn otherwise, so that nobody is shown what a cache still holds.
DRAWING = 1


@dataclass(frozen=True)
class Shown:
    """What tiles of one prediction are drawn from.

    Attributes:
        id: of the prediction.
        grid: of its map.
        colours: ``#rrggbb`` in code order.
    """

    id: str
    grid: Grid
    colours: tuple[str, ...]


class Tiles:
    """Draws tiles of maps; a prediction never changes, so neither does a tile of it."""

    def __init__(self, settings: Settings) -> None:
        places = settings.places()
        self.shelf, self.log = Shelf(places.nouns), PredictionLog(places.predictions)
        self._shown = lru_cache(maxsize=512)(self._find)
        self._levels = lru_cache(maxsize=512)(raster.levels)
        self._building = threading.Lock()
        self._limiter: CapacityLimiter | None = None

    def routes(self) -> list[BaseRoute]:
        """Returns the addresses that are answered here."""
        one = "/tiles/{z:int}/{x:int}/{y:int}"
        return [Route(f"{one}.png", self.tile), Route(f"{one}@2x.png", self.tile)]

    async def tile(self, request: Request) -> Response:
        """Returns 256 x 256 pixels (``@2x``: 512 x 512) of one layer of one prediction, nearest pixels, as a PNG."""
        self._limiter = self._limiter or CapacityLimiter(AT_ONCE)
        return await to_thread.run_sync(self._answer, request, limiter=self._limiter)

    def _answer(self, request: Request) -> Response:
        path = request.path_params
        twice = request.url.path.endswith("@2x.png")
        tile = WebTile(path["z"], path["x"], path["y"], 512 if twice else 256)
        layer = layer_of(request.query_params.get("layer", "classes"))
        shown = self._shown(request.query_params.get("prediction", ""))
        check_drawable(layer)
        tag = _tag(shown.id, layer, tile)
        kept = {"ETag": tag, "Cache-Control": KEEP}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)
        return Response(self._drawn(shown, layer, tile), media_type="image/png", headers=kept)

    def _drawn(self, shown: Shown, layer: str, tile: WebTile) -> bytes:
        if raster.common(shown.grid, tile) is None:
            return nothing(tile.edge_px)
        if layer == IMAGE:
            return self._pictured(shown, tile)
        path = self._file(shown, MAP)
        known = self._levels(path)
        band = band_of(layer, known.names)
        values = raster.read_tile(path, tile, [band], raster.level_for(known, tile))[0]
        return drawn(layer, values, shown.colours)

    def _pictured(self, shown: Shown, tile: WebTile) -> bytes:
        path = self._picture(shown)
        known = self._levels(path)
        pixels = raster.read_tile(path, tile, [0, 1, 2, 3], raster.level_for(known, tile))
        return png.shaded(np.ascontiguousarray(pixels.transpose(1, 2, 0)))

    def _picture(self, shown: Shown) -> Path:
        path = self.log.home(shown.id) / TILED
        if not path.exists():
            with self._building:
                if not path.exists():
                    picture = self._file(shown, PICTURE)
                    placed = raster.picture_grid(shown.grid, *png.size_of(picture))
                    raster.tile_picture(png.rows_of(picture, raster.PICTURE_BLOCK_PX), placed, path)
        return path

    def _find(self, prediction_id: str) -> Shown:
        prediction = self.shelf.get(Prediction, prediction_id)
        bundle = self.shelf.get(Bundle, prediction.bundle)
        return Shown(prediction.id, prediction.grid, bundle.colours)

    def _file(self, shown: Shown, name: str) -> Path:
        path = self.log.home(shown.id) / name
        if not path.exists():
            raise NotFound(f"The file of {shown.id} is not kept any more.", "classify the raster again")
        return path


@lru_cache(maxsize=4)
def nothing(edge_px: int) -> bytes:
    """Returns a PNG of that many transparent pixels along each side."""
    return png.paletted(np.zeros((edge_px, edge_px), dtype=np.uint8), [(0, 0, 0, 0)])


def _tag(prediction_id: str, layer: str, tile: WebTile) -> str:
    said = f"{DRAWING} {prediction_id} {layer} {tile}"
    return f'"{hashlib.sha256(said.encode()).hexdigest()[:24]}"'
