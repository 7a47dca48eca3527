"""Support vector machines by their margins between pairs of classes, and probabilities that agree with all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

LEAST = 1e-9
"""Pairwise probabilities are brought to it and to 1 less it before they are divided by."""


class SupportVectors(SVC):  # type: ignore[misc]
    """A support vector classifier (Cortes and Vapnik 1995) that answers with the margin of every pair of classes.

    Margins are no probabilities: :class:`Coupled` makes them such on spatial folds. (scikit-learn's own, from random
    folds inside the training samples, is deprecated since 1.9 and knows nothing of neighbours.)
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        kernel: str = "rbf",
        degree: int = 3,
        gamma: str | float = "scale",
        coef0: float = 0.0,
        tol: float = 1e-3,
        max_iter: int = -1,
    ) -> None:
        super().__init__(
            C=C,
            kernel=kernel,
            degree=degree,
            gamma=gamma,
            coef0=coef0,
            tol=tol,
            max_iter=max_iter,
            decision_function_shape="ovo",
        )

    def margins(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns ``(n, pair)``, above 0 for the first class of a pair; pairs as :func:`pairs_of` orders them."""
        found = self.decision_function(np.asarray(X, dtype=np.float64)).reshape(len(X), -1)
        # Of two classes scikit-learn's one margin speaks for the second.
        return np.asarray(-found if len(self.classes_) == 2 else found)


def pairs_of(classes: Sequence[int]) -> list[tuple[int, int]]:
    """Returns every pair of ascending classes: (0, 1), (0, 2), …, (1, 2), …."""
    return list(combinations(classes, 2))


def coupled(share: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Returns class probabilities ``(n, n_classes)`` of pairwise ones (Price, Knerr, Personnaz and Dreyfus 1995).

    ``p_i = 1 / (sum_j 1 / r_ij - (k - 2))``, brought to sum 1; exact where ``r_ij = p_i / (p_i + p_j)``.

    Args:
        share: ``(n, pair)`` probability of a pair's first class, given that it is one of the two.
        n_classes: k.
    """
    kept = np.clip(share, LEAST, 1.0 - LEAST)
    summed = np.column_stack([1.0 / kept, 1.0 / (1.0 - kept)]) @ sides(n_classes)
    found = 1.0 / (summed - (n_classes - 2))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def sides(n_classes: int) -> NDArray[np.float64]:
    """Returns which class each pair's first and then each pair's second is, ``(2 pairs, class)`` of 0 and 1."""
    pairs = np.array(pairs_of(range(n_classes)))
    return np.asarray(np.eye(n_classes)[np.concatenate([pairs[:, 0], pairs[:, 1]])])
