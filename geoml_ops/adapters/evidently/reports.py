"""Evidently's comparison of tiles, and our metrics in the same report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
from evidently.core.report import Snapshot  # type: ignore[import-untyped]
from evidently.presets import DataDriftPreset  # type: ignore[import-untyped]
from numpy.typing import NDArray

from geoml_ops.adapters.evidently.metrics import SCENE, scene_data
from geoml_ops.adapters.evidently.telling import Told, facts, metrics
from geoml_ops.core.errors import BadInput

Table = Mapping[str, NDArray[np.float64]]


def report(
    reference: Table,
    current: Table,
    columns: Sequence[str],
    *,
    distance: float,
    drifted_share: float,
    told: Told | None = None,
) -> Snapshot:
    """Returns Evidently's comparison of two tables of tiles, with our metrics where it is told them.

    Args:
        reference: column name → one number per tile.
        current: the same columns of the recent tiles.
        columns: what is compared; may be empty where ``told`` is given: then our metrics are all there is.
        distance: normed Wasserstein distance at which a column has drifted.
        drifted_share: share of drifted columns at which the whole has.
        told: what was found in the scene.

    Raises:
        BadInput: a column is absent, empty or has holes: Evidently would say "no drift".
    """
    found = facts(told) if told else []
    items: list[Any] = metrics(told, found) if told else []
    before = now = None
    if columns or not items:
        before, now = (_dataset(who, table, columns) for who, table in (("reference", reference), ("recent", current)))
        items = [
            DataDriftPreset(num_method="wasserstein", num_threshold=distance, drift_share=drifted_share),
            *items,
        ]
    scene = {SCENE: scene_data(found)} if found else {}
    when = {"timestamp": told.when, "tags": told.tags, "metadata": told.about} if told else {}
    return Report(items, include_tests=True).run(now or scene[SCENE], before, additional_data=scene, **when)


def distances(snapshot: Snapshot) -> dict[str, float]:
    """Returns the distance by column that a report holds, as Evidently measured it."""
    entries: list[dict[str, Any]] = snapshot.dict()["metrics"]
    found = [m for m in entries if m["config"]["type"].endswith("ValueDrift")]
    return {m["config"]["column"]: float(m["value"]) for m in found}


def save_html(snapshot: Snapshot, path: Path) -> None:
    """Writes the report as a page of about 5 MB; only on demand."""
    snapshot.save_html(str(path))


def _dataset(who: str, table: Table, columns: Sequence[str]) -> Dataset:
    bad = [c for c in columns if c not in table or not table[c].size or not np.isfinite(table[c]).all()]
    if bad or not columns:
        raise BadInput(
            f"The {who} tiles have no complete column {', '.join(bad) or '(none was named)'}.",
            "leave out tiles that are not observed",
        )
    definition = DataDefinition(numerical_columns=list(columns), categorical_columns=[])
    return Dataset.from_pandas(pd.DataFrame({name: table[name] for name in columns}), definition)
