"""The whole loop through Airflow's own scheduler, on a generated world whose truth is known."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from geoml_ops import client
from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.errors import BadInput, GeomlError
from geoml_ops.core.flow import Decision, Drift, Entry, Judgement, Retrain, Scene, Verdict, Version
from geoml_ops.core.grid import Window
from geoml_ops.core.noun import Noun
from geoml_ops.demo.chain import Chain, service_has
from geoml_ops.domain.world import World, landscape
from geoml_ops.platform.files import sweep_parts
from geoml_ops.settings import CHECKOUT, Settings
from geoml_ops.stack import Stack, running
from geoml_ops.steps import deliver, trail
from geoml_ops.steps.places import Places
from geoml_ops.steps.trace import impact, trace
from tests.versions import EXPERIMENT

pytestmark = pytest.mark.slow

BRIGHTER, DARKER, VISIBLE = 1.7, 0.75, ("B01", "B02", "B03", "B04")
SERVERS = ("mlflow", "airflow-api", "airflow-scheduler", "airflow-dags", "service")


@dataclass
class Loop:
    """A running stack, what it is fed with, and what it left behind."""

    stack: Stack
    chain: Chain
    world: World
    deliveries: Path

    @property
    def places(self) -> Places:
        return self.stack.settings.places()

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.places.nouns)

    def hand_in(self, name: str) -> None:
        deliver.hand_in(self.deliveries / name, self.places.drop)

    def request(self, name: str, window: Window | None = None, shift_dn: int = 0, declared_dn: float = 0.0) -> Path:
        """Sends a cut of the scene to the service; returns the map."""
        scene = next(s for s in self.shelf.all(Scene) if s.declared.offset_dn == 0)
        dn = raster.read(self.places.store / scene.file.path, window)
        source, out = self.deliveries / f"{name}.tif", self.deliveries / f"{name}-map.tif"
        raster.write_scene(
            source,
            deliver.shift(dn.astype(np.uint16), shift_dn) if shift_dn else dn,
            scene.grid.inside(window or scene.grid.whole),
            SENTINEL_2_L1C,
            Radiometry(scale=1e-4, offset_dn=declared_dn, nodata=0.0),
            tags={"GEOML_SCENES": scene.id},
        )
        client.classify(self.stack.settings.service_url, source, out)
        return out

    def halves(self) -> tuple[Window, Window]:
        width, height = self.world.grid.width // 2, self.world.grid.height
        return (
            Window(col=0, row=0, width=width, height=height),
            Window(col=width, row=0, width=width, height=height),
        )


def _settings(folder: Path) -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    experiment = folder / "experiment.yaml"
    experiment.write_text(json.dumps(EXPERIMENT))
    policy = folder / "policies.yaml"
    policy.write_text(json.dumps({"name": "loop"}))
    return Settings(workspace=folder / "workspace", experiment=experiment, policy=policy, model="world")


def _world(folder: Path) -> World:
    world = landscape(768, 504, seed=3)
    # Another region: darker where light is visible, brighter beyond; what was learned in the west fails there.
    for name, dn in world.bands.items():
        middle = dn.shape[1] // 2
        factor = DARKER if name in VISIBLE else BRIGHTER
        unlike = dn.copy()
        unlike[:, middle:] = np.clip(dn[:, middle:] * factor, 1, 20_000).astype(np.uint16)
        world.bands[name] = unlike
    deliver.write_delivery(world, folder / "scene")
    for side, west in (("west", True), ("east", False)):
        polygons, labels = world.side(west)
        deliver.deliver_labels(folder / side, polygons, labels, world.grid.crs)
    return world


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("loop")
    stack = Stack(_settings(folder), witnessed=True)
    world = _world(folder / "deliveries")
    with running(stack, SERVERS):
        yield Loop(stack, Chain(stack), world, folder / "deliveries")


@pytest.fixture(scope="module")
def first_turn(loop: Loop) -> dict[str, dict[str, str]]:
    loop.hand_in("scene")
    loop.hand_in("west")
    return loop.chain.start("ingest")


def _every(shelf: Shelf) -> dict[str, Noun]:
    files = shelf.folder.rglob("*.json")
    return {p.stem: shelf.any(p.stem) for p in files}


def test_a_whole_turn_ends_with_a_champion_that_answers(loop: Loop, first_turn: dict[str, dict[str, str]]) -> None:
    assert list(first_turn) == ["ingest", "watch", "train", "publish"]
    judgement = loop.shelf.get(Judgement, first_turn["publish"]["judge"])
    assert judgement.outcome == "PROMOTE", judgement.objections
    entry = loop.shelf.get(Entry, first_turn["publish"]["release"])
    assert service_has(loop.stack.settings.service_url, entry.number)["number"] == entry.number


def test_every_noun_of_a_turn_has_its_parents(loop: Loop, first_turn: dict[str, dict[str, str]]) -> None:
    nouns = _every(loop.shelf)
    kinds = {noun.kind for noun in nouns.values()}
    assert {"scene", "labels", "verdict", "version", "table", "plan", "evaluation", "bundle", "entry"} <= kinds
    orphans = {f"{i} misses {p}" for i, noun in nouns.items() for p in noun.parents if p not in nouns}
    assert not orphans


def test_a_pixel_walks_back_to_its_scene_and_the_scene_forward_to_the_map(
    loop: Loop, first_turn: dict[str, dict[str, str]]
) -> None:
    west, _ = loop.halves()
    path = loop.request("walk", west)
    bounds = loop.world.grid.inside(west).bounds
    links = trace(loop.places, path, bounds.left + 505, bounds.top - 505)
    kinds = [link.noun.kind for link in links]
    assert kinds[0] == "prediction"
    assert {"bundle", "evaluation", "plan", "table", "version", "labels", "scene"} <= set(kinds)
    scene = next(link.noun for link in links if link.noun.kind == "scene")
    assert links[0].noun.id in {noun.id for noun in impact(loop.places, scene.id)}


def test_the_map_is_right_where_the_model_learned(loop: Loop, first_turn: dict[str, dict[str, str]]) -> None:
    west, _ = loop.halves()
    classes = raster.read(loop.request("truth", west))[0]
    truth = loop.world.truth[west.slices()]
    assert (classes == truth).mean() > 0.6
    assert (classes != 255).all()


def test_the_same_deliveries_again_make_nothing(loop: Loop, first_turn: dict[str, dict[str, str]]) -> None:
    before, trainings = set(_every(loop.shelf)), len(loop.stack.airflow.runs("train"))
    loop.hand_in("scene")
    ran = loop.chain.start("ingest")
    assert list(ran) == ["ingest"]
    assert set(_every(loop.shelf)) == before
    assert len(loop.stack.airflow.runs("train")) == trainings


def test_an_undeclared_offset_is_named_and_nothing_is_trained_even_where_the_watch_is_killed(
    loop: Loop, first_turn: dict[str, dict[str, str]]
) -> None:
    west, _ = loop.halves()
    loop.chain.start("patrol")
    before, trainings = set(_every(loop.shelf)), len(loop.stack.airflow.runs("train"))
    loop.request("shifted", west, shift_dn=1000)
    n_drifts = len(list(loop.shelf.all(Drift)))
    with _killed_once(loop.stack, "patrol", "decide", lambda: len(list(loop.shelf.all(Drift))) > n_drifts):
        ran = loop.chain.start("patrol")
    decision = loop.shelf.get(Decision, ran["patrol"]["decide"]["decision"])
    assert list(ran) == ["patrol"]
    assert decision.action == "fix ingest"
    assert not decision.fired
    drift = loop.shelf.get(Drift, decision.drift)
    assert drift.diagnosis.cause == "undeclared offset"
    assert len(loop.stack.airflow.runs("train")) == trainings

    # The one comparison, the one decision, its one record, and the page that says why.
    fresh = [loop.shelf.any(i) for i in set(_every(loop.shelf)) - before]
    assert sorted(n.kind for n in fresh if n.kind in ("drift", "decision", "retrain")) == ["decision", "drift"]
    assert _records_about(loop.places, decision.id) == [("fix ingest", False, drift.id)]
    page = _page(loop, f"drifts/{drift.id}.html")
    assert "undeclared offset" in page
    assert "fix ingest" in page
    assert drift.id in _page(loop, "")


def test_the_declared_offset_gives_the_same_map(loop: Loop, first_turn: dict[str, dict[str, str]]) -> None:
    west, _ = loop.halves()
    plain = raster.read(loop.request("plain", west))
    declared = raster.read(loop.request("declared", west, shift_dn=1000, declared_dn=-1000.0))
    assert np.array_equal(plain, declared)
    loop.chain.start("patrol")


def test_new_ground_asks_for_labels_and_labels_start_the_second_turn(
    loop: Loop, first_turn: dict[str, dict[str, str]]
) -> None:
    _, east = loop.halves()
    path = loop.request("east", east)
    before = (raster.read(path)[0] == loop.world.truth[east.slices()]).mean()
    ran = loop.chain.start("patrol")
    decision = loop.shelf.get(Decision, ran["patrol"]["decide"]["decision"])
    assert decision.action == "collect labels"
    assert not decision.fired

    # A patrol comes beside the watch of the new version, and a task of the training is killed in the middle; the
    # scheduler tries again, and there is one training.
    trainings, events = len(loop.stack.airflow.runs("train")), {r.id for r in loop.shelf.all(Retrain)}
    with _beside(loop.stack, "watch", "patrol"), _killed_once(loop.stack, "train", "evaluate"):
        loop.hand_in("east")
        ran = loop.chain.start("ingest")
    assert list(ran) == ["ingest", "watch", "patrol", "train", "publish"]
    (retrain,) = (r for r in loop.shelf.all(Retrain) if r.id not in events)
    assert [ran[dag]["announce"] for dag in ("watch", "patrol") if "announce" in ran[dag]] == [retrain.id]
    assert len(loop.stack.airflow.runs("train")) == trainings + 1
    fired = loop.shelf.get(Decision, retrain.decision)
    assert fired.fired
    assert "shift" in fired.because.lower()
    assert [about[:2] for about in _records_about(loop.places, fired.id)] == [("retrain", True)]
    judgement = loop.shelf.get(Judgement, ran["publish"]["judge"])
    assert judgement.outcome == "PROMOTE", judgement.objections
    entry = loop.shelf.get(Entry, ran["publish"]["release"])
    service_has(loop.stack.settings.service_url, entry.number)
    after = (raster.read(loop.request("east-again", east))[0] == loop.world.truth[east.slices()]).mean()
    assert after > before + 0.05
    assert not [i for i, n in _every(loop.shelf).items() for p in n.parents if not loop.shelf.path_of(p).exists()]


def test_a_refused_delivery_is_kept_aside_and_the_loop_goes_on(
    loop: Loop, first_turn: dict[str, dict[str, str]]
) -> None:
    versions = [v.id for v in loop.shelf.all(Version)]
    bad = loop.places.drop / "torn"
    bad.mkdir()
    for file in (loop.deliveries / "scene").iterdir():
        (bad / file.name).write_bytes(file.read_bytes()[: 2000 if file.suffix == ".tif" else None])
    ran = loop.chain.start("ingest")
    verdict = [v for v in loop.shelf.all(Verdict) if v.delivery == "torn"][-1]
    assert not verdict.accepted
    assert verdict.reasons
    assert list(loop.places.quarantine.glob("torn*"))
    assert not bad.exists()
    assert [v.id for v in loop.shelf.all(Version)] == versions
    assert list(ran) == ["ingest"]


def test_the_service_says_what_is_wrong_with_a_request(loop: Loop, first_turn: dict[str, dict[str, str]]) -> None:
    scene = next(s for s in loop.shelf.all(Scene) if s.declared.offset_dn == 0)
    dn = raster.read(loop.places.store / scene.file.path)
    contract = SENTINEL_2_L1C.subset([n for n in SENTINEL_2_L1C.names if n != "B11"])
    source = loop.deliveries / "no-b11.tif"
    kept = [i for i, n in enumerate(SENTINEL_2_L1C.names) if n != "B11"]
    raster.write_scene(source, dn[kept], scene.grid, contract, contract.radiometry)
    with pytest.raises(BadInput, match="B11"):
        client.classify(loop.stack.settings.service_url, source, loop.deliveries / "never.tif")
    assert not (loop.deliveries / "never.tif").exists()


def test_nothing_reached_beyond_loopback_and_nothing_listens_beyond_it(
    loop: Loop, first_turn: dict[str, dict[str, str]]
) -> None:
    tried = loop.stack.witness_file.read_text() if loop.stack.witness_file.exists() else ""
    assert not tried
    families = [psutil.Process(c.popen.pid) for c in loop.stack.children]
    members = [m for leader in families for m in (leader, *leader.children(recursive=True))]
    listening = {c.laddr.ip for m in members for c in _sockets(m) if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_the_scheduler_may_be_killed_between_two_steps(loop: Loop, first_turn: dict[str, dict[str, str]]) -> None:
    before = set(_every(loop.shelf))
    scheduler = next(c for c in loop.stack.children if c.name == "airflow-scheduler")
    family = [scheduler.popen.pid, *(p.pid for p in psutil.Process(scheduler.popen.pid).children(recursive=True))]
    run = loop.stack.airflow.start("ingest")
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    scheduler.popen.wait(10)
    loop.stack.revive()
    assert loop.stack.airflow.wait("ingest", run, limit_s=240) == "success"
    assert set(_every(loop.shelf)) == before


def _sockets(process: psutil.Process) -> list[psutil._common.sconn]:
    try:
        return list(process.net_connections(kind="inet"))
    except psutil.Error:
        return []


def _records_about(places: Places, decision: str) -> list[tuple[str, bool, str]]:
    """What the audit trail, which is whole, says of evaluations with this outcome: action, fired, what was compared."""
    inspection = trail.verify(places)
    assert inspection.is_whole, inspection.flaws
    about = [entry.record for entry in trail.show(places) if entry.record.inputs[0] == decision]
    return [(r.action, r.fired, next(i for i in r.inputs if i.startswith("drift-"))) for r in about]


def _page(loop: Loop, name: str) -> str:
    answer = httpx.get(f"{loop.stack.settings.service_url}/dashboard/{name}", timeout=30.0)
    assert answer.status_code == 200, f"{name}: {answer.status_code}"
    return answer.text


@contextlib.contextmanager
def _hunting(step: Callable[[], bool], what: str) -> Iterator[None]:
    """Tries something again and again, aside, until it worked once."""
    hit, stop = threading.Event(), threading.Event()

    def hunt() -> None:
        while not stop.wait(0.05):
            with contextlib.suppress(GeomlError, httpx.HTTPError, ProcessLookupError, StopIteration, KeyError):
                if step():
                    hit.set()
                    return

    thread = threading.Thread(target=hunt, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert hit.is_set(), what


@contextlib.contextmanager
def _killed_once(
    stack: Stack, dag: str, task: str, is_time: Callable[[], bool] = lambda: not time.sleep(1.0)
) -> Iterator[None]:
    """Kills the first process that runs ``task``, with SIGKILL, as soon as it is time: a moment after it began."""
    airflow = stack.airflow
    known = {r["dag_run_id"] for r in airflow.runs(dag)}

    def kill() -> bool:
        run = next(r["dag_run_id"] for r in airflow.runs(dag) if r["dag_run_id"] not in known)
        here = [t for t in airflow.tasks(dag, run) if t["task_id"] == task and t["state"] == "running"]
        pid = next(int(t["pid"]) for t in here if t.get("pid"))
        while not is_time():
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        return True

    with _hunting(kill, f"no process of {task} was ever seen"):
        yield


@contextlib.contextmanager
def _beside(stack: Stack, first: str, second: str) -> Iterator[None]:
    """Starts a run of one DAG as soon as there is a new run of another."""
    known = {r["dag_run_id"] for r in stack.airflow.runs(first)}

    def start() -> bool:
        if all(r["dag_run_id"] in known for r in stack.airflow.runs(first)):
            return False
        stack.airflow.start(second)
        return True

    with _hunting(start, f"there was no run of {first}"):
        yield


def test_steps_killed_at_any_moment_give_the_same_ids(tmp_path: Path, mlflow_server: str) -> None:
    """``geoml`` is killed again and again; what comes out in the end is what an undisturbed run gives."""
    world = tmp_path / "deliveries"
    _world(world)

    def machine(name: str) -> tuple[Settings, Callable[..., subprocess.Popen[str]]]:
        settings = _settings(tmp_path / name).model_copy(
            update={"tracking_uri": mlflow_server, "model": f"kill-{name}"}
        )
        for delivery in ("scene", "west"):
            deliver.hand_in(world / delivery, settings.places().drop)
        env = {**os.environ, **settings.as_environment(), "OMP_NUM_THREADS": "1"}

        def geoml(*words: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "geoml_ops.cli", *words]
            return subprocess.Popen(
                command, env=env, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

        return settings, geoml

    steps = (("ingest", "check", "scene"), ("ingest", "check", "west"), ("ingest", "track"), ("train", "run"))
    calm, geoml = machine("calm")
    for words in steps:
        out, err = geoml(*words).communicate(timeout=300)
        assert out, err

    torn, geoml = machine("torn")
    rng = np.random.default_rng(0)
    for words in steps:
        for _ in range(2):
            process = geoml(*words)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=float(rng.uniform(2.5, 9.0)))
            process.kill()
            process.communicate()
        out, err = geoml(*words).communicate(timeout=300)
        assert out, err
    ids = [sorted(p.name for p in s.places().nouns.rglob("*.json")) for s in (calm, torn)]
    assert ids[0] == ids[1]
    # A repository in the making is kept aside, out of its way, and swept when a stack starts.
    sweep_parts(torn.places().store)
    names = [sorted(p.name for p in s.places().store.iterdir() if not p.name.startswith(".")) for s in (calm, torn)]
    assert names[0] == names[1]
    assert not list(torn.places().store.rglob("*.part*"))
