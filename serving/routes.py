"""The addresses of the service: each reads its question, asks one step, and shapes the answer."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PICTURE, PredictionLog
from geoml_ops.core.errors import BadInput, GeomlError, NotFound
from geoml_ops.core.flow import Bundle, Evaluation, Prediction
from geoml_ops.core.noun import Noun
from geoml_ops.platform.log import logger
from geoml_ops.settings import Settings
from geoml_ops.steps import classify, trace
from geoml_ops.steps.pixels import pixel_of
from serving.follow import Follower
from serving.pictures import IMAGE, picture
from serving.schemas import (
    applicability_row,
    error_body,
    legend,
    message_of,
    pixel_row,
    prediction_row,
    score_row,
    sets_row,
    status_of,
    trust_headers,
)

PAGE = Path(__file__).parent / "page"
MAP_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
AT_ONCE = 2
LEFTOVER_S = 3600.0
_NAME = re.compile(r"[\w .,()+-]{1,80}")
_log = logger("service")
N = TypeVar("N", bound=Noun)


class Routes:
    """All addresses, over one set of places and one follower."""

    def __init__(self, settings: Settings, follower: Follower) -> None:
        self.settings, self.follower = settings, follower
        self.places = settings.places()
        self.shelf = Shelf(self.places.nouns)
        self.log = PredictionLog(self.places.predictions)
        self.uploads = self.places.workspace / "service" / "uploads"
        self.limits = raster.Limits(file_bytes=int(settings.max_upload_mb * 2**20), pixels=settings.max_pixels)
        self._limiter: CapacityLimiter | None = None

    def app(self) -> Starlette:
        """Returns the application that BentoML mounts."""
        one = "/predictions/{id}"
        return Starlette(
            routes=[
                Route("/", self.index),
                Route("/model", self.model),
                Route("/classify", self.classify, methods=["POST"]),
                Route("/predictions", self.predictions),
                Route(f"{one}/map.tif", self.map_tif),
                Route(f"{one}/map.png", self.map_png),
                Route(f"{one}/at", self.at),
                Mount("/page", StaticFiles(directory=PAGE)),
                Mount("/dashboard", StaticFiles(directory=self.places.dashboard, html=True, check_dir=False)),
            ],
            exception_handlers={GeomlError: _refused, HTTPException: _odd, Exception: _broken},
        )

    def prepare(self) -> None:
        """Makes the folders that are served from, and removes uploads that a killed service left behind."""
        self.uploads.mkdir(parents=True, exist_ok=True)
        self.places.dashboard.mkdir(parents=True, exist_ok=True)
        for folder in self.uploads.iterdir():
            if time.time() - folder.stat().st_mtime > LEFTOVER_S:
                shutil.rmtree(folder, ignore_errors=True)

    def index(self, _: Request) -> Response:
        """Returns the map page."""
        return FileResponse(PAGE / "index.html")

    def model(self, _: Request) -> Response:
        """Returns what serves, under which contract, and how well it was found to do."""
        ready, words = self.follower.readiness()
        model = self.follower.state.model
        if model is None:
            return JSONResponse({**words, "ready": ready})
        entry = classify.entry_of(model)
        return JSONResponse(
            {
                **words,
                "entry": entry.as_json() | {"id": entry.id},
                "bundle": model.bundle.as_json() | {"id": model.bundle.id},
                "contract": model.contract.model_dump(mode="json"),
                "classes": legend(model.bundle),
                "applicability": applicability_row(model.bundle),
                "sets": sets_row(model.bundle),
                "evaluation": score_row(self._kept(Evaluation, model.bundle.evaluation)),
            }
        )

    async def classify(self, request: Request) -> Response:
        """Returns the map of the raster in the body."""
        model = self.follower.current()
        name = request.query_params.get("name", "")
        if name and not _NAME.fullmatch(name):
            raise BadInput("The name holds signs that are not allowed or is too long.", "1 to 80 letters, digits, ._-")
        self._limiter = self._limiter or CapacityLimiter(AT_ONCE)
        self.uploads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.uploads, ignore_cleanup_errors=True) as folder:
            source = Path(folder) / "upload.tif"
            try:
                await _receive(request, source)
            except ClientDisconnect:
                return Response(status_code=400)
            prediction = await to_thread.run_sync(
                lambda: classify.classify(self.places, source, model, name=name, limits=self.limits),
                limiter=self._limiter,
            )
        return FileResponse(
            self.log.home(prediction.id) / MAP,
            media_type=MAP_TYPE,
            filename="classified.tif",
            headers={
                "X-Prediction-Id": prediction.id,
                "X-Model-Number": str(model.release.number),
                "X-Bundle-Id": model.bundle.id,
                "X-Graph-SHA256": model.bundle.file.sha256,
                **trust_headers(prediction),
            },
        )

    def predictions(self, request: Request) -> Response:
        """Returns what was answered, newest first."""
        limit = min(int(_number(request, "limit", 50)), 500)
        rows: list[dict[str, Any]] = []
        for line in reversed(list(self.log.lines())):
            if len(rows) >= limit:
                break
            prediction = self._kept(Prediction, line.id)
            if prediction is not None:
                rows.append(prediction_row(prediction, self._kept(Bundle, prediction.bundle), line.at.isoformat()))
        return JSONResponse({"predictions": rows})

    def map_tif(self, request: Request) -> Response:
        """Returns the map as it was made."""
        return FileResponse(self._file(request, MAP), media_type=MAP_TYPE, filename="classified.tif")

    def map_png(self, request: Request) -> Response:
        """Returns one layer of a map as a picture, or the image that was sent."""
        layer = request.query_params.get("layer", "classes")
        keep = {"Cache-Control": "private, max-age=3600"}
        if layer == IMAGE:
            return FileResponse(self._file(request, PICTURE), media_type="image/png", headers=keep)
        path = self._file(request, MAP)
        bundle = self.shelf.get(Bundle, self.shelf.get(Prediction, request.path_params["id"]).bundle)
        return Response(picture(path, layer, bundle.colours), media_type="image/png", headers=keep)

    def at(self, request: Request) -> Response:
        """Returns what a map says at a point, and where that came from."""
        path = self._file(request, MAP)
        easting, northing = _number(request, "easting"), _number(request, "northing")
        pixel = pixel_of(path, easting, northing)
        links = trace.trace(self.places, path, easting, northing)
        return JSONResponse(pixel_row(pixel, links, easting, northing))

    def _kept(self, kind: type[N], noun_id: str) -> N | None:
        try:
            return self.shelf.get(kind, noun_id)
        except NotFound:
            return None

    def _file(self, request: Request, name: str) -> Path:
        prediction = self.shelf.get(Prediction, request.path_params["id"])
        path = self.log.home(prediction.id) / name
        if not path.exists():
            raise NotFound(f"The file of {prediction.id} is not kept any more.", "classify the raster again")
        return path


async def _receive(request: Request, path: Path) -> None:
    with path.open("wb") as stream:
        async for part in request.stream():
            await to_thread.run_sync(stream.write, part)


def _number(request: Request, name: str, default: float | None = None) -> float:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"{name} is not a number.", f"?{name}=…")
    return value


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, GeomlError)
    status = status_of(error)
    request_id = request.scope.get("state", {}).get("request_id", "")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("refused", request=request_id, status=int(status), reason=str(error))
    headers = {"Retry-After": "5"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return JSONResponse(error_body(status, message_of(error), request_id), int(status), headers)


def _odd(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    request_id = request.scope.get("state", {}).get("request_id", "")
    return JSONResponse(error_body(status, status.phrase, request_id), int(status))


def _broken(request: Request, error: Exception) -> Response:
    request_id = request.scope.get("state", {}).get("request_id", "")
    _log.error("broken", request=request_id, error=f"{type(error).__name__}: {error}")
    words = "The service broke; the reason is in its log under this request id."
    return JSONResponse(error_body(HTTPStatus.INTERNAL_SERVER_ERROR, words, request_id), 500)
