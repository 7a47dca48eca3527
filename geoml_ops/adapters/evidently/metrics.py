"""Our statistics as metrics of Evidently, so that its own pages show their history and their tests.

A metric names only what it is of (stream, band, family, method): numbers that change from scene to scene are read from
the dataset ``SCENE``, since Evidently draws a line of its own for every setting of a metric. Snapshots name these
classes in words only; a program that does not know them shows their numbers all the same.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pandas as pd
from evidently import Dataset  # type: ignore[import-untyped]
from evidently.core.metric_types import (  # type: ignore[import-untyped]
    SingleValue,
    SingleValueCalculation,
    SingleValueMetric,
)

#: Name of the dataset with the columns ``metric``, ``of`` and ``value``: what was found in one scene.
SCENE = "scene"


@dataclass(frozen=True)
class Fact:
    """One number of a scene: the metric it belongs to, what it is of (a band, a family, a method; or nothing)."""

    metric: str
    value: float
    of: str = ""


def scene_data(facts: list[Fact]) -> Dataset:
    """Returns facts as the dataset that the metrics read."""
    rows = [(fact.metric, fact.of, fact.value) for fact in facts]
    return Dataset.from_pandas(pd.DataFrame(rows, columns=["metric", "of", "value"]))


def usable(value: float | None) -> bool:
    """Says whether a number can be shown; Evidently's pages do not open where one of them is none."""
    return value is not None and math.isfinite(value)


class SceneMetric(SingleValueMetric):  # type: ignore[misc]
    """A number of one scene of a stream."""

    stream: str


Kind = TypeVar("Kind", bound=SceneMetric)


class BandMetric(SceneMetric):
    """A number of one band of a scene."""

    column: str


class FamilyMetric(SceneMetric):
    """A number of one family of statistics, ``bands`` or ``answers``."""

    family: str


class SceneCalculation(SingleValueCalculation[Kind], ABC):  # type: ignore[misc]
    """Reads its number where the report put it."""

    says: ClassVar[str]
    metric: Any

    def display_name(self) -> str:
        """Returns what it is, of what, in which stream."""
        of = _of(self.metric)
        return f"{self.says}{f' ({of})' if of else ''}: {self.metric.stream or 'stream not known'}"

    def calculate(self, context: Any, current_data: Any, reference_data: Any) -> SingleValue:
        """Returns the number of this scene.

        Raises:
            ValueError: the report was not given it.
        """
        told = context.additional_data[SCENE].as_dataframe()
        name = type(self.metric).__name__
        found = told[(told["metric"] == name) & (told["of"] == _of(self.metric))]["value"]
        if len(found) != 1:
            raise ValueError(f"{len(found)} numbers of {name} for {_of(self.metric) or 'the scene'}")
        return self.result(float(found.iloc[0]))


def _of(metric: Any) -> str:
    return str(next((getattr(metric, name) for name in ("column", "family", "method") if hasattr(metric, name)), ""))


class BandDistance(BandMetric):
    """Wasserstein-1 distance of tile means from the champion's ground, in its standard deviations."""


class BandDistanceCalculation(SceneCalculation[BandDistance]):
    """Of :class:`BandDistance`."""

    says = "Distance in reference sd"


class BandDivergence(BandMetric):
    """Jensen-Shannon distance, base 2, on frozen bins (0 to 1)."""


class BandDivergenceCalculation(SceneCalculation[BandDivergence]):
    """Of :class:`BandDivergence`."""

    says = "Jensen-Shannon distance"


class BandPosition(BandMetric):
    """The scene's mean, standardised among the scenes of its key."""


class BandPositionCalculation(SceneCalculation[BandPosition]):
    """Of :class:`BandPosition`."""

    says = "Mean, standardised in its key"


class ClassShareVariation(SceneMetric):
    """Total variation of class shares from the champion's ground (0 to 1)."""


class ClassShareVariationCalculation(SceneCalculation[ClassShareVariation]):
    """Of :class:`ClassShareVariation`."""

    says = "Total variation of class shares"


class LargestStatistic(FamilyMetric):
    """The largest standardised statistic of a family in this scene alone; tested against its calibrated threshold."""


