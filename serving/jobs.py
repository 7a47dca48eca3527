"""``/jobs``: rasters that are too large to wait for; sent, watched, fetched, cancelled."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.core.errors import Conflict, NotFound
from geoml_ops.core.flow import Prediction
from geoml_ops.platform.jail import JailedPool
from geoml_ops.settings import Settings
from geoml_ops.steps.answering import Model
from geoml_ops.steps.jobs import Job, job_id, need_bytes
from geoml_ops.steps.requests import described
from serving.caller import Caller, caller_of
from serving.follow import Follower
from serving.rasters import (
    GONE,
    asked_layers,
    asked_name,
    length_of,
    limits_of,
    map_answer,
    received,
    uploads_of,
    while_wanted,
)
from serving.working import Work

MOST_SHOWN = 500


class Jobs:
    """The addresses of jobs. A job belongs to the key that made it; operators see all."""

    def __init__(self, settings: Settings, follower: Follower, jail: JailedPool, work: Work) -> None:
        """Keeps what it needs.

        Args:
            settings: of this machine.
            follower: knows which model answers.
            jail: threads that may read uploads, to look at one before it becomes a job.
            work: the jobs themselves.
        """
        self.follower, self.jail, self.work = follower, jail, work
        self.uploads, self.limits = uploads_of(settings), limits_of(settings)
        self.places = settings.places()
        self.shelf, self.log = Shelf(self.places.nouns), PredictionLog(self.places.predictions)

    def routes(self) -> list[Route]:
        """Returns the addresses."""
        return [
            Route("/jobs", self.accept, methods=["POST"]),
            Route("/jobs", self.all),
            Route("/jobs/{id}", self.one),
            Route("/jobs/{id}", self.remove, methods=["DELETE"]),
            Route("/jobs/{id}/result", self.result),
            Route("/jobs/{id}/cancel", self.cancel, methods=["POST"]),
        ]

    async def accept(self, request: Request) -> Response:
        """Takes in a raster: 202 and where to ask for it; 200 where its map is there already."""
        model, caller = self.follower.current(), caller_of(request)
        name, layers = asked_name(request), asked_layers(request, model)
        self.work.require_room(caller.owner, length_of(request))
        try:
            async with received(request, self.uploads) as source:

                def look() -> Job:
                    return self._described(source, model, name, layers, caller)

                job = await while_wanted(request, caller, self.jail, look)
                job = await to_thread.run_sync(self._accepted, source, job, caller)
        except ClientDisconnect:
            return Response(status_code=GONE)
        status = HTTPStatus.ACCEPTED if job.unfinished else HTTPStatus.OK
        return JSONResponse(job_row(job), status, {"Location": f"/jobs/{job.id}"})

    def all(self, request: Request) -> Response:
        """Returns jobs, newest first."""
        caller = caller_of(request)
        jobs = self.work.jobs(caller.owner, everyone=caller.sees_all)[:MOST_SHOWN]
        return JSONResponse({"jobs": [job_row(job) for job in jobs]})

    def one(self, request: Request) -> Response:
        """Returns how far one job is."""
        return JSONResponse(job_row(self._job(request)))

    def result(self, request: Request) -> Response:
        """Returns the map of a job that is done.

        Raises:
            Conflict: it is not done.
        """
        job = self._job(request)
        if job.state != "done":
            raise Conflict(f"The job is {job.state}, so there is no map. {job.message}")
        prediction = self.shelf.get(Prediction, job.prediction)
        if not (self.log.home(prediction.id) / MAP).exists():
            raise NotFound(f"The file of {prediction.id} is not kept any more.", "send the raster again")
        return map_answer(self.log, prediction)

    def cancel(self, request: Request) -> Response:
        """Stops a job; returns how it stands."""
        caller = caller_of(request)
        job = self.work.cancel(request.path_params["id"], caller.owner, everyone=caller.sees_all)
        return JSONResponse(job_row(job), HTTPStatus.ACCEPTED if job.unfinished else HTTPStatus.OK)

    def remove(self, request: Request) -> Response:
        """Stops a job and forgets it; its map stays among the predictions."""
        caller = caller_of(request)
        self.work.cancel(request.path_params["id"], caller.owner, everyone=caller.sees_all, remove=True)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _job(self, request: Request) -> Job:
        caller = caller_of(request)
        return self.work.job(request.path_params["id"], caller.owner, everyone=caller.sees_all)

    def _described(self, source: Path, model: Model, name: str, layers: tuple[str, ...], caller: Caller) -> Job:
        # What the model cannot read is refused now, not when the job's turn has come.
        fitting = described(self.places, source, model, name, self.limits, layers)
        n_px = fitting.source.grid.width * fitting.source.grid.height
        caller.require_time()
        return Job(
            id=job_id(caller.owner, model, fitting.sha256, layers),
            owner=caller.owner,
            name=name,
            sha256=fitting.sha256,
            layers=layers,
            all_px=n_px,
            made=datetime.now(UTC),
            reserved_bytes=need_bytes(n_px),
        )

    def _accepted(self, source: Path, job: Job, caller: Caller) -> Job:
        """Returns the job as it stands; pixels are counted for new ones only."""
        known = self.work.known(job.id)
        if known is not None:
            return known
        self.work.require_room(job.owner, job.reserved_bytes)
        caller.spend(job.all_px)
        return self.work.accept(source, job)


def job_row(job: Job) -> dict[str, Any]:
    """Returns what a caller may know of a job."""
    return {
        "id": job.id,
        "state": job.state,
        "done_px": job.done_px,
        "all_px": job.all_px,
        "message": job.message,
        "prediction": job.prediction or None,
        "name": job.name,
        "layers": list(job.layers),
        "made": job.made.isoformat(),
        "ended": job.ended.isoformat() if job.ended else None,
        "bundle": job.served.bundle if job.served else None,
        "number": job.served.number if job.served else None,
    }
