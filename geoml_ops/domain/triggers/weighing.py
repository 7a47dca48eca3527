"""The order in which triggers are asked, and what is said where none of them speaks."""

from __future__ import annotations

from dataclasses import replace

from geoml_ops.core.policy import Policy
from geoml_ops.domain.streams import DRIFTS
from geoml_ops.domain.triggers.drifting import drifting
from geoml_ops.domain.triggers.due import age, audited, each_version, first, schedule
from geoml_ops.domain.triggers.naive import naive
from geoml_ops.domain.triggers.restraint import held
from geoml_ops.domain.triggers.state import Ruling, State

_RULES = (audited, drifting, each_version, schedule, age)


def weigh(state: State, policy: Policy) -> Ruling:
    """Returns what the policy makes of the state: the first training that may start, else what else is asked for.

    Whatever was held back on the way is said, in ``suppressed`` or, where another trigger fires, in ``because``.
    """
    if not state.champion:
        return held(state, policy, first(state, policy))
    if policy.kind == "naive":
        return held(state, policy, naive(state))
    stopped = _stopped(state)
    if stopped is not None:
        return stopped
    spoken: list[Ruling] = []
    for rule in _RULES:
        found = rule(state, policy)
        if found is None:
            continue
        ruling = held(state, policy, found)
        if ruling.fired:
            before = " ".join(f"Held back: {r.rule}. {r.suppressed}" for r in spoken if r.suppressed)
            return replace(ruling, because=f"{ruling.because} {before}".strip())
        spoken.append(ruling)
    if not spoken:
        return _calm(state)
    suppressed = " ".join(dict.fromkeys(r.suppressed for r in spoken if r.suppressed))
    return replace(spoken[0], suppressed=suppressed)


def _stopped(state: State) -> Ruling | None:
    """Returns what ends the evaluation: a fault in what was looked at, or that it is about another model."""
    drift = state.drift
    if drift is None:
        return None
    if state.bundle and drift.bundle != state.bundle:
        return Ruling("none", False, f"{drift.id} is about {drift.bundle}, which does not serve any more.")
    if drift.diagnosis.action == "fix ingest":
        return Ruling(
            "fix ingest", False, f"{drift.diagnosis.sentence} Nothing is learned from it.", "fault", drift=drift.id
        )
    return None


def _calm(state: State) -> Ruling:
    if state.drift is None:
        return Ruling("none", False, f"No request answered by {state.champion} was compared yet.")
    found = state.drift.diagnosis
    # What stands is spoken for by its rule; a single scene that does not stand asks for nothing that costs.
    action = found.action if found.action in ("ignore", "re-baseline", "look") else "none"
    said = f"{found.sentence} No alarm of its stream stands: nothing follows yet." if found.cause in DRIFTS else ""
    return Ruling(action, False, said or found.sentence)
