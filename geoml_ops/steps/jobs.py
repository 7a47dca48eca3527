"""Jobs: rasters that are too large to wait for; kept on disk, so that a killed service goes on with them.

A job takes the champion of the moment when it starts, writes that down, and keeps to it: taken up again after a kill
it is answered by the same bundle, so the map has the bytes that it would have had without the kill.
"""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.core.errors import NotFound, StorageFull
from geoml_ops.core.grid import Value
from geoml_ops.core.noun import digest
from geoml_ops.platform.files import sweep_parts, sync_folder, write_json
from geoml_ops.platform.log import logger
from geoml_ops.steps.answering import Model, load
from geoml_ops.steps.places import Places

State = Literal["queued", "running", "done", "failed", "cancelled"]
UNFINISHED: tuple[State, ...] = ("queued", "running")
KEEP_DAYS, KEEP_MOST = 30, 1000
SPARE_BYTES = 256 << 20
# A map of five bands and its overviews, in the journal and beside it; what compresses well takes far less.
_BYTES_PER_PX = 14
_ID = re.compile(r"job-[0-9a-f]{16}")
_log = logger("jobs")


class Served(Value):
    """The release that a job began with: fields of :class:`geoml_ops.adapters.registry.Release`."""

    model: str
    number: int
    bundle: str
    graph_sha256: str

    @classmethod
    def by(cls, model: Model) -> Served:
        """Returns the release of a model that answers."""
        return cls(**vars(model.release))


class Job(Value):
    """One raster that somebody wants classified, and how far that is.

    Attributes:
        id: from owner, raster, model and layers.
        owner: name of the key that made it; empty where no key is needed.
        name: what people call the raster.
        sha256: of the raster.
        layers: bands of the map that were asked for; empty for all.
        all_px: pixels of one band.
        made: when it was accepted (UTC).
        ended: when it was done, failed or was cancelled; None before.
        state: where it stands.
        message: a sentence about that.
        done_px: of ``all_px``; written from time to time.
        served: what answers it; None before it started.
        prediction: its result; empty until it is done.
        reserved_bytes: of the disk, while it is not finished.
    """

    id: str
    owner: str = ""
    name: str = ""
    sha256: str
    layers: tuple[str, ...] = ()
    all_px: int = Field(ge=1)
    made: datetime
    ended: datetime | None = None
    state: State = "queued"
    message: str = "It waits for its turn."
    done_px: int = Field(0, ge=0)
    served: Served | None = None
    prediction: str = ""
    reserved_bytes: int = Field(0, ge=0)

    @property
    def unfinished(self) -> bool:
        """True while there is work left."""
        return self.state in UNFINISHED

    def ended_as(self, state: State, message: str, *, prediction: str = "", done_px: int = 0) -> Job:
        """Returns the job as it ended just now; it holds no disk any more."""
        said = {"state": state, "message": message, "prediction": prediction, "done_px": done_px}
        return self.model_copy(update={**said, "ended": datetime.now(UTC), "reserved_bytes": 0})


def job_id(owner: str, model: Model, sha256: str, layers: tuple[str, ...]) -> str:
    """Returns the id of a job; the same raster for the same model and layers is the same job."""
    release = model.release
    return f"job-{digest([owner, release.model, release.number, release.bundle, sha256, list(layers)])[:16]}"


def need_bytes(all_px: int) -> int:
    """Returns the disk that a map of so many pixels may take while it is made."""
    return all_px * _BYTES_PER_PX


def require_space(folder: Path, wanted_bytes: int, reserved_bytes: int = 0) -> None:
    """Lets work begin for which the disk has room.

    Raises:
        StorageFull: it has not, counting what others reserved.
    """
    free = shutil.disk_usage(folder).free
    if free - reserved_bytes - SPARE_BYTES < wanted_bytes:
        raise StorageFull(
            f"This may need {wanted_bytes >> 20} MiB of disk; so much is not free beside what waits already.",
            "again later",
        )


