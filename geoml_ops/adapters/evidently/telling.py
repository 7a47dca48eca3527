"""What a comparison found, as facts that metrics show and tests judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evidently.tests import eq, lte  # type: ignore[import-untyped]

from geoml_ops.adapters.evidently.metrics import Fact, SceneMetric, metric_for, usable
from geoml_ops.core.flow import Drift, Reading
from geoml_ops.domain.drift import CLASS_SHARES

_OF_READING = {
    "outside_share": "OutsideShare",
    "edge_density": "EdgeDensity",
    "confidence": "Confidence",
}


@dataclass(frozen=True)
class Told:
    """What a report is told beside the tiles.

    Attributes:
        model: name of the registered model.
        drift: what was found.
        reading: the scene in numbers, where it could be read.
        latency_s: seconds that answering took, where known.
        px_per_s: pixels answered in a second, where known.
    """

    model: str
    drift: Drift
    reading: Reading | None = None
    latency_s: float | None = None
    px_per_s: float | None = None

    @property
    def stream(self) -> str:
        """The stream of the scene; ``unknown stream`` where it is not known."""
        return self.drift.stream or "unknown stream"

    @property
    def when(self) -> datetime:
        """Acquisition in UTC, without a time zone as Evidently wants it; now where it is not known."""
        # Evidently sorts by time and cannot compare times with and without a zone.
        return (self.drift.acquired or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)

    @property
    def tags(self) -> list[str]:
        """Drift id, model, stream and cause."""
        return [self.drift.id, self.model, self.stream, self.drift.diagnosis.cause]

    @property
    def about(self) -> dict[str, str]:
        """What is written beside the snapshot."""
        drift = self.drift
        return {
            "geoml.drift": drift.id,
            "bundle": drift.bundle,
            "stream": self.stream,
            "key": drift.key,
            "diagnosis": drift.diagnosis.cause,
            "action": drift.diagnosis.action,
            "sentence": drift.diagnosis.sentence,
            "unit": drift.unit,
            "thresholds": said(drift.calibrated),
        }


def said(calibrated: bool) -> str:
    """Says where thresholds are from."""
    return "calibrated on in-control scenes" if calibrated else "fixed, uncalibrated"


def facts(told: Told) -> list[Fact]:
    """Returns every number that there is, one at least; what is missing or no number is left out."""
    return [fact for fact in _every(told) if usable(fact.value)]


def metrics(told: Told, found: list[Fact]) -> list[SceneMetric]:
    """Returns the metrics of these facts, with the tests that thresholds make."""
    return [metric_for(fact, told.stream, _tests(told.drift, fact)) for fact in found]


def _every(told: Told) -> Iterator[Fact]:
    drift = told.drift
    yield Fact("ObservedTiles", float(drift.n_current))
    for s in drift.statistics:
        if s.column == CLASS_SHARES:
            yield Fact("ClassShareVariation", s.distance)
            continue
        numbers = (("BandDistance", s.distance), ("BandDivergence", s.js), ("BandPosition", s.z))
        yield from (Fact(name, value, s.column) for name, value in numbers if value is not None)
    for chart in drift.charts:
        path = (("LargestStatistic", chart.value), ("ChartPath", chart.path), ("Alarm", float(chart.alarm)))
        yield from (Fact(name, value, chart.family) for name, value in path if value is not None)
    yield from (Fact("EstimatedAccuracy", e.value, e.method) for e in drift.estimates)
    if drift.statistics:
        yield Fact("DriftedShare", drift.drifted_share)
    if drift.where is not None:
        yield Fact("HotSpotTiles", float(drift.where.spots[0].n_tiles if drift.where.spots else 0))
    if told.reading is not None:
        yield Fact("ValidShare", told.reading.valid_share)
        known = told.reading.statistics
        yield from (Fact(kind, v) for name, kind in _OF_READING.items() if (v := known.get(name)) is not None)
    speed = (("AnswerSeconds", told.latency_s), ("PixelsPerSecond", told.px_per_s))
    yield from (Fact(name, value) for name, value in speed if value is not None)


def _tests(drift: Drift, fact: Fact) -> list[Any]:
    chart = drift.chart(fact.of) if fact.metric in ("LargestStatistic", "ChartPath", "Alarm") else None
    if chart is None or chart.limit is None:
        return []
    if fact.metric == "Alarm":
        return [eq(0)]
    # An alarm stands until the path is well below its limit, so that these two warn and the alarm decides.
    limit = chart.limit if fact.metric == "ChartPath" else chart.threshold
    return [lte(limit, is_critical=False)] if limit is not None and usable(limit) else []
