"""Several models that answer together: each on its own draw of samples (bagging), or each of another kind (voting)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.fitting.asking import member as member_of
from geoml_ops.domain.fitting.models import Codes, Fitted, Weights, fit, within
from geoml_ops.domain.fitting.recipe import Recipe, Setting

SAME_SHARE = 1e-5
"""Shares closer than this are the same to a member that casts one vote."""


class Ensemble:
    """What models that answer together have in common.

    Attributes:
        classes_: 0 to n - 1.
    """

    made_of: Any

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a fitted model needs to answer; what it was built from is not kept with it."""
        return {name: value for name, value in vars(self).items() if name != "made_of"}

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns probabilities ``(n, classes)``."""
        raise NotImplementedError

    def predict(self, X: NDArray[Any]) -> Codes:
        """Returns the most probable class, ``(n,)``; the first of equal ones."""
        return np.asarray(self.predict_proba(X).argmax(axis=1), dtype=np.int64)


class Bagged(Ensemble):
    """The mean of one family's models, each fitted on its own draw of samples and features (Breiman 1996).

    A sample that is drawn twice counts twice. A draw may miss a class; its model then says 0 for it.

    Attributes:
        members_: models, each of the features in ``columns_``.
        columns_: ``(member, features drawn)`` ascending positions.
    """

    def __init__(
        self, member: Recipe, setting: Setting, *, n: int, samples: float, features: float, bootstrap: bool
    ) -> None:
        self.made_of = (member, setting, n, samples, features, bootstrap)

    def fit(self, X: NDArray[Any], y: Codes, sample_weight: Weights | None = None) -> Bagged:
        """Fits every member on its draw."""
        member, setting, n, share, features, bootstrap = self.made_of
        rng, wide = np.random.default_rng(setting.seed), X.shape[1]
        n_rows, n_columns = max(1, round(share * len(y))), max(1, round(features * wide))
        base = np.ones(len(y)) if sample_weight is None else sample_weight
        found, columns = [], []
        for number in range(n):
            drawn = rng.integers(0, len(y), n_rows) if bootstrap else rng.permutation(len(y))[:n_rows]
            rows, times = np.unique(drawn, return_counts=True)
            mine = np.sort(rng.permutation(wide)[:n_columns])
            own, inside = base[rows] * times, within(setting.inner, rows)
            recipe = member.of_fold(number)
            found.append(fit(recipe, X[rows][:, mine], y[rows], setting.n_classes, weight=own, inner=inside))
            columns.append(mine)
        self.members_, self.columns_ = found, np.array(columns)
        self.classes_ = np.arange(setting.n_classes)
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns the mean of the members' probabilities, ``(n, classes)``."""
        parts = zip(self.members_, self.columns_, strict=True)
        return np.asarray(np.mean([member.probability(X[:, mine]) for member, mine in parts], axis=0))


class Voted(Ensemble):
    """The weighted mean of several families' probabilities (soft), or of their votes (hard).

    A hard vote goes to the member's most probable class, in equal parts to classes within :data:`SAME_SHARE` of it.

    Attributes:
        hard: whether members cast votes.
        members_: models.
        shares_: ``(member,)`` how much each counts, sum 1.
    """

    def __init__(self, members: Mapping[str, Recipe], setting: Setting, *, shares: NDArray[Any], hard: bool) -> None:
        self.hard, self.shares_ = hard, shares
        self.made_of = (members, setting)

    def fit(self, X: NDArray[Any], y: Codes, sample_weight: Weights | None = None) -> Voted:
        """Fits every member on all samples."""
        members, setting = self.made_of
        self.members_ = fitted_members(members, setting, X, y, sample_weight)
        self.classes_ = np.arange(setting.n_classes)
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns weighted means ``(n, classes)``."""
        said = [member.probability(X) for member in self.members_]
        parts = [votes(part) for part in said] if self.hard else said
        return np.asarray(np.tensordot(self.shares_, np.array(parts), axes=1))


def votes(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns one vote per row, ``(n, classes)``, split between classes that are equally probable."""
    best = probability >= probability.max(axis=1, keepdims=True) - SAME_SHARE
    return np.asarray(best / best.sum(axis=1, keepdims=True))


