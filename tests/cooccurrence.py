"""Grey-level co-occurrence by its definition: one matrix per window and direction, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np

STATISTICS = ("contrast", "dissimilarity", "homogeneity", "correlation", "energy", "asm", "entropy")
ANGLES = (0.0, math.pi / 4, math.pi / 2, 3 * math.pi / 4)
#: The image that scikit-image's documentation counts by hand.
DOCUMENTED = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])


def levels_by_edges(values: np.ndarray, low: float, high: float, levels: int) -> np.ndarray:
    """Returns levels by looking for the edge below; -1 where a number is not finite."""
    edges = low + (high - low) * np.arange(1, levels) / levels
    found = np.searchsorted(edges, values.astype(np.float64), side="right")
    return np.where(np.isfinite(values), found, -1)


def described(matrix: np.ndarray) -> dict[str, float]:
    """Returns the statistics of a matrix of counts."""
    p = matrix / matrix.sum()
    i, j = np.indices(p.shape)
    mean_i, mean_j = (p * i).sum(), (p * j).sum()
    spread = math.sqrt((p * (i - mean_i) ** 2).sum() * (p * (j - mean_j) ** 2).sum())
    seen = p[p > 0]
    return {
        "contrast": (p * (i - j) ** 2).sum(),
        "dissimilarity": (p * abs(i - j)).sum(),
        "homogeneity": (p / (1 + (i - j) ** 2)).sum(),
        "correlation": (p * (i - mean_i) * (j - mean_j)).sum() / spread if spread > 1e-15 else 1.0,
        "energy": math.sqrt((p**2).sum()),
        "asm": (p**2).sum(),
        "entropy": -(seen * np.log(seen)).sum(),
    }


def window_texture(window: np.ndarray, levels: int, distance: int) -> dict[str, float]:
    """Returns the statistics of one window of levels (-1: not observed), averaged over directions with a pair."""
    found = []
    for angle in ANGLES:
        down, across = round(math.sin(angle) * distance), round(math.cos(angle) * distance)
        matrix = np.zeros((levels, levels))
        for y, x in np.ndindex(window.shape):
            other = y + down, x + across
            inside = 0 <= other[0] < window.shape[0] and 0 <= other[1] < window.shape[1]
            if inside and window[y, x] >= 0 and window[other] >= 0:
                matrix[window[y, x], window[other]] += 1
                matrix[window[other], window[y, x]] += 1
        if matrix.any():
            found.append(described(matrix))
    return {name: float(np.mean([one[name] for one in found])) if found else np.nan for name in STATISTICS}


def texture_by_definition(level: np.ndarray, window_px: int, levels: int, distance: int) -> np.ndarray:
    """Returns all statistics ``(statistic, y, x)`` of a layer of levels, NaN where its pixel is not observed."""
    edged = np.pad(level, window_px // 2, constant_values=-1)
    out = np.full((len(STATISTICS), *level.shape), np.nan)
    for y, x in np.argwhere(level >= 0):
        found = window_texture(edged[y : y + window_px, x : x + window_px], levels, distance)
        out[:, y, x] = [found[name] for name in STATISTICS]
    return out
