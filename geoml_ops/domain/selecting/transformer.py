"""The choice of features as a step of a head: fitted inside folds like everything else that learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import SelectionRules
from geoml_ops.core.grid import Value
from geoml_ops.domain.folds import Split
from geoml_ops.domain.selecting.boruta import by_boruta
from geoml_ops.domain.selecting.elimination import by_elimination
from geoml_ops.domain.selecting.permutation import by_permutation, folds_seen
from geoml_ops.domain.selecting.rules import (
    BorutaOptions,
    Build,
    Chosen,
    Codes,
    Ground,
    Measured,
    PermutationOptions,
    RfeOptions,
    VifOptions,
    options_of,
)
from geoml_ops.domain.selecting.vif import by_inflation

METHODS: Mapping[str, Callable[[Ground, SelectionRules], Chosen]] = {
    "vif": by_inflation,
    "permutation": by_permutation,
    "rfe": by_elimination,
    "boruta": by_boruta,
}
OPTIONS: Mapping[str, type[Value]] = {
    "vif": VifOptions,
    "permutation": PermutationOptions,
    "rfe": RfeOptions,
    "boruta": BorutaOptions,
}
UNLABELLED = ("vif",)
"""Methods that ask neither for labels nor for folds."""


class Folds(list[Split]):
    """Spatial folds that know the block of evidence of each sample.

    Attributes:
        unit: ``(n,)``.
    """

    def __init__(self, splits: Sequence[Split], unit: Codes) -> None:
        super().__init__(splits)
        self.unit = unit


class Selector(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the features that a rule chooses; scikit-learn's transformer, exported as one gather of columns.

    Attributes:
        rules: method, ``most`` and options.
        splits: spatial folds of the very rows that :meth:`fit` gets, or what cuts them for a number of rows;
            ``vif`` needs none.
        unit: block of evidence of each of these rows; else what :class:`Folds` say, else the fold that tests it.
        build: unfitted model of the family, for ``options: {model: family}``.
        names: of the features, for sentences.
        seed: of everything random.
        kept_: positions of the features that stay, ascending.
        chosen_: the answer of the method.
    """

    def __init__(
        self,
        rules: SelectionRules,
        splits: Sequence[Split] | Callable[[int], Sequence[Split]] = (),
        unit: Codes | None = None,
        build: Build | None = None,
        names: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.rules, self.splits, self.unit, self.build, self.names, self.seed = rules, splits, unit, build, names, seed

    def fit(self, X: Any, y: Any = None) -> Selector:
        """Chooses.

        Raises:
            BadInput: numbers that are infinite, folds of other rows or none, or options that cannot be.
        """
        ground = self._ground(np.asarray(X, dtype=np.float64), y)
        self.chosen_ = METHODS[self.rules.method](ground, self.rules)
        self.kept_ = np.asarray(self.chosen_.kept, dtype=np.int64)
        self.n_features_in_ = ground.features.shape[1]
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Returns the kept columns, in their order.

        Raises:
            BadInput: another number of features than was fitted on.
        """
        values = np.asarray(X)
        if values.ndim != 2 or values.shape[1] != self.n_features_in_:
            raise BadInput(f"{values.shape} is not rows of {self.n_features_in_} features, which were chosen from.")
        return np.asarray(values[:, self.kept_])

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a fitted choice is: what it was chosen with stays behind."""
        if not hasattr(self, "kept_"):
            return dict(self.__dict__)
        bare = {"rules": None, "splits": (), "unit": None, "build": None, "names": (), "seed": self.seed}
        return {**bare, "kept_": self.kept_, "n_features_in_": self.n_features_in_}

    def _ground(self, values: NDArray[np.float64], y: Any) -> Ground:
        n, width = values.shape
        if np.isinf(values).any():
            raise BadInput(f"{int(np.isinf(values).sum())} of {values.size} feature values are infinite.")
        names = tuple(self.names) or tuple(f"feature {position}" for position in range(width))
        if len(names) != width:
            raise BadInput(f"{len(names)} names are no names of {width} features.")
        if self.rules.method in UNLABELLED:
            nothing = np.zeros(0, dtype=np.int64)
            return Ground(_filled(values), nothing, (), nothing, self._build(), self.seed, names)
        code, cut = _codes(y, n), self.splits(n) if callable(self.splits) else self.splits
        splits, unit = tuple(cut), getattr(cut, "unit", None) if self.unit is None else self.unit
        _require_folds(self.rules.method, splits, n)
        unit = folds_seen(splits, n) if unit is None else np.asarray(unit)
        if len(unit) != n:
            raise BadInput(f"{len(unit)} blocks of evidence are none of {n} samples.", "give one for each sample")
        return Ground(_filled(values), code, splits, unit, self._build(), self.seed, names)

    def _build(self) -> Build:
        options = options_of(OPTIONS[self.rules.method], self.rules)
        if not isinstance(options, Measured) or options.model == "forest":
            trees = getattr(options, "trees", 10)
            return lambda k: RandomForestClassifier(n_estimators=trees, random_state=self.seed, n_jobs=1)
        if self.build is None:
            raise BadInput("options.model: family names no family here.", "say for which family, or use forest")
        return self.build


def choose(
    rules: SelectionRules,
    features: NDArray[Any],
    code: Codes,
    splits: Sequence[Split] | Callable[[int], Sequence[Split]],
    *,
    unit: Codes | None = None,
    build: Build | None = None,
    names: Sequence[str] = (),
    seed: int = 0,
) -> Chosen:
    """Returns which of the features ``(n, features)`` a rule keeps on these samples; see :class:`Selector`."""
    return Selector(rules, splits, unit, build, names, seed).fit(features, code).chosen_


class SelectedHead(Pipeline):  # type: ignore[misc]
    """A pipeline that begins with a choice of features; what it ends in need not be one of scikit-learn's own."""

    def __sklearn_is_fitted__(self) -> bool:
        """Says whether it can answer; scikit-learn would ask the model for what only its own classes have."""
        return hasattr(self.steps[-1][1], "classes_")


def in_front(selector: Selector, head: Any) -> SelectedHead:
    """Returns an unfitted head with the choice as its first step; steps of a pipeline stay on one level."""
    steps = list(head.steps) if isinstance(head, Pipeline) else [("model", head)]
    return SelectedHead([("select", selector), *steps])


def _codes(y: Any, n: int) -> Codes:
    if y is None or len(y) != n:
        raise BadInput(f"{0 if y is None else len(y)} labels are no labels of {n} samples.")
    return np.asarray(np.unique(np.asarray(y), return_inverse=True)[1], dtype=np.int64)


def _require_folds(method: str, splits: tuple[Split, ...], n: int) -> None:
    if len(splits) < 2 or any(not len(train) or not len(test) for train, test in splits):
        raise BadInput(
            f"A selection by {method} measures on ground that was not learned from; {len(splits)} folds show none.",
            "give spatial folds of the samples, or choose by vif, which needs no labels",
        )
    top = max(int(max(train.max(), test.max())) for train, test in splits)
    if top >= n:
        raise BadInput(f"The folds speak of sample {top}; there are {n}.", "give folds of these very samples")


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the values with each feature's median where one is missing, 0 where a feature has none at all."""
    if not np.isnan(values).any():
        return values
    none = np.isnan(values).all(axis=0)
    middle = np.zeros(values.shape[1])
    middle[~none] = np.nanmedian(values[:, ~none], axis=0)
    return np.where(np.isnan(values), middle, values)