def fitted_members(
    members: Mapping[str, Recipe], setting: Setting, X: NDArray[Any], y: Codes, weight: Weights | None
) -> list[Fitted]:
    """Returns every member fitted on all samples, in their order."""
    return [fit(one, X, y, setting.n_classes, weight=weight, inner=setting.inner) for one in members.values()]


def bagging(params: Mapping[str, Any], setting: Setting) -> Bagged:
    """Returns unfitted bagging: ``member`` (parameters with ``family``), ``n_estimators``, ``max_samples`` …

    Raises:
        BadInput: a parameter is unknown or impossible.
    """
    own = dict(params)
    member = member_of(setting, own.pop("member", "random_forest"), name="member")
    n = own.pop("n_estimators", 10)
    samples, features = own.pop("max_samples", 1.0), own.pop("max_features", 1.0)
    bootstrap = own.pop("bootstrap", True)
    require_nothing_else("bagging", own, ("member", "n_estimators", "max_samples", "max_features", "bootstrap"))
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= 1000:
        raise BadInput(f"n_estimators is {str(n)[:60]}.", "use a whole number from 1 to 1000")
    for name, value in (("max_samples", samples), ("max_features", features)):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
            raise BadInput(f"{name} is {str(value)[:60]}.", "use a share above 0, up to 1")
    if not isinstance(bootstrap, bool):
        raise BadInput(f"bootstrap is {str(bootstrap)[:60]}.", "use true or false")
    return Bagged(member, setting, n=n, samples=float(samples), features=float(features), bootstrap=bootstrap)


def voting(params: Mapping[str, Any], setting: Setting) -> Voted:
    """Returns unfitted voting: ``members``, ``voting`` (soft, hard), ``weights`` (member to number from 0).

    Raises:
        BadInput: a parameter is unknown or impossible.
    """
    own = dict(params)
    members = members_of("voting", own.pop("members", None), setting)
    kind, weights = own.pop("voting", "soft"), own.pop("weights", None) or {}
    require_nothing_else("voting", own, ("members", "voting", "weights"))
    if kind not in ("soft", "hard"):
        raise BadInput(f"voting is {str(kind)[:60]!r}.", "use soft or hard")
    return Voted(members, setting, shares=_shares(members, weights), hard=kind == "hard")


def _shares(members: Mapping[str, Recipe], weights: Any) -> NDArray[np.float64]:
    if not isinstance(weights, Mapping):
        raise BadInput(f"weights is {str(weights)[:60]}.", "write member: number for some members")
    unknown = [str(name)[:60] for name in weights if name not in members]
    if unknown:
        raise BadInput(f"weights names {', '.join(unknown)}.", f"the members are {', '.join(members)}")
    for name, value in weights.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < np.inf:
            raise BadInput(f"The weight of {str(name)[:60]} is {str(value)[:60]}.", "use a number from 0")
    found = np.array([float(weights.get(name, 1.0)) for name in members])
    if not found.sum() > 0:
        raise BadInput("All members have weight 0.", "let one of them count")
    return np.asarray(found / found.sum())


def members_of(what: str, asked: Any, setting: Setting) -> dict[str, Recipe]:
    """Returns the recipes of an ensemble's members.

    Args:
        what: the ensemble's family, for sentences.
        asked: names of families, or name to parameters.
        setting: the ensemble's.

    Raises:
        BadInput: fewer than two members, or one that cannot be.
    """
    named = {str(name): {} for name in asked} if isinstance(asked, list | tuple) else asked
    if not isinstance(named, Mapping) or len(named) < 2:
        raise BadInput(
            f"{what} has members {str(asked)[:60]}.", "name at least two families, as a list or as name: parameters"
        )
    return {
        str(name): member_of(setting, params or {}, name=str(name), number=number)
        for number, (name, params) in enumerate(named.items())
    }


def require_nothing_else(what: str, left: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Lets an ensemble through whose parameters were all read.

    Raises:
        BadInput: one is unknown.
    """
    if left:
        raise BadInput(f"{what} has no parameter {', '.join(str(n)[:60] for n in left)}.", f"use {', '.join(known)}")
