"""The addresses of the service: each reads its question, asks one step, and shapes the answer."""

from __future__ import annotations

import math
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PICTURE, PredictionLog
from geoml_ops.core.errors import BadInput, GeomlError, NotFound
from geoml_ops.core.flow import Bundle, Evaluation, Prediction
from geoml_ops.core.noun import FileRef, Noun
from geoml_ops.platform.files import sha256_of
from geoml_ops.platform.jail import JailedPool
from geoml_ops.platform.log import logger
from geoml_ops.settings import Settings
from geoml_ops.steps import classify, trace
from geoml_ops.steps.items import described
from geoml_ops.steps.jobs import Desk
from geoml_ops.steps.pixels import pixel_of
from geoml_ops.steps.places import Places
from serving.chips import Chips
from serving.follow import Follower
from serving.hooks import Hooks
from serving.jobs import Jobs
from serving.monitoring import Pages
from serving.openapi import OpenApi
from serving.pictures import IMAGE, layer_of, picture
from serving.quotas import OverQuota
from serving.ranges import Ranges
from serving.rasters import MAP_TYPE, Rasters, uploads_of
from serving.recording import Recorder
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
)
from serving.tiles import Tiles
from serving.working import AT_ONCE as JOBS_AT_ONCE
from serving.working import Work

PAGE = Path(__file__).parent / "page"
TABLE = f"{MAP}.aux.xml"
AT_ONCE = 2
MOST_LISTED = 500
_log = logger("service")
N = TypeVar("N", bound=Noun)


def reads(places: Places) -> list[Path]:
    """Returns what answering a request may read beside the request: bundles, covariates, and the service's own code."""
    return [places.bundles, places.covariates, PAGE.parent]


def writes(places: Places) -> list[Path]:
    """Returns what answering a request may write: predictions, journals among them, and nouns."""
    return [places.predictions, places.nouns, places.workspace / "service" / "journals"]


