"""The in-control scenes of a stream: which are accepted, and what a new one is compared with.

A reference grows by scenes that were compared, gave no alarm and named no fault, a little after them; a key that has
enough is frozen. What people accept (:func:`accept`) and what a new champion learned from is taken in as well. Every
change is a new version with its because.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import Bundle, Drift, Reading, Reference, Version
from geoml_ops.core.policy import CalibrationRules
from geoml_ops.domain.alarms import Key
from geoml_ops.domain.control import Row
from geoml_ops.domain.streams import FAULTS
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.places import Places
from geoml_ops.steps.readings import overlap

#: Scenes that follow before one is accepted: what begins an alarm is seen by then.
SETTLE = 2
ACCEPTED = ("none", "season as expected", "no reference")


def current(places: Places, bundle: Bundle, stream: str, rules: CalibrationRules) -> Reference | None:
    """Returns the newest reference of a stream for a champion, after taking in what is due; None without any scene.

    Called again it gives the same version.
    """
    shelf = Archive(places.nouns)
    newest = _newest(shelf, stream)
    drifts = [d for d in shelf.all(Drift) if d.stream == stream and d.reading and d.acquired is not None]
    if newest is None or newest.bundle != bundle.id:
        newest = _begun(shelf, bundle, stream, newest, drifts)
    mine = sorted((d for d in drifts if d.bundle == bundle.id), key=_time)
    due = _due(shelf, mine, newest, rules)
    if not due:
        return newest
    because = f"{len(due)} scene{'s' if len(due) > 1 else ''} without alarm or fault."
    return _put(shelf, bundle.id, stream, newest, due, because)


def accept(places: Places, drift_id: str, because: str) -> Reference:
    """Returns the reference of a stream with a scene taken in because a person says that it is as it should be.

    Raises:
        NotFound: there is no such drift.
        BadInput: it has no reading or no known acquisition, or no reason is given.
    """
    shelf = Shelf(places.nouns)
    drift = shelf.get(Drift, drift_id)
    if not because.strip():
        raise BadInput("A scene is accepted for a reason.", "say why with --because")
    if not drift.reading or drift.acquired is None:
        raise BadInput(f"{drift_id} is of no known acquisition.", "name its scenes when it is classified")
    with only_one(places.workspace / "locks" / "compare.lock"):
        newest = _newest(shelf, drift.stream)
        if newest is not None and drift.reading in newest.readings:
            return newest
        made = _put(shelf, drift.bundle, drift.stream, newest, [drift.reading], f"Accepted by hand: {because.strip()}")
    logger("watch").info("accepted", drift=drift_id, reference=made.id)
    return made


def rows(readings: Iterable[Reading]) -> list[Row]:
    """Returns readings as rows of a stream, in order of acquisition; those without a key are left out."""
    found = [row for row in map(row_of, readings) if row is not None]
    return sorted(found, key=lambda row: (row.acquired, row.reading))


def row_of(reading: Reading) -> Row | None:
    """Returns a reading as a row of its stream; None where its acquisition is not known."""
    if not reading.key or reading.acquired is None:
        return None
    scene = "+".join(reading.scenes) or reading.id
    return Row(reading.id, scene, Key.parse(reading.key), reading.acquired, reading.statistics, reading.bundle)


def members(places: Places, reference: Reference | None) -> list[Reading]:
    """Returns the readings of a reference, in order of acquisition."""
    return [_reading(places.nouns, reading) for reading in reference.readings] if reference else []


def comparable(reading: Reading, others: Iterable[Reading], least: float) -> list[Reading]:
    """Returns the readings that show mostly the same ground as this one."""
    return [o for o in others if o.crs == reading.crs and overlap(o.bounds, reading.bounds) >= least]


def recent(places: Places, bundle: str, stream: str, upto: Reading, most: int = 60) -> list[Reading]:
    """Returns the readings of a champion in a stream before this one, the newest last.

    Without those in which a fault was named: what a delivery does is not what the ground does.
    """
    shelf = Archive(places.nouns)
    mine = (d for d in shelf.all(Drift) if d.bundle == bundle and d.stream == stream and d.reading)
    ids = dict.fromkeys(d.reading for d in mine if d.diagnosis.cause not in FAULTS)
    found = [_reading(shelf.folder, i) for i in ids if i != upto.id]
    earlier = [r for r in found if r.acquired is not None and upto.acquired is not None and r.acquired <= upto.acquired]
    return sorted(earlier, key=lambda r: (r.acquired, r.id))[-most:]


def _newest(shelf: Shelf, stream: str) -> Reference | None:
    """Returns the newest reference of a stream, whichever champion it was for; None before the first."""
    return max((r for r in shelf.all(Reference) if r.stream == stream), key=lambda r: (r.number, r.id), default=None)


def _begun(
    shelf: Shelf, bundle: Bundle, stream: str, before: Reference | None, drifts: Sequence[Drift]
) -> Reference | None:
    """Returns the first reference of a champion, also of one that serves again.

    It holds what the one before had, from where an alarm began on, and what the champion learned from.
    """
    learned = _learned(shelf, bundle, drifts)
    if before is None and not learned:
        return None
    since = _onset(shelf, before, drifts)
    kept = [r for r in (before.readings if before else ()) if since is None or _acquired(shelf, r) >= since]
    said = f" What stood before {since:%Y-%m-%d}, when an alarm began, is left behind." if since is not None else ""
    because = f"A new champion, which learned from {len(learned)} of the scenes that were looked at.{said}"
    return _put(shelf, bundle.id, stream, before, [*learned], because, kept=kept)


def _learned(shelf: Shelf, bundle: Bundle, drifts: Sequence[Drift]) -> list[str]:
    try:
        known = set(shelf.get(Version, bundle.version).scenes)
    except NotFound:
        return []
    found = []
    for drift in sorted(drifts, key=_time):
        scenes = _reading(shelf.folder, drift.reading).scenes
        if scenes and set(scenes) <= known and drift.diagnosis.action != "fix ingest":
            found.append(drift.reading)
    return list(dict.fromkeys(found))


def _onset(shelf: Shelf, before: Reference | None, drifts: Sequence[Drift]) -> datetime | None:
    if before is None:
        return None
    mine = sorted((d for d in drifts if d.bundle == before.bundle), key=_time)
    if not mine or not mine[-1].alarm:
        return None
    onsets = [_acquired(shelf, chart.onset) for chart in mine[-1].charts if chart.alarm and chart.onset]
    return min(onsets, default=None)


def _due(shelf: Shelf, drifts: Sequence[Drift], newest: Reference | None, rules: CalibrationRules) -> list[str]:
    """Returns readings to take in: settled, without alarm or fault, of keys that are not full."""
    known = set(newest.readings) if newest else set()
    counts = Counter(_reading(shelf.folder, r).key for r in known)
    found = []
    for place, drift in enumerate(drifts[: max(len(drifts) - SETTLE, 0)]):
        quiet = not any(d.alarm for d in drifts[place : place + SETTLE + 1]) and drift.diagnosis.cause in ACCEPTED
        if quiet and drift.key and drift.reading not in known and counts[drift.key] < rules.most:
            found.append(drift.reading)
            known.add(drift.reading)
            counts[drift.key] += 1
    return found


def _put(
    shelf: Shelf,
    bundle: str,
    stream: str,
    before: Reference | None,
    more: Sequence[str],
    because: str,
    *,
    kept: Sequence[str] | None = None,
) -> Reference:
    standing = list(before.readings if before and kept is None else kept or ())
    readings = sorted(dict.fromkeys([*standing, *more]), key=lambda r: (_acquired(shelf, r), r))
    return shelf.put(
        Reference(
            bundle=bundle,
            stream=stream,
            number=before.number + 1 if before else 1,
            before=before.id if before else "",
            readings=tuple(readings),
            because=because,
        )
    )


def _reading(folder: Path, reading_id: str) -> Reading:
    return Archive(folder).get(Reading, reading_id)


def _acquired(shelf: Shelf, reading_id: str) -> datetime:
    acquired = _reading(shelf.folder, reading_id).acquired
    assert acquired is not None, "scenes of unknown acquisition are never taken into a reference"
    return acquired


def _time(drift: Drift) -> tuple[datetime, str]:
    assert drift.acquired is not None
    return drift.acquired, drift.id
