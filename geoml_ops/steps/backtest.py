"""Replay history under another policy, beside the policy in force, and report what each would have done.

The same nouns, trail and policies give the same report, byte for byte: nothing here looks at a clock or draws.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date
from pathlib import Path
from typing import Any

from geoml_ops.adapters.configs import read_policy, read_yaml
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Bundle, Drift, Entry, Reading, Version
from geoml_ops.core.noun import digest
from geoml_ops.core.policy import Policy
from geoml_ops.domain.replay import Evaluated, Past, Truth, charted, counted
from geoml_ops.domain.triggers import Training, moment, shifted, weigh
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.places import Places
from geoml_ops.steps.readings import overlap
from geoml_ops.steps.references import row_of
from geoml_ops.steps.replaying import Asked, History, read_history
from geoml_ops.steps.standings import Known, learned, state_of

SCHEMA = 1
ASSUMED = (
    "A training takes no time of the scenes; its outcome is the gate's where that version was ever judged, "
    "and otherwise counts as a new champion.",
    "Answers are those of the models that really served; faults are named as they were recorded.",
    "A version that the policy in force trained on is known to the other policy only where it trained on it as well.",
)
_REFUSED = ("HOLD", "REJECT", "INSUFFICIENT_EVIDENCE")


def backtest(
    places: Places,
    policy: Policy,
    *,
    since: date | None = None,
    until: date | None = None,
    truth: Truth | None = None,
) -> dict[str, Any]:
    """Returns what a policy would have done over the recorded history, beside the policy in force.

    Args:
        places: where things are.
        policy: to be tried.
        since: first day that is reported; what was before is history for charts all the same.
        until: last day that is reported.
        truth: every real change; None where nobody knows.

    Raises:
        BadInput: the days are turned over.
        Refused: the audit trail was changed.
    """
    if since is not None and until is not None and until < since:
        raise BadInput(f"{since} is after {until}.", "give --since before --until")
    shelf, in_force = Archive(places.nouns), read_policy(places.policy)
    history = read_history(places)
    runs: dict[str, Any] = {}
    names: dict[str, dict[str, Drift]] = {}
    for name, tried in (("candidate", policy), ("in_force", in_force)):
        # Charts are nearly all of the work; policies that differ elsewhere share them.
        charts = digest([tried.calibration.model_dump(mode="json"), tried.drift.model_dump(mode="json")])
        named = names[charts] if charts in names else names.setdefault(charts, renamed_by(shelf, history, tried))
        evaluated = replayed(shelf, history, tried, named)
        kept = [e for e in evaluated if (since is None or e.day >= since) and (until is None or e.day <= until)]
        runs[name] = counted(kept, tried, truth, history.hours).content
        n_kept, n_scenes = len(kept), sum(e.drift is not None for e in kept)
    return {
        "schema": SCHEMA,
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
        "history": digest(_names(history)),
        "n_evaluations": n_kept,
        "n_scenes": n_scenes,
        "n_left_out": history.n_left_out,
        "false_means": "no real change" if truth is not None else "unconfirmed",
        "assumed": list(ASSUMED),
        **runs,
    }


def as_text(report: Mapping[str, Any]) -> str:
    """Returns a report as canonical JSON; the same report is the same bytes."""
    return json.dumps(report, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_truth(path: Path) -> Truth:
    """Returns the real changes that a file lists (YAML or JSON).

    Raises:
        NotFound: there is no such file.
        BadInput: a key is unknown, missing or out of range.
    """
    return read_yaml(path, Truth)


def replayed(shelf: Shelf, history: History, policy: Policy, named: Mapping[str, Drift]) -> list[Evaluated]:
    """Returns every evaluation of a history as a policy would have ruled it.

    Args:
        shelf: where the nouns are.
        history: what is replayed.
        policy: to rule by.
        named: each recorded comparison as that policy would have named it, by its recorded id.
    """
    seen: dict[str, list[Drift]] = {}
    trainings: list[Training] = []
    known: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    served: Entry | None = None
    found = []
    for asked in history.asked:
        if asked.entry is not None and (served is None or asked.entry.id != served.id):
            version = shelf.get(Bundle, asked.entry.bundle).version
            # What nobody asked for through a policy, somebody trained by hand: every policy knows it from then on.
            if version not in history.trained or known == ((), ()):
                known = _merged(known, learned(shelf, asked.entry)) if served else learned(shelf, asked.entry)
            served = asked.entry
        fresh = named.get(asked.drift.id) if asked.drift is not None else None
        if fresh is not None:
            seen.setdefault(fresh.bundle, []).append(fresh)
        evaluated, training = _evaluated(shelf, history, policy, asked, fresh, seen, known, trainings)
        found.append(evaluated)
        if training is not None:
            trainings.append(training)
            if training.outcome not in _REFUSED and asked.version is not None:
                known = _merged(known, (asked.version.scenes, asked.version.labels))
    return found


def _evaluated(
    shelf: Shelf,
    history: History,
    policy: Policy,
    asked: Asked,
    fresh: Drift | None,
    seen: Mapping[str, Sequence[Drift]],
    known: tuple[tuple[str, ...], tuple[str, ...]],
    trainings: Sequence[Training],
) -> tuple[Evaluated, Training | None]:
    past = seen.get(asked.entry.bundle, ()) if asked.entry is not None else ()
    # A naive policy looks at what is new; the others also at what stands.
    looked = fresh or (past[-1] if past and policy.kind != "naive" else None)
    facts = Known(asked.entry, asked.version, looked, past, *known, trainings, asked.audits)
    state = state_of(shelf, facts, policy.calibration)
    if fresh is None and state.standing and policy.kind != "naive":
        state = state_of(shelf, Known(**{**vars(facts), "drift": state.standing[0].drift}), policy.calibration)
    ruling = weigh(state, policy)
    spoke = next((d.stream for d in (*past, *((looked,) if looked else ())) if d.id == ruling.drift), "")
    stands = any(fresh is not None and s.drift.id == fresh.id for s in state.standing)
    alarm = bool(fresh is not None and shifted(fresh)) if policy.kind == "naive" else stands
    evaluated = Evaluated(
        day=asked.when.astimezone(UTC).date(),
        drift=fresh,
        drift_id=asked.drift.id if asked.drift is not None else "",
        recorded=asked.drift.diagnosis.cause if asked.drift is not None else "",
        spoke=spoke,
        alarm=alarm,
        rule=ruling.rule,
        action=ruling.action,
        fired=ruling.fired,
        suppressed=ruling.suppressed,
        version=state.version,
        confirmed=(spoke or (fresh.stream if fresh else "")) in history.confirmed,
    )
    if not ruling.fired:
        return evaluated, None
    training = Training(
        retrain=f"training {len(trainings) + 1} of the replay",
        rule=ruling.rule,
        champion=state.entry,
        version=state.version,
        at=moment(state.drift, state.scenes),
        labels=frozenset(labels.id for labels in state.labels),
        outcome=history.outcomes.get(state.version, "an unknown verdict"),
        hours=history.hours,
    )
    return evaluated, training


def renamed_by(shelf: Shelf, history: History, policy: Policy) -> dict[str, Drift]:
    """Returns each recorded comparison as the policy would have named it, by its recorded id."""
    by_stream: dict[str, list[Past]] = {}
    for asked in history.asked:
        if asked.drift is not None:
            by_stream.setdefault(asked.drift.stream, []).append(_past(shelf, asked.drift, history))
    bundles = {past.drift.bundle for scenes in by_stream.values() for past in scenes}
    known = {bundle: frozenset(shelf.get(Version, shelf.get(Bundle, bundle).version).scenes) for bundle in bundles}
    least = policy.calibration.least_overlap

    def alike(one: Past, other: Past) -> bool:
        if one.bounds is None or other.bounds is None or one.crs != other.crs:
            return False
        return overlap(one.bounds, other.bounds) >= least

    return {
        past.drift.id: made
        for scenes in by_stream.values()
        for past, made in zip(scenes, charted(scenes, policy, alike, known), strict=True)
    }


def _past(shelf: Shelf, drift: Drift, history: History) -> Past:
    if not drift.reading:
        return Past(drift)
    reading = shelf.get(Reading, drift.reading)
    scenes, accepted = frozenset(reading.scenes), reading.id in history.accepted
    return Past(drift, row_of(reading), reading.bounds, reading.crs, scenes, accepted)


def _merged(
    one: tuple[tuple[str, ...], tuple[str, ...]], other: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    scenes, labels = (tuple(dict.fromkeys([*mine, *theirs])) for mine, theirs in zip(one, other, strict=True))
    return scenes, labels


def _names(history: History) -> list[Any]:
    asked = [
        [a.when.isoformat(), *(noun.id if noun is not None else "" for noun in (a.drift, a.version, a.entry))]
        for a in history.asked
    ]
    return [asked, sorted(history.outcomes.items()), sorted(history.accepted)]
