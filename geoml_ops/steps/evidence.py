"""What a diagnosis rests on, gathered from nouns and files: the scene, its key, its neighbours in time, the ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import NotFound
from geoml_ops.core.flow import Bundle, Entry, Prediction, Reading, Reference, Scene, Version
from geoml_ops.core.policy import AuditRules, CalibrationRules
from geoml_ops.core.watched import ControlChart, Estimate, Statistic
from geoml_ops.domain.alarms import Key, key_of
from geoml_ops.domain.alarms.keys import By
from geoml_ops.domain.control import BANDS, FAMILIES, Calibration, Row, calibration, judge, standard_scores
from geoml_ops.domain.diagnosis import Evidence
from geoml_ops.domain.drift import Measured, Table, table_of, usable
from geoml_ops.domain.shift import frozen_cuts, jensen_shannon, joined
from geoml_ops.domain.sketch import Sketch, bins_of, from_text
from geoml_ops.domain.triggers import lower_bound
from geoml_ops.steps import estimating, references
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.places import Places
from geoml_ops.steps.readings import Seen, tiles_of
from geoml_ops.steps.standings import audits_of

#: Scenes whose tiles a diagnosis looks at: of the same key, and the last of any key.
MOST_SAME_KEY, MOST_RECENT = 12, 3
#: Fewer scenes of a key are joined by those of its time of year; older scenes say little of the season.
LEAST_SAME_KEY, RECENT = 3, timedelta(days=21)
_LEAST_NORMAL = 3


@dataclass(frozen=True)
class Standing:
    """A scene among the in-control scenes of its stream.

    Attributes:
        reference: their version; None without any.
        members: all of them, in order of acquisition.
        alike: those on comparable ground.
        same_key: those of the scene's key on comparable ground.
        charts: by family.
        scores: standardised statistics by name.
    """

    reference: Reference | None
    members: tuple[Reading, ...]
    alike: tuple[Reading, ...]
    same_key: tuple[Reading, ...]
    charts: tuple[ControlChart, ...]
    scores: Mapping[str, float]


def standing(places: Places, bundle: Bundle, reading: Reading, rules: CalibrationRules) -> Standing:
    """Returns where a scene stands; with no reference version where its acquisition is not known."""
    if not reading.key:
        return Standing(None, (), (), (), (), {})
    reference = references.current(places, bundle, reading.stream, rules)
    members = tuple(references.members(places, reference))
    alike = references.comparable(reading, members, rules.least_overlap)
    earlier = references.comparable(
        reading, references.recent(places, bundle.id, reading.stream, reading), rules.least_overlap
    )
    row = references.row_of(reading)
    assert row is not None
    charts, scores = [], {}
    for family in FAMILIES:
        found = calibration(_of_family(references.rows(alike), family, bundle), family, rules)
        charts.append(judge(found, [*references.rows(earlier), row]))
        scores.update(standard_scores(found, row))
    same = _of_season(reading, alike)
    return Standing(reference, members, tuple(alike), same, tuple(charts), scores)


@dataclass(frozen=True)
class Guess:
    """How good a scene's answers are, as far as can be said.

    Attributes:
        estimates: of accuracy, without labels.
        prior_shift: class shares under label shift.
        said: what to know of both.
        audit: lower bound of the accuracy that labels gave, and the policy's floor; None without either.
    """

    estimates: tuple[Estimate, ...] = ()
    prior_shift: Mapping[str, float] = field(default_factory=dict)
    said: str = ""
    audit: tuple[float, float] | None = None


def guessed(places: Places, bundle: Bundle, reading: Reading, rules: AuditRules) -> Guess:
    """Returns what is estimated of a scene without labels, and what the newest audit of the champion said."""
    found, why_not = estimating.estimates(places, bundle, reading.confidences)
    shares, trust = estimating.prior_shift(places, bundle, reading.statistics)
    said = " ".join(part for part in (why_not, trust) if part)
    return Guess(found, shares, said, _audited(places, bundle, rules))


def gathered(
    places: Places,
    bundle: Bundle,
    seen: Seen,
    ground: Table,
    measured: Measured,
    *,
    stand: Standing,
    guess: Guess,
    policy: CalibrationRules,
) -> Evidence:
    """Returns the evidence of one scene.

    Args:
        places: where things are.
        bundle: the champion.
        seen: the scene.
        ground: well observed tiles of the champion's training ground.
        measured: distances of the scene to it.
        stand: where the scene stands among in-control scenes.
        guess: what is estimated without labels.
        policy: how thresholds are found.
    """
    reading, shelf = seen.reading, Shelf(places.nouns)
    first = shelf.get(Prediction, reading.predictions[0])
    learned = _learned(shelf, bundle)
    bands = next((chart for chart in stand.charts if chart.family == BANDS), None)
    lately = [r for r in stand.members if _is_recent(r, reading)]
    declared = _baseline(reading)
    return Evidence(
        bands=bundle.bands,
        now=seen.tiles,
        ground=ground,
        everything=table_of(seen.everything),
        same_key=_tables(places, stand.same_key[-MOST_SAME_KEY:]),
        recent=_tables(places, lately[-MOST_RECENT:]),
        statistics=measured.statistics,
        charts=stand.charts,
        is_dated=reading.acquired is not None,
        own_key=_own_key(reading, learned, policy.by),
        may_be_fixed=policy.uncalibrated == "fixed",
        observed=_observed(bundle, reading),
        has_reference=bands.state != "no reference yet" if bands else None,
        is_known_region=_is_known(reading, learned, stand),
        normal=normal_of(stand.same_key or stand.members),
        scene=_scene(reading),
        pixel_m=first.grid.pixel_m,
        pixel_m_reference=bundle.contract.pixel_m,
        crs=first.grid.crs,
        crs_reference=learned[0].grid.crs if learned else "",
        baseline=declared,
        baselines=tuple(sorted({_baseline(r) for r in stand.members} | {s.baseline for s in learned} - {""})),
        contract=bundle.contract,
        estimates=guess.estimates,
        prior_shift=guess.prior_shift,
        audit=guess.audit,
    )


def normal_of(readings: Sequence[Reading]) -> dict[str, tuple[float, float, int]]:
    """Returns mean, standard deviation and number of scenes of each statistic that at least three of them have."""
    names = dict.fromkeys(name for reading in readings for name in _scene(reading))
    found = {}
    for name in names:
        values = np.array([v for r in readings if (v := _scene(r).get(name)) is not None], dtype=np.float64)
        if values.size >= _LEAST_NORMAL:
            found[name] = (float(values.mean()), float(values.std(ddof=1)), int(values.size))
    return found


def told(measured: Measured, bundle: Bundle, reading: Reading, stand: Standing) -> tuple[Statistic, ...]:
    """Returns the statistics with what the scene's own key adds: the standardised mean and the distance of shapes."""
    shapes = _shapes(bundle, reading, stand.same_key)
    return tuple(
        s.model_copy(
            update={"z": stand.scores.get(f"{s.column}:mean", stand.scores.get(s.column)), "js": shapes.get(s.column)}
        )
        for s in measured.statistics
    )


