"""Evidently itself: the same distance as ours, our metrics and tests, one snapshot per drift, nothing torn."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidently.sdk.models import DashboardTabModel
from evidently.ui.workspace import Workspace

from geoml_ops.adapters import evidently
from geoml_ops.adapters.evidently import boards
from geoml_ops.adapters.evidently.metrics import METRICS
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.drift import distance
from tests.conftest import free_port
from tests.scenes_told import BANDS, chart, told


def tables(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    before = {band: rng.normal(1000 + 300 * i, 200, 36) for i, band in enumerate(BANDS)}
    return before, {band: column[:17] * 1.1 + 90 * i for i, (band, column) in enumerate(before.items())}


def snapshot_of(scene: evidently.Told, *, tiles: bool = True):
    before, now = tables()
    columns = BANDS if tiles else ()
    return evidently.report(before, now, columns, distance=0.5, drifted_share=0.3, told=scene)


def keep(folder: Path, *scenes: evidently.Told) -> list[evidently.Stored]:
    """Stores scenes of one report without tiles, which is fast."""
    return [evidently.store(folder, scene, snapshot_of(scene, tiles=False)) for scene in scenes]


@pytest.fixture(scope="module")
def snapshot():
    before, now = tables()
    return evidently.report(before, now, BANDS, distance=0.5, drifted_share=0.3)


@pytest.fixture(scope="module")
def whole():
    return snapshot_of(told(3))


# --- reports ---------------------------------------------------------------------------------------


def test_it_measures_what_we_measure(snapshot, whole) -> None:
    before, now = tables()
    for found in (evidently.distances(snapshot), evidently.distances(whole)):
        assert list(found) == list(BANDS)
        assert found == pytest.approx({band: distance(before[band], now[band]) for band in BANDS}, rel=1e-9)


def test_our_numbers_stand_in_the_same_report_as_they_were_found(whole) -> None:
    entries = whole.dict()["metrics"]
    mine = {m["config"]["type"].rsplit(":", 1)[1]: m["value"] for m in entries}
    mine = {name: value for name, value in mine.items() if name in METRICS}
    assert set(METRICS) - set(mine) == {"EdgeDensity", "PixelsPerSecond"}
    assert (mine["ClassShareVariation"], mine["Alarm"], mine["ChartPath"]) == (0.03, 0.0, 1.3)
    assert (mine["HotSpotTiles"], mine["ValidShare"], mine["AnswerSeconds"]) == (3.0, 0.9, 6.0)
    far = [m for m in entries if m["config"]["type"].endswith(":BandDistance")]
    bands = {m["config"]["column"]: m["value"] for m in far}
    assert bands == pytest.approx({band: 0.3 + n for n, band in enumerate(BANDS)})


@pytest.mark.parametrize("alarm", [True, False])
def test_its_test_passes_where_no_alarm_stands(alarm: bool) -> None:
    tests = snapshot_of(told(15, alarm=alarm), tiles=False).dict()["tests"]
    verdicts = {test["metric_config"]["params"]["type"].rsplit(":", 1)[1]: test["status"].value for test in tests}
    # The path is above its limit; that alone warns.
    assert verdicts == {
        "Alarm": "FAIL" if alarm else "SUCCESS", "ChartPath": "WARNING", "LargestStatistic": "SUCCESS",
    }  # fmt: skip


def test_what_is_not_calibrated_is_not_tested() -> None:
    assert snapshot_of(told(15, calibrated=False), tiles=False).dict()["tests"] == []


def test_numbers_that_are_none_are_left_out() -> None:
    scene = told(1)
    bare = scene.drift.statistics[0].model_copy(update={"js": None, "z": None})
    empty = chart(1, True, False).model_copy(update={"value": None, "path": None})
    drift = scene.drift.model_copy(update={"statistics": (bare,), "charts": (empty,), "estimates": (), "where": None})
    scene = evidently.Told("landcover", drift, None, latency_s=float("nan"), px_per_s=float("inf"))
    found = snapshot_of(scene, tiles=False).dict()["metrics"]
    assert {m["config"]["type"].rsplit(":", 1)[1] for m in found} == {
        "BandDistance", "Alarm", "DriftedShare", "ObservedTiles",
    }  # fmt: skip


def test_a_scene_that_could_not_be_read_has_its_place_too() -> None:
    drift = told(1).drift.model_copy(update={"statistics": (), "charts": (), "estimates": (), "where": None})
    found = snapshot_of(evidently.Told("landcover", drift), tiles=False).dict()["metrics"]
    assert [(m["config"]["type"].rsplit(":", 1)[1], m["value"]) for m in found] == [("ObservedTiles", 30.0)]
    with pytest.raises(BadInput, match="none was named"):
        evidently.report(*tables(), (), distance=0.5, drifted_share=0.3)


@pytest.mark.parametrize("spoil", ["absent", "empty", "hole", "infinite"])
def test_what_evidently_would_pass_in_silence_is_refused(spoil: str) -> None:
    before, now = tables()
    if spoil == "absent":
        del now["B04"]
    else:
        now["B04"] = {"empty": np.array([]), "hole": np.append(now["B04"], np.nan), "infinite": np.array([np.inf])}[
            spoil
        ]
    with pytest.raises(BadInput, match="B04"):
        evidently.report(before, now, BANDS, distance=1.0, drifted_share=0.3)


# --- the workspace ---------------------------------------------------------------------------------


def test_one_project_per_model_and_one_snapshot_per_drift(whole, tmp_path: Path) -> None:
    folder = tmp_path / "evidently"
    first = evidently.store(folder, told(3), whole, {"run": "7"})
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again = evidently.store(folder, told(3), whole)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files
    (second,) = keep(folder, told(4))
    (other,) = keep(folder, told(3, model="crops"))
    assert first == again
    assert (first.project, first.snapshot) != (second.project, second.snapshot)
    workspace = Workspace.create(str(folder))
    (project,) = workspace.search_project("landcover")
    assert str(project.id) == first.project != other.project
    assert {str(run) for run in workspace.list_runs(project.id)} == {first.snapshot, second.snapshot}
    kept = workspace.get_run(project.id, first.snapshot)
    assert kept.tags == [told(3).drift.id, "landcover", "sentinel-2-l1c/west", "none"]
    assert kept.metadata["geoml.drift"] == told(3).drift.id
    assert (kept.metadata["diagnosis"], kept.metadata["run"]) == ("none", "7")
    assert kept.metadata["thresholds"] == "calibrated on in-control scenes"
    assert f"{kept.timestamp:%Y-%m-%d %H:%M}" == "2024-01-31 10:00"
    assert kept.timestamp.tzinfo is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evidently", "locks"]


def panels(folder: Path, project: str) -> tuple[list[str], dict[str, list[str]]]:
    """Titles of the tabs, and of the panels in each."""
    dashboard = Workspace.create(str(folder)).get_dashboard(project)
    titles = {panel.id: panel.title for panel in dashboard.panels}
    assert len(titles) == len(dashboard.panels)
    for tab in dashboard.tabs:
        assert len(tab.panels) == len(set(tab.panels))
    return [t.title for t in dashboard.tabs], {t.title: [titles[p] for p in t.panels] for t in dashboard.tabs}


def test_a_new_stream_gets_a_tab_and_no_panel_twice(tmp_path: Path) -> None:
    folder = tmp_path / "evidently"
    (stored, *_) = keep(folder, told(1), told(2))
    tabs, _ = panels(folder, stored.project)
    assert tabs == ["All streams", "sentinel-2-l1c/west"]
    keep(folder, told(1, "landsat-8/east", calibrated=False), told(3))
    tabs, titles = panels(folder, stored.project)
    assert tabs == ["All streams", "landsat-8/east", "sentinel-2-l1c/west"]
    assert "uncalibrated" in titles["landsat-8/east"][0]
    assert titles["sentinel-2-l1c/west"][0].endswith("thresholds are calibrated on scenes in control.")
    # An uncalibrated chart has no path, and nobody measured pixels per second: no empty panels.
    assert "Path of the charts over scenes" not in titles["landsat-8/east"]
    assert "Path of the charts over scenes" in titles["sentinel-2-l1c/west"]
    assert not any("Pixels" in title for each in titles.values() for title in each)
    keep(folder, told(4, "landsat-8/east", calibrated=True))
    _, titles = panels(folder, stored.project)
    assert titles["landsat-8/east"][0].endswith("calibrated on scenes in control.")


def test_new_bands_join_those_that_are_there_and_many_are_not_all_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "evidently"
    keep(folder, told(1, bands=("B02", "B03")), told(2, bands=("B03", "B99")))
    (stored,) = keep(folder, told(3, "hyper", bands=tuple(f"b{n}" for n in range(200))))
    dashboard = Workspace.create(str(folder)).get_dashboard(stored.project)
    far = [p for p in dashboard.panels if p.title.startswith("Distance")]
    assert {v.legend for v in far[1].values} == {"B02", "B03", "B99"}
    assert len(far[0].values) == boards.MOST_LINES
    assert far[0].title.endswith(", 20 of 200 columns")


def test_of_many_streams_those_with_the_newest_scenes_are_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "evidently"
    stored = keep(folder, *(told(n, f"stream-{n:02d}") for n in range(boards.MOST_TABS + 3)))
    tabs, _ = panels(folder, stored[0].project)
    assert tabs == ["All streams", *(f"stream-{n:02d}" for n in range(3, boards.MOST_TABS + 3))]
    dashboard = Workspace.create(str(folder)).get_dashboard(stored[0].project)
    assert "Of 15 streams the 12 with the newest scenes are drawn" in str(dashboard.panels[0].subtitle)


def test_tabs_that_people_added_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "evidently"
    (stored,) = keep(folder, told(1))
    workspace = Workspace.create(str(folder))
    dashboard = workspace.get_dashboard(stored.project)
    panel = dashboard.panels[0].copy(update={"id": boards.IDS, "title": "Mine"})
    dashboard.panels.append(panel)
    dashboard.tabs.append(DashboardTabModel(title="By hand", panels=[panel.id]))
    workspace.save_dashboard(stored.project, dashboard)
    keep(folder, told(2, "landsat-8/east"), told(3, "landsat-8/east"))
    tabs, titles = panels(folder, stored.project)
    assert tabs == ["All streams", "landsat-8/east", "sentinel-2-l1c/west", "By hand"]
    assert titles["By hand"] == ["Mine"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"west": 3}', '{"west": {"facts": 1, "calibrated": 0, "newest": 0}}'])
@pytest.mark.parametrize("name", ["board.json", "dashboard.json"])
def test_a_damaged_board_or_dashboard_is_made_again(tmp_path: Path, name: str, text: str) -> None:
    folder = tmp_path / "evidently"
    (stored,) = keep(folder, told(1))
    (folder / stored.project / name).write_text(text)
    keep(folder, told(1))
    tabs, _ = panels(folder, stored.project)
    assert tabs == ["All streams", "sentinel-2-l1c/west"]


def test_a_scene_of_unknown_stream_and_date_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "evidently"
    (stored,) = keep(folder, told(1, "", dated=False))
    tabs, _ = panels(folder, stored.project)
    assert tabs == ["All streams", "unknown stream"]


@pytest.mark.parametrize("cut_at", ["write_snapshot", "write_json", "write_text"])
def test_what_a_killed_writer_left_breaks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_at: str) -> None:
    folder = tmp_path / "evidently"
    keep(folder, told(1))

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    where = (
        "evidently.ui.storage.local.base.LocalState."
        if cut_at == "write_snapshot"
        else "geoml_ops.adapters.evidently.storing."
    )
    with monkeypatch.context() as patch:
        patch.setattr(where + cut_at, cut)
        with pytest.raises(KeyboardInterrupt):
            keep(folder, told(2, "landsat-8/east"))
    Workspace.create(str(folder)).list_projects()
    (stored,) = keep(folder, told(2, "landsat-8/east"))
    assert json.loads((folder / stored.project / "snapshots" / f"{stored.snapshot}.json").read_text())
    assert len(list((folder / stored.project / "snapshots").iterdir())) == 2
    assert panels(folder, stored.project)[0] == ["All streams", "landsat-8/east", "sentinel-2-l1c/west"]


def _keep_storing(folder: str) -> None:
    for number in range(10_000):
        keep(Path(folder), told(number, f"stream-{number % 3}"))


@pytest.mark.parametrize("after", [1, 4, 9])
def test_killed_while_storing_the_workspace_is_whole_and_the_next_one_goes_on(tmp_path: Path, after: int) -> None:
    folder = tmp_path / "evidently"
    child = multiprocessing.get_context("fork").Process(target=_keep_storing, args=(str(folder),))
    child.start()
    while len(list(folder.glob("*/snapshots/*.json"))) < after:
        time.sleep(0.002)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    (stored,) = keep(folder, told(0, "stream-0"))
    workspace = Workspace.create(str(folder))
    runs = workspace.list_runs(stored.project)
    assert len(runs) >= after
    for run in runs:
        assert workspace.get_run(stored.project, run).tags
    panels(folder, stored.project)


def test_the_page_is_written_on_demand_only(whole, tmp_path: Path) -> None:
    evidently.store(tmp_path / "ws", told(3), whole)
    assert not list(tmp_path.rglob("*.html"))
    evidently.save_html(whole, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "B08" in text
    assert "Path of the chart (bands)" in text


# --- what the defaults say -------------------------------------------------------------------------


def test_the_defaults_fire_on_scenes_that_a_season_moves_and_not_on_the_same_tiles() -> None:
    rng = np.random.default_rng(0)
    before = {band: rng.normal(1000, 200, 100) for band in BANDS}
    season = {band: column + 150 for band, column in before.items()}
    same = evidently.naive(before, before, BANDS)
    moved = evidently.naive(before, season, BANDS)
    assert (same.fired, same.share, same.drifted, same.class_change) == (False, 0.0, (), None)
    assert (moved.fired, moved.share, moved.drifted) == (True, 1.0, BANDS)
    # Up to a thousand rows Evidently takes p-values, beyond that distances.
    assert all(p < 0.001 for p in moved.columns.values())
    long = {band: np.tile(column, 20) for band, column in before.items()}
    far = evidently.naive(long, {band: column + 300 for band, column in long.items()}, BANDS)
    assert far.columns == pytest.approx({band: 300 / before[band].std() for band in BANDS})
    assert far.drifted == BANDS
    fast = evidently.naive(before, season, BANDS, by_column=False)
    assert (fast.fired, fast.share, fast.sentence, fast.columns) == (True, 1.0, moved.sentence, {})


def test_ten_points_of_a_class_fire_however_few_columns_drifted() -> None:
    rng = np.random.default_rng(0)
    before = {"B02": rng.normal(size=40), "class:water": np.full(40, 0.3), "class:forest": np.full(40, 0.7)}
    n_px = {"n_px": np.r_[np.full(20, 100.0), np.full(20, 300.0)], "valid_share": np.ones(40)}
    for share, fired in ((0.61, True), (0.39, False)):
        now = {**before, **n_px, "class:water": np.r_[np.full(20, 0.3), np.full(20, share)]}
        found = evidently.naive(before, now, ("B02",), classes=("forest", "water"))
        assert (found.fired, found.class_name) == (fired, "water")
        assert found.class_change == pytest.approx(0.75 * (share - 0.3))


def test_the_defaults_survive_holes_absent_columns_and_nothing_at_all() -> None:
    before, now = tables()
    now["B02"][0], now["B04"][:] = np.inf, np.nan
    del now["B08"]
    found = evidently.naive(before, now, BANDS, classes=("water",))
    assert set(found.columns) == {"B02", "B11"}
    nothing = evidently.naive({}, {}, BANDS)
    assert (nothing.fired, nothing.share) == (False, 0.0)
    assert "0 of 0 columns" in nothing.sentence
    flat = {"B02": np.ones(30)}
    assert not evidently.naive(flat, flat, ("B02",)).fired


# --- its own pages ---------------------------------------------------------------------------------


class Pages:
    """Evidently's own server over a workspace, which knows nothing of this project."""

    def __init__(self, folder: Path, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        program = Path(sys.executable).parent / "evidently"
        words = [str(program), "ui", "--workspace", str(folder), "--host", "127.0.0.1", "--port", str(port)]
        clean = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "DO_NOT_TRACK": "true"}
        self.process = subprocess.Popen(words, cwd="/", env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(self, path: str, content: Any = None) -> Any:
        data = json.dumps(content).encode() if content is not None else None
        request = urllib.request.Request(self.base + path, data=data, headers={"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("/api/version")
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
            else:
                return
        raise AssertionError("Evidently's pages did not open")

    def line(self, project: str, metric: str, stream: str, **labels: str) -> list[list[float]]:
        """What a panel would draw."""
        wanted = {
            "tags": [stream],
            "metadata": {},
            "metric": f"evidently:metric_v2:{metric}",
            "metric_labels": {"stream": stream, **labels},
        }
        found = self.ask(f"/api/v2/snapshots/{project}/data_series_batch", {"series_filter": [wanted]})
        return [series["values"] for series in found["series"]]


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    folder = tmp_path / "evidently"
    evidently.store(folder, told(0), snapshot_of(told(0)))
    keep(folder, told(2), told(1), told(3, alarm=True), told(0, "landsat-8/east", calibrated=False))
    served = Pages(folder, free_port())
    try:
        served.wait()
        yield served
    finally:
        served.process.terminate()
        served.process.wait(30)


@pytest.mark.slow
def test_its_own_pages_show_the_history_of_every_stream_and_what_comes_later(pages: Pages, tmp_path: Path) -> None:
    west, east = "sentinel-2-l1c/west", "landsat-8/east"
    (project,) = pages.ask("/api/projects")
    assert project["name"] == "landcover"
    key = project["id"]
    assert pages.line(key, "ChartPath", west, family="bands") == [pytest.approx([1.0, 1.1, 1.2, 1.3])]
    assert pages.line(key, "Alarm", west, family="bands") == [[0.0, 0.0, 0.0, 1.0]]
    assert pages.line(key, "Alarm", east, family="bands") == [[0.0]]
    assert pages.line(key, "BandDistance", west, column="B04") == [pytest.approx([1.0, 1.1, 1.2, 1.3])]
    assert pages.line(key, "EstimatedAccuracy", west, method="cbpe") == [pytest.approx([0.9, 0.89, 0.88, 0.87])]
    assert pages.line(key, "ChartPath", east, family="bands") == []
    tabs = pages.ask(f"/api/v2/dashboards/{key}")["tabs"]
    assert [tab["title"] for tab in tabs] == ["All streams", east, west]
    # While it runs: a scene more, of a stream that it has not seen.
    keep(tmp_path / "evidently", told(5, "landsat-8/north"))
    deadline = time.monotonic() + 60
    while not pages.line(key, "DriftedShare", "landsat-8/north") and time.monotonic() < deadline:
        time.sleep(0.3)
    assert pages.line(key, "DriftedShare", "landsat-8/north") == [[0.5]]
    assert [tab["title"] for tab in pages.ask(f"/api/v2/dashboards/{key}")["tabs"]][1:] == [
        east,
        "landsat-8/north",
        west,
    ]