class Desk:
    """Jobs under one folder: ``<id>/job.json``, and ``upload.tif`` beside it until the job is finished."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def home(self, name: str) -> Path:
        """Returns the folder of a job.

        Raises:
            NotFound: this is not the id of a job.
        """
        if not _ID.fullmatch(name):
            raise NotFound(f"There is no job {name[:40]!r}.")
        return self.folder / name

    def upload(self, name: str) -> Path:
        """Returns where the raster of a job lies."""
        return self.home(name) / "upload.tif"

    def all(self) -> list[Job]:
        """Returns all jobs, oldest first; what cannot be read is left out and said."""
        found = []
        for path in sorted(self.folder.glob("job-*/job.json")):
            try:
                found.append(Job.model_validate_json(path.read_bytes()))
            except (OSError, ValueError, ValidationError):
                _log.error("unreadable", job=path.parent.name)
        return sorted(found, key=lambda job: (job.made, job.id))

    def save(self, job: Job) -> Job:
        """Writes a job whole and returns it."""
        write_json(self.home(job.id) / "job.json", job.model_dump(mode="json"))
        return job

    def take(self, source: Path, job: Job) -> Job:
        """Moves an upload in and writes the job after it: a job without its raster is never seen."""
        path = self.upload(job.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as stream:
            os.fsync(stream.fileno())
        source.replace(path)
        sync_folder(path.parent)
        return self.save(job)

    def remove(self, name: str) -> None:
        """Removes a job; its map stays among the predictions."""
        shutil.rmtree(self.home(name), ignore_errors=True)

    def sweep(self, now: datetime) -> list[Job]:
        """Removes jobs that ended long ago and what killed writers left; returns those that stay, oldest first.

        Call it where nobody writes.
        """
        if not self.folder.exists():
            return []
        sweep_parts(self.folder)
        jobs = self.all()
        known = {job.id for job in jobs}
        for orphan in self.folder.glob("job-*"):
            if orphan.name not in known and not (orphan / "job.json").exists():
                shutil.rmtree(orphan, ignore_errors=True)
        for job in jobs:
            if not job.unfinished:
                self.upload(job.id).unlink(missing_ok=True)
        old = [job for job in outdated(jobs, now) if not job.unfinished]
        for job in old:
            self.remove(job.id)
        return [job for job in jobs if job not in old]


def sweep_journals(folder: Path, now: datetime) -> int:
    """Removes journals of maps that nobody went on with for :data:`KEEP_DAYS`; returns how many.

    Cancelled work is kept for whoever asks again, but not for ever.
    """
    limit = (now - timedelta(days=KEEP_DAYS)).timestamp()
    old = [
        journal
        for journal in (folder.iterdir() if folder.exists() else ())
        if journal.is_dir() and max(path.stat().st_mtime for path in (journal, *journal.iterdir())) < limit
    ]
    for journal in old:
        shutil.rmtree(journal, ignore_errors=True)
    return len(old)


def outdated(jobs: list[Job], now: datetime) -> list[Job]:
    """Returns finished jobs that are kept no longer: older than :data:`KEEP_DAYS`, or beyond :data:`KEEP_MOST`."""
    finished = [job for job in jobs if not job.unfinished]
    too_many = finished[: max(0, len(finished) - KEEP_MOST)]
    return [job for job in finished if job in too_many or (job.ended or job.made) < now - timedelta(days=KEEP_DAYS)]


def model_of(places: Places, job: Job, current: Model | None, *, device: str = "cpu") -> Model:
    """Returns the model that a job began with, from disk where it is not ``current``.

    Raises:
        NotFound: its files are gone.
        Refused: they were altered.
    """
    assert job.served is not None
    release = Release(**job.served.model_dump())
    if current is not None and current.release == release:
        return current
    return load(open_bundle(places.bundles, release.graph_sha256, release.bundle), release, device=device)
