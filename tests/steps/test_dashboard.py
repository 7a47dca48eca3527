"""The dashboard on disk: what is written once stays, what follows is added, what is damaged hides nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from geoml_ops.adapters import pages
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.adapters.trail import Trail
from geoml_ops.core.flow import Drift
from geoml_ops.core.trail import TrailRecord
from geoml_ops.settings import Settings
from geoml_ops.steps import dashboard
from geoml_ops.steps.pagebook import PageBook
from geoml_ops.steps.places import Places
from tests.conftest import ROOT
from tests.pages import HOSTILE
from tests.showing import FIRST, Show, calm, charts, fill

LINKS = {"Airflow": "http://127.0.0.1:8080/", "Map": "/"}


@pytest.fixture
def places(tmp_path: Path, mlflow_server: str) -> Places:
    """An empty deployment beside a registry without a model of its name."""
    settings = Settings(workspace=tmp_path / "workspace", tracking_uri=mlflow_server, model="nobody")
    return settings.places()


@dataclass(frozen=True)
class Shown:
    """A deployment with every kind of comparison, after its first look."""

    places: Places
    found: dict[str, Drift]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> Shown:
    home = tmp_path_factory.mktemp("shown") / "workspace"
    places = Settings(workspace=home, tracking_uri=mlflow_server, model="nobody").places()
    found = fill(places)
    dashboard.summarise(places, links=LINKS)
    return Shown(places, found)


@pytest.fixture
def shown(once: Shown, places: Places) -> Shown:
    """A copy of it for one test."""
    shutil.copytree(once.places.workspace, places.workspace)
    return Shown(places, once.found)


def files(places: Places) -> dict[str, tuple[int, int]]:
    """Every page with when it was written and its inode: a page that was written again has another."""
    found = (path for path in places.dashboard.rglob("*") if path.is_file())
    return {p.relative_to(places.dashboard).as_posix(): (p.stat().st_mtime_ns, p.stat().st_ino) for p in found}


def test_every_stream_and_every_comparison_has_a_page_and_no_link_leads_nowhere(once: Shown) -> None:
    places, found = once.places, once.found
    names = set(files(places))
    assert len([n for n in names if n.startswith("streams/")]) == 6
    drifts = len(list((places.nouns / "drift").glob("*.json")))
    assert len([n for n in names if n.startswith("drifts/") and n.endswith(".html")]) == drifts
    for name in (n for n in names if n.endswith(".html")):
        html = (places.dashboard / name).read_text()
        assert "<script" not in html, name
        for href in re.findall(r'<a href="([^"]+)"', html):
            if not href.startswith(("http://127.0.0.1:8080/", "/")):
                goal = (places.dashboard / name).parent / href
                assert goal.resolve().is_relative_to(places.dashboard.resolve())
                assert goal.exists(), f"{name} -> {href}"
    assert "3.1" in (places.dashboard / "drifts" / f"{found['map'].id}.html").read_text()


def test_the_picture_of_each_cause_is_on_its_page(once: Shown) -> None:
    places, found = once.places, once.found
    shows = {
        "map": 'src="data:image/png;base64,',
        "profile": "Means of 6 bands beside those of the reference; ringed: B04, B08",
        "tiles": "Matched tiles of 6 bands",
        "shares": "forest 52.0 % then 31.0 %",
        "bands": "How far bands moved",
        "old": "How far bands moved",
    }
    for name, words in shows.items():
        assert words in (places.dashboard / "drifts" / f"{found[name].id}.html").read_text(), name
    kept = json.loads((places.dashboard / "drifts" / f"{found['map'].id}.json").read_text())
    assert Drift.from_json({k: v for k, v in kept.items() if k in found["map"].as_json()}) == found["map"]
    assert kept["files"] == ["../maps/drifting.tif", "../maps/drifting.gpkg", "../maps/drifting.png"]
    assert (kept["standing"], kept["decisions"][0]["suppressed"]) == ("alarm", "cool-down: 30 of 90 days")


def test_state_and_metrics_tell_the_same(once: Shown) -> None:
    places = once.places
    state = json.loads((places.dashboard / "state.json").read_text())
    standing = {one["stream"]: one["now"]["standing"] for one in state["streams"]}
    assert sorted(standing.values()) == ["alarm", "alarm", "cannot tell", "fault", "uncalibrated", "uncalibrated"]
    assert [one["now"]["standing"] for one in state["streams"]][:3] == ["fault", "alarm", "alarm"]
    assert state["calibrated"] is True
    text = (places.dashboard / "metrics.prom").read_text()
    told = {
        sample.labels["stream"]: sample.labels["state"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "geoml_watch_state" and sample.value == 1
    }
    assert told == standing


def test_a_look_that_finds_nothing_new_writes_no_page_again(shown: Shown) -> None:
    places = shown.places
    before = files(places)
    dashboard.summarise(places, links=LINKS)
    after = files(places)
    again = {name for name in after if after[name] != before.get(name)}
    assert again == {"index.html", "state.json", "metrics.prom"}


def test_a_new_scene_writes_its_page_and_that_of_its_stream_alone(shown: Shown) -> None:
    places, show = shown.places, Show(shown.places)
    before = files(places)
    show.n = 5000
    stream = "sentinel-2-l2a/EPSG:32632-6-53"
    drift = show.scene(stream, FIRST + timedelta(days=400), calm(), chart=charts(1.0, 0.6))
    dashboard.summarise(places, links=LINKS)
    again = {name for name, facts in files(places).items() if facts != before.get(name)}
    own = {f"drifts/{drift.id}.html", f"drifts/{drift.id}.json", f"streams/{pages.slug_of(stream)}.html"}
    assert again == own | {"index.html", "state.json", "metrics.prom", "lines.json", "pages.json"}
    show.decide(drift, "ignore", rule="season")
    before = files(places)
    dashboard.summarise(places, links=LINKS)
    again = {name for name, facts in files(places).items() if facts != before.get(name)}
    assert f"drifts/{drift.id}.html" in again
    assert f"streams/{pages.slug_of(stream)}.html" not in again
    assert "season" in (places.dashboard / "drifts" / f"{drift.id}.html").read_text()


def test_a_noun_that_was_altered_hides_no_other(shown: Shown) -> None:
    places, found = shown.places, shown.found
    shutil.rmtree(places.dashboard)
    bad = places.nouns / "drift" / f"{found['map'].id}.json"
    bad.write_text(bad.read_text().replace("covariate", "c0variate"))
    (places.nouns / "decision" / f"decision-{'0' * 16}.json").write_text("{")
    dashboard.summarise(places)
    assert not (places.dashboard / "drifts" / f"{found['map'].id}.html").exists()
    assert (places.dashboard / "drifts" / f"{found['profile'].id}.html").exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"program": 99}', '{"program": 1, "drifts": {"x": 1}}', "\0\0"])
def test_lines_and_books_that_are_damaged_are_made_again(places: Places, damage: str) -> None:
    Show(places).scene("s/r", FIRST, calm(), chart=charts(1.0, 0.6))
    dashboard.summarise(places)
    html = (places.dashboard / "index.html").read_text()
    for name in ("lines.json", "pages.json"):
        (places.dashboard / name).write_text(damage)
    dashboard.summarise(places)
    assert (places.dashboard / "index.html").read_text() == html


@pytest.mark.parametrize("path", ["../../outside.png", "/etc/passwd", "maps/none.png", "maps"])
def test_files_of_a_map_that_lie_elsewhere_are_not_shown(places: Places, path: str) -> None:
    show = Show(places)
    where = show.map("here")
    (places.workspace.parent / "outside.png").write_bytes(b"x")
    assert where.picture is not None
    moved = where.model_copy(update={"picture": where.picture.model_copy(update={"path": path})})
    drift = show.scene("s/r", FIRST, calm(), where=moved)
    dashboard.summarise(places)
    html = (places.dashboard / "drifts" / f"{drift.id}.html").read_text()
    assert "base64" not in html
    assert "../maps/here.tif" in html


def test_a_map_that_was_altered_is_not_shown(places: Places) -> None:
    show = Show(places)
    drift = show.scene("s/r", FIRST, calm(), where=show.map("here"))
    (places.dashboard / "maps" / "here.png").write_bytes(b"\x89PNG other")
    dashboard.summarise(places)
    assert "base64" not in (places.dashboard / "drifts" / f"{drift.id}.html").read_text()


def test_the_trail_is_looked_through(places: Places) -> None:
    trail = Trail(places.workspace / "trail")
    for i in range(3):
        trail.append(TrailRecord(at=FIRST + timedelta(days=i), policy="p", action="none", fired=False, because=HOSTILE,
                                 engine="1"))  # fmt: skip
    dashboard.summarise(places)
    assert "3 evaluations" in (places.dashboard / "index.html").read_text()
    assert "geoml_watch_trail_whole 1.0" in (places.dashboard / "metrics.prom").read_text()
    (segment,) = (places.workspace / "trail").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"fired":false', b'"fired":true ', 1))
    dashboard.summarise(places)
    assert "trail broken" in (places.dashboard / "index.html").read_text()
    assert "geoml_watch_trail_whole 0.0" in (places.dashboard / "metrics.prom").read_text()


def test_when_an_answer_was_asked_for_orders_scenes_that_have_no_day(places: Places) -> None:
    show = Show(places)
    drifts = [show.scene("s/r", None, calm(), name=f"scene {i}") for i in range(3)]
    log = PredictionLog(places.predictions)
    for i, drift in enumerate(reversed(drifts)):
        log.append(drift.predictions[0], FIRST + timedelta(hours=i))
    dashboard.summarise(places)
    state = json.loads((places.dashboard / "state.json").read_text())
    assert state["streams"][0]["now"]["scenes"] == ["scene 0"]


def test_a_book_knows_what_each_page_was_made_of(tmp_path: Path) -> None:
    book = PageBook(tmp_path)
    assert book.write("a.html", "1", lambda: "one")
    book.close()
    again = PageBook(tmp_path)
    assert not again.write("a.html", "1", lambda: "never")
    assert again.write("b.html", "1", lambda: "two")
    again.close()
    changed = PageBook(tmp_path)
    assert changed.write("a.html", "2", lambda: "three")
    (tmp_path / "b.html").unlink()
    assert changed.write("b.html", "1", lambda: "two")
    assert (tmp_path / "a.html").read_text() == "three"


KILLED = """
import os, sys
from geoml_ops.platform import files
from geoml_ops.settings import Settings
from geoml_ops.steps import dashboard
whole, left = files.whole_file, int(sys.argv[1])
def counted(path):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    return whole(path)
files.whole_file = counted
dashboard.summarise(Settings().places())
"""


@pytest.mark.parametrize("n_written", [0, 1, 3, 7])
def test_killed_anywhere_the_next_look_makes_the_same_pages(places: Places, n_written: int) -> None:
    show = Show(places)
    for i in range(4):
        show.scene("s/r", FIRST + timedelta(days=i), calm(), chart=charts(1.0, 0.6))
    env = {**os.environ, "GEOML_WORKSPACE": str(places.workspace), "GEOML_TRACKING_URI": places.tracking_uri,
           "GEOML_MODEL": places.model, "PYTHONPATH": str(ROOT)}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", KILLED, str(n_written)], env=env, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    dashboard.summarise(places)
    killed = {name: (places.dashboard / name).read_bytes() for name in files(places)}
    assert not [name for name in killed if ".part" in name]
    clean = replace(places, workspace=places.workspace.parent / "clean")
    clean.nouns.parent.mkdir()
    places.nouns.rename(clean.nouns)
    dashboard.summarise(clean)
    assert {name: (clean.dashboard / name).read_bytes() for name in files(clean)} == killed


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes a minute; make full")
def test_a_thousand_comparisons(places: Places) -> None:
    """How long a look takes where there are a thousand comparisons in ten streams, measured and not judged by time."""
    import time

    show = Show(places)
    for i in range(1000):
        stream = f"sentinel-2-l2a/EPSG:32633-{i % 10}-58"
        drift = show.scene(stream, FIRST + timedelta(days=i), calm(), chart=charts(1.0, 0.6))
        show.decide(drift, "none")
    took = []
    for _ in range(3):
        began = time.monotonic()
        dashboard.summarise(places)
        took.append(time.monotonic() - began)
    show.scene("sentinel-2-l2a/EPSG:32633-0-58", FIRST + timedelta(days=2000), calm(), chart=charts(1.0, 0.6))
    began = time.monotonic()
    dashboard.summarise(places)
    facts = {"first_s": took[0], "nothing_new_s": min(took[1:]), "one_new_s": time.monotonic() - began,
             "index_bytes": (places.dashboard / "index.html").stat().st_size}  # fmt: skip
    home = ROOT / "workspace" / "full"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dashboard.json").write_text(json.dumps(facts))
    assert len(list((places.dashboard / "drifts").glob("*.html"))) == 1001
