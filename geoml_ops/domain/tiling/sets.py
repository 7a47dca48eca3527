"""Which classes a pixel may have: from calibrated quantiles to sets, over a grid with regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.evidence import Conformal
from geoml_ops.core.grid import Grid, Window

Least = Callable[[Window], NDArray[np.float32]]
"""A window to the least probability with which each class belongs to a set: ``(class, y, x)`` or ``(class, 1, 1)``."""


def sets(probability: NDArray[np.floating[Any]], least: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Returns which classes belong to each set, ``(class, …)``; the most probable one always does.

    Args:
        probability: ``(class, …)``.
        least: probability from which on a class belongs, of a shape that fits: see :func:`least_probability`.

    >>> least = least_probability(np.array([0.6, 0.8, 0.9]))
    >>> sets(np.array([0.5, 0.3, 0.2]), least).tolist()
    [True, True, True]
    >>> sets(np.array([0.35, 0.15, 0.5]), least).tolist()
    [False, False, True]
    """
    member = np.asarray(probability >= least)
    np.put_along_axis(member, probability.argmax(axis=0)[np.newaxis], True, axis=0)
    return member


def least_probability(quantiles: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns the probabilities that belong to quantiles of ``1 - probability``, rounded down: no tie is lost."""
    return np.nextafter((1.0 - quantiles).astype(np.float32), np.float32(-1.0))


def least_over(conformal: Conformal, classes: Sequence[str], grid: Grid) -> Least:
    """Returns what belongs to a set anywhere on a grid; where a region has quantiles of its own, those count.

    A pixel lies in the region that holds its centre; left and bottom edges belong to a region. On a grid in another
    CRS than a region's the quantiles of all ground hold: numbers of two UTM zones look alike.

    Args:
        conformal: calibrated quantiles.
        classes: names in code order.
        grid: of the scene.
    """
    everywhere = _column(conformal.quantiles, classes)
    regions = [
        (region.bounds, _column(region.quantiles, classes)) for region in conformal.regions if region.crs == grid.crs
    ]

    def least(window: Window) -> NDArray[np.float32]:
        box = grid.inside(window).bounds
        near = [(bounds, column) for bounds, column in regions if bounds.overlap(box)]
        if not near:
            return everywhere
        found = np.broadcast_to(everywhere, (len(classes), window.height, window.width)).copy()
        east = box.left + (np.arange(window.width) + 0.5) * grid.pixel_m
        north = box.top - (np.arange(window.height) + 0.5) * grid.pixel_m
        for bounds, column in near:
            cols = np.flatnonzero((east >= bounds.left) & (east < bounds.right))
            rows = np.flatnonzero((north >= bounds.bottom) & (north < bounds.top))
            found[:, rows[:, np.newaxis], cols] = column
        return found

    return least


def _column(quantiles: Mapping[str, float], classes: Sequence[str]) -> NDArray[np.float32]:
    return least_probability(np.array([quantiles[name] for name in classes]))[:, np.newaxis, np.newaxis]
