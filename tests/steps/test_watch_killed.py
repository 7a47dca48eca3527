"""Rounds of watching are killed anywhere, and two go on at once: what is left is what one undisturbed run leaves."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import SKETCHES, PredictionLog
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.flow import Bundle, Decision, Drift, Labels, Prediction, Reading, Reference, Retrain, Scene, Version
from geoml_ops.core.grid import Window
from geoml_ops.core.noun import FileRef, digest
from geoml_ops.platform.files import sha256_of, write_json
from geoml_ops.settings import CHECKOUT
from geoml_ops.steps import dashboard, departing, trail, watch
from geoml_ops.steps.places import Places
from tests.answering import publish, write_bundle
from tests.every_noun import any_noun
from tests.ground import BANDS, EAST, GRID, REFERENCE, TILE, WEST, sketch, world

pytestmark = pytest.mark.slow
full = pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full")

NUMBERS = CHECKOUT / "workspace" / "full" / "watch_killed.json"
MODEL = "killed"
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
#: Evidently names widgets by the clock, and dates a scene of unknown acquisition now.
TIMED_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(rb'"timestamp": ?"[^"]*"')
LOOKED_AT = (Reading, Reference, Drift, Decision, Retrain)
BEGIN = datetime(2017, 2, 3, 10, tzinfo=UTC)
#: Days after the first, what is seen, and the shift in DN; ``None`` as a day: nobody knows when.
SEEN = (
    (0, WEST, 0.0),
    (5, WEST, 20.0),
    (10, WEST, -15.0),
    (15, WEST, 10.0),
    (20, WEST, 1000.0),
    (None, EAST, 0.0),
    (40, WEST, 5.0),
    (45, WEST, -5.0),
)
#: Changes of files before which rounds are killed; a scene makes about as many.
MOST_CHANGES = 60
#: Processes start from one that has everything loaded, as the loading takes longer than the rounds.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["geoml_ops.steps.watch"])


# --- a deployment before its rounds ----------------------------------------------------------


def _of(kind: Any, **fields: Any) -> Any:
    return any_noun(kind).model_copy(update=fields)


def _prepared(home: Path, tracking_uri: str) -> Places:
    """A champion that learned from the west, a version with labels of the east, and scenes nobody looked at yet."""
    policy = home / "policies.yaml"
    home.mkdir()
    policy.write_text(json.dumps({"name": "killed", "drift": {"tile_px": TILE}}))
    places = Places(
        workspace=home / "ws",
        store=home / "store",
        remote="",
        drop=home / "drop",
        tracking_uri=tracking_uri,
        model=f"{MODEL}-{home.parent.name}",
        experiment=home / "none.yaml",
        policy=policy,
    )
    places.workspace.mkdir()
    shelf = Shelf(places.nouns)
    scene = shelf.put(_of(Scene, name="whole", grid=GRID, acquired=BEGIN - timedelta(days=300)))
    west = shelf.put(_of(Labels, name="west", bounds=GRID.inside(WEST).bounds))
    learned = shelf.put(_of(Version, scenes=(scene.id,), labels=(west.id,), verdicts=()))
    bundle = _served(places, learned)
    for number, (day, window, shift) in enumerate(SEEN):
        _asked(places, bundle, number, day, window, shift)
    east = shelf.put(_of(Labels, name="east", bounds=GRID.inside(EAST).bounds))
    shelf.put(learned.model_copy(update={"labels": (west.id, east.id), "rev": "c" * 40}))
    return places


def _served(places: Places, learned: Version) -> Bundle:
    made = places.workspace / "made"
    bundle = write_bundle(made)
    text = json.dumps(REFERENCE)
    (made / "reference.json").write_text(text)
    ref = FileRef(path="reference.json", sha256=sha256_of(made / "reference.json"), size=len(text))
    contract = SENTINEL_2_L1C.subset(BANDS)
    bundle = bundle.model_copy(update={"version": learned.id, "reference": ref, "contract": contract})
    (made / "bundle.json").write_text(json.dumps(bundle.as_json()))
    kept = places.bundles / bundle.file.sha256
    kept.parent.mkdir(parents=True, exist_ok=True)
    made.rename(kept)
    publish(places.tracking_uri, places.model, kept, bundle)
    return Shelf(places.nouns).put(bundle)


def _asked(places: Places, bundle: Bundle, number: int, day: int | None, window: Window, shift: float) -> None:
    shelf, log = Shelf(places.nouns), PredictionLog(places.predictions)
    when = BEGIN + timedelta(days=30 if day is None else day)
    scenes = ()
    if day is not None:
        scenes = (shelf.put(_of(Scene, name=f"scene-{day}", grid=GRID, acquired=when, baseline="02.04")).id,)
    text = json.dumps(sketch(window, world(number), shift))
    aside = places.workspace / "aside.json"
    aside.write_text(text)
    draft = _of(
        Prediction,
        bundle=bundle.id,
        graph_sha256=bundle.file.sha256,
        model=places.model,
        source_name=f"seen {number}",
        source=FileRef(path="", sha256=digest(number), size=1),
        grid=GRID.inside(window),
        scenes=scenes,
        tile_px=TILE,
        sketches=FileRef(path=SKETCHES, sha256=sha256_of(aside), size=len(text)),
    )
    prediction = shelf.put(draft)
    log.home(prediction.id).mkdir(parents=True, exist_ok=True)
    aside.rename(log.home(prediction.id) / SKETCHES)
    log.append(prediction.id, when + timedelta(hours=2))


def _copy(places: Places, home: Path) -> Places:
    shutil.copytree(places.policy.parent, home)
    there = {
        name: home / value.relative_to(places.policy.parent)
        for name, value in vars(places).items()
        if isinstance(value, Path)
    }
    return replace(places, **there)


# --- rounds in a process of their own, killed from outside or by themselves ------------------


def _rounds(places: Places) -> None:
    for _ in watch.rounds(places):
        pass
    dashboard.summarise(places)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at_change(places: Places, number: int) -> None:
    """Rounds that end before the ``number``-th change of any file of the deployment."""
    home, left = str(places.policy.parent), iter(range(number))

    def count(event: str, args: tuple[Any, ...]) -> None:
        written = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
        if (written or event in CHANGES) and str(args[0]).startswith(home) and next(left, None) is None:
            _die()

    sys.addaudithook(count)
    _rounds(places)


def _after(owner: Any, name: str, number: int) -> None:
    """Has this process end after a function returned as often."""
    real, left = getattr(owner, name), iter(range(number - 1))

    def call(*args: Any, **named: Any) -> Any:
        found = real(*args, **named)
        if next(left, None) is None:
            _die()
        return found

    setattr(owner, name, call)


def _between_report_and_noun(places: Places, number: int) -> None:
    _after(departing, "reported", number)
    _rounds(places)


def _between_comparison_and_decision(places: Places, number: int) -> None:
    _after(watch, "compare", number)
    _rounds(places)


def _before_nouns_and_record(places: Places, number: int) -> None:
    # What is to be kept is on disk; the nouns and the line in the trail are not.
    _after(trail, "_begin", number)
    _rounds(places)


def _between_record_and_its_note(places: Places, number: int) -> None:
    _after(trail.Trail, "append", number)
    _rounds(places)


def _in_the_dashboard(places: Places, number: int) -> None:
    _after(dashboard.PageBook, "write", number)
    _rounds(places)


def _at_a_moment(places: Places, number: int) -> None:
    """Rounds that their parent ends; see :func:`_killed`."""
    _rounds(places)


Work = Callable[[Places, int], None]
ON_PURPOSE: tuple[Work, ...] = (
    _between_report_and_noun,
    _between_comparison_and_decision,
    _before_nouns_and_record,
    _between_record_and_its_note,
)


def _killed(places: Places, work: Work, number: int) -> bool:
    """Runs until it ends, or is ended after ``number`` milliseconds; returns whether it was killed."""
    process = START.Process(target=work, args=(places, number))
    process.start()
    process.join(number / 1000 if work is _at_a_moment else 240)
    process.kill()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _undisturbed(places: Places) -> float:
    """Rounds until nothing is left, and once more; returns the seconds of the first."""
    took = []
    for _ in range(2):
        began = time.monotonic()
        process = START.Process(target=_rounds, args=(places,))
        process.start()
        process.join(240)
        assert process.exitcode == 0, process.exitcode
        took.append(time.monotonic() - began)
    return took[0]


# --- what is left ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """What a deployment holds after its rounds, without the clock: nouns, records of the trail, reports, pages."""

    nouns: dict[str, list[str]]
    records: list[dict[str, Any]]
    reports: dict[str, str]
    pages: dict[str, str]


def _left(places: Places) -> Left:
    shelf, inspection = Shelf(places.nouns), trail.verify(places)
    assert inspection.is_whole, inspection.flaws
    assert not inspection.unfinished_bytes
    seal, records = inspection.head.sha256.encode(), list(trail.show(places))
    assert [entry.number for entry in records] == list(range(1, len(records) + 1))
    return Left(
        nouns={kind.kind: sorted(noun.id for noun in shelf.all(kind)) for kind in LOOKED_AT},
        records=[{k: v for k, v in e.record.as_json().items() if k not in ("at", "cost")} for e in records],
        reports={_name(p, places.evidently): _digest(p, seal) for p in places.evidently.rglob("*.json")},
        pages={_name(p, places.dashboard): _digest(p, seal) for p in places.dashboard.rglob("*") if _is_page(p)},
    )


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _is_page(path: Path) -> bool:
    # What a killed writer leaves aside has a name with a point in front, and counts for nothing.
    return path.is_file() and not path.name.startswith(".")


def _digest(path: Path, seal: bytes) -> str:
    """Digest of a file without what the clock put into it: names, times, and the seal of the trail."""
    content = path.read_bytes().replace(seal, b"").replace(seal[:16], b"")
    return hashlib.sha256(TIME.sub(b"", TIMED_ID.sub(b"", content))).hexdigest()


def _assert_same(found: Left, calm: Left) -> None:
    assert found.nouns == calm.nouns
    assert found.records == calm.records
    for ours, theirs in ((found.reports, calm.reports), (found.pages, calm.pages)):
        assert ours.keys() == theirs.keys()
        assert [name for name in theirs if ours[name] != theirs[name]] == []


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> Places:
    return _prepared(tmp_path_factory.mktemp("watched") / "prepared", mlflow_server)


@pytest.fixture(scope="module")
def calm(prepared: Places, tmp_path_factory: pytest.TempPathFactory) -> tuple[Left, float]:
    """What an undisturbed run leaves, and its seconds."""
    places = _copy(prepared, tmp_path_factory.mktemp("calm") / "deployment")
    seconds = _undisturbed(places)
    return _left(places), seconds


def _torn(calm: Left, prepared: Places, home: Path, n: int, seconds: float, rng: np.random.Generator) -> Counter[str]:
    """Kills rounds ``n`` times, in as many deployments as it takes, leaves each alone then; returns how often where."""
    found: Counter[str] = Counter()
    kinds = itertools.cycle((_at_change, *ON_PURPOSE[:2], _at_a_moment, *ON_PURPOSE[2:]))
    while found.total() < n:
        places = _copy(prepared, home / f"life-{found.total()}")
        alive = True
        while alive and found.total() < n - 1:
            work = next(kinds)
            at = {_at_change: int(rng.integers(1, MOST_CHANGES)), _at_a_moment: int(rng.uniform(50, 300 * seconds))}
            alive = _killed(places, work, at.get(work, 1))
            found[work.__name__] += alive
        found[_in_the_dashboard.__name__] += _killed(places, _in_the_dashboard, int(rng.integers(1, 4)))
        _undisturbed(places)
        _assert_same(_left(places), calm)
    return found


def test_the_undisturbed_run_meets_all_that_a_kill_may_hit(calm: tuple[Left, float]) -> None:
    left, _ = calm
    assert len(left.nouns["drift"]) == len(left.nouns["reading"]) == len(SEEN)
    assert len(left.nouns["reference"]) > 1
    assert len(left.nouns["retrain"]) == 1
    assert len([name for name in left.reports if "/snapshots/" in name]) == len(SEEN)
    assert [name for name in left.pages if name.startswith("maps/")]


def test_killed_again_and_again_it_leaves_what_one_run_leaves(
    calm: tuple[Left, float], prepared: Places, tmp_path: Path
) -> None:
    found = _torn(calm[0], prepared, tmp_path, 12, calm[1], np.random.default_rng(0))
    assert found.total() >= 12


@full
@pytest.mark.full
def test_killed_fifty_times_it_leaves_what_one_run_leaves(
    calm: tuple[Left, float], prepared: Places, tmp_path: Path
) -> None:
    found = _torn(calm[0], prepared, tmp_path, 50, calm[1], np.random.default_rng(1))
    lives = len(list(tmp_path.glob("life-*")))
    write_json(NUMBERS, {"kills": dict(found), "deployments": lives, "scenes": len(SEEN), "seconds": round(calm[1], 1)})
    assert found.total() >= 50


def test_two_processes_at_once_leave_what_one_leaves(
    calm: tuple[Left, float], prepared: Places, tmp_path: Path
) -> None:
    places = _copy(prepared, tmp_path / "both")
    both = [START.Process(target=_rounds, args=(places,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(240)
    assert [process.exitcode for process in both] == [0, 0]
    _undisturbed(places)
    _assert_same(_left(places), calm[0])
