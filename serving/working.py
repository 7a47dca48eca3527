"""Jobs in work: a queue with an end, a few confined threads, and the state on disk after every change."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.core.errors import Cancelled, GeomlError, NotFound, Unavailable
from geoml_ops.core.flow import Prediction
from geoml_ops.platform.jail import JailedPool
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.settings import Settings
from geoml_ops.steps.jobs import Desk, Job, State, outdated, require_space, sweep_journals
from serving.follow import Follower
from serving.recording import Recorder
from serving.schemas import message_of
from serving.turns import Now, Turns

AT_ONCE = 2
MOST_WAITING = 32
MOST_OF_ONE = 16
RETRY_S = 5.0
_log = logger("jobs")


class Work:
    """All jobs of one workspace; every method may be called from any thread."""

    def __init__(
        self, settings: Settings, follower: Follower, desk: Desk, jail: JailedPool, recorder: Recorder | None = None
    ) -> None:
        """Keeps what it needs.

        Args:
            settings: of this machine.
            follower: knows which model answers.
            desk: where jobs lie.
            jail: at least :data:`AT_ONCE` confined threads of its own.
            recorder: of what was answered; None to record nothing.
        """
        self.desk, self.jail = desk, jail
        self.log = PredictionLog(settings.places().predictions)
        self._journals = settings.places().workspace / "service" / "journals"
        self._lock, self._held = threading.Lock(), ExitStack()
        self._now: dict[str, Now] = {}
        self._finished: dict[str, Job] = {}
        self._last_turn: dict[str, int] = {}
        self._end, self._ours = threading.Event(), threading.Event()
        ends = self._end.is_set
        self._turns = Turns(settings, follower, desk, save=self._save, ends=ends, recorder=recorder)

    @property
    def n_unfinished(self) -> int:
        """Jobs that wait or are being worked on."""
        return len(self._now)

    def start(self) -> None:
        """Takes up what a stopped or killed service left; waits in the background while that one still runs."""
        self.desk.folder.mkdir(parents=True, exist_ok=True)
        if not self._take_over():
            _log.warning("not ours", reason="another service works on the jobs of this workspace")
            threading.Thread(target=self._wait_for_them, name="jobs", daemon=True).start()

    def stop(self) -> None:
        """Ends the work; what is unfinished stays so, on disk, for the next start."""
        self._end.set()
        self.jail.shutdown(wait=True, cancel_futures=True)
        self._held.close()

    def jobs(self, owner: str, *, everyone: bool) -> list[Job]:
        """Returns jobs, newest first: those of one owner, or of everyone."""
        with self._lock:
            known = [*self._finished.values(), *map(_said, self._now.values())]
        mine = [job for job in known if everyone or job.owner == owner]
        return sorted(mine, key=lambda job: (job.made, job.id), reverse=True)

    def job(self, name: str, owner: str, *, everyone: bool) -> Job:
        """Returns one job.

        Raises:
            NotFound: there is none of this id, or it is somebody else's.
        """
        with self._lock:
            now = self._now.get(name)
            job = _said(now) if now else self._finished.get(name)
        if job is None or not (everyone or job.owner == owner):
            raise NotFound(f"There is no job {name[:40]!r}.")
        return job

    def known(self, name: str) -> Job | None:
        """Returns a job that need not be made again: unfinished, or done and its map is there."""
        with self._lock:
            now, job = self._now.get(name), self._finished.get(name)
            if now is not None:
                return None if now.stop.is_set() else _said(now)
        if job is None or job.state != "done" or not (self.log.home(job.prediction) / MAP).exists():
            return None
        return job

    def require_room(self, owner: str, wanted_bytes: int) -> None:
        """Lets another job in.

        Raises:
            Unavailable: too many wait, or another service still works on the jobs here.
            StorageFull: the disk has no room beside what waits already.
        """
        if not self._ours.is_set():
            raise Unavailable("Another service still works on the jobs of this workspace.", "again later")
        with self._lock:
            mine = sum(now.job.owner == owner for now in self._now.values())
            full = len(self._now) >= MOST_WAITING or (bool(owner) and mine >= MOST_OF_ONE)
            reserved = sum(now.job.reserved_bytes for now in self._now.values())
        if full:
            raise Unavailable(f"{mine if owner else len(self._now)} jobs wait already.", "again when one is done")
        require_space(self.desk.folder, wanted_bytes, reserved)

    def accept(self, source: Path, job: Job) -> Job:
        """Takes a raster in and queues its job; one that is there already is returned as it is.

        Raises:
            Unavailable: one of this id is just being stopped, or too many wait.
            StorageFull: as :meth:`require_room`.
        """
        self.require_room(job.owner, job.reserved_bytes)
        known = self.known(job.id)
        if known is not None:
            return known
        with self._lock:
            if job.id in self._now:
                raise Unavailable("This job is just being stopped.", "again in some seconds")
            self.desk.take(source, job)
            self._finished.pop(job.id, None)
            self._queue(job)
        return job

    def cancel(self, name: str, owner: str, *, everyone: bool, remove: bool = False) -> Job:
        """Stops a job, and removes it where asked; one that is finished stays what it is.

        Raises:
            NotFound: as :meth:`job`.
        """
        job = self.job(name, owner, everyone=everyone)
        with self._lock:
            now = self._now.get(name)
            if now is not None:
                now.stop.set()
                now.removed = now.removed or remove
                job = _said(now) if now.running else self._ended(now, "cancelled", "It was cancelled before it began.")
            else:
                job = self._finished.get(name, job)
                if remove:
                    self._finished.pop(name, None)
                    self.desk.remove(name)
        return job

    def _take_over(self) -> bool:
        try:
            self._held.enter_context(only_one(self.desk.folder / ".lock", timeout_s=0))
        except TimeoutError:
            return False
        sweep_journals(self._journals, datetime.now(UTC))
        with self._lock:
            for job in self.desk.sweep(datetime.now(UTC)):
                if job.unfinished:
                    self._queue(job.model_copy(update={"state": "queued"}))
                else:
                    self._finished[job.id] = job
        self._ours.set()
        if self._now:
            _log.info("taken up", jobs=len(self._now))
        return True

    def _wait_for_them(self) -> None:
        while not self._end.wait(RETRY_S) and not self._take_over():
            pass

    def _queue(self, job: Job) -> None:
        self._now[job.id] = Now(job, done_px=job.done_px)
        self.jail.submit(self._turn)

    def _turn(self) -> None:
        """One turn of a thread: the job whose turn it is, to its end."""
        with self._lock:
            now = self._next()
            if now is None:
                return
            now.running = True
        while not self._end.is_set() and not now.stop.is_set():
            try:
                return self._done(now, self._turns.run(now))
            except Cancelled:
                continue  # asked to stop, by its owner or with the whole service
            except Unavailable as error:
                self._wait(now, str(error))
            except GeomlError as error:
                return self._fail(now, message_of(error), str(error))
            except Exception as error:  # noqa: BLE001  a job that breaks must say so, and its thread must go on
                words = "The service broke over it; the reason is in its log under this job's id."
                return self._fail(now, words, f"{type(error).__name__}: {error}")
        with self._lock:
            if now.stop.is_set():
                self._ended(now, "cancelled", "It was cancelled; asked again it goes on from there.")

    def _next(self) -> Now | None:
        """Returns whose turn it is: of the owner with the fewest in work, and whose last turn is longest ago."""
        busy = Counter(now.job.owner for now in self._now.values() if now.running)
        waiting = [now for now in self._now.values() if not now.running]

        def rank(now: Now) -> tuple[int, int, datetime, str]:
            owner = now.job.owner
            return busy[owner], self._last_turn.get(owner, 0), now.job.made, now.job.id

        found = min(waiting, key=rank, default=None)
        if found is not None:
            self._last_turn[found.job.owner] = max(self._last_turn.values(), default=0) + 1
        return found

    def _save(self, now: Now, said: Mapping[str, Any]) -> None:
        with self._lock:
            now.job = now.job.model_copy(update=dict(said))
            self._written(now.job)

    def _written(self, job: Job) -> None:
        """Writes a job. What cannot be written on a full disk is said and known here; the next start works it again."""
        try:
            self.desk.save(job)
        except OSError as error:
            _log.error("not written", job=job.id, reason=error.strerror)

    def _wait(self, now: Now, message: str) -> None:
        """Keeps a job that no model can answer at the moment."""
        self._save(now, {"message": f"It waits. {message}"})
        until = time.monotonic() + RETRY_S
        while time.monotonic() < until and not (self._end.is_set() or now.stop.is_set()):
            time.sleep(0.1)

    def _done(self, now: Now, prediction: Prediction) -> None:
        now.done_px = now.job.all_px
        with self._lock:
            self._ended(now, "done", "Its map is ready.", prediction.id)

    def _fail(self, now: Now, message: str, reason: str) -> None:
        _log.warning("failed", job=now.job.id, reason=reason)
        with self._lock:
            self._ended(now, "failed", message)

    def _ended(self, now: Now, state: State, message: str, prediction: str = "") -> Job:
        """Writes the end of a job and lets go of its raster; called with the lock held."""
        self._now.pop(now.job.id, None)
        job = now.job.ended_as(state, message, prediction=prediction, done_px=now.done_px)
        if now.removed:
            self.desk.remove(job.id)
            return job
        self._finished[job.id] = job
        self._written(job)
        self.desk.upload(job.id).unlink(missing_ok=True)
        for old in outdated(list(self._finished.values()), datetime.now(UTC)):
            self._finished.pop(old.id, None)
            self.desk.remove(old.id)
        return job


def _said(now: Now) -> Job:
    """Returns a job as it is shown: newer than what was last written."""
    message = "It is being stopped." if now.stop.is_set() else now.job.message
    return now.job.model_copy(update={"done_px": now.done_px, "message": message})
