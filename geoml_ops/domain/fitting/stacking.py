"""Models that learn from other models' answers to ground these did not see (Wolpert 1992)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.fitting.asking import member
from geoml_ops.domain.fitting.ensembles import Ensemble, fitted_members, members_of, require_nothing_else
from geoml_ops.domain.fitting.models import Codes, Weights, fit, within
from geoml_ops.domain.fitting.outoffold import out_of_fold
from geoml_ops.domain.fitting.recipe import Index, Recipe, Setting, Splits

FINAL = {"family": "logistic_regression", "standardise": False}
"""Shares are on one scale already; brought to deviation 1, a rare class's would be blown up with their rounding."""


class Stacked(Ensemble):
    """Members' probabilities, and a final model that learned from their answers out of spatial folds what they mean.

    A class that the folds tell nothing about (all its ground is in one of them, so that the members that are asked
    about it never saw it) is none for the final model: it gets the members' mean probability, and the final model
    shares out the rest.

    Attributes:
        passthrough: whether the final model sees the features, too.
        members_: models, fitted on all samples.
        final_: model of ``(member, class)`` probabilities side by side.
        classes_: 0 to n - 1.
    """

    def __init__(
        self, members: Mapping[str, Recipe], final: Recipe, setting: Setting, *, passthrough: bool, one_fold: bool
    ) -> None:
        self.passthrough = passthrough
        self.made_of = (members, final, setting, one_fold)

    def fit(self, X: NDArray[Any], y: Codes, sample_weight: Weights | None = None) -> Stacked:
        """Fits the final model on answers out of folds, and the members on all samples.

        Raises:
            BadInput: there are no folds inside these samples, or they hold out no class that is also learned.
        """
        members, final, setting, one_fold = self.made_of
        k = setting.n_classes
        splits = setting.splits(len(y))
        chosen = [_most_telling(splits, y, k)] if one_fold else splits
        rows = _answerable(chosen, y)
        if len(np.unique(y[rows])) < 2:
            raise BadInput(
                f"Of {len(y)} samples the folds inside them hold out {len(rows)} whose class is learned elsewhere, "
                f"of {len(np.unique(y[rows]))} class(es): too little to learn what members' answers mean.",
                "use voting, fewer folds, or deliver labels of more ground",
            )
        said = [
            out_of_fold(X, y, chosen, one, k, weight=sample_weight, inner=setting.inner).probability
            for one in members.values()
        ]
        own = None if sample_weight is None else sample_weight[rows]
        seen = self._seen(said, X)[rows]
        self.final_ = fit(final, seen, y[rows], k, weight=own, inner=within(setting.inner, rows))
        self.members_ = fitted_members(members, setting, X, y, sample_weight)
        self.classes_ = np.arange(k)
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns probabilities ``(n, classes)``."""
        said = [member.probability(X) for member in self.members_]
        found = self.final_.probability(self._seen(said, X))
        unknown = sorted(set(range(self.final_.n_classes)) - set(self.final_.present))
        if unknown:
            kept = np.mean(said, axis=0)[:, unknown]
            found *= 1.0 - kept.sum(axis=1, keepdims=True)
            found[:, unknown] = kept
        return found

    def _seen(self, said: Sequence[NDArray[np.float64]], X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns what the final model sees, ``(n, members * classes)`` and the features where they pass through."""
        return np.column_stack([*said, *([X.astype(np.float64)] if self.passthrough else [])])


def _answerable(splits: Splits, y: Codes) -> Index:
    """Returns the samples that are held out once, of classes that their fold learns; ascending positions."""
    found = [test[np.isin(y[test], np.unique(y[train]))] for train, test in splits]
    return np.unique(np.concatenate(found))


def _most_telling(splits: Splits, y: Codes, k: int) -> tuple[Index, Index]:
    """Returns the fold with most classes on both sides, the first of equal ones."""

    def both(split: tuple[Index, Index]) -> int:
        sides = [np.bincount(y[side], minlength=k) > 0 for side in split]
        return int((sides[0] & sides[1]).sum())

    return max(splits, key=both)


def stacking(params: Mapping[str, Any], setting: Setting) -> Stacked:
    """Returns an unfitted stack: ``members``, ``final`` and ``passthrough``; raises as :func:`_built`."""
    return _built("stacking", params, setting, one_fold=False)


def blending(params: Mapping[str, Any], setting: Setting) -> Stacked:
    """Returns an unfitted blend: a stack whose final model learns from one held-out fold; raises as :func:`_built`."""
    return _built("blending", params, setting, one_fold=True)


def _built(what: str, params: Mapping[str, Any], setting: Setting, *, one_fold: bool) -> Stacked:
    """Returns an unfitted stack or blend.

    Raises:
        BadInput: a parameter is unknown, or the final model's answers jump.
    """
    own = dict(params)
    members = members_of(what, own.pop("members", None), setting)
    final = member(setting, own.pop("final", FINAL), name="final", number=len(members))
    passthrough = own.pop("passthrough", False)
    require_nothing_else(what, own, ("members", "final", "passthrough"))
    if not isinstance(passthrough, bool):
        raise BadInput(f"passthrough is {str(passthrough)[:60]}.", "use true or false")
    if not final.smooth:
        known = [name for name, family in setting.families.items() if family.smooth]
        raise BadInput(
            f"{final.name[:60]} cannot come last: it compares members' probabilities with thresholds, and those that "
            "differ in the seventh digit between two machines would fall on different sides.",
            f"use one of {', '.join(known)}",
        )
    return Stacked(members, final, setting, passthrough=passthrough, one_fold=one_fold)
