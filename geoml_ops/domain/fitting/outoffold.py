"""Answers of models that did not see the ground they are asked about, and how much each feature told them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.fitting.models import Codes, Features, Fitted, Weights, fit, of_fold, within
from geoml_ops.domain.fitting.recipe import Inner
from geoml_ops.domain.selecting.permutation import growth, losses


@dataclass(frozen=True)
class OutOfFold:
    """Answers to every sample by a model that did not see it, its polygon or its surroundings.

    Attributes:
        probability: ``(n, n_classes)``; NaN rows for samples that no fold tests.
        no_skill: ``(n,)`` most frequent class of the train side of the fold that tests the sample; -1 for none.
        fold: ``(n,)`` fold that tests the sample; -1 for none.
        importance: ``(features,)`` by how much the Brier score of held-out samples grows when a feature
            takes another sample's value, mean over samples; below 0 where it misleads, zeros where not asked.
        importance_per_fold: ``(folds, features)`` the same fold by fold; None where not asked.
    """

    probability: NDArray[np.float64]
    no_skill: Codes
    fold: Codes
    importance: NDArray[np.float64]
    importance_per_fold: NDArray[np.float64] | None = None

    @property
    def tested(self) -> NDArray[np.bool_]:
        """True for samples that a fold tests, ``(n,)``; only these have an answer."""
        return np.asarray(self.fold >= 0, dtype=np.bool_)

    @property
    def predicted(self) -> Codes:
        """Code of the most probable class, the lowest one on ties, ``(n,)``; -1 where no fold tests the sample."""
        return np.where(self.tested, np.argmax(self.probability, axis=1), -1).astype(np.int64)


def out_of_fold(
    features: Features,
    codes: Codes,
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    build: Callable[[int], Any],
    n_classes: int,
    *,
    shuffles: int = 0,
    weight: Weights | None = None,
    inner: Inner | None = None,
) -> OutOfFold:
    """Returns pooled answers, each from the fold that tests the sample.

    A recipe draws from another seed in every fold.

    Args:
        features: ``(n, features)``.
        codes: ``(n,)``.
        folds: ``(train, test)`` positions, as :func:`geoml_ops.domain.folds.materialise` gives them.
        build: as in :func:`fit`.
        n_classes: length of the fixed class list.
        shuffles: times that each feature takes other values to tell its importance; 0 to leave it out.
        weight: as in :func:`fit`; of train sides, every tested sample counts the same.
        inner: as in :func:`fit`; asked about train sides only.
    """
    n, gains, rng = len(codes), np.zeros((len(folds), features.shape[1])), np.random.default_rng(n_classes)
    probability = np.full((n, n_classes), np.nan)
    no_skill, fold = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for number, (train, test) in enumerate(folds):
        model = fitted_on(train, features, codes, of_fold(build, number), n_classes, weight=weight, inner=inner)
        probability[test] = model.probability(features[test])
        no_skill[test] = np.argmax(np.bincount(codes[train], minlength=n_classes))
        fold[test] = number
        if shuffles and len(test):
            gains[number] = permutation_importance(
                model, features[test], codes[test], donors=features, shuffles=shuffles, rng=rng
            )
    counts = np.array([len(test) for _, test in folds])
    importance = counts @ gains / max(int((fold >= 0).sum()), 1)
    return OutOfFold(probability, no_skill, fold, importance, gains if shuffles else None)


def fitted_on(
    rows: NDArray[np.int64],
    features: NDArray[Any],
    codes: Codes,
    build: Callable[[int], Any],
    n_classes: int,
    *,
    weight: Weights | None = None,
    inner: Inner | None = None,
) -> Fitted:
    """Returns a model of some of the samples: positions ``rows`` among all; else as :func:`fit`."""
    own = None if weight is None else weight[rows]
    return fit(build, features[rows], codes[rows], n_classes, weight=own, inner=within(inner, rows))


def permutation_importance(
    model: Fitted,
    features: Features,
    codes: Codes,
    *,
    donors: Features,
    shuffles: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Returns by how much the Brier score grows when a feature takes another sample's value, ``(features,)``.

    Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019) with the Brier score, which moves
    with every probability and not only when the best class changes. Values come from all samples, not from
    the tested ones alone: a fold may hold one sample, or ground on which a feature hardly varies.

    Args:
        model: fitted without these samples.
        features: ``(n, features)`` of held-out samples.
        codes: ``(n,)`` true classes.
        donors: ``(m, features)`` whose values stand in.
        shuffles: repetitions, >= 1.
        rng: of the draws.
    """
    _, grown = growth(model.probability, features, codes, donors=donors, shuffles=shuffles, rng=rng)
    return np.asarray(grown.mean(axis=0))


def brier(probability: NDArray[np.float64], codes: Codes) -> float:
    """Returns the mean squared distance of probabilities ``(n, classes)`` from the truth, 0 to 2 (Brier 1950)."""
    return float(losses(probability, codes).mean())
