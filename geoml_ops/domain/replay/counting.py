"""What a policy did over a history, in numbers: alarms, trainings, false ones, delay, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from geoml_ops.core.flow import Drift
from geoml_ops.core.policy import Policy
from geoml_ops.core.watched import Action
from geoml_ops.domain.replay.truth import Change, Truth
from geoml_ops.domain.streams import FAULTS

_SILENT = FAULTS | {"cannot tell", "no reference"}
_DRIVEN = ("drift", "label shift", "naive", "audit")


@dataclass(frozen=True)
class Evaluated:
    """One evaluation under one policy.

    Attributes:
        day: of the scene, else the day on which it was logged or asked.
        drift: what was looked at, as the policy names it; None for nothing new.
        drift_id: its id as it was recorded.
        recorded: its cause as it was recorded; empty without one.
        spoke: stream of the drift that the ruling rests on; empty where it rests on none.
        alarm: whether the policy takes the scene for drift that stands.
        rule: that spoke.
        action: what followed.
        fired: whether a training started.
        suppressed: why one was held back.
        version: it would have learned from.
        confirmed: whether something later bore out that this stream drifted.
    """

    day: date
    drift: Drift | None
    drift_id: str
    recorded: str
    spoke: str
    alarm: bool
    rule: str
    action: Action
    fired: bool
    suppressed: str
    version: str
    confirmed: bool = False

    @property
    def stream(self) -> str:
        """Of what was looked at; empty for nothing."""
        return self.drift.stream if self.drift is not None else ""


@dataclass(frozen=True)
class Tallied:
    """Numbers of one policy, as plain JSON values."""

    content: dict[str, Any]


def counted(evaluated: Sequence[Evaluated], policy: Policy, truth: Truth | None, hours: float | None) -> Tallied:
    """Returns what a policy did, in numbers.

    With the truth an alarm is false where no change was there on its day, and a training that drift, audit or the
    naive rule asked for is false where no change was there that training cures. Without it both are unconfirmed where
    nothing later bore them out.

    Args:
        evaluated: in the order of history.
        policy: they were ruled by.
        truth: every real change; None where nobody knows.
        hours: of computing that a training takes; None where nobody counted.
    """
    alarms, asked = _episodes(evaluated, alarms=True), _episodes(evaluated, alarms=False)
    fired = [one for one in evaluated if one.fired]
    minutes = policy.budget.label_units * policy.budget.label_minutes
    content: dict[str, Any] = {
        "policy": policy.name,
        "id": policy.id,
        "kind": policy.kind,
        "alarms": [_told(one, _false_alarm(one, truth)) for one in alarms],
        "label_rounds": [_told(one, None) for one in asked],
        "trainings": [{**_told(one, _false_training(one, truth)), "rule": one.rule} for one in fired],
        "held_back": sum(bool(one.suppressed) and not one.fired for one in evaluated),
        "n_alarms": len(alarms),
        "n_false_alarms": sum(_false_alarm(one, truth) is True for one in alarms),
        "n_trainings": len(fired),
        "n_false_trainings": sum(_false_training(one, truth) is True for one in fired),
        "cost": {
            "training_hours": None if hours is None else round(hours * len(fired), 4),
            "label_minutes": minutes * len(asked),
        },
        "delays": [_delay(change, evaluated, alarms, asked, fired) for change in truth.changes] if truth else None,
    }
    return Tallied(content)


def _episodes(evaluated: Sequence[Evaluated], *, alarms: bool) -> list[Evaluated]:
    """Returns where alarms, or requests for labels, begin: one that goes on in its stream is the same one."""
    on: dict[str, bool] = {}
    found = []
    for one in evaluated:
        if alarms:
            stream, now, silent = one.stream, one.alarm, one.drift is None or one.drift.diagnosis.cause in _SILENT
        else:
            stream, now, silent = one.spoke or one.stream, one.action == "collect labels", one.action == "fix ingest"
        if silent and not now:
            continue
        if now and not on.get(stream, False):
            found.append(one)
        on[stream] = now
    return found


def _false_alarm(one: Evaluated, truth: Truth | None) -> bool:
    """Whether an alarm was false, or without the truth unconfirmed."""
    if truth is not None:
        return not any(change.covers(one.stream, one.day) for change in truth.changes)
    return one.recorded in FAULTS | {"season as expected"} or not one.confirmed


def _false_training(one: Evaluated, truth: Truth | None) -> bool | None:
    """As for alarms; None for trainings that no evidence of drift asked for."""
    if one.rule not in _DRIVEN:
        return None
    stream = one.spoke or one.stream
    if truth is not None:
        return not any(c.is_cured_by_training and _since(c, stream, one.day) for c in truth.changes)
    return one.recorded in FAULTS | {"season as expected"} or not one.confirmed


def _since(change: Change, stream: str, day: date) -> bool:
    """Labels come when they come: a training for a change that has passed was still for a change."""
    return (not stream or change.stream in ("", stream)) and change.since <= day


def _told(one: Evaluated, is_false: bool | None) -> dict[str, Any]:
    return {
        "day": one.day.isoformat(),
        "stream": one.spoke or one.stream,
        "drift": one.drift_id,
        "cause": one.drift.diagnosis.cause if one.drift is not None else "",
        "recorded": one.recorded,
        "version": one.version,
        "false": is_false,
    }


def _delay(
    change: Change,
    evaluated: Sequence[Evaluated],
    alarms: Sequence[Evaluated],
    asked: Sequence[Evaluated],
    fired: Sequence[Evaluated],
) -> dict[str, Any]:
    """Days, and scenes, from the first scene of a change to what followed; None where nothing did."""
    begin = min((e.day for e in evaluated if e.drift and change.covers(e.stream, e.day)), default=None)
    told: dict[str, Any] = {**change.model_dump(mode="json"), "first_scene": begin.isoformat() if begin else None}
    driven = [e for e in fired if e.rule in _DRIVEN]
    for name, events in (("alarm", alarms), ("labels", asked), ("training", driven)):
        told[f"days_to_{name}"] = told[f"scenes_to_{name}"] = None
        after = [e for e in events if begin and e.day >= begin and _within(change, e, name)]
        if begin is None or not after:
            continue
        first = after[0]
        stream = first.spoke or first.stream
        scenes = {e.drift_id for e in evaluated if e.drift and e.stream == stream and begin <= e.day <= first.day}
        told[f"days_to_{name}"] = (first.day - begin).days
        told[f"scenes_to_{name}"] = len(scenes)
    return told


def _within(change: Change, one: Evaluated, what: str) -> bool:
    stream = one.spoke or one.stream
    return change.covers(stream, one.day) if what == "alarm" else _since(change, stream, one.day)
