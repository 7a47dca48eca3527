"""Following a real registry in this process: trying, shadowing, swapping, returning, and being woken."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from geoml_ops.adapters.registry import Opened, Release
from geoml_ops.core.bands import SENTINEL_2_L1C, to_contract
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Bundle
from geoml_ops.core.grid import Grid
from geoml_ops.domain.swap import Limits, Outcome
from geoml_ops.platform.files import read_json
from geoml_ops.settings import Settings
from geoml_ops.steps.answering import Model
from geoml_ops.steps.answering import load as load_model
from geoml_ops.steps.places import Places
from serving import follow
from serving.follow import Follower
from serving.hooks import WINDOW_S
from serving.routes import Routes
from serving.shadow import TILE_PX, TILES, Ring
from tests.answering import BANDS, DECLARED, publish, world, write_bundle
from tests.conftest import free_port

pytestmark = pytest.mark.slow
DN, _, GRID = world()
TILE = Grid(crs=GRID.crs, left=GRID.left, top=GRID.top, pixel_m=GRID.pixel_m, width=128, height=128)


def live() -> np.ndarray:
    """A live tile as the small bundles read it, with nodata in its corner."""
    own = [SENTINEL_2_L1C.names.index(name) for name in BANDS]
    return to_contract(DN[own, :128, :128], DECLARED, SENTINEL_2_L1C.subset(BANDS), {})


@dataclass
class Made:
    """One registered model and what was published of it."""

    uri: str
    model: str
    home: Path
    bundles: dict[str, tuple[int, Bundle]] = field(default_factory=dict)

    @property
    def places(self) -> Places:
        return Settings(workspace=self.home / "workspace", tracking_uri=self.uri, model=self.model).places()

    def publish(self, name: str, steepness: float = 0.01, *, alias: bool = True, **more: Any) -> int:
        bundle = write_bundle(self.home / name, steepness, f"evaluation-{hash_of(name)}", **more)
        number = publish(self.uri, self.model, self.home / name, bundle, alias="champion" if alias else None)
        self.bundles[name] = (number, bundle)
        return number

    def point_at(self, number: int) -> None:
        question = {"name": self.model, "alias": "champion", "version": str(number)}
        answer = httpx.post(f"{self.uri}/api/2.0/mlflow/registered-models/alias", json=question, trust_env=False)
        assert answer.status_code == 200, answer.text

    def follower(self, **more: Any) -> Follower:
        return Follower(self.places, 0.1, **more)


def hash_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


@pytest.fixture
def made(mlflow_server: str, tmp_path: Path, request: pytest.FixtureRequest) -> Made:
    return Made(mlflow_server, f"follow-{hash_of(request.node.name)}", tmp_path)


@pytest.fixture
def running() -> Iterator[Callable[[Follower], Follower]]:
    begun: list[Follower] = []

    def begin(follower: Follower) -> Follower:
        begun.append(follower)
        follower.start()
        return follower

    yield begin
    for follower in begun:
        follower.stop()


def until(follower: Follower, holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, (follower.state, follower.told())
        time.sleep(0.02)


def serves(follower: Follower, number: int) -> Callable[[], bool]:
    return lambda: follower.readiness()[1]["number"] == number


Begin = Callable[[Follower], Follower]


def test_a_bundle_that_fails_its_golden_tiles_never_answers_and_is_not_tried_again(made: Made, running: Begin) -> None:
    follower = running(made.follower())
    first = made.publish("first")
    until(follower, serves(follower, first))
    assert follower.told()["golden"]["n_same"] == 6
    bad = made.publish("bad", -0.01, golden="wrong")
    until(follower, lambda: "refused" in follower.state.trouble)
    ready, words = follower.readiness()
    assert (ready, words["number"], words["following"], words["refused"]) == (True, first, False, bad)
    assert "golden pixels" in words["message"]
    assert follower.told()["refusal"]["number"] == bad
    assert "got another class" in follower.told()["refusal"]["reason"]
    follower.stop()

    again = made.follower()
    tried: list[Release] = []
    again._tried = lambda opened, release: tried.append(release)  # type: ignore[method-assign, func-returns-value]
    running(again)
    until(again, lambda: again.state.asked is not None)
    assert again.readiness()[1]["number"] == first
    assert f"Number {bad} was refused" in again.readiness()[1]["message"]
    assert tried == []
    again.stop()

    third = running(made.follower())
    good = made.publish("good", 0.02)
    until(third, serves(third, good))
    assert (third.state.trouble, third.state.refused) == ("", None)
    assert not (made.places.workspace / "service" / "refused.json").exists()


def test_a_bundle_of_before_golden_tiles_serves_and_says_that_nothing_was_asked(made: Made, running: Begin) -> None:
    follower = running(made.follower())
    until(follower, serves(follower, made.publish("old", golden="none")))
    assert follower.told()["golden"] == {
        "asked": False,
        "sentence": "Its bundle holds no golden tiles: nothing golden was asked.",
    }


def test_a_candidate_answers_live_tiles_in_the_shadow_first(made: Made, running: Begin) -> None:
    follower = running(made.follower())
    until(follower, serves(follower, made.publish("first")))
    serving = follower.current()
    follower.seen(serving, live(), TILE)
    turned = made.publish("turned", -0.01)
    until(follower, serves(follower, turned))
    report = follower.told()["shadow"]
    assert (report["serving"], report["candidate"]) == (serving.bundle.id, made.bundles["turned"][1].id)
    n_seen = int(np.isfinite(live()).all(axis=0).sum())
    assert (report["n_pixels"], report["share"], len(report["tiles"])) == (n_seen, 1.0, 1)
    counts = np.array(report["counts"])
    assert (counts[0, 1] + counts[1, 0], counts[2, 2]) == (n_seen, 128 * 128 - n_seen)
    assert (report["rows"], report["columns"]) == (["bare", "green", "no answer"],) * 2
    folder = made.places.workspace / "service" / "shadow" / report["candidate"]
    assert read_json(folder / "report.json") == report
    assert (folder / "tile-00.png").read_bytes()[:4] == b"\x89PNG"
    assert Grid.model_validate_json(json.dumps(report["tiles"][0]["grid"])) == TILE
    nothing = made.publish("none", 0.02)
    until(follower, serves(follower, nothing))
    assert follower.told()["shadow"]["sentence"] == "Nothing was compared: no tile was asked for yet."


def test_the_ring_is_bounded_and_keeps_the_newest() -> None:
    model = Model(write_stub(), Release("m", 1, "b", "0" * 64), lambda dn: pytest.fail("asked"))
    ring = Ring(every_s=0.0)
    for number in range(TILES + 5):
        ring.look(model, np.full((4, 300, 200), number, np.float32), None)
    kept = ring.of(model)
    assert [int(seen.dn[0, 0, 0]) for seen in kept] == list(range(5, TILES + 5))
    assert {seen.dn.shape for seen in kept} == {(4, TILE_PX, TILE_PX)}
    rare = Ring(every_s=60.0)
    for _ in range(3):
        rare.look(model, np.zeros((4, 8, 8), np.float32), None)
    assert len(rare.of(model)) == 1


def write_stub() -> Bundle:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return write_bundle(Path(folder), golden="none")


@pytest.mark.parametrize("why", ["failures", "slowness"])
def test_the_model_before_answers_again_where_first_requests_speak_for_it(made: Made, running: Begin, why: str) -> None:
    follower = running(made.follower(limits=Limits(compared=5)))
    first = made.publish("first")
    until(follower, serves(follower, first))
    before = follower.current()
    for _ in range(20):
        follower.noted(before, True, 0.1, 1024)
    second = made.publish("second", -0.01)
    until(follower, serves(follower, second))
    candidate = follower.current()
    for _ in range(10):
        follower.noted(before, False, 9.0, 1024)  # begun before the swap: says nothing about the new one
        follower.noted(candidate, why != "failures", 0.9, 1024)
    until(follower, serves(follower, first))
    assert follower.current() is before
    message = follower.readiness()[1]["message"]
    until(follower, lambda: f"Number {second} was refused" in follower.readiness()[1]["message"])
    message = follower.readiness()[1]["message"]
    assert ("requests failed" if why == "failures" else "9.0 times as long") in message
    follower.stop()

    again = running(made.follower())
    until(again, lambda: again.state.asked is not None)
    assert again.readiness()[1]["number"] == first
    made.point_at(first)
    until(again, lambda: again.state.refused is None and not again.state.trouble)
    made.point_at(second)
    until(again, serves(again, second))


def test_the_model_before_answers_again_where_golden_tiles_change_after_the_swap(
    made: Made, running: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed() -> Outcome:
        raise Refused("It does not answer here as where it was made.")

    def load(opened: Opened, release: Release, *, device: str) -> Model:
        model = load_model(opened, release, device=device)
        return model if release.number == first else replace(model, golden=changed)

    first = 0
    monkeypatch.setattr(follow, "load", load)
    follower = running(made.follower())
    lonely = made.publish("lonely", 0.02)
    until(follower, lambda: follower.readiness()[1]["refused"] == lonely)
    assert not follower.readiness()[0]
    first = lonely + 1
    assert made.publish("first") == first
    until(follower, serves(follower, first))
    second = made.publish("second", -0.01)
    until(follower, lambda: follower.readiness()[1]["refused"] == second)
    assert follower.readiness()[1]["number"] == first
    assert "does not answer here" in follower.readiness()[1]["message"]


def test_only_the_newest_of_several_candidates_takes_over(
    made: Made, running: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {name: made.publish(name, 0.01 + 0.001 * i, alias=i == 0) for i, name in enumerate(("a", "b", "c"))}
    loaded: list[int] = []

    def load(opened: Opened, release: Release, *, device: str) -> Model:
        loaded.append(release.number)
        if release.number == numbers["b"]:
            made.point_at(numbers["c"])
        return load_model(opened, release, device=device)

    monkeypatch.setattr(follow, "load", load)
    follower = running(made.follower())
    until(follower, serves(follower, numbers["a"]))
    taken: list[int] = []
    monkeypatch.setattr(follow, "remember", lambda places, model: taken.append(model.release.number))
    made.point_at(numbers["b"])
    until(follower, serves(follower, numbers["c"]))
    assert loaded == [numbers[name] for name in ("a", "b", "c")]
    assert taken == [numbers["c"]]


def test_wrong_files_are_asked_for_again_ever_more_seldom_and_taken_once_right(
    made: Made, running: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "AGAIN_S", 0.4)
    follower = made.follower()
    asked: list[float] = []
    longer = follower._wait_longer

    def counted(release: Release) -> None:
        asked.append(time.monotonic())
        longer(release)

    follower._wait_longer = counted  # type: ignore[method-assign]
    bundle = write_bundle(made.home / "damaged")
    content = (made.home / "damaged" / "golden.tiles").read_bytes()
    (made.home / "damaged" / "golden.tiles").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    publish(made.uri, made.model, made.home / "damaged", bundle)
    running(follower)
    until(follower, lambda: len(asked) == 3)
    assert "altered" in follower.state.trouble
    assert asked[2] - asked[1] > asked[1] - asked[0] > 0.4
    assert follower.state.refused is None


NOW = 1_800_000_000


class Client:
    """Asks an application in this process."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://here") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())


