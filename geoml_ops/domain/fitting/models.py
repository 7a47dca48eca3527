"""Fitting one model on the classes that a train side holds, answering for the whole class list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import has_fit_parameter

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.fitting.machines import pairs_of
from geoml_ops.domain.fitting.recipe import Inner, Recipe
from geoml_ops.domain.fitting.weights import require_weights

Features = NDArray[np.float32]
Codes = NDArray[np.int64]
Weights = NDArray[np.float64]


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

    def probability(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Returns probabilities ``(n, n_classes)``; classes that were never seen get 0."""
        full = np.zeros((len(features), self.n_classes))
        if not len(features):
            return full
        full[:, list(self.present)] = 1.0 if self.estimator is None else self.estimator.predict_proba(features)
        return full

    def margins(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Returns margins ``(n, pair)`` of a model that has them; NaN for pairs of which a class was never seen."""
        pairs = pairs_of(range(self.n_classes))
        full = np.full((len(features), len(pairs)), np.nan)
        if self.estimator is None or not len(features):
            return full
        own = [pairs.index(pair) for pair in pairs_of(self.present)]
        before, machine = self.estimator[:-1], self.estimator[-1]
        full[:, own] = machine.margins(before.transform(features))
        return full


def fit(
    build: Callable[[int], Any],
    features: NDArray[Any],
    codes: Codes,
    n_classes: int,
    *,
    weight: Weights | None = None,
    inner: Inner | None = None,
) -> Fitted:
    """Returns a model of the classes that ``codes`` hold.

    Args:
        build: a recipe, or any function from the number of classes that are present to an unfitted estimator.
        features: ``(n, features)``, NaN where a feature does not exist.
        codes: ``(n,)`` positions in the fixed class list.
        n_classes: length of the fixed class list.
        weight: ``(n,)`` from 0, how much each sample counts; samples of weight 0 are left out.
        inner: spatial folds inside any of these samples, for models that learn from answers to their own samples.

    Raises:
        BadInput: there is nothing to learn from, a weight is impossible, or the family cannot take a parameter.
    """
    if weight is not None:
        weight = require_weights(weight, len(codes))
        kept = np.flatnonzero(weight > 0)
        if len(kept) < len(codes):
            inner = within(inner, kept)
            features, codes, weight = features[kept], codes[kept], weight[kept]
    if not len(codes):
        raise BadInput("A model cannot be fitted on no samples.", "use fewer folds or a narrower buffer")
    present, contiguous = np.unique(codes, return_inverse=True)
    seen = tuple(int(code) for code in present)
    if len(present) == 1:
        return Fitted(None, seen, n_classes)
    estimator = _fitted(build, features, contiguous, seen, weight, inner)
    _one_thread(estimator)
    return Fitted(estimator, seen, n_classes)


def within(inner: Inner | None, rows: NDArray[np.int64]) -> Inner | None:
    """Returns the folds inside some of the samples, where positions count within these."""
    if inner is None:
        return None
    found = inner
    return lambda chosen: found(rows[chosen])


def of_fold(build: Callable[[int], Any], number: int) -> Callable[[int], Any]:
    """Returns what builds the model of one fold: a recipe with a seed of its own; anything else as it is."""
    return build.of_fold(number) if isinstance(build, Recipe) else build


def _fitted(
    build: Callable[[int], Any],
    features: NDArray[Any],
    codes: Codes,
    present: tuple[int, ...],
    weight: Weights | None,
    inner: Inner | None,
) -> Any:
    if not isinstance(build, Recipe):
        return _learned(build(len(present)), features, codes, weight)
    own = build.among(present)
    estimator = own.estimator(len(present), inner)
    with own.refusing():
        return _learned(estimator, features, codes, own.weights(codes, weight))


def _learned(estimator: Any, features: NDArray[Any], codes: Codes, weight: Weights | None) -> Any:
    """Returns the estimator once it is fitted; weights reach the last step of a pipeline, the model."""
    if weight is None:
        return estimator.fit(features, codes)
    steps = getattr(estimator, "steps", [("", estimator)])
    name, model = steps[-1]
    if not has_fit_parameter(model, "sample_weight"):
        raise BadInput(
            f"A {type(model).__name__} cannot weigh samples or classes.", "use another family, or no weights"
        )
    return estimator.fit(features, codes, **{f"{name}__sample_weight" if name else "sample_weight": weight})


def _one_thread(estimator: Any) -> None:
    """Makes answers repeatable to the last bit: threads of a forest add its trees in the order they finish."""
    for _, step in getattr(estimator, "steps", [("", estimator)]):
        if "n_jobs" in getattr(step, "get_params", dict)():
            step.set_params(n_jobs=1)
