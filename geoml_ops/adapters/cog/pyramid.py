"""Which pixels the overviews of a map show, without any averaging: classes have no mean.

Level ``k`` has one pixel for every ``2^k`` by ``2^k`` of the map, the one left above the middle of that cell; of
level 1 the one right below. At the southern and eastern edge, where a cell is cut, it is the nearest one that exists.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.grid import Window

Bytes = NDArray[np.uint8]
TILE_STEP = 16
"""Edges of tiles are multiples of it (TIFF 6.0)."""


class Pyramid:
    """The levels of a map: how large they are, and which of their pixels lie in a window of the map.

    Attributes:
        shape: ``(height, width)`` of the map.
        chunk_px: edge of a chunk; the last level is no larger.
    """

    def __init__(self, shape: tuple[int, int], chunk_px: int) -> None:
        self.shape = shape
        self.chunk_px = chunk_px

    @property
    def n_levels(self) -> int:
        """How many overviews there are: the last one fits into one chunk; a map one pixel wide has none."""
        # Readers compare widths to say how coarse an overview is, so one that is not narrower is none (GDAL 3.10).
        return 0 if self.shape[1] == 1 else (-(-max(self.shape) // self.chunk_px) - 1).bit_length()

    @property
    def levels(self) -> range:
        """The numbers of the overviews, from 1, the largest."""
        return range(1, self.n_levels + 1)

    def shape_of(self, level: int) -> tuple[int, int]:
        """Returns ``(height, width)`` of a level; level 0 is the map."""
        return -(-self.shape[0] // 2**level), -(-self.shape[1] // 2**level)

    def chunk_of(self, level: int) -> tuple[int, int]:
        """Returns ``(height, width)`` of the chunks of a level.

        They are squares, except where one column of them is exactly as wide as the level: those are a little wider,
        because validators take a chunk of the level's own width for a strip (rio-cogeo 7.0, GDAL 3.10).
        """
        height, width = self.shape_of(level)
        strip = width == self.chunk_px < height
        return self.chunk_px, self.chunk_px + (TILE_STEP if strip else 0)

    def sources(self, level: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns rows and columns of the map that a level shows, in order."""
        return self._sources[level - 1]

    @cached_property
    def _sources(self) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
        return tuple((shown(level, self.shape[0]), shown(level, self.shape[1])) for level in self.levels)

    def part(self, level: int, window: Window) -> tuple[slice, slice]:
        """Returns rows and columns of a level whose pixels lie in a window of the map; may be empty."""
        rows, cols = self.sources(level)
        top, bottom = np.searchsorted(rows, [window.row, window.row + window.height])
        left, right = np.searchsorted(cols, [window.col, window.col + window.width])
        return slice(int(top), int(bottom)), slice(int(left), int(right))

    def decimated(self, level: int, window: Window, layers: Bytes) -> Bytes:
        """Returns the pixels of a level that lie in a window, ``(band, y, x)``, from the window's own."""
        (rows, cols), (down, right) = self.sources(level), self.part(level, window)
        return layers[:, _steps(rows[down] - window.row, 2**level)][..., _steps(cols[right] - window.col, 2**level)]


def _steps(at: NDArray[np.int64], step: int) -> slice | NDArray[np.int64]:
    """Returns indices as a slice where they are steps of one size, as all but the last one always are."""
    if not at.size:
        return slice(0, 0)
    first, last = int(at[0]), int(at[-1])
    return slice(first, last + 1, step) if last - first == (at.size - 1) * step else at


def shown(level: int, size: int) -> NDArray[np.int64]:
    """Returns the indices out of ``size`` that a level shows.

    >>> shown(1, 9).tolist(), shown(2, 9).tolist(), shown(3, 9).tolist()
    ([1, 3, 5, 7, 8], [1, 5, 8], [3, 8])
    """
    cells = np.arange(-(-size // 2**level), dtype=np.int64) * 2**level
    return np.asarray(np.minimum(cells + (1 if level == 1 else 2 ** (level - 1) - 1), size - 1))
