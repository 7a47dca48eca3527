"""What holds a training back, whichever trigger asks for it: a run under way, season, cool-down, budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from geoml_ops.core.policy import Policy
from geoml_ops.domain.triggers.state import Ruling, State, Training

_YEAR = timedelta(days=365)
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip


def held(state: State, policy: Policy, ruling: Ruling) -> Ruling:
    """Returns a ruling that asks for a training as it is, or held back with every reason why."""
    if not ruling.fired:
        return ruling
    reasons = [reason for restraint in _RESTRAINTS if (reason := restraint(state, policy))]
    if not reasons:
        return ruling
    why = " ".join(reasons)
    return replace(ruling, action="none", fired=False, because=f"{ruling.because} Held back: {why}", suppressed=why)


def _once(state: State, policy: Policy) -> str:
    """A champion and a version ask for one training at most: it would come to the same model again."""
    if policy.kind == "naive":
        return ""
    same = [t for t in state.trainings if (t.champion, t.version) == (state.entry, state.version) and not t.lost]
    return f"{same[0].retrain} asked for a training on this version already." if same else ""


def _under_way(state: State, policy: Policy) -> str:
    running = [t for t in state.trainings if not t.outcome and not t.lost]
    return f"{running[-1].retrain} is under way and has no verdict yet." if running else ""


def _out_of_season(state: State, policy: Policy) -> str:
    now = state.now
    if not policy.months or now is None or now.month in policy.months:
        return ""
    allowed = ", ".join(_MONTHS[month - 1] for month in sorted(set(policy.months)))
    return f"It is {_MONTHS[now.month - 1]} ({now:%Y-%m-%d}); the policy trains in {allowed}."


def _cooling(state: State, policy: Policy) -> str:
    days = policy.budget.cooldown_days
    recent = _near(state, timedelta(days=days)) if days else []
    if not recent:
        return ""
    last = recent[-1]
    return f"{last.retrain} was asked for at {last.at:%Y-%m-%d}; the policy leaves {days:g} days between trainings."


def _too_many(state: State, policy: Policy) -> str:
    most = policy.budget.trainings_per_year
    within = _near(state, _YEAR)
    if most is None or len(within) < most:
        return ""
    return f"{len(within)} trainings were asked for within 365 days; the policy allows {most}."


def _too_long(state: State, policy: Policy) -> str:
    most = policy.budget.training_hours_per_year
    spent = sum(t.hours or 0.0 for t in _near(state, _YEAR))
    if most is None or spent < most:
        return ""
    return f"Trainings within 365 days took {spent:.2f} hours; the policy allows {most:g}."


def _near(state: State, span: timedelta) -> list[Training]:
    """Returns trainings whose time is nearer than a span, before or after: scenes do not arrive in order."""
    now = state.now
    return [t for t in state.trainings if now is not None and t.at is not None and abs(now - t.at) < span]


_RESTRAINTS: tuple[Callable[[State, Policy], str], ...] = (
    _once,
    _under_way,
    _out_of_season,
    _cooling,
    _too_many,
    _too_long,
)
