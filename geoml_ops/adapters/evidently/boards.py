"""Panels of a model's project: a tab for all streams together and one for each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evidently.sdk.models import (  # type: ignore[import-untyped]
    DashboardModel,
    DashboardPanelPlot,
    DashboardTabModel,
    PanelMetric,
)
from evidently.sdk.panels import line_plot_panel, text_panel  # type: ignore[import-untyped]

IDS = uuid.uuid5(uuid.NAMESPACE_URL, "geoml:evidently")
ALL = "All streams"
#: Evidently's open pages show all tabs below each other, so only streams with the newest scenes have one; the reports
#: of every stream are in the list, under its tag.
MOST_TABS, MOST_LINES = 12, 20
_SHARES = {
    "DriftedShare": "bands beyond the fixed threshold",
    "ClassShareVariation": "class shares moved (total variation)",
    "OutsideShare": "outside the area of applicability",
    "ValidShare": "pixels answered",
    "Confidence": "mean confidence",
    "EdgeDensity": "edge density",
}


@dataclass(frozen=True)
class Stream:
    """What a tab is of.

    Attributes:
        facts: by metric what it was ever of: bands, families, methods; an empty word for the scene.
        calibrated: whether the scene stored last had calibrated thresholds.
        newest: time of its newest scene, in words that sort.
    """

    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    calibrated: bool = False
    newest: str = ""

    def of(self, metric: str) -> tuple[str, ...]:
        """Returns what a metric was ever of; nothing where it never was."""
        return self.facts.get(metric, ())


@dataclass(frozen=True)
class Board:
    """The streams of a model's project by name; all that its dashboard follows from."""

    model: str
    streams: Mapping[str, Stream] = field(default_factory=dict)

    def having(self, name: str, facts: Mapping[str, Sequence[str]], calibrated: bool, when: str) -> Board:
        """Returns the board with a scene of a stream taken in: what is new comes behind what is there."""
        before = self.streams.get(name, Stream())
        kinds = dict.fromkeys((*before.facts, *facts))
        every = {kind: tuple(dict.fromkeys((*before.of(kind), *facts.get(kind, ())))) for kind in kinds}
        return Board(self.model, {**self.streams, name: Stream(every, calibrated, max(before.newest, when))})

    @property
    def shown(self) -> list[str]:
        """Names of the streams that have a tab."""
        return sorted(sorted(self.streams, key=lambda name: (self.streams[name].newest, name))[-MOST_TABS:])

    def drawn(self, beside: DashboardModel | None = None) -> DashboardModel:
        """Returns the dashboard; the same streams give the same one, ids included.

        Args:
            beside: the one that is there; tabs that people added are kept.
        """
        # Built whole: add_panel of 0.7.23 lists a panel twice in a tab that exists.
        drawn = [(ALL, _overview(self))]
        drawn += [(name, _of_stream(name, self.streams[name])) for name in self.shown]
        tabs, panels = [], []
        for title, found in drawn:
            own = [p.copy(update={"id": self._id(f"{title}/panel/{i}")}) for i, p in enumerate(found)]
            tabs.append(DashboardTabModel(id=self._id(f"{title}/tab"), title=title, panels=[p.id for p in own]))
            panels += own
        theirs = [tab for tab in (beside.tabs if beside else []) if not self._ours(tab)]
        wanted = {panel for tab in theirs for panel in tab.panels}
        kept = [panel for panel in (beside.panels if beside else []) if panel.id in wanted]
        return DashboardModel(tabs=[*tabs, *theirs], panels=[*panels, *kept])

    def as_json(self) -> dict[str, Any]:
        """Returns the content as plain JSON values."""
        return {
            name: {"facts": {k: list(v) for k, v in s.facts.items()}, "calibrated": s.calibrated, "newest": s.newest}
            for name, s in self.streams.items()
        }

    @classmethod
    def from_json(cls, model: str, told: Mapping[str, Any]) -> Board:
        """Reads what :meth:`as_json` wrote; raises KeyError, TypeError or AttributeError for anything else."""
        streams = {}
        for name, s in told.items():
            facts = {str(kind): tuple(map(str, of)) for kind, of in s["facts"].items()}
            streams[str(name)] = Stream(facts, bool(s["calibrated"]), str(s["newest"]))
        return cls(model, streams)

    def _ours(self, tab: DashboardTabModel) -> bool:
        return tab.id in (self._id(f"{tab.title}/tab"), self._id("tab"))

    def _id(self, what: str) -> uuid.UUID:
        return uuid.uuid5(IDS, f"{self.model}/{what}")


