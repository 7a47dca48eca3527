"""What is known when the triggers are weighed, gathered from nouns: what stands where, earlier trainings, audits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely

from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import (
    Accuracy,
    Bundle,
    Decision,
    Design,
    Drift,
    Entry,
    Judgement,
    Labels,
    Prediction,
    Reading,
    Reference,
    Retrain,
    Scene,
    Version,
)
from geoml_ops.core.grid import Bounds
from geoml_ops.core.policy import CalibrationRules
from geoml_ops.domain.streams import DRIFTS, FAULTS
from geoml_ops.domain.triggers import Audit, Standing, State, Training, in_order, moment, standing
from geoml_ops.steps.readings import overlap


@dataclass(frozen=True)
class Known:
    """Nouns that an evaluation looks at.

    Attributes:
        entry: the champion; None before the first.
        version: that is weighed; None before the first.
        drift: that was looked at; None for nothing.
        history: comparisons of the champion, in the order in which their predictions were logged.
        scenes: ids of the scenes that the champion learned from.
        labels: ids of the deliveries of labels that it learned from.
        trainings: asked for earlier, oldest first.
        audits: of its maps, the newest first.
    """

    entry: Entry | None
    version: Version | None
    drift: Drift | None = None
    history: Sequence[Drift] = ()
    scenes: Sequence[str] = ()
    labels: Sequence[str] = ()
    trainings: Sequence[Training] = ()
    audits: Sequence[Audit] = ()


def state_of(shelf: Shelf, known: Known, rules: CalibrationRules) -> State:
    """Returns what is known as the triggers want it.

    Raises:
        NotFound: a noun that is named is not on the shelf.
    """
    version, entry = known.version, known.entry
    labels = [shelf.get(Labels, i) for i in version.labels] if version else []
    given = {*version.scenes, *version.labels} if version else set()
    return State(
        champion=f"{entry.model} {entry.number}" if entry else "",
        entry=entry.id if entry else "",
        bundle=entry.bundle if entry else "",
        drift=known.drift,
        standing=_standings(shelf, known, labels, rules),
        version=version.id if version else "",
        has_version=version is not None,
        is_champions=bool(entry and version and given <= {*known.scenes, *known.labels}),
        labels=labels,
        known_labels=[shelf.get(Labels, i) for i in known.labels],
        scenes=[shelf.get(Scene, i) for i in version.scenes] if version else [],
        known_scenes=[shelf.get(Scene, i) for i in known.scenes],
        trainings=known.trainings,
        audits=known.audits,
    )


def standing_drifts(shelf: Shelf, history: Sequence[Drift], rules: CalibrationRules) -> list[Drift]:
    """Returns the drifts that stand in any stream, the newest first.

    Args:
        shelf: where their predictions are.
        history: comparisons of one model, in the order in which their predictions were logged.
        rules: of the policy.
    """
    grounds = _Grounds(shelf)
    streams = by_stream(history).values()
    found = [drift for mine in streams for drift in standing(mine, rules, grounds.overlap)]
    place = {drift.id: i for i, drift in enumerate(history)}
    return sorted(found, key=lambda drift: -place[drift.id])


def by_stream(history: Sequence[Drift]) -> dict[str, list[Drift]]:
    """Returns comparisons by stream, each oldest scene first."""
    found: dict[str, list[Drift]] = {}
    for drift in history:
        found.setdefault(drift.stream, []).append(drift)
    return {stream: in_order(mine) for stream, mine in found.items()}


def learned(shelf: Shelf, entry: Entry | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns ids of the scenes and of the labels that a champion learned from."""
    if entry is None:
        return (), ()
    version = shelf.get(Version, shelf.get(Bundle, entry.bundle).version)
    return version.scenes, version.labels


def trainings_of(
    shelf: Shelf, entry: Entry | None, lost: Sequence[str] = (), hours: Mapping[str, float] | None = None
) -> list[Training]:
    """Returns every training that was asked for, oldest file first, with what came of it.

    Args:
        shelf: where nouns are.
        entry: the champion; the training that made it is over even where nobody judged it.
        lost: ids of events that are no longer waited for.
        hours: of computing, by id of the event.
    """
    outcomes, spent = outcomes_of(shelf), hours or {}
    serving = shelf.get(Bundle, entry.bundle).version if entry else ""
    found = []
    for retrain in shelf.all(Retrain):
        decision, version = shelf.get(Decision, retrain.decision), shelf.get(Version, retrain.version)
        judged = verdict_of(outcomes, retrain, decision)
        made = "PROMOTE" if serving == retrain.version and entry and decision.champion != entry.id else ""
        drift = shelf.get(Drift, decision.drift) if decision.drift else None
        found.append(
            Training(
                retrain=retrain.id,
                rule=decision.rule,
                champion=decision.champion,
                version=retrain.version,
                at=moment(drift, [shelf.get(Scene, i) for i in version.scenes]),
                labels=frozenset(version.labels),
                outcome=judged.outcome if judged else made,
                lost=retrain.id in lost,
                hours=spent.get(retrain.id),
            )
        )
    return found


