"""The other triggers: the first version, each new one, a calendar, age, and an audit by labels."""

from __future__ import annotations

from datetime import datetime
from statistics import NormalDist

from geoml_ops.core.policy import Policy
from geoml_ops.domain.triggers.state import Audit, Ruling, State

FIRST, NEW_VERSION, SCHEDULE, AGE, AUDIT = "first", "new version", "schedule", "age", "audit"
_STATED = 0.95


def first(state: State, policy: Policy) -> Ruling:
    """Returns what is due before there is a champion."""
    if not state.has_version:
        return Ruling("none", False, "There is no champion and no accepted version yet.")
    usable = [labels for labels in state.labels if labels.use == "learning"]
    if not usable or not state.scenes:
        lacks = " and ".join(w for w, there in (("scenes", state.scenes), ("labels", usable)) if not there)
        return Ruling("collect labels", False, f"There is no champion yet, and the version lacks {lacks}.", FIRST)
    if policy.new_version == "never":
        because = f"There is no champion yet; policy {policy.name!r} leaves trainings to people."
        return Ruling("look", False, because, FIRST)
    names = ", ".join(labels.name for labels in usable)
    because = f"first version: there is no champion yet, and {names} hold(s) labels to learn from."
    return Ruling("retrain", True, because, FIRST)


def each_version(state: State, policy: Policy) -> Ruling | None:
    """Returns a training where the policy wants one on every version and this one is new."""
    if policy.new_version != "always" or not state.has_version or state.is_champions:
        return None
    because = f"Policy {policy.name!r} trains on every new version; {state.champion} knows an older one."
    return Ruling("retrain", True, because, NEW_VERSION)


def schedule(state: State, policy: Policy) -> Ruling | None:
    """Returns a training where so many days of the scenes' time passed since the last, whatever came of that one."""
    newest, since = _newest(state), _since(state, *(t.at for t in state.trainings))
    if policy.every_days is None or state.is_champions or not state.has_version or newest is None or since is None:
        return None
    days = (newest - since).days
    if days < policy.every_days:
        return None
    because = (
        f"{days} days of the scenes' time passed since the last training ({since:%Y-%m-%d} to {newest:%Y-%m-%d}); "
        f"policy {policy.name!r} trains every {policy.every_days} where there is something new."
    )
    return Ruling("retrain", True, because, SCHEDULE)


def age(state: State, policy: Policy) -> Ruling | None:
    """Returns a training where what the champion learned from is too old and there is something newer."""
    newest, known = _newest(state), _since(state, *(t.at for t in state.trainings if t.rule == AGE))
    if policy.longest_age_days is None or state.is_champions or not state.has_version or newest is None:
        return None
    if known is None or (newest - known).days < policy.longest_age_days:
        return None
    because = (
        f"There is a scene of {newest:%Y-%m-%d}, {(newest - known).days} days after the newest that {state.champion} "
        f"learned from ({known:%Y-%m-%d}); the policy allows {policy.longest_age_days}."
    )
    return Ruling("retrain", True, because, AGE)


def lower_bound(audit: Audit, confidence: float) -> float | None:
    """Returns the lower end of the two-sided interval of overall accuracy; None where the design gives none.

    The stated half-width belongs to 95 %; another confidence stretches it by the ratio of normal quantiles.

    >>> round(lower_bound(Audit("accuracy-1", 100, 0.8, 0.08), 0.95), 3)
    0.72
    """
    if audit.half is None:
        return None
    quantile = NormalDist().inv_cdf
    return audit.overall - audit.half * quantile(0.5 + confidence / 2) / quantile(0.5 + _STATED / 2)


def audited(state: State, policy: Policy) -> Ruling | None:
    """Returns what the newest large enough audit asks for where its lower bound is below the floor."""
    rules = policy.audit
    large = [a for a in state.audits if a.n >= rules.least_units]
    if rules.floor is None or not large:
        return None
    audit = large[0]
    low = lower_bound(audit, rules.confidence)
    if low is None or low >= rules.floor:
        return None
    said = (
        f"Concept change: {audit.n} labelled units put the accuracy of {state.champion} at {audit.overall:.3f}, at "
        f"least {low:.3f} with {rules.confidence:.0%} confidence ({audit.accuracy}); the floor is {rules.floor:g}."
    )
    tried = [t for t in state.trainings if t.rule == AUDIT and t.champion == state.entry and not t.lost]
    new = [labels for labels in state.new_labels if not any(labels.id in t.labels for t in tried)]
    if new:
        names = ", ".join(labels.name for labels in new)
        return Ruling("retrain", True, f"{said} Labels that it did not know: {names}.", AUDIT)
    if tried:
        ended = f"ended with {tried[-1].outcome}" if tried[-1].outcome else "has no verdict"
        why = f"{tried[-1].retrain} {ended}, and no labels came since; it is not repeated without new ones."
        return Ruling("collect labels", False, f"{said} {why}", AUDIT, why)
    return Ruling("collect labels", False, f"{said} No version holds labels that it did not know.", AUDIT)


def _newest(state: State) -> datetime | None:
    looked = state.drift.acquired if state.drift is not None else None
    return max([*(s.acquired for s in state.scenes), *([looked] if looked else [])], default=None)


def _since(state: State, *others: datetime | None) -> datetime | None:
    known = [s.acquired for s in state.known_scenes]
    return max([*known, *(other for other in others if other is not None)], default=None)
