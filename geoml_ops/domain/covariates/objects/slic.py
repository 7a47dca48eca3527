"""SLIC: k-means of pixels in features and place, each centre looking around itself only.

Achanta, Shaji, Smith, Lucchi, Fua & Süsstrunk 2012, doi:10.1109/TPAMI.2012.120; centres look two edges far, as in
scikit-image, whose labels these are where nothing is missing. Written here because scikit-image keeps several copies
of an image in double precision, rescales it by its own extremes, and seeds a mask in time and memory that grow with
the square of the number of segments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.covariates.compiling import compiled


def slic(scaled: NDArray[np.float32], *, size_px: int, compactness: float, iterations: int) -> NDArray[np.int32]:
    """Returns the cluster of each pixel ``(y, x)``, -1 where there is nothing; a cluster may lie in several parts.

    Args:
        scaled: ``(feature, y, x)``, NaN in all features for nothing.
        size_px: distance between the first centres.
        compactness: difference in features that weighs as much as ``size_px`` pixels.
        iterations: rounds of assignment.
    """
    labels = np.full(scaled.shape[1:], -1, dtype=np.int32)
    seeds = _seeds(scaled[0], size_px)
    if not len(seeds):
        return labels
    centres = np.hstack([seeds, np.zeros((len(seeds), len(scaled)))])
    apart = np.empty(scaled.shape[1:])
    for turn in range(iterations):
        # Centres know no features before the first assignment, which therefore goes by place alone.
        weight = 1.0 / compactness**2 if turn else 0.0
        _assign(scaled, centres, size_px, weight, labels, apart)
        if turn + 1 < iterations:
            _move(scaled, labels, centres)
    # What no centre looked at belongs together where it hangs together.
    labels[(labels < 0) & ~np.isnan(scaled[0])] = len(seeds)
    return labels


@compiled
def _seeds(layer: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Returns rows and columns of first centres: the middle of each cell, or the observed pixel next to it."""
    height, width = layer.shape
    n_rows = max(1, (height - size // 2 - 1) // size + 1)
    n_cols = max(1, (width - size // 2 - 1) // size + 1)
    seeds = np.empty((n_rows * n_cols, 2))
    n = 0
    for i in range(n_rows):
        middle_r = min(i * size + size // 2, height // 2 if n_rows == 1 else height)
        last_r = height if i == n_rows - 1 else (i + 1) * size
        for j in range(n_cols):
            middle_c = min(j * size + size // 2, width // 2 if n_cols == 1 else width)
            last_c = width if j == n_cols - 1 else (j + 1) * size
            least = np.inf
            if not np.isnan(layer[middle_r, middle_c]):
                least = 0.0
                seeds[n, 0] = middle_r
                seeds[n, 1] = middle_c
            else:
                for r in range(i * size, last_r):
                    for c in range(j * size, last_c):
                        away = (r - middle_r) ** 2 + (c - middle_c) ** 2
                        if away < least and not np.isnan(layer[r, c]):
                            least = away
                            seeds[n, 0] = r
                            seeds[n, 1] = c
            if least < np.inf:
                n += 1
    return seeds[:n]


@compiled
def _assign(
    scaled: NDArray[np.float32],
    centres: NDArray[np.float64],
    size: int,
    weight: float,
    labels: NDArray[np.int32],
    apart: NDArray[np.float64],
) -> None:
    n_features, height, width = scaled.shape
    labels[:] = -1
    apart[:] = np.inf
    scale = 1.0 / (size * size)
    away, unlike = np.empty(4 * size + 2), np.empty(4 * size + 2)
    for k in range(len(centres)):
        cy, cx = centres[k, 0], centres[k, 1]
        r0, r1 = int(max(cy - 2 * size, 0.0)), int(min(cy + 2 * size + 1, float(height)))
        c0, c1 = int(max(cx - 2 * size, 0.0)), int(min(cx + 2 * size + 1, float(width)))
        n = c1 - c0
        for i in range(n):
            away[i] = (cx - (c0 + i)) * (cx - (c0 + i))
        for r in range(r0, r1):
            dy2 = (cy - r) * (cy - r)
            for i in range(n):
                unlike[i] = 0.0
            # One plain loop per feature: the compiler makes several pixels of it at a time.
            for f in range(n_features):
                row, middle = scaled[f, r, c0:c1], centres[k, 2 + f]
                for i in range(n):
                    unlike[i] += (row[i] - middle) * (row[i] - middle)
            least, whose = apart[r, c0:c1], labels[r, c0:c1]
            for i in range(n):
                found = (dy2 + away[i]) * scale + unlike[i] * weight
                # NaN is never less: pixels without numbers stay with nobody.
                nearer = found < least[i]
                least[i] = found if nearer else least[i]
                whose[i] = k if nearer else whose[i]


@compiled
def _move(scaled: NDArray[np.float32], labels: NDArray[np.int32], centres: NDArray[np.float64]) -> None:
    n_features, height, width = scaled.shape
    sums = np.zeros(centres.shape)
    counts = np.zeros(len(centres))
    for r in range(height):
        for c in range(width):
            k = labels[r, c]
            if k >= 0:
                counts[k] += 1
                sums[k, 0] += r
                sums[k, 1] += c
                for f in range(n_features):
                    sums[k, 2 + f] += scaled[f, r, c]
    for k in range(len(centres)):
        if counts[k] > 0:
            for f in range(centres.shape[1]):
                centres[k, f] = sums[k, f] / counts[k]
