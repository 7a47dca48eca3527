"""k nearest neighbours whose answers do not hang on rounding: the same here, in a graph, and on any machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from geoml_ops.core.errors import BadInput

LIFT = 1e-7
"""Squared distances are compared with this share of a row's squared length added: beside it their rounding vanishes."""
SAME_POINT = 1e-12
"""Share of a row's squared length below which a squared distance is rounding, and the points are the same."""
FARTHEST = float(np.finfo(np.float32).max)
"""Squared distances beyond it count as it: one over infinity, of all neighbours, would be no answer."""
ROWS_AT_ONCE = 2048
_WEIGHTS = ("uniform", "distance")


class Neighbours(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Shares of the classes among the ``k`` nearest samples, by Euclidean distance (Cover and Hart 1967).

    Imagery is full of pixels at exactly the same distance. Squared distances are one matrix product in double
    precision, |x|^2 + |s|^2 - 2 x.s, lifted a little (:data:`LIFT`) and compared in single precision: what differs by
    less is a tie, and of ties the sample that comes first in training is nearer. So which neighbours count does not
    hang on the order in which a machine adds up.

    Attributes:
        n_neighbors: ``k``.
        weights: ``uniform``, or ``distance`` for one over the distance; a sample at the very place then decides alone.
        samples_: float64 ``(n, features)`` that it learned.
        votes_: float64 ``(n, classes)`` weight of each sample, in the column of its class.
        classes_: ``(classes,)``.
    """

    def __init__(self, n_neighbors: int = 5, weights: str = "uniform") -> None:
        self.n_neighbors, self.weights = n_neighbors, weights

    def fit(self, X: NDArray[Any], y: NDArray[Any], sample_weight: NDArray[Any] | None = None) -> Neighbours:
        """Keeps the samples ``(n, features)``, finite numbers all of them; a weight multiplies a sample's vote.

        Raises:
            BadInput: a parameter is impossible, or there are fewer samples than neighbours.
        """
        whole = isinstance(self.n_neighbors, int) and not isinstance(self.n_neighbors, bool)
        if not whole or self.n_neighbors < 1:
            raise BadInput(f"n_neighbors is {str(self.n_neighbors)[:60]}.", "use a whole number from 1")
        if self.weights not in _WEIGHTS:
            raise BadInput(f"weights is {str(self.weights)[:60]!r}.", f"use one of {', '.join(_WEIGHTS)}")
        if self.n_neighbors > len(X):
            raise BadInput(
                f"{self.n_neighbors} nearest neighbours cannot be found among {len(X)} samples.",
                "use fewer neighbours or folds, or deliver more labels",
            )
        self.samples_ = np.asarray(X, dtype=np.float64)
        self.classes_, code = np.unique(y, return_inverse=True)
        self.votes_ = np.zeros((len(code), len(self.classes_)))
        self.votes_[np.arange(len(code)), code] = 1.0 if sample_weight is None else sample_weight
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns probabilities ``(n, classes)``."""
        rows = np.asarray(X, dtype=np.float64)
        parts = [self._shares(rows[first : first + ROWS_AT_ONCE]) for first in range(0, len(rows), ROWS_AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes_)))

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Returns the class with the largest share, ``(n,)``; the first of equal ones."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _shares(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        lifted = lifted_distances(rows, self.samples_)
        nearest = _first(lifted, self.n_neighbors)
        votes = self.votes_[nearest]
        if self.weights == "distance":
            votes = votes * closeness(np.take_along_axis(lifted, nearest, axis=1), rows)[:, :, None]
        summed = votes.sum(axis=1)
        return np.asarray(summed / summed.sum(axis=1, keepdims=True))


def lifted_distances(rows: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns squared Euclidean distances and the lift of their row, float32 ``(row, sample)``, from 0."""
    lengths = (1.0 + LIFT) * np.square(rows).sum(axis=1)[:, None] + np.square(samples).sum(axis=1)
    with np.errstate(over="ignore"):
        return np.asarray(np.maximum(lengths - 2.0 * (rows @ samples.T), 0.0), dtype=np.float32)


def closeness(lifted: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns one over the distance, ``(row, k)``; where a distance is 0, 1 for that and 0 for the others.

    Args:
        lifted: squared distances of the neighbours with their lift.
        rows: ``(row, feature)``.
    """
    length = np.square(rows).sum(axis=1)[:, None]
    squared = lifted.astype(np.float64) - LIFT * length
    here = squared <= SAME_POINT * length
    inverse = 1.0 / np.sqrt(np.minimum(np.where(here, 1.0, squared), FARTHEST))
    return np.where(here.any(axis=1, keepdims=True), here.astype(np.float64), inverse)


def _first(lifted: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Returns the positions of the ``k`` smallest, ``(row, k)`` in order; of equal ones the first.

    Numbers from 0 sort as their bits do, so bits and position together are one whole number without ties.
    """
    bits = lifted.view(np.uint32).astype(np.uint64) << np.uint64(32)
    key = bits | np.arange(lifted.shape[1], dtype=np.uint64)
    if k < key.shape[1]:
        key = np.partition(key, k - 1, axis=1)[:, :k]
    return np.asarray(np.sort(key, axis=1) & np.uint64(2**32 - 1)).astype(np.int64)