class LargestStatisticCalculation(SceneCalculation[LargestStatistic]):
    """Of :class:`LargestStatistic`."""

    says = "Largest standardised statistic"


class ChartPath(FamilyMetric):
    """The path of a family's chart over scenes, up to this one; tested against its calibrated limit."""


class ChartPathCalculation(SceneCalculation[ChartPath]):
    """Of :class:`ChartPath`."""

    says = "Path of the chart"


class Alarm(FamilyMetric):
    """1 where an alarm stands at this scene, else 0; tested to be 0 where calibrated, and only there critical."""


class AlarmCalculation(SceneCalculation[Alarm]):
    """Of :class:`Alarm`."""

    says = "Alarm"


class EstimatedAccuracy(SceneMetric):
    """Accuracy to expect of the answers, estimated without labels (0 to 1)."""

    method: str


class EstimatedAccuracyCalculation(SceneCalculation[EstimatedAccuracy]):
    """Of :class:`EstimatedAccuracy`."""

    says = "Estimated accuracy"


class OutsideShare(SceneMetric):
    """Share of answered pixels outside the area of applicability (0 to 1)."""


class OutsideShareCalculation(SceneCalculation[OutsideShare]):
    """Of :class:`OutsideShare`."""

    says = "Share outside the area of applicability"


class ValidShare(SceneMetric):
    """Share of pixels that were answered (0 to 1)."""


class ValidShareCalculation(SceneCalculation[ValidShare]):
    """Of :class:`ValidShare`."""

    says = "Share of pixels answered"


class EdgeDensity(SceneMetric):
    """Share of neighbouring answers that differ (0 to 1)."""


class EdgeDensityCalculation(SceneCalculation[EdgeDensity]):
    """Of :class:`EdgeDensity`."""

    says = "Edge density"


class Confidence(SceneMetric):
    """Mean probability of the class that was answered (0 to 1)."""


class ConfidenceCalculation(SceneCalculation[Confidence]):
    """Of :class:`Confidence`."""

    says = "Mean confidence"


class DriftedShare(SceneMetric):
    """Share of bands at or beyond the fixed threshold of distance (0 to 1)."""


class DriftedShareCalculation(SceneCalculation[DriftedShare]):
    """Of :class:`DriftedShare`."""

    says = "Share of bands beyond the fixed threshold"


class ObservedTiles(SceneMetric):
    """Tiles of the scene that are observed well enough to be compared."""


class ObservedTilesCalculation(SceneCalculation[ObservedTiles]):
    """Of :class:`ObservedTiles`."""

    says = "Observed tiles"


class HotSpotTiles(SceneMetric):
    """Tiles of the largest hot-spot on the drift map."""


class HotSpotTilesCalculation(SceneCalculation[HotSpotTiles]):
    """Of :class:`HotSpotTiles`."""

    says = "Tiles of the largest hot-spot"


class AnswerSeconds(SceneMetric):
    """Seconds that answering the scene took."""


class AnswerSecondsCalculation(SceneCalculation[AnswerSeconds]):
    """Of :class:`AnswerSeconds`."""

    says = "Seconds to answer"


class PixelsPerSecond(SceneMetric):
    """Pixels answered in a second."""


class PixelsPerSecondCalculation(SceneCalculation[PixelsPerSecond]):
    """Of :class:`PixelsPerSecond`."""

    says = "Pixels answered per second"


METRICS: Mapping[str, type[SceneMetric]] = {
    metric.__name__: metric
    for metric in (
        BandDistance, BandDivergence, BandPosition, ClassShareVariation, LargestStatistic, ChartPath, Alarm,
        EstimatedAccuracy, OutsideShare, ValidShare, EdgeDensity, Confidence, DriftedShare, ObservedTiles,
        HotSpotTiles, AnswerSeconds, PixelsPerSecond,
    )
}  # fmt: skip


def metric_for(fact: Fact, stream: str, tests: list[Any]) -> SceneMetric:
    """Returns the metric that a fact is the number of.

    Args:
        fact: of one of :data:`METRICS`.
        stream: that the scene belongs to.
        tests: conditions on the number; empty for none.
    """
    kind = METRICS[fact.metric]
    own = {name: fact.of for name in ("column", "family", "method") if name in kind.__fields__}
    return kind(stream=stream, tests=tests, **own)