def _overview(board: Board) -> list[DashboardPanelPlot]:
    shown, n = board.shown, len(board.streams)
    more = f" Of {n} streams the {len(shown)} with the newest scenes are drawn." if n > len(shown) else ""
    about = "One line per stream, one point per scene, at the time of its acquisition." + more
    found = [text_panel(title=f"{board.model}: scenes against what is normal for them.", description=about)]
    for title, kind, labels in (
        ("Alarm of the bands (1 where one stands)", "Alarm", {"family": "bands"}),
        ("Alarm of the answers (1 where one stands)", "Alarm", {"family": "answers"}),
        ("Share of bands beyond the fixed threshold", "DriftedShare", {}),
        ("Estimated accuracy (CBPE), without labels", "EstimatedAccuracy", {"method": "cbpe"}),
    ):
        of = next(iter(labels.values()), "")
        mine = [name for name in shown if of in board.streams[name].of(kind)]
        if mine:
            found.append(line_plot_panel(title=title, values=[_line(name, kind, name, **labels) for name in mine]))
    return found


def _of_stream(name: str, stream: Stream) -> list[DashboardPanelPlot]:
    found = [text_panel(title=_calibration(name, stream))]
    for title, lines in _panels(name, stream):
        if lines:
            found.append(line_plot_panel(title=title, values=lines[:MOST_LINES], size="half"))
    return found


def _calibration(name: str, stream: Stream) -> str:
    if stream.calibrated:
        return f"{name}: thresholds are calibrated on scenes in control."
    return f"{name}: uncalibrated. Too few scenes in control: thresholds are fixed, and no alarm stands."


def _panels(name: str, stream: Stream) -> Iterator[tuple[str, list[PanelMetric]]]:
    def each(kind: str, label: str) -> list[PanelMetric]:
        return [_line(of, kind, name, **{label: of}) for of in stream.of(kind)]

    def one(kind: str, legend: str) -> list[PanelMetric]:
        return [_line(legend, kind, name)] if stream.of(kind) else []

    bands = len(stream.of("BandDistance"))
    some = f", {MOST_LINES} of {bands} columns" if bands > MOST_LINES else ""
    yield "Alarm (1 where one stands)", each("Alarm", "family")
    yield "Path of the charts over scenes", each("ChartPath", "family")
    yield "Largest standardised statistic of each scene", each("LargestStatistic", "family")
    yield f"Distance from the champion's ground, in its standard deviations{some}", each("BandDistance", "column")
    yield f"Jensen-Shannon distance from the champion's ground{some}", each("BandDivergence", "column")
    yield f"Mean, standardised among scenes of its key{some}", each("BandPosition", "column")
    yield "Share of drifted bands, as Evidently counts them", _as_counted(name)
    yield "Shares of the scene (0 to 1)", [line for kind, says in _SHARES.items() for line in one(kind, says)]
    yield "Estimated accuracy, without labels", each("EstimatedAccuracy", "method")
    tiles = [*one("ObservedTiles", "observed"), *one("HotSpotTiles", "in the largest hot-spot")]
    yield "Tiles of the scene", tiles
    yield "Seconds to answer", one("AnswerSeconds", "seconds")
    yield "Pixels answered per second", one("PixelsPerSecond", "pixels")


def _as_counted(name: str) -> list[PanelMetric]:
    return [
        PanelMetric(legend="share", metric="DriftedColumnsCount", metric_labels={"value_type": "share"}, tags=[name])
    ]


def _line(legend: str, kind: str, stream: str, **labels: str) -> PanelMetric:
    # By label and tag: 0.7.23 takes the first line whose metric and labels fit, whatever its tags.
    return PanelMetric(legend=legend, metric=kind, metric_labels={"stream": stream, **labels}, tags=[stream])
