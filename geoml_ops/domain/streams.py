"""A line per scene of what its comparison said, and where a stream of them stands now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from geoml_ops.core.flow import Drift, Reading
from geoml_ops.core.watched import ControlChart, Spot, Statistic

Standing = Literal["in control", "beyond", "alarm", "fault", "no reference yet", "uncalibrated", "cannot tell"]
FAULTS = frozenset(
    {
        "undeclared offset",
        "gain",
        "band swap",
        "missing band",
        "unit or scale",
        "cloud or nodata surge",
        "resampling or CRS",
    }
)
"""Causes that lie in a delivery and not on the ground; one scene is enough to know them."""
DRIFTS = frozenset({"new region", "covariate shift", "label shift", "concept change"})
"""Causes that lie on the ground or in what labels mean."""
_ANSWERS = frozenset({"class shares", "confidence", "edge_density", "outside_share", "valid_share", "applicability"})


@dataclass(frozen=True)
class Place:
    """Where something is: ``left, bottom, right, top`` in a CRS."""

    bounds: tuple[float, float, float, float]
    crs: str

    @property
    def words(self) -> str:
        """The bounds as a label, to the unit of a projected CRS and to 1e-5 of a degree.

        >>> Place((399960.4, 5890240.0, 409800.0, 5900040.0), "EPSG:32633").words
        '399960,5890240,409800,5900040'
        """
        degrees = all(abs(edge) <= 360 for edge in self.bounds)
        return ",".join(f"{edge:.5f}" if degrees else f"{edge:.0f}" for edge in self.bounds)


@dataclass(frozen=True)
class SceneRow:
    """One compared scene, short enough to keep a thousand of in one file.

    Attributes:
        drift: id of the comparison.
        bundle: id of what answered.
        stream: sensor and region; empty in comparisons of before streams were kept.
        key: of the reference; empty where the acquisition is not known.
        acquired: when, UTC; None where that is not known.
        logged: when the newest of its predictions was logged; None where the log no longer says.
        scenes: names, empty where they are not known.
        standing: of the scene, one of :data:`Standing`.
        cause: named.
        action: that cures it.
        sentence: why.
        alarm: whether a calibrated alarm stands.
        onset: id of the reading at which it began; empty without one.
        calibrated: whether a chart has a threshold.
        charts: by family.
        n_tiles: that were observed.
        farthest: largest distance of a band to the champion's ground, in sd; None without one.
        farthest_column: its band.
        fixed: threshold of that distance.
        outside: share of pixels outside the area of applicability (0 to 1); None where it is not known.
        accuracy: estimated without labels (0 to 1); None where it is not.
        expected: of that accuracy, on the champion's held-out blocks.
        place: where the drift is, or the scene; None where neither is known.
        n_spots: regions that drift together.
    """

    drift: str
    bundle: str
    stream: str
    key: str
    acquired: datetime | None
    logged: datetime | None
    scenes: tuple[str, ...]
    standing: Standing
    cause: str
    action: str
    sentence: str
    alarm: bool
    onset: str
    calibrated: bool
    charts: tuple[ControlChart, ...]
    n_tiles: int
    farthest: float | None
    farthest_column: str
    fixed: float
    outside: float | None
    accuracy: float | None
    expected: float | None
    place: Place | None
    n_spots: int

    @property
    def when(self) -> float:
        """Seconds since 1970: of the acquisition, of the request where that is not known, otherwise 0."""
        at = self.acquired or self.logged
        return at.timestamp() if at else 0.0

    def chart(self, family: str) -> ControlChart | None:
        """Returns the chart of a family, or None where there is none."""
        return next((chart for chart in self.charts if chart.family == family), None)


@dataclass(frozen=True)
class ReferenceLine:
    """One version of a stream's reference, short: its noun, for which bundle, how many scenes, what changed."""

    id: str
    bundle: str
    stream: str
    number: int
    n_readings: int
    because: str


@dataclass(frozen=True)
class DecisionLine:
    """One decision, short: its noun, about which comparison, whether a training started or was held back."""

    id: str
    drift: str
    fired: bool
    suppressed: bool


