"""What a monitor says that takes Evidently's defaults and the plain rule "a class share moved by ten points"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
from evidently.metrics import DriftedColumnsCount  # type: ignore[import-untyped]
from evidently.presets import DataDriftPreset  # type: ignore[import-untyped]
from numpy.typing import NDArray

from geoml_ops.adapters.evidently.reports import Table

#: Change of a class share that the plain rule calls drift.
POINTS = 0.10
_SHARE = 0.5


@dataclass(frozen=True)
class NaiveFinding:
    """What the defaults say.

    Attributes:
        fired: whether enough columns drifted, or a class share moved by more than ``POINTS``.
        share: of columns that Evidently calls drifted (0 to 1).
        columns: by column, its p-value or distance, whichever Evidently chose for that many rows.
        drifted: columns that it calls drifted.
        class_change: largest change of a class share, signed; None where shares are not known.
        class_name: whose.
        sentence: what was found, and by which rule.
    """

    fired: bool
    share: float
    columns: dict[str, float] = field(default_factory=dict)
    drifted: tuple[str, ...] = ()
    class_change: float | None = None
    class_name: str = ""
    sentence: str = ""


def naive(
    reference: Table, current: Table, columns: Sequence[str], *, classes: Sequence[str] = (), by_column: bool = True
) -> NaiveFinding:
    """Returns what Evidently's preset says with its own methods and thresholds, and what the ten points say.

    For comparison with calibrated alarms; nothing here knows of seasons, scenes or dependence between tiles.

    Args:
        reference: column name → one number per tile.
        current: the same columns of the recent tiles.
        columns: what is compared; those that either side lacks, or has no finite number of, are left out.
        classes: names of classes, for columns ``class:<name>``; shares are of all observed pixels together.
        by_column: whether ``columns`` and ``drifted`` are wanted; the rest is the same and four times as fast without.
    """
    kept = [c for c in columns if all(_numbers(table, c).size for table in (reference, current))]
    measured, drifted, share = _defaults(reference, current, kept, by_column) if kept else ({}, (), 0.0)
    name, change = _largest_change(reference, current, classes)
    moved = change is not None and abs(change) > POINTS
    by_columns = bool(kept) and share >= _SHARE
    n = round(share * len(kept))
    said = f"Evidently's defaults call {n} of {len(kept)} columns drifted ({share:.0%}, limit {_SHARE:.0%})"
    said += (
        f"; {name[:60]} moved by {100 * change:+.1f} points (limit {100 * POINTS:g})." if change is not None else "."
    )
    return NaiveFinding(moved or by_columns, share, measured, drifted, change, name, said)


def _defaults(
    reference: Table, current: Table, columns: Sequence[str], by_column: bool
) -> tuple[dict[str, float], tuple[str, ...], float]:
    definition = DataDefinition(numerical_columns=list(columns), categorical_columns=[])
    before, now = (_dataset(table, columns, definition) for table in (reference, current))
    # The preset draws every column; its share alone is that of this metric, whose defaults are the same.
    items = DataDriftPreset() if by_column else DriftedColumnsCount()
    entries: list[dict[str, Any]] = Report([items]).run(now, before).dict()["metrics"]
    values = [m for m in entries if m["config"]["type"].endswith("ValueDrift")]
    measured = {m["config"]["column"]: float(m["value"]) for m in values}
    drifted = tuple(m["config"]["column"] for m in values if _is_drift(m["config"], float(m["value"])))
    (share,) = [m["value"]["share"] for m in entries if m["config"]["type"].endswith("DriftedColumnsCount")]
    return measured, drifted, float(share)


def _is_drift(config: Mapping[str, Any], value: float) -> bool:
    # p-values are drift below their threshold, distances at theirs and above.
    threshold = float(config.get("threshold") or 0.05)
    return value < threshold if "p_value" in str(config.get("method")) else value >= threshold


def _dataset(table: Table, columns: Sequence[str], definition: Any) -> Dataset:
    # Columns of other lengths become one frame with holes; Evidently drops those by column.
    return Dataset.from_pandas(pd.DataFrame({c: pd.Series(_numbers(table, c)) for c in columns}), definition)


def _numbers(table: Table, column: str) -> NDArray[np.float64]:
    found = np.asarray(table.get(column, np.empty(0)), dtype=np.float64)
    return found[np.isfinite(found)]


def _largest_change(reference: Table, current: Table, classes: Sequence[str]) -> tuple[str, float | None]:
    names = [f"class:{name}" for name in classes]
    before, now = ([_share(table, name) for name in names] for table in (reference, current))
    changes = {n: b - a for n, a, b in zip(classes, before, now, strict=True) if a is not None and b is not None}
    if not changes:
        return "", None
    name = max(changes, key=lambda n: abs(changes[n]))
    return name, changes[name]


def _share(table: Table, column: str) -> float | None:
    if column not in table:
        return None
    shares, n = table[column], len(table[column])
    weight = table.get("n_px", np.ones(n)) * table.get("valid_share", np.ones(n))
    known = np.isfinite(shares) & np.isfinite(weight) & (weight > 0)
    return float(np.average(shares[known], weights=weight[known])) if known.any() else None
