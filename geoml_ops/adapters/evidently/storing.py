"""Evidently's workspace: one project per model, one snapshot per drift, a dashboard that knows every stream.

The workspace is a folder of JSON that a half-written file would break for good, so everything is made aside and
renamed into place; ids follow from names, so a retry finds its own work.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evidently.core.report import Snapshot  # type: ignore[import-untyped]
from evidently.legacy.utils import NumpyEncoder  # type: ignore[import-untyped]
from evidently.sdk.models import DashboardModel, ProjectModel  # type: ignore[import-untyped]
from evidently.ui.workspace import Workspace  # type: ignore[import-untyped]

from geoml_ops.adapters.evidently.boards import IDS, Board
from geoml_ops.adapters.evidently.reports import distances
from geoml_ops.adapters.evidently.telling import Told, facts
from geoml_ops.platform.files import PART, read_json, write_json, write_text
from geoml_ops.platform.locks import only_one

_BOARD, _DASHBOARD = "board.json", "dashboard.json"
_DESCRIBED = "Scenes that were asked for, against what is normal for them and the ground that {model} learned from."


@dataclass(frozen=True)
class Stored:
    """Where a report is kept, and its distance by column (Wasserstein-1 in reference standard deviations)."""

    project: str
    snapshot: str
    distances: dict[str, float] = field(default_factory=dict)


def store(folder: Path, told: Told, snapshot: Snapshot, about: Mapping[str, str] | None = None) -> Stored:
    """Keeps a report under the model's project and returns where; the same drift again changes nothing.

    Its tags are the drift's id, the model, the stream and the cause. The dashboard has a tab for the stream before
    this returns; several writers take turns.

    Args:
        folder: Evidently's workspace.
        told: what the report was made with; its drift names the snapshot, its model the project.
        snapshot: what :func:`~geoml_ops.adapters.evidently.reports.report` returned.
        about: further facts shown with the report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    project, run = uuid.uuid5(IDS, told.model), uuid.uuid5(IDS, f"{told.model}/{told.drift.id}")
    home = folder / str(project)
    goal = home / "snapshots" / f"{run}.json"
    with only_one(folder.parent / "locks" / "evidently.lock"):
        if not goal.exists():
            _write(home, project, run, told, _named(snapshot, told, about or {}))
        _draw(home, told)
    return Stored(str(project), str(run), distances(snapshot))


def _named(snapshot: Snapshot, told: Told, about: Mapping[str, str]) -> Snapshot:
    snapshot.set_name(told.drift.id)
    content = snapshot.to_snapshot_model()
    content.timestamp, content.tags = told.when, told.tags
    content.metadata = {**content.metadata, **told.about, **about}
    return content


def _write(home: Path, project: uuid.UUID, run: uuid.UUID, told: Told, content: Snapshot) -> None:
    folder = home.parent
    with tempfile.TemporaryDirectory(prefix=".evidently-", suffix=PART, dir=folder.parent) as aside:
        workspace = Workspace.create(aside)
        described = _DESCRIBED.format(model=told.model)
        workspace.add_project(ProjectModel(id=project, name=told.model, description=described))
        workspace.state.write_snapshot(project, run, content)
        made = Path(aside) / str(project)
        if home.exists():
            (home / "snapshots").mkdir(exist_ok=True)
            (made / "snapshots" / f"{run}.json").replace(home / "snapshots" / f"{run}.json")
        else:
            made.rename(home)


def _draw(home: Path, told: Told) -> None:
    """Takes the scene into the board, and makes the dashboard that follows from it, each written whole."""
    known: dict[str, list[str]] = {}
    for fact in facts(told):
        known.setdefault(fact.metric, []).append(fact.of)
    before = _board(home, told.model)
    when = told.drift.acquired
    board = before.having(told.stream, known, told.drift.calibrated, f"{told.when:%Y-%m-%dT%H:%M}" if when else "")
    if board != before:
        write_json(home / _BOARD, board.as_json())
    there = _dashboard(home)
    wanted = board.drawn(there)
    if there != wanted:
        write_text(home / _DASHBOARD, json.dumps(wanted.dict(), cls=NumpyEncoder))


def _board(home: Path, model: str) -> Board:
    try:
        return Board.from_json(model, read_json(home / _BOARD))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Board(model)


def _dashboard(home: Path) -> DashboardModel | None:
    try:
        return DashboardModel.parse_obj(read_json(home / _DASHBOARD))
    except (OSError, ValueError):
        return None
