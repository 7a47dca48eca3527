"""Sample units of a map, and how many there are of each kind, from strips of a raster that is never whole in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Bounds, Grid

NO_CLASS = 255
UNKNOWN = 101
"""Stands for a confidence that is not known; 0 to 100 are percent."""
SHAPE = 256, 2, 2, UNKNOWN + 1
"""Of a census: class code, in a hot-spot or not, outside the area of applicability or not, percent of confidence."""
LARGEST_UNIT_PX = 101
_OUTSIDE = 100
Bytes = NDArray[np.uint8]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class UnitLayers:
    """What a strip of sample units shows, ``(y, x)`` units each.

    Attributes:
        classes: the map's class code, 255 where a unit does not belong to the mapped ground.
        percent: confidence, 0 to 100; 101 where it is not known.
        outside: True beyond the area of applicability.
        hot: True in a hot-spot of drift.
    """

    classes: Bytes
    percent: Bytes
    outside: NDArray[np.bool_]
    hot: NDArray[np.bool_]

    @property
    def cells(self) -> NDArray[np.int64]:
        """Position of each unit in a flat census, -1 where it does not belong to the mapped ground, ``(y, x)``."""
        parts = (self.classes, self.hot.astype(np.uint8), self.outside.astype(np.uint8), self.percent)
        flat = np.zeros(self.classes.shape, dtype=np.int64)
        for part, size in zip(parts, SHAPE, strict=True):
            flat *= size
            flat += part
        return np.where(self.classes == NO_CLASS, -1, flat)


def units_in(classes: Bytes, percent: Bytes | None, dissimilarity: Bytes | None, edge: int) -> UnitLayers:
    """Returns whole sample units of a strip of pixels; what is left of it at its southern and eastern edge is none.

    A unit of several pixels belongs to the mapped ground where more than half of them are mapped. It shows the class
    that most of those show (of several the lowest code), their mean confidence, and is outside where most are.

    Args:
        classes: ``(y, x)`` class codes, 255 for nothing.
        percent: ``(y, x)`` confidence, 255 for unknown; None where the map does not say.
        dissimilarity: ``(y, x)`` percent of the threshold, 255 for unknown; None where the map does not say.
        edge: of a unit in pixels, from 1.
    """
    known = classes != NO_CLASS
    sure = np.full(classes.shape, UNKNOWN, np.uint8) if percent is None else np.minimum(percent, UNKNOWN)
    far = known & (dissimilarity > _OUTSIDE) & (dissimilarity != NO_CLASS) if dissimilarity is not None else ~known
    far &= known
    none = np.zeros(classes.shape, dtype=np.bool_)
    if edge == 1:
        return UnitLayers(classes, np.asarray(sure, dtype=np.uint8), far, none)
    pixels = _blocks(known, edge).sum(axis=-1)
    inside = 2 * pixels > edge * edge
    told = _blocks(np.where(known, sure, UNKNOWN), edge)
    heard = told < UNKNOWN
    mean = (told * heard).sum(axis=-1) / np.maximum(heard.sum(axis=-1), 1)
    return UnitLayers(
        np.where(inside, _most_common(_blocks(classes, edge)), NO_CLASS).astype(np.uint8),
        np.where(heard.any(axis=-1), np.rint(mean), UNKNOWN).astype(np.uint8),
        2 * _blocks(far, edge).sum(axis=-1) > pixels,
        np.zeros(inside.shape, dtype=np.bool_),
    )


def _blocks(layer: NDArray[np.generic], edge: int) -> NDArray[np.int64]:
    """Returns ``(y, x, edge²)`` the pixels of each whole unit."""
    height, width = layer.shape[0] // edge, layer.shape[1] // edge
    cut = layer[: height * edge, : width * edge].reshape(height, edge, width, edge)
    return np.asarray(cut.transpose(0, 2, 1, 3).reshape(height, width, edge * edge), dtype=np.int64)


def _most_common(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    best = np.full(codes.shape[:2], NO_CLASS, dtype=np.int64)
    times = np.zeros(codes.shape[:2], dtype=np.int64)
    for code in np.unique(codes[codes != NO_CLASS]):
        n = (codes == code).sum(axis=-1)
        best, times = np.where(n > times, code, best), np.maximum(n, times)
    return best


def with_spots(layers: UnitLayers, grid: Grid, first: int, spots: Sequence[Bounds]) -> UnitLayers:
    """Returns the layers with the units marked whose centres lie in one of the rectangles.

    Args:
        layers: of a strip.
        grid: of all units, one pixel per unit, in the CRS of the rectangles.
        first: row of the strip's first units in that grid.
        spots: where drift is.
    """
    height, width = layers.classes.shape
    hot = np.zeros((height, width), dtype=np.bool_)
    for spot in spots:
        left, right = _between(spot.left - grid.left, spot.right - grid.left, grid.pixel_m, width)
        top, bottom = _between(grid.top - spot.top, grid.top - spot.bottom, grid.pixel_m, first + height)
        hot[max(top - first, 0) : max(bottom - first, 0), left:right] = True
    return UnitLayers(layers.classes, layers.percent, layers.outside, hot)


def _between(low: float, high: float, edge: float, most: int) -> tuple[int, int]:
    """Returns the first unit whose centre lies between two distances, and the one after the last."""
    ends = np.clip(np.ceil(np.array([low, high]) / edge - 0.5), 0, most).astype(np.int64)
    return int(ends[0]), int(ends[1])


class Census:
    """How many units there are of each kind."""

    def __init__(self) -> None:
        self._counts = np.zeros(int(np.prod(SHAPE)), dtype=np.int64)

    def add(self, layers: UnitLayers) -> None:
        """Counts the units of a strip."""
        cells = layers.cells
        self._counts += np.bincount(cells[cells >= 0], minlength=len(self._counts))

    @property
    def counts(self) -> Counts:
        """Units of each kind, of the shape :data:`SHAPE`."""
        return self._counts.reshape(SHAPE)

    @property
    def total(self) -> int:
        """All units of the mapped ground."""
        return int(self._counts.sum())
