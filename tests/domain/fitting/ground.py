"""Samples on a strip of ground, folds inside them, and models whose answers are known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.fitting import FAMILIES, Family, Recipe, recipe

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
NAMES = ("water", "forest", "crop")

#: A quick set of parameters of every family that needs no tool beyond scikit-learn.
QUICK: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 12},
    "extra_trees": {"n_estimators": 12},
    "gradient_boosting": {"n_estimators": 8},
    "hist_gradient_boosting": {"max_iter": 8},
    "svm": {},
    "knn": {"n_neighbors": 3},
    "logistic_regression": {},
    "mlp": {"hidden_layer_sizes": [8], "max_iter": 150, "learning_rate_init": 0.02},
    "bagging": {"member": {"family": "logistic_regression"}, "n_estimators": 4},
    "stacking": {"members": ["logistic_regression", "knn"]},
    "voting": {"members": ["logistic_regression", "knn"]},
    "blending": {"members": ["logistic_regression", "knn"]},
}


def asked(name: str, params: Any = None, **options: Any) -> Recipe:
    """A family's recipe with quick parameters, or others."""
    own = QUICK.get(name, {}) if params is None else params
    return recipe({**own, **options}, FAMILIES, name=name, seed=3, classes=NAMES)


def strips(n_folds: int = 3, width: int = 20) -> Callable[[Codes], Sequence[tuple[Codes, Codes]]]:
    """Folds inside any samples: strips of so many neighbours are dealt in turn."""

    def cut(rows: Codes) -> Sequence[tuple[Codes, Codes]]:
        fold = np.unique(np.asarray(rows) // width, return_inverse=True)[1] % n_folds
        return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(n_folds)]

    return cut


def ground(n: int = 360, n_classes: int = 3, seed: int = 0, noise: float = 0.4) -> tuple[NDArray[np.float32], Codes]:
    """Samples whose first feature tells their class but for noise."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_classes, n)
    features = rng.normal(size=(n, 4))
    features[:, 0] = codes + noise * features[:, 0]
    return features.astype(np.float32), codes.astype(np.int64)


class Fixed:
    """Says the same of every sample, and remembers nothing; ``classes_`` as it was fitted."""

    def __init__(self, said: Sequence[float] | None = None) -> None:
        self.said = said

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Fixed:
        self.classes_ = np.unique(y)
        self.weight_ = sample_weight
        return self

    def predict_proba(self, X: Any) -> Floats:
        k = len(self.classes_)
        said = np.full(k, 1 / k) if self.said is None else np.asarray(self.said)
        return np.tile(said, (len(X), 1))


class ByPlace(Fixed):
    """Copies the label of the training sample that is nearest along the strip (feature 1)."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ByPlace:
        super().fit(X, y, sample_weight)
        self.place, self.label = np.asarray(X)[:, 1], np.searchsorted(self.classes_, y)
        return self

    def predict_proba(self, X: Any) -> Floats:
        nearest = np.abs(np.asarray(X)[:, 1][:, None] - self.place).argmin(axis=1)
        return np.eye(len(self.classes_))[self.label[nearest]]


def with_families(**more: Any) -> dict[str, Family]:
    """The registry and some more entries, each from parameters and setting to an estimator."""
    return {**FAMILIES, **{name: Family(build=build, smooth=True) for name, build in more.items()}}
