"""One turn of a job: the model that answers it, the engine, and what is said meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from geoml_ops.core.errors import NotFound
from geoml_ops.core.flow import Prediction
from geoml_ops.settings import Settings
from geoml_ops.steps import classify
from geoml_ops.steps.answering import Model
from geoml_ops.steps.jobs import Desk, Job, Served, model_of
from serving.follow import Follower
from serving.rasters import limits_of
from serving.recording import Recorder

WRITE_S = 2.0


@dataclass(eq=False)
class Now:
    """A job that is not finished, in this process.

    Attributes:
        job: as it was last written.
        stop: set when nobody wants it any more.
        removed: whether it goes away altogether when it stops.
        running: whether a thread is at it.
        done_px: newer than what was written.
    """

    job: Job
    stop: threading.Event = field(default_factory=threading.Event)
    removed: bool = False
    running: bool = False
    done_px: int = 0
    written: float = 0.0


Save = Callable[[Now, Mapping[str, Any]], None]


class Turns:
    """Works on jobs, one at a time in each thread that calls it."""

    def __init__(
        self,
        settings: Settings,
        follower: Follower,
        desk: Desk,
        *,
        save: Save,
        ends: Callable[[], bool],
        recorder: Recorder | None = None,
    ) -> None:
        """Keeps what it needs.

        Args:
            settings: of this machine.
            follower: knows which model answers.
            desk: where jobs lie.
            save: writes what changed of a job.
            ends: says whether the whole service stops.
            recorder: of what was answered; None to record nothing.
        """
        self.settings, self.follower, self.desk = settings, follower, desk
        self.save, self.ends, self.recorder = save, ends, recorder
        self.places, self.limits = settings.places(), limits_of(settings)

    def run(self, now: Now) -> Prediction:
        """Returns the map of a job; called again after an interruption it goes on where that was.

        Raises:
            Cancelled: nobody wants it any more, or the service stops.
            GeomlError: as :func:`geoml_ops.steps.classify.classify` and :func:`geoml_ops.steps.jobs.model_of`.
        """
        model, began = self._started(now), time.monotonic()
        source = self.desk.upload(now.job.id)
        prediction = classify.classify(
            self.places,
            source,
            model,
            name=now.job.name,
            limits=self.limits,
            layers=now.job.layers,
            progress=lambda done, _: self._progress(now, done),
            cancelled=lambda: self.ends() or now.stop.is_set(),
            memory_mb=self.settings.memory_mb,
            threads=self.settings.threads,
        )
        if self.recorder is not None:
            latency_s = time.monotonic() - began
            self.recorder.record_raster(
                model, prediction, latency_s, now.job.id, kind="job", source=source, limits=self.limits
            )
        return prediction

    def _started(self, now: Now) -> Model:
        """Returns the champion of the moment, or the model that the job began with before it was interrupted."""
        if not self.desk.upload(now.job.id).exists():
            raise NotFound("The raster of this job is gone.", "send it again")
        if now.job.served is None:
            model = self.follower.current()
            # Which layers there are may differ from what was promised when the job was accepted.
            classify.chosen(model.bundle, now.job.layers)
        else:
            current = self.follower.state.model
            model = model_of(self.places, now.job, current, device=self.settings.device)
        self.save(now, {"state": "running", "served": Served.by(model), "message": "It is being classified."})
        return model

    def _progress(self, now: Now, done_px: int) -> None:
        now.done_px = max(now.done_px, done_px)
        if time.monotonic() - now.written > WRITE_S:
            now.written = time.monotonic()
            self.save(now, {"done_px": now.done_px})
