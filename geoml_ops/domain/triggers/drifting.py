"""The trigger of drift: an alarm asks for labels, and labels of its ground ask for a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from geoml_ops.core.flow import Labels
from geoml_ops.core.policy import Policy
from geoml_ops.domain.triggers.state import Ruling, Standing, State, Training

DRIFT, LABEL_SHIFT = "drift", "label shift"


def drifting(state: State, policy: Policy) -> Ruling | None:
    """Returns what the drifts that stand ask for, or None where none does.

    One that may start a training speaks first, then one that asks for labels, then one that was held back; what was
    held back in any stream is said.
    """
    found = [_of_one(state, policy, one) for one in state.standing]
    if not found:
        return None
    first = min(found, key=lambda ruling: (not ruling.fired, ruling.action != "collect labels"))
    if first.fired:
        return first
    return replace(first, suppressed=" ".join(dict.fromkeys(r.suppressed for r in found if r.suppressed)))


def _of_one(state: State, policy: Policy, one: Standing) -> Ruling:
    rule = LABEL_SHIFT if one.drift.diagnosis.cause == "label shift" else DRIFT
    return replace(_ruled(state, policy, one), rule=rule, drift=one.drift.id)


def _ruled(state: State, policy: Policy, one: Standing) -> Ruling:
    said = one.drift.diagnosis.sentence
    lacks = _lacks(policy, one)
    if lacks:
        return _waits(said, lacks)
    if not policy.retrain_on_drift:
        return Ruling("collect labels", False, f"{said} Policy {policy.name!r} leaves what follows to people.")
    there = [labels for labels in state.new_labels if _lies_there(one, labels)]
    if not there:
        return Ruling("collect labels", False, f"{said} {_why_not_yet(state)}")
    used = [t for t in state.trainings if not t.lost and t.labels & {labels.id for labels in there}]
    if all(any(labels.id in training.labels for training in used) for labels in there):
        return _not_again(said, used[-1])
    calm = _not_calm(state, policy, one)
    return _waits(said, calm) if calm else Ruling("retrain", True, _because(state, one, there))


def _waits(said: str, why: str) -> Ruling:
    return Ruling("none", False, f"{said} Held back: {why}", suppressed=why)


def _lacks(policy: Policy, one: Standing) -> str:
    """Returns what the policy wants to see beside the alarm and is not there; empty where nothing is missing."""
    wanted = policy.on_drift
    seen = {"applicability": _outside(policy, one), "accuracy": _fell(policy, one)}
    if not wanted.needs or any(seen[name] for name in wanted.needs):
        return ""
    facts = []
    if "applicability" in wanted.needs:
        usual = "" if one.outside_usual is None else f", {one.outside_usual:.0%} usually"
        facts.append(
            "the share of pixels outside the area of applicability is not known"
            if one.outside is None
            else f"{one.outside:.0%} of the pixels lie outside the area of applicability{usual}"
        )
    if "accuracy" in wanted.needs:
        told = [e for e in one.drift.estimates if e.expected is not None]
        worst = min(told, key=lambda e: e.value - (e.expected or 0.0), default=None)
        facts.append(
            "accuracy was not estimated"
            if worst is None
            else f"accuracy is estimated at {worst.value:.2f} where {worst.expected:.2f} is expected"
        )
    return f"The policy needs {' or '.join(wanted.needs)} to fall as well; {', and '.join(facts)}."


def _outside(policy: Policy, one: Standing) -> bool:
    if one.outside is None:
        return False
    rose = one.outside_usual is not None and one.outside - one.outside_usual >= policy.on_drift.outside_rise
    return rose or one.outside >= policy.on_drift.most_outside


def _fell(policy: Policy, one: Standing) -> bool:
    return any(
        e.expected is not None and e.expected - e.value >= policy.on_drift.accuracy_drop for e in one.drift.estimates
    )


def _lies_there(one: Standing, labels: Labels) -> bool:
    bounds = one.label_ground.get(labels.id)
    return bounds is not None and any(bounds.overlap(there) is not None for there in one.ground)


def _not_again(said: str, last: Training) -> Ruling:
    """Returns that the same labels are not trained on twice: what did not cure a drift would not cure it again."""
    if not last.outcome:
        return _waits(said, f"{last.retrain} asked for a training with these labels already and has no verdict yet.")
    why = (
        f"{last.retrain} trained on labels of that ground and ended with {last.outcome}, and the drift still stands: "
        "the same training would not cure it. It is not repeated without new labels."
    )
    return Ruling("collect labels", False, f"{said} {why}", suppressed=why)


def _not_calm(state: State, policy: Policy, one: Standing) -> str:
    if not state.trainings or one.n_calm >= policy.calm_scenes:
        return ""
    return (
        f"{one.n_calm} scene{'s' if one.n_calm != 1 else ''} without alarm since {state.trainings[-1].retrain}; the "
        f"policy waits for {policy.calm_scenes}."
    )


def _because(state: State, one: Standing, there: Sequence[Labels]) -> str:
    drift = one.drift
    cause = drift.diagnosis.cause
    chart = next((c for c in drift.charts if c.alarm), None)
    if chart is not None and chart.path is not None and chart.limit is not None:
        facts = f"the chart of {chart.family} is at {chart.path:.2f}, its limit {chart.limit:.2f}"
    else:
        facts = f"{drift.drifted_share:.0%} of the bands {drift.threshold:g} sd or more away, uncalibrated"
    where = f" in {drift.stream}" if drift.stream else ""
    return (
        f"{cause[:1].upper()}{cause[1:]} stands{where} ({drift.id}: {facts}), and labels of that ground arrived since "
        f"{state.champion} was trained: {', '.join(labels.name for labels in there)}."
    )


def _why_not_yet(state: State) -> str:
    new = state.new_labels
    if not new:
        return f"No labels arrived since {state.champion} was trained: collect labels there."
    names = ", ".join(labels.name for labels in new)
    return f"The labels that arrived since ({names}) do not lie on that ground: collect labels there."
