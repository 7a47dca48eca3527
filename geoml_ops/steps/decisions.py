"""Weigh the triggers: what is known becomes a decision, and a decision that fires becomes a retrain event.

Apart from ``steps/watch.py`` so that asking for a decision does not load Evidently.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Retrain, Version
from geoml_ops.core.policy import Policy
from geoml_ops.domain.triggers import Ruling, State, Training, weigh
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps import trail
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.gathering import champion, drifts_of, gather
from geoml_ops.steps.places import Places
from geoml_ops.steps.standings import Known, audits_of, learned, standing_drifts, state_of, trainings_of

__all__ = ["champion", "count", "decide", "drifts_of", "gather", "weighed"]


def weighed(places: Places, version_id: str) -> bool:
    """Returns whether a decision about this version is on record."""
    return any(decision.version == version_id for decision in Archive(places.nouns).all(Decision))


def count(places: Places) -> int:
    """Returns how many decisions are on the shelf, in the trail or not."""
    return sum(1 for _ in Archive(places.nouns).all(Decision))


def decide(
    places: Places, drift_id: str, version_id: str, *, now: datetime | None = None
) -> tuple[Decision, Retrain | None]:
    """Returns the decision about a drift and a version, and the retrain event when it fires.

    Every evaluation, fired or not, is appended to the audit trail. The same drift, version, champion and policy give
    the same two nouns while nothing else changed. A champion and a version start one training at most, and one runs at
    a time; an event whose training led to a bundle already is not given out again.

    Args:
        places: where things are.
        drift_id: what was just compared; empty for what stands.
        version_id: the version that arrived; empty for the newest.
        now: when this is asked, for the trail; this moment if left out.

    Raises:
        NotFound: an id names nothing.
        Refused: the audit trail was changed.
        Unavailable: the registry does not answer.
    """
    began, at = time.monotonic(), now or datetime.now(UTC)
    shelf, policy = Archive(places.nouns), read_policy(places.policy)
    with only_one(places.workspace / "locks" / "decide.lock"):
        trail.settle(places, at)
        trail.keep_policy(places, policy)
        entry, version = champion(places), _version(shelf, version_id)
        if entry is not None:
            # A decision names its champion, so a replay has to find it.
            shelf.put(entry)
        history = drifts_of(places, entry.bundle) if entry else []
        drift = _looked_at(shelf, drift_id, history, policy)
        asked = trainings_of(shelf, entry, trail.lost(places, policy, at), trail.hours(places))
        before = _same_question(shelf, policy, entry, version, drift)
        if before is not None and not _is_over(before, asked):
            return before, _unanswered(shelf, shelf.put(_retrain(before)))
        scenes, labels = learned(shelf, entry)
        known = Known(entry, version, drift, history, scenes, labels, asked, audits_of(shelf, entry))
        state = state_of(shelf, known, policy.calibration)
        ruling = weigh(state, policy)
        decision = _decision(policy, state, ruling)
        retrain = _retrain(decision) if decision.fired else None
        spoke = shelf.get(Drift, ruling.drift) if ruling.drift else drift
        record = trail.record_of(
            decision, state=state, spoke=spoke, policy=policy, retrain=retrain, now=at, seconds=time.monotonic() - began
        )
        trail.keep(places, record, decision, retrain)
    logger("watch").info("decided", decision=decision.id, action=decision.action, fired=decision.fired)
    return decision, retrain


def _version(shelf: Shelf, version_id: str) -> Version | None:
    if version_id:
        return shelf.get(Version, version_id)
    return next(reversed(list(shelf.all(Version))), None)


def _looked_at(shelf: Shelf, drift_id: str, history: list[Drift], policy: Policy) -> Drift | None:
    if drift_id:
        return shelf.get(Drift, drift_id)
    standing = standing_drifts(shelf, history, policy.calibration)
    return next(iter([*standing, *history[-1:]]), None)


def _same_question(
    shelf: Shelf, policy: Policy, entry: Entry | None, version: Version | None, drift: Drift | None
) -> Decision | None:
    """Returns the decision that started a training when exactly this was asked before, or None."""
    asked = (drift.id if drift else "", version.id if version else "", entry.id if entry else "", policy.id)
    fired = (d for d in shelf.all(Decision) if d.fired)
    return next((d for d in fired if (d.drift, d.version, d.champion, d.policy) == asked), None)


def _is_over(fired: Decision, trainings: Sequence[Training]) -> bool:
    """Returns whether its training came to a verdict: then the same question has another answer."""
    return any(t.outcome for t in trainings if t.retrain == _retrain(fired).id)


def _decision(policy: Policy, state: State, ruling: Ruling) -> Decision:
    return Decision(
        drift=state.drift.id if state.drift else "",
        version=state.version,
        champion=state.entry,
        policy=policy.id,
        rule=ruling.rule,
        action=ruling.action,
        fired=ruling.fired,
        suppressed=ruling.suppressed,
        because=ruling.because,
    )


def _retrain(decision: Decision) -> Retrain:
    return Retrain(decision=decision.id, version=decision.version, because=decision.because)


def _unanswered(shelf: Shelf, retrain: Retrain) -> Retrain | None:
    return None if any(bundle.version == retrain.version for bundle in shelf.all(Bundle)) else retrain