class Routes:
    """All addresses, over one set of places and one follower."""

    def __init__(self, settings: Settings, follower: Follower, recorder: Recorder | None = None) -> None:
        self.settings, self.follower = settings, follower
        self.places = settings.places()
        self.shelf = Shelf(self.places.nouns)
        self.log = PredictionLog(self.places.predictions)
        self.tiles = Tiles(settings)
        self.chips = Chips(settings, follower, recorder.record_chip if recorder else None)
        self.rasters = Rasters(settings, follower, self._jailed(AT_ONCE, uploads_of(settings)), recorder)
        desk = Desk(self.places.workspace / "service" / "jobs")
        working = self._jailed(JOBS_AT_ONCE, desk.folder)
        self.work = Work(settings, follower, desk, working, recorder)
        self.jobs = Jobs(settings, follower, self._jailed(1, uploads_of(settings)), self.work)

    def _jailed(self, n_threads: int, folder: Path) -> JailedPool:
        return JailedPool(n_threads, read=reads(self.places), write=[*writes(self.places), folder])

    def app(self) -> Starlette:
        """Returns the application that BentoML mounts."""
        one = "/predictions/{id}"
        return Starlette(
            routes=[
                Route("/", self.index),
                Route("/model", self.model),
                *OpenApi(asks_keys=self.settings.keys is not None, max_upload=self.rasters.limits.file_bytes).routes(),
                *self.rasters.routes(),
                *self.jobs.routes(),
                Route("/predictions", self.predictions),
                Route(f"{one}/map.tif", self.map_tif),
                Route(f"{one}/map.tif.aux.xml", self.attributes),
                Route(f"{one}/item.json", self.item),
                Route(f"{one}/map.png", self.map_png),
                Route(f"{one}/at", self.at),
                *self.tiles.routes(),
                *self.chips.routes(),
                *Hooks(self.settings, self.follower).routes(),
                Mount("/page", StaticFiles(directory=PAGE)),
                Mount("/dashboard", Pages(directory=self.places.dashboard, html=True, check_dir=False)),
            ],
            middleware=[Middleware(Ranges)],
            exception_handlers={GeomlError: _refused, HTTPException: _odd, Exception: _broken},
        )

    def start(self) -> None:
        """Makes the folders that are served from, removes what a killed service left, and takes its jobs up again."""
        self.places.dashboard.mkdir(parents=True, exist_ok=True)
        self.rasters.prepare()
        self.work.start()

    def stop(self) -> None:
        """Ends what works in the background; unfinished jobs go on at the next start."""
        self.work.stop()
        self.chips.close()

    def index(self, _: Request) -> Response:
        """Returns the map page."""
        return FileResponse(PAGE / "index.html")

    def model(self, _: Request) -> Response:
        """Returns what serves, under which contract, and how well it was found to do."""
        ready, words = self.follower.readiness()
        model = self.follower.state.model
        if model is None:
            return JSONResponse({**words, "ready": ready, "limits": self._said_limits()})
        entry = classify.entry_of(model)
        return JSONResponse(
            {
                **words,
                **self.follower.told(),
                "limits": self._said_limits(),
                "entry": entry.as_json() | {"id": entry.id},
                "bundle": model.bundle.as_json() | {"id": model.bundle.id},
                "contract": model.contract.model_dump(mode="json"),
                "classes": legend(model.bundle),
                "applicability": applicability_row(model.bundle),
                "sets": sets_row(model.bundle),
                "evaluation": score_row(self._kept(Evaluation, model.bundle.evaluation)),
            }
        )

    def _said_limits(self) -> dict[str, Any]:
        names, model = ("max_sync_pixels", "max_pixels", "max_upload_mb"), self.follower.state.model
        fits = model is not None and classify.every_class_fits(model.bundle)
        return {name: getattr(self.settings, name) for name in names} | {"probabilities": fits}

    def predictions(self, request: Request) -> Response:
        """Returns what was answered, newest first."""
        limit = _number(request, "limit", 50.0)
        if not (0 <= limit <= MOST_LISTED and limit.is_integer()):
            raise BadInput(f"A list of {limit:g} predictions.", f"?limit=… with a whole number from 0 to {MOST_LISTED}")
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

    def attributes(self, request: Request) -> Response:
        """Returns the map's attribute table."""
        return FileResponse(self._file(request, TABLE), media_type="application/xml")

    def item(self, request: Request) -> Response:
        """Returns the map's STAC item; its assets are found beside it."""
        prediction = self.shelf.get(Prediction, request.path_params["id"])
        files = {"map": prediction.map.model_copy(update={"path": MAP})}
        table = self.log.home(prediction.id) / TABLE
        if table.exists():
            files["attributes"] = FileRef(path=TABLE, sha256=sha256_of(table), size=table.stat().st_size)
        return JSONResponse(described(self.places, prediction, files), media_type="application/geo+json")

    def map_png(self, request: Request) -> Response:
        """Returns one layer of a map as a picture, or the image that was sent."""
        layer = layer_of(request.query_params.get("layer", "classes"))
        keep = {"Cache-Control": "private, max-age=3600"}
        if layer == IMAGE:
            return FileResponse(self._file(request, PICTURE), media_type="image/png", headers=keep)
        path = self._file(request, MAP)
        bundle = self.shelf.get(Bundle, self.shelf.get(Prediction, request.path_params["id"]).bundle)
        return Response(picture(path, layer, bundle.colours), media_type="image/png", headers=keep)

    def at(self, request: Request) -> Response:
        """Returns what a map says at a point (``easting, northing`` or ``lon, lat``), and where that came from."""
        path = self._file(request, MAP)
        grid = self.shelf.get(Prediction, request.path_params["id"]).grid
        if "lon" in request.query_params:
            easting, northing = raster.to_ground(grid, _number(request, "lon"), _number(request, "lat"))
        else:
            easting, northing = _number(request, "easting"), _number(request, "northing")
        pixel = pixel_of(path, easting, northing)
        links = trace.trace(self.places, path, easting, northing)
        corners = raster.outline(grid, pixel.row, pixel.col)
        return JSONResponse(pixel_row(pixel, links, easting, northing) | {"corners": corners})

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
    wait = error.retry_s if isinstance(error, OverQuota) else 5
    waits = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INSUFFICIENT_STORAGE)
    headers = {"Retry-After": str(wait)} if status in waits else None
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
