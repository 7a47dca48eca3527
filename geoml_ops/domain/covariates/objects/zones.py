"""Statistics of a feature over each segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled


@dataclass(frozen=True, eq=False)
class Zones:
    """Statistics of one feature, each ``(n,)``.

    Attributes:
        mean: over the segment's pixels.
        std: standard deviation over them, not estimated for a larger population.
        least: smallest number.
        most: greatest number.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]


def zones_of(labels: NDArray[np.int32], n: int, layer: NDArray[np.floating[Any]]) -> Zones:
    """Returns the statistics of a layer over segments; its numbers are finite wherever there is a segment.

    Args:
        labels: ``(y, x)``, -1 for nothing.
        n: number of segments.
        layer: ``(y, x)``.
    """
    return Zones(*_statistics(labels, n, layer))


def contrast_of(labels: NDArray[np.int32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the mean difference, without sign, of each segment's mean to those across its outline, ``(n,)``.

    Each pixel edge of the outline counts once; NaN where a segment touches no other.

    Args:
        labels: ``(y, x)``, -1 for nothing.
        mean: ``(n,)`` of a feature.
    """
    total, edges = _across(labels, mean)
    return np.asarray(np.divide(total, edges, out=np.full(len(mean), np.nan), where=edges > 0))


@compiled
def _statistics(
    labels: NDArray[np.int32], n: int, layer: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    height, width = labels.shape
    count, mean, spread = np.zeros(n), np.zeros(n), np.zeros(n)
    least, most = np.full(n, np.inf), np.full(n, -np.inf)
    for r in range(height):
        for c in range(width):
            k = labels[r, c]
            if k >= 0:
                value = np.float64(layer[r, c])
                count[k] += 1
                mean[k] += value
                least[k] = min(least[k], value)
                most[k] = max(most[k], value)
    for k in range(n):
        mean[k] = min(max(mean[k] / max(count[k], 1.0), least[k]), most[k])
    for r in range(height):
        for c in range(width):
            k = labels[r, c]
            if k >= 0:
                spread[k] += (layer[r, c] - mean[k]) ** 2
    return mean, np.sqrt(spread / np.maximum(count, 1.0)), least, most


@compiled
def _across(labels: NDArray[np.int32], mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the sum of differences across the outline of each segment, and the number of its shared edges."""
    height, width = labels.shape
    total, edges = np.zeros(len(mean)), np.zeros(len(mean))
    for r in range(height):
        for c in range(width):
            a = labels[r, c]
            if a < 0:
                continue
            for side in range(2):
                rr, cc = (r, c + 1) if side else (r + 1, c)
                if rr < height and cc < width:
                    b = labels[rr, cc]
                    if b >= 0 and b != a:
                        apart = abs(mean[a] - mean[b])
                        total[a] += apart
                        total[b] += apart
                        edges[a] += 1
                        edges[b] += 1
    return total, edges
