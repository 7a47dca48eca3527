"""Recent tiles compared with the ground a model learned from, and the name of what changed.

The unit is a tile. Thresholds are fixed and not calibrated on in-control scenes; every sentence says so.
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
#: Tiles count as the same ground when their centres are nearer than this (a tenth of a pixel at 10 m).
_SAME_PLACE_M = 1.0
#: An offset leaves the spread inside a tile as it was: ratio of spreads on the same ground, and between grounds.
_SPREAD_SAME_GROUND, _SPREAD_OTHER_GROUND = (0.9, 1.1), (0.5, 2.0)

Table = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Comparison:
    """What a comparison found; ``drifted_share`` is the share of bands beyond the threshold (0 to 1)."""

    n_reference: int
    n_current: int
    statistics: tuple[Statistic, ...]
    drifted_share: float
    diagnosis: Diagnosis


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


def compare_tiles(reference: Columns | None, current: Columns, bands: Sequence[str], rules: DriftRules) -> Comparison:
    """Returns distances column by column and the diagnosis.

    Bands decide; class shares and confidence are the model's answers and are shown beside them. Numbers that
    are missing are never good: too few tiles or an absent band end in "cannot tell".

    Args:
        reference: sketch columns of the champion's training ground; None or empty where there is none.
        current: sketch columns of the recent predictions.
        bands: the bands that the champion reads.
        rules: thresholds.
    """
    found = measure(reference, current, bands, rules)
    if found.problem is not None:
        return Comparison(found.n_reference, found.n_current, (), 0.0, found.problem)
    before, now = usable(reference or {}), usable(current)
    n_bands = found.statistics[: len(bands)]
    diagnosis = _diagnose(before, now, bands, n_bands, found.drifted_share, rules)
    return Comparison(found.n_reference, found.n_current, found.statistics, found.drifted_share, diagnosis)


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


@dataclass(frozen=True)
class _Shift:
    """How each band moved (DN, in band order), from how many tile pairs (0: from medians), and spread ratios.

    ``n_used`` of the pairs were looked at: those that show an offset by themselves where they are many enough.
    """

    by_band: NDArray[np.float64]
    n_pairs: int
    n_used: int
    spread: NDArray[np.float64]

    @property
    def ground(self) -> str:
        if not self.n_pairs:
            return "between medians of tiles"
        return f"on the same ground ({self.n_used} of {self.n_pairs} matched tiles)"

    @property
    def spread_kept(self) -> bool:
        low, high = _SPREAD_SAME_GROUND if self.n_pairs else _SPREAD_OTHER_GROUND
        return bool(((self.spread >= low) & (self.spread <= high)).all())


def _diagnose(
    before: Table,
    now: Table,
    bands: Sequence[str],
    statistics: Sequence[Statistic],
    share: float,
    rules: DriftRules,
) -> Diagnosis:
    shift = _shift(before, now, bands, rules)
    middle = float(np.median(shift.by_band))
    low, high = float(shift.by_band.min()), float(shift.by_band.max())
    moved_together = abs(middle) >= rules.least_offset_dn and min(low * middle, high * middle) > 0
    agree = max(high - middle, middle - low) <= rules.offset_spread_dn
    counted = f"{sum(s.drifted for s in statistics)} of {len(statistics)} bands are {rules.distance:g} sd or more away"
    if moved_together and agree and shift.spread_kept:
        sentence = (
            f"All {len(bands)} bands moved by about {middle:+,.0f} DN ({low:+,.0f} to {high:+,.0f}) {shift.ground}, "
            f"and the spread inside tiles stayed (ratio {shift.spread.min():.2f} to {shift.spread.max():.2f}): an "
            f"offset that the metadata do not declare. Fix the ingest; a model must not learn it. {UNCALIBRATED}"
        )
        return Diagnosis(cause="undeclared offset", action="fix ingest", sentence=sentence)
    if share < rules.drifted_share:
        sentence = f"{counted}; action begins at a share of {rules.drifted_share:.0%}. {UNCALIBRATED}"
        return Diagnosis(cause="none", action="none", sentence=sentence)
    if moved_together and min(abs(low), abs(high)) >= rules.least_offset_dn and not shift.n_pairs:
        sentence = (
            f"{counted}, and every band moved the same way ({low:+,.0f} to {high:+,.0f} DN); too few tiles lie on the "
            f"reference ground to tell other ground, cloud and an undeclared offset apart. {UNCALIBRATED}"
        )
        return Diagnosis(cause="cannot tell", action="look", sentence=sentence)
    farthest = max(statistics, key=lambda s: s.distance)
    what = (
        "the ground that the model learned from looks different now"
        if shift.n_pairs
        else "other ground than the model learned from"
    )
    sentence = (
        f"{counted} ({share:.0%}, limit {rules.drifted_share:.0%}), {farthest.column} the farthest "
        f"({farthest.distance:.2f} sd, mean {farthest.mean_shift:+,.0f} DN); no common offset explains it (bands moved "
        f"by {low:+,.0f} to {high:+,.0f} DN {shift.ground}): {what}. {UNCALIBRATED}"
    )
    return Diagnosis(cause="covariate shift", action="collect labels", sentence=sentence)


def _shift(before: Table, now: Table, bands: Sequence[str], rules: DriftRules) -> _Shift:
    mine, theirs = _pairs(before, now)
    if mine.size < rules.least_tiles:
        moved = [float(np.median(now[f"{b}:mean"]) - np.median(before[f"{b}:mean"])) for b in bands]
        a, b = (np.median(_spreads(table, bands), axis=2) for table in (before, now))
        return _Shift(np.array(moved), 0, 0, np.ravel(b / a))
    moves = np.stack([now[f"{b}:mean"][theirs] - before[f"{b}:mean"][mine] for b in bands])
    ratios = _spreads(now, bands)[:, :, theirs] / _spreads(before, bands)[:, :, mine]
    # Requests with and without an offset may come together: tiles that show it count by themselves.
    middle = np.median(moves, axis=0)
    shows = (np.abs(moves - middle).max(axis=0) <= rules.offset_spread_dn) & (np.abs(middle) >= rules.least_offset_dn)
    used = shows if shows.mean() >= rules.drifted_share else np.ones_like(shows)
    return _Shift(
        np.median(moves[:, used], axis=1), mine.size, int(used.sum()), np.ravel(np.median(ratios[:, :, used], axis=2))
    )


def _spreads(table: Table, bands: Sequence[str]) -> NDArray[np.float64]:
    """Spread inside tiles, ``(band, sd or p99 - p01, tile)``, at least a thousandth of a DN."""
    both = [(table[f"{b}:sd"], table[f"{b}:p99"] - table[f"{b}:p01"]) for b in bands]
    return np.asarray(np.maximum(np.array(both), _LEAST_SD), dtype=np.float64)


def _pairs(before: Table, now: Table) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    # Positions of tiles on the same ground; of several on one place the first counts.
    known: dict[tuple[int, int, int], int] = {}
    for i, key in reversed(list(enumerate(_places(before)))):
        known[key] = i
    found = [(known[key], j) for j, key in enumerate(_places(now)) if key in known]
    pairs = np.array(found, dtype=np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _places(table: Table) -> list[tuple[int, int, int]]:
    columns = [table[name] for name in ("easting", "northing") if name in table]
    if len(columns) != 2 or not all(np.isfinite(c).all() for c in columns):
        return []
    size = table.get("n_px", np.zeros_like(columns[0]))
    return [
        (round(e / _SAME_PLACE_M), round(n / _SAME_PLACE_M), int(px))
        for e, n, px in zip(*columns, np.nan_to_num(size), strict=True)
    ]


def _gaps(table: Table, column: str) -> bool:
    return column not in table or bool(np.isnan(table[column]).any())


def _rows(table: Table) -> int:
    return int(next(iter(table.values())).size) if table else 0


def _height(sketch: Columns) -> int:
    return len(next(iter(sketch.values()), []))
