"""Many tests at once: the false discovery rate of Benjamini and Hochberg (1995)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def adjusted(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns for each p-value the lowest false discovery rate at which it is a discovery; NaN stays NaN, uncounted.

    >>> adjusted(np.array([0.01, 0.04, 0.03, np.nan])).round(3).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    found = np.full(len(p), np.nan)
    there = np.flatnonzero(np.isfinite(p))
    order = there[np.argsort(p[there], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return found


def rejected(p: NDArray[np.float64], alpha: float) -> NDArray[np.bool_]:
    """Says which p-values are discoveries at the rate ``alpha``."""
    return np.asarray(adjusted(p) <= alpha)