def standing_of(drift: Drift) -> Standing:
    """Returns where one scene stands: a fault before an alarm, an alarm before a threshold, no claim without one."""
    cause = drift.diagnosis.cause
    if cause in FAULTS:
        return "fault"
    if cause == "cannot tell":
        return "cannot tell"
    if drift.alarm:
        return "alarm"
    states = {chart.state for chart in drift.charts}
    if cause == "no reference" or states == {"no reference yet"}:
        return "no reference yet"
    if not drift.calibrated:
        return "uncalibrated"
    return "beyond" if "beyond" in states else "in control"


def row_of(
    drift: Drift, *, reading: Reading | None = None, scenes: Sequence[str] = (), logged: datetime | None = None
) -> SceneRow:
    """Returns the line of one comparison.

    Args:
        drift: the comparison.
        reading: what it read, where that is known.
        scenes: names of its scenes.
        logged: when the newest of its predictions was logged.
    """
    far = farthest(drift.statistics)
    estimate = drift.estimates[0] if drift.estimates else None
    return SceneRow(
        drift=drift.id,
        bundle=drift.bundle,
        stream=drift.stream,
        key=drift.key,
        acquired=drift.acquired,
        logged=logged,
        scenes=tuple(scenes),
        standing=standing_of(drift),
        cause=drift.diagnosis.cause,
        action=drift.diagnosis.action,
        sentence=drift.diagnosis.sentence,
        alarm=drift.alarm,
        onset=next((chart.onset for chart in drift.charts if chart.alarm), ""),
        calibrated=drift.calibrated,
        charts=drift.charts,
        n_tiles=drift.n_current,
        farthest=far.distance if far else None,
        farthest_column=far.column if far else "",
        fixed=drift.threshold,
        outside=reading.statistics.get("outside_share") if reading else None,
        accuracy=estimate.value if estimate else None,
        expected=estimate.expected if estimate else None,
        place=place_of(drift, reading),
        n_spots=len(drift.where.spots) if drift.where else 0,
    )


def not_a_band(column: str) -> bool:
    """Returns whether a statistic is of the answers and of no band."""
    return column in _ANSWERS or column.startswith("class:")


def farthest(statistics: Sequence[Statistic]) -> Statistic | None:
    """Returns the band that is farthest from the champion's ground, or None where no band was compared."""
    bands = [s for s in statistics if not not_a_band(s.column)]
    return max(bands, key=lambda s: s.distance, default=None)


def place_of(drift: Drift, reading: Reading | None = None) -> Place | None:
    """Returns where a drift is: its foremost spot, otherwise the scene; None where neither is known."""
    if drift.where is not None and drift.where.spots:
        bounds, crs = foremost(drift.where.spots).bounds, drift.where.crs
    elif reading is not None:
        bounds, crs = reading.bounds, reading.crs
    else:
        return None
    return Place(bounds.as_tuple(), crs)


def foremost(spots: Sequence[Spot]) -> Spot:
    """Returns the spot to look at first: one that raised the alarm, otherwise the largest."""
    return next((spot for spot in spots if spot.alarm), spots[0])


def in_order(rows: Sequence[SceneRow]) -> list[SceneRow]:
    """Returns the rows of a stream, oldest first: by acquisition where all have one, otherwise as they were logged."""

    def logged(row: SceneRow) -> tuple[bool, float, str]:
        return row.logged is not None, row.logged.timestamp() if row.logged else 0.0, row.drift

    if all(row.acquired is not None for row in rows):
        return sorted(rows, key=lambda row: (row.acquired.timestamp() if row.acquired else 0.0, logged(row)))
    return sorted(rows, key=logged)


def newest_of(rows: Sequence[SceneRow], bundle: str) -> SceneRow:
    """Returns the newest scene of a bundle, of all where it has none; ``rows`` are oldest first, one at least."""
    return next((row for row in reversed(rows) if row.bundle == bundle), rows[-1])


def leading_chart(row: SceneRow) -> ControlChart | None:
    """Returns the chart that says most of a scene: one in alarm, then one nearest its limit; None without charts."""

    def nearness(chart: ControlChart) -> tuple[bool, float]:
        known = chart.path is not None and chart.limit is not None and chart.limit > 0
        return chart.alarm, (chart.path or 0.0) / (chart.limit or 1.0) if known else -1.0

    return max(row.charts, key=nearness, default=None)


def alarms_begun(rows: Sequence[SceneRow]) -> int:
    """Returns how many alarms began in these rows, oldest first; one that stands over several scenes is one."""
    begun, before = 0, False
    for row in rows:
        begun += row.alarm and not before
        before = row.alarm
    return begun
