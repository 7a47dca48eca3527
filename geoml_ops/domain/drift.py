"""Recent tiles compared with the ground a model learned from, column by column.

The unit is a tile. Thresholds are fixed and not calibrated on in-control scenes; what was compared with those, and
what a distance means, is said elsewhere (:mod:`geoml_ops.domain.control`, :mod:`geoml_ops.domain.diagnosis`).
The distance is the 1-Wasserstein distance of tile means divided by the reference's standard deviation
(floor .001), as Evidently's ``wasserstein`` computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import Diagnosis, Statistic
from geoml_ops.domain.sketch import Columns

LEAST_VALID_SHARE = 0.5
UNCALIBRATED = "Thresholds are fixed and uncalibrated."
CLASS_SHARES, CONFIDENCE = "class shares", "confidence"
_LEAST_SD = 1e-3

Table = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Measured:
    """Distances column by column, without a name for what they mean.

    Attributes:
        n_reference: well observed tiles of the reference.
        n_current: well observed tiles of the scene.
        statistics: of every band that both have numbers for, then of class shares and confidence.
        drifted_share: share of the bands beyond the threshold (0 to 1).
        problem: why the bands cannot be compared ("no reference" or "cannot tell"); None where they can.
    """

    n_reference: int
    n_current: int
    statistics: tuple[Statistic, ...] = ()
    drifted_share: float = 0.0
    problem: Diagnosis | None = None


def measure(reference: Columns | None, current: Columns, bands: Sequence[str], rules: DriftRules) -> Measured:
    """Returns how far the tiles are from the reference, or why that cannot be said.

    Bands decide; class shares and confidence are the model's answers and are shown beside them. Numbers that
    are missing are never good: too few tiles or an absent band are a problem, and nothing is measured.

    Args:
        reference: sketch columns of the champion's training ground; None or empty where there is none.
        current: sketch columns of the scene.
        bands: the bands that the champion reads.
        rules: thresholds.
    """
    before, now = usable(reference or {}), usable(current)
    sizes = _rows(before), _rows(now)
    problem = _problem(before, now, bands, rules)
    if problem is not None:
        return Measured(*sizes, problem=problem)
    statistics = [_statistic(band, before[f"{band}:mean"], now[f"{band}:mean"], rules) for band in bands]
    share = sum(s.drifted for s in statistics) / len(statistics)
    answers = [s for s in (_class_shares(before, now, rules), _confidence(before, now, rules)) if s is not None]
    return Measured(*sizes, (*statistics, *answers), share)


def pool(sketches: Sequence[Columns]) -> Columns:
    """Returns the tiles of several sketches one below the other; a column that one of them lacks is None there."""
    names = list(dict.fromkeys(name for sketch in sketches for name in sketch))
    return {
        name: [value for sketch in sketches for value in sketch.get(name, [None] * _height(sketch))] for name in names
    }


def table_of(sketch: Columns) -> Table:
    """Returns all tiles as arrays; a number that does not exist is NaN."""
    table = {name: np.array([np.nan if v is None else v for v in col], np.float64) for name, col in sketch.items()}
    return {name: np.where(np.isfinite(column), column, np.nan) for name, column in table.items()}


def usable(sketch: Columns) -> Table:
    """Returns the tiles that are observed well enough, as arrays; a number that does not exist is NaN."""
    table = table_of(sketch)
    if "valid_share" not in table:
        return {}
    kept = table["valid_share"] >= LEAST_VALID_SHARE
    return {name: column[kept] for name, column in table.items()}


def distance(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Returns the 1-Wasserstein distance of two samples in standard deviations of the reference (floor .001).

    >>> distance(np.array([0.0, 2.0]), np.array([3.0, 5.0]))
    3.0
    """
    both = np.sort(np.concatenate([reference, current]))
    below_reference = np.searchsorted(np.sort(reference), both[:-1], side="right") / reference.size
    below_current = np.searchsorted(np.sort(current), both[:-1], side="right") / current.size
    moved = float(np.sum(np.abs(below_reference - below_current) * np.diff(both)))
    return moved / max(float(reference.std()), _LEAST_SD)


def _problem(before: Table, now: Table, bands: Sequence[str], rules: DriftRules) -> Diagnosis | None:
    if not _rows(before):
        sentence = "The champion has no reference tiles, so nothing can be compared."
        return Diagnosis(cause="no reference", action="look", sentence=sentence)
    facts = []
    for who, table in (("reference", before), ("recent", now)):
        if _rows(table) < rules.least_tiles:
            facts.append(f"{_rows(table)} {who} tiles are at least half observed; {rules.least_tiles} are needed")
        parts = ("mean", "sd", "p01", "p99")
        missing = [b for b in bands if any(_gaps(table, f"{b}:{part}") for part in parts)]
        if missing and _rows(table):
            facts.append(f"the {who} tiles lack numbers for {', '.join(missing)}")
    if not facts and bands:
        return None
    sentence = f"No comparison: {'; '.join(facts) or 'the champion names no band'}. Missing numbers are not good news."
    return Diagnosis(cause="cannot tell", action="look", sentence=sentence)


def _statistic(name: str, before: NDArray[np.float64], now: NDArray[np.float64], rules: DriftRules) -> Statistic:
    far = distance(before, now)
    sd = float(before.std())
    return Statistic(
        column=name,
        distance=far,
        mean_shift=float(now.mean() - before.mean()),
        sd_ratio=float(now.std()) / sd if sd > 0 else None,
        drifted=far >= rules.distance,
    )


def _class_shares(before: Table, now: Table, rules: DriftRules) -> Statistic | None:
    names = [n for n in before if n.startswith("class:")]
    if not names or any(n not in now for n in names):
        return None
    if any(np.isnan(table[n]).all() for table in (before, now) for n in names):
        return None
    moved = np.array([np.nanmean(now[n]) - np.nanmean(before[n]) for n in names])
    total = float(np.abs(moved).sum() / 2)
    largest = float(moved[np.argmax(np.abs(moved))])
    return Statistic(
        column=CLASS_SHARES,
        distance=total,
        mean_shift=largest,
        sd_ratio=None,
        drifted=total >= rules.class_share_distance,
    )


def _confidence(before: Table, now: Table, rules: DriftRules) -> Statistic | None:
    columns = [table.get(CONFIDENCE, np.array([])) for table in (before, now)]
    seen_before, seen_now = (column[np.isfinite(column)] for column in columns)
    if min(seen_before.size, seen_now.size) < rules.least_tiles:
        return None
    return _statistic(CONFIDENCE, seen_before, seen_now, rules)


def _gaps(table: Table, column: str) -> bool:
    return column not in table or bool(np.isnan(table[column]).any())


def _rows(table: Table) -> int:
    return int(next(iter(table.values())).size) if table else 0


def _height(sketch: Columns) -> int:
    return len(next(iter(sketch.values()), []))
