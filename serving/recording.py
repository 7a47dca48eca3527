"""What the service leaves in the prediction log, without ever letting an answer wait for it or fail by it.

A map's rows are on disk before its answer leaves. Chips are queued, sketched and written by one thread; what is queued
is bounded in bytes, and what does not fit is counted and dropped. A crash loses the chips of the last seconds at most.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from geoml_ops.adapters import raster
from geoml_ops.adapters.predictions import PredictionLog, Row
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import Prediction
from geoml_ops.domain.sketch import class_counts
from geoml_ops.platform.log import logger
from geoml_ops.steps.answering import Model
from geoml_ops.steps.chiprecords import chip_rows, chip_tallies, layers_by_name
from geoml_ops.steps.chips import Asked
from geoml_ops.steps.keeping import keep_chips, keep_tiles
from geoml_ops.steps.places import Places
from geoml_ops.steps.records import Kind, record, tidy
from serving.urgency import give_way

FLUSH_S, FLUSH_ROWS = 20.0, 2000
QUEUE_BYTES = 64 << 20
TIDY_S = 3600.0
SKETCH_EVERY_S = 0.02
"""Bands of chips are sketched at most so often, so that a crowd of callers is answered and not measured."""
LEAST_URGENT = 10
_log = logger("recording")


@dataclass(frozen=True, eq=False)
class Chip:
    """A request about chips that was answered and is not recorded yet; its arrays belong to nobody else."""

    asked: Asked
    latency_s: float
    request: str
    at: datetime

    @property
    def nbytes(self) -> int:
        """What it holds."""
        return self.asked.dn.nbytes + self.asked.answer.nbytes


class Watcher(Protocol):
    """Whoever counts what is answered: :class:`serving.metrics.Metrics`."""

    def classified(self, kind: str, n_px: int) -> None:
        """Counts the pixels of one answer."""

    def seen(self, model: Model, classes: tuple[int, ...], outside: int | None) -> None:
        """Notes answered pixels by class code, and how many lie outside (None where that is not known)."""


class Recorder:
    """Records maps at once and chips soon.

    Attributes:
        dropped: requests about chips that were not recorded because too many waited.
        failed: requests whose rows could not be written.
        written: rows that were.
    """

    def __init__(
        self,
        places: Places,
        *,
        keep_tiles_share: float = 0.0,
        keep_log_days: int = 400,
        flush_s: float = FLUSH_S,
        queue_bytes: int = QUEUE_BYTES,
        watcher: Watcher | None = None,
    ) -> None:
        """Keeps what it needs; :meth:`start` begins.

        Args:
            places: where predictions are kept.
            keep_tiles_share: of the tiles, how many are kept as imagery (0 to 1).
            keep_log_days: after which days of the log are removed.
            flush_s: how long rows of chips may wait in memory.
            queue_bytes: how much imagery may wait to be sketched.
            watcher: is told what was answered, for metrics.
        """
        self.places, self.keep_share, self.keep_days = places, keep_tiles_share, keep_log_days
        self.flush_s, self.queue_bytes, self.watcher = flush_s, queue_bytes, watcher
        self.dropped = self.failed = self.written = 0
        self._log = PredictionLog(places.predictions)
        self._queue: queue.SimpleQueue[Chip | None] = queue.SimpleQueue()
        self._waiting, self._lock, self._sketched = 0, threading.Lock(), -SKETCH_EVERY_S
        self._rows: list[Row] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to record chips."""
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when everything that waits is written, or after ten seconds."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(10.0)

    @property
    def waiting_bytes(self) -> int:
        """Imagery that waits to be sketched."""
        return self._waiting

    def record_chip(self, asked: Asked, latency_s: float, request_id: str) -> None:
        """Queues a request about chips; waits for nobody. Its arrays may not be changed afterwards.

        Args:
            asked: a request that was answered in layers.
            latency_s: how long the caller waited.
            request_id: of the request.
        """
        if self.watcher is not None:
            self.watcher.classified("chip", asked.answer[:, 0].size)
        chip = Chip(asked, latency_s, request_id, datetime.now(UTC))
        with self._lock:
            # One that is larger than the queue may still pass alone.
            if self._waiting and self._waiting + chip.nbytes > self.queue_bytes:
                self.dropped += 1
                return
            self._waiting += chip.nbytes
        self._queue.put(chip)

    def record_raster(
        self,
        model: Model,
        prediction: Prediction,
        latency_s: float,
        request_id: str,
        *,
        kind: Kind = "raster",
        source: Path | None = None,
        limits: raster.Limits = raster.LIMITS,
    ) -> None:
        """Records a map, on disk when this returns; what goes wrong is counted and logged, the answer stands.

        Args:
            model: that answered.
            prediction: the map.
            latency_s: how long the caller waited.
            request_id: of the request.
            kind: whether it was a job.
            source: the raster, from which tiles are kept where that is switched on.
            limits: what the raster may be.
        """
        if self.watcher is not None:
            n_px = prediction.grid.width * prediction.grid.height
            known = round(prediction.valid_share * n_px)
            counts = tuple(round(known * share) for share in prediction.class_shares.values())
            outside = None if prediction.outside_share is None else round(known * prediction.outside_share)
            self.watcher.classified(kind, n_px)
            self.watcher.seen(model, counts, outside)
        try:
            new = record(self.places, model.bundle, prediction, request=request_id, kind=kind, latency_s=latency_s)
            if new and source is not None and self.keep_share > 0:
                now = datetime.now(UTC)
                keep_tiles(self.places, source, prediction, self.keep_share, limits=limits, at=now)
        except (GeomlError, OSError, ValueError, TimeoutError) as error:
            self._missed(request_id, error)

    def _work(self) -> None:
        # Nobody waits for a row, and an answer must not wait for one either.
        give_way(LEAST_URGENT)
        flushed, tidied = time.monotonic(), -TIDY_S
        going = True
        while going:
            try:
                chip = self._queue.get(timeout=self.flush_s / 4)
                going = chip is not None
                if chip is not None:
                    self._sketch(chip)
            except queue.Empty:
                pass
            now = time.monotonic()
            if not going or len(self._rows) >= FLUSH_ROWS or now - flushed > self.flush_s:
                self._flush()
                flushed = now
            if going and now - tidied > TIDY_S and self._queue.empty():
                self._tidy()
                tidied = now

    def _sketch(self, chip: Chip) -> None:
        try:
            bands = time.monotonic() - self._sketched >= SKETCH_EVERY_S
            self._sketched = time.monotonic() if bands else self._sketched
            tallies = chip_tallies(chip.asked, bands=bands)
            rows = chip_rows(chip.asked, tallies, request=chip.request, latency_s=chip.latency_s, at=chip.at)
            self._rows += rows
            self._tell(chip.asked)
            if self.keep_share > 0:
                keep_chips(self.places, rows, chip.asked, self.keep_share)
        except Exception as error:  # noqa: BLE001  a thread that dies would record nothing any more
            self._missed(chip.request, error)
        finally:
            with self._lock:
                self._waiting -= chip.nbytes

    def _tell(self, asked: Asked) -> None:
        if self.watcher is None:
            return
        bundle, layers = asked.model.bundle, layers_by_name(asked)
        far = layers.get("dissimilarity") if bundle.applicability is not None else None
        outside = None if far is None else int(np.count_nonzero((layers["class"] != 255) & (far > 100)))
        self.watcher.seen(asked.model, class_counts(layers["class"], len(bundle.classes)), outside)

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            self._log.record(rows)
            self.written += len(rows)
        except Exception as error:  # noqa: BLE001  a thread that dies would record nothing any more
            self._missed("", error)

    def _tidy(self) -> None:
        try:
            joined, removed = tidy(self.places, self.keep_days)
            if joined or removed:
                _log.info("tidied", joined=joined, removed_days=removed)
        except Exception as error:  # noqa: BLE001  a thread that dies would record nothing any more
            _log.warning("not tidied", error=f"{type(error).__name__}: {error}")

    def _missed(self, request: str, error: BaseException) -> None:
        self.failed += 1
        _log.warning("not recorded", request=request, error=f"{type(error).__name__}: {error}")
