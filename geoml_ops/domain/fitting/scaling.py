"""What stands before a model inside its fold: missing numbers filled in, and features brought to one scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler


class Standard(StandardScaler):  # type: ignore[misc]
    """Features less their mean over their standard deviation, in double precision whatever comes in.

    scikit-learn 1.9 keeps float32: a scaled saturated value then has three digits fewer than the model needs,
    and models behind it compute in float32 as well. A graph computes the same in double precision.
    """

    def fit(self, X: NDArray[Any], y: Any = None, sample_weight: Any = None) -> Standard:
        """Learns mean and deviation of each column of ``(n, features)``; a constant column keeps its scale."""
        super().fit(np.asarray(X, dtype=np.float64), y, sample_weight)
        return self

    def transform(self, X: NDArray[Any], copy: bool | None = None) -> NDArray[np.float64]:
        """Returns float64 ``(n, features)``."""
        return np.asarray(super().transform(np.array(X, dtype=np.float64), copy), dtype=np.float64)


def imputed(model: Any) -> Pipeline:
    """Returns a model behind a median imputer; a feature that no sample has counts as 0."""
    return Pipeline([("impute", _imputer()), ("model", model)])


def standardised(model: Any) -> Pipeline:
    """Returns a model behind a median imputer and :class:`Standard`."""
    return Pipeline([("impute", _imputer()), ("scale", Standard()), ("model", model)])


def unscaled(model: Any) -> Pipeline:
    """Returns a model behind a median imputer that sees features on their own scales, in double precision.

    scikit-learn 1.9 multiplies float32 rows in float32: beside large coefficients, or coordinates in metres, the
    fifth digit of a probability then hangs on rounding.
    """
    return Pipeline([("impute", _imputer()), ("scale", Standard(with_mean=False, with_std=False)), ("model", model)])


def _imputer() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)
