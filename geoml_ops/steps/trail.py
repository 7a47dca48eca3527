"""The audit trail of decisions: one record of each evaluation, and one of what came of each training it started.

What is to be kept is written into one small file first, nouns and record together. From then on it counts: whoever
comes next puts the nouns on the shelf and the record into the trail, which both do nothing a second time, and removes
the file. So a step that is killed anywhere loses nothing and doubles nothing, and its record keeps its time.

An answer that does not change is kept once a day (UTC): a patrol that finds all as it was leaves one line a day.
An evaluation that started a training is kept once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from geoml_ops import __version__
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.trail import Entry, Head, Inspection, Trail
from geoml_ops.core.errors import GeomlError, Refused
from geoml_ops.core.flow import NOUNS, Decision, Drift, Judgement, Retrain
from geoml_ops.core.noun import Noun
from geoml_ops.core.policy import Policy
from geoml_ops.core.trail import Cost, TrailRecord
from geoml_ops.domain.drift import CLASS_SHARES
from geoml_ops.domain.triggers import State, lower_bound
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.places import Places
from geoml_ops.steps.standings import outcomes_of, verdict_of

_PENDING = "pending.json"


def trail_of(places: Places) -> Trail:
    """Returns the trail of a deployment."""
    return Trail(places.workspace / "trail")


def show(places: Places, *, after: int = 0, stream: str = "", fired: bool = False) -> Iterator[Entry]:
    """Yields records of the trail, oldest first.

    Args:
        places: where things are.
        after: number of the record to go on after.
        stream: only of this one; empty for all.
        fired: only those that started a training.

    Raises:
        Refused: something does not fit; :func:`verify` tells all that does not.
    """
    for entry in trail_of(places).read(after):
        if stream in ("", entry.record.stream) and (entry.record.fired or not fired):
            yield entry


def verify(places: Places, noted: Sequence[Head] = ()) -> Inspection:
    """Returns what is wrong with the trail, if anything; ``noted`` heads were kept elsewhere."""
    return trail_of(places).verify(noted)


def require_whole(places: Places) -> None:
    """Lets a trail through that is as it was written, every line of it.

    Raises:
        Refused: a line was changed, is missing or stands where another belongs.
    """
    flaws = verify(places).flaws
    if flaws:
        at = f"{flaws[0].file}, line {flaws[0].line}" if flaws[0].line else flaws[0].file
        raise Refused(
            f"The audit trail was altered: {at}: {flaws[0].what.rstrip('.')}.",
            "see all of it with geoml trail verify; restore the folder, or move it aside for those who investigate",
        )


def settle(places: Places, now: datetime | None = None) -> tuple[TrailRecord, ...]:
    """Keeps what a killed step left to keep, and what came of trainings since; returns the records of outcomes.

    Each training that a recorded decision started has one record of its outcome, however often this is called.

    Raises:
        Refused: the trail does not end as its head says, or what was left to keep was altered.
    """
    with only_one(_folder(places) / ".lock"):
        _finish(places)
        # An answer that is on record already appends nothing, and must not be given beside an altered trail.
        trail_of(places).extend(())
        shelf = Archive(places.nouns)
        outcomes, kept = outcomes_of(shelf), []
        for retrain in shelf.all(Retrain):
            decision = shelf.get(Decision, retrain.decision)
            verdict = verdict_of(outcomes, retrain, decision)
            told = _mark(places, decision.id)
            if verdict is None or not told or _mark(places, retrain.id):
                continue
            seconds = _seconds(shelf, retrain, verdict)
            record = _outcome(retrain, decision, verdict, now or datetime.now(UTC), seconds)
            record = record.model_copy(update={"stream": str(told.get("stream", ""))})
            _begin(places, record, (), retrain.id, {"verdict": verdict.id, "seconds": seconds})
            _finish(places)
            kept.append(record)
    return tuple(kept)


def keep(places: Places, record: TrailRecord, decision: Decision, retrain: Retrain | None) -> bool:
    """Puts a decision on the shelf and its record into the trail; returns whether a record was written.

    The same decision is recorded once a day, and once ever where it started a training.

    Raises:
        Refused: the trail does not end as its head says; it is kept as soon as the trail was put right.
    """
    with only_one(_folder(places) / ".lock"):
        _finish(places)
        told = _mark(places, decision.id)
        nouns = [decision, *([retrain] if retrain is not None else [])]
        if told and (decision.fired or datetime.fromisoformat(told["at"]).date() == record.at.date()):
            for noun in nouns:
                Shelf(places.nouns).put(noun)
            return False
        _begin(places, record, nouns, decision.id, {"stream": record.stream})
        _finish(places)
    return True


def keep_policy(places: Places, policy: Policy) -> None:
    """Keeps a policy under its id, so that every id in the trail can be read."""
    path = _folder(places) / f"{policy.id}.json"
    if not path.exists():
        write_json(path, policy.model_dump(mode="json"))


def lost(places: Places, policy: Policy, now: datetime) -> tuple[str, ...]:
    """Returns ids of events whose training has been without verdict for longer than the policy waits.

    An event from before there was a trail is not waited for: nobody knows when it was.
    """
    shelf, limit = Archive(places.nouns), timedelta(hours=policy.budget.lost_after_hours)
    found = []
    for retrain in shelf.all(Retrain):
        told = _mark(places, retrain.decision)
        if not told or now - datetime.fromisoformat(told["at"]) > limit:
            found.append(retrain.id)
    return tuple(found)


def hours(places: Places) -> dict[str, float]:
    """Returns hours of trainings that came to a verdict, by id of their event; without those nobody counted."""
    marks = {retrain.id: _mark(places, retrain.id) for retrain in Archive(places.nouns).all(Retrain)}
    return {name: told["seconds"] / 3600 for name, told in marks.items() if told.get("seconds") is not None}


def record_of(
    decision: Decision,
    *,
    state: State,
    spoke: Drift | None,
    policy: Policy,
    retrain: Retrain | None,
    now: datetime,
    seconds: float,
) -> TrailRecord:
    """Returns the record of an evaluation: what was looked at, its numbers and limits, and what followed.

    Args:
        decision: its outcome.
        state: what was known.
        spoke: the drift that the decision rests on, else what was looked at.
        policy: it was weighed under.
        retrain: the event, where a training starts.
        now: when.
        seconds: that it took.
    """
    statistics, thresholds = _numbers(state, spoke, policy)
    looked = [drift for drift in (state.drift, spoke) if drift is not None]
    inputs = [decision.id, *(i for d in looked for i in (d.id, d.reading, d.reference))]
    inputs += [decision.version, decision.champion, *(audit.accuracy for audit in state.audits[:1])]
    asked = (
        policy.budget.label_units * policy.budget.label_minutes / 60 if decision.action == "collect labels" else None
    )
    return TrailRecord(
        at=now,
        stream=spoke.stream if spoke else "",
        inputs=tuple(dict.fromkeys(i for i in inputs if i)),
        statistics=statistics,
        thresholds=thresholds,
        policy=policy.id,
        action=decision.action,
        fired=decision.fired,
        because=decision.because,
        suppressed=decision.suppressed,
        run=retrain.id if retrain else "",
        cost=Cost(seconds=round(seconds, 3), label_hours=asked),
        engine=__version__,
    )


def _numbers(
    state: State, drift: Drift | None, policy: Policy
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    found: dict[str, tuple[float | None, float | None]] = {}
    if drift is not None:
        found["drifted_share"] = drift.drifted_share, policy.drift.drifted_share
        for s in drift.statistics:
            fixed = policy.drift.class_share_distance if s.column == CLASS_SHARES else drift.threshold
            found[f"distance:{s.column}"] = s.distance, fixed
        for chart in drift.charts:
            found[f"{chart.family}:value"] = chart.value, chart.threshold
            found[f"{chart.family}:path"] = chart.path, chart.limit
        for e in drift.estimates:
            least = None if e.expected is None else e.expected - policy.on_drift.accuracy_drop
            found[f"accuracy:{e.method}"] = e.value, least
    one = next((s for s in state.standing if drift is not None and s.drift.id == drift.id), None)
    if one is not None:
        found["outside_share"] = one.outside, policy.on_drift.most_outside
    for audit in state.audits[:1]:
        found["audit:low"] = lower_bound(audit, policy.audit.confidence), policy.audit.floor
    return {k: v for k, (v, _) in found.items()}, {k: limit for k, (_, limit) in found.items()}


def _outcome(
    retrain: Retrain, decision: Decision, verdict: Judgement, now: datetime, seconds: float | None
) -> TrailRecord:
    reason = verdict.reason or "; ".join(verdict.objections)
    inputs = dict.fromkeys((decision.id, retrain.version, verdict.challenger, verdict.champion))
    took = "" if seconds is None else f" {seconds:.0f} s after it was asked for"
    return TrailRecord(
        at=now,
        inputs=tuple(i for i in inputs if i),
        statistics={"difference": verdict.difference.value, "detectable": verdict.detectable},
        thresholds={"difference": verdict.margin, "detectable": None},
        policy=decision.policy,
        action="none",
        fired=False,
        because=f"{retrain.id} ended with {verdict.outcome}{took}. {reason}".strip(),
        run=retrain.id,
        verdict=verdict.id,
        cost=Cost(seconds=seconds or 0.0),
        engine=__version__,
    )


def _seconds(shelf: Shelf, retrain: Retrain, verdict: Judgement) -> float | None:
    """Returns how long the verdict came after the event, by their files; None where it was there before."""
    asked, said = (shelf.path_of(noun.id).stat().st_mtime for noun in (retrain, verdict))
    return round(said - asked, 1) if said > asked else None


def _folder(places: Places) -> Path:
    return places.workspace / "evaluations"


def _mark(places: Places, noun_id: str) -> dict[str, Any]:
    """Returns what was noted when a decision or an outcome was recorded; nothing where none was."""
    try:
        told = read_json(_folder(places) / f"{noun_id}.json")
        datetime.fromisoformat(told["at"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(f"The note on {noun_id} was altered.", "restore it from a backup") from None
    return dict(told)


def _begin(places: Places, record: TrailRecord, nouns: Sequence[Noun], mark: str, facts: Mapping[str, object]) -> None:
    content = {
        "record": record.as_json(),
        "nouns": [[noun.kind, noun.as_json()] for noun in nouns],
        "mark": mark,
        "facts": {**facts, "at": record.at.isoformat(), "evaluation": record.id},
    }
    write_json(_folder(places) / _PENDING, content)


def _finish(places: Places) -> None:
    """Does what was begun, all of it again where some of it was done already."""
    path = _folder(places) / _PENDING
    if not path.exists():
        return
    try:
        content = read_json(path)
        record = TrailRecord.from_json(json.dumps(content["record"]))
        nouns = [NOUNS[kind].from_json(told) for kind, told in content["nouns"]]
        mark, facts = str(content["mark"]), dict(content["facts"])
    except (ValueError, KeyError, TypeError, GeomlError) as error:
        raise Refused(
            f"{path} is not what was written: {str(error)[:120]}.", "restore it from a backup, or move it aside"
        ) from None
    for noun in nouns:
        Shelf(places.nouns).put(noun)
    number = trail_of(places).append(record)
    write_json(_folder(places) / f"{mark}.json", {**facts, "number": number})
    path.unlink()
    logger("watch").info("recorded", evaluation=record.id, number=number, fired=record.fired)
