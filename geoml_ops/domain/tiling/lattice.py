"""One lattice over a whole raster: which tiles there are, what each has to see, and which of them a window needs.

The lattice belongs to the raster, never to the window that happens to be in work: whoever cuts the raster into other
windows asks the same tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from geoml_ops.core.grid import Window


class Box(NamedTuple):
    """A rectangle of pixels that may reach beyond the raster: first and last-but-one row and column."""

    top: int
    left: int
    low: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.low - self.top, self.right - self.left

    def wider(self, by_px: int) -> Box:
        """Returns the box and ``by_px`` around it."""
        return Box(self.top - by_px, self.left - by_px, self.low + by_px, self.right + by_px)

    def common(self, other: Box) -> Box | None:
        """Returns what both cover; None where that is nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        low, right = min(self.low, other.low), min(self.right, other.right)
        return Box(top, left, low, right) if top < low and left < right else None

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Returns where this box lies in an array that covers ``outer``."""
        top, left = self.top - outer.top, self.left - outer.left
        return slice(top, top + self.low - self.top), slice(left, left + self.right - self.left)

    def window(self) -> Window:
        """Returns it as a window of the raster, inside which it has to lie."""
        return Window(col=self.left, row=self.top, width=self.right - self.left, height=self.low - self.top)

    @classmethod
    def of(cls, window: Window) -> Box:
        """Returns a window as a box."""
        return cls(window.row, window.col, window.row + window.height, window.col + window.width)


@dataclass(frozen=True)
class Lattice:
    """How a raster is cut into tiles.

    Attributes:
        tile_px: edge of a tile.
        halo_px: what the graph needs around a pixel to answer it.
        overlap_px: by how much neighbouring tiles overlap, at most ``tile_px``; 0 where a pixel's answer depends on
            what lies within ``halo_px`` alone.
        origin: row and column of the raster at which some tile begins.

    Raises:
        ValueError: tiles of no size, or an overlap beyond them.
    """

    tile_px: int
    halo_px: int = 0
    overlap_px: int = 0
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.tile_px < 1 or self.halo_px < 0:
            raise ValueError(f"tiles of {self.tile_px} px cannot cover anything")
        if not 0 <= 2 * self.reach_px <= self.tile_px:
            raise ValueError(f"tiles of {self.tile_px} px cannot overlap by {self.overlap_px} px")

    @property
    def reach_px(self) -> int:
        """How far a tile's answers count beyond its own cell, on each side."""
        return (self.overlap_px + 1) // 2

    @property
    def around_px(self) -> int:
        """How far beyond a window something is needed to answer it, at most."""
        return self.halo_px + (self.tile_px + 2 * self.reach_px if self.overlap_px else 0)

    def cells(self, window: Window, shape: tuple[int, int]) -> Iterator[Box]:
        """Yields, row by row, the cells of all tiles whose answers count in a window; they may reach beyond it.

        Args:
            window: of the raster.
            shape: height and width of the raster.
        """
        rows = self._starts(window.row, window.height, shape[0], self.origin[0])
        cols = self._starts(window.col, window.width, shape[1], self.origin[1])
        for row in rows:
            for col in cols:
                yield Box(row, col, row + self.tile_px, col + self.tile_px)

    def _starts(self, first: int, length: int, whole: int, origin: int) -> list[int]:
        reach, tile = self.reach_px, self.tile_px
        lowest = max(first - reach, 0)  # a cell wholly beyond the raster's edge answers nothing
        begin = origin + (lowest - origin) // tile * tile
        end = min(first + length + reach, whole)
        return list(range(begin, end, tile))

    def answered(self, cell: Box, shape: tuple[int, int]) -> Box:
        """Returns the pixels for which a tile's answers count: its cell, and its reach as far as there is a raster."""
        found = cell.wider(self.reach_px).common(Box(0, 0, *shape))
        assert found is not None
        return found

    def asked(self, cell: Box) -> Box:
        """Returns what a tile shows the graph; with an overlap always of one shape, also at the raster's edges."""
        return cell.wider(self.reach_px + self.halo_px)

    def needed(self, window: Window, shape: tuple[int, int]) -> Box:
        """Returns what has to be known of the raster, and around it, to answer a window."""
        if self.overlap_px == 0:
            return Box.of(window).wider(self.halo_px)
        boxes = [self.asked(cell) for cell in self.cells(window, shape)]
        tops, lefts, lows, rights = zip(*boxes, strict=True)
        return Box(min(tops), min(lefts), max(lows), max(rights))