def outcomes_of(shelf: Shelf) -> dict[str, list[Judgement]]:
    """Returns judgements by the version that the judged model learned from, oldest file first."""
    found: dict[str, list[Judgement]] = {}
    for judgement in shelf.all(Judgement):
        try:
            bundle = shelf.get(Bundle, shelf.get(Entry, judgement.challenger).bundle)
        except GeomlError:
            # A judgement of files that were brought from elsewhere: its model came of no training here.
            continue
        found.setdefault(bundle.version, []).append(judgement)
    return found


def verdict_of(outcomes: Mapping[str, Sequence[Judgement]], retrain: Retrain, decision: Decision) -> Judgement | None:
    """Returns the first judgement of a model of the event's version, other than the champion of then."""
    return next((j for j in outcomes.get(retrain.version, ()) if j.challenger != decision.champion), None)


def audits_of(shelf: Shelf, entry: Entry | None) -> list[Audit]:
    """Returns what was found about maps of the champion with labels of a probability sample, the newest first."""
    found: list[Audit] = []
    if entry is None:
        return found
    for accuracy in shelf.all(Accuracy):
        try:
            design = shelf.get(Design, accuracy.design)
            mine = bool(design.prediction) and shelf.get(Prediction, design.prediction).bundle == entry.bundle
        except GeomlError:
            continue
        if mine:
            found.append(Audit(accuracy.id, accuracy.n, accuracy.overall, accuracy.overall_half))
    return found[::-1]


def _standings(shelf: Shelf, known: Known, labels: Sequence[Labels], rules: CalibrationRules) -> tuple[Standing, ...]:
    grounds, since = _Grounds(shelf), max((t.at for t in known.trainings if t.at is not None), default=None)
    found = []
    for drift in standing_drifts(shelf, known.history, rules):
        bounds, crs = grounds.of(drift)
        reading = shelf.get(Reading, drift.reading) if drift.reading else None
        mine = [d for d in known.history if d.stream == drift.stream and _is_calm(d)]
        found.append(
            Standing(
                drift=drift,
                ground=bounds,
                label_ground={x.id: b for x in labels if crs and (b := _in_crs(x.bounds, x.crs, crs)) is not None},
                outside=reading.statistics.get("outside_share") if reading else None,
                outside_usual=_usual(shelf, drift),
                n_calm=sum(since is None or d.acquired is None or d.acquired > since for d in mine),
            )
        )
    return tuple(found)


def _is_calm(drift: Drift) -> bool:
    return not drift.alarm and drift.diagnosis.cause not in DRIFTS | FAULTS | {"cannot tell"}


def _usual(shelf: Shelf, drift: Drift) -> float | None:
    """Returns the mean share outside the area of applicability of the in-control scenes; None without any."""
    if not drift.reference:
        return None
    readings = [shelf.get(Reading, i) for i in shelf.get(Reference, drift.reference).readings if i != drift.reading]
    shares = [share for r in readings if (share := r.statistics.get("outside_share")) is not None]
    return float(np.mean(shares)) if shares else None


@dataclass
class _Grounds:
    """Where comparisons lie: bounds of their predictions, in the CRS of the first."""

    shelf: Shelf
    found: dict[str, tuple[list[Bounds], str]] = field(default_factory=dict)

    def of(self, drift: Drift) -> tuple[list[Bounds], str]:
        """Returns bounds and their CRS; nothing where no prediction is kept."""
        if drift.id not in self.found:
            kept = [i for i in drift.predictions if self.shelf.path_of(i).exists()]
            grids = [self.shelf.get(Prediction, i).grid for i in kept]
            crs = grids[0].crs if grids else ""
            bounds = [_in_crs(grid.bounds, grid.crs, crs) for grid in grids]
            self.found[drift.id] = [b for b in bounds if b is not None], crs
        return self.found[drift.id]

    def overlap(self, one: Drift, other: Drift) -> float:
        """Returns the common ground of two comparisons as a share of both; 0 where their CRS differ."""
        (mine, crs), (theirs, other_crs) = self.of(one), self.of(other)
        return overlap(_around(mine), _around(theirs)) if crs == other_crs and mine and theirs else 0.0


def _around(bounds: Sequence[Bounds]) -> Bounds:
    left, bottom, right, top = zip(*(b.as_tuple() for b in bounds), strict=True)
    return Bounds(left=min(left), bottom=min(bottom), right=max(right), top=max(top))


def _in_crs(bounds: Bounds, source: str, target: str) -> Bounds | None:
    """Returns what surrounds a rectangle in another CRS; None where that projection does not reach."""
    if source == target:
        return bounds
    # Edges, not only corners: a straight edge becomes a curve in another projection.
    edge = shapely.segmentize(shapely.box(*bounds.as_tuple()), max(bounds.right - bounds.left, 1e-9) / 16)
    left, bottom, right, top = reproject(np.array([edge], dtype=object), source, target)[0].bounds
    whole = np.isfinite([left, bottom, right, top]).all() and left < right and bottom < top
    return Bounds(left=left, bottom=bottom, right=right, top=top) if whole else None
