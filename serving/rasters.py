"""``POST /classify``: a raster in, its map out; and how rasters come in, for jobs too."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import RawIOBase
from pathlib import Path
from typing import TypeVar

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from geoml_ops.adapters import raster
from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.adapters.raster import RasterFacts
from geoml_ops.core.errors import BadInput, Cancelled, GeomlError, StorageFull, TooLarge
from geoml_ops.core.flow import Prediction
from geoml_ops.platform.jail import JailedPool
from geoml_ops.platform.space import is_full
from geoml_ops.settings import Settings
from geoml_ops.steps import classify
from geoml_ops.steps.answering import Model
from geoml_ops.steps.jobs import need_bytes, require_space
from geoml_ops.steps.live import live_tile
from serving.caller import Caller, caller_of
from serving.follow import Follower
from serving.recording import Recorder
from serving.schemas import TooLong, trust_headers

MAP_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
LEFTOVER_S = 3600.0
MOST_LAYERS = 64
GONE = 499
_NAME = re.compile(r"[\w .,()+-]{1,80}")
_LAYER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_WRITE_BYTES = 1 << 20
T = TypeVar("T")


class Rasters:
    """The address, over one follower and one pool of confined threads."""

    def __init__(
        self, settings: Settings, follower: Follower, jail: JailedPool, recorder: Recorder | None = None
    ) -> None:
        """Keeps what it needs.

        Args:
            settings: of this machine.
            follower: knows which model answers.
            jail: threads that may read uploads and write predictions.
            recorder: of what was answered; None to record nothing.
        """
        self.settings, self.follower, self.jail, self.recorder = settings, follower, jail, recorder
        self.places = settings.places()
        self.uploads = uploads_of(settings)
        self.limits = limits_of(settings)
        self.log = PredictionLog(self.places.predictions)

    def routes(self) -> list[Route]:
        """Returns the address."""
        return [Route("/classify", self.classify, methods=["POST"])]

    def prepare(self) -> None:
        """Makes the folder of uploads and removes what a killed service left in it."""
        self.uploads.mkdir(parents=True, exist_ok=True)
        for folder in self.uploads.iterdir():
            if time.time() - folder.stat().st_mtime > LEFTOVER_S:
                shutil.rmtree(folder, ignore_errors=True)

    async def classify(self, request: Request) -> Response:
        """Returns the map of the raster in the body."""
        model, caller = self.follower.current(), caller_of(request)
        name, layers = asked_name(request), asked_layers(request, model)
        require_space(self.uploads, length_of(request))
        began = time.perf_counter()

        def work() -> Prediction:
            prediction = self._answer(source, model, name, layers, caller)
            tile = live_tile(source, model, self.limits)
            if tile is not None:
                self.follower.seen(model, *tile)
            if self.recorder is not None:
                latency_s, request_id = time.perf_counter() - began, caller.request_id
                self.recorder.record_raster(model, prediction, latency_s, request_id, source=source, limits=self.limits)
            return prediction

        try:
            async with received(request, self.uploads) as source:
                prediction = await while_wanted(request, caller, self.jail, work)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Cancelled:
            raise TooLong(
                f"The map was not done within {caller.request_s:g} s and was stopped.",
                "POST /jobs, which may take longer",
            ) from None
        self._noted(model, prediction, time.perf_counter() - began)
        return map_answer(self.log, prediction)

    def _answer(self, source: Path, model: Model, name: str, layers: tuple[str, ...], caller: Caller) -> Prediction:
        caller.require_time()
        n_px = pixels_of(raster.describe(source, self.limits))
        most = self.settings.max_sync_pixels
        if n_px > most:
            raise TooLarge(f"The raster has {n_px} pixels; {most} are answered at once.", "POST /jobs")
        require_space(self.uploads, need_bytes(n_px))
        caller.spend(n_px)
        try:
            return classify.classify(
                self.places,
                source,
                model,
                name=name,
                limits=self.limits,
                layers=layers,
                cancelled=caller.cancelled,
                memory_mb=self.settings.memory_mb,
                threads=self.settings.threads,
            )
        except GeomlError as error:
            if not isinstance(error, BadInput | Cancelled):
                self.follower.noted(model, False, 0.0, n_px)
            raise

    def _noted(self, model: Model, prediction: Prediction, latency_s: float) -> None:
        grid = prediction.grid
        self.follower.noted(model, True, latency_s, grid.width * grid.height)


def uploads_of(settings: Settings) -> Path:
    """Returns the folder that rasters are received in."""
    return settings.places().workspace / "service" / "uploads"


def limits_of(settings: Settings) -> raster.Limits:
    """Returns what a raster from outside may be."""
    return raster.Limits(file_bytes=int(settings.max_upload_mb * 2**20), pixels=settings.max_pixels)


def asked_name(request: Request) -> str:
    """Returns what people call the raster; empty where nothing is said.

    Raises:
        BadInput: it holds other signs than names do.
    """
    name = request.query_params.get("name", "")
    if name and not _NAME.fullmatch(name):
        raise BadInput("The name holds signs that are not allowed or is too long.", "1 to 80 letters, digits, ._-")
    return name


def asked_layers(request: Request, model: Model) -> tuple[str, ...]:
    """Returns the bands of the map that were asked for, as the step names them; empty for all.

    Raises:
        BadInput: the model's maps have no such layer.
    """
    text = request.query_params.get("layers", "")
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if len(words) > MOST_LAYERS or not all(_LAYER.fullmatch(word) for word in words):
        raise BadInput("The layers are not names with commas between.", "?layers=class,confidence")
    return classify.chosen(model.bundle, words)


def length_of(request: Request) -> int:
    """Returns the length of the body; the guard has judged it."""
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0


def pixels_of(facts: RasterFacts) -> int:
    """Returns the pixels of one band."""
    return facts.grid.width * facts.grid.height


@asynccontextmanager
async def received(request: Request, uploads: Path) -> AsyncIterator[Path]:
    """Yields the body as a file in a folder of its own, which is removed at the end.

    Raises:
        ClientDisconnect: the body did not come to its end.
    """
    uploads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=uploads, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "upload.tif"
        try:
            with path.open("wb", buffering=0) as stream:
                await _write(request, stream)
        except OSError as error:
            if is_full(error, uploads):
                raise StorageFull("The disk is full; nothing of this was kept.", "again later") from None
            raise
        yield path


async def _write(request: Request, stream: RawIOBase) -> None:
    waiting: list[bytes] = []
    n_waiting = 0
    async for part in request.stream():
        waiting.append(part)
        n_waiting += len(part)
        if n_waiting >= _WRITE_BYTES:
            await to_thread.run_sync(_put, stream, b"".join(waiting))
            waiting, n_waiting = [], 0
    await to_thread.run_sync(_put, stream, b"".join(waiting))


def _put(stream: RawIOBase, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[stream.write(rest) or 0 :]


async def while_wanted(request: Request, caller: Caller, jail: JailedPool, work: Callable[[], T]) -> T:
    """Returns what work in a confined thread returns; it is told when whoever asked has gone."""
    gone = asyncio.ensure_future(_gone(request, caller))
    try:
        return await jail.run(work)
    finally:
        gone.cancel()


async def _gone(request: Request, caller: Caller) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    caller.give_up()


def map_answer(log: PredictionLog, prediction: Prediction) -> Response:
    """Returns the map of a prediction as a download that says where it comes from."""
    return FileResponse(
        log.home(prediction.id) / MAP,
        media_type=MAP_TYPE,
        filename="classified.tif",
        headers={
            "X-Prediction-Id": prediction.id,
            "X-Model-Number": str(prediction.number),
            "X-Bundle-Id": prediction.bundle,
            "X-Graph-SHA256": prediction.graph_sha256,
            **trust_headers(prediction),
        },
    )
