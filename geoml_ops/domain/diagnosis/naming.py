"""The cause that explains a scene best: faults by their pattern, then changes that an alarm stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import Action, Cause, Diagnosis
from geoml_ops.domain.diagnosis.absent import is_rounded_away, missing_band, nodata_surge
from geoml_ops.domain.diagnosis.changes import change, standing
from geoml_ops.domain.diagnosis.clouds import clouds
from geoml_ops.domain.diagnosis.elsewhere import elsewhere
from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.diagnosis.geometry import blurred, moved, other_grid
from geoml_ops.domain.diagnosis.looking import Finding, Look
from geoml_ops.domain.diagnosis.matching import PARTS, matched, rows
from geoml_ops.domain.diagnosis.radiometry import numbers_moved
from geoml_ops.domain.diagnosis.small import by_charts
from geoml_ops.domain.diagnosis.swaps import swap
from geoml_ops.domain.drift import UNCALIBRATED, Table

_CURES: dict[Cause, tuple[Action, str]] = {
    "undeclared offset": ("fix ingest", "Fix the ingest; a model must not learn it."),
    "gain": ("fix ingest", "Fix the ingest; a model must not learn it."),
    "band swap": ("fix ingest", "Name the bands right at the ingest."),
    "missing band": ("fix ingest", "Deliver the band."),
    "unit or scale": ("fix ingest", "Bring the numbers to the contract's unit at the ingest."),
    "resampling or CRS": ("fix ingest", "Deliver the scene on its own grid."),
    "cloud or nodata surge": ("ignore", "Wait for a clearer scene; nothing is to be learned from this one."),
}
_BY_PATTERN = (swap, numbers_moved, clouds, moved, blurred)


def diagnose(evidence: Evidence, rules: DriftRules) -> Diagnosis:
    """Returns the named cause of how a scene differs from what is known, with the numbers it rests on.

    Integrity first (what is not there), then faults of the delivery, which one scene shows by its pattern, then
    changes of the ground, which need an alarm that stands or the fixed thresholds while nothing is calibrated. Where
    two faults come together the one that explains most is named, the other is in ``others``.

    Args:
        evidence: all that is known; only ``bands`` and ``now`` are needed.
        rules: fixed limits, for what no calm scenes say.
    """
    # Numbers come from outside and may be of any size: what is not finite is not used, and is no warning.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _diagnosed(evidence, rules)


def _diagnosed(evidence: Evidence, rules: DriftRules) -> Diagnosis:
    if evidence.other_crs:
        # Coordinates of two systems say nothing about each other.
        evidence = replace(evidence, ground=_nowhere(evidence.ground))
    surge = nodata_surge(evidence)
    absent, grid = missing_band(evidence), other_grid(evidence)
    if absent is not None or grid is not None:
        return _named([*_beside(evidence, rules, absent), *_some(grid), *_some(surge)], "")
    unknown = _unknown(evidence, rules)
    if unknown is not None:
        return _named([surge], "") if surge is not None else by_charts(evidence, rules) or unknown
    found = matched(evidence, rules)
    if found is not None:
        look = Look(found, found.pair, rules, evidence.contract)
        findings = [*_by_pattern(look), *_some(surge)]
        numbers: dict[str, float | None] = {"spreads off": float(np.mean(look.off))}
        calibration = "" if look.past or standing(evidence, rules).calibrated else UNCALIBRATED
        return _named(findings, calibration) if findings else _changed(evidence, rules, numbers)
    told = elsewhere(evidence, rules) if surge is None else surge
    if isinstance(told, Diagnosis):
        return told
    return _named([told], "") if told is not None else _changed(evidence, rules, {})


def _beside(evidence: Evidence, rules: DriftRules, absent: Finding | None) -> list[Finding]:
    """Bands that are not there, and what the others show; small numbers that a scale rounded away come second."""
    if absent is None:
        return []
    others = replace(evidence, bands=tuple(b for b in evidence.bands if b not in absent.bands))
    found = matched(others, rules) if others.bands and _unknown(others, rules) is None else None
    if found is None:
        return [absent]
    findings = _by_pattern(Look(found, found.pair, rules, evidence.contract))
    scale = [f for f in findings if f.cause == "unit or scale" and not f.bands]
    rest = [f for f in findings if f not in scale]
    return [*scale, absent, *rest] if is_rounded_away(evidence, absent) else [absent, *findings]


def _nowhere(table: Table) -> Table:
    return {name: column for name, column in table.items() if name not in ("easting", "northing")}


def _some(finding: Finding | None) -> list[Finding]:
    return [] if finding is None else [finding]


def _unknown(evidence: Evidence, rules: DriftRules) -> Diagnosis | None:
    """Why tiles cannot be compared at all; None where they can."""
    is_known = bool(rows(evidence.ground) or evidence.same_key or evidence.recent)
    facts = [] if evidence.bands else ["the champion names no band"]
    n = rows(evidence.now)
    if n < rules.least_tiles:
        facts.append(f"{n} recent tiles are at least half observed; {rules.least_tiles} are needed")
    facts += _lacking(evidence.now, evidence.bands, "recent")
    if not is_known:
        sentence = "The champion has no reference tiles, so nothing can be compared."
        return Diagnosis(cause="no reference", action="look", sentence=sentence)
    return _cannot(facts) if facts else _of_reference(evidence, rules)


def _of_reference(evidence: Evidence, rules: DriftRules) -> Diagnosis | None:
    if evidence.same_key or evidence.recent:
        return None
    n, facts = rows(evidence.ground), []
    if n < rules.least_tiles:
        facts.append(f"{n} reference tiles are at least half observed; {rules.least_tiles} are needed")
    facts += _lacking(evidence.ground, evidence.bands, "reference")
    return _cannot(facts) if facts else None


def _lacking(table: Table, bands: tuple[str, ...], who: str) -> list[str]:
    if not rows(table):
        return []
    gaps = [
        b for b in bands
        if any(f"{b}:{part}" not in table or np.isnan(table[f"{b}:{part}"]).any() for part in PARTS if part != "p50")
    ]  # fmt: skip
    return [f"the {who} tiles lack numbers for {', '.join(gaps)}"] if gaps else []


def _cannot(facts: list[str]) -> Diagnosis:
    sentence = f"No comparison: {'; '.join(facts)}. Missing numbers are not good news."
    return Diagnosis(cause="cannot tell", action="look", sentence=sentence)


def _by_pattern(look: Look) -> list[Finding]:
    """Faults that the tiles show, best first; a second one only where undoing the first leaves it."""
    first = _best(look)
    if not first:
        return []
    best = first[0]
    if best.undone is None:
        return first
    second = [f for f in _best(look.without(best)) if f.cause != best.cause]
    rest = [f for f in first[1:] if f.cause not in {s.cause for s in second}]
    return [best, *second, *rest]


def _best(look: Look) -> list[Finding]:
    found = [finding for finding in (find(look) for find in _BY_PATTERN) if finding is not None]
    return sorted(found, key=lambda finding: -finding.rank)


def _named(findings: list[Finding], calibration: str) -> Diagnosis:
    best = findings[0]
    action, cure = _CURES[best.cause]
    also = [f for f in findings[1:] if f.cause != best.cause]
    return Diagnosis(
        cause=best.cause,
        action=action,
        sentence=f"{best.sentence}. {cure} {calibration}".strip(),
        evidence={name: value if value is None or np.isfinite(value) else None for name, value in best.numbers.items()}
        | {"explained": round(best.score, 4)},
        others={f.cause: round(f.score, 4) for f in reversed(also)},
        bands=best.bands,
        picture=best.picture,
    )


def _changed(evidence: Evidence, rules: DriftRules, numbers: dict[str, float | None]) -> Diagnosis:
    told = change(evidence, rules)
    return told.model_copy(update={"evidence": {**told.evidence, **numbers}})
