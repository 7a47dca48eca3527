"""Fitting a family of models, inside folds and on everything.

A family is a function that builds an unfitted scikit-learn estimator. Those that need no tool
beyond scikit-learn are here; others are handed in by a step. Class codes are positions in one fixed
list: whatever classes a train side holds, probabilities come back for the whole list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from geoml_ops.core.errors import BadInput

Params = Mapping[str, float | int | str]
Build = Callable[[Params, int, int], Any]
"""``(params, seed, n_classes)`` to an estimator with ``fit`` and ``predict_proba``."""

Features = NDArray[np.float32]
Codes = NDArray[np.int64]
THREADS = 1
"""Families are trained side by side as tasks; two threads of XGBoost cost 2.6 times the CPU on two busy cores."""


def random_forest(params: Params, seed: int, n_classes: int) -> Pipeline:
    """Returns an unfitted forest behind a median imputer: a forest that saw NaN cannot be exported faithfully.

    Raises:
        BadInput: scikit-learn does not know a parameter.
    """
    try:
        forest = RandomForestClassifier(**{"n_jobs": THREADS, "random_state": seed, **params})
    except TypeError as error:
        raise BadInput(f"A random forest cannot be built from {dict(params)}: {error}.") from None
    return Pipeline([("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("model", forest)])


FAMILIES: Mapping[str, Build] = {"random_forest": random_forest}


@dataclass(frozen=True)
class Fitted:
    """An estimator fitted on contiguous codes, and the codes of the fixed list that these stand for.

    Attributes:
        estimator: answers with one column per entry of ``present``; None where only one class was seen.
        present: codes of the fixed list, ascending.
        n_classes: length of the fixed list.
    """

    estimator: Any
    present: tuple[int, ...]
    n_classes: int

    def probability(self, features: Features) -> NDArray[np.float64]:
        """Returns probabilities ``(n, n_classes)``; classes that were never seen get 0."""
        full = np.zeros((len(features), self.n_classes))
        full[:, list(self.present)] = 1.0 if self.estimator is None else self.estimator.predict_proba(features)
        return full


@dataclass(frozen=True)
class OutOfFold:
    """Answers to every sample by a model that did not see it, its polygon or its surroundings.

    Attributes:
        probability: ``(n, n_classes)``; NaN rows for samples that no fold tests.
        no_skill: ``(n,)`` most frequent class of the train side of the fold that tests the sample; -1 for none.
        fold: ``(n,)`` fold that tests the sample; -1 for none.
        importance: ``(features,)`` by how much the Brier score of held-out samples grows when a feature
            takes another sample's value, mean over samples; below 0 where it misleads, zeros where not asked.
    """

    probability: NDArray[np.float64]
    no_skill: Codes
    fold: Codes
    importance: NDArray[np.float64]

    @property
    def tested(self) -> NDArray[np.bool_]:
        """True for samples that a fold tests, ``(n,)``; only these have an answer."""
        return np.asarray(self.fold >= 0, dtype=np.bool_)

    @property
    def predicted(self) -> Codes:
        """Code of the most probable class, the lowest one on ties, ``(n,)``; -1 where no fold tests the sample."""
        return np.where(self.tested, np.argmax(self.probability, axis=1), -1).astype(np.int64)


def fit(build: Callable[[int], Any], features: Features, codes: Codes, n_classes: int) -> Fitted:
    """Returns a model of the classes that ``codes`` hold.

    Args:
        build: number of classes that are present, to an unfitted estimator.
        features: ``(n, features)``, NaN where a feature does not exist.
        codes: ``(n,)`` positions in the fixed class list.
        n_classes: length of the fixed class list.

    Raises:
        BadInput: there is nothing to learn from.
    """
    if not len(codes):
        raise BadInput("A model cannot be fitted on no samples.", "use fewer folds or a narrower buffer")
    present, contiguous = np.unique(codes, return_inverse=True)
    if len(present) == 1:
        return Fitted(None, (int(present[0]),), n_classes)
    estimator = build(len(present)).fit(features, contiguous)
    _one_thread(estimator)
    return Fitted(estimator, tuple(int(code) for code in present), n_classes)


def out_of_fold(
    features: Features,
    codes: Codes,
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    build: Callable[[int], Any],
    n_classes: int,
    *,
    shuffles: int = 0,
) -> OutOfFold:
    """Returns pooled answers, each from the fold that tests the sample.

    Args:
        features: ``(n, features)``.
        codes: ``(n,)``.
        folds: ``(train, test)`` positions, as :func:`geoml_ops.domain.folds.materialise` gives them.
        build: as in :func:`fit`.
        n_classes: length of the fixed class list.
        shuffles: times that each feature takes other values to tell its importance; 0 to leave it out.
    """
    n, gains, rng = len(codes), np.zeros(features.shape[1]), np.random.default_rng(n_classes)
    probability = np.full((n, n_classes), np.nan)
    no_skill, fold = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for number, (train, test) in enumerate(folds):
        model = fit(build, features[train], codes[train], n_classes)
        probability[test] = model.probability(features[test])
        no_skill[test] = np.argmax(np.bincount(codes[train], minlength=n_classes))
        fold[test] = number
        if shuffles and len(test):
            gains += len(test) * permutation_importance(
                model, features[test], codes[test], donors=features, shuffles=shuffles, rng=rng
            )
    return OutOfFold(probability, no_skill, fold, gains / max(int((fold >= 0).sum()), 1))


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
    before = brier(model.probability(features), codes)
    found = np.zeros(features.shape[1])
    for column in range(features.shape[1]):
        mixed = np.tile(features, (shuffles, 1))
        mixed[:, column] = rng.choice(donors[:, column], len(mixed))
        found[column] = brier(model.probability(mixed), np.tile(codes, shuffles)) - before
    return found


def brier(probability: NDArray[np.float64], codes: Codes) -> float:
    """Returns the mean squared distance of probabilities ``(n, classes)`` from the truth, 0 to 2 (Brier 1950)."""
    wanted = np.zeros_like(probability)
    wanted[np.arange(len(codes)), codes] = 1.0
    return float(np.square(probability - wanted).sum(axis=1).mean())


def _one_thread(estimator: Any) -> None:
    """Makes answers repeatable to the last bit: threads of a forest add its trees in the order they finish."""
    for name, step in getattr(estimator, "steps", ()):
        if "n_jobs" in step.get_params(deep=False):
            estimator.set_params(**{f"{name}__n_jobs": 1})
