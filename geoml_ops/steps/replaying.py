"""What a replay replays: evaluations in the order in which they were asked for, and what came of trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.core.errors import NotFound
from geoml_ops.core.flow import Decision, Drift, Entry, Reference, Retrain, Scene, Version
from geoml_ops.domain.triggers import Audit
from geoml_ops.steps import trail
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.places import Places
from geoml_ops.steps.standings import audits_of, learned, outcomes_of, verdict_of


@dataclass(frozen=True)
class Asked:
    """One evaluation as it was asked for.

    Attributes:
        when: acquisition of the scene, else when it was logged or asked.
        drift: what was looked at for the first time; None for nothing new.
        version: that was weighed.
        entry: the champion of then; None before the first.
        audits: that were known.
    """

    when: datetime
    drift: Drift | None
    version: Version | None
    entry: Entry | None
    audits: tuple[Audit, ...] = ()


@dataclass(frozen=True)
class History:
    """All that is replayed: evaluations in order, what came of trainings, and what people accepted.

    Attributes:
        asked: evaluations.
        outcomes: of the gate, by version.
        trained: versions that a recorded decision trained on.
        confirmed: streams whose drift a promoted model bore out.
        accepted: readings that people took into a reference.
        hours: that a training took on average; None where nobody counted.
        n_left_out: evaluations whose nouns are not here.
    """

    asked: tuple[Asked, ...]
    outcomes: Mapping[str, str]
    trained: frozenset[str]
    confirmed: frozenset[str]
    accepted: frozenset[str]
    hours: float | None
    n_left_out: int


def read_history(places: Places) -> History:
    """Returns what is replayed: evaluations as the trail keeps them, after the comparisons of before there was one.

    Raises:
        Refused: the trail was changed.
    """
    shelf = Archive(places.nouns)
    told, n_left_out = _from_trail(places, shelf)
    in_trail = {asked.drift.id for asked in told if asked.drift is not None}
    early = [asked for one in _logged(places, shelf) if one[0].id not in in_trail for asked in _early(shelf, *one)]
    before = [asked for asked in early if asked is not None]
    judged = outcomes_of(shelf)
    retrains = [(retrain, shelf.get(Decision, retrain.decision)) for retrain in shelf.all(Retrain)]
    verdicts = {r.version: v for r, d in retrains if (v := verdict_of(judged, r, d)) is not None}
    hours = list(trail.hours(places).values())
    return History(
        asked=(*before, *told),
        outcomes={version: verdict.outcome for version, verdict in verdicts.items()},
        trained=frozenset(retrain.version for retrain, _ in retrains),
        confirmed=frozenset(
            shelf.get(Drift, d.drift).stream
            for r, d in retrains
            if d.drift and r.version in verdicts and verdicts[r.version].outcome == "PROMOTE"
        ),
        accepted=frozenset(_accepted(shelf)),
        hours=sum(hours) / len(hours) if hours else None,
        n_left_out=n_left_out + len(early) - len(before),
    )


def _from_trail(places: Places, shelf: Shelf) -> tuple[list[Asked], int]:
    found: list[Asked] = []
    seen: set[str] = set()
    audits: dict[str, None] = {}
    n_left_out = 0
    for entry in trail.trail_of(places).read():
        record = entry.record
        decided = next((i for i in record.inputs if i.startswith(f"{Decision.kind}-")), "")
        if record.verdict or not decided:
            continue
        audits |= dict.fromkeys(i for i in record.inputs if i.startswith("accuracy-"))
        try:
            asked = _asked(shelf, shelf.get(Decision, decided), record.at, tuple(audits), seen)
        except NotFound:
            n_left_out += 1
            continue
        found.append(asked)
        if asked.drift is not None:
            seen.add(asked.drift.id)
    return found, n_left_out


def _asked(shelf: Shelf, decision: Decision, at: datetime, audits: Sequence[str], seen: Iterable[str]) -> Asked:
    drift = shelf.get(Drift, decision.drift) if decision.drift and decision.drift not in seen else None
    champion = shelf.get(Entry, decision.champion) if decision.champion else None
    learned(shelf, champion)  # What it learned from has to be here as well.
    version = shelf.get(Version, decision.version) if decision.version else None
    known = [audit for audit in audits_of(shelf, champion) if audit.accuracy in audits]
    return Asked((drift.acquired if drift else None) or at, drift, version, champion, tuple(known))


def _logged(places: Places, shelf: Shelf) -> list[tuple[Drift, datetime]]:
    """Returns every comparison with its time, oldest first; without those of which nothing says when they were."""
    at = {line.id: line.at for line in PredictionLog(places.predictions).lines()}
    found = []
    for drift in shelf.all(Drift):
        when = drift.acquired or max((at[p] for p in drift.predictions if p in at), default=None)
        if when is not None:
            found.append((drift, when))
    return sorted(found, key=lambda one: (one[1], one[0].id))


def _early(shelf: Shelf, drift: Drift, when: datetime) -> list[Asked | None]:
    """Returns what was asked about a comparison before there was a trail: by its decisions, where there are any."""
    seen: set[str] = set()
    found: list[Asked | None] = []
    for decision in shelf.all(Decision):
        if decision.drift == drift.id:
            try:
                asked = _asked(shelf, decision, when, (), seen)
            except NotFound:
                asked = None
            found.append(asked)
            seen.add(drift.id)
    return found or [_before_trail(shelf, drift, when)]


def _before_trail(shelf: Shelf, drift: Drift, when: datetime) -> Asked | None:
    """Returns a comparison with the version and the champion of then; None where these are not here any more."""
    entry = next((e for e in shelf.all(Entry) if e.bundle == drift.bundle), None)
    dated: list[tuple[datetime, int, str]] = []
    try:
        learned(shelf, entry)
        for version in shelf.all(Version):
            newest = max((shelf.get(Scene, i).acquired for i in version.scenes), default=None)
            if newest is not None and newest <= when:
                dated.append((newest, len(version.labels), version.id))
    except NotFound:
        return None
    weighed = shelf.get(Version, max(dated)[-1]) if dated else None
    return Asked(when, drift, weighed, entry) if entry is not None else None


def _accepted(shelf: Shelf) -> set[str]:
    found: set[str] = set()
    for reference in shelf.all(Reference):
        if reference.because.startswith("Accepted by hand"):
            before = shelf.get(Reference, reference.before).readings if reference.before else ()
            found |= set(reference.readings) - set(before)
    return found
