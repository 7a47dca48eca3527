"""What dissimilarity is measured to, and the two measures: the graph of a bundle computes the same ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.applicability.distances import Floats, Index, closer_than, nearest


@dataclass(frozen=True)
class References:
    """Samples in weighted feature space, with the units and the threshold there.

    Attributes:
        columns: ``(d,)`` positions of the features that count, ascending; the others have weight 0.
        mean: ``(d,)`` of the samples.
        scale: ``(d,)`` weight divided by standard deviation.
        rows: ``(m, d)`` distinct references, ``(feature - mean) * scale``.
        counts: ``(m,)`` samples that each stands for; more than its own copies where samples were thinned.
        mean_distance: between samples; dissimilarity 1.
        threshold: dissimilarity beyond which a pixel is outside.
    """

    columns: Index
    mean: Floats
    scale: Floats
    rows: Floats
    counts: Floats
    mean_distance: float
    threshold: float

    @property
    def reach(self) -> float:
        """The threshold as a distance between :attr:`rows`."""
        return self.threshold * self.mean_distance

    def place(self, features: NDArray[np.floating]) -> Floats:
        """Returns where features ``(n, features)`` lie among the references, ``(n, d)``; NaN rows stay NaN."""
        known = np.isfinite(features).all(axis=1)
        placed = (features[:, self.columns].astype(np.float64) - self.mean) * self.scale
        placed[~known] = np.nan
        return placed


def dissimilarity(features: NDArray[np.floating], references: References) -> Floats:
    """Returns the dissimilarity index of each row, ``(n,)``, at least 0; a pixel is inside where <= the threshold.

    ``min_j |x - r_j| / mean distance`` (Meyer and Pebesma 2021); NaN where a feature is no finite number.

    Args:
        features: ``(n, features)``, all features of the model in its order.
        references: what they are compared with.
    """
    return nearest(references.place(features), references.rows)[0] / references.mean_distance


def density(features: NDArray[np.floating], references: References, *, times: float = 1.0) -> Floats:
    """Returns the local point density of each row, ``(n,)``: samples less dissimilar to it than the threshold.

    Schumacher et al. (2025). Exact where every distinct sample is a reference; of thinned ones each counts
    for all samples it stands for. NaN where a feature is no finite number.

    Args:
        features: ``(n, features)``, all features of the model in its order.
        references: what they are compared with.
        times: factor on the threshold.
    """
    placed = references.place(features)
    found = closer_than(placed, references.rows, references.reach * times, references.counts)
    return np.where(np.isfinite(placed).all(axis=1), found, np.nan)
