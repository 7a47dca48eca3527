"""Evidently itself: the same distance as ours, one project per model, one snapshot per drift, nothing torn."""

import json
from pathlib import Path

import numpy as np
import pytest
from evidently.ui.workspace import Workspace

from geoml_ops.adapters import evidently
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.drift import distance

BANDS = ("B02", "B04", "B08", "B11")


def tables(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    before = {band: rng.normal(1000 + 300 * i, 200, 36) for i, band in enumerate(BANDS)}
    return before, {band: column[:17] * 1.1 + 90 * i for i, (band, column) in enumerate(before.items())}


@pytest.fixture(scope="module")
def snapshot():
    before, now = tables()
    return evidently.report(before, now, BANDS, distance=0.5, drifted_share=0.3)


def test_it_measures_what_we_measure(snapshot) -> None:
    before, now = tables()
    found = evidently.distances(snapshot)
    assert list(found) == list(BANDS)
    assert found == pytest.approx({band: distance(before[band], now[band]) for band in BANDS}, rel=1e-9)


def test_one_project_per_model_and_one_snapshot_per_drift(snapshot, tmp_path: Path) -> None:
    folder = tmp_path / "evidently"
    first = evidently.store(folder, "landcover", "drift-0000000000000001", snapshot, {"diagnosis": "none"})
    again = evidently.store(folder, "landcover", "drift-0000000000000001", snapshot, {"diagnosis": "none"})
    second = evidently.store(folder, "landcover", "drift-0000000000000002", snapshot, {})
    other = evidently.store(folder, "crops", "drift-0000000000000001", snapshot, {})
    assert first == again
    assert (first.project, first.snapshot) != (second.project, second.snapshot)
    workspace = Workspace.create(str(folder))
    (project,) = workspace.search_project("landcover")
    assert str(project.id) == first.project != other.project
    assert {str(run) for run in workspace.list_runs(project.id)} == {first.snapshot, second.snapshot}
    kept = workspace.get_run(project.id, first.snapshot)
    assert kept.metadata["geoml.drift"] == "drift-0000000000000001"
    assert kept.metadata["diagnosis"] == "none"
    (tab,) = workspace.get_dashboard(project.id).tabs
    assert len(tab.panels) == len(set(tab.panels)) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["evidently"]


def test_what_a_killed_writer_left_breaks_nothing(snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "evidently"
    evidently.store(folder, "landcover", "drift-0000000000000001", snapshot, {})

    def cut(self, project, run, content) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("evidently.ui.storage.local.base.LocalState.write_snapshot", cut)
        with pytest.raises(KeyboardInterrupt):
            evidently.store(folder, "landcover", "drift-0000000000000002", snapshot, {})
    stored = evidently.store(folder, "landcover", "drift-0000000000000002", snapshot, {})
    assert json.loads((folder / stored.project / "snapshots" / f"{stored.snapshot}.json").read_text())
    assert len(list((folder / stored.project / "snapshots").iterdir())) == 2


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


def test_the_page_is_written_on_demand_only(snapshot, tmp_path: Path) -> None:
    evidently.store(tmp_path / "ws", "landcover", "drift-0000000000000001", snapshot, {})
    assert not list(tmp_path.rglob("*.html"))
    evidently.save_html(snapshot, tmp_path / "page.html")
    assert "B08" in (tmp_path / "page.html").read_text()
