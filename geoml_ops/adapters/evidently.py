"""Evidently: the same comparison as a stored report, one project per model, one snapshot per drift.

Written for Evidently 0.7.23. Its workspace is a folder of JSON that a half-written file would break for
good, so everything is made aside and renamed into place; ids follow from names, so a retry finds its own
work. What Evidently passes in silence (a missing column, no rows, holes) is refused before it is asked.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.platform.files import PART

# Read at import: must be set before Evidently is.
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("EVIDENTLY_DISABLE_TELEMETRY", "1")

from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
from evidently.core.report import Snapshot  # type: ignore[import-untyped]
from evidently.presets import DataDriftPreset  # type: ignore[import-untyped]
from evidently.sdk.models import DashboardModel, DashboardTabModel, PanelMetric, ProjectModel  # type: ignore[import-untyped]
from evidently.sdk.panels import line_plot_panel, text_panel  # type: ignore[import-untyped]
from evidently.ui.workspace import Workspace  # type: ignore[import-untyped]

Table = Mapping[str, NDArray[np.float64]]
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "geoml:evidently")


@dataclass(frozen=True)
class Stored:
    """Where a report is kept, and its distance by column (Wasserstein-1 in reference standard deviations)."""

    project: str
    snapshot: str
    distances: dict[str, float]


def report(
    reference: Table, current: Table, columns: Sequence[str], *, distance: float, drifted_share: float
) -> Snapshot:
    """Returns Evidently's comparison of two tables of tiles.

    Args:
        reference: column name → one number per tile.
        current: the same columns of the recent tiles.
        columns: what is compared.
        distance: normed Wasserstein distance at which a column has drifted.
        drifted_share: share of drifted columns at which the whole has.

    Raises:
        BadInput: a column is absent, empty or has holes: Evidently would say "no drift".
    """
    frames = []
    for who, table in (("reference", reference), ("recent", current)):
        bad = [c for c in columns if c not in table or not table[c].size or not np.isfinite(table[c]).all()]
        if bad or not columns:
            raise BadInput(
                f"The {who} tiles have no complete column {', '.join(bad) or '(none was named)'}.",
                "leave out tiles that are not observed",
            )
        frames.append(pd.DataFrame({name: table[name] for name in columns}))
    definition = DataDefinition(numerical_columns=list(columns), categorical_columns=[])
    before, now = (Dataset.from_pandas(frame, definition) for frame in frames)
    preset = DataDriftPreset(num_method="wasserstein", num_threshold=distance, drift_share=drifted_share)
    return Report([preset], include_tests=True).run(now, before)


def distances(snapshot: Snapshot) -> dict[str, float]:
    """Returns the distance by column that a report holds."""
    metrics: list[dict[str, Any]] = snapshot.dict()["metrics"]
    found = [m for m in metrics if m["config"]["type"].endswith("ValueDrift")]
    return {m["config"]["column"]: float(m["value"]) for m in found}


def store(folder: Path, model: str, drift: str, snapshot: Snapshot, about: Mapping[str, str]) -> Stored:
    """Keeps a report under the model's project and returns where; the same drift again changes nothing.

    Args:
        folder: Evidently's workspace.
        model: name of the registered model, which names the project.
        drift: id of the drift noun, which names the snapshot.
        snapshot: what :func:`report` returned.
        about: further facts shown with the report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = distances(snapshot)
    project, run = uuid.uuid5(_IDS, model), uuid.uuid5(_IDS, f"{model}/{drift}")
    home = folder / str(project)
    goal = home / "snapshots" / f"{run}.json"
    if not goal.exists():
        snapshot.set_name(drift)
        content = snapshot.to_snapshot_model()
        content.tags, content.metadata = [drift, model], {**content.metadata, **about, "geoml.drift": drift}
        with tempfile.TemporaryDirectory(prefix=".evidently-", suffix=PART, dir=folder.parent) as aside:
            workspace = Workspace.create(aside)
            described = f"Tiles of recent requests against the champion's training ground ({model}); uncalibrated."
            workspace.add_project(ProjectModel(id=project, name=model, description=described))
            workspace.save_dashboard(project, _dashboard(model, sorted(found)))
            workspace.state.write_snapshot(project, run, content)
            made = Path(aside) / str(project)
            if not home.exists():
                made.rename(home)
            else:
                goal.parent.mkdir(exist_ok=True)
                (made / "snapshots" / goal.name).replace(goal)
    return Stored(str(project), str(run), found)


def save_html(snapshot: Snapshot, path: Path) -> None:
    """Writes the report as a page of about 5 MB; only on demand."""
    snapshot.save_html(str(path))


def _dashboard(model: str, columns: Sequence[str]) -> DashboardModel:
    # Built whole: add_panel of 0.7.23 lists a panel twice in a tab that exists.
    share = PanelMetric(
        legend="drifted share", metric="DriftedColumnsCount", metric_labels={"value_type": "share"}, tags=[model]
    )
    by_column = [PanelMetric(legend=c, metric="ValueDrift", metric_labels={"column": c}, tags=[model]) for c in columns]
    panels = [
        text_panel(title=f"{model}: tiles against the training ground. Thresholds are fixed and uncalibrated."),
        line_plot_panel(title="Share of drifted bands", values=[share]),
        line_plot_panel(title="Distance by band (reference standard deviations)", values=by_column),
    ]
    named = [p.copy(update={"id": uuid.uuid5(_IDS, f"{model}/panel/{i}")}) for i, p in enumerate(panels)]
    tab = DashboardTabModel(id=uuid.uuid5(_IDS, f"{model}/tab"), title="Drift", panels=[p.id for p in named])
    return DashboardModel(tabs=[tab], panels=named)
