"""What in-control scenes say of a family of statistics, and where a scene stands on its chart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.policy import CalibrationRules, ChartRules
from geoml_ops.core.watched import ControlChart
from geoml_ops.domain.alarms import (
    Chart,
    Cusum,
    Ewma,
    History,
    KofM,
    Limit,
    StandardRules,
    Stated,
    Threshold,
    alarms,
    calibrate,
    largest,
    limit_of,
    path,
    score,
    standardise,
)
from geoml_ops.domain.control.rows import FAMILIES, Row, columns_of, floors_of, history_of, scenes_a_year, years_of

#: Runs that a limit is drawn from, and draws altogether.
_RUNS, _MOST_DRAWS = 1000, 4_000_000
_FEWEST_RUNS = 200
_LEAST_SD = 1e-3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What the in-control scenes of a stream say about one family.

    Attributes:
        family: its name.
        rules: as stated.
        columns: statistics that are watched.
        history: the scenes; None where there is none.
        threshold: of a single scene's largest statistic.
        limit: of the chart.
        centre: mean and standard deviation of the history's largest statistics, which the chart counts in.
        standard: how scenes are standardised.
        years: of history.
    """

    family: str
    rules: CalibrationRules
    columns: tuple[str, ...]
    history: History | None
    threshold: Threshold
    limit: Limit
    centre: tuple[float, float]
    standard: StandardRules
    years: int = 0

    @property
    def alarms(self) -> bool:
        """Whether the chart over scenes has a limit that a new year can be held against."""
        return self.limit.calibrated and self.years >= self.rules.least_years

    def sentence(self) -> str:
        """Returns how it was calibrated, with its numbers."""
        if self.limit.calibrated and not self.alarms:
            few = (
                f"The chart over scenes is uncalibrated: {self.years} year{'s' if self.years != 1 else ''} of history, "
                f"and {self.rules.least_years} are needed to know how years differ. Nothing alarms."
            )
            return f"{self.threshold.sentence()} {few}"
        return f"{self.threshold.sentence()} {self.limit.sentence()}"


def calibration(history: Sequence[Row], family: str, rules: CalibrationRules) -> Calibration:
    """Returns what the in-control scenes say about a family.

    Args:
        history: in-control scenes of one stream, in any order; comparable ground only.
        family: ``bands`` or ``answers``.
        rules: of the policy.
    """
    rows = sorted(history, key=lambda row: (row.acquired, row.reading))
    columns = columns_of(rows, family)
    yearly = scenes_a_year([row.acquired for row in rows])
    if not columns:
        return _without(family, rules, yearly)
    found = history_of(rows, columns)
    standard = _standard(rules, floors_of(columns, found.values))
    scores = standardise(found, standard)
    worst = largest(scores.values, complete=True)
    threshold = calibrate(worst, alpha=rules.alpha, scenes_per_year=yearly)
    known = worst[np.isfinite(worst)]
    centre = (float(known.mean()), max(float(known.std(ddof=1)), _LEAST_SD)) if known.size > 1 else (0.0, 1.0)
    z = (worst - centre[0]) / centre[1]
    keys = [str(key) for key in found.keys]
    limit = limit_of(chart_of(rules.chart), z, _stated(rules, yearly, rows), side="up", calendar=keys)
    return Calibration(family, rules, columns, found, threshold, limit, centre, standard, years_of(rows))


def judge(found: Calibration, recent: Sequence[Row]) -> ControlChart:
    """Returns where the newest of these scenes stands.

    Args:
        found: of the stream and family.
        recent: the scenes since the reference was first made, in time order; the last is the one in question. Scenes
            that are part of the history are not their own reference.
    """
    if not recent:
        raise ValueError("no scene to judge")
    scores, worst = _scored(found, recent)
    value = float(worst[-1])
    threshold = found.threshold
    chart = ControlChart(family=found.family, state=threshold.state(value), n=threshold.m, sentence=found.sentence())
    if not math.isfinite(value):
        return chart
    sized = np.where(np.isfinite(scores[-1]), np.abs(scores[-1]), -np.inf)
    known = threshold.value if threshold.calibrated else None
    told = {"value": value, "worst": found.columns[int(np.argmax(sized))], "threshold": known}
    return chart.model_copy(update={**told, **_walked(found, worst, recent)})


def _walked(found: Calibration, worst: Floats, recent: Sequence[Row]) -> dict[str, object]:
    """Returns the fields of a chart that the path over scenes gives; none where there is no limit."""
    if not found.alarms:
        return {}
    z = (worst - found.centre[0]) / found.centre[1]
    walk = path(found.limit.chart, z, side="up")
    last = alarms(walk, on=found.limit.on, off=found.limit.off)[-1:]
    stands = bool(last) and last[0].ended is None
    onset = recent[last[0].began].reading if stands else ""
    return {"path": float(walk[-1]), "limit": found.limit.on, "alarm": stands, "onset": onset}


def standard_scores(found: Calibration, row: Row) -> dict[str, float]:
    """Returns the standardised statistics of one scene, by name; without those that have no reference."""
    scores, _ = _scored(found, [row])
    return {name: float(z) for name, z in zip(found.columns, scores[0], strict=True) if math.isfinite(z)}


def chart_of(rules: ChartRules) -> Chart:
    """Returns the chart that a policy asks for."""
    made: dict[str, Callable[[], Chart]] = {
        "ewma": lambda: Ewma(rules.weight),
        "cusum": lambda: Cusum(rules.drift),
        "k_of_m": lambda: KofM(rules.k, rules.m),
    }
    return made[rules.kind]()


def _scored(found: Calibration, recent: Sequence[Row]) -> tuple[Floats, Floats]:
    """Standardised statistics ``(scene, statistic)`` and the largest of each scene; NaN without a reference."""
    if found.history is None:
        return np.full((len(recent), len(found.columns)), np.nan), np.full(len(recent), np.nan)
    scores = score(found.history, history_of(recent, found.columns), found.standard).values
    return scores, largest(scores, complete=False)


def _without(family: str, rules: CalibrationRules, yearly: float) -> Calibration:
    nothing = np.empty(0)
    stated = Stated(min(rules.alarms_per_year, yearly), yearly)
    limit = limit_of(chart_of(rules.chart), nothing, stated, side="up")
    return Calibration(
        family, rules, (), None, calibrate(nothing, alpha=rules.alpha), limit, (0.0, 1.0), _standard(rules, ())
    )


def _standard(rules: CalibrationRules, floors: tuple[float, ...]) -> StandardRules:
    return StandardRules(
        least=rules.least, years_apart=rules.years_apart, fallback=rules.fallback, waves=rules.waves, floors=floors
    )


def _stated(rules: CalibrationRules, yearly: float, rows: Sequence[Row]) -> Stated:
    """Families share the stated alarms; with several years blocks of a month keep what neighbours share."""
    per_year = min(rules.alarms_per_year / len(FAMILIES), yearly)
    window = max(20, math.ceil(yearly / per_year / 2))
    runs = int(np.clip(_MOST_DRAWS // window, _FEWEST_RUNS, _RUNS))
    years = years_of(rows) >= 2
    block = max(2, round(yearly / 12))
    return Stated(
        per_year,
        yearly,
        scheme="blocks" if years else "scenes",
        block=block if years else 1,
        runs=runs,
        off_share=rules.chart.off_share,
    )