def _shapes(bundle: Bundle, reading: Reading, same_key: Sequence[Reading]) -> dict[str, float]:
    """Jensen-Shannon distance of each band to the scenes of the same key, in ten bins frozen on those."""
    found = {}
    for bins in bins_of(bundle.contract):
        texts = [r.sketches[bins.band] for r in same_key if bins.band in r.sketches]
        if not texts or bins.band not in reading.sketches:
            continue
        parts: list[Sketch] = [from_text(text, bins) for text in texts]
        counts = np.sum([part.counts for part in parts], axis=0)
        now = from_text(reading.sketches[bins.band], bins).counts
        if counts.sum() and sum(now):
            cuts = frozen_cuts(counts)
            found[bins.band] = float(jensen_shannon(joined(counts, cuts), joined(now, cuts)))
    return found


def _audited(places: Places, bundle: Bundle, rules: AuditRules) -> tuple[float, float] | None:
    entry = next((e for e in Archive(places.nouns).all(Entry) if e.bundle == bundle.id), None)
    audit = next(iter(audits_of(Archive(places.nouns), entry)), None)
    low = lower_bound(audit, rules.confidence) if audit and audit.n >= rules.least_units else None
    return (low, rules.floor) if low is not None and rules.floor is not None else None


def _of_family(rows: Sequence[Row], family: str, bundle: Bundle) -> list[Row]:
    """What the ground looks like is a fact of the ground; what a model says of it is compared with its own answers."""
    return [row for row in rows if family == BANDS or row.model == bundle.id]


def _scene(reading: Reading) -> dict[str, float | None]:
    return {**reading.statistics, "valid_share": reading.valid_share}


def _tables(places: Places, readings: Sequence[Reading]) -> tuple[Table, ...]:
    found = (usable(tiles_of(places, reading)) for reading in readings)
    return tuple(table for table in found if table)


def _learned(shelf: Shelf, bundle: Bundle) -> list[Scene]:
    try:
        return [shelf.get(Scene, scene) for scene in shelf.get(Version, bundle.version).scenes]
    except NotFound:
        return []


def _of_season(reading: Reading, alike: Sequence[Reading]) -> tuple[Reading, ...]:
    """In-control scenes of the key, or where they are few, of its time of year under any processing baseline.

    Radiometry is brought to the contract before anything is looked at, so another baseline shows the same ground:
    that is how an offset that a new baseline brought, and nobody declared, shows.
    """
    others = [r for r in alike if r.id != reading.id]
    same = [r for r in others if r.key == reading.key]
    if len(same) >= LEAST_SAME_KEY:
        return tuple(same)
    part = Key.parse(reading.key).part
    return tuple(r for r in others if r.key and Key.parse(r.key).part == part)


def _is_recent(other: Reading, reading: Reading) -> bool:
    if other.acquired is None or reading.acquired is None:
        return False
    return timedelta(0) < reading.acquired - other.acquired <= RECENT


def _observed(bundle: Bundle, reading: Reading) -> dict[str, float]:
    """By band, the share of pixels with a number in that band."""
    found = {}
    for bins in bins_of(bundle.contract):
        if bins.band in reading.sketches:
            one = from_text(reading.sketches[bins.band], bins)
            if one.n + one.n_nodata:
                found[bins.band] = one.n / (one.n + one.n_nodata)
    return found


def _own_key(reading: Reading, learned: Sequence[Scene], by: By) -> bool:
    """Whether the champion learned from this time of year under this baseline."""
    if not reading.key:
        return True
    key = Key.parse(reading.key)
    mine = [scene for scene in learned if not key.baseline or scene.baseline in ("", key.baseline)]
    return any(key_of(s.acquired, sensor="any", baseline="", region="any", by=by).part == key.part for s in mine)


def _is_known(reading: Reading, learned: Sequence[Scene], stand: Standing) -> bool | None:
    if stand.same_key:
        return True
    here = [scene.grid.bounds for scene in learned if scene.grid.crs == reading.crs]
    return any(bounds.overlap(reading.bounds) for bounds in here) if here else None


def _baseline(reading: Reading) -> str:
    return Key.parse(reading.key).baseline if reading.key else ""


__all__ = ["Calibration", "Guess", "Standing", "gathered", "guessed", "normal_of", "standing", "told"]