def call(
    client: Client, secret: str, delivery: str = "d-1", *, stamp: float | str = NOW, **more: Any
) -> httpx.Response:
    body = more.get("body", b'{"entity": "model_version_alias"}')
    stamp = str(stamp if isinstance(stamp, str) else int(stamp))
    signed = hmac.new(secret.encode(), f"{delivery}.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": stamp,
        "X-MLflow-Signature": "v1," + base64.b64encode(signed).decode(),
        "Content-Type": "application/json",
    }
    headers |= more.get("headers", {})
    return client.request("POST", "/hooks/registry", content=more.get("sent", body), headers=headers)


def hooked(tmp_path: Path, secret: str | None, monkeypatch: pytest.MonkeyPatch) -> tuple[Client, list[int]]:
    settings = Settings(workspace=tmp_path, tracking_uri=f"http://127.0.0.1:{free_port()}", webhook_secret=secret)
    follower, woken = Follower(settings.places(), 60.0), []
    monkeypatch.setattr(follower, "wake", lambda: woken.append(1))
    monkeypatch.setattr("serving.hooks.time.time", lambda: float(NOW))
    return Client(Routes(settings, follower).app()), woken


def test_a_signed_call_wakes_and_every_other_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, woken = hooked(tmp_path, "s3cret", monkeypatch)
    assert call(client, "s3cret").status_code == 204
    assert len(woken) == 1
    other: list[tuple[httpx.Response, str]] = [
        (call(client, "s3cret"), "came before"),
        (call(client, "guess", "d-2"), "not signed"),
        (call(client, "s3cret", "d-3", stamp=NOW - WINDOW_S - 1), "another time"),
        (call(client, "s3cret", "d-4", stamp=NOW + WINDOW_S + 1), "another time"),
        (call(client, "s3cret", "d-5", sent=b"{}"), "not signed"),
        (call(client, "s3cret", "d-6", headers={"X-MLflow-Delivery-Id": "d-7"}), "not signed"),
        (call(client, "s3cret", "d-8", headers={"X-MLflow-Signature": ""}), "not signed"),
        (call(client, "s3cret", "d-8", headers={"X-MLflow-Signature": "v1,\xe4".encode("latin-1")}), "not signed"),
        (call(client, "s3cret", "", stamp=NOW), "no delivery"),
        (call(client, "s3cret", "d-9", stamp="soon"), "no time"),
        (call(client, "s3cret", "d-9", stamp="9" * 40), "no time"),
    ]
    for answer, says in other:
        assert answer.status_code == 401
        assert says in answer.json()["error"]["message"]
    assert len(woken) == 1
    assert call(client, "s3cret", "d-10", body=bytes(70_000)).status_code == 413
    assert client.request("GET", "/hooks/registry").status_code == 405
    assert call(client, "s3cret", "d-11", stamp=NOW - WINDOW_S + 1).status_code == 204
    assert len(woken) == 2


def test_without_a_secret_there_is_nothing_to_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, woken = hooked(tmp_path, None, monkeypatch)
    assert call(client, "").status_code == 404
    assert woken == []


def test_being_woken_is_not_waiting_for_the_next_turn(made: Made, running: Begin) -> None:
    first = made.publish("first")
    follower = running(Follower(made.places, 3600.0))
    until(follower, serves(follower, first))
    second = made.publish("second", 0.02)
    time.sleep(0.3)
    assert serves(follower, first)()
    follower.wake()
    until(follower, serves(follower, second))
