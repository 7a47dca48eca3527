"""How rough ground is and how it lies to what surrounds it, in metres."""

from __future__ import annotations

import numpy as np

from geoml_ops.domain.covariates.terrain.ground import Ground, Layer


def ruggedness_riley(ground: Ground) -> Layer:
    """Returns ``(y, x)`` the root of the sum of squared differences to eight neighbours.

    Riley, DeGloria & Elliot 1999, A terrain ruggedness index that quantifies topographic heterogeneity,
    Intermountain Journal of Sciences 5.
    """
    total = np.zeros_like(ground.centre)
    for near in ground.neighbours:
        total += (near - ground.centre) ** 2
    return np.asarray(np.sqrt(total))


def ruggedness_wilson(ground: Ground) -> Layer:
    """Returns ``(y, x)`` the mean absolute difference to eight neighbours.

    Wilson et al. 2007, doi:10.1080/01490410701295962.
    """
    total = np.zeros_like(ground.centre)
    for near in ground.neighbours:
        total += np.abs(near - ground.centre)
    return np.asarray(total / 8.0)


def roughness(ground: Ground) -> Layer:
    """Returns ``(y, x)`` the highest less the lowest of nine cells (Wilson et al. 2007)."""
    high, low = ground.centre.copy(), ground.centre.copy()
    for near in ground.neighbours:
        np.maximum(high, near, out=high)
        np.minimum(low, near, out=low)
    return np.asarray(high - low)


def position(elevation: Layer, window_px: int) -> Layer:
    """Returns elevation less the mean of all other cells of a square window (topographic position, Weiss 2001).

    A. D. Weiss, Topographic position and landforms analysis, ESRI user conference 2001. A window of 3 is the index
    of Wilson et al. 2007.

    Args:
        elevation: float64 ``(y + window_px - 1, x + window_px - 1)`` in metres, NaN for nothing.
        window_px: edge of the window, odd, at least 3.

    Returns:
        ``(y, x)``; NaN where the window holds a NaN.
    """
    holes, reach = np.isnan(elevation), window_px // 2
    if holes.all():
        return np.full(tuple(edge - 2 * reach for edge in elevation.shape), np.nan)
    # Sums of small numbers keep their last places; a whole number of metres is taken away exactly.
    low = np.floor(elevation[~holes].min())
    height = np.where(holes, 0.0, elevation - low)
    centre = height[reach : height.shape[0] - reach, reach : height.shape[1] - reach]
    mean = (_box(height, window_px) - centre) / (window_px**2 - 1)
    return np.where(_box(holes.astype(np.float64), window_px) > 0.5, np.nan, centre - mean)


def _box(layer: Layer, window_px: int) -> Layer:
    """Returns the sums of all whole square windows."""
    for axis in (0, 1):
        total = np.cumsum(layer, axis=axis)
        total = np.insert(total, 0, 0.0, axis=axis)
        ends = np.take(total, range(window_px, total.shape[axis]), axis=axis)
        layer = ends - np.take(total, range(total.shape[axis] - window_px), axis=axis)
    return layer
