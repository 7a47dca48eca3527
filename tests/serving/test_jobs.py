"""Jobs on a real service that asks for keys: sent, watched, cancelled, killed and taken up again."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.io import MemoryFile

from geoml_ops.core.errors import BadInput, Cancelled, NotFound, StorageFull, Unavailable
from geoml_ops.platform.files import write_json
from geoml_ops.platform.jail import JailedPool
from geoml_ops.settings import Settings
from geoml_ops.steps import jobs as desk_of
from geoml_ops.steps.jobs import Desk, Job, outdated, require_space, sweep_journals
from serving import working
from serving.caller import Caller
from serving.follow import Follower
from serving.rasters import while_wanted
from serving.working import MOST_OF_ONE, MOST_WAITING, Work
from tests.serving.keyed import DAY_PX, REQUEST_S, SYNC_PX, Keyed, keyed, raster_of  # noqa: F401  a fixture

slow = pytest.mark.slow
Raster = tuple[bytes, Any]


def job_of(number: int = 0, **more: Any) -> Job:
    said = {"id": f"job-{number:016x}", "sha256": "0" * 64, "all_px": 10, "made": datetime(2026, 1, 1, tzinfo=UTC)}
    return Job(**{**said, **more})


def changed(body: bytes, *, last: str = "", dark: bool = False) -> bytes:
    """Returns a raster whose last band has another name, or of which nothing was observed."""
    with MemoryFile(body) as memory, memory.open() as source:
        dn, names, profile, scales = source.read(), source.descriptions, source.profile, source.scales
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(dn * (not dark))
            target.descriptions, target.scales = (*names[:-1], last or names[-1]), scales
        return bytes(memory.read())


def test_a_job_is_kept_as_it_was_and_what_is_broken_is_left_out(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "jobs")
    upload = tmp_path / "upload.tif"
    upload.write_bytes(b"raster")
    job = job_of(1, layers=("class",), owner="one", name="field")
    assert desk.take(upload, job) == job
    assert (desk.all(), upload.exists(), desk.upload(job.id).read_bytes()) == ([job], False, b"raster")
    (tmp_path / "jobs" / "job-00000000000000ff").mkdir()
    (tmp_path / "jobs" / "job-00000000000000ff" / "job.json").write_text("{")
    assert desk.all() == [job]
    done = desk.save(job.ended_as("done", "Its map is ready.", prediction="prediction-0000000000000001", done_px=10))
    assert (desk.all()[0], done.reserved_bytes, done.unfinished) == (done, 0, False)
    assert done.ended is not None
    for name in ("../job-0000000000000001", "job-1", "job-0000000000000001\n", ""):
        with pytest.raises(NotFound):
            desk.home(name)


def test_at_the_start_old_jobs_and_halves_go(tmp_path: Path) -> None:
    desk, now = Desk(tmp_path / "jobs"), datetime(2026, 6, 1, tzinfo=UTC)
    old = job_of(1, state="done", ended=now - timedelta(days=31))
    new = job_of(2, state="failed", ended=now - timedelta(days=29))
    waiting = job_of(3, made=now - timedelta(days=300))
    for job in (old, new, waiting):
        desk.save(job)
        desk.upload(job.id).write_bytes(b"x")
    half = tmp_path / "jobs" / "job-00000000000000aa"
    half.mkdir()
    (half / "upload.tif").write_bytes(b"never became a job")
    assert [job.id for job in desk.sweep(now)] == [waiting.id, new.id]
    assert sorted(path.name for path in desk.folder.iterdir()) == [new.id, waiting.id]
    assert (desk.upload(waiting.id).exists(), desk.upload(new.id).exists()) == (True, False)


def test_journals_that_nobody_goes_on_with_go_after_a_month(tmp_path: Path) -> None:
    now, folder = datetime.now(UTC), tmp_path / "journals"
    assert sweep_journals(folder, now) == 0
    ages = {"old": (40, 40), "touched": (40, 1), "new": (1, 1)}
    for name, (home_days, file_days) in ages.items():
        (folder / name).mkdir(parents=True)
        file = folder / name / "blocks"
        file.write_bytes(b"x")
        for path, days in ((file, file_days), (folder / name, home_days)):
            at = (now - timedelta(days=days)).timestamp()
            os.utime(path, (at, at))
    assert sweep_journals(folder, now) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["new", "touched"]


def test_no_more_finished_jobs_are_kept_than_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_of, "KEEP_MOST", 3)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    jobs = [job_of(number, state="done" if number % 2 else "queued", ended=now) for number in range(10)]
    assert [job.id for job in outdated(jobs, now)] == [jobs[1].id, jobs[3].id]


def test_no_work_begins_that_the_disk_has_no_room_for(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(StorageFull, match="MiB"):
        require_space(tmp_path, 1 << 60)
    with pytest.raises(StorageFull):
        require_space(tmp_path, 1, reserved_bytes=1 << 60)


class Told:
    """Work whose turns only note whose they were, one at a time."""

    def __init__(self, tmp_path: Path) -> None:
        settings = Settings(workspace=tmp_path, tracking_uri="http://127.0.0.1:9")
        self.jail = JailedPool(1, read=[], write=[tmp_path])
        follower = Follower(settings.places(), 60.0)
        self.work = Work(settings, follower, Desk(tmp_path / "jobs"), self.jail)
        self.order: list[str] = []
        self.may, self.tmp_path = threading.Event(), tmp_path
        self.work._turns.run = self.run  # type: ignore[method-assign]

    def run(self, now: Any) -> Any:
        self.order.append(now.job.id)
        while not (self.may.is_set() or now.stop.is_set() or self.work._end.is_set()):
            time.sleep(0.01)
        if not self.may.is_set():
            raise Cancelled("stopped")
        raise BadInput("It was only noted.")

    def send(self, number: int, owner: str) -> Job:
        upload = self.tmp_path / "upload.tif"
        upload.write_bytes(b"raster")
        return self.work.accept(upload, job_of(number, owner=owner, made=datetime.now(UTC)))

    def rest(self) -> None:
        deadline = time.monotonic() + 10
        while self.work.n_unfinished and time.monotonic() < deadline:
            time.sleep(0.01)


def test_whoever_sends_many_jobs_does_not_make_others_wait(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.jail = told.work.jail = JailedPool(2, read=[], write=[tmp_path])
    told.work.start()
    jobs = [told.send(number, "many") for number in range(5)]
    few = told.send(9, "few")
    deadline = time.monotonic() + 10
    while len(told.order) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert told.order[0] == jobs[0].id
    told.may.set()
    told.rest()
    assert few.id in told.order[:3]
    assert sorted(told.order) == sorted([*(job.id for job in jobs), few.id])
    assert {job.state for job in told.work.jobs("", everyone=True)} == {"failed"}
    told.work.stop()


def test_one_key_may_not_fill_the_queue_and_the_queue_has_an_end(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.work.start()
    for number in range(MOST_OF_ONE):
        told.send(number, "one")
    with pytest.raises(Unavailable, match="wait already"):
        told.send(99, "one")
    for number in range(MOST_OF_ONE, MOST_WAITING):
        told.send(number, f"other{number % 5}")
    with pytest.raises(Unavailable, match="wait already"):
        told.send(98, "yet another")
    told.work.cancel(f"job-{3:016x}", "one", everyone=False)
    assert told.work.job(f"job-{3:016x}", "one", everyone=False).state == "cancelled"
    told.send(98, "yet another")
    told.work.stop()


def test_two_services_never_work_on_the_same_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "RETRY_S", 0.1)
    first, second = Told(tmp_path), Told(tmp_path)
    first.work.start()
    job = first.send(1, "one")
    second.work.start()
    with pytest.raises(Unavailable, match="Another service"):
        second.send(2, "one")
    first.work.stop()
    assert Desk(tmp_path / "jobs").all()[0].unfinished
    deadline = time.monotonic() + 10
    while not second.order and time.monotonic() < deadline:
        time.sleep(0.01)
    assert second.order == [job.id]
    second.work.stop()


def test_whoever_goes_away_stops_the_work(tmp_path: Path) -> None:
    class Gone:
        async def receive(self) -> dict[str, str]:
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

    caller, jail = Caller("x"), JailedPool(1, read=[], write=[tmp_path])

    def work() -> str:
        deadline = time.monotonic() + 10
        while not caller.cancelled() and time.monotonic() < deadline:
            time.sleep(0.01)
        return "stopped" if caller.cancelled() else "still at it"

    assert asyncio.run(while_wanted(Gone(), caller, jail, work)) == "stopped"  # type: ignore[arg-type]
    jail.shutdown()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Raster:
    return raster_of(tmp_path_factory.mktemp("small") / "small.tif", 60, 80)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Raster:
    return raster_of(tmp_path_factory.mktemp("large") / "large.tif", 1200, 1100, seed=3)


def classes_of(content: bytes) -> Any:
    with MemoryFile(content) as memory, memory.open() as source:
        return source.read(1)


def refusal(answer: Any) -> tuple[int, str, str]:
    error = answer.json()["error"]
    assert error["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, error["code"], error["message"]


@slow
def test_a_large_raster_is_a_job_and_its_map_is_the_map(
    keyed: Keyed,  # noqa: F811
    large: Raster,
    small: Raster,
    tmp_path: Path,
) -> None:
    vast, _ = raster_of(tmp_path / "vast.tif", 2010, 2000, plain=True)
    status, code, message = refusal(keyed.send("/classify", vast))
    assert (status, code) == (413, "too_large")
    assert "POST /jobs" in message
    assert str(SYNC_PX) in message

    body, truth = large
    accepted = keyed.send("/jobs", body, name="valley", layers="class,confidence")
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()
    assert accepted.headers["location"] == f"/jobs/{job['id']}"
    assert (job["all_px"], job["name"]) == (truth.size, "valley")
    assert keyed.send("/jobs", body, layers="confidence, class").json()["id"] == job["id"]
    early = keyed.ask("GET", f"/jobs/{job['id']}/result")
    assert refusal(early)[:2] == (409, "conflict")

    done = keyed.wait(job["id"])
    assert (done["done_px"], done["all_px"]) == (truth.size, truth.size)
    result = keyed.ask("GET", f"/jobs/{job['id']}/result")
    np.testing.assert_array_equal(classes_of(result.content), truth)
    assert result.headers["x-prediction-id"] == done["prediction"]
    assert result.content == keyed.ask("GET", f"/predictions/{done['prediction']}/map.tif").content
    again = keyed.send("/jobs", body, layers="class,confidence")
    assert (again.status_code, again.json()) == (200, done)
    assert not list((keyed.home / "workspace" / "service" / "jobs").rglob("upload.tif"))
    assert list((keyed.home / "workspace" / "service" / "uploads").iterdir()) == []

    answer = keyed.send("/classify", small[0])
    np.testing.assert_array_equal(classes_of(answer.content), small[1])


@slow
def test_a_job_belongs_to_its_key_and_operators_see_all(keyed: Keyed, small: Raster) -> None:  # noqa: F811
    job = keyed.send("/jobs", small[0]).json()["id"]
    keyed.wait(job)
    for path in ("", "/result"):
        assert keyed.ask("GET", f"/jobs/{job}{path}", "other").status_code == 404
    assert keyed.ask("POST", f"/jobs/{job}/cancel", "other").status_code == 404
    assert keyed.ask("DELETE", f"/jobs/{job}", "other").status_code == 404
    assert keyed.ask("GET", f"/jobs/{job}", "owner").json()["state"] == "done"
    theirs = keyed.send("/jobs", small[0], "other").json()["id"]
    assert theirs != job
    first, second = keyed.wait(theirs, who="other"), keyed.ask("GET", f"/jobs/{job}").json()
    assert first["prediction"] == second["prediction"]
    assert {row["id"] for row in keyed.ask("GET", "/jobs", "other").json()["jobs"]} == {theirs}
    rows = keyed.ask("GET", "/jobs", "owner").json()["jobs"]
    assert {job, theirs} <= {row["id"] for row in rows}
    assert [row["made"] for row in rows] == sorted((row["made"] for row in rows), reverse=True)
    assert keyed.ask("DELETE", f"/jobs/{theirs}", "other").status_code == 204
    assert keyed.ask("GET", f"/jobs/{theirs}", "owner").status_code == 404
    assert keyed.ask("GET", f"/predictions/{first['prediction']}/map.tif").status_code == 200


@slow
def test_what_cannot_be_classified_is_refused_or_fails_with_a_sentence(keyed: Keyed, small: Raster) -> None:  # noqa: F811
    assert refusal(keyed.send("/jobs", small[0][:500]))[0] == 422
    assert refusal(keyed.send("/jobs", small[0], layers="nonsense"))[0] == 422
    # What the model cannot read is known before the job's turn has come.
    status, _, words = refusal(keyed.send("/jobs", changed(small[0], last="B11")))
    assert (status, "B08" in words) == (422, True)
    assert refusal(keyed.send("/classify", small[0], layers="../x"))[0] == 422
    assert refusal(keyed.send("/jobs", small[0], "viewer"))[:2] == (403, "not_allowed")
    # What only its pixels tell fails in its turn.
    failed = keyed.wait(keyed.send("/jobs", changed(small[0], dark=True)).json()["id"], ("failed",))
    assert "was observed" in failed["message"]
    assert "/" not in failed["message"].replace("Try: ", "")
    assert refusal(keyed.ask("GET", f"/jobs/{failed['id']}/result"))[0] == 409


@slow
def test_a_cancelled_job_stops_and_can_be_asked_for_again(keyed: Keyed, tmp_path: Path) -> None:  # noqa: F811
    body, truth = raster_of(tmp_path / "raster.tif", 1200, 1300, seed=5)
    job = keyed.send("/jobs", body).json()["id"]
    keyed.wait(job, ("running",))
    stopping = keyed.ask("POST", f"/jobs/{job}/cancel")
    assert stopping.status_code == 202
    stopped = keyed.wait(job, ("cancelled",))
    assert stopped["done_px"] < truth.size
    assert not list((keyed.home / "workspace" / "service" / "jobs").rglob("upload.tif"))
    assert refusal(keyed.ask("GET", f"/jobs/{job}/result"))[0] == 409
    again = keyed.send("/jobs", body)
    assert (again.status_code, again.json()["id"]) == (202, job)
    keyed.wait(job)
    np.testing.assert_array_equal(classes_of(keyed.ask("GET", f"/jobs/{job}/result").content), truth)


@slow
def test_a_killed_service_goes_on_with_its_jobs_to_the_same_bytes(keyed: Keyed, tmp_path: Path) -> None:  # noqa: F811
    body, truth = raster_of(tmp_path / "raster.tif", 1100, 1300, seed=7)
    job = keyed.send("/jobs", body).json()["id"]
    deadline = time.monotonic() + 30
    while not keyed.wait(job, ("running", "done"))["done_px"] and time.monotonic() < deadline:
        time.sleep(0.02)
    said = keyed.ask("GET", f"/jobs/{job}").json()
    assert said["state"] == "running"
    keyed.kill()
    kept = json.loads((keyed.home / "workspace" / "service" / "jobs" / job / "job.json").read_text())
    assert (kept["state"], kept["served"]["bundle"]) == ("running", said["bundle"])

    keyed.begin()
    done = keyed.wait(job)
    assert done["bundle"] == said["bundle"]
    first = keyed.ask("GET", f"/jobs/{job}/result").content
    np.testing.assert_array_equal(classes_of(first), truth)

    # An uninterrupted run of the same raster has the same bytes.
    home = keyed.home / "workspace" / "predictions" / done["prediction"]
    for path in home.iterdir():
        path.unlink()
    keyed.ask("DELETE", f"/jobs/{job}")
    assert keyed.send("/jobs", body).json()["id"] == job
    keyed.wait(job)
    assert keyed.ask("GET", f"/jobs/{job}/result").content == first


@slow
def test_work_beyond_its_time_is_stopped(keyed: Keyed, tmp_path: Path) -> None:  # noqa: F811
    body, truth = raster_of(tmp_path / "raster.tif", 1990, 2000, seed=9, plain=True)
    assert truth.size <= SYNC_PX
    began = time.monotonic()
    status, code, message = refusal(keyed.send("/classify", body))
    assert (status, code) == (504, "too_long")
    assert "POST /jobs" in message
    assert time.monotonic() - began < REQUEST_S + 20
    assert keyed.ask("GET", "/model").status_code == 200
    assert list((keyed.home / "workspace" / "service" / "uploads").iterdir()) == []


@slow
def test_pixels_are_counted_before_the_work(keyed: Keyed, tmp_path: Path) -> None:  # noqa: F811
    sizes = [(1000, 1000), (1000, 1001), (1001, 1000)]
    assert sum(height * width for height, width in sizes) > DAY_PX
    answers = []
    for seed, (height, width) in enumerate(sizes, start=20):
        body, _ = raster_of(tmp_path / f"{seed}.tif", height, width, seed)
        answers.append(keyed.send("/jobs", body, "other"))
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    for answer in answers[:2]:
        keyed.ask("DELETE", f"/jobs/{answer.json()['id']}", "other")
    time.sleep(1.5)
    kept = json.loads((keyed.home / "workspace" / "service" / "quotas.json").read_text())
    assert kept["pixels"]["other"] >= 2_001_000


@slow
def test_requests_are_counted_and_wrong_keys_open_nothing(keyed: Keyed) -> None:  # noqa: F811
    answers = [keyed.ask("GET", "/model", "few").status_code for _ in range(7)]
    assert answers.count(200) == 5
    assert answers[-1] == 429
    assert keyed.ask("GET", "/model", "").status_code == 401
    assert keyed.ask("GET", "/model", "", headers={"X-API-Key": "geoml_wrong"}).status_code == 401
    assert keyed.ask("GET", "/model", "", headers={"X-API-Key": keyed.keys["viewer"]}).status_code == 200
    for path in ("/", "/livez", "/healthz", "/openapi.json", "/readyz"):
        assert keyed.ask("GET", path, "").status_code == 200
    log = keyed.service.log.read_text()
    assert not any(key in log or key.removeprefix("geoml_") in log for key in keyed.keys.values())
    path = keyed.home / "keys.yaml"
    before = path.read_text()
    path.write_text(before.replace("viewer", "renamed").replace('"reader"', '"operator"'))
    assert keyed.ask("GET", "/jobs", "viewer").status_code == 200
    path.write_text("keys: [")
    assert keyed.ask("GET", "/jobs", "viewer").status_code == 200
    assert "keys_trouble" in keyed.ask("GET", "/healthz", "").json()
    path.write_text(before)
    assert keyed.ask("GET", "/jobs", "viewer").status_code == 200


@slow
def test_half_sent_bodies_hold_nobody_else_up(keyed: Keyed, small: Raster) -> None:  # noqa: F811
    host, port = keyed.service.url.removeprefix("http://").split(":")
    head = (
        f"POST /classify HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/tiff\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {keyed.keys['other']}\r\n\r\nII*"
    ).encode()
    crowd = []
    try:
        for _ in range(100):
            one = socket.create_connection((host, int(port)), timeout=30)
            one.sendall(head)
            crowd.append(one)
        time.sleep(0.3)
        # One key never has all slots of a lane, and other lanes are not touched at all.
        assert keyed.send("/classify", small[0]).status_code == 200
        assert keyed.ask("GET", "/model").status_code == 200
        first = crowd[0].recv(4096)
        assert first.startswith(b"HTTP/1.1 408"), first[:200]
        statuses = [one.recv(4096)[9:12] for one in crowd[1:]]
        assert set(statuses) <= {b"408", b"503"}
        assert statuses.count(b"503") > 50
    finally:
        for one in crowd:
            one.close()
    assert keyed.send("/classify", small[0]).status_code == 200


@slow
def test_odd_beginnings_of_requests_are_refused(keyed: Keyed) -> None:  # noqa: F811
    host, port = keyed.service.url.removeprefix("http://").split(":")
    key = f"Authorization: Bearer {keyed.keys['office']}\r\nHost: {host}\r\n"
    post, chunked = f"POST /jobs HTTP/1.1\r\n{key}Content-Type: image/tiff\r\n", "Transfer-Encoding: chunked\r\n"
    odd = [
        f"{post}Content-Length: 4\r\nContent-Length: 5\r\n\r\nII*\0",
        f"{post}{chunked}\r\n4\r\nII*\0\r\n0\r\n\r\n",
        f"{post}Content-Length: 4\r\n{chunked}\r\n0\r\n\r\n",
        f"{post}Host: elsewhere\r\nContent-Length: 4\r\n\r\nII*\0",
        f"GET /model HTTP/1.1\r\n{key}Content-Length: 3\r\n\r\nabc",
    ]
    for text in odd:
        with socket.create_connection((host, int(port)), timeout=30) as one:
            one.sendall(text.encode())
            assert one.recv(4096).split(b"\r\n")[0].split()[1] in (b"400", b"411"), text


@slow
def test_nothing_broke_on_the_way(keyed: Keyed) -> None:  # noqa: F811
    assert keyed.ask("GET", "/model").status_code == 200
    assert "Traceback" not in keyed.service.log.read_text()


def test_the_file_of_a_job_is_plain(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.save(job_of(4))
    path = tmp_path / "job-0000000000000004" / "job.json"
    content = json.loads(path.read_text())
    write_json(path, {**content, "unknown": 1})
    assert desk.all() == []
