"""When a training is due: one rule over nouns, the same answer for the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geoml_ops.core.flow import Drift, Labels, Scene
from geoml_ops.core.grid import Bounds
from geoml_ops.core.policy import Policy
from geoml_ops.core.watched import Action


@dataclass(frozen=True)
class State:
    """What is known when the triggers are weighed.

    Attributes:
        champion: name for people of the model that serves now; empty before the first.
        drift: the newest comparison for this champion, or None where nothing was compared yet.
        standing: the newest covariate shift for this champion; no later calm on other ground lifts it.
        drifted_ground: bounds of the standing drift's predictions, in one CRS.
        has_version: whether there is an accepted version at all.
        is_champions: whether the champion already learned from all that is in this version.
        labels: deliveries of labels in the version.
        known_labels: deliveries of labels in the champion's version.
        label_ground: bounds of each delivery in the CRS of ``drifted_ground``, by its id.
        scenes: of the version.
        known_scenes: of the champion's version.
    """

    champion: str = ""
    drift: Drift | None = None
    standing: Drift | None = None
    drifted_ground: Sequence[Bounds] = ()
    has_version: bool = False
    is_champions: bool = False
    labels: Sequence[Labels] = ()
    known_labels: Sequence[Labels] = ()
    label_ground: dict[str, Bounds] | None = None
    scenes: Sequence[Scene] = ()
    known_scenes: Sequence[Scene] = ()


@dataclass(frozen=True)
class Ruling:
    """What follows, whether it starts a training, and why."""

    action: Action
    fired: bool
    because: str


def weigh(state: State, policy: Policy) -> Ruling:
    """Returns what the policy makes of the state.

    Order: without a champion a version with labels starts the first training; an undeclared offset stops
    everything that rests on these requests; then drift that new labels of its ground can cure, new
    versions, age. Drift alone never trains.
    """
    if not state.champion:
        return _first(state, policy)
    cause = state.drift.diagnosis.cause if state.drift else None
    if cause == "undeclared offset":
        return Ruling("fix ingest", False, f"{_said(state)} Nothing is learned from it.")
    for rule in (_cured, _each_version, _age):
        found = rule(state, policy)
        if found is not None:
            return found
    if cause == "covariate shift":
        return Ruling("collect labels", False, f"{_said(state)} {_why_not_yet(state, policy)}")
    if cause in ("cannot tell", "no reference"):
        return Ruling("look", False, _said(state))
    if cause is None:
        return Ruling("none", False, f"No request answered by {state.champion} was compared yet.")
    return Ruling("none", False, _said(state))


def _first(state: State, policy: Policy) -> Ruling:
    if not state.has_version:
        return Ruling("none", False, "There is no champion and no accepted version yet.")
    if not state.labels or not state.scenes:
        lacks = " and ".join(w for w, there in (("scenes", state.scenes), ("labels", state.labels)) if not there)
        return Ruling("collect labels", False, f"There is no champion yet, and the version lacks {lacks}.")
    if policy.new_version == "never":
        return Ruling("look", False, f"There is no champion yet; policy {policy.name!r} leaves trainings to people.")
    names = ", ".join(labels.name for labels in state.labels)
    return Ruling(
        "retrain", True, f"first version: there is no champion yet, and {names} hold(s) labels to learn from."
    )


def _cured(state: State, policy: Policy) -> Ruling | None:
    drift = state.standing
    there = _arrived_there(state)
    if drift is None or not policy.retrain_on_drift or not there:
        return None
    because = (
        f"Covariate shift stands ({drift.id}: {drift.drifted_share:.0%} of the bands {drift.threshold:g} sd or more "
        f"away, uncalibrated), and labels of that ground arrived since {state.champion} was trained: "
        f"{', '.join(labels.name for labels in there)}."
    )
    return Ruling("retrain", True, because)


def _each_version(state: State, policy: Policy) -> Ruling | None:
    if policy.new_version != "always" or not state.has_version or state.is_champions:
        return None
    return Ruling(
        "retrain", True, f"Policy {policy.name!r} trains on every new version; {state.champion} knows an older one."
    )


def _age(state: State, policy: Policy) -> Ruling | None:
    if policy.longest_age_days is None or state.is_champions or not (state.scenes and state.known_scenes):
        return None
    newest, known = (max(s.acquired for s in scenes) for scenes in (state.scenes, state.known_scenes))
    days = (newest - known).days
    if days < policy.longest_age_days:
        return None
    because = (
        f"The version holds a scene of {newest:%Y-%m-%d}, {days} days after the newest that {state.champion} learned "
        f"from ({known:%Y-%m-%d}); the policy allows {policy.longest_age_days}."
    )
    return Ruling("retrain", True, because)


def _why_not_yet(state: State, policy: Policy) -> str:
    if not policy.retrain_on_drift:
        return f"Policy {policy.name!r} leaves what follows to people."
    new = _new_labels(state)
    if not new:
        return f"No labels arrived since {state.champion} was trained: collect labels there."
    names = ", ".join(x.name for x in new)
    return f"The labels that arrived since ({names}) do not lie on that ground: collect labels there."


def _new_labels(state: State) -> list[Labels]:
    known = {labels.id for labels in state.known_labels}
    return [labels for labels in state.labels if labels.id not in known]


def _arrived_there(state: State) -> list[Labels]:
    ground = state.label_ground or {}
    return [
        labels
        for labels in _new_labels(state)
        if labels.id in ground and any(ground[labels.id].overlap(there) for there in state.drifted_ground)
    ]


def _said(state: State) -> str:
    assert state.drift is not None
    return state.drift.diagnosis.sentence
